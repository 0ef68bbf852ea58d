//! CLUSTER and CLUSTERX, and which keys are served where.

use pumice::{Engine, Listener, Node, Options, Role, ServeOptions, Topology, TopologyOptions};
use tempfile::TempDir;

use super::support::{open, quick_dir, wait_until};
use super::{Client, Served, converse};

pub const DOWN: &str = "-CLUSTERDOWN The cluster is not initialized";
const DISABLED: &str = "-ERR Cluster mode is not enabled";
const CLUSTER: &str = "-ERR CLUSTER command, CLUSTER INFO|NODES|SLOTS|KEYSLOT|RESET|REPLICAS";
const CLUSTERX: &str = "-ERR CLUSTERX command, CLUSTERX VERSION|MYID|SETNODEID|SETNODES|SETSLOT|MIGRATE";

fn id(letter: char) -> String {
    letter.to_string().repeat(40)
}

/// An engine in cluster layout that is served.
struct Member {
    listener: Listener,
    engine: Engine,
    dir: TempDir,
}

impl Member {
    fn start(options: &ServeOptions) -> Member {
        let dir = quick_dir();
        let engine = Engine::open(dir.path(), &Options { cluster: Some(true), ..Default::default() }).unwrap();
        let listener = engine.serve("127.0.0.1:0", options).unwrap();
        Member { listener, engine, dir }
    }

    fn open() -> Member {
        Member::start(&ServeOptions::default())
    }

    fn client(&self) -> Client {
        Client::of(self.listener.address())
    }

    fn port(&self) -> u16 {
        self.listener.address().port()
    }
}

/// Bytes in a shown bulk string as lines, times replaced.
fn lines(shown: &str) -> Vec<String> {
    let text = shown.trim_matches('"').replace("\\r\\n", "\\n");
    let line = |line: &str| {
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        if words.len() >= 8 {
            let [before, now] = [4, 5].map(|n| words[n].parse::<u64>().unwrap());
            assert!(now > 1_600_000_000_000 && before == now - 1, "{line}");
            (words[4], words[5]) = ("-".to_owned(), "-".to_owned());
        }
        words.join(" ")
    };
    text.split("\\n").filter(|text| !text.is_empty()).map(line).collect()
}

#[track_caller]
fn set_nodes(client: &mut Client, version: u64, nodes: &[String]) {
    let reply = client.ask(&["CLUSTERX", "SETNODES", &nodes.join("\n"), &version.to_string()]);
    assert_eq!(reply, "+OK");
}

