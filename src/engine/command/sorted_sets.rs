//! Commands on sorted sets.

use std::ops::ControlFlow;

use super::hashes::no_keys;
use super::lists::parse_pop_count;
use super::{Answer, Context, Refusal, bulk, error, float, integer, is, parse_count, parse_draw, parse_float};
use super::{parse_integer, scan, split_keys};
use crate::engine::format::double::{format_double, parse_double};
use crate::engine::format::metadata::Kind;
use crate::engine::format::resp::Reply;
use crate::engine::types::algebra::{Operation, combine};
use crate::engine::types::random::Draw;
use crate::engine::types::reading::{Budget, Reading};
use crate::engine::types::sorted_set::{self as zset, Add, MemberBound, Part, ScoreBound, Span};

/// Members with their scores, as they are answered.
fn members(members: Vec<(Vec<u8>, f64)>, scores: bool) -> Reply {
    let mut items = Vec::with_capacity(members.len());
    for (member, score) in members {
        items.push(bulk(member));
        if scores {
            items.push(float(score));
        }
    }
    if scores { Reply::Pairs(items) } else { Reply::Array(items) }
}

pub fn zadd(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let mut how = Add::default();
    let mut changed = false;
    let mut rest = &args[2..];
    while let Some((option, after)) = rest.split_first() {
        match option {
            _ if is(option, "nx") => how.absent = true,
            _ if is(option, "xx") => how.present = true,
            _ if is(option, "gt") => how.greater = true,
            _ if is(option, "lt") => how.less = true,
            _ if is(option, "ch") => changed = true,
            _ if is(option, "incr") => how.increment = true,
            _ => break,
        }
        rest = after;
    }
    if rest.is_empty() || !rest.len().is_multiple_of(2) {
        return Err(Refusal::syntax());
    }
    if how.absent && how.present {
        return Err(error("XX and NX options at the same time are not compatible"));
    }
    if (how.greater && (how.less || how.absent)) || (how.less && how.absent) {
        return Err(error("GT, LT, and/or NX options at the same time are not compatible"));
    }
    if how.increment && rest.len() > 2 {
        return Err(error("INCR option supports a single increment-element pair"));
    }
    let pairs: Result<Vec<(f64, &[u8])>, Refusal> =
        rest.chunks_exact(2).map(|pair| Ok((parse_float(&pair[0])?, pair[1].as_slice()))).collect();
    let added = context.write(|writing| Ok(zset::add(writing, &args[1], &pairs?, how)?))?;
    Ok(match (how.increment, added.score) {
        (true, Some(score)) => float(score),
        (true, None) => Reply::Nil,
        (false, _) if changed => integer(added.added + added.updated),
        (false, _) => integer(added.added),
    })
}

pub fn zincrby(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let by = parse_float(&args[2])?;
    let how = Add { increment: true, ..Add::default() };
    let added = context.write(|writing| Ok(zset::add(writing, &args[1], &[(by, &args[3])], how)?))?;
    Ok(added.score.map_or(Reply::Nil, float))
}

pub fn zscore(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.read(|reading| Ok(zset::score(reading, &args[1], &args[2])?.map_or(Reply::Nil, float)))
}

pub fn zmscore(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.view(|reading| {
        let scores = zset::scores(reading, &args[1], &args[2..])?;
        Ok(Reply::Array(scores.into_iter().map(|score| score.map_or(Reply::Nil, float)).collect()))
    })
}

pub fn zcard(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.read(|reading| Ok(integer(reading.size(&args[1], Kind::ZSET)?)))
}

fn score_bound(bytes: &[u8]) -> Result<ScoreBound, Refusal> {
    let (number, exclusive) = match bytes.strip_prefix(b"(") {
        Some(number) => (number, true),
        None => (bytes, false),
    };
    let score = parse_double(number).ok_or_else(|| error("min or max is not a float"))?;
    Ok(ScoreBound { score, exclusive })
}

pub fn member_bound(bytes: &[u8]) -> Result<MemberBound, Refusal> {
    match bytes.split_first() {
        Some((b'-', [])) => Ok(MemberBound::Lowest),
        Some((b'+', [])) => Ok(MemberBound::Highest),
        Some((b'[', member)) => Ok(MemberBound::Inclusive(member.to_vec())),
        Some((b'(', member)) => Ok(MemberBound::Exclusive(member.to_vec())),
        _ => Err(error("min or max not valid string range item")),
    }
}

