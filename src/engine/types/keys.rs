//! What all keys have in common, whatever their type: existence, expiry, deletion.

use std::time::Duration;

use super::reading::Reading;
use super::writing::Writing;
use crate::engine::clock::now_ms;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::batch::METADATA;
use crate::engine::format::key::prefix_end;
use crate::engine::format::metadata::set_expire;

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
