//! Namespaces and data change together, or not at all, however often one looks.

mod support;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pumice::{Engine, ErrorKind};
use support::{Ended, assert_sound, names, open, open_replica, wait_until};

const SWAPS: u64 = 50;
const LOOKS: u64 = 1_000_000;
const KEYS: usize = 200;

/// A checkpoint whose namespaces and values all carry one letter.
fn dataset(root: &Path, letter: char) -> PathBuf {
    let engine = open(root.join(format!("primary-{letter}")));
    engine.default_namespace().put(b"which", letter.to_string().as_bytes()).unwrap();
    for namespace in names_of(letter) {
        let namespace = engine.create_namespace(namespace, None).unwrap();
        for key in 0..KEYS {
            namespace.put(format!("{letter}{key}").as_bytes(), letter.to_string().as_bytes()).unwrap();
        }
    }
    let path = engine.create_checkpoint(root.join(format!("checkpoint-{letter}"))).unwrap().path;
    engine.close().unwrap();
    path
}

fn names_of(letter: char) -> Vec<String> {
    (0..3).map(|number| format!("{letter}-{number}")).collect()
}

fn letter_of(value: &[u8]) -> char {
    assert!(value == b"a" || value == b"b", "got the value {value:?}");
    char::from(value[0])
}

/// A snapshot's namespaces and its data are of one dataset.
fn look_through_a_snapshot(engine: &Engine, turn: u64) {
    let snapshot = engine.snapshot().unwrap();
    let letter = letter_of(&snapshot.default_namespace().get(b"which").unwrap().unwrap());
    let namespaces = snapshot.namespaces().unwrap();
    assert_eq!(namespaces[1..], names_of(letter), "the data is of {letter}");
    let namespace = snapshot.namespace(&namespaces[1 + turn as usize % 3]).unwrap();
    let key = format!("{letter}{}", turn as usize % KEYS);
    assert_eq!(letter_of(&namespace.get(key.as_bytes()).unwrap().unwrap()), letter);
    let other = if letter == 'a' { "b-0" } else { "a-0" };
    assert_eq!(snapshot.namespace(other).map(drop).unwrap_err().kind(), ErrorKind::NotFound);
}

/// Readers that look at namespaces and data together, a million times across 50 swaps of two datasets that share
/// nothing, never see one of the old and one of the new; no read fails; what was replaced is gone in the end.
#[test]
fn no_look_sees_half_a_swap() {
    let dir = tempfile::tempdir().unwrap();
    let checkpoints = ['a', 'b'].map(|letter| dataset(dir.path(), letter));
    let path = dir.path().join("replica");
    let engine = open_replica(&path);
    engine.apply_checkpoint(&checkpoints[0]).unwrap();
    let handles = ['a'].map(|letter| engine.namespace(format!("{letter}-1")).unwrap());
    engine.apply_checkpoint(&checkpoints[1]).unwrap();
    let handles = [handles[0].clone(), engine.namespace("b-1").unwrap()];

    let (looks, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let (found, missing) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ended = Ended(&done);
            let mut turn = 0;
            while !done.load(Ordering::Relaxed) {
                look_through_a_snapshot(&engine, turn);
                turn += 1;
                looks.fetch_add(1, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            let _ended = Ended(&done);
            let default = engine.default_namespace();
            let keys: Vec<[Vec<u8>; 3]> =
                (0..KEYS).map(|key| [0, 1, 2].map(|step| format!("a{}", (key + step) % KEYS).into_bytes())).collect();
            let mut turn = 0;
            while !done.load(Ordering::Relaxed) {
                for _ in 0..100 {
                    turn += 1;
                    letter_of(&default.get(b"which").unwrap().unwrap());
                    for (handle, letter) in handles.iter().zip(["a", "b"]) {
                        let key = format!("{letter}{}", turn % KEYS);
                        // Were the registry the old one and the data the new, the key would be missing.
                        match handle.get(key.as_bytes()) {
                            Ok(value) => {
                                assert_eq!(value.expect("a key of a namespace that is there"), letter);
                                found.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(e) => {
                                assert_eq!(e.kind(), ErrorKind::NotFound, "{e}");
                                missing.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                    match handles[0].get_many(&keys[turn % KEYS]) {
                        Ok(values) => assert!(values.iter().all(Option::is_some), "{values:?}"),
                        Err(e) => assert_eq!(e.kind(), ErrorKind::NotFound, "{e}"),
                    }
                }
                looks.fetch_add(300, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            let _ended = Ended(&done);
            for swap in 0..SWAPS {
                // Looks are spread over all swaps, not done before the first.
                while looks.load(Ordering::Relaxed) < swap * LOOKS / SWAPS && !done.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                engine.apply_checkpoint(&checkpoints[swap as usize % 2]).unwrap();
            }
            while looks.load(Ordering::Relaxed) < LOOKS && !done.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
        });
    });
    let (looks, found, missing) = (looks.into_inner(), found.into_inner(), missing.into_inner());
    println!("{looks} looks, {found} reads found their namespace, {missing} did not");
    assert!(looks >= LOOKS && found > 0 && missing > 0);

    let current = engine.info().unwrap().generation;
    let left = [format!("{current:06}"), format!("{current:06}.history")];
    wait_until("old generations are deleted", || names(&path.join("generations")) == left);
    assert_sound(&engine);
}
