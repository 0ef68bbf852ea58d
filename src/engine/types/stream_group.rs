//! Groups of consumers of a stream: who was given which entry, and has not acknowledged it.

use std::collections::BTreeMap;

use super::reading::{Budget, Reading};
use super::stream::{Stream, StreamEntry};
use super::writing::Writing;
use crate::engine::clock::now_ms;
use crate::engine::error::{Error, ErrorKind, Result, shown};
use crate::engine::format::batch::STREAM;
use crate::engine::format::key::prefix_end;
use crate::engine::format::metadata::Kind;
use crate::engine::format::stream::{
    Consumer, Group, Pending, StreamId, StreamSub, consumers_prefix, groups_prefix, pending_prefix,
};

/// A group while it is being changed: what is written of it at the end.
struct Work<'k> {
    stream: Stream,
    name: &'k [u8],
    group: Group,
    consumers: BTreeMap<Vec<u8>, Consumer>,
}

/// A group's record.
pub fn find(reading: &Reading<'_>, stream: &Stream, name: &[u8]) -> Result<Option<Group>> {
    let value = reading.get(STREAM, &stream.full(&StreamSub::Group(name.to_vec())))?;
    value.map(|value| Group::decode(&value)).transpose()
}

impl<'k> Work<'k> {
    fn open(reading: &Reading<'_>, key: &[u8], name: &'k [u8]) -> Result<Option<Work<'k>>> {
        let Some(stream) = Stream::find(reading, key)? else { return Ok(None) };
        let group = find(reading, &stream, name)?;
        Ok(group.map(|group| Work { stream, name, group, consumers: BTreeMap::new() }))
    }

    fn consumer_key(&self, consumer: &[u8]) -> Vec<u8> {
        self.stream.full(&StreamSub::Consumer { group: self.name.to_vec(), consumer: consumer.to_vec() })
    }

    fn pending_key(&self, id: StreamId) -> Vec<u8> {
        self.stream.full(&StreamSub::Pending { group: self.name.to_vec(), id })
    }

    /// A consumer's record, `None` where there is none.
    fn consumer(&mut self, reading: &Reading<'_>, name: &[u8]) -> Result<Option<&mut Consumer>> {
        if !self.consumers.contains_key(name) {
            let Some(value) = reading.get(STREAM, &self.consumer_key(name))? else { return Ok(None) };
            self.consumers.insert(name.to_vec(), Consumer::decode(&value)?);
        }
        Ok(self.consumers.get_mut(name))
    }

    /// A consumer's record, made where there is none. Whether it was made.
    fn make_consumer(&mut self, reading: &Reading<'_>, name: &[u8], now: u64) -> Result<bool> {
        if self.consumer(reading, name)?.is_some() {
            return Ok(false);
        }
        self.consumers.insert(name.to_vec(), Consumer { pending: 0, attempted_ms: now, succeeded_ms: now });
        self.group.consumers = self.group.consumers.saturating_add(1);
        Ok(true)
    }

    /// One entry less, or more, is pending for a consumer.
    fn count(&mut self, reading: &Reading<'_>, consumer: &[u8], more: bool) -> Result<()> {
        if let Some(consumer) = self.consumer(reading, consumer)? {
            consumer.pending =
                if more { consumer.pending.saturating_add(1) } else { consumer.pending.saturating_sub(1) };
        }
        Ok(())
    }

    fn pending(&self, reading: &Reading<'_>, id: StreamId) -> Result<Option<Pending>> {
        let value = reading.get(STREAM, &self.pending_key(id))?;
        value.map(|value| Pending::decode(&value)).transpose()
    }

    fn write(self, writing: &mut Writing<'_>) -> Result<()> {
        writing.log_words(Kind::STREAM, &[]);
        for (name, consumer) in &self.consumers {
            writing.put(STREAM, &self.consumer_key(name), &consumer.encode())?;
        }
        let full = self.stream.full(&StreamSub::Group(self.name.to_vec()));
        writing.put(STREAM, &full, &self.group.encode())
    }
}

