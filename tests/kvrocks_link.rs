//! Replication with a real Kvrocks, both ways. Needs `PUMICE_KVROCKS`, the path of a server.

mod support;

use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::process::Stdio;
use std::time::Duration;

use pumice::{Engine, FollowOptions, LinkState, Options, Peer, ServeOptions};
use support::commands::{MAIN, OWN, SPECIAL, Words};
use support::kvrocks::{Server, say, say_at_once, spawn};
use support::wire::{Fault, Proxy};
use support::{Random, assert_sound, open, open_replica, wait_until};

const SOON: Duration = Duration::from_secs(60);

fn linked(engine: &Engine) {
    assert!(engine.wait_linked(Some(SOON), &mut |_| ControlFlow::Continue(())).unwrap(), "{:?}", engine.link());
}

fn follow(engine: &Engine, server: &Server, password: Option<&str>) {
    let options = FollowOptions { password: password.map(str::to_owned), ..Default::default() };
    engine.follow("127.0.0.1", server.port, &options).unwrap();
    linked(engine);
}

fn value(engine: &Engine, namespace: &str, key: &str) -> Option<String> {
    let namespace = engine.namespace(namespace).ok()?;
    namespace.get(key.as_bytes()).unwrap().map(|value| String::from_utf8_lossy(&value).into_owned())
}

fn follows(settings: &str) {
    let dir = tempfile::tempdir().unwrap();
    let settings = format!("requirepass rootpw\nrepl-namespace-enabled yes\n{settings}");
    let Some(mut server) = Server::start(&dir.path().join("k"), &settings) else { return };
    let root = |words: &[&str]| server.ask("rootpw", words);
    assert_eq!(root(&["NAMESPACE", "ADD", "alpha", "tok-alpha"]), "+OK");
    for n in 0..100 {
        assert_eq!(root(&["SET", &format!("key{n}"), &format!("value{n}")]), "+OK");
        assert_eq!(server.ask("tok-alpha", &["SET", &format!("key{n}"), &format!("alpha{n}")]), "+OK");
    }
    // The log no longer has all: only a full sync brings it.
    let replica = open(dir.path().join("r"));
    replica.default_namespace().put(b"own", b"entry").unwrap();
    follow(&replica, &server, Some("rootpw"));
    let link = replica.link().unwrap().unwrap();
    assert_eq!((link.peer, link.full_syncs), (Some(Peer::Kvrocks), 1));
    assert_eq!(value(&replica, "alpha", "key7").as_deref(), Some("alpha7"));
    assert_eq!(value(&replica, "__namespace", "own"), None);

    // While it follows: entries, a namespace, a FLUSHDB.
    root(&["SET", "more", "1"]);
    root(&["NAMESPACE", "ADD", "beta", "tok-beta"]);
    server.ask("tok-beta", &["SET", "in", "beta"]);
    wait_until("the namespace comes", || value(&replica, "beta", "in").as_deref() == Some("beta"));
    server.ask("tok-beta", &["FLUSHDB"]);
    wait_until("the flush comes", || value(&replica, "beta", "in").is_none());
    assert_eq!(replica.namespaces().unwrap(), ["__namespace", "alpha", "beta"]);

    // A restart of each side: the log goes on.
    server.restart();
    server.ask("rootpw", &["SET", "after", "restart"]);
    wait_until("it goes on", || value(&replica, "__namespace", "after").as_deref() == Some("restart"));
    assert_eq!(replica.link().unwrap().unwrap().full_syncs, 1);
    replica.close().unwrap();
    server.ask("rootpw", &["SET", "away", "1"]);
    let replica = open(dir.path().join("r"));
    linked(&replica);
    wait_until("it goes on", || value(&replica, "__namespace", "away").as_deref() == Some("1"));
    assert_eq!(replica.link().unwrap().unwrap().full_syncs, 0);

    for (key, stored) in server.all("rootpw") {
        assert_eq!(value(&replica, "__namespace", &key), Some(stored));
    }
    assert_sound(&replica);
}

