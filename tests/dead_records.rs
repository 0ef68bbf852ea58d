//! What compaction leaves out of the data: dead records, all of them, and never one that somebody sees.
#![cfg(feature = "failpoints")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pumice::{Engine, Range};
use support::{
    FAMILIES, assert_sound, copy_tree, fixture, names, open, open_replica, quick_dir, records, shown, skipped,
    wait_until,
};

const STRING: u8 = 1;
const HASH: u8 = 2;
const ZSET: u8 = 5;
const BITMAP: u8 = 6;
const STREAM: u8 = 8;
const TDIGEST: u8 = 12;

/// Unix milliseconds so many minutes ago; 0 for never.
fn ago(minutes: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    (now - Duration::from_secs(60 * minutes)).as_millis() as u64
}

fn key(name: &str) -> Vec<u8> {
    [b"\x0b__namespace", name.as_bytes()].concat()
}

fn subkey(name: &str, version: u64, sub: &[u8]) -> Vec<u8> {
    [b"\x0b__namespace", &(name.len() as u32).to_be_bytes()[..], name.as_bytes(), &version.to_be_bytes(), sub].concat()
}

fn metadata(kind: u8, expire_ms: u64, version: u64, size: u64) -> Vec<u8> {
    let mut record = [&[0x80 | kind][..], &expire_ms.to_be_bytes()].concat();
    if kind == STRING {
        record.extend_from_slice(b"value");
    } else {
        record.extend_from_slice(&version.to_be_bytes());
        record.extend_from_slice(&size.to_be_bytes());
    }
    record
}

/// Until which minute past their expiry or death records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Goes {
    Never,
    /// As soon as nobody sees them.
    AtOnce,
    /// More than five minutes past the expiry: on a primary, and not on a replica that has heard nothing of its primary,
    /// which may have given the key a longer life since.
    OnPrimary,
}
use Goes::{AtOnce, Never, OnPrimary};

/// Records of every family and every fate: family, key, value, and whether they go.
fn ground() -> Vec<(&'static str, Vec<u8>, Vec<u8>, Goes)> {
    let mut ground = Vec::new();
    for (name, minutes, goes) in
        [("fresh", 2, Never), ("older", 20, OnPrimary), ("long-gone", 100, OnPrimary), ("alive", 0, Never)]
    {
        let expire_ms = if minutes == 0 { 0 } else { ago(minutes) };
        ground.push(("metadata", key(&format!("string-{name}")), metadata(STRING, expire_ms, 0, 0), goes));
        for (kind, family) in [(HASH, "default"), (ZSET, "zset_score"), (STREAM, "stream")] {
            let name = format!("{kind}-{name}");
            ground.push(("metadata", key(&name), metadata(kind, expire_ms, 7, 1), goes));
            ground.push((family, subkey(&name, 7, b"member"), b"x".to_vec(), goes));
            ground.push((family, subkey(&name, 6, b"member"), b"of another version".to_vec(), AtOnce));
            // What is not a subkey stays.
            ground.push((family, format!("\u{1}odd-{name}").into_bytes(), Vec::new(), Never));
        }
    }
    // Empty, where that is death and where it is not.
    ground.push(("metadata", key("empty"), metadata(HASH, 0, 7, 0), AtOnce));
    ground.push(("default", subkey("empty", 7, b"f"), b"x".to_vec(), AtOnce));
    ground.push(("metadata", key("empty-stream"), metadata(STREAM, 0, 7, 0), Never));
    ground.push(("stream", subkey("empty-stream", 7, b"group"), b"x".to_vec(), Never));
    // A string by now, and nothing any more.
    ground.push(("default", subkey("string-alive", 7, b"f"), b"x".to_vec(), AtOnce));
    ground.push(("default", subkey("nothing", 7, b"f"), b"x".to_vec(), AtOnce));
    ground.push(("metadata", key("bits"), metadata(BITMAP, 0, 7, 4096), Never));
    ground.push(("default", subkey("bits", 7, b"0"), vec![0; 1024], AtOnce));
    ground.push(("default", subkey("bits", 7, b"1024"), vec![1; 1024], Never));
    // Of a later Kvrocks, and unreadable.
    ground.push(("metadata", key("later"), metadata(TDIGEST, ago(100), 7, 0), Never));
    ground.push(("default", subkey("later", 9, b"f"), b"x".to_vec(), Never));
    ground.push(("metadata", key("unreadable"), vec![0x82, 0, 0], Never));
    ground.push(("default", subkey("unreadable", 7, b"f"), b"x".to_vec(), Never));
    ground.push(("pubsub", b"channel".to_vec(), b"message".to_vec(), AtOnce));
    ground.push(("propagate", b"script".to_vec(), b"x".to_vec(), Never));
    ground.push(("search", b"\x0b__namespace\0index".to_vec(), b"x".to_vec(), Never));
    ground
}

