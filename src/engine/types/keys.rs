//! What all keys have in common, whatever their type: existence, expiry, deletion.

use std::time::Duration;

use super::items::Range;
use super::random::Random;
use super::reading::Reading;
use super::writing::Writing;
use crate::engine::clock::now_ms;
use crate::engine::error::{Error, ErrorKind, Result, shown};
use crate::engine::format::batch::{DEFAULT, METADATA, STREAM, ZSET_SCORE};
use crate::engine::format::key::prefix_end;
use crate::engine::format::metadata::{Kind, Metadata, set_expire};

/// The most bytes that a key or a value may have, as in Kvrocks.
pub const MAX_BYTES: usize = 512 << 20;

/// Kvrocks' log data of the EXPIRE family (kvrocks-format: LogData).
const EXPIRE_LOG: &[u8] = b"0 8";

/// How long a key still lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// There is no such key.
    Missing,
    /// It has no expiry.
    Forever,
    /// It is gone after this time.
    Left(Duration),
}

impl Reading<'_> {
    pub fn ttl(&self, key: &[u8]) -> Result<Ttl> {
        Ok(match self.metadata(key)? {
            None => Ttl::Missing,
            Some(metadata) if metadata.expire_ms == 0 => Ttl::Forever,
            Some(metadata) => Ttl::Left(Duration::from_millis(metadata.expire_ms.saturating_sub(now_ms()))),
        })
    }
}

/// Gives a key another expiry, 0 for none; `false` when the key is not there, or has none to lose.
pub fn expire(writing: &mut Writing<'_>, key: &[u8], expire_ms: u64) -> Result<bool> {
    let Some((metadata, record)) = writing.reading().living(key)? else { return Ok(false) };
    if metadata.expire_ms == expire_ms {
        return Ok(expire_ms != 0);
    }
    let mut record = record.to_vec();
    set_expire(&mut record, expire_ms)?;
    writing.log_data(EXPIRE_LOG);
    let full = writing.full_key(key);
    writing.put(METADATA, &full, &record)?;
    Ok(true)
}

/// Lets a key expire at a unix time, which deletes it when that has passed. `false` when there is no such key.
pub fn expire_at(writing: &mut Writing<'_>, key: &[u8], expire_ms: u64) -> Result<bool> {
    if expire_ms > now_ms() { expire(writing, key, expire_ms) } else { delete(writing, key) }
}

/// Deletes a key of any type. Whether it was there.
pub fn delete(writing: &mut Writing<'_>, key: &[u8]) -> Result<bool> {
    let found = writing.reading().metadata(key)?.is_some();
    if found {
        writing.remove(key)?;
    }
    Ok(found)
}

/// What a copy does.
#[derive(Clone, Copy, Debug)]
pub struct CopyTo<'a> {
    pub key: &'a [u8],
    /// The prefix of the namespace that it goes to, where that is another one.
    pub namespace: Option<&'a [u8]>,
    /// Whether it may take the place of another key.
    pub replace: bool,
}

/// Copies a key with its expiry. The copy gets a version of its own: with that of the source, what was deleted in the one
/// could come back with the other. `None` when there is no such key, `false` when the other one is there.
pub fn copy(writing: &mut Writing<'_>, from: &[u8], to: CopyTo<'_>) -> Result<Option<bool>> {
    let Some((metadata, record)) = writing.reading().living(from)? else { return Ok(None) };
    let target = to.namespace.unwrap_or(writing.prefix);
    let taken = writing.in_namespace(target, |there| there.reading().metadata(to.key))?.is_some();
    if taken && !to.replace {
        return Ok(Some(false));
    }
    if metadata.kind.is_opaque() {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("key {}: a {} of a later Kvrocks cannot be copied", shown(from), metadata.kind.name()),
        ));
    }
    writing.log_words(metadata.kind, &[]);
    if metadata.kind.is_single_kv() {
        let record = record.to_vec();
        writing.in_namespace(target, |there| there.put(METADATA, &there.full_key(to.key), &record))?;
        return Ok(Some(true));
    }
    let payload = record.get(metadata.payload..).unwrap_or_default().to_vec();
    drop(record);
    let copied = writing.in_namespace(target, |there| there.create(to.key, metadata.kind));
    let start = writing.subkey_prefix(from, metadata.version);
    let families: &[u32] = match metadata.kind {
        Kind::ZSET => &[DEFAULT, ZSET_SCORE],
        Kind::STREAM => &[STREAM],
        _ => &[DEFAULT],
    };
    for &family in families {
        copy_subkeys(writing, family, &start, &copied.start)?;
    }
    let metadata = Metadata { version: copied.metadata.version, wide: true, ..metadata };
    writing.in_namespace(target, |there| there.store(to.key, &metadata, &payload))?;
    Ok(Some(true))
}