/// A Kvrocks as it is by default, which sends no ids, is followed: by a full sync, by its log, across restarts.
#[test]
fn a_kvrocks_is_followed() {
    follows("");
}

/// And one that sends ids.
#[test]
fn a_kvrocks_with_ids_is_followed() {
    follows("use-rsid-psync yes");
}

/// An empty replica takes the whole log of a Kvrocks that still has it, without a full sync.
#[test]
fn an_empty_replica_takes_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let Some(server) = Server::start(&dir.path().join("k"), "") else { return };
    server.ask("", &["SET", "k", "v"]);
    let replica = open_replica(dir.path().join("r"));
    follow(&replica, &server, None);
    wait_until("it comes", || value(&replica, "__namespace", "k").as_deref() == Some("v"));
    assert_eq!(replica.link().unwrap().unwrap().full_syncs, 0);
}

fn feeds(settings: &str) {
    let dir = tempfile::tempdir().unwrap();
    let primary = open(dir.path().join("p"));
    let namespace = primary.create_namespace("alpha", Some("tok-alpha")).unwrap();
    for n in 0..100 {
        namespace.put(format!("key{n}").as_bytes(), format!("alpha{n}").as_bytes()).unwrap();
    }
    let options = ServeOptions { password: Some("rootpw".to_owned()), ..Default::default() };
    let listener = primary.serve("127.0.0.1:0", &options).unwrap();
    let settings = format!(
        "requirepass rootpw\nmasterauth rootpw\nrepl-namespace-enabled yes\nslaveof 127.0.0.1 {}\n{settings}",
        listener.address().port()
    );
    let Some(mut server) = Server::start(&dir.path().join("k"), &settings) else { return };
    wait_until("it has the data", || server.ask("rootpw", &["NAMESPACE", "GET", "alpha"]) == "tok-alpha");
    wait_until("it has the data", || server.ask("tok-alpha", &["GET", "key99"]) == "alpha99");
    namespace.put(b"more", b"1").unwrap();
    wait_until("it goes on", || server.ask("tok-alpha", &["GET", "more"]) == "1");
    primary.create_namespace("beta", Some("tok-beta")).unwrap().put(b"in", b"beta").unwrap();
    wait_until("the namespace comes", || server.ask("rootpw", &["NAMESPACE", "GET", "beta"]) == "tok-beta");
    wait_until("its data comes", || server.ask("tok-beta", &["GET", "in"]) == "beta");
    namespace.clear().unwrap();
    wait_until("the clear comes", || server.ask("tok-alpha", &["GET", "more"]) == "(nil)");
    let feeds = primary.feeds().unwrap();
    assert_eq!((feeds.len(), feeds[0].peer, feeds[0].port), (1, Peer::Kvrocks, server.port));
    server.ask("rootpw", &["CONFIG", "REWRITE"]);
    server.ask("rootpw", &["SHUTDOWN"]);
    server.process.wait().unwrap();
    namespace.put(b"away", b"2").unwrap();
    server.process = spawn(&server.binary, &server.configuration);
    server.wait();
    wait_until("it comes back", || server.ask("tok-alpha", &["GET", "away"]) == "2");
    let offset = server.ask("rootpw", &["INFO", "replication"]);
    assert!(offset.contains(&format!("slave_repl_offset:{}", primary.position().unwrap().sequence)), "{offset}");
}

/// A Kvrocks as it is by default follows an engine: its data, what is written then, and again after a restart.
#[test]
fn a_kvrocks_follows() {
    feeds("");
}

/// And one that asks with ids.
#[test]
fn a_kvrocks_with_ids_follows() {
    feeds("use-rsid-psync yes");
}

