//! The same random commands to a Redis and to the listener.

use crate::support::client::{Reply, Served};
use crate::support::commands::{Group, SPECIAL, Words};
use crate::support::redis::{Redis, number, plain, seed};
use crate::support::{assert_sound, quick_dir};

/// In each protocol.
fn run(group: Group, rounds: usize) {
    for protocol in ["2", "3"] {
        run_in(protocol, group, rounds);
    }
}

fn run_in(protocol: &str, group: Group, rounds: usize) {
    let seed = seed();
    let dir = quick_dir();
    let Some(redis) = Redis::start(dir.path()) else { return };
    let served = Served::open(&dir.path().join("data"));
    let (mut ours, mut theirs) = (served.client(), redis.client());
    ours.ask(&["HELLO", protocol]);
    theirs.ask(&["HELLO", protocol]);
    let kind = group.0;
    let mut words = Words::new(seed, &[group]);
    let (mut answers, mut errors) = (0, 0);
    let mut before = Vec::new();
    let rounds = number("PUMICE_COMMANDS").map_or(rounds, |rounds| rounds as usize);
    for _ in 0..rounds {
        let (_, command) = words.any();
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
    run(SPECIAL[0], 6000);
}

/// Estimates are the same numbers that a Redis gives.
#[test]
fn estimates() {
    run(SPECIAL[1], 3000);
}

/// Places are found where a Redis finds them, and in its order.
#[test]
fn places() {
    run(SPECIAL[2], 4000);
}

/// Streams and their groups give, claim and forget what those of a Redis do.
#[test]
fn streams() {
    run(SPECIAL[3], 12_000);
}

/// What a Redis dumps of the five basic types is restored here, in whatever form it packs them.
#[test]
fn dumps() {
    let dir = quick_dir();
    let Some(redis) = Redis::start(dir.path()) else { return };
    let served = Served::open(&dir.path().join("data"));
    let (mut ours, mut theirs) = (served.client(), redis.client());
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
