//! Ranks in a long sorted set, without going through all members before: with what `ranks` remembers of how many there are
//! in each stretch of it, which is counted here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::reading::{Opened, Reading, Subkeys};
use crate::engine::clock;
use crate::engine::error::Result;
use crate::engine::format::batch::ZSET_SCORE;
use crate::engine::format::metadata::Kind;
use crate::engine::ranks::{Piece, Ranks, Stretch};

/// Sorted sets with fewer members are gone through.
pub const MANY: u64 = 4096;
/// Fewer members are stepped over.
pub const FEW: u64 = 256;
/// A stretch does not start at a member with more bytes, which would have to be kept.
const LONGEST: usize = 128;

/// What a stretch is looked for by.
#[derive(Clone, Copy)]
pub enum Target<'a> {
    Rank(u64),
    /// A score with its member, as they are stored, and whether it is looked for from the high end.
    Place(&'a [u8], bool),
}

/// A sorted set at one moment, with the counts of its stretches then.
pub struct Ranking<'a> {
    pub reading: Reading<'a>,
    pub zset: &'a Opened,
    ranks: &'a mut Ranks,
}

/// Asks for ranks in the sorted set whose subkeys start with `start`. `None` where they are not to be had in this way: it is
/// gone, its writes are pending, the moment is older than what is known, or what was counted contradicts its size.
pub fn ask<R>(
    reading: &Reading<'_>,
    key: &[u8],
    start: &[u8],
    ask: impl FnOnce(&mut Ranking<'_>) -> Result<Option<R>>,
) -> Result<Option<R>> {
    /// An entry that can be read is told of by its writer in the same breath.
    const BREATH: Duration = Duration::from_millis(10);
    let store = reading.store;
    if reading.pending.is_some() {
        return Ok(None);
    }
    let remembered = store.follow_ranks(start);
    let mut ranks = remembered.lock();
    // Taken under the lock, so that nobody has counted at a later moment.
    let snapshot = reading.snapshot.cloned().unwrap_or_else(|| Arc::new(store.db.snapshot()));
    let at = snapshot.sequence();
    if at < ranks.at() || !store.wait_for(at, clock::after(BREATH)) {
        return Ok(None);
    }
    let reading = Reading { snapshot: Some(&snapshot), ..*reading };
    let Some(zset) = reading.find(key, Kind::ZSET)?.filter(|zset| zset.start == start) else { return Ok(None) };
    let Some(places) = store.written_places(start, &remembered, at) else { return Ok(None) };
    let mut ranking = Ranking { reading, zset: &zset, ranks: &mut ranks };
    let answer = match ranking.follow(at, &places) {
        Ok(true) => ask(&mut ranking),
        Ok(false) => Ok(None),
        Err(e) => Err(e),
    };
    if !matches!(answer, Ok(Some(_))) {
        store.forget_ranks(start, &remembered);
    }
    answer
}

impl Ranking<'_> {
    /// Brings the counts to the sequence `at`, up to which these places were written. `false` when they contradict the size.
    fn follow(&mut self, at: u64, places: &[Box<[u8]>]) -> Result<bool> {
        let written: BTreeSet<usize> = places.iter().map(|place| self.ranks.index_of(place)).collect();
        // From the last on, since a stretch may become several or none.
        for &index in written.iter().rev() {
            if self.ranks.is_known(index) {
                self.count_again(index)?;
            }
        }
        Ok(self.ranks.be_of(at, self.zset.metadata.size))
    }

    fn count_again(&mut self, index: usize) -> Result<()> {
        let step = self.ranks.step();
        let (from, to) = self.ranks.ends(index);
        let mut pieces: Vec<Piece> = Vec::new();
        let mut walk = self.reading.subkeys(ZSET_SCORE, &self.zset.start, from, to, false);
        while let Some((place, _)) = walk.next()? {
            match pieces.last_mut() {
                None => pieces.push((from.into(), 1)),
                Some((_, count)) if *count < step || place.len() > LONGEST => *count += 1,
                Some(_) => pieces.push((place.into(), 1)),
            }
        }
        // Stretches that are cut whenever a member comes would become very small ones.
        let all = pieces.iter().map(|(_, count)| count).sum::<u64>();
        if all <= 2 * step {
            pieces.truncate(1);
            pieces.iter_mut().for_each(|(_, count)| *count = all);
        } else if let [.., (_, before), (_, last)] = &mut pieces[..]
            && *last < step / 2
        {
            *before += *last;
            pieces.pop();
        }
        self.ranks.count_again(index, pieces);
        Ok(())
    }

    /// The stretch that something is in, after going through all up to it that nobody went through. `None` when the sorted
    /// set has not the members that it should have.
    pub fn find(&mut self, target: Target<'_>) -> Result<Option<Stretch>> {
        let look = |ranks: &Ranks| match target {
            Target::Rank(rank) => ranks.of_rank(rank),
            Target::Place(place, _) => Some(ranks.of_place(place)),
        };
        let found = look(self.ranks);
        let Some(unknown) = found.filter(|stretch| !self.ranks.is_known(stretch.index)) else { return Ok(found) };
        let high = match target {
            Target::Rank(rank) => rank - unknown.before > unknown.count / 2,
            Target::Place(_, high) => high,
        };
        Ok(if self.go_through(unknown, high, target)? { look(self.ranks) } else { None })
    }

    /// Goes through the unknown stretch from one end until it is behind the target.
    fn go_through(&mut self, unknown: Stretch, high: bool, target: Target<'_>) -> Result<bool> {
        let step = self.ranks.step();
        let (from, to) = self.ranks.ends(unknown.index);
        let mut walk = self.reading.subkeys(ZSET_SCORE, &self.zset.start, from, to, high);
        let (mut piece, mut all) = (0, 0);
        while let Some((place, _)) = walk.next()? {
            if high {
                piece += 1;
            }
            if piece >= step && place.len() <= LONGEST {
                self.ranks.take_piece(high, place, piece);
                all += piece;
                piece = 0;
                let rank = unknown.before + if high { unknown.count.saturating_sub(all) } else { all };
                let is_behind = match target {
                    Target::Rank(wanted) => rank > wanted,
                    Target::Place(wanted, _) => place > wanted,
                };
                if is_behind != high {
                    return Ok(true);
                }
            }
            if !high {
                piece += 1;
            }
        }
        Ok(self.ranks.take_rest(piece))
    }

    /// How many members come before a place.
    pub fn before(&mut self, place: &[u8], high: bool) -> Result<Option<u64>> {
        let Some(stretch) = self.find(Target::Place(place, high))? else { return Ok(None) };
        let (from, _) = self.ranks.ends(stretch.index);
        let mut walk = self.reading.subkeys(ZSET_SCORE, &self.zset.start, from, Some(place), false);
        let mut before = stretch.before;
        while walk.advance()? {
            before += 1;
        }
        Ok(Some(before))
    }

    /// A walk that begins a few members before the one with that rank, and how many.
    pub fn walk(&mut self, rank: u64, reverse: bool) -> Result<Option<(Subkeys<'static>, u64)>> {
        let Some(stretch) = self.find(Target::Rank(rank))? else { return Ok(None) };
        let (from, to) = self.ranks.ends(stretch.index);
        let (from, to, few) = if reverse {
            (&b""[..], to, stretch.before + stretch.count - 1 - rank)
        } else {
            (from, None, rank - stretch.before)
        };
        Ok(Some((self.reading.subkeys(ZSET_SCORE, &self.zset.start, from, to, reverse).kept(), few)))
    }
}