/// The pending entries of a group from an id on, in order, each with its record.
pub fn pending_from(
    reading: &Reading<'_>,
    stream: &Stream,
    group: &[u8],
    from: StreamId,
    to: StreamId,
    mut see: impl FnMut(StreamId, Pending) -> Result<bool>,
) -> Result<()> {
    let prefix = pending_prefix(group);
    let from = [&prefix[..], &from.encode()].concat();
    let end = match to.next() {
        Some(end) => Some([&prefix[..], &end.encode()].concat()),
        None => prefix_end(&prefix),
    };
    let mut walk = reading.subkeys(STREAM, &stream.prefix, &from, end.as_deref(), false);
    while let Some((sub, value)) = walk.next()? {
        let StreamSub::Pending { id, .. } = StreamSub::decode(sub)? else {
            let message = format!("stream record {}: expected a pending entry", shown(sub));
            return Err(Error::new(ErrorKind::Corruption, message));
        };
        if !see(id, Pending::decode(value)?)? {
            break;
        }
    }
    Ok(())
}

/// What came of a group's creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    Done,
    Exists,
    NoStream,
}

/// Makes a group that has read up to `from`, or with `None` everything that is there.
pub fn create(
    writing: &mut Writing<'_>,
    key: &[u8],
    name: &[u8],
    from: Option<StreamId>,
    entries_read: i64,
    make_stream: bool,
) -> Result<Created> {
    let mut stream = match Stream::find(&writing.reading(), key)? {
        Some(stream) => stream,
        None if make_stream => Stream::create(writing, key),
        None => return Ok(Created::NoStream),
    };
    if find(&writing.reading(), &stream, name)?.is_some() {
        return Ok(Created::Exists);
    }
    let last_delivered = from.unwrap_or(stream.state.last_generated);
    let group = Group { consumers: 0, pending: 0, last_delivered, entries_read, lag: 0 };
    writing.log_words(Kind::STREAM, &[]);
    writing.put(STREAM, &stream.full(&StreamSub::Group(name.to_vec())), &group.encode())?;
    stream.state.groups = stream.state.groups.saturating_add(1);
    stream.store(writing, key)?;
    Ok(Created::Done)
}

/// Removes a group with its consumers and pending entries. `None` when there is no such stream.
pub fn destroy(writing: &mut Writing<'_>, key: &[u8], name: &[u8]) -> Result<Option<bool>> {
    let Some(mut stream) = Stream::find(&writing.reading(), key)? else { return Ok(None) };
    if find(&writing.reading(), &stream, name)?.is_none() {
        return Ok(Some(false));
    }
    writing.log_words(Kind::STREAM, &[]);
    writing.delete(STREAM, &stream.full(&StreamSub::Group(name.to_vec())))?;
    for sub in [consumers_prefix(name), pending_prefix(name)] {
        let begin = [&stream.prefix[..], &sub].concat();
        if let Some(end) = prefix_end(&begin) {
            writing.delete_range(STREAM, &begin, &end)?;
        }
    }
    stream.state.groups = stream.state.groups.saturating_sub(1);
    stream.store(writing, key)?;
    Ok(Some(true))
}

/// Lets a group go on from another place. `None` when there is no such group.
pub fn set_id(
    writing: &mut Writing<'_>,
    key: &[u8],
    name: &[u8],
    from: Option<StreamId>,
    entries_read: i64,
) -> Result<Option<()>> {
    let Some(mut work) = Work::open(&writing.reading(), key, name)? else { return Ok(None) };
    work.group.last_delivered = from.unwrap_or(work.stream.state.last_generated);
    work.group.entries_read = entries_read;
    work.write(writing).map(Some)
}

/// Makes a consumer; whether it is new. `None` when there is no such group.
pub fn create_consumer(writing: &mut Writing<'_>, key: &[u8], name: &[u8], consumer: &[u8]) -> Result<Option<bool>> {
    let reading = writing.reading();
    let Some(mut work) = Work::open(&reading, key, name)? else { return Ok(None) };
    let made = work.make_consumer(&reading, consumer, now_ms())?;
    if made {
        work.write(writing)?;
    }
    Ok(Some(made))
}

