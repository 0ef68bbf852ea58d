//! Commands on lists.

use super::hashes::no_keys;
use super::split_keys;
use super::{Answer, Context, Gathered, Refusal, bulk, bulks, error, integer, is, ok, parse_count, parse_integer};
use crate::engine::format::resp::Reply;
use crate::engine::types::list::{self, End, Search};

/// The end that the first letter of a command stands for.
fn end_of(name: &[u8]) -> End {
    if name.first().is_some_and(|letter| letter.eq_ignore_ascii_case(&b'l')) { End::Left } else { End::Right }
}

fn parse_end(word: &[u8]) -> Result<End, Refusal> {
    match word {
        _ if is(word, "left") => Ok(End::Left),
        _ if is(word, "right") => Ok(End::Right),
        _ => Err(Refusal::syntax()),
    }
}

/// LPUSH, RPUSH, LPUSHX and RPUSHX.
pub fn push(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let present = args[0].len() == "lpushx".len();
    context.write(|writing| Ok(integer(list::push(writing, &args[1], &args[2..], end_of(&args[0]), present)?)))
}

/// LPOP and RPOP.
pub fn pop(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let count = match args.get(2..).unwrap_or_default() {
        [] => None,
        [count] => Some(parse_count(count)?),
        _ => return Err(Refusal::arity()),
    };
    let popped = context.write(|writing| Ok(list::pop(writing, &args[1], end_of(&args[0]), count.unwrap_or(1))?))?;
    Ok(match (count, popped) {
        (Some(_), None) => Reply::NilArray,
        (Some(_), Some(popped)) => bulks(popped),
        (None, popped) => popped.and_then(|popped| popped.into_iter().next()).map_or(Reply::Nil, bulk),
    })
}

pub fn llen(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.read(|reading| Ok(integer(list::len(reading, &args[1])?)))
}

pub fn lindex(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let index = parse_integer(&args[2])?;
    context.read(|reading| Ok(list::get(reading, &args[1], index)?.map_or(Reply::Nil, bulk)))
}

pub fn lset(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let index = parse_integer(&args[2])?;
    context.write(|writing| Ok(list::set(writing, &args[1], index, &args[3]).map(|()| ok())?))
}

pub fn lrange(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let (start, stop) = (parse_integer(&args[2])?, parse_integer(&args[3])?);
    context.view(|reading| {
        let mut gathered = Gathered::default();
        if let Some(mut elements) = list::range(reading, &args[1], start, stop, false)? {
            while let Some((_, element)) = elements.next()? {
                gathered.push(element)?;
            }
        }
        Ok(gathered.array())
    })
}

pub fn ltrim(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let (start, stop) = (parse_integer(&args[2])?, parse_integer(&args[3])?);
    context.write(|writing| Ok(list::trim(writing, &args[1], start, stop).map(|()| ok())?))
}

pub fn linsert(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let before = match &args[2] {
        word if is(word, "before") => true,
        word if is(word, "after") => false,
        _ => return Err(Refusal::syntax()),
    };
    let length = context.write(|writing| Ok(list::insert(writing, &args[1], before, &args[3], &args[4])?))?;
    Ok(length.map_or(Reply::Integer(-1), integer))
}

pub fn lrem(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let count = parse_integer(&args[2])?;
    context.write(|writing| Ok(integer(list::remove(writing, &args[1], count, &args[3])?)))
}

pub fn lpos(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let mut search = Search { rank: 1, count: 1, most: 0 };
    let mut all = false;
    for option in args[3..].chunks(2) {
        let [name, number] = option else { return Err(Refusal::syntax()) };
        let count = |what: &str| {
            let number = u64::try_from(parse_integer(number)?).ok();
            number.ok_or_else(|| error(format_args!("{what} can't be negative")))
        };
        if is(name, "rank") {
            search.rank = parse_integer(number)?;
            if search.rank == 0 {
                return Err(error(
                    "RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start \
                     from the end of the list",
                ));
            }
            if search.rank == i64::MIN {
                return Err(error("value is out of range"));
            }
        } else if is(name, "count") {
            search.count = count("COUNT")?;
            all = true;
        } else if is(name, "maxlen") {
            search.most = count("MAXLEN")?;
        } else {
            return Err(Refusal::syntax());
        }
    }
    let found = context.view(|reading| Ok(list::positions(reading, &args[1], &args[2], search)?))?;
    Ok(match all {
        true => Reply::Array(found.into_iter().map(integer).collect()),
        false => found.first().map_or(Reply::Nil, |&place| integer(place)),
    })
}

/// LMOVE, and RPOPLPUSH, which is one of its forms.
pub fn lmove(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let (take, give) = match args.get(3..).unwrap_or_default() {
        [take, give] => (parse_end(take)?, parse_end(give)?),
        _ => (End::Right, End::Left),
    };
    let moved = context.write(|writing| Ok(list::move_element(writing, &args[1], &args[2], take, give)?))?;
    Ok(moved.map_or(Reply::Nil, bulk))
}

pub fn lmpop(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    if parse_integer(&args[1]).map_or(true, |number| number <= 0) {
        return Err(no_keys());
    }
    let (keys, rest) = split_keys(&args[1..]).ok_or_else(Refusal::syntax)?;
    let (end, count) = match rest {
        [end] => (parse_end(end)?, 1),
        [end, name, count] if is(name, "count") => (parse_end(end)?, parse_pop_count(count)?),
        _ => return Err(Refusal::syntax()),
    };
    context.write(|writing| {
        for key in keys {
            if let Some(popped) = list::pop(writing, key, end, count)? {
                return Ok(Reply::Array(vec![bulk(key.clone()), bulks(popped)]));
            }
        }
        Ok(Reply::NilArray)
    })
}

/// The COUNT of LMPOP and ZMPOP.
pub fn parse_pop_count(count: &[u8]) -> Result<u64, Refusal> {
    let count = parse_integer(count).ok().and_then(|count| u64::try_from(count).ok()).filter(|&count| count > 0);
    count.ok_or_else(|| error("count should be greater than 0"))
}
