//! MULTI, EXEC and WATCH between several clients.

use super::{Served, converse, request};

/// The commands of a transaction see what those before them wrote, are one entry of the log together, and one that fails
/// keeps none of the others from being done and leaves none of its own records.
#[test]
fn one_entry() {
    let served = Served::open();
    let mut client = served.client();
    converse(&mut client, &[("SET s 1", "+OK"), ("MULTI", "+OK"), ("SET a 1", "+QUEUED"), ("INCR a", "+QUEUED")]);
    converse(&mut client, &[("RPUSH l x y z", "+QUEUED"), ("LRANGE l 0 -1", "+QUEUED"), ("LPUSH s x", "+QUEUED")]);
    converse(&mut client, &[("LPOP l", "+QUEUED"), ("DEL s", "+QUEUED"), ("GET s", "+QUEUED")]);
    let before = served.engine.position().unwrap();
    assert_eq!(served.client().ask(&["EXISTS", "a", "l"]), ":0");
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    let replies = format!("[+OK :2 :3 [\"x\" \"y\" \"z\"] {wrong} \"x\" :1 nil]");
    assert_eq!(client.ask(&["EXEC"]), replies);
    let mut log = served.engine.log(Some(&before)).unwrap();
    assert!(log.next_entry(None).unwrap().is_some() && log.next_entry(None).unwrap().is_none());
    converse(&mut client, &[("GET a", "\"2\""), ("LRANGE l 0 -1", "[\"y\" \"z\"]"), ("EXISTS s", ":0")]);
    super::support::assert_sound(&served.engine);
}

/// What is wrong with one command spoils the transaction; DISCARD and RESET forget it.
#[test]
fn spoiled_and_discarded() {
    let served = Served::open();
    let mut client = served.client();
    let aborted = "-EXECABORT Transaction discarded because of previous errors.";
    for wrong in [&["GET"][..], &["NOPE"], &["INFO"], &["SUBSCRIBE", "c"], &["PSYNC", "1"], &["AUTH", "x"]] {
        converse(&mut client, &[("MULTI", "+OK"), ("SET a 1", "+QUEUED")]);
        let refused = client.ask(wrong);
        assert!(refused.starts_with("-ERR "), "{refused}");
        converse(&mut client, &[("SET a 2", "+QUEUED"), ("EXEC", aborted), ("GET a", "nil")]);
    }
    converse(&mut client, &[("MULTI", "+OK"), ("SET a 1", "+QUEUED"), ("DISCARD", "+OK"), ("GET a", "nil")]);
    converse(
        &mut client,
        &[("MULTI", "+OK"), ("SET a 1", "+QUEUED"), ("RESET", "+RESET"), ("EXEC", "-ERR EXEC without MULTI")],
    );
    converse(&mut client, &[("DISCARD", "-ERR DISCARD without MULTI"), ("MULTI", "+OK")]);
    converse(&mut client, &[("MULTI", "-ERR MULTI calls can not be nested")]);
    converse(&mut client, &[("WATCH a", "-ERR WATCH inside MULTI is not allowed"), ("EXEC", "[]"), ("GET a", "nil")]);
}

/// EXEC does nothing when a watched key was changed by anybody in any way, and does not mind other keys.
#[test]
fn watch() {
    let served = Served::open();
    let (mut client, mut other) = (served.client(), served.client());
    let set = ["SET k 1", "RPUSH l a b", "HSET h f 1 g 2", "ZADD z 1 m", "SET other 1"];
    for changes in [
        &["SET k 2"][..],
        &["DEL l"],
        &["HSET h f 2"],
        &["HDEL h g"],
        &["ZADD z 2 m"],
        &["EXPIRE k 1000"],
        &["FLUSHDB"],
        &["SET k 2", "SET k 1"],
        &["RENAME other k"],
        &["SADD new x"],
    ] {
        set.iter().for_each(|line| drop(other.ask(&line.split(' ').collect::<Vec<_>>())));
        for _ in 0..2 {
            converse(&mut client, &[("WATCH k l h z new", "+OK"), ("GET k", "\"1\"")]);
            assert_eq!(other.ask(&["SET", "others", "x"]), "+OK");
            converse(&mut client, &[("MULTI", "+OK"), ("SET done 1", "+QUEUED"), ("EXEC", "[+OK]")]);
        }
        converse(&mut client, &[("DEL done", ":1"), ("WATCH k l h", "+OK"), ("WATCH z new", "+OK")]);
        for change in changes {
            let said = other.ask(&change.split(' ').collect::<Vec<_>>());
            assert!(!said.starts_with('-'), "{change}: {said}");
        }
        converse(&mut client, &[("MULTI", "+OK"), ("SET done 1", "+QUEUED"), ("EXEC", "nil"), ("GET done", "nil")]);
        // Nothing is watched any more.
        converse(&mut client, &[("MULTI", "+OK"), ("GET done", "+QUEUED"), ("EXEC", "[nil]"), ("FLUSHDB", "+OK")]);
    }
    converse(&mut client, &[("WATCH k", "+OK"), ("UNWATCH", "+OK"), ("SET k 3", "+OK"), ("MULTI", "+OK")]);
    converse(&mut client, &[("GET k", "+QUEUED"), ("EXEC", "[\"3\"]"), ("WATCH k", "+OK"), ("SET k 4", "+OK")]);
    converse(&mut client, &[("MULTI", "+OK"), ("DISCARD", "+OK"), ("MULTI", "+OK"), ("EXEC", "[]")]);
    // A key of that name in another namespace is another key; one that expires has changed.
    let users = served.engine.create_namespace("users", None).unwrap();
    converse(&mut client, &[("WATCH k", "+OK")]);
    users.put(b"k", b"x").unwrap();
    converse(&mut client, &[("MULTI", "+OK"), ("EXEC", "[]"), ("SET k 1 PX 1", "+OK"), ("WATCH k", "+OK")]);
    super::support::wait_until("it expired", || other.ask(&["EXISTS", "k"]) == ":0");
}

