//! Replication where datasets are replaced under links and feeds, in both key layouts, and with several replicas on one
//! host.

mod support;

use std::ops::ControlFlow;
use std::time::Duration;

use pumice::{Engine, FollowOptions, Listener, Options, Role, ServeOptions};
use support::wire::Raw;
use support::{assert_sound, names, open, open_replica, shown, wait_until};

const SOON: Duration = Duration::from_secs(60);

fn serve(engine: &Engine) -> Listener {
    engine.serve("127.0.0.1:0", &ServeOptions::default()).unwrap()
}

fn follow(replica: &Engine, listener: &Listener) {
    replica.follow("127.0.0.1", listener.address().port(), &FollowOptions::default()).unwrap();
}

fn linked(replica: &Engine) {
    assert!(replica.wait_linked(Some(SOON), &mut |_| ControlFlow::Continue(())).unwrap(), "{:?}", replica.link());
}

#[track_caller]
fn assert_follows(replica: &Engine, primary: &Engine) {
    let there = primary.position().unwrap();
    wait_until("the replica is where its primary is", || replica.position().unwrap() == there);
    assert_eq!(shown(replica), shown(primary));
    assert_sound(replica);
}

/// Roles are handed over and back in the cluster layout too, and nothing is full-synced for it.
#[test]
fn handed_over_in_the_cluster_layout() {
    let dir = tempfile::tempdir().unwrap();
    let cluster = |name: &str, role| {
        Engine::open(dir.path().join(name), &Options { cluster: Some(true), role, ..Options::default() }).unwrap()
    };
    let (a, b) = (cluster("a", None), cluster("b", Some(Role::Replica)));
    let (at_a, at_b) = (serve(&a), serve(&b));
    a.default_namespace().put(b"{tag}k", b"of a").unwrap();
    follow(&b, &at_a);
    linked(&b);
    assert_follows(&b, &a);
    a.hand_over("127.0.0.1", at_b.address().port(), SOON).unwrap();
    assert_eq!((a.role().unwrap(), b.role().unwrap()), (Role::Replica, Role::Primary));
    b.default_namespace().put(b"{tag}k", b"of b").unwrap();
    linked(&a);
    assert_follows(&a, &b);
    wait_until("it is fed", || b.feeds().unwrap().iter().any(|feed| feed.port == at_a.address().port()));
    b.hand_over("127.0.0.1", at_a.address().port(), SOON).unwrap();
    a.default_namespace().put(b"{tag}k", b"of a again").unwrap();
    linked(&b);
    assert_follows(&b, &a);
    assert_eq!([&a, &b].map(|engine| engine.link().unwrap().map_or(0, |link| link.full_syncs)), [0, 0]);
}

/// A replica whose dataset is replaced while it follows writes no entry of its primary into the new one: it is full-synced.
#[test]
fn a_dataset_replaced_under_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let (primary, other) = (open(dir.path().join("p")), open(dir.path().join("o")));
    let replica = open_replica(dir.path().join("r"));
    let listener = serve(&primary);
    follow(&replica, &listener);
    linked(&replica);
    primary.default_namespace().put(b"k", b"of the primary").unwrap();
    assert_follows(&replica, &primary);
    // As many sequences as the primary has: the next entry would fit, by its number alone.
    while other.position().unwrap().sequence < primary.position().unwrap().sequence {
        other.default_namespace().put(b"k", b"of another").unwrap();
    }
    let checkpoint = other.create_checkpoint(dir.path().join("checkpoint")).unwrap();
    assert_eq!(checkpoint.position.sequence, primary.position().unwrap().sequence);
    let before = replica.link().unwrap().unwrap().full_syncs;
    replica.apply_checkpoint(&checkpoint.path).unwrap();
    assert_eq!(replica.default_namespace().get(b"k").unwrap().unwrap(), b"of another");
    primary.default_namespace().put(b"later", b"entry").unwrap();
    wait_until("it is full-synced", || replica.link().unwrap().unwrap().full_syncs > before);
    linked(&replica);
    assert_follows(&replica, &primary);
}

/// A feed ends with the dataset that it is of: it brings no entry of the next one, and counts for no position of it.
#[test]
fn feeds_of_a_former_dataset() {
    let dir = tempfile::tempdir().unwrap();
    let (primary, other) = (open(dir.path().join("p")), open(dir.path().join("o")));
    let replica = open_replica(dir.path().join("r"));
    let listener = serve(&primary);
    follow(&replica, &listener);
    linked(&replica);
    primary.default_namespace().put(b"k", b"v").unwrap();
    let former = primary.position().unwrap();
    let mut raw = Raw::pumice(listener.address().port());
    let next = (former.sequence + 1).to_string();
    assert_eq!(raw.ask(&["PSYNC", &former.replication_id, &next]), ["OK"]);
    wait_until("both are fed", || primary.feeds().unwrap().len() == 2);
    for n in 0..100u32 {
        other.default_namespace().put(format!("o{n}").as_bytes(), b"of another").unwrap();
    }
    let checkpoint = other.create_checkpoint(dir.path().join("checkpoint")).unwrap();
    primary.apply_checkpoint(&checkpoint.path).unwrap();
    assert!(primary.wait_acked(&former, 1, Duration::ZERO).is_err(), "it lies on no history any more");
    let now = primary.position().unwrap();
    primary.default_namespace().put(b"later", b"entry").unwrap();
    let mut frames = 0;
    while let Some(frame) = raw.bulk() {
        assert!(frame.starts_with(b"_pumice ") || frame == b"_getack", "an entry of another dataset came");
        frames += 1;
        assert!(frames < 1000, "the feed of the former dataset goes on");
    }
    linked(&replica);
    assert_eq!(primary.wait_acked(&now, 1, SOON).unwrap(), 1);
    assert_follows(&replica, &primary);
}

/// Of two replicas on one host each is waited for by itself: the checkpoint stays for the one when the other has come
/// back, and goes when both have.
#[test]
fn replicas_on_one_host() {
    let dir = tempfile::tempdir().unwrap();
    let primary = open(dir.path().join("p"));
    primary.default_namespace().put(b"k", b"v").unwrap();
    let listener = serve(&primary);
    let port = listener.address().port();
    let runs = ["oneRunOfAReplica", "anotherRunOfARep"];
    let listed = runs.map(|run| Raw::connect(port).ask(&["PUMICE", "FILES", run])[0].clone());
    assert_eq!(listed[0], listed[1]);
    let position = primary.position().unwrap();
    let next = (position.sequence + 1).to_string();
    let back = |run: &str| {
        let mut raw = Raw::connect(port);
        raw.ask(&["replconf", "pumice", "1", "layout", "standalone", "run", run]);
        assert_eq!(raw.ask(&["PSYNC", &position.replication_id, &next]), ["OK"]);
        raw
    };
    let held = || !names(&dir.path().join("p/checkpoints")).is_empty();
    let _first = back(runs[0]);
    wait_until("it is fed", || primary.feeds().unwrap().len() == 1);
    // Time for what it must not do: nothing could tell that it will not be done.
    std::thread::sleep(Duration::from_millis(500));
    assert!(held(), "it was given up with one replica still to come");
    let current = Raw::connect(port).ask(&["PUMICE", "RANGE", &listed[0], "CURRENT", "0", "16"]);
    assert!(current[0].starts_with("MANIFEST-"), "{current:?}");
    let _second = back(runs[1]);
    wait_until("the checkpoint goes", || !held());
}
