//! Clusters of engines and real Kvrocks', managed with the same commands. Needs `PUMICE_KVROCKS`, the path of a server.

mod support;

use std::path::Path;

use pumice::{Depth, Engine, Listener, Options, Peer, Role, ServeOptions};
use support::kvrocks::{Server, say};
use support::{assert_sound, wait_until};

const PASSWORD: &str = "rootpw";

fn id(letter: char) -> String {
    letter.to_string().repeat(40)
}

/// A Kvrocks of a cluster; `None`, said aloud, where there is no server.
fn kvrocks(dir: &Path) -> Option<Server> {
    Server::start(dir, &format!("cluster-enabled yes\nrequirepass {PASSWORD}\nmasterauth {PASSWORD}"))
}

/// An engine of a cluster, and its listener.
struct Member {
    engine: Engine,
    listener: Listener,
}

impl Member {
    fn start(dir: &Path) -> Member {
        let engine = Engine::open(dir, &Options { cluster: Some(true), ..Default::default() }).unwrap();
        let options = ServeOptions { password: Some(PASSWORD.to_owned()), ..Default::default() };
        let listener = engine.serve("127.0.0.1:0", &options).unwrap();
        Member { engine, listener }
    }

    fn port(&self) -> u16 {
        self.listener.address().port()
    }

    fn has(&self, key: &str) -> bool {
        self.engine.default_namespace().exists(key.as_bytes()).unwrap()
    }

    fn put(&self, key: &str) {
        assert_eq!(ask(self.port(), &["SET", key, "v"]), "+OK");
    }
}

fn ask(port: u16, words: &[&str]) -> String {
    say(port, PASSWORD, &[words]).pop().unwrap_or_default()
}

/// Whether a node has a key, its primary's or its own.
fn has(port: u16, key: &str) -> bool {
    say(port, PASSWORD, &[&["READONLY"], &["GET", key]]).pop().is_some_and(|value| value == "v")
}

#[track_caller]
fn set_nodes(port: u16, version: u64, nodes: &[String]) {
    let reply = ask(port, &["CLUSTERX", "SETNODES", &nodes.join("\n"), &version.to_string()]);
    assert_eq!(reply, "+OK", "version {version} on port {port}");
}

fn primary(letter: char, port: u16, slots: &str) -> String {
    format!("{} 127.0.0.1 {port} master - {slots}", id(letter))
}

fn replica(letter: char, port: u16, of: char) -> String {
    format!("{} 127.0.0.1 {port} slave {}", id(letter), id(of))
}

/// CLUSTER NODES without times and without who was asked, in the order of ids.
fn nodes(port: u16) -> Vec<String> {
    let shown = ask(port, &["CLUSTER", "NODES"]).replace("myself,", "");
    let line = |line: &str| {
        let words = line.split(' ').enumerate().filter(|(n, _)| *n != 4 && *n != 5).map(|(_, word)| word);
        words.collect::<Vec<_>>().join(" ")
    };
    let mut lines: Vec<String> = shown.lines().map(line).collect();
    lines.sort();
    lines
}

