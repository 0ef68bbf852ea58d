//! The same random commands to a Redis and to the listener.

use crate::support::client::{Client, Reply, Served};
use crate::support::redis::{Redis, number, seed};
use crate::support::{Random, assert_sound, quick_dir};

/// Templates of commands. `k` is a key, `o` the offset of a bit, `i` a whole number, `v` one that no
/// Redis stumbles over, `t` a type of a field, `m` a member, `x` and
/// `y` a longitude and a latitude, `r` a radius, `d` an id of an entry, `g` a group, `c` a consumer; other words stand for
/// themselves, `a|b` for one of them, `_` for nothing.
const BITS: &str = "
SETBIT k o 0|1
SETBIT k o 1
GETBIT k o
BITCOUNT k
BITCOUNT k i i _|BYTE|BIT
BITPOS k 0|1
BITPOS k 0|1 i
BITPOS k 0|1 i i _|BYTE|BIT
BITOP AND|OR|XOR k k k
BITOP AND|OR|XOR k k k k
BITOP NOT k k
BITFIELD k SET t o v GET t o
BITFIELD k INCRBY t o v OVERFLOW SAT|WRAP|FAIL INCRBY t o v SET t o v
BITFIELD k OVERFLOW FAIL|SAT SET t o v OVERFLOW WRAP GET t #3
BITFIELD_RO k GET t o GET t #1
BITFIELD k GET u64 0
SETBIT k 4294967296 1
SETBIT k 1 2
DEL k
GET k
SET k m
EXISTS k
";
const LOGS: &str = "
PFADD k m m m
PFADD k
PFADD k m
PFCOUNT k
PFCOUNT k k
PFMERGE k k
PFMERGE k k k
DEL k
EXISTS k
";
const PLACES: &str = "
GEOADD k x y m
GEOADD k x y m x y m x y m
GEOADD k _|CH NX|XX|CH x y m
GEOHASH k m m
ZSCORE k m
ZREM k m
ZCARD k
GEOSEARCH k FROMLONLAT x y BYRADIUS r m|km|ft|mi ASC|DESC
GEOSEARCH k FROMLONLAT x y BYBOX r r m|km|ft|mi ASC|DESC
GEOSEARCH k FROMLONLAT x y BYRADIUS r km ASC|DESC COUNT 3
GEOSEARCHSTORE k k FROMLONLAT x y BYBOX r r km
GEORADIUS k x y r km ASC
GEORADIUS_RO k x y r km DESC COUNT 2
GEORADIUS k x y r km STORE k
GEOADD k 181 0 m
DEL k
";
const STREAMS: &str = "
XADD k d m m
XADD k d m m m m
XADD k d m m
XADD k d-* m m
XADD k NOMKSTREAM d m m
XADD k MAXLEN _|= i d m m
XADD k MINID d d m m
XLEN k
XRANGE k d d
XRANGE k - + COUNT 5
XRANGE k (d (d
XRANGE k d +
XREVRANGE k + - COUNT 3
XREVRANGE k d d
XDEL k d
XDEL k d d d
XTRIM k MAXLEN|MINID i
XTRIM k MINID d
XREAD COUNT 3 STREAMS k k d d
XREAD STREAMS k d
XREAD STREAMS k $
XGROUP CREATE k g d|$|0 _|MKSTREAM
XGROUP CREATE k g 0
XGROUP CREATE k g $ ENTRIESREAD i
XGROUP SETID k g d
XGROUP DESTROY k g
XGROUP CREATECONSUMER k g c
XGROUP DELCONSUMER k g c
XREADGROUP GROUP g c COUNT 2 STREAMS k >
XREADGROUP GROUP g c COUNT 3 STREAMS k >
XREADGROUP GROUP g c NOACK STREAMS k >
XREADGROUP GROUP g c STREAMS k 0
XREADGROUP GROUP g c COUNT 2 STREAMS k d
XACK k g d
XACK k g d d d
XPENDING k g
XPENDING k g IDLE 100000 - + 10
XCLAIM k g c 0 d d JUSTID
XCLAIM k g c 0 d d _|FORCE
XCLAIM k g c 0 d FORCE JUSTID RETRYCOUNT 7
XCLAIM k g c 1000000 d
XAUTOCLAIM k g c 0 d COUNT 2 _|JUSTID
XAUTOCLAIM k g c 0 0 _|JUSTID
XINFO GROUPS k
DEL k
EXISTS k
TYPE k
";

struct Words {
    random: Random,
    kind: &'static str,
}

impl Words {
    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.random.below(of.len())]
    }

    fn number(&mut self, from: i64, to: i64) -> i64 {
        from + self.random.below((to - from) as usize) as i64
    }

    fn command(&mut self, template: &str) -> Vec<String> {
        let mut words = Vec::new();
        for word in template.split(' ') {
            let (before, word) = match word.strip_prefix('(') {
                Some(word) => ("(", word),
                None => ("", word),
            };
            let new = match word {
                "k" => format!("{}{}", self.kind, self.random.below(4)),
                "o" => match self.random.below(4) {
                    0 => self.number(0, 64).to_string(),
                    1 => self.number(8150, 8250).to_string(),
                    _ => self.number(0, 40_000).to_string(),
                },
                "i" => match self.random.below(8) {
                    0 => self.pick(&["9223372036854775807", "-9223372036854775808", "8192"]).into(),
                    _ => self.number(-20, 20).to_string(),
                },
                "t" => {
                    let width = self.number(1, 66);
                    format!("{}{width}", self.pick(&["i", "u"]))
                }
                "v" => self.number(-5000, 5000).to_string(),
                "m" => format!("m{}", self.random.below(30)),
                "x" => format!("{:.4}", self.number(-1_800_000, 1_800_000) as f64 / 1e4),
                "y" => format!("{:.4}", self.number(-850_000, 850_000) as f64 / 1e4),
                "r" => self.pick(&["0", "1", "100", "1000.5", "3000", "6000", "20000"]).into(),
                "d" => format!("{}-{}", self.number(0, 6), self.number(0, 6)),
                "d-*" => format!("{}-*", self.number(0, 6)),
                "g" => format!("g{}", self.random.below(2)),
                "c" => format!("c{}", self.random.below(3)),
                word => match self.pick(&word.split('|').collect::<Vec<_>>()) {
                    "_" => continue,
                    "d" => format!("{}-{}", self.number(0, 6), self.number(0, 6)),
                    word => word.to_owned(),
                },
            };
            words.push(format!("{before}{new}"));
        }
        words
    }
}

