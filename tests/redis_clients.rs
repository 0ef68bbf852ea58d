//! Redis' own programs against the listener, and the listener against a Redis.

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

#[cfg(feature = "tls")]
use pumice::TlsServer;
use pumice::{Address, Engine, Listener, Options, ServeOptions};
use support::redis::Redis;
use support::{quick_dir, said, skipped, socket_dir};
use tempfile::TempDir;

/// Whether a program is there; says aloud when it is not.
fn have(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        skipped(&format!("{program} is missing; tools/install brings it"));
    }
    found
}

/// The program, without a password that the environment may hold.
fn redis_cli() -> Command {
    let mut command = Command::new("redis-cli");
    command.env_remove("REDISCLI_AUTH");
    command
}

struct Served {
    engine: Engine,
    listener: Listener,
    dir: TempDir,
}

fn serve(password: Option<&str>) -> Served {
    let dir = quick_dir();
    let engine = Engine::open(dir.path().join("data"), &Options::default()).unwrap();
    let options = ServeOptions { password: password.map(str::to_owned), ..Default::default() };
    let listener = engine.serve("127.0.0.1:0", &options).unwrap();
    Served { engine, listener, dir }
}

impl Served {
    fn cli(&self) -> Command {
        let address = self.listener.address();
        let mut command = redis_cli();
        command.args(["-h", &address.host(), "-p", &address.port().to_string(), "--no-auth-warning"]);
        command
    }
}

