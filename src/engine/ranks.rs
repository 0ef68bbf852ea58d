//! How many members each stretch of a long sorted set has, as far as somebody went through them. The format keeps no such
//! counts: without them whoever asks for a rank goes through all members before it.
//!
//! A count is only ever made by going through the records of its stretch. What is written in a stretch does not change its
//! count: it makes somebody count again, so that what is remembered cannot part from the records.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::Mutex;

use super::format::batch::{Batch, Record, ZSET_SCORE};

/// The counts of one sorted set, as of one sequence.
pub struct Ranks {
    at: u64,
    /// Where each stretch starts: a score with its member, as they are stored. It ends where the next one starts; the first
    /// starts with nothing.
    starts: Vec<Box<[u8]>>,
    counts: Vec<u64>,
    /// The stretch that nobody went through. It has what the others lack of all members.
    unknown: Option<usize>,
    step: u64,
}

/// One stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub index: usize,
    /// How many members are before it.
    pub before: u64,
    pub count: u64,
}

/// A part of a stretch: where it starts, and how many members it has.
pub type Piece = (Box<[u8]>, u64);

impl Ranks {
    /// Nothing is known; writes from `at` on will be.
    fn new(at: u64) -> Ranks {
        Ranks { at, starts: vec![Box::default()], counts: vec![0], unknown: Some(0), step: 0 }
    }

    /// The sequence that the counts are of, or the first that they may be of.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// How many members a stretch is to have.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// Says that the counts are those of `at`, where the sorted set has `size` members. `false` when they contradict that.
    pub fn be_of(&mut self, at: u64, size: u64) -> bool {
        /// As many as are gone through in the time of one look-up or two.
        const STEP: u64 = 64;
        const STRETCHES: u64 = 1 << 14;
        if self.counts.len() == 1 {
            self.step = STEP.max(size / STRETCHES);
        }
        self.at = at;
        let known: u64 = self.known().sum();
        match self.unknown {
            Some(unknown) => {
                self.counts[unknown] = size.saturating_sub(known);
                known <= size && self.counts.len() as u64 <= 4 * STRETCHES
            }
            None => known == size,
        }
    }

    fn known(&self) -> impl Iterator<Item = u64> {
        self.counts.iter().enumerate().filter(|&(index, _)| Some(index) != self.unknown).map(|(_, count)| *count)
    }

    /// The stretch of the member with that rank; `None` behind the last.
    pub fn of_rank(&self, rank: u64) -> Option<Stretch> {
        let mut before = 0;
        for (index, &count) in self.counts.iter().enumerate() {
            if rank - before < count {
                return Some(Stretch { index, before, count });
            }
            before += count;
        }
        None
    }

    /// Which stretch a place is in.
    pub fn index_of(&self, place: &[u8]) -> usize {
        self.starts.partition_point(|start| **start <= *place).saturating_sub(1)
    }

    /// The stretch that a place is in.
    pub fn of_place(&self, place: &[u8]) -> Stretch {
        let index = self.index_of(place);
        Stretch { index, before: self.counts[..index].iter().sum(), count: self.counts[index] }
    }

    /// Where a stretch starts, and where the next one does.
    pub fn ends(&self, index: usize) -> (&[u8], Option<&[u8]>) {
        (&self.starts[index], self.starts.get(index + 1).map(|start| &**start))
    }

    /// Whether somebody went through it.
    pub fn is_known(&self, index: usize) -> bool {
        self.unknown != Some(index)
    }

    /// Takes a known piece from the low or the high end of the unknown stretch: `count` members on that side of `boundary`.
    pub fn take_piece(&mut self, high: bool, boundary: &[u8], count: u64) {
        let Some(unknown) = self.unknown else { return };
        let left = self.counts[unknown].saturating_sub(count);
        self.starts.insert(unknown + 1, boundary.into());
        self.counts.insert(unknown + 1, if high { count } else { left });
        self.counts[unknown] = if high { left } else { count };
        self.unknown = Some(if high { unknown } else { unknown + 1 });
    }

    /// All that was left of the unknown stretch was gone through. `false` when it had not the members that it should have.
    pub fn take_rest(&mut self, count: u64) -> bool {
        self.unknown.take().is_some_and(|unknown| self.counts[unknown] == count)
    }

