//! Strings, and what all keys have in common: existence, kind, expiry, order.

use std::cell::RefCell;
use std::fmt;
use std::ops::{ControlFlow, Deref};
use std::sync::Arc;
use std::time::Duration;

use crate::engine::clock::now_ms;
use crate::engine::error::{Error, ErrorKind, Result, shown};
use crate::engine::format::batch::{BatchBuilder, METADATA};
use crate::engine::format::key::{Layout, append_key, prefix_end};
use crate::engine::format::metadata::{Found, Kind, Metadata, decode_metadata, find_string, set_expire, string_head};
use crate::engine::generation::Store;
use crate::engine::storage::db::{Pinned, Snapshot};
use crate::engine::storage::iterator::Cursor;

/// The most bytes that a key or a value may have, as in Kvrocks.
pub const MAX_BYTES: usize = 512 << 20;

/// A value where the storage engine keeps it, without a copy. It holds its generation open: read it and let it go.
pub struct Value {
    pinned: Pinned,
    start: usize,
}

impl Deref for Value {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.pinned[self.start..]
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(self))
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Value {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}

/// How long a key still lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// There is no such key.
    Missing,
    /// It has no expiry.
    Forever,
    /// It is gone after this time.
    Left(Duration),
}

/// Which keys an iteration goes through, and which way. The default is all keys, forward.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// Only keys that start with it.
    pub prefix: Vec<u8>,
    /// The first key that may come.
    pub start: Option<Vec<u8>>,
    /// The first key that may not come any more.
    pub end: Option<Vec<u8>>,
    /// From the last key to the first.
    pub reverse: bool,
}

/// One key of an iteration, borrowed until the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The key, without namespace.
    pub key: &'a [u8],
    /// Its data type.
    pub kind: Kind,
    /// The value of a string; `None` for every other type.
    pub value: Option<&'a [u8]>,
}

/// How a string is stored by a command that says more than key and value.
#[derive(Clone, Copy, Debug)]
pub struct Set {
    pub condition: Condition,
    pub expiry: Expiry,
    /// Whether to give what the key held before.
    pub give_old: bool,
}

/// When a string is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Always,
    Absent,
    Present,
}

/// The expiry that a stored string gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// A unix time in milliseconds, 0 for never.
    At(u64),
    /// The one that the key has.
    Keep,
}

/// Reads in one namespace of one store, now or as of a snapshot.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    pub store: &'a Arc<Store>,
    pub snapshot: Option<&'a Arc<Snapshot>>,
    pub prefix: &'a [u8],
}

