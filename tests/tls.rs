//! TLS on the listener and on the link. The certificates were written by `tests/fixtures/tls/generate`.

mod support;

use std::io::{ErrorKind as IoKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pumice::{
    Engine, ErrorKind, FollowOptions, LinkState, Listener, Options, Role, ServeOptions, TlsClient, TlsServer,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use support::wire::Port;
use support::{Random, assert_error, assert_sound, open, open_replica, shown, wait_until};

const SOON: Duration = Duration::from_secs(60);

fn pem(name: &str) -> PathBuf {
    support::fixture("tls").join(name)
}

/// A listener's certificate, and whether clients need one.
fn server(name: &str, asks: bool) -> TlsServer {
    TlsServer {
        certificate: pem(&format!("{name}.pem")),
        key: pem(&format!("{name}.key")),
        client_ca: asks.then(|| pem("ca.pem")),
        peer_ca: None,
    }
}

fn serve_with(engine: &Engine, tls: TlsServer) -> Listener {
    engine.serve("127.0.0.1:0", &ServeOptions { tls: Some(tls), ..Default::default() }).unwrap()
}

fn serve(engine: &Engine) -> Listener {
    serve_with(engine, server("node", false))
}

fn trusting(ca: &str) -> TlsClient {
    TlsClient { ca: pem(ca), ..Default::default() }
}

/// With a certificate of its own.
fn showing(name: &str) -> TlsClient {
    let (certificate, key) = (Some(pem(&format!("{name}.pem"))), Some(pem(&format!("{name}.key"))));
    TlsClient { certificate, key, ..trusting("ca.pem") }
}

fn over(tls: TlsClient) -> FollowOptions {
    FollowOptions { tls: Some(tls), ..Default::default() }
}

fn follow(replica: &Engine, listener: &Listener, tls: TlsClient) {
    replica.follow("127.0.0.1", listener.address().port(), &over(tls)).unwrap();
}

#[track_caller]
fn linked(replica: &Engine) {
    assert!(replica.wait_linked(Some(SOON), &mut |_| ControlFlow::Continue(())).unwrap(), "{:?}", replica.link());
}

/// Waits until the link tells that it failed for that reason.
#[track_caller]
fn fails(replica: &Engine, reason: &str) {
    let mut last = None;
    wait_until(reason, || {
        let error = replica.link().unwrap().and_then(|link| link.last_error);
        if error != last {
            println!("{error:?}");
            last = error;
        }
        last.as_ref().is_some_and(|error| error.contains(reason))
    });
    assert_ne!(replica.link().unwrap().unwrap().state, LinkState::Streaming);
}

#[track_caller]
fn assert_follows(replica: &Engine, primary: &Engine) {
    let position = primary.position().unwrap();
    assert!(replica.wait_for(&position, SOON).unwrap(), "{:?}", replica.link());
    assert_eq!(shown(replica), shown(primary));
}

/// A primary and an engine that will follow it.
fn pair(dir: &tempfile::TempDir) -> (Engine, Engine) {
    (open(dir.path().join("p")), open_replica(dir.path().join("r")))
}

/// A client of the listener, with nothing of the engine in it.
struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

impl Client {
    fn connect(listener: &Listener) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(pem("ca.pem")).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let socket = TcpStream::connect(listener.address().to_string()).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        Client { stream: StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket) }
    }

    fn send(&mut self, request: &str) {
        self.stream.write_all(request.as_bytes()).unwrap();
    }

    /// Sends a request and reads as many bytes as its reply should have.
    fn ask(&mut self, request: &str, reply: &str) {
        self.send(request);
        let mut got = vec![0; reply.len()];
        self.stream.read_exact(&mut got).unwrap();
        assert_eq!(String::from_utf8_lossy(&got), reply);
    }
}

/// Passes bytes on between a client and a port, and keeps those that it saw.
struct Relay {
    port: u16,
    seen: Arc<Mutex<Vec<u8>>>,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
}