    /// Replaces a known stretch by what it was found to consist of, which begins where it does; by nothing when it is empty.
    pub fn count_again(&mut self, index: usize, pieces: Vec<Piece>) {
        let former = self.starts.len();
        if pieces.is_empty() && former == 1 {
            self.counts[0] = 0;
            return;
        }
        self.counts.splice(index..=index, pieces.iter().map(|(_, count)| *count));
        self.starts.splice(index..=index, pieces.into_iter().map(|(start, _)| start));
        // What an empty stretch leaves is its neighbour's.
        self.starts[0] = Box::default();
        if let Some(unknown) = self.unknown.as_mut().filter(|unknown| **unknown > index) {
            *unknown = *unknown + self.starts.len() - former;
        }
    }
}

/// The sorted sets of one RocksDB whose ranks somebody asks for, by what their subkeys start with, and where they were
/// written since.
#[derive(Default)]
pub struct Remembered {
    sets: BTreeMap<Vec<u8>, Followed>,
    turn: u64,
}

struct Followed {
    ranks: Arc<Mutex<Ranks>>,
    /// Where entries wrote, with their last sequences.
    places: Vec<(u64, Box<[u8]>)>,
    bytes: usize,
    /// When it was asked for last: in turns, and by the sequence.
    turn: u64,
    asked: u64,
}

/// How many sorted sets are remembered. Each takes a few megabytes at most.
const MOST: usize = 16;
/// How much may be written to one without a question before counting anew is as good.
const MOST_PLACES: usize = 1 << 16;
const MOST_BYTES: usize = 4 << 20;
/// How many records may be written anywhere without a question before a sorted set is forgotten.
const MOST_RECORDS: u64 = 1 << 20;

impl Remembered {
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// What is remembered of a sorted set, from `latest` on if it was nothing.
    pub fn follow(&mut self, start: &[u8], latest: u64) -> Arc<Mutex<Ranks>> {
        self.turn += 1;
        if let Some(followed) = self.sets.get_mut(start) {
            followed.turn = self.turn;
            return Arc::clone(&followed.ranks);
        }
        if self.sets.len() == MOST
            && let Some(oldest) = self.sets.iter().min_by_key(|(_, followed)| followed.turn)
        {
            let oldest = oldest.0.clone();
            self.sets.remove(&oldest);
        }
        let ranks = Arc::new(Mutex::new(Ranks::new(latest)));
        let turn = self.turn;
        let followed = Followed { ranks: Arc::clone(&ranks), places: Vec::new(), bytes: 0, turn, asked: latest };
        self.sets.insert(start.to_vec(), followed);
        ranks
    }

    /// Where entries up to `until` have written since this was asked for last. `None` when that was forgotten.
    pub fn take(&mut self, start: &[u8], ranks: &Arc<Mutex<Ranks>>, until: u64) -> Option<Vec<Box<[u8]>>> {
        let followed = self.sets.get_mut(start).filter(|followed| Arc::ptr_eq(&followed.ranks, ranks))?;
        followed.asked = until;
        let later = followed.places.partition_point(|(last, _)| *last <= until);
        let taken: Vec<_> = followed.places.drain(..later).map(|(_, place)| place).collect();
        followed.bytes -= taken.iter().map(|place| place.len()).sum::<usize>();
        Some(taken)
    }

    pub fn forget(&mut self, start: &[u8], ranks: &Arc<Mutex<Ranks>>) {
        if self.sets.get(start).is_some_and(|followed| Arc::ptr_eq(&followed.ranks, ranks)) {
            self.sets.remove(start);
        }
    }

    /// Notes where an entry has written.
    pub fn note(&mut self, last: u64, batch: &[u8]) {
        // It was parsed before it was written.
        let Ok(batch) = Batch::parse(batch) else { return self.sets.clear() };
        for record in batch.records() {
            match record {
                Record::Put { family: ZSET_SCORE, key, .. } | Record::Delete { family: ZSET_SCORE, key } => {
                    self.note_place(last, key);
                }
                Record::DeleteRange { family: ZSET_SCORE, .. } => self.sets.clear(),
                _ => {}
            }
        }
        self.sets.retain(|_, followed| last.saturating_sub(followed.asked) < MOST_RECORDS);
    }

    fn note_place(&mut self, last: u64, key: &[u8]) {
        // None of them starts another, since each has the length of its key in it.
        let before = (Bound::Unbounded, Bound::Included(key));
        let Some((start, followed)) = self.sets.range_mut::<[u8], _>(before).next_back() else { return };
        let Some(place) = key.strip_prefix(&start[..]) else { return };
        followed.bytes += place.len();
        followed.places.push((last, place.into()));
        if followed.places.len() > MOST_PLACES || followed.bytes > MOST_BYTES {
            let start = start.clone();
            self.sets.remove(&start);
        }
    }
}
