//! Topologies: what is wished and what runs, among engines of this process.

mod support;

use std::time::{Duration, Instant};

use pumice::{
    Depth, Engine, ErrorKind, EventKind, FollowOptions, LinkState, Node, Options, Role, ServeOptions, Topology,
    TopologyOptions,
};
use support::wire::{Port, Raw};

fn id(letter: char) -> String {
    letter.to_string().repeat(40)
}

/// An engine that listens, and its node.
struct Member {
    engine: Engine,
    listener: pumice::Listener,
    letter: char,
    at: Port,
}

impl Member {
    fn start(dir: &std::path::Path, letter: char) -> Member {
        let options = Options { role: Some(Role::Detached), ..Default::default() };
        let engine = Engine::open(dir.join(letter.to_string()), &options).unwrap();
        Member::of(engine, letter)
    }

    fn of(engine: Engine, letter: char) -> Member {
        let options = ServeOptions { password: Some("secret".into()), ..Default::default() };
        let at = Port::reserve();
        let listener = engine.serve(&at.address(), &options).unwrap();
        Member { engine, listener, letter, at }
    }

    fn port(&self) -> u16 {
        self.listener.address().port()
    }

    fn primary(&self) -> Node {
        Node::primary(id(self.letter), "127.0.0.1", self.port())
    }

    fn replica_of(&self, primary: &Member) -> Node {
        Node::replica(id(self.letter), "127.0.0.1", self.port(), id(primary.letter))
    }

    fn set(&self, version: u64, nodes: &[Node]) -> bool {
        let topology = Topology::new(version, nodes.to_vec()).unwrap();
        self.engine.set_topology(&topology, &id(self.letter), &TopologyOptions::default()).unwrap()
    }

    fn converged(&self) -> bool {
        self.engine.topology().unwrap().converged
    }
}

#[track_caller]
fn until(what: &str, mut there: impl FnMut() -> bool) {
    let began = Instant::now();
    while !there() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}: not within a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn put(member: &Member, key: &str) {
    member.engine.default_namespace().put(key.as_bytes(), b"value").unwrap();
}

fn has(member: &Member, key: &str) -> bool {
    member.engine.default_namespace().get(key.as_bytes()).unwrap().is_some()
}

/// One call on each node makes roles and links, a second one swaps them, and no data is lost on the way.
#[test]
fn roles_swap() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = ['a', 'b'].map(|letter| Member::start(dir.path(), letter));
    let one = [a.primary(), b.replica_of(&a)];
    assert!(a.set(1, &one) && b.set(1, &one));
    assert!(!a.set(1, &one), "no news");
    put(&a, "first");
    until("b has it", || has(&b, "first"));
    until("b converges", || b.converged());
    let status = b.engine.topology().unwrap();
    assert_eq!((status.version, status.role, status.nodes.len()), (Some(1), Role::Replica, 2));
    assert_eq!(status.desired, Some(("127.0.0.1".to_owned(), a.port())));
    assert_eq!(status.actual.unwrap().state, LinkState::Streaming);
    assert_eq!(b.engine.default_namespace().put(b"k", b"v").unwrap_err().kind(), ErrorKind::ReadOnly);

    // The replica hears of it first, and is refused until its new primary has heard too.
    let two = [b.primary(), a.replica_of(&b)];
    b.set(2, &two);
    assert_eq!(b.engine.role().unwrap(), Role::Primary);
    put(&b, "second");
    a.set(2, &two);
    assert_eq!(a.engine.feeds().unwrap(), []);
    until("a has it", || has(&a, "second"));
    until("both converge", || a.converged() && b.converged());
    assert_eq!(a.engine.topology().unwrap().epoch, 2);
    assert!(has(&a, "first") && has(&b, "first"));
    for member in [&a, &b] {
        assert_eq!(member.engine.verify(Depth::Quick).unwrap(), []);
    }
    assert_eq!(a.engine.link().unwrap().unwrap().full_syncs, 0, "the histories are one");
}

