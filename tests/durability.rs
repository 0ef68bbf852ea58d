//! What an acknowledgement is worth: many synced writers, one after the other or all at once, and a forked child.

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use pumice::{Engine, Error, ErrorKind, Options, Range, WriteOptions};
use support::{Ended, assert_sound, open, open_replica, process, shown};

const SYNCED: WriteOptions = WriteOptions { ttl: None, sync: Some(true) };

/// Not a test of its own: what the others run in a process of its own.
#[test]
fn child() {
    let Some((job, paths)) = support::job() else { return };
    println!();
    match job.as_str() {
        "write in threads" => write_in_threads(&paths[0]),
        "fork" => fork(&paths[0]),
        _ => panic!("unknown job {job}"),
    }
    println!("job done");
}

/// Sixteen threads whose every write is synced all get their acknowledgements, each write is one entry of the log,
/// and a batch is never torn between them.
#[test]
fn synced_writers_share() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let engine = Engine::open(&path, &Options { sync: true, ..Default::default() }).unwrap();
    let start = engine.position().unwrap();
    std::thread::scope(|scope| {
        for thread in 0..16u8 {
            let engine = &engine;
            scope.spawn(move || {
                let namespace = engine.default_namespace();
                for key in 0..25u8 {
                    namespace.put(&[thread, key], &[key]).unwrap();
                    assert_eq!(namespace.get(&[thread, key]).unwrap().unwrap(), [key]);
                    if key % 8 == 0 {
                        engine.flush().unwrap();
                    }
                }
                let mut batch = engine.batch();
                for key in 0..5u8 {
                    batch.put(&namespace, &[thread, 100, key], b"v").unwrap();
                }
                batch.commit(None).unwrap();
            });
        }
    });
    let mut log = engine.log(Some(&start)).unwrap();
    let lengths: Vec<u64> =
        std::iter::from_fn(|| log.next_entry(None).unwrap()).map(|entry| entry.last - entry.first + 1).collect();
    drop(log);
    assert_eq!(lengths.len(), 16 * 26);
    assert_eq!(lengths.iter().filter(|length| **length == 5).count(), 16);
    engine.close().unwrap();
    assert_eq!(open(&path).default_namespace().count().unwrap(), 16 * 30);
}

/// Only one of those who want to change the same value succeeds: a counter that eight threads raise with `put_if`
/// loses no step, with synced and with plain writes.
#[test]
fn put_if_is_atomic() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path().join("data"));
    for (key, options, steps) in [(b"plain", WriteOptions::default(), 500u64), (b"syncs", SYNCED, 20)] {
        let failed = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let namespace = engine.default_namespace();
                    let mut done = 0;
                    while done < steps {
                        let had = namespace.get(key).unwrap().map(|value| value.to_vec());
                        let count = had.as_deref().map_or(0, |had| u64::from_be_bytes(had.try_into().unwrap()));
                        let next = (count + 1).to_be_bytes();
                        if namespace.put_if_with(key, &next, had.as_deref(), &options).unwrap() {
                            done += 1;
                        } else {
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        let count = engine.default_namespace().get(key).unwrap().unwrap();
        assert_eq!(*count, (8 * steps).to_be_bytes(), "{} attempts failed", failed.into_inner());
    }
}

/// Synced writes go on, none is lost and none fails, while checkpoints are made; those before a swap are in the
/// dataset that was replaced, those behind it in the new one.
#[test]
fn synced_writes_across_swaps() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path().join("data"));
    engine.default_namespace().put(b"base", b"v").unwrap();
    let base = engine.create_checkpoint(dir.path().join("base")).unwrap().path;
    let done = AtomicBool::new(false);
    let swaps = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let _ended = Ended(&done);
        for thread in 0..4u8 {
            let (engine, done, swaps) = (&engine, &done, &swaps);
            scope.spawn(move || {
                let namespace = engine.default_namespace();
                let mut count = 0u64;
                while !done.load(Ordering::Relaxed) || count < 10 {
                    let before = swaps.load(Ordering::SeqCst);
                    namespace.put_with(&[thread], &count.to_be_bytes(), &SYNCED).unwrap();
                    let found = namespace.get(&[thread]).unwrap();
                    // Only a swap takes away what was acknowledged; the number is odd while one is running.
                    let lost = found.is_none_or(|found| *found != count.to_be_bytes());
                    let swapped = before % 2 == 1 || swaps.load(Ordering::SeqCst) > before;
                    assert!(!lost || swapped, "an acknowledged write is gone");
                    count += 1;
                }
            });
        }
        for _ in 0..10 {
            swaps.fetch_add(1, Ordering::SeqCst);
            engine.apply_checkpoint(&base).unwrap();
            swaps.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(5));
        }
    });
    assert_sound(&engine);
    let expected = shown(&engine);
    engine.close().unwrap();
    assert!(shown(&open(dir.path().join("data"))) == expected);
}