/// Removes a consumer with what is pending for it; how many entries that were. `None` when there is no such group.
pub fn delete_consumer(writing: &mut Writing<'_>, key: &[u8], name: &[u8], consumer: &[u8]) -> Result<Option<u64>> {
    let reading = writing.reading();
    let Some(mut work) = Work::open(&reading, key, name)? else { return Ok(None) };
    if work.consumer(&reading, consumer)?.is_none() {
        return Ok(Some(0));
    }
    let mut ids = Vec::new();
    pending_from(&reading, &work.stream, name, StreamId::MIN, StreamId::MAX, |id, pending| {
        if pending.consumer == consumer {
            ids.push(id);
        }
        Ok(true)
    })?;
    for &id in &ids {
        writing.delete(STREAM, &work.pending_key(id))?;
    }
    writing.delete(STREAM, &work.consumer_key(consumer))?;
    work.consumers.remove(consumer);
    work.group.consumers = work.group.consumers.saturating_sub(1);
    work.group.pending = work.group.pending.saturating_sub(ids.len() as u64);
    work.write(writing)?;
    Ok(Some(ids.len() as u64))
}

/// Gives a consumer entries that no consumer of the group has had. `None` when there is no such group. `budget` is that of
/// the whole call, which may read many streams.
pub fn read_new(
    writing: &mut Writing<'_>,
    key: &[u8],
    name: &[u8],
    consumer: &[u8],
    limit: u64,
    acknowledged: bool,
    budget: &mut Budget,
) -> Result<Option<Vec<StreamEntry>>> {
    let reading = writing.reading();
    let Some(mut work) = Work::open(&reading, key, name)? else { return Ok(None) };
    let now = now_ms();
    work.make_consumer(&reading, consumer, now)?;
    let entries = match work.group.last_delivered.next() {
        Some(from) => work.stream.range(&reading, from, StreamId::MAX, false, limit, budget)?,
        None => Vec::new(),
    };
    let mut given = Vec::new();
    for entry in &entries {
        work.group.entries_read = entries_read_after(&work.stream, &work.group, entry.id);
        work.group.last_delivered = entry.id;
        if acknowledged {
            continue;
        }
        // The group may have been set back: then the entry changes hands.
        match work.pending(&reading, entry.id)? {
            Some(former) => work.count(&reading, &former.consumer, false)?,
            None => work.group.pending = work.group.pending.saturating_add(1),
        }
        work.count(&reading, consumer, true)?;
        given.push(entry.id);
    }
    if let Some(record) = work.consumer(&reading, consumer)? {
        record.attempted_ms = now;
        if !entries.is_empty() {
            record.succeeded_ms = now;
        }
    }
    let record = Pending { delivered_ms: now, deliveries: 1, consumer: consumer.to_vec() }.encode();
    for id in given {
        writing.put(STREAM, &work.pending_key(id), &record)?;
    }
    work.write(writing)?;
    Ok(Some(entries))
}

/// Entries by their ids; `None` for those that are deleted.
pub type Deliveries = Vec<(StreamId, Option<StreamEntry>)>;

/// Gives a consumer again what is pending for it, behind an id. The values of what was deleted are `None`. `None` when
/// there is no such group.
pub fn read_pending(
    writing: &mut Writing<'_>,
    key: &[u8],
    name: &[u8],
    consumer: &[u8],
    behind: StreamId,
    limit: u64,
    budget: &mut Budget,
) -> Result<Option<Deliveries>> {
    let reading = writing.reading();
    let Some(mut work) = Work::open(&reading, key, name)? else { return Ok(None) };
    let now = now_ms();
    work.make_consumer(&reading, consumer, now)?;
    let (mut out, mut again) = (Vec::new(), Vec::new());
    if let Some(from) = behind.next().filter(|_| limit > 0) {
        pending_from(&reading, &work.stream, name, from, StreamId::MAX, |id, mut pending| {
            if pending.consumer == consumer {
                let entry = work.stream.entry(&reading, id)?;
                budget.take(size_of::<(StreamId, Pending)>())?;
                if let Some(entry) = &entry {
                    entry.take(budget)?;
                    pending.delivered_ms = now;
                    pending.deliveries = pending.deliveries.saturating_add(1);
                    again.push((id, pending));
                }
                out.push((id, entry));
            }
            Ok((out.len() as u64) < limit)
        })?;
    }
    if let Some(record) = work.consumer(&reading, consumer)? {
        record.attempted_ms = now;
        record.succeeded_ms = now;
    }
    for (id, pending) in again {
        writing.put(STREAM, &work.pending_key(id), &pending.encode())?;
    }
    work.write(writing)?;
    Ok(Some(out))
}

