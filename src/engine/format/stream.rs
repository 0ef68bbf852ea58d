//! Streams: the payload of their metadata, and the records of entries, groups, consumers and pending entries.
//! Kvrocks: redis_metadata.cc StreamMetadata, redis_stream.cc, redis_stream_base.cc. All integers are big-endian, but
//! for the lengths inside of an entry, which are varints.

use std::fmt;

use crate::engine::error::{Error, ErrorKind, Result, shown};

/// The id of an entry: milliseconds, and a number inside of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Unix milliseconds, by custom.
    pub ms: u64,
    /// The number inside of them.
    pub seq: u64,
}

impl StreamId {
    /// Before all entries.
    pub const MIN: StreamId = StreamId { ms: 0, seq: 0 };
    /// Behind all entries.
    pub const MAX: StreamId = StreamId { ms: u64::MAX, seq: u64::MAX };

    /// The id after this one; `None` after the last.
    pub fn next(self) -> Option<StreamId> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(StreamId { ms: self.ms, seq }),
            None => self.ms.checked_add(1).map(|ms| StreamId { ms, seq: 0 }),
        }
    }

    /// The id before this one; `None` before the first.
    pub fn previous(self) -> Option<StreamId> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(StreamId { ms: self.ms, seq }),
            None => self.ms.checked_sub(1).map(|ms| StreamId { ms, seq: u64::MAX }),
        }
    }

    /// Reads `ms-seq`, or `ms` alone with the number `seq`.
    pub fn parse(text: &[u8], seq: u64) -> Option<StreamId> {
        let mut parts = text.splitn(2, |&byte| byte == b'-');
        let ms = number(parts.next()?)?;
        Some(StreamId { ms, seq: parts.next().map_or(Some(seq), number)? })
    }

    /// The sub part of the entry's key.
    pub fn encode(self) -> [u8; 16] {
        (u128::from(self.ms) << 64 | u128::from(self.seq)).to_be_bytes()
    }

    /// The id of a sub part.
    pub fn decode(bytes: [u8; 16]) -> StreamId {
        let both = u128::from_be_bytes(bytes);
        StreamId { ms: (both >> 64) as u64, seq: both as u64 }
    }

    /// The reserved milliseconds of records that are no entries: an entry of that time could not be told from them.
    pub fn is_reserved(self) -> bool {
        self.ms == u64::MAX
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// An unsigned decimal number, all of the text.
pub fn number(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(text).ok()?.parse().ok())?
}

/// What a stream's metadata says behind the common header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamState {
    pub last_generated: StreamId,
    pub recorded_first: StreamId,
    pub max_deleted: StreamId,
    pub first: StreamId,
    pub last: StreamId,
    pub entries_added: u64,
    /// Absent in old records.
    pub groups: u64,
}

impl StreamState {
    pub fn encode(&self) -> Vec<u8> {
        let ids = [self.last_generated, self.recorded_first, self.max_deleted, self.first, self.last];
        let mut out: Vec<u8> = ids.iter().flat_map(|id| id.encode()).collect();
        out.extend(self.entries_added.to_be_bytes());
        out.extend(self.groups.to_be_bytes());
        out
    }

    pub fn decode(payload: &[u8]) -> Result<StreamState> {
        let mut reader = Reader { what: "metadata", bytes: payload, whole: payload };
        let state = StreamState {
            last_generated: reader.id()?,
            recorded_first: reader.id()?,
            max_deleted: reader.id()?,
            first: reader.id()?,
            last: reader.id()?,
            entries_added: reader.u64()?,
            groups: if reader.bytes.is_empty() { 0 } else { reader.u64()? },
        };
        reader.end()?;
        Ok(state)
    }
}

/// What a record in the stream's family is, by the sub part of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamSub {
    Entry(StreamId),
    Group(Vec<u8>),
    Consumer { group: Vec<u8>, consumer: Vec<u8> },
    Pending { group: Vec<u8>, id: StreamId },
}

const GROUP: u8 = 1;
const CONSUMER: u8 = 2;
const PENDING: u8 = 3;

fn marked(kind: u8, group: &[u8]) -> Vec<u8> {
    let mut out = vec![0xFF; 8];
    out.push(kind);
    append_counted(&mut out, group);
    out
}

fn append_counted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u64).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// What the sub parts of all groups start with.
pub fn groups_prefix() -> Vec<u8> {
    [&[0xFF; 8][..], &[GROUP]].concat()
}

/// What the sub parts of all consumers of a group start with.
pub fn consumers_prefix(group: &[u8]) -> Vec<u8> {
    marked(CONSUMER, group)
}

/// What the sub parts of all pending entries of a group start with.
pub fn pending_prefix(group: &[u8]) -> Vec<u8> {
    marked(PENDING, group)
}

