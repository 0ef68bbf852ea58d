//! Metadata values: flags, expiry, and for composite kinds version and size, in a 64-bit or a 32-bit form.
//! Kvrocks: redis_metadata.cc Metadata::Encode, Metadata::Decode, Metadata::ExpireAt.

use crate::engine::error::{Error, ErrorKind, Result, shown};

const WIDE: u8 = 0x80;
const KIND_MASK: u8 = 0x0F;

/// A data type, by its number in the low four bits of the flags. Any number is a kind: those that this version
/// does not know are alive and opaque.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind(u8);

impl Kind {
    /// No type.
    pub const NONE: Kind = Kind(0);
    /// A string.
    pub const STRING: Kind = Kind(1);
    /// A hash.
    pub const HASH: Kind = Kind(2);
    /// A list.
    pub const LIST: Kind = Kind(3);
    /// A set.
    pub const SET: Kind = Kind(4);
    /// A sorted set.
    pub const ZSET: Kind = Kind(5);
    /// A bitmap.
    pub const BITMAP: Kind = Kind(6);
    /// A set of sorted integers.
    pub const SORTEDINT: Kind = Kind(7);
    /// A stream.
    pub const STREAM: Kind = Kind(8);
    /// A Bloom filter.
    pub const BLOOM: Kind = Kind(9);
    /// A JSON document.
    pub const JSON: Kind = Kind(10);
    /// A HyperLogLog.
    pub const HYPERLOGLOG: Kind = Kind(11);
    /// A t-digest, from a later Kvrocks.
    pub const TDIGEST: Kind = Kind(12);
    /// A time series, from a later Kvrocks.
    pub const TIMESERIES: Kind = Kind(13);
    /// A top-k, from a later Kvrocks.
    pub const TOPK: Kind = Kind(14);

    /// The kind of a number's low four bits.
    pub fn from_flags(flags: u8) -> Kind {
        Kind(flags & KIND_MASK)
    }

    /// The kind's number.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The name that Kvrocks' TYPE gives; `unknown` for numbers that this version does not know.
    pub fn name(self) -> &'static str {
        match self {
            Kind::NONE => "none",
            Kind::STRING => "string",
            Kind::HASH => "hash",
            Kind::LIST => "list",
            Kind::SET => "set",
            Kind::ZSET => "zset",
            Kind::BITMAP => "bitmap",
            Kind::SORTEDINT => "sortedint",
            Kind::STREAM => "stream",
            Kind::BLOOM => "MBbloom--",
            Kind::JSON => "ReJSON-RL",
            Kind::HYPERLOGLOG => "hyperloglog",
            Kind::TDIGEST => "TDIS-TYPE",
            Kind::TIMESERIES => "timeseries",
            Kind::TOPK => "topk",
            _ => "unknown",
        }
    }

    /// Whether the whole value stands in the metadata: no version, no size, no subkeys.
    pub fn is_single_kv(self) -> bool {
        matches!(self, Kind::STRING | Kind::JSON)
    }

    /// Whether a key of size 0 exists. True for opaque kinds, whose size cannot be judged.
    pub fn may_be_empty(self) -> bool {
        !matches!(self, Kind::HASH | Kind::LIST | Kind::SET | Kind::ZSET | Kind::BITMAP | Kind::SORTEDINT)
    }

    /// Whether this version knows how the kind's metadata is laid out.
    pub fn is_opaque(self) -> bool {
        self == Kind::NONE || self.0 > Kind::HYPERLOGLOG.0
    }
}

/// A decoded metadata header. The three reserved flag bits, zero so far, are ignored as in Kvrocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The data type.
    pub kind: Kind,
    /// The 64-bit form; a rewrite keeps the form that a key has.
    pub wide: bool,
    /// When the key expires, in unix milliseconds; 0 for never.
    pub expire_ms: u64,
    /// The version that its subkeys carry; 0 for single-value kinds.
    pub version: u64,
    /// How many elements it has; 0 for single-value kinds.
    pub size: u64,
    /// Where in the value the rest of the metadata starts.
    pub payload: usize,
}

