//! Sorted sets: a subkey for each member, its score beside it, and one for each score with its member behind it, which
//! always agree. Kvrocks: types/redis_zset.cc.

use super::hash::invalid;
use super::list::bounds;
use super::random::{self, Draw};
use super::ranking;
use super::reading::{Budget, Opened, Reading, Subkeys};
use super::writing::Writing;
use crate::engine::error::{Error, ErrorKind, Result, shown};
use crate::engine::format::batch::{DEFAULT, ZSET_SCORE};
use crate::engine::format::double::{decode_double, encode_double};
use crate::engine::format::metadata::Kind;

/// What an addition does about members that are there, or are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Add {
    /// Only those that are not there.
    pub absent: bool,
    /// Only those that are there.
    pub present: bool,
    /// Those that are there only get a greater score.
    pub greater: bool,
    /// Those that are there only get a lesser score.
    pub less: bool,
    /// The score is added to the one that is there.
    pub increment: bool,
}

/// What an addition did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Added {
    /// How many members are new.
    pub added: u64,
    /// How many had another score.
    pub updated: u64,
    /// The score of the last member, unless a condition kept it from being stored.
    pub score: Option<f64>,
}

/// An end of a range of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScoreBound {
    /// The score, no NaN.
    pub score: f64,
    /// Whether members of that score are outside.
    pub exclusive: bool,
}

/// An end of a range of members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberBound {
    /// Before all members.
    Lowest,
    /// After all members.
    Highest,
    /// At a member, which is inside.
    Inclusive(Vec<u8>),
    /// At a member, which is outside.
    Exclusive(Vec<u8>),
}

/// A range of a sorted set, from the lower end to the upper.
#[derive(Clone, Debug, PartialEq)]
pub enum Span {
    /// By place in the order that is asked for; from the other end with negative numbers.
    Rank(i64, i64),
    /// By score.
    Score(ScoreBound, ScoreBound),
    /// By member: where all have the same score.
    Member(MemberBound, MemberBound),
}

/// Which part of a range comes.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// From the last member to the first.
    pub reverse: bool,
    /// How many members are left out first.
    pub offset: u64,
    /// How many come at most.
    pub count: u64,
}

impl Part {
    /// All of it, forward.
    pub const ALL: Part = Part { reverse: false, offset: 0, count: u64::MAX };
}

/// A walk through members with their scores.
pub struct Scored<'a> {
    walk: Subkeys<'a>,
    by_member: bool,
    skip: u64,
    left: u64,
}

impl Scored<'_> {
    /// The next member with its score; `None` at the end.
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot lend")]
    pub fn next(&mut self) -> Result<Option<(&[u8], f64)>> {
        if self.left == 0 {
            return Ok(None);
        }
        while self.skip > 0 {
            if !self.walk.advance()? {
                self.left = 0;
                return Ok(None);
            }
            self.skip -= 1;
        }
        self.left -= 1;
        let Some((sub, value)) = self.walk.next()? else { return Ok(None) };
        if self.by_member {
            return Ok(Some((sub, score_of(value)?)));
        }
        let (score, member) = sub.split_at_checked(8).unwrap_or((sub, b""));
        Ok(Some((member, score_of(score)?)))
    }

    /// The same walk, for who keeps it: of a reading without pending writes.
    pub fn kept(self) -> Scored<'static> {
        let Scored { walk, by_member, skip, left } = self;
        Scored { walk: walk.kept(), by_member, skip, left }
    }

    /// All that comes, in memory.
    pub fn gather(mut self) -> Result<Vec<(Vec<u8>, f64)>> {
        let mut budget = Budget::default();
        let mut members = Vec::new();
        while let Some((member, score)) = self.next()? {
            budget.take(member.len())?;
            members.push((member.to_vec(), score));
        }
        Ok(members)
    }
}

