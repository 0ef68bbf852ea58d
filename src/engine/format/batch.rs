//! Write batches: `u64 sequence, u32 count` little-endian, then records `tag [varint family] varstring...`.
//! RocksDB: db/write_batch.cc (ReadRecordFromWriteBatch), db/dbformat.h (ValueType).
//!
//! A malformed batch handed to RocksDB reaches its log first and then poisons the database, so all of it is checked
//! here before any of it gets there.

use crate::engine::error::{Error, ErrorKind, Result, shown};

/// The length of the header.
pub const HEADER: usize = 12;
/// How many column families there are.
pub const FAMILIES: usize = 7;
/// The longest batch.
pub const MAX_BYTES: usize = 1 << 30;
/// The highest sequence number that RocksDB has.
pub const MAX_SEQUENCE: u64 = (1 << 56) - 1;

/// Subkeys of all kinds but streams.
pub const DEFAULT: u32 = 0;
/// One record for every user key.
pub const METADATA: u32 = 1;
/// Sorted set members by score.
pub const ZSET_SCORE: u32 = 2;
/// Published messages on their way to replicas.
pub const PUBSUB: u32 = 3;
/// The registry, the replication id, scripts.
pub const PROPAGATE: u32 = 4;
/// Stream entries, groups and consumers.
pub const STREAM: u32 = 5;
/// Search indexes.
pub const SEARCH: u32 = 6;

const TAG_DELETE: u8 = 0x00;
const TAG_PUT: u8 = 0x01;
const TAG_LOG_DATA: u8 = 0x03;
const TAG_FAMILY_DELETE: u8 = 0x04;
const TAG_FAMILY_PUT: u8 = 0x05;
const TAG_NOOP: u8 = 0x0D;
const TAG_FAMILY_DELETE_RANGE: u8 = 0x0E;
const TAG_DELETE_RANGE: u8 = 0x0F;

/// One record of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// Sets a key.
    Put {
        /// The column family.
        family: u32,
        /// The raw key.
        key: &'a [u8],
        /// The raw value.
        value: &'a [u8],
    },
    /// Removes a key.
    Delete {
        /// The column family.
        family: u32,
        /// The raw key.
        key: &'a [u8],
    },
    /// Removes the keys from `begin` up to but not including `end`.
    DeleteRange {
        /// The column family.
        family: u32,
        /// The first raw key.
        begin: &'a [u8],
        /// The raw key after the last.
        end: &'a [u8],
    },
    /// A note in the log that changes nothing.
    LogData(&'a [u8]),
    /// Nothing.
    Noop,
}

impl Record<'_> {
    /// Whether the record takes a sequence number.
    pub fn counts(&self) -> bool {
        !matches!(self, Record::LogData(_) | Record::Noop)
    }
}

/// A batch all of which has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch<'a> {
    sequence: u64,
    count: u32,
    records: &'a [u8],
}

fn bad(message: String) -> Error {
    Error::new(ErrorKind::Corruption, message)
}

fn tag_name(tag: u8) -> &'static str {
    match tag {
        0x02 | 0x06 => "Merge",
        0x07 | 0x08 => "SingleDelete",
        0x09 => "BeginPrepare",
        0x0A => "EndPrepare",
        0x0B => "Commit",
        0x0C => "Rollback",
        0x10 | 0x11 => "BlobIndex",
        0x12 => "BeginPersistedPrepare",
        0x13 => "BeginUnprepare",
        0x14 => "DeleteWithTimestamp",
        0x15 => "CommitWithTimestamp",
        0x16 | 0x17 => "WideColumnEntity",
        0x18 | 0x19 => "TimedPut",
        _ => "unknown",
    }
}