/// Entries that a replica applies are as durable as it was opened, and a killed one has all that it acknowledged:
/// here, it reopens at the same place.
#[test]
fn a_replica_keeps_what_it_applied() {
    let dir = tempfile::tempdir().unwrap();
    let primary = open(dir.path().join("primary"));
    let path = dir.path().join("replica");
    for key in 0..50u8 {
        primary.default_namespace().put(&[key], b"v").unwrap();
    }
    let replica = open_replica(&path);
    let mut log = primary.log(None).unwrap();
    while let Some(entry) = log.next_entry(None).unwrap() {
        replica.apply(&entry).unwrap();
    }
    replica.flush().unwrap();
    replica.close().unwrap();
    drop(replica);
    let replica = open(&path);
    assert_eq!(replica.position().unwrap(), primary.position().unwrap());
    assert!(shown(&replica) == shown(&primary));
}

/// Eight threads write batches, some synced, and say what was acknowledged.
fn write_in_threads(path: &Path) {
    let engine = open(path);
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let engine = &engine;
            scope.spawn(move || {
                let namespace = engine.default_namespace();
                for count in 1u64.. {
                    let mut batch = engine.batch();
                    for part in [0u8, 1] {
                        batch.put(&namespace, &[thread as u8, part], &count.to_be_bytes()).unwrap();
                    }
                    batch.commit(Some(count % 16 == 0)).unwrap();
                    println!("acked {thread} {count}");
                }
            });
        }
    });
}

/// Of many threads that write at once, a killed process keeps for each all that was acknowledged to it, at most one
/// more, and no half of a batch.
#[test]
fn killed_among_many_writers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    for round in 0..4 {
        let mut child = process("write in threads", &[&path]).spawn().unwrap();
        let mut acked = BTreeMap::new();
        let mut lines = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            if let Some((thread, count)) = line.strip_prefix("acked ").and_then(|line| line.split_once(' ')) {
                acked.insert(thread.parse::<u8>().unwrap(), count.parse::<u64>().unwrap());
            }
            lines += 1;
            if lines >= 500 * (1 + round) && acked.len() > 1 {
                child.kill().unwrap();
            }
        }
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        let engine = open(&path);
        let namespace = engine.default_namespace();
        assert!(acked.len() > 1);
        for (thread, acked) in acked {
            let [a, b] = [0, 1].map(|part| namespace.get(&[thread, part]).unwrap().unwrap().to_vec());
            assert_eq!(a, b, "half a batch");
            let found = u64::from_be_bytes(a.try_into().unwrap());
            assert!(found == acked || found == acked + 1, "{acked} were acknowledged, {found} are there");
        }
        assert_sound(&engine);
        engine.close().unwrap();
    }
}

fn is_closed<T>(result: Result<T, Error>) -> bool {
    result.is_err_and(|e| e.kind() == ErrorKind::Closed && e.message().contains("fork"))
}