/// Before a topology is set nothing is known of it; where there are no slots, not even that there could be.
#[test]
fn before_a_topology() {
    let [cluster, standalone] = [true, false];
    for mode in [cluster, standalone] {
        let dir = quick_dir();
        let engine = Engine::open(dir.path(), &Options { cluster: Some(mode), ..Default::default() }).unwrap();
        let listener = engine.serve("127.0.0.1:0", &ServeOptions::default()).unwrap();
        let mut client = Client::of(listener.address());
        let replicas = format!("CLUSTER REPLICAS {}", id('a'));
        for query in ["CLUSTER INFO", "CLUSTER NODES", "CLUSTER SLOTS", "CLUSTER SHARDS", &replicas] {
            converse(&mut client, &[(query, if mode { DOWN } else { DISABLED })]);
        }
        converse(
            &mut client,
            &[
                ("CLUSTER KEYSLOT foo", if mode { ":12182" } else { DISABLED }),
                ("CLUSTER MYID", if mode { "\"\"" } else { DISABLED }),
                ("CLUSTERX VERSION", "\"-1\""),
                ("CLUSTERX MYID", "\"\""),
                ("INFO cluster", &format!("\"# Cluster\\r\\ncluster_enabled:{}\\r\\n\"", u8::from(mode))),
                ("SET foo 1", "+OK"),
                ("MSET foo 1 bar 2", "+OK"),
                ("READONLY", "+OK"),
                ("READWRITE", "+OK"),
                ("READONLY x", "-ERR wrong number of arguments"),
                ("CLUSTER", "-ERR wrong number of arguments"),
                ("CLUSTER NOPE", CLUSTER),
                ("CLUSTER INFO x", CLUSTER),
                ("CLUSTER KEYSLOT", CLUSTER),
                ("CLUSTERX", "-ERR wrong number of arguments"),
                ("CLUSTERX NOPE", CLUSTERX),
                ("CLUSTERX VERSION x", CLUSTERX),
                ("CLUSTERX SETNODEID", CLUSTERX),
                ("CLUSTERX SETNODEID short", CLUSTERX),
                ("CLUSTERX SETNODES x", CLUSTERX),
                ("CLUSTERX SETNODES  1", "-ERR Invalid cluster nodes info"),
                ("CLUSTERX SETNODES x -1", "-ERR Invalid cluster version"),
                ("CLUSTERX SETNODES x -1 force", "-ERR Invalid cluster version"),
                ("CLUSTERX SETNODES x y", "-ERR Invalid version"),
                ("CLUSTERX SETNODES x 99999999999999999999", "-ERR Invalid version"),
                ("CLUSTERX SETNODES x 1 nope", "-ERR Invalid setnodes options"),
                ("CLUSTERX SETNODES x 1 force z", "-ERR Invalid setnodes options"),
                (&format!("CLUSTERX SETSLOT 0 NODE {} 1", id('a')), "-ERR Invalid cluster version"),
                ("CLUSTERX MIGRATE", "-ERR wrong number of arguments"),
            ],
        );
        for unsupported in
            [&["CLUSTERX", "MIGRATE", "0", &id('a')][..], &["CLUSTER", "IMPORT", "0", "1"], &["CLUSTER", "RESET"]]
        {
            let reply = client.ask(unsupported);
            assert!(reply.starts_with("-ERR CLUSTER") && reply.contains("is not supported: "), "{reply}");
        }
    }
}

/// What a controller sets is shown field for field as a Kvrocks shows it, in the order of the topology, and still governs
/// when the directory is opened again.
#[test]
fn a_topology_is_shown() {
    let member = Member::open();
    let client = &mut member.client();
    let (a, b, c, port) = (id('a'), id('b'), id('c'), member.port());
    let nodes = [
        format!("{a} 127.0.0.1 {port} master - 0-100 102 200-16000"),
        format!("{b} 127.0.0.1 2 slave {a}"),
        format!("{c} 127.0.0.1 3 master - 101"),
    ];
    set_nodes(client, 7, &nodes);
    let bus = u32::from(port) + 10_000;
    let info = [
        "cluster_state:ok",
        "cluster_slots_assigned:15904",
        "cluster_slots_ok:15904",
        "cluster_slots_pfail:0",
        "cluster_slots_fail:0",
        "cluster_known_nodes:3",
        "cluster_size:2",
        "cluster_current_epoch:7",
        "cluster_my_epoch:7",
    ];
    let listed = [
        format!("{a} 127.0.0.1:{port}@{bus} myself,master - - - 7 connected 0-100 102 200-16000"),
        format!("{b} 127.0.0.1:2@10002 slave {a} - - 7 connected"),
        format!("{c} 127.0.0.1:3@10003 master - - - 7 connected 101"),
    ];
    let address = |port: u16, id: &str| format!("[\"127.0.0.1\" :{port} \"{id}\"]");
    let (own, replica, other) = (address(port, &a), address(2, &b), address(3, &c));
    let slots = format!(
        "[[:0 :100 {own} {replica}] [:101 :101 {other}] [:102 :102 {own} {replica}] [:200 :16000 {own} {replica}]]"
    );
    let sequence = member.engine.position().unwrap().sequence;
    let shard_member = |id: &str, port: u16, role: &str, offset: u64, health: &str| {
        format!(
            "[\"id\" \"{id}\" \"port\" :{port} \"ip\" \"127.0.0.1\" \"endpoint\" \"127.0.0.1\" \"role\" \"{role}\" \
             \"replication-offset\" :{offset} \"health\" \"{health}\"]"
        )
    };
    let shards = format!(
        "[[\"slots\" [:0 :100 :102 :102 :200 :16000] \"nodes\" [{} {}]] [\"slots\" [:101 :101] \"nodes\" [{}]]]",
        shard_member(&a, port, "master", sequence, "online"),
        shard_member(&b, 2, "replica", 0, "loading"),
        shard_member(&c, 3, "master", 0, "online"),
    );
    assert_eq!(lines(&client.ask(&["CLUSTER", "INFO"])), info);
    assert_eq!(lines(&client.ask(&["CLUSTER", "NODES"])), listed);
    assert_eq!(lines(&client.ask(&["CLUSTER", "REPLICAS", &a])), [listed[1].clone()]);
    converse(
        client,
        &[
            ("CLUSTER SLOTS", &slots),
            ("cluster shards", &shards),
            ("CLUSTERX VERSION", "\"7\""),
            ("CLUSTERX MYID", &format!("\"{a}\"")),
            ("CLUSTER MYID", &format!("\"{a}\"")),
            (&format!("CLUSTER REPLICAS {b}"), "-ERR The node isn't a master"),
            (&format!("CLUSTER REPLICAS {c}"), "\"\""),
            ("CLUSTER REPLICAS d", "-ERR Invalid cluster node id"),
        ],
    );

    // Persisted: another process finds it.
    let Member { listener, engine, dir } = member;
    listener.close();
    engine.close().unwrap();
    let engine = open(dir.path());
    let listener = engine.serve("127.0.0.1:0", &ServeOptions::default()).unwrap();
    let client = &mut Client::of(listener.address());
    assert_eq!(lines(&client.ask(&["CLUSTER", "NODES"])), listed);
    converse(client, &[("SET foo 1", "+OK"), ("GET wat41", "-CLUSTERDOWN Hash slot not served")]);
}