/// Takes entries off what is pending; how many were there.
pub fn acknowledge(writing: &mut Writing<'_>, key: &[u8], name: &[u8], ids: &[StreamId]) -> Result<u64> {
    let Some(mut work) = Work::open(&writing.reading(), key, name)? else { return Ok(0) };
    let mut done = 0;
    for &id in ids {
        let reading = writing.reading();
        let Some(pending) = work.pending(&reading, id)? else { continue };
        work.count(&reading, &pending.consumer, false)?;
        writing.delete(STREAM, &work.pending_key(id))?;
        done += 1;
    }
    if done > 0 {
        work.group.pending = work.group.pending.saturating_sub(done);
        work.write(writing)?;
    }
    Ok(done)
}

/// How entries change hands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claim {
    pub min_idle_ms: u64,
    /// When they count as delivered; `None` for now.
    pub delivered_ms: Option<u64>,
    pub deliveries: Option<u64>,
    /// Whether entries that nobody was given are taken too.
    pub force: bool,
    /// Whether only ids are asked for, which is no delivery.
    pub just_id: bool,
    pub last_id: Option<StreamId>,
}

/// Gives entries that are pending for others to a consumer. `None` when there is no such group.
pub fn claim(
    writing: &mut Writing<'_>,
    key: &[u8],
    name: &[u8],
    consumer: &[u8],
    ids: &[StreamId],
    how: &Claim,
) -> Result<Option<Vec<StreamEntry>>> {
    let Some(mut work) = Work::open(&writing.reading(), key, name)? else { return Ok(None) };
    let now = now_ms();
    if let Some(last) = how.last_id {
        work.group.last_delivered = work.group.last_delivered.max(last);
    }
    let (mut out, mut budget) = (Vec::new(), Budget::default());
    for &id in ids {
        let reading = writing.reading();
        let pending = work.pending(&reading, id)?;
        let Some(entry) = work.stream.entry(&reading, id)?.filter(|_| !id.is_reserved()) else {
            if let Some(pending) = pending {
                forget(&mut work, writing, id, &pending)?;
            }
            continue;
        };
        let mut pending = match pending {
            Some(pending) if now.saturating_sub(pending.delivered_ms) < how.min_idle_ms => continue,
            Some(pending) => {
                work.count(&reading, &pending.consumer, false)?;
                pending
            }
            None if how.force => {
                work.group.pending = work.group.pending.saturating_add(1);
                Pending { delivered_ms: 0, deliveries: 0, consumer: Vec::new() }
            }
            None => continue,
        };
        work.make_consumer(&reading, consumer, now)?;
        work.count(&reading, consumer, true)?;
        pending.consumer = consumer.to_vec();
        pending.delivered_ms = how.delivered_ms.unwrap_or(now).min(now);
        pending.deliveries = match how.deliveries {
            Some(deliveries) => deliveries,
            None if how.just_id => pending.deliveries,
            None => pending.deliveries.saturating_add(1),
        };
        writing.put(STREAM, &work.pending_key(id), &pending.encode())?;
        entry.take(&mut budget)?;
        out.push(entry);
    }
    work.make_consumer(&writing.reading(), consumer, now)?;
    touch(&mut work, &writing.reading(), consumer, now, !out.is_empty())?;
    work.write(writing)?;
    Ok(Some(out))
}

fn touch(work: &mut Work<'_>, reading: &Reading<'_>, consumer: &[u8], now: u64, got: bool) -> Result<()> {
    if let Some(record) = work.consumer(reading, consumer)? {
        record.attempted_ms = now;
        if got {
            record.succeeded_ms = now;
        }
    }
    Ok(())
}

/// Takes an entry that was deleted off what is pending.
fn forget(work: &mut Work<'_>, writing: &mut Writing<'_>, id: StreamId, pending: &Pending) -> Result<()> {
    work.count(&writing.reading(), &pending.consumer, false)?;
    work.group.pending = work.group.pending.saturating_sub(1);
    writing.delete(STREAM, &work.pending_key(id))
}

