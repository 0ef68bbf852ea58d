//! `pumice serve` and `pumice follow`.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::*;
use crate::support::wire::Port;
use crate::support::{skipped, wait_until};

/// A program that runs until it is told to end.
struct Running {
    child: Child,
    errors: std::io::Lines<BufReader<std::process::ChildStderr>>,
}

impl Running {
    fn start(mut command: Command) -> Running {
        let mut child = command.spawn().unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap()).lines();
        Running { child, errors }
    }

    /// Reads what it says until a line has these words.
    #[track_caller]
    fn until(&mut self, words: &str) -> String {
        let mut lines = self.errors.by_ref().map(Result::unwrap);
        lines.find(|line| line.contains(words)).unwrap_or_else(|| panic!("it ended without saying {words:?}"))
    }

    /// Its first JSON document on standard output.
    fn document(&mut self) -> Json {
        let output = self.child.stdout.take().unwrap();
        let json = serde_json::Deserializer::from_reader(output).into_iter().next().unwrap();
        json.unwrap()
    }

    /// Ends it with a signal, and gives its output and exit status.
    fn end(mut self, signal: Signal) -> (String, Option<i32>) {
        send(&self.child, signal);
        let mut text = String::new();
        if let Some(mut output) = self.child.stdout.take() {
            output.read_to_string(&mut text).unwrap();
        }
        (text, self.child.wait().unwrap().code())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(stream: &mut TcpStream, words: &str) -> String {
    stream.write_all(format!("{words}\r\n").as_bytes()).unwrap();
    received(stream)
}

fn received(stream: &mut TcpStream) -> String {
    let mut reply = [0; 256];
    let length = stream.read(&mut reply).unwrap();
    String::from_utf8(reply[..length].to_vec()).unwrap()
}

/// Serve says where it listens, answers clients that know the password, holds its directory, and ends cleanly on SIGINT,
/// SIGTERM and SIGHUP: what was written is there, and the address is free.
#[test]
fn serves() {
    let dir = tempfile::tempdir().unwrap();
    let (path, password) = (dir.path().join("data"), dir.path().join("password"));
    let port = Port::reserve();
    fs::write(&password, "a secret\nnot this\n").unwrap();
    for (round, signal) in [Signal::INT, Signal::TERM, hangup()].into_iter().enumerate() {
        let mut command = pumice([&"serve", &path, &"--listen", &port.address(), &"--json"]);
        command.arg("--password-file").arg(&password);
        let mut running = Running::start(command);
        let told = running.document();
        let address = told["address"].as_str().unwrap().to_owned();
        assert_eq!(address, port.address());
        assert_eq!(address, format!("{}:{}", told["host"].as_str().unwrap(), told["port"]));
        let mut client = TcpStream::connect(&address).unwrap();
        assert!(ask(&mut client, "GET k").starts_with("-NOAUTH"));
        assert_eq!(ask(&mut client, "AUTH \"a secret\""), "+OK\r\n");
        assert_eq!(ask(&mut client, &format!("SET k{round} v")), "+OK\r\n");
        assert!(complaint(&pumice([&"inspect", &path]).output().unwrap(), 1).contains("data is open in process"));
        running.until("primary, at");
        let (said, status) = running.end(signal);
        assert_eq!((said.as_str(), status), ("", Some(0)));
        drop(TcpListener::bind(&address).unwrap());
        assert_eq!(open(&path).default_namespace().count().unwrap(), round as u64 + 1);
    }
}

/// What cannot be served is one line and exit 1, and the directory is let go.
#[test]
fn serves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let missing = dir.path().join("missing");
    for (arguments, words) in [
        ([&address as &dyn AsRef<std::ffi::OsStr>, &"--json"], address.as_str()),
        ([&"unix:/nowhere/socket", &"--json"], "/nowhere/socket"),
        ([&"127.0.0.1:0", &format!("--password-file={}", missing.display())], "missing: No such file"),
    ] {
        let mut command = pumice([&"serve", &path, &"--listen", arguments[0]]);
        let output = command.arg(arguments[1]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let last = text(&output.stderr).lines().last().unwrap();
        assert!(last.starts_with("pumice: ") && last.contains(words), "{}", said(&output));
    }
    // A password that is not one must not mean that none is asked for.
    use std::os::unix::ffi::OsStrExt;
    for (password, words) in [(&b""[..], "it is empty"), (b"\xff", "not UTF-8")] {
        let mut command = pumice([&"serve", &path, &"--listen", &"127.0.0.1:0"]);
        let line =
            complaint(&command.env("PUMICE_PASSWORD", std::ffi::OsStr::from_bytes(password)).output().unwrap(), 1);
        assert!(line.starts_with("PUMICE_PASSWORD: ") && line.contains(words), "{line}");
    }
    open(&path);
}

/// Follow makes a replica where there is nothing, says why it has to wait, ends cleanly, and leaves a directory that knows
/// whom it follows.
#[test]
fn follows_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    let port = Port::reserve();
    let address = port.address();
    let mut running = Running::start(pumice([&"follow", &path, &address, &"--json"]));
    assert!(running.until("waiting").contains(&format!("pumice: waiting {address}: ")));
    let (said, status) = running.end(Signal::INT);
    let json: Json = serde_json::from_str(&said).unwrap();
    assert_eq!(
        (status, &json["link"]["port"], &json["position"]["sequence"]),
        (Some(0), &json!(port.number), &json!(0))
    );
    assert!(json["link"]["last_error"].as_str().unwrap().contains("refused"), "{json}");
    assert_eq!(good(&mut pumice([&"inspect", &path]))["role"], "replica");

    // Told to wait for the data, it has not done its work without.
    let mut running = Running::start(pumice([&"follow", &path, &address, &"--once"]));
    running.until("waiting");
    assert_eq!(running.end(Signal::TERM).1, Some(143));

    let mut running = Running::start(pumice([&"serve", &path, &"--listen", &"127.0.0.1:0"]));
    assert!(running.until("waiting").contains("replica, waiting"));
    assert_eq!(running.end(Signal::TERM).1, Some(0));
}

