//! How listeners and connections begin and end.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicBool, Ordering};

use pumice::{Address, Engine, ErrorKind, Options, ServeOptions};

use super::support::wire::Port;
use super::support::{assert_error, process, quick_dir, run, said, socket_dir, wait_until};
use super::{Client, Served, converse, support};

/// Closing a listener ends its connections, and when it returns its address is free.
#[test]
fn closing_frees_the_address() {
    let port = Port::reserve();
    let served = Served::at(&port.address(), &ServeOptions::default());
    let mut clients: Vec<Client> = (0..10).map(|_| served.client()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.ask(&["PING"]), "+PONG"));
    let address = served.listener.address().to_string();
    assert_error(served.engine.serve(&address, &ServeOptions::default()), ErrorKind::Busy, &[&address]);
    served.listener.close();
    served.listener.close();
    assert!(clients.iter_mut().all(Client::is_closed));
    let again = served.engine.serve(&address, &ServeOptions::default()).unwrap();
    assert_eq!(Client::of(again.address()).ask(&["PING"]), "+PONG");
    assert_eq!(again.address().to_string(), address);
}

/// Closing the engine ends its listeners, while clients are busy, and the directory and the addresses are free.
#[test]
fn closing_the_engine() {
    for _ in 0..5 {
        let port = Port::reserve();
        let served = Served::at(&port.address(), &ServeOptions::default());
        let other = served.engine.serve("127.0.0.1:0", &ServeOptions::default()).unwrap();
        let address = served.listener.address().to_string();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for listener in [&served.listener, &other, &served.listener] {
                let (mut client, stop) = (Client::of(listener.address()), &stop);
                scope.spawn(move || {
                    let mut n = 0;
                    while client.try_send(&super::request(&["SET", &n.to_string(), "x"])) {
                        let reply = client.reply();
                        if reply != "+OK" {
                            assert!(reply == "closed" || reply.contains("the engine is closed"), "{reply}");
                            break;
                        }
                        n += 1;
                        stop.store(n > 100, Ordering::Relaxed);
                    }
                });
            }
            wait_until("they are busy", || stop.load(Ordering::Relaxed));
            served.engine.close().unwrap();
        });
        assert_error(served.engine.serve("127.0.0.1:0", &ServeOptions::default()), ErrorKind::Closed, &[]);
        let again = support::open(served.engine.path());
        again.serve(&address, &ServeOptions::default()).unwrap();
        support::assert_sound(&again);
    }
}

/// A listener keeps no engine open: when the last handle goes, so do engine and connections.
#[test]
fn dropping_the_engine() {
    let Served { listener, engine, _dir: dir } = Served::open();
    let mut client = Client::of(listener.address());
    converse(&mut client, &[("SET a 1", "+OK"), ("GET a", "\"1\""), ("SCAN 0", "[\"0\" [\"a\"]]")]);
    drop(engine);
    assert!(client.is_closed());
    let again = Engine::open(dir.path(), &Options::default()).unwrap();
    assert_eq!(again.default_namespace().get(b"a").unwrap().unwrap(), b"1");
    drop(listener);
}

/// A dropped listener ends its connections and nothing else.
#[test]
fn dropping_the_listener() {
    let Served { listener, engine, _dir } = Served::open();
    let mut client = Client::of(listener.address());
    assert_eq!(client.ask(&["PING"]), "+PONG");
    drop(listener);
    assert!(client.is_closed());
    engine.default_namespace().put(b"a", b"1").unwrap();
}

