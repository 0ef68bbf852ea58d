//! One open data directory.

use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;

use super::argument::{bytes, given, hand_out, path, place, text};
use super::bytes::{pumice_bytes, pumice_names};
use super::constants::pumice_role;
use super::error::{call, free, pumice_error, pumice_status};
use super::namespace::pumice_namespace;
use super::options::pumice_options;
use super::position::pumice_position;
use crate::{Engine, Options};

/// One open data directory. It may be used from any thread.
pub struct pumice_engine {
    pub engine: Engine,
    path: CString,
}

/// Opens the data directory `path`, the folder that holds `db/`, as a Kvrocks' `dir` does. A folder written by a
/// Kvrocks is adopted: its `db` becomes a link. `options` may be NULL. Blocks while the log is replayed: about a second
/// for 500 MB of it. As a primary it draws a fresh replication id, which is one write.
///
/// PUMICE_NOT_FOUND when nothing is there and creating is off; PUMICE_BUSY when another process has it open;
/// PUMICE_INVALID_ARGUMENT when a role or layout is asked for that it does not have, or when the path is no data
/// directory; PUMICE_UNSUPPORTED when a newer Kvrocks wrote it; PUMICE_CORRUPTION when it cannot be read.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_open(
    path: *const c_char,
    options: Option<&pumice_options>,
    engine: Option<&mut MaybeUninit<*mut pumice_engine>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(engine, "engine")?;
        // SAFETY: the path is NULL or a C string.
        let path = unsafe { self::path(path) }?;
        let engine = match options {
            Some(options) => Engine::open(path, &options.0)?,
            None => Engine::open(path, &Options::default())?,
        };
        let path = CString::new(engine.path().as_os_str().as_bytes()).unwrap_or_default();
        hand_out(place, pumice_engine { engine, path });
        Ok(())
    })
}

/// Refuses all later calls, of every handle, with PUMICE_CLOSED. Files are closed and the directory is free once no
/// value, iterator or snapshot is held any more; calls that run on other threads finish first. A second close does
/// nothing. The handle is still to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_close(
    engine: Option<&pumice_engine>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || given(engine, "engine")?.engine.close())
}

/// Frees the handle. An engine that was not closed is closed when the last handle of it, its namespaces included, is
/// freed.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_free(engine: Option<Box<pumice_engine>>) {
    free(engine);
}

/// The directory, without links in its path, lent until the handle is freed; NULL of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_path(engine: Option<&pumice_engine>) -> *const c_char {
    engine.map_or(std::ptr::null(), |engine| engine.path.as_ptr())
}

/// What this engine is now.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_role(
    engine: Option<&pumice_engine>,
    role: Option<&mut MaybeUninit<pumice_role>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let role = given(role, "role")?;
        role.write(given(engine, "engine")?.engine.role()?.into());
        Ok(())
    })
}

/// Where the data is now: the replication id and the last sequence written.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_position(
    engine: Option<&pumice_engine>,
    position: Option<&mut MaybeUninit<pumice_position>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let position = given(position, "position")?;
        position.write((&given(engine, "engine")?.engine.position()?).into());
        Ok(())
    })
}

/// Makes a namespace and gives its handle. Without `token` (NULL) one of 40 characters is drawn. One write, alone in
/// its log record, durable as the engine was opened. The same name with the same token is no error and no write.
///
/// PUMICE_ALREADY_EXISTS when the name has another token, or the token another name; PUMICE_INVALID_ARGUMENT for a name
/// that is empty, longer than 255 bytes, not UTF-8, ends in 0xFF or is `__namespace`, and for an empty token;
/// PUMICE_UNSUPPORTED in the cluster layout, which has no namespaces.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_create_namespace(
    engine: Option<&pumice_engine>,
    name: *const c_char,
    name_size: usize,
    token: Option<&pumice_bytes>,
    ns: Option<&mut MaybeUninit<*mut pumice_namespace>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(ns, "ns")?;
        // SAFETY: name and token are readable for their sizes.
        let (name, token) = unsafe {
            let token = token.map(|token| text(token.data, token.size, "token")).transpose()?;
            (bytes(name, name_size, "name")?, token)
        };
        hand_out(place, pumice_namespace(given(engine, "engine")?.engine.create_namespace(name, token)?));
        Ok(())
    })
}

/// The handle of a namespace that is registered, or that has data (a Kvrocks may keep its registry in a configuration
/// file). It stays valid across pumice_engine_apply_checkpoint. PUMICE_NOT_FOUND when there is none of that name.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_open_namespace(
    engine: Option<&pumice_engine>,
    name: *const c_char,
    name_size: usize,
    ns: Option<&mut MaybeUninit<*mut pumice_namespace>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(ns, "ns")?;
        // SAFETY: the name is readable for its size.
        let name = unsafe { bytes(name, name_size, "name") }?;
        hand_out(place, pumice_namespace(given(engine, "engine")?.engine.namespace(name)?));
        Ok(())
    })
}

/// The handle of the default namespace, which is always there.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_default_namespace(
    engine: Option<&pumice_engine>,
    ns: Option<&mut MaybeUninit<*mut pumice_namespace>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(ns, "ns")?;
        hand_out(place, pumice_namespace(given(engine, "engine")?.engine.default_namespace()));
        Ok(())
    })
}

/// Names of all registered namespaces, the default one first as `__namespace`, the others in order.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_namespaces(
    engine: Option<&pumice_engine>,
    names: Option<&mut MaybeUninit<*mut pumice_names>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(names, "names")?;
        let names = given(engine, "engine")?.engine.namespaces()?;
        hand_out(place, pumice_names(names.into_iter().map(String::into_bytes).collect()));
        Ok(())
    })
}

/// Names of namespaces that have data and no registration. One seek for each namespace.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_unregistered_namespaces(
    engine: Option<&pumice_engine>,
    names: Option<&mut MaybeUninit<*mut pumice_names>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(names, "names")?;
        hand_out(place, pumice_names(given(engine, "engine")?.engine.unregistered_namespaces()?));
        Ok(())
    })
}

/// Deletes a namespace with its data. Two writes: range deletes in every column family, then the registry alone. Takes
/// milliseconds; the space comes back by compaction. PUMICE_NOT_FOUND when there is none of that name.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_drop_namespace(
    engine: Option<&pumice_engine>,
    name: *const c_char,
    name_size: usize,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        // SAFETY: the name is readable for its size.
        let name = unsafe { bytes(name, name_size, "name") }?;
        given(engine, "engine")?.engine.drop_namespace(name)
    })
}

/// Returns when every write acknowledged before the call survives a power cut. One fsync, shared.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_flush(
    engine: Option<&pumice_engine>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || given(engine, "engine")?.engine.flush())
}

/// Makes this engine a primary, durably. It draws a fresh replication id; the former one stays known, so that replicas
/// that are not ahead go on without a full sync. On a primary it does nothing.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_promote(
    engine: Option<&pumice_engine>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || given(engine, "engine")?.engine.promote())
}

/// Makes the `db` of a closed data directory a plain folder again and removes everything that is not a Kvrocks' own.
/// Opened again, it is adopted anew. PUMICE_BUSY while it is open anywhere; PUMICE_INVALID_ARGUMENT while it keeps data that
/// was given up (pumice_engine_discard).
#[unsafe(no_mangle)]
pub extern "C" fn pumice_release(
    path: *const c_char,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        // SAFETY: the path is NULL or a C string.
        crate::release(unsafe { self::path(path) }?)
    })
}
