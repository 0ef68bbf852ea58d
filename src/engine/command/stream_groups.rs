//! Commands on the groups of streams.

use std::collections::BTreeMap;

use super::streams::{bound, entries, entry, id, parse_id, parse_read, read_or_wait};
use super::transaction::cost;
use super::{Answer, Attempt, Context, Refusal, bulk, bulks, error, integer, is, map, ok, parse_count, parse_integer};
use crate::engine::clock::now_ms;
use crate::engine::error::Error;
use crate::engine::format::resp::Reply;
use crate::engine::format::stream::{StreamId, number};
use crate::engine::types::reading::{Budget, Reading};
use crate::engine::types::stream::Stream;
use crate::engine::types::stream_group::{self as group, Claim, Created};
use crate::engine::types::writing::Writing;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn no_group(key: &[u8], name: &[u8]) -> Refusal {
    Refusal::Text(format!("NOGROUP No such key '{}' or consumer group '{}'", text(key), text(name)))
}

fn no_key() -> Refusal {
    error(concat!(
        "The XGROUP subcommand requires the key to exist. ",
        "Note that for CREATE you may want to use the MKSTREAM option to create an empty stream automatically."
    ))
}

/// From where a group reads: an id, or with `$` the end.
fn parse_from(bytes: &[u8]) -> Result<Option<StreamId>, Refusal> {
    if bytes == b"$" { Ok(None) } else { bound(bytes, true).map(Some) }
}

fn parse_entries_read(bytes: &[u8]) -> Result<i64, Refusal> {
    match parse_integer(bytes)? {
        read if read >= -1 => Ok(read),
        _ => Err(error("value for ENTRIESREAD must be positive or -1")),
    }
}

pub fn xgroup(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let (subcommand, key, name) = (&args[1], &args[2], &args[3]);
    let rest = &args[4..];
    let missing = |context: &Context<'_>| -> Refusal {
        match context.read(|reading| Ok(reading.metadata(key)?)) {
            Ok(Some(_)) => {
                let text = format!("NOGROUP No such consumer group '{}' for key name '{}'", text(name), text(key));
                Refusal::Text(text)
            }
            Ok(None) => no_key(),
            Err(refusal) => refusal,
        }
    };
    if is(subcommand, "create") || is(subcommand, "setid") {
        let (from, mut options) = rest.split_first().ok_or_else(Refusal::arity)?;
        let from = parse_from(from)?;
        let (mut make, mut entries_read) = (false, -1);
        while let Some((option, after)) = options.split_first() {
            options = after;
            if is(option, "mkstream") && is(subcommand, "create") {
                make = true;
            } else if is(option, "entriesread") {
                let (read, after) = after.split_first().ok_or_else(Refusal::syntax)?;
                entries_read = parse_entries_read(read)?;
                options = after;
            } else {
                return Err(Refusal::syntax());
            }
        }
        if is(subcommand, "setid") {
            let set = context.write(|writing| Ok(group::set_id(writing, key, name, from, entries_read)?))?;
            return set.map(|()| ok()).ok_or_else(|| missing(context));
        }
        let created = context.write(|writing| Ok(group::create(writing, key, name, from, entries_read, make)?))?;
        return match created {
            Created::Done => Ok(ok()),
            Created::NoStream => Err(no_key()),
            Created::Exists => Err(Refusal::Text("BUSYGROUP Consumer Group name already exists".into())),
        };
    }
    if is(subcommand, "destroy") && rest.is_empty() {
        let destroyed = context.write(|writing| Ok(group::destroy(writing, key, name)?))?;
        return destroyed.map(|destroyed| integer(destroyed.into())).ok_or_else(no_key);
    }
    if let [consumer] = rest {
        if is(subcommand, "createconsumer") {
            let made = context.write(|writing| Ok(group::create_consumer(writing, key, name, consumer)?))?;
            return made.map(|made| integer(made.into())).ok_or_else(|| missing(context));
        }
        if is(subcommand, "delconsumer") {
            let pending = context.write(|writing| Ok(group::delete_consumer(writing, key, name, consumer)?))?;
            return pending.map(integer).ok_or_else(|| missing(context));
        }
    }
    let known = ["destroy", "createconsumer", "delconsumer"];
    Err(if known.iter().any(|known| is(subcommand, known)) { Refusal::arity() } else { error("unknown subcommand") })
}

