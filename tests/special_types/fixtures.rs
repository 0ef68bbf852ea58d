//! What a Kvrocks wrote is read here, and what it writes for a command is written here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use pumice::{Engine, Options};
use serde_json::Value as Json;

use crate::support::client::{Reply, Served, text};
use crate::support::{copy_tree, fixture, open, records};

/// What the names of the commands begin with that are looked at.
const COMMANDS: [&str; 9] = ["GETBIT", "BIT", "X", "JSON.", "PF", "BF.", "GEO", "SI", "DUMP"];

fn is_here(name: &str) -> bool {
    COMMANDS.iter().any(|start| name.starts_with(start)) && name != "SISMEMBER"
}

/// The folders of fixtures: those of the tests, and all below `PUMICE_FIXTURES`.
fn fixtures() -> Vec<PathBuf> {
    let names = ["plain-wal", "plain-zstd", "plain-lz4", "plain-snappy", "cluster-zstd"];
    let mut found: Vec<PathBuf> = names.iter().map(|name| fixture(name)).collect();
    if let Some(more) = std::env::var_os("PUMICE_FIXTURES") {
        let folders = fs::read_dir(more).unwrap().map(|entry| entry.unwrap().path());
        found.extend(folders.filter(|folder| folder.join("expected.json").exists()));
    }
    found
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

/// The words of a line as `redis-cli` reads it.
fn words(line: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut bytes = line.iter().copied().peekable();
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

/// The records of keys, without what is not the same twice or is kept otherwise here: versions, the times and counts of
/// groups, and how long the last fragment of a bitmap is.
fn shapes(path: &Path, cluster: bool, keys: &BTreeSet<Vec<u8>>) -> BTreeSet<(String, Vec<u8>, Vec<u8>)> {
    let mut shapes = BTreeSet::new();
    let mut kinds = BTreeMap::new();
    let all = records(path);
    for (key, value) in all["metadata"].iter().filter(|(key, _)| keys.contains(key)) {
        let mut value = value.clone();
        kinds.insert(key.clone(), value[0] & 0x0F);
        if ![1, 10].contains(&(value[0] & 0x0F)) {
            value[9..17].fill(b'v');
        }
        shapes.insert(("metadata".to_owned(), key.clone(), value));
    }
    for family in ["default", "zset_score", "stream"] {
        for (subkey, value) in &all[family] {
            let head = 1 + usize::from(subkey[0]) + if cluster { 2 } else { 0 };
            let length = u32::from_be_bytes(subkey[head..head + 4].try_into().unwrap()) as usize;
            let key = [&subkey[..head], &subkey[head + 4..head + 4 + length]].concat();
            if !keys.contains(&key) {
                continue;
            }
            let (mut subkey, mut value) = (subkey.clone(), value.clone());
            let version = head + 4 + length;
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
                let stored = if namespace == "default" { "__namespace" } else { namespace };
                let slot = if cluster { slot(key).to_be_bytes().to_vec() } else { Vec::new() };
                keys.insert([&[stored.len() as u8], stored.as_bytes(), &slot, key].concat());
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

/// CRC-16/XMODEM of the hash tag, or of the key.
fn slot(key: &[u8]) -> u16 {
    let tag = key.iter().position(|&byte| byte == b'{').and_then(|open| {
        let rest = &key[open + 1..];
        rest.iter().position(|&byte| byte == b'}').filter(|&close| close > 0).map(|close| &rest[..close])
    });
    let crc = tag.unwrap_or(key).iter().fold(0u16, |crc, &byte| {
        (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    });
    crc & 0x3FFF
}
