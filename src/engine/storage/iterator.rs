//! Ordered reading of one column family.

use std::mem::ManuallyDrop;
use std::sync::Arc;

use librocksdb_sys as ffi;

use super::db::{Db, Snapshot, stop_counting, taken};
use super::fork::Process;
use crate::engine::error::Result;

type Bounds = (Box<[u8]>, Option<Box<[u8]>>);

/// A cursor over the records of one family between two keys, seeing one moment. Holds the database open;
/// leaked in a forked child.
pub struct Cursor {
    raw: *mut ffi::rocksdb_iterator_t,
    /// Key and value at its place, asked for once a move: each question is a call into RocksDB.
    place: Option<(*const [u8], *const [u8])>,
    reads: *mut ffi::rocksdb_readoptions_t,
    // The bounds are read by RocksDB through a pointer, so they must not move or go before the iterator.
    _bounds: ManuallyDrop<Bounds>,
    process: Process,
    _snapshot: Option<Arc<Snapshot>>,
    _db: Arc<Db>,
}

// SAFETY: an iterator may be moved between threads; `&mut self` keeps its use exclusive.
unsafe impl Send for Cursor {}

impl Cursor {
    /// Opens a cursor on `[lower, upper)` of a family; it has no place until it is moved.
    pub fn open(
        db: &Arc<Db>,
        family: u32,
        lower: Vec<u8>,
        upper: Option<Vec<u8>>,
        snapshot: Option<&Arc<Snapshot>>,
        fill_cache: bool,
    ) -> Cursor {
        stop_counting();
        let lower = lower.into_boxed_slice();
        let upper = upper.map(Vec::into_boxed_slice);
        // SAFETY: bounds, snapshot and database are owned by the cursor and outlive the iterator.
        let (raw, reads) = unsafe {
            let reads = ffi::rocksdb_readoptions_create();
            ffi::rocksdb_readoptions_set_fill_cache(reads, fill_cache.into());
            ffi::rocksdb_readoptions_set_iterate_lower_bound(reads, lower.as_ptr().cast(), lower.len());
            if let Some(upper) = &upper {
                ffi::rocksdb_readoptions_set_iterate_upper_bound(reads, upper.as_ptr().cast(), upper.len());
            }
            if let Some(snapshot) = snapshot {
                ffi::rocksdb_readoptions_set_snapshot(reads, snapshot.raw());
            }
            let handle = rocksdb::AsColumnFamilyRef::inner(db.family(family));
            (ffi::rocksdb_create_iterator_cf(db.raw(), reads, handle), reads)
        };
        Cursor {
            raw,
            place: None,
            reads,
            _bounds: ManuallyDrop::new((lower, upper)),
            process: Process::current(),
            _snapshot: snapshot.cloned(),
            _db: Arc::clone(db),
        }
    }

    /// Refuses to be moved in a forked child.
    #[inline]
    pub fn check_process(&self) -> Result<()> {
        self.process.check()
    }

    pub fn seek_to_first(&mut self) {
        // SAFETY: the iterator lives as long as `self`.
        unsafe { ffi::rocksdb_iter_seek_to_first(self.raw) }
        self.look();
    }

    pub fn seek_to_last(&mut self) {
        // SAFETY: as above.
        unsafe { ffi::rocksdb_iter_seek_to_last(self.raw) }
        self.look();
    }

    /// One place on; without a place it stays without one.
    #[inline]
    pub fn next(&mut self) {
        if self.place.is_some() {
            // SAFETY: as above; RocksDB must not be moved from a place that it does not have.
            unsafe { ffi::rocksdb_iter_next(self.raw) }
            self.look();
        }
    }

    /// One place back; without a place it stays without one.
    pub fn prev(&mut self) {
        if self.place.is_some() {
            // SAFETY: as above.
            unsafe { ffi::rocksdb_iter_prev(self.raw) }
            self.look();
        }
    }

    /// Whether there is a record at its place.
    #[inline]
    pub fn has_place(&self) -> bool {
        self.place.is_some()
    }

    #[inline]
    fn look(&mut self) {
        // SAFETY: key and value are valid until the iterator moves, which replaces them.
        self.place = unsafe {
            (ffi::rocksdb_iter_valid(self.raw) != 0).then(|| {
                let key = ffi::rocksdb_iter_key_slice(self.raw);
                let value = ffi::rocksdb_iter_value_slice(self.raw);
                (&raw const *slice(key.data.cast(), key.size), &raw const *slice(value.data.cast(), value.size))
            })
        };
    }

    /// The record at its place. `None` is the end, never a failure.
    #[inline]
    pub fn record(&self) -> Result<Option<(&[u8], &[u8])>> {
        let Some((key, value)) = self.place else { return self.ended() };
        // SAFETY: key and value are valid until the iterator moves, which needs `&mut self`.
        Ok(Some(unsafe { (&*key, &*value) }))
    }

    /// No record, or why there is none.
    #[cold]
    fn ended(&self) -> Result<Option<(&[u8], &[u8])>> {
        let mut error = std::ptr::null_mut();
        // SAFETY: the iterator lives as long as `self`.
        unsafe { ffi::rocksdb_iter_get_error(self.raw, &raw mut error) };
        taken("iterate", error)?;
        Ok(None)
    }
}

/// # Safety
/// `data` must be readable for `length` bytes for the lifetime that the caller gives it.
unsafe fn slice<'a>(data: *const u8, length: usize) -> &'a [u8] {
    if length == 0 {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(data, length) }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        if self.process.is_current() {
            // SAFETY: destroyed once, before the options, the bounds, the snapshot and the database.
            unsafe {
                ffi::rocksdb_iter_destroy(self.raw);
                ffi::rocksdb_readoptions_destroy(self.reads);
                ManuallyDrop::drop(&mut self._bounds);
            }
        }
    }
}
