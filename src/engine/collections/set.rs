//! Sets as users hold them.

use super::super::error::Result;
use super::super::format::metadata::Kind;
use super::super::types::random::Draw;
use super::super::types::set;
use super::{Key, Walk};

/// A set: members without values, each once, in the order of their bytes. A handle of a key, which need not be there;
/// WrongType when it is of another type.
///
/// Each call is one write, which survives a killed process when it returns, or one look at one moment. Members are bytes,
/// at most 512 MiB long.
///
/// ```
/// use pumice::{Engine, Options};
///
/// # let dir = tempfile::tempdir().unwrap();
/// let engine = Engine::open(dir.path(), &Options::default())?;
/// let tags = engine.default_namespace().set("tags");
/// assert_eq!(tags.add(&["light", "porous", "light"])?, 2);
/// assert!(tags.contains(b"light")?);
/// let all: Result<Vec<_>, _> = tags.members()?.collect();
/// assert_eq!(all?, [b"light".to_vec(), b"porous".to_vec()]);
/// assert_eq!(tags.remove(&["porous"])?, 1);
/// assert_eq!(tags.len()?, 1);
/// # Ok::<(), pumice::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Set {
    pub(super) key: Key,
}

impl Set {
    /// How many members there are. One read.
    pub fn len(&self) -> Result<u64> {
        self.key.read(|reading, key| reading.size(key, Kind::SET))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Whether a member is there.
    pub fn contains(&self, member: &[u8]) -> Result<bool> {
        self.key.read(|reading, key| set::contains(reading, key, member))
    }

    /// Adds members, all or none. How many are new.
    pub fn add(&self, members: &[impl AsRef<[u8]>]) -> Result<u64> {
        self.key.write(|writing, key| set::add(writing, key, members))
    }

    /// Removes members. How many were there. Without the last one the set is gone.
    pub fn remove(&self, members: &[impl AsRef<[u8]>]) -> Result<u64> {
        self.key.write(|writing, key| set::remove(writing, key, members))
    }

    /// The members in the order of their bytes, as they are at this moment.
    pub fn members(&self) -> Result<Members> {
        self.key.view(|reading, key| Ok(Members(Walk::of(set::members(reading, key, b"")?))))
    }

    /// Random members, `count` at most, each once. It goes through the set.
    pub fn random(&self, count: u64) -> Result<Vec<Vec<u8>>> {
        self.key.view(|reading, key| set::random(reading, key, Draw::Distinct(count)))
    }

    /// Takes random members away, `count` at most. It goes through the set.
    pub fn pop(&self, count: u64) -> Result<Vec<Vec<u8>>> {
        self.key.write(|writing, key| set::pop(writing, key, count))
    }

    /// Removes all members: one record, whatever their number.
    pub fn clear(&self) -> Result<()> {
        self.key.clear(Kind::SET)
    }

    #[cfg_attr(not(feature = "python"), allow(dead_code, reason = "for the face that shows it"))]
    pub(crate) fn shown(&self) -> String {
        self.key.shown()
    }
}

/// An ordered walk through members, seeing one moment. It holds one member at a time, and its dataset open.
pub struct Members(Walk);

impl Members {
    /// The next member; `None` at the end, and from then on.
    pub fn next_member(&mut self) -> Result<Option<&[u8]>> {
        Ok(self.0.next()?.map(|(member, _)| member))
    }
}

/// Owned copies of what [`Members::next_member`] lends.
impl Iterator for Members {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_member();
        next.map(|next| next.map(<[u8]>::to_vec)).transpose()
    }
}
