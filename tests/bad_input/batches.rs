//! Entries and batches that no primary wrote.

use std::sync::Arc;

use pumice::{Engine, Entry, ErrorKind};

use crate::support::{assert_error, assert_sound, names, open, open_replica, shown, wait_until};

/// A replica, and the entries that its primary wrote since.
struct Ground {
    _dir: tempfile::TempDir,
    replica: Engine,
    entries: Vec<Entry>,
}

impl Ground {
    fn make() -> Ground {
        let dir = tempfile::tempdir().unwrap();
        let primary = open(dir.path().join("primary"));
        primary.create_namespace("a", Some("token-a")).unwrap().put(b"k", b"v").unwrap();
        let checkpoint = primary.create_checkpoint(dir.path().join("checkpoint")).unwrap();
        let replica = open_replica(dir.path().join("replica"));
        replica.apply_checkpoint(checkpoint.path).unwrap();
        let a = primary.namespace("a").unwrap();
        a.put(b"next", b"value").unwrap();
        primary.create_namespace("b", Some("token-b")).unwrap();
        a.clear().unwrap();
        a.put(b"last", b"value").unwrap();
        let mut log = primary.log(Some(&checkpoint.position)).unwrap();
        let entries = std::iter::from_fn(|| log.next_entry(None).unwrap()).collect();
        drop(log);
        primary.close().unwrap();
        let generations = dir.path().join("replica/generations");
        wait_until("the first generation is deleted", || names(&generations).len() == 2);
        Ground { _dir: dir, replica, entries }
    }

    /// Applies an entry with these bytes, which must fail and change nothing.
    #[track_caller]
    fn refuse(&self, bytes: Vec<u8>, kind: ErrorKind, words: &[&str]) {
        let count = bytes.get(8..12).map_or(0, |count| u32::from_le_bytes(count.try_into().unwrap()));
        let first = bytes.get(..8).map_or(0, |first| u64::from_le_bytes(first.try_into().unwrap()));
        let entry = Entry {
            cluster: false,
            replication_id: self.entries[0].replication_id.clone(),
            first,
            last: (first + u64::from(count)).saturating_sub(1),
            bytes: bytes.into(),
        };
        self.refuse_entry(&entry, kind, words);
    }

    #[track_caller]
    fn refuse_entry(&self, entry: &Entry, kind: ErrorKind, words: &[&str]) {
        let (position, before) = (self.replica.position().unwrap(), shown(&self.replica));
        assert_error(self.replica.apply(entry), kind, words);
        assert_eq!(self.replica.position().unwrap(), position);
        assert!(shown(&self.replica) == before, "the engine shows something else");
    }

    /// The good entries still apply, so nothing was taken of the bad ones.
    fn finish(self) {
        assert_sound(&self.replica);
        for entry in &self.entries {
            self.replica.apply(entry).unwrap();
        }
        assert_eq!(self.replica.namespaces().unwrap(), ["__namespace", "a", "b"]);
        assert_eq!(self.replica.namespace("a").unwrap().get(b"last").unwrap().unwrap(), b"value");
        assert_sound(&self.replica);
    }

    fn next(&self) -> u64 {
        self.replica.position().unwrap().sequence + 1
    }
}

fn header(first: u64, count: u32) -> Vec<u8> {
    [&first.to_le_bytes()[..], &count.to_le_bytes()].concat()
}

/// A length, then the bytes, as RocksDB writes them.
fn varstring(bytes: &[u8]) -> Vec<u8> {
    let mut length = bytes.len();
    let mut out = Vec::new();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend(bytes);
    out
}

fn put(family: u8, key: &[u8], value: &[u8]) -> Vec<u8> {
    [vec![5, family], varstring(key), varstring(value)].concat()
}

