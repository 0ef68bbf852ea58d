//! The listener over real sockets, with a client of a few lines.

#[path = "../support/mod.rs"]
mod support;

mod authority;
mod cluster;
mod hostile;
mod life;
mod messages;
mod namespaces;
mod pipelines;
mod resp3;
mod sharing;
mod transactions;
mod waiting;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use pumice::{Address, Engine, Listener, Options, ServeOptions};
use support::{Random, quick_dir};
use tempfile::TempDir;

/// What tests start in a process of its own.
#[test]
fn child() {
    let Some((job, paths)) = support::job() else { return };
    let engine = support::open(&paths[0]);
    match job.as_str() {
        "fork" => life::fork(&engine),
        "orphan" => life::orphan(&engine),
        "threads" => sharing::count_threads(&engine),
        "promises" => hostile::promises(&engine),
        job => panic!("{job}"),
    }
}

/// An engine that is served.
struct Served {
    listener: Listener,
    engine: Engine,
    _dir: TempDir,
}

impl Served {
    fn new(options: &ServeOptions) -> Served {
        Served::at("127.0.0.1:0", options)
    }

    fn at(address: &str, options: &ServeOptions) -> Served {
        let dir = quick_dir();
        let engine = Engine::open(dir.path(), &Options::default()).unwrap();
        let listener = engine.serve(address, options).unwrap();
        Served { listener, engine, _dir: dir }
    }

    fn open() -> Served {
        Served::new(&ServeOptions::default())
    }

    fn with_password() -> Served {
        Served::new(&ServeOptions { password: Some("secret".to_owned()), ..Default::default() })
    }

    fn client(&self) -> Client {
        Client::of(self.listener.address())
    }

    /// A client that has said a password or token.
    fn client_with(&self, password: &str) -> Client {
        let mut client = self.client();
        assert_eq!(client.ask(&["AUTH", password]), "+OK");
        client
    }
}

trait Socket: Read + Write + Send {}
impl<S: Read + Write + Send> Socket for S {}

/// A connection as a client has it. Replies are shown as text: `+OK`, `-ERR ..`, `:1`, `"bulk"`, `nil`, `[a b]`.
struct Client {
    socket: Box<dyn Socket>,
}

impl Client {
    fn of(address: &Address) -> Client {
        // A test that hangs is no use; nothing is measured by it.
        let patience = Some(Duration::from_secs(60));
        match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).unwrap();
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(patience).unwrap();
                Client { socket: Box::new(stream) }
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(patience).unwrap();
                Client { socket: Box::new(stream) }
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// Sends as much as the other side takes, which may end it any time.
    fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.socket.write_all(bytes).is_ok()
    }

    #[track_caller]
    fn ask(&mut self, args: &[impl AsRef<[u8]>]) -> String {
        self.send(&request(args));
        self.reply()
    }

    fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        match self.socket.read(&mut byte) {
            Ok(1) => Some(byte[0]),
            Ok(_) => None,
            // What was not read when the other side closed makes it a reset.
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(e) => panic!("no reply: {e}"),
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(self.byte()?);
        }
        line.truncate(line.len() - 2);
        Some(String::from_utf8_lossy(&line).into_owned())
    }

    /// The next reply; `closed` when the other side has closed.
    #[track_caller]
    fn reply(&mut self) -> String {
        let Some(line) = self.line() else { return "closed".to_owned() };
        let (kind, rest) = line.split_at(1);
        match kind {
            "+" | "-" | ":" | "," | "_" => line,
            "$" | "*" if rest == "-1" => "nil".to_owned(),
            "$" => {
                let mut bytes = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.socket.read_exact(&mut bytes).unwrap();
                assert!(bytes.ends_with(b"\r\n"));
                format!("\"{}\"", bytes[..bytes.len() - 2].escape_ascii())
            }
            "=" => {
                let mut bytes = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.socket.read_exact(&mut bytes).unwrap();
                assert!(bytes.starts_with(b"txt:") && bytes.ends_with(b"\r\n"));
                format!("txt\"{}\"", bytes[4..bytes.len() - 2].escape_ascii())
            }
            "*" | "~" | ">" | "%" => {
                let times = if kind == "%" { 2 } else { 1 };
                let items: Vec<String> = (0..rest.parse::<usize>().unwrap() * times).map(|_| self.reply()).collect();
                let items = items.join(" ");
                match kind {
                    "*" => format!("[{items}]"),
                    "%" => format!("{{{items}}}"),
                    _ => format!("{kind}[{items}]"),
                }
            }
            _ => panic!("not RESP: {line:?}"),
        }
    }

    /// Whether the other side has closed: nothing comes any more.
    fn is_closed(&mut self) -> bool {
        self.byte().is_none()
    }
}

