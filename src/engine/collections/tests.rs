//! Reading through a batch that is still being made, and walks through streams.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;

use crate::engine::collections::stream::Entries;
use crate::engine::engine::Engine;
use crate::engine::error::{ErrorKind, Result};
use crate::engine::format::batch::DEFAULT;
use crate::engine::format::metadata::{Kind, Metadata};
use crate::engine::format::stream::StreamId;
use crate::engine::namespace::Namespace;
use crate::engine::options::Options;
use crate::engine::types::keys;
use crate::engine::types::stream::StreamEntry;
use crate::engine::types::writing::Writing;

fn namespace() -> (tempfile::TempDir, Engine, Namespace) {
    let dir = tempfile::tempdir().unwrap();
    let engine = Engine::open(dir.path(), &Options::default()).unwrap();
    let namespace = engine.default_namespace();
    (dir, engine, namespace)
}

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<u8>, u8),
    Delete(Vec<u8>),
    DeleteRange(Vec<u8>, Vec<u8>),
    Walk(Vec<u8>, Option<Vec<u8>>, bool),
}

/// Few keys, so that steps meet, with bytes at both ends of the order.
fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(0u8), Just(1), Just(0xFF)], 0..4)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (key(), any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        2 => key().prop_map(Step::Delete),
        1 => (key(), key()).prop_map(|(begin, end)| Step::DeleteRange(begin, end)),
        2 => (key(), proptest::option::of(key()), any::<bool>())
            .prop_map(|(from, to, reverse)| Step::Walk(from, to, reverse)),
    ]
}

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn run(writing: &mut Writing<'_>, start: &[u8], steps: &[Step], model: &mut Model) -> Result<()> {
    let full = |key: &[u8]| [start, key].concat();
    for step in steps {
        match step {
            Step::Put(key, value) => {
                writing.put(DEFAULT, &full(key), &[*value])?;
                model.insert(key.clone(), vec![*value]);
            }
            Step::Delete(key) => {
                writing.delete(DEFAULT, &full(key))?;
                model.remove(key);
            }
            Step::DeleteRange(begin, end) => {
                writing.delete_range(DEFAULT, &full(begin), &full(end))?;
                model.retain(|key, _| key < begin || key >= end);
            }
            Step::Walk(from, to, reverse) => {
                let reading = writing.reading();
                let mut walk = reading.subkeys(DEFAULT, start, from, to.as_deref(), *reverse);
                let mut seen = Vec::new();
                while let Some((key, value)) = walk.next()? {
                    seen.push((key.to_vec(), value.to_vec()));
                }
                assert!(walk.next()?.is_none());
                let fits = |key: &Vec<u8>| key >= from && to.as_ref().is_none_or(|to| key < to);
                let mut expected: Vec<_> = model.clone().into_iter().filter(|(key, _)| fits(key)).collect();
                if *reverse {
                    expected.reverse();
                }
                assert_eq!(seen, expected, "{step:?}");
            }
        }
        if let Step::Put(key, _) | Step::Delete(key) | Step::DeleteRange(key, _) = step {
            let found = writing.reading().subkey(DEFAULT, start, key)?;
            assert_eq!(found.as_deref(), model.get(key).map(Vec::as_slice), "{step:?}");
        }
    }
    Ok(())
}

/// A batch that is being made reads as if it had been written: every key and every walk, forward and backward, over any
/// mixture of records on disk, pending puts, deletes and range deletes; and so it does once it was written.
#[test]
fn pending_writes_are_seen() {
    static CASES: AtomicU32 = AtomicU32::new(0);
    let (_dir, _engine, namespace) = namespace();
    proptest!(ProptestConfig::with_cases(400), |(before in vec(step(), 0..20), after in vec(step(), 1..30))| {
        // Each case has keys of its own, between those of two others.
        let start = [b"\x01x".as_slice(), &CASES.fetch_add(1, Ordering::Relaxed).to_be_bytes()].concat();
        let mut model = Model::new();
        namespace.write(None, |writing| run(writing, &start, &before, &mut model)).unwrap();
        namespace.write(None, |writing| run(writing, &start, &after, &mut model)).unwrap();
        let all = [Step::Walk(vec![], None, false), Step::Walk(vec![], None, true)];
        namespace.write(None, |writing| run(writing, &start, &all, &mut model)).unwrap();
    });
    assert!(CASES.load(Ordering::Relaxed) >= 400);
}