fn too_short(value: &[u8], part: &str, expected: usize) -> Error {
    Error::new(
        ErrorKind::Corruption,
        format!("metadata {}: got {} bytes, expected at least {expected} for its {part}", shown(value), value.len()),
    )
}

fn is_expired(expire_ms: u64, now_ms: u64) -> bool {
    expire_ms != 0 && expire_ms < now_ms
}

/// Reads flags and expiry, which every kind has. Gives kind, width, expiry and what follows.
#[inline]
fn split_head(value: &[u8]) -> Result<(Kind, bool, u64, &[u8])> {
    let Some((&flags, rest)) = value.split_first() else { return Err(too_short(value, "flags", 1)) };
    let kind = Kind::from_flags(flags);
    if flags & WIDE != 0 {
        let Some((expire, rest)) = rest.split_first_chunk::<8>() else { return Err(too_short(value, "expiry", 9)) };
        Ok((kind, true, u64::from_be_bytes(*expire), rest))
    } else {
        let Some((expire, rest)) = rest.split_first_chunk::<4>() else { return Err(too_short(value, "expiry", 5)) };
        Ok((kind, false, u64::from(u32::from_be_bytes(*expire)) * 1000, rest))
    }
}

/// Reads the header of a metadata value.
pub fn decode_metadata(value: &[u8]) -> Result<Metadata> {
    let (kind, wide, expire_ms, rest) = split_head(value)?;
    let head = value.len() - rest.len();
    let mut metadata = Metadata { kind, wide, expire_ms, version: 0, size: 0, payload: head };
    if kind.is_single_kv() {
        return Ok(metadata);
    }
    let tail = rest.split_first_chunk::<8>().and_then(|(version, rest)| {
        let size = if wide {
            u64::from_be_bytes(*rest.first_chunk::<8>()?)
        } else {
            u64::from(u32::from_be_bytes(*rest.first_chunk::<4>()?))
        };
        Some((u64::from_be_bytes(*version), size))
    });
    let length = if wide { 16 } else { 12 };
    match tail {
        Some((version, size)) => {
            metadata.version = version;
            metadata.size = size;
            metadata.payload = head + length;
        }
        None if kind.is_opaque() => {}
        None => return Err(too_short(value, "version and size", head + length)),
    }
    Ok(metadata)
}

/// Kvrocks' rounding from milliseconds to the seconds of the 32-bit form, which never turns an expiry into none.
fn to_seconds(expire_ms: u64) -> u32 {
    match expire_ms {
        0 => 0,
        1..1000 => 1,
        _ => u32::try_from(expire_ms.saturating_add(499) / 1000).unwrap_or(u32::MAX),
    }
}

impl Metadata {
    /// Whether the key exists at `now_ms`: not expired, and not an empty thing of a kind that dies when empty.
    pub fn is_alive(&self, now_ms: u64) -> bool {
        !is_expired(self.expire_ms, now_ms) && (self.size != 0 || self.kind.may_be_empty())
    }

