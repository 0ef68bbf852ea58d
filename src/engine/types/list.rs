//! Lists: a subkey for each element, whose sub part is its index; the indexes are without gaps, from `head` on, before
//! `tail`. Kvrocks: types/redis_list.cc.

use super::hash::invalid;
use super::reading::{Budget, Opened, Reading, Subkeys};
use super::writing::Writing;
use crate::engine::error::{Error, ErrorKind, Result, shown};
use crate::engine::format::batch::DEFAULT;
use crate::engine::format::metadata::Kind;

/// Where the first element of a new list is put.
const MIDDLE: u64 = u64::MAX / 2;

// Kvrocks' numbers of commands in log data (kvrocks-format: LogData).
const LSET: &[u8] = b"0";
const LINSERT: &[u8] = b"1";
const LTRIM: &[u8] = b"2";
const LPOP: &[u8] = b"3";
const RPOP: &[u8] = b"4";
const LREM: &[u8] = b"5";
const LPUSH: &[u8] = b"6";
const RPUSH: &[u8] = b"7";
const LMOVE: &[u8] = b"12";

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where the first element is.
    Left,
    /// Where the last element is.
    Right,
}

impl End {
    /// Its name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            End::Left => "left",
            End::Right => "right",
        }
    }
}

/// A list that is open: its indexes are checked.
struct List {
    opened: Opened,
    head: u64,
    tail: u64,
}

impl List {
    fn of(key: &[u8], opened: Opened) -> Result<List> {
        if opened.is_new {
            return Ok(List { opened, head: MIDDLE, tail: MIDDLE });
        }
        let ends = opened
            .payload
            .split_first_chunk::<8>()
            .and_then(|(head, rest)| Some((u64::from_be_bytes(*head), u64::from_be_bytes(*rest.first_chunk::<8>()?))));
        match ends {
            Some((head, tail)) if tail.checked_sub(head) == Some(opened.metadata.size) => {
                Ok(List { opened, head, tail })
            }
            _ => Err(Error::new(
                ErrorKind::Corruption,
                format!(
                    "key {}: the metadata of its list has {} elements and the ends {ends:?}, which do not fit",
                    shown(key),
                    opened.metadata.size
                ),
            )),
        }
    }

    fn find(reading: &Reading<'_>, key: &[u8]) -> Result<Option<List>> {
        reading.find(key, Kind::LIST)?.map(|opened| List::of(key, opened)).transpose()
    }

    fn len(&self) -> u64 {
        self.tail - self.head
    }

    /// The place of an element counted from the left, or from the right with a negative number.
    fn place(&self, index: i64) -> Option<u64> {
        let from_end = index < 0;
        let distance = index.unsigned_abs();
        if from_end {
            self.tail.checked_sub(distance).filter(|&place| place >= self.head)
        } else {
            self.head.checked_add(distance).filter(|&place| place < self.tail)
        }
    }

    fn element(&self, reading: &Reading<'_>, key: &[u8], place: u64) -> Result<Vec<u8>> {
        let found = reading.subkey(DEFAULT, &self.opened.start, &place.to_be_bytes())?;
        Ok(found.ok_or_else(|| gap(key))?.to_vec())
    }

    fn walk<'a>(&self, reading: &Reading<'a>, from: u64, to: u64, reverse: bool) -> Subkeys<'a> {
        reading.subkeys(DEFAULT, &self.opened.start, &from.to_be_bytes(), Some(&to.to_be_bytes()), reverse)
    }

    /// All elements of a part of the list, in memory.
    fn between(
        &self,
        writing: &mut Writing<'_>,
        key: &[u8],
        from: u64,
        to: u64,
        reverse: bool,
    ) -> Result<Vec<Vec<u8>>> {
        let reading = writing.reading();
        let mut walk = self.walk(&reading, from, to, reverse);
        let mut budget = Budget::default();
        let mut elements = Vec::new();
        while let Some((_, element)) = walk.next()? {
            budget.take(element.len())?;
            elements.push(element.to_vec());
        }
        if elements.len() as u64 == to - from { Ok(elements) } else { Err(gap(key)) }
    }

    fn put(&self, writing: &mut Writing<'_>, place: u64, element: &[u8]) -> Result<()> {
        writing.put_with(DEFAULT, &[&self.opened.start, &place.to_be_bytes()], &[element])
    }

    fn delete(&self, writing: &mut Writing<'_>, place: u64) -> Result<()> {
        writing.delete(DEFAULT, &[&self.opened.start[..], &place.to_be_bytes()].concat())
    }

    /// Writes the metadata; without elements the key goes.
    fn store(mut self, writing: &mut Writing<'_>, key: &[u8]) -> Result<()> {
        self.opened.metadata.size = self.len();
        if self.len() == 0 {
            return writing.remove(key);
        }
        let payload = [self.head.to_be_bytes(), self.tail.to_be_bytes()];
        writing.store(key, &self.opened.metadata, payload.as_flattened())
    }

    /// Room for one more at an end: its place.
    fn grow(&mut self, key: &[u8], end: End) -> Result<u64> {
        let full = || Error::new(ErrorKind::Unsupported, format!("key {}: its list has no index left", shown(key)));
        match end {
            End::Left => {
                self.head = self.head.checked_sub(1).ok_or_else(full)?;
                Ok(self.head)
            }
            End::Right => {
                let place = self.tail;
                self.tail = self.tail.checked_add(1).ok_or_else(full)?;
                Ok(place)
            }
        }
    }

    /// Takes the element at an end off the indexes: its place.
    fn shrink(&mut self, end: End) -> u64 {
        match end {
            End::Left => {
                self.head += 1;
                self.head - 1
            }
            End::Right => {
                self.tail -= 1;
                self.tail
            }
        }
    }
}