/// Keys are seen, counted, expired and deleted through pending writes, and a clear deletes the pending ones too.
#[test]
fn keys_in_one_batch() {
    let (_dir, _engine, namespace) = namespace();
    namespace.put(b"stored", b"1").unwrap();
    let seen = |writing: &mut Writing<'_>| -> Result<Vec<Vec<u8>>> {
        let reading = writing.reading();
        let items: Result<Vec<_>> = reading.items(&Default::default()).collect();
        Ok(items?.into_iter().map(|(key, _)| key).collect())
    };
    namespace
        .write(None, |writing| -> Result<()> {
            crate::engine::types::string::put(writing, b"pending", b"2", 0)?;
            assert_eq!(seen(writing)?, [&b"pending"[..], b"stored"]);
            assert_eq!(&*writing.reading().string(b"pending")?.unwrap(), b"2");
            assert_eq!(writing.reading().strings(&["pending", "stored", "none"])?.iter().flatten().count(), 2);
            assert!(keys::expire(writing, b"pending", u64::MAX)?);
            assert_eq!(writing.reading().metadata(b"pending")?.unwrap().expire_ms, u64::MAX);
            assert!(keys::delete(writing, b"stored")? && !keys::delete(writing, b"stored")?);
            assert_eq!(seen(writing)?, [b"pending"]);
            writing.in_namespace(b"\x05other", |there| -> Result<()> {
                assert!(seen(there)?.is_empty());
                crate::engine::types::string::put(there, b"there", b"3", 0)
            })?;
            assert_eq!(seen(writing)?, [b"pending"]);
            keys::clear(writing)?;
            assert!(seen(writing)?.is_empty());
            crate::engine::types::string::put(writing, b"last", b"4", 0)
        })
        .unwrap();
    assert_eq!(
        namespace.items(&Default::default()).unwrap().map(|item| item.unwrap().0).collect::<Vec<_>>(),
        [b"last"]
    );
}

/// A key that is not there opens with a fresh version in the 64-bit form; one that is, as it is; one of another kind not.
#[test]
fn opening_a_key() {
    let (_dir, _engine, namespace) = namespace();
    let mut first = 0;
    for (expire_ms, size) in [(0, 1), (1, 1), (0, 0)] {
        namespace
            .write(None, |writing| -> Result<()> {
                let opened = writing.open(b"h", Kind::HASH)?;
                assert!(opened.is_new && opened.metadata.wide && opened.metadata.size == 0);
                assert!(opened.metadata.version > first);
                first = opened.metadata.version;
                writing.store(b"h", &Metadata { expire_ms, size, ..opened.metadata }, b"")?;
                let alive = expire_ms == 0 && size > 0;
                assert_eq!(writing.open(b"h", Kind::HASH)?.is_new, !alive);
                if alive {
                    assert_eq!(writing.open(b"h", Kind::HASH)?.metadata.version, first);
                    assert_eq!(writing.open(b"h", Kind::SET).unwrap_err().kind(), ErrorKind::WrongType);
                    assert!(keys::delete(writing, b"h")?);
                }
                Ok(())
            })
            .unwrap();
    }
}

