//! Streams: logs of entries in the order of their ids.

use super::reading::{Budget, Reading, Subkeys};
use super::writing::Writing;
use crate::engine::clock::now_ms;
use crate::engine::error::{Error, ErrorKind, Result, shown};
use crate::engine::format::batch::STREAM;
use crate::engine::format::metadata::{Kind, Metadata};
use crate::engine::format::stream::{StreamId, StreamState, StreamSub, decode_entry, encode_entry};

/// What no entry's sub part reaches: behind it are groups, consumers and pending entries.
const ENTRIES_END: &[u8] = &[0xFF; 8];

/// A stream that is there, or is being made.
pub struct Stream {
    pub metadata: Metadata,
    pub state: StreamState,
    /// What its records' keys start with.
    pub prefix: Vec<u8>,
}

/// One entry: its id, and field, value, field, value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamEntry {
    /// Its id.
    pub id: StreamId,
    /// Its fields, each with its value behind it.
    pub values: Vec<Vec<u8>>,
}

impl StreamEntry {
    /// Counts what it takes in memory.
    pub(super) fn take(&self, budget: &mut Budget) -> Result<()> {
        budget.take(size_of::<StreamEntry>())?;
        self.values.iter().try_for_each(|value| budget.take(value.len()))
    }
}

/// The id that a new entry gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewId {
    /// The time now, or the id after the last one.
    Auto,
    Exact(StreamId),
    /// These milliseconds, and the next number in them.
    AutoSeq(u64),
    /// The time now, with this number.
    AutoMs(u64),
}

/// What is left of a stream that is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// So many entries, the newest.
    Newest(u64),
    /// Those from an id on.
    From(StreamId),
}

/// How a stream is trimmed, and how many entries go at most.
#[derive(Clone, Copy, Debug)]
pub struct Trim {
    pub keep: Keep,
    pub limit: Option<u64>,
}

fn refused(what: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, what)
}

impl Stream {
    pub fn find(reading: &Reading<'_>, key: &[u8]) -> Result<Option<Stream>> {
        let Some(opened) = reading.find(key, Kind::STREAM)? else { return Ok(None) };
        let state = StreamState::decode(&opened.payload).map_err(|e| e.context(format!("key {}", shown(key))))?;
        let prefix = reading.subkey_prefix(key, opened.metadata.version);
        Ok(Some(Stream { metadata: opened.metadata, state, prefix }))
    }

    pub fn create(writing: &Writing<'_>, key: &[u8]) -> Stream {
        let metadata = writing.create(key, Kind::STREAM).metadata;
        let prefix = writing.subkey_prefix(key, metadata.version);
        Stream { metadata, state: StreamState::default(), prefix }
    }

    pub fn store(&self, writing: &mut Writing<'_>, key: &[u8]) -> Result<()> {
        writing.store(key, &self.metadata, &self.state.encode())
    }

    pub fn full(&self, sub: &StreamSub) -> Vec<u8> {
        [&self.prefix[..], &sub.encode()].concat()
    }

