//! Requests that are sent one behind the other, without waiting for the replies between.

use std::collections::BTreeMap;

use pumice::{Kind, Operation};

use super::support::commands::{MAIN, OWN, SPECIAL, Words};
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
    assert_eq!((client.ask(&["GETEX", "a"]), client.ask(&["INCR", "a"])), ("\"1\"".to_owned(), refused.to_owned()));
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

/// Two servers, one of which is asked one by one and the other in pipelines: the replies are the same, and what is left.
struct Both {
    random: Random,
    alone: Served,
    together: Served,
    seen: usize,
}

impl Both {
    fn new() -> Both {
        let random = Random(support::redis::seed());
        Both { random, alone: Served::open(), together: Served::open(), seen: 0 }
    }

    /// Commands of the one and the other, in pipelines of a random length.
    fn compare(&mut self, rounds: usize, mut command: impl FnMut(&mut Random) -> Vec<String>) {
        let (mut one, mut other) = (self.alone.client(), self.together.client());
        for round in 0..rounds {
            let commands: Vec<Vec<String>> =
                (0..1 + self.random.below(24)).map(|_| command(&mut self.random)).collect();
            let requests: Vec<u8> = commands.iter().flat_map(|words| request(words)).collect();
            other.send(&requests);
            for words in &commands {
                let (mut expected, mut reply) = (one.ask(words), other.reply());
                self.seen += usize::from(!expected.starts_with('-'));
                if support::redis::unordered(words).is_some() {
                    let sorted = |reply: String| {
                        let mut parts: Vec<String> = reply.split('"').map(str::to_owned).collect();
                        parts.sort();
                        parts.concat()
                    };
                    (expected, reply) = (sorted(expected), sorted(reply));
                }
                assert_eq!(reply, expected, "{words:?} of {commands:#?}");
            }
            if round % 10 == 0 {
                assert_eq!(left(&mut other), left(&mut one), "{commands:#?}");
            }
        }
        assert_eq!(left(&mut other), left(&mut one));
    }
}

/// All that can be read of all keys.
fn left(client: &mut Client) -> Vec<String> {
    let keys = client.ask(&["KEYS", "*"]);
    let mut keys: Vec<&str> = keys.trim_matches(['[', ']']).split(' ').map(|key| key.trim_matches('"')).collect();
    keys.retain(|key| !key.is_empty());
    let mut left = Vec::new();
    for key in keys {
        let kind = client.ask(&["TYPE", key]);
        let forms: &[&str] = match kind.as_str() {
            "+string" => &["GET k"],
            "+hash" => &["HLEN k", "HGETALL k"],
            "+list" => &["LLEN k", "LRANGE k 0 -1"],
            "+set" => &["SCARD k", "SMEMBERS k"],
            "+zset" => &["ZCARD k", "ZRANGE k 0 -1 WITHSCORES", "ZRANGE k - + BYLEX"],
            "+bitmap" => &["BITCOUNT k", "GET k"],
            "+sortedint" => &["SICARD k", "SIRANGE k 0 1000"],
            "+stream" => &["XLEN k", "XRANGE k - +", "XINFO GROUPS k"],
            "+MBbloom--" => &["BF.INFO k", "BF.MEXISTS k m0 m1 m2 m3 m4 m5 m6 m7 m8 m9"],
            "+ReJSON-RL" => &["JSON.GET k"],
            "+hyperloglog" => &["PFCOUNT k"],
            kind => panic!("{key}: {kind}"),
        };
        let mut ask = |form: &str| {
            let words: Vec<&str> = form.split(' ').map(|word| if word == "k" { key } else { word }).collect();
            client.ask(&words)
        };
        let replies: Vec<String> = ["PEXPIRETIME k"].iter().chain(forms).map(|form| ask(form)).collect();
        left.push(format!("{key} {kind} {replies:?}"));
    }
    left
}

