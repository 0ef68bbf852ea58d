//! What a Kvrocks wrote is read here, and what it writes for a command is written here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use pumice::{Engine, Options};
use serde_json::Value as Json;

use crate::support::client::{Reply, Served, text};
use crate::support::{Records, copy_tree, fixture, open, records};

/// What the commands that are here begin with.
const KINDS: [&str; 5] = ["string", "hash", "list", "set", "zset"];

/// The commands of other types, and those that a Kvrocks answers otherwise: it has no encodings.
const OTHERS: [&str; 29] = [
    "GETBIT",
    "BITCOUNT",
    "BITPOS",
    "XINFO",
    "XRANGE",
    "XLEN",
    "XREVRANGE",
    "XPENDING",
    "JSON.GET",
    "JSON.INFO",
    "JSON.TYPE",
    "PFCOUNT",
    "BF.INFO",
    "BF.CARD",
    "BF.MEXISTS",
    "BF.EXISTS",
    "GEOPOS",
    "GEODIST",
    "GEOHASH",
    "GEORADIUS",
    "SIRANGE",
    "SIREVRANGE",
    "SICARD",
    "SIEXISTS",
    "SIRANGEBYVALUE",
    "DUMP",
    "OBJECT",
    "SCAN",
    "EVALSHA",
];

/// The folders of fixtures: those of the tests, and all below `PUMICE_FIXTURES`.
fn fixtures() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = ["plain-wal", "plain-zstd", "plain-lz4", "plain-snappy", "cluster-zstd"]
        .iter()
        .map(|name| fixture(name))
        .collect();
    if let Some(more) = std::env::var_os("PUMICE_FIXTURES") {
        let folders = fs::read_dir(more).unwrap().map(|entry| entry.unwrap().path());
        found.extend(folders.filter(|folder| folder.join("expected.json").exists()));
    }
    found
}

/// Everything that a Kvrocks answered about strings, hashes, lists, sets and sorted sets that it wrote, in both layouts, from
/// the log and from tables of every compression, is answered here in the same words.
#[test]
fn reads_of_a_kvrocks() {
    let mut all = 0;
    let mut kinds = BTreeSet::new();
    for folder in fixtures() {
        let dir = tempfile::tempdir().unwrap();
        copy_tree(&folder.join("db"), &dir.path().join("db"));
        let served = Served::new(open(dir.path()), Some("rootpw"));
        let expected: Json = serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
        let mut clients = BTreeMap::new();
        let mut rows = 0;
        for read in expected["reads"].as_array().unwrap() {
            let words: Vec<Vec<u8>> = read["cmd"].as_array().unwrap().iter().map(text).collect();
            let name = String::from_utf8_lossy(&words[0]).into_owned();
            if OTHERS.contains(&name.as_str()) || name.starts_with('F') {
                continue;
            }
            let client = clients.entry(read["ns"].to_string()).or_insert_with(|| {
                let mut client = served.client();
                let token = expected["namespaces"][read["ns"].as_str().unwrap()].as_str().unwrap_or("rootpw");
                assert_eq!(client.ask(&["AUTH", token]), Reply::Simple("OK".into()));
                client
            });
            assert_eq!(client.ask(&words), Reply::of(&read["reply"]), "{} {}: {read}", folder.display(), read["ns"]);
            if name == "TYPE" {
                kinds.insert(read["reply"]["s"].as_str().unwrap_or_default().to_owned());
            }
            rows += 1;
        }
        assert!(rows > 60, "{}: {rows}", folder.display());
        all += rows;
    }
    assert!(KINDS.iter().all(|kind| kinds.contains(*kind)), "{kinds:?}");
    println!("{all} reads");
    assert!(all > 1000, "{all}");
}

/// The words of a line as `redis-cli` reads it.
fn words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut bytes = line.bytes().peekable();
    while let Some(first) = bytes.next() {
        if first == b' ' {
            continue;
        }
        let mut word = Vec::new();
        if first != b'"' {
            word.push(first);
            while let Some(byte) = bytes.next_if(|byte| *byte != b' ') {
                word.push(byte);
            }
            words.push(word);
            continue;
        }
        loop {
            match bytes.next().unwrap() {
                b'"' => break,
                b'\\' => match bytes.next().unwrap() {
                    b'x' => {
                        let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                        word.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                    }
                    other => word.push(other),
                },
                byte => word.push(byte),
            }
        }
        words.push(word);
    }
    words
}

/// The commands whose records are compared.
fn is_here(name: &str) -> bool {
    let others = ["SETBIT", "SIADD", "SIREM", "SCRIPT", "SHUTDOWN"];
    let starts = ["X", "JSON.", "PF", "BF.", "GEO", "F", "C", "B", "N"];
    !others.contains(&name) && !starts.iter().any(|start| name.starts_with(start))
}

/// One record without what is not the same twice: versions and times that count from now.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    family: &'static str,
    key: Vec<u8>,
    value: Vec<u8>,
}

