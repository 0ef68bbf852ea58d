//! Random choices among elements: not for secrets.

use std::collections::BTreeSet;

use super::reading::{Budget, Subkeys};
use crate::engine::error::{Error, ErrorKind, Result};

/// SplitMix64, from a random seed.
pub struct Random(u64);

impl Random {
    pub fn new() -> Result<Random> {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).map_err(|e| Error::new(ErrorKind::Io, format!("read random bytes: {e}")))?;
        Ok(Random(u64::from_le_bytes(seed)))
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 where that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(end)) >> 64) as u64
    }
}

/// How many elements to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// So many at most, each once.
    Distinct(u64),
    /// So many, each as often as it comes.
    Repeated(u64),
}

/// Draws subkeys with their values out of a walk through `size` of them, each with the same chance. It goes through all of
/// them up to the last one that is drawn, and holds those that are drawn.
pub fn draw(mut walk: Subkeys<'_>, size: u64, count: Draw) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    /// The most elements that are drawn at once, but for all of them.
    const MOST: u64 = 1 << 24;
    let mut budget = Budget::default();
    let mut drawn = Vec::new();
    let mut random = Random::new()?;
    let places: Vec<u64> = match count {
        Draw::Distinct(count) if count >= size => {
            while let Some((sub, value)) = walk.next()? {
                budget.take(sub.len() + value.len())?;
                drawn.push((sub.to_vec(), value.to_vec()));
            }
            return Ok(drawn);
        }
        Draw::Distinct(count) | Draw::Repeated(count) if count > MOST => {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("random elements: got {count}, expected at most {MOST}"),
            ));
        }
        Draw::Distinct(count) => {
            // Floyd's way to a sample without repetition.
            let mut places = BTreeSet::new();
            for end in size - count..size {
                let place = random.below(end + 1);
                if !places.insert(place) {
                    places.insert(end);
                }
            }
            places.into_iter().collect()
        }
        Draw::Repeated(count) => {
            let mut places: Vec<u64> = (0..count).map(|_| random.below(size)).collect();
            places.sort_unstable();
            places
        }
    };
    let mut places = places.into_iter().peekable();
    let mut at = 0;
    while places.peek().is_some() {
        let Some((sub, value)) = walk.next()? else { break };
        while places.next_if_eq(&at).is_some() {
            budget.take(sub.len() + value.len())?;
            drawn.push((sub.to_vec(), value.to_vec()));
        }
        at += 1;
    }
    for last in (1..drawn.len()).rev() {
        drawn.swap(last, random.below(last as u64 + 1) as usize);
    }
    Ok(drawn)
}