/// What a claim of whatever is there gave.
#[derive(Debug, Default)]
pub struct AutoClaimed {
    /// From where to go on; `None` at the end.
    pub next: Option<StreamId>,
    pub entries: Vec<StreamEntry>,
    /// Pending entries that are no more in the stream, and now not pending either.
    pub deleted: Vec<StreamId>,
}

/// Gives entries from an id on that were pending for long to a consumer. `None` when there is no such group.
pub fn auto_claim(
    writing: &mut Writing<'_>,
    key: &[u8],
    name: &[u8],
    consumer: &[u8],
    from: StreamId,
    limit: u64,
    how: &Claim,
) -> Result<Option<AutoClaimed>> {
    /// How many pending entries are looked at for each that is asked for.
    const ATTEMPTS: u64 = 10;
    let reading = writing.reading();
    let Some(mut work) = Work::open(&reading, key, name)? else { return Ok(None) };
    let now = now_ms();
    work.make_consumer(&reading, consumer, now)?;
    let (mut attempts, mut left) = (limit.saturating_mul(ATTEMPTS), limit);
    let mut out = AutoClaimed::default();
    let mut budget = Budget::default();
    let mut claimed = Vec::new();
    pending_from(&reading, &work.stream, name, from, StreamId::MAX, |id, pending| {
        if attempts == 0 || left == 0 {
            out.next = Some(id);
            return Ok(false);
        }
        attempts -= 1;
        if now.saturating_sub(pending.delivered_ms) < how.min_idle_ms {
            return Ok(true);
        }
        let entry = work.stream.entry(&reading, id)?;
        let is_there = entry.is_some();
        match entry {
            Some(entry) => {
                entry.take(&mut budget)?;
                out.entries.push(entry);
            }
            None => out.deleted.push(id),
        }
        left -= 1;
        claimed.push((id, pending, is_there));
        Ok(true)
    })?;
    for (id, mut pending, is_there) in claimed {
        if !is_there {
            forget(&mut work, writing, id, &pending)?;
            continue;
        }
        let reading = writing.reading();
        work.count(&reading, &pending.consumer, false)?;
        work.count(&reading, consumer, true)?;
        pending.consumer = consumer.to_vec();
        pending.delivered_ms = now;
        if !how.just_id {
            pending.deliveries = pending.deliveries.saturating_add(1);
        }
        writing.put(STREAM, &work.pending_key(id), &pending.encode())?;
    }
    let got = !out.entries.is_empty();
    touch(&mut work, &writing.reading(), consumer, now, got)?;
    work.write(writing)?;
    Ok(Some(out))
}

/// All that is pending, in short: the first and last id, and how many for each consumer.
#[derive(Debug, Default)]
pub struct Summary {
    pub count: u64,
    pub first: StreamId,
    pub last: StreamId,
    pub consumers: BTreeMap<Vec<u8>, u64>,
}

/// `None` when there is no such group.
pub fn pending_summary(reading: &Reading<'_>, key: &[u8], name: &[u8], budget: &mut Budget) -> Result<Option<Summary>> {
    let Some(work) = Work::open(reading, key, name)? else { return Ok(None) };
    let mut out = Summary::default();
    pending_from(reading, &work.stream, name, StreamId::MIN, StreamId::MAX, |id, pending| {
        if out.count == 0 {
            out.first = id;
        }
        out.last = id;
        out.count += 1;
        match out.consumers.get_mut(&pending.consumer) {
            Some(count) => *count += 1,
            None => {
                budget.take(pending.consumer.len() + size_of::<(Vec<u8>, u64)>())?;
                out.consumers.insert(pending.consumer, 1);
            }
        }
        Ok(true)
    })?;
    Ok(Some(out))
}

