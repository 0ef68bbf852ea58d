//! One namespace: keys read and written.

use std::ffi::c_char;
use std::mem::MaybeUninit;
use std::time::Duration;

use super::argument::{bytes, given, hand_out, place, text};
use super::bytes::{hand_out_value, pumice_bytes, pumice_value, read_many};
use super::constants::{PUMICE_TTL_FOREVER, PUMICE_TTL_MISSING};
use super::error::{call, free, pumice_error, pumice_status};
use super::items::{pumice_items, pumice_range};
use super::options::pumice_write_options;
use crate::{Kind, Namespace, Ttl};

/// A namespace of an engine. It stays valid across pumice_engine_apply_checkpoint, and answers PUMICE_NOT_FOUND while its
/// namespace does not exist. It may be used from any thread.
///
/// Keys are bytes of any kind, the empty key included, at most 512 MiB long, as values are.
pub struct pumice_namespace(pub Namespace);

/// A time to live as C knows it.
pub fn left_ms(ttl: Ttl) -> i64 {
    match ttl {
        Ttl::Missing => PUMICE_TTL_MISSING,
        Ttl::Forever => PUMICE_TTL_FOREVER,
        Ttl::Left(left) => i64::try_from(left.as_millis()).unwrap_or(i64::MAX),
    }
}

fn tell<T>(place: Option<&mut MaybeUninit<T>>, answer: T) {
    if let Some(place) = place {
        place.write(answer);
    }
}

/// Its token, to be freed; NULL for the default namespace and for an unregistered one.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_namespace_token(
    ns: Option<&pumice_namespace>,
    token: Option<&mut MaybeUninit<*mut pumice_value>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(token, "token")?;
        hand_out_value(place, given(ns, "ns")?.0.token()?.map(String::into_bytes));
        Ok(())
    })
}

/// Gives it another token. One write, alone in its log record. PUMICE_ALREADY_EXISTS when another namespace has the
/// token; PUMICE_INVALID_ARGUMENT for the default namespace, which has none, and for an empty token.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_namespace_set_token(
    ns: Option<&pumice_namespace>,
    token: *const c_char,
    token_size: usize,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        // SAFETY: the token is readable for its size.
        let token = unsafe { text(token, token_size, "token") }?;
        given(ns, "ns")?.0.set_token(token)
    })
}

/// Stores a string, over whatever the key was. `options` may be NULL: for ever, durable as the engine was opened.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_namespace_put(
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
        given(ns, "ns")?.0.put_with(key, value, &pumice_write_options::or_default(options))
    })
}

/// Stores a string only if the key holds `expected` now, or with NULL only if there is no such key. No other write comes
/// between the look and the write. `options` may be NULL. PUMICE_WRONG_TYPE when a value is expected of a key of another
/// type.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_namespace_put_if(
    ns: Option<&pumice_namespace>,
    key: *const c_char,
    key_size: usize,
    value: *const c_char,
    value_size: usize,
    expected: Option<&pumice_bytes>,
    options: Option<&pumice_write_options>,
    stored: Option<&mut MaybeUninit<bool>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = given(stored, "stored")?;
        // SAFETY: key, value and what is expected are readable for their sizes.
        let (key, value, expected) = unsafe {
            let expected = expected.map(|expected| expected.get("expected")).transpose()?;
            (bytes(key, key_size, "key")?, bytes(value, value_size, "value")?, expected)
        };
        let options = pumice_write_options::or_default(options);
        place.write(given(ns, "ns")?.0.put_if_with(key, value, expected, &options)?);
        Ok(())
    })
}

/// Deletes a key of any type. Of `options`, which may be NULL, the durability counts. `deleted`, which may be NULL,
/// receives whether it was there.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_namespace_delete(
    ns: Option<&pumice_namespace>,
    key: *const c_char,
    key_size: usize,
    options: Option<&pumice_write_options>,
    deleted: Option<&mut MaybeUninit<bool>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        // SAFETY: the key is readable for its size.
        let key = unsafe { bytes(key, key_size, "key") }?;
        let found = given(ns, "ns")?.0.delete_with(key, &pumice_write_options::or_default(options))?;
        tell(deleted, found);
        Ok(())
    })
}

/// Lets a key of any type expire after `ttl_ms`, at least 1. `found`, which may be NULL, receives whether there is such a
/// key. Durable as the engine was opened.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_namespace_expire(
    ns: Option<&pumice_namespace>,
    key: *const c_char,
    key_size: usize,
    ttl_ms: u64,
    found: Option<&mut MaybeUninit<bool>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        // SAFETY: the key is readable for its size.
        let key = unsafe { bytes(key, key_size, "key") }?;
        let there = given(ns, "ns")?.0.expire(key, Duration::from_millis(ttl_ms))?;
        tell(found, there);
        Ok(())
    })
}

/// Takes the expiry off a key. `changed`, which may be NULL, receives false when there is no such key, or it had none.
/// Durable as the engine was opened.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_namespace_persist(
    ns: Option<&pumice_namespace>,
    key: *const c_char,
    key_size: usize,
    changed: Option<&mut MaybeUninit<bool>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        // SAFETY: the key is readable for its size.
        let key = unsafe { bytes(key, key_size, "key") }?;
        let done = given(ns, "ns")?.0.persist(key)?;
        tell(changed, done);
        Ok(())
    })
}

/// Deletes all keys: one range delete, whatever their number. Durable as the engine was opened.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_namespace_clear(
    ns: Option<&pumice_namespace>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || given(ns, "ns")?.0.clear())
}

/// The value of a string, where the storage engine keeps it; `*value` is NULL when there is no such key or it
/// expired. Blocks for the disk when the block is not in the cache. PUMICE_WRONG_TYPE when the key is of another type.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_namespace_get(
    ns: Option<&pumice_namespace>,
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
pub extern "C" fn pumice_namespace_get_many(
    ns: Option<&pumice_namespace>,
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
pub extern "C" fn pumice_namespace_kind(
    ns: Option<&pumice_namespace>,
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
pub extern "C" fn pumice_namespace_exists(
    ns: Option<&pumice_namespace>,
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
/// PUMICE_TTL_MISSING when there is no such key.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_namespace_ttl_ms(
    ns: Option<&pumice_namespace>,
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

/// The keys of a range in order, with the values of strings, as they are at this moment. `range` may be NULL for all keys;
/// it is not needed any more after the call.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_namespace_items(
    ns: Option<&pumice_namespace>,
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
pub extern "C" fn pumice_namespace_count(
    ns: Option<&pumice_namespace>,
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
pub extern "C" fn pumice_namespace_is_empty(
    ns: Option<&pumice_namespace>,
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
pub extern "C" fn pumice_namespace_name(ns: Option<&pumice_namespace>) -> pumice_bytes {
    pumice_bytes::lend_optional(ns.map(|ns| ns.0.name()))
}

/// Frees the handle.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_namespace_free(ns: Option<Box<pumice_namespace>>) {
    free(ns);
}