/// Takes a varint32 off the front. RocksDB itself writes none longer than it must be.
fn take_varint(input: &mut &[u8], what: &str) -> Result<u32> {
    let mut value = 0u64;
    for (i, &byte) in input.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7F) << (7 * i);
        if byte & 0x80 == 0 {
            if byte == 0 && i > 0 {
                return Err(bad(format!("write batch, {what}: got an overlong varint of {} bytes", i + 1)));
            }
            *input = input.get(i + 1..).unwrap_or_default();
            return u32::try_from(value).map_err(|_| {
                bad(format!("write batch, {what}: got the varint {value}, expected at most {}", u32::MAX))
            });
        }
    }
    let got = if input.len() < 5 { "an unfinished varint" } else { "a varint of more than 5 bytes" };
    Err(bad(format!("write batch, {what}: got {got}, expected a varint32")))
}

fn take_bytes<'a>(input: &mut &'a [u8], what: &str) -> Result<&'a [u8]> {
    let length = take_varint(input, what)?;
    let split = usize::try_from(length).ok().and_then(|length| input.split_at_checked(length));
    let Some((bytes, rest)) = split else {
        return Err(bad(format!("write batch, {what}: got {} bytes, expected {length}", input.len())));
    };
    *input = rest;
    Ok(bytes)
}

fn take_family(input: &mut &[u8], tagged: bool) -> Result<u32> {
    if !tagged {
        return Ok(DEFAULT);
    }
    let family = take_varint(input, "column family")?;
    if usize::try_from(family).is_ok_and(|family| family < FAMILIES) {
        return Ok(family);
    }
    Err(bad(format!("write batch, column family: got {family}, expected less than {FAMILIES}")))
}

fn take_record<'a>(input: &mut &'a [u8]) -> Result<Record<'a>> {
    let Some((&tag, rest)) = input.split_first() else {
        return Err(bad("write batch, record: got nothing, expected a tag".to_string()));
    };
    *input = rest;
    match tag {
        TAG_PUT | TAG_FAMILY_PUT => {
            let family = take_family(input, tag == TAG_FAMILY_PUT)?;
            let key = take_bytes(input, "key of a Put")?;
            Ok(Record::Put { family, key, value: take_bytes(input, "value of a Put")? })
        }
        TAG_DELETE | TAG_FAMILY_DELETE => {
            let family = take_family(input, tag == TAG_FAMILY_DELETE)?;
            Ok(Record::Delete { family, key: take_bytes(input, "key of a Delete")? })
        }
        TAG_DELETE_RANGE | TAG_FAMILY_DELETE_RANGE => {
            let family = take_family(input, tag == TAG_FAMILY_DELETE_RANGE)?;
            let begin = take_bytes(input, "begin of a DeleteRange")?;
            let end = take_bytes(input, "end of a DeleteRange")?;
            // RocksDB fails on it after it was logged.
            if begin > end {
                let (begin, end) = (shown(begin), shown(end));
                return Err(bad(format!("write batch, DeleteRange: got begin {begin} after end {end}")));
            }
            Ok(Record::DeleteRange { family, begin, end })
        }
        TAG_LOG_DATA => Ok(Record::LogData(take_bytes(input, "LogData")?)),
        TAG_NOOP => Ok(Record::Noop),
        _ => Err(bad(format!(
            "write batch, record: got a {} (tag {tag:#04x}), expected a Put, Delete, DeleteRange, LogData or Noop",
            tag_name(tag)
        ))),
    }
}

