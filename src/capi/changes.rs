//! What an entry does.

use std::mem::MaybeUninit;

use super::argument::{given, hand_out, place};
use super::bytes::pumice_bytes;
use super::constants::pumice_operation;
use super::engine::pumice_engine;
use super::error::{call, free, pumice_error, pumice_status};
use super::log::pumice_entry;
use crate::Change;

/// What an entry does, record by record. It holds nothing of engine or entry.
pub struct pumice_changes {
    views: Vec<pumice_change>,
    _changes: Vec<Change>,
}

/// One change. Bytes without `data` are not there.
#[repr(C)]
pub struct pumice_change {
    /// What was done.
    pub operation: pumice_operation,
    /// The column family that it was done in.
    pub family: u32,
    /// The namespace; empty when `key` is a raw key.
    pub ns: pumice_bytes,
    /// The user key, the first key of a range, or a raw key.
    pub key: pumice_bytes,
    /// The key after the last of a range.
    pub end: pumice_bytes,
    /// The stored field, member, index or id of a subkey.
    pub sub: pumice_bytes,
    /// The value; of JSON with its leading format byte.
    pub value: pumice_bytes,
    /// The version of a composite key, which its subkeys carry: those with another one are remains. 0 for none.
    pub version: u64,
    /// When the key expires, in unix milliseconds; 0 for never.
    pub expire_ms: u64,
    /// The pumice_kind of the key, PUMICE_KIND_NONE where the record does not say.
    pub kind: u8,
}

impl From<Vec<Change>> for pumice_changes {
    fn from(changes: Vec<Change>) -> pumice_changes {
        let view = |change: &Change| pumice_change {
            operation: change.operation.into(),
            family: change.family,
            ns: pumice_bytes::lend(&change.namespace),
            key: pumice_bytes::lend(&change.key),
            end: pumice_bytes::lend_optional(change.end.as_deref()),
            sub: pumice_bytes::lend_optional(change.sub.as_deref()),
            value: pumice_bytes::lend_optional(change.value.as_deref()),
            version: change.version,
            expire_ms: change.expire_ms,
            kind: change.kind.number(),
        };
        // The bytes stay where they are when the list that owns them moves.
        pumice_changes { views: changes.iter().map(view).collect(), _changes: changes }
    }
}

/// What an entry does, record by record, for people and for change feeds.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_changes(
    engine: Option<&pumice_engine>,
    entry: Option<&pumice_entry>,
    changes: Option<&mut MaybeUninit<*mut pumice_changes>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(changes, "changes")?;
        let changes = given(engine, "engine")?.engine.changes(&given(entry, "entry")?.entry)?;
        hand_out(place, pumice_changes::from(changes));
        Ok(())
    })
}

/// How many changes there are; 0 of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_changes_count(changes: Option<&pumice_changes>) -> usize {
    changes.map_or(0, |changes| changes.views.len())
}

/// A change, lent with its bytes until the list is freed; NULL when there is none at that index.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_changes_at(changes: Option<&pumice_changes>, index: usize) -> *const pumice_change {
    changes.and_then(|changes| changes.views.get(index)).map_or(std::ptr::null(), std::ptr::from_ref)
}

/// Frees changes.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_changes_free(changes: Option<Box<pumice_changes>>) {
    free(changes);
}
