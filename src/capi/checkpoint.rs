//! Whole datasets out and in.

use std::ffi::{CString, c_char, c_void};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;

use super::argument::{given, hand_out, path, place};
use super::engine::pumice_engine;
use super::error::{call, free, pumice_error, pumice_status};
use super::position::pumice_position;
use super::progress::{pumice_progress_callback, tell};
use crate::Checkpoint;

/// A checkpoint that was made.
pub struct pumice_checkpoint {
    checkpoint: Checkpoint,
    path: CString,
}

/// Makes a checkpoint of the whole dataset in a folder that does not exist yet: hard links of the SST files where the
/// file system allows, a copy of the rest, and a sync manifest with size and crc32c of every file, which a Kvrocks
/// ignores. Writers wait while links are made; every file is read once for its checksum. `progress` and `checkpoint`
/// may be NULL.
///
/// PUMICE_ALREADY_EXISTS for the folder; PUMICE_UNSUPPORTED when the engine is read-only; PUMICE_BUSY when `progress`
/// cancelled it, which leaves nothing.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_create_checkpoint(
    engine: Option<&pumice_engine>,
    path: *const c_char,
    progress: pumice_progress_callback,
    user_data: *mut c_void,
    checkpoint: Option<&mut MaybeUninit<*mut pumice_checkpoint>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = checkpoint.map(|checkpoint| place(Some(checkpoint), "checkpoint")).transpose()?;
        // SAFETY: the path is NULL or a C string.
        let path = unsafe { self::path(path) }?;
        let engine = &given(engine, "engine")?.engine;
        let made = engine.create_checkpoint_watched(path, &mut |now| tell(progress, user_data, now))?;
        if let Some(place) = place {
            let path = CString::new(made.path.as_os_str().as_bytes()).unwrap_or_default();
            hand_out(place, pumice_checkpoint { checkpoint: made, path });
        }
        Ok(())
    })
}

/// The folder that holds it, lent until it is freed; NULL of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_checkpoint_path(checkpoint: Option<&pumice_checkpoint>) -> *const c_char {
    checkpoint.map_or(std::ptr::null(), |checkpoint| checkpoint.path.as_ptr())
}

/// The position of its data.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_checkpoint_position(checkpoint: Option<&pumice_checkpoint>) -> pumice_position {
    checkpoint.map_or(pumice_position::NOTHING, |checkpoint| (&checkpoint.checkpoint.position).into())
}

/// How many files it has, the sync manifest not counted.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_checkpoint_files(checkpoint: Option<&pumice_checkpoint>) -> u64 {
    checkpoint.map_or(0, |checkpoint| checkpoint.checkpoint.files)
}

/// How many bytes they have.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_checkpoint_bytes(checkpoint: Option<&pumice_checkpoint>) -> u64 {
    checkpoint.map_or(0, |checkpoint| checkpoint.checkpoint.bytes)
}

/// Frees what is known of the checkpoint. Its folder stays.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_checkpoint_free(checkpoint: Option<Box<pumice_checkpoint>>) {
    free(checkpoint);
}

/// Replaces the whole dataset, data and namespaces as one, with that of a checkpoint: one made by
/// pumice_engine_create_checkpoint, or the `backup` or `db` folder of a Kvrocks. The folder is only read.
///
/// Readers never wait and never fail: each call sees the old dataset or the new one, whole. Open snapshots and
/// iterators finish on the old one. Handles of namespaces stay valid; where the namespace is gone they answer
/// PUMICE_NOT_FOUND. On disk the change is one rename, durable on return: a crash leaves the old dataset or the new one.
/// A replica then stands at the checkpoint's position; a primary starts a history of its own there.
///
/// SST files are linked where the file system allows, else copied. With a sync manifest every file is compared with it;
/// `verify` reads every data block by RocksDB's own checksums before the swap, for checkpoints without one. Costs one
/// read of the checkpoint, and twice the open files while both datasets are open. `progress` may be NULL.
///
/// Each failure leaves the old dataset as it was: PUMICE_NOT_FOUND and PUMICE_INVALID_ARGUMENT for the folder or another
/// key layout; PUMICE_CORRUPTION naming the file; PUMICE_BUSY when a server has the folder open, another apply runs, or
/// `progress` cancelled it; PUMICE_IO.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_apply_checkpoint(
    engine: Option<&pumice_engine>,
    path: *const c_char,
    verify: bool,
    progress: pumice_progress_callback,
    user_data: *mut c_void,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        // SAFETY: the path is NULL or a C string.
        let path = unsafe { self::path(path) }?;
        let engine = &given(engine, "engine")?.engine;
        engine.apply_checkpoint_watched(path, verify, &mut |now| tell(progress, user_data, now))
    })
}
