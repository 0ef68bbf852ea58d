//! Wrong types, words that are none, and records that say what is not so: a clear error, and the rest goes on.

use pumice::{Engine, Options};
use tempfile::TempDir;

use crate::support::client::{Client, Reply, Served};
use crate::support::recorded::stored_key;
use crate::support::{raw_metadata, raw_subkey, raw_write, records};

/// An engine of its own that is served, and a client of it.
fn opened() -> (TempDir, Served, Client) {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::open(dir.path());
    let client = served.client();
    (dir, served, client)
}

/// Every command that is for one type refuses a key of each of the others, and changes nothing.
#[test]
fn wrong_types() {
    let (_dir, served, mut client) = opened();
    let keys = ["string", "hash", "zset", "bitmap", "hll", "stream", "json", "bloom", "ints"];
    for line in [
        "SET string v",
        "HSET hash f v",
        "ZADD zset 1 m",
        "SETBIT bitmap 7 1",
        "PFADD hll a",
        "XADD stream 1-1 f v",
        "JSON.SET json $ 1",
        "BF.ADD bloom a",
        "SIADD ints 1",
    ] {
        assert!(!matches!(client.say(line), Reply::Error(_)), "{line}");
    }
    let commands = [
        (&["bitmap", "string"][..], "SETBIT * 1 1|GETBIT * 1|BITCOUNT *|BITPOS * 1|BITFIELD * GET u8 0|BITOP AND to *"),
        (&["hll"], "PFADD * a|PFCOUNT *|PFMERGE * hll|PFMERGE hll *"),
        (&["zset"], "GEOADD * 1 1 m|GEOPOS * m|GEODIST * m m|GEOSEARCH * FROMLONLAT 1 1 BYRADIUS 1 m|GEOHASH * m"),
        (&["stream"], "XADD * 9-9 f v|XLEN *|XRANGE * - +|XDEL * 1-1|XTRIM * MAXLEN 1|XREAD STREAMS * 0|XSETID * 9-9"),
        (&["stream"], "XGROUP CREATE * g 0|XREADGROUP GROUP g c STREAMS * >|XACK * g 1-1|XPENDING * g|XINFO STREAM *"),
        (
            &["json"],
            "JSON.SET * $ 1|JSON.GET *|JSON.DEL *|JSON.TYPE *|JSON.NUMINCRBY * $ 1|JSON.ARRAPPEND * $ 1|JSON.INFO *",
        ),
        (&["bloom"], "BF.ADD * a|BF.EXISTS * a|BF.INFO *|BF.RESERVE * 0.1 10|BF.CARD *|BF.INSERT * ITEMS a"),
        (&["ints"], "SIADD * 1|SIREM * 1|SICARD *|SIEXISTS * 1|SIRANGE * 0 1|SIRANGEBYVALUE * 0 1"),
    ];
    let wrong = Reply::Error("WRONGTYPE Operation against a key holding the wrong kind of value".into());
    let position = served.engine.position().unwrap();
    let mut refused = 0;
    for (own, lines) in commands {
        for line in lines.split('|') {
            for other in keys.iter().filter(|kind| !own.contains(kind)) {
                assert_eq!(client.say(&line.replace('*', other)), wrong, "{line} of a {other}");
                refused += 1;
            }
        }
    }
    assert!(refused > 250, "{refused}");
    assert_eq!(served.engine.position().unwrap(), position, "what was refused wrote something");
}