impl Relay {
    fn to(port: u16) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay =
            Relay { port: listener.local_addr().unwrap().port(), seen: Arc::default(), sockets: Arc::default() };
        let (seen, sockets) = (Arc::clone(&relay.seen), Arc::clone(&relay.sockets));
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                sockets.lock().unwrap().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let seen = Arc::clone(&seen);
                    std::thread::spawn(move || pass(from, to, &seen));
                }
            }
        });
        relay
    }

    /// Ends all connections, without a word of either side.
    fn cut(&self) {
        for socket in self.sockets.lock().unwrap().drain(..) {
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, seen: &Mutex<Vec<u8>>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read) = from.read(&mut buffer) {
        seen.lock().unwrap().extend_from_slice(&buffer[..read]);
        if read == 0 || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// A replica brings the dataset and follows over TLS, and nobody in between can read it, or make it lose anything by
/// cutting it.
#[test]
fn a_replica_follows() {
    let dir = tempfile::tempdir().unwrap();
    let (primary, replica) = pair(&dir);
    let namespace = primary.create_namespace("ns", None).unwrap();
    let mut random = Random(7);
    (0..2000).for_each(|n| namespace.put(format!("key{n}").as_bytes(), &random.bytes(1000)).unwrap());
    namespace.put(b"secret", b"well-kept secret").unwrap();
    // Of its own history: only a full sync helps.
    replica.promote().unwrap();
    replica.default_namespace().put(b"own", b"entry").unwrap();
    let listener = serve(&primary);
    let relay = Relay::to(listener.address().port());
    replica.follow("127.0.0.1", relay.port, &over(trusting("ca.pem"))).unwrap();
    linked(&replica);
    assert_follows(&replica, &primary);
    assert_eq!(replica.link().unwrap().unwrap().full_syncs, 1);

    // More in one entry than TLS has in one record, and many entries.
    namespace.put(b"large", &random.bytes(3 << 20)).unwrap();
    (0..200).for_each(|n| namespace.put(format!("more{n}").as_bytes(), b"another secret").unwrap());
    assert_eq!(primary.wait_acked(&primary.position().unwrap(), 1, SOON).unwrap(), 1);
    assert_follows(&replica, &primary);
    relay.cut();
    namespace.put(b"after", b"the cut").unwrap();
    assert_follows(&replica, &primary);
    assert_eq!(replica.link().unwrap().unwrap().full_syncs, 1);
    assert_sound(&replica);

    let seen = relay.seen.lock().unwrap();
    assert!(seen.len() > 5_000_000, "{}", seen.len());
    for word in [&b"secret"[..], b"PSYNC", b"PUMICE", b"key1999"] {
        assert!(!seen.windows(word.len()).any(|window| window == word), "{}", word.escape_ascii());
    }
}

/// What TLS needs is kept: a restarted replica goes on over TLS, and a restarted primary finds it again.
#[test]
fn a_restart_goes_on_over_tls() {
    let dir = tempfile::tempdir().unwrap();
    let (mut primary, mut replica) = pair(&dir);
    let port = Port::reserve();
    let options = ServeOptions { tls: Some(server("named", true)), ..Default::default() };
    let listener = primary.serve(&port.address(), &options).unwrap();
    let named = TlsClient { server_name: Some("primary.test".to_owned()), ..showing("node") };
    follow(&replica, &listener, named);
    linked(&replica);
    replica.close().unwrap();
    primary.default_namespace().put(b"away", b"1").unwrap();
    replica = Engine::open(dir.path().join("r"), &Options::default()).unwrap();
    linked(&replica);
    assert_follows(&replica, &primary);

    drop(listener);
    primary.close().unwrap();
    primary = open(dir.path().join("p"));
    primary.default_namespace().put(b"again", b"2").unwrap();
    let _listener = primary.serve(&port.address(), &options).unwrap();
    assert_follows(&replica, &primary);
    assert_eq!(replica.link().unwrap().unwrap().full_syncs, 0);
}

/// A replica follows nobody whose certificate is of another CA, or for another name, and says so.
#[test]
fn the_primary_must_be_the_right_one() {
    let dir = tempfile::tempdir().unwrap();
    let (primary, replica) = pair(&dir);
    primary.default_namespace().put(b"k", b"v").unwrap();
    let listener = serve_with(&primary, server("named", false));
    follow(&replica, &listener, trusting("other-ca.pem"));
    fails(&replica, "UnknownIssuer");
    follow(&replica, &listener, trusting("ca.pem"));
    fails(&replica, "not valid for name");
    let other = TlsClient { server_name: Some("replica.test".to_owned()), ..trusting("ca.pem") };
    follow(&replica, &listener, other);
    fails(&replica, "not valid for name \"replica.test\"");
    assert_eq!(replica.position().unwrap().sequence, 0);
    let named = TlsClient { server_name: Some("primary.test".to_owned()), ..trusting("ca.pem") };
    follow(&replica, &listener, named);
    linked(&replica);
    assert_follows(&replica, &primary);
}

/// A listener that asks for certificates lets nobody in without one of its CA, and tells why.
#[test]
fn clients_show_certificates() {
    let dir = tempfile::tempdir().unwrap();
    let (primary, replica) = pair(&dir);
    let listener = serve_with(&primary, server("node", true));
    follow(&replica, &listener, trusting("ca.pem"));
    fails(&replica, "CertificateRequired");
    follow(&replica, &listener, showing("stranger"));
    fails(&replica, "received fatal alert: ");
    assert!(primary.feeds().unwrap().is_empty());
    follow(&replica, &listener, showing("node"));
    linked(&replica);
    assert_follows(&replica, &primary);
}

/// Who speaks in the clear to a TLS port, or TLS to a port in the clear, is told and let go.
#[test]
fn both_sides_must_speak_it() {
    let dir = tempfile::tempdir().unwrap();
    let (primary, replica) = pair(&dir);
    let (secure, plain) = (serve(&primary), primary.serve("127.0.0.1:0", &ServeOptions::default()).unwrap());
    replica.follow("127.0.0.1", secure.address().port(), &FollowOptions::default()).unwrap();
    fails(&replica, "it speaks TLS");
    follow(&replica, &plain, trusting("ca.pem"));
    fails(&replica, "does not speak TLS");

    let mut client = TcpStream::connect(secure.address().to_string()).unwrap();
    client.set_read_timeout(Some(SOON)).unwrap();
    client.write_all(b"*1\r\n$4\r\nPING\r\n").unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    // An alert of TLS and nothing else.
    assert_eq!((answer.first(), answer.len()), (Some(&0x15), 7), "{}", answer.escape_ascii());

    let mut client = TcpStream::connect(plain.address().to_string()).unwrap();
    client.set_read_timeout(Some(SOON)).unwrap();
    client.write_all(b"\x16\x03\x01\x02\x00\x01").unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("-ERR Protocol error") && answer.contains("TLS is not spoken here"), "{answer}");
}

/// A Redis client over TLS has its replies, pipelined and large ones too; both sides say when they end.
#[test]
fn clients_are_answered() {
    let dir = tempfile::tempdir().unwrap();
    let primary = open(dir.path().join("p"));
    let listener = serve(&primary);
    let mut client = Client::connect(&listener);
    client.ask("PING\r\n", "+PONG\r\n");
    let large = "x".repeat(1 << 20);
    client.ask(&format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n{large}\r\n", large.len()), "+OK\r\n");
    client.ask(&"GET k\r\n".repeat(5), &format!("${}\r\n{large}\r\n", large.len()).repeat(5));
    client.send("QUIT\r\n");
    let mut rest = String::new();
    // Without a close_notify this would be UnexpectedEof.
    client.stream.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "+OK\r\n");

    // Another is ended from outside, and by the end of the listener.
    let (mut killed, mut other) = (Client::connect(&listener), Client::connect(&listener));
    killed.ask("CLIENT SETNAME victim\r\n", "+OK\r\n");
    let address = killed.stream.sock.local_addr().unwrap();
    other.ask(&format!("CLIENT KILL {address}\r\n"), "+OK\r\n");
    assert_eq!(killed.stream.read(&mut [0]).unwrap_err().kind(), IoKind::UnexpectedEof);
    other.ask("PING\r\n", "+PONG\r\n");
    listener.close();
    assert!(!matches!(other.stream.read(&mut [0]), Ok(1)));
}

/// Who connects and does not agree on TLS is let go after the time to authenticate, even when it says a little.
#[test]
fn who_does_not_agree() {
    let dir = tempfile::tempdir().unwrap();
    let primary = open(dir.path().join("p"));
    let options = ServeOptions {
        tls: Some(server("node", false)),
        authenticate_timeout: Duration::from_millis(200),
        ..Default::default()
    };
    let listener = primary.serve("127.0.0.1:0", &options).unwrap();
    for said in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut client = TcpStream::connect(listener.address().to_string()).unwrap();
        client.set_read_timeout(Some(SOON)).unwrap();
        // It may be let go before it has said anything, and what was not read then makes its end a reset.
        let _ = client.write_all(said);
        match client.read(&mut [0]) {
            Ok(read) => assert_eq!(read, 0),
            Err(e) => assert_eq!(e.kind(), IoKind::ConnectionReset, "{e}"),
        }
    }
}

