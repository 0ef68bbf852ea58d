//! Commands in the process itself.

mod support;

use pumice::{Engine, ErrorKind, Options, Reply, Role};
use support::quick_dir;

fn ok() -> Reply {
    Reply::Simple("OK".to_owned())
}

/// A command does in the process what it does over a socket, in its own namespace, and the typed calls see it.
#[test]
fn commands_and_calls_share_the_data() {
    let dir = quick_dir();
    let engine = Engine::open(dir.path(), &Options::default()).unwrap();
    let users = engine.create_namespace("users", None).unwrap();
    let other = engine.default_namespace();
    assert_eq!(users.execute(&["set", "ada", "countess"]).unwrap(), ok());
    assert_eq!(users.get(b"ada").unwrap().unwrap(), b"countess");
    assert_eq!(other.execute(&["GET", "ada"]).unwrap(), Reply::Nil);
    users.put(b"a\0b", b"\xff").unwrap();
    let found = users.execute(&[&b"MGET"[..], b"a\0b", b"ada", b"nobody"]).unwrap();
    assert_eq!(found, Reply::Array(vec![Reply::bulk(b"\xff"), Reply::bulk(b"countess"), Reply::Nil]));
    assert_eq!(users.execute(&["EXISTS", "ada", "ada"]).unwrap(), Reply::Integer(2));
    let entries = engine.position().unwrap().sequence;
    users.execute(&["MSET", "x", "1", "y", "2", "z", "3"]).unwrap();
    assert_eq!(engine.position().unwrap().sequence, entries + 3);
}

/// An error has the kind that says what to do, and the words that a server would have used.
#[test]
fn errors_have_kinds_and_words() {
    let dir = quick_dir();
    let engine = Engine::open(dir.path().join("a"), &Options::default()).unwrap();
    let ns = engine.default_namespace();
    let users = engine.create_namespace("users", None).unwrap();
    let failed = |ns: &pumice::Namespace, args: &[&str]| {
        let error = ns.execute(args).unwrap_err();
        (error.kind(), error.message().to_owned())
    };
    for (args, kind, words) in [
        (&["NOPE", "x"][..], ErrorKind::InvalidArgument, "ERR unknown command `NOPE`, with args beginning with: `x`"),
        (&[], ErrorKind::InvalidArgument, "ERR unknown command ``, with args beginning with: "),
        (&["GET"], ErrorKind::InvalidArgument, "ERR wrong number of arguments"),
        (&["SET", "k", "v", "NX", "XX"], ErrorKind::InvalidArgument, "ERR syntax error"),
        (&["AUTH", "x"], ErrorKind::Unsupported, "ERR auth: it belongs to a connection; serve() the engine"),
        (&["PSYNC", "1"], ErrorKind::Unsupported, "ERR psync: it belongs to a connection; serve() the engine"),
    ] {
        assert_eq!(failed(&ns, args), (kind, words.to_owned()), "{args:?}");
    }
    let (kind, words) = failed(&users, &["CONFIG", "GET", "dir"]);
    assert_eq!((kind, &*words), (ErrorKind::InvalidArgument, "ERR admin permission required to perform the command"));
    assert!(matches!(ns.execute(&["CONFIG", "GET", "dir"]).unwrap(), Reply::Array(found) if found.len() == 2));
    // Who is in the process is an admin without a password.
    assert_eq!(ns.execute(&["NAMESPACE", "ADD", "more", "token"]).unwrap(), ok());
    assert_eq!(engine.namespace("more").unwrap().token().unwrap().as_deref(), Some("token"));

    support::copy_tree(&support::fixture("plain-lz4").join("db"), &dir.path().join("k").join("db"));
    let kvrocks = Engine::open(dir.path().join("k"), &Options::default()).unwrap();
    let of_another_type = kvrocks.default_namespace().items(&pumice::Range::default()).unwrap();
    let key = of_another_type.map(Result::unwrap).find(|(_, value)| value.is_none()).unwrap().0;
    let error = kvrocks.default_namespace().execute(&[b"GET", &*key]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongType);
    assert_eq!(error.message(), "WRONGTYPE Operation against a key holding the wrong kind of value");

    let options = Options { role: Some(Role::Replica), ..Default::default() };
    let replica = Engine::open(dir.path().join("b"), &options).unwrap();
    let (kind, words) = failed(&replica.default_namespace(), &["SET", "k", "v"]);
    assert_eq!((kind, &*words), (ErrorKind::ReadOnly, "READONLY You can't write against a read only slave."));

    engine.close().unwrap();
    assert_eq!(failed(&ns, &["GET", "k"]).0, ErrorKind::Closed);
}

/// A namespace outlives the last handle of its engine, and so do its commands, but for those about the engine.
#[test]
fn commands_without_the_engine() {
    let dir = quick_dir();
    let ns = Engine::open(dir.path(), &Options::default()).unwrap().default_namespace();
    assert_eq!(ns.execute(&["SET", "k", "v"]).unwrap(), ok());
    assert_eq!(ns.execute(&["GET", "k"]).unwrap(), Reply::bulk("v"));
    assert_eq!(ns.execute(&["ROLE"]).unwrap_err().kind(), ErrorKind::Closed);
}

/// A walk with SCAN goes on from call to call, and sees every key once.
#[test]
fn scan_goes_on() {
    let dir = quick_dir();
    let engine = Engine::open(dir.path(), &Options::default()).unwrap();
    let ns = engine.default_namespace();
    for n in 0..100 {
        ns.put(format!("key:{n:03}").as_bytes(), b"v").unwrap();
    }
    let (mut cursor, mut seen, mut calls) = ("0".to_owned(), Vec::new(), 0);
    loop {
        // Another handle of the same namespace knows the cursor too.
        let reply = engine.default_namespace().execute(&["SCAN", &cursor, "COUNT", "7"]).unwrap();
        let Reply::Array(parts) = reply else { panic!("{reply:?}") };
        let [Reply::Bulk(next), Reply::Array(keys)] = &parts[..] else { panic!("{parts:?}") };
        seen.extend(keys.iter().map(|key| if let Reply::Bulk(key) = key { key.clone() } else { panic!("{key:?}") }));
        cursor = String::from_utf8(next.clone()).unwrap();
        calls += 1;
        if cursor == "0" {
            break;
        }
    }
    assert_eq!((seen.len(), calls), (100, 15));
    seen.dedup();
    assert_eq!(seen.len(), 100);
}
