//! What a dataset holds.

use std::ffi::c_void;
use std::mem::MaybeUninit;

use super::argument::{given, hand_out, place};
use super::bytes::pumice_bytes;
use super::engine::pumice_engine;
use super::error::{call, free, pumice_error, pumice_status};
use super::progress::{pumice_progress_callback, tell};
use crate::Usage;

/// What a dataset holds. Bytes are those of keys and values as they are stored, before compression.
pub struct pumice_usage {
    views: Vec<pumice_namespace_usage>,
    other_bytes: u64,
    unreadable_records: u64,
    _names: Vec<Vec<u8>>,
    _kinds: Vec<Vec<pumice_kind_usage>>,
}

/// The keys of one type in a namespace.
#[repr(C)]
pub struct pumice_kind_usage {
    /// How many keys.
    pub keys: u64,
    /// Their bytes, with those of their fields, members or elements.
    pub bytes: u64,
    /// The type, a pumice_kind.
    pub kind: u8,
}

/// What one namespace holds.
#[repr(C)]
pub struct pumice_namespace_usage {
    /// Its name; `__namespace` for the default one.
    pub name: pumice_bytes,
    /// The types that it has keys of, by their numbers; NULL when there are none.
    pub kinds: *const pumice_kind_usage,
    /// How many types those are.
    pub kind_count: usize,
    /// Keys of all types.
    pub keys: u64,
    /// Bytes of all types.
    pub bytes: u64,
    /// Keys that are stored and no longer there: expired, or emptied.
    pub expired_keys: u64,
    /// Bytes of those.
    pub expired_bytes: u64,
    /// Bytes of fields, members and elements whose key was deleted or replaced, and that compaction has yet to take.
    pub remains_bytes: u64,
    /// Whether it is registered, or the default one.
    pub registered: bool,
}

impl From<Usage> for pumice_usage {
    fn from(usage: Usage) -> pumice_usage {
        let (mut views, mut names, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
        for namespace in usage.namespaces {
            let (keys, bytes) = (namespace.keys(), namespace.bytes());
            let of_kinds: Vec<pumice_kind_usage> = namespace
                .kinds
                .iter()
                .map(|usage| pumice_kind_usage { keys: usage.keys, bytes: usage.bytes, kind: usage.kind.number() })
                .collect();
            // The bytes of both stay where they are when the lists that own them move.
            views.push(pumice_namespace_usage {
                name: pumice_bytes::lend(&namespace.name),
                kinds: if of_kinds.is_empty() { std::ptr::null() } else { of_kinds.as_ptr() },
                kind_count: of_kinds.len(),
                keys,
                bytes,
                expired_keys: namespace.expired_keys,
                expired_bytes: namespace.expired_bytes,
                remains_bytes: namespace.remains_bytes,
                registered: namespace.registered,
            });
            names.push(namespace.name);
            kinds.push(of_kinds);
        }
        pumice_usage {
            views,
            other_bytes: usage.other_bytes,
            unreadable_records: usage.unreadable_records,
            _names: names,
            _kinds: kinds,
        }
    }
}

/// How many keys of which type each namespace has, and their bytes. Reads every record once, past the cache, and takes
/// memory for the namespaces alone. `progress` may be NULL. PUMICE_BUSY when it cancelled the count.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_usage(
    engine: Option<&pumice_engine>,
    progress: pumice_progress_callback,
    user_data: *mut c_void,
    usage: Option<&mut MaybeUninit<*mut pumice_usage>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(usage, "usage")?;
        let engine = &given(engine, "engine")?.engine;
        let counted = engine.usage_watched(&mut |now| tell(progress, user_data, now))?;
        hand_out(place, pumice_usage::from(counted));
        Ok(())
    })
}

/// How many namespaces are registered or have data, the default one included; 0 of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_usage_count(usage: Option<&pumice_usage>) -> usize {
    usage.map_or(0, |usage| usage.views.len())
}

/// What one of them holds, lent until the usage is freed: the default one first, then in order of their names; NULL when
/// there is none at that index.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_usage_at(usage: Option<&pumice_usage>, index: usize) -> *const pumice_namespace_usage {
    usage.and_then(|usage| usage.views.get(index)).map_or(std::ptr::null(), std::ptr::from_ref)
}

/// Bytes of what belongs to no key: the registry, scripts, published messages, search indexes.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_usage_other_bytes(usage: Option<&pumice_usage>) -> u64 {
    usage.map_or(0, |usage| usage.other_bytes)
}

/// Records that cannot be decoded: pumice_engine_verify says which.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_usage_unreadable_records(usage: Option<&pumice_usage>) -> u64 {
    usage.map_or(0, |usage| usage.unreadable_records)
}

/// Frees a usage.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_usage_free(usage: Option<Box<pumice_usage>>) {
    free(usage);
}