pub fn xreadgroup(context: &Context<'_>, args: &[Vec<u8>]) -> Result<Attempt, Refusal> {
    let [word, name, consumer, rest @ ..] = &args[1..] else { return Err(Refusal::arity()) };
    if !is(word, "group") {
        return Err(Refusal::syntax());
    }
    let asked = parse_read(rest, true)?;
    let mut behind = Vec::with_capacity(asked.streams.len());
    for (_, id) in &asked.streams {
        behind.push(if *id == b">" { None } else { Some(parse_id(id)?) });
    }
    let streams: Vec<(Vec<u8>, Option<StreamId>)> =
        asked.streams.iter().zip(behind).map(|((key, _), behind)| (key.to_vec(), behind)).collect();
    let (name, consumer, limit, no_ack) = (name.clone(), consumer.clone(), asked.limit, asked.no_ack);
    let read = move |writing: &mut Writing<'_>| -> Result<Vec<Reply>, Refusal> {
        let (name, consumer) = (&name, &consumer);
        let (mut found, mut budget) = (Vec::new(), Budget::default());
        for (key, behind) in &streams {
            let missing = || {
                let (key, name) = (text(key), text(name));
                let what =
                    format!("NOGROUP No such key '{key}' or consumer group '{name}' in XREADGROUP with GROUP option");
                Refusal::Text(what)
            };
            let answer = match behind {
                None => {
                    let new = group::read_new(writing, key, name, consumer, limit, no_ack, &mut budget)?;
                    let new = new.ok_or_else(missing)?;
                    if new.is_empty() {
                        continue;
                    }
                    entries(new)
                }
                Some(behind) => {
                    let pending = group::read_pending(writing, key, name, consumer, *behind, limit, &mut budget)?;
                    let one = |(of, found): (StreamId, Option<_>)| match found {
                        Some(found) => entry(found),
                        None => Reply::Array(vec![id(of), Reply::NilArray]),
                    };
                    Reply::Array(pending.ok_or_else(missing)?.into_iter().map(one).collect())
                }
            };
            found.extend([bulk(key.as_slice()), answer]);
        }
        Ok(found)
    };
    let found = context.write(&read)?;
    Ok(read_or_wait(&asked, found, true, read))
}

pub fn xack(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let ids: Result<Vec<StreamId>, Refusal> = args[3..].iter().map(|id| parse_id(id)).collect();
    let ids = ids?;
    context.write(|writing| Ok(integer(group::acknowledge(writing, &args[1], &args[2], &ids)?)))
}

/// A number of milliseconds, or of deliveries, of XCLAIM.
fn parse_claimed(option: &str, bytes: Option<&Vec<u8>>) -> Result<u64, Refusal> {
    let value = parse_integer(bytes.ok_or_else(Refusal::syntax)?)?;
    u64::try_from(value).map_err(|_| error(format_args!("{option} for XCLAIM must be non-negative")))
}

pub fn xclaim(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let [key, name, consumer, idle, rest @ ..] = &args[1..] else { return Err(Refusal::arity()) };
    let min_idle_ms = u64::try_from(parse_integer(idle)?).unwrap_or(0);
    let mut how = Claim { min_idle_ms, ..Claim::default() };
    let words = ["idle", "time", "retrycount", "force", "justid", "lastid"];
    let options = rest.iter().position(|arg| words.iter().any(|word| is(arg, word))).unwrap_or(rest.len());
    let (ids, options) = rest.split_at(options);
    let ids: Result<Vec<StreamId>, Refusal> = ids.iter().map(|id| parse_id(id)).collect();
    let ids = ids?;
    let mut options = options.iter();
    while let Some(option) = options.next() {
        if is(option, "idle") {
            how.delivered_ms = Some(now_ms().saturating_sub(parse_claimed("IDLE", options.next())?));
        } else if is(option, "time") {
            how.delivered_ms = Some(parse_claimed("TIME", options.next())?);
        } else if is(option, "retrycount") {
            how.deliveries = Some(parse_claimed("RETRYCOUNT", options.next())?);
        } else if is(option, "force") {
            how.force = true;
        } else if is(option, "justid") {
            how.just_id = true;
        } else if is(option, "lastid") {
            how.last_id = Some(parse_id(options.next().ok_or_else(Refusal::syntax)?)?);
        } else {
            return Err(Refusal::syntax());
        }
    }
    let claimed = context.write(|writing| Ok(group::claim(writing, key, name, consumer, &ids, &how)?))?;
    let claimed = claimed.ok_or_else(|| no_group(key, name))?;
    Ok(if how.just_id { bulks(claimed.into_iter().map(|entry| entry.id.to_string())) } else { entries(claimed) })
}

