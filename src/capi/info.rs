//! Figures of an engine.

use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;

use super::argument::{given, hand_out, place};
use super::constants::{PUMICE_UNKNOWN, pumice_role};
use super::engine::pumice_engine;
use super::error::{call, free, pumice_error, pumice_status};
use super::link::milliseconds;
use super::position::pumice_position;
use crate::Info;

/// Figures of one moment. Sizes are bytes. Of NULL every figure is 0, every text NULL.
pub struct pumice_info {
    info: Info,
    path: CString,
    layout: CString,
    refuses_writes: Option<CString>,
}

impl From<Info> for pumice_info {
    fn from(info: Info) -> pumice_info {
        let text = |bytes: &[u8]| CString::new(bytes).unwrap_or_default();
        pumice_info {
            path: text(info.path.as_os_str().as_bytes()),
            layout: text(info.layout.as_bytes()),
            refuses_writes: info.refuses_writes.as_deref().map(|why| text(why.as_bytes())),
            info,
        }
    }
}

/// Figures of this moment.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_info(
    engine: Option<&pumice_engine>,
    info: Option<&mut MaybeUninit<*mut pumice_info>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(info, "info")?;
        hand_out(place, pumice_info::from(given(engine, "engine")?.engine.info()?));
        Ok(())
    })
}

/// The data directory, lent until the figures are freed.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_info_path(info: Option<&pumice_info>) -> *const c_char {
    info.map_or(std::ptr::null(), |info| info.path.as_ptr())
}

/// What the engine is; PUMICE_ROLE_DETACHED of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_info_role(info: Option<&pumice_info>) -> pumice_role {
    info.map_or(pumice_role::PUMICE_ROLE_DETACHED, |info| info.info.role.into())
}

/// Where its data is.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_info_position(info: Option<&pumice_info>) -> pumice_position {
    info.map_or(pumice_position::NOTHING, |info| (&info.info.position).into())
}

/// `standalone` or `cluster`, lent until the figures are freed.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_info_layout(info: Option<&pumice_info>) -> *const c_char {
    info.map_or(std::ptr::null(), |info| info.layout.as_ptr())
}

/// Why writes are refused, where they are refused whatever the role, lent until the figures are freed; else NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_info_refuses_writes(info: Option<&pumice_info>) -> *const c_char {
    info.and_then(|info| info.refuses_writes.as_ref()).map_or(std::ptr::null(), |why| why.as_ptr())
}

/// The number of the current generation, 0 for a plain `db` folder read in place.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_info_generation(info: Option<&pumice_info>) -> u64 {
    info.map_or(0, |info| info.info.generation)
}

/// Registered namespaces, the default one not counted.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_info_namespaces(info: Option<&pumice_info>) -> u64 {
    info.map_or(0, |info| info.info.namespaces)
}

/// RocksDB's estimate of the records in all column families.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_info_records_estimate(info: Option<&pumice_info>) -> u64 {
    info.map_or(0, |info| info.info.records_estimate)
}

/// Number of SST files.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_info_table_files(info: Option<&pumice_info>) -> u64 {
    info.map_or(0, |info| info.info.table_files)
}

/// Size of the SST files.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_info_table_bytes(info: Option<&pumice_info>) -> u64 {
    info.map_or(0, |info| info.info.table_bytes)
}

/// Size of the blob files.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_info_blob_bytes(info: Option<&pumice_info>) -> u64 {
    info.map_or(0, |info| info.info.blob_bytes)
}

/// The first sequence that the replication log still has, 0 when it has none.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_info_oldest_sequence(info: Option<&pumice_info>) -> u64 {
    info.map_or(0, |info| info.info.oldest_sequence)
}

/// What cache and write buffers may take together.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_info_memory_budget(info: Option<&pumice_info>) -> u64 {
    info.map_or(0, |info| info.info.memory_budget)
}

/// What the block cache takes, write buffers included.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_info_cache_bytes(info: Option<&pumice_info>) -> u64 {
    info.map_or(0, |info| info.info.cache_bytes)
}

/// What write buffers take.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_info_write_buffer_bytes(info: Option<&pumice_info>) -> u64 {
    info.map_or(0, |info| info.info.write_buffer_bytes)
}

/// What table readers take outside the cache.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_info_table_reader_bytes(info: Option<&pumice_info>) -> u64 {
    info.map_or(0, |info| info.info.table_reader_bytes)
}

/// Open snapshots.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_info_snapshots(info: Option<&pumice_info>) -> u64 {
    info.map_or(0, |info| info.info.snapshots)
}

/// Replicas that are fed.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_info_feeds(info: Option<&pumice_info>) -> u64 {
    info.map_or(0, |info| info.info.feeds)
}

/// How many sequences the primary was ahead when it last told; PUMICE_UNKNOWN where nobody is followed or it did not.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_info_lag_sequences(info: Option<&pumice_info>) -> u64 {
    info.map_or(0, |info| info.info.lag_sequences.unwrap_or(PUMICE_UNKNOWN))
}

/// How long ago this replica last had everything, 0 when it has; PUMICE_UNKNOWN where nobody is followed or it never had.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_info_lag_ms(info: Option<&pumice_info>) -> u64 {
    info.map_or(0, |info| milliseconds(info.info.lag))
}

/// Frees figures.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_info_free(info: Option<Box<pumice_info>>) {
    free(info);
}