/// What was started to outlive its terminal does.
#[test]
fn nohup() {
    let dir = tempfile::tempdir().unwrap();
    let port = Port::reserve();
    let follow = pumice([&"follow", &dir.path().join("data"), &port.address(), &"--once"]);
    let mut command = Command::new("nohup");
    command.arg(follow.get_program()).args(follow.get_args()).env_remove("PUMICE_PASSWORD");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = Running::start(command);
    running.until("waiting");
    send(&running.child, Signal::HUP);
    assert_eq!(running.end(Signal::TERM).1, Some(143));
}

/// Told to wait for the data, follow does not take a link that streams for data that is here.
#[test]
fn streaming_is_not_enough() {
    let dir = tempfile::tempdir().unwrap();
    let primary = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = primary.local_addr().unwrap().to_string();
    let mut running = Running::start(pumice([&"follow", &dir.path().join("data"), &address, &"--once"]));
    // A primary at 5 that sends nothing of it.
    let mut stream = primary.accept().unwrap().0;
    assert!(received(&mut stream).contains("pumice"));
    let words = "pumice 1 layout standalone run aaaaaaaaaaaaaaaa generation 1 id bbbbbbbbbbbbbbbb latest 5";
    let bulks: String = words.split(' ').map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
    stream.write_all(format!("*12\r\n{bulks}").as_bytes()).unwrap();
    assert!(received(&mut stream).contains("PSYNC"));
    stream.write_all(b"+OK\r\n").unwrap();
    running.until("streaming");
    assert_eq!(running.end(Signal::TERM).1, Some(143));
}

/// A primary is not made a replica, which would give up its data, unless that is asked for.
#[test]
fn a_primary_is_asked_first() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    make(&path).close().unwrap();
    let before = good(&mut pumice([&"inspect", &path]));
    let line = complaint(&pumice([&"follow", &path, &"127.0.0.1:1"]).output().unwrap(), 1);
    assert!(line.contains("it is a primary, expected a replica") && line.contains("--give-up"), "{line}");
    assert_eq!(good(&mut pumice([&"inspect", &path])), before);
    let mut running = Running::start(pumice([&"follow", &path, &"127.0.0.1:1", &"--give-up"]));
    running.until("waiting");
    assert_eq!(running.end(Signal::TERM).1, Some(0));
    assert_eq!(good(&mut pumice([&"inspect", &path]))["role"], "replica");
    let line = complaint(&pumice([&"follow", &dir.path().join("data/db"), &"h:1"]).output().unwrap(), 1);
    assert!(line.contains("is a RocksDB folder itself"), "{line}");
}

/// A served directory is followed by another one until its data is here, and then as it is written; each says so of the
/// other.
#[test]
fn follows_what_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("data"), dir.path().join("copy"));
    let expected = shown(&make(&path));
    let mut server = Running::start(pumice([&"serve", &path, &"--listen", &"127.0.0.1:0", &"--json"]));
    let address = server.document()["address"].as_str().unwrap().to_owned();
    let json = good(&mut pumice([&"follow", &copy, &address, &"--once"]));
    assert_eq!((&json["link"]["state"], &json["link"]["peer"]), (&json!("streaming"), &json!("pumice")));
    assert!(shown(&Engine::open(&copy, &Options { read_only: true, ..Default::default() }).unwrap()) == expected);

    let mut follower = Running::start(pumice([&"follow", &copy, &address, &"--announce-port", &"7007"]));
    follower.until("streaming from pumice");
    server.until("; pumice 127.0.0.1:7007 ");
    let mut client = TcpStream::connect(&address).unwrap();
    assert_eq!(ask(&mut client, "SET late v"), "+OK\r\n");
    wait_until("the replica has acknowledged it", || {
        let told = ask(&mut client, "INFO replication");
        let of = |name: &str| told.split(name).nth(1)?.split([',', '\r']).next()?.parse::<u64>().ok();
        of("master_repl_offset:").is_some() && of("slave0:ip=127.0.0.1,port=7007,offset=") == of("master_repl_offset:")
    });
    assert_eq!(server.end(Signal::TERM).1, Some(0));
    follower.until("waiting");
    assert_eq!(follower.end(Signal::TERM).1, Some(0));
    let copy = Engine::open(&copy, &Options { read_only: true, ..Default::default() }).unwrap();
    assert_eq!(copy.default_namespace().get(b"late").unwrap().unwrap(), b"v");
}

