//! What every write to a data type stands on: a batch that is being made, which can be read before it is written.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

use super::keys;
use super::pending::{Overlay, Pending};
use super::reading::{Opened, Reading, with_key};
use crate::engine::clock::now_us;
use crate::engine::error::{Error, ErrorKind, Result, shown};
use crate::engine::format::batch::{BatchBuilder, MAX_BYTES, METADATA, Mark, Record};
use crate::engine::format::metadata::{Kind, Metadata, decode_metadata};
use crate::engine::generation::Store;

/// Writes in one namespace of one store, which become one entry together, and reads that see them.
pub struct Writing<'a> {
    pub store: &'a Arc<Store>,
    pub prefix: &'a [u8],
    batch: &'a mut BatchBuilder,
    /// Made at the first read behind a write.
    pending: Option<Box<Mutex<Pending>>>,
    /// Where the records of the command begin that is being done, once others came before it.
    begun: usize,
    /// What it has overwritten of the records before it.
    overwritten: Overwritten,
}

/// Places in a batch, and the bytes that were there, one behind the other.
#[derive(Default)]
struct Overwritten {
    places: Vec<Range<usize>>,
    bytes: Vec<u8>,
}

impl<'a> Writing<'a> {
    pub fn new(store: &'a Arc<Store>, prefix: &'a [u8], batch: &'a mut BatchBuilder) -> Writing<'a> {
        Writing { store, prefix, batch, pending: None, begun: 0, overwritten: Overwritten::default() }
    }

    /// A reading that sees what was written so far.
    #[inline]
    pub fn reading(&mut self) -> Reading<'_> {
        // Notes are no writes: with nothing else in the batch there is nothing to see through it.
        if self.batch.count() > 0 {
            self.pending.get_or_insert_default();
        }
        let batch = &*self.batch;
        let pending = self.pending.as_deref().map(|pending| Overlay { pending, batch });
        Reading { store: self.store, snapshot: None, prefix: self.prefix, pending }
    }

