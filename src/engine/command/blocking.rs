//! Commands that wait for an element: BLPOP, BRPOP, BLMOVE, BRPOPLPUSH, BLMPOP, BZPOPMIN, BZPOPMAX, BZMPOP.

use std::sync::Arc;
use std::time::Duration;

use super::{Attempt, Context, Refusal, Take, Wait, bulk, bulks, error, float, is, parse_integer};
use crate::engine::format::double::parse_double;
use crate::engine::format::metadata::Kind;
use crate::engine::format::resp::Reply;
use crate::engine::types::list::{self, End};
use crate::engine::types::sorted_set;
use crate::engine::types::writing::Writing;

type Tried = Result<Attempt, Refusal>;

/// BLPOP and BRPOP.
pub fn list_pop(context: &Context<'_>, args: &[Vec<u8>]) -> Tried {
    let end = if is(&args[0], "blpop") { End::Left } else { End::Right };
    let (keys, timeout) = keys_and_timeout(args)?;
    first(context, keys, timeout, Kind::LIST, move |writing, key| {
        let popped = list::pop(writing, key, end, 1)?.and_then(|mut popped| popped.pop());
        Ok(popped.map(|element| bulks([key.to_vec(), element])))
    })
}

/// BZPOPMIN and BZPOPMAX.
pub fn sorted_set_pop(context: &Context<'_>, args: &[Vec<u8>]) -> Tried {
    let highest = is(&args[0], "bzpopmax");
    let (keys, timeout) = keys_and_timeout(args)?;
    first(context, keys, timeout, Kind::ZSET, move |writing, key| {
        let popped = sorted_set::pop(writing, key, highest, 1)?.pop();
        Ok(popped.map(|(member, score)| Reply::Array(vec![bulk(key), bulk(member), float(score)])))
    })
}

pub fn list_pop_some(context: &Context<'_>, args: &[Vec<u8>]) -> Tried {
    let (keys, word, count, timeout) = some(args)?;
    let end = end_of(word)?;
    first(context, keys, timeout, Kind::LIST, move |writing, key| {
        let popped = list::pop(writing, key, end, count)?.filter(|popped| !popped.is_empty());
        Ok(popped.map(|elements| Reply::Array(vec![bulk(key), bulks(elements)])))
    })
}

pub fn sorted_set_pop_some(context: &Context<'_>, args: &[Vec<u8>]) -> Tried {
    let (keys, word, count, timeout) = some(args)?;
    let highest = match word {
        word if is(word, "min") => false,
        word if is(word, "max") => true,
        _ => return Err(Refusal::syntax()),
    };
    first(context, keys, timeout, Kind::ZSET, move |writing, key| {
        let popped = sorted_set::pop(writing, key, highest, count)?;
        let pair = |(member, score): (Vec<u8>, f64)| Reply::Array(vec![bulk(member), float(score)]);
        let reply =
            |popped: Vec<_>| Reply::Array(vec![bulk(key), Reply::Array(popped.into_iter().map(pair).collect())]);
        Ok((!popped.is_empty()).then(|| reply(popped)))
    })
}

/// BLMOVE, and BRPOPLPUSH, which is one way of it.
pub fn list_move(context: &Context<'_>, args: &[Vec<u8>]) -> Tried {
    let (take, give, timeout) = match args {
        [_, _, _, timeout] => (End::Right, End::Left, timeout),
        [_, _, _, take, give, timeout] => (end_of(take)?, end_of(give)?, timeout),
        _ => return Err(Refusal::arity()),
    };
    let timeout = timeout_of(timeout)?;
    let (from, to) = (args[1].clone(), args[2].clone());
    let take =
        move |writing: &mut Writing<'_>, from: &[u8]| Ok(list::move_element(writing, from, &to, take, give)?.map(bulk));
    wait_for(context, vec![from], timeout, Reply::Nil, Kind::LIST, take)
}