/// A reply without what Kvrocks says otherwise than Redis.
fn plain(command: &[String], reply: Reply) -> Reply {
    match reply {
        // A consumer comes to be when it asks, here as in Kvrocks and in later versions of Redis.
        Reply::Integer(_) if command[1] == "CREATECONSUMER" => Reply::Nil,
        Reply::Array(groups) if command[0] == "XINFO" => {
            let without = |group| match group {
                Reply::Array(mut parts) => {
                    parts[3] = Reply::Nil;
                    // How many entries a group has read and has left is an estimate, another one in each version of Redis.
                    parts[9] = Reply::Nil;
                    parts[11] = Reply::Nil;
                    Reply::Array(parts)
                }
                other => other,
            };
            Reply::Array(groups.into_iter().map(without).collect())
        }
        // Of errors, that they are.
        Reply::Error(text) => Reply::Error(text.split(' ').next().unwrap_or_default().to_owned()),
        // Nothing asked for is nothing found.
        Reply::Array(items) if items.is_empty() => Reply::Nil,
        other => other,
    }
}

fn run(kind: &'static str, templates: &str, rounds: usize) {
    let seed = seed();
    let dir = quick_dir();
    let Some(redis) = Redis::start(dir.path()) else { return };
    let served = Served::open(&dir.path().join("data"));
    let (mut ours, mut theirs) = (served.client(), Client::connect(&redis.socket));
    let templates: Vec<&str> = templates.lines().filter(|line| !line.is_empty()).collect();
    let mut words = Words { random: Random(seed), kind };
    let (mut answers, mut errors) = (0, 0);
    let mut before = Vec::new();
    let rounds = number("PUMICE_COMMANDS").map_or(rounds, |rounds| rounds as usize);
    for _ in 0..rounds {
        let template = words.pick(&templates);
        let command = words.command(template);
        before.push(command.join(" "));
        let (our, their) = (plain(&command, ours.ask(&command)), plain(&command, theirs.ask(&command)));
        // What was done to the same keys.
        let same = |line: &&String| command.iter().any(|word| word.starts_with(kind) && line.contains(word.as_str()));
        let trail = || {
            let all: Vec<&str> = before.iter().filter(same).map(String::as_str).collect();
            all[all.len().saturating_sub(40)..].join("\n")
        };
        assert_eq!(our, their, "{command:?}, seed {seed}, after\n{}", trail());
        match our {
            Reply::Error(_) => errors += 1,
            Reply::Nil => {}
            _ => answers += 1,
        }
    }
    println!("{kind}: {answers} answers, {errors} errors");
    assert!(answers > rounds / 3 && errors < rounds / 2, "{answers} {errors}");
    assert_sound(&served.engine);
}

/// Bits of bitmaps and strings are set, found, counted and combined as by a Redis.
#[test]
fn bits() {
    run("b", BITS, 6000);
}

/// Estimates are the same numbers that a Redis gives.
#[test]
fn estimates() {
    run("h", LOGS, 3000);
}