/// Slots go from node to node one version at a time, and keys of slots that leave stay: they are the only copy.
#[test]
fn slots_are_assigned() {
    let member = Member::open();
    let client = &mut member.client();
    let (a, b, c, port) = (id('a'), id('b'), id('c'), member.port());
    set_nodes(
        client,
        1,
        &[
            format!("{a} 127.0.0.1 {port} master - 0-16383"),
            format!("{b} 127.0.0.1 2 slave {a}"),
            format!("{c} 127.0.0.1 3 master -"),
        ],
    );
    converse(client, &[("SET foo 1", "+OK")]);
    let invalid = "-ERR Invalid cluster version";
    for (slots, node, version, reply) in [
        ("12182", &c, "0", invalid),
        ("12182", &c, "1", invalid),
        ("12182", &c, "3", invalid),
        ("12182", &c, "-1", "-ERR Invalid version"),
        ("12182", &c, "x", "-ERR value is not an integer or out of range"),
        ("12182", &b, "2", "-ERR The node isn't a master"),
        ("12182", &id('d'), "2", "-ERR No this node in the cluster"),
        ("12182", &"d".to_owned(), "2", "-ERR Invalid node id"),
        ("", &c, "2", "-ERR No slots to parse."),
        (" ", &c, "2", "-ERR Invalid slots: ` `. No slots to parse. Please use spaces to separate slots."),
        ("x", &c, "2", "-ERR Invalid slot id: not started as an integer"),
        ("5,6", &c, "2", "-ERR Invalid slot id: encounter non-integer characters"),
        ("16384", &c, "2", "-ERR Invalid slot id: out of numeric range"),
        ("99999999999999999999", &c, "2", "-ERR Invalid slot id: Numerical result out of range"),
        ("5-", &c, "2", "-ERR Invalid slot range: `5-`. The character '-' can't appear in the first or last position."),
        ("-5", &c, "2", "-ERR Invalid slot range: `-5`. The character '-' can't appear in the first or last position."),
        ("5-6-7", &c, "2", "-ERR Invalid slot range: `5-6-7`. The slot range should be of the form `int1-int2`."),
    ] {
        assert_eq!(client.ask(&["CLUSTERX", "SETSLOT", slots, "NODE", node, version]), reply, "{slots} {version}");
    }
    for range in ["5-3", "5-x", "x-5", "5-16384", "16000-17000"] {
        let why = "The slot range `int1-int2` needs to satisfy the condition (int1 <= int2).";
        let reply = client.ask(&["CLUSTERX", "SETSLOT", range, "NODE", &c, "2"]);
        assert_eq!(reply, format!("-ERR Invalid slot range: `{range}`. {why}"));
    }
    assert_eq!(client.ask(&["CLUSTERX", "SETSLOT", "1", "NOPE", &c, "2"]), "-ERR Invalid setslot options");
    converse(client, &[("CLUSTERX VERSION", "\"1\""), ("GET foo", "\"1\"")]);

    assert_eq!(client.ask(&["CLUSTERX", "SETSLOT", " 12182   7 9-9 +7", "NODE", &c, "2"]), "+OK");
    converse(
        client,
        &[
            ("GET foo", "-MOVED 12182 127.0.0.1:3"),
            ("SET foo 2", "-MOVED 12182 127.0.0.1:3"),
            ("CLUSTERX VERSION", "\"2\""),
        ],
    );
    let nodes = lines(&client.ask(&["CLUSTER", "NODES"]));
    assert!(nodes[0].ends_with("2 connected 0-6 8 10-12181 12183-16383"), "{nodes:?}");
    assert!(nodes[2].ends_with("2 connected 7 9 12182"), "{nodes:?}");
    assert_eq!(client.ask(&["CLUSTERX", "SETSLOT", "0-16383", "NODE", &a, "3"]), "+OK");
    converse(client, &[("GET foo", "\"1\"")]);
}