/// A Kvrocks that follows has what random commands of every type leave that came in pipelines.
#[test]
fn a_kvrocks_follows_pipelines() {
    let dir = tempfile::tempdir().unwrap();
    let primary = open(dir.path().join("p"));
    let listener = primary.serve("127.0.0.1:0", &ServeOptions::default()).unwrap();
    let port = listener.address().port();
    let Some(server) = Server::start(&dir.path().join("k"), &format!("slaveof 127.0.0.1 {port}")) else { return };
    let seed = support::redis::seed();
    let mut random = Random(seed);
    let mut words = Words::new(seed, &[&MAIN[..], &SPECIAL, &OWN].concat());
    let before = primary.position().unwrap().sequence;
    let (mut asked, mut done) = (0, 0);
    for _ in 0..200 {
        let requests: Vec<Vec<String>> = (0..2 + random.below(40)).map(|_| words.any().1).collect();
        asked += requests.len();
        done += say_at_once(port, &requests).iter().filter(|reply| !reply.starts_with('-')).count();
    }
    let written = primary.position().unwrap().sequence - before;
    assert!(done > asked / 2 && written > 500, "{done} of {asked}, {written} records");
    let offset = format!("slave_repl_offset:{}", primary.position().unwrap().sequence);
    wait_until("it has all", || server.ask("", &["INFO", "replication"]).contains(&offset));

    let keys = say(port, "", &[&["KEYS", "*"]]).concat();
    let mut seen = 0;
    for key in keys.split_whitespace() {
        let kind = server.ask("", &["TYPE", key]);
        let form: &[&str] = match kind.as_str() {
            "+string" => &["GET", key],
            "+hash" => &["HGETALL", key],
            "+list" => &["LRANGE", key, "0", "-1"],
            "+set" => &["SMEMBERS", key],
            "+zset" => &["ZRANGE", key, "0", "-1", "WITHSCORES"],
            "+bitmap" => &["BITCOUNT", key],
            "+sortedint" => &["SIRANGE", key, "0", "1000"],
            "+stream" => &["XRANGE", key, "-", "+"],
            "+hyperloglog" => &["PFCOUNT", key],
            "+MBbloom--" => &["BF.MEXISTS", key, "m0", "m1", "m2", "m3", "m4", "m5", "m6", "m7"],
            _ => &["EXISTS", key],
        };
        let counted = match kind.as_str() {
            "+hash" => "HLEN",
            "+list" => "LLEN",
            "+set" => "SCARD",
            "+zset" => "ZCARD",
            _ => "EXISTS",
        };
        let requests: [&[&str]; 4] = [&["TYPE", key], &["PEXPIRETIME", key], &[counted, key], form];
        assert_eq!(say(server.port, "", &requests), say(port, "", &requests), "{key}");
        seen += 1;
    }
    assert!(seen > 20, "{seen} keys");
    assert_sound(&primary);
}

/// What a Kvrocks needs to speak TLS on a port of its own; `None`, said aloud, when it was built without it.
#[cfg(feature = "tls")]
fn speaks_tls() -> Option<(support::wire::Port, String)> {
    let Some(binary) = std::env::var_os("PUMICE_KVROCKS") else {
        support::skipped("PUMICE_KVROCKS is not set");
        return None;
    };
    let binary = std::fs::read(binary).unwrap();
    let option = b"tls-replication";
    if !binary.windows(option.len()).any(|window| window == option) {
        support::skipped("PUMICE_KVROCKS was built without TLS");
        return None;
    }
    let reserved = support::wire::Port::reserve();
    let port = reserved.number;
    let pem = support::fixture("tls");
    let pem = pem.display();
    Some((
        reserved,
        format!(
            "requirepass rootpw\nmasterauth rootpw\nrepl-namespace-enabled yes\ntls-port {port}\n\
             tls-cert-file {pem}/node.pem\ntls-key-file {pem}/node.key\ntls-ca-cert-file {pem}/ca.pem\n"
        ),
    ))
}

