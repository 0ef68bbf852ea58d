//! What every read of a data type stands on: one namespace of one store, now, as of a snapshot, or through the writes of a
//! batch that is still being made.

use std::cell::RefCell;
use std::sync::Arc;

use super::pending::{Found, Merge, Overlay};
use crate::engine::clock::now_ms;
use crate::engine::error::{Error, ErrorKind, Result, shown};
use crate::engine::format::batch::METADATA;
use crate::engine::format::key::{Layout, append_key, append_subkey_prefix, prefix_end};
use crate::engine::format::metadata::{Kind, Metadata, decode_metadata};
use crate::engine::generation::Store;
use crate::engine::storage::db::{Pinned, Snapshot};
use crate::engine::storage::iterator::Cursor;

/// Reads in one namespace of one store.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    pub store: &'a Arc<Store>,
    /// The moment that it sees; `None` for now.
    pub snapshot: Option<&'a Arc<Snapshot>>,
    pub prefix: &'a [u8],
    /// Writes that are not written yet, and that it sees.
    pub pending: Option<Overlay<'a>>,
}

/// The metadata of a key of one kind, with what stands behind its header.
#[derive(Clone, Debug)]
pub struct Opened {
    pub metadata: Metadata,
    pub payload: Vec<u8>,
    /// What its subkeys start with.
    pub start: Vec<u8>,
    /// Whether the key is made with it: then it has a fresh version, size 0 and no payload.
    pub is_new: bool,
}

impl<'a> Reading<'a> {
    /// One record, by its key as it is on disk.
    #[inline]
    pub fn get(&self, family: u32, full: &[u8]) -> Result<Option<Pinned>> {
        if let Some(overlay) = &self.pending {
            match overlay.find(family, full) {
                Found::Value(value) => return Ok(Some(Pinned::copied(&self.store.db, value))),
                Found::Deleted => return Ok(None),
                Found::Nothing => {}
            }
        }
        self.store.db.get(family, full, self.snapshot.map(|s| &**s))
    }

    /// The metadata record of a key, dead or alive.
    #[inline]
    pub fn record(&self, key: &[u8]) -> Result<Option<Pinned>> {
        with_key(self.prefix, self.store.layout, key, |full| self.get(METADATA, full))
    }

    /// The metadata of a key that is alive, of any kind.
    pub fn metadata(&self, key: &[u8]) -> Result<Option<Metadata>> {
        Ok(self.living(key)?.map(|(metadata, _)| metadata))
    }

    /// The metadata of a key that is alive, and its record.
    pub fn living(&self, key: &[u8]) -> Result<Option<(Metadata, Pinned)>> {
        let Some(record) = self.record(key)? else { return Ok(None) };
        Ok(alive(key, &record)?.map(|metadata| (metadata, record)))
    }

    /// A key of that kind that is alive. WrongType when it is of another.
    pub fn find(&self, key: &[u8], kind: Kind) -> Result<Option<Opened>> {
        with_key(self.prefix, self.store.layout, key, |full| {
            // What is pending is read where it is.
            match self.pending.map_or(Found::Nothing, |overlay| overlay.find(METADATA, full)) {
                Found::Value(record) => self.open(key, record, kind),
                Found::Deleted => Ok(None),
                Found::Nothing => match self.store.db.get(METADATA, full, self.snapshot.map(|s| &**s))? {
                    Some(record) => self.open(key, &record, kind),
                    None => Ok(None),
                },
            }
        })
    }

    fn open(&self, key: &[u8], record: &[u8], kind: Kind) -> Result<Option<Opened>> {
        let Some(metadata) = alive(key, record)? else { return Ok(None) };
        if metadata.kind != kind {
            return Err(wrong_type(key, metadata.kind, kind));
        }
        let payload = record.get(metadata.payload..).unwrap_or_default().to_vec();
        let start = self.subkey_prefix(key, metadata.version);
        Ok(Some(Opened { metadata, payload, start, is_new: false }))
    }

    /// How many elements a key of that kind has.
    pub fn size(&self, key: &[u8], kind: Kind) -> Result<u64> {
        Ok(self.find(key, kind)?.map_or(0, |opened| opened.metadata.size))
    }

