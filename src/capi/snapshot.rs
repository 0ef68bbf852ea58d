//! A view of one moment.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use super::argument::{bytes, given, hand_out, place};
use super::bytes::{hand_out_value, pumice_bytes, pumice_names, pumice_value, read_many};
use super::engine::pumice_engine;
use super::error::{call, free, pumice_error, pumice_status};
use super::items::{pumice_items, pumice_range};
use super::namespace::left_ms;
use super::position::pumice_position;
use crate::{Kind, Snapshot, SnapshotNamespace};

/// Data and namespaces as they were together when it was taken, whatever is written or swapped later. It keeps the
/// dataset of that moment on disk: free it when you are done. It may be used from any thread.
pub struct pumice_snapshot(Snapshot);

/// One namespace as a snapshot sees it. It holds what the snapshot holds. It may be used from any thread.
pub struct pumice_snapshot_namespace(pub(super) SnapshotNamespace);

/// A view of data and namespaces as they are at this moment.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_snapshot(
    engine: Option<&pumice_engine>,
    snapshot: Option<&mut MaybeUninit<*mut pumice_snapshot>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(snapshot, "snapshot")?;
        hand_out(place, pumice_snapshot(given(engine, "engine")?.engine.snapshot()?));
        Ok(())
    })
}

/// The position that it shows.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_snapshot_position(snapshot: Option<&pumice_snapshot>) -> pumice_position {
    snapshot.map_or(pumice_position::NOTHING, |snapshot| snapshot.0.position().into())
}

/// Names of the namespaces registered then, the default one first as `__namespace`.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_snapshot_namespaces(
    snapshot: Option<&pumice_snapshot>,
    names: Option<&mut MaybeUninit<*mut pumice_names>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(names, "names")?;
        let names = given(snapshot, "snapshot")?.0.namespaces()?;
        hand_out(place, pumice_names(names.into_iter().map(String::into_bytes).collect()));
        Ok(())
    })
}

/// A namespace that was registered or had data then; PUMICE_NOT_FOUND otherwise.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_snapshot_open_namespace(
    snapshot: Option<&pumice_snapshot>,
    name: *const c_char,
    name_size: usize,
    ns: Option<&mut MaybeUninit<*mut pumice_snapshot_namespace>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(ns, "ns")?;
        // SAFETY: the name is readable for its size.
        let name = unsafe { bytes(name, name_size, "name") }?;
        hand_out(place, pumice_snapshot_namespace(given(snapshot, "snapshot")?.0.namespace(name)?));
        Ok(())
    })
}

/// The default namespace.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_snapshot_default_namespace(
    snapshot: Option<&pumice_snapshot>,
    ns: Option<&mut MaybeUninit<*mut pumice_snapshot_namespace>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(ns, "ns")?;
        hand_out(place, pumice_snapshot_namespace(given(snapshot, "snapshot")?.0.default_namespace()));
        Ok(())
    })
}

/// Frees a snapshot. Its namespaces go on until they are freed.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_snapshot_free(snapshot: Option<Box<pumice_snapshot>>) {
    free(snapshot);
}

/// The value of a string as it was then, where the storage engine keeps it; `*value` is NULL when there was no such key
/// or it expired. Blocks for the disk when the block is not in the cache. PUMICE_WRONG_TYPE when the key is of another
/// type.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_snapshot_namespace_get(
    ns: Option<&pumice_snapshot_namespace>,
    key: *const c_char,
    key_size: usize,
    value: Option<&mut MaybeUninit<*mut pumice_value>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(value, "value")?;
        // SAFETY: the key is readable for its size.
        let key = unsafe { bytes(key, key_size, "key") }?;
        hand_out_value(place, given(ns, "ns")?.0.get(key)?);
        Ok(())
    })
}

