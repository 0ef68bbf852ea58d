//! Properties of all parsers, over generated and over mutated bytes; and what the other tests share.
//!
//! `PUMICE_FUZZ_SECONDS` says how long the mutation runs (5), `PUMICE_FUZZ_SEED` replays the case that a failure named.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

use super::batch::{Batch, BatchBuilder, FAMILIES, HEADER, Record};
use super::bits::{fragment_index, fragment_sub};
use super::bloom::BloomState;
use super::change::changes;
use super::double::{decode_double, encode_double};
use super::dump::{Object, decode_dump, encode_dump, sealed};
use super::entry::Entry;
use super::hyperloglog::Registers;
use super::json::{JsonFormat, decode_payload, encode_payload, parse_text, to_text};
use super::json_path::JsonPath;
use super::key::{
    Layout, Subkey, append_key, append_subkey, decode_key, decode_subkey, looks_like_cluster, namespace_prefix,
    prefix_end, slot,
};
use super::log_data::{LogData, parse_log_data, replication_id_log};
use super::metadata::{Found, Kind, Metadata, append_string, decode_metadata, find_string, set_expire};
use super::registry::{Registry, check_name, check_replication_id, decode_registry, encode_registry};
use super::resp::{Limits, Reply, ReplyParser, RequestParser, encode_request};
use super::side::{
    History, ManifestFile, PastId, SyncManifest, check_file_name, decode_history, decode_manifest, encode_history,
    encode_manifest,
};
use super::state::{DesiredLink, Role, State, TlsClient, decode_state, encode_state};
use super::stream::{Consumer, Group, Pending, StreamId, StreamState, StreamSub, decode_entry, encode_entry};
use crate::engine::clock;
use crate::engine::error::Result;

/// What a Kvrocks master sent to a replica, by settings.
pub(in crate::engine) const WIRE: [(&str, &[u8]); 3] = [
    (
        "default-psync",
        include_bytes!("../../../tests/fixtures/wire/default-psync/session1/conn01.master_to_replica.bin"),
    ),
    (
        "rsid-fullsync",
        include_bytes!("../../../tests/fixtures/wire/rsid-fullsync/session1/conn04.master_to_replica.bin"),
    ),
    ("cluster-rsid", include_bytes!("../../../tests/fixtures/wire/cluster-rsid/session1/conn04.master_to_replica.bin")),
];

