//! Handles of keys that hold more than one value.

pub mod bitmap;
pub mod bloom_filter;
pub mod geo;
pub mod hash;
pub mod hyperloglog;
pub mod json;
pub mod list;
pub mod set;
pub mod sorted_int;
pub mod sorted_set;
pub mod stream;

use super::error::{Result, shown};
use super::format::metadata::Kind;
use super::namespace::Namespace;
use super::types::keys;
use super::types::reading::{Reading, Subkeys};
use super::types::writing::Writing;

pub use bitmap::Bitmap;
pub use bloom_filter::BloomFilter;
pub use geo::Geo;
pub use hash::{Fields, Hash};
pub use hyperloglog::HyperLogLog;
pub use json::Json;
pub use list::{Elements, List};
pub use set::{Members, Set};
pub use sorted_int::SortedInt;
pub use sorted_set::{Scores, SortedSet};
pub use stream::{Entries, Stream, StreamGroup};

impl Namespace {
    /// The hash of that key. Nothing is looked up before it is used, and nothing stored before it has a field.
    pub fn hash(&self, key: impl AsRef<[u8]>) -> Hash {
        Hash { key: Key::new(self, key.as_ref()) }
    }

    /// The list of that key. Nothing is looked up before it is used, and nothing stored before it has an element.
    pub fn list(&self, key: impl AsRef<[u8]>) -> List {
        List { key: Key::new(self, key.as_ref()) }
    }

    /// The set of that key. Nothing is looked up before it is used, and nothing stored before it has a member.
    pub fn set(&self, key: impl AsRef<[u8]>) -> Set {
        Set { key: Key::new(self, key.as_ref()) }
    }

    /// The sorted set of that key. Nothing is looked up before it is used, and nothing stored before it has a member.
    pub fn sorted_set(&self, key: impl AsRef<[u8]>) -> SortedSet {
        SortedSet { key: Key::new(self, key.as_ref()) }
    }

    /// The bitmap of that key. Nothing is looked up before it is used, and nothing stored before a bit was set.
    pub fn bitmap(&self, key: impl AsRef<[u8]>) -> Bitmap {
        Bitmap { key: Key::new(self, key.as_ref()) }
    }

    /// The HyperLogLog of that key. Nothing is looked up before it is used, and nothing stored before something is added.
    pub fn hyperloglog(&self, key: impl AsRef<[u8]>) -> HyperLogLog {
        HyperLogLog { key: Key::new(self, key.as_ref()) }
    }

    /// The JSON document of that key. Nothing is looked up before it is used, and nothing stored before it is set.
    pub fn json(&self, key: impl AsRef<[u8]>) -> Json {
        Json { key: Key::new(self, key.as_ref()) }
    }

    /// The places of that key. Nothing is looked up before it is used, and nothing stored before it has a member.
    pub fn geo(&self, key: impl AsRef<[u8]>) -> Geo {
        Geo { key: Key::new(self, key.as_ref()) }
    }

    /// The Bloom filter of that key. Nothing is looked up before it is used, and nothing stored before it is reserved or has
    /// an item.
    pub fn bloom_filter(&self, key: impl AsRef<[u8]>) -> BloomFilter {
        BloomFilter { key: Key::new(self, key.as_ref()) }
    }

    /// The sorted int of that key. Nothing is looked up before it is used, and nothing stored before it has an integer.
    pub fn sorted_int(&self, key: impl AsRef<[u8]>) -> SortedInt {
        SortedInt { key: Key::new(self, key.as_ref()) }
    }

    /// The stream of that key. Nothing is looked up before it is used, and nothing stored before it has an entry or a group.
    pub fn stream(&self, key: impl AsRef<[u8]>) -> Stream {
        Stream { key: Key::new(self, key.as_ref()) }
    }
}

/// A key of a namespace, there or not.
#[derive(Clone, Debug)]
struct Key {
    namespace: Namespace,
    key: Vec<u8>,
}

impl Key {
    fn new(namespace: &Namespace, key: &[u8]) -> Key {
        Key { namespace: namespace.clone(), key: key.to_vec() }
    }

    fn read<R>(&self, read: impl FnOnce(&Reading<'_>, &[u8]) -> Result<R>) -> Result<R> {
        self.namespace.read(|reading| read(reading, &self.key))
    }

    /// Reads at one moment.
    fn view<R>(&self, read: impl FnOnce(&Reading<'_>, &[u8]) -> Result<R>) -> Result<R> {
        self.namespace.view(|reading| read(reading, &self.key))
    }

    /// Deletes the key, WrongType when it is of another kind.
    fn clear(&self, kind: Kind) -> Result<()> {
        self.write(|writing, key| match writing.reading().find(key, kind)?.is_some() {
            true => writing.remove(key),
            false => Ok(()),
        })
    }

    fn shown(&self) -> String {
        format!("{} in {:?}", shown(&self.key), self.namespace)
    }

    fn write<R>(&self, write: impl FnOnce(&mut Writing<'_>, &[u8]) -> Result<R>) -> Result<R> {
        keys::check_key(&self.key)?;
        self.namespace.write(None, |writing| write(writing, &self.key))
    }
}

/// A walk that may be through nothing, and that its user keeps.
struct Walk(Option<Subkeys<'static>>);

impl Walk {
    fn of(walk: Option<Subkeys<'_>>) -> Walk {
        Walk(walk.map(Subkeys::kept))
    }

    fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        match &mut self.0 {
            Some(walk) => walk.next(),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
