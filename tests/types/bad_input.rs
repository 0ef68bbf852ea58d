//! Wrong types, numbers that are none, and records that say what is not so: a clear error, and the rest goes on.

use pumice::{Engine, Options};

use crate::support::client::{Reply, Served};
use crate::support::raw_write;

fn new(dir: &tempfile::TempDir) -> Served {
    Served::new(Engine::open(dir.path(), &Options::default()).unwrap(), None)
}

/// Every command that is for one type refuses a key of each of the others, and changes nothing.
#[test]
fn wrong_types() {
    let dir = tempfile::tempdir().unwrap();
    let served = new(&dir);
    let mut client = served.client();
    for line in ["SET string v", "HSET hash f v", "RPUSH list e", "SADD set m", "ZADD zset 1 m"] {
        client.say(line);
    }
    let commands = [
        (
            "string",
            "GET *|GETSET * v|GETDEL *|GETEX *|APPEND * v|STRLEN *|GETRANGE * 0 1|SETRANGE * 1 v|INCR *|INCRBYFLOAT * 1",
        ),
        (
            "hash",
            "HSET * f v|HGET * f|HMGET * f|HDEL * f|HLEN *|HGETALL *|HINCRBY * f 1|HSCAN * 0|HRANDFIELD *|HSETNX * f v",
        ),
        (
            "list",
            "LPUSH * e|RPUSHX * e|LPOP *|LLEN *|LINDEX * 0|LSET * 0 e|LRANGE * 0 1|LTRIM * 0 1|LINSERT * BEFORE e e",
        ),
        ("list", "LREM * 0 e|LPOS * e|LMOVE * list LEFT LEFT|LMOVE list * LEFT LEFT|LMPOP 1 * LEFT|RPOPLPUSH list *"),
        ("set", "SADD * m|SREM * m|SCARD *|SMEMBERS *|SISMEMBER * m|SPOP *|SRANDMEMBER *|SMOVE * set m|SMOVE set * m"),
        ("set", "SINTER set *|SUNION * set|SDIFFSTORE to set *|SINTERCARD 2 set *|SSCAN * 0"),
        ("zset", "ZADD * 1 m|ZINCRBY * 1 m|ZSCORE * m|ZCARD *|ZCOUNT * 0 1|ZRANGE * 0 1|ZRANK * m|ZREM * m|ZPOPMIN *"),
        ("zset", "ZREMRANGEBYRANK * 0 1|ZRANDMEMBER *|ZSCAN * 0|ZRANGESTORE to * 0 1|ZLEXCOUNT * - +|ZMSCORE * m"),
    ];
    let wrong = Reply::Error("WRONGTYPE Operation against a key holding the wrong kind of value".into());
    let position = served.engine.position().unwrap();
    let mut refused = 0;
    for (own, lines) in commands {
        for line in lines.split('|') {
            for other in ["string", "hash", "list", "set", "zset"].iter().filter(|kind| **kind != own) {
                assert_eq!(client.say(&line.replace('*', other)), wrong, "{line} of a {other}");
                refused += 1;
            }
        }
    }
    for line in ["ZUNION 2 zset hash", "ZDIFFSTORE to 2 zset string", "ZINTERCARD 1 list"] {
        assert_eq!(client.say(line), wrong, "{line}");
    }
    assert!(refused > 200, "{refused}");
    assert_eq!(served.engine.position().unwrap(), position, "what was refused wrote something");
}