    /// Does something in another namespace of the same store, in the same batch.
    pub fn in_namespace<R>(&mut self, prefix: &[u8], write: impl FnOnce(&mut Writing<'_>) -> R) -> R {
        let (pending, overwritten) = (self.pending.take(), std::mem::take(&mut self.overwritten));
        let mut there =
            Writing { store: self.store, prefix, batch: self.batch, pending, begun: self.begun, overwritten };
        let result = write(&mut there);
        (self.pending, self.overwritten) = (there.pending, there.overwritten);
        result
    }

    /// How long the batch is.
    pub fn len_bytes(&self) -> usize {
        self.batch.len_bytes()
    }

    /// Whether somebody waits for a key that was written since the batch was that long, and is to be served.
    pub fn brings_since(&self, length: usize) -> bool {
        let mut records = self.batch.records_from(length);
        records.any(|(record, _)| match record {
            Record::Put { family: METADATA, key, .. } => !self.store.line(key).is_empty(),
            _ => false,
        })
    }

    /// Begins the next of several commands, which [`Writing::roll_back`] takes back.
    pub fn begin(&mut self) -> Mark {
        self.begun = self.batch.len_bytes();
        self.overwritten.places.clear();
        self.overwritten.bytes.clear();
        self.batch.mark()
    }

    /// Takes back what was written since the beginning of a command.
    pub fn roll_back(&mut self, mark: Mark) {
        let Overwritten { places, mut bytes } = std::mem::take(&mut self.overwritten);
        // The first bytes of a place are the ones that were there.
        for place in places.iter().rev() {
            let former = bytes.split_off(bytes.len() - place.len());
            self.batch.overwrite(place, &former);
        }
        if self.batch.roll_back(mark) {
            // Made anew at the next read: what it overwrote in the index is not kept.
            self.pending = None;
        }
    }

    pub fn put(&mut self, family: u32, full: &[u8], value: &[u8]) -> Result<()> {
        self.put_with(family, &[full], &[value])
    }

    /// Sets a record, its key and its value given in pieces.
    #[inline]
    pub fn put_with(&mut self, family: u32, full: &[&[u8]], value: &[&[u8]]) -> Result<()> {
        if let Some(long) =
            full.iter().chain(value).map(|part| part.len()).find(|&length| length > keys::MAX_BYTES + 512)
        {
            return Err(too_long("key or value", long, keys::MAX_BYTES));
        }
        self.batch.put_with(family, full, value);
        self.check()
    }

    pub fn delete(&mut self, family: u32, full: &[u8]) -> Result<()> {
        self.batch.delete(family, full);
        self.check()
    }

    /// Deletes the records from `begin` on, before `end`; nothing when there is none between.
    pub fn delete_range(&mut self, family: u32, begin: &[u8], end: &[u8]) -> Result<()> {
        if begin < end {
            self.batch.delete_range(family, begin, end);
        }
        self.check()
    }

    /// Notes what Kvrocks notes of a command, in front of its records. Where no record comes it is not written.
    #[inline]
    pub fn log_data(&mut self, note: &[u8]) {
        self.batch.log_data(note);
    }

    /// [`Writing::log_data`] of a type and the words behind it.
    pub fn log_words(&mut self, kind: Kind, words: &[&[u8]]) {
        let number = [b'0' + kind.number() / 10, b'0' + kind.number() % 10];
        let number = number.strip_prefix(b"0").unwrap_or(&number);
        match words {
            [] => self.batch.log_data(number),
            [word] => self.batch.log_data_with(&[number, b" ", word]),
            _ => self.batch.log_data_with(&[number, b" ", &words.join(&b' ')]),
        }
    }

    /// Refuses a batch that is too long before it takes more memory.
    #[inline]
    fn check(&self) -> Result<()> {
        if self.batch.len_bytes() <= MAX_BYTES {
            Ok(())
        } else {
            Err(too_long("batch", self.batch.len_bytes(), MAX_BYTES))
        }
    }

    /// The key when it is alive and of that kind, WrongType when it is of another, else a new one: with a fresh version,
    /// so that subkeys of a former life stay dead, and in the 64-bit form.
    pub fn open(&mut self, key: &[u8], kind: Kind) -> Result<Opened> {
        Ok(match self.reading().find(key, kind)? {
            Some(opened) => opened,
            None => self.create(key, kind),
        })
    }

    /// A new key of that kind, whatever the key was.
    pub fn create(&self, key: &[u8], kind: Kind) -> Opened {
        let version = if kind.is_single_kv() { 0 } else { fresh_version() };
        let metadata = Metadata { kind, wide: true, expire_ms: 0, version, size: 0, payload: 0 };
        Opened { metadata, payload: Vec::new(), start: self.subkey_prefix(key, version), is_new: true }
    }

    /// Writes the metadata of a key.
    pub fn store(&mut self, key: &[u8], metadata: &Metadata, payload: &[u8]) -> Result<()> {
        if !metadata.wide && u32::try_from(metadata.size).is_err() {
            let what = format!("key {}: its metadata is in the 32-bit form", shown(key));
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!("{what}, with room for {} elements, got {}; copy it", u32::MAX, metadata.size),
            ));
        }
        let mut value = Vec::with_capacity(25 + payload.len());
        metadata.append(&mut value);
        value.extend_from_slice(payload);
        with_key(self.prefix, self.store.layout, key, |full| {
            if self.renew(full, metadata, &value) { Ok(()) } else { self.put(METADATA, full, &value) }
        })
    }

    /// Writes metadata into the record of an earlier command of the same entry, where they tell of the same life of the key:
    /// it comes to the same, and the next one is not needed. Whether it did.
    fn renew(&mut self, full: &[u8], metadata: &Metadata, value: &[u8]) -> bool {
        // Where nothing was read before, nothing was written before. What reads the log makes a command of each record of a
        // single value, and of some of a stream.
        let Some(pending) =
            self.pending.as_deref_mut().filter(|_| !metadata.kind.is_single_kv() && metadata.kind != Kind::STREAM)
        else {
            return false;
        };
        let place = pending.get_mut().place(self.batch, METADATA, full);
        let Some(place) = place.filter(|place| place.end <= self.begun) else { return false };
        let same = |had: &Metadata| {
            (had.kind, had.wide, had.version, had.expire_ms)
                == (metadata.kind, metadata.wide, metadata.version, metadata.expire_ms)
        };
        let had = self.batch.part(&place);
        if had.len() != value.len() || !decode_metadata(had).is_ok_and(|had| same(&had)) {
            return false;
        }
        self.overwritten.bytes.extend_from_slice(had);
        self.batch.overwrite(&place, value);
        self.overwritten.places.push(place);
        true
    }

    /// Deletes a key of any kind, with all of its subkeys, which nobody reaches without it.
    pub fn remove(&mut self, key: &[u8]) -> Result<()> {
        let full = self.full_key(key);
        self.delete(METADATA, &full)
    }

    /// A key as it is on disk.
    pub fn full_key(&self, key: &[u8]) -> Vec<u8> {
        self.stored().full_key(key)
    }

    /// What the subkeys of a key start with in one version.
    pub fn subkey_prefix(&self, key: &[u8], version: u64) -> Vec<u8> {
        self.stored().subkey_prefix(key, version)
    }

    /// A reading for what needs none of the writes.
    fn stored(&self) -> Reading<'_> {
        Reading { store: self.store, snapshot: None, prefix: self.prefix, pending: None }
    }
}

#[cold]
fn too_long(what: &str, bytes: usize, most: usize) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("{what}: got {bytes} bytes, expected at most {most}"))
}

/// A version that no key had before: the time in microseconds with room for a counter, as Kvrocks draws it, and never
/// the same twice in a process. The counter starts anywhere, for who comes after a process with another clock.
pub fn fresh_version() -> u64 {
    const COUNTER_BITS: u32 = 11;
    static LAST: AtomicU64 = AtomicU64::new(0);
    static START: LazyLock<u64> = LazyLock::new(|| {
        let mut random = [0; 8];
        // Without random numbers it is as good as a counter that starts at 0.
        let _ = getrandom::fill(&mut random);
        u64::from_le_bytes(random) % (1 << COUNTER_BITS)
    });
    let now = (now_us() << COUNTER_BITS) + *START;
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1)));
    now.max(last.unwrap_or(0) + 1)
}
