//! The engine as its users see it.

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
