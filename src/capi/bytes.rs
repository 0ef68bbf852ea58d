//! Bytes that are lent, and bytes that are given.

use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;

use super::argument::{self, invalid};
use super::error::free;
use crate::{Result, Value};

/// Bytes that somebody else owns. `data` is NULL for what is not there; empty bytes that are there have a `data`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pumice_bytes {
    pub data: *const c_char,
    pub size: usize,
}

impl pumice_bytes {
    /// Nothing.
    pub const NONE: pumice_bytes = pumice_bytes { data: std::ptr::null(), size: 0 };

    /// Lends bytes to C, for as long as they stay where they are.
    #[inline]
    pub fn lend(bytes: &[u8]) -> pumice_bytes {
        let data = if bytes.is_empty() { c"".as_ptr() } else { bytes.as_ptr().cast() };
        pumice_bytes { data, size: bytes.len() }
    }

    pub fn lend_optional(bytes: Option<&[u8]>) -> pumice_bytes {
        bytes.map_or(pumice_bytes::NONE, pumice_bytes::lend)
    }

    /// The bytes that C lends to us.
    ///
    /// # Safety
    /// `data` is NULL or readable for `size` bytes, for as long as the result is used.
    #[inline]
    pub unsafe fn get<'a>(&self, what: &str) -> Result<&'a [u8]> {
        // SAFETY: the caller's promise.
        unsafe { argument::bytes(self.data, self.size, what) }
    }
}

/// Text as C keeps it; a NUL in it, which a peer may have sent, is shown.
pub fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "\\0")).unwrap_or_default()
}

/// Text that may be missing, lent for as long as it stays where it is.
pub fn lend_text(text: Option<&CString>) -> *const c_char {
    text.map_or(std::ptr::null(), |text| text.as_ptr())
}

/// Bytes that you own, where the storage engine keeps them where it can. A value holds the dataset that it is of: read
/// it and free it.
pub struct pumice_value {
    data: *const c_char,
    size: usize,
    _owner: Owner,
}

#[expect(dead_code, reason = "kept for the bytes that the value shows")]
enum Owner {
    Pinned(Value),
    Bytes(Vec<u8>),
}

impl From<Value> for pumice_value {
    #[inline]
    fn from(value: Value) -> pumice_value {
        let pumice_bytes { data, size } = pumice_bytes::lend(&value);
        pumice_value { data, size, _owner: Owner::Pinned(value) }
    }
}

impl From<Vec<u8>> for pumice_value {
    fn from(bytes: Vec<u8>) -> pumice_value {
        let pumice_bytes { data, size } = pumice_bytes::lend(&bytes);
        pumice_value { data, size, _owner: Owner::Bytes(bytes) }
    }
}

/// Gives a value to the caller, or leaves NULL.
#[inline]
pub fn hand_out_value(place: &mut MaybeUninit<*mut pumice_value>, value: Option<impl Into<pumice_value>>) {
    if let Some(value) = value {
        place.write(Box::into_raw(Box::new(value.into())));
    }
}

/// The bytes of a value, lent until it is freed; never NULL but of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_value_data(value: Option<&pumice_value>) -> *const c_char {
    value.map_or(std::ptr::null(), |value| value.data)
}

/// How many bytes a value has; 0 of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_value_size(value: Option<&pumice_value>) -> usize {
    value.map_or(0, |value| value.size)
}

/// Frees a value.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_value_free(value: Option<Box<pumice_value>>) {
    free(value);
}

/// Reads many values with `read`, which is given the keys, and hands them out in their order.
///
/// # Safety
/// `keys` and `values` are NULL or arrays of `count` elements; each of the keys is NULL or readable for its size.
pub unsafe fn read_many(
    keys: *const pumice_bytes,
    count: usize,
    values: *mut *mut pumice_value,
    read: impl FnOnce(&[&[u8]]) -> Result<Vec<Option<Value>>>,
) -> Result<()> {
    // SAFETY: the caller's promise.
    let (values, keys) = unsafe { (argument::places(values, count, "values")?, argument::array(keys, count, "keys")?) };
    for place in values.iter_mut() {
        place.write(std::ptr::null_mut());
    }
    // SAFETY: the caller's promise.
    let keys = keys.iter().map(|key| unsafe { key.get("key") }).collect::<Result<Vec<_>>>()?;
    let found = read(&keys)?;
    if found.len() != count {
        return Err(invalid(format!("values: got {} for {count} keys", found.len())));
    }
    for (place, value) in values.iter_mut().zip(found) {
        hand_out_value(place, value);
    }
    Ok(())
}

/// A list of names.
pub struct pumice_names(pub Vec<Vec<u8>>);

/// How many names there are; 0 of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_names_count(names: Option<&pumice_names>) -> usize {
    names.map_or(0, |names| names.0.len())
}

/// A name, lent until the list is freed; without `data` when there is none at that index.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_names_at(names: Option<&pumice_names>, index: usize) -> pumice_bytes {
    pumice_bytes::lend_optional(names.and_then(|names| names.0.get(index)).map(Vec::as_slice))
}

/// Frees a list of names.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_names_free(names: Option<Box<pumice_names>>) {
    free(names);
}