/// A batch that ends anywhere before its end, or whose header counts other records than it has, is Corruption, and
/// nothing of it is written.
#[test]
fn torn_and_miscounted() {
    let ground = Ground::make();
    let good = ground.entries[0].bytes.to_vec();
    // The last record is a note: without it the batch is whole.
    let notes = 2 + "r 0123456789ABCDEF".len();
    for cut in (0..good.len()).filter(|&cut| cut != good.len() - notes) {
        ground.refuse(good[..cut].to_vec(), ErrorKind::Corruption, &["batch", "got"]);
    }
    for count in [2, 3, 1000, u32::MAX] {
        let mut bytes = good.clone();
        bytes[8..12].copy_from_slice(&count.to_le_bytes());
        ground.refuse(bytes, ErrorKind::Corruption, &["got 1 records", &format!("expected {count}")]);
    }
    let mut bytes = good.clone();
    bytes[8..12].copy_from_slice(&0u32.to_le_bytes());
    ground.refuse(bytes, ErrorKind::Corruption, &["got 1 records", "expected 0"]);
    ground.refuse(header(ground.next(), 0), ErrorKind::Corruption, &["entry"]);
    ground.refuse([&good[..], b"\x05"].concat(), ErrorKind::Corruption, &["batch", "got"]);
    ground.finish();
}

/// Records of a tag or a column family that Kvrocks never writes, and ranges that delete nothing, are refused by name.
#[test]
fn unknown_records() {
    let ground = Ground::make();
    let next = ground.next();
    let known = [0x00, 0x01, 0x03, 0x04, 0x05, 0x0D, 0x0E, 0x0F];
    for tag in (0..=255u8).filter(|tag| !known.contains(tag)) {
        let record = [vec![tag, 1], varstring(b"key"), varstring(b"value")].concat();
        let words = ["write batch", &format!("tag {tag:#04x}"), "expected a Put"];
        ground.refuse([header(next, 1), record].concat(), ErrorKind::Corruption, &words);
    }
    for family in [7, 8, 100, 127] {
        let words = ["column family", &format!("got {family}"), "expected less than 7"];
        ground.refuse([header(next, 1), put(family, b"k", b"v")].concat(), ErrorKind::Corruption, &words);
    }
    for (begin, end) in [(&b"b"[..], &b"a"[..]), (b"a", b"a"), (b"", b"")] {
        let record = [vec![0x0E, 1], varstring(begin), varstring(end)].concat();
        ground.refuse([header(next, 1), record].concat(), ErrorKind::Corruption, &["DeleteRange", "begin"]);
    }
    // A good record in front of the bad one is not taken either.
    let two = [header(next, 2), put(1, b"\x01ak", b"\x81\0\0\0\0\0\0\0\0v"), put(9, b"k", b"v")].concat();
    ground.refuse(two, ErrorKind::Corruption, &["column family", "got 9"]);
    ground.finish();
}

/// An entry that is not the next one is InvalidArgument with both numbers; one of another history is Diverged.
#[test]
fn out_of_sequence_and_of_another_history() {
    let ground = Ground::make();
    let next = ground.next();
    let expected = format!("expected {next}");
    for entry in &ground.entries[1..] {
        let got = format!("starts at {}", entry.first);
        ground.refuse_entry(entry, ErrorKind::InvalidArgument, &[&got, &expected]);
    }
    for first in [0, 1, next - 1, next + 1, next + 1_000_000] {
        let bytes = [header(first, 1), put(1, b"\x01ak", b"\x81\0\0\0\0\0\0\0\0v")].concat();
        ground.refuse(bytes, ErrorKind::InvalidArgument, &[&format!("starts at {first}"), &expected]);
    }
    let bytes = [header(u64::MAX, 1), put(1, b"\x01ak", b"v")].concat();
    ground.refuse(bytes, ErrorKind::Corruption, &["got sequence 18446744073709551615"]);

    let good = &ground.entries[0];
    for id in ["ZZZZZZZZZZZZZZZZ", ""] {
        let foreign = Entry { replication_id: id.to_owned(), ..good.clone() };
        ground.refuse_entry(&foreign, ErrorKind::Diverged, &[&good.replication_id, "full sync"]);
    }
    for wrong in [Entry { first: good.first + 1, ..good.clone() }, Entry { last: good.last + 1, ..good.clone() }] {
        ground.refuse_entry(&wrong, ErrorKind::Corruption, &["sequences", "its batch has"]);
    }
    ground.finish();
}