/// Waits until they all show the same, which a Kvrocks that loads a dataset does not yet.
#[track_caller]
fn agree(ports: &[u16], count: usize) {
    let sorted = |text: String| {
        // The order of replicas is that of a hash map in a Kvrocks.
        let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        words.sort();
        words
    };
    let seen = |&port: &u16| {
        let [info, slots] = ["INFO", "SLOTS"].map(|what| ask(port, &["CLUSTER", what]));
        (nodes(port), info, sorted(slots))
    };
    let mut last = Vec::new();
    for _ in 0..1000 {
        last = ports.iter().map(seen).collect();
        if last.iter().all(|shown| shown.0.len() == count && *shown == last[0]) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("they do not agree: {last:#?}");
}

fn role(port: u16) -> String {
    ask(port, &["ROLE"]).split(' ').next().unwrap_or_default().to_owned()
}

/// A Pumice follows a Kvrocks, then the Kvrocks follows it, by the same commands. A Kvrocks that the topology leaves out is
/// fed no more by a Pumice, though it does not hear of it; a Pumice that it leaves out stops at once, and goes on where it is
/// listed again.
#[test]
fn a_mixed_cluster() {
    let dir = tempfile::tempdir().unwrap();
    let Some(k) = kvrocks(&dir.path().join("k")) else { return };
    let Some(l) = kvrocks(&dir.path().join("l")) else { return };
    let p = Member::start(&dir.path().join("p"));
    let ports = [p.port(), k.port, l.port];
    let set =
        |ports: &[u16], version: u64, nodes: &[String]| ports.iter().for_each(|port| set_nodes(*port, version, nodes));

    let one = [primary('k', k.port, "0-16383"), replica('l', l.port, 'k'), replica('p', p.port(), 'k')];
    set(&[k.port, l.port, p.port()], 1, &one);
    agree(&ports, 3);
    assert_eq!(ask(k.port, &["SET", "first", "v"]), "+OK");
    wait_until("all have it", || p.has("first") && has(l.port, "first") && has(p.port(), "first"));
    assert_eq!((role(p.port()).as_str(), p.engine.role().unwrap()), ("slave", Role::Replica));
    assert_eq!(p.engine.link().unwrap().unwrap().peer, Some(Peer::Kvrocks));
    let moved = |port: u16| format!("-MOVED 11149 127.0.0.1:{port}");
    assert_eq!([p.port(), l.port].map(|port| ask(port, &["GET", "first"])), [(); 2].map(|()| moved(k.port)));
    let information = ask(k.port, &["INFO", "replication"]);
    assert!(information.contains(&format!("port={}", p.port())), "{information}");

    // The roles change.
    let two = [primary('p', p.port(), "0-16383"), replica('k', k.port, 'p'), replica('l', l.port, 'p')];
    set(&ports, 2, &two);
    agree(&ports, 3);
    p.put("second");
    wait_until("all have it", || has(k.port, "second") && has(l.port, "second"));
    // Not before that: a Kvrocks that is asked for it while it loads a dataset dies.
    assert_eq!(ports.map(role), ["master", "slave", "slave"]);
    assert_eq!([k.port, l.port].map(|port| ask(port, &["GET", "first"])), [(); 2].map(|()| moved(p.port())));
    wait_until("both are fed", || p.engine.feeds().unwrap().len() == 2);
    assert!(ask(p.port(), &["INFO", "replication"]).contains("connected_slaves:2"));

    // A Kvrocks that hears nothing of its removal asks in vain (upstream #2841).
    let three = [primary('p', p.port(), "0-16383"), replica('k', k.port, 'p')];
    set(&[p.port(), k.port], 3, &three);
    agree(&[p.port(), k.port], 2);
    let fed = || p.engine.feeds().unwrap().iter().map(|feed| feed.port).collect::<Vec<_>>();
    assert!(!fed().contains(&l.port), "{:?}", fed());
    p.put("third");
    wait_until("the other one has it", || has(k.port, "third"));
    let down = || ask(l.port, &["INFO", "replication"]).contains("master_link_status:down");
    wait_until("the removed one notices", down);
    p.put("fourth");
    wait_until("the other one has it", || has(k.port, "fourth"));
    assert_eq!(fed(), [k.port]);
    assert!(!has(l.port, "third") && !has(l.port, "fourth"));

    // A Pumice that is removed stops before it answers (upstream #2618).
    let four = [primary('k', k.port, "0-16383"), replica('l', l.port, 'k')];
    set(&ports, 4, &four);
    agree(&ports, 2);
    assert_eq!((p.engine.role().unwrap(), p.engine.link().unwrap()), (Role::Detached, None));
    assert_eq!(p.engine.feeds().unwrap(), []);
    assert_eq!(role(k.port), "master");
    assert_eq!(ask(k.port, &["SET", "fifth", "v"]), "+OK");
    wait_until("the other one has it", || has(l.port, "fifth"));
    assert!(p.has("fourth") && !p.has("fifth"));
    assert_eq!(ask(p.port(), &["GET", "first"]), moved(k.port));

    // As a replica that is removed.
    let five = [primary('k', k.port, "0-16383"), replica('l', l.port, 'k'), replica('p', p.port(), 'k')];
    set(&ports, 5, &five);
    agree(&ports, 3);
    wait_until("it goes on", || p.has("fifth") && has(l.port, "third"));
    set(&ports, 6, &four);
    assert_eq!((p.engine.role().unwrap(), p.engine.link().unwrap()), (Role::Detached, None));
    assert_eq!(ask(k.port, &["SET", "sixth", "v"]), "+OK");
    wait_until("the other one has it", || has(l.port, "sixth"));
    assert!(!p.has("sixth"));
    set(&ports, 7, &five);
    wait_until("it goes on", || p.has("sixth"));
    assert_sound(&p.engine);
    assert_eq!(p.engine.verify(Depth::Quick).unwrap(), []);
}

/// A Kvrocks that its primary lists by a name that is not found is not fed, and comes again. It goes on when it is known.
#[test]
fn a_name_that_is_not_found() {
    let dir = tempfile::tempdir().unwrap();
    let Some(k) = kvrocks(&dir.path().join("k")) else { return };
    let p = Member::start(&dir.path().join("p"));
    let listed = |host| [primary('p', p.port(), "0-16383"), replica('k', k.port, 'p').replace("127.0.0.1", host)];
    set_nodes(k.port, 1, &listed("127.0.0.1"));
    // By another name than it announces itself.
    set_nodes(p.port(), 1, &listed("localhost"));
    p.put("first");
    wait_until("it has it", || has(k.port, "first"));
    set_nodes(p.port(), 2, &listed("nowhere.invalid"));
    assert_eq!(p.engine.feeds().unwrap(), []);
    p.put("second");
    let link = |status: &str| ask(k.port, &["INFO", "replication"]).contains(&format!("master_link_status:{status}"));
    wait_until("it is not fed", || link("down"));
    let full_syncs = || {
        let stats = ask(p.port(), &["INFO", "stats"]);
        stats.lines().find(|line| line.starts_with("sync_full:")).map(str::to_owned).unwrap_or(stats)
    };
    let before = full_syncs();
    set_nodes(p.port(), 3, &listed("localhost"));
    wait_until("it goes on", || link("up") && has(k.port, "second"));
    assert_eq!(full_syncs(), before, "by the log");
}

/// A Pumice and a Kvrocks that share the slots send clients to each other, and take the same changes.
#[test]
fn slots_of_both() {
    let dir = tempfile::tempdir().unwrap();
    let Some(k) = kvrocks(&dir.path().join("k")) else { return };
    let p = Member::start(&dir.path().join("p"));
    let ports = [p.port(), k.port];
    let halves = [primary('p', p.port(), "0-8191"), primary('k', k.port, "8192-16380")];
    for port in ports {
        set_nodes(port, 1, &halves);
    }
    agree(&ports, 2);
    // bar 5061, foo 12182, wat41 16095.
    for (words, replies) in [
        (&["SET", "foo", "1"][..], [format!("-MOVED 12182 127.0.0.1:{}", k.port), "+OK".to_owned()]),
        (&["SET", "bar", "1"], ["+OK".to_owned(), format!("-MOVED 5061 127.0.0.1:{}", p.port())]),
        (
            &["MGET", "foo", "bar"],
            [(); 2].map(|()| "-CROSSSLOT Attempted to access keys that don't hash to the same slot".to_owned()),
        ),
    ] {
        assert_eq!(ports.map(|port| ask(port, words)), replies, "{words:?}");
    }
    let [to_k, to_p] = [id('k'), id('p')];
    // Not to an unknown node: a Kvrocks refuses that too, and dies of the next CLUSTER NODES.
    for (slots, node, version) in [
        ("5061 16383 7-9", &to_k, "2"),
        ("5061", &to_k, "2"),
        ("5061", &to_k, "4"),
        ("16384", &to_k, "3"),
        ("9-7", &to_k, "3"),
        ("12182", &to_p, "3"),
    ] {
        let [ours, theirs] = ports.map(|port| ask(port, &["CLUSTERX", "SETSLOT", slots, "NODE", node, version]));
        assert_eq!(ours, theirs, "{slots}");
    }
    agree(&ports, 2);
    assert_eq!(ports.map(|port| ask(port, &["CLUSTERX", "VERSION"])), ["3", "3"]);
    assert_eq!(ask(p.port(), &["GET", "bar"]), format!("-MOVED 5061 127.0.0.1:{}", k.port));
    assert_eq!(ask(k.port, &["GET", "foo"]), format!("-MOVED 12182 127.0.0.1:{}", p.port()));

    // What is wrong is refused by both in the same words.
    let (a, b) = (id('a'), id('b'));
    for text in [
        String::new(),
        "x".to_owned(),
        format!("{a}a h 1 master -"),
        format!("{a} h 1 slave zz"),
        format!("{a} h x master -"),
        format!("{a} h 65536 master -"),
        format!("{a} h 1 nope -"),
        format!("{a} h 1 master - 16384"),
        format!("{a} h 1 master - x"),
        format!("{a} h 1 master - 0-9 9"),
        format!("{a} h 1 master {b} 0-9"),
        format!("{a} h 1 slave {b} 0-9"),
        format!("{a} h 1 master - 0-9 {b} h 2 slave {a}"),
    ] {
        let [ours, theirs] = ports.map(|port| ask(port, &["CLUSTERX", "SETNODES", &text, "9"]));
        assert!(ours == theirs && ours.starts_with("-ERR "), "{text}: {ours}, {theirs}");
    }
    for words in [
        &["CLUSTER", "NOPE"][..],
        &["CLUSTERX", "NOPE"],
        &["CLUSTER", "KEYSLOT", "foo"],
        &["CLUSTERX", "SETNODES", "x", "y"],
        &["CLUSTERX", "SETNODES", "x", "9", "y"],
        &["CLUSTERX", "SETNODES", "x", "-1"],
        &["CLUSTER", "REPLICAS", "x"],
        &["CLUSTER", "REPLICAS", &to_p],
        &["SLAVEOF", "127.0.0.1"],
    ] {
        let [ours, theirs] = ports.map(|port| ask(port, words));
        assert_eq!(ours, theirs, "{words:?}");
    }
}