impl StreamSub {
    pub fn encode(&self) -> Vec<u8> {
        match self {
            StreamSub::Entry(id) => id.encode().to_vec(),
            StreamSub::Group(group) => marked(GROUP, group),
            StreamSub::Consumer { group, consumer } => {
                let mut out = marked(CONSUMER, group);
                append_counted(&mut out, consumer);
                out
            }
            StreamSub::Pending { group, id } => [marked(PENDING, group), id.encode().to_vec()].concat(),
        }
    }

    pub fn decode(sub: &[u8]) -> Result<StreamSub> {
        let mut reader = Reader { what: "sub key", bytes: sub, whole: sub };
        let ms = reader.u64()?;
        let decoded = if ms != u64::MAX {
            StreamSub::Entry(StreamId { ms, seq: reader.u64()? })
        } else {
            match reader.take(1)? {
                [GROUP] => StreamSub::Group(reader.counted()?.to_vec()),
                [CONSUMER] => {
                    StreamSub::Consumer { group: reader.counted()?.to_vec(), consumer: reader.counted()?.to_vec() }
                }
                [PENDING] => StreamSub::Pending { group: reader.counted()?.to_vec(), id: reader.id()? },
                kind => return Err(reader.bad(&format!("kind {kind:?}"), "1, 2 or 3")),
            }
        };
        reader.end()?;
        Ok(decoded)
    }
}

/// The values of an entry: field, value, field, value.
pub fn encode_entry<T: AsRef<[u8]>>(values: &[T]) -> Vec<u8> {
    let mut out = Vec::with_capacity(values.iter().map(|value| value.as_ref().len() + 5).sum());
    for value in values {
        let mut length = value.as_ref().len();
        while length >= 0x80 {
            out.push(length as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend_from_slice(value.as_ref());
    }
    out
}

pub fn decode_entry(value: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut reader = Reader { what: "entry", bytes: value, whole: value };
    let mut out = Vec::new();
    while !reader.bytes.is_empty() {
        let length = reader.varint()?;
        out.push(reader.take(u64::from(length))?.to_vec());
    }
    Ok(out)
}

/// A group of consumers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    pub consumers: u64,
    pub pending: u64,
    pub last_delivered: StreamId,
    /// How many entries it has read; -1 when that is not known.
    pub entries_read: i64,
    /// As Kvrocks keeps it: 0 in every record that it writes.
    pub lag: u64,
}

impl Group {
    pub fn encode(&self) -> Vec<u8> {
        let id = self.last_delivered;
        let words = [self.consumers, self.pending, id.ms, id.seq, self.entries_read as u64, self.lag];
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    pub fn decode(value: &[u8]) -> Result<Group> {
        let mut reader = Reader { what: "group", bytes: value, whole: value };
        let group = Group {
            consumers: reader.u64()?,
            pending: reader.u64()?,
            last_delivered: reader.id()?,
            entries_read: reader.u64()? as i64,
            lag: reader.u64()?,
        };
        reader.end()?;
        Ok(group)
    }
}

/// A consumer of a group, with the unix times at which it last tried and got something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consumer {
    pub pending: u64,
    pub attempted_ms: u64,
    pub succeeded_ms: u64,
}

impl Consumer {
    pub fn encode(&self) -> Vec<u8> {
        [self.pending, self.attempted_ms, self.succeeded_ms].iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    pub fn decode(value: &[u8]) -> Result<Consumer> {
        let mut reader = Reader { what: "consumer", bytes: value, whole: value };
        let consumer = Consumer { pending: reader.u64()?, attempted_ms: reader.u64()?, succeeded_ms: reader.u64()? };
        reader.end()?;
        Ok(consumer)
    }
}

/// An entry that was delivered and not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    pub delivered_ms: u64,
    pub deliveries: u64,
    pub consumer: Vec<u8>,
}

impl Pending {
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(24 + self.consumer.len());
        out.extend(self.delivered_ms.to_be_bytes());
        out.extend(self.deliveries.to_be_bytes());
        append_counted(&mut out, &self.consumer);
        out
    }

    pub fn decode(value: &[u8]) -> Result<Pending> {
        let mut reader = Reader { what: "pending entry", bytes: value, whole: value };
        let pending =
            Pending { delivered_ms: reader.u64()?, deliveries: reader.u64()?, consumer: reader.counted()?.to_vec() };
        reader.end()?;
        Ok(pending)
    }
}

