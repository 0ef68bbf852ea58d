//! The write-ahead log read by sequence.
//!
//! RocksDB's iterator starts at the batch that *contains* the asked sequence, or silently later when
//! that part of the log is gone; at the tail it is invalid without an error. Here each of these has a name.

use std::sync::Arc;

use librocksdb_sys as ffi;

use super::db::{Db, taken};
use super::fork::Process;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::batch::Batch;

/// What stands at the next sequence of the log.
#[derive(Debug)]
pub enum WalRead {
    /// The batch that starts there, with its first sequence in its header.
    Entry(Vec<u8>),
    /// Nothing was written after it yet.
    CaughtUp,
    /// The log no longer reaches back to it; the oldest sequence still there, where it is known.
    Gone { oldest: Option<u64> },
}

/// A reader of the log from one sequence on.
pub struct WalTail {
    next: u64,
    /// The entry at `next` and what is behind it, where it was read already.
    ahead: Option<(u64, Vec<u8>)>,
    // Before the database that it reads.
    iterator: Option<WalIterator>,
    db: Arc<Db>,
}

/// What RocksDB says of a log file that it has just archived or purged, or of a hole between two of them.
const GONE: [&str; 3] = ["Not found", "No such file", "Try again"];

struct WalIterator {
    raw: *mut ffi::rocksdb_wal_iterator_t,
    /// Whether there is no batch to take at its place, though RocksDB may call it valid: the batch was moved out of
    /// it, or it failed to go on. Taking one then would read through a null pointer.
    spent: bool,
    process: Process,
}

// SAFETY: the iterator may be moved between threads; `&mut self` keeps its use exclusive.
unsafe impl Send for WalIterator {}

impl Drop for WalIterator {
    fn drop(&mut self) {
        if self.process.is_current() {
            // SAFETY: destroyed once; the tail holds the database open until then.
            unsafe { ffi::rocksdb_wal_iter_destroy(self.raw) };
        }
    }
}