fn gap(key: &[u8]) -> Error {
    Error::new(ErrorKind::Corruption, format!("key {}: an element of its list is missing", shown(key)))
}

pub fn len(reading: &Reading<'_>, key: &[u8]) -> Result<u64> {
    Ok(List::find(reading, key)?.map_or(0, |list| list.len()))
}

/// The element at an index; from the right with a negative one.
pub fn get(reading: &Reading<'_>, key: &[u8], index: i64) -> Result<Option<Vec<u8>>> {
    let Some(list) = List::find(reading, key)? else { return Ok(None) };
    list.place(index).map(|place| list.element(reading, key, place)).transpose()
}

/// The elements from one index to another, which is among them, as Redis counts; from the last to the first in reverse.
pub fn range<'a>(
    reading: &Reading<'a>,
    key: &[u8],
    start: i64,
    stop: i64,
    reverse: bool,
) -> Result<Option<Subkeys<'a>>> {
    let Some(list) = List::find(reading, key)? else { return Ok(None) };
    let places = bounds(start, stop, list.len());
    Ok(places.map(|(from, to)| list.walk(reading, list.head + from, list.head + to, reverse)))
}

/// All elements, from one end to the other.
pub fn elements<'a>(reading: &Reading<'a>, key: &[u8], reverse: bool) -> Result<Option<Subkeys<'a>>> {
    range(reading, key, 0, -1, reverse)
}

/// A range as Redis gives it, as the first place and the one after the last; `None` when nothing is in it.
pub fn bounds(start: i64, stop: i64, len: u64) -> Option<(u64, u64)> {
    let place = |index: i64| {
        if index < 0 { i128::from(index) + i128::from(len) } else { i128::from(index) }
    };
    let (first, last) = (place(start).max(0), place(stop).min(i128::from(len) - 1));
    if first > last {
        return None;
    }
    Some((u64::try_from(first).ok()?, u64::try_from(last + 1).ok()?))
}

/// Pushes elements at an end, one after the other. Gives how many there are then; 0 when there is no list and `present`
/// asks for one.
pub fn push(
    writing: &mut Writing<'_>,
    key: &[u8],
    elements: &[impl AsRef<[u8]>],
    end: End,
    present: bool,
) -> Result<u64> {
    let opened = writing.open(key, Kind::LIST)?;
    if present && opened.is_new {
        return Ok(0);
    }
    let mut list = List::of(key, opened)?;
    writing.log_words(Kind::LIST, &[if end == End::Left { LPUSH } else { RPUSH }]);
    for element in elements {
        let place = list.grow(key, end)?;
        list.put(writing, place, element.as_ref())?;
    }
    let len = list.len();
    list.store(writing, key)?;
    Ok(len)
}

/// Makes the key a list of these elements, whatever it was; of none, deletes it.
pub fn replace(writing: &mut Writing<'_>, key: &[u8], elements: &[impl AsRef<[u8]>]) -> Result<()> {
    if elements.is_empty() {
        return super::keys::delete(writing, key).map(drop);
    }
    let mut list = List::of(key, writing.create(key, Kind::LIST))?;
    writing.log_words(Kind::LIST, &[RPUSH]);
    for element in elements {
        let place = list.grow(key, End::Right)?;
        list.put(writing, place, element.as_ref())?;
    }
    list.store(writing, key)
}

/// Takes elements from an end, `count` at most; `None` when there is no list.
pub fn pop(writing: &mut Writing<'_>, key: &[u8], end: End, count: u64) -> Result<Option<Vec<Vec<u8>>>> {
    let Some(mut list) = List::find(&writing.reading(), key)? else { return Ok(None) };
    let count = count.min(list.len());
    let (from, to) = match end {
        End::Left => (list.head, list.head + count),
        End::Right => (list.tail - count, list.tail),
    };
    let taken = list.between(writing, key, from, to, end == End::Right)?;
    if count > 0 {
        writing.log_words(Kind::LIST, &[if end == End::Left { LPOP } else { RPOP }]);
        for _ in 0..count {
            let place = list.shrink(end);
            list.delete(writing, place)?;
        }
        list.store(writing, key)?;
    }
    Ok(Some(taken))
}