/// A directory is served over TLS, and followed by who trusts its CA and shows a certificate of the CA that it asks for; others
/// are told why not. Files that are none are one line and exit 1.
#[test]
#[cfg(feature = "tls")]
fn follows_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("data"), dir.path().join("copy"));
    let expected = shown(&make(&path));
    let pem = |name: &str| fixture("tls").join(name);
    let mut command = pumice([&"serve", &path, &"--listen", &"127.0.0.1:0", &"--json"]);
    command.arg("--tls-cert").arg(pem("node.pem")).arg("--tls-key").arg(pem("node.key"));
    command.arg("--tls-client-ca").arg(pem("ca.pem")).arg("--tls-peer-ca").arg(pem("ca.pem"));
    let mut server = Running::start(command);
    let address = server.document()["address"].as_str().unwrap().to_owned();
    let follow = |ca: Option<&str>, certificate: Option<&str>, more: &[&str]| {
        let mut command = pumice([&"follow", &copy, &address]);
        if let Some(ca) = ca {
            command.arg("--tls-ca").arg(pem(ca));
        }
        if let Some(name) = certificate {
            command.arg("--tls-cert").arg(pem(&format!("{name}.pem")));
            command.arg("--tls-key").arg(pem(&format!("{name}.key")));
        }
        command.args(more);
        command
    };
    for (ca, certificate, more, words) in [
        (None, None, [].as_slice(), "it speaks TLS; follow it with TLS"),
        (Some("other-ca.pem"), Some("node"), &[], "UnknownIssuer"),
        (Some("ca.pem"), None, &[], "CertificateRequired"),
        (Some("ca.pem"), Some("node"), &["--tls-server-name", "other.test"], "not valid for name \"other.test\""),
    ] {
        let mut running = Running::start(follow(ca, certificate, more));
        running.until(words);
        assert_eq!(running.end(Signal::INT).1, Some(0));
    }
    let json = good(&mut follow(Some("ca.pem"), Some("node"), &["--once"]));
    assert_eq!(json["link"]["state"], "streaming");
    assert!(shown(&Engine::open(&copy, &Options { read_only: true, ..Default::default() }).unwrap()) == expected);
    assert_eq!(server.end(Signal::TERM).1, Some(0));

    let line = follow(Some("missing.pem"), None, &[]).output().unwrap();
    assert!(complaint(&line, 1).contains("missing.pem: No such file"), "{}", said(&line));
    let mut command = pumice([&"serve", &path, &"--listen", &"127.0.0.1:0", &"--tls-cert"]);
    let line = command.arg(pem("node.pem")).arg("--tls-key").arg(pem("stranger.key")).output().unwrap();
    assert!(complaint(&line, 1).contains("node.pem with key "), "{}", said(&line));
}

/// A real Kvrocks, where one is named, is followed with its password and namespaces until its data is here.
#[test]
fn follows_a_real_kvrocks() {
    let Some(server) = std::env::var_os("PUMICE_KVROCKS") else { return skipped("PUMICE_KVROCKS is not set") };
    let dir = tempfile::tempdir().unwrap();
    let (theirs, path) = (dir.path().join("theirs"), dir.path().join("data"));
    copy_tree(&fixture("plain-zstd").join("db"), &theirs.join("db"));
    let reserved = Port::reserve();
    let port = reserved.number;
    let configuration = dir.path().join("kvrocks.conf");
    let lines = format!(
        "bind 127.0.0.1\nport {port}\ndir {}\ndaemonize no\nrequirepass rootpw\nrepl-namespace-enabled yes\n",
        theirs.display()
    );
    fs::write(&configuration, lines).unwrap();
    let mut server = Command::new(server).arg("-c").arg(&configuration).stdout(Stdio::null()).spawn().unwrap();
    wait_until("the server listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let told = std::panic::catch_unwind(|| {
        let address = format!("127.0.0.1:{port}");
        let mut command = pumice([&"follow", &path, &address, &"--once"]);
        let json = good(command.env("PUMICE_PASSWORD", "rootpw"));
        assert_eq!((&json["link"]["state"], &json["link"]["peer"]), (&json!("streaming"), &json!("kvrocks")));
        let inspected = good(&mut pumice([&"inspect", &path, &"--verify"]));
        assert_eq!(inspected["position"], json["position"]);
        let names: Vec<_> = inspected["namespaces"].as_array().unwrap().iter().map(|row| &row["name"]).collect();
        assert_eq!(names, ["__namespace", "alpha", "beta", "gamma"]);
        assert!(inspected["namespaces"][0]["types"]["zset"]["keys"].as_u64() > Some(0));
    });
    let _ = server.kill();
    server.wait().unwrap();
    told.unwrap();
}