fn request(args: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        let arg = arg.as_ref();
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Asks line by line, words parted by spaces, and compares each reply.
#[track_caller]
fn converse(client: &mut Client, lines: &[(&str, &str)]) {
    for (line, reply) in lines {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(client.ask(&words), *reply, "{line}");
    }
}

/// Every command on keys gives Redis' replies.
#[test]
fn commands_on_keys() {
    let served = Served::open();
    let client = &mut served.client();
    converse(
        client,
        &[
            ("PING", "+PONG"),
            ("ping hi", "\"hi\""),
            ("PING a b", "-ERR wrong number of arguments"),
            ("ECHO x", "\"x\""),
            ("GET a", "nil"),
            ("SET a 1", "+OK"),
            ("GET a", "\"1\""),
            ("SET a 2 NX", "nil"),
            ("SET b 2 XX", "nil"),
            ("SET a 3 XX GET", "\"1\""),
            ("SET a 4 NX GET", "\"3\""),
            ("SET b 5 GET", "nil"),
            ("SET c 1 BAD", "-ERR syntax error"),
            ("SET c 1 EX 0", "-ERR invalid expire time in 'set' command"),
            ("MSET c 1 d 2", "+OK"),
            ("MSET c 1 d", "-ERR wrong number of arguments"),
            ("MGET a b c d e", "[\"3\" \"5\" \"1\" \"2\" nil]"),
            ("EXISTS a b e a", ":3"),
            ("TYPE a", "+string"),
            ("TYPE e", "+none"),
            ("TTL a", ":-1"),
            ("TTL e", ":-2"),
            ("EXPIRE a 100", ":1"),
            ("TTL a", ":100"),
            ("PERSIST a", ":1"),
            ("PERSIST a", ":0"),
            ("SET a 1 EX 100", "+OK"),
            ("SET a 2 KEEPTTL", "+OK"),
            ("TTL a", ":100"),
            ("SET a 2", "+OK"),
            ("PTTL a", ":-1"),
            ("SET a 2 EXAT 1", "+OK"),
            ("GET a", "nil"),
            ("EXPIRE b -1", ":1"),
            ("EXISTS b", ":0"),
            ("EXPIRE b 10", ":0"),
            ("EXPIRE c x", "-ERR value is not an integer or out of range"),
            ("EXPIRE c 9223372036854775807", "-ERR invalid expire time in 'expire' command"),
            ("DBSIZE", ":2"),
            ("DBSIZE SCAN", "+OK"),
            ("DEL c c d e", ":2"),
            ("DBSIZE", ":0"),
            ("SET a 1", "+OK"),
            ("FLUSHDB", "+OK"),
            ("DBSIZE", ":0"),
            ("SELECT 7", "+OK"),
            ("nope a b", "-ERR unknown command `nope`, with args beginning with: `a`, `b`"),
            ("GET", "-ERR wrong number of arguments"),
            ("GET a b", "-ERR wrong number of arguments"),
        ],
    );
    let empty = client.ask(&["SET", "", ""]);
    assert_eq!((empty.as_str(), client.ask(&["GET", ""]).as_str()), ("+OK", "\"\""));
    assert_eq!(served.engine.default_namespace().get(b"").unwrap().unwrap(), b"");
    let binary: Vec<u8> = (0..=255).collect();
    assert_eq!(client.ask(&[&b"SET"[..], &binary, &binary]), "+OK");
    assert_eq!(served.engine.default_namespace().get(&binary).unwrap().unwrap(), binary);
}

/// Keys of other types are named by TYPE, are refused by GET, are no value to MGET, and are deleted like others.
#[test]
fn other_types() {
    let dir = quick_dir();
    support::copy_tree(&support::fixture("plain-zstd").join("db"), &dir.path().join("db"));
    let engine = support::open(dir.path());
    let listener = engine.serve("127.0.0.1:0", &ServeOptions::default()).unwrap();
    let mut client = Client::of(listener.address());
    let mut items = engine.default_namespace().items(&Default::default()).unwrap();
    let mut hash = None;
    while let Some(item) = items.next_item().unwrap() {
        if item.kind == pumice::Kind::HASH {
            hash = Some(item.key.to_vec());
        }
    }
    let hash = hash.unwrap();
    assert_eq!(client.ask(&[b"TYPE", &hash[..]]), "+hash");
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    assert_eq!(client.ask(&[b"GET", &hash[..]]), wrong);
    assert_eq!(client.ask(&[b"SET", &hash[..], b"x", b"GET"]), wrong);
    assert_eq!(client.ask(&[b"SET", &hash[..], b"x", b"NX"]), "nil");
    assert_eq!(client.ask(&[b"MGET", &hash[..]]), "[nil]");
    assert_eq!(client.ask(&[b"EXPIRE", &hash[..], b"100"]), ":1");
    assert_eq!(client.ask(&[b"TTL", &hash[..]]), ":100");
    assert_eq!(client.ask(&[b"DEL", &hash[..]]), ":1");
    assert_eq!(client.ask(&[b"TYPE", &hash[..]]), "+none");
}

/// SCAN goes through all keys once, with every COUNT, pattern and type, in both layouts; KEYS finds the same.
#[test]
fn scan_finds_all_keys() {
    for cluster in [false, true] {
        let dir = quick_dir();
        let engine = Engine::open(dir.path(), &Options { cluster: Some(cluster), ..Default::default() }).unwrap();
        let listener = engine.serve("127.0.0.1:0", &ServeOptions::default()).unwrap();
        let mut client = Client::of(listener.address());
        let mut all: Vec<String> = (0..300).map(|n| format!("\"{}:{n}\"", ["user", "item"][n % 2])).collect();
        for key in &all {
            engine.default_namespace().put(key.trim_matches('"').as_bytes(), b"").unwrap();
        }
        all.sort();
        let users: Vec<String> = all.iter().filter(|key| key.starts_with("\"user")).cloned().collect();
        let mut scan = |options: &[&str]| {
            let mut cursor = "0".to_owned();
            let mut found = Vec::new();
            loop {
                let reply = client.ask(&[&["SCAN", &cursor], options].concat());
                let (next, keys) = reply[1..].split_once(" [").unwrap();
                let keys = keys.strip_suffix("]]").unwrap();
                found.extend(keys.split(' ').filter(|key| !key.is_empty()).map(str::to_owned));
                cursor = next.trim_matches('"').to_owned();
                if cursor == "0" {
                    found.sort();
                    return found;
                }
            }
        };
        for count in ["1", "7", "299", "300", "301", "100000"] {
            assert_eq!(scan(&["COUNT", count]), all, "{count} {cluster}");
            assert_eq!(scan(&["COUNT", count, "MATCH", "user:*"]), users, "{count} {cluster}");
        }
        assert_eq!(scan(&[]), all);
        assert_eq!(scan(&["MATCH", "*:1?", "TYPE", "string"]).len(), 10);
        assert_eq!(scan(&["TYPE", "hash"]).len(), 0);
        assert_eq!(client.ask(&["KEYS", "user:*"]).matches("user").count(), 150);
        // A page ends after COUNT keys also where the pattern cannot say in which order they lie.
        assert_eq!(client.ask(&["SCAN", "0", "COUNT", "1", "MATCH", "z*"]).starts_with("[\"0\""), !cluster);
        let long = "*".repeat(5000);
        for words in [&["KEYS", &long][..], &["SCAN", "0", "MATCH", &long]] {
            assert_eq!(client.ask(words), "-ERR pattern: got 5000 bytes, expected at most 4096");
        }
        converse(
            &mut client,
            &[
                ("SCAN x", "-ERR invalid cursor"),
                ("SCAN -1", "-ERR invalid cursor"),
                ("SCAN 5", "-ERR invalid cursor: it is unknown or was forgotten; begin again with 0"),
                ("SCAN 0 COUNT 0", "-ERR syntax error"),
                ("SCAN 0 COUNT", "-ERR syntax error"),
                ("SCAN 0 NOPE 1", "-ERR syntax error"),
                ("KEYS item:299", "[\"item:299\"]"),
            ],
        );
    }
}

/// Requests that come in pieces of every size have the replies of those that come whole.
#[test]
fn pipelines_in_all_pieces() {
    let served = Served::open();
    let requests = [
        request(&["SET", "key", "value\r\nwith lines"]),
        b"GET key\r\n".to_vec(),
        request(&["NOPE"]),
        b"\r\n".to_vec(),
        request(&["MGET", "key", "", "none"]),
        b"ping \"a b\"\n".to_vec(),
        request(&["DEL", "key"]),
    ]
    .concat();
    let replies = b"+OK\r\n$17\r\nvalue\r\nwith lines\r\n-ERR unknown command `NOPE`, with args beginning with: \r\n\
        *3\r\n$17\r\nvalue\r\nwith lines\r\n$-1\r\n$-1\r\n$3\r\na b\r\n:1\r\n";
    let check = |pieces: Vec<&[u8]>| {
        let mut client = served.client();
        for piece in pieces {
            client.send(piece);
        }
        let mut got = vec![0; replies.len()];
        client.socket.read_exact(&mut got).unwrap();
        assert_eq!(got.escape_ascii().to_string(), replies.escape_ascii().to_string());
    };
    for split in 0..=requests.len() {
        check(vec![&requests[..split], &requests[split..]]);
    }
    check(requests.chunks(1).collect());
    check(requests.chunks(3).collect());
}

/// A pipeline far longer than what is read or written at a time is answered in order, while nobody reads the replies
/// before all of it is sent.
#[test]
fn long_pipelines() {
    let served = Served::open();
    let mut client = served.client();
    let value = Random(5).bytes(10_000);
    client.send(&request(&[&b"SET"[..], b"big", &value]));
    assert_eq!(client.reply(), "+OK");
    let Address::Tcp(address) = served.listener.address().clone() else { panic!() };
    let stream = TcpStream::connect(address).unwrap();
    let mut writing = stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        for n in 0..2000 {
            writing.write_all(&request(&["ECHO", &n.to_string()])).unwrap();
            writing.write_all(&request(&["GET", "big"])).unwrap();
        }
    });
    let mut client = Client { socket: Box::new(stream) };
    let shown = format!("\"{}\"", value.escape_ascii());
    for n in 0..2000 {
        assert_eq!(client.reply(), format!("\"{n}\""));
        assert_eq!(client.reply(), shown);
    }
    writer.join().unwrap();
}