/// A replica that reads nothing blocks neither the writers nor another replica, and what it says is still heard; it can be
/// ended, and the listener too.
#[test]
fn a_stuck_replica_blocks_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (primary, replica) = pair(&dir);
    let listener = serve(&primary);
    let namespace = primary.default_namespace();
    namespace.put(b"first", b"1").unwrap();
    let stuck = |port: u16| {
        let mut stuck = Client::connect(&listener);
        stuck.ask(&format!("REPLCONF listening-port {port}\r\n"), "+OK\r\n");
        stuck.ask("PSYNC 1\r\n", "+OK\r\n");
        stuck
    };
    let (mut one, mut two) = (stuck(7001), stuck(7002));
    follow(&replica, &listener, trusting("ca.pem"));
    linked(&replica);
    let mut random = Random(3);
    // Far more than the sockets hold.
    (0..48).for_each(|n| namespace.put(format!("key{n}").as_bytes(), &random.bytes(1 << 20)).unwrap());
    assert_follows(&replica, &primary);
    let acked = |port: u16| {
        let feeds = primary.feeds().unwrap();
        feeds.iter().find(|feed| feed.port == port).map(|feed| (feed.acked, feed.lag_sequences))
    };
    for (stuck, port) in [(&mut one, 7001), (&mut two, 7002)] {
        stuck.send("*3\r\n$8\r\nREPLCONF\r\n$3\r\nack\r\n$1\r\n1\r\n");
        wait_until("it is heard", || acked(port).is_some_and(|(acked, _)| acked == Some(1)));
        assert!(acked(port).is_some_and(|(_, lag)| lag > 0));
    }
    let mut other = Client::connect(&listener);
    let address = one.stream.sock.local_addr().unwrap();
    other.ask(&format!("CLIENT KILL {address}\r\n"), "+OK\r\n");
    wait_until("it is ended", || acked(7001).is_none());
    assert!(acked(7002).is_some());
    listener.close();
    assert!(primary.feeds().unwrap().is_empty());
}