/// A node that is listed no more has no link when the call returns, keeps its data and takes no writes; its primary has no
/// feed of it, refuses it, and says why.
#[test]
fn removal() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b, c] = ['a', 'b', 'c'].map(|letter| Member::start(dir.path(), letter));
    let one = [a.primary(), b.replica_of(&a), c.replica_of(&a)];
    for member in [&a, &b, &c] {
        member.set(1, &one);
    }
    put(&a, "first");
    until("all have it", || has(&b, "first") && has(&c, "first") && a.engine.feeds().unwrap().len() == 2);

    // Only the primary hears of it: the feed ends, and is refused from then on.
    let two = [a.primary(), c.replica_of(&a)];
    a.set(2, &two);
    assert_eq!(a.engine.feeds().unwrap().len(), 1);
    put(&a, "second");
    until("c has it", || has(&c, "second"));
    until("b is told why", || {
        let reason = b.engine.topology().unwrap().reason;
        reason.is_some_and(|reason| reason.contains("topology version 2 does not list node b"))
    });
    assert!(!has(&b, "second") && !b.engine.verify(Depth::Quick).unwrap().is_empty());

    // And the node itself: at once detached, readable, read-only.
    b.set(2, &two);
    assert_eq!((b.engine.role().unwrap(), b.engine.link().unwrap()), (Role::Detached, None));
    assert!(has(&b, "first") && b.converged());
    let refused = b.engine.default_namespace().put(b"k", b"v").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ReadOnly);
    assert!(refused.message().contains("topology version 2 does not list it"), "{refused}");
    b.engine.promote().unwrap();
    put(&b, "its own");
    assert_eq!(b.engine.topology().unwrap().epoch, 3);

    // Listed again: what it wrote alone is given up, and told.
    let events = b.engine.events().unwrap();
    for member in [&a, &b, &c] {
        member.set(4, &one);
    }
    until("b has it", || has(&b, "second") && !has(&b, "its own"));
    let told = std::iter::from_fn(|| events.next(Some(Duration::from_secs(5))))
        .find(|event| event.kind == EventKind::Divergence);
    assert!(told.is_some_and(|event| event.message.contains("2 ")), "entries lost are named");
}

/// While a topology lists a node, orders by hand are refused and name the version; a restart changes nothing.
#[test]
fn governed() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = ['a', 'b'].map(|letter| Member::start(dir.path(), letter));
    let one = [a.primary(), b.replica_of(&a)];
    b.set(7, &one);
    a.set(7, &one);
    until("b converges", || b.converged());
    let orders = [
        b.engine.promote(),
        b.engine.detach(),
        b.engine.follow("127.0.0.1", a.port(), &Default::default()),
        a.engine.follow("127.0.0.1", b.port(), &Default::default()),
        a.engine.hand_over("127.0.0.1", b.port(), Duration::from_secs(5)),
    ];
    for order in orders {
        let refused = order.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
        assert!(refused.message().contains("topology version 7 governs this node"), "{refused}");
    }
    put(&a, "still");
    until("b has it", || has(&b, "still"));

    b.listener.close();
    b.engine.close().unwrap();
    let b = Engine::open(dir.path().join("b"), &Options::default()).unwrap();
    put(&a, "later");
    until("b goes on by itself", || b.default_namespace().get(b"later").unwrap().is_some());
    assert_eq!(b.topology().unwrap().version, Some(7));
}