pub fn xautoclaim(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let [key, name, consumer, idle, start, options @ ..] = &args[1..] else { return Err(Refusal::arity()) };
    let min_idle_ms = number(idle).ok_or_else(|| error("Invalid min-idle-time argument for XAUTOCLAIM"))?;
    let from = bound(start, true)?;
    let mut how = Claim { min_idle_ms, ..Claim::default() };
    let mut count = 100;
    let mut options = options.iter();
    while let Some(option) = options.next() {
        if is(option, "count") {
            count = parse_integer(options.next().ok_or_else(Refusal::syntax)?)?;
        } else if is(option, "justid") {
            how.just_id = true;
        } else {
            return Err(Refusal::syntax());
        }
    }
    let count = u64::try_from(count).ok().filter(|&count| count > 0).ok_or_else(|| error("COUNT must be > 0"))?;
    let claimed = context.write(|writing| Ok(group::auto_claim(writing, key, name, consumer, from, count, &how)?))?;
    let claimed = claimed.ok_or_else(|| no_group(key, name))?;
    let taken = match how.just_id {
        true => bulks(claimed.entries.into_iter().map(|entry| entry.id.to_string())),
        false => entries(claimed.entries),
    };
    let deleted = bulks(claimed.deleted.into_iter().map(|id| id.to_string()));
    Ok(Reply::Array(vec![id(claimed.next.unwrap_or_default()), taken, deleted]))
}

pub fn xpending(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let (key, name) = (&args[1], &args[2]);
    let missing = || no_group(key, name);
    let mut rest = &args[3..];
    if rest.is_empty() {
        let summary = context.view(|reading| summary_rows(reading, key, name, Rows::default()))?;
        return summary.ok_or_else(missing);
    }
    let mut min_idle_ms = 0;
    if let [word, idle, after @ ..] = rest
        && is(word, "idle")
    {
        min_idle_ms = parse_count(idle)?;
        rest = after;
    }
    let (from, to, count, consumer) = match rest {
        [from, to, count] => (from, to, count, None),
        [from, to, count, consumer] => (from, to, count, Some(consumer.as_slice())),
        _ => return Err(Refusal::syntax()),
    };
    let (from, to) = (bound(from, true)?, bound(to, false)?);
    let limit = u64::try_from(parse_integer(count)?).unwrap_or(0);
    let found = context
        .view(|reading| Ok(group::pending_entries(reading, key, name, from, to, limit, consumer, min_idle_ms)?))?;
    let now = now_ms();
    let one = |(of, pending): (StreamId, crate::engine::format::stream::Pending)| {
        let idle = now.saturating_sub(pending.delivered_ms);
        Reply::Array(vec![id(of), bulk(pending.consumer), integer(idle), integer(pending.deliveries)])
    };
    Ok(Reply::Array(found.ok_or_else(missing)?.into_iter().map(one).collect()))
}

/// The parts of a reply, refused together when they take too much memory.
#[derive(Default)]
struct Rows {
    rows: Vec<Reply>,
    budget: Budget,
}

impl Rows {
    fn push(&mut self, row: Reply) -> Result<(), Error> {
        self.budget.take(cost(&row))?;
        self.rows.push(row);
        Ok(())
    }
}

/// What is pending in a group, in short; `None` when there is no such group.
fn summary_rows(reading: &Reading<'_>, key: &[u8], name: &[u8], mut rows: Rows) -> Result<Option<Reply>, Refusal> {
    let Some(summary) = group::pending_summary(reading, key, name, &mut rows.budget)? else { return Ok(None) };
    if summary.count == 0 {
        return Ok(Some(Reply::Array(vec![integer(0), Reply::Nil, Reply::Nil, Reply::NilArray])));
    }
    for (consumer, count) in summary.consumers {
        rows.push(Reply::Array(vec![bulk(consumer), bulk(count.to_string())]))?;
    }
    let consumers = Reply::Array(rows.rows);
    Ok(Some(Reply::Array(vec![integer(summary.count), id(summary.first), id(summary.last), consumers])))
}

