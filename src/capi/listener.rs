//! The listener through which Redis clients and replicas reach an engine.

use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;

use super::argument::{c_string, given, hand_out, place};
use super::bytes::{c_text, lend_text};
use super::engine::pumice_engine;
use super::error::{call, free, pumice_error, pumice_status};
use super::options::pumice_serve_options;
use crate::{Address, Listener, ServeOptions};

/// A listener: Redis clients and replicas talk to the engine through it, until it is closed or freed, or the engine is. It
/// does not keep the engine open. In a forked child it is nothing.
pub struct pumice_listener {
    listener: Listener,
    host: CString,
}

/// Serves the engine to Redis clients and to replicas, in RESP2 or RESP3, on `host:port` (port 0 takes a free one) or on
/// `unix:/path`, a socket that only this user may open. Returns as soon as it listens. `options` may be NULL.
///
/// Without a password every connection may do everything with the engine. With one, it says `AUTH` first: the password makes
/// it an admin who sees the default namespace, the token of a namespace opens that namespace alone. Passwords and data
/// cross the wire as they are, unless the options say TLS: then every connection must speak it.
///
/// PUMICE_BUSY when somebody else listens there; PUMICE_ALREADY_EXISTS when the path is a file that is no socket;
/// PUMICE_INVALID_ARGUMENT for an address that is none, or certificates that do not do; PUMICE_UNSUPPORTED for TLS in a
/// build without; PUMICE_IO.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_serve(
    engine: Option<&pumice_engine>,
    address: *const c_char,
    options: Option<&pumice_serve_options>,
    listener: Option<&mut MaybeUninit<*mut pumice_listener>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(listener, "listener")?;
        // SAFETY: the address is NULL or a C string.
        let address = unsafe { c_string(address, "address") }?;
        let engine = &given(engine, "engine")?.engine;
        let listener = match options {
            Some(options) => engine.serve(address, &options.0)?,
            None => engine.serve(address, &ServeOptions::default())?,
        };
        let host = match listener.address() {
            Address::Unix(path) => CString::new(path.as_os_str().as_bytes()).unwrap_or_default(),
            address => c_text(&address.host()),
        };
        hand_out(place, pumice_listener { listener, host });
        Ok(())
    })
}

/// The IP address where it listens, or the path of the Unix socket, lent until it is freed; NULL of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_listener_host(listener: Option<&pumice_listener>) -> *const c_char {
    lend_text(listener.map(|listener| &listener.host))
}

/// The port where it listens; 0 of a Unix socket and of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_listener_port(listener: Option<&pumice_listener>) -> u16 {
    listener.map_or(0, |listener| listener.listener.address().port())
}

/// Ends all connections and waits until the commands that run have finished. Then the address is free. A second close does
/// nothing. The handle is still to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_listener_close(
    listener: Option<&pumice_listener>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        given(listener, "listener")?.listener.close();
        Ok(())
    })
}

/// Closes a listener and frees it.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_listener_free(listener: Option<Box<pumice_listener>>) {
    free(listener);
}
