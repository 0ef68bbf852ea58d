//! Clients that mean no good, or that are broken.

use std::fs;
use std::time::Duration;

use pumice::{Engine, ServeOptions};

use super::support::{Random, process, quick_dir, run, said, wait_until};
use super::{Client, Served, request};

/// The memory that this process holds, where the system tells it.
fn resident_bytes() -> Option<usize> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    Some(text.split(' ').nth(1)?.parse::<usize>().ok()? * 4096)
}

/// Each is answered with an error and an end, for it and for nobody else.
#[test]
fn nonsense_is_refused() {
    let served = Served::open();
    let mut other = served.client();
    let endless = vec![b'x'; 1 << 20];
    for (bytes, told) in [
        (&b"*9223372036854775808\r\n"[..], "multibulk length"),
        (b"*9223372036854775807\r\n", "multibulk length"),
        (b"*1048577\r\n", "multibulk length"),
        (b"*x\r\n", "multibulk length"),
        (b"*1\r\n$9223372036854775808\r\n", "bulk length"),
        (b"*1\r\n$9223372036854775807\r\n", "bulk length"),
        (b"*1\r\n$536870913\r\n", "bulk length"),
        (b"*1\r\n$-1\r\n", "bulk length"),
        (b"*1\r\n+PING\r\n", "expected '$'"),
        (b"*1\r\n*1\r\n$4\r\nPING\r\n", "expected '$'"),
        (b"*2\r\n$4\r\nPINGxx\r\n", "Protocol error"),
        (b"SET a \"b\r\n", "unbalanced quotes"),
        (&endless, "too big inline request"),
    ] {
        let mut client = served.client();
        client.try_send(bytes);
        let reply = client.reply();
        // What it had not read yet may have made its end a reset, which takes the error with it.
        assert!(reply.starts_with("-ERR Protocol error") && reply.contains(told) || bytes.len() > 1000, "{reply}");
        assert!(reply == "closed" || client.is_closed());
        assert_eq!(other.ask(&["PING"]), "+PONG");
    }
}

/// Lengths that promise a lot cost nothing until the bytes are there.
#[test]
fn promises_cost_nothing() {
    let dir = quick_dir();
    let output = run(&mut process("promises", &[dir.path()]));
    assert!(output.status.success() && said(&output).contains("1 passed"), "{}", said(&output));
}

/// In a process of its own, so that its memory can be measured.
pub fn promises(engine: &Engine) {
    let listener = engine.serve("127.0.0.1:0", &ServeOptions::default()).unwrap();
    let before = resident_bytes();
    let clients: Vec<Client> = (0..100)
        .map(|n| {
            let mut client = Client::of(listener.address());
            client
                .send([&b"*1000000\r\n$500000000\r\nx"[..], b"*2\r\n$500000000\r\n", b"*1048576\r\n$0\r\n\r\n"][n % 3]);
            client
        })
        .collect();
    let mut other = Client::of(listener.address());
    assert_eq!(other.ask(&["SET", "a", "1"]), "+OK");
    if let (Some(before), Some(after)) = (before, resident_bytes()) {
        assert!(after < before + (64 << 20), "{before} {after}");
    }
    drop(clients);
}

/// A request of a million arguments is a request.
#[test]
fn a_million_arguments() {
    let served = Served::open();
    let mut client = served.client();
    let mut bytes = b"*1000001\r\n$6\r\nEXISTS\r\n".to_vec();
    bytes.extend_from_slice(&b"$1\r\na\r\n".repeat(1_000_000));
    client.send(&bytes);
    assert_eq!(client.reply(), ":0");
    let mut bytes = b"*1000001\r\n$4\r\nPING\r\n".to_vec();
    bytes.extend_from_slice(&b"$0\r\n\r\n".repeat(1_000_000));
    client.send(&bytes);
    assert_eq!(client.reply(), "-ERR wrong number of arguments");
}