fn group_rows(reading: &Reading<'_>, stream: &Stream, mut rows: Rows) -> Answer {
    group::groups(reading, stream, |name, found| {
        let lag = group::lag(stream, &found);
        let read = u64::try_from(found.entries_read).map_or(Reply::Nil, integer);
        rows.push(map([
            ("name", bulk(name)),
            ("consumers", integer(found.consumers)),
            ("pending", integer(found.pending)),
            ("last-delivered-id", id(found.last_delivered)),
            ("entries-read", read),
            ("lag", lag.map_or(Reply::Nil, integer)),
        ]))
    })?;
    Ok(Reply::Array(rows.rows))
}

fn consumer_rows(reading: &Reading<'_>, stream: &Stream, name: &[u8], mut rows: Rows) -> Answer {
    let now = now_ms();
    group::consumers(reading, stream, name, |name, found| {
        rows.push(map([
            ("name", bulk(name)),
            ("pending", integer(found.pending)),
            ("idle", integer(now.saturating_sub(found.attempted_ms))),
            ("inactive", integer(now.saturating_sub(found.succeeded_ms))),
        ]))
    })?;
    Ok(Reply::Array(rows.rows))
}

/// The groups with what is pending in each of them and for each consumer, the first `limit` entries.
fn full_groups(reading: &Reading<'_>, stream: &Stream, limit: u64, budget: &mut Budget) -> Answer {
    let mut keep = |rows: &mut Vec<Reply>, row: Reply| {
        budget.take(cost(&row))?;
        rows.push(row);
        Ok::<_, Error>(())
    };
    let is_short = |rows: &[Reply]| (rows.len() as u64) < limit;
    let mut rows = Vec::new();
    group::groups(reading, stream, |name, found| {
        let (mut pending, mut pending_for, mut consumers) = (Vec::new(), BTreeMap::<_, Vec<Reply>>::new(), Vec::new());
        group::pending_from(reading, stream, &name, StreamId::MIN, StreamId::MAX, |of, entry| {
            let how = || [integer(entry.delivered_ms), integer(entry.deliveries)];
            let [time, count] = how();
            if is_short(&pending) {
                keep(&mut pending, Reply::Array(vec![id(of), bulk(&*entry.consumer), time, count]))?;
            }
            let [time, count] = how();
            let row = Reply::Array(vec![id(of), time, count]);
            match pending_for.get_mut(&entry.consumer) {
                Some(rows) if is_short(rows) => keep(rows, row)?,
                Some(_) => {}
                None => {
                    let mut rows = Vec::new();
                    // With its name, which is in memory once for each consumer.
                    keep(&mut rows, Reply::Array(vec![bulk(&*entry.consumer), row.clone()]))?;
                    pending_for.insert(entry.consumer, vec![row]);
                }
            }
            Ok(true)
        })?;
        group::consumers(reading, stream, &name, |name, found| {
            let pending = pending_for.remove(&name).unwrap_or_default();
            let row = map([
                ("name", bulk(name)),
                ("seen-time", integer(found.attempted_ms)),
                ("active-time", integer(found.succeeded_ms)),
                ("pel-count", integer(found.pending)),
                ("pending", Reply::Array(pending)),
            ]);
            keep(&mut consumers, row)
        })?;
        let row = map([
            ("name", bulk(name)),
            ("last-delivered-id", id(found.last_delivered)),
            ("entries-read", u64::try_from(found.entries_read).map_or(Reply::Nil, integer)),
            ("lag", group::lag(stream, &found).map_or(Reply::Nil, integer)),
            ("pel-count", integer(found.pending)),
            ("pending", Reply::Array(pending)),
            ("consumers", Reply::Array(consumers)),
        ]);
        keep(&mut rows, row)
    })?;
    Ok(Reply::Array(rows))
}

fn edge(reading: &Reading<'_>, stream: &Stream, of: StreamId) -> Answer {
    if stream.metadata.size == 0 {
        return Ok(Reply::Nil);
    }
    Ok(stream.entry(reading, of)?.map_or(Reply::Nil, entry))
}