impl<'a> Batch<'a> {
    /// Checks a whole batch: header, every record, their number and its sequence numbers.
    pub fn parse(bytes: &'a [u8]) -> Result<Batch<'a>> {
        Batch::parse_each(bytes, |_| Ok(()))
    }

    /// As [`Batch::parse`], for who wants to see every record all the same. What comes of that is void after an error.
    pub fn parse_each(bytes: &'a [u8], mut each: impl FnMut(&Record<'a>) -> Result<()>) -> Result<Batch<'a>> {
        let batch = Batch::parse_head(bytes)?;
        let Batch { sequence, count, mut records } = batch;
        let mut found = 0u64;
        while !records.is_empty() {
            let offset = bytes.len() - records.len();
            let record = take_record(&mut records).map_err(|error| error.context(format!("at byte {offset}")))?;
            each(&record)?;
            found += u64::from(record.counts());
        }
        if found != u64::from(count) {
            return Err(bad(format!("write batch at sequence {sequence}: got {found} records, expected {count}")));
        }
        Ok(batch)
    }

    /// What a batch says of its place in the log: its first sequence, and how many it takes. The records are not looked at.
    pub fn head(bytes: &[u8]) -> Result<(u64, u32)> {
        Batch::parse_head(bytes).map(|batch| (batch.sequence, batch.count))
    }

    /// Checks a batch but for its records.
    fn parse_head(bytes: &'a [u8]) -> Result<Batch<'a>> {
        if bytes.len() > MAX_BYTES {
            return Err(bad(format!("write batch: got {} bytes, expected at most {MAX_BYTES}", bytes.len())));
        }
        let head = bytes
            .split_first_chunk::<8>()
            .and_then(|(sequence, rest)| Some((sequence, rest.split_first_chunk::<4>()?)));
        let Some((sequence, (count, records))) = head else {
            return Err(bad(format!("write batch: got {} bytes, expected a header of {HEADER}", bytes.len())));
        };
        let sequence = u64::from_le_bytes(*sequence);
        let count = u32::from_le_bytes(*count);
        if sequence > MAX_SEQUENCE || u64::from(count) > MAX_SEQUENCE - sequence + 1 {
            return Err(bad(format!(
                "write batch: got sequence {sequence} and count {count}, expected no sequence above {MAX_SEQUENCE}"
            )));
        }
        Ok(Batch { sequence, count, records })
    }

    /// The sequence number of the first record.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// How many sequence numbers the batch takes. A batch of notes alone takes none.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The sequence number of the last record; of the record before, when the batch takes none.
    pub fn last_sequence(&self) -> u64 {
        (self.sequence + u64::from(self.count)).saturating_sub(1)
    }

    /// The records in order, notes included.
    pub fn records(&self) -> impl Iterator<Item = Record<'a>> + use<'a> {
        let mut input = self.records;
        // Checked by `parse`: no error is left to come.
        std::iter::from_fn(move || take_record(&mut input).ok())
    }
}

/// Builds a batch, in the bytes that RocksDB itself would make. What it is given is not checked against `MAX_BYTES`:
/// look at `len_bytes` before `finish`.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    bytes: Vec<u8>,
    count: u32,
    deleted_keys: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Default for BatchBuilder {
    fn default() -> BatchBuilder {
        BatchBuilder::new()
    }
}

/// A place in a batch that is being made.
#[derive(Clone, Copy)]
pub struct Mark {
    length: usize,
    count: u32,
    deleted_keys: usize,
}

impl BatchBuilder {
    /// An empty batch.
    pub fn new() -> BatchBuilder {
        // Room for a record of usual size with its notes, so that it need not grow.
        let mut bytes = Vec::with_capacity(256);
        bytes.resize(HEADER, 0);
        BatchBuilder { bytes, count: 0, deleted_keys: Vec::new() }
    }

    /// Sets a key.
    pub fn put(&mut self, family: u32, key: &[u8], value: &[u8]) {
        self.put_with(family, &[key], &[value]);
    }

    /// Sets a key, both given in pieces.
    pub fn put_with(&mut self, family: u32, key_parts: &[&[u8]], value_parts: &[&[u8]]) {
        self.tag(family, TAG_PUT, TAG_FAMILY_PUT);
        self.varstring(key_parts);
        self.varstring(value_parts);
        self.count = self.count.saturating_add(1);
    }

    /// Removes a key.
    pub fn delete(&mut self, family: u32, key: &[u8]) {
        self.tag(family, TAG_DELETE, TAG_FAMILY_DELETE);
        self.varstring(&[key]);
        self.count = self.count.saturating_add(1);
    }

