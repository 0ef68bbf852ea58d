//! Commands that wait for an element.

use super::support::wait_until;
use super::{Client, Served, converse, request};

/// Waits until so many connections wait.
fn waiting(served: &Served, count: usize) {
    let mut client = served.client();
    let says = format!("\\nblocked_clients:{count}\\r");
    wait_until("they wait", || client.ask(&["INFO", "clients"]).contains(&says));
}

/// What is there is taken at once; what is not is waited for, and a write by whatever way brings it.
#[test]
fn woken_by_the_commit() {
    let served = Served::open();
    let (mut client, mut other) = (served.client(), served.client());
    converse(&mut other, &[("RPUSH l a b c", ":3"), ("ZADD z 1 m 2 n 3 o", ":3")]);
    converse(&mut client, &[("BLPOP x l 0", "[\"l\" \"a\"]"), ("BRPOP l 0", "[\"l\" \"c\"]")]);
    converse(&mut client, &[("BLMOVE l to LEFT RIGHT 0", "\"b\""), ("BRPOPLPUSH to l 0", "\"b\"")]);
    converse(
        &mut client,
        &[("BLMPOP 0 2 x l LEFT COUNT 5", "[\"l\" [\"b\"]]"), ("BZPOPMIN z 0", "[\"z\" \"m\" \"1\"]")],
    );
    converse(&mut client, &[("BZPOPMAX z 0", "[\"z\" \"o\" \"3\"]"), ("BZMPOP 0 1 z MIN", "[\"z\" [[\"n\" \"2\"]]]")]);
    for (wait, bring, reply) in [
        ("BLPOP l m 0", &["RPUSH m x y"][..], "[\"m\" \"x\"]"),
        ("BRPOP l 0", &["RPUSH l x y"], "[\"l\" \"y\"]"),
        ("BLMOVE l to LEFT LEFT 0", &["LPUSH l x"], "\"x\""),
        ("BLMPOP 0 1 l LEFT", &["MULTI", "RPUSH l x", "RPUSH l y", "EXEC"], "[\"l\" [\"x\"]]"),
        ("BLPOP l 0", &["RPUSH k x", "RENAME k l"], "[\"l\" \"x\"]"),
        ("XREAD BLOCK 0 STREAMS s $", &["XADD s 1-1 f v"], "[[\"s\" [[\"1-1\" [\"f\" \"v\"]]]]]"),
        ("BZPOPMIN z 0", &["ZADD z 7 m"], "[\"z\" \"m\" \"7\"]"),
        ("BZMPOP 0 1 z MAX COUNT 2", &["ZADD z 1 m 2 n"], "[\"z\" [[\"n\" \"2\"] [\"m\" \"1\"]]]"),
    ] {
        client.send(&request(&wait.split(' ').collect::<Vec<_>>()));
        waiting(&served, 1);
        // A change of another key, and of another namespace's, brings nothing.
        assert_eq!(other.ask(&["RPUSH", "others", "x"]), ":1");
        assert_eq!(other.ask(&["DEL", "others"]), ":1");
        let said: Vec<String> = bring.iter().map(|line| other.ask(&line.split(' ').collect::<Vec<_>>())).collect();
        assert!(said.iter().all(|said| !said.starts_with('-')), "{said:?}");
        assert_eq!(client.reply(), reply, "{wait}");
        assert_eq!(other.ask(&["FLUSHDB"]), "+OK");
    }
}

/// Who came first is served first, and one commit that brings several elements serves as many.
#[test]
fn in_line() {
    let served = Served::open();
    let mut line: Vec<Client> = Vec::new();
    for n in 0..4 {
        let mut client = served.client();
        client.send(&request(&["BLPOP", "l", "0"]));
        waiting(&served, n + 1);
        line.push(client);
    }
    let mut other = served.client();
    assert_eq!(other.ask(&["RPUSH", "l", "0", "1"]), ":2");
    assert_eq!(line[0].reply(), "[\"l\" \"0\"]");
    assert_eq!(line[1].reply(), "[\"l\" \"1\"]");
    waiting(&served, 2);
    // One that has left does not keep the others from it.
    drop(line.remove(2));
    waiting(&served, 1);
    assert_eq!(other.ask(&["RPUSH", "l", "2"]), ":1");
    assert_eq!(line[2].reply(), "[\"l\" \"2\"]");
}