/// The version that governs, with other nodes, is refused, told as an event and found by verify.
#[test]
fn conflict() {
    let dir = tempfile::tempdir().unwrap();
    let a = Member::start(dir.path(), 'a');
    let nodes = [a.primary()];
    a.set(3, &nodes);
    let events = a.engine.events().unwrap();
    assert!(!a.set(3, &[a.primary(), Node::primary(id('x'), "127.0.0.1", 1)]));
    let event = events.next(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(event.kind, EventKind::Topology);
    assert!(event.message.contains("version 3 was set again with other nodes"), "{}", event.message);
    assert!(a.engine.verify(Depth::Quick).unwrap().iter().any(|finding| finding.what == "topology"));
    assert_eq!(a.engine.topology().unwrap().nodes, nodes);
    let lower = Topology::new(2, nodes.to_vec()).unwrap();
    let refused = a.engine.set_topology(&lower, &id('a'), &TopologyOptions::default()).unwrap_err();
    assert!(refused.message().contains("got 2, expected more than 3"), "{refused}");
    let force = TopologyOptions { force: true, ..Default::default() };
    assert!(a.engine.set_topology(&lower, &id('a'), &force).unwrap());
    assert_eq!(a.engine.verify(Depth::Quick).unwrap(), []);
}

/// A primary that a node with a higher epoch comes to takes no writes from then on, and its stream is refused.
#[test]
fn fencing() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b, c] = ['a', 'b', 'c'].map(|letter| Member::start(dir.path(), letter));
    let one = [a.primary(), b.replica_of(&a), c.replica_of(&a)];
    for member in [&a, &b, &c] {
        member.set(1, &one);
    }
    put(&a, "first");
    until("all have it", || has(&b, "first") && has(&c, "first"));
    // The old primary does not hear of it.
    let two = [b.primary(), c.replica_of(&b)];
    b.set(2, &two);
    c.set(2, &two);
    until("c follows b", || c.converged());
    put(&a, "under 1");
    put(&b, "under 2");
    until("c has it", || has(&c, "under 2"));
    // Somebody sends c back to it.
    let three = [a.primary(), c.replica_of(&a)];
    c.set(3, &three);
    until("a stops", || !a.converged());
    let refused = a.engine.default_namespace().put(b"k", b"v").unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ReadOnly);
    assert!(refused.message().contains("took over"), "{refused}");
    assert_eq!(a.engine.feeds().unwrap(), []);
    assert!(has(&c, "under 2") && !has(&c, "under 1"));
    // It survives a restart, and ends with the topology that says so.
    a.listener.close();
    a.engine.close().unwrap();
    let at = a.at;
    let engine = Engine::open(dir.path().join("a"), &Options::default()).unwrap();
    assert_eq!(engine.default_namespace().put(b"k", b"v").unwrap_err().kind(), ErrorKind::ReadOnly);
    let options = ServeOptions { password: Some("secret".into()), ..Default::default() };
    let listener = engine.serve(&at.address(), &options).unwrap();
    let a = Member { engine, listener, letter: 'a', at };
    a.set(3, &three);
    put(&a, "under 3");
    until("c has it", || has(&c, "under 3"));
}

/// Two nodes know one dataset since different ids of it, because they took it at different times. Once both have followed one
/// primary they fence each other all the same.
#[test]
fn one_dataset() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b, c] = ['a', 'b', 'c'].map(|letter| Member::start(dir.path(), letter));
    let source = dir.path().join("source");
    let engine = Engine::open(&source, &Options::default()).unwrap();
    engine.default_namespace().put(b"first", b"value").unwrap();
    let earlier = Member::of(engine, 'k');
    let options = FollowOptions { password: Some("secret".into()), ..Default::default() };
    a.engine.follow("127.0.0.1", earlier.port(), &options).unwrap();
    until("a has it", || has(&a, "first"));
    drop(earlier);
    // Opened anew it has another id.
    let later = Member::of(Engine::open(&source, &Options::default()).unwrap(), 'k');
    a.engine.follow("127.0.0.1", later.port(), &options).unwrap();
    put(&later, "second");
    until("a has it", || has(&a, "second"));
    assert_eq!(a.engine.link().unwrap().unwrap().full_syncs, 0, "it knows both ids");
    // The others see it as it is now, as in the folder of a Kvrocks.
    for member in [&b, &c] {
        let folder = dir.path().join(format!("backup-{}", member.letter));
        later.engine.create_checkpoint(&folder).unwrap();
        std::fs::remove_file(folder.join("PUMICE-MANIFEST")).unwrap();
        member.engine.apply_checkpoint(&folder).unwrap();
        assert!(has(member, "second"));
    }
    drop(later);

    let one = [a.primary(), b.replica_of(&a), c.replica_of(&a)];
    for member in [&a, &b, &c] {
        member.set(1, &one);
    }
    until("both follow a", || b.converged() && c.converged());
    for member in [&b, &c] {
        assert_eq!(member.engine.link().unwrap().unwrap().full_syncs, 0, "it goes on from there");
    }
    // The old primary does not hear of the new one, before somebody comes who knows.
    let two = [b.primary(), c.replica_of(&b)];
    b.set(2, &two);
    c.set(2, &two);
    until("c follows b", || c.converged());
    c.set(3, &[a.primary(), c.replica_of(&a)]);
    until("a stops", || !a.converged());
    assert_eq!(a.engine.default_namespace().put(b"k", b"v").unwrap_err().kind(), ErrorKind::ReadOnly);
}

/// A replica that streams hears of its primary's next epoch without a break of the link.
#[test]
fn epochs_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = ['a', 'b'].map(|letter| Member::start(dir.path(), letter));
    let nodes = [a.primary(), b.replica_of(&a)];
    a.set(1, &nodes);
    b.set(1, &nodes);
    until("b converges", || b.converged());
    let since = b.engine.link().unwrap().unwrap().since_ms;
    a.set(5, &nodes);
    until("b has heard", || b.engine.topology().unwrap().epoch == 5);
    assert_eq!(b.engine.link().unwrap().unwrap().since_ms, since);
}