/// The values of `count` strings, in the order of the keys, seen at one moment of one dataset: `values` is an array of
/// `count` places, NULL for what is not there, each to be freed. Faster than as many gets. PUMICE_WRONG_TYPE when a key is
/// of another type; then, as on every failure, no value is given.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_snapshot_namespace_get_many(
    ns: Option<&pumice_snapshot_namespace>,
    keys: *const pumice_bytes,
    count: usize,
    values: *mut *mut pumice_value,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        // SAFETY: both arrays have `count` elements, and the keys are readable for their sizes.
        unsafe { read_many(keys, count, values, |keys| given(ns, "ns")?.0.get_many(keys)) }
    })
}

/// The pumice_kind of a key, whatever it is; PUMICE_KIND_NONE when there is no such key.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_snapshot_namespace_kind(
    ns: Option<&pumice_snapshot_namespace>,
    key: *const c_char,
    key_size: usize,
    kind: Option<&mut MaybeUninit<u8>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = given(kind, "kind")?;
        // SAFETY: the key is readable for its size.
        let key = unsafe { bytes(key, key_size, "key") }?;
        place.write(given(ns, "ns")?.0.kind(key)?.unwrap_or(Kind::NONE).number());
        Ok(())
    })
}

/// Whether a key of any type is there.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_snapshot_namespace_exists(
    ns: Option<&pumice_snapshot_namespace>,
    key: *const c_char,
    key_size: usize,
    exists: Option<&mut MaybeUninit<bool>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = given(exists, "exists")?;
        // SAFETY: the key is readable for its size.
        let key = unsafe { bytes(key, key_size, "key") }?;
        place.write(given(ns, "ns")?.0.exists(key)?);
        Ok(())
    })
}

/// How long a key of any type still lives, in milliseconds; PUMICE_TTL_FOREVER when it has no expiry,
/// PUMICE_TTL_MISSING when there is no such key. The expiry is that of then, compared with the clock of now.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_snapshot_namespace_ttl_ms(
    ns: Option<&pumice_snapshot_namespace>,
    key: *const c_char,
    key_size: usize,
    ttl_ms: Option<&mut MaybeUninit<i64>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = given(ttl_ms, "ttl_ms")?;
        // SAFETY: the key is readable for its size.
        let key = unsafe { bytes(key, key_size, "key") }?;
        place.write(left_ms(given(ns, "ns")?.0.ttl(key)?));
        Ok(())
    })
}

/// The keys of a range in order, with the values of strings, as they were then. `range` may be NULL for all keys;
/// it is not needed any more after the call.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_snapshot_namespace_items(
    ns: Option<&pumice_snapshot_namespace>,
    range: Option<&pumice_range>,
    items: Option<&mut MaybeUninit<*mut pumice_items>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(items, "items")?;
        // SAFETY: its pointers are NULL or valid, its bytes readable for their sizes.
        let range = unsafe { pumice_range::get(range) }?;
        hand_out(place, pumice_items::from(given(ns, "ns")?.0.items(&range)?));
        Ok(())
    })
}

/// The exact number of keys. It reads them all: about two million a second.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_snapshot_namespace_count(
    ns: Option<&pumice_snapshot_namespace>,
    count: Option<&mut MaybeUninit<u64>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = given(count, "count")?;
        place.write(given(ns, "ns")?.0.count()?);
        Ok(())
    })
}

/// Whether it has no key. One seek, past keys that have expired.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_snapshot_namespace_is_empty(
    ns: Option<&pumice_snapshot_namespace>,
    is_empty: Option<&mut MaybeUninit<bool>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = given(is_empty, "is_empty")?;
        place.write(given(ns, "ns")?.0.is_empty()?);
        Ok(())
    })
}

/// Its name, lent until the handle is freed; `__namespace` for the default one; without `data` of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_snapshot_namespace_name(ns: Option<&pumice_snapshot_namespace>) -> pumice_bytes {
    pumice_bytes::lend_optional(ns.map(|ns| ns.0.name()))
}

/// Frees the handle.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_snapshot_namespace_free(ns: Option<Box<pumice_snapshot_namespace>>) {
    free(ns);
}
