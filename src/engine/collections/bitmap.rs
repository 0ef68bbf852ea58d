//! Bitmaps as users hold them.

use super::super::error::Result;
use super::super::format::metadata::Kind;
use super::super::types::bitmap::{self, BitOperation, BitRange};
use super::Key;

/// A bitmap: bits that are on or off, counted from 0, of which only the fragments that were written take space. A handle of
/// a key, which need not be there; a string is worked on as the bits that it is. WrongType when it is of another type.
///
/// Each call is one write, which survives a killed process when it returns, or one look at one moment. Offsets go to
/// 2^32 - 1; setting or reading a bit costs the same wherever it is, counting and searching go through the range.
///
/// ```
/// use pumice::{BitOperation, BitRange, Engine, Options};
///
/// # let dir = tempfile::tempdir().unwrap();
/// let engine = Engine::open(dir.path(), &Options::default())?;
/// let names = engine.default_namespace();
/// let monday = names.bitmap("monday");
/// assert!(!monday.set(7, true)?, "it was off");
/// monday.set(100_000, true)?;
/// assert!(monday.get(7)?);
/// assert_eq!(monday.count(BitRange::ALL)?, 2);
/// assert_eq!(monday.find(true, BitRange { start: 8, end: None, in_bits: true })?, Some(100_000));
///
/// names.bitmap("both").combine(BitOperation::And, &["monday", "tuesday"])?;
/// assert_eq!(names.bitmap("both").count(BitRange::ALL)?, 0);
/// # Ok::<(), pumice::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Bitmap {
    pub(super) key: Key,
}

impl Bitmap {
    /// Whether a bit is on.
    pub fn get(&self, offset: u32) -> Result<bool> {
        self.key.view(|reading, key| bitmap::get(reading, key, offset))
    }

    /// Sets a bit. Whether it was on.
    pub fn set(&self, offset: u32, on: bool) -> Result<bool> {
        self.key.write(|writing, key| bitmap::set(writing, key, offset, on))
    }

    /// How many bits of a range are on.
    pub fn count(&self, range: BitRange) -> Result<u64> {
        self.key.view(|reading, key| bitmap::count(reading, key, range))
    }

    /// The first bit of a range that is on, or off. Behind an open end all bits are off.
    pub fn find(&self, on: bool, range: BitRange) -> Result<Option<u64>> {
        self.key.view(|reading, key| bitmap::position(reading, key, on, range))
    }

    /// Makes this key the combination of others, whatever it was; of nothing, deletes it. Gives its length in bytes.
    pub fn combine(&self, operation: BitOperation, sources: &[impl AsRef<[u8]>]) -> Result<u64> {
        let sources: Vec<Vec<u8>> = sources.iter().map(|source| source.as_ref().to_vec()).collect();
        self.key.write(|writing, key| bitmap::combine(writing, operation, key, &sources))
    }

    /// Removes all bits: one record, whatever their number. WrongType for a string.
    pub fn clear(&self) -> Result<()> {
        self.key.clear(Kind::BITMAP)
    }
}