/// Runs `redis-cli` with lines of commands, and gives what it printed.
fn converse(command: &mut Command, script: &str) -> String {
    let mut cli = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    cli.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = cli.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Commands of which a Redis and this listener have the same opinion.
const SCRIPT: &str = r#"
PING
PING "a message"
ECHO "with \"quotes\" and \x00 zero"
SET a 1
GET a
GET missing
SET a 2 NX
SET a 2 XX
SET b 2 XX
SET a 3 GET
SET b 3 GET
SET c 3 NX GET
SET c 4 NX GET
SET c 5 XX GET
SET a 1 NX XX
SET a 1 EX
SET a 1 EX x
SET a 1 EX 0
SET a 1 EX -1
SET a 1 PX 9223372036854775807
SET a 1 EX 10 PX 10
SET a 1 KEEPTTL EX 10
SET a 1 NOPE
SET a 1 EX 1000
TTL a
SET a 1 KEEPTTL
TTL a
SET a 1
TTL a
SET a 1 EXAT 4102444800
PERSIST a
PERSIST a
PERSIST missing
EXPIRE a 1000
TTL a
EXPIRE a x
EXPIRE a 9223372036854775807
EXPIRE missing 10
PEXPIRE a 1000000
TTL a
PEXPIRE a -1
EXISTS a
EXPIRE b 0
EXISTS b
SET a 1 EXAT 1
GET a
SET a 1 PXAT 1
EXISTS a
MSET a 1 b 2 c 3 a 4
MGET a b c missing a
EXISTS a a b missing
TYPE a
TYPE missing
DEL a a missing
DEL missing
DBSIZE
KEYS b*
KEYS [b]
KEYS nothing*
SCAN 0 MATCH b COUNT 1000
SCAN 0 COUNT 0
SCAN x
SCAN 0 NOPE 1
SELECT 0
TTL missing
PTTL missing
SET "" empty
GET ""
SET empty ""
GET empty
CLIENT SETNAME me
CLIENT GETNAME
CLIENT KILL 1.2.3.4:5
CLIENT KILL ID 99999
CLIENT NO-EVICT on
CONFIG GET save
CONFIG GET appendonly
CONFIG GET maxmemory
CONFIG GET nothing
FLUSHDB
DBSIZE
FLUSHDB NOPE
EXEC
DISCARD
MULTI
SET a 1
INCR a
RPUSH l x y
LPUSH a x
GET a
LRANGE l 0 -1
EXEC
MULTI
MULTI
WATCH a
EXEC
MULTI
DISCARD
WATCH a
MULTI
SET a 3
EXEC
WATCH a
SET a 4
MULTI
SET a 5
EXEC
GET a
UNWATCH
PUBLISH channel message
PUBSUB CHANNELS
PUBSUB NUMSUB a
PUBSUB NUMPAT
BLPOP l 0
BRPOP l 0
BLPOP l 0.01
BLPOP l x
BLPOP l -1
BLPOP a 0
ZADD z 1 m 2.5 n
BZPOPMIN z 0
BZMPOP 0 1 z MAX
SCAN 0 TYPE string COUNT 100
RESET
PING
"#;

/// The listener answers what a Redis answers.
#[test]
fn answers_of_a_redis() {
    if !have("redis-cli") {
        return;
    }
    let served = serve(None);
    let Some(redis) = Redis::start(served.dir.path()) else { return };
    let script = |command: &mut Command| -> Vec<String> {
        // What tells one answer from the next.
        let lines: String = SCRIPT.lines().map(|line| format!("{line}\nECHO ---\n")).collect();
        let said = converse(command, &lines);
        said.split("---\n").map(|answer| answer.trim().to_owned()).collect()
    };
    let theirs = script(redis_cli().arg("-s").arg(&redis.socket));
    let ours = script(&mut served.cli());
    assert_eq!(ours.len(), theirs.len());
    assert!(theirs.len() > 80, "{theirs:?}");
    for (line, (ours, theirs)) in SCRIPT.lines().zip(ours.iter().zip(&theirs)) {
        assert_eq!(ours, theirs, "{line}");
    }
}

/// `redis-cli` logs in, scans, loads in bulk and shows what is asked, over TCP and over a Unix socket.
#[test]
fn redis_cli_does_its_work() {
    if !have("redis-cli") {
        return;
    }
    let served = serve(Some("secret"));
    let users = served.engine.create_namespace("users", Some("token")).unwrap();
    (0..1000).for_each(|n| users.put(format!("user:{n}").as_bytes(), b"x").unwrap());
    assert_eq!(converse(&mut served.cli(), "GET a\n"), "NOAUTH Authentication required.\n\n");
    assert_eq!(converse(served.cli().args(["-a", "wrong", "GET", "a"]), "").trim(), "NOAUTH Authentication required.");
    assert_eq!(converse(served.cli().args(["-a", "secret"]), "SET a 1\nGET a\n"), "OK\n1\n");
    assert_eq!(converse(served.cli().args(["--user", "default", "--pass", "secret", "GET", "a"]), ""), "1\n");
    let scanned = converse(served.cli().args(["-a", "token", "--scan", "--pattern", "user:*"]), "");
    assert_eq!(scanned.lines().count(), 1000);
    let info = converse(served.cli().args(["-a", "secret", "INFO", "replication"]), "");
    assert!(info.contains("role:master"), "{info}");
    let bulk: String = (0..10_000).map(|n| format!("SET bulk:{n} {n}\r\n")).collect();
    let piped = converse(served.cli().args(["-a", "secret", "--pipe"]), &bulk);
    assert!(piped.contains("errors: 0, replies: 10000"), "{piped}");
    assert_eq!(served.engine.default_namespace().get(b"bulk:9999").unwrap().unwrap(), b"9999");

    let dir = socket_dir();
    let address = format!("unix:{}", dir.path().join("socket").display());
    let listener = served.engine.serve(&address, &ServeOptions::default()).unwrap();
    let Address::Unix(path) = listener.address() else { panic!("{listener:?}") };
    assert_eq!(converse(redis_cli().arg("-s").arg(path).args(["GET", "a"]), ""), "1\n");
}

/// What `redis-benchmark` does here.
const BENCHMARKED: &str = "ping,set,get,incr,lpush,rpush,lpop,rpop,sadd,hset,spop,zadd,zpopmin,lrange,mset";

/// `redis-benchmark`, many connections and pipelines, finds nothing to complain of.
#[test]
fn redis_benchmark() {
    if !have("redis-benchmark") {
        return;
    }
    let served = serve(None);
    let address = served.listener.address();
    let mut command = Command::new("redis-benchmark");
    command.args(["-h", &address.host(), "-p", &address.port().to_string()]);
    let said = converse(command.args(["-t", BENCHMARKED, "-n", "2000", "-c", "30", "-P", "7", "-r", "100", "-q"]), "");
    assert_eq!(said.matches("requests per second").count(), 20, "{said}");
    assert!(!said.contains("rror"), "{said}");
    assert!(served.engine.default_namespace().count().unwrap() > 50);
}

/// `redis-cli --tls` is served, also where it has to show a certificate; without it, or with another CA, it is not.
#[test]
#[cfg(feature = "tls")]
fn redis_cli_over_tls() {
    if !have("redis-cli") {
        return;
    }
    let dir = quick_dir();
    let pem = |name: &str| support::fixture("tls").join(name);
    let engine = Engine::open(dir.path().join("data"), &Options::default()).unwrap();
    let tls = TlsServer {
        certificate: pem("node.pem"),
        key: pem("node.key"),
        client_ca: Some(pem("ca.pem")),
        ..Default::default()
    };
    let listener = engine.serve("127.0.0.1:0", &ServeOptions { tls: Some(tls), ..Default::default() }).unwrap();
    let cli = |ca: Option<&str>, certificate: Option<&str>, words: &[&str]| {
        let mut command = redis_cli();
        command.args(["-h", "127.0.0.1", "-p", &listener.address().port().to_string()]);
        if let Some(ca) = ca {
            command.arg("--tls").arg("--cacert").arg(pem(ca));
        }
        if let Some(name) = certificate {
            command.arg("--cert").arg(pem(&format!("{name}.pem"))).arg("--key").arg(pem(&format!("{name}.key")));
        }
        let output = command.args(words).output().unwrap();
        (output.status.success(), said(&output))
    };
    if cli(Some("ca.pem"), None, &["--version"]).1.contains("Unrecognized") {
        return skipped("this redis-cli has no TLS");
    }
    let (done, said) = cli(Some("ca.pem"), Some("node"), &["SET", "k", "over TLS"]);
    assert!(done && said.contains("OK"), "{said}");
    assert_eq!(engine.default_namespace().get(b"k").unwrap().unwrap(), b"over TLS");
    for (ca, certificate, words) in [
        (None, None, ""),
        (Some("other-ca.pem"), Some("node"), "certificate verify failed"),
        // With TLS 1.3 it hears of this behind its handshake, and does not look why.
        (Some("ca.pem"), None, ""),
        (Some("ca.pem"), Some("stranger"), ""),
    ] {
        let (done, said) = cli(ca, certificate, &["SET", "k", "refused"]);
        assert!(!done && said.contains(words), "{ca:?} {certificate:?}: {said}");
    }
    assert_eq!(engine.default_namespace().get(b"k").unwrap().unwrap(), b"over TLS");
}