    /// Removes the keys from `begin` up to but not including `end`, which must come after it.
    pub fn delete_range(&mut self, family: u32, begin: &[u8], end: &[u8]) {
        debug_assert!(begin < end, "begin {begin:?} after end {end:?}");
        self.tag(family, TAG_DELETE_RANGE, TAG_FAMILY_DELETE_RANGE);
        self.varstring(&[begin]);
        self.varstring(&[end]);
        self.count = self.count.saturating_add(1);
        if family == METADATA {
            self.deleted_keys.push((begin.to_vec(), end.to_vec()));
        }
    }

    /// The ranges of metadata that it removes: whole keys, of whatever number.
    pub fn deleted_keys(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.deleted_keys
    }

    /// Adds a note.
    pub fn log_data(&mut self, blob: &[u8]) {
        self.log_data_with(&[blob]);
    }

    /// Adds a note given in pieces.
    pub fn log_data_with(&mut self, parts: &[&[u8]]) {
        self.bytes.push(TAG_LOG_DATA);
        self.varstring(parts);
    }

    /// Adds a record of another batch.
    pub fn record(&mut self, record: &Record<'_>) {
        match *record {
            Record::Put { family, key, value } => self.put(family, key, value),
            Record::Delete { family, key } => self.delete(family, key),
            Record::DeleteRange { family, begin, end } => self.delete_range(family, begin, end),
            Record::LogData(blob) => self.log_data(blob),
            Record::Noop => self.bytes.push(TAG_NOOP),
        }
    }

    /// How many sequence numbers the batch will take.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The records from byte `from` on, which an earlier `len_bytes` gave, each with the byte at which it ends: the value
    /// of a Put ends there too.
    pub fn records_from(&self, from: usize) -> impl Iterator<Item = (Record<'_>, usize)> {
        let mut input = self.bytes.get(from.max(HEADER)..).unwrap_or_default();
        std::iter::from_fn(move || {
            let record = take_record(&mut input).ok()?;
            Some((record, self.bytes.len() - input.len()))
        })
    }

    /// A part of the bytes so far.
    pub fn part(&self, place: &std::ops::Range<usize>) -> &[u8] {
        self.bytes.get(place.clone()).unwrap_or_default()
    }

    /// Gives a part of the bytes so far, such as a value, other bytes of the same length.
    pub fn overwrite(&mut self, place: &std::ops::Range<usize>, bytes: &[u8]) {
        if let Some(part) = self.bytes.get_mut(place.clone()).filter(|part| part.len() == bytes.len()) {
            part.copy_from_slice(bytes);
        }
    }

