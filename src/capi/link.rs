//! The link of a replica to its primary, and the roles on both sides of it.

use std::ffi::{CString, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::time::Duration;

use super::argument::{c_string, given, hand_out, place};
use super::bytes::{c_text, lend_text};
use super::constants::{PUMICE_UNKNOWN, pumice_link_state, pumice_peer};
use super::engine::pumice_engine;
use super::error::{call, free, pumice_error, pumice_status};
use super::options::pumice_follow_options;
use crate::{FollowOptions, LinkStatus, SyncStatus};

/// The link of a replica at one moment. Of NULL every number is 0, every text NULL.
pub struct pumice_link_status {
    link: LinkStatus,
    host: CString,
    last_error: Option<CString>,
    warning: Option<CString>,
    sync: Option<pumice_sync_status>,
}

/// How far a full sync is.
#[repr(C)]
pub struct pumice_sync_status {
    /// Files in all; 0 until they are known.
    pub files: u64,
    /// Files that are here.
    pub files_done: u64,
    /// Bytes in all, as far as they are known: a Kvrocks tells the size of a file when it sends it.
    pub bytes: u64,
    /// Bytes that are here.
    pub bytes_done: u64,
    /// Of those, bytes that were here before and did not come over the wire.
    pub bytes_reused: u64,
    /// Bytes a second over the wire, on average.
    pub bytes_per_second: u64,
    /// How long it will take at that rate; PUMICE_UNKNOWN while there is no rate.
    pub remaining_ms: u64,
}

/// A length of time as C has it.
pub fn milliseconds(time: Option<Duration>) -> u64 {
    time.map_or(PUMICE_UNKNOWN, |time| u64::try_from(time.as_millis()).unwrap_or(PUMICE_UNKNOWN))
}

impl From<SyncStatus> for pumice_sync_status {
    fn from(sync: SyncStatus) -> pumice_sync_status {
        pumice_sync_status {
            files: sync.files,
            files_done: sync.files_done,
            bytes: sync.bytes,
            bytes_done: sync.bytes_done,
            bytes_reused: sync.bytes_reused,
            bytes_per_second: sync.bytes_per_second,
            remaining_ms: milliseconds(sync.remaining),
        }
    }
}

impl From<LinkStatus> for pumice_link_status {
    fn from(link: LinkStatus) -> pumice_link_status {
        pumice_link_status {
            host: c_text(&link.host),
            last_error: link.last_error.as_deref().map(c_text),
            warning: link.warning.as_deref().map(c_text),
            sync: link.sync.map(Into::into),
            link,
        }
    }
}

/// Told what a link does, on the thread that waits for it; the status is lent for the call. Anything but 0 ends the wait.
/// It must return: no exception and no longjmp may leave it.
pub type pumice_link_callback =
    Option<unsafe extern "C" fn(link: *const pumice_link_status, user_data: *mut c_void) -> c_int>;

/// Makes this engine a replica of a primary: a Pumice that serves, or a Kvrocks. Kept durably, so that it goes on after a
/// restart. Returns at once; a thread of its own then connects, brings the dataset or goes on from its position, and tries
/// again whenever that fails. Readers go on with the data of before until the primary's is here, all at once. Data that the
/// primary does not have is given up, also that of a former primary. `options` may be NULL.
///
/// PUMICE_INVALID_ARGUMENT for a host, a port or certificates that cannot be; PUMICE_UNSUPPORTED for TLS in a build
/// without; PUMICE_IO when it cannot be kept, or a certificate not be read.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_follow(
    engine: Option<&pumice_engine>,
    host: *const c_char,
    port: u16,
    options: Option<&pumice_follow_options>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        // SAFETY: the host is NULL or a C string.
        let host = unsafe { c_string(host, "host") }?;
        let engine = &given(engine, "engine")?.engine;
        match options {
            Some(options) => engine.follow(host, port, &options.0),
            None => engine.follow(host, port, &FollowOptions::default()),
        }
    })
}

/// Waits up to `timeout_ms` until the primary's data is here and the link receives entries as they are written. `*linked`
/// is false when the time is over or nobody is followed. `told`, which may be NULL, hears ten times a second at most how
/// it goes.
///
/// PUMICE_BUSY when `told` ended the wait; the link goes on.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_wait_linked(
    engine: Option<&pumice_engine>,
    timeout_ms: u64,
    told: pumice_link_callback,
    user_data: *mut c_void,
    linked: Option<&mut MaybeUninit<bool>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = given(linked, "linked")?;
        let timeout = Some(Duration::from_millis(timeout_ms));
        let waited = given(engine, "engine")?.engine.wait_linked(timeout, &mut |link| {
            let Some(told) = told else { return ControlFlow::Continue(()) };
            let link = pumice_link_status::from(link.clone());
            // SAFETY: a function of that signature, called with what it was given along with.
            match unsafe { told(&raw const link, user_data) } {
                0 => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            }
        })?;
        place.write(waited);
        Ok(())
    })
}