/// Which ends a range is given by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Member,
}

fn span(by: By, min: &[u8], max: &[u8]) -> Result<Span, Refusal> {
    Ok(match by {
        By::Rank => Span::Rank(parse_integer(min)?, parse_integer(max)?),
        By::Score => Span::Score(score_bound(min)?, score_bound(max)?),
        By::Member => Span::Member(member_bound(min)?, member_bound(max)?),
    })
}

/// The offset and the count of a LIMIT: nothing comes with a negative offset, everything with a negative count.
pub fn limit(offset: &[u8], count: &[u8]) -> Result<(u64, u64), Refusal> {
    let (offset, count) = (parse_integer(offset)?, parse_integer(count)?);
    Ok(match u64::try_from(offset) {
        Ok(offset) => (offset, u64::try_from(count).unwrap_or(u64::MAX)),
        Err(_) => (0, 0),
    })
}

/// A range as ZRANGE and its relatives are asked for it.
struct Asked {
    by: By,
    part: Part,
    scores: bool,
    limited: bool,
}

/// Reads the options behind the ends of a range, of those that the command has.
fn range_options(mut options: &[Vec<u8>], mut asked: Asked, chooses: bool, scores: bool) -> Result<Asked, Refusal> {
    while let Some((option, rest)) = options.split_first() {
        options = rest;
        if scores && is(option, "withscores") {
            asked.scores = true;
        } else if is(option, "limit") && rest.len() >= 2 {
            (asked.part.offset, asked.part.count) = limit(&rest[0], &rest[1])?;
            // As in Redis, all is no limit.
            asked.limited = parse_integer(&rest[1])? != -1;
            options = &rest[2..];
        } else if chooses && is(option, "rev") {
            asked.part.reverse = true;
        } else if chooses && is(option, "byscore") {
            asked.by = By::Score;
        } else if chooses && is(option, "bylex") {
            asked.by = By::Member;
        } else {
            return Err(Refusal::syntax());
        }
    }
    if asked.limited && asked.by == By::Rank {
        return Err(error("syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX"));
    }
    if asked.by == By::Rank {
        (asked.part.offset, asked.part.count) = (0, u64::MAX);
    }
    if asked.scores && asked.by == By::Member {
        return Err(error("syntax error, WITHSCORES not supported in combination with BYLEX"));
    }
    Ok(asked)
}

/// ZRANGE, ZRANGEBYSCORE, ZRANGEBYLEX, ZREVRANGE, ZREVRANGEBYSCORE and ZREVRANGEBYLEX.
pub fn zrange(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let name = args[0].to_ascii_lowercase();
    let reverse = name.starts_with(b"zrev");
    let by = match &name {
        name if name.ends_with(b"byscore") => By::Score,
        name if name.ends_with(b"bylex") => By::Member,
        _ => By::Rank,
    };
    let chooses = name == b"zrange";
    let asked = Asked { by, part: Part { reverse, ..Part::ALL }, scores: false, limited: false };
    let asked = range_options(&args[4..], asked, chooses, by != By::Member)?;
    let span = asked.span(&args[2], &args[3])?;
    context.read(|reading| {
        let found = zset::range(reading, &args[1], &span, asked.part)?;
        Ok(members(found.map_or(Ok(Vec::new()), |scored| scored.gather())?, asked.scores))
    })
}

impl Asked {
    /// In reverse the ends of scores and members come the other way round.
    fn span(&self, first: &[u8], second: &[u8]) -> Result<Span, Refusal> {
        match self.part.reverse && self.by != By::Rank {
            true => span(self.by, second, first),
            false => span(self.by, first, second),
        }
    }
}

pub fn zrangestore(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let asked = Asked { by: By::Rank, part: Part::ALL, scores: false, limited: false };
    let asked = range_options(&args[5..], asked, true, false)?;
    let span = asked.span(&args[3], &args[4])?;
    context.write(|writing| {
        let found = zset::range(&writing.reading(), &args[2], &span, asked.part)?;
        let found = found.map_or(Ok(Vec::new()), |scored| scored.gather())?;
        zset::replace(writing, &args[1], &found)?;
        Ok(integer(found.len() as u64))
    })
}