impl Reading<'_> {
    #[inline]
    fn record(&self, key: &[u8]) -> Result<Option<Pinned>> {
        with_key(self.prefix, self.store.layout, key, |full| {
            self.store.db.get(METADATA, full, self.snapshot.map(|s| &**s))
        })
    }

    pub fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        match self.record(key)? {
            Some(pinned) => string_of(key, pinned),
            None => Ok(None),
        }
    }

    pub fn get_many(&self, keys: &[impl AsRef<[u8]>]) -> Result<Vec<Option<Value>>> {
        let found = self.records(keys)?;
        keys.iter()
            .zip(found)
            .map(|(key, pinned)| pinned.map_or(Ok(None), |pinned| string_of(key.as_ref(), pinned)))
            .collect()
    }

    fn records(&self, keys: &[impl AsRef<[u8]>]) -> Result<Vec<Option<Pinned>>> {
        // All keys as they are on disk, one behind the other.
        let mut stored = Vec::with_capacity(keys.iter().map(|key| self.prefix.len() + 2 + key.as_ref().len()).sum());
        let mut ends = Vec::with_capacity(keys.len());
        for key in keys {
            append_key(&mut stored, self.prefix, self.store.layout, key.as_ref());
            ends.push(stored.len());
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let full: Vec<&[u8]> = starts.zip(&ends).map(|(start, &end)| &stored[start..end]).collect();
        self.store.db.get_many(METADATA, &full, self.snapshot.map(|s| &**s))
    }

    /// The metadata of a key that is alive.
    pub fn metadata(&self, key: &[u8]) -> Result<Option<Metadata>> {
        let Some(pinned) = self.record(key)? else { return Ok(None) };
        let metadata = decode_metadata(&pinned).map_err(|e| e.context(format!("key {}", shown(key))))?;
        Ok(metadata.is_alive(now_ms()).then_some(metadata))
    }

    pub fn ttl(&self, key: &[u8]) -> Result<Ttl> {
        Ok(match self.metadata(key)? {
            None => Ttl::Missing,
            Some(metadata) if metadata.expire_ms == 0 => Ttl::Forever,
            Some(metadata) => Ttl::Left(Duration::from_millis(metadata.expire_ms.saturating_sub(now_ms()))),
        })
    }

    pub fn items(&self, range: &Range) -> Items {
        Items::open(self, range, true)
    }

    /// The keys with a prefix that come after one, in the order of the layout.
    pub fn items_after(&self, prefix: &[u8], after: Option<&[u8]>) -> Items {
        let range = Range { prefix: prefix.to_vec(), ..Range::default() };
        let after = after.map(|after| {
            let mut from = Vec::with_capacity(self.prefix.len() + after.len() + 3);
            append_key(&mut from, self.prefix, self.store.layout, after);
            from.push(0);
            from
        });
        Items::open_at(self, &range, true, after)
    }

    /// The number of keys that are alive. Reads every one of them, past the cache.
    pub fn count(&self, progress: &mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<u64> {
        const STEP: u64 = 8192;
        let mut items = Items::open(self, &Range::default(), false);
        let mut count = 0;
        while items.next_item()?.is_some() {
            count += 1;
            if count % STEP == 0 && progress(count).is_break() {
                return Err(Error::new(ErrorKind::Busy, format!("count: cancelled by the caller after {count} keys")));
            }
        }
        Ok(count)
    }
}

fn string_of(key: &[u8], pinned: Pinned) -> Result<Option<Value>> {
    let length = match find_string(&pinned, now_ms).map_err(|e| e.context(format!("key {}", shown(key))))? {
        Found::Missing => return Ok(None),
        Found::Other(kind) => return Err(wrong_type(key, kind)),
        Found::String(value) => value.len(),
    };
    Ok(Some(Value { start: pinned.len() - length, pinned }))
}

/// An ordered walk through the keys of a namespace that are alive, seeing one moment. In the cluster layout the
/// order is by slot, then by key.
pub struct Items {
    cursor: Cursor,
    head: usize,
    range: Range,
    filter: bool,
    place: Place,
}

impl Items {
    fn open(reading: &Reading<'_>, range: &Range, fill_cache: bool) -> Items {
        Items::open_at(reading, range, fill_cache, None)
    }

    /// `from` is a key as it is on disk, before which none comes.
    fn open_at(reading: &Reading<'_>, range: &Range, fill_cache: bool, from: Option<Vec<u8>>) -> Items {
        let prefix = reading.prefix;
        let (lower, upper, head, filter) = match reading.store.layout {
            Layout::Standalone => {
                let from = range.start.as_deref().unwrap_or_default().max(&range.prefix);
                let lower = [prefix, from].concat();
                let of_prefix = prefix_end(&[prefix, &range.prefix].concat());
                let upper = match &range.end {
                    Some(end) => {
                        let end = [prefix, end].concat();
                        Some(of_prefix.map_or(end.clone(), |bound| bound.min(end)))
                    }
                    None => of_prefix,
                };
                (lower, upper, prefix.len(), false)
            }
            Layout::Cluster => (prefix.to_vec(), prefix_end(prefix), prefix.len() + 2, true),
        };
        let lower = from.map_or(lower.clone(), |from| from.max(lower));
        // RocksDB does not like an upper bound below the lower one.
        let upper = upper.map(|upper| upper.max(lower.clone()));
        let cursor = Cursor::open(&reading.store.db, METADATA, lower, upper, reading.snapshot, fill_cache);
        Items { cursor, head, range: range.clone(), filter, place: Place::Before }
    }

    /// The next key; `None` at the end, and from then on. Expired keys do not come. After a failure to read it is at
    /// its end; a record that cannot be decoded is stepped over by the next call.
    pub fn next_item(&mut self) -> Result<Option<Item<'_>>> {
        self.cursor.check_process()?;
        let (kind, start) = loop {
            match self.place {
                Place::At if !self.range.reverse => self.cursor.next(),
                Place::At => self.cursor.prev(),
                Place::Before => self.seek(),
                Place::End => return Ok(None),
            }
            if !self.cursor.has_place() {
                self.place = Place::End;
            }
            let Some((full, record)) = self.cursor.record()? else { return Ok(None) };
            if !full.get(self.head..).is_some_and(|key| !self.filter || self.range.contains(key)) {
                continue;
            }
            // Judged once: a key must not expire between this look and the one below.
            match find_string(record, now_ms).map_err(|e| e.context(format!("record {}", shown(full))))? {
                Found::Missing => {}
                Found::Other(kind) => break (kind, None),
                Found::String(value) => break (Kind::STRING, Some(record.len() - value.len())),
            }
        };
        let Some((full, record)) = self.cursor.record()? else { return Ok(None) };
        let (key, value) = (full.get(self.head..).unwrap_or_default(), start.and_then(|start| record.get(start..)));
        Ok(Some(Item { key, kind, value }))
    }

    #[cold]
    fn seek(&mut self) {
        self.place = Place::At;
        if self.range.reverse { self.cursor.seek_to_last() } else { self.cursor.seek_to_first() }
    }
}

