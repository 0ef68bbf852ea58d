//! Who may do what.

use pumice::ServeOptions;

use super::support::wait_until;
use super::{Served, converse};

const NOAUTH: &str = "-NOAUTH Authentication required.";
const ADMIN: &str = "-ERR admin permission required to perform the command";

/// With a password nothing is answered before it, but for greeting and leaving.
#[test]
fn nothing_without_password() {
    let served = Served::with_password();
    served.engine.default_namespace().put(b"a", b"1").unwrap();
    let client = &mut served.client();
    for command in ["GET a", "PING", "INFO", "ROLE", "CLIENT LIST", "NAMESPACE GET *", "PSYNC 1", "_fetch_meta", "GET"]
    {
        converse(client, &[(command, NOAUTH)]);
    }
    converse(
        client,
        &[
            ("AUTH wrong", "-ERR Invalid password"),
            ("AUTH", "-ERR wrong number of arguments"),
            ("AUTH default wrong", "-ERR Invalid password"),
            ("AUTH somebody secret", "-ERR Invalid password"),
            ("GET a", NOAUTH),
            ("RESET", "+RESET"),
            ("AUTH secret", "+OK"),
            ("GET a", "\"1\""),
            ("AUTH wrong", "-ERR Invalid password"),
            ("GET a", "\"1\""),
            ("AUTH secret", "+OK"),
            ("RESET", "+RESET"),
            ("GET a", NOAUTH),
            ("AUTH default secret", "+OK"),
            ("GET a", "\"1\""),
            ("QUIT", "+OK"),
        ],
    );
    assert!(client.is_closed());
    let client = &mut served.client();
    assert!(client.ask(&["HELLO", "2"]).contains("proto"));
    converse(client, &[("GET a", NOAUTH), ("HELLO 2 AUTH wrong", "-ERR Invalid password"), ("GET a", NOAUTH)]);
    assert!(client.ask(&["HELLO", "2", "AUTH", "default", "secret", "SETNAME", "me"]).contains("proto"));
    converse(client, &[("GET a", "\"1\""), ("CLIENT GETNAME", "\"me\"")]);
    let client = &mut served.client();
    assert!(client.ask(&["HELLO", "2", "AUTH", "secret", "SETNAME", "me"]).contains("proto"));
    converse(client, &[("GET a", "\"1\""), ("CLIENT GETNAME", "\"me\"")]);
    assert_eq!(served.client().ask(&["QUIT"]), "+OK");
}

/// A token opens its namespace, all of it and nothing else.
#[test]
fn a_token_opens_its_namespace() {
    let served = Served::with_password();
    let users = served.engine.create_namespace("users", Some("token")).unwrap();
    users.put(b"ada", b"countess").unwrap();
    served.engine.default_namespace().put(b"other", b"1").unwrap();
    let client = &mut served.client_with("token");
    converse(
        client,
        &[
            ("GET ada", "\"countess\""),
            ("GET other", "nil"),
            ("KEYS *", "[\"ada\"]"),
            ("SCAN 0", "[\"0\" [\"ada\"]]"),
            ("DBSIZE", ":1"),
            ("NAMESPACE CURRENT", "\"users\""),
            ("SET grace admiral", "+OK"),
            ("NAMESPACE GET *", ADMIN),
            ("NAMESPACE ADD a b", ADMIN),
            ("CONFIG GET *", ADMIN),
            ("SLAVEOF NO ONE", ADMIN),
            ("REPLICAOF 127.0.0.1 1", ADMIN),
            ("REPLCONF listening-port 1", ADMIN),
            ("PSYNC 1", ADMIN),
            ("_fetch_meta", ADMIN),
            ("_fetch_file CURRENT", ADMIN),
            ("_db_name", ADMIN),
            ("PUMICE CHECKPOINT", ADMIN),
            ("FLUSHALL", ADMIN),
            ("FLUSHDB", "+OK"),
            ("DBSIZE", ":0"),
        ],
    );
    assert!(served.engine.default_namespace().exists(b"other").unwrap());
    let admin = &mut served.client_with("secret");
    converse(admin, &[("NAMESPACE CURRENT", "\"__namespace\""), ("GET other", "\"1\""), ("GET ada", "nil")]);
    // All that there is goes by FLUSHALL, and all names stay.
    let users = served.engine.namespace("users").unwrap();
    users.put(b"ada", b"countess").unwrap();
    converse(admin, &[("FLUSHALL NOW", "-ERR syntax error"), ("FLUSHALL", "+OK"), ("DBSIZE", ":0")]);
    assert!(users.is_empty().unwrap() && users.token().unwrap().is_some());
}