struct Reader<'a> {
    what: &'static str,
    bytes: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Reader<'a> {
    fn bad(&self, got: &str, expected: &str) -> Error {
        let what = self.what;
        Error::new(
            ErrorKind::Corruption,
            format!("stream {what} {}: got {got}, expected {expected}", shown(self.whole)),
        )
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8]> {
        let split = usize::try_from(length).ok().and_then(|length| self.bytes.split_at_checked(length));
        let Some((taken, rest)) = split else {
            return Err(self.bad(&format!("{} more bytes", self.bytes.len()), &length.to_string()));
        };
        self.bytes = rest;
        Ok(taken)
    }

    fn u64(&mut self) -> Result<u64> {
        let bytes = self.take(8)?;
        Ok(bytes.iter().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    fn id(&mut self) -> Result<StreamId> {
        Ok(StreamId { ms: self.u64()?, seq: self.u64()? })
    }

    fn counted(&mut self) -> Result<&'a [u8]> {
        let length = self.u64()?;
        self.take(length)
    }

    fn varint(&mut self) -> Result<u32> {
        let mut value = 0u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.take(1)?.first().copied().unwrap_or_default();
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return u32::try_from(value).map_err(|_| self.bad(&format!("the length {value}"), "32 bits"));
            }
        }
        Err(self.bad("a length of more than 5 bytes", "at most 5"))
    }

    fn end(&self) -> Result<()> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        Err(self.bad(&format!("{} bytes behind its end", self.bytes.len()), "none"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fuzz::hex;
    use super::*;

    /// Every record decodes into what it was made of, and not when it is cut or longer.
    #[test]
    fn records() {
        let id = StreamId { ms: 5, seq: 6 };
        for (sub, bytes) in [
            (StreamSub::Entry(id), "0000000000000005 0000000000000006"),
            (StreamSub::Group(b"g".to_vec()), "ffffffffffffffff 01 0000000000000001 67"),
            (
                StreamSub::Consumer { group: b"g".to_vec(), consumer: b"cc".to_vec() },
                "ffffffffffffffff 02 0000000000000001 67 0000000000000002 6363",
            ),
            (
                StreamSub::Pending { group: b"g".to_vec(), id },
                "ffffffffffffffff 03 0000000000000001 67 0000000000000005 0000000000000006",
            ),
        ] {
            let bytes = hex(bytes);
            assert_eq!(sub.encode(), bytes);
            assert_eq!(StreamSub::decode(&bytes).unwrap(), sub);
            for cut in 0..bytes.len() {
                assert_eq!(StreamSub::decode(&bytes[..cut]).unwrap_err().kind(), ErrorKind::Corruption);
            }
            assert!(StreamSub::decode(&[&bytes[..], b"x"].concat()).is_err());
        }
        let pending = Pending { delivered_ms: 1, deliveries: 2, consumer: b"me".to_vec() };
        assert_eq!(Pending::decode(&pending.encode()).unwrap(), pending);
        let group = Group { consumers: 1, pending: 2, last_delivered: id, entries_read: -1, lag: 0 };
        assert_eq!(Group::decode(&group.encode()).unwrap(), group);
        let consumer = Consumer { pending: 1, attempted_ms: 2, succeeded_ms: 3 };
        assert_eq!(Consumer::decode(&consumer.encode()).unwrap(), consumer);
        let state = StreamState { last_generated: id, entries_added: 9, groups: 3, ..StreamState::default() };
        assert_eq!(StreamState::decode(&state.encode()).unwrap(), state);
        // Old records end before the number of groups.
        let old = &state.encode()[..88];
        assert_eq!(StreamState::decode(old).unwrap(), StreamState { groups: 0, ..state });
        assert!(StreamState::decode(&old[..87]).is_err());
    }

    /// The lengths in an entry are varints, and one that lies is Corruption.
    #[test]
    fn entries() {
        let values = [b"f".to_vec(), Vec::new(), vec![b'x'; 200], b"v".to_vec()];
        let bytes = encode_entry(&values);
        assert_eq!(&bytes[..5], &[1, b'f', 0, 0xC8, 1]);
        assert_eq!(decode_entry(&bytes).unwrap(), values);
        for bad in [&[1u8][..], &[5, b'a'], &[0x80], &[0xFF, 0xFF, 0xFF, 0xFF, 0x7F], &[0x80; 6]] {
            assert_eq!(decode_entry(bad).unwrap_err().kind(), ErrorKind::Corruption, "{bad:?}");
        }
    }

    /// Ids are read whole or not at all, and step over the edge of their milliseconds.
    #[test]
    fn ids() {
        assert_eq!(StreamId::parse(b"5-6", 0), Some(StreamId { ms: 5, seq: 6 }));
        assert_eq!(StreamId::parse(b"5", 7), Some(StreamId { ms: 5, seq: 7 }));
        for bad in [&b""[..], b"-", b"5-", b"-5", b"5-6-7", b"+5", b"a", b"18446744073709551616", b"5 "] {
            assert_eq!(StreamId::parse(bad, 0), None, "{}", shown(bad));
        }
        let edge = StreamId { ms: 5, seq: u64::MAX };
        assert_eq!(edge.next(), Some(StreamId { ms: 6, seq: 0 }));
        assert_eq!(edge.next().unwrap().previous(), Some(edge));
        assert_eq!((StreamId::MAX.next(), StreamId::MIN.previous()), (None, None));
        assert_eq!(StreamId::decode(edge.encode()), edge);
    }
}
