//! The same random commands to a Redis and to the listener.

use crate::support::client::{Client, Reply, Served};
use crate::support::redis::{Redis, number, seed};
use crate::support::{Random, assert_sound, quick_dir};

/// Templates of commands. `k` is a key, `m` a member or a value, `f` a number with a fraction, `i` a small whole one, `s` a
/// bound of scores, `l` a bound of members, `n` a number of keys followed by as many; other words stand for themselves,
/// `a|b` for one of them, `_` for nothing.
const STRINGS: &str = "
SET k m _|NX|XX|GET|KEEPTTL
SET k i
GET k
GETSET k m
GETDEL k
GETEX k _|PERSIST
GETEX k EXAT 4102444800
SETNX k m
MSET k m k i
MSETNX k m k m
MGET k k k
APPEND k m
STRLEN k
GETRANGE k i i
SETRANGE k i m
INCR|DECR k
INCRBY|DECRBY k i
INCRBY k 9223372036854775807
DECRBY k -9223372036854775808
INCRBYFLOAT k f
SET k m EXAT 4102444800
PSETEX k 0 m
";
const KEYS: &str = "
DEL|UNLINK|EXISTS|TOUCH k k
TYPE k
RENAME|RENAMENX k k
COPY k k _|REPLACE
EXPIREAT k 4102444800 _|NX|XX|GT|LT
EXPIREAT k 4102444900 _|NX|XX|GT|LT
EXPIREAT k 4102444900 NX GT
EXPIRE k -1 _|XX
PERSIST k
EXPIRETIME|PEXPIRETIME k
DBSIZE
";
const HASHES: &str = "
HSET k m m
HSET k m i m m m m
HSET k m i m
HMSET k m m m m
HSETNX k m m
HGET|HEXISTS|HSTRLEN k m
HMGET k m m m
HDEL k m
HDEL k m m m
HLEN|HKEYS|HVALS|HGETALL k
HINCRBY k m i
HINCRBY k m 9223372036854775807
HINCRBY k m m
HINCRBYFLOAT k m f
HINCRBYFLOAT k m m
HRANDFIELD k 100 _|WITHVALUES
HRANDFIELD k 0
HSCAN k 0 COUNT 1000
HSCAN k 0 COUNT 1000 MATCH a*
";
const SETS: &str = "
SADD k m
SADD k m m m
SREM k m
SREM k m m m
SCARD|SMEMBERS k
SISMEMBER k m
SMISMEMBER k m m
SMOVE k k m
SPOP k 100
SRANDMEMBER k 100
SRANDMEMBER k 0
SPOP k -1
SINTER|SUNION|SDIFF k k
SINTER|SUNION|SDIFF k k k
SINTERSTORE|SUNIONSTORE|SDIFFSTORE k k k
SINTERCARD n _|LIMIT
SINTERCARD n LIMIT i
SSCAN k 0 COUNT 1000
";
const LISTS: &str = "
LPUSH|RPUSH|LPUSHX|RPUSHX k m
LPUSH|RPUSH k m m m
LPUSH|RPUSH k m a b a m
LPOP|RPOP k
LPOP|RPOP k i
LLEN k
LINDEX k i
LSET k i m
LRANGE k i i
LRANGE k 0 -1
LTRIM k i i
LINSERT k BEFORE|AFTER m m
LREM k i m
LPOS k m
LPOS k m _|RANK i
LPOS k m RANK i COUNT i
LPOS k m COUNT i MAXLEN i
LMOVE k k LEFT|RIGHT LEFT|RIGHT
RPOPLPUSH k k
LMPOP n LEFT|RIGHT _|COUNT
LMPOP n LEFT|RIGHT COUNT i
SORT k ALPHA _|DESC
SORT k _|DESC|ASC LIMIT i i
SORT k ALPHA LIMIT i i DESC|ASC
SORT k ALPHA STORE k
SORT k BY weight:* GET # GET hash*->a GET missing
SORT_RO k STORE k
";
const ZSETS: &str = "
ZADD k f m
ZADD k f m f m f m
ZADD k NX|XX|GT|LT|CH|INCR f m
ZADD k XX|NX GT|LT|CH|INCR f m
ZADD k XX GT|LT CH|INCR f m
ZADD k inf|-inf|nan|(1 m
ZADD k INCR inf|-inf m
ZINCRBY k f m
ZSCORE k m
ZMSCORE k m m m
ZCARD k
ZCOUNT k s s
ZRANGE|ZREVRANGE k i i _|WITHSCORES
ZRANGE k i i REV _|WITHSCORES
ZRANGE k s s BYSCORE _|REV _|WITHSCORES
ZRANGE k s s BYSCORE LIMIT i i _|REV
ZRANGE k i i LIMIT i i
ZRANGEBYSCORE|ZREVRANGEBYSCORE k s s _|WITHSCORES
ZRANGEBYSCORE|ZREVRANGEBYSCORE k s s LIMIT i i
ZRANK|ZREVRANK k m
ZREM k m
ZREM k m m m
ZREMRANGEBYRANK k i i
ZREMRANGEBYSCORE k s s
ZPOPMIN|ZPOPMAX k
ZPOPMIN|ZPOPMAX k i
ZMPOP n MIN|MAX _|COUNT
ZMPOP n MIN|MAX COUNT i
ZUNION|ZINTER 2 k k _|WITHSCORES
ZUNION|ZINTER 2 k k AGGREGATE SUM|MIN|MAX WITHSCORES
ZUNION|ZINTER n AGGREGATE MIN|MAX WITHSCORES
ZDIFF n _|WITHSCORES
ZUNIONSTORE|ZINTERSTORE k 2 k k
ZDIFFSTORE k n
ZUNIONSTORE|ZINTERSTORE k 2 k k WEIGHTS 2 -1.5 AGGREGATE SUM|MIN|MAX
ZINTERCARD n
ZRANGESTORE k k i i
ZRANGESTORE k k s s BYSCORE
ZRANDMEMBER k 100 _|WITHSCORES
ZSCAN k 0 COUNT 1000
";

/// Sums are of two at most above: infinities of both signs make 0, and of three it matters which come first.
///
/// On members with one score: what ranges of members are otherwise, nobody says.
const MEMBERS: &str = "
ZADD k 0 m
ZADD k 0 m 0 m 0 m
ZREM k m
ZLEXCOUNT k l l
ZRANGE k l l BYLEX _|REV _|WITHSCORES
ZRANGE k l l BYLEX LIMIT i i _|REV
ZRANGEBYLEX|ZREVRANGEBYLEX k l l
ZRANGEBYLEX|ZREVRANGEBYLEX k l l LIMIT i i
ZREMRANGEBYLEX k l l
ZRANGESTORE k k l l BYLEX
";

pub struct Words {
    random: Random,
    /// What keys begin with: those of one type, seldom of another.
    kind: &'static str,
}

impl Words {
    pub fn new(seed: u64) -> Words {
        Words { random: Random(seed), kind: "" }
    }

    /// The words of any command.
    pub fn any(&mut self) -> Vec<String> {
        let groups =
            [("str", STRINGS), ("hash", HASHES), ("set", SETS), ("list", LISTS), ("zset", ZSETS), ("member", MEMBERS)];
        let (kind, templates) = groups[self.random.below(groups.len())];
        let templates = if kind != "member" && self.random.below(8) == 0 { KEYS } else { templates };
        let templates: Vec<&str> = templates.lines().filter(|line| !line.is_empty()).collect();
        self.kind = kind;
        let template = self.pick(&templates);
        self.command(template)
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.random.below(words.len())]
    }

    fn key(&mut self) -> String {
        const KINDS: [&str; 5] = ["str", "hash", "set", "list", "zset"];
        let kind = if self.kind != "member" && self.random.below(12) == 0 { self.pick(&KINDS) } else { self.kind };
        format!("{kind}{}", self.random.below(4))
    }

    fn command(&mut self, template: &str) -> Vec<String> {
        let mut words = Vec::new();
        for word in template.split(' ') {
            match word {
                "k" => words.push(self.key()),
                "m" => {
                    words.push(self.pick(&["a", "b", "c", "d", "e", "aa", "ab", "", "7", "-3", "long member"]).into())
                }
                "f" => words.push(self.pick(&["0", "1", "-1", "2.5", "1.5", "1e3", "-0.25", "10"]).into()),
                "i" => words.push(self.pick(&["0", "1", "2", "3", "-1", "-2", "-3", "5", "-100", "100"]).into()),
                "s" => words.push(self.pick(&["0", "(1", "1", "-inf", "+inf", "(2.5", "inf", "-1", "(0", "x"]).into()),
                "l" => words.push(self.pick(&["-", "+", "[a", "(a", "[b", "(b", "[aa", "[", "(d", "a"]).into()),
                "n" => {
                    let keys = 1 + self.random.below(3);
                    words.push(keys.to_string());
                    words.extend((0..keys).map(|_| self.key()));
                }
                word => match self.pick(&word.split('|').collect::<Vec<_>>()) {
                    "_" => {}
                    word => words.push(word.to_owned()),
                },
            }
        }
        words
    }
}

