//! Writes that happen together.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use super::argument::{bytes, given, hand_out, invalid, place};
use super::engine::pumice_engine;
use super::error::{call, free, pumice_error, pumice_status};
use super::namespace::pumice_namespace;
use super::options::pumice_write_options;
use crate::{Batch, Error, Result};

/// A batch of writes to any namespaces of one engine. Nothing happens until it is committed; freed without that, it
/// never was. It becomes one entry of the log. One thread at a time.
pub struct pumice_batch(Option<Batch>);

fn spent() -> Error {
    invalid("batch: it was committed; make another one".to_owned())
}

fn open(batch: Option<&mut pumice_batch>) -> Result<&mut Batch> {
    given(batch, "batch")?.0.as_mut().ok_or_else(spent)
}

/// A batch of writes that happen together or not at all.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_batch(
    engine: Option<&pumice_engine>,
    batch: Option<&mut MaybeUninit<*mut pumice_batch>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(batch, "batch")?;
        hand_out(place, pumice_batch(Some(given(engine, "engine")?.engine.batch())));
        Ok(())
    })
}

/// Adds a string to be stored, over whatever the key was. Of `options`, which may be NULL, the time to live counts, and
/// it counts from now.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_batch_put(
    batch: Option<&mut pumice_batch>,
    ns: Option<&pumice_namespace>,
    key: *const c_char,
    key_size: usize,
    value: *const c_char,
    value_size: usize,
    options: Option<&pumice_write_options>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        // SAFETY: key and value are readable for their sizes.
        let (key, value) = unsafe { (bytes(key, key_size, "key")?, bytes(value, value_size, "value")?) };
        open(batch)?.put_with(&given(ns, "ns")?.0, key, value, &pumice_write_options::or_default(options))
    })
}

/// Adds a deletion of a key of any type; of one that is not there it is nothing.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_batch_delete(
    batch: Option<&mut pumice_batch>,
    ns: Option<&pumice_namespace>,
    key: *const c_char,
    key_size: usize,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        // SAFETY: the key is readable for its size.
        let key = unsafe { bytes(key, key_size, "key") }?;
        open(batch)?.delete(&given(ns, "ns")?.0, key)
    })
}

/// How many writes it holds; 0 when it was committed, and of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_batch_count(batch: Option<&pumice_batch>) -> usize {
    batch.and_then(|batch| batch.0.as_ref()).map_or(0, Batch::len)
}

/// Does all of it, or, with PUMICE_NOT_FOUND when one of its namespaces is gone, nothing. Of `options`, which may be
/// NULL, the durability counts. Either way the batch is spent and only to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_batch_commit(
    batch: Option<&mut pumice_batch>,
    options: Option<&pumice_write_options>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let batch = given(batch, "batch")?.0.take().ok_or_else(spent)?;
        batch.commit(pumice_write_options::or_default(options).sync)
    })
}

/// Frees a batch. What was not committed is discarded.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_batch_free(batch: Option<Box<pumice_batch>>) {
    free(batch);
}
