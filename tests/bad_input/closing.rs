//! Closing while everything is going on.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use pumice::{Engine, Error, ErrorKind, Options, Range, Role};

use crate::support::{assert_error, assert_sound, open, shown};

/// Runs a call again and again until it answers Closed; any other error fails the test. How often it succeeded.
fn until_closed<R>(done: &AtomicU64, mut call: impl FnMut() -> Result<R, Error>) -> u64 {
    let mut calls = 0;
    loop {
        match call() {
            Ok(_) => {
                calls += 1;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Err(e) if e.kind() == ErrorKind::Busy => {}
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::Closed, "{e}");
                return calls;
            }
        }
    }
}

/// Close while readers, writers, iterators, snapshots, log waiters and an apply are running: every one of them ends
/// with Closed and nothing crashes; once the views are let go the directory opens again, with a whole dataset.
#[test]
fn everything_ends_with_closed() {
    let dir = tempfile::tempdir().unwrap();
    let other = open(dir.path().join("other"));
    other.create_namespace("n", Some("token")).unwrap().put(b"k", b"other").unwrap();
    other.default_namespace().put(b"k", b"other").unwrap();
    let checkpoint = other.create_checkpoint(dir.path().join("checkpoint")).unwrap().path;
    drop(other);
    for round in 0..8 {
        let path = dir.path().join(format!("data{round}"));
        let engine = open(&path);
        let namespace = engine.create_namespace("n", None).unwrap();
        for key in 0..1000u32 {
            namespace.put(&key.to_be_bytes(), b"value").unwrap();
        }
        namespace.put(b"k", b"v").unwrap();
        let mut items = namespace.items(&Range::default()).unwrap();
        assert!(items.next_item().unwrap().is_some());
        let snapshot = engine.snapshot().unwrap();
        let value = namespace.get(b"k").unwrap().unwrap();
        let (reads, applies, others) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let waiting = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (engine, namespace, checkpoint) = (&engine, &namespace, &checkpoint);
            let (reads, applies, waiting) = (&reads, &applies, &waiting);
            let none = &others;
            scope.spawn(move || until_closed(reads, || namespace.get(b"k")));
            scope.spawn(move || {
                until_closed(none, || namespace.get_many(&[b"k", b"x"]));
                assert_eq!(namespace.count().unwrap_err().kind(), ErrorKind::Closed);
            });
            scope.spawn(move || until_closed(none, || namespace.put(b"k", b"v")));
            scope.spawn(move || {
                until_closed(none, || namespace.items(&Range::default())?.try_for_each(|item| item.map(drop)))
            });
            scope.spawn(move || until_closed(none, || engine.snapshot()?.default_namespace().get(b"k").map(drop)));
            scope.spawn(move || until_closed(applies, || engine.apply_checkpoint(checkpoint)));
            scope.spawn(move || {
                // A swap may leave its position in no history; then it begins anew.
                let ended = loop {
                    let mut log = match engine.log(None) {
                        Ok(log) => log,
                        Err(e) => break e,
                    };
                    waiting.store(true, Ordering::Relaxed);
                    match std::iter::from_fn(|| log.next_entry(Some(Duration::from_secs(3600))).transpose())
                        .find_map(Result::err)
                    {
                        Some(e) if matches!(e.kind(), ErrorKind::Diverged | ErrorKind::NotFound) => {}
                        Some(e) => break e,
                        None => panic!("the wait of an hour ended"),
                    }
                };
                assert_eq!(ended.kind(), ErrorKind::Closed, "{ended}");
            });
            while reads.load(Ordering::Relaxed) < 200
                || !waiting.load(Ordering::Relaxed)
                || applies.load(Ordering::Relaxed) < 1 + round % 3
            {
                std::thread::yield_now();
            }
            engine.close().unwrap();
        });
        assert_error(namespace.get(b"k"), ErrorKind::Closed, &["closed", "open it again"]);
        assert_error(namespace.put(b"k", b"v"), ErrorKind::Closed, &["closed"]);
        assert_error(engine.snapshot().map(drop), ErrorKind::Closed, &["closed"]);
        assert_error(engine.info(), ErrorKind::Closed, &["closed"]);
        assert_error(engine.verify(pumice::Depth::Quick), ErrorKind::Closed, &["closed"]);
        assert_error(engine.apply_checkpoint(&checkpoint), ErrorKind::Closed, &["closed"]);
        assert_error(engine.create_checkpoint(path.join("c")), ErrorKind::Closed, &["closed"]);
        assert_error(engine.position(), ErrorKind::Closed, &["closed"]);
        assert_error(engine.log(None).map(drop), ErrorKind::Closed, &["closed"]);
        assert_error(engine.promote(), ErrorKind::Closed, &["closed"]);
        assert_error(engine.flush(), ErrorKind::Closed, &["closed"]);
        assert_error(snapshot.namespaces(), ErrorKind::Closed, &["closed"]);
        assert_error(snapshot.default_namespace().get(b"k"), ErrorKind::Closed, &["closed"]);
        engine.close().unwrap();

        // What is held finishes on what it saw, and keeps the directory until it is let go.
        assert_eq!(value, b"v");
        let mut rest = 1;
        while items.next_item().unwrap().is_some() {
            rest += 1;
        }
        assert_eq!(rest, 1001);
        let error = Engine::open(&path, &Options::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
        drop((items, snapshot));
        assert_eq!(value, b"v");
        drop(value);
        drop(namespace);
        drop(engine);
        let engine = open(&path);
        assert_sound(&engine);
        assert_eq!(engine.role().unwrap(), Role::Primary);
        // At least one apply went through, and since then there was only the one key to write.
        let found = shown(&engine);
        assert_eq!(found["n"].keys().collect::<Vec<_>>(), [b"k"]);
        assert_eq!(found["__namespace"], [(b"k".to_vec(), b"other".to_vec())].into());
        engine.close().unwrap();
    }
}

/// A directory can be opened again at once after close, a hundred times, also right behind a swap and from a handle
/// that is still there.
#[test]
fn close_and_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let engine = open(&path);
    engine.default_namespace().put(b"k", b"v").unwrap();
    let checkpoint = engine.create_checkpoint(dir.path().join("checkpoint")).unwrap().path;
    engine.close().unwrap();
    for round in 0..60 {
        let engine = open(&path);
        let clone = engine.clone();
        assert_eq!(engine.default_namespace().get(b"k").unwrap().unwrap(), b"v");
        if round % 3 == 0 {
            engine.apply_checkpoint(&checkpoint).unwrap();
        }
        if round % 2 == 0 {
            engine.close().unwrap();
            assert_eq!(clone.default_namespace().get(b"k").unwrap_err().kind(), ErrorKind::Closed);
        }
    }
    assert_sound(&open(&path));
}
