//! What a caller hands in, checked before it is used.

use std::ffi::{CStr, OsStr, c_char};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::{Error, ErrorKind, Result};

#[cold]
pub fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidArgument, message)
}

#[cold]
fn null(what: &str) -> Error {
    invalid(format!("{what}: got NULL, expected a valid pointer"))
}

/// A handle or a place that must be there.
#[inline]
pub fn given<T>(pointer: Option<T>, what: &str) -> Result<T> {
    pointer.ok_or_else(|| null(what))
}

/// A place for a handle; it holds NULL until the call succeeds.
#[inline]
pub fn place<'a, T>(place: Option<&'a mut MaybeUninit<*mut T>>, what: &str) -> Result<&'a mut MaybeUninit<*mut T>> {
    let place = given(place, what)?;
    place.write(std::ptr::null_mut());
    Ok(place)
}

/// Gives a handle to the caller, who frees it.
#[inline]
pub fn hand_out<T>(place: &mut MaybeUninit<*mut T>, handle: T) {
    place.write(Box::into_raw(Box::new(handle)));
}

/// Bytes of the caller; NULL is empty when the size is 0.
///
/// # Safety
/// `data` is NULL or readable for `size` bytes, for as long as the result is used.
#[inline]
pub unsafe fn bytes<'a>(data: *const c_char, size: usize, what: &str) -> Result<&'a [u8]> {
    // SAFETY: the caller's promise.
    unsafe { array(data.cast(), size, what) }
}

/// An array of the caller; NULL is empty when the count is 0.
///
/// # Safety
/// `data` is NULL or readable for `count` elements, for as long as the result is used.
#[inline]
pub unsafe fn array<'a, T>(data: *const T, count: usize, what: &str) -> Result<&'a [T]> {
    if count == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(null(what));
    }
    check_count::<T>(count, what)?;
    // SAFETY: the caller's promise; it is neither NULL nor larger than memory can be.
    Ok(unsafe { std::slice::from_raw_parts(data, count) })
}

/// An array of the caller to be filled.
///
/// # Safety
/// `data` is NULL or writable for `count` elements, by nobody else for as long as the result is used.
pub unsafe fn places<'a, T>(data: *mut T, count: usize, what: &str) -> Result<&'a mut [MaybeUninit<T>]> {
    if count == 0 {
        return Ok(&mut []);
    }
    if data.is_null() {
        return Err(null(what));
    }
    check_count::<T>(count, what)?;
    // SAFETY: the caller's promise; it is neither NULL nor larger than memory can be.
    Ok(unsafe { std::slice::from_raw_parts_mut(data.cast(), count) })
}

#[inline]
fn check_count<T>(count: usize, what: &str) -> Result<()> {
    let most = isize::MAX as usize / size_of::<T>();
    if count > most {
        return Err(invalid(format!("{what}: got a size of {count}, expected at most {most}")));
    }
    Ok(())
}

/// UTF-8 of the caller.
///
/// # Safety
/// As of [`bytes`].
pub unsafe fn text<'a>(data: *const c_char, size: usize, what: &str) -> Result<&'a str> {
    // SAFETY: the caller's promise.
    utf8(unsafe { bytes(data, size, what) }?, what)
}

/// Text that C holds as bytes. The message does not show it: it may be a token.
pub fn utf8<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str> {
    std::str::from_utf8(bytes).map_err(|_| invalid(format!("{what}: got bytes that are not UTF-8")))
}

/// UTF-8 of the caller, which ends in NUL.
///
/// # Safety
/// `text` is NULL or a C string, for as long as the result is used.
pub unsafe fn c_string<'a>(text: *const c_char, what: &str) -> Result<&'a str> {
    if text.is_null() {
        return Err(null(what));
    }
    // SAFETY: the caller's promise.
    utf8(unsafe { CStr::from_ptr(text) }.to_bytes(), what)
}

/// A path of the caller, which ends in NUL.
///
/// # Safety
/// `path` is NULL or a C string, for as long as the result is used.
pub unsafe fn path<'a>(path: *const c_char) -> Result<&'a Path> {
    // SAFETY: the caller's promise.
    unsafe { named_path(path, "path") }
}

/// One of several paths.
///
/// # Safety
/// As of [`path`].
pub unsafe fn named_path<'a>(path: *const c_char, what: &str) -> Result<&'a Path> {
    if path.is_null() {
        return Err(null(what));
    }
    // SAFETY: the caller's promise.
    Ok(Path::new(OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes())))
}
