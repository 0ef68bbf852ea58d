//! Keys as one piece of bytes, and back: DUMP and RESTORE, for the types that Redis has too.

use super::reading::{Budget, Reading, Subkeys};
use super::sorted_set::{self, Add, Part, Span};
use super::writing::Writing;
use super::{bitmap, hash, keys, list, set, string};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::dump::Object;
use crate::engine::format::metadata::Kind;

/// The most bytes of a bitmap that is dumped, as in Kvrocks: it becomes a string.
pub const MAX_BITMAP_STRING: u64 = 16 << 20;

/// What a key holds; `None` when there is no such key. Unsupported for types that only Kvrocks has.
pub fn read(reading: &Reading<'_>, key: &[u8]) -> Result<Option<Object>> {
    let Some(metadata) = reading.metadata(key)? else { return Ok(None) };
    Ok(Some(match metadata.kind {
        Kind::STRING => Object::String(reading.string(key)?.map(|value| value.to_vec()).unwrap_or_default()),
        Kind::BITMAP => Object::String(bitmap::to_string(reading, key, MAX_BITMAP_STRING)?.unwrap_or_default()),
        Kind::LIST => {
            let elements = gather(list::range(reading, key, 0, -1, false)?)?;
            Object::List(elements.into_iter().map(|(_, element)| element).collect())
        }
        Kind::SET => {
            let members = gather(set::members(reading, key, b"")?)?;
            Object::Set(members.into_iter().map(|(member, _)| member).collect())
        }
        Kind::HASH => Object::Hash(gather(hash::fields(reading, key, b"", None, false)?)?),
        Kind::ZSET => {
            // From the highest score down, as Redis and Kvrocks write it.
            let part = Part { reverse: true, ..Part::ALL };
            let found = sorted_set::range(reading, key, &Span::Rank(0, -1), part)?;
            Object::SortedSet(found.map_or(Ok(Vec::new()), |found| found.gather())?)
        }
        _ => return Err(Error::new(ErrorKind::Unsupported, "Invalid or Not supported object type")),
    }))
}

fn gather(walk: Option<Subkeys<'_>>) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut budget = Budget::default();
    let mut out = Vec::new();
    let Some(mut walk) = walk else { return Ok(out) };
    while let Some((sub, value)) = walk.next()? {
        budget.take(sub.len() + value.len())?;
        out.push((sub.to_vec(), value.to_vec()));
    }
    Ok(out)
}

/// Makes a key of an object, with an expiry or 0. `false` when the key is there and shall not be replaced.
pub fn write(writing: &mut Writing<'_>, key: &[u8], object: &Object, expire_ms: u64, replace: bool) -> Result<bool> {
    if writing.reading().metadata(key)?.is_some() {
        if !replace {
            return Ok(false);
        }
        keys::delete(writing, key)?;
    }
    match object {
        Object::String(value) => {
            string::put(writing, key, value, expire_ms)?;
            return Ok(true);
        }
        Object::List(elements) => drop(list::push(writing, key, elements, list::End::Right, false)?),
        Object::Set(members) => drop(set::add(writing, key, members)?),
        Object::Hash(fields) => {
            let pairs: Vec<(&[u8], &[u8])> = fields.iter().map(|(field, value)| (&field[..], &value[..])).collect();
            hash::set(writing, key, &pairs, false)?;
        }
        Object::SortedSet(members) => {
            let members: Vec<(f64, &[u8])> = members.iter().map(|(member, score)| (*score, &member[..])).collect();
            sorted_set::add(writing, key, &members, Add::default())?;
        }
    }
    if expire_ms != 0 {
        keys::expire(writing, key, expire_ms)?;
    }
    Ok(true)
}