/// Metadata that a command has written over those of an earlier one are what they were when it fails; in a namespace of
/// another name too, and however often it wrote.
#[test]
fn taking_back_metadata() {
    let (_dir, _engine, namespace) = namespace();
    namespace
        .write(None, |writing| -> Result<()> {
            let first = writing.open(b"h", Kind::HASH)?.metadata;
            let resized = |size| Metadata { size, ..first };
            let size = |writing: &mut Writing<'_>| writing.reading().size(b"h", Kind::HASH);
            writing.begin();
            writing.store(b"h", &resized(1), b"")?;
            let length = writing.len_bytes();

            let mark = writing.begin();
            assert_eq!(size(writing)?, 1);
            writing.store(b"h", &resized(2), b"")?;
            let prefix = writing.prefix;
            writing.in_namespace(prefix, |there| there.store(b"h", &resized(3), b""))?;
            assert_eq!((size(writing)?, writing.len_bytes()), (3, length));
            writing.roll_back(mark);
            assert_eq!((size(writing)?, writing.len_bytes()), (1, length));

            // What it wrote itself stays behind what it wrote before, and another expiry is told of by a record.
            writing.begin();
            writing.store(b"h", &Metadata { expire_ms: u64::MAX, ..resized(4) }, b"")?;
            writing.store(b"h", &Metadata { expire_ms: u64::MAX, ..resized(5) }, b"")?;
            assert_eq!((size(writing)?, writing.len_bytes()), (5, length + 2 * (length - 12)));
            Ok(())
        })
        .unwrap();
    assert_eq!(namespace.hash(b"h").len().unwrap(), 5);
}

/// A walk through a stream gives the entries of the moment when it began, by their ids, and no record of its groups; what is
/// asked of it beyond them is nothing.
#[test]
fn streams_are_walked() {
    let (_dir, _engine, namespace) = namespace();
    let (first, last) = (StreamId::MIN, StreamId::MAX);
    let id = |ms| StreamId { ms, seq: 0 };
    let seen = |walk: Result<Entries>| -> Vec<u64> { walk.unwrap().map(|entry| entry.unwrap().id.ms).collect() };
    let stream = namespace.stream(b"s");
    assert!(seen(stream.iter(first, last)).is_empty());
    for ms in [1, 255, 256, 70_000] {
        stream.add_with(id(ms), &[("ms", ms.to_string())]).unwrap();
    }
    let group = stream.group("workers");
    assert!(group.create(first).unwrap());
    assert_eq!(group.read("ada", 2).unwrap().len(), 2);
    assert_eq!(group.read_pending("ada", id(1), 9).unwrap().len(), 1);
    assert!(group.read_pending("ada", first, 0).unwrap().is_empty());

    let mut walk = stream.iter(first, last).unwrap();
    let back = stream.iter_reversed(id(255), last);
    let one = StreamEntry { id: id(1), values: vec![b"ms".to_vec(), b"1".to_vec()] };
    assert_eq!(walk.next_entry().unwrap(), Some(one));
    assert_eq!(stream.trim_before(id(256)).unwrap(), 2);
    stream.add_with(id(70_001), &[("ms", "70001")]).unwrap();
    let rest: Vec<u64> = walk.by_ref().map(|entry| entry.unwrap().id.ms).collect();
    assert_eq!(rest, [255, 256, 70_000]);
    assert!(walk.next_entry().unwrap().is_none());
    assert_eq!(seen(back), [70_000, 256, 255]);
    assert!(group.read_pending("ada", first, 9).unwrap().is_empty(), "they were deleted");

    assert_eq!(seen(stream.iter(first, id(70_000))), [256, 70_000]);
    assert_eq!(seen(stream.iter_reversed(id(257), last)), [70_001, 70_000]);
    for (from, to) in [(id(70_002), last), (last, last), (last, first), (id(70_000), id(256))] {
        assert!(seen(stream.iter(from, to)).is_empty() && seen(stream.iter_reversed(from, to)).is_empty());
    }
    namespace.put(b"text", b"").unwrap();
    assert_eq!(namespace.stream(b"text").iter(first, last).err().unwrap().kind(), ErrorKind::WrongType);
}