/// CLIENT LIST shows every connection, and CLIENT KILL ends those that are meant.
#[test]
fn listing_and_killing() {
    let served = Served::open();
    let mut admin = served.client();
    converse(&mut admin, &[("CLIENT SETNAME admin", "+OK"), ("CLIENT ID", ":1")]);
    let mut clients: Vec<Client> = Vec::new();
    for n in 2..6 {
        let mut client = served.client();
        assert_eq!(client.ask(&["CLIENT", "ID"]), format!(":{n}"));
        clients.push(client);
    }
    let list = admin.ask(&["CLIENT", "LIST"]).replace("\\n", "\n");
    assert_eq!(list.matches("id=").count(), 5, "{list}");
    let first = list.lines().next().unwrap();
    for part in ["id=1 addr=127.0.0.1:", " name=admin ", " flags=N ", " namespace=__namespace ", " cmd=client "] {
        assert!(first.contains(part), "{part} is not in {first}");
    }
    assert!(admin.ask(&["CLIENT", "INFO"]).starts_with("\"id=1 "));
    let address = |id: &str| {
        let line = list.lines().find(|line| line.trim_start_matches('"').starts_with(&format!("id={id} "))).unwrap();
        line.split("addr=").nth(1).unwrap().split(' ').next().unwrap().to_owned()
    };
    converse(&mut admin, &[("CLIENT KILL ID 2", ":1"), ("CLIENT KILL ID 99", ":0")]);
    assert!(clients[0].is_closed());
    assert_eq!(admin.ask(&["CLIENT", "KILL", &address("3")]), "+OK");
    assert!(clients[1].is_closed());
    assert_eq!(admin.ask(&["CLIENT", "KILL", "ADDR", &address("4"), "ID", "5"]), ":0");
    assert_eq!(admin.ask(&["CLIENT", "KILL", "ADDR", &address("4")]), ":1");
    assert!(clients[2].is_closed());
    converse(
        &mut admin,
        &[
            ("CLIENT KILL 1.2.3.4:5", "-ERR No such client"),
            ("CLIENT KILL", "-ERR syntax error"),
            ("CLIENT KILL TYPE nope", "-ERR syntax error"),
            ("CLIENT KILL TYPE replica", ":0"),
            ("CLIENT KILL TYPE pubsub", ":0"),
            ("CLIENT KILL ID 0", "-ERR client-id should be greater than 0"),
        ],
    );
    wait_until("they are gone", || admin.ask(&["CLIENT", "LIST"]).matches("id=").count() == 2);
    converse(&mut admin, &[("CLIENT KILL TYPE normal", ":1"), ("PING", "+PONG")]);
    assert!(clients[3].is_closed());
    converse(&mut admin, &[("CLIENT KILL ID 1 SKIPME no", ":1")]);
    assert!(admin.is_closed());
}

/// A tenant sees and ends the connections of its namespace only.
#[test]
fn tenants_see_their_own() {
    let served = Served::with_password();
    for (name, token) in [("a", "ta"), ("b", "tb")] {
        served.engine.create_namespace(name, Some(token)).unwrap();
    }
    let mut admin = served.client_with("secret");
    let (mut a, mut a2, mut b) = (served.client_with("ta"), served.client_with("ta"), served.client_with("tb"));
    assert_eq!(admin.ask(&["CLIENT", "LIST"]).matches("id=").count(), 4);
    let list = a.ask(&["CLIENT", "LIST"]);
    assert_eq!((list.matches("id=").count(), list.matches("namespace=a ").count()), (2, 2), "{list}");
    converse(&mut a, &[("CLIENT KILL ID 1", ":0"), ("CLIENT KILL ID 4", ":0"), ("CLIENT KILL TYPE normal", ":1")]);
    assert!(a2.is_closed());
    assert_eq!(b.ask(&["PING"]), "+PONG");
    assert_eq!(admin.ask(&["PING"]), "+PONG");
}