/// Pending entries one by one: `None` when there is no such group.
#[allow(clippy::too_many_arguments, reason = "they are what XPENDING says")]
pub fn pending_entries(
    reading: &Reading<'_>,
    key: &[u8],
    name: &[u8],
    from: StreamId,
    to: StreamId,
    limit: u64,
    consumer: Option<&[u8]>,
    min_idle_ms: u64,
) -> Result<Option<Vec<(StreamId, Pending)>>> {
    let Some(work) = Work::open(reading, key, name)? else { return Ok(None) };
    let now = now_ms();
    let (mut out, mut budget) = (Vec::new(), Budget::default());
    if limit > 0 && from <= to {
        pending_from(reading, &work.stream, name, from, to, |id, pending| {
            let idle = now.saturating_sub(pending.delivered_ms);
            if idle >= min_idle_ms && consumer.is_none_or(|consumer| consumer == pending.consumer) {
                budget.take(size_of::<(StreamId, Pending)>() + pending.consumer.len())?;
                out.push((id, pending));
            }
            Ok((out.len() as u64) < limit)
        })?;
    }
    Ok(Some(out))
}

/// All groups of a stream, seen one by one in the order of their records.
pub fn groups(reading: &Reading<'_>, stream: &Stream, mut see: impl FnMut(Vec<u8>, Group) -> Result<()>) -> Result<()> {
    let prefix = groups_prefix();
    let mut walk = reading.subkeys(STREAM, &stream.prefix, &prefix, prefix_end(&prefix).as_deref(), false);
    while let Some((sub, value)) = walk.next()? {
        if let StreamSub::Group(name) = StreamSub::decode(sub)? {
            see(name, Group::decode(value)?)?;
        }
    }
    Ok(())
}

/// All consumers of a group, seen one by one in the order of their records.
pub fn consumers(
    reading: &Reading<'_>,
    stream: &Stream,
    group: &[u8],
    mut see: impl FnMut(Vec<u8>, Consumer) -> Result<()>,
) -> Result<()> {
    let prefix = consumers_prefix(group);
    let mut walk = reading.subkeys(STREAM, &stream.prefix, &prefix, prefix_end(&prefix).as_deref(), false);
    while let Some((sub, value)) = walk.next()? {
        if let StreamSub::Consumer { consumer, .. } = StreamSub::decode(sub)? {
            see(consumer, Consumer::decode(value)?)?;
        }
    }
    Ok(())
}

/// How many entries were deleted from the middle or the end, behind an id: then counting by numbers fails.
fn has_holes(stream: &Stream, from: StreamId) -> bool {
    let deleted = stream.state.max_deleted;
    stream.metadata.size != 0 && deleted != StreamId::MIN && stream.state.first <= deleted && from <= deleted
}

/// The number of an entry among all that were ever added, where that can be told.
fn ordinal(stream: &Stream, id: StreamId) -> Option<i64> {
    let state = &stream.state;
    let (added, size) = (state.entries_added as i64, stream.metadata.size as i64);
    if added == 0 {
        return Some(0);
    }
    if id == state.last_generated || (size == 0 && id < state.last_generated) {
        return Some(added);
    }
    if id > state.last_generated {
        return None;
    }
    let whole = state.max_deleted == StreamId::MIN || state.max_deleted < state.first;
    match id.cmp(&state.first) {
        std::cmp::Ordering::Less if whole => Some(added.saturating_sub(size)),
        std::cmp::Ordering::Equal if whole => Some(added.saturating_sub(size).saturating_add(1)),
        _ => None,
    }
}

fn entries_read_after(stream: &Stream, group: &Group, id: StreamId) -> i64 {
    let counts = group.entries_read != -1 && group.last_delivered >= stream.state.first;
    if counts && !has_holes(stream, group.last_delivered) {
        return group.entries_read.saturating_add(1);
    }
    if stream.state.entries_added > 0 { ordinal(stream, id).unwrap_or(-1) } else { group.entries_read }
}

/// How many entries a group has still to read, where that can be told.
pub fn lag(stream: &Stream, group: &Group) -> Option<u64> {
    let added = stream.state.entries_added;
    let read = if added == 0 {
        return Some(0);
    } else if group.entries_read != -1 && !has_holes(stream, group.last_delivered) {
        group.entries_read
    } else {
        ordinal(stream, group.last_delivered)?
    };
    Some(added.saturating_sub(u64::try_from(read).unwrap_or_default()))
}
