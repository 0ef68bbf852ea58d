//! The writes of a batch that is still being made, in the order of their keys, for who must read them before they are
//! written.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use parking_lot::Mutex;

use crate::engine::format::batch::{BatchBuilder, FAMILIES, Record};

/// An index of the records of a batch. Values stay where they are, in the batch.
#[derive(Default)]
pub struct Pending {
    families: [Family; FAMILIES],
}

#[derive(Default)]
struct Family {
    /// Up to which byte of the batch its records are in the index: no further than somebody looked.
    indexed: usize,
    /// Where a value is in the batch, `None` for a key that is deleted.
    records: BTreeMap<Vec<u8>, Option<Range<usize>>>,
    /// Ranges of which RocksDB's own records are gone.
    cleared: Vec<(Vec<u8>, Vec<u8>)>,
}

/// An index with the batch that it is of. One thread reads through it at a time, which a walk may go to another with.
#[derive(Clone, Copy)]
pub struct Overlay<'a> {
    pub pending: &'a Mutex<Pending>,
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
    /// Where the value of a key is, when the batch sets it.
    pub fn place(&mut self, batch: &BatchBuilder, family: u32, key: &[u8]) -> Option<Range<usize>> {
        self.family(batch, family).records.get(key).cloned().flatten()
    }

    /// The records of a family, with those that were added to the batch since the last time.
    fn family(&mut self, batch: &BatchBuilder, number: u32) -> &mut Family {
        let family = &mut self.families[number as usize];
        if family.indexed < batch.len_bytes() {
            family.index(batch, number);
        }
        family
    }
}

impl Family {
    fn index(&mut self, batch: &BatchBuilder, number: u32) {
        for (record, end) in batch.records_from(self.indexed) {
            match record {
                Record::Put { family, key, value } if family == number => self.set(key, Some(end - value.len()..end)),
                Record::Delete { family, key } if family == number => self.set(key, None),
                Record::DeleteRange { family, begin, end } if family == number && begin < end => {
                    let range = (Bound::Included(begin), Bound::Excluded(end));
                    self.records.range_mut::<[u8], _>(range).for_each(|(_, value)| *value = None);
                    self.cleared.push((begin.to_vec(), end.to_vec()));
                }
                _ => {}
            }
        }
        self.indexed = batch.len_bytes();
    }

    fn set(&mut self, key: &[u8], value: Option<Range<usize>>) {
        match self.records.get_mut(key) {
            Some(had) => *had = value,
            None => drop(self.records.insert(key.to_vec(), value)),
        }
    }

    /// Whether RocksDB's record of a key is gone with a range of others.
    fn is_cleared(&self, key: &[u8]) -> bool {
        self.cleared.iter().any(|(begin, end)| key >= begin.as_slice() && key < end.as_slice())
    }
}

impl<'a> Overlay<'a> {
    pub fn find(&self, family: u32, key: &[u8]) -> Found<'a> {
        let mut pending = self.pending.lock();
        let family = pending.family(self.batch, family);
        match family.records.get(key) {
            Some(Some(place)) => Found::Value(self.batch.part(place)),
            Some(None) => Found::Deleted,
            None if family.is_cleared(key) => Found::Deleted,
            None => Found::Nothing,
        }
    }

    fn is_cleared(&self, family: u32, key: &[u8]) -> bool {
        self.pending.lock().family(self.batch, family).is_cleared(key)
    }

    /// The first record of a range, or the last: its key, and its value unless it is deleted.
    fn next(&self, family: u32, range: (Bound<&[u8]>, Bound<&[u8]>), reverse: bool) -> Option<Ahead<'a>> {
        let mut pending = self.pending.lock();
        let mut range = pending.family(self.batch, family).records.range::<[u8], _>(range);
        let (key, place) = if reverse { range.next_back() } else { range.next() }?;
        Some((key.clone(), place.as_ref().map(|place| self.batch.part(place))))
    }

    /// The pending records from `lower` on, before `upper`, to be merged with RocksDB's. They must not cross.
    pub fn merge(self, family: u32, lower: &[u8], upper: Option<&[u8]>, reverse: bool) -> Merge<'a> {
        let (lower, upper) = (lower.to_vec(), upper.map(<[u8]>::to_vec));
        let taken = Taken { stored: true, pending: true };
        Merge { overlay: self, family, lower, upper, reverse, ahead: None, taken }
    }
}

/// A pending record: its key, and its value unless it is deleted.
type Ahead<'a> = (Vec<u8>, Option<&'a [u8]>);

/// Pending records on their way into an ordered walk.
pub struct Merge<'a> {
    overlay: Overlay<'a>,
    family: u32,
    lower: Vec<u8>,
    upper: Option<Vec<u8>>,
    reverse: bool,
    /// The next of them.
    ahead: Option<Ahead<'a>>,
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
            let (mut lower, mut upper) = (Bound::Included(&*self.lower), Bound::Unbounded);
            if let Some(end) = &self.upper {
                upper = Bound::Excluded(&**end);
            }
            match &self.ahead {
                Some((key, _)) if self.reverse => upper = Bound::Excluded(key),
                Some((key, _)) => lower = Bound::Excluded(key),
                None => {}
            }
            self.ahead = self.overlay.next(self.family, (lower, upper), self.reverse);
        }
        self.taken.stored
    }

    /// Compares the sides. Whether there is a record to give: `None` at the end of both.
    pub fn choose(&mut self, stored: Option<&[u8]>) -> Option<bool> {
        let order = match (stored, &self.ahead) {
            (None, None) => return None,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(stored), Some((key, _))) if self.reverse => key.as_slice().cmp(stored),
            (Some(stored), Some((key, _))) => stored.cmp(key.as_slice()),
        };
        self.taken = Taken { stored: order.is_le(), pending: order.is_ge() };
        Some(match stored {
            Some(stored) if order.is_lt() => !self.overlay.is_cleared(self.family, stored),
            _ => self.ahead.as_ref().is_some_and(|(_, value)| value.is_some()),
        })
    }

    /// The pending record that was chosen; `None` where RocksDB's was.
    pub fn chosen(&self) -> Option<(&[u8], &'a [u8])> {
        if !self.taken.pending {
            return None;
        }
        self.ahead.as_ref().and_then(|(key, value)| Some((key.as_slice(), (*value)?)))
    }
}
