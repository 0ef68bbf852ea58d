//! Sorted ints as users hold them.

use super::super::error::Result;
use super::super::format::metadata::Kind;
use super::super::types::sorted_int;
use super::Key;

/// A set of unsigned 64-bit integers in order, of Kvrocks' own: in fewer bytes than a set or a sorted set has for them. A
/// handle of a key, which need not be there; WrongType when it is of another type.
///
/// Each call is one write, which survives a killed process when it returns, or one look at one moment.
///
/// ```
/// use pumice::{Engine, Options};
///
/// # let dir = tempfile::tempdir().unwrap();
/// let engine = Engine::open(dir.path(), &Options::default())?;
/// let ids = engine.default_namespace().sorted_int("ids");
/// assert_eq!(ids.add(&[30, 10, 20, 10])?, 3);
/// assert!(ids.contains(20)?);
/// assert_eq!(ids.range(11, u64::MAX, 100)?, [20, 30]);
/// assert_eq!(ids.range_reversed(0, u64::MAX, 1)?, [30]);
/// assert_eq!(ids.remove(&[10, 99])?, 1);
/// assert_eq!(ids.len()?, 2);
/// # Ok::<(), pumice::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct SortedInt {
    pub(super) key: Key,
}

impl SortedInt {
    /// Adds integers. How many are new.
    pub fn add(&self, integers: &[u64]) -> Result<u64> {
        self.key.write(|writing, key| sorted_int::add(writing, key, integers))
    }

    /// Removes integers. How many were there. Without the last one the sorted int is gone.
    pub fn remove(&self, integers: &[u64]) -> Result<u64> {
        self.key.write(|writing, key| sorted_int::remove(writing, key, integers))
    }

    /// Whether an integer is there.
    pub fn contains(&self, integer: u64) -> Result<bool> {
        let found = self.key.view(|reading, key| sorted_int::contains(reading, key, &[integer]))?;
        Ok(found.is_some_and(|found| found == [true]))
    }

    /// The integers from one to another, which is among them, in order, `count` at most. InvalidArgument when that is too
    /// many at once: more than some eight million.
    pub fn range(&self, from: u64, to: u64, count: u64) -> Result<Vec<u64>> {
        self.key.view(|reading, key| sorted_int::range(reading, key, from, to, false, 0, count))
    }

    /// [`SortedInt::range`] from the highest to the lowest.
    pub fn range_reversed(&self, from: u64, to: u64, count: u64) -> Result<Vec<u64>> {
        self.key.view(|reading, key| sorted_int::range(reading, key, from, to, true, 0, count))
    }

    /// How many integers there are. One read.
    pub fn len(&self) -> Result<u64> {
        self.key.read(sorted_int::len)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Removes all integers: one record, whatever their number.
    pub fn clear(&self) -> Result<()> {
        self.key.clear(Kind::SORTEDINT)
    }
}
