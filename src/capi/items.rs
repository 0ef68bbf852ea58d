//! Walking through keys in order.

use std::mem::MaybeUninit;

use super::argument::given;
use super::bytes::pumice_bytes;
use super::error::{call, free, pumice_error, pumice_status};
use crate::{Items, Range, Result};

/// Which keys a walk goes through, and which way. All zero is all keys, forward.
#[repr(C)]
pub struct pumice_range {
    /// Only keys that start with it.
    pub prefix: pumice_bytes,
    /// The first key that may come; NULL for the first of all.
    pub start: *const pumice_bytes,
    /// The first key that may not come any more; NULL for none.
    pub end: *const pumice_bytes,
    /// From the last key to the first.
    pub reverse: bool,
}

impl pumice_range {
    /// NULL is all keys.
    ///
    /// # Safety
    /// Its pointers are NULL or valid, and its bytes readable for their sizes.
    pub unsafe fn get(range: Option<&pumice_range>) -> Result<Range> {
        let Some(range) = range else { return Ok(Range::default()) };
        // SAFETY: the caller's promise.
        unsafe {
            let bound = |bound: *const pumice_bytes, what| {
                bound.as_ref().map(|bound| bound.get(what).map(<[u8]>::to_vec)).transpose()
            };
            Ok(Range {
                prefix: range.prefix.get("prefix")?.to_vec(),
                start: bound(range.start, "start")?,
                end: bound(range.end, "end")?,
                reverse: range.reverse,
            })
        }
    }
}

/// One key of a walk.
#[repr(C)]
pub struct pumice_item {
    /// The key, without namespace.
    pub key: pumice_bytes,
    /// The value of a string; without `data` for every other type.
    pub value: pumice_bytes,
    /// The pumice_kind of the key.
    pub kind: u8,
}

/// An ordered walk through the keys of a namespace that are alive, seeing one moment. In the cluster layout the order is
/// by slot, then by key. It holds the dataset of that moment: free it when you are done. One thread at a time.
pub struct pumice_items {
    items: Items,
    item: pumice_item,
}

impl From<Items> for pumice_items {
    fn from(items: Items) -> pumice_items {
        let item = pumice_item { key: pumice_bytes::NONE, value: pumice_bytes::NONE, kind: 0 };
        pumice_items { items, item }
    }
}

/// The next key, lent with its bytes until the next step or the end of the walk; `*item` is NULL at the end. Expired
/// keys do not come. Blocks for the disk when a block is not in the cache. A walk that began before the engine was
/// closed goes on to its end.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_items_next(
    items: Option<&mut pumice_items>,
    item: Option<&mut MaybeUninit<*const pumice_item>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = given(item, "item")?;
        place.write(std::ptr::null());
        let walk = given(items, "items")?;
        if let Some(item) = walk.items.next_item()? {
            walk.item = pumice_item {
                key: pumice_bytes::lend(item.key),
                value: pumice_bytes::lend_optional(item.value),
                kind: item.kind.number(),
            };
            place.write(&raw const walk.item);
        }
        Ok(())
    })
}

/// Ends a walk.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_items_free(items: Option<Box<pumice_items>>) {
    free(items);
}