/// Numbers that are too large, too small or none are refused, and what they were for stays as it was.
#[test]
fn bad_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let served = new(&dir);
    let mut client = served.client();
    for line in ["SET n 9223372036854775807", "HSET h n 9223372036854775807 x text", "ZADD z inf m", "RPUSH l a b"] {
        client.say(line);
    }
    for (line, error) in [
        ("INCR n", "ERR increment or decrement would overflow"),
        ("INCRBY n 1.5", "ERR value is not an integer or out of range"),
        ("INCRBYFLOAT n nan", "ERR value is not a valid float"),
        ("INCRBYFLOAT n inf", "ERR increment would produce NaN or Infinity"),
        ("SETRANGE n 536870912 x", "ERR string exceeds maximum allowed size (proto-max-bulk-len)"),
        ("SETRANGE n 18446744073709551615 x", "ERR value is not an integer or out of range"),
        ("SETRANGE n -1 x", "ERR offset is out of range"),
        ("HINCRBY h n 1", "ERR increment or decrement would overflow"),
        ("HINCRBY h x 1", "ERR hash value is not an integer"),
        ("HINCRBYFLOAT h x 1", "ERR hash value is not a float"),
        ("HRANDFIELD h -9223372036854775808", "ERR value is out of range"),
        ("ZADD z nan m", "ERR value is not a valid float"),
        ("ZINCRBY z -inf m", "ERR resulting score is not a number (NaN)"),
        ("ZADD z 1e400 m", "ERR value is not a valid float"),
        ("LSET l 2 x", "ERR index out of range"),
        ("LSET l -3 x", "ERR index out of range"),
        ("LSET none 0 x", "ERR no such key"),
        ("LPOP l -1", "ERR value is out of range, must be positive"),
        ("LPOS l a RANK -9223372036854775808", "ERR value is out of range"),
        ("SRANDMEMBER none -9223372036854775808", "ERR value is out of range"),
        ("EXPIREAT n 9223372036854775807", "ERR invalid expire time in 'expireat' command"),
        ("SETEX n 0 x", "ERR invalid expire time in 'setex' command"),
        ("HSCAN h 1", "ERR invalid cursor: it is unknown or was forgotten; begin again with 0"),
        ("LMPOP 99999999999999999999 l LEFT", "ERR numkeys should be greater than 0"),
        ("SINTERCARD 5 a b", "ERR Number of keys can't be greater than number of args"),
    ] {
        assert_eq!(client.say(line), Reply::Error(error.into()), "{line}");
    }
    // Far outside is no error where Redis takes it for the end.
    for line in ["LRANGE l -9223372036854775808 9223372036854775807", "LRANGE l 0 -1"] {
        assert_eq!(
            client.say(line),
            Reply::Array(vec![Reply::Bulk(b"a".to_vec()), Reply::Bulk(b"b".to_vec())]),
            "{line}"
        );
    }
    assert_eq!(client.say("LINDEX l -9223372036854775808"), Reply::Nil);
    assert_eq!(client.say("ZRANGE z 9223372036854775807 -9223372036854775808"), Reply::Array(vec![]));
    assert_eq!(client.say("LREM l -9223372036854775808 x"), Reply::Integer(0));
    assert_eq!(client.say("SRANDMEMBER none -9223372036854775807"), Reply::Array(vec![]));
    assert_eq!(client.say("GET n"), Reply::Bulk(b"9223372036854775807".to_vec()));
    assert_eq!(client.say("HGET h x"), Reply::Bulk(b"text".to_vec()));
    assert_eq!(client.say("ZSCORE z m"), Reply::Bulk(b"inf".to_vec()));
}

