//! Keys: `u8 len(namespace) namespace [u16 slot] key`, and subkeys, where the key is counted and followed by
//! `u64 version` and the sub part. All integers are big-endian.
//! Kvrocks: redis_metadata.cc ComposeNamespaceKey, ComposeSlotKeyPrefix, InternalKey; cluster/redis_slot.cc.

use crate::engine::error::{Error, ErrorKind, Result, shown};

/// The name under which the default namespace is stored.
pub const DEFAULT_NAMESPACE: &[u8] = b"__namespace";

/// The longest namespace name: its length is one byte.
pub const MAX_NAMESPACE: usize = 255;

/// Whether every key carries its cluster slot. Nothing inside the data says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// No slots in keys.
    Standalone,
    /// A slot after every namespace.
    Cluster,
}

impl Layout {
    /// The layout's name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Layout::Standalone => "standalone",
            Layout::Cluster => "cluster",
        }
    }
}

const SLOT_MASK: u16 = 0x3FFF;

const CRC16: [u16; 256] = crc16_table();

/// CRC-16/XMODEM: polynomial 0x1021, nothing reflected, nothing inverted.
const fn crc16_table() -> [u16; 256] {
    let mut table = [0u16; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = (i as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
}

/// The part of a key that is hashed: what stands between the first `{` and the first `}` after it, or all of it.
fn hash_part(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&b| b == b'{') else { return key };
    let rest = key.get(open + 1..).unwrap_or_default();
    match rest.iter().position(|&b| b == b'}') {
        Some(close) if close > 0 => rest.get(..close).unwrap_or(key),
        _ => key,
    }
}

/// The cluster slot of a user key, 0 to 16383.
pub fn slot(key: &[u8]) -> u16 {
    let crc = hash_part(key).iter().fold(0u16, |crc, &byte| {
        // A u8 index into 256 entries.
        (crc << 8) ^ CRC16[usize::from((crc >> 8) as u8 ^ byte)]
    });
    crc & SLOT_MASK
}

fn append_namespace(out: &mut Vec<u8>, namespace: &[u8]) {
    debug_assert!((1..=MAX_NAMESPACE).contains(&namespace.len()), "namespace of {} bytes", namespace.len());
    let length = u8::try_from(namespace.len()).unwrap_or(u8::MAX);
    out.push(length);
    out.extend_from_slice(namespace.get(..usize::from(length)).unwrap_or(namespace));
}

/// What every key of a namespace starts with. The name is 1 to 255 bytes long.
pub fn namespace_prefix(namespace: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + namespace.len());
    append_namespace(&mut out, namespace);
    out
}

/// The first key after all keys that start with `prefix`; none when the prefix is all 0xFF.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&b| b != 0xFF)?;
    let mut end = prefix.get(..=last)?.to_vec();
    *end.last_mut()? += 1;
    Some(end)
}

/// Appends the stored form of a user key. `prefix` is the namespace's.
pub fn append_key(out: &mut Vec<u8>, prefix: &[u8], layout: Layout, key: &[u8]) {
    out.reserve(prefix.len() + 2 + key.len());
    out.extend_from_slice(prefix);
    if layout == Layout::Cluster {
        out.extend_from_slice(&slot(key).to_be_bytes());
    }
    out.extend_from_slice(key);
}

/// Appends what all subkeys of a key start with in one version. `prefix` is the namespace's.
pub fn append_subkey_prefix(out: &mut Vec<u8>, prefix: &[u8], layout: Layout, key: &[u8], version: u64) {
    out.reserve(prefix.len() + 2 + 4 + key.len() + 8);
    out.extend_from_slice(prefix);
    if layout == Layout::Cluster {
        out.extend_from_slice(&slot(key).to_be_bytes());
    }
    debug_assert!(u32::try_from(key.len()).is_ok(), "key of {} bytes", key.len());
    out.extend_from_slice(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(&version.to_be_bytes());
}

/// A decoded key of the metadata column family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamespaceKey<'a> {
    /// The namespace's name.
    pub namespace: &'a [u8],
    /// The slot that the key carries, in the cluster layout.
    pub slot: Option<u16>,
    /// The user key.
    pub key: &'a [u8],
}