/// Where an iteration stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    At,
    End,
}

impl std::iter::FusedIterator for Items {}

/// Owned copies of what [`Items::next_item`] lends: the key, and the value of a string.
impl Iterator for Items {
    type Item = Result<(Vec<u8>, Option<Vec<u8>>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.next_item();
        item.map(|item| item.map(|item| (item.key.to_vec(), item.value.map(<[u8]>::to_vec)))).transpose()
    }
}

impl Range {
    #[inline(never)]
    fn contains(&self, key: &[u8]) -> bool {
        key.starts_with(&self.prefix)
            && self.start.as_deref().is_none_or(|start| key >= start)
            && self.end.as_deref().is_none_or(|end| key < end)
    }
}

/// Adds the records of a put.
pub fn put(store: &Store, batch: &mut BatchBuilder, prefix: &[u8], key: &[u8], value: &[u8], expire_ms: u64) {
    batch.log_data(STRING_LOG);
    with_key(prefix, store.layout, key, |full| {
        batch.put_with(METADATA, &[full], &[&string_head(expire_ms), value]);
    });
}

/// Adds the record of a deletion, whether or not the key is there.
pub fn delete(store: &Store, batch: &mut BatchBuilder, prefix: &[u8], key: &[u8]) {
    with_key(prefix, store.layout, key, |full| batch.delete(METADATA, full));
}

/// Adds the record that gives a key another expiry, 0 for none; `false` when the key is not there.
pub fn expire(reading: &Reading<'_>, batch: &mut BatchBuilder, key: &[u8], expire_ms: u64) -> Result<bool> {
    let Some(pinned) = reading.record(key)? else { return Ok(false) };
    let metadata = decode_metadata(&pinned).map_err(|e| e.context(format!("key {}", shown(key))))?;
    if !metadata.is_alive(now_ms()) {
        return Ok(false);
    }
    if metadata.expire_ms == expire_ms {
        return Ok(expire_ms != 0);
    }
    let mut record = pinned.to_vec();
    set_expire(&mut record, expire_ms)?;
    batch.log_data(EXPIRE_LOG);
    with_key(reading.prefix, reading.store.layout, key, |full| batch.put(METADATA, full, &record));
    Ok(true)
}

/// Kvrocks' log data of a string write, and of the EXPIRE family (kvrocks-format: LogData).
const STRING_LOG: &[u8] = b"1";
const EXPIRE_LOG: &[u8] = b"0 8";

/// When a key that lives for `ttl` from now expires.
pub fn expiry(ttl: Option<Duration>) -> Result<u64> {
    let Some(ttl) = ttl else { return Ok(0) };
    // Metadata has room for far more; this keeps sums of clocks and expiries inside 64 bits.
    const LONGEST_MS: u128 = 1 << 53;
    let ttl_ms = ttl.as_millis();
    if ttl_ms == 0 || ttl_ms > LONGEST_MS {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("time to live: got {ttl:?}, expected at least 1 ms and at most {LONGEST_MS} ms"),
        ));
    }
    Ok(now_ms() + ttl_ms as u64)
}

pub fn check_key(key: &[u8]) -> Result<()> {
    check_length("key", key)
}

pub fn check_value(value: &[u8]) -> Result<()> {
    check_length("value", value)
}

fn check_length(what: &str, bytes: &[u8]) -> Result<()> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("{what}: got {} bytes, expected at most {MAX_BYTES}", bytes.len()),
        ));
    }
    Ok(())
}

fn wrong_type(key: &[u8], kind: Kind) -> Error {
    Error::new(ErrorKind::WrongType, format!("key {}: got a {}, expected a string", shown(key), kind.name()))
}

/// Runs with the key as it is on disk, without an allocation for each call.
fn with_key<R>(prefix: &[u8], layout: Layout, key: &[u8], run: impl FnOnce(&[u8]) -> R) -> R {
    const KEEP: usize = 64 << 10;
    thread_local!(static FULL: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });
    FULL.with_borrow_mut(|full| {
        full.clear();
        append_key(full, prefix, layout, key);
        let result = run(full);
        if full.capacity() > KEEP {
            *full = Vec::new();
        }
        result
    })
}