/// In the cluster layout a command is served where its keys are, and clients are told where that is.
#[test]
fn keys_are_routed() {
    let [primary, replica] = [(); 2].map(|()| Member::open());
    let (a, b, c) = (id('a'), id('b'), id('c'));
    let (port, replicas_port) = (primary.port(), replica.port());
    let nodes = [
        format!("{a} 127.0.0.1 {port} master - 0-5460 12182"),
        format!("{b} localhost {replicas_port} slave {a}"),
        format!("{c} 10.0.0.3 3 master - 5461-10922"),
    ];
    let (p, r) = (&mut primary.client(), &mut replica.client());
    set_nodes(p, 1, &nodes);
    set_nodes(r, 1, &nodes);
    // foo 12182, bar 5061, hello 866, {k}: 7629, a 15495.
    let crossed = "-CROSSSLOT Attempted to access keys that don't hash to the same slot";
    converse(
        p,
        &[
            ("SET foo 1", "+OK"),
            ("MSET foo 2 {foo}1 3", "+OK"),
            ("MGET foo {foo}1 none{foo}", "[\"2\" \"3\" nil]"),
            ("SET bar 1", "+OK"),
            ("SET k 1", "-MOVED 7629 10.0.0.3:3"),
            ("GET k", "-MOVED 7629 10.0.0.3:3"),
            ("DEL {k}1 {k}2", "-MOVED 7629 10.0.0.3:3"),
            ("MSET foo 1 bar 1", crossed),
            ("MSET foo k k foo", crossed),
            ("DEL foo k", crossed),
            ("EXISTS a k", crossed),
            ("GET a", "-CLUSTERDOWN Hash slot not served"),
            ("TYPE a", "-CLUSTERDOWN Hash slot not served"),
            // Keys that stand elsewhere than others do.
            ("ZUNION 2 foo k", crossed),
            ("LMPOP 1 k LEFT", "-MOVED 7629 10.0.0.3:3"),
            ("OBJECT ENCODING k", "-MOVED 7629 10.0.0.3:3"),
            ("XREAD COUNT 1 STREAMS k 0", "-MOVED 7629 10.0.0.3:3"),
            ("SORT foo STORE k", crossed),
            ("BLPOP k 0", "-MOVED 7629 10.0.0.3:3"),
            // A transaction has what is here, and nothing where one of its commands was sent elsewhere.
            ("MULTI", "+OK"),
            ("SET k 1", "-MOVED 7629 10.0.0.3:3"),
            ("EXEC", "-EXECABORT Transaction discarded because of previous errors."),
            ("MULTI", "+OK"),
            ("SET foo 2", "+QUEUED"),
            ("GET bar", "+QUEUED"),
            ("EXEC", "[+OK \"1\"]"),
            // Not of any slot.
            ("DBSIZE", ":3"),
            ("PING a", "\"a\""),
            ("ECHO k", "\"k\""),
            // In a wrong number of arguments no key is looked for.
            ("GET", "-ERR wrong number of arguments"),
            ("READONLY", "+OK"),
            ("GET k", "-MOVED 7629 10.0.0.3:3"),
        ],
    );
    wait_until("the replica has it", || replica.engine.position().unwrap() == primary.engine.position().unwrap());
    let moved = format!("-MOVED 12182 127.0.0.1:{port}");
    converse(
        r,
        &[
            ("GET foo", &moved),
            ("READONLY", "+OK"),
            ("GET foo", "\"2\""),
            ("MGET foo {foo}1", "[\"2\" \"3\"]"),
            ("SET foo 3", &moved),
            ("GET k", "-MOVED 7629 10.0.0.3:3"),
            ("MGET foo bar", crossed),
            ("READWRITE", "+OK"),
            ("GET foo", &moved),
            ("READONLY", "+OK"),
            ("RESET", "+RESET"),
            ("GET foo", &moved),
        ],
    );
    // Calls inside of the process know no slots.
    assert!(replica.engine.default_namespace().exists(b"foo").unwrap());
    primary.engine.default_namespace().put(b"k", b"v").unwrap();
    // What was queued is looked at again.
    converse(p, &[("MULTI", "+OK"), ("SET bar 2", "+QUEUED")]);
    for client in [&mut primary.client(), &mut replica.client()] {
        assert_eq!(client.ask(&["CLUSTERX", "SETSLOT", "5061", "NODE", &c, "2"]), "+OK");
    }
    converse(p, &[("EXEC", "-MOVED 5061 10.0.0.3:3"), ("EXEC", "-ERR EXEC without MULTI"), ("SET foo 2", "+OK")]);
    // Each shard is what runs.
    let shards = p.ask(&["CLUSTER", "SHARDS"]);
    assert!(shards.contains("\"role\" \"replica\""), "{shards}");

    // A node that was removed sends all elsewhere until it is a primary by hand.
    let rest = [format!("{a} 127.0.0.1 {port} master - 0-16383")];
    set_nodes(r, 3, &rest);
    converse(r, &[("READONLY", "+OK"), ("GET foo", &moved), ("SLAVEOF NO ONE", "+OK"), ("GET foo", "\"2\"")]);
}