/// The bytes of a hexadecimal text; white space is skipped.
pub(in crate::engine) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| !c.is_whitespace())
        .map(|c| c.to_digit(16).expect("a hexadecimal digit") as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The write batches of a recorded feed: its `$<length>` frames without the pings.
pub(in crate::engine) fn wire_batches(mut feed: &[u8]) -> Vec<&[u8]> {
    let mut out = Vec::new();
    while let Some(end) = feed.windows(2).position(|pair| pair == b"\r\n") {
        let (line, rest) = (&feed[..end], &feed[end + 2..]);
        feed = rest;
        if let Some(length) = line.strip_prefix(b"$") {
            let length: usize = std::str::from_utf8(length).unwrap().parse().unwrap();
            if rest[..length] != *b"ping" {
                out.push(&rest[..length]);
            }
            assert_eq!(&rest[length..length + 2], b"\r\n");
            feed = &rest[length + 2..];
        }
    }
    assert!(feed.is_empty(), "{} bytes after the last frame", feed.len());
    out
}

/// Feeds bytes to every parser. What a parser accepts must come out of its writer again, and must not be larger than
/// what it was read from.
fn check_all(bytes: &[u8]) {
    for layout in [Layout::Standalone, Layout::Cluster] {
        if let Ok(key) = decode_key(bytes, layout) {
            assert!(key.slot.is_some() == (layout == Layout::Cluster));
            if !key.namespace.is_empty() && key.slot.is_none_or(|stored| stored == slot(key.key)) {
                let mut out = Vec::new();
                append_key(&mut out, &namespace_prefix(key.namespace), layout, key.key);
                assert_eq!(out, bytes);
            }
        }
        if let Ok(subkey) = decode_subkey(bytes, layout)
            && !subkey.namespace.is_empty()
        {
            let mut out = Vec::new();
            append_subkey(&mut out, &subkey);
            assert_eq!(out, bytes);
        }
    }
    looks_like_cluster(bytes);
    if let Some(end) = prefix_end(bytes) {
        assert!(end.as_slice() > bytes && !end.starts_with(bytes));
    }
    check_metadata(bytes);
    if let Ok(registry) = decode_registry(bytes) {
        assert_eq!(decode_registry(&encode_registry(&registry)).unwrap(), registry);
        assert!(registry.names().all(|name| registry.name_of(registry.token_of(name).unwrap()) == Some(name)));
    }
    let _ = (check_name(bytes), check_replication_id(bytes), check_file_name(bytes));
    if let LogData::ReplicationId(id) = parse_log_data(bytes) {
        assert_eq!(replication_id_log(id).concat(), bytes);
    }
    check_batch(bytes);
    check_resp(bytes);
    if let Ok(entry) = Entry::decode(bytes) {
        assert_eq!(entry.encode(), bytes);
    }
    if let Ok(state) = decode_state(bytes) {
        // An older format is written again in the newest.
        assert_eq!(decode_state(&encode_state(&state)).unwrap(), state);
    }
    if let Ok(history) = decode_history(bytes) {
        assert!(history.past.capacity() <= 4 + 2 * bytes.len());
        assert_eq!(decode_history(&encode_history(&history)).unwrap(), history);
        for past in &history.past {
            assert_eq!(history.id_at(past.ended), past.id);
        }
    }
    check_types(bytes);
    if let Ok(manifest) = decode_manifest(bytes) {
        assert!(manifest.files.capacity() <= 4 + 2 * bytes.len());
        assert_eq!(decode_manifest(&encode_manifest(&manifest)).unwrap(), manifest);
        assert!(manifest.files.iter().all(|file| !file.name.contains('/')));
    }
}

fn check_metadata(bytes: &[u8]) {
    let found = find_string(bytes, || 1_000_000);
    let decoded = decode_metadata(bytes);
    if let (Ok(found), Ok(metadata)) = (&found, &decoded) {
        let expected = match metadata.kind {
            _ if !metadata.is_alive(1_000_000) => Found::Missing,
            Kind::STRING => Found::String(&bytes[metadata.payload..]),
            kind => Found::Other(kind),
        };
        assert_eq!(*found, expected);
    }
    let Ok(metadata) = decoded else { return };
    assert!(metadata.payload <= bytes.len());
    let mut patched = bytes.to_vec();
    set_expire(&mut patched, metadata.expire_ms).unwrap();
    assert_eq!(patched, bytes);
    let mut head = Vec::new();
    metadata.append(&mut head);
    let again = decode_metadata(&head).unwrap();
    assert_eq!(Metadata { payload: 0, ..again }, Metadata { payload: 0, ..metadata });
}

/// What the data types keep besides their metadata.
fn check_types(bytes: &[u8]) {
    if let Some(index) = fragment_index(bytes) {
        assert_eq!(fragment_sub(index), bytes);
    }
    if let Ok(state) = StreamState::decode(bytes) {
        assert_eq!(StreamState::decode(&state.encode()).unwrap(), state);
    }
    if let Ok(sub) = StreamSub::decode(bytes) {
        assert_eq!(sub.encode(), bytes);
    }
    if let Ok(values) = decode_entry(bytes) {
        assert_eq!(decode_entry(&encode_entry(&values)).unwrap(), values);
    }
    if let Ok(pending) = Pending::decode(bytes) {
        assert_eq!(pending.encode(), bytes);
    }
    if let (Ok(group), Ok(consumer)) = (Group::decode(bytes), Consumer::decode(&bytes[..bytes.len().min(24)])) {
        assert_eq!((group.encode().as_slice(), consumer.encode().as_slice()), (bytes, &bytes[..24]));
    }
    if let Ok(state) = BloomState::decode(bytes) {
        assert_eq!(state.encode(), bytes);
    }
    let _ = Registers::empty().merge_segment(0, bytes);
    for format in [0, 1] {
        let payload = [&[format], bytes].concat();
        if let Ok((format, document)) = decode_payload(&payload) {
            let again = encode_payload(format, &document).unwrap();
            // The text of a number that is no double of 64 bits is not the same again.
            assert_eq!(to_text(&decode_payload(&again).unwrap().1).unwrap(), to_text(&document).unwrap());
            if let Ok(path) = JsonPath::parse(b"$..[?@.a>1 || @[0]==\"x\"]['b',1:,-1]") {
                let _ = path.find(&document);
            }
        }
    }
    let document = parse_text(br#"{"a":[1,{"b":[2,3]},"c"],"d":{"a":null}}"#).unwrap();
    let _ = JsonPath::parse(bytes).and_then(|path| path.find(&document).map(drop));
    if let Ok(object) = decode_dump(&sealed(bytes.to_vec())) {
        assert_eq!(decode_dump(&encode_dump(&object)).unwrap(), object);
    }
}

fn check_batch(bytes: &[u8]) {
    let Ok(batch) = Batch::parse(bytes) else { return };
    let mut builder = BatchBuilder::new();
    let mut counted = 0;
    for record in batch.records() {
        builder.record(&record);
        counted += u32::from(record.counts());
    }
    assert_eq!(counted, batch.count());
    let rebuilt = builder.finish(batch.sequence());
    // A family 0 that is spelled out is read as RocksDB reads it and written as RocksDB writes it.
    assert!(rebuilt.len() <= bytes.len());
    assert!(Batch::parse(&rebuilt).unwrap().records().eq(batch.records()));
    for layout in [Layout::Standalone, Layout::Cluster] {
        let all = changes(&batch, layout);
        assert!(all.len() >= counted as usize);
        let size: usize = all.iter().map(|change| change.key.len() + change.value.as_ref().map_or(0, Vec::len)).sum();
        assert!(size <= bytes.len() + 40 * all.len());
    }
    if let Ok(entry) = Entry::new("", false, Arc::from(bytes)) {
        assert_eq!(Entry::decode(&entry.encode()).unwrap(), entry);
    }
}

/// Reads bytes with a parser of RESP, in pieces of that length, until they end or are refused.
fn parsed<P, T>(
    mut parser: P,
    bytes: &[u8],
    piece: usize,
    push: fn(&mut P, &[u8]),
    next: fn(&mut P) -> Result<Option<T>>,
) -> (Vec<T>, Option<String>) {
    let mut out = Vec::new();
    for piece in bytes.chunks(piece) {
        push(&mut parser, piece);
        loop {
            match next(&mut parser) {
                Ok(Some(item)) => out.push(item),
                Ok(None) => break,
                Err(error) => return (out, Some(error.message().to_owned())),
            }
        }
    }
    (out, None)
}

/// RESP is read the same in whatever pieces it comes, and what was read is written the same.
fn check_resp(bytes: &[u8]) {
    let limits = Limits { count: 1000, bulk: 1000, line: 200, total: 4000, ..Limits::default() };
    let requests = |bytes: &[u8], piece| {
        parsed(RequestParser::new(limits), bytes, piece, RequestParser::push, RequestParser::next)
    };
    let replies =
        |bytes: &[u8], piece| parsed(ReplyParser::new(limits), bytes, piece, ReplyParser::push, ReplyParser::next);
    let (requests_read, replies_read) = (requests(bytes, usize::MAX), replies(bytes, usize::MAX));
    for piece in [1, 7] {
        assert_eq!(requests(bytes, piece), requests_read);
        assert_eq!(replies(bytes, piece), replies_read);
    }
    for request in requests_read.0 {
        let args: Vec<&[u8]> = request.iter().map(Vec::as_slice).collect();
        assert_eq!(requests(&encode_request(&args), usize::MAX), (vec![request], None));
    }
    for reply in replies_read.0 {
        let mut again = Vec::new();
        reply.encode(&mut again);
        // What was no UTF-8 in a line, or a line break, was replaced.
        let replaced = format!("{reply:?}").contains(['\u{FFFD}', '\\']);
        assert!(replaced || replies(&again, usize::MAX) == (vec![reply], None));
    }
}

/// SplitMix64.
pub(in crate::engine) struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Valid bytes of every kind.
fn seeds() -> Vec<Vec<u8>> {
    let id = "ABCDEFGHIJKLMNOP".to_string();
    let mut out: Vec<Vec<u8>> = Vec::new();
    for (_, feed) in WIRE {
        for (i, batch) in wire_batches(feed).into_iter().enumerate() {
            out.push(batch.to_vec());
            for record in Batch::parse(batch).unwrap().records() {
                match record {
                    Record::Put { key, value, .. } => out.extend([key.to_vec(), value.to_vec()]),
                    Record::Delete { key, .. } => out.push(key.to_vec()),
                    Record::LogData(note) => out.push(note.to_vec()),
                    _ => {}
                }
            }
            if i % 4 == 0
                && let Ok(entry) = Entry::new(id.clone(), true, Arc::from(batch))
            {
                out.push(entry.encode());
            }
        }
    }
    let history = History {
        layout: Layout::Standalone,
        current: id,
        past: (1..40).map(|n| PastId { id: format!("{n:016}"), ended: n * 1000 }).collect(),
    };
    let file = |n: u32| ManifestFile { name: format!("{n:06}.sst"), size: n.into(), crc32c: n };
    let mut files: Vec<_> = (1..40).map(file).collect();
    files.push(ManifestFile { name: "CURRENT".to_string(), size: 16, crc32c: 1 });
    let mut registry = Registry::default();
    for n in 0..20 {
        registry.insert(format!("token-{n}"), format!("namespace-{n}"));
    }
    out.push(encode_registry(&registry));
    out.push(encode_state(&State::of(Role::Primary, None)));
    let link = DesiredLink { host: "h".into(), port: 1, password: Some("p".into()), announce_port: 2, tls: None };
    let tls = Some(TlsClient { ca: "/ca".into(), key: Some("/k".into()), ..Default::default() });
    for link in [DesiredLink { tls, ..link.clone() }, link] {
        out.push(encode_state(&State::of(Role::Replica, Some(link))));
    }
    out.push(encode_history(&history));
    out.push(encode_manifest(&SyncManifest { sequence: 12345, history, files }));
    out.push(b"000123.sst".to_vec());
    out.push([&encode_request(&[b"replconf", b"listening-port", b"7302"])[..], b"PSYNC 'a b' 7\r\n"].concat());
    let id = StreamId { ms: 5, seq: 6 };
    let (group, consumer) = (b"group".to_vec(), b"consumer".to_vec());
    out.push(StreamState { last_generated: id, groups: 1, ..StreamState::default() }.encode());
    out.push(StreamSub::Consumer { group: group.clone(), consumer: consumer.clone() }.encode());
    out.push(StreamSub::Pending { group, id }.encode());
    out.push(encode_entry(&[&b"field"[..], &[b'v'; 200]]));
    out.push(Pending { delivered_ms: 1, deliveries: 2, consumer }.encode());
    out.push(Group { consumers: 1, pending: 2, last_delivered: id, entries_read: -1, lag: 0 }.encode());
    out.push(BloomState::new(100, 0.01, 2).encode());
    let document = parse_text(br#"{"a":[1,-2,2.5,{"b":"text","c":[[],{}]}],"d":null,"e":true}"#).unwrap();
    for format in [JsonFormat::Text, JsonFormat::Cbor] {
        out.push(encode_payload(format, &document).unwrap()[1..].to_vec());
    }
    for path in ["$.a[0,-1]['b'].*", "$..[?(@.a==1 && !(@.b<'x'))][::-1]"] {
        out.push(path.as_bytes().to_vec());
    }
    for object in [
        Object::List(vec![b"a".to_vec(), vec![b'b'; 100]]),
        Object::SortedSet(vec![(b"m".to_vec(), 1.5)]),
        Object::Hash(vec![(b"f".to_vec(), b"-300".to_vec())]),
    ] {
        let dump = encode_dump(&object);
        out.push(dump[..dump.len() - 10].to_vec());
    }
    // A listpack and an intset, as Redis dumps them.
    out.push(hex("14 0f 0f000000 0300 81 61 02 01 01 82 6262 03 ff"));
    out.push(hex("0b 0c 02000000 02000000 0100 0200"));
    out.push(b"24576".to_vec());
    let mut replies = Vec::new();
    Reply::Array(vec![Reply::bulk("pumice"), Reply::Nil, Reply::Array(vec![Reply::Integer(-7)])]).encode(&mut replies);
    Reply::Error("ERR unknown option".to_owned()).encode(&mut replies);
    Reply::Simple("OK".to_owned()).encode(&mut replies);
    out.push(replies);
    out.sort();
    out.dedup();
    out
}

/// Makes lengths and checksums right again, so that a mutation gets past them.
fn seal(bytes: &mut Vec<u8>) {
    if bytes.len() < 18 {
        return;
    }
    let end = bytes.len() - 4;
    if bytes.starts_with(b"PUMICE\0") {
        bytes[8..10].copy_from_slice(&1u16.to_le_bytes());
        bytes[10..14].copy_from_slice(&((end - 14) as u32).to_le_bytes());
    } else if !bytes.starts_with(b"PMLE") {
        return;
    }
    bytes.truncate(end);
    let crc = crc32c::crc32c(bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
}

fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..1 + random.below(4) {
        let at = random.below(bytes.len());
        match random.below(7) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 => bytes.truncate(at),
            2 => {
                let other = &seeds[random.below(seeds.len())];
                let (from, length) = (random.below(other.len()), random.below(40));
                bytes.splice(at..at, other[from..].iter().copied().take(length));
            }
            3 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7F, 0x80, 0xFB, 0xFD, 0xFF][random.below(7)],
            4 => {
                let end = (at + random.below(16)).min(bytes.len());
                bytes.drain(at..end);
            }
            // A length, as big-endian, little-endian or varint, where one might stand.
            5 => {
                let length = (random.next() >> random.below(64)) as u32;
                let field = match random.below(3) {
                    0 => length.to_be_bytes(),
                    1 => length.to_le_bytes(),
                    _ => [0xFF, 0xFF, 0xFF, 0x7F],
                };
                for (byte, new) in bytes[at..].iter_mut().zip(field) {
                    *byte = new;
                }
            }
            // The count of a batch.
            6 if bytes.len() >= HEADER => bytes[8] = bytes[8].wrapping_add(1),
            _ => {}
        }
    }
    if random.below(4) != 0 {
        seal(&mut bytes);
    }
    bytes
}

/// Names the case when a test panics over it.
struct Case(u64);

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with PUMICE_FUZZ_SEED={}", self.0);
        }
    }
}

