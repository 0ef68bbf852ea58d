//! Commands on strings.

use super::{Answer, Context, Refusal, bulk, error, integer, is, ok, parse_float, parse_integer};
use crate::engine::clock::now_ms;
use crate::engine::error::ErrorKind;
use crate::engine::format::double::format_double;
use crate::engine::format::resp::Reply;
use crate::engine::types::list::bounds;
use crate::engine::types::string::{self, Condition, Expiry, Set};
use crate::engine::types::{bitmap, dump, keys};

/// The most bytes that the values of one MGET may have together.
const MOST_AT_ONCE: usize = 512 << 20;

pub fn get(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.read(|reading| match reading.string(&args[1]) {
        // A bitmap is given as the string that it would be in Redis.
        Err(wrong) if wrong.kind() == ErrorKind::WrongType => {
            let bits = bitmap::to_string(reading, &args[1], dump::MAX_BITMAP_STRING)?;
            Ok(bulk(bits.ok_or(wrong)?))
        }
        value => Ok(value?.map_or(Reply::Nil, |value| bulk(&*value))),
    })
}

pub fn mget(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let values = context.view(|reading| Ok(string::values(reading, &args[1..], MOST_AT_ONCE)?))?;
    Ok(Reply::Array(values.into_iter().map(|value| value.map_or(Reply::Nil, bulk)).collect()))
}

pub fn mset(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    if args.len().is_multiple_of(2) {
        return Err(Refusal::arity());
    }
    context.write(|writing| {
        for pair in args[1..].chunks_exact(2) {
            string::put(writing, &pair[0], &pair[1], 0)?;
        }
        Ok(ok())
    })
}

pub fn set(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let set = set_options(&args[3..])?;
    let (written, old) = context.write(|writing| Ok(string::set(writing, &args[1], &args[2], &set)?))?;
    Ok(match (set.give_old, written) {
        (true, _) => old.map_or(Reply::Nil, bulk),
        (false, true) => ok(),
        (false, false) => Reply::Nil,
    })
}

fn set_options(mut options: &[Vec<u8>]) -> Result<Set, Refusal> {
    let mut condition = None;
    let mut expiry = None;
    let mut give_old = false;
    while let Some((option, rest)) = options.split_first() {
        options = rest;
        if is(option, "nx") && condition.is_none_or(|had| had == Condition::Absent) {
            condition = Some(Condition::Absent);
        } else if is(option, "xx") && condition.is_none_or(|had| had == Condition::Present) {
            condition = Some(Condition::Present);
        } else if is(option, "get") {
            give_old = true;
        } else if is(option, "keepttl") && expiry.is_none_or(|had| had == Expiry::Keep) {
            expiry = Some(Expiry::Keep);
        } else if let Some((unit_ms, absolute)) = time_option(option)
            && expiry.is_none()
            && let Some((time, rest)) = options.split_first()
        {
            options = rest;
            expiry = Some(Expiry::At(expiry_of("set", time, unit_ms, absolute)?));
        } else {
            return Err(Refusal::syntax());
        }
    }
    let condition = condition.unwrap_or(Condition::Always);
    Ok(Set { condition, expiry: expiry.unwrap_or(Expiry::At(0)), give_old })
}

/// The unit in milliseconds, and whether it counts from 1970.
fn time_option(option: &[u8]) -> Option<(i64, bool)> {
    let options = [("ex", 1000, false), ("px", 1, false), ("exat", 1000, true), ("pxat", 1, true)];
    let found = options.iter().find(|(name, ..)| is(option, name))?;
    Some((found.1, found.2))
}

fn expiry_of(name: &str, time: &[u8], unit_ms: i64, absolute: bool) -> Result<u64, Refusal> {
    let time = parse_integer(time)?;
    let at = time.checked_mul(unit_ms).filter(|_| time > 0);
    let at = at.and_then(|at| if absolute { Some(at) } else { at.checked_add(now_ms() as i64) });
    at.and_then(|at| u64::try_from(at).ok())
        .ok_or_else(|| error(format_args!("invalid expire time in '{name}' command")))
}

/// SETEX and PSETEX.
pub fn setex(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let (name, unit_ms) = if is(&args[0], "setex") { ("setex", 1000) } else { ("psetex", 1) };
    let expire_ms = expiry_of(name, &args[2], unit_ms, false)?;
    context.write(|writing| Ok(string::put(writing, &args[1], &args[3], expire_ms).map(|()| ok())?))
}

pub fn setnx(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let set = Set { condition: Condition::Absent, expiry: Expiry::At(0), give_old: false };
    let (written, _) = context.write(|writing| Ok(string::set(writing, &args[1], &args[2], &set)?))?;
    Ok(integer(written.into()))
}

pub fn msetnx(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    if args.len().is_multiple_of(2) {
        return Err(Refusal::arity());
    }
    context.write(|writing| {
        for pair in args[1..].chunks_exact(2) {
            if writing.reading().metadata(&pair[0])?.is_some() {
                return Ok(integer(0));
            }
        }
        for pair in args[1..].chunks_exact(2) {
            string::put(writing, &pair[0], &pair[1], 0)?;
        }
        Ok(integer(1))
    })
}