    /// A snapshot, for a reading of now, which sees one moment only with it.
    pub fn moment(&self) -> Option<Arc<Snapshot>> {
        (self.snapshot.is_none() && self.pending.is_none()).then(|| Arc::new(self.store.db.snapshot()))
    }

    /// A key as it is on disk.
    pub fn full_key(&self, key: &[u8]) -> Vec<u8> {
        let mut full = Vec::new();
        append_key(&mut full, self.prefix, self.store.layout, key);
        full
    }

    /// What the subkeys of a key start with in one version.
    pub fn subkey_prefix(&self, key: &[u8], version: u64) -> Vec<u8> {
        let mut start = Vec::new();
        append_subkey_prefix(&mut start, self.prefix, self.store.layout, key, version);
        start
    }

    /// The value of one subkey.
    pub fn subkey(&self, family: u32, subkey_prefix: &[u8], sub: &[u8]) -> Result<Option<Pinned>> {
        let key = |full: &mut Vec<u8>| {
            full.extend_from_slice(subkey_prefix);
            full.extend_from_slice(sub);
        };
        with_bytes(key, |full| self.get(family, full))
    }

    /// A walk through the subkeys with one prefix: those from `from` on, before `to`, or all behind `from`.
    pub fn subkeys(
        &self,
        family: u32,
        subkey_prefix: &[u8],
        from: &[u8],
        to: Option<&[u8]>,
        reverse: bool,
    ) -> Subkeys<'a> {
        let lower = [subkey_prefix, from].concat();
        let upper = match to {
            Some(to) => Some([subkey_prefix, to].concat()),
            None => prefix_end(subkey_prefix),
        };
        self.walk(family, lower, upper, subkey_prefix.len(), reverse, true)
    }

    /// A walk through the records of a family from `lower` on, before `upper`, of whose keys the first `head` bytes are not
    /// shown.
    pub fn walk(
        &self,
        family: u32,
        lower: Vec<u8>,
        upper: Option<Vec<u8>>,
        head: usize,
        reverse: bool,
        fill_cache: bool,
    ) -> Subkeys<'a> {
        // Neither RocksDB nor a BTreeMap likes an upper bound below the lower one.
        let upper = upper.map(|upper| upper.max(lower.clone()));
        let merge = self.pending.map(|overlay| overlay.merge(family, &lower, upper.as_deref(), reverse));
        let cursor = Cursor::open(&self.store.db, family, lower, upper, self.snapshot, fill_cache);
        Subkeys { cursor, head, reverse, place: Place::Before, merge }
    }
}

/// An ordered walk through the subkeys of one key, or other records, seeing one moment. Nothing is loaded ahead.
pub struct Subkeys<'a> {
    cursor: Cursor,
    head: usize,
    reverse: bool,
    place: Place,
    merge: Option<Merge<'a>>,
}

/// Where a walk stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Before,
    At,
    End,
}

