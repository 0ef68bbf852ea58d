//! NAMESPACE, row by row.

use pumice::{Engine, Options, ServeOptions};

use super::support::quick_dir;
use super::{Client, Served, converse, request};

/// Every reply of NAMESPACE is a Kvrocks', and the registry is what the replies say.
#[test]
fn replies() {
    let served = Served::with_password();
    let client = &mut served.client_with("secret");
    let long = "x".repeat(256);
    converse(
        client,
        &[
            ("NAMESPACE GET *", "[\"__namespace\" \"secret\"]"),
            ("NAMESPACE GET a", "nil"),
            ("NAMESPACE GET __namespace", "nil"),
            ("NAMESPACE ADD a token-a", "+OK"),
            ("NAMESPACE ADD a token-a", "+OK"),
            ("NAMESPACE ADD a other", "-ERR the namespace already exists"),
            ("NAMESPACE ADD b token-a", "-ERR the token already exists"),
            ("namespace add b token-b", "+OK"),
            ("NAMESPACE GET a", "\"token-a\""),
            ("NAMESPACE GET *", "[\"a\" \"token-a\" \"b\" \"token-b\" \"__namespace\" \"secret\"]"),
            ("NAMESPACE SET a token-c", "+OK"),
            ("NAMESPACE SET a token-c", "+OK"),
            ("NAMESPACE GET a", "\"token-c\""),
            ("NAMESPACE SET a token-b", "-ERR the token already exists"),
            ("NAMESPACE GET a", "\"token-c\""),
            ("NAMESPACE GET b", "\"token-b\""),
            ("NAMESPACE SET c token-a", "+OK"),
            ("NAMESPACE SET __namespace x", "-ERR forbidden to add the default namespace"),
            ("NAMESPACE ADD __namespace x", "-ERR forbidden to add the default namespace"),
            ("NAMESPACE SET d secret", "-ERR the token is duplicated with requirepass or masterauth"),
            ("NAMESPACE ADD d secret", "-ERR the token is duplicated with requirepass or masterauth"),
            (&format!("NAMESPACE SET {long} x"), "-ERR size exceed limit 255"),
            ("NAMESPACE DEL __namespace", "-ERR forbidden to delete the default namespace"),
            ("NAMESPACE DEL nobody", "-ERR the namespace was not found"),
            ("NAMESPACE DEL c", "+OK"),
            ("NAMESPACE DEL c", "-ERR the namespace was not found"),
            ("NAMESPACE GET *", "[\"b\" \"token-b\" \"a\" \"token-c\" \"__namespace\" \"secret\"]"),
            ("NAMESPACE CURRENT", "\"__namespace\""),
            ("NAMESPACE LIST x", "-ERR NAMESPACE subcommand must be one of GET, SET, DEL, ADD"),
            ("NAMESPACE GET", "-ERR NAMESPACE subcommand must be one of GET, SET, DEL, ADD"),
            ("NAMESPACE GET a b", "-ERR NAMESPACE subcommand must be one of GET, SET, DEL, ADD"),
            ("NAMESPACE SET a", "-ERR NAMESPACE subcommand must be one of GET, SET, DEL, ADD"),
            ("NAMESPACE", "-ERR wrong number of arguments"),
        ],
    );
    let illegal = client.ask(&[&b"NAMESPACE"[..], b"SET", b"x\xff", b"t"]);
    assert_eq!(illegal, "-ERR namespace contain illegal letter");
    for (name, token) in [(&b""[..], &b"t"[..]), (b"x", b""), (b"\xfex", b"t"), (b"x", b"\xfe")] {
        let reply = client.ask(&[&b"NAMESPACE"[..], b"SET", name, token]);
        assert!(reply.starts_with("-ERR namespace"), "{reply}");
    }
    assert_eq!(served.engine.namespaces().unwrap(), ["__namespace", "a", "b"]);
    assert_eq!(served.engine.namespace("a").unwrap().token().unwrap().unwrap(), "token-c");
    super::support::assert_sound(&served.engine);
}

/// Of two who add a name with different tokens at the same time, one is told that it exists.
#[test]
fn added_once() {
    let served = Served::with_password();
    let [a, b] = &mut [(); 2].map(|()| served.client_with("secret"));
    for round in 0..500 {
        let name = format!("name{round}");
        a.send(&request(&["NAMESPACE", "ADD", &name, &format!("{name}a")]));
        b.send(&request(&["NAMESPACE", "ADD", &name, &format!("{name}b")]));
        let mut replies = [a.reply(), b.reply()];
        replies.sort();
        assert_eq!(replies, ["+OK", "-ERR the namespace already exists"], "round {round}");
    }
}

/// DEL takes the data with it: who makes the namespace again finds it empty.
#[test]
fn del_takes_the_data() {
    let served = Served::with_password();
    let client = &mut served.client_with("secret");
    converse(client, &[("NAMESPACE ADD a t", "+OK")]);
    converse(&mut served.client_with("t"), &[("SET k v", "+OK")]);
    converse(client, &[("NAMESPACE DEL a", "+OK"), ("NAMESPACE ADD a t", "+OK")]);
    converse(&mut served.client_with("t"), &[("GET k", "nil")]);
    // Data without registration is not DEL's to take.
    served.engine.default_namespace().put(b"k", b"v").unwrap();
    converse(client, &[("NAMESPACE DEL unregistered", "-ERR the namespace was not found")]);
}

/// Without a password there are no namespaces to be made over the wire, and in the cluster layout none at all.
#[test]
fn not_everywhere() {
    let served = Served::open();
    let client = &mut served.client();
    converse(
        client,
        &[
            ("NAMESPACE ADD a t", "-ERR forbidden to add namespace when requirepass was empty"),
            ("NAMESPACE SET a t", "-ERR forbidden to add namespace when requirepass was empty"),
            ("NAMESPACE GET *", "[\"__namespace\" \"\"]"),
        ],
    );
    let dir = quick_dir();
    let engine = Engine::open(dir.path(), &Options { cluster: Some(true), ..Default::default() }).unwrap();
    let options = ServeOptions { password: Some("secret".to_owned()), ..Default::default() };
    let listener = engine.serve("127.0.0.1:0", &options).unwrap();
    let client = &mut Client::of(listener.address());
    converse(
        client,
        &[
            ("AUTH secret", "+OK"),
            ("NAMESPACE ADD a t", "-ERR forbidden to add namespace when cluster mode was enabled"),
            ("INFO cluster", "\"# Cluster\\r\\ncluster_enabled:1\\r\\n\""),
            ("SLAVEOF 127.0.0.1 1", "-ERR can't change to slave in cluster mode"),
        ],
    );
    assert!(client.ask(&["HELLO"]).contains("\"mode\" \"cluster\""));
}