    fn walk<'a>(&self, reading: &Reading<'a>, from: StreamId, to: StreamId, reverse: bool) -> Subkeys<'a> {
        let end = to.next().filter(|end| !end.is_reserved()).map(StreamId::encode);
        let end = end.as_ref().map_or(ENTRIES_END, |end| &end[..]);
        let from = from.encode();
        // An id behind all entries must not reach what is no entry.
        let from = if from.as_slice() > end { end } else { &from };
        reading.subkeys(STREAM, &self.prefix, from, Some(end), reverse)
    }

    /// Entries from one id to another, both included; in order, or backwards. `budget` is that of the whole call, which may
    /// read many streams.
    pub fn range(
        &self,
        reading: &Reading<'_>,
        from: StreamId,
        to: StreamId,
        reverse: bool,
        limit: u64,
        budget: &mut Budget,
    ) -> Result<Vec<StreamEntry>> {
        let mut out = Vec::new();
        if from > to {
            return Ok(out);
        }
        let mut walk = self.walk(reading, from, to, reverse);
        while (out.len() as u64) < limit {
            let Some((sub, value)) = walk.next()? else { break };
            let entry = entry_of(sub, value)?;
            entry.take(budget)?;
            out.push(entry);
        }
        Ok(out)
    }

    /// One entry.
    pub fn entry(&self, reading: &Reading<'_>, id: StreamId) -> Result<Option<StreamEntry>> {
        let value = reading.subkey(STREAM, &self.prefix, &id.encode())?;
        value.map(|value| Ok(StreamEntry { id, values: decode_entry(&value)? })).transpose()
    }

    /// How many entries there are before an id, or behind it.
    pub fn count_beyond(&self, reading: &Reading<'_>, id: StreamId, before: bool) -> Result<u64> {
        let (from, to) = match before {
            true => (Some(StreamId::MIN), id.previous()),
            false => (id.next(), Some(StreamId::MAX)),
        };
        let (Some(from), Some(to)) = (from, to) else { return Ok(0) };
        let mut walk = self.walk(reading, from, to, false);
        let mut count = 0;
        while walk.advance()? {
            count += 1;
        }
        Ok(count)
    }

    /// Looks again for the first and the last entry.
    fn find_edges(&mut self, reading: &Reading<'_>, first: bool, last: bool) -> Result<()> {
        let edge = |reverse| -> Result<StreamId> {
            let mut walk = self.walk(reading, StreamId::MIN, StreamId::MAX, reverse);
            Ok(walk.next()?.map(|(sub, _)| entry_id(sub)).transpose()?.unwrap_or_default())
        };
        let (new_first, new_last) = (first.then(|| edge(false)).transpose()?, last.then(|| edge(true)).transpose()?);
        if let Some(first) = new_first {
            self.state.first = first;
            self.state.recorded_first = first;
        }
        if let Some(last) = new_last {
            self.state.last = last;
        }
        Ok(())
    }

    fn trim(&mut self, writing: &mut Writing<'_>, trim: Trim) -> Result<u64> {
        let goes = |stream: &Stream, id: StreamId| match trim.keep {
            Keep::Newest(count) => stream.metadata.size > count,
            Keep::From(least) => id < least,
        };
        if self.metadata.size == 0 || !goes(self, self.state.first) {
            return Ok(0);
        }
        let mut removed = 0;
        let mut from = StreamId::MIN;
        // In pieces, so that the ids of a long stream are not in memory together.
        const PIECE: usize = 4096;
        loop {
            let mut piece = Vec::new();
            let reading = writing.reading();
            let mut walk = self.walk(&reading, from, StreamId::MAX, false);
            while piece.len() < PIECE && trim.limit.is_none_or(|limit| removed < limit) {
                let Some((sub, _)) = walk.next()? else { break };
                let id = entry_id(sub)?;
                if !goes(self, id) {
                    break;
                }
                self.metadata.size = self.metadata.size.saturating_sub(1);
                self.state.max_deleted = self.state.max_deleted.max(id);
                removed += 1;
                piece.push(id);
            }
            drop(walk);
            let Some(end) = piece.last().and_then(|last| last.next()).filter(|_| !piece.is_empty()) else { break };
            for id in &piece {
                writing.delete(STREAM, &self.full(&StreamSub::Entry(*id)))?;
            }
            from = end;
            if piece.len() < PIECE {
                break;
            }
        }
        if removed > 0 {
            let empty = self.metadata.size == 0;
            self.find_edges(&writing.reading(), true, empty)?;
        }
        Ok(removed)
    }

    fn next_id(&self, new: NewId) -> Result<StreamId> {
        let last = self.state.last_generated;
        const SMALL: &str = "The ID specified in XADD is equal or smaller than the target stream top item";
        const EXHAUSTED: &str = "The stream has exhausted the last possible ID, unable to add more items";
        let id = match new {
            NewId::Auto => match (StreamId { ms: now_ms(), seq: 0 }) {
                now if now.ms > last.ms => now,
                _ => last.next().ok_or_else(|| refused(EXHAUSTED))?,
            },
            NewId::Exact(StreamId::MIN) => return Err(refused("The ID specified in XADD must be greater than 0-0")),
            NewId::Exact(id) => id,
            NewId::AutoSeq(ms) if ms == last.ms => {
                StreamId { ms, seq: last.seq.checked_add(1).ok_or_else(|| refused(SMALL))? }
            }
            NewId::AutoSeq(ms) => StreamId { ms, seq: 0 },
            NewId::AutoMs(seq) => StreamId { ms: now_ms(), seq },
        };
        if id <= last {
            return Err(refused(SMALL));
        }
        if id.is_reserved() {
            return Err(refused("The ID specified in XADD is reserved: its milliseconds must be below 2^64 - 1"));
        }
        Ok(id)
    }
}

fn entry_id(sub: &[u8]) -> Result<StreamId> {
    match StreamSub::decode(sub)? {
        StreamSub::Entry(id) => Ok(id),
        _ => Err(Error::new(ErrorKind::Corruption, format!("stream record {}: expected an entry", shown(sub)))),
    }
}

/// An entry from what a walk gives of it.
pub fn entry_of(sub: &[u8], value: &[u8]) -> Result<StreamEntry> {
    Ok(StreamEntry { id: entry_id(sub)?, values: decode_entry(value)? })
}