/// Whether the order of a reply says nothing, and whether it is of pairs.
fn unordered(words: &[String]) -> Option<bool> {
    match words[0].as_str() {
        "SMEMBERS" | "SINTER" | "SUNION" | "SDIFF" | "SPOP" | "SRANDMEMBER" | "SSCAN" | "HKEYS" | "HVALS" => {
            Some(false)
        }
        "HGETALL" | "HSCAN" | "ZSCAN" => Some(true),
        "HRANDFIELD" | "ZRANDMEMBER" => Some(words.len() > 3),
        _ => None,
    }
}

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
    let (mut our, mut their) = (ours.ask(words), theirs.ask(words));
    if let Some(paired) = unordered(words) {
        (our, their) = (our.sorted(paired), their.sorted(paired));
    }
    // Kvrocks leaves out of which command.
    if let Reply::Error(text) = &mut their
        && text.starts_with("ERR wrong number of arguments")
    {
        text.truncate("ERR wrong number of arguments".len());
    }
    // A Redis adds in more digits than a double has, and a Kvrocks in those of a double.
    if let (Reply::Bulk(one), Reply::Bulk(other)) = (&our, &their)
        && words[0].ends_with("INCRBYFLOAT")
        && our != their
    {
        let number = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().parse::<f64>().unwrap();
        assert!((number(one) / number(other) - 1.0).abs() < 1e-15, "{words:?}: {our:?} {their:?}");
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
    let seed = seed();
    let dir = quick_dir();
    let Some(redis) = Redis::start(dir.path()) else { return };
    let served = Served::open(&dir.path().join("data"));
    let (mut ours, mut theirs) = (served.client(), Client::connect(&redis.socket));
    let mut words = Words::new(seed);
    let (mut errors, mut different) = (0, Vec::new());
    for round in 0..number("PUMICE_COMMANDS").unwrap_or(20_000) {
        let mut commands = vec![words.any()];
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