/// The first of some keys that has something to take.
fn first(
    context: &Context<'_>,
    keys: &[Vec<u8>],
    timeout: Option<Duration>,
    kind: Kind,
    take: impl Fn(&mut Writing<'_>, &[u8]) -> Result<Option<Reply>, Refusal> + Send + Sync + 'static,
) -> Tried {
    wait_for(context, keys.to_vec(), timeout, Reply::NilArray, kind, take)
}

/// Takes something of the first key that has it, or waits for it.
fn wait_for(
    context: &Context<'_>,
    keys: Vec<Vec<u8>>,
    timeout: Option<Duration>,
    late: Reply,
    kind: Kind,
    take: impl Fn(&mut Writing<'_>, &[u8]) -> Result<Option<Reply>, Refusal> + Send + Sync + 'static,
) -> Tried {
    let take: Take = Arc::new(move |writing, keys| {
        for key in keys {
            if let Some(reply) = take(writing, key)? {
                return Ok(Some(reply));
            }
        }
        Ok(None)
    });
    Ok(match context.write(|writing| take(writing, &keys))? {
        Some(reply) => Attempt::Done(reply),
        None => Attempt::Wait(Wait { keys, kind, take, writes: true, timeout, late }),
    })
}

fn keys_and_timeout(args: &[Vec<u8>]) -> Result<(&[Vec<u8>], Option<Duration>), Refusal> {
    match args {
        [_, keys @ .., timeout] if !keys.is_empty() => Ok((keys, timeout_of(timeout)?)),
        _ => Err(Refusal::arity()),
    }
}

/// `timeout numkeys key [key …] word [COUNT count]`
#[allow(clippy::type_complexity, reason = "the parts of one request")]
fn some(args: &[Vec<u8>]) -> Result<(&[Vec<u8>], &[u8], u64, Option<Duration>), Refusal> {
    let [_, timeout, number, rest @ ..] = args else { return Err(Refusal::arity()) };
    let timeout = timeout_of(timeout)?;
    let number =
        parse_integer(number).ok().and_then(|number| usize::try_from(number).ok()).filter(|&number| number > 0);
    let number = number.ok_or_else(|| error("numkeys should be greater than 0"))?;
    let (keys, rest) = rest.split_at_checked(number).ok_or_else(Refusal::syntax)?;
    let (word, count) = match rest {
        [word] => (word, 1),
        [word, option, count] if is(option, "count") => {
            let count =
                parse_integer(count).ok().and_then(|count| u64::try_from(count).ok()).filter(|&count| count > 0);
            (word, count.ok_or_else(|| error("count should be greater than 0"))?)
        }
        _ => return Err(Refusal::syntax()),
    };
    Ok((keys, word, count, timeout))
}

fn end_of(word: &[u8]) -> Result<End, Refusal> {
    match word {
        word if is(word, "left") => Ok(End::Left),
        word if is(word, "right") => Ok(End::Right),
        _ => Err(Refusal::syntax()),
    }
}

/// Seconds with a fraction; 0 for as long as it takes.
pub fn timeout_of(word: &[u8]) -> Result<Option<Duration>, Refusal> {
    let seconds = parse_double(word).filter(|seconds| seconds.is_finite());
    let seconds = seconds.ok_or_else(|| error("timeout is not a float or out of range"))?;
    if seconds < 0.0 {
        return Err(error("timeout is negative"));
    }
    let timeout = Duration::try_from_secs_f64(seconds).map_err(|_| error("timeout is out of range"))?;
    Ok((!timeout.is_zero()).then_some(timeout))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times to wait are seconds with a fraction, none for ever, and never less than nothing.
    #[test]
    fn timeouts() {
        assert_eq!(timeout_of(b"0").unwrap(), None);
        assert_eq!(timeout_of(b"0.5").unwrap(), Some(Duration::from_millis(500)));
        assert_eq!(timeout_of(b"1e-300").unwrap(), None);
        for wrong in ["", "x", "-1", "nan", "inf", "1e300"] {
            assert!(timeout_of(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