/// The role is handed over to a replica that is reached over TLS, and the former primary follows it over TLS; so does who
/// is told to by REPLICAOF.
#[test]
fn roles_are_handed_over() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (open(dir.path().join("a")), open_replica(dir.path().join("b")));
    let third = open(dir.path().join("c"));
    let node = TlsServer { peer_ca: Some(pem("ca.pem")), ..server("node", true) };
    let (at_a, at_b) = (serve_with(&a, node.clone()), serve_with(&b, node));
    follow(&b, &at_a, showing("node"));
    linked(&b);
    a.default_namespace().put(b"k", b"v").unwrap();
    a.hand_over("127.0.0.1", at_b.address().port(), SOON).unwrap();
    assert_eq!((a.role().unwrap(), b.role().unwrap()), (Role::Replica, Role::Primary));
    b.default_namespace().put(b"k", b"of b").unwrap();
    linked(&a);
    assert_follows(&a, &b);
    assert_eq!(a.link().unwrap().unwrap().full_syncs, 0);

    let at_third = serve_with(&third, TlsServer { peer_ca: Some(pem("ca.pem")), ..server("node", false) });
    Client::connect(&at_third).ask(&format!("REPLICAOF 127.0.0.1 {}\r\n", at_b.address().port()), "+OK\r\n");
    linked(&third);
    assert_follows(&third, &b);
}

/// Options that cannot be are refused when they are given.
#[test]
fn options_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let (primary, replica) = pair(&dir);
    let serve =
        |address: &str, tls: TlsServer| primary.serve(address, &ServeOptions { tls: Some(tls), ..Default::default() });
    let node = || server("node", false);
    let invalid = ErrorKind::InvalidArgument;
    assert_error(serve("127.0.0.1:0", TlsServer::default()), invalid, &["certificates", "no path"]);
    assert_error(serve("127.0.0.1:0", TlsServer { key: pem("named.key"), ..node() }), invalid, &["named.key"]);
    assert_error(
        serve("127.0.0.1:0", TlsServer { certificate: pem("node.key"), ..node() }),
        invalid,
        &["no certificate"],
    );
    assert_error(
        serve("127.0.0.1:0", TlsServer { client_ca: Some(pem("node.key")), ..node() }),
        invalid,
        &["node.key"],
    );
    assert_error(serve("127.0.0.1:0", TlsServer { peer_ca: Some(pem("gone")), ..node() }), ErrorKind::Io, &["gone"]);
    let path = format!("unix:{}", dir.path().join("socket").display());
    assert_error(serve(&path, node()), invalid, &["Unix socket"]);

    let follow = |tls: TlsClient| replica.follow("127.0.0.1", 1, &over(tls));
    assert_error(follow(TlsClient::default()), invalid, &["certificates", "no path"]);
    assert_error(follow(trusting("gone.pem")), ErrorKind::Io, &["gone.pem"]);
    assert_error(follow(trusting("generate")), invalid, &["generate", "no certificate"]);
    assert_error(follow(TlsClient { key: Some(pem("node.key")), ..trusting("ca.pem") }), invalid, &["both or neither"]);
    assert_error(follow(TlsClient { key: Some(pem("named.key")), ..showing("node") }), invalid, &["named.key"]);
    let name = Some("no name".to_owned());
    assert_error(follow(TlsClient { server_name: name, ..trusting("ca.pem") }), invalid, &["server name", "no name"]);
    assert!(replica.link().unwrap().is_none());
}
