//! SUBSCRIBE, PUBLISH and what is between them.

use super::support::{open_replica, quick_dir, wait_until};
use super::{Client, Served, converse, request};

/// Messages come to who listens by name or by pattern, in order, also between what the connection asks itself.
#[test]
fn messages_come() {
    let served = Served::open();
    let (mut listening, mut other) = (served.client(), served.client());
    assert_eq!(other.ask(&["PUBLISH", "news", "nobody"]), ":0");
    listening.send(&request(&["SUBSCRIBE", "news", "x"]));
    assert_eq!(listening.reply(), "[\"subscribe\" \"news\" :1]");
    assert_eq!(listening.reply(), "[\"subscribe\" \"x\" :2]");
    assert_eq!(listening.ask(&["PSUBSCRIBE", "n*s"]), "[\"psubscribe\" \"n*s\" :3]");
    converse(&mut other, &[("PUBLISH news 1", ":2"), ("PUBLISH other 1", ":0"), ("PUBLISH x %00", ":1")]);
    assert_eq!(listening.reply(), "[\"message\" \"news\" \"1\"]");
    assert_eq!(listening.reply(), "[\"pmessage\" \"n*s\" \"news\" \"1\"]");
    assert_eq!(listening.reply(), "[\"message\" \"x\" \"%00\"]");
    converse(&mut listening, &[("PING", "[\"pong\" \"\"]"), ("PING a", "[\"pong\" \"a\"]")]);
    let refused = listening.ask(&["GET", "k"]);
    assert!(refused.starts_with("-ERR Can't execute 'get': only (P|S)SUBSCRIBE"), "{refused}");
    converse(&mut other, &[("PUBSUB CHANNELS", "[\"news\" \"x\"]"), ("PUBSUB CHANNELS n*", "[\"news\"]")]);
    converse(&mut other, &[("PUBSUB NUMSUB news none", "[\"news\" :1 \"none\" :0]"), ("PUBSUB NUMPAT", ":1")]);
    assert_eq!(listening.ask(&["UNSUBSCRIBE", "news"]), "[\"unsubscribe\" \"news\" :2]");
    assert_eq!(listening.ask(&["PUNSUBSCRIBE"]), "[\"punsubscribe\" \"n*s\" :1]");
    assert_eq!(listening.ask(&["UNSUBSCRIBE"]), "[\"unsubscribe\" \"x\" :0]");
    assert_eq!(listening.ask(&["UNSUBSCRIBE"]), "[\"unsubscribe\" nil :0]");
    // It is a connection like others again.
    converse(&mut listening, &[("PING", "+PONG"), ("SET k v", "+OK"), ("PUBLISH news 2", ":0")]);
    for n in 0..2 {
        assert_eq!(listening.ask(&["SUBSCRIBE", "many"]), "[\"subscribe\" \"many\" :1]");
        let wanted: Vec<String> = (0..3000).map(|i| format!("{n}-{i}")).collect();
        wanted.iter().for_each(|message| other.send(&request(&["PUBLISH", "many", message])));
        wanted.iter().for_each(|_| assert_eq!(other.reply(), ":1"));
        for message in &wanted {
            assert_eq!(listening.reply(), format!("[\"message\" \"many\" \"{message}\"]"));
        }
        assert_eq!(listening.ask(&["RESET"]), "+RESET");
    }
    drop(listening);
    wait_until("nobody listens", || other.ask(&["PUBSUB", "CHANNELS"]) == "[]");
}

/// A message is an entry of the log: who listens on a replica hears what was published on its primary, in a transaction
/// too, and what is published on the replica stays there. Namespaces do not matter.
#[test]
fn messages_cross_the_link() {
    let served = Served::with_password();
    served.engine.create_namespace("users", Some("token")).unwrap();
    let dir = quick_dir();
    let replica = open_replica(dir.path());
    let listener = replica.serve("127.0.0.1:0", &Default::default()).unwrap();
    let address = served.listener.address();
    let options = pumice::FollowOptions { password: Some("secret".to_owned()), ..Default::default() };
    replica.follow(&address.host(), address.port(), &options).unwrap();
    wait_until("it follows", || replica.namespaces().is_ok_and(|names| names.len() == 2));
    let (mut here, mut there) = (served.client_with("token"), Client::of(listener.address()));
    assert_eq!(here.ask(&["SUBSCRIBE", "c"]), "[\"subscribe\" \"c\" :1]");
    assert_eq!(there.ask(&["PSUBSCRIBE", "*"]), "[\"psubscribe\" \"*\" :1]");
    let mut admin = served.client_with("secret");
    let before = served.engine.position().unwrap().sequence;
    converse(&mut admin, &[("PUBLISH c one", ":1"), ("MULTI", "+OK"), ("SET k v", "+QUEUED")]);
    converse(&mut admin, &[("PUBLISH c two", "+QUEUED"), ("EXEC", "[+OK :1]")]);
    assert_eq!(served.engine.position().unwrap().sequence, before + 3);
    for message in ["one", "two"] {
        assert_eq!(here.reply(), format!("[\"message\" \"c\" \"{message}\"]"));
        assert_eq!(there.reply(), format!("[\"pmessage\" \"*\" \"c\" \"{message}\"]"));
    }
    let sequence = replica.position().unwrap().sequence;
    assert_eq!(Client::of(listener.address()).ask(&["PUBLISH", "c", "three"]), ":1");
    assert_eq!(there.reply(), "[\"pmessage\" \"*\" \"c\" \"three\"]");
    assert_eq!(replica.position().unwrap().sequence, sequence);
    converse(&mut admin, &[("PUBLISH c four", ":1")]);
    assert_eq!(here.reply(), "[\"message\" \"c\" \"four\"]");
    assert_eq!(there.reply(), "[\"pmessage\" \"*\" \"c\" \"four\"]");
}

/// A listener that reads nothing keeps nobody waiting and is dropped; its engine and the others go on.
#[test]
fn a_slow_one() {
    let served = Served::open();
    let (mut slow, mut fine, mut other) = (served.client(), served.client(), served.client());
    for client in [&mut slow, &mut fine] {
        assert_eq!(client.ask(&["SUBSCRIBE", "c"]), "[\"subscribe\" \"c\" :1]");
    }
    let message = "x".repeat(1 << 20);
    let mut published = 0;
    while other.ask(&["PUBSUB", "NUMSUB", "c"]) == "[\"c\" :2]" {
        assert!(other.ask(&["PUBLISH", "c", &message]) != ":0");
        assert_eq!(fine.reply().len(), message.len() + r#"["message" "c" ""]"#.len());
        published += 1;
        assert!(published < 1000, "it was not dropped");
    }
    assert!(published > 30);
    assert_eq!(other.ask(&["PUBLISH", "c", "still"]), ":1");
    assert_eq!(fine.reply(), "[\"message\" \"c\" \"still\"]");
}

/// Closing a listener and dropping an engine end connections that listen.
#[test]
fn ends() {
    let Served { listener, engine, _dir: dir } = Served::open();
    let second = engine.serve("127.0.0.1:0", &Default::default()).unwrap();
    let mut clients = [Client::of(listener.address()), Client::of(second.address())];
    for client in &mut clients {
        assert_eq!(client.ask(&["SUBSCRIBE", "c"]), "[\"subscribe\" \"c\" :1]");
    }
    listener.close();
    assert!(clients[0].is_closed());
    drop(engine);
    assert!(clients[1].is_closed());
    super::support::assert_sound(&super::support::open(dir.path()));
}