/// Records that no Kvrocks writes: sizes that lie, ends that crossed, scores and elements that are missing or cut. Every
/// command on them answers something, an error where it cannot go on, and the engine serves the next.
#[test]
fn damaged_records() {
    let dir = tempfile::tempdir().unwrap();
    drop(Engine::open(dir.path(), &Options::default()).unwrap());
    let key = |name: &str| [b"\x0b__namespace", name.as_bytes()].concat();
    let metadata =
        |kind: u8, size: u64, rest: &[u8]| [&[0x80 | kind], &[0; 8][..], &[9; 8], &size.to_be_bytes(), rest].concat();
    let subkey = |name: &str, sub: &[u8]| {
        [b"\x0b__namespace", &(name.len() as u32).to_be_bytes()[..], name.as_bytes(), &[9; 8], sub].concat()
    };
    let ends = |head: u64, tail: u64| [head.to_be_bytes(), tail.to_be_bytes()].concat();
    let many = u64::MAX;
    let bad: &[(&str, u8, u64, Vec<u8>)] = &[
        ("hash", 2, many, vec![]),
        ("set", 4, many, vec![]),
        ("zset", 5, many, vec![]),
        ("few", 2, 1, vec![]),
        ("crossed", 3, 5, ends(100, 95)),
        ("lies", 3, 1, ends(100, 105)),
        ("short", 3, 5, vec![1, 2, 3]),
        ("gap", 3, 5, ends(100, 105)),
        ("huge", 3, many, ends(0, many)),
        ("edge", 3, 1, ends(many - 1, many)),
    ];
    for (name, kind, size, rest) in bad {
        raw_write(dir.path(), "metadata", &key(name), Some(&metadata(*kind, *size, rest)));
    }
    for (name, sub, value) in [
        ("hash", &b"f"[..], &b"v"[..]),
        ("set", b"m", b""),
        ("zset", b"m", b"short"),
        ("few", b"1", b""),
        ("few", b"2", b""),
        ("gap", &100u64.to_be_bytes(), b"e"),
        ("gap", &104u64.to_be_bytes(), b"e"),
        ("huge", &7u64.to_be_bytes(), b"e"),
        ("edge", &(many - 1).to_be_bytes(), b"e"),
    ] {
        raw_write(dir.path(), "default", &subkey(name, sub), Some(value));
    }
    for sub in [&b"cut"[..], b"\xff\xf8\0\0\0\0\0\0nan", b"\xbf\xf8\0\0\0\0\0\0orphan"] {
        raw_write(dir.path(), "zset_score", &subkey("zset", sub), Some(b""));
    }
    raw_write(dir.path(), "metadata", &key("cut"), Some(b"\x82\0\0"));

    let served = new(&dir);
    let mut client = served.client();
    let refused = |reply: &Reply, word: &str| matches!(reply, Reply::Error(text) if text.contains(word));
    for name in ["crossed", "lies", "short"] {
        for line in ["LLEN *", "LRANGE * 0 -1", "LPUSH * x", "RPOP *", "LTRIM * 1 1", "LREM * 0 e", "LINDEX * 0"] {
            let reply = client.say(&line.replace('*', name));
            assert!(refused(&reply, "do not fit"), "{line} of {name}: {reply:?}");
        }
    }
    for line in ["LPOP gap 5", "LINDEX gap 1", "LREM gap 0 e", "LPOP huge 1", "LINDEX huge 0"] {
        let reply = client.say(line);
        assert!(refused(&reply, "missing"), "{line}: {reply:?}");
    }
    assert!(refused(&client.say("RPUSH huge x"), "no index left"));
    assert!(refused(&client.say("RPUSH edge x y"), "no index left"));
    assert!(refused(&client.say("LPUSH huge x"), "no index left"));
    assert!(refused(&client.say("HSET hash g w"), "metadata says"));
    assert!(refused(&client.say("SADD set n"), "metadata says"));
    assert!(refused(&client.say("HDEL few 1 2"), "metadata says"));
    assert!(refused(&client.say("ZSCORE zset m"), "expected 8"));
    assert!(refused(&client.say("ZPOPMIN zset 5"), "sorted set"));
    assert!(refused(&client.say("HGET cut f"), "metadata"));
    // Whatever else is asked of them is answered, with little memory.
    let lines = "HGETALL hash|HRANDFIELD hash 1000000000000|HRANDFIELD hash -5|SPOP set 3|SRANDMEMBER set -1000000000000\
        |SRANDMEMBER set|ZRANGE zset 0 -1 WITHSCORES|ZRANGE zset -3 -1|ZCOUNT zset -inf +inf|ZRANK zset orphan|ZRANDMEMBER zset\
        |ZREMRANGEBYRANK zset 0 -1|ZUNION 2 zset set|ZINCRBY zset 1 nan|LRANGE huge 0 -1|LPOS huge e|LTRIM gap 1 2\
        |LRANGE gap 0 -1|LMOVE huge edge LEFT RIGHT|SORT huge|COPY hash copied|RENAME zset renamed|TYPE cut|DEL cut|EXISTS crossed\
        |HSCAN hash 0|ZSCAN renamed 0|DEL lies|EXPIRE short 100|RANDOMKEY|SDIFF set hash|OBJECT ENCODING huge";
    for line in lines.split('|') {
        client.say(line.trim());
    }
    assert_eq!(client.say("PING"), Reply::Simple("PONG".into()));
    assert_eq!(client.say("SET fine v"), Reply::Simple("OK".into()));
}