/// Words that mean nothing, numbers that are too large, ids that are reserved: each is refused in its own words.
#[test]
fn bad_words() {
    let (_dir, _served, mut client) = opened();
    for line in ["XADD s 5-5 f v", "JSON.SET j $ {\"a\":[1]}", "GEOADD g 1 1 m", "BF.RESERVE full 0.1 1 NONSCALING"] {
        client.say(line);
    }
    let last = u64::MAX;
    for (line, error) in [
        ("SETBIT b 4294967296 1", "ERR bit offset is not an integer or out of range"),
        ("SETBIT b -1 1", "ERR bit offset is not an integer or out of range"),
        ("SETBIT b 1 2", "ERR bit is not an integer or out of range"),
        ("BITCOUNT b 1", "ERR syntax error"),
        ("BITCOUNT b 0 1 WORD", "ERR syntax error"),
        ("BITPOS b 2", "ERR The bit argument must be 1 or 0."),
        ("BITOP NOT to b b", "ERR BITOP NOT must be called with a single source key."),
        ("BITOP NAND to b b", "ERR syntax error"),
        ("BITFIELD b SET u8 4294967295 1", "ERR bit offset is not an integer or out of range"),
        ("BITFIELD b SET u8 #4294967295 1", "ERR bit offset is not an integer or out of range"),
        ("BITFIELD_RO b SET u8 0 1", "ERR BITFIELD_RO only supports the GET subcommand"),
        ("XADD s 5-5 f v", "ERR The ID specified in XADD is equal or smaller than the target stream top item"),
        ("XADD s 0-0 f v", "ERR The ID specified in XADD must be greater than 0-0"),
        (
            &format!("XADD s {last}-1 f v"),
            "ERR The ID specified in XADD is reserved: its milliseconds must be below 2^64 - 1",
        ),
        (
            &format!("XADD new {last}-* f v"),
            "ERR The ID specified in XADD is reserved: its milliseconds must be below 2^64 - 1",
        ),
        ("XADD s 6-x f v", "ERR Invalid stream ID specified as stream command argument"),
        ("XADD s * f", "ERR wrong number of arguments"),
        ("XRANGE s (18446744073709551615-18446744073709551615 +", "ERR invalid start ID for the interval"),
        ("XTRIM s MAXLEN 1 LIMIT 5", "ERR syntax error, LIMIT cannot be used without the special ~ option"),
        (
            "XREADGROUP GROUP g c STREAMS s >",
            "NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option",
        ),
        ("XAUTOCLAIM s g c 0 0 COUNT 0", "ERR COUNT must be > 0"),
        ("XINFO STREAM none", "ERR no such key"),
        ("XSETID s 1-1", "ERR The ID specified in XSETID is smaller than the target stream top item"),
        ("XSETID new 1-1", "ERR an empty stream should have non-zero value of ENTRIESADDED"),
        (
            "XSETID s 9-9 ENTRIESADDED 0",
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ),
        ("GEOADD g 181 0 m", "ERR invalid longitude,latitude pair 181.000000,0.000000"),
        ("GEOADD g nan 0 m", "ERR value is not a valid float"),
        ("GEODIST g m m parsec", "ERR unsupported unit provided. please use M, KM, FT, MI"),
        ("GEOSEARCH g FROMMEMBER none BYRADIUS 1 m", "ERR could not decode requested zset member"),
        ("GEORADIUS g 1 1 -1 m", "ERR radius cannot be negative"),
        ("GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 m COUNT 0", "ERR COUNT must be > 0"),
        ("JSON.SET none $.a 1", "ERR new objects must be created at the root"),
        ("JSON.NUMINCRBY j $.a x", "ERR the input value should be a number"),
        ("JSON.NUMMULTBY j $.a[0] 1e400", "ERR the input value should be a number"),
        ("BF.RESERVE b 1 10", "ERR error rate should be between 0 and 1"),
        ("BF.RESERVE b 0.1 0", "ERR capacity should be larger than 0"),
        ("BF.RESERVE b 0.1 99999999999", "ERR Bad capacity"),
        ("BF.RESERVE b 0.1 10 NONSCALING EXPANSION 2", "ERR nonscaling filters cannot expand"),
        ("BF.RESERVE full 0.1 10", "ERR the key already exists"),
        ("BF.INSERT none NOCREATE ITEMS a", "ERR key is not found"),
        ("SIADD i -1", "ERR value is not an integer or out of range"),
        ("SIADD i 18446744073709551616", "ERR value is not an integer or out of range"),
        ("SIRANGEBYVALUE i x 1", "ERR the min isn't integer"),
        ("DUMP s", "ERR Invalid or Not supported object type"),
        ("RESTORE r 0 short", "ERR invalid payload length"),
        ("RESTORE r -1 short", "ERR Invalid TTL value, must be >= 0"),
        ("RESTORE r 0 0123456789\x06\x00abcdefgh", "ERR incorrect checksum"),
    ] {
        assert_eq!(client.say(line), Reply::Error(error.into()), "{line}");
    }
    // The document's older name is known where redis-py says it unasked.
    assert_eq!(client.say("JSON.GET j ."), client.say("JSON.GET j"));
    for path in ["", ".", "a", "$[", "$..", "$[?(@.a==]", "$['a"] {
        let reply = client.ask(&["JSON.TYPE", "j", path]);
        assert!(matches!(&reply, Reply::Error(text) if text.contains("JSON path")), "{path}: {reply:?}");
    }
    client.say("BF.ADD full a");
    assert_eq!(client.say("BF.ADD full b"), Reply::Error("ERR nonscaling filter is full".into()));
}

