//! Requests that are sent one behind the other, without waiting for the replies between.

use super::support::{self, Random};
use super::{Client, Served, request};

/// Sends requests in one piece, and gives their replies.
fn pipelined(client: &mut Client, lines: &[impl AsRef<str>]) -> Vec<String> {
    let requests = lines.iter().flat_map(|line| request(&line.as_ref().split(' ').collect::<Vec<_>>()));
    client.send(&requests.collect::<Vec<u8>>());
    lines.iter().map(|_| client.reply()).collect()
}

/// Writes that came together are so many entries. Each turn uses keys of its own: where the machine does something else for
/// long enough a pipeline gives way, and they are more.
#[track_caller]
fn assert_entries(served: &Served, expected: usize, mut turn: impl FnMut(&str)) {
    for number in 0..20 {
        let mut log = served.engine.log(Some(&served.engine.position().unwrap())).unwrap();
        turn(&number.to_string());
        let entries = std::iter::from_fn(|| log.next_entry(None).unwrap()).count();
        assert!(entries >= expected, "{entries} entries, expected {expected}");
        if entries == expected {
            return;
        }
    }
    panic!("more than {expected} entries, 20 times");
}

/// Writes that came together are one entry. One that fails leaves none of its own records, and keeps none of the others
/// from being done.
#[test]
fn one_entry() {
    let served = Served::open();
    let mut client = served.client();
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value";
    assert_entries(&served, 1, |n| {
        let lines = ["SET a# 1", "INCR a#", "RPUSH l# x y", "LPUSH a# z", "LPOP l#"].map(|line| line.replace('#', n));
        assert_eq!(pipelined(&mut client, &lines), ["+OK", ":2", ":2", wrong, "\"x\""]);
        let lines = ["GET a#", "LRANGE l# 0 -1"].map(|line| line.replace('#', n));
        assert_eq!(pipelined(&mut client, &lines), ["\"2\"", "[\"y\"]"]);
    });
    // What is wrong with itself is answered in its place.
    let replies = ["-ERR wrong number of arguments", ":0", ":1"];
    assert_eq!(pipelined(&mut client, &["HSET h f", "DEL nothing", "ZADD z 1 m"]), replies);
    assert_eq!(client.ask(&["EXISTS", "h", "z"]), ":1");
    support::assert_sound(&served.engine);
}

/// More writes than fit one entry are several, and have all their replies in their order.
#[test]
fn many() {
    let served = Served::open();
    let mut client = served.client();
    let before = served.engine.position().unwrap();
    let value = "v".repeat(5000);
    let lines: Vec<String> = (0..1000).map(|number| format!("APPEND k{} {value}", number % 500)).collect();
    let replies = pipelined(&mut client, &lines);
    assert!(replies[..500].iter().all(|reply| reply == ":5000"));
    assert!(replies[500..].iter().all(|reply| reply == ":10000"));
    let mut log = served.engine.log(Some(&before)).unwrap();
    let mut entries = 0;
    while log.next_entry(None).unwrap().is_some() {
        entries += 1;
    }
    assert!((2..1000).contains(&entries), "{entries} entries");
}

/// Where nothing may be written every write of a pipeline hears so, and reads between them are answered.
#[test]
fn refused() {
    let served = Served::open();
    let mut client = served.client();
    assert_eq!(client.ask(&["SET", "a", "1"]), "+OK");
    assert_eq!(client.ask(&["RPUSH", "l", "2", "1"]), ":2");
    served.engine.follow("127.0.0.1", 1, &Default::default()).unwrap();
    let refused = "-READONLY You can't write against a read only slave.";
    let replies = pipelined(&mut client, &["SET a 2", "INCR a", "GET a", "DEL a", "PING"]);
    assert_eq!(replies, [refused, refused, "\"1\"", refused, "+PONG"]);
    // What may write and does not.
    let replies = pipelined(&mut client, &["SORT l", "BITFIELD a GET u8 0", "PUBLISH c 1", "PUBLISH c 2", "SET a 2"]);
    assert_eq!(replies, ["[\"1\" \"2\"]", "[:49]", ":0", ":0", refused]);
}