    /// Appends the header, in the width that it has. The payload is the caller's to append.
    pub fn append(&self, out: &mut Vec<u8>) {
        if self.wide {
            out.push(WIDE | self.kind.0);
            out.extend_from_slice(&self.expire_ms.to_be_bytes());
        } else {
            out.push(self.kind.0);
            out.extend_from_slice(&to_seconds(self.expire_ms).to_be_bytes());
        }
        if self.kind.is_single_kv() {
            return;
        }
        out.extend_from_slice(&self.version.to_be_bytes());
        if self.wide {
            out.extend_from_slice(&self.size.to_be_bytes());
        } else {
            out.extend_from_slice(&u32::try_from(self.size).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
}

/// What a read of a string key finds in its metadata value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// Nothing that exists: expired, or empty.
    Missing,
    /// A living key of another kind.
    Other(Kind),
    /// The string.
    String(&'a [u8]),
}

/// What stands before the bytes of a string without an expiry, in the 64-bit form.
const LASTING_STRING: [u8; 9] = [WIDE | Kind::STRING.0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Reads a metadata value as a string. Asks for the time only when an expiry is set.
#[inline]
pub fn find_string(value: &[u8], now_ms: impl FnOnce() -> u64) -> Result<Found<'_>> {
    // What nearly all records are.
    match value.strip_prefix(&LASTING_STRING) {
        Some(string) => Ok(Found::String(string)),
        None => judge(value, now_ms),
    }
}

#[inline(never)]
fn judge(value: &[u8], now_ms: impl FnOnce() -> u64) -> Result<Found<'_>> {
    let (kind, _, expire_ms, rest) = split_head(value)?;
    if expire_ms != 0 && is_expired(expire_ms, now_ms()) {
        return Ok(Found::Missing);
    }
    if kind == Kind::STRING {
        return Ok(Found::String(rest));
    }
    if !kind.may_be_empty() && decode_metadata(value)?.size == 0 {
        return Ok(Found::Missing);
    }
    Ok(Found::Other(kind))
}

/// Appends the value of a string key, in the 64-bit form.
pub fn append_string(out: &mut Vec<u8>, expire_ms: u64, value: &[u8]) {
    out.reserve(9 + value.len());
    out.extend_from_slice(&string_head(expire_ms));
    out.extend_from_slice(value);
}

/// What stands before the bytes of a string, in the 64-bit form.
pub fn string_head(expire_ms: u64) -> [u8; 9] {
    let mut head = [WIDE | Kind::STRING.0; 9];
    if let Some(expire) = head.last_chunk_mut::<8>() {
        *expire = expire_ms.to_be_bytes();
    }
    head
}

/// Changes the expiry of a metadata value in place, in the width that it has.
pub fn set_expire(value: &mut [u8], expire_ms: u64) -> Result<()> {
    split_head(value)?;
    let Some((flags, rest)) = value.split_first_mut() else { return Ok(()) };
    if *flags & WIDE != 0 {
        if let Some(expire) = rest.first_chunk_mut::<8>() {
            *expire = expire_ms.to_be_bytes();
        }
    } else if let Some(expire) = rest.first_chunk_mut::<4>() {
        *expire = to_seconds(expire_ms).to_be_bytes();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::hex;
    use super::*;

    const NEVER: fn() -> u64 = || panic!("asked for the time without an expiry");

    fn header(kind: Kind, wide: bool, expire_ms: u64, size: u64) -> Vec<u8> {
        let metadata = Metadata { kind, wide, expire_ms, version: 7, size, payload: 0 };
        let mut out = Vec::new();
        metadata.append(&mut out);
        out
    }

    /// A string has the bytes of Kvrocks, and is read in both widths without asking for the time.
    #[test]
    fn string_vectors() {
        let mut out = Vec::new();
        append_string(&mut out, 0, b"bar");
        assert_eq!(out, hex("81 0000000000000000 626172"));
        for value in [out, hex("01 00000000 626172")] {
            assert_eq!(find_string(&value, NEVER).unwrap(), Found::String(b"bar"));
            assert_eq!(decode_metadata(&value).unwrap().payload, value.len() - 3);
        }
    }

    /// A hash header has the bytes of Kvrocks in both widths.
    #[test]
    fn hash_vectors() {
        for (wide, bytes) in [
            (true, "82 0000000000000000 1b2e020305060708 0000000000000001"),
            (false, "02 00000000 1b2e020305060708 00000001"),
        ] {
            let bytes = hex(bytes);
            let metadata = decode_metadata(&bytes).unwrap();
            let expected = Metadata {
                kind: Kind::HASH,
                wide,
                expire_ms: 0,
                version: 0x1b2e020305060708,
                size: 1,
                payload: bytes.len(),
            };
            assert_eq!(metadata, expected);
            let mut out = Vec::new();
            metadata.append(&mut out);
            assert_eq!(out, bytes);
        }
    }

    /// A key dies strictly after its expiry, and an empty one only if its kind may not be empty.
    #[test]
    fn alive_rule() {
        let string = |now_ms| {
            let mut out = Vec::new();
            append_string(&mut out, 1000, b"v");
            assert_eq!(decode_metadata(&out).unwrap().is_alive(now_ms), now_ms <= 1000);
            find_string(&out, || now_ms).unwrap() == Found::Missing
        };
        assert!(!string(999) && !string(1000) && string(1001));
        for number in 0..16 {
            let kind = Kind::from_flags(number);
            for (size, now_ms) in [(0, 999), (1, 999), (1, 1001)] {
                let value = header(kind, true, 1000, size);
                let dies_empty = (2..=7).contains(&number);
                let alive = now_ms <= 1000 && (size != 0 || !dies_empty);
                assert_eq!(decode_metadata(&value).unwrap().is_alive(now_ms), alive, "{kind:?} of {size} at {now_ms}");
                let missing = find_string(&value, || now_ms).unwrap() == Found::Missing;
                assert_eq!(missing, !alive, "{kind:?} of {size} at {now_ms}");
            }
        }
    }

    /// Kinds of a later Kvrocks are alive, opaque and named, even with a header that this version does not know.
    #[test]
    fn later_kinds() {
        for (flags, kind, name) in [
            (0x8c, Kind::TDIGEST, "TDIS-TYPE"),
            (0x8d, Kind::TIMESERIES, "timeseries"),
            (0x8e, Kind::TOPK, "topk"),
            (0x8f, Kind::from_flags(15), "unknown"),
        ] {
            let value = [&[flags][..], &[0; 8], b"short"].concat();
            assert_eq!(find_string(&value, NEVER).unwrap(), Found::Other(kind));
            assert!(decode_metadata(&value).unwrap().is_alive(u64::MAX));
            assert_eq!(kind.name(), name);
        }
        assert_eq!(Kind::BLOOM.name(), "MBbloom--");
        assert_eq!(Kind::JSON.name(), "ReJSON-RL");
    }

    /// A header cut anywhere is Corruption.
    #[test]
    fn short_headers() {
        for wide in [false, true] {
            let value = header(Kind::HASH, wide, 0, 1);
            for cut in 0..value.len() {
                assert_eq!(decode_metadata(&value[..cut]).unwrap_err().kind(), ErrorKind::Corruption, "{cut}");
                assert_eq!(find_string(&value[..cut], NEVER).unwrap_err().kind(), ErrorKind::Corruption, "{cut}");
            }
        }
        assert!(set_expire(&mut [0x81, 0, 0], 1).is_err());
        assert!(set_expire(&mut [], 1).is_err());
    }

    /// An expiry is patched in place in the width at hand, rounded as Kvrocks does, and never rounded to none.
    #[test]
    fn expiry_patch() {
        let mut wide = header(Kind::HASH, true, 5, 3);
        set_expire(&mut wide, 4102444800123).unwrap();
        assert_eq!(wide, header(Kind::HASH, true, 4102444800123, 3));
        for (ms, seconds) in [
            (0, 0u32),
            (1, 1),
            (999, 1),
            (1000, 1),
            (1500, 1),
            (1501, 2),
            (4102444800123, 4102444800),
            (u64::MAX, u32::MAX),
        ] {
            let mut narrow = hex("01 ffffffff 626172");
            set_expire(&mut narrow, ms).unwrap();
            assert_eq!(narrow, [&[1][..], &seconds.to_be_bytes(), b"bar"].concat(), "{ms} ms");
            assert_eq!(decode_metadata(&narrow).unwrap().expire_ms, u64::from(seconds) * 1000);
        }
    }
}
