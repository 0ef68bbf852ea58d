//! The replication log: entries out, entries in.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::time::Duration;

use super::argument::{bytes, given, hand_out, place, text};
use super::bytes::{hand_out_value, pumice_bytes, pumice_value};
use super::engine::pumice_engine;
use super::error::{call, free, pumice_error, pumice_status};
use super::position::{id_for_c, pumice_position};
use crate::{Entry, Log};

/// A reader of the log, from one position on. It goes on across pumice_engine_apply_checkpoint when its position is in
/// the new history, and says so when it is not. One thread at a time.
pub struct pumice_log(Log);

/// One committed batch with its sequence numbers and the history that it continues. It holds nothing of the engine, and
/// may be used from any thread.
pub struct pumice_entry {
    pub entry: Entry,
    replication_id: [c_char; 17],
}

impl From<Entry> for pumice_entry {
    fn from(entry: Entry) -> pumice_entry {
        pumice_entry { replication_id: id_for_c(&entry.replication_id), entry }
    }
}

/// A reader of the entries after a position, or, with NULL, of all that are still kept. PUMICE_DIVERGED when the position
/// is not in this history.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_log(
    engine: Option<&pumice_engine>,
    after: Option<&pumice_position>,
    log: Option<&mut MaybeUninit<*mut pumice_log>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(log, "log")?;
        let after = after.map(pumice_position::get).transpose()?;
        hand_out(place, pumice_log(given(engine, "engine")?.engine.log(after.as_ref())?));
        Ok(())
    })
}

/// The next entry, waiting up to `wait_ms` for it to be written; 0 does not wait. `*entry` is NULL at the end of the log for
/// now. A close of the engine ends the wait with PUMICE_CLOSED. PUMICE_NOT_FOUND: the log no longer reaches back to the
/// position. PUMICE_DIVERGED: the position is not in this history. Both need a full sync.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_log_next(
    log: Option<&mut pumice_log>,
    wait_ms: u64,
    entry: Option<&mut MaybeUninit<*mut pumice_entry>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(entry, "entry")?;
        let wait = (wait_ms > 0).then(|| Duration::from_millis(wait_ms));
        if let Some(entry) = given(log, "log")?.0.next_entry(wait)? {
            hand_out(place, pumice_entry::from(entry));
        }
        Ok(())
    })
}

/// Where the reader is: behind the last entry that it gave.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_log_position(log: Option<&pumice_log>) -> pumice_position {
    log.map_or(pumice_position::NOTHING, |log| log.0.position().into())
}

/// Frees a reader.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_log_free(log: Option<Box<pumice_log>>) {
    free(log);
}

/// An entry of a batch, which is checked and names the sequence numbers. `replication_id` is the one before it, empty for
/// none; `cluster` says whether its keys are in the cluster layout. PUMICE_CORRUPTION or PUMICE_UNSUPPORTED when the bytes
/// are not a batch that a primary writes.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_entry_new(
    replication_id: *const c_char,
    replication_id_size: usize,
    cluster: bool,
    batch: *const c_char,
    batch_size: usize,
    entry: Option<&mut MaybeUninit<*mut pumice_entry>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(entry, "entry")?;
        // SAFETY: id and batch are readable for their sizes.
        let (id, batch) = unsafe {
            let id = text(replication_id, replication_id_size, "replication id")?;
            (id, bytes(batch, batch_size, "batch")?)
        };
        hand_out(place, pumice_entry::from(Entry::new(id, cluster, batch.into())?));
        Ok(())
    })
}

/// Reads an entry from what pumice_entry_encode gave, and checks it, its batch included. PUMICE_CORRUPTION when the bytes
/// are not what was written.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_entry_decode(
    data: *const c_char,
    size: usize,
    entry: Option<&mut MaybeUninit<*mut pumice_entry>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(entry, "entry")?;
        // SAFETY: the data is readable for its size.
        let data = unsafe { bytes(data, size, "data") }?;
        hand_out(place, pumice_entry::from(Entry::decode(data)?));
        Ok(())
    })
}

/// The entry as bytes, to be stored or sent, and freed.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_entry_encode(
    entry: Option<&pumice_entry>,
    encoded: Option<&mut MaybeUninit<*mut pumice_value>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(encoded, "encoded")?;
        hand_out_value(place, Some(given(entry, "entry")?.entry.encode()));
        Ok(())
    })
}

/// The replication id before the batch, empty when the directory had none, lent until the entry is freed; NULL of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_entry_replication_id(entry: Option<&pumice_entry>) -> *const c_char {
    entry.map_or(std::ptr::null(), |entry| entry.replication_id.as_ptr())
}

/// The sequence number of its first record; 0 of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_entry_first(entry: Option<&pumice_entry>) -> u64 {
    entry.map_or(0, |entry| entry.entry.first)
}

/// The sequence number of its last record; 0 of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_entry_last(entry: Option<&pumice_entry>) -> u64 {
    entry.map_or(0, |entry| entry.entry.last)
}

/// Whether its keys are in the cluster layout; false of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_entry_cluster(entry: Option<&pumice_entry>) -> bool {
    entry.is_some_and(|entry| entry.entry.cluster)
}

/// The batch, as RocksDB and Kvrocks know it, lent until the entry is freed; without `data` of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_entry_batch(entry: Option<&pumice_entry>) -> pumice_bytes {
    pumice_bytes::lend_optional(entry.map(|entry| &*entry.entry.bytes))
}

/// Frees an entry.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_entry_free(entry: Option<Box<pumice_entry>>) {
    free(entry);
}

/// Writes an entry of the primary into this replica, byte for byte, at its place. It survives a killed process on return;
/// pumice_engine_flush makes it survive a power cut.
///
/// Nothing is written on PUMICE_DIVERGED, when the entry follows another history; PUMICE_INVALID_ARGUMENT, when it is not
/// the next one, or this is not a replica; PUMICE_CORRUPTION or PUMICE_UNSUPPORTED, when its bytes are not a batch that a
/// primary writes.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_apply(
    engine: Option<&pumice_engine>,
    entry: Option<&pumice_entry>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || given(engine, "engine")?.engine.apply(&given(entry, "entry")?.entry))
}
