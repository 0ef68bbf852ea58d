//! Commands on streams.

use std::sync::Arc;
use std::time::Duration;

use super::{Answer, Attempt, Context, Refusal, Take, Wait, bulk, error, integer, is, ok, parse_count};
use crate::engine::format::metadata::Kind;
use crate::engine::format::resp::Reply;
use crate::engine::format::stream::{StreamId, number};
use crate::engine::types::reading::{Budget, Reading};
use crate::engine::types::stream::{self, Keep, NewId, Stream, StreamEntry, Trim};
use crate::engine::types::writing::Writing;

pub fn parse_id(bytes: &[u8]) -> Result<StreamId, Refusal> {
    parse_id_with(bytes, 0)
}

/// Reads an id whose number may be missing.
fn parse_id_with(bytes: &[u8], seq: u64) -> Result<StreamId, Refusal> {
    StreamId::parse(bytes, seq).ok_or_else(|| error("Invalid stream ID specified as stream command argument"))
}

pub fn id(id: StreamId) -> Reply {
    bulk(id.to_string())
}

pub fn entry(entry: StreamEntry) -> Reply {
    let values = entry.values.into_iter().map(bulk).collect();
    Reply::Array(vec![id(entry.id), Reply::Array(values)])
}

pub fn entries(entries: Vec<StreamEntry>) -> Reply {
    Reply::Array(entries.into_iter().map(entry).collect())
}

fn parse_new_id(bytes: &[u8]) -> Result<NewId, Refusal> {
    if bytes == b"*" {
        return Ok(NewId::Auto);
    }
    let invalid = || error("Invalid stream ID specified as stream command argument");
    if let Some(ms) = bytes.strip_suffix(b"-*") {
        return number(ms).map(NewId::AutoSeq).ok_or_else(invalid);
    }
    if let Some(seq) = bytes.strip_prefix(b"*-") {
        return number(seq).map(NewId::AutoMs).ok_or_else(invalid);
    }
    parse_id(bytes).map(NewId::Exact)
}

/// How a stream is cut, where that is said, and the arguments behind it.
type Parsed<'a> = Option<(Trim, &'a [Vec<u8>])>;

/// Reads `MAXLEN|MINID [=|~] threshold [LIMIT count]`; `None` when no such thing stands there.
fn parse_trim(args: &[Vec<u8>]) -> Result<Parsed<'_>, Refusal> {
    let Some((strategy, mut rest)) = args.split_first() else { return Ok(None) };
    if !is(strategy, "maxlen") && !is(strategy, "minid") {
        return Ok(None);
    }
    // What may be kept with ~ need not be: it is trimmed as exactly.
    let mut about = false;
    if let Some((sign, after)) = rest.split_first()
        && (sign == b"=" || sign == b"~")
    {
        about = sign == b"~";
        rest = after;
    }
    let (threshold, mut rest) = rest.split_first().ok_or_else(Refusal::syntax)?;
    let keep = if is(strategy, "maxlen") {
        Keep::Newest(number(threshold).ok_or_else(|| error("value is not an integer or out of range"))?)
    } else {
        Keep::From(parse_id(threshold)?)
    };
    let mut limit = None;
    if let Some((word, after)) = rest.split_first()
        && is(word, "limit")
    {
        let (count, after) = after.split_first().ok_or_else(Refusal::syntax)?;
        if !about {
            return Err(error("syntax error, LIMIT cannot be used without the special ~ option"));
        }
        // A limit of 0 is none.
        limit = Some(parse_count(count)?).filter(|&count| count > 0);
        rest = after;
    }
    Ok(Some((Trim { keep, limit }, rest)))
}

pub fn xadd(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let (mut make, mut trim) = (true, None);
    let mut rest = &args[2..];
    loop {
        if let Some((word, after)) = rest.split_first()
            && is(word, "nomkstream")
        {
            make = false;
            rest = after;
        } else if let Some((found, after)) = parse_trim(rest)? {
            trim = Some(found);
            rest = after;
        } else {
            break;
        }
    }
    let (new, values) = rest.split_first().ok_or_else(Refusal::arity)?;
    let new = parse_new_id(new)?;
    if new == NewId::Exact(StreamId::MIN) {
        return Err(error("The ID specified in XADD must be greater than 0-0"));
    }
    if values.is_empty() || !values.len().is_multiple_of(2) {
        return Err(Refusal::arity());
    }
    let added = context.write(|writing| Ok(stream::add(writing, &args[1], new, values, trim, make)?))?;
    Ok(added.map_or(Reply::Nil, id))
}