/// What clients ask when they connect is answered.
#[test]
fn greetings() {
    let served = Served::open();
    let client = &mut served.client();
    converse(
        client,
        &[
            ("HELLO 1", "-NOPROTO unsupported protocol version"),
            ("HELLO x", "-ERR Protocol version is not an integer or out of range"),
            ("HELLO 2 NOPE", "-ERR Syntax error in HELLO option NOPE"),
            ("HELLO 2 AUTH pw", "-ERR Client sent AUTH, but no password is set"),
            ("AUTH pw", "-ERR Client sent AUTH, but no password is set"),
            ("COMMAND DOCS", "[]"),
            ("COMMAND INFO get nope", "[[\"get\" :2 [+readonly] :1 :1 :1 []] nil]"),
            ("CONFIG GET save", "[\"save\" \"\"]"),
            ("CONFIG GET repl-namespace-*", "[\"repl-namespace-enabled\" \"yes\"]"),
            ("CONFIG GET requirepass", "[]"),
            (
                "CONFIG SET save x",
                "-ERR CONFIG SET 'save' error: options are given when the engine is opened and served, and stay as they are",
            ),
            ("CONFIG NOPE", "-ERR CONFIG subcommand must be one of GET, SET, REWRITE"),
            ("CLIENT SETNAME me", "+OK"),
            ("CLIENT GETNAME", "\"me\""),
            ("CLIENT SETINFO LIB-NAME lib", "+OK"),
            ("CLIENT NO-EVICT on", "+OK"),
            ("CLIENT NOPE", "-ERR Syntax error, try CLIENT LIST|INFO|KILL ip:port|GETNAME|SETNAME"),
            ("RESET", "+RESET"),
            ("CLIENT GETNAME", "nil"),
        ],
    );
    let hello = client.ask(&["HELLO", "2", "SETNAME", "other"]);
    assert!(hello.starts_with("[\"server\" \"redis\" \"version\" \"7.0.0\" \"proto\" :2 \"id\" :"), "{hello}");
    assert!(hello.ends_with("\"mode\" \"standalone\" \"role\" \"master\" \"modules\" []]"), "{hello}");
    let commands = client.ask(&["COMMAND"]).matches("\"psync\"").count();
    assert_eq!(commands, 1);
    let time = client.ask(&["TIME"]);
    assert_eq!(time.split(' ').count(), 2, "{time}");
}