/// Replaces the element at an index. NotFound without a list, InvalidArgument without such an index.
pub fn set(writing: &mut Writing<'_>, key: &[u8], index: i64, element: &[u8]) -> Result<()> {
    let Some(list) = List::find(&writing.reading(), key)? else {
        return Err(Error::new(ErrorKind::NotFound, "no such key"));
    };
    let place = list.place(index).ok_or_else(|| invalid("index out of range"))?;
    writing.log_words(Kind::LIST, &[LSET, index.to_string().as_bytes()]);
    list.put(writing, place, element)
}

/// Keeps the elements from one index to another, and no others.
pub fn trim(writing: &mut Writing<'_>, key: &[u8], start: i64, stop: i64) -> Result<()> {
    let Some(mut list) = List::find(&writing.reading(), key)? else { return Ok(()) };
    let words = [start.to_string(), stop.to_string()];
    let Some((from, to)) = bounds(start, stop, list.len()) else { return writing.remove(key) };
    if to - from == list.len() {
        return Ok(());
    }
    writing.log_words(Kind::LIST, &[LTRIM, words[0].as_bytes(), words[1].as_bytes()]);
    let (head, tail) = (list.head + from, list.head + to);
    // One by one, as Kvrocks does: what reads the log then sees which elements went.
    for place in (list.head..head).chain(tail..list.tail) {
        list.delete(writing, place)?;
    }
    (list.head, list.tail) = (head, tail);
    list.store(writing, key)
}

/// Inserts an element before or after the first that equals `pivot`. How many there are then; 0 without a list, `None`
/// without the pivot. Moves the elements of the shorter side.
pub fn insert(
    writing: &mut Writing<'_>,
    key: &[u8],
    before: bool,
    pivot: &[u8],
    element: &[u8],
) -> Result<Option<u64>> {
    let Some(list) = List::find(&writing.reading(), key)? else { return Ok(Some(0)) };
    let mut at = None;
    let mut walk = list.walk(&writing.reading(), list.head, list.tail, false);
    let mut place = list.head;
    while let Some((_, found)) = walk.next()? {
        if found == pivot {
            at = Some(place + u64::from(!before));
            break;
        }
        place += 1;
    }
    drop(walk);
    let Some(at) = at else { return Ok(None) };
    writing.log_words(Kind::LIST, &[LINSERT, if before { b"1" } else { b"0" }, pivot, element]);
    insert_between(writing, key, list, at, element).map(Some)
}

/// Inserts an element before that of an index, at an end where there is none. Moves the elements of the shorter side.
pub fn insert_at(writing: &mut Writing<'_>, key: &[u8], index: i64, element: &[u8]) -> Result<()> {
    let list = List::of(key, writing.open(key, Kind::LIST)?)?;
    let at = list.place(index).unwrap_or(if index < 0 { list.head } else { list.tail });
    writing.log_words(Kind::LIST, &[]);
    insert_between(writing, key, list, at, element).map(drop)
}

/// Inserts an element before a place. How many there are then.
fn insert_between(writing: &mut Writing<'_>, key: &[u8], mut list: List, at: u64, element: &[u8]) -> Result<u64> {
    if at - list.head <= list.tail - at {
        let moved = list.between(writing, key, list.head, at, false)?;
        let first = list.grow(key, End::Left)?;
        for (n, element) in moved.iter().enumerate() {
            list.put(writing, first + n as u64, element)?;
        }
        list.put(writing, at - 1, element)?;
    } else {
        let moved = list.between(writing, key, at, list.tail, false)?;
        list.grow(key, End::Right)?;
        for (n, element) in moved.iter().enumerate() {
            list.put(writing, at + 1 + n as u64, element)?;
        }
        list.put(writing, at, element)?;
    }
    let len = list.len();
    list.store(writing, key)?;
    Ok(len)
}

/// Takes the element at an index away. Moves the elements of the shorter side.
pub fn take(writing: &mut Writing<'_>, key: &[u8], index: i64) -> Result<Option<Vec<u8>>> {
    let Some(list) = List::find(&writing.reading(), key)? else { return Ok(None) };
    let Some(place) = list.place(index) else { return Ok(None) };
    let element = list.element(&writing.reading(), key, place)?;
    writing.log_words(Kind::LIST, &[]);
    remove_places(writing, key, list, &[place])?;
    Ok(Some(element))
}

