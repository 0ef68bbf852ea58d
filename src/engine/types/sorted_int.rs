//! Sets of unsigned 64-bit integers in order, of Kvrocks' own.

use std::collections::BTreeSet;

use super::reading::{Budget, Reading};
use super::writing::Writing;
use crate::engine::error::{Error, ErrorKind, Result, shown};
use crate::engine::format::batch::DEFAULT;
use crate::engine::format::metadata::Kind;

/// Adds integers; how many are new.
pub fn add(writing: &mut Writing<'_>, key: &[u8], ids: &[u64]) -> Result<u64> {
    let mut opened = writing.open(key, Kind::SORTEDINT)?;
    let prefix = writing.subkey_prefix(key, opened.metadata.version);
    let mut added = 0;
    writing.log_words(Kind::SORTEDINT, &[]);
    for id in ids.iter().collect::<BTreeSet<_>>() {
        let sub = id.to_be_bytes();
        if writing.reading().subkey(DEFAULT, &prefix, &sub)?.is_none() {
            writing.put_with(DEFAULT, &[&prefix, &sub], &[])?;
            added += 1;
        }
    }
    if added > 0 {
        opened.resize(key, added, 0)?;
        writing.store(key, &opened.metadata, &[])?;
    }
    Ok(added)
}

/// Removes integers; how many were there.
pub fn remove(writing: &mut Writing<'_>, key: &[u8], ids: &[u64]) -> Result<u64> {
    let Some(mut opened) = writing.reading().find(key, Kind::SORTEDINT)? else { return Ok(0) };
    let prefix = writing.subkey_prefix(key, opened.metadata.version);
    let mut removed = 0;
    writing.log_words(Kind::SORTEDINT, &[]);
    for id in ids.iter().collect::<BTreeSet<_>>() {
        let full = [&prefix[..], &id.to_be_bytes()].concat();
        if writing.reading().get(DEFAULT, &full)?.is_some() {
            writing.delete(DEFAULT, &full)?;
            removed += 1;
        }
    }
    if removed > 0 {
        opened.metadata.size = opened.metadata.size.saturating_sub(removed);
        writing.store(key, &opened.metadata, &[])?;
    }
    Ok(removed)
}

pub fn len(reading: &Reading<'_>, key: &[u8]) -> Result<u64> {
    Ok(reading.find(key, Kind::SORTEDINT)?.map_or(0, |opened| opened.metadata.size))
}

/// Which of some integers are there; `None` when there is no such key.
pub fn contains(reading: &Reading<'_>, key: &[u8], ids: &[u64]) -> Result<Option<Vec<bool>>> {
    let Some(opened) = reading.find(key, Kind::SORTEDINT)? else { return Ok(None) };
    let prefix = reading.subkey_prefix(key, opened.metadata.version);
    let found = ids.iter().map(|id| Ok(reading.subkey(DEFAULT, &prefix, &id.to_be_bytes())?.is_some()));
    found.collect::<Result<_>>().map(Some)
}

/// What an integer takes on its way into a reply.
const EACH: usize = 32;

/// Integers of a range, both ends included, in order or backwards, past the first `offset`, at most `limit`.
pub fn range(
    reading: &Reading<'_>,
    key: &[u8],
    least: u64,
    most: u64,
    reverse: bool,
    offset: u64,
    limit: u64,
) -> Result<Vec<u64>> {
    let Some(opened) = reading.find(key, Kind::SORTEDINT)? else { return Ok(Vec::new()) };
    let prefix = reading.subkey_prefix(key, opened.metadata.version);
    // The first sub part behind the range.
    let end = most.checked_add(1).map(u64::to_be_bytes);
    let end = end.as_ref().map(|end| &end[..]);
    let mut walk = reading.subkeys(DEFAULT, &prefix, &least.to_be_bytes(), end, reverse);
    let (mut skipped, mut out, mut budget) = (0, Vec::new(), Budget::default());
    while (out.len() as u64) < limit {
        let Some((sub, _)) = walk.next()? else { break };
        let Ok(id) = <[u8; 8]>::try_from(sub) else {
            let message = format!("sorted int {}: got the member {}, expected 8 bytes", shown(key), shown(sub));
            return Err(Error::new(ErrorKind::Corruption, message));
        };
        if skipped < offset {
            skipped += 1;
        } else {
            budget.take(EACH)?;
            out.push(u64::from_be_bytes(id));
        }
    }
    Ok(out)
}
