//! Strings.

use std::fmt;
use std::ops::Deref;

use super::hash::invalid;
use super::keys;
use super::reading::{Reading, with_key, wrong_type};
use super::writing::Writing;
use crate::engine::clock::now_ms;
use crate::engine::error::{Error, ErrorKind, Result, shown};
use crate::engine::format::batch::{BatchBuilder, METADATA};
use crate::engine::format::double::{format_double, parse_double};
use crate::engine::format::key::{Layout, append_key};
use crate::engine::format::metadata::{Found, Kind, find_string, string_head};
use crate::engine::format::resp::parse_integer;
use crate::engine::storage::db::Pinned;

/// Kvrocks' log data of a string write (kvrocks-format: LogData).
const STRING_LOG: &[u8] = b"1";

/// A value where the storage engine keeps it, without a copy. It holds its generation open: read it and let it go.
pub struct Value {
    pinned: Pinned,
    start: usize,
}

impl Deref for Value {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.pinned[self.start..]
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(self))
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Value {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}

/// How a string is stored by a command that says more than key and value.
#[derive(Clone, Copy, Debug)]
pub struct Set {
    pub condition: Condition,
    pub expiry: Expiry,
    /// Whether to give what the key held before.
    pub give_old: bool,
}

/// When a string is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Always,
    Absent,
    Present,
}

/// The expiry that a stored string gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// A unix time in milliseconds, 0 for never.
    At(u64),
    /// The one that the key has.
    Keep,
}

impl Reading<'_> {
    #[inline]
    pub fn string(&self, key: &[u8]) -> Result<Option<Value>> {
        match self.record(key)? {
            Some(pinned) => string_of(key, pinned),
            None => Ok(None),
        }
    }

    pub fn strings(&self, keys: &[impl AsRef<[u8]>]) -> Result<Vec<Option<Value>>> {
        let found = self.records(keys)?;
        keys.iter()
            .zip(found)
            .map(|(key, pinned)| pinned.map_or(Ok(None), |pinned| string_of(key.as_ref(), pinned)))
            .collect()
    }

    fn records(&self, keys: &[impl AsRef<[u8]>]) -> Result<Vec<Option<Pinned>>> {
        if self.pending.is_some() {
            return keys.iter().map(|key| self.record(key.as_ref())).collect();
        }
        // All keys as they are on disk, one behind the other.
        let mut stored = Vec::with_capacity(keys.iter().map(|key| self.prefix.len() + 2 + key.as_ref().len()).sum());
        let mut ends = Vec::with_capacity(keys.len());
        for key in keys {
            append_key(&mut stored, self.prefix, self.store.layout, key.as_ref());
            ends.push(stored.len());
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let full: Vec<&[u8]> = starts.zip(&ends).map(|(start, &end)| &stored[start..end]).collect();
        self.store.db.get_many(METADATA, &full, self.snapshot.map(|s| &**s))
    }
}

fn string_of(key: &[u8], pinned: Pinned) -> Result<Option<Value>> {
    let length = match find_string(&pinned, now_ms).map_err(|e| e.context(format!("key {}", shown(key))))? {
        Found::Missing => return Ok(None),
        Found::Other(kind) => return Err(wrong_type(key, kind, Kind::STRING)),
        Found::String(value) => value.len(),
    };
    Ok(Some(Value { start: pinned.len() - length, pinned }))
}

/// Adds the records of a put to a batch.
pub fn append_put(batch: &mut BatchBuilder, layout: Layout, prefix: &[u8], key: &[u8], value: &[u8], expire_ms: u64) {
    batch.log_data(STRING_LOG);
    with_key(prefix, layout, key, |full| {
        batch.put_with(METADATA, &[full], &[&string_head(expire_ms), value]);
    });
}

/// Stores a string, over whatever the key was.
#[inline]
pub fn put(writing: &mut Writing<'_>, key: &[u8], value: &[u8], expire_ms: u64) -> Result<()> {
    writing.log_data(STRING_LOG);
    let (prefix, layout) = (writing.prefix, writing.store.layout);
    with_key(prefix, layout, key, |full| writing.put_with(METADATA, &[full], &[&string_head(expire_ms), value]))
}

/// Stores a string if the key is as asked. Gives whether it did, and what the key held before when that is asked for,
/// which is WrongType for other than a string.
pub fn set(writing: &mut Writing<'_>, key: &[u8], value: &[u8], set: &Set) -> Result<(bool, Option<Vec<u8>>)> {
    let looks = set.condition != Condition::Always || set.expiry == Expiry::Keep;
    let mut old = None;
    let mut found = None;
    if set.give_old || looks {
        let reading = writing.reading();
        if set.give_old {
            old = reading.string(key)?.map(|old| old.to_vec());
        }
        if looks {
            found = reading.metadata(key)?;
        }
    }
    let fits = match set.condition {
        Condition::Always => true,
        Condition::Absent => found.is_none(),
        Condition::Present => found.is_some(),
    };
    if fits {
        let expire_ms = match set.expiry {
            Expiry::At(expire_ms) => expire_ms,
            Expiry::Keep => found.map_or(0, |found| found.expire_ms),
        };
        put(writing, key, value, expire_ms)?;
    }
    Ok((fits, old))
}