pub fn xinfo(context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let wrong = || error("unknown subcommand or wrong number of arguments");
    let (subcommand, key) = (&args[1], args.get(2).ok_or_else(wrong)?);
    context.view(|reading| {
        let stream = || Stream::find(reading, key)?.ok_or_else(|| error("no such key"));
        match &args[3..] {
            options if is(subcommand, "stream") => {
                let count = match options {
                    [] => None,
                    [full] if is(full, "full") => Some(10),
                    [full, word, count] if is(full, "full") && is(word, "count") => Some(parse_count(count)?),
                    _ => return Err(Refusal::syntax()),
                };
                let stream = stream()?;
                let state = &stream.state;
                let common = [
                    ("length", integer(stream.metadata.size)),
                    ("last-generated-id", id(state.last_generated)),
                    ("max-deleted-entry-id", id(state.max_deleted)),
                    ("entries-added", integer(state.entries_added)),
                    ("recorded-first-entry-id", id(state.recorded_first)),
                ];
                let mut items: Vec<Reply> = common.into_iter().flat_map(|(name, value)| [bulk(name), value]).collect();
                match count {
                    None => {
                        items.extend([bulk("first-entry"), edge(reading, &stream, state.first)?]);
                        items.extend([bulk("last-entry"), edge(reading, &stream, state.last)?]);
                    }
                    Some(count) => {
                        // A count of 0 is all.
                        let limit = if count == 0 { u64::MAX } else { count };
                        let mut budget = Budget::default();
                        let found = stream.range(reading, StreamId::MIN, StreamId::MAX, false, limit, &mut budget)?;
                        items.extend([bulk("entries"), entries(found)]);
                        items.extend([bulk("groups"), full_groups(reading, &stream, limit, &mut budget)?]);
                    }
                }
                Ok(Reply::Map(items))
            }
            [] if is(subcommand, "groups") => group_rows(reading, &stream()?, Rows::default()),
            [name] if is(subcommand, "consumers") => {
                let stream = stream()?;
                if group::find(reading, &stream, name)?.is_none() {
                    let what = format!("NOGROUP No such consumer group '{}' for key name '{}'", text(name), text(key));
                    return Err(Refusal::Text(what));
                }
                consumer_rows(reading, &stream, name, Rows::default())
            }
            _ => Err(wrong()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::engine::Engine;
    use crate::engine::options::Options;

    /// Names of groups and consumers are counted with all that a reply says of each, and refused together when that is too
    /// much, though each of them is short.
    #[test]
    fn many_groups_and_consumers() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path(), &Options::default()).unwrap();
        let namespace = engine.default_namespace();
        let run = |line: &str| namespace.execute(&line.split(' ').collect::<Vec<_>>()).unwrap();
        run("XADD s 1-1 f v");
        for n in 0..100 {
            run(&format!("XGROUP CREATE s group{n} 0"));
            run(&format!("XADD s 2-{n} f v"));
            run(&format!("XREADGROUP GROUP group0 consumer{n} COUNT 1 STREAMS s >"));
        }
        // Without an end they take some 51, 35 and 20 KB.
        for (most, groups, consumers, summary) in
            [(200_000, true, true, true), (45_000, false, true, true), (4_000, false, false, false)]
        {
            let rows = || Rows { rows: Vec::new(), budget: Budget::of(most) };
            let answers = namespace.view(|reading| {
                let stream = Stream::find(reading, b"s")?.unwrap();
                let summary = summary_rows(reading, b"s", b"group0", rows()).map(Option::unwrap);
                Ok::<_, Error>([
                    group_rows(reading, &stream, rows()),
                    consumer_rows(reading, &stream, b"group0", rows()),
                    summary,
                ])
            });
            for (answer, fits) in answers.unwrap().into_iter().zip([groups, consumers, summary]) {
                match answer {
                    Ok(reply) => assert!(fits && cost(&reply) <= most, "{most}: {}", cost(&reply)),
                    Err(refusal) => {
                        let error = refusal.into_error();
                        assert!(!fits && error.message().contains("bytes at once"), "{most}: {error}");
                    }
                }
            }
        }
    }
}