/// A session ends with the right that it stands on: when its token is another, its namespace is gone, or a dataset
/// comes that does not know it. Another session of the same namespace is not concerned.
#[test]
fn rights_end_with_their_token() {
    let served = Served::with_password();
    let users = served.engine.create_namespace("users", Some("token")).unwrap();
    let (old, admin) = (&mut served.client_with("token"), &mut served.client_with("secret"));
    converse(old, &[("SET a 1", "+OK")]);
    converse(admin, &[("NAMESPACE SET users fresh", "+OK")]);
    converse(old, &[("GET a", NOAUTH), ("SET a 2", NOAUTH), ("NAMESPACE CURRENT", NOAUTH)]);
    let fresh = &mut served.client_with("fresh");
    converse(fresh, &[("GET a", "\"1\"")]);
    // A change of another namespace ends nothing.
    converse(admin, &[("NAMESPACE ADD others token", "+OK")]);
    converse(fresh, &[("GET a", "\"1\"")]);
    // The token opens another namespace now, but not for a session that began before.
    converse(old, &[("GET a", NOAUTH), ("AUTH token", "+OK"), ("GET a", "nil"), ("NAMESPACE CURRENT", "\"others\"")]);
    users.set_token("more").unwrap();
    converse(fresh, &[("GET a", NOAUTH), ("AUTH more", "+OK"), ("GET a", "\"1\"")]);
    let dir = tempfile::tempdir().unwrap();
    let other = super::support::open(dir.path().join("other"));
    let checkpoint = other.create_checkpoint(dir.path().join("checkpoint")).unwrap();
    served.engine.apply_checkpoint(&checkpoint.path).unwrap();
    converse(fresh, &[("GET a", NOAUTH)]);
    converse(old, &[("GET a", NOAUTH)]);
    converse(admin, &[("DBSIZE", ":0")]);
    let kept = served.engine.create_namespace("kept", Some("kept")).unwrap();
    let kept_client = &mut served.client_with("kept");
    served.engine.drop_namespace(kept.name()).unwrap();
    converse(kept_client, &[("GET a", NOAUTH)]);
}

/// A cursor is worth nothing in another namespace.
#[test]
fn cursors_are_of_one_namespace() {
    let served = Served::with_password();
    for (name, token) in [("a", "ta"), ("b", "tb")] {
        let namespace = served.engine.create_namespace(name, Some(token)).unwrap();
        (0..50).for_each(|n| namespace.put(format!("{name}{n}").as_bytes(), b"").unwrap());
    }
    let page = served.client_with("ta").ask(&["SCAN", "0"]);
    let cursor = page.split('"').nth(1).unwrap().to_owned();
    assert_ne!(cursor, "0");
    assert!(served.client_with("tb").ask(&["SCAN", &cursor]).starts_with("-ERR invalid cursor"));
    // The place is kept: to ask again gives the same page.
    let pages = [(); 2].map(|()| served.client_with("ta").ask(&["SCAN", &cursor]).replace("[\"", ""));
    assert_eq!(pages[0].split('[').nth(2), pages[1].split('[').nth(2));
}

/// Who has not said who they are is let go in time, and an admin may stay silent.
#[test]
fn strangers_are_let_go() {
    let options = ServeOptions {
        password: Some("secret".to_owned()),
        authenticate_timeout: std::time::Duration::from_secs(5),
        ..Default::default()
    };
    let served = Served::new(&options);
    let mut silent = served.client();
    let mut half = served.client();
    half.send(b"*2\r\n$4\r\nAUTH\r\n$6\r\nsec");
    let mut admin = served.client_with("secret");
    // To begin anew gives no more time.
    let mut anew = served.client();
    wait_until("it was let go", || !anew.try_send(b"RESET\r\n") || anew.reply() != "+RESET");
    assert_eq!(silent.reply(), "-ERR authentication took too long");
    assert!(silent.is_closed());
    assert_eq!(half.reply(), "-ERR authentication took too long");
    assert_eq!(admin.ask(&["PING"]), "+PONG");
}

/// A stranger may not send what only needs memory.
#[test]
fn strangers_get_little_room() {
    let served = Served::with_password();
    for bytes in [&b"*17\r\n"[..], b"*2\r\n$20000\r\n", b"*1000000\r\n"] {
        let mut client = served.client();
        client.send(bytes);
        let reply = client.reply();
        assert!(reply.starts_with("-ERR Protocol error"), "{reply}");
        assert!(client.is_closed());
    }
    let mut admin = served.client_with("secret");
    assert_eq!(admin.ask(&[&b"SET"[..], b"a", &vec![b'x'; 200_000]]), "+OK");
    let many: Vec<String> = std::iter::once("EXISTS".to_owned()).chain((0..5000).map(|n| n.to_string())).collect();
    assert_eq!(admin.ask(&many), ":0");
    // Limits are those of the moment at which a request is read, not of the one at which its bytes came.
    let mut client = served.client();
    client.send(&[super::request(&["AUTH", "secret"]), super::request(&many)].concat());
    assert_eq!((client.reply().as_str(), client.reply().as_str()), ("+OK", ":0"));
}