/// Places are found where a Redis finds them, and in its order.
#[test]
fn places() {
    run("p", PLACES, 4000);
}

/// Streams and their groups give, claim and forget what those of a Redis do.
#[test]
fn streams() {
    run("s", STREAMS, 12_000);
}

/// What a Redis dumps of the five basic types is restored here, in whatever form it packs them.
#[test]
fn dumps() {
    let dir = quick_dir();
    let Some(redis) = Redis::start(dir.path()) else { return };
    let served = Served::open(&dir.path().join("data"));
    let (mut ours, mut theirs) = (served.client(), Client::connect(&redis.socket));
    let (long, wide) = ("x".repeat(3000), (0..600).map(|n| n.to_string()).collect::<Vec<_>>());
    let texts = ["", "a", "-1", "127", "128", "-129", "4095", "-4097", "70000", "-9000000", "5000000000", "1.5", &long];
    let scored: Vec<String> =
        texts.iter().enumerate().flat_map(|(n, text)| [format!("{n}.5"), text.to_string()]).collect();
    let many_scored: Vec<String> = wide.iter().flat_map(|n| [format!("-{n}"), format!("m{n}")]).collect();
    let pairs: Vec<String> = texts.iter().flat_map(|text| [format!("f{text}"), text.to_string()]).collect();
    let many_pairs: Vec<String> = wide.iter().flat_map(|n| [n.clone(), format!("value {n}")]).collect();
    let owned = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect::<Vec<_>>();
    let mut compared = 0;
    for (write, values, read) in [
        ("SET", owned(&["some text"]), "GET k"),
        ("SET", owned(&["-12345"]), "GET k"),
        ("SET", vec![long.repeat(10)], "GET k"),
        ("RPUSH", owned(&texts[..6]), "LRANGE k 0 -1"),
        ("RPUSH", owned(&texts), "LRANGE k 0 -1"),
        ("RPUSH", vec![long.repeat(5); 30], "LRANGE k 0 -1"),
        ("SADD", owned(&["1", "2", "-70000"]), "SMEMBERS k"),
        ("SADD", owned(&["1", "5000000000"]), "SMEMBERS k"),
        ("SADD", owned(&texts), "SMEMBERS k"),
        ("SADD", wide.clone(), "SMEMBERS k"),
        ("HSET", pairs[..12].to_vec(), "HGETALL k"),
        ("HSET", pairs, "HGETALL k"),
        ("HSET", many_pairs, "HGETALL k"),
        ("ZADD", scored[..12].to_vec(), "ZRANGE k 0 -1 WITHSCORES"),
        ("ZADD", scored, "ZRANGE k 0 -1 WITHSCORES"),
        ("ZADD", many_scored, "ZRANGE k 0 -1 WITHSCORES"),
    ] {
        theirs.say("DEL k");
        theirs.ask(&[vec![write.to_owned(), "k".into()], values].concat());
        let Reply::Bulk(dump) = theirs.say("DUMP k") else { panic!("{write}") };
        let restored = ours.ask(&[b"RESTORE", &b"k"[..], b"0", &dump, b"REPLACE"]);
        assert_eq!(restored, Reply::Simple("OK".into()), "{write} {}", dump.escape_ascii());
        let paired = read.starts_with("HG");
        let sort =
            |reply: Reply| if read.starts_with('L') || read.starts_with('Z') { reply } else { reply.sorted(paired) };
        assert_eq!(sort(ours.say(read)), sort(theirs.say(read)), "{write}");
        // And what is dumped here a Redis takes.
        let Reply::Bulk(dump) = ours.say("DUMP k") else { panic!("{write}") };
        let restored = theirs.ask(&[b"RESTORE", &b"k"[..], b"0", &dump, b"REPLACE"]);
        assert_eq!(restored, Reply::Simple("OK".into()), "{write} {}", dump.escape_ascii());
        assert_eq!(sort(ours.say(read)), sort(theirs.say(read)), "{write}");
        compared += 1;
    }
    assert_eq!(compared, 16);
    let busy = Reply::Error("ERR target key name already exists.".into());
    let Reply::Bulk(dump) = ours.say("DUMP k") else { panic!() };
    assert_eq!(ours.ask(&[b"RESTORE", &b"k"[..], b"0", &dump]), busy);
    assert_eq!(ours.ask(&[b"RESTORE", &b"t"[..], b"100000", &dump]), Reply::Simple("OK".into()));
    assert!(matches!(ours.say("PTTL t"), Reply::Integer(1..=100_000)));
    assert_eq!(ours.ask(&[b"RESTORE", &b"t"[..], b"1", &dump, b"REPLACE", b"ABSTTL"]), Reply::Simple("OK".into()));
    assert_eq!(ours.say("EXISTS t"), Reply::Integer(0));
}
