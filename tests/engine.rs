//! The engine as its users see it.

mod support;

use std::path::Path;
use std::time::Duration;

use pumice::{Engine, ErrorKind, Options, Range, Role, Ttl, WriteOptions};

fn open(path: &Path) -> Engine {
    Engine::open(path, &Options::default()).unwrap()
}

fn replica(path: &Path) -> Engine {
    Engine::open(path, &Options { role: Some(Role::Replica), ..Default::default() }).unwrap()
}

fn keys(engine: &Engine, namespace: &str, range: &Range) -> Vec<String> {
    let items = engine.namespace(namespace).unwrap().items(range).unwrap();
    items.map(|item| String::from_utf8(item.unwrap().0).unwrap()).collect()
}

/// What was written is there after the engine was closed and opened again.
#[test]
fn reopen_keeps_everything() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let ns = engine.create_namespace("a", Some("token-a")).unwrap();
    ns.put(b"k", b"v").unwrap();
    ns.put_with(b"t", b"v", &WriteOptions { ttl: Some(Duration::from_secs(1000)), sync: Some(true) }).unwrap();
    engine.close().unwrap();
    assert_eq!(ns.get(b"k").unwrap_err().kind(), ErrorKind::Closed);

    let engine = open(dir.path());
    assert_eq!(engine.namespaces().unwrap(), ["__namespace", "a"]);
    let ns = engine.namespace("a").unwrap();
    assert_eq!(ns.token().unwrap().as_deref(), Some("token-a"));
    assert_eq!(ns.get(b"k").unwrap().unwrap(), b"v");
    assert!(matches!(ns.ttl(b"t").unwrap(), Ttl::Left(left) if left > Duration::from_secs(900)));
    assert!(engine.verify(pumice::Depth::Records).unwrap().is_empty());
    drop(engine);
}

/// A dataset applied to a replica comes with its namespaces, and the log goes on from there.
#[test]
fn checkpoint_and_log_reach_a_replica() {
    let dir = tempfile::tempdir().unwrap();
    let primary = open(&dir.path().join("p"));
    let a = primary.create_namespace("a", None).unwrap();
    a.put(b"1", b"one").unwrap();
    let checkpoint = primary.create_checkpoint(dir.path().join("c")).unwrap();
    assert_eq!(checkpoint.position, primary.position().unwrap());

    let replica = replica(&dir.path().join("r"));
    replica.apply_checkpoint(&checkpoint.path).unwrap();
    assert_eq!(replica.position().unwrap(), checkpoint.position);
    let on_replica = replica.namespace("a").unwrap();
    assert_eq!(on_replica.get(b"1").unwrap().unwrap(), b"one");
    assert_eq!(on_replica.put(b"x", b"y").unwrap_err().kind(), ErrorKind::ReadOnly);

    a.put(b"2", b"two").unwrap();
    primary.create_namespace("b", None).unwrap().put(b"3", b"three").unwrap();
    a.delete(b"1").unwrap();
    let mut log = primary.log(Some(&replica.position().unwrap())).unwrap();
    let mut entries = 0;
    while let Some(entry) = log.next_entry(None).unwrap() {
        replica.apply(&entry).unwrap();
        entries += 1;
    }
    assert_eq!(entries, 4);
    assert_eq!(replica.position().unwrap(), primary.position().unwrap());
    assert_eq!(replica.namespaces().unwrap(), ["__namespace", "a", "b"]);
    assert!(on_replica.get(b"1").unwrap().is_none());
    assert_eq!(replica.namespace("b").unwrap().get(b"3").unwrap().unwrap(), b"three");
    assert!(replica.verify(pumice::Depth::Records).unwrap().is_empty());
    replica.promote().unwrap();
    on_replica.put(b"x", b"y").unwrap();
    assert_ne!(replica.position().unwrap().replication_id, primary.position().unwrap().replication_id);
}