/// Bytes of any kind end in an error or an end, and never in silence of the engine.
#[test]
fn garbage() {
    let served = Served::open();
    let mut random = Random(0x5EED);
    for _ in 0..200 {
        let mut client = served.client();
        let length = random.below(3000);
        let mut bytes = random.bytes(length);
        // Some of it looks like RESP.
        for place in 0..random.below(20) {
            let snippet = [&b"\r\n"[..], b"*3\r\n", b"$1\r\n", b"GET", b"*-1\r\n", b"$-1\r\n"][random.below(6)];
            let at = random.below(bytes.len() + 1).max(place.min(bytes.len()));
            bytes.splice(at..at, snippet.iter().copied());
        }
        client.try_send(&bytes);
    }
    assert_eq!(served.client().ask(&["PING"]), "+PONG");
    wait_until("all of them are gone", || served.client().ask(&["CLIENT", "LIST"]).matches("id=").count() == 1);
    super::support::assert_sound(&served.engine);
}

/// Half a request and then silence holds up its own connection only.
#[test]
fn half_a_request() {
    let served = Served::open();
    let mut halves: Vec<Client> = (0..50).map(|_| served.client()).collect();
    let whole = request(&["SET", "key", "value"]);
    for (n, half) in halves.iter_mut().enumerate() {
        half.send(&whole[..n % whole.len()]);
    }
    let mut other = served.client();
    assert_eq!(other.ask(&["SET", "other", "1"]), "+OK");
    for (n, half) in halves.iter_mut().enumerate() {
        half.send(&whole[n % whole.len()..]);
        assert_eq!(half.reply(), "+OK");
    }
}

/// A web page that makes a browser talk to the listener gets nothing done.
#[test]
fn web_pages() {
    let served = Served::open();
    let mut client = served.client();
    client.try_send(b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\nSET a 1\r\n");
    assert!(client.is_closed());
    assert!(!served.engine.default_namespace().exists(b"a").unwrap());
}

/// Connections beyond the limit are told so; when one ends there is room again.
#[test]
fn too_many_connections() {
    let served = Served::new(&ServeOptions { max_connections: 3, ..Default::default() });
    let mut clients: Vec<Client> = (0..3).map(|_| served.client()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.ask(&["PING"]), "+PONG"));
    let mut more = served.client();
    assert_eq!(more.reply(), "-ERR max number of clients reached");
    assert!(more.is_closed());
    assert!(clients[0].ask(&["INFO", "stats"]).contains("rejected_connections:1"));
    drop(clients.pop());
    wait_until("there is room again", || {
        let mut client = served.client();
        client.try_send(b"PING\r\n") && client.reply() == "+PONG"
    });
}

/// Who does not read is let go after the send timeout, and holds up nobody meanwhile.
#[test]
fn who_does_not_read() {
    let served = Served::new(&ServeOptions { send_timeout: Duration::from_millis(200), ..Default::default() });
    let mut client = served.client();
    assert_eq!(client.ask(&[&b"SET"[..], b"big", &vec![b'x'; 1 << 20]]), "+OK");
    let requests = request(&["GET", "big"]).repeat(200);
    client.try_send(&requests);
    let mut other = served.client();
    assert_eq!(other.ask(&["SET", "a", "1"]), "+OK");
    wait_until("it was let go", || other.ask(&["CLIENT", "LIST"]).matches("id=").count() == 1);
}

/// Who does not read does not hold up the end of the listener either, however long it is given.
#[test]
fn who_does_not_read_at_the_end() {
    let served = Served::new(&ServeOptions { send_timeout: Duration::from_secs(1_000_000), ..Default::default() });
    let mut client = served.client();
    assert_eq!(client.ask(&[&b"SET"[..], b"big", &vec![b'x'; 1 << 20]]), "+OK");
    client.try_send(&request(&["GET", "big"]).repeat(200));
    // The second byte of its replies is there when it is being answered.
    assert_eq!(client.byte(), Some(b'$'));
    served.listener.close();
}

/// What a reply may hold is bounded.
#[test]
fn replies_are_bounded() {
    let served = Served::open();
    served.engine.default_namespace().put(b"big", &vec![b'x'; 4 << 20]).unwrap();
    let many: Vec<&str> = std::iter::once("MGET").chain(std::iter::repeat_n("big", 1000)).collect();
    let mut client = served.client();
    let reply = client.ask(&many);
    assert!(reply.starts_with("-ERR values of 1000 keys: more than 536870912 bytes"), "{reply:.100}");
    let many: Vec<&str> = ["COMMAND", "INFO"].into_iter().chain(std::iter::repeat_n("get", 100_000)).collect();
    assert_eq!(client.ask(&many), "-ERR COMMAND INFO: got 100000 names, expected at most 1024");
}
