//! Replication over sockets, between engines of this process.

mod support;

use std::net::TcpStream;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use pumice::{Engine, ErrorKind, FollowOptions, LinkState, Listener, Options, Peer, Role, ServeOptions};
use support::wire::Port;
use support::{Ended, assert_error, assert_sound, open, open_replica, shown, wait_until};

const SOON: Duration = Duration::from_secs(60);

fn serve(engine: &Engine) -> Listener {
    engine.serve("127.0.0.1:0", &ServeOptions::default()).unwrap()
}

fn follow(replica: &Engine, listener: &Listener) {
    let address = listener.address();
    replica.follow(&address.host(), address.port(), &FollowOptions::default()).unwrap();
}

fn linked(replica: &Engine) {
    assert!(replica.wait_linked(Some(SOON), &mut |_| ControlFlow::Continue(())).unwrap(), "{:?}", replica.link());
}

/// Waits until the replica has what its primary has, and compares all of it.
#[track_caller]
fn assert_follows(replica: &Engine, primary: &Engine) {
    let position = primary.position().unwrap();
    assert!(replica.wait_for(&position, SOON).unwrap(), "{:?}", replica.link());
    assert_eq!(replica.position().unwrap(), position);
    assert_eq!(shown(replica), shown(primary));
}

fn full_syncs(replica: &Engine) -> u64 {
    replica.link().unwrap().unwrap().full_syncs
}

/// A fresh replica brings namespaces and data, then what is written, namespaces too, without a further command.
#[test]
fn a_fresh_replica_follows() {
    let dir = tempfile::tempdir().unwrap();
    let (primary, replica) = (open(dir.path().join("p")), open_replica(dir.path().join("r")));
    for n in 0..17 {
        let namespace = primary.create_namespace(format!("ns{n}"), None).unwrap();
        (0..100).for_each(|key| namespace.put(format!("key{key}").as_bytes(), b"value").unwrap());
    }
    let listener = serve(&primary);
    follow(&replica, &listener);
    linked(&replica);
    assert_follows(&replica, &primary);
    assert_eq!(replica.namespaces().unwrap().len(), 18);
    let link = replica.link().unwrap().unwrap();
    assert_eq!((link.state, link.peer), (LinkState::Streaming, Some(Peer::Pumice)));

    let late = primary.create_namespace("late", None).unwrap();
    late.put(b"k", b"v").unwrap();
    primary.drop_namespace("ns3").unwrap();
    assert_follows(&replica, &primary);
    assert_error(replica.default_namespace().put(b"k", b"v"), ErrorKind::ReadOnly, &["replica"]);
    assert_eq!(primary.wait_acked(&primary.position().unwrap(), 1, SOON).unwrap(), 1);
    let feeds = primary.feeds().unwrap();
    assert_eq!((feeds.len(), feeds[0].peer, feeds[0].lag_sequences), (1, Peer::Pumice, 0));
    assert_sound(&replica);
    drop(listener);
}

/// 17 namespaces and 510,000 keys: the moment the data is there all namespaces are there, and readers of the replica's old
/// data see no failed read, and never one half of anything.
#[test]
fn the_whole_dataset_at_once() {
    const NAMESPACES: usize = 17;
    const KEYS: usize = 30_000;
    let dir = tempfile::tempdir().unwrap();
    let (primary, replica) = (open(dir.path().join("p")), open(dir.path().join("r")));
    for n in 0..NAMESPACES {
        let namespace = primary.create_namespace(format!("ns{n}"), None).unwrap();
        for keys in (0..KEYS).collect::<Vec<_>>().chunks(10_000) {
            let mut batch = primary.batch();
            for key in keys {
                batch.put(&namespace, format!("key{key}").as_bytes(), b"a value of some length").unwrap();
            }
            batch.commit(None).unwrap();
        }
    }
    let old = replica.create_namespace("old", None).unwrap();
    old.put(b"k", b"old").unwrap();
    let listener = serve(&primary);
    let (done, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let _ended = Ended(&done);
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let snapshot = replica.snapshot().unwrap();
                    let names = snapshot.namespaces().unwrap();
                    if names.len() == 2 {
                        let old = snapshot.namespace("old").unwrap();
                        assert_eq!(old.get(b"k").unwrap().unwrap(), b"old");
                    } else {
                        assert_eq!(names.len(), 1 + NAMESPACES);
                        let last = snapshot.namespace("ns16").unwrap();
                        assert!(last.get(format!("key{}", KEYS - 1).as_bytes()).unwrap().is_some());
                    }
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        wait_until("somebody reads", || reads.load(Ordering::Relaxed) > 0);
        follow(&replica, &listener);
        linked(&replica);
    });
    assert!(reads.load(Ordering::Relaxed) > 0);
    assert_eq!(full_syncs(&replica), 1);
    assert_eq!(replica.position().unwrap(), primary.position().unwrap());
    for n in 0..NAMESPACES {
        assert_eq!(replica.namespace(format!("ns{n}")).unwrap().count().unwrap(), KEYS as u64);
    }
    assert_sound(&replica);
}