/// ZCOUNT and ZLEXCOUNT.
pub fn zcount(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let span = span(if is(&args[0], "zcount") { By::Score } else { By::Member }, &args[2], &args[3])?;
    context.view(|reading| Ok(integer(zset::count(reading, &args[1], &span)?)))
}

/// ZRANK and ZREVRANK.
pub fn zrank(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let scores = match args.get(3..).unwrap_or_default() {
        [] => false,
        [with] if is(with, "withscore") => true,
        _ => return Err(Refusal::syntax()),
    };
    let reverse = is(&args[0], "zrevrank");
    let found = context.read(|reading| Ok(zset::rank(reading, &args[1], &args[2], reverse)?))?;
    Ok(match (found, scores) {
        (Some((rank, score)), true) => Reply::Array(vec![integer(rank), float(score)]),
        (Some((rank, _)), false) => integer(rank),
        (None, true) => Reply::NilArray,
        (None, false) => Reply::Nil,
    })
}

pub fn zrem(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.write(|writing| Ok(integer(zset::remove(writing, &args[1], &args[2..])?)))
}

/// ZREMRANGEBYRANK, ZREMRANGEBYSCORE and ZREMRANGEBYLEX.
pub fn zremrange(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let by = match args[0].last() {
        Some(b'k' | b'K') => By::Rank,
        Some(b'e' | b'E') => By::Score,
        _ => By::Member,
    };
    let span = span(by, &args[2], &args[3])?;
    context.write(|writing| Ok(integer(zset::take(writing, &args[1], &span, Part::ALL)?.len() as u64)))
}

/// ZPOPMIN and ZPOPMAX.
pub fn zpop(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let count = match args.get(2..).unwrap_or_default() {
        [] => None,
        [count] => Some(parse_count(count)?),
        _ => return Err(Refusal::syntax()),
    };
    let highest = is(&args[0], "zpopmax");
    let popped =
        context.write(|writing| Ok(members(zset::pop(writing, &args[1], highest, count.unwrap_or(1))?, true)))?;
    Ok(match popped {
        // One is no pair among others.
        Reply::Pairs(items) if count.is_none() => Reply::Array(items),
        popped => popped,
    })
}

pub fn zmpop(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    if parse_integer(&args[1]).map_or(true, |number| number <= 0) {
        return Err(no_keys());
    }
    let (keys, rest) = split_keys(&args[1..]).ok_or_else(Refusal::syntax)?;
    let highest = match rest.first() {
        Some(end) if is(end, "min") => false,
        Some(end) if is(end, "max") => true,
        _ => return Err(Refusal::syntax()),
    };
    let count = match &rest[1..] {
        [] => 1,
        [name, count] if is(name, "count") => parse_pop_count(count)?,
        _ => return Err(Refusal::syntax()),
    };
    context.write(|writing| {
        for key in keys {
            let popped = zset::pop(writing, key, highest, count)?;
            if !popped.is_empty() {
                let pairs = popped.into_iter().map(|(member, score)| Reply::Array(vec![bulk(member), float(score)]));
                return Ok(Reply::Array(vec![bulk(key.clone()), Reply::Array(pairs.collect())]));
            }
        }
        Ok(Reply::NilArray)
    })
}

pub fn zrandmember(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let (draw, scores) = match args.get(2..).unwrap_or_default() {
        [] => (None, false),
        [count] => (Some(parse_draw(count)?), false),
        [count, with] if is(with, "withscores") => (Some(parse_draw(count)?), true),
        _ => return Err(Refusal::syntax()),
    };
    let drawn = context.view(|reading| Ok(zset::random(reading, &args[1], draw.unwrap_or(Draw::Distinct(1)))?))?;
    Ok(match draw {
        Some(_) => members(drawn, scores),
        None => drawn.into_iter().next().map_or(Reply::Nil, |(member, _)| bulk(member)),
    })
}

pub fn zscan(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    scan::elements(
        context,
        args,
        |reading, from| {
            let found = reading.find(&args[1], Kind::ZSET)?;
            Ok(found
                .map(|found| reading.subkeys(crate::engine::format::batch::DEFAULT, &found.start, from, None, false)))
        },
        |value| Ok(Some(format_double(zset::score_of(value)?).into_bytes())),
    )
}

