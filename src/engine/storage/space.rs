//! Space that deleted records take: how much it is, and giving it back.

use std::sync::Arc;

use librocksdb_sys as ffi;
use parking_lot::RwLockWriteGuard;
use rocksdb::AsColumnFamilyRef;

use super::db::{Db, taken};
use crate::engine::error::Result;

/// While it lives, what was written since it was taken stays in the memtables that it was written to.
///
/// RocksDB changes memtables by itself only at the beginning of a write: so a second write ends what this promises of the
/// first.
pub struct HeldMemtables<'a> {
    _flushes: RwLockWriteGuard<'a, ()>,
}

impl Db {
    /// Holds off flushes; `None` while one runs, or where RocksDB flushes on its own to get over a failure.
    pub fn hold_memtables(&self) -> Option<HeldMemtables<'_>> {
        let flushes = self.flushes.try_write()?;
        (self.shared_property("rocksdb.background-errors") == 0).then_some(HeldMemtables { _flushes: flushes })
    }

    /// Deletes the files that hold nothing but records of `[begin, end)`, all of which must be deleted by a range that
    /// the held memtables have, and that no snapshot sees.
    ///
    /// RocksDB asks neither: it would take newer records too, and if that range delete were in one of the files, then
    /// what it covers in others would be there again. In held memtables it is safe, as is all that is newer.
    pub fn delete_files(&self, _held: &HeldMemtables<'_>, family: u32, begin: &[u8], end: &[u8]) -> Result<()> {
        let Some(last) = below(end).filter(|last| begin <= last.as_slice()) else { return Ok(()) };
        let mut error = std::ptr::null_mut();
        // SAFETY: the keys outlive the call.
        unsafe {
            ffi::rocksdb_delete_file_in_range_cf(
                self.raw(),
                self.family(family).inner(),
                begin.as_ptr().cast(),
                begin.len(),
                last.as_ptr().cast(),
                last.len(),
                &raw mut error,
            );
        }
        taken("delete files", error)
    }

    /// About how many bytes `[begin, end)` takes in the files of a family.
    pub fn file_bytes(&self, family: u32, begin: &[u8], end: &[u8]) -> u64 {
        let (mut bytes, mut error) = (0, std::ptr::null_mut());
        let (begins, begin_lengths) = ([begin.as_ptr().cast()], [begin.len()]);
        let (ends, end_lengths) = ([end.as_ptr().cast()], [end.len()]);
        // SAFETY: one range in, one number out.
        unsafe {
            ffi::rocksdb_approximate_sizes_cf(
                self.raw(),
                self.family(family).inner(),
                1,
                begins.as_ptr(),
                begin_lengths.as_ptr(),
                ends.as_ptr(),
                end_lengths.as_ptr(),
                &raw mut bytes,
                &raw mut error,
            );
        }
        if taken("estimate a size", error).is_err() || bytes == 0 {
            return 0;
        }
        let of = |name| self.rocks().property_int_value_cf(self.family(family), name).ok().flatten().unwrap_or(0);
        // RocksDB counts only tables, which may have as little as the places of values in blob files.
        let (tables, blobs) = (of("rocksdb.total-sst-files-size").max(1), of("rocksdb.total-blob-file-size"));
        (u128::from(bytes) * u128::from(tables + blobs) / u128::from(tables)) as u64
    }

    /// Rewrites the files that have something in a range, all levels into one, without what is deleted. Blocks until that
    /// is done, or [`Db::stop_compactions`].
    pub fn compact(&self, family: u32, begin: Option<&[u8]>, end: Option<&[u8]>) {
        // It begins with a flush.
        let _flushes = self.flushes.read();
        let (begin, end) = (begin.unwrap_or_default(), end.unwrap_or_default());
        let of = |key: &[u8]| if key.is_empty() { std::ptr::null() } else { key.as_ptr().cast() };
        // SAFETY: keys and options outlive the call. Without a key the range has no end there.
        unsafe {
            let options = ffi::rocksdb_compactoptions_create();
            // Writes go on, and what they make necessary is compacted in between.
            ffi::rocksdb_compactoptions_set_exclusive_manual_compaction(options, 0);
            ffi::rocksdb_compact_range_cf_opt(
                self.raw(),
                self.family(family).inner(),
                options,
                of(begin),
                begin.len(),
                of(end),
                end.len(),
            );
            ffi::rocksdb_compactoptions_destroy(options);
        }
    }

    /// Ends the compactions that [`Db::compact`] runs, and refuses later ones.
    pub fn stop_compactions(&self) {
        // SAFETY: the database is open while `self` lives.
        unsafe { ffi::rocksdb_disable_manual_compaction(self.raw()) };
    }

    /// How many snapshots are open.
    pub fn snapshots(&self) -> usize {
        self.filters.snapshots()
    }

    /// Whether no open snapshot is as old as `sequence`, or older.
    pub fn is_unseen(self: &Arc<Self>, sequence: u64) -> bool {
        self.snapshots() == 0 || self.shared_property("rocksdb.oldest-snapshot-sequence") > sequence
    }
}

/// A key below `end` with hardly any between the two: RocksDB counts the last key of a range in.
fn below(end: &[u8]) -> Option<Vec<u8>> {
    const LONG: usize = 64;
    let (&last, rest) = end.split_last()?;
    let mut below = rest.to_vec();
    if let Some(less) = last.checked_sub(1) {
        below.push(less);
        below.extend([0xFF; LONG]);
    }
    Some(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last key that is counted in is below the end of a range, and above what the range has.
    #[test]
    fn just_below() {
        for (end, inside) in [(&b"\x05usert"[..], &b"\x05users\xff\xff"[..]), (b"a\0", b"a"), (b"\x01", b"\0\xff")] {
            let below = below(end).unwrap();
            assert!(below.as_slice() < end && inside <= below.as_slice(), "{end:?}");
        }
        assert_eq!(below(b""), None);
    }
}