/// A score as it is stored.
pub fn score_of(bytes: &[u8]) -> Result<f64> {
    match bytes.try_into() {
        Ok(bytes) => Ok(decode_double(bytes)),
        Err(_) => Err(Error::new(
            ErrorKind::Corruption,
            format!("score {} of a sorted set: got {} bytes, expected 8", shown(bytes), bytes.len()),
        )),
    }
}

pub fn score(reading: &Reading<'_>, key: &[u8], member: &[u8]) -> Result<Option<f64>> {
    Ok(scores(reading, key, &[member])?.pop().flatten())
}

pub fn scores(reading: &Reading<'_>, key: &[u8], members: &[impl AsRef<[u8]>]) -> Result<Vec<Option<f64>>> {
    let Some(zset) = reading.find(key, Kind::ZSET)? else { return Ok(vec![None; members.len()]) };
    let score = |member: &[u8]| reading.subkey(DEFAULT, &zset.start, member)?.map(|value| score_of(&value)).transpose();
    members.iter().map(|member| score(member.as_ref())).collect()
}

/// The members of a range in order, as they are at one moment; `None` when there is no such key.
pub fn range<'a>(reading: &Reading<'a>, key: &[u8], span: &Span, part: Part) -> Result<Option<Scored<'a>>> {
    let moment = reading.moment();
    let now = Reading { snapshot: moment.as_ref().or(reading.snapshot), ..*reading };
    let Some(zset) = now.find(key, Kind::ZSET)? else { return Ok(None) };
    if let Span::Rank(start, stop) = *span
        && let Some(far) = far_ranks(reading, key, &zset, (start, stop), part)?
    {
        return Ok(Some(far));
    }
    Ok(Some(if reading.pending.is_some() {
        near(reading, &zset, span, part)
    } else {
        near(&now, &zset, span, part).kept()
    }))
}

/// How many members come before those of a range of ranks, and how many it has.
fn ranks((start, stop): (i64, i64), part: Part, size: u64) -> (u64, u64) {
    let (from, to) = bounds(start, stop, size).unwrap_or((0, 0));
    (from.saturating_add(part.offset), (to - from).saturating_sub(part.offset).min(part.count))
}

/// A range of ranks that begins far from the end that it is counted from; `None` where it does not, or must be gone to.
fn far_ranks(
    reading: &Reading<'_>,
    key: &[u8],
    zset: &Opened,
    range: (i64, i64),
    part: Part,
) -> Result<Option<Scored<'static>>> {
    let (skip, left) = ranks(range, part, zset.metadata.size);
    if left == 0 || skip <= ranking::FEW || zset.metadata.size < ranking::MANY {
        return Ok(None);
    }
    ranking::ask(reading, key, &zset.start, |ranking| {
        let size = ranking.zset.metadata.size;
        let (before, left) = ranks(range, part, size);
        if left == 0 {
            return Ok(None);
        }
        let rank = if part.reverse { size - 1 - before } else { before };
        let walk = ranking.walk(rank, part.reverse)?;
        Ok(walk.map(|(walk, skip)| Scored { walk, by_member: false, skip, left }))
    })
}

/// A range whose members are gone to.
fn near<'a>(reading: &Reading<'a>, zset: &Opened, span: &Span, part: Part) -> Scored<'a> {
    let Part { reverse, offset, count } = part;
    let open = |family, from: &[u8], to: Option<&[u8]>| Scored {
        walk: reading.subkeys(family, &zset.start, from, to, reverse),
        by_member: family == DEFAULT,
        skip: offset,
        left: count,
    };
    match span {
        Span::Rank(start, stop) => {
            let (skip, left) = ranks((*start, *stop), part, zset.metadata.size);
            Scored { skip, left, ..open(ZSET_SCORE, b"", None) }
        }
        Span::Score(min, max) => {
            // The two zeros are one score, with the negative one first.
            let zero = |bound: &ScoreBound, negative| match bound.score {
                0.0 if negative => -0.0,
                0.0 => 0.0,
                score => score,
            };
            let stored = |score, above: bool| {
                u64::from_be_bytes(encode_double(score)).saturating_add(above.into()).to_be_bytes()
            };
            let from = stored(zero(min, !min.exclusive), min.exclusive);
            let to = stored(zero(max, max.exclusive), !max.exclusive);
            open(ZSET_SCORE, &from, Some(&to))
        }
        Span::Member(min, max) => {
            let above = |member: &[u8]| [member, &[0]].concat();
            let from = match min {
                MemberBound::Lowest => Some(Vec::new()),
                MemberBound::Highest => None,
                MemberBound::Inclusive(member) => Some(member.clone()),
                MemberBound::Exclusive(member) => Some(above(member)),
            };
            let to = match max {
                MemberBound::Lowest => Some(Vec::new()),
                MemberBound::Highest => None,
                MemberBound::Inclusive(member) => Some(above(member)),
                MemberBound::Exclusive(member) => Some(member.clone()),
            };
            match from {
                Some(from) => open(DEFAULT, &from, to.as_deref()),
                None => open(DEFAULT, b"", Some(b"")),
            }
        }
    }
}

