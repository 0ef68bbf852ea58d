//! The writes of a batch that is still being made, in the order of their keys, for who must read them before they are
//! written.

use std::collections::{BTreeMap, btree_map};
use std::ops::{Bound, Range};

use crate::engine::format::batch::{BatchBuilder, FAMILIES, Record};

/// An index of the records of a batch. Values stay where they are, in the batch.
#[derive(Default)]
pub struct Pending {
    /// Up to which byte of the batch the records are in the index.
    indexed: usize,
    families: [Family; FAMILIES],
}

#[derive(Default)]
struct Family {
    /// Where a value is in the batch, `None` for a key that is deleted.
    records: BTreeMap<Vec<u8>, Option<Range<usize>>>,
    /// Ranges of which RocksDB's own records are gone.
    cleared: Vec<(Vec<u8>, Vec<u8>)>,
}

/// An index with the batch that it is of.
#[derive(Clone, Copy)]
pub struct Overlay<'a> {
    pub pending: &'a Pending,
    pub batch: &'a BatchBuilder,
}

/// What a batch says of a key.
pub enum Found<'a> {
    /// Nothing: RocksDB's record is the one.
    Nothing,
    Deleted,
    Value(&'a [u8]),
}

impl Pending {
    /// Takes in what was added to the batch since the last time.
    pub fn index(&mut self, batch: &BatchBuilder) {
        for (record, end) in batch.records_from(self.indexed) {
            match record {
                Record::Put { family, key, value } => {
                    self.family(family).records.insert(key.to_vec(), Some(end - value.len()..end));
                }
                Record::Delete { family, key } => drop(self.family(family).records.insert(key.to_vec(), None)),
                Record::DeleteRange { family, begin, end } => {
                    let family = self.family(family);
                    let range = (Bound::Included(begin), Bound::Excluded(end));
                    if begin < end {
                        family.records.range_mut::<[u8], _>(range).for_each(|(_, value)| *value = None);
                        family.cleared.push((begin.to_vec(), end.to_vec()));
                    }
                }
                Record::LogData(_) | Record::Noop => {}
            }
        }
        self.indexed = batch.len_bytes();
    }

    /// Where the value of a key is, when the batch sets it.
    pub fn place(&self, family: u32, key: &[u8]) -> Option<Range<usize>> {
        self.families[family as usize].records.get(key).cloned().flatten()
    }

    fn family(&mut self, family: u32) -> &mut Family {
        &mut self.families[family as usize]
    }
}

impl<'a> Overlay<'a> {
    pub fn find(&self, family: u32, key: &[u8]) -> Found<'a> {
        match self.pending.families[family as usize].records.get(key) {
            Some(Some(place)) => Found::Value(self.batch.part(place)),
            Some(None) => Found::Deleted,
            None if self.is_cleared(family, key) => Found::Deleted,
            None => Found::Nothing,
        }
    }

    /// Whether RocksDB's record of a key is gone with a range of others.
    fn is_cleared(&self, family: u32, key: &[u8]) -> bool {
        let cleared = &self.pending.families[family as usize].cleared;
        cleared.iter().any(|(begin, end)| key >= begin.as_slice() && key < end.as_slice())
    }

    /// The pending records of a range, to be merged with RocksDB's.
    pub fn merge(self, family: u32, lower: &[u8], upper: Option<&[u8]>, reverse: bool) -> Merge<'a> {
        let upper = upper.map_or(Bound::Unbounded, Bound::Excluded);
        let records = &self.pending.families[family as usize].records;
        let range = records.range::<[u8], _>((Bound::Included(lower), upper));
        Merge { overlay: self, family, range, reverse, ahead: None, taken: Taken { stored: true, pending: true } }
    }
}

/// Pending records on their way into an ordered walk.
pub struct Merge<'a> {
    overlay: Overlay<'a>,
    family: u32,
    range: btree_map::Range<'a, Vec<u8>, Option<Range<usize>>>,
    reverse: bool,
    /// The next of them.
    ahead: Option<(&'a [u8], Option<&'a [u8]>)>,
    taken: Taken,
}

/// Which side of a merge must move before the next record.
#[derive(Clone, Copy)]
pub struct Taken {
    pub stored: bool,
    pub pending: bool,
}

impl<'a> Merge<'a> {
    /// Whether RocksDB's side must move first; the other side moves here.
    pub fn begin_step(&mut self) -> bool {
        if self.taken.pending {
            let next = if self.reverse { self.range.next_back() } else { self.range.next() };
            let batch = self.overlay.batch;
            self.ahead = next.map(|(key, place)| (key.as_slice(), place.as_ref().map(|place| batch.part(place))));
        }
        self.taken.stored
    }

    /// Compares the sides. Whether there is a record to give: `None` at the end of both.
    pub fn choose(&mut self, stored: Option<&[u8]>) -> Option<bool> {
        let order = match (stored, &self.ahead) {
            (None, None) => return None,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(stored), Some((key, _))) if self.reverse => (*key).cmp(stored),
            (Some(stored), Some((key, _))) => stored.cmp(key),
        };
        self.taken = Taken { stored: order.is_le(), pending: order.is_ge() };
        Some(match stored {
            Some(stored) if order.is_lt() => !self.overlay.is_cleared(self.family, stored),
            _ => self.ahead.is_some_and(|(_, value)| value.is_some()),
        })
    }

    /// The pending record that was chosen; `None` where RocksDB's was.
    pub fn chosen(&self) -> Option<(&'a [u8], &'a [u8])> {
        if !self.taken.pending {
            return None;
        }
        self.ahead.and_then(|(key, value)| Some((key, value?)))
    }
}