/// A Unix socket serves its owner only, takes the place of an old one, and leaves nothing.
#[test]
fn unix_sockets() {
    let served = Served::open();
    let dir = socket_dir();
    let path = dir.path().join("socket");
    let address = format!("unix:{}", path.display());
    let options = ServeOptions::default();
    let listener = served.engine.serve(&address, &options).unwrap();
    assert_eq!((listener.address(), listener.address().to_string()), (&Address::Unix(path.clone()), address.clone()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut client = Client::of(listener.address());
    converse(&mut client, &[("SET a 1", "+OK"), ("GET a", "\"1\"")]);
    assert!(client.ask(&["CLIENT", "LIST"]).contains(&format!("addr={}:0 ", path.display())));
    assert_error(served.engine.serve(&address, &options), ErrorKind::Busy, &["socket"]);
    assert_eq!(client.ask(&["PING"]), "+PONG");
    drop(listener);
    assert!(client.is_closed() && !path.exists());
    // One that nobody listens on any more, as a killed process leaves it.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let listener = served.engine.serve(&address, &options).unwrap();
    assert_eq!(Client::of(listener.address()).ask(&["GET", "a"]), "\"1\"");
    // What took its place meanwhile is not removed.
    fs::remove_file(&path).unwrap();
    fs::write(&path, "a file").unwrap();
    drop(listener);
    assert_eq!(fs::read(&path).unwrap(), b"a file");
    assert_error(served.engine.serve(&address, &options), ErrorKind::AlreadyExists, &["no socket"]);
}

/// Addresses and options that are none are refused.
#[test]
fn wrong_addresses() {
    let served = Served::open();
    let options = ServeOptions::default();
    for address in ["", "nonsense", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536", "unix:"] {
        assert_error(served.engine.serve(address, &options), ErrorKind::InvalidArgument, &["serve on"]);
    }
    assert_error(served.engine.serve("192.0.2.1:0", &options), ErrorKind::Io, &["192.0.2.1"]);
    let options = ServeOptions { password: Some(String::new()), ..Default::default() };
    assert_error(served.engine.serve("127.0.0.1:0", &options), ErrorKind::InvalidArgument, &["password"]);
    let options = ServeOptions { max_connections: 0, ..Default::default() };
    assert_error(served.engine.serve("127.0.0.1:0", &options), ErrorKind::InvalidArgument, &["max_connections"]);
    let options = ServeOptions { sync_bytes_per_second: Some(0), ..Default::default() };
    assert_error(served.engine.serve("127.0.0.1:0", &options), ErrorKind::InvalidArgument, &["sync_bytes_per_second"]);
    let options = ServeOptions { password: Some("hidden".to_owned()), ..Default::default() };
    assert!(!format!("{options:?}").contains("hidden"));
    match served.engine.serve("[::1]:0", &ServeOptions::default()) {
        Ok(listener) => assert_eq!(Client::of(listener.address()).ask(&["PING"]), "+PONG"),
        Err(e) => support::skipped(&format!("there is no IPv6 here: {e}")),
    }
}

/// A forked child that drops its copy of a listener disturbs nothing.
#[test]
fn forks() {
    let dir = quick_dir();
    let output = run(&mut process("fork", &[dir.path()]));
    assert!(output.status.success() && said(&output).contains("1 passed"), "{}", said(&output));
}

/// A forked child does not keep the address of a process that was killed.
#[test]
fn orphans() {
    let dir = quick_dir();
    let port = Port::reserve();
    let mut parent = process("orphan", &[dir.path()]).env("PUMICE_ADDRESS", port.address()).spawn().unwrap();
    // The child lives until this is closed.
    let held = parent.stdin.take();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "forked"), "the child did not come back from its fork");
    assert_eq!(parent.wait().unwrap().signal(), Some(libc::SIGABRT));
    let served = Served::at(&port.address(), &ServeOptions::default());
    assert_eq!(served.client().ask(&["PING"]), "+PONG");
    drop(held);
}

/// Drops its listener in a forked child and goes on with it.
pub fn fork(engine: &Engine) {
    let listener = engine.serve("127.0.0.1:0", &ServeOptions::default()).unwrap();
    let mut client = Client::of(listener.address());
    assert_eq!(client.ask(&["SET", "a", "1"]), "+OK");
    // SAFETY: the child does what a forked child may do with an engine, and ends with _exit.
    match unsafe { libc::fork() } {
        0 => {
            listener.close();
            let refused = engine.serve("127.0.0.1:0", &ServeOptions::default()).is_err();
            drop(listener);
            // SAFETY: it ends this process and nothing else.
            unsafe { libc::_exit(if refused { 0 } else { 1 }) }
        }
        child => {
            let mut status = -1;
            // SAFETY: `status` outlives the call.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert_eq!(status, 0);
        }
    }
    assert_eq!(client.ask(&["GET", "a"]), "\"1\"");
    assert_eq!(Client::of(listener.address()).ask(&["GET", "a"]), "\"1\"");
}

/// Serves, leaves a child behind and is killed.
pub fn orphan(engine: &Engine) {
    let address = std::env::var("PUMICE_ADDRESS").unwrap();
    let listener = engine.serve(&address, &ServeOptions::default()).unwrap();
    assert_eq!(Client::of(listener.address()).ask(&["PING"]), "+PONG");
    // SAFETY: the child says that it is there, reads until the end of its input, and ends with _exit.
    match unsafe { libc::fork() } {
        0 => {
            let (mut byte, forked) = (0u8, b"\nforked\n");
            // SAFETY: both outlive the calls, and _exit ends this process and nothing else.
            unsafe {
                libc::write(1, forked.as_ptr().cast(), forked.len());
                while libc::read(0, (&raw mut byte).cast(), 1) > 0 {}
                libc::_exit(0)
            }
        }
        _ => std::process::abort(),
    }
}