impl Subkeys<'_> {
    /// The next subkey with its value; `None` at the end, and from then on. After a failure to read it is at its end.
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot lend")]
    pub fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if !self.advance()? {
            return Ok(None);
        }
        self.current()
    }

    /// Goes to the next record; `false` at the end.
    #[inline]
    pub fn advance(&mut self) -> Result<bool> {
        self.cursor.check_process()?;
        if self.place == Place::End {
            return Ok(false);
        }
        match self.merge {
            None => self.step(),
            Some(_) => self.step_merged()?,
        }
        Ok(self.place != Place::End || self.current()?.is_some())
    }

    /// The record that it stands at.
    #[inline]
    pub fn current(&self) -> Result<Option<(&[u8], &[u8])>> {
        let pending = self.merge.as_ref().and_then(Merge::chosen);
        let record = match pending {
            Some(record) => Some(record),
            None => self.cursor.record()?,
        };
        Ok(record.map(|(key, value)| (key.get(self.head..).unwrap_or_default(), value)))
    }

    #[inline]
    fn step(&mut self) {
        self.step_cursor();
        if !self.cursor.has_place() {
            self.place = Place::End;
        }
    }

    #[inline]
    fn step_cursor(&mut self) {
        match self.place {
            Place::At if !self.reverse => self.cursor.next(),
            Place::At => self.cursor.prev(),
            Place::Before => self.seek(),
            Place::End => {}
        }
    }

    #[cold]
    fn step_merged(&mut self) -> Result<()> {
        loop {
            if self.merge.as_mut().is_some_and(Merge::begin_step) {
                self.step_cursor();
            }
            let stored = self.cursor.record().inspect_err(|_| self.place = Place::End)?;
            match self.merge.as_mut().and_then(|merge| merge.choose(stored.map(|(key, _)| key))) {
                Some(true) => return Ok(()),
                Some(false) => {}
                None => {
                    self.place = Place::End;
                    self.merge = None;
                    return Ok(());
                }
            }
        }
    }

    #[cold]
    fn seek(&mut self) {
        self.place = Place::At;
        if self.reverse { self.cursor.seek_to_last() } else { self.cursor.seek_to_first() }
    }

    /// The same walk, for who keeps it: of a reading without pending writes.
    pub fn kept(self) -> Subkeys<'static> {
        debug_assert!(self.merge.is_none(), "pending writes go with their batch");
        let Subkeys { cursor, head, reverse, place, merge: _ } = self;
        Subkeys { cursor, head, reverse, place, merge: None }
    }
}

impl Opened {
    /// Counts elements that came and went. Corruption when more went than there were.
    pub fn resize(&mut self, key: &[u8], added: u64, removed: u64) -> Result<()> {
        let size = self.metadata.size;
        let now = size.checked_add(added).and_then(|size| size.checked_sub(removed));
        self.metadata.size = now.ok_or_else(|| {
            let got = format!("key {}: its metadata says {size} elements", shown(key));
            Error::new(ErrorKind::Corruption, format!("{got}, while {added} were added and {removed} found to remove"))
        })?;
        Ok(())
    }
}

/// The most bytes that one call gathers in memory.
pub const MOST_AT_ONCE: usize = 512 << 20;

/// Counts what is gathered in memory, and refuses too much of it.
#[derive(Default)]
pub struct Budget(usize);

impl Budget {
    /// One that refuses more than so many bytes.
    #[cfg(test)]
    pub fn of(most: usize) -> Budget {
        Budget(MOST_AT_ONCE - most)
    }

    pub fn take(&mut self, bytes: usize) -> Result<()> {
        /// What an element takes besides its bytes.
        const ELEMENT: usize = 32;
        self.0 = self.0.saturating_add(bytes).saturating_add(ELEMENT);
        if self.0 <= MOST_AT_ONCE {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("more than {MOST_AT_ONCE} bytes at once; ask for fewer elements at a time"),
        ))
    }
}

pub fn wrong_type(key: &[u8], got: Kind, expected: Kind) -> Error {
    Error::new(
        ErrorKind::WrongType,
        format!("key {}: got a {}, expected a {}", shown(key), got.name(), expected.name()),
    )
}

/// The metadata of a record, when the key is alive.
fn alive(key: &[u8], record: &[u8]) -> Result<Option<Metadata>> {
    let metadata = decode_metadata(record).map_err(|e| e.context(format!("key {}", shown(key))))?;
    // The time is asked for only where it matters.
    let now = if metadata.expire_ms == 0 { 0 } else { now_ms() };
    Ok(metadata.is_alive(now).then_some(metadata))
}

/// Runs with the key as it is on disk, without an allocation for each call.
pub fn with_key<R>(prefix: &[u8], layout: Layout, key: &[u8], run: impl FnOnce(&[u8]) -> R) -> R {
    with_bytes(|full| append_key(full, prefix, layout, key), run)
}

/// Runs with bytes that are gathered in memory of the thread's. What runs does not do the same.
fn with_bytes<R>(gather: impl FnOnce(&mut Vec<u8>), run: impl FnOnce(&[u8]) -> R) -> R {
    const KEEP: usize = 64 << 10;
    thread_local!(static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });
    BYTES.with_borrow_mut(|bytes| {
        bytes.clear();
        gather(bytes);
        let result = run(bytes);
        if bytes.capacity() > KEEP {
            *bytes = Vec::new();
        }
        result
    })
}
