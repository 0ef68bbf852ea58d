//! Commands on sets.

use std::ops::ControlFlow;

use super::hashes::no_keys;
use super::{Answer, Context, Gathered, Refusal, bulk, bulks, error, integer, is, parse_count, parse_draw};
use super::{parse_integer, scan, split_keys};
use crate::engine::format::metadata::Kind;
use crate::engine::format::resp::Reply;
use crate::engine::types::algebra::{Operation, combine};
use crate::engine::types::random::Draw;
use crate::engine::types::reading::{Budget, Reading};
use crate::engine::types::set;

fn set_of(members: Vec<Vec<u8>>) -> Reply {
    Reply::Set(members.into_iter().map(bulk).collect())
}

pub fn sadd(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.write(|writing| Ok(integer(set::add(writing, &args[1], &args[2..])?)))
}

pub fn srem(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.write(|writing| Ok(integer(set::remove(writing, &args[1], &args[2..])?)))
}

pub fn scard(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.read(|reading| Ok(integer(reading.size(&args[1], Kind::SET)?)))
}

pub fn sismember(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.read(|reading| Ok(integer(set::contains(reading, &args[1], &args[2])?.into())))
}

pub fn smismember(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.view(|reading| {
        let found = set::contains_many(reading, &args[1], &args[2..])?;
        Ok(Reply::Array(found.into_iter().map(|found| integer(found.into())).collect()))
    })
}

pub fn smembers(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.view(|reading| {
        let mut gathered = Gathered::default();
        if let Some(mut members) = set::members(reading, &args[1], b"")? {
            while let Some((member, _)) = members.next()? {
                gathered.push(member)?;
            }
        }
        Ok(gathered.set())
    })
}

pub fn spop(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let count = match args.get(2..).unwrap_or_default() {
        [] => None,
        [count] => Some(parse_count(count)?),
        _ => return Err(Refusal::syntax()),
    };
    let popped = context.write(|writing| Ok(set::pop(writing, &args[1], count.unwrap_or(1))?))?;
    Ok(match count {
        Some(_) => set_of(popped),
        None => popped.into_iter().next().map_or(Reply::Nil, bulk),
    })
}

pub fn srandmember(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let draw = match args.get(2..).unwrap_or_default() {
        [] => None,
        [count] => Some(parse_draw(count)?),
        _ => return Err(Refusal::syntax()),
    };
    let drawn = context.view(|reading| Ok(set::random(reading, &args[1], draw.unwrap_or(Draw::Distinct(1)))?))?;
    Ok(match draw {
        Some(_) => bulks(drawn),
        None => drawn.into_iter().next().map_or(Reply::Nil, bulk),
    })
}

pub fn smove(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.write(|writing| Ok(integer(set::move_member(writing, &args[1], &args[2], &args[3])?.into())))
}

pub fn sscan(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    scan::elements(context, args, |reading, from| set::members(reading, &args[1], from), |_| Ok(None))
}

fn operation(name: &[u8]) -> Operation {
    match name.get(1) {
        Some(b'u' | b'U') => Operation::Union,
        Some(b'i' | b'I') => Operation::Intersection,
        _ => Operation::Difference,
    }
}

fn members(reading: &Reading<'_>, keys: &[Vec<u8>], operation: Operation) -> Result<Vec<Vec<u8>>, Refusal> {
    let mut budget = Budget::default();
    let mut members = Vec::new();
    combine(reading, keys, &[Kind::SET], operation, &mut |member, _| {
        budget.take(member.len())?;
        members.push(member.to_vec());
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(members)
}

/// SINTER, SUNION and SDIFF.
pub fn sinter(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.view(|reading| Ok(set_of(members(reading, &args[1..], operation(&args[0]))?)))
}

/// SINTERSTORE, SUNIONSTORE and SDIFFSTORE.
pub fn sinterstore(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.write(|writing| {
        let members = members(&writing.reading(), &args[2..], operation(&args[0]))?;
        set::replace(writing, &args[1], &members)?;
        Ok(integer(members.len() as u64))
    })
}

/// SINTERCARD and ZINTERCARD.
pub fn sintercard(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    if parse_integer(&args[1]).map_or(true, |number| number <= 0) {
        return Err(no_keys());
    }
    let Some((keys, options)) = split_keys(&args[1..]) else {
        return Err(error("Number of keys can't be greater than number of args"));
    };
    let most = match options {
        [] => 0,
        [limit, most] if is(limit, "limit") => {
            let most = parse_integer(most).ok().and_then(|most| u64::try_from(most).ok());
            most.ok_or_else(|| error("LIMIT can't be negative"))?
        }
        _ => return Err(Refusal::syntax()),
    };
    let kinds: &[Kind] = if is(&args[0], "zintercard") { &[Kind::ZSET, Kind::SET] } else { &[Kind::SET] };
    context.view(|reading| {
        let mut count = 0;
        combine(reading, keys, kinds, Operation::Intersection, &mut |_, _| {
            count += 1;
            Ok(if count == most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(integer(count))
    })
}