/// A replica with another history receives the whole dataset while its readers go on, and keeps what it gave up until it
/// is told to discard it.
#[test]
fn a_diverged_engine_is_full_synced() {
    let dir = tempfile::tempdir().unwrap();
    let (primary, replica) = (open(dir.path().join("p")), open(dir.path().join("r")));
    primary.create_namespace("new", None).unwrap().put(b"k", b"new").unwrap();
    let old = replica.create_namespace("old", None).unwrap();
    old.put(b"k", b"old").unwrap();
    let reader = replica.clone();
    let (done, reads) = (AtomicBool::new(false), AtomicU64::new(0));
    let listener = serve(&primary);
    std::thread::scope(|scope| {
        let _ended = Ended(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let names = reader.namespaces().unwrap();
                assert!(names == ["__namespace", "old"] || names == ["__namespace", "new"], "{names:?}");
                reads.fetch_add(1, Ordering::Relaxed);
            }
        });
        wait_until("somebody reads", || reads.load(Ordering::Relaxed) > 0);
        follow(&replica, &listener);
        linked(&replica);
    });
    assert!(reads.load(Ordering::Relaxed) > 0);
    assert_follows(&replica, &primary);
    assert_error(old.get(b"k"), ErrorKind::NotFound, &["old"]);
    let link = replica.link().unwrap().unwrap();
    assert_eq!(link.full_syncs, 1);
    let warning = link.warning.unwrap();
    assert!(warning.contains("gave up 3 entries of its own after sequence 0"), "{warning}");
    // Nor does it go with a release.
    replica.close().unwrap();
    drop((reader, old, replica));
    let path = dir.path().join("r");
    assert_error(pumice::release(&path), ErrorKind::InvalidArgument, &["generations/000001", "discard()"]);
    let replica = open_replica(path);
    assert_eq!(replica.discard().unwrap(), 1);
    assert_eq!(replica.discard().unwrap(), 0);
}

/// A new engine that follows before anything was written to it gives up nothing, whatever it was opened as.
#[test]
fn a_new_engine_has_nothing_to_give_up() {
    let dir = tempfile::tempdir().unwrap();
    let (primary, replica) = (open(dir.path().join("p")), open(dir.path().join("r")));
    primary.create_namespace("new", None).unwrap().put(b"k", b"new").unwrap();
    let listener = serve(&primary);
    follow(&replica, &listener);
    linked(&replica);
    assert_follows(&replica, &primary);
    let link = replica.link().unwrap().unwrap();
    assert_eq!((link.full_syncs, link.warning), (1, None));
    assert_eq!(replica.discard().unwrap(), 0);
}

/// What the primary writes while the replica is away comes from the log when it is back, without a full sync: across a
/// restart of either.
#[test]
fn a_replica_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let paths = [dir.path().join("p"), dir.path().join("r")];
    let mut primary = open(&paths[0]);
    let mut replica = open_replica(&paths[1]);
    let port = Port::reserve();
    let listener = primary.serve(&port.address(), &ServeOptions::default()).unwrap();
    follow(&replica, &listener);
    linked(&replica);
    replica.close().unwrap();
    primary.default_namespace().put(b"away", b"1").unwrap();
    // It knows whom it follows.
    replica = Engine::open(&paths[1], &Options::default()).unwrap();
    linked(&replica);
    assert_follows(&replica, &primary);
    assert_eq!(full_syncs(&replica), 0);

    drop(listener);
    primary.close().unwrap();
    primary = open(&paths[0]);
    primary.default_namespace().put(b"again", b"2").unwrap();
    let _listener = primary.serve(&port.address(), &ServeOptions::default()).unwrap();
    assert_follows(&replica, &primary);
    assert_eq!(full_syncs(&replica), 0);
}

