//! What a Kvrocks wrote is read here, and what it writes for a command is written here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use pumice::{Engine, Options};
use serde_json::Value as Json;

use crate::support::client::{Reply, Served, text};
use crate::support::recorded::{fixtures, key_of, stored_key, words};
use crate::support::{copy_tree, fixture, open, records};

/// What the names of the commands begin with that are looked at.
const COMMANDS: [&str; 9] = ["GETBIT", "BIT", "X", "JSON.", "PF", "BF.", "GEO", "SI", "DUMP"];

fn is_here(name: &str) -> bool {
    COMMANDS.iter().any(|start| name.starts_with(start)) && name != "SISMEMBER"
}

/// Everything that a Kvrocks answered about these types is answered here in the same words: in both layouts, from the log
/// and from tables of every compression.
#[test]
fn reads_of_a_kvrocks() {
    let mut seen = BTreeMap::new();
    for folder in fixtures() {
        let dir = tempfile::tempdir().unwrap();
        copy_tree(&folder.join("db"), &dir.path().join("db"));
        let served = Served::new(open(dir.path()), Some("rootpw"));
        let expected: Json = serde_json::from_slice(&fs::read(folder.join("expected.json")).unwrap()).unwrap();
        let mut rows = 0;
        for read in expected["reads"].as_array().unwrap() {
            let words: Vec<Vec<u8>> = read["cmd"].as_array().unwrap().iter().map(text).collect();
            let name = String::from_utf8_lossy(&words[0]).into_owned();
            if !is_here(&name) {
                continue;
            }
            let mut client = served.client();
            let token = expected["namespaces"][read["ns"].as_str().unwrap()].as_str().unwrap_or("rootpw");
            assert_eq!(client.ask(&["AUTH", token]), Reply::Simple("OK".into()));
            assert_eq!(client.ask(&words), Reply::of(&read["reply"]), "{} {}: {read}", folder.display(), read["ns"]);
            *seen.entry(name).or_insert(0) += 1;
            rows += 1;
        }
        assert!(rows > 25, "{}: {rows}", folder.display());
    }
    println!("{seen:?}");
    for start in COMMANDS {
        assert!(seen.keys().any(|name| name.starts_with(start)), "{start}: {seen:?}");
    }
}

/// The records of keys, without what is not the same twice or is kept otherwise here: versions, and the times and counts of
/// groups.
fn shapes(path: &Path, cluster: bool, keys: &BTreeSet<Vec<u8>>) -> BTreeSet<(String, Vec<u8>, Vec<u8>)> {
    let mut shapes = BTreeSet::new();
    let all = records(path);
    for (key, value) in all["metadata"].iter().filter(|(key, _)| keys.contains(key)) {
        let mut value = value.clone();
        if ![1, 10].contains(&(value[0] & 0x0F)) {
            value[9..17].fill(b'v');
        }
        shapes.insert(("metadata".to_owned(), key.clone(), value));
    }
    for family in ["default", "zset_score", "stream"] {
        for (subkey, value) in &all[family] {
            let (key, version) = key_of(subkey, cluster);
            if !keys.contains(&key) {
                continue;
            }
            let (mut subkey, mut value) = (subkey.clone(), value.clone());
            subkey[version..version + 8].fill(b'v');
            if let Some(kind) = subkey[version + 8..].strip_prefix(&[0xFF; 8]).filter(|_| family == "stream") {
                match kind[0] {
                    // That Kvrocks counts from -1 what a group has read.
                    1 => value[32..40].fill(b'n'),
                    2 => value[8..].fill(b't'),
                    // That Kvrocks gives the first delivery neither a time nor a number.
                    _ => value[..16].fill(b't'),
                }
            }
            shapes.insert((family.to_owned(), subkey, value));
        }
    }
    shapes
}

/// For the same commands the same records are written as by a Kvrocks, byte for byte, and the same is answered; in both
/// layouts.
#[test]
fn records_of_a_kvrocks() {
    for (name, cluster) in [("plain-wal", false), ("cluster-wal", true)] {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (dir.path().join("ours"), dir.path().join("theirs"));
        let engine = Engine::open(&ours, &Options { cluster: Some(cluster), ..Default::default() }).unwrap();
        if !cluster {
            engine.create_namespace("alpha", Some("tok-alpha")).unwrap();
        }
        let served = Served::new(engine, Some("rootpw"));
        let mut keys = BTreeSet::new();
        let mut ran = BTreeSet::new();
        let commands = fs::read_to_string(fixture("commands").join(format!("{name}-special.txt"))).unwrap();
        for line in commands.lines().filter(|line| !line.starts_with('#')) {
            let parts: Vec<&str> = line.split('\t').collect();
            let [namespace, command, said] = parts[..] else { panic!("{line}") };
            let words = words(command.as_bytes());
            let name = String::from_utf8_lossy(&words[0]).into_owned();
            // That one is stored as CBOR, which the server was told meanwhile.
            if words.iter().any(|word| word == b"json:cbor") {
                continue;
            }
            let mut client = served.client();
            let token = if namespace == "default" { "rootpw".to_owned() } else { format!("tok-{namespace}") };
            assert_eq!(client.ask(&["AUTH", &token]), Reply::Simple("OK".into()));
            let said: Json = serde_json::from_str(said.trim_start_matches("=> ")).unwrap();
            assert_eq!(client.ask(&words), Reply::of(&said), "{line}");
            let key = if name == "XGROUP" { &words[2] } else { &words[1] };
            if name != "XREADGROUP" {
                keys.insert(stored_key(namespace, cluster, key));
            }
            ran.insert(name);
        }
        println!("{name}: {} keys, {ran:?}", keys.len());
        assert!(keys.len() > 10 && ran.len() > 12, "{name}: {} {ran:?}", keys.len());
        served.engine.close().unwrap();
        copy_tree(&fixture(name).join("db"), &theirs.join("db"));
        let (ours, theirs) = (shapes(&ours, cluster, &keys), shapes(&theirs, cluster, &keys));
        assert!(ours.len() > 50, "{name}: {}", ours.len());
        if let Some(shape) = ours.symmetric_difference(&theirs).next() {
            let whose = if ours.contains(shape) { "ours" } else { "theirs" };
            panic!("{name}: only in {whose}: {} {} {}", shape.0, shape.1.escape_ascii(), shape.2.escape_ascii());
        }
    }
}
