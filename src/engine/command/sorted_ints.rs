//! Commands on sorted ints.

use super::{Answer, Context, Refusal, bulks, error, integer, is, parse_integer};
use crate::engine::format::resp::Reply;
use crate::engine::format::stream::number;
use crate::engine::types::sorted_int;

fn parse_id(bytes: &[u8]) -> Result<u64, Refusal> {
    number(bytes).ok_or_else(|| error("value is not an integer or out of range"))
}

fn parse_ids(args: &[Vec<u8>]) -> Result<Vec<u64>, Refusal> {
    args.iter().map(|arg| parse_id(arg)).collect()
}

fn ids(ids: Vec<u64>) -> Reply {
    bulks(ids.into_iter().map(|id| id.to_string()))
}

pub fn siadd(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let ids = parse_ids(&args[2..])?;
    context.write(|writing| Ok(integer(sorted_int::add(writing, &args[1], &ids)?)))
}

pub fn sirem(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let ids = parse_ids(&args[2..])?;
    context.write(|writing| Ok(integer(sorted_int::remove(writing, &args[1], &ids)?)))
}

pub fn sicard(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    context.read(|reading| Ok(integer(sorted_int::len(reading, &args[1])?)))
}

pub fn siexists(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let ids = parse_ids(&args[2..])?;
    let found = context.view(|reading| Ok(sorted_int::contains(reading, &args[1], &ids)?))?;
    let found = found.unwrap_or_else(|| vec![false; ids.len()]);
    Ok(Reply::Array(found.into_iter().map(|found| integer(found.into())).collect()))
}

/// SIRANGE and SIREVRANGE: `offset limit [CURSOR id]`, past the cursor.
pub fn sirange(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let reverse = is(&args[0], "sirevrange");
    let (offset, limit) = (parse_id(&args[2])?, parse_id(&args[3])?);
    let cursor = match args.get(4..).unwrap_or_default() {
        [] => 0,
        [word, cursor] if is(word, "cursor") => parse_id(cursor)?,
        _ => return Err(Refusal::syntax()),
    };
    let range = match (cursor, reverse) {
        (0, _) => Some((0, u64::MAX)),
        (cursor, false) => cursor.checked_add(1).map(|least| (least, u64::MAX)),
        (cursor, true) => cursor.checked_sub(1).map(|most| (0, most)),
    };
    let Some((least, most)) = range else { return Ok(ids(Vec::new())) };
    context.view(|reading| Ok(ids(sorted_int::range(reading, &args[1], least, most, reverse, offset, limit)?)))
}

/// One end of a range of values: the first value inside of it, or none.
fn bound(bytes: &[u8], lower: bool) -> Result<Option<u64>, Refusal> {
    match (bytes, lower) {
        (b"-inf", true) => return Ok(Some(0)),
        (b"+inf", false) => return Ok(Some(u64::MAX)),
        (b"+inf", true) | (b"-inf", false) => return Err(error("min > max")),
        _ => {}
    }
    let name = if lower { "min" } else { "max" };
    let parse = |text| number(text).ok_or_else(|| error(format_args!("the {name} isn't integer")));
    match bytes.strip_prefix(b"(") {
        None => parse(bytes).map(Some),
        Some(text) if lower => Ok(parse(text)?.checked_add(1)),
        Some(text) => Ok(parse(text)?.checked_sub(1)),
    }
}

/// SIRANGEBYVALUE and SIREVRANGEBYVALUE.
pub fn sirangebyvalue(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let reverse = is(&args[0], "sirevrangebyvalue");
    let (min, max) = if reverse { (&args[3], &args[2]) } else { (&args[2], &args[3]) };
    let (min, max) = (bound(min, true)?, bound(max, false)?);
    let (offset, count) = match args.get(4..).unwrap_or_default() {
        [] => (0, u64::MAX),
        [word, offset, count] if is(word, "limit") => {
            let (offset, count) = (parse_integer(offset)?, parse_integer(count)?);
            let count = u64::try_from(count).ok().filter(|&count| count > 0);
            (u64::try_from(offset).unwrap_or(0), count.unwrap_or(u64::MAX))
        }
        _ => return Err(Refusal::syntax()),
    };
    let (Some(min), Some(max)) = (min, max) else { return Ok(ids(Vec::new())) };
    if min > max {
        return Ok(ids(Vec::new()));
    }
    context.view(|reading| Ok(ids(sorted_int::range(reading, &args[1], min, max, reverse, offset, count)?)))
}