pub fn getset(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let set = Set { condition: Condition::Always, expiry: Expiry::At(0), give_old: true };
    let (_, old) = context.write(|writing| Ok(string::set(writing, &args[1], &args[2], &set)?))?;
    Ok(old.map_or(Reply::Nil, bulk))
}

pub fn getdel(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.write(|writing| {
        let Some(value) = writing.reading().string(&args[1])? else { return Ok(Reply::Nil) };
        writing.remove(&args[1])?;
        Ok(bulk(&*value))
    })
}

pub fn getex(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let expire_ms = match &args[2..] {
        [] => None,
        [persist] if is(persist, "persist") => Some(0),
        [option, time] if time_option(option).is_some() => {
            let (unit_ms, absolute) = time_option(option).unwrap_or_default();
            Some(expiry_of("getex", time, unit_ms, absolute)?)
        }
        _ => return Err(Refusal::syntax()),
    };
    let Some(expire_ms) = expire_ms else { return get(context, args) };
    context.write(|writing| {
        let Some(value) = writing.reading().string(&args[1])? else { return Ok(Reply::Nil) };
        match expire_ms {
            0 => keys::expire(writing, &args[1], 0)?,
            _ => keys::expire_at(writing, &args[1], expire_ms)?,
        };
        Ok(bulk(&*value))
    })
}

pub fn strlen(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.read(|reading| Ok(integer(reading.string(&args[1])?.map_or(0, |value| value.len() as u64))))
}

pub fn append(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.write(|writing| Ok(integer(string::append(writing, &args[1], &args[2])?)))
}

/// GETRANGE, and SUBSTR, its former name.
pub fn getrange(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let (start, stop) = (parse_integer(&args[2])?, parse_integer(&args[3])?);
    context.read(|reading| {
        let Some(value) = reading.string(&args[1])? else { return Ok(bulk("")) };
        let length = value.len() as u64;
        if start < 0 && stop < 0 && start > stop {
            return Ok(bulk(""));
        }
        // Redis takes an end before the first byte for the first byte.
        let stop = if stop < 0 { stop.max(0i64.saturating_sub_unsigned(length)) } else { stop };
        let part = bounds(start, stop, length).and_then(|(from, to)| value.get(from as usize..to as usize));
        Ok(bulk(part.unwrap_or_default()))
    })
}

pub fn setrange(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let offset = u64::try_from(parse_integer(&args[2])?).map_err(|_| error("offset is out of range"))?;
    context.write(|writing| Ok(integer(string::set_range(writing, &args[1], offset, &args[3])?)))
}

/// INCR, DECR, INCRBY and DECRBY.
pub fn incrby(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let by = args.get(2).map_or(Ok(1), |by| parse_integer(by))?;
    let down = args[0].first().is_some_and(|letter| letter.eq_ignore_ascii_case(&b'd'));
    let by = if down { by.checked_neg().ok_or_else(|| error("decrement would overflow"))? } else { by };
    context.write(|writing| Ok(Reply::Integer(string::increment(writing, &args[1], by)?)))
}

pub fn incrbyfloat(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let by = parse_float(&args[2])?;
    context.write(|writing| Ok(bulk(format_double(string::increment_float(writing, &args[1], by)?))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &[&str]) -> Result<Set, Refusal> {
        set_options(&words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>())
    }

    /// Options of SET that do not go together, or lack their number, are a syntax error.
    #[test]
    fn options_of_set() {
        for words in [
            &["NX", "XX"][..],
            &["XX", "NX"],
            &["EX"],
            &["EX", "1", "PX", "1"],
            &["KEEPTTL", "EX", "1"],
            &["EX", "1", "KEEPTTL"],
            &["EX", "1", "EX", "1"],
            &["1"],
            &[""],
        ] {
            assert!(matches!(options(words), Err(Refusal::Text(text)) if text == "ERR syntax error"), "{words:?}");
        }
        for words in [&["EX", "0"][..], &["PX", "-1"], &["EXAT", "9223372036854775807"], &["PX", "9223372036854775807"]]
        {
            let said = options(words).err();
            assert!(
                matches!(&said, Some(Refusal::Text(text)) if text == "ERR invalid expire time in 'set' command"),
                "{words:?} {said:?}"
            );
        }
        for words in [&["EX", "a"][..], &["EX", "+1"], &["EX", "1.5"], &["EX", ""]] {
            assert!(matches!(options(words), Err(Refusal::Text(text)) if text.contains("not an integer")), "{words:?}");
        }
        let set = options(&["get", "nx", "PXAT", "12"]).unwrap();
        assert_eq!((set.condition, set.expiry, set.give_old), (Condition::Absent, Expiry::At(12), true));
        assert_eq!(options(&["exat", "12"]).unwrap().expiry, Expiry::At(12_000));
        assert_eq!(options(&["keepttl"]).unwrap().expiry, Expiry::Keep);
        assert_eq!(options(&[]).unwrap().expiry, Expiry::At(0));
    }
}