/// A Kvrocks is followed on its TLS port, through a full sync, and shown a certificate of ours.
#[cfg(feature = "tls")]
#[test]
fn a_kvrocks_is_followed_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let Some((port, settings)) = speaks_tls() else { return };
    let Some(server) = Server::start(&dir.path().join("k"), &settings) else { return };
    for n in 0..100 {
        assert_eq!(server.ask("rootpw", &["SET", &format!("key{n}"), &format!("value{n}")]), "+OK");
    }
    let replica = open(dir.path().join("r"));
    replica.default_namespace().put(b"own", b"entry").unwrap();
    let pem = support::fixture("tls");
    let tls = pumice::TlsClient {
        ca: pem.join("ca.pem"),
        certificate: Some(pem.join("node.pem")),
        key: Some(pem.join("node.key")),
        server_name: None,
    };
    let options = FollowOptions { password: Some("rootpw".to_owned()), tls: Some(tls), ..Default::default() };
    replica.follow("127.0.0.1", port.number, &options).unwrap();
    linked(&replica);
    let link = replica.link().unwrap().unwrap();
    assert_eq!((link.peer, link.full_syncs), (Some(Peer::Kvrocks), 1));
    assert_eq!(value(&replica, "__namespace", "key7").as_deref(), Some("value7"));
    server.ask("rootpw", &["SET", "more", "1"]);
    wait_until("it goes on", || value(&replica, "__namespace", "more").as_deref() == Some("1"));
    assert_sound(&replica);
}

/// A Kvrocks with `tls-replication` follows an engine whose listener speaks TLS, through a full sync.
#[cfg(feature = "tls")]
#[test]
fn a_kvrocks_follows_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let Some((_port, settings)) = speaks_tls() else { return };
    let primary = open(dir.path().join("p"));
    let namespace = primary.create_namespace("alpha", Some("tok-alpha")).unwrap();
    (0..100).for_each(|n| namespace.put(format!("key{n}").as_bytes(), format!("alpha{n}").as_bytes()).unwrap());
    let pem = support::fixture("tls");
    let tls = pumice::TlsServer {
        certificate: pem.join("node.pem"),
        key: pem.join("node.key"),
        client_ca: Some(pem.join("ca.pem")),
        peer_ca: None,
    };
    let options = ServeOptions { password: Some("rootpw".to_owned()), tls: Some(tls), ..Default::default() };
    let listener = primary.serve("127.0.0.1:0", &options).unwrap();
    let slaveof = format!("tls-replication yes\nslaveof 127.0.0.1 {}\n", listener.address().port());
    let Some(server) = Server::start(&dir.path().join("k"), &(settings + &slaveof)) else { return };
    wait_until("it has the data", || server.ask("tok-alpha", &["GET", "key99"]) == "alpha99");
    namespace.put(b"more", b"1").unwrap();
    wait_until("it goes on", || server.ask("tok-alpha", &["GET", "more"]) == "1");
    assert_eq!(primary.feeds().unwrap()[0].peer, Peer::Kvrocks);
}

/// The unchanging ones of the files that one request asks for.
fn files_of(request: &str) -> Vec<String> {
    request.split(',').filter(|name| name.ends_with(".sst")).map(str::to_owned).collect()
}