/// Behind more entries than are kept in memory, and behind one that is too large for that, WATCH still tells.
#[test]
fn watch_for_long() {
    let served = Served::open();
    let (mut client, ns) = (served.client(), served.engine.default_namespace());
    for large in [false, true] {
        converse(&mut client, &[("WATCH k", "+OK")]);
        if large {
            ns.put(b"large", &vec![7; 8 << 20]).unwrap();
        } else {
            (0..6000).for_each(|n: u32| ns.put(&n.to_be_bytes(), b"v").unwrap());
        }
        converse(&mut client, &[("MULTI", "+OK"), ("EXEC", "[]"), ("WATCH k", "+OK")]);
        ns.put(b"k", b"v").unwrap();
        (0..6000).for_each(|n: u32| ns.put(&n.to_be_bytes(), b"v").unwrap());
        converse(&mut client, &[("MULTI", "+OK"), ("EXEC", "nil")]);
    }
}

/// Two clients that count with WATCH lose no count.
#[test]
fn counting() {
    const ROUNDS: usize = 200;
    let served = Served::open();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let mut client = served.client();
            scope.spawn(move || {
                let mut done = 0;
                while done < ROUNDS {
                    assert_eq!(client.ask(&["WATCH", "n"]), "+OK");
                    let found = client.ask(&["GET", "n"]);
                    let next: usize = found.trim_matches('"').parse().unwrap_or(0) + 1;
                    assert_eq!(client.ask(&["MULTI"]), "+OK");
                    assert_eq!(client.ask(&["SET", "n", &next.to_string()]), "+QUEUED");
                    done += usize::from(client.ask(&["EXEC"]) == "[+OK]");
                }
            });
        }
    });
    let found = served.engine.default_namespace().get(b"n").unwrap().unwrap();
    assert_eq!(*found, *(3 * ROUNDS).to_string().as_bytes());
}

/// A transaction that only reads sees one moment, however much is written meanwhile.
#[test]
fn reads_of_one_moment() {
    let served = Served::open();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let mut writer = served.client();
        let ended = &done;
        let writing = scope.spawn(move || {
            let mut number = 0;
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                number += 1;
                assert_eq!(writer.ask(&["MSET", "a", &number.to_string(), "b", &number.to_string()]), "+OK");
            }
            number
        });
        let mut reader = served.client();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..2000 {
            reader.ask(&["MULTI"]);
            reader.ask(&["GET", "a"]);
            (0..50).for_each(|_| drop(reader.ask(&["GET", "none"])));
            reader.ask(&["GET", "b"]);
            let found = reader.ask(&["EXEC"]);
            let (first, last) = (found.split(' ').next().unwrap(), found.split(' ').next_back().unwrap());
            assert_eq!(first.trim_matches(['[', ']']), last.trim_matches(['[', ']']), "{found}");
            seen.insert(first.to_owned());
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(writing.join().unwrap() > 1 && seen.len() > 1);
    });
}

/// On a replica a transaction that only reads is done, and one that writes is refused.
#[test]
fn on_a_replica() {
    let served = Served::open();
    served.engine.default_namespace().put(b"k", b"v").unwrap();
    let dir = super::quick_dir();
    let replica = super::support::open_replica(dir.path());
    let listener = replica.serve("127.0.0.1:0", &Default::default()).unwrap();
    let address = served.listener.address();
    replica.follow(&address.host(), address.port(), &Default::default()).unwrap();
    super::support::wait_until("it has the key", || replica.default_namespace().get(b"k").unwrap().is_some());
    let mut client = super::Client::of(listener.address());
    converse(&mut client, &[("MULTI", "+OK"), ("GET k", "+QUEUED"), ("EXISTS k", "+QUEUED"), ("EXEC", "[\"v\" :1]")]);
    let refused = "-READONLY You can't write against a read only slave.";
    converse(&mut client, &[("MULTI", "+OK"), ("SET k w", "+QUEUED"), ("EXEC", refused), ("GET k", "\"v\"")]);
}

/// Every command that can be queued ends, whatever it is given: none waits for the lock that the transaction holds.
#[test]
fn every_command_ends() {
    let served = Served::open();
    let mut client = served.client();
    let all = client.ask(&["COMMAND"]);
    // `["name" arity [flags] first last step]`
    let rows: Vec<(String, usize)> = all
        .split("[\"")
        .skip(1)
        .map(|row| {
            let mut words = row.split([' ', '"']).filter(|word| !word.is_empty());
            let name = words.next().unwrap().to_owned();
            let arity: i32 = words.next().unwrap().trim_start_matches(':').parse().unwrap();
            (name, arity.unsigned_abs() as usize)
        })
        .collect();
    let mut ended = 0;
    for (name, arity) in rows.iter().filter(|(name, _)| name != "quit" && name != "reset") {
        for more in 0..4 {
            assert_eq!(client.ask(&["MULTI"]), "+OK", "{name}");
            let mut words = vec![name.as_str()];
            words.resize(arity + more, "1");
            client.send(&request(&words));
            let queued = client.reply();
            let answer = client.ask(&["EXEC"]);
            if answer == "-ERR EXEC without MULTI" {
                // MULTI, EXEC, DISCARD themselves.
                continue;
            }
            assert!(answer.starts_with('[') || answer.starts_with("-EXECABORT"), "{name}: {queued} {answer}");
            ended += usize::from(answer.starts_with('['));
        }
    }
    assert!(ended > 30, "{ended}");
    assert_eq!(client.ask(&["PING"]), "+PONG");
}