    /// Whether nothing was added, not even a note.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() == HEADER
    }

    /// Where it is now, for [`BatchBuilder::roll_back`].
    pub fn mark(&self) -> Mark {
        Mark { length: self.bytes.len(), count: self.count, deleted_keys: self.deleted_keys.len() }
    }

    /// Takes back what was added since; whether that was anything.
    pub fn roll_back(&mut self, mark: Mark) -> bool {
        let added = self.bytes.len() > mark.length;
        self.bytes.truncate(mark.length);
        self.count = mark.count;
        self.deleted_keys.truncate(mark.deleted_keys);
        added
    }

    /// The length of the finished batch.
    pub fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The finished batch, its first record at `sequence`.
    pub fn finish(mut self, sequence: u64) -> Vec<u8> {
        if let Some((first, rest)) = self.bytes.split_first_chunk_mut::<8>() {
            *first = sequence.to_le_bytes();
            if let Some(count) = rest.first_chunk_mut::<4>() {
                *count = self.count.to_le_bytes();
            }
        }
        self.bytes
    }

    fn tag(&mut self, family: u32, plain: u8, with_family: u8) {
        if family == DEFAULT {
            self.bytes.push(plain);
        } else {
            self.bytes.push(with_family);
            self.varint(family.into());
        }
    }

    /// A length over 32 bits is written in full, so that `parse` refuses it instead of misreading it.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    fn varstring(&mut self, parts: &[&[u8]]) {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        self.bytes.reserve(10 + length);
        self.varint(length as u64);
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::{WIRE, hex, wire_batches};
    use super::*;

    const SET: &str = "0500000000000000 01000000 030131 05010f 0b5f5f6e616d657370616365666f6f \
        0c 810000000000000000626172 0312 72204142434445464748494a4b4c4d4e4f50";
    const HSET: &str = "0600000000000000 02000000 030132 011c 0b5f5f6e616d65737061636500000003666f6f1b2e02030506070866 \
        0178 05010f 0b5f5f6e616d657370616365666f6f 19 8200000000000000001b2e0203050607080000000000000001";

    fn rebuild(batch: &Batch<'_>) -> Vec<u8> {
        let mut builder = BatchBuilder::new();
        batch.records().for_each(|record| builder.record(&record));
        assert_eq!(builder.count(), batch.count());
        builder.finish(batch.sequence())
    }

    /// A batch with one record of each form, in the bytes given, behind a header.
    fn framed(sequence: u64, count: u32, records: &[u8]) -> Vec<u8> {
        [&sequence.to_le_bytes()[..], &count.to_le_bytes(), records].concat()
    }

    #[track_caller]
    fn refused(bytes: &[u8], message: &str) {
        let error = Batch::parse(bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corruption);
        assert!(error.message().contains(message), "{error}");
    }

    /// The batches of SET and HSET parse into their records and come out of the builder byte for byte.
    #[test]
    fn vectors() {
        let set = hex(SET);
        assert_eq!(set.len(), 66);
        let batch = Batch::parse(&set).unwrap();
        assert_eq!((batch.sequence(), batch.count(), batch.last_sequence()), (5, 1, 5));
        let records: Vec<_> = batch.records().collect();
        let key = hex("0b5f5f6e616d657370616365666f6f");
        let value = hex("810000000000000000626172");
        assert_eq!(
            records,
            [
                Record::LogData(b"1"),
                Record::Put { family: METADATA, key: &key, value: &value },
                Record::LogData(b"r ABCDEFGHIJKLMNOP"),
            ]
        );
        let mut builder = BatchBuilder::new();
        builder.log_data(b"1");
        builder.put_with(METADATA, &[&key[..5], &key[5..]], &[b"", &value[..9], b"bar"]);
        builder.log_data(b"r ABCDEFGHIJKLMNOP");
        assert_eq!(builder.len_bytes(), 66);
        assert_eq!(builder.finish(5), set);

        let hset = hex(HSET);
        assert_eq!(hset.len(), 91);
        let batch = Batch::parse(&hset).unwrap();
        assert_eq!((batch.sequence(), batch.count(), batch.last_sequence()), (6, 2, 7));
        assert_eq!(rebuild(&batch), hset);
    }

    /// Every record form has RocksDB's tag, with a family only where it is not 0.
    #[test]
    fn tags() {
        let mut builder = BatchBuilder::default();
        assert!(builder.is_empty());
        builder.put(DEFAULT, b"k", b"v");
        builder.delete(DEFAULT, b"k");
        builder.delete_range(DEFAULT, b"a", b"b");
        builder.put(STREAM, b"k", b"v");
        builder.delete(SEARCH, b"k");
        builder.delete_range(PROPAGATE, b"a", b"b");
        builder.log_data(b"n");
        builder.record(&Record::Noop);
        assert_eq!(builder.count(), 6);
        assert!(!builder.is_empty());
        let bytes = builder.finish(1);
        let records = hex("01016b0176 00016b 0f01610162 0505016b0176 0406016b 0e0401610162 03016e 0d");
        assert_eq!(bytes, framed(1, 6, &records));
        assert_eq!(rebuild(&Batch::parse(&bytes).unwrap()), bytes);
    }

    /// Every batch that a real Kvrocks fed to its replicas parses, follows its predecessor, and is rebuilt byte for
    /// byte from its records.
    #[test]
    fn wire_feed() {
        for (name, bytes) in WIRE {
            let mut next = None;
            let batches = wire_batches(bytes);
            assert!(batches.len() >= 19, "{name}: {} batches", batches.len());
            for bytes in batches {
                let batch = Batch::parse(bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!(rebuild(&batch), bytes, "{name} at {}", batch.sequence());
                assert!(next.is_none_or(|next| next == batch.sequence()), "{name} at {}", batch.sequence());
                next = Some(batch.last_sequence() + 1);
            }
        }
    }

    /// A batch cut anywhere is refused: no prefix of it is another batch.
    #[test]
    fn cut_batches() {
        let set = hex(SET);
        for cut in 0..set.len() {
            // The last note does not count, so that a cut right before it leaves a whole batch.
            assert_eq!(Batch::parse(&set[..cut]).is_ok(), cut == set.len() - 20, "cut at {cut}");
        }
        refused(b"ping", "got 4 bytes, expected a header of 12");
    }

    /// Records that RocksDB knows and Kvrocks never writes are refused by name and number.
    #[test]
    fn foreign_records() {
        for (tag, name) in [
            (0x02, "a Merge (tag 0x02)"),
            (0x08, "a SingleDelete (tag 0x08)"),
            (0x09, "a BeginPrepare (tag 0x09)"),
            (0x11, "a BlobIndex (tag 0x11)"),
            (0x16, "a WideColumnEntity (tag 0x16)"),
            (0x18, "a TimedPut (tag 0x18)"),
            (0x7f, "a unknown (tag 0x7f)"),
        ] {
            refused(&framed(1, 1, &[tag, 1, b'k', 1, b'v']), name);
        }
    }

    /// Counts, families, ranges, varints and sequences that RocksDB could not live with are refused.
    #[test]
    fn hostile_numbers() {
        let put = hex("01016b0176");
        refused(&framed(1, 2, &put), "got 1 records, expected 2");
        refused(&framed(1, 0, &put), "got 1 records, expected 0");
        refused(&framed(1, 1, &hex("0507016b0176")), "got 7, expected less than 7");
        refused(&framed(1, 1, &hex("0f01620161")), "begin \"b\" after end \"a\"");
        refused(&framed(1, 1, &hex("01816b")), "got ");
        refused(&framed(1, 1, &hex("0181006b0176")), "overlong varint of 2 bytes");
        refused(&framed(1, 1, &hex("01ffffffff1f")), "expected at most 4294967295");
        refused(&framed(1, 1, &hex("01ffffffffff01")), "more than 5 bytes");
        refused(&framed(1, 1, &hex("01ffffffff0f6b")), "got 1 bytes, expected 4294967295");
        refused(&framed(1, 1, &hex("01 80")), "unfinished varint");
        refused(&framed(MAX_SEQUENCE + 1, 0, b""), "expected no sequence above");
        refused(&framed(MAX_SEQUENCE, 2, b""), "expected no sequence above");
        assert_eq!(Batch::parse(&framed(MAX_SEQUENCE, 1, &put)).unwrap().last_sequence(), MAX_SEQUENCE);
        // An equal begin and end is an empty range, which RocksDB takes.
        Batch::parse(&framed(1, 1, &hex("0f01610161"))).unwrap();
    }

    /// A batch of notes alone is whole, takes no sequence number and leaves the position where it was.
    #[test]
    fn only_notes() {
        let bytes = framed(9, 0, &hex("0301310d"));
        let batch = Batch::parse(&bytes).unwrap();
        assert_eq!((batch.count(), batch.last_sequence(), batch.records().count()), (0, 8, 2));
        assert!(batch.records().all(|record| !record.counts()));
        assert_eq!(Batch::parse(&framed(0, 0, b"")).unwrap().last_sequence(), 0);
    }
}