fn parse_ids(args: &[Vec<u8>]) -> Result<Vec<StreamId>, Refusal> {
    args.iter().map(|arg| parse_id(arg)).collect()
}

pub fn xdel(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let ids = parse_ids(&args[2..])?;
    context.write(|writing| Ok(integer(stream::delete(writing, &args[1], &ids)?)))
}

/// XLEN, and Kvrocks' form with an id: how many entries are behind it, or with `-` before it.
pub fn xlen(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let from = args.get(2).map(|from| parse_id(from)).transpose()?;
    let before = match args.get(3).map(Vec::as_slice) {
        None | Some(b"+") => false,
        Some(b"-") => true,
        Some(_) => return Err(Refusal::syntax()),
    };
    context.view(|reading| {
        let Some(stream) = Stream::find(reading, &args[1])? else { return Ok(integer(0)) };
        Ok(integer(match from {
            Some(from) => stream.count_beyond(reading, from, before)?,
            None => stream.metadata.size,
        }))
    })
}

/// One end of a range: the first id inside of it. `lower` for the end from which on ids come.
pub fn bound(bytes: &[u8], lower: bool) -> Result<StreamId, Refusal> {
    match bytes {
        b"-" => return Ok(StreamId::MIN),
        b"+" => return Ok(StreamId::MAX),
        _ => {}
    }
    let seq = if lower { 0 } else { u64::MAX };
    let Some(exclusive) = bytes.strip_prefix(b"(") else { return parse_id_with(bytes, seq) };
    let id = parse_id_with(exclusive, seq)?;
    let inside = if lower { id.next() } else { id.previous() };
    let which = if lower { "start" } else { "end" };
    inside.ok_or_else(|| error(format_args!("invalid {which} ID for the interval")))
}

/// XRANGE and XREVRANGE.
pub fn xrange(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let reverse = is(&args[0], "xrevrange");
    if args.len() < 4 {
        return Err(Refusal::arity());
    }
    let (from, to) = if reverse { (&args[3], &args[2]) } else { (&args[2], &args[3]) };
    let (from, to) = (bound(from, true)?, bound(to, false)?);
    let limit = match args.get(4..).unwrap_or_default() {
        [] => u64::MAX,
        [word, count] if is(word, "count") => {
            number(count).ok_or_else(|| error("value is not an integer or out of range"))?
        }
        _ => return Err(Refusal::syntax()),
    };
    if limit == 0 {
        return Ok(Reply::Nil);
    }
    context.view(|reading| {
        let Some(stream) = Stream::find(reading, &args[1])? else { return Ok(entries(Vec::new())) };
        Ok(entries(stream.range(reading, from, to, reverse, limit, &mut Budget::default())?))
    })
}

pub fn xtrim(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let Some((trim, [])) = parse_trim(&args[2..])? else { return Err(Refusal::syntax()) };
    context.write(|writing| Ok(integer(stream::trim(writing, &args[1], trim)?)))
}

pub fn xsetid(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let last = parse_id(&args[2])?;
    let (mut added, mut deleted) = (None, None);
    for option in args[3..].chunks(2) {
        match option {
            [word, count] if is(word, "entriesadded") => {
                added = Some(number(count).ok_or_else(|| error("value is not an integer or out of range"))?);
            }
            [word, id] if is(word, "maxdeletedid") => deleted = Some(parse_id(id)?),
            _ => return Err(Refusal::syntax()),
        }
    }
    context.write(|writing| {
        stream::set_id(writing, &args[1], last, added, deleted)?;
        Ok(ok())
    })
}

/// What XREAD and XREADGROUP are asked for behind their own words.
pub struct Asked<'a> {
    pub limit: u64,
    pub no_ack: bool,
    /// How long to wait for something new; `None` within for ever.
    pub block: Option<Option<Duration>>,
    /// Each stream with the id behind which it is read.
    pub streams: Vec<(&'a [u8], &'a [u8])>,
}

