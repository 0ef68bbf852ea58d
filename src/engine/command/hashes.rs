//! Commands on hashes.

use super::sorted_sets::{limit, member_bound};
use super::{Answer, Context, Gathered, Refusal, bulk, error, integer, is, ok, parse_draw, parse_float};
use super::{parse_integer, scan};
use crate::engine::format::double::format_double;
use crate::engine::format::metadata::Kind;
use crate::engine::format::resp::Reply;
use crate::engine::types::hash;
use crate::engine::types::random::Draw;
use crate::engine::types::sorted_set::MemberBound;

/// A field with its value.
type Pair<'a> = (&'a [u8], &'a [u8]);

fn pairs(args: &[Vec<u8>]) -> Result<Vec<Pair<'_>>, Refusal> {
    if !args.len().is_multiple_of(2) {
        return Err(Refusal::arity());
    }
    Ok(args.chunks_exact(2).map(|pair| (pair[0].as_slice(), pair[1].as_slice())).collect())
}

/// HSET and HMSET.
pub fn hset(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let pairs = pairs(&args[2..])?;
    let added = context.write(|writing| Ok(hash::set(writing, &args[1], &pairs, false)?))?;
    Ok(if is(&args[0], "hmset") { ok() } else { integer(added) })
}

pub fn hsetnx(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let pairs = pairs(&args[2..])?;
    context.write(|writing| Ok(integer(hash::set(writing, &args[1], &pairs, true)?)))
}

pub fn hget(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.read(|reading| Ok(hash::get(reading, &args[1], &args[2])?.map_or(Reply::Nil, |value| bulk(&*value))))
}

pub fn hmget(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.view(|reading| {
        let values = hash::get_many(reading, &args[1], &args[2..])?;
        Ok(Reply::Array(values.into_iter().map(|value| value.map_or(Reply::Nil, |value| bulk(&*value))).collect()))
    })
}

pub fn hexists(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.read(|reading| Ok(integer(hash::get(reading, &args[1], &args[2])?.is_some().into())))
}

pub fn hstrlen(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let length = context.read(|reading| Ok(hash::get(reading, &args[1], &args[2])?.map_or(0, |value| value.len())))?;
    Ok(integer(length as u64))
}

pub fn hlen(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.read(|reading| Ok(integer(reading.size(&args[1], Kind::HASH)?)))
}

pub fn hdel(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.write(|writing| Ok(integer(hash::remove(writing, &args[1], &args[2..])?)))
}

/// HGETALL, HKEYS and HVALS.
pub fn hgetall(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.view(|reading| {
        let mut gathered = Gathered::default();
        if let Some(mut fields) = hash::fields(reading, &args[1], b"", None, false)? {
            while let Some((field, value)) = fields.next()? {
                if !is(&args[0], "hvals") {
                    gathered.push(field)?;
                }
                if !is(&args[0], "hkeys") {
                    gathered.push(value)?;
                }
            }
        }
        Ok(if is(&args[0], "hgetall") { gathered.map() } else { gathered.array() })
    })
}

pub fn hincrby(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let by = parse_integer(&args[3])?;
    context.write(|writing| Ok(Reply::Integer(hash::increment(writing, &args[1], &args[2], by)?)))
}

pub fn hincrbyfloat(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let by = parse_float(&args[3])?;
    context.write(|writing| Ok(bulk(format_double(hash::increment_float(writing, &args[1], &args[2], by)?))))
}

pub fn hrandfield(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let (draw, values) = match args.get(2..).unwrap_or_default() {
        [] => (None, false),
        [count] => (Some(parse_draw(count)?), false),
        [count, with] if is(with, "withvalues") => (Some(parse_draw(count)?), true),
        _ => return Err(Refusal::syntax()),
    };
    context.view(|reading| {
        let drawn = hash::random(reading, &args[1], draw.unwrap_or(Draw::Distinct(1)))?;
        if draw.is_none() {
            return Ok(drawn.into_iter().next().map_or(Reply::Nil, |(field, _)| bulk(field)));
        }
        let mut gathered = Gathered::default();
        for (field, value) in &drawn {
            gathered.push(field)?;
            if values {
                gathered.push(value)?;
            }
        }
        Ok(if values { gathered.pairs() } else { gathered.array() })
    })
}

pub fn hscan(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    scan::elements(
        context,
        args,
        |reading, from| hash::fields(reading, &args[1], from, None, false),
        |value| Ok(Some(value.to_vec())),
    )
}

/// Kvrocks' HRANGEBYLEX: `key min max [REV] [LIMIT offset count]`.
pub fn hrangebylex(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let mut reverse = false;
    let (mut skip, mut left) = (0, u64::MAX);
    let mut options = &args[4..];
    while let Some((option, rest)) = options.split_first() {
        options = rest;
        if is(option, "rev") {
            reverse = true;
        } else if is(option, "limit") && rest.len() >= 2 {
            (skip, left) = limit(&rest[0], &rest[1])?;
            options = &rest[2..];
        } else {
            return Err(Refusal::syntax());
        }
    }
    let (min, max) = if reverse { (&args[3], &args[2]) } else { (&args[2], &args[3]) };
    let from = match member_bound(min)? {
        MemberBound::Lowest => Some(Vec::new()),
        MemberBound::Highest => None,
        MemberBound::Inclusive(field) => Some(field),
        MemberBound::Exclusive(field) => Some([&field[..], &[0]].concat()),
    };
    let to = match member_bound(max)? {
        MemberBound::Lowest => Some(Vec::new()),
        MemberBound::Highest => None,
        MemberBound::Inclusive(field) => Some([&field[..], &[0]].concat()),
        MemberBound::Exclusive(field) => Some(field),
    };
    context.view(|reading| {
        let mut gathered = Gathered::default();
        let from = from.as_deref();
        let fields = hash::fields(reading, &args[1], from.unwrap_or_default(), to.as_deref(), reverse)?;
        if let Some(mut fields) = fields.filter(|_| from.is_some()) {
            while left > 0
                && let Some((field, value)) = fields.next()?
            {
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                left -= 1;
                gathered.push(field)?;
                gathered.push(value)?;
            }
        }
        Ok(gathered.array())
    })
}

/// The error of a command that wants a number of keys and got another.
pub fn no_keys() -> Refusal {
    error("numkeys should be greater than 0")
}
