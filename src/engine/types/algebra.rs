//! What is in all, in any, or in the first only of several sets or sorted sets. Their members are in order on disk, so
//! that they are walked through side by side, and none is held in memory.

use std::ops::ControlFlow;

use super::reading::{Reading, Subkeys, wrong_type};
use super::sorted_set::score_of;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::batch::DEFAULT;
use crate::engine::format::metadata::Kind;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Union,
    Intersection,
    /// What is in the first and in no other.
    Difference,
}

/// One of the sets, and where it stands.
struct Side<'a> {
    walk: Option<Subkeys<'a>>,
    scored: bool,
    /// The member at which it stands.
    member: Option<Vec<u8>>,
    score: f64,
}

impl Side<'_> {
    fn step(&mut self) -> Result<()> {
        let next = match &mut self.walk {
            Some(walk) => walk.next()?,
            None => None,
        };
        match next {
            Some((member, value)) => {
                self.score = if self.scored { score_of(value)? } else { 1.0 };
                let held = self.member.get_or_insert_default();
                held.clear();
                held.extend_from_slice(member);
            }
            None => (self.walk, self.member) = (None, None),
        }
        Ok(())
    }
}

/// The most sets of one operation: each is walked by a cursor of its own.
const MOST_KEYS: usize = 1024;

/// What is called for each member, with the scores that it has.
pub type Each<'a> = &'a mut dyn FnMut(&[u8], &[Option<f64>]) -> Result<ControlFlow<()>>;

/// Gives each member of the result in the order of their bytes, with the scores that it has in each of the sets, 1 in one
/// without scores. `kinds` are those that the keys may be of.
pub fn combine(
    reading: &Reading<'_>,
    keys: &[impl AsRef<[u8]>],
    kinds: &[Kind],
    operation: Operation,
    each: Each<'_>,
) -> Result<()> {
    if keys.len() > MOST_KEYS {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("sets to combine: got {}, expected at most {MOST_KEYS}", keys.len()),
        ));
    }
    let mut sides = Vec::with_capacity(keys.len());
    for key in keys {
        let key = key.as_ref();
        let found = reading.metadata(key)?;
        if let Some(metadata) = found
            && !kinds.contains(&metadata.kind)
        {
            return Err(wrong_type(key, metadata.kind, kinds.first().copied().unwrap_or(Kind::SET)));
        }
        let walk = found.map(|metadata| {
            let start = reading.subkey_prefix(key, metadata.version);
            reading.subkeys(DEFAULT, &start, b"", None, false)
        });
        let scored = found.is_some_and(|metadata| metadata.kind == Kind::ZSET);
        sides.push(Side { walk, scored, member: None, score: 0.0 });
    }
    for side in &mut sides {
        side.step()?;
    }
    let mut scores = vec![None; sides.len()];
    loop {
        let over = match operation {
            Operation::Union => sides.iter().all(|side| side.member.is_none()),
            Operation::Intersection => sides.iter().any(|side| side.member.is_none()),
            Operation::Difference => sides.first().is_none_or(|side| side.member.is_none()),
        };
        if over {
            return Ok(());
        }
        let Some(least) = sides.iter().filter_map(|side| side.member.as_ref()).min().cloned() else { return Ok(()) };
        for (side, score) in sides.iter().zip(&mut scores) {
            *score = (side.member.as_ref() == Some(&least)).then_some(side.score);
        }
        let fits = match operation {
            Operation::Union => true,
            Operation::Intersection => scores.iter().all(Option::is_some),
            Operation::Difference => {
                scores.iter().position(Option::is_some) == Some(0) && scores[1..].iter().all(Option::is_none)
            }
        };
        if fits && each(&least, &scores)?.is_break() {
            return Ok(());
        }
        for (side, _) in sides.iter_mut().zip(&scores).filter(|(_, score)| score.is_some()) {
            side.step()?;
        }
    }
}