/// Copies subkeys, a part at a time: what is read must be let go before more is written.
fn copy_subkeys(writing: &mut Writing<'_>, family: u32, from: &[u8], to: &[u8]) -> Result<()> {
    const PART_BYTES: usize = 1 << 20;
    let mut after = Vec::new();
    loop {
        let mut part = Vec::new();
        let mut bytes = 0;
        let mut walk = writing.reading().subkeys(family, from, &after, None, false);
        while bytes < PART_BYTES
            && let Some((sub, value)) = walk.next()?
        {
            bytes += sub.len() + value.len() + 64;
            part.push((sub.to_vec(), value.to_vec()));
        }
        drop(walk);
        let Some((last, _)) = part.last() else { return Ok(()) };
        after = [last, &[0][..]].concat();
        for (sub, value) in &part {
            writing.put_with(family, &[to, sub], &[value])?;
        }
    }
}

/// Gives a key another name. `None` when there is no such key, `false` when the other one is there and is not to be
/// replaced.
pub fn rename(writing: &mut Writing<'_>, from: &[u8], to: &[u8], replace: bool) -> Result<Option<bool>> {
    if from == to {
        return Ok(writing.reading().metadata(from)?.map(|_| replace));
    }
    let copied = copy(writing, from, CopyTo { key: to, namespace: None, replace })?;
    if copied == Some(true) {
        writing.remove(from)?;
    }
    Ok(copied)
}

/// A random key, where keys lie close together less likely than others. A few seeks.
pub fn random_key(reading: &Reading<'_>) -> Result<Option<Vec<u8>>> {
    const NEAR: u64 = 32;
    let end = |reverse| -> Result<Option<Vec<u8>>> {
        let mut items = reading.items(&Range { reverse, ..Range::default() });
        Ok(items.next_item()?.map(|item| item.key.to_vec()))
    };
    let (Some(first), Some(last)) = (end(false)?, end(true)?) else { return Ok(None) };
    let mut random = Random::new()?;
    // Somewhere between the first and the last: what they have in common, and anything behind it.
    let common = first.iter().zip(&last).take_while(|(a, b)| a == b).count();
    let (low, high) = (first.get(common).copied().unwrap_or(0), last.get(common).copied().unwrap_or(0xFF));
    let byte = u64::from(low) + random.below(u64::from(high.saturating_sub(low)) + 1);
    let mut start = first[..common].to_vec();
    start.push(byte as u8);
    start.extend_from_slice(&random.draw().to_be_bytes());
    let mut skip = random.below(NEAR);
    let mut found = None;
    for start in [Some(start), None] {
        let mut items = reading.items(&Range { start, ..Range::default() });
        while let Some(item) = items.next_item()? {
            found = Some(item.key.to_vec());
            if skip == 0 {
                return Ok(found);
            }
            skip -= 1;
        }
        if found.is_some() {
            break;
        }
    }
    Ok(found)
}

/// Deletes all keys of the namespace: one range delete, whatever their number.
pub fn clear(writing: &mut Writing<'_>) -> Result<()> {
    let end = prefix_end(writing.prefix).expect("a name does not end in 0xFF");
    let begin = writing.prefix;
    writing.delete_range(METADATA, begin, &end)
}

/// When a key that lives for `ttl` from now expires.
pub fn expiry(ttl: Option<Duration>) -> Result<u64> {
    let Some(ttl) = ttl else { return Ok(0) };
    // Metadata has room for far more; this keeps sums of clocks and expiries inside 64 bits.
    const LONGEST_MS: u128 = 1 << 53;
    let ttl_ms = ttl.as_millis();
    if ttl_ms == 0 || ttl_ms > LONGEST_MS {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("time to live: got {ttl:?}, expected at least 1 ms and at most {LONGEST_MS} ms"),
        ));
    }
    Ok(now_ms() + ttl_ms as u64)
}

pub fn check_key(key: &[u8]) -> Result<()> {
    check_length("key", key)
}

pub fn check_value(value: &[u8]) -> Result<()> {
    check_length("value", value)
}

fn check_length(what: &str, bytes: &[u8]) -> Result<()> {
    if bytes.len() > MAX_BYTES {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("{what}: got {} bytes, expected at most {MAX_BYTES}", bytes.len()),
        ));
    }
    Ok(())
}