/// Forks while other threads write and everything is held open: in the child every call answers Closed, and all it
/// holds is dropped before it exits as programs do. The parent writes on until it is killed.
fn fork(path: &Path) {
    let engine = open(path);
    let namespace = engine.create_namespace("n", None).unwrap();
    for key in 0..2000u32 {
        namespace.put(&key.to_be_bytes(), b"before").unwrap();
    }
    let snapshot = engine.snapshot().unwrap();
    let mut items = namespace.items(&Range::default()).unwrap();
    assert!(items.next_item().unwrap().is_some());
    let value = namespace.get(&0u32.to_be_bytes()).unwrap();
    let mut log = engine.log(None).unwrap();
    assert!(log.next_entry(None).unwrap().is_some());
    let batch = engine.batch();
    let checkpoint = path.with_extension("checkpoint");

    let writer = std::thread::spawn({
        let namespace = namespace.clone();
        move || {
            for count in 0u64.. {
                namespace.put_with(b"count", &count.to_be_bytes(), &SYNCED).unwrap();
                println!("acked {count}");
            }
        }
    });
    for _ in 0..5 {
        // SAFETY: the child calls what a forked child of a program would, which is what is tested.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: a child that waits for a thread that it does not have shall not wait for ever.
            unsafe { libc::alarm(20) };
            let refused = [
                is_closed(namespace.get(b"x")),
                is_closed(namespace.put(b"x", b"y")),
                is_closed(namespace.put_if(b"x", b"y", None)),
                is_closed(namespace.delete(b"x")),
                is_closed(namespace.items(&Range::default()).map(drop)),
                is_closed(namespace.count()),
                is_closed(namespace.clear()),
                is_closed(engine.snapshot().map(drop)),
                is_closed(engine.namespaces()),
                is_closed(engine.create_namespace("m", None).map(drop)),
                is_closed(engine.drop_namespace("n")),
                is_closed(engine.create_checkpoint(&checkpoint).map(drop)),
                is_closed(engine.apply_checkpoint(&checkpoint)),
                is_closed(engine.position()),
                is_closed(engine.role()),
                is_closed(engine.info()),
                is_closed(engine.verify(pumice::Depth::Quick)),
                is_closed(engine.flush()),
                is_closed(engine.promote()),
                is_closed(engine.close()),
                is_closed(engine.log(None).map(drop)),
                is_closed(snapshot.namespaces()),
                is_closed(snapshot.default_namespace().get(b"x")),
                is_closed(log.next_entry(None)),
                is_closed(items.next_item().map(drop)),
                is_closed(batch.commit(None)),
            ];
            let fault = refused.iter().position(|refused| !refused).map_or(0, |place| place as i32 + 1);
            drop((engine, namespace, snapshot, items, value, log));
            // SAFETY: ends this child, with the handlers of the threads that it does not have left alone.
            unsafe { libc::_exit(fault) };
        }
        assert!(child > 0);
        let mut status = 0;
        // SAFETY: waits for the child made above.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        println!("child {status}");
    }
    println!("forked");
    writer.join().unwrap();
}

/// A forked child finds everything closed, drops all it holds and goes; the parent writes on, is killed, and every
/// write that was synced before and after the forks is there.
#[test]
fn forked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let mut child = process("fork", &[&path]).spawn().unwrap();
    let (mut acked, mut children, mut after) = (None, Vec::new(), None);
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        if let Some(count) = line.strip_prefix("acked ") {
            acked = Some(count.parse::<u64>().unwrap());
        } else if let Some(status) = line.strip_prefix("child ") {
            children.push(status.parse::<i32>().unwrap());
        } else if line == "forked" {
            after = Some(acked.unwrap_or(0));
        }
        if after.is_some_and(|after| acked > Some(after + 20)) {
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap();
    assert_eq!(children, [0; 5], "a signal, or 256 times the first call that was not refused");
    assert_eq!(status.signal(), Some(libc::SIGKILL));
    let engine = open(&path);
    let namespace = engine.namespace("n").unwrap();
    let found = u64::from_be_bytes(namespace.get(b"count").unwrap().unwrap().as_ref().try_into().unwrap());
    let acked = acked.unwrap();
    assert!(found == acked || found == acked + 1, "{acked} were acknowledged, {found} are there");
    assert_eq!(namespace.count().unwrap(), 2001);
    assert_eq!(engine.namespaces().unwrap(), ["__namespace", "n"]);
    assert_sound(&engine);
}