/// How many members are in a range. Goes through them, but for ranks.
pub fn count(reading: &Reading<'_>, key: &[u8], span: &Span) -> Result<u64> {
    let Some(zset) = reading.find(key, Kind::ZSET)? else { return Ok(0) };
    if let Span::Rank(start, stop) = *span {
        return Ok(ranks((start, stop), Part::ALL, zset.metadata.size).1);
    }
    let mut scored = near(reading, &zset, span, Part::ALL);
    let mut count = 0;
    while scored.walk.advance()? {
        count += 1;
    }
    Ok(count)
}

/// How many members come before one, or with `reverse` after it, and its score, at one moment.
pub fn rank(reading: &Reading<'_>, key: &[u8], member: &[u8], reverse: bool) -> Result<Option<(u64, f64)>> {
    let moment = reading.moment();
    let now = Reading { snapshot: moment.as_ref().or(reading.snapshot), ..*reading };
    let Some(zset) = now.find(key, Kind::ZSET)? else { return Ok(None) };
    if zset.metadata.size >= ranking::MANY {
        let known = ranking::ask(reading, key, &zset.start, |ranking| {
            let stored = ranking.reading.subkey(DEFAULT, &ranking.zset.start, member)?;
            let Some(stored) = stored else { return Ok(Some(None)) };
            let size = ranking.zset.metadata.size;
            let before = ranking.before(&[&stored, member].concat(), reverse)?.filter(|before| *before < size);
            let Some(before) = before else { return Ok(None) };
            Ok(Some(Some((if reverse { size - 1 - before } else { before }, score_of(&stored)?))))
        })?;
        if let Some(known) = known {
            return Ok(known);
        }
    }
    let Some(stored) = now.subkey(DEFAULT, &zset.start, member)? else { return Ok(None) };
    let score = score_of(&stored)?;
    let mut place = [&stored, member].concat();
    let mut walk = if reverse {
        place.push(0);
        now.subkeys(ZSET_SCORE, &zset.start, &place, None, false)
    } else {
        now.subkeys(ZSET_SCORE, &zset.start, b"", Some(&place), false)
    };
    let mut rank = 0;
    while walk.advance()? {
        rank += 1;
    }
    Ok(Some((rank, score)))
}

/// Adds members with their scores, which are no NaN.
pub fn add(writing: &mut Writing<'_>, key: &[u8], members: &[(f64, &[u8])], how: Add) -> Result<Added> {
    let zset = writing.open(key, Kind::ZSET)?;
    add_to(writing, key, zset, members, how)
}

/// Makes the key a sorted set of these members, whatever it was; of none, deletes it.
pub fn replace(writing: &mut Writing<'_>, key: &[u8], members: &[(Vec<u8>, f64)]) -> Result<()> {
    if members.is_empty() {
        return super::keys::delete(writing, key).map(drop);
    }
    let zset = writing.create(key, Kind::ZSET);
    let members: Vec<(f64, &[u8])> = members.iter().map(|(member, score)| (*score, member.as_slice())).collect();
    add_to(writing, key, zset, &members, Add::default()).map(drop)
}