/// How the scores of one member become one.
#[derive(Clone, Copy)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    /// Infinities of both signs make 0 together, as in Redis.
    fn of(self, one: f64, other: f64) -> f64 {
        match self {
            Aggregate::Sum if (one + other).is_nan() => 0.0,
            Aggregate::Sum => one + other,
            Aggregate::Min => one.min(other),
            Aggregate::Max => one.max(other),
        }
    }
}

/// ZUNION, ZINTER, ZDIFF and those that store it.
struct Combination<'a> {
    operation: Operation,
    keys: &'a [Vec<u8>],
    weights: Vec<f64>,
    aggregate: Aggregate,
    scores: bool,
}

impl<'a> Combination<'a> {
    fn parse(name: &[u8], args: &'a [Vec<u8>], stores: bool) -> Result<Combination<'a>, Refusal> {
        let operation = match name.get(1) {
            Some(b'u' | b'U') => Operation::Union,
            Some(b'i' | b'I') => Operation::Intersection,
            _ => Operation::Difference,
        };
        if args.first().map_or(Ok(0), |number| parse_integer(number))? < 1 {
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            return Err(error(format_args!("at least 1 input key is needed for '{name}' command")));
        }
        let (keys, mut options) = split_keys(args).ok_or_else(Refusal::syntax)?;
        let mut asked = Combination { operation, keys, weights: Vec::new(), aggregate: Aggregate::Sum, scores: false };
        while let Some((option, rest)) = options.split_first() {
            options = rest;
            if operation != Operation::Difference && is(option, "weights") && rest.len() >= keys.len() {
                let (weights, rest) = rest.split_at(keys.len());
                let weight =
                    |weight: &Vec<u8>| parse_double(weight).ok_or_else(|| error("weight value is not a float"));
                asked.weights = weights.iter().map(weight).collect::<Result<_, _>>()?;
                options = rest;
            } else if operation != Operation::Difference && is(option, "aggregate") && !rest.is_empty() {
                asked.aggregate = match &rest[0] {
                    word if is(word, "sum") => Aggregate::Sum,
                    word if is(word, "min") => Aggregate::Min,
                    word if is(word, "max") => Aggregate::Max,
                    _ => return Err(Refusal::syntax()),
                };
                options = &rest[1..];
            } else if !stores && is(option, "withscores") {
                asked.scores = true;
            } else {
                return Err(Refusal::syntax());
            }
        }
        Ok(asked)
    }

    /// The members in the order of their scores.
    fn members(&self, reading: &Reading<'_>) -> Result<Vec<(Vec<u8>, f64)>, Refusal> {
        let mut budget = Budget::default();
        let mut members = Vec::new();
        combine(reading, self.keys, &[Kind::ZSET, Kind::SET], self.operation, &mut |member, scores| {
            let mut total: Option<f64> = None;
            for (place, score) in scores.iter().enumerate() {
                let Some(score) = score else { continue };
                let weighted = score * self.weights.get(place).copied().unwrap_or(1.0);
                let weighted = if weighted.is_nan() { 0.0 } else { weighted };
                total = Some(total.map_or(weighted, |total| self.aggregate.of(total, weighted)));
            }
            budget.take(member.len())?;
            // A sum makes the negative zero, which would sort before the other, the positive one.
            members.push((member.to_vec(), total.unwrap_or(0.0) + 0.0));
            Ok(ControlFlow::Continue(()))
        })?;
        // They came in the order of their bytes, which stays where scores are equal.
        members.sort_by(|(_, one), (_, other)| one.total_cmp(other));
        Ok(members)
    }
}

/// ZUNION, ZINTER and ZDIFF.
pub fn zunion(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let asked = Combination::parse(&args[0], &args[1..], false)?;
    context.view(|reading| Ok(members(asked.members(reading)?, asked.scores)))
}

/// ZUNIONSTORE, ZINTERSTORE and ZDIFFSTORE.
pub fn zunionstore(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let asked = Combination::parse(&args[0], &args[2..], true)?;
    context.write(|writing| {
        let members = asked.members(&writing.reading())?;
        zset::replace(writing, &args[1], &members)?;
        Ok(integer(members.len() as u64))
    })
}