/// Whatever is wrong with a topology, it is refused with a reason, and the one before goes on to govern.
#[test]
fn bad_topologies() {
    let member = Member::open();
    let client = &mut member.client();
    let (a, b, c, port) = (id('a'), id('b'), id('c'), member.port());
    let good = [
        format!("{a} 127.0.0.1 {port} master - 0-99"),
        format!("{b} 127.0.0.1 2 slave {a}"),
        format!("{c} h 3 master - 100"),
    ];
    set_nodes(client, 5, &good);
    let before = lines(&client.ask(&["CLUSTER", "NODES"]));
    let many: Vec<String> = (0..10_000).map(|n| format!("{n:040} h{n} 1 master -")).collect();
    let nodes = "-ERR Invalid cluster nodes info";
    let node_id = "-ERR Invalid cluster node id";
    for (text, reply) in [
        (String::new(), nodes),
        ("x".to_owned(), nodes),
        (format!("{a} 127.0.0.1 1 slave {b} 5"), nodes),
        (format!("{a}a 127.0.0.1 1 master -"), node_id),
        (format!("{a} 127.0.0.1 1 master {b}"), node_id),
        (format!("{a} 127.0.0.1 1 slave zz"), node_id),
        (format!("{a} 127.0.0.1 x master -"), "-ERR Invalid cluster node port"),
        (format!("{a} 127.0.0.1 0 master -"), "-ERR Invalid cluster node port"),
        (format!("{a} 127.0.0.1 65536 master -"), "-ERR Invalid cluster node port"),
        (format!("{a} 127.0.0.1 1 nope -"), "-ERR Invalid cluster node role"),
        (format!("{a} 127.0.0.1 1 master - 16384"), "-ERR Slot is out of range"),
        (format!("{a} 127.0.0.1 1 master - 5-5"), "-ERR Slot is out of range"),
        (format!("{a} 127.0.0.1 1 master - 0-9 9"), "-ERR Slot distribution is overlapped"),
        (format!("{a} h 1 master - 0-9\n{b} h 2 master - 5"), "-ERR Slot distribution is overlapped"),
        (
            format!("{a} 127.0.0.1 1 master - 0-9 {b} h 2 master -"),
            "-ERR Invalid nodes definition: Missing newline between node entries.",
        ),
        // A Kvrocks takes these.
        (format!("{a} h 1 master -\n{a} h 2 master -"), &format!("-ERR topology, node {a}: got its id twice")),
        (format!("{a} h 1 slave {a}"), &format!("-ERR topology, node {a}: {a} is a replica, expected a primary")),
        (
            format!("{a} h 1 master -\n{b} h 2 slave {a}\n{c} h 3 slave {b}"),
            &format!("-ERR topology, node {c}: {b} is a replica, expected a primary"),
        ),
        (format!("{a} h 1 slave {b}"), &format!("-ERR topology, node {a}: its primary {b} is not in it")),
        (many.join("\n"), "-ERR topology, nodes: got 1001 or more, expected at most 1000"),
    ] {
        for version in ["6", "6 force"] {
            let request: Vec<&str> = ["CLUSTERX", "SETNODES", &text].into_iter().chain(version.split(' ')).collect();
            assert_eq!(client.ask(&request), reply, "{:.200}", text);
        }
        assert_eq!(
            client.ask(&[&b"CLUSTERX"[..], b"SETNODES", b"\xff\xfe", b"6"]),
            "-ERR topology, text: expected UTF-8"
        );
    }
    let reply = client.ask(&["CLUSTERX", "SETNODEID", &id('d')]);
    assert_eq!(reply, format!("-ERR node id {}: the topology does not list it; set one that does first", id('d')));
    assert_eq!(client.ask(&["CLUSTERX", "SETNODES", &good.join("\n"), "4"]), "-ERR Invalid cluster version");
    // The version that governs is no news, whatever it says, as in a Kvrocks.
    assert_eq!(client.ask(&["CLUSTERX", "SETNODES", &good[0], "5"]), "+OK");
    assert_eq!(lines(&client.ask(&["CLUSTER", "NODES"])), before);
    assert_eq!(client.ask(&["CLUSTERX", "SETNODES", &good.join("\n"), "4", "FORCE"]), "+OK");
    converse(client, &[("CLUSTERX VERSION", "\"4\"")]);

    // Torn at any byte it is refused, or is a topology of its own.
    let whole = good.join("\n");
    let (mut taken, mut refused) = (0, 0);
    for cut in 0..whole.len() {
        let version = 10 + cut as u64;
        let governs = client.ask(&["CLUSTERX", "VERSION"]);
        let reply = client.ask(&["CLUSTERX", "SETNODES", &whole[..cut], &version.to_string()]);
        let governs_now = client.ask(&["CLUSTERX", "VERSION"]);
        if reply == "+OK" {
            taken += 1;
            assert_eq!(governs_now, format!("\"{version}\""));
        } else {
            refused += 1;
            assert!(reply.starts_with("-ERR ") && governs_now == governs, "{reply} {governs_now}");
        }
    }
    assert!(taken > 0 && refused > taken, "{taken} {refused}");
}