/// Keys come in order, within prefix and range, both ways, and expired ones do not come.
#[test]
fn iteration_is_ordered() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let ns = engine.create_namespace("n", None).unwrap();
    engine.create_namespace("m", None).unwrap().put(b"other", b"").unwrap();
    for key in ["b1", "a1", "b2", "c", "b3"] {
        ns.put(key.as_bytes(), b"v").unwrap();
    }
    ns.put_with(b"b0", b"v", &WriteOptions { ttl: Some(Duration::from_millis(1)), sync: None }).unwrap();
    std::thread::sleep(Duration::from_millis(5));
    let all = |range: Range| keys(&engine, "n", &range);
    assert_eq!(all(Range::default()), ["a1", "b1", "b2", "b3", "c"]);
    assert_eq!(all(Range { reverse: true, ..Default::default() }), ["c", "b3", "b2", "b1", "a1"]);
    assert_eq!(all(Range { prefix: b"b".to_vec(), ..Default::default() }), ["b1", "b2", "b3"]);
    let inner = Range { start: Some(b"b1".to_vec()), end: Some(b"b3".to_vec()), ..Default::default() };
    assert_eq!(all(inner.clone()), ["b1", "b2"]);
    assert_eq!(all(Range { reverse: true, ..inner }), ["b2", "b1"]);
    assert_eq!(ns.count().unwrap(), 5);
    ns.clear().unwrap();
    assert!(ns.is_empty().unwrap());
    assert!(!engine.namespace("m").unwrap().is_empty().unwrap());
}

/// The log of data that a Kvrocks wrote without replication ids can be read from its start, what was written since included.
#[test]
fn log_of_kvrocks_data_without_ids() {
    let dir = tempfile::tempdir().unwrap();
    support::copy_tree(&support::fixture("plain-wal").join("db"), &dir.path().join("db"));
    let engine = open(dir.path());
    engine.default_namespace().put(b"since", b"then").unwrap();
    let mut log = engine.log(None).unwrap();
    let (mut entries, mut last) = (0, None);
    while let Some(entry) = log.next_entry(None).unwrap() {
        entries += 1;
        last = Some(entry);
    }
    assert!(entries > 400, "{entries}");
    assert_eq!(engine.changes(&last.unwrap()).unwrap()[0].key, b"since");
    assert_eq!(*log.position(), engine.position().unwrap());
}

/// A follower that waits at the tail is told of a promotion with the position that is in the history from then on.
#[test]
fn waiting_follower_sees_a_promotion() {
    let dir = tempfile::tempdir().unwrap();
    let primary = open(&dir.path().join("p"));
    primary.default_namespace().put(b"k", b"v").unwrap();
    let checkpoint = primary.create_checkpoint(dir.path().join("c")).unwrap();
    let replica = replica(&dir.path().join("r"));
    replica.apply_checkpoint(&checkpoint.path).unwrap();
    let mut log = replica.log(Some(&replica.position().unwrap())).unwrap();
    let waiter = std::thread::spawn(move || {
        let entry = log.next_entry(Some(Duration::MAX)).unwrap().unwrap();
        (entry, log.position().clone())
    });
    std::thread::sleep(Duration::from_millis(50));
    replica.promote().unwrap();
    let (entry, position) = waiter.join().unwrap();
    assert_eq!(entry.replication_id, checkpoint.position.replication_id);
    assert_eq!(position, replica.position().unwrap());
    assert!(replica.log(Some(&position)).unwrap().next_entry(None).unwrap().is_none());
}

/// Close from the progress callback of an apply ends the apply with Closed, and the directory is free afterwards.
#[test]
fn close_inside_an_apply() {
    let dir = tempfile::tempdir().unwrap();
    let primary = open(&dir.path().join("p"));
    primary.create_namespace("new", None).unwrap();
    let checkpoint = primary.create_checkpoint(dir.path().join("c")).unwrap();
    let path = dir.path().join("r");
    let engine = replica(&path);
    let error = engine
        .apply_checkpoint_watched(&checkpoint.path, false, &mut |_| {
            engine.close().unwrap();
            std::ops::ControlFlow::Continue(())
        })
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    assert_eq!(open(&path).namespaces().unwrap(), ["__namespace"]);
    assert_eq!(std::fs::read_dir(path.join("generations")).unwrap().count(), 2, "the generation and its history");
}

/// A snapshot of a replaced dataset that outlives the engine leaves nothing behind when it goes.
#[test]
fn snapshot_outlives_its_engine() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("e");
    let engine = open(&path);
    let checkpoint = engine.create_checkpoint(dir.path().join("c")).unwrap();
    let snapshot = engine.snapshot().unwrap();
    engine.apply_checkpoint(&checkpoint.path).unwrap();
    drop(engine);
    drop(snapshot);
    let left: Vec<_> = std::fs::read_dir(path.join("generations")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    open(&path).close().unwrap();
}

