//! Commands on keys of any type: DEL, EXISTS, expiry, TYPE, DBSIZE, FLUSHDB.

use std::ops::ControlFlow;

use super::{Answer, Context, Refusal, error, integer, is, ok, parse_integer};
use crate::engine::clock::now_ms;
use crate::engine::format::resp::Reply;
use crate::engine::types::keys::{self, Ttl};

pub fn del(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.write(|writing| {
        let mut deleted = 0;
        for key in &args[1..] {
            deleted += u64::from(keys::delete(writing, key)?);
        }
        Ok(integer(deleted))
    })
}

/// Counts a key as often as it is named.
pub fn exists(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.read(|reading| {
        let mut count = 0;
        for key in &args[1..] {
            count += u64::from(reading.metadata(key)?.is_some());
        }
        Ok(integer(count))
    })
}

/// EXPIRE and PEXPIRE.
pub fn expire(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let (name, unit_ms) = if is(&args[0], "expire") { ("expire", 1000) } else { ("pexpire", 1) };
    let at = parse_integer(&args[2])?.checked_mul(unit_ms).and_then(|ms| ms.checked_add(now_ms() as i64));
    let at = at.ok_or_else(|| error(format_args!("invalid expire time in '{name}' command")))?;
    let at = u64::try_from(at).unwrap_or(0);
    context.write(|writing| Ok(integer(keys::expire_at(writing, &args[1], at)?.into())))
}

pub fn persist(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.write(|writing| Ok(integer(keys::expire(writing, &args[1], 0)?.into())))
}

/// TTL and PTTL.
pub fn ttl(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    Ok(match context.read(|reading| Ok(reading.ttl(&args[1])?))? {
        Ttl::Missing => Reply::Integer(-2),
        Ttl::Forever => Reply::Integer(-1),
        // Seconds are rounded, as Redis does it.
        Ttl::Left(left) if is(&args[0], "ttl") => integer((left.as_millis() as u64 + 500) / 1000),
        Ttl::Left(left) => integer(left.as_millis() as u64),
    })
}

pub fn kind(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let found = context.read(|reading| Ok(reading.metadata(&args[1])?))?;
    let name = found.map_or("none", |metadata| metadata.kind.name());
    Ok(Reply::Simple(name.into()))
}

/// The number is exact and is counted at every call, so that `DBSIZE SCAN`, which makes a Kvrocks count, has nothing to do.
pub fn dbsize(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    match args {
        [_] => context.read(|reading| {
            Ok(integer(reading.count(&mut |_| match context.check_going_on() {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            })?))
        }),
        [_, scan] if is(scan, "scan") => Ok(ok()),
        _ => Err(error("DBSIZE subcommand only supports scan")),
    }
}

pub fn flushdb(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    match args {
        [_] => {}
        [_, how] if is(how, "sync") || is(how, "async") => {}
        _ => return Err(Refusal::syntax()),
    }
    context.write(|writing| Ok(keys::clear(writing)?))?;
    Ok(ok())
}