/// A node that was not told who it is finds itself in the topology by its port and address, or says what to do.
#[test]
fn who_this_is() {
    let member = Member::open();
    let client = &mut member.client();
    let (a, b, port) = (id('a'), id('b'), member.port());
    let elsewhere = format!("{a} 127.0.0.1 1 master -\n{b} 10.1.2.3 {port} slave {a}");
    let reply = client.ask(&["CLUSTERX", "SETNODES", &elsewhere, "1"]);
    assert_eq!(
        reply,
        format!(
            "-ERR node id: none was set, and no node of the topology is at 127.0.0.1:{port}; say which one this is with \
             CLUSTERX SETNODEID"
        )
    );
    converse(client, &[("CLUSTER NODES", DOWN), (&format!("CLUSTERX SETNODEID {b}"), "+OK"), ("CLUSTER NODES", DOWN)]);
    assert_eq!(client.ask(&["CLUSTERX", "SETNODES", &elsewhere, "1"]), "+OK");
    assert_eq!(member.engine.role().unwrap(), Role::Replica);
    converse(client, &[("CLUSTERX MYID", &format!("\"{b}\""))]);
    // Forced, it looks again, and stays who it was where it finds nothing.
    assert_eq!(client.ask(&["CLUSTERX", "SETNODES", &elsewhere, "1", "force"]), "+OK");
    converse(client, &[("CLUSTERX MYID", &format!("\"{b}\""))]);
    let here = format!("{a} localhost {port} master -\n{b} 127.0.0.1 1 slave {a}");
    assert_eq!(client.ask(&["CLUSTERX", "SETNODES", &here, "1", "force"]), "+OK");
    converse(client, &[("CLUSTERX MYID", &format!("\"{a}\"")), (&format!("CLUSTERX SETNODEID {b}"), "+OK")]);
    assert_eq!(member.engine.role().unwrap(), Role::Replica);

    // A listener on all addresses is at each of them.
    let dir = quick_dir();
    let engine = Engine::open(dir.path(), &Options { cluster: Some(true), ..Default::default() }).unwrap();
    let listener = engine.serve("0.0.0.0:0", &ServeOptions::default()).unwrap();
    let port = listener.address().port();
    let mut client = Client { socket: Box::new(std::net::TcpStream::connect(("127.0.0.1", port)).unwrap()) };
    set_nodes(&mut client, 1, &[format!("{a} 192.0.2.1 {port} master -"), format!("{b} 127.0.0.1 {port} slave {a}")]);
    converse(&mut client, &[("CLUSTER MYID", &format!("\"{b}\""))]);
    let both = format!("{a} 127.0.0.2 {port} master -\n{b} 127.0.0.1 {port} slave {a}");
    let reply = client.ask(&["CLUSTERX", "SETNODES", &both, "2", "force"]);
    let expected = format!(
        "-ERR node id: nodes {a} and {b} of the topology are both at 0.0.0.0:{port}; say which one this is with CLUSTERX \
         SETNODEID"
    );
    assert_eq!(reply, expected);
}

