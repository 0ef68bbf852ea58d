//! The keys of a namespace in order.

use std::ops::ControlFlow;

use super::reading::{Reading, Subkeys};
use crate::engine::clock::now_ms;
use crate::engine::error::{Error, ErrorKind, Result, shown};
use crate::engine::format::batch::METADATA;
use crate::engine::format::key::{Layout, append_key, prefix_end};
use crate::engine::format::metadata::{Found, Kind, find_string};

/// Which keys an iteration goes through, and which way. The default is all keys, forward.
#[derive(Clone, Debug, Default)]
pub struct Range {
    /// Only keys that start with it.
    pub prefix: Vec<u8>,
    /// The first key that may come.
    pub start: Option<Vec<u8>>,
    /// The first key that may not come any more.
    pub end: Option<Vec<u8>>,
    /// From the last key to the first.
    pub reverse: bool,
}

/// One key of an iteration, borrowed until the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The key, without namespace.
    pub key: &'a [u8],
    /// Its data type.
    pub kind: Kind,
    /// The value of a string; `None` for every other type.
    pub value: Option<&'a [u8]>,
}

/// An ordered walk through the keys of a namespace that are alive, seeing one moment. In the cluster layout the
/// order is by slot, then by key.
pub struct Items<'a> {
    walk: Subkeys<'a>,
    head: usize,
    range: Range,
    filter: bool,
}

impl<'a> Items<'a> {
    pub fn open(reading: &Reading<'a>, range: &Range, fill_cache: bool) -> Items<'a> {
        Items::open_at(reading, range, fill_cache, None)
    }

    /// `from` is a key as it is on disk, before which none comes.
    pub fn open_at(reading: &Reading<'a>, range: &Range, fill_cache: bool, from: Option<Vec<u8>>) -> Items<'a> {
        let prefix = reading.prefix;
        let (lower, upper, head, filter) = match reading.store.layout {
            Layout::Standalone => {
                let from = range.start.as_deref().unwrap_or_default().max(&range.prefix);
                let lower = [prefix, from].concat();
                let of_prefix = prefix_end(&[prefix, &range.prefix].concat());
                let upper = match &range.end {
                    Some(end) => {
                        let end = [prefix, end].concat();
                        Some(of_prefix.map_or(end.clone(), |bound| bound.min(end)))
                    }
                    None => of_prefix,
                };
                (lower, upper, prefix.len(), false)
            }
            Layout::Cluster => (prefix.to_vec(), prefix_end(prefix), prefix.len() + 2, true),
        };
        let lower = from.map_or(lower.clone(), |from| from.max(lower));
        let walk = reading.walk(METADATA, lower, upper, 0, range.reverse, fill_cache);
        Items { walk, head, range: range.clone(), filter }
    }

    /// The same iteration, for who keeps it: of a reading without pending writes.
    pub fn kept(self) -> Items<'static> {
        let Items { walk, head, range, filter } = self;
        Items { walk: walk.kept(), head, range, filter }
    }

    /// The next key; `None` at the end, and from then on. Expired keys do not come. After a failure to read it is at
    /// its end; a record that cannot be decoded is stepped over by the next call.
    pub fn next_item(&mut self) -> Result<Option<Item<'_>>> {
        let (kind, start) = loop {
            if !self.walk.advance()? {
                return Ok(None);
            }
            let Some((full, record)) = self.walk.current()? else { return Ok(None) };
            if !full.get(self.head..).is_some_and(|key| !self.filter || self.range.contains(key)) {
                continue;
            }
            // Judged once: a key must not expire between this look and the one below.
            match find_string(record, now_ms).map_err(|e| e.context(format!("record {}", shown(full))))? {
                Found::Missing => {}
                Found::Other(kind) => break (kind, None),
                Found::String(value) => break (Kind::STRING, Some(record.len() - value.len())),
            }
        };
        let Some((full, record)) = self.walk.current()? else { return Ok(None) };
        let (key, value) = (full.get(self.head..).unwrap_or_default(), start.and_then(|start| record.get(start..)));
        Ok(Some(Item { key, kind, value }))
    }
}

impl std::iter::FusedIterator for Items<'_> {}

/// Owned copies of what [`Items::next_item`] lends: the key, and the value of a string.
impl Iterator for Items<'_> {
    type Item = Result<(Vec<u8>, Option<Vec<u8>>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.next_item();
        item.map(|item| item.map(|item| (item.key.to_vec(), item.value.map(<[u8]>::to_vec)))).transpose()
    }
}

impl Range {
    #[inline(never)]
    fn contains(&self, key: &[u8]) -> bool {
        key.starts_with(&self.prefix)
            && self.start.as_deref().is_none_or(|start| key >= start)
            && self.end.as_deref().is_none_or(|end| key < end)
    }
}

impl<'a> Reading<'a> {
    pub fn items(&self, range: &Range) -> Items<'a> {
        Items::open(self, range, true)
    }

    /// The keys with a prefix that come after one, in the order of the layout.
    pub fn items_after(&self, prefix: &[u8], after: Option<&[u8]>) -> Items<'a> {
        let range = Range { prefix: prefix.to_vec(), ..Range::default() };
        let after = after.map(|after| {
            let mut from = Vec::with_capacity(self.prefix.len() + after.len() + 3);
            append_key(&mut from, self.prefix, self.store.layout, after);
            from.push(0);
            from
        });
        Items::open_at(self, &range, true, after)
    }

    /// The number of keys that are alive. Reads every one of them, past the cache.
    pub fn count(&self, progress: &mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<u64> {
        const STEP: u64 = 8192;
        let mut items = Items::open(self, &Range::default(), false);
        let mut count = 0;
        while items.next_item()?.is_some() {
            count += 1;
            if count % STEP == 0 && progress(count).is_break() {
                return Err(Error::new(ErrorKind::Busy, format!("count: cancelled by the caller after {count} keys")));
            }
        }
        Ok(count)
    }
}
