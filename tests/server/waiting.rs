//! Commands that wait for an element.

use pumice::End;

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

/// Who came first is served first, whoever left or came since, and one commit that brings several elements serves as many.
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

/// Who waits is served by the write that brings it, before anybody's next command, be it one right behind it on the same
/// connection or a call in the process; what a transaction takes away again it does not bring.
#[test]
fn served_by_the_write() {
    let served = Served::open();
    let (mut client, mut other) = (served.client(), served.client());
    let here = served.engine.default_namespace();
    for n in 0..30 {
        let value = n.to_string();
        client.send(&request(&["BLPOP", "none", "l", "0"]));
        waiting(&served, 1);
        let takes: &[&str] = [&["DEL", "l"][..], &["LPOP", "l"], &["RENAME", "l", "m"], &["LLEN", "l"]][n % 4];
        other.send(&[request(&["RPUSH", "l", &value]), request(takes)].concat());
        assert_eq!(client.reply(), format!("[\"l\" \"{value}\"]"), "{takes:?}");
        assert_eq!(other.reply(), ":1");
        let nothing = ["nil", ":0", "-ERR no such key"];
        let said = other.reply();
        assert!(nothing.contains(&said.as_str()), "{takes:?}: {said}");
        // By a handle, and on a sorted set.
        client.send(&request(&["BLMOVE", "l", "taken", "LEFT", "LEFT", "0"]));
        waiting(&served, 1);
        here.list("l").push(End::Right, &[&value]).unwrap();
        assert_eq!(here.list("l").pop(End::Left).unwrap(), None);
        assert_eq!(client.reply(), format!("\"{value}\""));
        client.send(&request(&["BZPOPMIN", "z", "0"]));
        waiting(&served, 1);
        other.send(&[request(&["ZADD", "z", "1", &value]), request(&["ZPOPMIN", "z"])].concat());
        assert_eq!(client.reply(), format!("[\"z\" \"{value}\" \"1\"]"));
        assert_eq!((other.reply().as_str(), other.reply().as_str()), (":1", "[]"));
    }
    client.send(&request(&["BLPOP", "l", "0"]));
    waiting(&served, 1);
    converse(&mut other, &[("MULTI", "+OK"), ("RPUSH l x", "+QUEUED"), ("DEL l", "+QUEUED"), ("EXEC", "[:1 :1]")]);
    converse(
        &mut other,
        &[("MULTI", "+OK"), ("RPUSH l y z", "+QUEUED"), ("LPOP l", "+QUEUED"), ("EXEC", "[:2 \"y\"]")],
    );
    assert_eq!(client.reply(), "[\"l\" \"z\"]");
    super::support::assert_sound(&served.engine);
}

/// What one who waits is given can bring something to the next, a key of another type brings nothing, and what it cannot
/// be moved to is an error for it alone.
#[test]
fn one_serves_another() {
    let served = Served::open();
    let mut clients: Vec<Client> = (0..3).map(|_| served.client()).collect();
    let mut other = served.client();
    for (n, command) in ["BLPOP c 0", "BLMOVE b c LEFT LEFT 0", "BLMOVE a b LEFT LEFT 0"].iter().enumerate() {
        clients[n].send(&request(&command.split(' ').collect::<Vec<_>>()));
        waiting(&served, n + 1);
    }
    converse(&mut other, &[("ZADD c 1 m", ":1"), ("DEL c", ":1"), ("SET a x", "+OK"), ("DEL a", ":1")]);
    waiting(&served, 3);
    let before = served.engine.position().unwrap().sequence;
    converse(&mut other, &[("RPUSH a x", ":1"), ("EXISTS a b c", ":0")]);
    assert!(served.engine.position().unwrap().sequence > before);
    assert_eq!(clients[0].reply(), "[\"c\" \"x\"]");
    assert_eq!((clients[1].reply().as_str(), clients[2].reply().as_str()), ("\"x\"", "\"x\""));
    clients[0].send(&request(&["BLMOVE", "a", "string", "LEFT", "LEFT", "0"]));
    waiting(&served, 1);
    clients[1].send(&request(&["BZPOPMIN", "a", "0"]));
    waiting(&served, 2);
    clients[2].send(&request(&["BRPOP", "a", "0"]));
    waiting(&served, 3);
    converse(&mut other, &[("SET string x", "+OK"), ("RPUSH a x", ":1")]);
    assert!(clients[0].reply().starts_with("-WRONGTYPE"));
    assert_eq!(clients[2].reply(), "[\"a\" \"x\"]");
    converse(&mut other, &[("ZADD a 1 m", ":1")]);
    assert_eq!(clients[1].reply(), "[\"a\" \"m\" \"1\"]");
}