impl WalIterator {
    /// `None` when RocksDB has no log file for that sequence.
    fn open(db: &Db, sequence: u64) -> Result<Option<WalIterator>> {
        let mut error = std::ptr::null_mut();
        // SAFETY: the database is open during the call.
        let raw = unsafe { ffi::rocksdb_get_updates_since(db.raw(), sequence, std::ptr::null(), &raw mut error) };
        match taken("read the WAL", error) {
            Ok(()) => Ok(Some(WalIterator { raw, spent: false, process: Process::current() })),
            // Files may be archived or purged between listing and opening them.
            Err(e) if GONE.iter().any(|words| e.message().contains(words)) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn valid(&self) -> bool {
        // SAFETY: the iterator lives as long as `self`.
        !self.spent && unsafe { ffi::rocksdb_wal_iter_valid(self.raw) != 0 }
    }

    fn advance(&mut self) {
        // SAFETY: as above.
        unsafe { ffi::rocksdb_wal_iter_next(self.raw) }
        self.spent = self.status().is_err();
    }

    fn status(&self) -> Result<()> {
        let mut error = std::ptr::null_mut();
        // SAFETY: as above.
        unsafe { ffi::rocksdb_wal_iter_status(self.raw, &raw mut error) };
        taken("read the WAL", error)
    }

    /// The batch at its place, once.
    fn batch(&mut self) -> (u64, Vec<u8>) {
        self.spent = true;
        let mut sequence = 0;
        // SAFETY: the iterator is valid; the batch is ours to destroy, and its bytes are copied before that.
        unsafe {
            let batch = ffi::rocksdb_wal_iter_get_batch(self.raw, &raw mut sequence);
            let mut length = 0;
            let data = ffi::rocksdb_writebatch_data(batch, &raw mut length);
            let bytes = std::slice::from_raw_parts(data.cast::<u8>(), length).to_vec();
            ffi::rocksdb_writebatch_destroy(batch);
            (sequence, bytes)
        }
    }
}

impl WalTail {
    /// A reader whose first entry is the one that starts at `next`. Touches nothing yet.
    pub fn new(db: &Arc<Db>, next: u64) -> WalTail {
        WalTail { db: Arc::clone(db), next, ahead: None, iterator: None }
    }

    /// The sequence at which the next entry starts.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Gives back what `read` has just given, which started at `first`: it comes once more.
    pub fn put_back(&mut self, first: u64, bytes: Vec<u8>) {
        self.ahead = Some((self.next, bytes));
        self.next = first;
    }

    /// Goes on behind an entry that was read elsewhere.
    pub fn skip_to(&mut self, next: u64) {
        if next != self.next {
            self.next = next;
            self.ahead = None;
            self.iterator = None;
        }
    }

    /// The entry at the next sequence, and moves behind it. Fails with InvalidArgument when that sequence lies
    /// inside an entry, with Corruption or Io when the log cannot be read.
    pub fn read(&mut self) -> Result<WalRead> {
        if let Some((next, bytes)) = self.ahead.take() {
            self.next = next;
            return Ok(WalRead::Entry(bytes));
        }
        if self.next > self.db.latest_sequence() {
            return Ok(WalRead::CaughtUp);
        }
        // An iterator that stood at the tail can go on; when it cannot, one made anew can.
        for fresh in [false, true] {
            if fresh || self.iterator.is_none() {
                self.iterator = WalIterator::open(&self.db, self.next)?;
            } else if let Some(iterator) = self.iterator.as_mut().filter(|iterator| !iterator.valid()) {
                iterator.advance();
            }
            while let Some(iterator) = self.iterator.as_mut().filter(|iterator| iterator.valid()) {
                let (first, bytes) = iterator.batch();
                let count = u64::from(Batch::parse(&bytes)?.count());
                if count == 0 || first + count <= self.next {
                    iterator.advance();
                    continue;
                }
                if first < self.next {
                    return Err(Error::new(
                        ErrorKind::InvalidArgument,
                        format!(
                            "sequence {} is inside an entry that spans {first} to {}; positions lie at its ends",
                            self.next - 1,
                            first + count - 1
                        ),
                    ));
                }
                if first > self.next {
                    if !fresh {
                        break;
                    }
                    return Ok(WalRead::Gone { oldest: Some(first) });
                }
                self.next = first + count;
                iterator.advance();
                return Ok(WalRead::Entry(bytes));
            }
        }
        // Something was written at `next`, and no log file has it.
        match self.iterator.take().map(|iterator| iterator.status()) {
            Some(Err(e)) if !GONE.iter().any(|words| e.message().contains(words)) => Err(e),
            _ => Ok(WalRead::Gone { oldest: None }),
        }
    }
}

/// The entry that ends at the latest sequence, with its first one, where the log still has it.
pub fn last_entry(db: &Arc<Db>, latest: u64) -> Result<Option<(u64, Vec<u8>)>> {
    let Some(mut iterator) = WalIterator::open(db, latest)? else { return Ok(None) };
    while iterator.valid() {
        let (first, bytes) = iterator.batch();
        let count = u64::from(Batch::parse(&bytes)?.count());
        if count > 0 && first + count - 1 == latest {
            return Ok(Some((first, bytes)));
        }
        if first > latest {
            break;
        }
        iterator.advance();
    }
    Ok(None)
}

/// The first sequence that the log still has, `None` when it has none.
pub fn oldest_sequence(db: &Arc<Db>) -> Result<Option<u64>> {
    let latest = db.latest_sequence();
    let mut iterator = match WalIterator::open(db, 1.min(latest))? {
        Some(iterator) => iterator,
        None => return Ok(None),
    };
    while iterator.valid() {
        let (first, bytes) = iterator.batch();
        if Batch::parse(&bytes)?.count() > 0 {
            return Ok(Some(first));
        }
        iterator.advance();
    }
    Ok(None)
}