/// A full sync from a Kvrocks over connections that break goes on: files that were there whole are not asked for again.
/// Then the log, with connections that break, and a kill of either side.
#[test]
fn a_kvrocks_is_followed_over_a_bad_line() {
    let dir = tempfile::tempdir().unwrap();
    // Small files, so that some are whole when a connection breaks.
    let settings = "rocksdb.target_file_size_base 1\nrocksdb.write_buffer_size 1\nrocksdb.disable_auto_compactions yes";
    let Some(mut server) = Server::start(&dir.path().join("k"), settings) else { return };
    let mut random = Random(4);
    server.fill("first", 1200, &mut random);
    let replica = open(dir.path().join("r"));
    // Only a full sync helps.
    replica.default_namespace().put(b"own", b"entry").unwrap();
    let proxy = Proxy::to(server.port);
    // The link's connection, the one for the names, then those for files.
    let cut = |bytes| Fault { cut: Some(bytes), piece: Some(20_000) };
    let first = [Fault::default(), Fault::default()].into_iter().chain([3_500_000; 4].map(cut));
    proxy.next(first);
    replica.follow("127.0.0.1", proxy.port, &FollowOptions::default()).unwrap();
    linked(&replica);
    let asked: Vec<Vec<String>> =
        proxy.asked().iter().filter(|words| words.contains(".sst")).map(|words| files_of(words)).collect();
    assert!(asked.len() > 1, "nothing broke: {asked:?}");
    for tries in asked.windows(2) {
        let less = tries[1].iter().all(|name| tries[0].contains(name)) && tries[1].len() < tries[0].len();
        assert!(less, "files that were there whole were asked for again: {asked:?}");
    }
    assert_eq!(replica.link().unwrap().unwrap().full_syncs, 1);

    proxy.random(Some((Random(8), 400_000)));
    for part in 0..3 {
        server.fill(&format!("later{part}-"), 100, &mut random);
        proxy.cut();
    }
    proxy.random(None);
    proxy.cut();
    let has = |engine: &Engine, key: &str| engine.default_namespace().get(key.as_bytes()).unwrap().is_some();
    wait_until("the log comes", || has(&replica, "later2-99"));
    server.kill();
    server.ask("", &["SET", "after", "kill"]);
    wait_until("it goes on", || value(&replica, "__namespace", "after").as_deref() == Some("kill"));
    assert_eq!(replica.link().unwrap().unwrap().full_syncs, 1);
    for (key, _) in server.all("").iter().step_by(50) {
        assert!(has(&replica, key), "{key} is missing");
    }
    assert_sound(&replica);
}

/// Follows in a process of its own, which is killed.
#[test]
fn child() {
    let Some((job, paths)) = support::job() else { return };
    assert_eq!(job, "follow");
    let replica = open_replica(&paths[0]);
    let port = std::env::var("PUMICE_PORT").unwrap().parse().unwrap();
    replica.follow("127.0.0.1", port, &FollowOptions::default()).unwrap();
    linked(&replica);
    println!("\nfollows");
    std::thread::sleep(SOON);
}

/// A replica of a Kvrocks that is killed while it follows goes on by the log when it is back.
#[test]
fn a_killed_replica_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let Some(server) = Server::start(&dir.path().join("k"), "") else { return };
    let path = dir.path().join("r");
    let mut random = Random(6);
    for round in 0..4 {
        let mut child = support::process("follow", &[&path]);
        let mut child = child.env("PUMICE_PORT", server.port.to_string()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "follows"), "round {round}");
        server.fill(&format!("round{round}-"), 20 + random.below(100), &mut random);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let replica = open(&path);
    linked(&replica);
    server.ask("", &["SET", "last", "1"]);
    wait_until("it goes on", || value(&replica, "__namespace", "last").is_some());
    assert_eq!(replica.link().unwrap().unwrap().full_syncs, 0);
    let keys = server.all("").len();
    assert_eq!(support::shown(&replica)["__namespace"].len(), keys);
    assert_sound(&replica);
}

/// The data of namespaces that a Kvrocks keeps in its configuration file is followed and can be read; the link warns.
#[test]
fn namespaces_of_a_configuration_file() {
    let dir = tempfile::tempdir().unwrap();
    let settings = "requirepass rootpw\nrepl-namespace-enabled no\nnamespace.alpha tok-alpha";
    let Some(server) = Server::start(&dir.path().join("k"), settings) else { return };
    assert_eq!(server.ask("tok-alpha", &["SET", "in", "alpha"]), "+OK");
    let replica = open_replica(dir.path().join("r"));
    follow(&replica, &server, Some("rootpw"));
    wait_until("its data comes", || value(&replica, "alpha", "in").as_deref() == Some("alpha"));
    assert_eq!(replica.namespaces().unwrap(), ["__namespace"]);
    assert_eq!(replica.unregistered_namespaces().unwrap(), [b"alpha"]);
    let warning = replica.link().unwrap().unwrap().warning.unwrap();
    assert!(warning.contains("keeps 1 namespaces in its configuration file"), "{warning}");
}