/// All who read a stream get what is new, and of a group one.
#[test]
fn readers_of_a_stream() {
    let served = Served::open();
    let mut other = served.client();
    converse(&mut other, &[("XADD s 1-1 f old", "\"1-1\""), ("XGROUP CREATE s g $", "+OK")]);
    let mut readers: Vec<Client> = (0..3).map(|_| served.client()).collect();
    readers[0].send(&request(&["XREAD", "BLOCK", "0", "STREAMS", "s", "$"]));
    readers[1].send(&request(&["XREAD", "COUNT", "5", "BLOCK", "0", "STREAMS", "x", "s", "$", "1-1"]));
    readers[2].send(&request(&["XREADGROUP", "GROUP", "g", "me", "BLOCK", "0", "STREAMS", "s", ">"]));
    waiting(&served, 3);
    assert_eq!(other.ask(&["XADD", "s", "2-1", "f", "new"]), "\"2-1\"");
    for reader in &mut readers {
        assert_eq!(reader.reply(), "[[\"s\" [[\"2-1\" [\"f\" \"new\"]]]]]");
    }
    converse(&mut other, &[("XREAD BLOCK 5 STREAMS s $", "nil"), ("XREAD BLOCK 5 STREAMS s 2-1", "nil")]);
}

/// When the time is over the answer is nil, and in a transaction at once.
#[test]
fn too_late() {
    let served = Served::open();
    let mut client = served.client();
    converse(&mut client, &[("BLPOP l 0.01", "nil"), ("BLMOVE l m LEFT LEFT 0.01", "nil"), ("BZPOPMAX z 0.01", "nil")]);
    converse(&mut client, &[("MULTI", "+OK"), ("BLPOP l 0", "+QUEUED"), ("RPUSH l x", "+QUEUED")]);
    converse(&mut client, &[("BLPOP l 0", "+QUEUED"), ("EXEC", "[nil :1 [\"l\" \"x\"]]")]);
    converse(&mut client, &[("BLPOP l x", "-ERR timeout is not a float or out of range")]);
    converse(&mut client, &[("BLPOP l -1", "-ERR timeout is negative"), ("BLMPOP 0 2 l LEFT", "-ERR syntax error")]);
    converse(&mut client, &[("BLMPOP 0 0 l LEFT", "-ERR numkeys should be greater than 0"), ("SET s 1", "+OK")]);
    assert!(client.ask(&["BLPOP", "s", "0"]).starts_with("-WRONGTYPE"));
}

/// Closing the listener, closing the engine, dropping it and a kill end those who wait, and nothing is taken for them.
#[test]
fn ends() {
    for how in ["listener", "engine", "drop", "kill"] {
        let served = Served::open();
        let mut client = served.client();
        client.send(&request(&["BLPOP", "l", "0"]));
        waiting(&served, 1);
        match how {
            "listener" => served.listener.close(),
            "engine" => served.engine.close().unwrap(),
            // The connection that looked who waits may still be ending, and is counted then.
            "kill" => assert_ne!(served.client().ask(&["CLIENT", "KILL", "TYPE", "normal"]), ":0"),
            _ => {}
        }
        let Served { listener, engine, _dir: dir } = served;
        drop(engine);
        while !client.reply().starts_with("closed") {}
        drop((client, listener));
        drop(dir);
    }
}

/// Who waits goes on behind a swap of the dataset.
#[test]
fn across_a_swap() {
    let served = Served::open();
    let dir = super::quick_dir();
    let checkpoint = served.engine.create_checkpoint(dir.path().join("c")).unwrap();
    let mut client = served.client();
    client.send(&request(&["BLPOP", "l", "0"]));
    waiting(&served, 1);
    served.engine.apply_checkpoint(&checkpoint.path).unwrap();
    assert_eq!(served.client().ask(&["RPUSH", "l", "x"]), ":1");
    assert_eq!(client.reply(), "[\"l\" \"x\"]");
}