fn add_to(
    writing: &mut Writing<'_>,
    key: &[u8],
    mut zset: Opened,
    members: &[(f64, &[u8])],
    how: Add,
) -> Result<Added> {
    let mut did = Added::default();
    writing.log_words(Kind::ZSET, &[]);
    for &(score, member) in members {
        did.score = None;
        let had = writing.reading().subkey(DEFAULT, &zset.start, member)?;
        let mut score = score;
        if let Some(had) = &had {
            let old = score_of(had)?;
            if how.absent {
                continue;
            }
            if how.increment {
                score += old;
            }
            if score.is_nan() {
                return Err(invalid("resulting score is not a number (NaN)"));
            }
            if (how.less && score >= old) || (how.greater && score <= old) {
                continue;
            }
            did.score = Some(score);
            if score == old {
                continue;
            }
            writing.delete(ZSET_SCORE, &[&zset.start, &had[..], member].concat())?;
            did.updated += 1;
        } else {
            if how.present {
                continue;
            }
            if score.is_nan() {
                return Err(invalid("score is not a valid float"));
            }
            did.score = Some(score);
            did.added += 1;
        }
        let stored = encode_double(score);
        writing.put_with(DEFAULT, &[&zset.start, member], &[&stored])?;
        writing.put_with(ZSET_SCORE, &[&zset.start, &stored, member], &[])?;
    }
    if did.added > 0 {
        zset.resize(key, did.added, 0)?;
        writing.store(key, &zset.metadata, &zset.payload)?;
    }
    Ok(did)
}

/// Removes members. How many were there.
pub fn remove(writing: &mut Writing<'_>, key: &[u8], members: &[impl AsRef<[u8]>]) -> Result<u64> {
    let Some(mut zset) = writing.reading().find(key, Kind::ZSET)? else { return Ok(0) };
    writing.log_words(Kind::ZSET, &[]);
    let mut removed = 0;
    for member in members {
        let member = member.as_ref();
        let Some(stored) = writing.reading().subkey(DEFAULT, &zset.start, member)? else { continue };
        writing.delete(DEFAULT, &[&zset.start, member].concat())?;
        writing.delete(ZSET_SCORE, &[&zset.start, &stored[..], member].concat())?;
        removed += 1;
    }
    if removed > 0 {
        zset.resize(key, 0, removed)?;
        writing.store(key, &zset.metadata, &zset.payload)?;
    }
    Ok(removed)
}

/// Takes the members of a range away.
pub fn take(writing: &mut Writing<'_>, key: &[u8], span: &Span, part: Part) -> Result<Vec<(Vec<u8>, f64)>> {
    let Some(scored) = range(&writing.reading(), key, span, part)? else { return Ok(Vec::new()) };
    let members = scored.gather()?;
    let names: Vec<&[u8]> = members.iter().map(|(member, _)| member.as_slice()).collect();
    let removed = remove(writing, key, &names)?;
    if removed != members.len() as u64 {
        return Err(Error::new(
            ErrorKind::Corruption,
            format!("key {}: the scores of its sorted set name members that are not there", shown(key)),
        ));
    }
    Ok(members)
}

/// Takes the members with the lowest scores away, or with the highest.
pub fn pop(writing: &mut Writing<'_>, key: &[u8], highest: bool, count: u64) -> Result<Vec<(Vec<u8>, f64)>> {
    take(writing, key, &Span::Rank(0, -1), Part { reverse: highest, offset: 0, count })
}

/// Random members. Goes through the sorted set.
pub fn random(reading: &Reading<'_>, key: &[u8], count: Draw) -> Result<Vec<(Vec<u8>, f64)>> {
    let Some(zset) = reading.find(key, Kind::ZSET)? else { return Ok(Vec::new()) };
    let drawn = random::draw(reading.subkeys(DEFAULT, &zset.start, b"", None, false), zset.metadata.size, count)?;
    drawn.into_iter().map(|(member, score)| Ok((member, score_of(&score)?))).collect()
}
