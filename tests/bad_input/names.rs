//! Names, keys and values at and over their limits.

use std::path::Path;

use pumice::{Engine, ErrorKind, Options, Range, Ttl, WriteOptions};

use super::checkpoints::peak_memory;
use crate::support::{Mount, assert_error, assert_sound, open, process, run, said, shown, skipped};

/// The longest value: 512 MiB.
const LONGEST: usize = 512 << 20;

/// Names of namespaces that may not be are refused for what they are; those at the limit work like any other.
#[test]
fn namespaces() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let long = vec![b'n'; 256];
    for (name, words) in [
        (&b""[..], &["namespace", "empty"][..]),
        (&long, &["namespace", "255"]),
        (b"x\xff", &["namespace", "0xFF"]),
        (b"\xff", &["namespace", "0xFF"]),
        (b"\xffx", &["namespace", "UTF-8"]),
        (b"__namespace", &["namespace", "default"]),
    ] {
        assert_error(engine.create_namespace(name, None), ErrorKind::InvalidArgument, words);
        if name != b"__namespace" && name != b"\xffx" {
            assert_error(engine.namespace(name), ErrorKind::InvalidArgument, &["namespace"]);
            assert_error(engine.drop_namespace(name), ErrorKind::InvalidArgument, &["namespace"]);
        }
    }
    for token in ["", &"t".repeat(4097)] {
        assert_error(engine.create_namespace("n", Some(token)), ErrorKind::InvalidArgument, &["token"]);
    }
    assert_eq!(engine.namespaces().unwrap(), ["__namespace"]);

    let limit = "n".repeat(255);
    let names: [&[u8]; 7] = [b"\0", b"a\0b", b"a", b"a\0", limit.as_bytes(), "ü".as_bytes(), b"\x7f"];
    for (number, name) in names.iter().enumerate() {
        let namespace = engine.create_namespace(name, None).unwrap();
        namespace.put(b"", &[number as u8]).unwrap();
        namespace.put(b"k", &[number as u8]).unwrap();
    }
    engine.close().unwrap();
    let engine = open(dir.path());
    for (number, name) in names.iter().enumerate() {
        let namespace = engine.namespace(name).unwrap();
        assert_eq!(namespace.get(b"").unwrap().unwrap(), [number as u8]);
        assert_eq!(namespace.count().unwrap(), 2);
    }
    // A namespace that goes takes nothing of its neighbours along.
    engine.namespace(b"a").unwrap().clear().unwrap();
    engine.drop_namespace(b"\0").unwrap();
    for name in &names[1..] {
        assert_eq!(engine.namespace(name).unwrap().count().unwrap(), if *name == b"a" { 0 } else { 2 });
    }
    assert_sound(&engine);
}

/// Keys of any bytes and of any length up to the limit are kept apart, found, ordered and deleted.
#[test]
fn keys() {
    let dir = tempfile::tempdir().unwrap();
    for cluster in [false, true] {
        let options = Options { cluster: Some(cluster), ..Default::default() };
        let engine = Engine::open(dir.path().join(cluster.to_string()), &options).unwrap();
        let namespace = engine.default_namespace();
        let mut keys = vec![
            vec![],
            vec![0],
            vec![0, 0],
            vec![b'a'],
            b"a\0".to_vec(),
            b"a\xff".to_vec(),
            vec![0xFF],
            vec![0xFF, 0xFF],
            vec![b'k'; 256],
            vec![b'k'; 255],
            vec![0xFF; 256],
            b"\r\n".to_vec(),
            b"{tag}".to_vec(),
        ];
        keys.sort();
        for (number, key) in keys.iter().enumerate() {
            namespace.put(key, &[number as u8]).unwrap();
        }
        for (number, key) in keys.iter().enumerate() {
            assert_eq!(namespace.get(key).unwrap().unwrap(), [number as u8], "{key:?}");
            assert!(!namespace.put_if(key, b"other", None).unwrap());
        }
        let all = |range: &Range| -> Vec<Vec<u8>> {
            let mut keys: Vec<_> = namespace.items(range).unwrap().map(|item| item.unwrap().0).collect();
            if cluster {
                // There the order is by slot.
                keys.sort();
            }
            keys
        };
        assert_eq!(all(&Range::default()), keys);
        for prefix in [&b"\xff"[..], b"a", b"\0", b"k"] {
            let of_prefix: Vec<_> = keys.iter().filter(|key| key.starts_with(prefix)).cloned().collect();
            assert_eq!(all(&Range { prefix: prefix.to_vec(), ..Default::default() }), of_prefix);
        }
        let from = Range { start: Some(vec![0xFF]), ..Default::default() };
        assert_eq!(all(&from).len(), 3);
        for key in &keys {
            assert!(namespace.delete(key).unwrap());
        }
        assert!(namespace.is_empty().unwrap());
        assert_sound(&engine);
    }
}