/// A replica without a node id, as a Kvrocks is, is known by the address that it announced: as the topology has it, or by what
/// its name stands for. A name that stands for nothing now is not known yet, and whoever might be meant is not fed; a topology
/// does not wait for any name.
#[test]
fn names() {
    let dir = tempfile::tempdir().unwrap();
    let a = Member::start(dir.path(), 'a');
    let ask = |port: &str, ip: &str, words: &[&str]| {
        let mut raw = Raw::connect(a.port());
        assert_eq!(raw.ask(&["AUTH", "secret"]), ["OK"]);
        let announced = raw.ask(&["replconf", "listening-port", port, "ip-address", ip]);
        assert_eq!(announced, ["OK"]);
        let reply = raw.ask(words).join(" ");
        (reply, raw)
    };
    let psync = |port, ip| ask(port, ip, &["psync", "1"]);
    let fed = |count: usize| until("so many are fed", || a.engine.feeds().unwrap().len() == count);
    let replica = |letter, host, port| Node::replica(id(letter), host, port, id('a'));
    let (b, c) = (replica('b', "localhost", 7001), replica('c', "nowhere.invalid", 7002));
    let nodes = [a.primary(), b.clone(), c];

    // Fed before there is a topology: which of its nodes that is must be looked up, so it has to come again.
    a.engine.promote().unwrap();
    let before = psync("7001", "127.0.0.1");
    assert_eq!(before.0, "OK");
    fed(1);
    a.set(1, &nodes);
    assert_eq!(a.engine.feeds().unwrap(), []);
    for (port, ip, expected) in [
        ("7001", "127.0.0.1", "OK"),
        ("7001", "localhost", "OK"),
        ("7001", "10.0.0.1", "UNLISTED"),
        ("7001", "elsewhere.invalid", "LOADING"),
        ("7002", "nowhere.invalid", "OK"),
        ("7002", "127.0.0.1", "LOADING"),
        ("7003", "127.0.0.1", "UNLISTED"),
    ] {
        let (reply, _raw) = psync(port, ip);
        assert!(reply.starts_with(expected), "{ip}:{port}: {reply}");
    }
    fed(0);

    // It goes on over a topology that has it at the same address, and ends with one that does not.
    let feeds = [psync("7001", "127.0.0.1"), psync("7002", "nowhere.invalid")];
    fed(2);
    a.set(2, &nodes);
    assert_eq!(a.engine.feeds().unwrap().len(), 2);
    a.set(3, &[a.primary(), replica('b', "localhost", 7009), replica('c', "nowhere.invalid", 7002)]);
    assert_eq!(a.engine.feeds().unwrap().len(), 1);
    drop(feeds);

    // Files are for the hosts of replicas, whatever their ports.
    let files = || ask("7001", "127.0.0.1", &["_fetch_meta"]).0;
    assert!(files().contains(','), "{}", files());
    a.set(4, &[a.primary(), replica('c', "nowhere.invalid", 7002)]);
    assert!(files().starts_with("TRYAGAIN"), "{}", files());
    a.set(5, &[a.primary(), replica('c', "10.0.0.1", 7002)]);
    assert!(files().starts_with("UNLISTED"), "{}", files());
}

/// A thousand topologies in a row leave no thread, socket or file behind.
#[test]
fn no_leaks() {
    let dir = tempfile::tempdir().unwrap();
    let [a, b] = ['a', 'b'].map(|letter| Member::start(dir.path(), letter));
    let count = |what: &str| std::fs::read_dir(format!("/proc/self/{what}")).map_or(0, Iterator::count);
    let nodes = |n: u64| match n % 3 {
        0 => vec![a.primary(), b.replica_of(&a)],
        1 => vec![b.primary(), a.replica_of(&b)],
        _ => vec![a.primary()],
    };
    let turn = |versions: std::ops::Range<u64>| {
        for version in versions {
            a.set(version, &nodes(version));
            b.set(version, &nodes(version));
        }
    };
    turn(1..10);
    until("both converge", || a.converged() && b.converged());
    let settled = || (count("task"), count("fd"));
    let before = settled();
    turn(10..1000);
    turn(1000..1003);
    until("both converge", || a.converged() && b.converged());
    until("what ran has ended", || {
        let after = settled();
        after.0 <= before.0 + 4 && after.1 <= before.1 + 8
    });
}