/// Where keys have no slots a topology makes roles all the same, for all namespaces; nothing is sent elsewhere.
#[test]
fn a_topology_with_namespaces() {
    let served = Served::with_password();
    let users = served.engine.create_namespace("users", Some("token")).unwrap();
    users.put(b"ada", b"countess").unwrap();
    let (a, b, port) = (id('a'), id('b'), served.listener.address().port());
    let admin = &mut served.client_with("secret");
    set_nodes(admin, 1, &[format!("{a} 127.0.0.1 {port} master -"), format!("{b} 127.0.0.1 2 slave {a}")]);
    assert_eq!(lines(&admin.ask(&["CLUSTER", "INFO"]))[5..7], ["cluster_known_nodes:2", "cluster_size:0"]);
    converse(admin, &[("CLUSTER SLOTS", "[]"), ("CLUSTER KEYSLOT foo", ":12182"), ("MSET foo 1 bar 2", "+OK")]);
    let only_admin = "-ERR admin permission required to perform the command";
    let tenant = &mut served.client_with("token");
    converse(
        tenant,
        &[
            ("GET ada", "\"countess\""),
            ("CLUSTER NODES", only_admin),
            ("CLUSTERX VERSION", only_admin),
            ("READONLY", "+OK"),
        ],
    );
    converse(&mut served.client(), &[("CLUSTERX VERSION", "-NOAUTH Authentication required.")]);
}