/// No parser panics over valid bytes that were flipped, cut, spliced or given other lengths, and whatever it accepts
/// is written back the same.
#[test]
fn mutated_bytes() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().expect("a number"));
    let limit = Duration::from_secs(number("PUMICE_FUZZ_SECONDS").unwrap_or(5));
    let first = number("PUMICE_FUZZ_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("PUMICE_FUZZ_SEED={first}");
    let seeds = seeds();
    let start = clock::instant();
    let (mut cases, mut accepted) = (0u64, 0u64);
    while cases == 0 || start.elapsed() < limit {
        let case = Case(first.wrapping_add(cases));
        let bytes = mutate(&mut Random(case.0), &seeds);
        check_all(&bytes);
        accepted += u64::from(Batch::parse(&bytes).is_ok() || decode_manifest(&bytes).is_ok());
        cases += 1;
    }
    println!("{cases} cases, {accepted} of them still a batch or a manifest");
    assert!(cases < 1000 || accepted > 0, "every mutation was refused at the door");
}

/// Every seed of the mutation is accepted by some parser, so that what is mutated is worth it.
#[test]
fn whole_seeds() {
    let seeds = seeds();
    assert!(seeds.len() > 100, "{} seeds", seeds.len());
    for bytes in &seeds {
        check_all(bytes);
    }
    let many = |accept: &dyn Fn(&[u8]) -> bool| seeds.iter().filter(|bytes| accept(bytes)).count();
    assert!(many(&|bytes| Batch::parse(bytes).is_ok()) > 50);
    assert!(many(&|bytes| Entry::decode(bytes).is_ok()) > 10);
    assert_eq!(many(&|bytes| decode_manifest(bytes).is_ok()), 1);
    assert_eq!(many(&|bytes| decode_history(bytes).is_ok()), 1);
    assert_eq!(many(&|bytes| decode_state(bytes).is_ok()), 3);
}