/// A checkpoint is not made where the engine keeps and deletes files of its own.
#[test]
fn checkpoints_lie_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("e");
    let engine = open(&path);
    std::fs::create_dir(path.join("checkpoints")).unwrap();
    for inside in
        ["generations/000009", "generations/000001/sub", "db/sub", "checkpoints/x", "checkpoints/a/b", "../e/db/sub"]
    {
        let refused = engine.create_checkpoint(path.join(inside));
        assert!(matches!(refused, Err(e) if e.kind() == ErrorKind::InvalidArgument), "{inside}");
        assert!(!path.join(inside).exists(), "{inside}");
    }
    engine.create_checkpoint(path.join("backup")).unwrap();
    drop(engine);
    open(&path).close().unwrap();
    assert!(path.join("backup").join("CURRENT").exists());
}

/// An iteration that meets a damaged block answers Corruption once and is at its end then.
#[test]
fn iteration_over_damage_ends() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    for key in 0..20_000 {
        engine.default_namespace().put(format!("{key:06}").as_bytes(), &[b'x'; 100]).unwrap();
    }
    engine.create_checkpoint(dir.path().join("flushed")).unwrap();
    engine.close().unwrap();
    let folder = std::fs::canonicalize(dir.path().join("db")).unwrap();
    let largest = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "sst"))
        .max_by_key(|path| path.metadata().unwrap().len())
        .unwrap();
    let mut bytes = std::fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 4].iter_mut().for_each(|byte| *byte ^= 0xFF);
    std::fs::remove_file(&largest).unwrap();
    std::fs::write(&largest, bytes).unwrap();

    let engine = open(dir.path());
    let items: Vec<_> = engine.default_namespace().items(&Range::default()).unwrap().collect();
    let failed = items.iter().position(Result::is_err).expect("a damaged block");
    assert_eq!(items[failed].as_ref().unwrap_err().kind(), ErrorKind::Corruption);
    assert_eq!(failed, items.len() - 1, "nothing comes after the failure");
    assert!(failed > 1000, "what lies before it comes");
    let findings = engine.verify(pumice::Depth::Records).unwrap();
    assert!(findings.iter().any(|finding| finding.what == "checksums"), "{findings:?}");
    assert!(findings.iter().any(|finding| finding.what == "record"), "{findings:?}");
}

/// An entry with keys of the cluster layout is refused by a replica in the standalone one, however empty it is.
#[test]
fn entries_of_another_layout() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = Options { cluster: Some(true), ..Default::default() };
    let primary = Engine::open(dir.path().join("p"), &cluster).unwrap();
    primary.default_namespace().put(b"k", b"v").unwrap();
    let replica = replica(&dir.path().join("r"));
    let entry = primary.log(Some(&replica.position().unwrap())).unwrap().next_entry(None).unwrap().unwrap();
    let error = replica.apply(&entry).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains("cluster"), "{error}");
    assert_eq!(replica.position().unwrap().sequence, 0);
}

/// A batch that was begun in one key layout does not write into the other.
#[test]
fn batch_across_a_change_of_layout() {
    let dir = tempfile::tempdir().unwrap();
    support::copy_tree(&support::fixture("cluster-zstd").join("backup"), &dir.path().join("b"));
    let engine = open(&dir.path().join("e"));
    let mut batch = engine.batch();
    batch.put(&engine.default_namespace(), b"k", b"v").unwrap();
    engine.apply_checkpoint(dir.path().join("b")).unwrap();
    assert_eq!(engine.info().unwrap().layout, "cluster");
    assert_eq!(batch.commit(None).unwrap_err().kind(), ErrorKind::Busy);
    engine.default_namespace().put(b"k", b"v").unwrap();
    assert_eq!(engine.default_namespace().get(b"k").unwrap().unwrap(), b"v");
}

/// A flush of a read-only engine has nothing to do and does no harm.
#[test]
fn flush_read_only() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).close().unwrap();
    let engine = Engine::open(dir.path(), &Options { read_only: true, ..Default::default() }).unwrap();
    engine.flush().unwrap();
    assert!(engine.verify(pumice::Depth::Checksums).unwrap().is_empty());
}

/// A write from a destructor, while the thread unwinds for a reason of its own, does not poison.
#[test]
fn write_while_unwinding() {
    struct Last(pumice::Namespace);
    impl Drop for Last {
        fn drop(&mut self) {
            self.0.put(b"last", b"words").unwrap();
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path());
    let last = Last(engine.default_namespace());
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
        let _last = last;
        panic!("not the engine's fault");
    }));
    assert!(panicked.is_err());
    assert_eq!(engine.default_namespace().get(b"last").unwrap().unwrap(), b"words");
    engine.default_namespace().put(b"k", b"v").unwrap();
}