/// A detached replica takes nothing more from its primary, and stays read-only until it is promoted.
#[test]
fn detached_means_detached() {
    let dir = tempfile::tempdir().unwrap();
    let (primary, replica) = (open(dir.path().join("p")), open_replica(dir.path().join("r")));
    let listener = serve(&primary);
    follow(&replica, &listener);
    linked(&replica);
    primary.default_namespace().put(b"before", b"1").unwrap();
    assert_follows(&replica, &primary);
    replica.detach().unwrap();
    let position = replica.position().unwrap();
    primary.default_namespace().put(b"after", b"2").unwrap();
    wait_until("the feed ends", || primary.feeds().unwrap().is_empty());
    assert_eq!(replica.position().unwrap(), position);
    assert!(replica.link().unwrap().is_none());
    assert_eq!(replica.role().unwrap(), Role::Detached);
    assert_error(replica.default_namespace().put(b"k", b"v"), ErrorKind::ReadOnly, &["detached"]);
    replica.promote().unwrap();
    replica.default_namespace().put(b"k", b"v").unwrap();
    assert_error(replica.detach(), ErrorKind::InvalidArgument, &["primary"]);
}

/// A planned switch discards nothing: the former primary follows the new one from its own position.
#[test]
fn roles_are_handed_over() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (open(dir.path().join("a")), open_replica(dir.path().join("b")));
    let third = open_replica(dir.path().join("c"));
    let password = |text: &str| ServeOptions { password: Some(text.to_owned()), ..Default::default() };
    let at_a = a.serve("127.0.0.1:0", &password("pw")).unwrap();
    let options = FollowOptions { password: Some("pw".to_owned()), ..Default::default() };
    for replica in [&b, &third] {
        replica.follow("127.0.0.1", at_a.address().port(), &options).unwrap();
        linked(replica);
    }
    // The primary hears of a listener that comes later.
    let at_b = b.serve("127.0.0.1:0", &password("pw")).unwrap();
    wait_until("b is announced", || a.feeds().unwrap().iter().any(|feed| feed.port == at_b.address().port()));
    assert_eq!(full_syncs(&b), 0);
    a.create_namespace("ns", None).unwrap().put(b"k", b"v").unwrap();
    assert_error(a.hand_over("127.0.0.1", 1, SOON), ErrorKind::NotFound, &["127.0.0.1:1"]);
    a.hand_over("127.0.0.1", at_b.address().port(), SOON).unwrap();
    assert_eq!((a.role().unwrap(), b.role().unwrap()), (Role::Replica, Role::Primary));
    b.namespace("ns").unwrap().put(b"k", b"of b").unwrap();
    linked(&a);
    assert_follows(&a, &b);
    assert_eq!(full_syncs(&a), 0);
    // A former sibling goes on with the new primary from where it is.
    third.follow("127.0.0.1", at_b.address().port(), &options).unwrap();
    linked(&third);
    assert_follows(&third, &b);
    assert_eq!(full_syncs(&third), 0);
}

/// Nobody follows itself, and a wrong password is told, not tried for ever in silence.
#[test]
fn refusals_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let (primary, replica) = (open(dir.path().join("p")), open_replica(dir.path().join("r")));
    let secret = ServeOptions { password: Some("right".to_owned()), ..Default::default() };
    let listener = primary.serve("127.0.0.1:0", &secret).unwrap();
    let port = listener.address().port();
    let wrong = FollowOptions { password: Some("wrong".to_owned()), ..Default::default() };
    replica.follow("127.0.0.1", port, &wrong).unwrap();
    let told = |engine: &Engine, words: &str| {
        wait_until(words, || {
            engine.link().unwrap().and_then(|link| link.last_error).is_some_and(|error| error.contains(words))
        });
    };
    told(&replica, "Invalid password");
    let own = replica.serve("127.0.0.1:0", &ServeOptions::default()).unwrap();
    follow(&replica, &own);
    told(&replica, "itself");
    let nobody = Port::reserve();
    replica.follow("127.0.0.1", nobody.number, &FollowOptions::default()).unwrap();
    told(&replica, "refused");
    assert_error(replica.follow("", 1, &FollowOptions::default()), ErrorKind::InvalidArgument, &["host"]);
}