/// A Kvrocks in cluster mode is refused by a replica with the other layout, which says why, and followed by one with its.
#[test]
fn a_kvrocks_in_cluster_mode() {
    let dir = tempfile::tempdir().unwrap();
    let Some(server) = Server::start(&dir.path().join("k"), "cluster-enabled yes") else { return };
    let id = "a".repeat(40);
    server.ask("", &["CLUSTERX", "SETNODEID", &id]);
    let nodes = format!("{id} 127.0.0.1 {} master - 0-16383", server.port);
    assert_eq!(server.ask("", &["CLUSTERX", "SETNODES", &nodes, "1"]), "+OK");
    assert_eq!(server.ask("", &["SET", "k", "v"]), "+OK");
    let replica = open(dir.path().join("r"));
    replica.default_namespace().put(b"own", b"1").unwrap();
    replica.follow("127.0.0.1", server.port, &FollowOptions::default()).unwrap();
    wait_until("it is refused", || {
        let link = replica.link().unwrap().unwrap();
        let told = link.last_error.is_some_and(|error| error.contains("cluster") && error.contains("standalone"));
        told && link.state == LinkState::Waiting && link.full_syncs == 0
    });
    assert_eq!(value(&replica, "__namespace", "own").as_deref(), Some("1"));
    let options = Options { cluster: Some(true), ..Default::default() };
    let replica = Engine::open(dir.path().join("c"), &options).unwrap();
    follow(&replica, &server, None);
    wait_until("it comes", || value(&replica, "__namespace", "k").as_deref() == Some("v"));
}

/// A Kvrocks that follows over a bad line, and a primary that is killed, has everything in the end.
#[test]
fn a_kvrocks_follows_over_a_bad_line() {
    let dir = tempfile::tempdir().unwrap();
    let primary = open(dir.path().join("p"));
    let namespace = primary.default_namespace();
    let mut random = Random(5);
    (0..500).for_each(|n| namespace.put(format!("key{n}").as_bytes(), &random.bytes(10_000)).unwrap());
    let listener = primary.serve("127.0.0.1:0", &ServeOptions::default()).unwrap();
    let port = listener.address().port();
    let proxy = Proxy::to(port);
    let cut = |bytes| Fault { cut: Some(bytes), piece: None };
    proxy.next([cut(1_000_000), cut(2_000_000), cut(100), cut(3_000_000)]);
    let Some(mut server) = Server::start(&dir.path().join("k"), &format!("slaveof 127.0.0.1 {}", proxy.port)) else {
        return;
    };
    let same = |server: &Server, key: &str| server.ask("", &["STRLEN", key]) == ":10000";
    wait_until("it has the data", || same(&server, "key499"));
    (500..600).for_each(|n| namespace.put(format!("key{n}").as_bytes(), &random.bytes(10_000)).unwrap());
    server.kill();
    wait_until("it comes back", || same(&server, "key599"));
    // What is closed and opened again is another process to its replicas.
    primary.close().unwrap();
    let primary = open(dir.path().join("p"));
    let listener = primary.serve("127.0.0.1:0", &ServeOptions::default()).unwrap();
    proxy.lead_to(listener.address().port());
    (600..700).for_each(|n| {
        primary.default_namespace().put(format!("key{n}").as_bytes(), &random.bytes(10_000)).unwrap();
    });
    wait_until("it goes on", || same(&server, "key699"));
    assert!((0..700).all(|n| same(&server, &format!("key{n}"))));
}