/// While a topology governs, orders by hand are refused with its version; INFO, ROLE and CLUSTER agree the moment it has
/// changed, and count feeds that run.
#[test]
fn what_is_shown_agrees() {
    let [one, two] = [(); 2].map(|()| Member::open());
    let (a, b) = (id('a'), id('b'));
    let (c1, c2) = (&mut one.client(), &mut two.client());
    let first =
        [format!("{a} 127.0.0.1 {} master - 0-16383", one.port()), format!("{b} localhost {} slave {a}", two.port())];
    let second =
        [format!("{b} 127.0.0.1 {} master - 0-16383", two.port()), format!("{a} 127.0.0.1 {} slave {b}", one.port())];
    let info = |client: &mut Client| client.ask(&["INFO", "replication"]).replace("\\r\\n", " ");
    set_nodes(c1, 1, &first);
    set_nodes(c2, 1, &first);
    let role = c2.ask(&["ROLE"]);
    assert!(role.starts_with(&format!("[\"slave\" \"127.0.0.1\" \"{}\"", one.port())), "{role}");
    let shown = info(c2);
    assert!(shown.contains(&format!("role:slave master_host:127.0.0.1 master_port:{} ", one.port())), "{shown}");
    wait_until("it is fed", || info(c1).contains("connected_slaves:1"));
    wait_until("it is linked", || info(c2).contains("master_link_status:up"));
    assert!(info(c1).contains(&format!("slave0:ip=127.0.0.1,port={},", two.port())), "{}", info(c1));
    let shards = c1.ask(&["CLUSTER", "SHARDS"]);
    assert_eq!(shards.matches("\"health\" \"online\"").count(), 2, "{shards}");

    let governed = |role: &str| {
        format!("-ERR REPLICAOF: topology version 1 governs this node, as a {role}; set_topology() a later one")
    };
    converse(c1, &[("REPLICAOF 127.0.0.1 1", &governed("primary")), ("SLAVEOF NO ONE", &governed("primary"))]);
    converse(c2, &[("SLAVEOF 127.0.0.1 1", &governed("replica")), ("REPLICAOF NO ONE", &governed("replica"))]);

    set_nodes(c2, 2, &second);
    set_nodes(c1, 2, &second);
    for (client, role, myself) in [(c1, "slave", "myself,slave"), (c2, "master", "myself,master")] {
        let shown = client.ask(&["ROLE"]);
        assert!(shown.starts_with(&format!("[\"{role}\"")), "{shown}");
        let shown = info(client);
        assert!(shown.contains(&format!("role:{role} ")), "{shown}");
        assert!(role == "master" || shown.contains("connected_slaves:0 "), "{shown}");
        assert_eq!(lines(&client.ask(&["CLUSTER", "NODES"])).iter().filter(|line| line.contains(myself)).count(), 1);
        assert!(client.ask(&["HELLO"]).contains(&format!("\"role\" \"{role}\"")));
    }
}

/// A topology that was set by a call is shown and routes as one that came by the listener.
#[test]
fn set_by_a_call() {
    let member = Member::open();
    let nodes = vec![Node::primary(id('a'), "h", 1), Node::primary(id('b'), "other", 2).with_slots(&[(0, 16383)])];
    let topology = Topology::new(9, nodes).unwrap();
    member.engine.set_topology(&topology, &id('a'), &TopologyOptions::default()).unwrap();
    let client = &mut member.client();
    converse(client, &[("CLUSTERX VERSION", "\"9\""), ("GET foo", "-MOVED 12182 other:2")]);
}