/// Random commands on a few keys, whatever their types, have in pipelines the replies that they have one by one, and leave
/// the same data.
#[test]
fn as_if_alone() {
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
        "LMOVE k j LEFT RIGHT",
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
        "EXPIREAT k 1",
        "PERSIST k",
        "EXISTS k j",
        "SUNIONSTORE k j k",
        "NOPE k",
        "SET k",
        "TYPE k",
        "SETRANGE k 3 n",
        "SETBIT k n 1",
        "SIADD k n",
        "XADD k * f n",
        "XLEN k",
        "FLUSHDB",
    ];
    let mut both = Both::new();
    let command = |random: &mut Random| {
        // Rarely all goes.
        let most = forms.len() - usize::from(random.below(8) > 0);
        let form = forms[random.below(most)];
        let word = |word: &str, random: &mut Random| match word {
            "k" | "j" => format!("key{}", random.below(4)),
            "n" => random.below(20).to_string(),
            "e" | "f" => format!("e{}", random.below(3)),
            // Times differ.
            "*" => "0-*".to_owned(),
            word => word.to_owned(),
        };
        form.split(' ').map(|part| word(part, random)).collect()
    };
    both.compare(500, command);
    assert!(both.seen > 1000, "{}", both.seen);
    support::assert_sound(&both.together.engine);
}

/// And so do random commands of every type, with all that can be wrong with them. Metadata that tell of the same life of a
/// key are written once in an entry.
#[test]
fn every_type() {
    let mut both = Both::new();
    let before = both.together.engine.position().unwrap();
    let mut words = Words::new(both.random.next(), &[&MAIN[..], &SPECIAL, &OWN].concat());
    both.compare(800, |_| words.any().1);
    assert!(both.seen > 4000, "{}", both.seen);
    support::assert_sound(&both.together.engine);

    // What makes a Bloom filter and adds to it writes twice, as in Kvrocks.
    let is_other = |kind| matches!(kind, Kind::STRING | Kind::JSON | Kind::STREAM | Kind::BLOOM);
    let mut log = both.together.engine.log(Some(&before)).unwrap();
    let (mut entries, mut written) = (0, 0);
    while let Some(entry) = log.next_entry(None).unwrap() {
        let mut last = BTreeMap::new();
        for change in both.together.engine.changes(&entry).unwrap() {
            let changes_key = change.family == 1 && !is_other(change.kind);
            let life = (change.operation, change.version, change.expire_ms);
            if changes_key && last.insert(change.key.clone(), life) == Some(life) && change.operation == Operation::Put
            {
                panic!("{:?} is written again: {change:?}", change.key.escape_ascii().to_string());
            }
            written += usize::from(changes_key);
        }
        entries += 1;
    }
    assert!(entries > 500 && written > 500, "{entries} entries, {written} keys");
    let [together, alone] = [&both.together, &both.alone].map(|served| served.engine.position().unwrap().sequence);
    assert!(together < alone, "{together} records, {alone} alone");
}

/// Many pushes to one list have one record of its metadata between their elements, where the first of them put it, and each
/// its note. One alone is what it is without others.
#[test]
fn one_record_of_metadata() {
    let served = Served::open();
    let mut client = served.client();
    let before = served.engine.position().unwrap();
    let shown = |entry: &pumice::Entry| {
        let kinds: Vec<u32> = served.engine.changes(entry).unwrap().iter().map(|change| change.family).collect();
        (entry.last - entry.first + 1, kinds)
    };
    assert_eq!(client.ask(&["RPUSH", "l", "a"]), ":1");
    let lines = ["RPUSH l b c", "RPUSH l d", "LPUSH l e", "EXPIREAT l 4000000000", "RPUSH l f", "DEL l", "RPUSH l g"];
    assert_eq!(pipelined(&mut client, &lines), [":3", ":4", ":5", ":1", ":6", ":1", ":1"]);
    let mut log = served.engine.log(Some(&before)).unwrap();
    assert_eq!(shown(&log.next_entry(None).unwrap().unwrap()), (2, vec![0, 1]));
    let entry = log.next_entry(None).unwrap().unwrap();
    // b c and metadata, d, e, metadata with the expiry, f, the deletion, g and metadata of another life.
    assert_eq!(shown(&entry), (10, vec![0, 0, 1, 0, 0, 1, 0, 1, 0, 1]));
    let notes = |note: &[u8]| entry.bytes.windows(note.len()).filter(|bytes| *bytes == note).count();
    assert_eq!((notes(b"\x03\x033 7"), notes(b"\x03\x033 6"), notes(b"\x03\x030 8")), (4, 1, 1));
    assert_eq!(client.ask(&["LRANGE", "l", "0", "-1"]), "[\"g\"]");
    support::assert_sound(&served.engine);
}
