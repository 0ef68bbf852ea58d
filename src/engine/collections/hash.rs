//! Hashes as users hold them.

use super::super::error::Result;
use super::super::format::key::prefix_end;
use super::super::format::metadata::Kind;
use super::super::types::hash;
use super::super::types::items::Range;
use super::super::types::random::Draw;
use super::{Key, Walk};

/// A hash: values under the names of fields, one beside the other on disk in the order of their names. A handle of a key,
/// which need not be there; WrongType when it is of another type.
///
/// Each call is one write, which survives a killed process when it returns, or one look at one moment. Fields and values
/// are bytes, at most 512 MiB long.
///
/// ```
/// use pumice::{Engine, Options, Range};
///
/// # let dir = tempfile::tempdir().unwrap();
/// let engine = Engine::open(dir.path(), &Options::default())?;
/// let ada = engine.default_namespace().hash("ada");
/// ada.set(b"title", b"countess")?;
/// assert_eq!(ada.set_many(&[("title", "programmer"), ("born", "1815")])?, 1, "the other is not new");
/// assert_eq!(ada.get(b"title")?.unwrap(), b"programmer");
/// assert_eq!(ada.increment(b"born", 1)?, 1816);
///
/// let mut fields = ada.fields(&Range { prefix: b"t".to_vec(), ..Default::default() })?;
/// while let Some((field, value)) = fields.next_field()? {
///     assert_eq!((field, value), (&b"title"[..], &b"programmer"[..]));
/// }
/// assert_eq!(ada.remove(&["title", "nothing"])?, 1);
/// assert_eq!(ada.len()?, 1);
/// # Ok::<(), pumice::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Hash {
    pub(super) key: Key,
}

impl Hash {
    /// The value of a field.
    pub fn get(&self, field: &[u8]) -> Result<Option<Vec<u8>>> {
        self.key.read(|reading, key| Ok(hash::get(reading, key, field)?.map(|value| value.to_vec())))
    }

    /// The values of many fields, in their order, at one moment.
    pub fn get_many(&self, fields: &[impl AsRef<[u8]>]) -> Result<Vec<Option<Vec<u8>>>> {
        self.key.view(|reading, key| {
            let values = hash::get_many(reading, key, fields)?;
            Ok(values.into_iter().map(|value| value.map(|value| value.to_vec())).collect())
        })
    }

    /// Whether a field is there.
    pub fn contains(&self, field: &[u8]) -> Result<bool> {
        self.key.read(|reading, key| Ok(hash::get(reading, key, field)?.is_some()))
    }

    /// How many fields there are. One read.
    pub fn len(&self) -> Result<u64> {
        self.key.read(|reading, key| reading.size(key, Kind::HASH))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Sets a field. Whether it is new.
    pub fn set(&self, field: &[u8], value: &[u8]) -> Result<bool> {
        self.key.write(|writing, key| Ok(hash::set(writing, key, &[(field, value)], false)? > 0))
    }

    /// Sets fields, all or none. How many are new.
    pub fn set_many(&self, pairs: &[(impl AsRef<[u8]>, impl AsRef<[u8]>)]) -> Result<u64> {
        let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|(field, value)| (field.as_ref(), value.as_ref())).collect();
        self.key.write(|writing, key| hash::set(writing, key, &pairs, false))
    }

    /// Sets a field that is not there. Whether it did; no other write comes between the look and the write.
    pub fn set_absent(&self, field: &[u8], value: &[u8]) -> Result<bool> {
        self.key.write(|writing, key| Ok(hash::set(writing, key, &[(field, value)], true)? > 0))
    }

    /// Removes fields. How many were there. Without the last one the hash is gone.
    pub fn remove(&self, fields: &[impl AsRef<[u8]>]) -> Result<u64> {
        self.key.write(|writing, key| hash::remove(writing, key, fields))
    }

    /// Removes a field and gives what it held.
    pub fn take(&self, field: &[u8]) -> Result<Option<Vec<u8>>> {
        self.key.write(|writing, key| {
            let value = hash::get(&writing.reading(), key, field)?.map(|value| value.to_vec());
            hash::remove(writing, key, &[field])?;
            Ok(value)
        })
    }

    /// Adds to the whole number in a field, 0 where there is none. Gives what it is then. InvalidArgument when it is no
    /// number, or would be too large for 64 bits.
    pub fn increment(&self, field: &[u8], by: i64) -> Result<i64> {
        self.key.write(|writing, key| hash::increment(writing, key, field, by))
    }

    /// [`Hash::increment`] for numbers with a fraction.
    pub fn increment_float(&self, field: &[u8], by: f64) -> Result<f64> {
        self.key.write(|writing, key| hash::increment_float(writing, key, field, by))
    }

    /// The fields of a range in the order of their names, with their values, as they are at this moment.
    pub fn fields(&self, range: &Range) -> Result<Fields> {
        let (from, to) = bounds(range);
        self.key
            .view(|reading, key| Ok(Fields(Walk::of(hash::fields(reading, key, &from, to.as_deref(), range.reverse)?))))
    }

    /// Random fields with their values, `count` at most, each once. It goes through the hash.
    pub fn random(&self, count: u64) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        self.key.view(|reading, key| hash::random(reading, key, Draw::Distinct(count)))
    }

    /// Removes all fields: one record, whatever their number.
    pub fn clear(&self) -> Result<()> {
        self.key.clear(Kind::HASH)
    }

    #[cfg_attr(not(feature = "python"), allow(dead_code, reason = "for the face that shows it"))]
    pub(crate) fn shown(&self) -> String {
        self.key.shown()
    }
}

/// A range of names as its first and the one after its last.
fn bounds(range: &Range) -> (Vec<u8>, Option<Vec<u8>>) {
    let start = range.start.clone().unwrap_or_default();
    let end = prefix_end(&range.prefix);
    let to = match (&range.end, end) {
        (Some(to), Some(end)) => Some(end.min(to.clone())),
        (Some(to), None) => Some(to.clone()),
        (None, end) => end,
    };
    (start.max(range.prefix.clone()), to)
}

/// An ordered walk through the fields of a hash, seeing one moment. It holds one field at a time, and its dataset open.
pub struct Fields(Walk);

impl Fields {
    /// The next field with its value; `None` at the end, and from then on.
    pub fn next_field(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        self.0.next()
    }
}

/// Owned copies of what [`Fields::next_field`] lends.
impl Iterator for Fields {
    type Item = Result<(Vec<u8>, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_field();
        next.map(|next| next.map(|(field, value)| (field.to_vec(), value.to_vec()))).transpose()
    }
}
