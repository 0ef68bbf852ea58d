//! The same random commands to a Redis and to the listener.

use crate::support::client::{Client, Reply, Served};
use crate::support::commands::{MAIN, Words};
use crate::support::redis::{Redis, comparable, nearly_same, number, seed};
use crate::support::{assert_sound, quick_dir};

/// How all that there is can be read.
pub fn reads(client: &mut Client) -> Vec<Vec<String>> {
    let mut reads = Vec::new();
    for kind in ["str", "hash", "set", "list", "zset", "member"] {
        for key in (0..4).map(|number| format!("{kind}{number}")) {
            let Reply::Simple(found) = client.say(&format!("TYPE {key}")) else { panic!("TYPE {key}") };
            let read = match found.as_str() {
                "string" => format!("GET {key}"),
                "hash" => format!("HGETALL {key}"),
                "set" => format!("SMEMBERS {key}"),
                "list" => format!("LRANGE {key} 0 -1"),
                "zset" => format!("ZRANGE {key} 0 -1 WITHSCORES"),
                _ => format!("TYPE {key}"),
            };
            reads.push(read.split(' ').map(str::to_owned).collect());
        }
    }
    reads
}

/// Asks both; says what they answer where that is not the same.
fn compare(ours: &mut Client, theirs: &mut Client, words: &[String]) -> Option<String> {
    let (our, their) = comparable(words, ours.ask(words), theirs.ask(words));
    if our != their && nearly_same(words, &our, &their) {
        let key = &words[1];
        ours.ask(&["DEL", key]);
        theirs.ask(&["DEL", key]);
        return None;
    }
    (our != their).then(|| format!("{words:?}: got {our:?}, a Redis answers {their:?}"))
}

/// Random commands on strings, hashes, lists, sets and sorted sets, wrong ones and those for another type among them, are
/// answered word for word as by a Redis, and leave what they leave there. `PUMICE_SEED` repeats a run,
/// `PUMICE_COMMANDS` makes it longer.
#[test]
fn answers_of_a_redis() {
    compare_in("2");
}

/// The same to clients that have asked for RESP3, kinds of replies included.
#[test]
fn answers_of_a_redis_in_resp3() {
    compare_in("3");
}

fn compare_in(protocol: &str) {
    let seed = seed();
    let dir = quick_dir();
    let Some(redis) = Redis::start(dir.path()) else { return };
    let served = Served::open(&dir.path().join("data"));
    let (mut ours, mut theirs) = (served.client(), redis.client());
    ours.ask(&["HELLO", protocol]);
    theirs.ask(&["HELLO", protocol]);
    let mut words = Words::new(seed, &MAIN);
    let (mut errors, mut different) = (0, Vec::new());
    for round in 0..number("PUMICE_COMMANDS").unwrap_or(20_000) {
        let mut commands = vec![words.any().1];
        if round % 100 == 0 {
            commands.extend(reads(&mut ours));
        }
        for command in commands {
            if let Some(difference) = compare(&mut ours, &mut theirs, &command) {
                // Both begin anew, so that one fault is not told of many times.
                different.push(difference);
                ours.say("FLUSHDB");
                theirs.say("FLUSHDB");
            }
        }
        errors += u64::from(matches!(ours.ask(&["LLEN", "str0"]), Reply::Error(_)));
    }
    different.truncate(20);
    assert!(different.is_empty(), "seed {seed}:\n{}", different.join("\n"));
    assert!(errors > 100, "{errors}");
    assert_sound(&served.engine);
}