/// Removes elements that equal one: `count` of them from the left, from the right with a negative number, all with 0.
/// How many. Moves what remains of the shorter side.
pub fn remove(writing: &mut Writing<'_>, key: &[u8], count: i64, element: &[u8]) -> Result<u64> {
    let Some(list) = List::find(&writing.reading(), key)? else { return Ok(0) };
    let most = if count == 0 { u64::MAX } else { count.unsigned_abs() };
    let backward = count < 0;
    let mut gone = Vec::new();
    let mut walk = list.walk(&writing.reading(), list.head, list.tail, backward);
    let mut place = if backward { list.tail - 1 } else { list.head };
    while (gone.len() as u64) < most
        && let Some((_, found)) = walk.next()?
    {
        if found == element {
            gone.push(place);
        }
        place = if backward { place.wrapping_sub(1) } else { place + 1 };
    }
    drop(walk);
    if backward {
        gone.reverse();
    }
    if !gone.is_empty() {
        writing.log_words(Kind::LIST, &[LREM, count.to_string().as_bytes(), element]);
        remove_places(writing, key, list, &gone)?;
    }
    Ok(gone.len() as u64)
}

/// Removes the elements at some places, which are in order. Moves what remains of the shorter side.
fn remove_places(writing: &mut Writing<'_>, key: &[u8], mut list: List, gone: &[u64]) -> Result<()> {
    let (Some(&first), Some(&last)) = (gone.first(), gone.last()) else { return Ok(()) };
    let removed = gone.len() as u64;
    if removed == list.len() {
        return writing.remove(key);
    }
    let from_left = last - list.head <= list.tail - 1 - first;
    let (from, to) = if from_left { (list.head, last + 1) } else { (first, list.tail) };
    let mut kept = list.between(writing, key, from, to, from_left)?;
    let places: Vec<u64> = if from_left { (from..to).rev().collect() } else { (from..to).collect() };
    let mut all = places.iter();
    kept.retain(|_| all.next().is_some_and(|place| gone.binary_search(place).is_err()));
    for (place, element) in places.iter().zip(&kept) {
        list.put(writing, *place, element)?;
    }
    for _ in 0..removed {
        let place = list.shrink(if from_left { End::Left } else { End::Right });
        list.delete(writing, place)?;
    }
    list.store(writing, key)
}

/// Where elements are that equal one.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Which of them is the first to be given: 1 for the first, -1 for the first from the right.
    pub rank: i64,
    /// How many at most; 0 for all.
    pub count: u64,
    /// How many elements are looked at; 0 for all.
    pub most: u64,
}

pub fn positions(reading: &Reading<'_>, key: &[u8], element: &[u8], search: Search) -> Result<Vec<u64>> {
    let Some(list) = List::find(reading, key)? else { return Ok(Vec::new()) };
    let backward = search.rank < 0;
    let mut skip = search.rank.unsigned_abs().saturating_sub(1);
    let (mut found, mut budget) = (Vec::new(), Budget::default());
    let mut walk = list.walk(reading, list.head, list.tail, backward);
    let mut seen = 0;
    while let Some((_, at)) = walk.next()? {
        if at == element {
            if skip == 0 {
                budget.take(0)?;
                found.push(if backward { list.len() - 1 - seen } else { seen });
                if found.len() as u64 == search.count {
                    break;
                }
            } else {
                skip -= 1;
            }
        }
        seen += 1;
        // A list whose size lies ends where its elements do.
        if seen == search.most || seen == list.len() {
            break;
        }
    }
    Ok(found)
}

/// Takes an element from an end of one list to an end of another, which may be the same. `None` when there is none.
pub fn move_element(
    writing: &mut Writing<'_>,
    from: &[u8],
    to: &[u8],
    take: End,
    give: End,
) -> Result<Option<Vec<u8>>> {
    let reading = writing.reading();
    let Some(mut source) = List::find(&reading, from)? else { return Ok(None) };
    // Of another kind is refused before anything is taken.
    reading.find(to, Kind::LIST)?;
    let place = source.shrink(take);
    let element = source.element(&reading, from, place)?;
    let words = [LMOVE, from, to, take.name().as_bytes(), give.name().as_bytes()];
    if from == to {
        if take == give || source.len() == 0 {
            return Ok(Some(element));
        }
        writing.log_words(Kind::LIST, &words);
        source.delete(writing, place)?;
        let place = source.grow(to, give)?;
        source.put(writing, place, &element)?;
        source.store(writing, to)?;
        return Ok(Some(element));
    }
    let mut target = List::of(to, writing.open(to, Kind::LIST)?)?;
    writing.log_words(Kind::LIST, &words);
    source.delete(writing, place)?;
    source.store(writing, from)?;
    let place = target.grow(to, give)?;
    target.put(writing, place, &element)?;
    target.store(writing, to)?;
    Ok(Some(element))
}