/// The records of these namespaced keys.
fn shapes(path: &Path, cluster: bool, keys: &BTreeSet<Vec<u8>>) -> Vec<Shape> {
    const FAR_MS: u64 = 4_102_444_800_123;
    let all: BTreeMap<&'static str, Records> = records(path);
    let mut shapes = Vec::new();
    for (key, value) in &all["metadata"] {
        if !keys.contains(key) {
            continue;
        }
        let mut value = value.clone();
        assert_eq!(value[0] & 0x80, 0x80, "the fixtures are in the 64-bit form");
        let expire = u64::from_be_bytes(value[1..9].try_into().unwrap());
        if expire != 0 && expire != FAR_MS {
            value[1..9].fill(b't');
        }
        // That Kvrocks stored sums of INCRBYFLOAT with six digits behind the point, and lost the others.
        if value.ends_with(b"10.600000") {
            value.truncate(value.len() - "00000".len());
        }
        if ![1, 10].contains(&(value[0] & 0x0F)) {
            value[9..17].fill(b'v');
        }
        shapes.push(Shape { family: "metadata", key: key.clone(), value });
    }
    for family in ["default", "zset_score"] {
        for (subkey, value) in &all[family] {
            let head = 1 + usize::from(subkey[0]) + if cluster { 2 } else { 0 };
            let length = u32::from_be_bytes(subkey[head..head + 4].try_into().unwrap()) as usize;
            let key = [&subkey[..head], &subkey[head + 4..head + 4 + length]].concat();
            if !keys.contains(&key) {
                continue;
            }
            let mut subkey = subkey.clone();
            subkey[head + 4 + length..head + 12 + length].fill(b'v');
            // And of HINCRBYFLOAT.
            let value = if value == b"1.250000" { b"1.25".to_vec() } else { value.clone() };
            shapes.push(Shape { family, key: subkey, value });
        }
    }
    shapes.sort();
    shapes
}

/// For the same commands the same records are written as by a Kvrocks, byte for byte but for versions and times that count
/// from now: metadata, subkeys, scores, and what is left of keys that were deleted; in both layouts.
#[test]
fn records_of_a_kvrocks() {
    for (name, cluster) in [("plain-wal", false), ("cluster-wal", true)] {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
        let engine = Engine::open(&ours, &Options { cluster: Some(cluster), ..Default::default() }).unwrap();
        for name in ["alpha", "beta", "gamma"].iter().filter(|_| !cluster) {
            engine.create_namespace(name, Some(&format!("tok-{name}"))).unwrap();
        }
        let served = Served::new(engine, Some("rootpw"));
        let mut clients = BTreeMap::new();
        let mut keys = BTreeSet::new();
        let mut ran = BTreeSet::new();
        let commands = fs::read_to_string(fixture("commands").join(format!("{name}.txt"))).unwrap();
        for line in commands.lines().filter(|line| !line.starts_with('#')) {
            let mut parts = line.split('\t');
            let (namespace, command) = (parts.next().unwrap(), parts.next().unwrap_or_default());
            let words = words(command);
            let Some(command) = words.first().map(|word| String::from_utf8_lossy(word).into_owned()) else { continue };
            // The keys of other types have their name in front, and expire by commands that are here.
            let other = |key: &[u8]| {
                ["bm:", "si:", "stream:", "json:", "hll:", "geo:", "bf:"]
                    .iter()
                    .any(|kind| key.starts_with(kind.as_bytes()))
            };
            if !is_here(&command) || words.len() < 2 || words[1..].iter().any(|key| other(key)) {
                continue;
            }
            let client = clients.entry(namespace.to_owned()).or_insert_with(|| {
                let mut client = served.client();
                let token = if namespace == "default" { "rootpw".to_owned() } else { format!("tok-{namespace}") };
                assert_eq!(client.ask(&["AUTH", &token]), Reply::Simple("OK".into()));
                client
            });
            let reply = client.ask(&words);
            let said: Json = serde_json::from_str(parts.next().unwrap().trim_start_matches("=> ")).unwrap();
            assert_eq!(reply, Reply::of(&said), "{line}");
            let stored = if namespace == "default" { "__namespace" } else { namespace };
            let slot = if cluster { slot(&words[1]).to_be_bytes().to_vec() } else { Vec::new() };
            keys.insert([&[stored.len() as u8], stored.as_bytes(), &slot, &words[1]].concat());
            ran.insert(command);
        }
        println!("{name}: {} keys, {ran:?}", keys.len());
        assert!(keys.len() > 25 && ran.len() > 20, "{name}: {} {ran:?}", keys.len());
        served.engine.close().unwrap();
        drop(clients);
        let folder = if cluster { fixture("cluster-zstd").with_file_name("cluster-wal") } else { fixture(name) };
        copy_tree(&folder.join("db"), &theirs.join("db"));
        let (ours, theirs) = (shapes(&ours, cluster, &keys), shapes(&theirs, cluster, &keys));
        assert!(ours.len() > 200, "{name}: {}", ours.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert_eq!(ours, theirs, "{name}");
        }
        assert_eq!(ours.len(), theirs.len(), "{name}");
    }
}

/// CRC-16/XMODEM of the hash tag, or of the key.
fn slot(key: &[u8]) -> u16 {
    let text = key.iter().position(|byte| *byte == b'{').and_then(|open| {
        let close = key[open..].iter().position(|byte| *byte == b'}')? + open;
        (close > open + 1).then(|| &key[open + 1..close])
    });
    text.unwrap_or(key).iter().fold(0u16, |mut crc, byte| {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 != 0 { (crc << 1) ^ 0x1021 } else { crc << 1 };
        }
        crc
    }) & 0x3FFF
}
