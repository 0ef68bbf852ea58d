//! What a Kvrocks wrote is read here, and what it writes for a command is written here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use pumice::{Engine, Options};
use serde_json::Value as Json;

use crate::support::client::{Reply, Served, text};
use crate::support::recorded::{fixtures, key_of, stored_key, words};
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
            let (key, version) = key_of(subkey, cluster);
            if !keys.contains(&key) {
                continue;
            }
            let mut subkey = subkey.clone();
            subkey[version..version + 8].fill(b'v');
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
            let words = words(command.as_bytes());
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
            keys.insert(stored_key(namespace, cluster, &words[1]));
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
