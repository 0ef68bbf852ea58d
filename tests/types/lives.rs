//! A key that is deleted, expires, is copied or renamed takes nothing of a former life into the next.

use pumice::{Engine, Options};

use crate::support::client::{Reply, Served};
use crate::support::{FAMILIES, assert_sound, raw_write, records};

fn served(cluster: bool, password: Option<&str>) -> (tempfile::TempDir, Served) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { cluster: Some(cluster), ..Default::default() };
    let served = Served::new(Engine::open(dir.path(), &options).unwrap(), password);
    (dir, served)
}

/// How each type is filled with two elements, loses the second, and is read.
const TYPES: [(&str, &str, &str, &str); 4] = [
    ("HSET * a 1 b 2", "HDEL * b", "HKEYS *", "HSET * a 1"),
    ("SADD * a b", "SREM * b", "SMEMBERS *", "SADD * a"),
    ("RPUSH * a b", "RPOP *", "LRANGE * 0 -1", "RPUSH * a"),
    ("ZADD * 1 a 2 b", "ZREM * b", "ZRANGE * 0 -1", "ZADD * 1 a"),
];

/// What was deleted in one key does not come back when it is renamed, copied, moved or made again: in both layouts, of every
/// type, with all that a batch of commands leaves on disk still there.
#[test]
fn nothing_comes_back() {
    for cluster in [false, true] {
        let (_dir, served) = served(cluster, None);
        let mut client = served.client();
        let one = Reply::Array(vec![Reply::Bulk(b"a".to_vec())]);
        for (fill, lose, read, again) in TYPES {
            let mut say = |line: &str, key: &str| client.say(&line.replace('*', key));
            say(fill, "{t}x");
            say("RENAME * {t}y", "{t}x");
            say(lose, "{t}y");
            say("RENAME * {t}x", "{t}y");
            assert_eq!(say(read, "{t}x"), one, "{fill}: renamed there and back");
            say(fill, "{t}y");
            assert_eq!(say("COPY {t}x * REPLACE", "{t}y"), Reply::Integer(1));
            assert_eq!(say(read, "{t}y"), one, "{fill}: copied over another");
            say(fill, "{t}z");
            say("DEL *", "{t}z");
            say(again, "{t}z");
            assert_eq!(say(read, "{t}z"), one, "{fill}: deleted and made again");
            say(fill, "{t}e");
            say("PEXPIRE * -1", "{t}e");
            say(again, "{t}e");
            assert_eq!(say(read, "{t}e"), one, "{fill}: expired and made again");
            say(fill, "{t}s");
            say("SET * over", "{t}s");
            say("DEL *", "{t}s");
            say(again, "{t}s");
            assert_eq!(say(read, "{t}s"), one, "{fill}: a string in between");
            for key in ["{t}x", "{t}y", "{t}z", "{t}e", "{t}s"] {
                say("DEL *", key);
            }
        }
        // A list that only LMOVE made and unmade begins anew.
        for line in ["RPUSH {l}a 1 2", "LMOVE {l}a {l}b LEFT LEFT", "LPOP {l}b", "LMOVE {l}a {l}b LEFT LEFT"] {
            client.say(line);
        }
        assert_eq!(client.say("LRANGE {l}b 0 -1"), Reply::Array(vec![Reply::Bulk(b"2".to_vec())]));
        assert_eq!(client.say("EXISTS {l}a"), Reply::Integer(0));
        assert_sound(&served.engine);
    }
}

/// A copy has the expiry of its source, and elements of its own.
#[test]
fn copies_are_apart() {
    let (_dir, served) = served(false, None);
    let mut client = served.client();
    for (fill, lose, read, _) in TYPES {
        let mut say = |line: &str, key: &str| client.say(&line.replace('*', key));
        say(fill, "x");
        say("EXPIREAT * 4102444800", "x");
        assert_eq!(say("COPY x *", "y"), Reply::Integer(1));
        assert_eq!(say("COPY x *", "y"), Reply::Integer(0));
        assert_eq!(say("EXPIRETIME *", "y"), Reply::Integer(4_102_444_800));
        let before = say(read, "x");
        assert_eq!(say(read, "y"), before);
        say(lose, "y");
        assert_eq!(say(read, "x"), before);
        assert_ne!(say(read, "y"), before);
        say("DEL *", "x");
        say("DEL *", "y");
    }
}

/// A long key is copied whole, past the size of the parts in which that is done.
#[test]
fn long_keys_are_copied() {
    let (_dir, served) = served(false, None);
    let mut client = served.client();
    let values: Vec<String> = (0..3000).map(|n| format!("{n:01000}")).collect();
    let words: Vec<&str> = ["RPUSH", "long"].into_iter().chain(values.iter().map(String::as_str)).collect();
    assert_eq!(client.ask(&words), Reply::Integer(3000));
    assert_eq!(client.say("RENAME long longer"), Reply::Simple("OK".into()));
    let all: Vec<Reply> = values.iter().map(|value| Reply::Bulk(value.clone().into_bytes())).collect();
    assert_eq!(client.say("LRANGE longer 0 -1"), Reply::Array(all));
    assert_eq!(client.say("EXISTS long"), Reply::Integer(0));
}