/// INFO has the sections and fields of a Kvrocks, all or one of them.
#[test]
fn info_and_role() {
    let served = Served::open();
    let client = &mut served.client();
    let all = client.ask(&["INFO"]).replace("\\r\\n", "\n");
    let sequence = served.engine.position().unwrap().sequence;
    let port = served.listener.address().port();
    for line in [
        "# Server",
        "redis_version:7.0.0",
        "redis_mode:standalone",
        "kvrocks_mode:standalone",
        &format!("tcp_port:{port}"),
        &format!("process_id:{}", std::process::id()),
        "# Clients",
        "connected_clients:1",
        "# Memory",
        "# Persistence",
        "loading:0",
        "# Stats",
        "total_connections_received:1",
        "total_commands_processed:1",
        "sync_full:0",
        "sync_partial_ok:0",
        "sync_partial_err:0",
        "# Replication",
        "role:master",
        "connected_slaves:0",
        &format!("master_repl_offset:{sequence}"),
        "# CPU",
        "# Cluster",
        "cluster_enabled:0",
        "# Keyspace",
        &format!("sequence:{sequence}"),
        "# RocksDB",
    ] {
        assert!(all.lines().any(|found| found.trim_matches('"') == line), "{line} is not in {all}");
    }
    assert_eq!(client.ask(&["INFO", "cluster"]), "\"# Cluster\\r\\ncluster_enabled:0\\r\\n\"");
    assert_eq!(client.ask(&["INFO", "nothing"]), "\"\"");
    assert_eq!(client.ask(&["ROLE"]), format!("[\"master\" \"{sequence}\"]"));
}

