//! Commands on keys of any type.

use std::ops::ControlFlow;

use super::{Answer, Context, Refusal, bulk, bulks, error, integer, is, ok, parse_integer};
use crate::engine::clock::now_ms;
use crate::engine::error::ErrorKind;
use crate::engine::format::metadata::Kind;
use crate::engine::format::resp::Reply;
use crate::engine::types::keys::{self, CopyTo, Ttl};
use crate::engine::types::writing::Writing;

pub fn del(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.write(|writing| {
        if args.len() > 2 {
            // As Kvrocks notes it of many keys, and not of one.
            writing.log_words(Kind::NONE, &[]);
        }
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

/// EXPIRE, PEXPIRE, EXPIREAT and PEXPIREAT.
pub fn expire(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let name = args[0].to_ascii_lowercase();
    let unit_ms = if name.starts_with(b"p") { 1 } else { 1000 };
    let from = if name.ends_with(b"at") { 0 } else { now_ms() as i64 };
    let at = parse_integer(&args[2])?.checked_mul(unit_ms).and_then(|ms| ms.checked_add(from));
    let at =
        at.ok_or_else(|| error(format_args!("invalid expire time in '{}' command", String::from_utf8_lossy(&name))))?;
    let (mut absent, mut present, mut greater, mut less) = (false, false, false, false);
    for option in &args[3..] {
        match option {
            _ if is(option, "nx") => absent = true,
            _ if is(option, "xx") => present = true,
            _ if is(option, "gt") => greater = true,
            _ if is(option, "lt") => less = true,
            _ => return Err(error(format_args!("Unsupported option {}", String::from_utf8_lossy(option)))),
        }
    }
    if absent && (present || greater || less) {
        return Err(error("NX and XX, GT or LT options at the same time are not compatible"));
    }
    if greater && less {
        return Err(error("GT and LT options at the same time are not compatible"));
    }
    let at = u64::try_from(at).unwrap_or(0);
    context.write(|writing| {
        if !args[3..].is_empty() {
            let had = match writing.reading().metadata(&args[1])? {
                Some(metadata) => metadata.expire_ms,
                None => return Ok(integer(0)),
            };
            // Without an expiry a key lives longer than with any.
            let lasts = if had == 0 { u64::MAX } else { had };
            let refused =
                (absent && had != 0) || (present && had == 0) || (greater && at <= lasts) || (less && at >= lasts);
            if refused {
                return Ok(integer(0));
            }
        }
        Ok(integer(keys::expire_at(writing, &args[1], at)?.into()))
    })
}

/// EXPIRETIME and PEXPIRETIME.
pub fn expiretime(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    Ok(match context.read(|reading| Ok(reading.metadata(&args[1])?))? {
        None => Reply::Integer(-2),
        Some(metadata) if metadata.expire_ms == 0 => Reply::Integer(-1),
        Some(metadata) if is(&args[0], "expiretime") => integer(metadata.expire_ms.saturating_add(500) / 1000),
        Some(metadata) => integer(metadata.expire_ms),
    })
}

pub fn randomkey(context: &Context<'_>, _: &[Vec<u8>]) -> Answer {
    context.read(|reading| Ok(keys::random_key(reading)?.map_or(Reply::Nil, bulk)))
}

pub fn copy(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let mut replace = false;
    let mut options = &args[3..];
    while let Some((option, rest)) = options.split_first() {
        options = rest;
        if is(option, "replace") {
            replace = true;
        } else if is(option, "db") && !rest.is_empty() {
            // As in Kvrocks there is one database.
            if parse_integer(&rest[0])? != 0 {
                return Err(error("DB index is out of range"));
            }
            options = &rest[1..];
        } else {
            return Err(Refusal::syntax());
        }
    }
    if args[1] == args[2] {
        return Err(error("source and destination objects are the same"));
    }
    let to = CopyTo { key: &args[2], namespace: None, replace };
    context.write(|writing| Ok(integer((keys::copy(writing, &args[1], to)? == Some(true)).into())))
}

/// RENAME and RENAMENX.
pub fn rename(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let replace = is(&args[0], "rename");
    match context.write(|writing| Ok(keys::rename(writing, &args[1], &args[2], replace)?))? {
        None => Err(error("no such key")),
        Some(_) if replace => Ok(ok()),
        Some(renamed) => Ok(integer(renamed.into())),
    }
}

/// As in Kvrocks, which has one database: whether the key is there, and nothing moves. See MOVEX.
pub fn move_nowhere(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.read(|reading| Ok(integer(reading.metadata(&args[1])?.is_some().into())))
}

/// Kvrocks' MOVEX: moves a key into the namespace of a token, unless it is there.
pub fn movex(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let generation = context.namespace.instance().generation()?.clone();
    let token = std::str::from_utf8(&args[2]).unwrap_or_default();
    let target = match generation.registry.name_of(token) {
        Some(name) => context.engine()?.namespace(name)?,
        None if context.server.is_some_and(|server| server.options.password.as_deref() == Some(token)) => {
            context.engine()?.default_namespace()
        }
        None => return Err(error("Invalid password")),
    };
    let (from, to) = (context.namespace.prefix(), target.prefix());
    let move_key = |writing: &mut Writing<'_>| -> Result<Reply, Refusal> {
        let copy = CopyTo { key: &args[1], namespace: Some(to), replace: false };
        let moved = from != to && keys::copy(writing, &args[1], copy)? == Some(true);
        if moved {
            writing.remove(&args[1])?;
        }
        Ok(integer(moved.into()))
    };
    match context.transaction {
        Some(_) => context.write(move_key),
        // The namespace that it goes to is the one that must not be dropped meanwhile.
        None => target.write(None, |writing| writing.in_namespace(from, move_key)),
    }
}

/// OBJECT, of what there is here: how a Redis would call the encoding, and numbers that say nothing.
pub fn object(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    if is(&args[1], "help") {
        return Ok(bulks(["OBJECT ENCODING|FREQ|IDLETIME|REFCOUNT <key>"]));
    }
    let Some(key) = args.get(2) else { return Err(Refusal::arity()) };
    let number = [("refcount", 1), ("idletime", 0), ("freq", 0)].iter().find(|(name, _)| is(&args[1], name));
    if number.is_none() && !is(&args[1], "encoding") {
        return Err(error("OBJECT subcommand must be one of ENCODING, FREQ, HELP, IDLETIME, REFCOUNT"));
    }
    context.read(|reading| {
        let Some((metadata, record)) = reading.living(key)? else { return Ok(Reply::Nil) };
        if let Some((_, number)) = number {
            return Ok(Reply::Integer(*number));
        }
        let value = record.get(metadata.payload..).unwrap_or_default();
        Ok(bulk(match metadata.kind {
            Kind::STRING if parse_integer(value).is_ok() => "int",
            Kind::STRING if value.len() <= 44 => "embstr",
            Kind::STRING => "raw",
            Kind::HASH | Kind::SET => "hashtable",
            Kind::LIST => "quicklist",
            Kind::ZSET => "skiplist",
            kind => kind.name(),
        }))
    })
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

/// What FLUSHDB and FLUSHALL may be told; both are done when they are answered.
fn check_flush(args: &[Vec<u8>]) -> Result<(), Refusal> {
    match args {
        [_] => Ok(()),
        [_, how] if is(how, "sync") || is(how, "async") => Ok(()),
        _ => Err(Refusal::syntax()),
    }
}

/// Every namespace, one after the other. They stay registered.
pub fn flushall(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    check_flush(args)?;
    let engine = context.engine()?;
    let names = engine.namespaces()?.into_iter().map(String::into_bytes);
    for name in names.chain(engine.unregistered_namespaces()?) {
        match engine.namespace(&name).and_then(|namespace| namespace.clear()) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e.into()),
            // It may have been dropped meanwhile.
            _ => {}
        }
    }
    Ok(ok())
}

pub fn flushdb(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    check_flush(args)?;
    context.write(|writing| Ok(keys::clear(writing)?))?;
    Ok(ok())
}