/// Writes records into a closed directory behind the engine's back.
fn write(directory: &Path, records: impl IntoIterator<Item = (&'static str, Vec<u8>, Vec<u8>)>) {
    let folder = std::fs::canonicalize(directory.join("db")).unwrap();
    let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), folder, FAMILIES).unwrap();
    for (family, key, value) in records {
        db.put_cf(db.cf_handle(family).unwrap(), key, value).unwrap();
    }
}

/// On a primary and on a replica exactly the records go that are dead for whoever may look, none of them while a
/// snapshot is open; the position stays where it is.
#[test]
fn records_of_every_fate() {
    let dir = quick_dir();
    for role in ["primary", "replica"] {
        let path = dir.path().join(role);
        let open = || if role == "primary" { open(&path) } else { open_replica(&path) };
        open().close().unwrap();
        let ground = ground();
        write(&path, ground.iter().map(|(family, key, value, _)| (*family, key.clone(), value.clone())));
        let there = |family: &str, key: &[u8], found: &BTreeMap<&str, support::Records>| {
            found[family].iter().any(|(known, _)| known == key)
        };

        let engine = open();
        let snapshot = engine.snapshot().unwrap();
        let position = engine.position().unwrap();
        engine.compact().unwrap();
        drop(snapshot);
        assert_eq!(engine.position().unwrap(), position);
        engine.close().unwrap();
        let found = records(&path);
        for (family, key, ..) in &ground {
            assert!(there(family, key, &found), "{role}: {family} {:?} went", String::from_utf8_lossy(key));
        }

        let engine = open();
        let position = engine.position().unwrap();
        engine.compact().unwrap();
        assert_eq!(engine.position().unwrap(), position);
        engine.close().unwrap();
        let found = records(&path);
        let mut gone = 0;
        for (family, key, _, goes) in &ground {
            let expected = match goes {
                Never => true,
                AtOnce => false,
                OnPrimary => role == "replica",
            };
            gone += usize::from(!expected);
            let text = String::from_utf8_lossy(key);
            assert_eq!(there(family, key, &found), expected, "{role}: {family} {text:?} {goes:?}");
        }
        println!("{role}: {gone} of {} records went", ground.len());
    }
}

/// A namespace most of whose keys have expired shrinks when it is compacted, a promoted replica's too.
#[test]
fn expired_keys_shrink() {
    let dir = quick_dir();
    let path = dir.path().join("data");
    open_replica(&path).close().unwrap();
    let expired = (0..300_000).map(|number| {
        let expire_ms = if number % 20 == 0 { 0 } else { ago(10) };
        ("metadata", key(&format!("key-{number:07}")), [metadata(STRING, expire_ms, 0, 0), vec![b'x'; 50]].concat())
    });
    write(&path, expired);
    let engine = open_replica(&path);
    let bytes = || engine.info().unwrap().table_bytes;
    let before = bytes();
    engine.compact().unwrap();
    let on_replica = bytes();
    engine.promote().unwrap();
    engine.compact().unwrap();
    println!("{before} bytes; compacted on a replica {on_replica}, on a primary {}", bytes());
    assert!(on_replica > before * 9 / 10);
    assert!(bytes() < before / 5);
    assert_eq!(engine.default_namespace().count().unwrap(), 15_000);
    assert_sound(&engine);
}

/// What real Kvrocks servers wrote, in both layouts, has every key, field, member and element after a compaction.
#[test]
fn data_of_a_real_kvrocks() {
    let dir = quick_dir();
    let mut seen = 0;
    for name in names(&fixture("")).into_iter().filter(|name| fixture(name).join("db").is_dir()) {
        let path = dir.path().join(&name);
        copy_tree(&fixture(&name).join("db"), &path.join("db"));
        let engine = open(&path);
        let before = engine.usage().unwrap();
        let strings = shown(&engine);
        engine.compact().unwrap();
        let after = engine.usage().unwrap();
        assert!(shown(&engine) == strings);
        for (before, after) in before.namespaces.iter().zip(&after.namespaces) {
            assert_eq!(before.kinds, after.kinds, "{name}");
            seen += before.kinds.len();
            println!(
                "{name}: {} keys; {} bytes of the dead before, {} after",
                after.keys(),
                before.expired_bytes + before.remains_bytes,
                after.expired_bytes + after.remains_bytes
            );
            assert!(after.remains_bytes == 0 || after.expired_bytes > 0);
        }
        assert_eq!(before.namespaces.len(), after.namespaces.len());
        assert_sound(&engine);
    }
    assert!(seen > 20, "{seen}");
}