/// A replica refuses writes with Kvrocks' words, reads all the same, and NO ONE makes it a primary.
#[test]
fn replicas_refuse_writes() {
    let dir = quick_dir();
    let engine = support::open_replica(dir.path());
    let listener = engine.serve("127.0.0.1:0", &ServeOptions::default()).unwrap();
    let mut client = Client::of(listener.address());
    let refused = "-READONLY You can't write against a read only slave.";
    converse(
        &mut client,
        &[
            ("SET a 1", refused),
            ("DEL a", refused),
            ("FLUSHDB", refused),
            ("EXPIRE a 1", refused),
            ("GET a", "nil"),
            ("NAMESPACE ADD a b", "-ERR namespace is read-only for slave"),
            ("NAMESPACE DEL a", "-ERR namespace is read-only for slave"),
            ("NAMESPACE GET a", "nil"),
        ],
    );
    assert!(client.ask(&["ROLE"]).starts_with("[\"slave\""));
    converse(&mut client, &[("SLAVEOF NO ONE", "+OK"), ("SET a 1", "+OK"), ("REPLICAOF no one", "+OK")]);
}

/// REPLICAOF makes a replica that looks for its primary and shows that it does, and refuses what cannot be.
#[test]
fn replicaof() {
    let served = Served::open();
    let client = &mut served.client();
    let port = served.listener.address().port();
    let nobody = support::wire::Port::reserve();
    let gone = nobody.number;
    converse(
        client,
        &[
            (&format!("SLAVEOF 127.0.0.1 {port}"), "-ERR can't replicate itself"),
            (&format!("REPLICAOF localhost {port}"), "-ERR can't replicate itself"),
            ("SLAVEOF 127.0.0.1 x", "-ERR port should be number"),
            ("SLAVEOF 127.0.0.1 65536", "-ERR port should be number"),
            ("SLAVEOF 127.0.0.1", "-ERR wrong number of arguments"),
            (&format!("SLAVEOF 127.0.0.1 {gone}"), "+OK"),
            (&format!("REPLICAOF 127.0.0.1 {gone}"), "+OK"),
            ("SET a 1", "-READONLY You can't write against a read only slave."),
        ],
    );
    let sequence = served.engine.position().unwrap().sequence;
    let role = client.ask(&["ROLE"]);
    assert_eq!(role, format!("[\"slave\" \"127.0.0.1\" \"{gone}\" \"connecting\" \"{sequence}\"]"));
    let expected = format!(
        "# Replication|role:slave|master_host:127.0.0.1|master_port:{gone}|master_link_status:down|\
         master_sync_unrecoverable_error:no|master_sync_in_progress:0|master_last_io_seconds_ago:-1|\
         slave_repl_offset:{sequence}|slave_priority:100|connected_slaves:0|master_repl_offset:{sequence}|"
    );
    let info = client.ask(&["INFO", "replication"]).replace("\\r\\n", "|");
    assert_eq!(info.trim_matches('"'), expected);
    assert!(client.ask(&["HELLO"]).contains("\"role\" \"slave\""));
    converse(client, &[("SLAVEOF NO ONE", "+OK"), ("SET a 1", "+OK")]);
    assert!(client.ask(&["ROLE"]).starts_with("[\"master\""));
}
