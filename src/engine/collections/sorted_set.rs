//! Sorted sets as users hold them.

use super::super::error::{Error, ErrorKind, Result};
use super::super::format::metadata::Kind;
use super::super::types::random::Draw;
use super::super::types::sorted_set::{self as zset, Add, Added, Part, Scored, Span};
use super::Key;

/// A sorted set: members, each once, in the order of their scores, and where these are equal of their bytes. A handle of
/// a key, which need not be there; WrongType when it is of another type.
///
/// Each call is one write, which survives a killed process when it returns, or one look at one moment. Members are bytes,
/// at most 512 MiB long; scores are doubles, infinities among them, and never NaN, which is InvalidArgument.
///
/// The format keeps no counts by which a rank could be found. So the first question for a rank far from both ends of a sorted
/// set with 4,096 members or more goes through those before it, and how many there are in each stretch of 64 or so is
/// remembered in memory: later ones, while others write or not, look there and go through one stretch, and through those that
/// were written since. 16 sorted sets of an engine are remembered, those that were asked for last, with a megabyte or so for a
/// million members. Questions in a batch of pending writes, and on a snapshot that is older than what is remembered, go
/// through the members.
///
/// ```
/// use pumice::{Engine, Options, Part, ScoreBound, Span};
///
/// # let dir = tempfile::tempdir().unwrap();
/// let engine = Engine::open(dir.path(), &Options::default())?;
/// let race = engine.default_namespace().sorted_set("race");
/// race.add(&[(9.58, "usain"), (9.69, "tyson"), (9.69, "yohan")])?;
/// assert_eq!(race.rank(b"yohan")?, Some(2));
///
/// let under = |score| ScoreBound { score, exclusive: true };
/// let fast = Span::Score(ScoreBound { score: 0.0, exclusive: false }, under(9.6));
/// let mut members = race.range(&fast, Part::ALL)?;
/// assert_eq!(members.next_member()?, Some((&b"usain"[..], 9.58)));
/// assert_eq!(members.next_member()?, None);
/// assert_eq!(race.increment(b"tyson", -0.5)?, 9.19);
/// assert_eq!(race.pop(false, 1)?, [(b"tyson".to_vec(), 9.19)]);
/// # Ok::<(), pumice::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SortedSet {
    pub(super) key: Key,
}

impl SortedSet {
    /// How many members there are. One read.
    pub fn len(&self) -> Result<u64> {
        self.key.read(|reading, key| reading.size(key, Kind::ZSET))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// The score of a member.
    pub fn score(&self, member: &[u8]) -> Result<Option<f64>> {
        self.key.read(|reading, key| zset::score(reading, key, member))
    }

    /// Adds members with their scores, or gives those that are there another one; all or none. How many are new.
    pub fn add(&self, members: &[(f64, impl AsRef<[u8]>)]) -> Result<u64> {
        Ok(self.add_with(members, Add::default())?.added)
    }

    /// [`SortedSet::add`] on conditions. Gives what it did.
    pub fn add_with(&self, members: &[(f64, impl AsRef<[u8]>)], how: Add) -> Result<Added> {
        let members: Vec<(f64, &[u8])> = members.iter().map(|(score, member)| (*score, member.as_ref())).collect();
        if members.iter().any(|(score, _)| score.is_nan()) {
            return Err(Error::new(ErrorKind::InvalidArgument, "score: got NaN, expected a number"));
        }
        self.key.write(|writing, key| zset::add(writing, key, &members, how))
    }

    /// Adds to the score of a member, which is 0 where it is not there. Gives what it is then.
    pub fn increment(&self, member: &[u8], by: f64) -> Result<f64> {
        let added = self.add_with(&[(by, member)], Add { increment: true, ..Add::default() })?;
        Ok(added.score.unwrap_or(by))
    }

    /// Removes members. How many were there. Without the last one the sorted set is gone.
    pub fn remove(&self, members: &[impl AsRef<[u8]>]) -> Result<u64> {
        self.key.write(|writing, key| zset::remove(writing, key, members))
    }

    /// Removes a member and gives the score that it had.
    pub fn take_member(&self, member: &[u8]) -> Result<Option<f64>> {
        self.key.write(|writing, key| {
            let score = zset::score(&writing.reading(), key, member)?;
            zset::remove(writing, key, &[member])?;
            Ok(score)
        })
    }

    /// How many members come before one. In a long sorted set only the first question goes through them: see [`SortedSet`].
    pub fn rank(&self, member: &[u8]) -> Result<Option<u64>> {
        self.key.read(|reading, key| Ok(zset::rank(reading, key, member, false)?.map(|(rank, _)| rank)))
    }

    /// How many members come after one. In a long sorted set only the first question goes through them: see [`SortedSet`].
    pub fn rank_from_last(&self, member: &[u8]) -> Result<Option<u64>> {
        self.key.read(|reading, key| Ok(zset::rank(reading, key, member, true)?.map(|(rank, _)| rank)))
    }

    /// The members of a range with their scores, as they are at this moment.
    pub fn range(&self, span: &Span, part: Part) -> Result<Scores> {
        self.key.read(|reading, key| Ok(Scores(zset::range(reading, key, span, part)?.map(Scored::kept))))
    }

    /// How many members are in a range. Goes through them.
    pub fn count(&self, span: &Span) -> Result<u64> {
        self.key.view(|reading, key| zset::count(reading, key, span))
    }

    /// Takes the members of a range away, and gives them.
    pub fn take(&self, span: &Span, part: Part) -> Result<Vec<(Vec<u8>, f64)>> {
        self.key.write(|writing, key| zset::take(writing, key, span, part))
    }

    /// Takes the members with the lowest scores away, or with the highest, `count` at most.
    pub fn pop(&self, highest: bool, count: u64) -> Result<Vec<(Vec<u8>, f64)>> {
        self.key.write(|writing, key| zset::pop(writing, key, highest, count))
    }

    /// Random members, `count` at most, each once. It goes through the sorted set.
    pub fn random(&self, count: u64) -> Result<Vec<(Vec<u8>, f64)>> {
        self.key.view(|reading, key| zset::random(reading, key, Draw::Distinct(count)))
    }

    /// Removes all members: one record, whatever their number.
    pub fn clear(&self) -> Result<()> {
        self.key.clear(Kind::ZSET)
    }

    #[cfg_attr(not(feature = "python"), allow(dead_code, reason = "for the face that shows it"))]
    pub(crate) fn shown(&self) -> String {
        self.key.shown()
    }
}

/// An ordered walk through members, seeing one moment. It holds one member at a time, and its dataset open.
pub struct Scores(Option<Scored<'static>>);

impl Scores {
    /// The next member with its score; `None` at the end, and from then on.
    pub fn next_member(&mut self) -> Result<Option<(&[u8], f64)>> {
        match &mut self.0 {
            Some(scored) => scored.next(),
            None => Ok(None),
        }
    }
}

/// Owned copies of what [`Scores::next_member`] lends.
impl Iterator for Scores {
    type Item = Result<(Vec<u8>, f64)>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_member();
        next.map(|next| next.map(|(member, score)| (member.to_vec(), score))).transpose()
    }
}
