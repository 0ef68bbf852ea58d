//! Lists as users hold them.

use super::super::error::Result;
use super::super::format::metadata::Kind;
use super::super::types::list::{self, End, Search};
use super::{Key, Walk};

/// A list: elements in the order in which they were pushed at either end. A handle of a key, which need not be there;
/// WrongType when it is of another type.
///
/// Each call is one write, which survives a killed process when it returns, or one look at one moment. Both ends are near:
/// pushing, popping and reading by index cost the same however long it is. Elements are bytes, at most 512 MiB long;
/// indexes count from the left from 0 on, or from the right from -1 on.
///
/// ```
/// use pumice::{End, Engine, Options};
///
/// # let dir = tempfile::tempdir().unwrap();
/// let engine = Engine::open(dir.path(), &Options::default())?;
/// let jobs = engine.default_namespace().list("jobs");
/// jobs.push(End::Right, &["wash", "dry", "fold"])?;
/// assert_eq!(jobs.pop(End::Left)?.unwrap(), b"wash");
/// assert_eq!(jobs.get(-1)?.unwrap(), b"fold");
/// let all: Result<Vec<_>, _> = jobs.elements(0, -1)?.collect();
/// assert_eq!(all?, [b"dry".to_vec(), b"fold".to_vec()]);
/// # Ok::<(), pumice::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct List {
    pub(super) key: Key,
}

impl List {
    /// How many elements there are. One read.
    pub fn len(&self) -> Result<u64> {
        self.key.read(list::len)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// The element at an index.
    pub fn get(&self, index: i64) -> Result<Option<Vec<u8>>> {
        self.key.view(|reading, key| list::get(reading, key, index))
    }

    /// The elements from one index to another, which is among them, as they are at this moment.
    pub fn elements(&self, first: i64, last: i64) -> Result<Elements> {
        self.key.view(|reading, key| Ok(Elements(Walk::of(list::range(reading, key, first, last, false)?))))
    }

    /// [`List::elements`] from the last to the first.
    pub fn elements_reversed(&self, first: i64, last: i64) -> Result<Elements> {
        self.key.view(|reading, key| Ok(Elements(Walk::of(list::range(reading, key, first, last, true)?))))
    }

    /// Pushes elements at an end, one after the other. How many there are then.
    pub fn push(&self, end: End, elements: &[impl AsRef<[u8]>]) -> Result<u64> {
        if elements.is_empty() {
            return self.len();
        }
        self.key.write(|writing, key| list::push(writing, key, elements, end, false))
    }

    /// Takes the element at an end away. Without the last one the list is gone.
    pub fn pop(&self, end: End) -> Result<Option<Vec<u8>>> {
        Ok(self.pop_many(end, 1)?.pop())
    }

    /// Takes elements from an end away, `count` at most, in the order in which they go.
    pub fn pop_many(&self, end: End, count: u64) -> Result<Vec<Vec<u8>>> {
        self.key.write(|writing, key| Ok(list::pop(writing, key, end, count)?.unwrap_or_default()))
    }

    /// Replaces the element at an index. NotFound without a list, InvalidArgument without such an index.
    pub fn set(&self, index: i64, element: &[u8]) -> Result<()> {
        self.key.write(|writing, key| list::set(writing, key, index, element))
    }

    /// Inserts an element before that of an index; at an end where there is none. Moves the elements of the shorter side.
    pub fn insert(&self, index: i64, element: &[u8]) -> Result<()> {
        self.key.write(|writing, key| list::insert_at(writing, key, index, element))
    }

    /// Inserts an element before or after the first that equals `pivot`. How many there are then; `None` without it.
    pub fn insert_beside(&self, pivot: &[u8], before: bool, element: &[u8]) -> Result<Option<u64>> {
        let length = self.key.write(|writing, key| list::insert(writing, key, before, pivot, element))?;
        Ok(length.filter(|&length| length > 0))
    }

    /// Takes the element at an index away. Moves the elements of the shorter side.
    pub fn take(&self, index: i64) -> Result<Option<Vec<u8>>> {
        self.key.write(|writing, key| list::take(writing, key, index))
    }

    /// Removes elements that equal one: `count` of them from the left, from the right with a negative number, all with 0.
    /// How many.
    pub fn remove(&self, element: &[u8], count: i64) -> Result<u64> {
        self.key.write(|writing, key| list::remove(writing, key, count, element))
    }

    /// Keeps the elements from one index to another, and no others.
    pub fn trim(&self, first: i64, last: i64) -> Result<()> {
        self.key.write(|writing, key| list::trim(writing, key, first, last))
    }

    /// Where the first element is that equals one. Goes through the list.
    pub fn position(&self, element: &[u8]) -> Result<Option<u64>> {
        let search = Search { rank: 1, count: 1, most: 0 };
        self.key.view(|reading, key| Ok(list::positions(reading, key, element, search)?.pop()))
    }

    /// Removes all elements: one record, whatever their number.
    pub fn clear(&self) -> Result<()> {
        self.key.clear(Kind::LIST)
    }

    #[cfg_attr(not(feature = "python"), allow(dead_code, reason = "for the face that shows it"))]
    pub(crate) fn shown(&self) -> String {
        self.key.shown()
    }
}

/// A walk through elements in their order, seeing one moment. It holds one element at a time, and its dataset open.
pub struct Elements(Walk);

impl Elements {
    /// The next element; `None` at the end, and from then on.
    pub fn next_element(&mut self) -> Result<Option<&[u8]>> {
        Ok(self.0.next()?.map(|(_, element)| element))
    }
}

/// Owned copies of what [`Elements::next_element`] lends.
impl Iterator for Elements {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_element();
        next.map(|next| next.map(<[u8]>::to_vec)).transpose()
    }
}