/// Each message is an entry of its own: a Kvrocks that follows takes one of each.
#[test]
fn messages() {
    let served = Served::open();
    let mut client = served.client();
    assert_entries(&served, 3, |n| {
        let lines = ["PUBLISH c 1", "PUBLISH c 2", "SET a# 1", "INCR a#"].map(|line| line.replace('#', n));
        assert_eq!(pipelined(&mut client, &lines), [":0", ":0", "+OK", ":2"]);
    });
}

/// A transaction, a wait and the end of a connection keep their place among writes that came together.
#[test]
fn in_order() {
    let served = Served::open();
    let mut client = served.client();
    let lines =
        ["SET a 1", "SET b 1", "MULTI", "INCR a", "INCR b", "EXEC", "INCR a", "RPUSH l x", "BLPOP l 0", "INCR a"];
    let replies = ["+OK", "+OK", "+OK", "+QUEUED", "+QUEUED", "[:2 :2]", ":3", ":1", "[\"l\" \"x\"]", ":4"];
    assert_eq!(pipelined(&mut client, &lines), replies);
    assert_eq!(pipelined(&mut client, &["INCR a", "INCR a", "QUIT", "INCR a"]), [":5", ":6", "+OK", "closed"]);
    assert_eq!(served.client().ask(&["GET", "a"]), "\"6\"");
}

/// Random commands in pipelines have the replies that they have one by one, and leave the same data.
#[test]
fn as_if_alone() {
    let seed = std::env::var("PUMICE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    println!("PUMICE_SEED={seed}");
    let mut random = Random(seed);
    let (alone, together) = (Served::open(), Served::open());
    let (mut one, mut other) = (alone.client(), together.client());
    let forms = [
        "SET k v",
        "APPEND k w",
        "GET k",
        "INCR k",
        "DEL k",
        "RPUSH k e n",
        "LPUSH k n",
        "LPOP k",
        "LREM k 1 e",
        "LINSERT k BEFORE e n",
        "LTRIM k 0 3",
        "LRANGE k 0 -1",
        "HSET k f n",
        "HINCRBY k f 2",
        "HDEL k f",
        "HGETALL k",
        "SADD k e n",
        "SREM k e",
        "SMOVE k j e",
        "SMEMBERS k",
        "ZADD k n e",
        "ZINCRBY k 2 e",
        "ZREM k e",
        "ZPOPMIN k",
        "ZRANGE k 0 -1 WITHSCORES",
        "RENAME k j",
        "COPY k j",
        "EXPIREAT k 4000000000",
        "PERSIST k",
        "EXISTS k j",
        "SUNIONSTORE k j k",
        "NOPE k",
        "SET k",
        "TYPE k",
        "SETRANGE k 3 n",
        "SETBIT k n 1",
        "XADD k * f n",
        "XLEN k",
    ];
    let mut seen = 0;
    for _ in 0..500 {
        let lines: Vec<String> = (0..1 + random.below(24))
            .map(|_| {
                let form = forms[random.below(forms.len())];
                let word = |word: &str, random: &mut Random| match word {
                    "k" | "j" => format!("key{}", random.below(4)),
                    "n" => random.below(20).to_string(),
                    "e" | "f" => format!("e{}", random.below(3)),
                    // Times differ.
                    "*" => "0-*".to_owned(),
                    word => word.to_owned(),
                };
                form.split(' ').map(|part| word(part, &mut random)).collect::<Vec<_>>().join(" ")
            })
            .collect();
        let expected: Vec<String> = lines.iter().map(|line| one.ask(&line.split(' ').collect::<Vec<_>>())).collect();
        assert_eq!(pipelined(&mut other, &lines), expected, "{lines:#?}");
        assert_eq!(
            together.engine.position().unwrap().sequence,
            alone.engine.position().unwrap().sequence,
            "{lines:#?}"
        );
        seen += expected.iter().filter(|reply| !reply.starts_with('-')).count();
    }
    assert!(seen > 1000, "{seen}");
    support::assert_sound(&together.engine);
}