/// A key moves into the namespace of a token with all that it has, and not over another.
#[test]
fn keys_move_between_namespaces() {
    let (_dir, served) = served(false, Some("rootpw"));
    served.engine.create_namespace("there", Some("token")).unwrap();
    let mut client = served.client();
    client.say("AUTH rootpw");
    let mut there = served.client();
    there.say("AUTH token");
    for (fill, _, read, _) in TYPES {
        client.say(&fill.replace('*', "k"));
        let before = client.say(&read.replace('*', "k"));
        assert_eq!(client.say("MOVEX k nothing"), Reply::Error("ERR Invalid password".into()));
        assert_eq!(client.say("MOVEX k token"), Reply::Integer(1));
        assert_eq!(client.say("EXISTS k"), Reply::Integer(0));
        assert_eq!(there.say(&read.replace('*', "k")), before);
        client.say(&fill.replace('*', "k"));
        assert_eq!(client.say("MOVEX k token"), Reply::Integer(0));
        client.say("DEL k");
        assert_eq!(there.say("MOVEX k rootpw"), Reply::Integer(1));
        assert_eq!(client.say(&read.replace('*', "k")), before);
        client.say("DEL k");
    }
}

/// A key in the 32-bit form is read and stays in that form when it is written; a copy of it and a new one are in the 64-bit
/// form.
#[test]
fn both_widths() {
    let dir = tempfile::tempdir().unwrap();
    drop(Engine::open(dir.path(), &Options::default()).unwrap());
    let key = |name: &str| [b"\x0b__namespace", name.as_bytes()].concat();
    let version = 7u64.to_be_bytes();
    let metadata = |kind: u8, size: u32, rest: &[u8]| {
        [&[kind], &0u32.to_be_bytes()[..], &version, &size.to_be_bytes(), rest].concat()
    };
    let subkey = |name: &str, sub: &[u8]| {
        [b"\x0b__namespace", &(name.len() as u32).to_be_bytes()[..], name.as_bytes(), &version, sub].concat()
    };
    let middle = u64::MAX / 2;
    let ends = [middle.to_be_bytes(), (middle + 1).to_be_bytes()].concat();
    for (name, kind, rest) in [("h", 2, &b""[..]), ("l", 3, &ends), ("s", 4, b""), ("z", 5, b"")] {
        raw_write(dir.path(), "metadata", &key(name), Some(&metadata(kind, 1, rest)));
    }
    raw_write(dir.path(), "metadata", &key("string"), Some(b"\x01\0\0\0\0text"));
    raw_write(dir.path(), "default", &subkey("h", b"f"), Some(b"v"));
    raw_write(dir.path(), "default", &subkey("l", &middle.to_be_bytes()), Some(b"e"));
    raw_write(dir.path(), "default", &subkey("s", b"m"), Some(b""));
    let score = 0xbff8_0000_0000_0000u64.to_be_bytes();
    raw_write(dir.path(), "default", &subkey("z", b"m"), Some(&score));
    raw_write(dir.path(), "zset_score", &subkey("z", &[&score[..], b"m"].concat()), Some(b""));

    let served = Served::new(Engine::open(dir.path(), &Options::default()).unwrap(), None);
    let mut client = served.client();
    assert_eq!(client.say("HGET h f"), Reply::Bulk(b"v".to_vec()));
    assert_eq!(client.say("ZSCORE z m"), Reply::Bulk(b"1.5".to_vec()));
    assert_eq!(client.say("HSET h g w"), Reply::Integer(1));
    assert_eq!(client.say("LPUSH l d"), Reply::Integer(2));
    assert_eq!(client.say("SADD s n"), Reply::Integer(1));
    assert_eq!(client.say("ZADD z 2 n"), Reply::Integer(1));
    assert_eq!(client.say("APPEND string more"), Reply::Integer(8));
    assert_eq!(client.say("COPY h copy"), Reply::Integer(1));
    assert_eq!(client.say("HLEN copy"), Reply::Integer(2));
    served.engine.close().unwrap();
    drop((client, served));
    let metadata = &records(dir.path())[FAMILIES[1]];
    let flags = |name: &str| metadata.iter().find(|(found, _)| *found == key(name)).unwrap().1[0];
    let found: Vec<u8> = ["h", "l", "s", "z", "string", "copy"].iter().map(|name| flags(name)).collect();
    assert_eq!(found, [2, 3, 4, 5, 1, 0x82]);
}
