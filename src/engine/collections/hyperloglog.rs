//! HyperLogLogs as users hold them.

use super::super::error::Result;
use super::super::format::metadata::Kind;
use super::super::types::hyperloglog;
use super::Key;

/// A HyperLogLog: how many different elements there were, within about 0.8 %, in at most 12 KiB. A handle of a key, which
/// need not be there; WrongType when it is of another type.
///
/// Each call is one write, which survives a killed process when it returns, or one look at one moment.
///
/// ```
/// use pumice::{Engine, Options};
///
/// # let dir = tempfile::tempdir().unwrap();
/// let engine = Engine::open(dir.path(), &Options::default())?;
/// let visitors = engine.default_namespace().hyperloglog("visitors");
/// visitors.add(&["ada", "grace", "ada"])?;
/// assert_eq!(visitors.count()?, 2);
/// # Ok::<(), pumice::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct HyperLogLog {
    pub(super) key: Key,
}

impl HyperLogLog {
    /// Adds elements. Whether the estimate may be another now.
    pub fn add(&self, elements: &[impl AsRef<[u8]>]) -> Result<bool> {
        self.key.write(|writing, key| hyperloglog::add(writing, key, elements))
    }

    /// The estimated number of different elements.
    pub fn count(&self) -> Result<u64> {
        self.key.view(|reading, key| hyperloglog::count(reading, &[key]))
    }

    /// Adds what other keys of the namespace have counted.
    pub fn merge(&self, sources: &[impl AsRef<[u8]>]) -> Result<()> {
        self.key.write(|writing, key| hyperloglog::merge(writing, key, sources))
    }

    /// Forgets all elements.
    pub fn clear(&self) -> Result<()> {
        self.key.clear(Kind::HYPERLOGLOG)
    }
}
