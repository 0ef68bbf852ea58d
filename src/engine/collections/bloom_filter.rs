//! Bloom filters as users hold them.

use super::super::error::{Error, ErrorKind, Result};
use super::super::format::metadata::Kind;
use super::super::types::bloom::{self, Added, BloomInfo, BloomShape};
use super::Key;

/// A Bloom filter: whether an item was added before, without keeping the items. One that was added is always found; one that
/// was not is found by mistake at the rate that was asked for. A handle of a key, which need not be there; WrongType when it
/// is of another type.
///
/// Each call is one write, which survives a killed process when it returns, or one look at one moment. A write stores anew the
/// newest filter of the chain, whose size goes with the capacity: many items in one call cost as one.
///
/// ```
/// use pumice::{BloomShape, Engine, Options};
///
/// # let dir = tempfile::tempdir().unwrap();
/// let engine = Engine::open(dir.path(), &Options::default())?;
/// let seen = engine.default_namespace().bloom_filter("seen");
/// seen.reserve(BloomShape { capacity: 1000, error_rate: 0.001, expansion: 2 })?;
/// assert!(seen.add("ada")?);
/// assert_eq!(seen.add_many(&["ada", "grace"])?, [false, true]);
/// assert!(seen.contains("grace")?);
/// assert_eq!(seen.contains_many(&["ada", "hedy"])?, [true, false]);
/// assert_eq!(seen.info()?.unwrap().items, 2);
/// # Ok::<(), pumice::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BloomFilter {
    pub(super) key: Key,
}

impl BloomFilter {
    /// Makes the filter. `false` when it is there already. Without it the first item makes one of [`BloomShape::default`].
    /// InvalidArgument for a capacity of 0, and an error rate that is not between 0 and 1.
    pub fn reserve(&self, shape: BloomShape) -> Result<bool> {
        let BloomShape { capacity, error_rate, .. } = shape;
        if capacity == 0 || !(error_rate > 0.0 && error_rate < 1.0) {
            let got = format!("Bloom filter: got the capacity {capacity} and the error rate {error_rate}");
            let message = format!("{got}, expected more than 0, and a rate between 0 and 1");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        self.key.write(|writing, key| bloom::reserve(writing, key, shape))
    }

    /// Adds an item. Whether it is new; `false` also for one that looks like another. InvalidArgument when the filter is full
    /// and was made not to grow.
    pub fn add(&self, item: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.add_many(&[item])?.pop().unwrap_or_default())
    }

    /// Adds items in one write: which are new. When one of them finds the filter full, none is added.
    pub fn add_many(&self, items: &[impl AsRef<[u8]>]) -> Result<Vec<bool>> {
        let is_new = |added| match added {
            Added::New => Ok(true),
            Added::Present => Ok(false),
            Added::Full => {
                let message = format!("Bloom filter {}: it is full, and was made not to grow", self.key.shown());
                Err(Error::new(ErrorKind::InvalidArgument, message))
            }
        };
        if items.is_empty() {
            return Ok(Vec::new());
        }
        self.key.write(|writing, key| {
            let added = bloom::add(writing, key, items, Some(BloomShape::default()))?;
            added.unwrap_or_default().into_iter().map(is_new).collect()
        })
    }

    /// Whether an item was probably added; `false` is certain.
    pub fn contains(&self, item: impl AsRef<[u8]>) -> Result<bool> {
        Ok(self.contains_many(&[item])?.pop().unwrap_or_default())
    }

    /// Which items were probably added. Each filter of the chain is read once.
    pub fn contains_many(&self, items: &[impl AsRef<[u8]>]) -> Result<Vec<bool>> {
        self.key.view(|reading, key| bloom::contains(reading, key, items))
    }

    /// What the filter is like, and how many items it has. One read.
    pub fn info(&self) -> Result<Option<BloomInfo>> {
        self.key.view(bloom::info)
    }

    /// Forgets all items: one record, whatever their number.
    pub fn clear(&self) -> Result<()> {
        self.key.clear(Kind::BLOOM)
    }
}