fn bytes(limit: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..limit)
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), "[0-9A-Z]{16}"]
}

fn history() -> impl Strategy<Value = History> {
    (any::<bool>(), id(), vec((id(), 1u64..1 << 40), 0..20)).prop_map(|(cluster, current, steps)| {
        let layout = if cluster { Layout::Cluster } else { Layout::Standalone };
        let mut ended = 0;
        let step = |(id, step): (String, u64)| {
            ended += step;
            PastId { id, ended }
        };
        History { layout, current, past: steps.into_iter().map(step).collect() }
    })
}

#[derive(Clone, Debug)]
enum Step {
    Put(u32, Vec<u8>, Vec<u8>),
    Delete(u32, Vec<u8>),
    DeleteRange(u32, Vec<u8>, Vec<u8>),
    LogData(Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    let family = 0..FAMILIES as u32;
    prop_oneof![
        (family.clone(), bytes(200), bytes(200)).prop_map(|(family, key, value)| Step::Put(family, key, value)),
        (family.clone(), bytes(200)).prop_map(|(family, key)| Step::Delete(family, key)),
        (family, bytes(20), bytes(20)).prop_map(|(family, a, b)| {
            let (begin, mut end) = if a <= b { (a, b) } else { (b, a) };
            if begin == end {
                end.push(0);
            }
            Step::DeleteRange(family, begin, end)
        }),
        bytes(40).prop_map(Step::LogData),
    ]
}

proptest! {
    /// Arbitrary bytes make no parser panic.
    #[test]
    fn arbitrary_bytes(bytes in bytes(300)) {
        check_all(&bytes);
    }

    /// Doubles keep their value and sort by their bytes.
    #[test]
    fn doubles(a in any::<f64>(), b in any::<f64>()) {
        prop_assert_eq!(decode_double(encode_double(a)).to_bits(), a.to_bits());
        if a < b {
            prop_assert!(encode_double(a) < encode_double(b));
        }
    }

    /// Keys and subkeys come back in both layouts, and lie between their prefix and its end.
    #[test]
    fn keys(namespace in vec(any::<u8>(), 1..=255), key in bytes(100), version in any::<u64>(), sub in bytes(100)) {
        let prefix = namespace_prefix(&namespace);
        for layout in [Layout::Standalone, Layout::Cluster] {
            let mut out = Vec::new();
            append_key(&mut out, &prefix, layout, &key);
            let decoded = decode_key(&out, layout).unwrap();
            prop_assert_eq!((decoded.namespace, decoded.key), (namespace.as_slice(), key.as_slice()));
            prop_assert!(out.starts_with(&prefix) && prefix_end(&prefix).is_none_or(|end| out < end));
            let subkey = Subkey { namespace: &namespace, slot: decoded.slot, key: &key, version, sub: &sub };
            let mut out = Vec::new();
            append_subkey(&mut out, &subkey);
            prop_assert_eq!(decode_subkey(&out, layout).unwrap(), subkey);
        }
    }

    /// Metadata comes back in both widths; the narrow one rounds to seconds and cuts the size.
    #[test]
    fn metadata(
        number in 0u8..16,
        wide in any::<bool>(),
        expire_ms in 0u64..1 << 41,
        version in any::<u64>(),
        size in any::<u32>(),
    ) {
        let kind = Kind::from_flags(number);
        let single = kind.is_single_kv();
        let metadata = Metadata {
            kind,
            wide,
            expire_ms: if wide { expire_ms } else { expire_ms / 1000 * 1000 },
            version: if single { 0 } else { version },
            size: if single { 0 } else { size.into() },
            payload: match (wide, single) {
                (true, true) => 9,
                (false, true) => 5,
                (true, false) => 25,
                (false, false) => 17,
            },
        };
        let mut out = Vec::new();
        metadata.append(&mut out);
        prop_assert_eq!(out.len(), metadata.payload);
        prop_assert_eq!(decode_metadata(&out).unwrap(), metadata);
    }

    /// Strings come back.
    #[test]
    fn strings(value in bytes(200)) {
        let mut out = Vec::new();
        append_string(&mut out, 0, &value);
        prop_assert_eq!(find_string(&out, || 0).unwrap(), Found::String(&value));
    }

    /// Registries come back, whatever their tokens are.
    #[test]
    fn registries(pairs in vec((".{0,20}", "[a-zäöü]{1,20}"), 0..20)) {
        let mut registry = Registry::default();
        for (token, name) in pairs {
            registry.insert(token, name);
        }
        prop_assert_eq!(decode_registry(&encode_registry(&registry)).unwrap(), registry);
    }

    /// Batches and entries come back, record by record.
    #[test]
    fn batches(id in id(), sequence in 1u64..1 << 55, steps in vec(step(), 0..30)) {
        let mut builder = BatchBuilder::new();
        let mut expected = Vec::new();
        for step in &steps {
            let record = match step {
                Step::Put(family, key, value) => Record::Put { family: *family, key, value },
                Step::Delete(family, key) => Record::Delete { family: *family, key },
                Step::DeleteRange(family, begin, end) => Record::DeleteRange { family: *family, begin, end },
                Step::LogData(note) => Record::LogData(note),
            };
            builder.record(&record);
            expected.push(record);
        }
        let bytes = builder.finish(sequence);
        let batch = Batch::parse(&bytes).unwrap();
        prop_assert_eq!(batch.records().collect::<Vec<_>>(), expected);
        prop_assert_eq!(batch.last_sequence(), sequence + u64::from(batch.count()) - 1);
        check_batch(&bytes);
        if batch.count() > 0 {
            let entry = Entry::new(id, false, Arc::from(bytes)).unwrap();
            prop_assert_eq!(Entry::decode(&entry.encode()).unwrap(), entry);
        }
    }

    /// Histories and sync manifests come back, and every position belongs to one id.
    #[test]
    fn histories(history in history(), sequence in any::<u64>(), sizes in vec((0u64..1 << 50, any::<u32>()), 0..30)) {
        prop_assert_eq!(&decode_history(&encode_history(&history)).unwrap(), &history);
        let id = history.id_at(sequence).to_string();
        prop_assert_eq!(history.contains(&id, sequence), !id.is_empty());
        let mut files = vec![ManifestFile { name: "CURRENT".to_string(), size: 16, crc32c: 0 }];
        for (i, (size, crc32c)) in sizes.into_iter().enumerate() {
            files.push(ManifestFile { name: format!("{i:06}.blob"), size, crc32c });
        }
        let manifest = SyncManifest { sequence, history, files };
        prop_assert_eq!(decode_manifest(&encode_manifest(&manifest)).unwrap(), manifest);
    }
}