/// What is pushed while those who wait come and go, are served and give up, comes to one of them or stays: nothing is lost,
/// and nothing comes twice.
#[test]
fn nothing_is_lost() {
    let served = Served::open();
    let takers: Vec<_> = (0..4)
        .map(|_| {
            let mut client = served.client();
            std::thread::spawn(move || {
                let replies = (0..400).map(|_| client.ask(&["BLPOP", "l", "0.001"]));
                replies.filter(|reply| reply != "nil").collect::<Vec<String>>()
            })
        })
        .collect();
    let mut other = served.client();
    let wanted: Vec<String> = (0..1000).map(|n| format!("{n:04}")).collect();
    for value in &wanted {
        assert_ne!(other.ask(&["RPUSH", "l", value]), ":0");
    }
    let taken: Vec<String> = takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect();
    let mut seen: Vec<String> = taken.iter().map(|reply| reply[r#"["l" ""#.len()..][..4].to_owned()).collect();
    let left = other.ask(&["LRANGE", "l", "0", "-1"]);
    seen.extend(left.split('"').filter(|word| word.len() == 4).map(str::to_owned));
    seen.sort();
    println!("{} were taken", taken.len());
    assert_eq!(seen, wanted);
    assert!(!taken.is_empty());
}

/// A token that opens nothing any more is given nothing, and an engine that becomes a replica ends who waits: what was meant
/// for them stays.
#[test]
fn who_may_no_more() {
    let served = Served::with_password();
    served.engine.create_namespace("users", Some("old")).unwrap();
    let (mut former, mut admin) = (served.client_with("old"), served.client_with("secret"));
    let blocked = |admin: &mut Client, count: usize| {
        let says = format!("\\nblocked_clients:{count}\\r");
        wait_until("they wait", || admin.ask(&["INFO", "clients"]).contains(&says));
    };
    former.send(&request(&["BLPOP", "l", "0"]));
    blocked(&mut admin, 1);
    converse(&mut admin, &[("NAMESPACE SET users new", "+OK")]);
    let mut user = served.client_with("new");
    converse(&mut user, &[("RPUSH l x", ":1"), ("LRANGE l 0 -1", "[\"x\"]")]);
    assert_eq!(former.reply(), "-NOAUTH Authentication required.");
    user.send(&request(&["BLPOP", "m", "0"]));
    blocked(&mut admin, 1);
    served.engine.follow("127.0.0.1", 1, &Default::default()).unwrap();
    assert!(user.reply().starts_with("-READONLY"));
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

/// Who reads a stream is handed what comes by the write that brings it, though it is taken away again at once, on the same
/// connection or by a call in the process; what a transaction takes away again it does not bring.
#[test]
fn readers_before_what_takes_away() {
    let served = Served::open();
    let here = served.engine.default_namespace();
    let (mut other, mut reader, mut member) = (served.client(), served.client(), served.client());
    converse(&mut other, &[("XGROUP CREATE s g $ MKSTREAM", "+OK")]);
    for n in 1..=24 {
        let (id, next) = (format!("{n}-1"), format!("{n}-9"));
        let reply = format!("[[\"s\" [[\"{id}\" [\"f\" \"v\"]]]]]");
        reader.send(&request(&["XREAD", "BLOCK", "0", "STREAMS", "none", "s", "$", "$"]));
        waiting(&served, 1);
        member.send(&request(&["XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">"]));
        waiting(&served, 2);
        converse(&mut other, &[("MULTI", "+OK"), (&format!("XADD s {n}-0 f v"), "+QUEUED")]);
        converse(&mut other, &[(&format!("XDEL s {n}-0"), "+QUEUED"), ("EXEC", &format!("[\"{n}-0\" :1]"))]);
        let takes = [vec!["XDEL", "s", &id], vec!["XTRIM", "s", "MAXLEN", "0"], vec!["XTRIM", "s", "MINID", &next]];
        let takes = takes[n % 3].as_slice();
        let brings: &[&str] = &["XADD", "s", &id, "f", "v"];
        if n % 2 == 0 {
            here.execute(brings).unwrap();
            here.execute(takes).unwrap();
        } else {
            other.send(&[request(brings), request(takes)].concat());
            assert_eq!((other.reply(), other.reply()), (format!("\"{id}\""), ":1".to_owned()), "{takes:?}");
        }
        assert_eq!((reader.reply(), member.reply()), (reply.clone(), reply), "{takes:?}");
        assert_eq!(other.ask(&["XACK", "s", "g", &id]), ":1");
    }
    super::support::assert_sound(&served.engine);
}

/// Who reads a stream on a replica is handed what comes by the link that writes it there, though the primary has taken it away
/// again, and goes on to read when the replica is promoted.
#[test]
fn readers_on_a_replica() {
    let served = Served::open();
    let dir = super::quick_dir();
    let engine = super::support::open_replica(dir.path());
    let address = served.listener.address();
    engine.follow(&address.host(), address.port(), &Default::default()).unwrap();
    let listener = engine.serve("127.0.0.1:0", &Default::default()).unwrap();
    let replica = Served { listener, engine, _dir: dir };
    let (mut other, mut reader) = (served.client(), replica.client());
    let minute = std::time::Duration::from_secs(60);
    for n in 1..=12 {
        let id = format!("{n}-1");
        reader.send(&request(&["XREAD", "BLOCK", "0", "STREAMS", "s", "$"]));
        waiting(&replica, 1);
        converse(&mut other, &[(&format!("XADD s {id} f v"), &format!("\"{id}\"")), (&format!("XDEL s {id}"), ":1")]);
        assert_eq!(reader.reply(), format!("[[\"s\" [[\"{id}\" [\"f\" \"v\"]]]]]"));
        assert!(replica.engine.wait_for(&served.engine.position().unwrap(), minute).unwrap());
    }
    reader.send(&request(&["XREAD", "BLOCK", "0", "STREAMS", "s", "$"]));
    waiting(&replica, 1);
    replica.engine.promote().unwrap();
    waiting(&replica, 1);
    let mut here = replica.client();
    here.send(&[request(&["XADD", "s", "99-1", "f", "v"]), request(&["XDEL", "s", "99-1"])].concat());
    assert_eq!(reader.reply(), "[[\"s\" [[\"99-1\" [\"f\" \"v\"]]]]]");
    reader.send(&request(&["XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">"]));
    assert!(reader.reply().starts_with("-NOGROUP"));
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

/// An element that is moved to where it was is given to who waits, and no entry of the log is without a record.
#[test]
fn moved_to_where_it_was() {
    for wait in ["BRPOPLPUSH k k 0", "BLMOVE k k LEFT LEFT 0"] {
        let served = Served::open();
        let (mut client, mut other) = (served.client(), served.client());
        let replica = super::quick_dir();
        let replica = super::support::open_replica(replica.path());
        let address = served.listener.address();
        replica.follow(&address.host(), address.port(), &Default::default()).unwrap();
        let before = served.engine.position().unwrap();
        client.send(&request(&wait.split(' ').collect::<Vec<_>>()));
        waiting(&served, 1);
        converse(&mut other, &[("RPUSH k x", ":1"), ("SET s 1", "+OK"), ("LRANGE k 0 -1", "[\"x\"]")]);
        assert_eq!(client.reply(), "\"x\"");
        let mut log = served.engine.log(Some(&before)).unwrap();
        let mut entries = 0;
        while let Some(entry) = log.next_entry(None).unwrap() {
            assert!(entry.first <= entry.last);
            entries += 1;
        }
        assert_eq!(entries, 2);
        let position = served.engine.position().unwrap();
        assert!(replica.wait_for(&position, std::time::Duration::from_secs(60)).unwrap(), "{:?}", replica.link());
    }
}