fn bad(what: &str, which: &[u8], got: &str, expected: &str) -> Error {
    Error::new(ErrorKind::Corruption, format!("{what} {}: got {got}, expected {expected}", shown(which)))
}

fn split_namespace<'a>(what: &str, bytes: &'a [u8], layout: Layout) -> Result<(&'a [u8], Option<u16>, &'a [u8])> {
    let Some((&length, rest)) = bytes.split_first() else {
        return Err(bad(what, bytes, "0 bytes", "a namespace"));
    };
    let Some((namespace, rest)) = rest.split_at_checked(usize::from(length)) else {
        return Err(bad(what, bytes, &format!("{} bytes", rest.len()), &format!("a namespace of {length}")));
    };
    if layout == Layout::Standalone {
        return Ok((namespace, None, rest));
    }
    let Some((slot, rest)) = rest.split_first_chunk::<2>() else {
        return Err(bad(what, bytes, &format!("{} bytes after the namespace", rest.len()), "a slot of 2"));
    };
    Ok((namespace, Some(u16::from_be_bytes(*slot)), rest))
}

/// Splits a stored key into its parts.
pub fn decode_key(bytes: &[u8], layout: Layout) -> Result<NamespaceKey<'_>> {
    let (namespace, slot, key) = split_namespace("key", bytes, layout)?;
    Ok(NamespaceKey { namespace, slot, key })
}

/// One part of a composite key: a field, member, element, segment or entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subkey<'a> {
    /// The namespace's name.
    pub namespace: &'a [u8],
    /// The slot that the subkey carries, in the cluster layout.
    pub slot: Option<u16>,
    /// The user key.
    pub key: &'a [u8],
    /// The version of the metadata that it belongs to.
    pub version: u64,
    /// The field, member, index or id.
    pub sub: &'a [u8],
}

