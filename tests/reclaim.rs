//! Space comes back: of what was dropped and cleared, at once; of what expired or lost its key, by compaction.

mod support;

use std::time::{Duration, Instant};

use pumice::{Engine, Range};
use support::{Random, assert_sound, open, open_replica, quick_dir, shown, wait_until};

const MILLION: usize = 1_000_000;

/// Live bytes of tables and blobs.
fn bytes(engine: &Engine) -> u64 {
    let info = engine.info().unwrap();
    info.table_bytes + info.blob_bytes
}

/// Puts that many keys, with values that compress badly.
fn fill(engine: &Engine, name: &str, count: usize) {
    fill_with(engine, name, count, 100);
}

fn fill_with(engine: &Engine, name: &str, count: usize, size: usize) {
    let namespace = engine.namespace(name).unwrap();
    let mut random = Random(count as u64);
    for first in (0..count).step_by(1000) {
        let mut batch = engine.batch();
        for number in first..(first + 1000).min(count) {
            batch.put(&namespace, format!("key-{number:08}").as_bytes(), &random.bytes(size)).unwrap();
        }
        batch.commit(None).unwrap();
    }
}

/// Writes all memtables to files.
fn flush(engine: &Engine) {
    let path = engine.path().with_extension("flushed");
    engine.create_checkpoint(&path).unwrap();
    std::fs::remove_dir_all(path).unwrap();
}

/// Gives the replica what it lacks of the primary's log.
fn replicate(primary: &Engine, replica: &Engine) {
    let mut log = primary.log(Some(&replica.position().unwrap())).unwrap();
    while let Some(entry) = log.next_entry(None).unwrap() {
        replica.apply(&entry).unwrap();
    }
    assert_eq!(primary.position().unwrap(), replica.position().unwrap());
}

/// A dropped and a cleared namespace of a million keys give back nine tenths of their bytes and more, on the primary
/// and on a replica that has it from the log, without being asked; what is beside them, and what is put under the
/// same name meanwhile, is not touched.
#[test]
fn a_million_keys() {
    let dir = quick_dir();
    let primary = open(dir.path().join("primary"));
    let replica = open_replica(dir.path().join("replica"));
    // Neighbours on both sides, one of them an empty key at the very end of the range.
    for name in ["bigm", "bign", "bigo"] {
        primary.create_namespace(name, None).unwrap();
    }
    for name in ["bigm", "bigo"] {
        fill(&primary, name, 1000);
    }
    primary.namespace("bigo").unwrap().put(b"", b"edge").unwrap();
    replicate(&primary, &replica);
    let beside = shown(&primary);

    for what in ["drop", "clear"] {
        fill(&primary, "bign", MILLION);
        replicate(&primary, &replica);
        for engine in [&primary, &replica] {
            flush(engine);
        }
        let before = [&primary, &replica].map(bytes);
        assert!(before.iter().all(|&bytes| bytes > 100 << 20), "{before:?}");

        let began = Instant::now();
        match what {
            "drop" => primary.drop_namespace("bign").unwrap(),
            _ => primary.namespace("bign").unwrap().clear().unwrap(),
        }
        let took = began.elapsed();
        // The name is used again at once, while the space of the former keys comes back.
        if what == "drop" {
            primary.create_namespace("bign", None).unwrap();
        }
        fill(&primary, "bign", 2000);
        let applied = Instant::now();
        replicate(&primary, &replica);
        let apply_took = applied.elapsed();
        for (name, engine, before) in [("primary", &primary, before[0]), ("replica", &replica, before[1])] {
            wait_until("the space is back", || bytes(engine) < before / 10);
            println!(
                "{what} on the {name}: {:.1} MB before, {:.2} MB after {:.2} s; the call took {took:?}, what was \
                 applied {apply_took:?}",
                before as f64 / 1e6,
                bytes(engine) as f64 / 1e6,
                began.elapsed().as_secs_f64(),
            );
            assert_eq!(engine.namespace("bign").unwrap().count().unwrap(), 2000);
            let mut found = shown(engine);
            found.insert("bign".to_owned(), Default::default());
            assert!(found == beside, "{what}: what is beside it was touched");
            assert_sound(engine);
        }
    }
    assert_eq!(primary.position().unwrap(), replica.position().unwrap());

    // The same when it is opened again.
    let expected = shown(&primary);
    for engine in [primary, replica] {
        let path = engine.path().to_owned();
        engine.close().unwrap();
        let engine = open(path);
        assert!(shown(&engine) == expected);
        assert_sound(&engine);
    }
}

