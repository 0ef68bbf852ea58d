//! One option that a caller sets, the same way for every kind of options.

use std::ffi::c_char;
use std::mem::MaybeUninit;

use super::argument::{c_string, given, invalid, named_path, text};
use super::constants;
use super::error::{call, pumice_error, pumice_status};
use crate::{Compression, Result, TlsClient};

/// Changes options that must be there.
pub fn set<T>(
    options: Option<&mut T>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
    change: impl FnOnce(&mut T),
) -> pumice_status {
    try_set(options, error, |options| {
        change(options);
        Ok(())
    })
}

/// As [`set`], by what must be checked first.
pub fn try_set<T>(
    options: Option<&mut T>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
    change: impl FnOnce(&mut T) -> Result<()>,
) -> pumice_status {
    call(error, || change(given(options, "options")?))
}

/// A pumice_compression.
pub fn compression(number: i32) -> Result<Compression> {
    constants::compression(number)
        .ok_or_else(|| invalid(format!("compression: got {number}, expected a pumice_compression")))
}

/// # Safety
/// The password is readable for its size.
pub unsafe fn set_password(place: &mut Option<String>, password: *const c_char, size: usize) -> Result<()> {
    // SAFETY: the caller's promise.
    *place = Some(unsafe { text(password, size, "password") }?.to_owned());
    Ok(())
}

/// # Safety
/// The path is NULL or a C string.
pub unsafe fn set_ca(tls: &mut Option<TlsClient>, ca: *const c_char) -> Result<()> {
    // SAFETY: the caller's promise.
    tls.get_or_insert_default().ca = unsafe { named_path(ca, "ca") }?.to_owned();
    Ok(())
}

/// # Safety
/// Both paths are NULL or C strings.
pub unsafe fn set_certificate(
    tls: &mut Option<TlsClient>,
    certificate: *const c_char,
    key: *const c_char,
) -> Result<()> {
    // SAFETY: the caller's promise.
    let (certificate, key) = unsafe { (named_path(certificate, "certificate")?, named_path(key, "key")?) };
    let tls = tls.get_or_insert_default();
    (tls.certificate, tls.key) = (Some(certificate.to_owned()), Some(key.to_owned()));
    Ok(())
}

/// # Safety
/// The name is NULL or a C string.
pub unsafe fn set_server_name(tls: &mut Option<TlsClient>, name: *const c_char) -> Result<()> {
    // SAFETY: the caller's promise.
    tls.get_or_insert_default().server_name = Some(unsafe { c_string(name, "server_name") }?.to_owned());
    Ok(())
}