/// Appends the stored form of a subkey, with a slot where it has one.
pub fn append_subkey(out: &mut Vec<u8>, subkey: &Subkey<'_>) {
    out.reserve(1 + subkey.namespace.len() + 2 + 4 + subkey.key.len() + 8 + subkey.sub.len());
    append_namespace(out, subkey.namespace);
    if let Some(slot) = subkey.slot {
        out.extend_from_slice(&slot.to_be_bytes());
    }
    debug_assert!(u32::try_from(subkey.key.len()).is_ok(), "key of {} bytes", subkey.key.len());
    out.extend_from_slice(&u32::try_from(subkey.key.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(subkey.key);
    out.extend_from_slice(&subkey.version.to_be_bytes());
    out.extend_from_slice(subkey.sub);
}

/// Splits a stored subkey into its parts.
pub fn decode_subkey(bytes: &[u8], layout: Layout) -> Result<Subkey<'_>> {
    let (namespace, slot, rest) = split_namespace("subkey", bytes, layout)?;
    let Some((length, rest)) = rest.split_first_chunk::<4>() else {
        return Err(bad("subkey", bytes, &format!("{} bytes after the namespace", rest.len()), "a key length of 4"));
    };
    let length = u32::from_be_bytes(*length);
    let split = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
    let Some((key, rest)) = split else {
        return Err(bad("subkey", bytes, &format!("{} bytes", rest.len()), &format!("a key of {length}")));
    };
    let Some((version, sub)) = rest.split_first_chunk::<8>() else {
        return Err(bad("subkey", bytes, &format!("{} bytes after the key", rest.len()), "a version of 8"));
    };
    Ok(Subkey { namespace, slot, key, version: u64::from_be_bytes(*version), sub })
}

/// Whether the two bytes after the namespace are the slot of the rest: a hint at the cluster layout of a foreign
/// directory, to be asked for many keys (a standalone key passes by chance once in 16,384 to 65,536).
pub fn looks_like_cluster(bytes: &[u8]) -> bool {
    decode_key(bytes, Layout::Cluster).is_ok_and(|key| key.slot == Some(slot(key.key)))
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::hex;
    use super::*;

    /// Slots are those of Redis Cluster, with and without a hash tag.
    #[test]
    fn slots() {
        assert_eq!(slot(b"123456789"), 0x31C3);
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b"user1000"), 3443);
        assert_eq!(slot(b"{user1000}.x"), 3443);
        assert_eq!(slot(b"a{user1000}{b}"), 3443);
        assert_eq!(slot(b""), 0);
        // An empty or open tag hashes the whole key.
        assert_ne!(slot(b"{}user1000"), slot(b"user1000"));
        assert_eq!(hash_part(b"{}user1000"), b"{}user1000");
        assert_eq!(hash_part(b"a{user1000"), b"a{user1000");
        assert_eq!(hash_part(b"}a{b}"), b"b");
        assert_eq!(hash_part(b"{{b}}"), b"{b");
    }

    /// A key has the bytes of Kvrocks in both layouts, and decodes into its parts.
    #[test]
    fn key_vectors() {
        let prefix = namespace_prefix(DEFAULT_NAMESPACE);
        for (layout, bytes, slot) in [
            (Layout::Standalone, "0b5f5f6e616d657370616365 666f6f", None),
            (Layout::Cluster, "0b5f5f6e616d657370616365 2f96 666f6f", Some(12182)),
        ] {
            let mut out = Vec::new();
            append_key(&mut out, &prefix, layout, b"foo");
            assert_eq!(out, hex(bytes));
            let key = NamespaceKey { namespace: DEFAULT_NAMESPACE, slot, key: b"foo" };
            assert_eq!(decode_key(&out, layout).unwrap(), key);
            assert_eq!(looks_like_cluster(&out), layout == Layout::Cluster);
        }
    }

    /// A subkey has the bytes of Kvrocks in both layouts, and decodes into its parts.
    #[test]
    fn subkey_vectors() {
        for (layout, bytes, slot) in [
            (Layout::Standalone, "0b5f5f6e616d657370616365 00000003 666f6f 1b2e020305060708 66", None),
            (Layout::Cluster, "0b5f5f6e616d657370616365 2f96 00000003 666f6f 1b2e020305060708 66", Some(12182)),
        ] {
            let subkey =
                Subkey { namespace: DEFAULT_NAMESPACE, slot, key: b"foo", version: 0x1b2e020305060708, sub: b"f" };
            let mut out = Vec::new();
            append_subkey(&mut out, &subkey);
            assert_eq!(out, hex(bytes));
            assert_eq!(decode_subkey(&out, layout).unwrap(), subkey);
            let mut start = Vec::new();
            append_subkey_prefix(&mut start, &namespace_prefix(DEFAULT_NAMESPACE), layout, b"foo", 0x1b2e020305060708);
            assert_eq!([&start[..], b"f"].concat(), out);
        }
    }

    /// A key cut anywhere before its user part is Corruption that says what is missing.
    #[test]
    fn short_keys() {
        let mut key = Vec::new();
        append_key(&mut key, &namespace_prefix(b"ns"), Layout::Cluster, b"");
        for cut in 0..key.len() {
            let error = decode_key(&key[..cut], Layout::Cluster).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corruption);
            assert!(error.message().contains("expected"), "{error}");
        }
        assert!(decode_key(&key, Layout::Cluster).is_ok());
        let mut subkey = Vec::new();
        append_subkey(&mut subkey, &Subkey { namespace: b"ns", slot: None, key: b"k", version: 1, sub: b"" });
        for cut in 0..subkey.len() {
            assert_eq!(decode_subkey(&subkey[..cut], Layout::Standalone).unwrap_err().kind(), ErrorKind::Corruption);
        }
        assert!(decode_subkey(&subkey, Layout::Standalone).is_ok());
    }

    /// The end of a prefix carries over 0xFF instead of skipping it, and there is none above all 0xFF.
    #[test]
    fn prefix_ends() {
        assert_eq!(prefix_end(b"\x01a"), Some(b"\x01b".to_vec()));
        assert_eq!(prefix_end(b"\x02x\xff"), Some(b"\x02y".to_vec()));
        assert_eq!(prefix_end(b"\x02\xff\xff"), Some(b"\x03".to_vec()));
        assert_eq!(prefix_end(b"\xff\xff"), None);
        assert_eq!(prefix_end(b""), None);
    }
}