/// A snapshot that is open while its namespace is dropped and cleared keeps its view exactly; when it goes, the space comes
/// back. Iterators that were open go on too.
#[test]
fn under_a_snapshot() {
    let dir = quick_dir();
    let engine = open(dir.path().join("data"));
    let doomed = engine.create_namespace("doomed", None).unwrap();
    // So much that it has files of its own.
    fill_with(&engine, "doomed", 200_000, 1000);
    fill(&engine, "__namespace", 100_000);
    compact(&engine);
    let before = bytes(&engine);
    let snapshot = engine.snapshot().unwrap();
    let then = shown(&engine);
    let iterated = doomed.items(&Range::default()).unwrap();
    engine.drop_namespace("doomed").unwrap();
    engine.default_namespace().clear().unwrap();
    for round in 0..3 {
        // Whatever is compacted meanwhile.
        engine.create_namespace("doomed", None).unwrap();
        fill(&engine, "doomed", 20_000);
        engine.drop_namespace("doomed").unwrap();
        compact(&engine);
        for (name, keys) in &then {
            let found: Vec<_> = snapshot.namespace(name).unwrap().items(&Range::default()).unwrap().collect();
            assert_eq!(found.len(), keys.len(), "{name} in round {round}");
            for (found, (key, value)) in found.into_iter().zip(keys) {
                assert_eq!(found.unwrap(), (key.clone(), Some(value.clone())), "{name} in round {round}");
            }
        }
    }
    assert!(bytes(&engine) >= before * 9 / 10, "{} of {before} bytes", bytes(&engine));
    assert_eq!(iterated.map(Result::unwrap).count(), 200_000);
    drop(snapshot);
    wait_until("the space is back", || bytes(&engine) < before / 10);
    println!("{before} bytes under the snapshot, {} when it was gone", bytes(&engine));
    assert_eq!(engine.default_namespace().count().unwrap(), 0);
    assert_sound(&engine);
}

/// An engine is closed, and its dataset replaced, while it gives back space; neither waits for that.
#[test]
fn in_the_middle() {
    let dir = quick_dir();
    let path = dir.path().join("data");
    let engine = open(&path);
    let checkpoint = dir.path().join("checkpoint");
    engine.create_checkpoint(&checkpoint).unwrap();
    for round in 0..4 {
        engine.create_namespace("big", None).unwrap();
        fill(&engine, "big", 100_000);
        flush(&engine);
        // Held by a snapshot, or at work.
        let snapshot = (round % 2 == 0).then(|| engine.snapshot().unwrap());
        engine.drop_namespace("big").unwrap();
        engine.apply_checkpoint(&checkpoint).unwrap();
        assert_eq!(engine.namespaces().unwrap(), ["__namespace"]);
        drop(snapshot);
    }
    for round in 0..4 {
        let engine = if round == 0 { engine.clone() } else { open(&path) };
        engine.create_namespace("big", None).unwrap();
        fill(&engine, "big", 100_000);
        flush(&engine);
        let snapshot = (round % 2 == 0).then(|| engine.snapshot().unwrap());
        engine.drop_namespace("big").unwrap();
        engine.close().unwrap();
        drop(snapshot);
    }
    let engine = open(&path);
    assert_eq!(engine.namespaces().unwrap(), ["__namespace"]);
    assert_sound(&engine);
}

/// Whole files of what is deleted are gone when the call returns, however it is deeper down; what shares a file with
/// neighbours follows; and nothing that was deleted or replaced before comes back with them.
#[cfg(feature = "failpoints")]
#[test]
fn whole_files() {
    let dir = quick_dir();
    let engine = open(dir.path().join("data"));
    for name in ["a", "b", "c"] {
        engine.create_namespace(name, None).unwrap();
        fill(&engine, name, 10_000);
    }
    let deleted = engine.namespace("b").unwrap();
    // Layer upon layer: the same keys again and again, some of them deleted, all but the last in the deepest level.
    const KEYS: usize = 300_000;
    for layer in 0..3 {
        fill_with(&engine, "b", KEYS, 1000);
        let mut batch = engine.batch();
        for number in (layer..KEYS).step_by(1000) {
            batch.delete(&deleted, format!("key-{number:08}").as_bytes()).unwrap();
        }
        batch.commit(None).unwrap();
        if layer < 2 {
            engine.compact().unwrap();
        } else {
            flush(&engine);
        }
    }
    let before = bytes(&engine);
    let began = Instant::now();
    deleted.clear().unwrap();
    let took = began.elapsed();
    let at_once = bytes(&engine);
    engine.wait_reclaimed();
    println!("{before} bytes, {at_once} when the call returned after {took:?}, {} in the end", bytes(&engine));
    assert!(at_once < before, "no file was let go at once");
    assert!(bytes(&engine) < before / 10);
    assert_eq!(deleted.count().unwrap(), 0);
    for name in ["a", "c"] {
        assert_eq!(engine.namespace(name).unwrap().count().unwrap(), 10_000);
    }
    assert_sound(&engine);
}

#[cfg(not(feature = "failpoints"))]
fn compact(engine: &Engine) {
    std::thread::sleep(Duration::from_millis(300));
    flush(engine);
}

#[cfg(feature = "failpoints")]
fn compact(engine: &Engine) {
    std::thread::sleep(Duration::from_millis(300));
    engine.compact().unwrap();
}