/// Times to live that are none, or too long, are refused with the limits.
#[test]
fn times_to_live() {
    use std::time::Duration;
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let namespace = engine.default_namespace();
    namespace.put(b"k", b"v").unwrap();
    for ttl in [Duration::ZERO, Duration::from_micros(999), Duration::MAX, Duration::from_millis((1 << 53) + 1)] {
        let options = WriteOptions { ttl: Some(ttl), sync: None };
        let words = ["time to live", "got", "expected at least 1 ms"];
        assert_error(namespace.put_with(b"k", b"x", &options), ErrorKind::InvalidArgument, &words);
        assert_error(namespace.expire(b"k", ttl), ErrorKind::InvalidArgument, &words);
        let mut batch = engine.batch();
        assert_error(batch.put_with(&namespace, b"k", b"x", &options), ErrorKind::InvalidArgument, &words);
        assert!(batch.is_empty());
    }
    let longest = WriteOptions { ttl: Some(Duration::from_millis(1 << 53)), sync: None };
    namespace.put_with(b"long", b"v", &longest).unwrap();
    assert!(matches!(namespace.ttl(b"long").unwrap(), Ttl::Left(_)));
    assert_eq!(namespace.get(b"k").unwrap().unwrap(), b"v");
    assert_eq!(namespace.ttl(b"k").unwrap(), Ttl::Forever);
}

/// A value of 0 bytes and one of 512 MiB are kept whole, also over a reopening; one byte more is refused.
#[test]
fn values() {
    let free = available_memory();
    if free < 6 << 30 {
        return skipped(&format!("{} MiB of memory are available, expected 6144", free >> 20));
    }
    // In memory where that is permitted and there is enough, since some disks take half a minute for it.
    let disk = (free >= 12 << 30).then(|| Mount::new(4096)).flatten();
    let dir = tempfile::tempdir().unwrap();
    let path = disk.as_ref().map_or(dir.path(), |disk| &disk.path).join("data");
    let output = run(&mut process("huge value", &[&path]));
    assert!(
        output.status.success() && String::from_utf8_lossy(&output.stdout).contains("job done"),
        "{}",
        said(&output)
    );
}

/// Memory that the system could give, in bytes.
fn available_memory() -> u64 {
    let told = std::fs::read_to_string("/proc/meminfo").unwrap();
    let line = told.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// In a process of its own, so that its memory can be measured.
pub fn huge_value(path: &Path) {
    let mut value = vec![0u8; LONGEST + 1];
    for (place, byte) in value.iter_mut().enumerate().step_by(4093) {
        *byte = (place / 4093) as u8;
    }
    {
        let engine = open(path);
        let namespace = engine.default_namespace();
        namespace.put(b"none", b"").unwrap();
        let words = ["value", "got 536870913 bytes", "expected at most 536870912"];
        assert_error(namespace.put(b"huge", &value), ErrorKind::InvalidArgument, &words);
        assert_error(namespace.put_if(b"huge", &value, None), ErrorKind::InvalidArgument, &words);
        let mut batch = engine.batch();
        assert_error(batch.put(&namespace, b"huge", &value), ErrorKind::InvalidArgument, &words);
        let key = ["key", "got 536870913 bytes", "expected at most 536870912"];
        assert_error(namespace.put(&value, b""), ErrorKind::InvalidArgument, &key);
        assert_error(namespace.delete(&value), ErrorKind::InvalidArgument, &key);
        assert!(!namespace.exists(b"huge").unwrap());
        // Two of them are more than one batch may have.
        let mut batch = engine.batch();
        batch.put(&namespace, b"1", &value[..LONGEST]).unwrap();
        batch.put(&namespace, b"2", &value[..LONGEST]).unwrap();
        assert_error(batch.commit(None), ErrorKind::InvalidArgument, &["batch", "expected at most"]);
        assert_eq!(shown(&engine)["__namespace"].len(), 1);

        namespace.put(b"huge", &value[..LONGEST]).unwrap();
        assert!(namespace.get(b"huge").unwrap().unwrap() == value[..LONGEST]);
        namespace.put(b"after", b"x").unwrap();
        engine.close().unwrap();
    }
    let engine = open(path);
    let namespace = engine.default_namespace();
    assert!(namespace.get(b"huge").unwrap().unwrap() == value[..LONGEST]);
    assert_eq!(namespace.get(b"none").unwrap().unwrap(), b"");
    assert_eq!(namespace.get(b"after").unwrap().unwrap(), b"x");
    let peak = peak_memory() / LONGEST as u64;
    println!("peak memory: {peak} times the value");
    // The caller's own, the batch of two that was refused, then what RocksDB needs for its log and memtable.
    assert!(peak <= 6, "{peak} times the value");
}