/// The entries from one id to another, both included; in order, or backwards.
pub fn entries<'a>(
    reading: &Reading<'a>,
    key: &[u8],
    from: StreamId,
    to: StreamId,
    reverse: bool,
) -> Result<Option<Subkeys<'a>>> {
    let stream = Stream::find(reading, key)?;
    Ok(stream.map(|stream| stream.walk(reading, from, to, reverse)))
}

/// Appends an entry; `None` when there is no such key and none shall be made.
pub fn add(
    writing: &mut Writing<'_>,
    key: &[u8],
    id: NewId,
    values: &[impl AsRef<[u8]>],
    trim: Option<Trim>,
    make: bool,
) -> Result<Option<StreamId>> {
    let mut stream = match Stream::find(&writing.reading(), key)? {
        Some(stream) => stream,
        None if make => Stream::create(writing, key),
        None => return Ok(None),
    };
    let id = stream.next_id(id)?;
    writing.log_words(Kind::STREAM, &[]);
    writing.put(STREAM, &stream.full(&StreamSub::Entry(id)), &encode_entry(values))?;
    stream.metadata.size = stream.metadata.size.checked_add(1).ok_or_else(|| {
        Error::new(ErrorKind::Corruption, format!("key {}: its metadata says {} entries", shown(key), u64::MAX))
    })?;
    if stream.metadata.size == 1 {
        stream.state.first = id;
        stream.state.recorded_first = id;
    }
    stream.state.last_generated = id;
    stream.state.last = id;
    stream.state.entries_added = stream.state.entries_added.saturating_add(1);
    if let Some(trim) = trim {
        stream.trim(writing, trim)?;
    }
    stream.store(writing, key)?;
    Ok(Some(id))
}

/// Deletes entries; how many were there.
pub fn delete(writing: &mut Writing<'_>, key: &[u8], ids: &[StreamId]) -> Result<u64> {
    let Some(mut stream) = Stream::find(&writing.reading(), key)? else { return Ok(0) };
    writing.log_words(Kind::STREAM, &[]);
    let (mut deleted, mut first, mut last) = (0, false, false);
    for &id in ids.iter().filter(|id| !id.is_reserved()) {
        let full = stream.full(&StreamSub::Entry(id));
        if writing.reading().get(STREAM, &full)?.is_none() {
            continue;
        }
        writing.delete(STREAM, &full)?;
        deleted += 1;
        stream.state.max_deleted = stream.state.max_deleted.max(id);
        first |= id == stream.state.first;
        last |= id == stream.state.last;
    }
    if deleted > 0 {
        stream.metadata.size = stream.metadata.size.saturating_sub(deleted);
        stream.find_edges(&writing.reading(), first, last)?;
        stream.store(writing, key)?;
    }
    Ok(deleted)
}

/// Deletes the oldest entries; how many.
pub fn trim(writing: &mut Writing<'_>, key: &[u8], trim: Trim) -> Result<u64> {
    let Some(mut stream) = Stream::find(&writing.reading(), key)? else { return Ok(0) };
    writing.log_words(Kind::STREAM, &[]);
    let removed = stream.trim(writing, trim)?;
    if removed > 0 {
        stream.store(writing, key)?;
    }
    Ok(removed)
}

/// Sets what a stream remembers of its past; `false` when there is no such key and it cannot be made.
pub fn set_id(
    writing: &mut Writing<'_>,
    key: &[u8],
    last: StreamId,
    entries_added: Option<u64>,
    max_deleted: Option<StreamId>,
) -> Result<()> {
    if max_deleted.is_some_and(|deleted| last < deleted) {
        return Err(refused("The ID specified in XSETID is smaller than the provided max_deleted_entry_id"));
    }
    let mut stream = match Stream::find(&writing.reading(), key)? {
        Some(stream) => stream,
        None if entries_added.unwrap_or(0) == 0 => {
            return Err(refused("an empty stream should have non-zero value of ENTRIESADDED"));
        }
        None if max_deleted.unwrap_or_default() == StreamId::MIN => {
            return Err(refused("an empty stream should have MAXDELETEDID"));
        }
        None => Stream::create(writing, key),
    };
    let size = stream.metadata.size;
    if size > 0 && last < stream.state.last {
        return Err(refused("The ID specified in XSETID is smaller than the target stream top item"));
    }
    if size > 0 && entries_added.is_some_and(|added| added < size) {
        return Err(refused("The entries_added specified in XSETID is smaller than the target stream length"));
    }
    stream.state.last_generated = last;
    stream.state.entries_added = entries_added.unwrap_or(stream.state.entries_added);
    if let Some(deleted) = max_deleted.filter(|&deleted| deleted != StreamId::MIN) {
        stream.state.max_deleted = deleted;
    }
    writing.log_words(Kind::STREAM, &[b"XSETID"]);
    stream.store(writing, key)
}