/// The values of many keys, `None` for what is no string. `limit` bounds their bytes together.
pub fn values(reading: &Reading<'_>, keys: &[impl AsRef<[u8]>], limit: usize) -> Result<Vec<Option<Vec<u8>>>> {
    let mut values = Vec::with_capacity(keys.len());
    let mut bytes = 0;
    // One by one: many at a time would all be in memory before the first is counted.
    for key in keys {
        let value = match reading.string(key.as_ref()) {
            Err(e) if e.kind() == ErrorKind::WrongType => None,
            value => value?,
        };
        bytes += value.as_ref().map_or(0, |value| value.len());
        if bytes > limit {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("values of {} keys: more than {limit} bytes; ask for fewer at a time", keys.len()),
            ));
        }
        values.push(value.map(|value| value.to_vec()));
    }
    Ok(values)
}

/// A string with what stands before it in its record, which a change of a part keeps: the expiry, and the width.
fn split(reading: &Reading<'_>, key: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
    let Some((metadata, record)) = reading.living(key)? else { return Ok(None) };
    if metadata.kind != Kind::STRING {
        return Err(wrong_type(key, metadata.kind, Kind::STRING));
    }
    let (head, value) = record.split_at_checked(metadata.payload).unwrap_or((&record, &[]));
    Ok(Some((head.to_vec(), value.to_vec())))
}

fn rewrite(writing: &mut Writing<'_>, key: &[u8], head: &[u8], value: &[u8]) -> Result<()> {
    writing.log_data(STRING_LOG);
    let full = writing.full_key(key);
    writing.put_with(METADATA, &[&full], &[head, value])
}

/// Takes what a string is now, or an empty one, and stores what `change` makes of it; the expiry stays.
fn change<R>(
    writing: &mut Writing<'_>,
    key: &[u8],
    change: impl FnOnce(Option<&[u8]>) -> Result<(Vec<u8>, R)>,
) -> Result<R> {
    let found = split(&writing.reading(), key)?;
    let (value, result) = change(found.as_ref().map(|(_, value)| value.as_slice()))?;
    keys::check_value(&value)?;
    let head = found.map_or_else(|| string_head(0).to_vec(), |(head, _)| head);
    rewrite(writing, key, &head, &value)?;
    Ok(result)
}

/// Appends to a string. Gives how long it is then.
pub fn append(writing: &mut Writing<'_>, key: &[u8], more: &[u8]) -> Result<u64> {
    change(writing, key, |had| {
        let value = [had.unwrap_or_default(), more].concat();
        let len = value.len() as u64;
        Ok((value, len))
    })
}

/// Overwrites a string from an offset on, with zeros before it where it was shorter. Gives how long it is then.
pub fn set_range(writing: &mut Writing<'_>, key: &[u8], offset: u64, part: &[u8]) -> Result<u64> {
    if part.is_empty() {
        return Ok(writing.reading().string(key)?.map_or(0, |value| value.len() as u64));
    }
    let end = offset.checked_add(part.len() as u64).filter(|&end| end <= keys::MAX_BYTES as u64);
    let Some(end) = end else { return Err(invalid("string exceeds maximum allowed size (proto-max-bulk-len)")) };
    change(writing, key, |had| {
        let mut value = had.unwrap_or_default().to_vec();
        value.resize(value.len().max(end as usize), 0);
        value[offset as usize..end as usize].copy_from_slice(part);
        let len = value.len() as u64;
        Ok((value, len))
    })
}

/// Adds to a number. Gives what it is then.
pub fn increment(writing: &mut Writing<'_>, key: &[u8], by: i64) -> Result<i64> {
    change(writing, key, |had| {
        let had = had.map_or(Some(0), parse_integer);
        let had = had.ok_or_else(|| invalid("value is not an integer or out of range"))?;
        let sum = had.checked_add(by).ok_or_else(|| invalid("increment or decrement would overflow"))?;
        Ok((sum.to_string().into_bytes(), sum))
    })
}

/// [`increment`] for numbers with a fraction.
pub fn increment_float(writing: &mut Writing<'_>, key: &[u8], by: f64) -> Result<f64> {
    change(writing, key, |had| {
        let had = had.map_or(Some(0.0), parse_double).ok_or_else(|| invalid("value is not a valid float"))?;
        let sum = had + by;
        if !sum.is_finite() {
            return Err(invalid("increment would produce NaN or Infinity"));
        }
        Ok((format_double(sum).into_bytes(), sum))
    })
}