/// Values that a Kvrocks put into blob files give their space back with their namespace.
#[test]
fn blobs() {
    let dir = quick_dir();
    let path = dir.path().join("data");
    let engine = open(&path);
    engine.create_namespace("blobs", None).unwrap();
    engine.default_namespace().put(b"beside", b"it").unwrap();
    engine.close().unwrap();
    let folder = std::fs::canonicalize(path.join("db")).unwrap();
    let mut options = rocksdb::Options::default();
    options.set_enable_blob_files(true);
    options.set_min_blob_size(1024);
    let families = FAMILIES.map(|family| (family, options.clone()));
    let db = rocksdb::DB::open_cf_with_opts(&rocksdb::Options::default(), folder, families).unwrap();
    for number in 0..20_000 {
        let key = format!("\u{5}blobs{number:06}");
        let value = [&metadata(STRING, 0, 0, 0)[..], &[b'x'; 4096]].concat();
        db.put_cf(db.cf_handle("metadata").unwrap(), key, value).unwrap();
    }
    db.flush_cf(db.cf_handle("metadata").unwrap()).unwrap();
    drop(db);
    let engine = open(&path);
    let bytes = || (engine.info().unwrap().table_bytes, engine.info().unwrap().blob_bytes);
    let before = bytes();
    assert!(before.1 > 50 << 20, "{before:?}");
    engine.drop_namespace("blobs").unwrap();
    wait_until("the space is back", || bytes().1 == 0);
    println!("{before:?} bytes in tables and blobs, {:?} when it was dropped", bytes());
    assert_eq!(engine.default_namespace().get(b"beside").unwrap().unwrap(), b"it");
    assert_sound(&engine);
}

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A real Kvrocks, where one is named, serves what is left of a directory.
#[test]
fn a_real_kvrocks_goes_on() {
    let Some(program) = std::env::var_os("PUMICE_KVROCKS") else { return skipped("PUMICE_KVROCKS is not set") };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let engine = open(&path);
    for name in ["gone", "kept"] {
        let namespace = engine.create_namespace(name, Some(&format!("token-{name}"))).unwrap();
        for first in (0..50_000).step_by(1000) {
            let mut batch = engine.batch();
            for number in first..first + 1000 {
                batch.put(&namespace, format!("{number:06}").as_bytes(), &[b'x'; 100]).unwrap();
            }
            batch.commit(None).unwrap();
        }
    }
    engine.compact().unwrap();
    engine.drop_namespace("gone").unwrap();
    engine.default_namespace().put(b"answer", b"42").unwrap();
    engine.wait_reclaimed();
    let items = engine.namespace("kept").unwrap().items(&Range::default()).unwrap();
    assert_eq!(items.count(), 50_000);
    engine.close().unwrap();
    pumice::release(&path).unwrap();

    let reserved = support::wire::Port::reserve();
    let port = reserved.number.to_string();
    let configuration = dir.path().join("kvrocks.conf");
    let lines = format!(
        "bind 127.0.0.1\nport {port}\ndir {}\ndaemonize no\nrequirepass admin\nrepl-namespace-enabled yes\n",
        path.display()
    );
    std::fs::write(&configuration, lines).unwrap();
    let child = Command::new(program).arg("-c").arg(&configuration).stdout(Stdio::null()).spawn().unwrap();
    let _server = Server(child);
    let ask = |token: &str, words: &[&str]| {
        let asked =
            Command::new("redis-cli").args(["-p", &port, "-a", token, "--no-auth-warning"]).args(words).output();
        String::from_utf8(asked.unwrap().stdout).unwrap().trim().to_owned()
    };
    wait_until("the server listens", || ask("admin", &["PING"]) == "PONG");
    assert_eq!(ask("admin", &["GET", "answer"]), "42");
    assert_eq!(ask("token-kept", &["GET", "000000"]), "x".repeat(100));
    assert_eq!(ask("token-kept", &["GET", "049999"]), "x".repeat(100));
    assert!(!ask("token-gone", &["GET", "000000"]).contains('x'));
    assert_eq!(ask("admin", &["NAMESPACE", "GET", "kept"]), "token-kept");
    assert_eq!(ask("admin", &["DBSIZE", "SCAN"]), "OK");
}

/// An engine whose replica compacts at other times than it does stays in step with it.
#[test]
fn a_replica_in_step() {
    let dir = quick_dir();
    let primary = open(dir.path().join("primary"));
    let replica = open_replica(dir.path().join("replica"));
    let namespace = primary.default_namespace();
    let copy = |primary: &Engine, replica: &Engine| {
        let mut log = primary.log(Some(&replica.position().unwrap())).unwrap();
        let mut entries = 0;
        while let Some(entry) = log.next_entry(None).unwrap() {
            replica.apply(&entry).unwrap();
            entries += 1;
        }
        assert_eq!(primary.position().unwrap(), replica.position().unwrap());
        entries
    };
    let mut entries = 0;
    for round in 0..20 {
        for number in 0..50 {
            namespace.put(format!("{}", number * round).as_bytes(), b"x").unwrap();
        }
        namespace.delete(b"0").unwrap();
        if round % 3 == 0 {
            primary.compact().unwrap();
        }
        if round % 5 == 4 {
            namespace.clear().unwrap();
            replica.compact().unwrap();
        }
        entries += copy(&primary, &replica);
        assert!(shown(&primary) == shown(&replica));
    }
    assert!(entries > 1000, "{entries}");
    // The log still has what the files have not.
    let mut log = primary.log(None).unwrap();
    let mut found = 0;
    while log.next_entry(None).unwrap().is_some() {
        found += 1;
    }
    assert!(found >= entries, "{found} of {entries}");
}