/// A registry that cannot be read, or names what may not be, is refused before it is written: the former one stays,
/// in memory and on disk. So is a replication id that is none.
#[test]
fn bad_registries() {
    let ground = Ground::make();
    let next = ground.next();
    let long = format!("{{\"token\":\"{}\"}}", "n".repeat(256));
    let bad: [&[u8]; 14] = [
        b"",
        b"{",
        b"[]",
        b"null",
        b"1",
        b"{\"token\":1}",
        b"{\"token\":null}",
        b"{\"token\":[\"a\"]}",
        b"\xff\xfe",
        b"{\"token\":\"\"}",
        b"{\"token\":\"__namespace\"}",
        b"{\"token\":\"a\"}x",
        b"{\"\xff\":\"a\"}",
        long.as_bytes(),
    ];
    for json in bad {
        let bytes = [header(next, 1), put(4, b"__namespace_keys__", json)].concat();
        ground.refuse(bytes, ErrorKind::Corruption, &["namespace registry", "got", "expected"]);
        // Nor does a later good record make up for it.
        let two =
            [header(next, 2), put(4, b"__namespace_keys__", json), put(4, b"__namespace_keys__", b"{\"t\":\"n\"}")];
        ground.refuse(two.concat(), ErrorKind::Corruption, &["namespace registry"]);
    }
    for id in
        [&b""[..], b"short", b"0123456789abcdef!", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"]
    {
        let bytes = [header(next, 1), put(4, b"replication_id_", id)].concat();
        ground.refuse(bytes, ErrorKind::Corruption, &["replication id", "got"]);
    }
    let secret = [header(next, 1), put(4, b"__namespace_keys__", b"{\"my-secret\":1}")].concat();
    let entry = Entry {
        cluster: false,
        replication_id: ground.entries[0].replication_id.clone(),
        first: next,
        last: next,
        bytes: Arc::from(secret),
    };
    assert!(!ground.replica.apply(&entry).unwrap_err().message().contains("my-secret"), "a token is in a message");
    ground.finish();
}

/// An entry as bytes that ends anywhere before its end, or with any bit flipped, or with more behind it, does not
/// decode; whole it does.
#[test]
fn damaged_entries() {
    let ground = Ground::make();
    for entry in &ground.entries {
        let bytes = entry.encode();
        assert_eq!(Entry::decode(&bytes).unwrap(), *entry);
        for cut in 0..bytes.len() {
            assert_error(Entry::decode(&bytes[..cut]), ErrorKind::Corruption, &["entry", "got"]);
        }
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let error = Entry::decode(&bytes).unwrap_err();
            let kind = if bit / 8 == 4 { ErrorKind::Unsupported } else { ErrorKind::Corruption };
            assert_eq!(error.kind(), kind, "bit {bit}: {error}");
        }
        assert_error(Entry::decode(&[&bytes[..], b"x"].concat()), ErrorKind::Corruption, &["after the end"]);
    }
    ground.finish();
}

/// A primary takes no entries of another, and says what would.
#[test]
fn not_a_replica() {
    let ground = Ground::make();
    let dir = tempfile::tempdir().unwrap();
    let primary = open(dir.path());
    let words = ["this engine is a primary", "only a replica"];
    assert_error(primary.apply(&ground.entries[0]), ErrorKind::InvalidArgument, &words);
    primary.default_namespace().put(b"k", b"v").unwrap();
    assert_sound(&primary);
    ground.finish();
}