/// Documents that are nested without end are refused where they come in, whole or piece by piece.
#[test]
fn deep_documents() {
    let (_dir, _served, mut client) = opened();
    let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
    let refused = |reply: &Reply| matches!(reply, Reply::Error(text) if text.contains("in each other"));
    for depth in [1025, 10_000, 1_000_000] {
        assert!(refused(&client.ask(&["JSON.SET", "deep", "$", &nested(depth)])), "{depth}");
    }
    assert_eq!(client.ask(&["JSON.SET", "deep", "$", &nested(1024)]), Reply::Simple("OK".into()));
    assert!(refused(&client.ask(&["JSON.ARRAPPEND", "deep", "$..*", &nested(1000)])));
    assert!(refused(&client.ask(&["JSON.ARRAPPEND", "deep", "$", &nested(1024)])));
    // Everything inside of everything: bounded, or refused.
    client.say("JSON.GET deep $..*");
    let objects = [r#"{"a":"#.repeat(1024), "1".into(), "}".repeat(1024)].concat();
    assert_eq!(client.ask(&["JSON.SET", "objects", "$", &objects]), Reply::Simple("OK".into()));
    let lines = "JSON.RESP %|JSON.RESP % $..*|JSON.GET % NEWLINE _|JSON.TYPE % $..*|JSON.DEBUG MEMORY % $..*\
        |JSON.MERGE % $..b 1|JSON.NUMINCRBY % $..* 1|JSON.GET % $..[?(@==$)]|JSON.DEL % $..[?(@.a==7)]|JSON.OBJKEYS % $..*\
        |JSON.CLEAR % $..[?(@>7)]|JSON.SET % $..[?(@.b)] 1|JSON.MGET % deep $..a|JSON.ARRLEN % $..*";
    for line in lines.split('|') {
        for key in ["objects", "deep"] {
            let said = client.say(&line.trim().replace('%', key));
            assert!(!matches!(said, Reply::Error(_)), "{line} of {key}: {said:?}");
        }
    }
    let merged = client.ask(&["JSON.MERGE", "objects", "$", &objects]);
    assert_eq!(merged, Reply::Simple("OK".into()));
    assert_eq!(client.say("JSON.DEL deep $..*"), Reply::Integer(1023));
    assert_eq!(client.say("JSON.GET deep"), Reply::Bulk(b"[]".to_vec()));
}

/// What a short command would make of a document many times over is refused, nothing is written, and the engine serves the
/// next: values that are found in many others, are set or appended in many places, are asked for by many paths, or are
/// shown with long indents.
#[test]
fn documents_many_times_over() {
    let (_dir, served, mut client) = opened();
    let long = "x".repeat(1 << 20);
    let quoted = format!("\"{long}\"");
    let chain = |depth: usize, end: &str| [r#"{"a":"#.repeat(depth), end.to_owned(), "}".repeat(depth)].concat();
    let wide = |item: &str| format!("[{}]", vec![item; 1000].join(","));
    for (key, document) in [
        ("chain", chain(300, &quoted)),
        ("longer", chain(600, &quoted)),
        ("arrays", wide("[]")),
        ("texts", wide("\"\"")),
        ("deep", chain(1000, "1")),
        ("numbers", format!("[{}]", vec!["1"; 100_000].join(","))),
        // Of one byte six in the text.
        ("escaped", format!("\"{}\"", r"\u0001".repeat(1 << 20))),
    ] {
        assert_eq!(client.ask(&["JSON.SET", key, "$", &document]), Reply::Simple("OK".into()), "{key}");
    }
    let position = served.engine.position().unwrap();
    let newline = "\n".repeat(100_000);
    let texts = [vec!["JSON.MGET"], vec!["escaped"; 90], vec!["$"]].concat();
    let refused: [(&[&str], &str); 14] = [
        (&texts, "more than 536870912 bytes at once"),
        (&["JSON.GET", "chain", "$..a", "$..*"], "got a text of more than 536870912 bytes"),
        (&["JSON.MGET", "chain", "chain", "$..a"], "more than 536870912 bytes at once"),
        (&["JSON.RESP", "longer", "$..['a','b']"], "more than 536870912 bytes at once"),
        (&["JSON.DEBUG", "MEMORY", "longer", "$..*"], "more than 536870912 bytes at once"),
        (&["JSON.SET", "arrays", "$[*]", &quoted], "more than 536870912 bytes at once"),
        (&["JSON.MERGE", "arrays", "$[*]", &quoted], "more than 536870912 bytes at once"),
        (&["JSON.ARRAPPEND", "arrays", "$[*]", &quoted], "more than 536870912 bytes at once"),
        (&["JSON.STRAPPEND", "texts", "$[*]", &quoted], "more than 536870912 bytes at once"),
        (&["JSON.GET", "numbers", "NEWLINE", &newline], "got a text of more than 536870912 bytes"),
        (&["JSON.GET", "deep", "$..[?(@..[?(@..b)])]"], "got more than 16777216 steps, expected fewer"),
        (&["JSON.DEL", "deep", "$..[?($..[?(@..b)])]"], "got more than 16777216 steps, expected fewer"),
        (&["JSON.NUMINCRBY", "deep", "$..[?(@..[?(@..b)])]", "1"], "got more than 16777216 steps, expected fewer"),
        (&["JSON.TYPE", "deep", "$..[?(@..[?(@..b)])]"], "got more than 16777216 steps, expected fewer"),
    ];
    for (command, words) in refused {
        let shown: Vec<&str> = command.iter().map(|word| &word[..word.len().min(40)]).collect();
        match client.ask(command) {
            Reply::Error(text) => assert!(text.starts_with("ERR") && text.contains(words), "{shown:?}: {text}"),
            _ => panic!("{shown:?} was done"),
        }
    }
    assert_eq!(served.engine.position().unwrap(), position, "what was refused wrote something");
    // Nothing is in the way of what is in proportion: in many places little, and little of much.
    for (line, answers) in [
        ("JSON.SET arrays $[*] 7", 0),
        ("JSON.NUMINCRBY numbers $..* 1", 0),
        ("JSON.TYPE deep $..*..*", 999),
        ("JSON.OBJLEN longer $..*", 600),
    ] {
        match client.say(line) {
            Reply::Array(items) => assert_eq!(items.len(), answers, "{line}"),
            reply => assert!(answers == 0 && !matches!(reply, Reply::Error(_)), "{line}"),
        }
    }
    // Short texts of what takes much more in memory, which is not there for all of them.
    let numbers = [vec!["JSON.MGET"], vec!["numbers"; 300], vec!["$"]].concat();
    assert!(matches!(client.ask(&numbers), Reply::Array(texts) if texts.len() == 300));
    assert_eq!(client.say("JSON.DEL numbers $[::2]"), Reply::Integer(50_000));
    assert_eq!(client.say("JSON.ARRLEN numbers"), Reply::Array(vec![Reply::Integer(50_000)]));
    assert_eq!(client.say("JSON.GET arrays $[999]"), Reply::Bulk(b"[7]".to_vec()));
}

/// What a command gathers is counted for all of the keys and ids that it names, not for each.
#[test]
fn many_streams_at_once() {
    let (_dir, _served, mut client) = opened();
    let long = "x".repeat(8 << 20);
    for id in 1..=8 {
        client.ask(&["XADD", "s", &format!("{id}-1"), "f", &long]);
    }
    client.say("XGROUP CREATE s g0 0");
    let refused =
        |reply: Reply| matches!(reply, Reply::Error(text) if text.contains("more than 536870912 bytes at once"));
    let times = |word: &'static str| vec![word; 12];
    assert!(refused(client.ask(&[vec!["XREAD", "STREAMS"], times("s"), times("0")].concat())));
    assert!(refused(client.ask(&[vec!["XCLAIM", "s", "g0", "c", "0"], vec!["3-1"; 100], vec!["FORCE"]].concat())));
    // One of them is not too much, and nothing is pending of what was refused.
    for id in 1..=8 {
        client.say(&format!("XCLAIM s g0 c 0 {id}-1 FORCE JUSTID"));
    }
    let pending = |client: &mut Client| match client.say("XPENDING s g0") {
        Reply::Array(summary) => summary[0].clone(),
        other => other,
    };
    assert_eq!(pending(&mut client), Reply::Integer(8));
    assert!(refused(client.ask(&[vec!["XREADGROUP", "GROUP", "g0", "c", "STREAMS"], times("s"), times("0")].concat())));
    assert!(matches!(client.say("XREAD COUNT 1 STREAMS s s 0 3-1"), Reply::Array(found) if found.len() == 2));
    assert_eq!(pending(&mut client), Reply::Integer(8));
}

/// Records that no Kvrocks writes: sizes that lie, parts that are cut or missing. Every command on them answers something, an
/// error where it cannot go on, with little memory, and the engine serves the next.
#[test]
fn damaged_records() {
    let dir = tempfile::tempdir().unwrap();
    drop(Engine::open(dir.path(), &Options::default()).unwrap());
    let chain = |filters: u16, capacity: u32, bytes: u32| {
        let (capacity, bytes) = (capacity.to_be_bytes(), bytes.to_be_bytes());
        [&filters.to_be_bytes()[..], &[0, 2], &capacity, &[0xBF, 0x84, 0, 0, 0, 0, 0, 0], &bytes].concat()
    };
    let bloom = |filters: u16, bytes: u32| chain(filters, u32::MAX, bytes);
    let many = u64::MAX;
    let bad: Vec<(&str, u8, u64, Vec<u8>)> = vec![
        ("bitmap", 6, many, vec![]),
        ("odd", 6, 5000, vec![]),
        ("hll", 11, 0, vec![0]),
        ("hll1", 11, 0, vec![7]),
        ("stream", 8, many, vec![0xFF; 96]),
        ("stream1", 8, 3, vec![1; 95]),
        ("stream2", 8, 2, vec![0; 96]),
        ("bloom", 9, 1, bloom(32, u32::MAX)),
        ("bloom1", 9, 1, bloom(60_000, 1)),
        ("bloom2", 9, 1, bloom(1, 4)),
        ("bloom3", 9, many, chain(1, 10, 32)),
        ("ints", 7, many, vec![]),
    ];
    for (name, kind, size, rest) in &bad {
        raw_write(
            dir.path(),
            "metadata",
            &stored_key("default", false, name.as_bytes()),
            Some(&raw_metadata(*kind, *size, rest)),
        );
    }
    for (name, payload) in
        [("json", &b"\0{"[..]), ("json1", b"\x01\x9b\xff\xff\xff\xff\xff\xff\xff\xff"), ("json2", b"\x07")]
    {
        raw_write(
            dir.path(),
            "metadata",
            &stored_key("default", false, name.as_bytes()),
            Some(&[&[0x8A], &[0; 8][..], payload].concat()),
        );
    }
    for (name, sub, value) in [
        ("bitmap", &b"0"[..], vec![0xFF; 5000]),
        ("odd", b"17", vec![1]),
        ("odd", b"x", vec![1]),
        ("hll", b"3", vec![1; 767]),
        ("bloom", &[0, 0], vec![1; 33]),
        ("bloom2", &[0, 0], vec![]),
        ("bloom3", &[0, 0], vec![0; 32]),
        ("ints", b"abc", vec![]),
    ] {
        raw_write(dir.path(), "default", &raw_subkey(name, sub), Some(&value));
    }
    for (sub, value) in [
        (vec![0; 16], vec![5, b'a']),
        (vec![0; 9], vec![]),
        ([&[0xFF; 8][..], &[1], &[0; 7], &[1], b"g"].concat(), vec![0; 47]),
        ([&[0xFF; 8][..], &[1], &[0; 7], &[1], b"h"].concat(), vec![0xFF; 48]),
        ([&[0xFF; 8][..], &[3], &[0; 7], &[1], b"h", &[0; 16]].concat(), vec![0xFF; 24]),
        ([&[0xFF; 8][..], &[9]].concat(), vec![]),
    ] {
        raw_write(dir.path(), "stream", &raw_subkey("stream2", &sub), Some(&value));
    }
    let served = Served::open(dir.path());
    let mut client = served.client();
    let says = |reply: &Reply, word: &str| matches!(reply, Reply::Error(text) if text.contains(word));
    for (line, word) in [
        ("GET bitmap", "expected at most"),
        ("GET odd", "expected an offset"),
        ("PFCOUNT hll", "expected 768"),
        ("PFADD hll a", "expected 768"),
        ("PFCOUNT hll1", "encoding"),
        ("XLEN stream1", "stream metadata"),
        ("XADD stream1 * f v", "stream metadata"),
        ("XRANGE stream2 - +", "stream entry"),
        ("XINFO GROUPS stream2", "stream group"),
        ("XPENDING stream2 h", "pending entry"),
        ("XAUTOCLAIM stream2 h c 0 0", "pending entry"),
        ("XREADGROUP GROUP g c STREAMS stream2 >", "stream group"),
        ("BF.ADD bloom a", "power of two"),
        ("BF.EXISTS bloom a", "bloom filter"),
        ("BF.ADD bloom1 a", "60000 filters"),
        ("BF.EXISTS bloom2 a", "power of two"),
        ("BF.ADD bloom3 a", "no room for one more"),
        ("SIRANGE ints 0 10", "expected 8 bytes"),
        ("JSON.GET json", "no JSON"),
        ("JSON.SET json1 $.a 1", "CBOR"),
        ("JSON.GET json2", "storage format"),
    ] {
        let reply = client.say(line);
        assert!(says(&reply, word), "{line}: {reply:?}");
    }
    // Whatever else is asked of them is answered.
    let lines = "BITCOUNT bitmap|BITPOS bitmap 0|SETBIT bitmap 100 1|BITOP NOT to odd|BITFIELD odd SET u8 100 1|BITCOUNT odd\
        |XADD stream * f v|XTRIM stream MAXLEN 0|XDEL stream 1-1|XINFO STREAM stream|XGROUP CREATE stream g $|XREVRANGE stream + -\
        |XTRIM stream2 MAXLEN 0|XGROUP DESTROY stream2 h|XINFO STREAM stream2|XDEL stream2 0-0|XINFO CONSUMERS stream2 h\
        |SIADD ints 5|SIREM ints 5|SICARD ints|DEL json2|TYPE bloom1|BF.INFO bloom|DUMP odd|COPY stream2 copied|RENAME hll new";
    for line in lines.split('|') {
        client.say(line.trim());
    }
    assert_eq!(client.say("PING"), Reply::Simple("PONG".into()));
    assert_eq!(client.say("SETBIT fine 7 1"), Reply::Integer(0));
}

/// A group is destroyed with all that is its own and nothing else, and so is a consumer.
#[test]
fn groups_go_whole() {
    let (dir, served, mut client) = opened();
    for n in 1..=20 {
        client.say(&format!("XADD s {n}-1 f v"));
    }
    for line in [
        "XGROUP CREATE s a 0",
        "XGROUP CREATE s b 0",
        "XREADGROUP GROUP a c STREAMS s >",
        "XREADGROUP GROUP b c STREAMS s >",
    ] {
        assert!(!matches!(client.say(line), Reply::Error(_)), "{line}");
    }
    assert_eq!(client.say("XGROUP DESTROY s a"), Reply::Integer(1));
    assert_eq!(client.say("XGROUP DESTROY s a"), Reply::Integer(0));
    assert_eq!(client.say("XLEN s"), Reply::Integer(20));
    let Reply::Array(summary) = client.say("XPENDING s b") else { panic!() };
    assert_eq!(summary[0], Reply::Integer(20));
    assert_eq!(client.say("XGROUP DELCONSUMER s b c"), Reply::Integer(20));
    served.engine.close().unwrap();
    let all = records(dir.path());
    // The entries, and the group that is left without consumers.
    assert_eq!(all["stream"].len(), 21);
}