/// A build without TLS refuses to follow and to serve over it, and says what to build; nothing is kept of the try.
#[cfg(not(feature = "tls"))]
#[test]
fn without_tls() {
    use pumice::{TlsClient, TlsServer};
    let dir = tempfile::tempdir().unwrap();
    let replica = open_replica(dir.path().join("r"));
    let words = ["TLS", "feature `tls`"];
    let options = FollowOptions { tls: Some(TlsClient::default()), ..Default::default() };
    assert_error(replica.follow("127.0.0.1", 1, &options), ErrorKind::Unsupported, &words);
    assert!(replica.link().unwrap().is_none());
    let options = ServeOptions { tls: Some(TlsServer::default()), ..Default::default() };
    assert_error(replica.serve("127.0.0.1:0", &options), ErrorKind::Unsupported, &words);
}

fn sst_bytes(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).unwrap().flatten();
    files.filter(|f| f.path().extension().is_some_and(|e| e == "sst")).map(|f| f.metadata().unwrap().len()).sum()
}

/// A second full sync links what is here already instead of receiving it again.
#[test]
fn a_delta_sync_moves_little() {
    let dir = tempfile::tempdir().unwrap();
    let keep_little = Options { wal_keep_bytes: 1, wal_keep: Duration::from_secs(1), ..Default::default() };
    let primary = Engine::open(dir.path().join("p"), &keep_little).unwrap();
    let replica = open_replica(dir.path().join("r"));
    let namespace = primary.create_namespace("ns", None).unwrap();
    let mut random = support::Random(7);
    (0..2000).for_each(|n| namespace.put(format!("key{n}").as_bytes(), &random.bytes(1000)).unwrap());
    let listener = serve(&primary);
    follow(&replica, &listener);
    linked(&replica);
    assert_follows(&replica, &primary);
    replica.detach().unwrap();
    (0..20).for_each(|n| namespace.put(format!("key{n}").as_bytes(), &random.bytes(1000)).unwrap());
    // Its own writes: only a full sync helps.
    replica.promote().unwrap();
    replica.default_namespace().put(b"own", b"entry").unwrap();
    let moved = AtomicU64::new(0);
    let reused = AtomicU64::new(0);
    follow(&replica, &listener);
    wait_until("the full sync is done", || {
        if let Some(sync) = replica.link().unwrap().and_then(|link| link.sync) {
            moved.fetch_max(sync.bytes_done - sync.bytes_reused, Ordering::Relaxed);
            reused.fetch_max(sync.bytes_reused, Ordering::Relaxed);
        }
        replica.link().unwrap().unwrap().state == LinkState::Streaming
    });
    assert_follows(&replica, &primary);
    assert_eq!(full_syncs(&replica), 1);
    assert!(sst_bytes(&dir.path().join("r/db")) > 1_500_000);
    println!("moved {moved:?}, reused {reused:?}");
}

/// Each waiter is woken when what it waits for is there, whoever waits for more or for less beside it.
#[test]
fn waiters_are_woken() {
    let dir = tempfile::tempdir().unwrap();
    let engine = open(dir.path().join("p"));
    let before = engine.position().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for more in [3, 1, 2, 1, 3] {
            let position = pumice::Position { sequence: before.sequence + more, ..before.clone() };
            let (engine, tell) = (&engine, tell.clone());
            scope.spawn(move || tell.send((more, engine.wait_for(&position, 10 * SOON))).unwrap());
        }
        for (more, waiters) in [(1, 2), (2, 1), (3, 2)] {
            engine.default_namespace().put(b"k", b"v").unwrap();
            for _ in 0..waiters {
                let (woken, there) = told.recv_timeout(SOON).unwrap();
                assert_eq!((woken, there.unwrap()), (more, true));
            }
        }
    });
}

/// An engine that is dropped or closed while it feeds and follows is gone at once.
#[test]
fn closing_ends_all() {
    let dir = tempfile::tempdir().unwrap();
    let (primary, replica) = (open(dir.path().join("p")), open_replica(dir.path().join("r")));
    let port = Port::reserve();
    let listener = primary.serve(&port.address(), &ServeOptions::default()).unwrap();
    follow(&replica, &listener);
    linked(&replica);
    primary.close().unwrap();
    assert!(TcpStream::connect(port.address()).is_err());
    drop(primary);
    drop(open(dir.path().join("p")));
    drop(replica);
    drop(open_replica(dir.path().join("r")));
}