/// The link at this moment; `*link` is NULL when this engine follows nobody.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_link(
    engine: Option<&pumice_engine>,
    link: Option<&mut MaybeUninit<*mut pumice_link_status>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(link, "link")?;
        if let Some(link) = given(engine, "engine")?.engine.link()? {
            hand_out(place, pumice_link_status::from(link));
        }
        Ok(())
    })
}

/// Follows nobody any more and stays read-only, durably. When it returns nothing of the former primary is written any
/// more. PUMICE_INVALID_ARGUMENT on a primary.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_detach(
    engine: Option<&pumice_engine>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || given(engine, "engine")?.engine.detach())
}

/// A planned switch: stops writes here, waits until the replica that announced `host` and `port` has acknowledged every
/// entry, makes it the primary, and follows it. Nothing is given up. The replica is asked with the password of this
/// engine's own listener.
///
/// PUMICE_NOT_FOUND when no such replica is fed; PUMICE_BUSY when it is not there in time, or says no: writes are taken
/// again then. PUMICE_IO when it did not answer whether it is the primary now: no writes are taken then.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_hand_over(
    engine: Option<&pumice_engine>,
    host: *const c_char,
    port: u16,
    timeout_ms: u64,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        // SAFETY: the host is NULL or a C string.
        let host = unsafe { c_string(host, "host") }?;
        given(engine, "engine")?.engine.hand_over(host, port, Duration::from_millis(timeout_ms))
    })
}

/// Deletes what was kept of datasets that this engine gave up because they had diverged from its primary's. How many there
/// were comes in `discarded`, which may be NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_discard(
    engine: Option<&pumice_engine>,
    discarded: Option<&mut MaybeUninit<usize>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let count = given(engine, "engine")?.engine.discard()?;
        if let Some(place) = discarded {
            place.write(count);
        }
        Ok(())
    })
}

/// The primary's host, lent until the status is freed.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_link_status_host(link: Option<&pumice_link_status>) -> *const c_char {
    lend_text(link.map(|link| &link.host))
}

/// The primary's port.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_link_status_port(link: Option<&pumice_link_status>) -> u16 {
    link.map_or(0, |link| link.link.port)
}

/// What the link is doing; PUMICE_LINK_STATE_NONE of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_link_status_state(link: Option<&pumice_link_status>) -> pumice_link_state {
    link.map_or(pumice_link_state::PUMICE_LINK_STATE_NONE, |link| link.link.state.into())
}

/// Since when it is doing that, in unix milliseconds.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_link_status_since_ms(link: Option<&pumice_link_status>) -> u64 {
    link.map_or(0, |link| link.link.since_ms)
}

/// Who the primary is, PUMICE_PEER_NONE until it is known.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_link_status_peer(link: Option<&pumice_link_status>) -> pumice_peer {
    link.and_then(|link| link.link.peer).map_or(pumice_peer::PUMICE_PEER_NONE, Into::into)
}

/// How many sequences the primary was ahead when it last told; PUMICE_UNKNOWN before it did.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_link_status_lag_sequences(link: Option<&pumice_link_status>) -> u64 {
    link.map_or(0, |link| link.link.lag_sequences.unwrap_or(PUMICE_UNKNOWN))
}

/// How long ago this replica last had everything, 0 when it has; PUMICE_UNKNOWN before it ever had.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_link_status_lag_ms(link: Option<&pumice_link_status>) -> u64 {
    link.map_or(0, |link| milliseconds(link.link.lag))
}

/// How long ago the last bytes came; PUMICE_UNKNOWN before any did.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_link_status_last_io_ms(link: Option<&pumice_link_status>) -> u64 {
    link.map_or(0, |link| milliseconds(link.link.last_io))
}

/// Why it failed last, lent until the status is freed; else NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_link_status_last_error(link: Option<&pumice_link_status>) -> *const c_char {
    lend_text(link.and_then(|link| link.last_error.as_ref()))
}

/// What the operator ought to know of the primary, lent until the status is freed; else NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_link_status_warning(link: Option<&pumice_link_status>) -> *const c_char {
    lend_text(link.and_then(|link| link.warning.as_ref()))
}

/// The full sync that runs, lent until the status is freed; else NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_link_status_sync(link: Option<&pumice_link_status>) -> *const pumice_sync_status {
    link.and_then(|link| link.sync.as_ref()).map_or(std::ptr::null(), std::ptr::from_ref)
}

/// How many full syncs were done since this primary is followed.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_link_status_full_syncs(link: Option<&pumice_link_status>) -> u64 {
    link.map_or(0, |link| link.link.full_syncs)
}

/// Frees the status of a link.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_link_status_free(link: Option<Box<pumice_link_status>>) {
    free(link);
}