/// Reads `[COUNT n] [BLOCK ms] [NOACK] STREAMS key … id …`.
pub fn parse_read(mut args: &[Vec<u8>], in_group: bool) -> Result<Asked<'_>, Refusal> {
    let (mut limit, mut no_ack, mut block) = (u64::MAX, false, None);
    while let Some((word, rest)) = args.split_first() {
        args = rest;
        let number = || {
            let first = rest.first().ok_or_else(Refusal::syntax)?;
            super::parse_integer(first)
        };
        if is(word, "streams") {
            let unbalanced = "Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified.";
            if rest.is_empty() || !rest.len().is_multiple_of(2) {
                return Err(error(unbalanced));
            }
            let (keys, ids) = rest.split_at(rest.len() / 2);
            let streams = keys.iter().zip(ids).map(|(key, id)| (key.as_slice(), id.as_slice())).collect();
            return Ok(Asked { limit, no_ack, block, streams });
        } else if is(word, "count") {
            // Nothing, or less, means all.
            limit = u64::try_from(number()?).ok().filter(|&count| count > 0).unwrap_or(u64::MAX);
            args = rest.get(1..).unwrap_or_default();
        } else if is(word, "block") {
            let timeout = u64::try_from(number()?).map_err(|_| error("timeout is negative"))?;
            block = Some((timeout > 0).then(|| Duration::from_millis(timeout)));
            args = rest.get(1..).unwrap_or_default();
        } else if in_group && is(word, "noack") {
            no_ack = true;
        } else {
            return Err(Refusal::syntax());
        }
    }
    Err(Refusal::syntax())
}

/// What was read of each stream, behind its key, where there was something.
fn read_answer(found: Vec<Reply>) -> Reply {
    if found.is_empty() { Reply::NilArray } else { Reply::Keyed(found) }
}

/// The answer, or, when nothing was found and it may wait, what it waits for: to `read` what is new in any of its streams.
pub fn read_or_wait(
    asked: &Asked<'_>,
    found: Vec<Reply>,
    writes: bool,
    read: impl Fn(&mut Writing<'_>) -> Result<Vec<Reply>, Refusal> + Send + Sync + 'static,
) -> Attempt {
    match asked.block {
        Some(timeout) if found.is_empty() => {
            let keys = asked.streams.iter().map(|(key, _)| key.to_vec()).collect();
            let take: Take = Arc::new(move |writing, _| {
                let found = read(writing)?;
                Ok((!found.is_empty()).then(|| read_answer(found)))
            });
            Attempt::Wait(Wait { keys, kind: Kind::STREAM, take, writes, timeout, late: Reply::NilArray })
        }
        _ => Attempt::Done(read_answer(found)),
    }
}

pub fn xread(context: &Context<'_>, args: &[Vec<u8>]) -> Result<Attempt, Refusal> {
    let asked = parse_read(&args[1..], false)?;
    let mut behind = Vec::with_capacity(asked.streams.len());
    for (_, id) in &asked.streams {
        behind.push(if *id == b"$" { None } else { Some(parse_id(id)?) });
    }
    let limit = asked.limit;
    let (found, streams) = context.view(|reading| {
        // What is new is so from the first look on.
        let mut streams = Vec::with_capacity(behind.len());
        for ((key, _), behind) in asked.streams.iter().zip(behind) {
            let last = match behind {
                Some(behind) => behind,
                None => Stream::find(reading, key)?.map_or(StreamId::MIN, |stream| stream.state.last_generated),
            };
            streams.push((key.to_vec(), last));
        }
        Ok((read_behind(reading, &streams, limit)?, streams))
    })?;
    Ok(read_or_wait(&asked, found, false, move |writing| read_behind(&writing.reading(), &streams, limit)))
}

/// What there is of each stream behind an id.
fn read_behind(reading: &Reading<'_>, streams: &[(Vec<u8>, StreamId)], limit: u64) -> Result<Vec<Reply>, Refusal> {
    let (mut found, mut budget) = (Vec::new(), Budget::default());
    for (key, behind) in streams {
        let Some(stream) = Stream::find(reading, key)? else { continue };
        let Some(from) = behind.next() else { continue };
        let new = stream.range(reading, from, StreamId::MAX, false, limit, &mut budget)?;
        if !new.is_empty() {
            found.extend([bulk(key.as_slice()), entries(new)]);
        }
    }
    Ok(found)
}
