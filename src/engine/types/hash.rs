//! Hashes: a subkey for each field, its value beside it. Kvrocks: types/redis_hash.cc.

use std::collections::BTreeSet;

use super::random::{self, Draw};
use super::reading::{Budget, Reading, Subkeys};
use super::writing::Writing;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::batch::DEFAULT;
use crate::engine::format::double::{format_double, parse_double};
use crate::engine::format::metadata::Kind;
use crate::engine::format::resp::parse_integer;
use crate::engine::storage::db::Pinned;

pub fn get(reading: &Reading<'_>, key: &[u8], field: &[u8]) -> Result<Option<Pinned>> {
    let Some(hash) = reading.find(key, Kind::HASH)? else { return Ok(None) };
    reading.subkey(DEFAULT, &hash.start, field)
}

pub fn get_many(reading: &Reading<'_>, key: &[u8], fields: &[impl AsRef<[u8]>]) -> Result<Vec<Option<Pinned>>> {
    let Some(hash) = reading.find(key, Kind::HASH)? else { return Ok(fields.iter().map(|_| None).collect()) };
    let mut budget = Budget::default();
    let value = |field: &_| {
        let value = reading.subkey(DEFAULT, &hash.start, AsRef::<[u8]>::as_ref(field))?;
        budget.take(value.as_ref().map_or(0, |value| value.len()))?;
        Ok(value)
    };
    fields.iter().map(value).collect()
}

/// The fields from `from` on, before `to`, in the order of their bytes.
pub fn fields<'a>(
    reading: &Reading<'a>,
    key: &[u8],
    from: &[u8],
    to: Option<&[u8]>,
    reverse: bool,
) -> Result<Option<Subkeys<'a>>> {
    let hash = reading.find(key, Kind::HASH)?;
    Ok(hash.map(|hash| reading.subkeys(DEFAULT, &hash.start, from, to, reverse)))
}

/// Sets fields, or those that are not there when `absent` says so. Gives how many are new.
pub fn set(writing: &mut Writing<'_>, key: &[u8], pairs: &[(&[u8], &[u8])], absent: bool) -> Result<u64> {
    let mut hash = writing.open(key, Kind::HASH)?;
    // The last value that is given for a field is the one; of those for an absent field, the first.
    let mut wanted = pairs.to_vec();
    if !absent {
        wanted.reverse();
    }
    wanted.sort_by_key(|(field, _)| *field);
    wanted.dedup_by_key(|(field, _)| *field);
    // All is looked at before anything is written, so that nothing has to be read through the batch.
    let mut added = 0;
    if !hash.is_new {
        let reading = writing.reading();
        let mut looked = Ok(());
        wanted.retain(|(field, value)| match reading.subkey(DEFAULT, &hash.start, field) {
            Ok(Some(had)) => !absent && *had != **value,
            Ok(None) => {
                added += 1;
                true
            }
            Err(e) => {
                looked = Err(e);
                false
            }
        });
        looked?;
    } else {
        added = wanted.len() as u64;
    }
    writing.log_words(Kind::HASH, &[]);
    for (field, value) in wanted {
        writing.put_with(DEFAULT, &[&hash.start, field], &[value])?;
    }
    if added > 0 {
        hash.resize(key, added, 0)?;
        writing.store(key, &hash.metadata, &hash.payload)?;
    }
    Ok(added)
}

/// Removes fields. How many were there. As in Kvrocks the metadata stays when the last one goes, with size 0.
pub fn remove(writing: &mut Writing<'_>, key: &[u8], fields: &[impl AsRef<[u8]>]) -> Result<u64> {
    let Some(mut hash) = writing.reading().find(key, Kind::HASH)? else { return Ok(0) };
    let found = present(&writing.reading(), &hash.start, fields)?;
    if found.is_empty() {
        return Ok(0);
    }
    writing.log_words(Kind::HASH, &[]);
    for field in &found {
        writing.delete(DEFAULT, &[&hash.start, *field].concat())?;
    }
    hash.resize(key, 0, found.len() as u64)?;
    writing.store(key, &hash.metadata, &hash.payload)?;
    Ok(found.len() as u64)
}

/// Those of some subkeys that are there, each once.
pub fn present<'s>(reading: &Reading<'_>, start: &[u8], subs: &'s [impl AsRef<[u8]>]) -> Result<Vec<&'s [u8]>> {
    let once: BTreeSet<&[u8]> = subs.iter().map(AsRef::as_ref).collect();
    let mut found = Vec::with_capacity(once.len());
    for sub in once {
        if reading.subkey(DEFAULT, start, sub)?.is_some() {
            found.push(sub);
        }
    }
    Ok(found)
}

/// Adds to a number in a field, which is 0 where it is not there. Gives what it is then.
pub fn increment(writing: &mut Writing<'_>, key: &[u8], field: &[u8], by: i64) -> Result<i64> {
    change(writing, key, field, |had| {
        let had = match had {
            None => 0,
            Some(had) => parse_integer(had).ok_or_else(|| invalid("hash value is not an integer"))?,
        };
        let sum = had.checked_add(by).ok_or_else(|| invalid("increment or decrement would overflow"))?;
        Ok((sum, sum.to_string()))
    })
}

/// [`increment`] for numbers with a fraction.
pub fn increment_float(writing: &mut Writing<'_>, key: &[u8], field: &[u8], by: f64) -> Result<f64> {
    change(writing, key, field, |had| {
        let had = match had {
            None => 0.0,
            Some(had) => parse_double(had).ok_or_else(|| invalid("hash value is not a float"))?,
        };
        let sum = had + by;
        if !sum.is_finite() {
            return Err(invalid("increment would produce NaN or Infinity"));
        }
        Ok((sum, format_double(sum)))
    })
}

/// Gives a field the value that `next` makes of the one that is there, each looked up once.
fn change<R>(
    writing: &mut Writing<'_>,
    key: &[u8],
    field: &[u8],
    next: impl FnOnce(Option<&[u8]>) -> Result<(R, String)>,
) -> Result<R> {
    let mut hash = writing.open(key, Kind::HASH)?;
    let had = if hash.is_new { None } else { writing.reading().subkey(DEFAULT, &hash.start, field)? };
    let (result, value) = next(had.as_deref())?;
    if had.as_deref() == Some(value.as_bytes()) {
        return Ok(result);
    }
    writing.log_words(Kind::HASH, &[]);
    writing.put_with(DEFAULT, &[&hash.start, field], &[value.as_bytes()])?;
    if had.is_none() {
        hash.resize(key, 1, 0)?;
        writing.store(key, &hash.metadata, &hash.payload)?;
    }
    Ok(result)
}

/// Random fields with their values. Goes through the hash.
pub fn random(reading: &Reading<'_>, key: &[u8], count: Draw) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let Some(hash) = reading.find(key, Kind::HASH)? else { return Ok(Vec::new()) };
    random::draw(reading.subkeys(DEFAULT, &hash.start, b"", None, false), hash.metadata.size, count)
}

pub fn invalid(text: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, text)
}
