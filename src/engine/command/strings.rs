//! Commands on strings: GET, SET, MGET, MSET.

use super::{Answer, Context, Refusal, bulk, error, is, ok, parse_integer};
use crate::engine::clock::now_ms;
use crate::engine::format::resp::Reply;
use crate::engine::types::string::{self, Condition, Expiry, Set};

/// The most bytes that the values of one MGET may have together.
const MOST_AT_ONCE: usize = 512 << 20;

pub fn get(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.read(|reading| Ok(reading.string(&args[1])?.map_or(Reply::Nil, |value| bulk(&*value))))
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
            expiry = Some(Expiry::At(expiry_of(time, unit_ms, absolute)?));
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

fn expiry_of(time: &[u8], unit_ms: i64, absolute: bool) -> Result<u64, Refusal> {
    let time = parse_integer(time)?;
    let at = time.checked_mul(unit_ms).filter(|_| time > 0);
    let at = at.and_then(|at| if absolute { Some(at) } else { at.checked_add(now_ms() as i64) });
    at.and_then(|at| u64::try_from(at).ok()).ok_or_else(|| error("invalid expire time in 'set' command"))
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
