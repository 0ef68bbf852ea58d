//! RESP3: what a client that has asked for it is told otherwise.

use super::{Client, Served, converse, request};

fn greeted(served: &Served) -> Client {
    let mut client = served.client();
    let hello = client.ask(&["HELLO", "3"]);
    assert!(hello.starts_with("{\"server\" \"redis\" ") && hello.contains("\"proto\" :3"), "{hello}");
    client
}

/// Replies say what they are: maps, sets, pairs, numbers with a fraction, texts and nothing. In RESP2, which is what a
/// connection begins with and what RESET and HELLO 2 bring back, they do not.
#[test]
fn replies_say_what_they_are() {
    let served = Served::open();
    let mut client = greeted(&served);
    let writes = [
        ("HSET h a 1", ":1"),
        ("SADD s x", ":1"),
        ("ZADD z 1.5 m inf n", ":2"),
        ("XADD x 1-1 f v", "\"1-1\""),
        ("XGROUP CREATE x g 0", "+OK"),
        ("SET k v", "+OK"),
        ("GEOADD places 13.361389 38.115556 Palermo", ":1"),
        ("JSON.SET j $ {\"a\":7,\"b\":1.5,\"c\":\"x\"}", "+OK"),
    ];
    converse(&mut client, &writes);
    let told = [
        ("HGETALL h", "{\"a\" \"1\"}", "[\"a\" \"1\"]"),
        ("HGETALL none", "{}", "[]"),
        ("HKEYS h", "[\"a\"]", "[\"a\"]"),
        ("HRANDFIELD h 1 WITHVALUES", "[[\"a\" \"1\"]]", "[\"a\" \"1\"]"),
        ("SMEMBERS s", "~[\"x\"]", "[\"x\"]"),
        ("SINTER s s", "~[\"x\"]", "[\"x\"]"),
        ("SRANDMEMBER s 1", "[\"x\"]", "[\"x\"]"),
        ("SPOP none 1", "~[]", "[]"),
        ("ZSCORE z m", ",1.5", "\"1.5\""),
        ("ZMSCORE z n none", "[,inf _]", "[\"inf\" nil]"),
        ("ZRANGE z 0 -1", "[\"m\" \"n\"]", "[\"m\" \"n\"]"),
        ("ZRANGE z 0 0 WITHSCORES", "[[\"m\" ,1.5]]", "[\"m\" \"1.5\"]"),
        ("ZRANDMEMBER z 0 WITHSCORES", "[]", "[]"),
        ("ZPOPMIN none", "[]", "[]"),
        ("XREAD COUNT 1 STREAMS x 0", "{\"x\" [[\"1-1\" [\"f\" \"v\"]]]}", "[[\"x\" [[\"1-1\" [\"f\" \"v\"]]]]]"),
        ("XREAD STREAMS none 0", "_", "nil"),
        (
            "XINFO CONSUMERS x g",
            "[{\"name\" \"c\" \"pending\" :0 \"idle\" :# \"inactive\" :#}]",
            "[[\"name\" \"c\" \"pending\" :0 \"idle\" :# \"inactive\" :#]]",
        ),
        ("CONFIG GET save", "{\"save\" \"\"}", "[\"save\" \"\"]"),
        ("COMMAND DOCS", "{}", "[]"),
        ("COMMAND INFO nope", "[_]", "[nil]"),
        ("COMMAND INFO get", "[[\"get\" :2 ~[+readonly] :1 :1 :1 ~[]]]", "[[\"get\" :2 [+readonly] :1 :1 :1 []]]"),
        ("HRANGEBYLEX h - + LIMIT 0 1", "[\"a\" \"1\"]", "[\"a\" \"1\"]"),
        ("JSON.TYPE j $", "[[\"object\"]]", "[\"object\"]"),
        ("JSON.NUMMULTBY j $.* 1", "[:7 ,1.5 _]", "\"[7,1.5,null]\""),
        ("GET none", "_", "nil"),
        ("BLPOP none 0.001", "_", "nil"),
        ("GEODIST places Palermo Palermo", "\"0\"", "\"0\""),
    ];
    converse(&mut client, &[("XGROUP CREATECONSUMER x g c", ":1")]);
    // Times that pass.
    let timeless = |reply: String| {
        let mut out = String::new();
        for word in reply.split_inclusive([' ', ']', '}']) {
            let after = out.ends_with("\"idle\" ") || out.ends_with("\"inactive\" ");
            let end = word.trim_start_matches(|c: char| c == ':' || c.is_ascii_digit());
            out.push_str(&if after { format!(":#{end}") } else { word.to_owned() });
        }
        out
    };
    for (line, rich, _) in told {
        assert_eq!(timeless(client.ask(&line.split(' ').collect::<Vec<_>>())), rich, "{line}");
    }
    converse(&mut client, &[("HINCRBYFLOAT other f 1.5", "\"1.5\""), ("INCRBYFLOAT n 1.5", "\"1.5\"")]);
    let hash =
        client.ask(&["GEOSEARCH", "places", "FROMMEMBER", "Palermo", "BYRADIUS", "1", "km", "WITHHASH", "WITHDIST"]);
    assert_eq!(hash, "[[\"Palermo\" \"0\" :3479099956230698]]");
    assert!(client.ask(&["INFO", "server"]).starts_with("txt\"# Server"));
    assert!(client.ask(&["CLIENT", "LIST"]).starts_with("txt\"id="));
    let places = client.ask(&["GEOPOS", "places", "Palermo", "none"]);
    assert!(places.starts_with("[[,13.36138") && places.ends_with("] _]"), "{places}");
    converse(&mut client, &[("ZPOPMAX z", "[\"n\" ,inf]"), ("BZPOPMIN z 0", "[\"z\" \"m\" ,1.5]")]);
    converse(&mut client, &[("ZADD z 1.5 m inf n", ":2"), ("ZPOPMAX z 2", "[[\"n\" ,inf] [\"m\" ,1.5]]")]);
    converse(&mut client, &[("ZADD z INCR 1.5 m", ",1.5"), ("ZADD z inf n", ":1")]);
    // Inside of others too, and behind the replies of a pipeline.
    converse(&mut client, &[("MULTI", "+OK"), ("HGETALL none", "+QUEUED"), ("ZINCRBY z 1 m", "+QUEUED")]);
    converse(&mut client, &[("GET none", "+QUEUED"), ("EXEC", "[{} ,2.5 _]"), ("ZADD z 1.5 m", ":0")]);
    client.send(&[request(&["ZINCRBY", "z", "0", "m"]), request(&["ZINCRBY", "z", "0", "n"])].concat());
    assert_eq!((client.reply(), client.reply()), (",1.5".to_owned(), ",inf".to_owned()));
    converse(&mut client, &[("WATCH k", "+OK"), ("MULTI", "+OK"), ("GET k", "+QUEUED"), ("SET k w", "+QUEUED")]);
    converse(&mut served.client(), &[("SET k other", "+OK")]);
    converse(&mut client, &[("EXEC", "_")]);

    assert_eq!(client.ask(&["RESET"]), "+RESET");
    converse(&mut client, &[("GET none", "nil"), ("HELLO 4", "-NOPROTO unsupported protocol version")]);
    for (line, _, plain) in told {
        assert_eq!(timeless(client.ask(&line.split(' ').collect::<Vec<_>>())), plain, "{line}");
    }
    assert!(client.ask(&["HELLO"]).contains("\"proto\" :2"));
    assert!(client.ask(&["HELLO", "3"]).contains("\"proto\" :3"));
    // Without a version it stays as it is.
    assert!(client.ask(&["HELLO"]).contains("\"proto\" :3"));
    assert!(client.ask(&["HELLO", "2"]).starts_with("[\"server\""));
    for (line, _, plain) in told {
        assert_eq!(timeless(client.ask(&line.split(' ').collect::<Vec<_>>())), plain, "{line}");
    }
}

/// Messages are told from replies, so who listens may ask everything but what is no RESP; a connection of each protocol gets
/// them in its own.
#[test]
fn messages_are_told_from_replies() {
    let served = Served::open();
    let (mut rich, mut plain, mut other) = (greeted(&served), served.client(), served.client());
    assert_eq!(rich.ask(&["UNSUBSCRIBE"]), ">[\"unsubscribe\" _ :0]");
    assert_eq!(rich.ask(&["SUBSCRIBE", "c"]), ">[\"subscribe\" \"c\" :1]");
    assert_eq!(rich.ask(&["PSUBSCRIBE", "*"]), ">[\"psubscribe\" \"*\" :2]");
    assert_eq!(plain.ask(&["SUBSCRIBE", "c"]), "[\"subscribe\" \"c\" :1]");
    converse(&mut other, &[("PUBLISH c 1", ":3")]);
    assert_eq!(rich.reply(), ">[\"message\" \"c\" \"1\"]");
    assert_eq!(rich.reply(), ">[\"pmessage\" \"*\" \"c\" \"1\"]");
    assert_eq!(plain.reply(), "[\"message\" \"c\" \"1\"]");
    converse(&mut rich, &[("PING", "+PONG"), ("PING a", "\"a\""), ("SET k v", "+OK"), ("GET k", "\"v\"")]);
    let refused = rich.ask(&["PSYNC", "1"]);
    assert!(refused.starts_with("-ERR Can't execute 'psync'"), "{refused}");
    assert_eq!(rich.ask(&["PUNSUBSCRIBE"]), ">[\"punsubscribe\" \"*\" :1]");
    // Who waits for an element is told of messages meanwhile, and of the element.
    rich.send(&request(&["BLPOP", "l", "0"]));
    while !other.ask(&["CLIENT", "LIST"]).contains("cmd=blpop") {}
    converse(&mut other, &[("PUBLISH c 2", ":2")]);
    assert_eq!(rich.reply(), ">[\"message\" \"c\" \"2\"]");
    converse(&mut other, &[("RPUSH l e", ":1")]);
    assert_eq!(rich.reply(), "[\"l\" \"e\"]");
    // What it publishes itself comes behind the word that it listens, and behind replies to what it asked together.
    rich.send(&[request(&["SUBSCRIBE", "d"]), request(&["PUBLISH", "d", "own"]), request(&["GET", "k"])].concat());
    let told: Vec<String> = (0..4).map(|_| rich.reply()).collect();
    assert_eq!(told, [">[\"subscribe\" \"d\" :2]", ":1", "\"v\"", ">[\"message\" \"d\" \"own\"]"]);
    // Writes that come together are one entry for who listens too.
    let before = served.engine.position().unwrap().sequence;
    rich.send(&[request(&["SET", "a", "1"]), request(&["SET", "b", "2"])].concat());
    assert_eq!((rich.reply(), rich.reply()), ("+OK".to_owned(), "+OK".to_owned()));
    assert_eq!(served.engine.position().unwrap().sequence, before + 2);
    // A message on its way would be told in the wrong one.
    let refused = rich.ask(&["HELLO", "2", "SETNAME", "me"]);
    assert!(refused.starts_with("-ERR HELLO: ") && refused.contains("UNSUBSCRIBE"), "{refused}");
    converse(&mut rich, &[("CLIENT GETNAME", "_")]);
    assert!(rich.ask(&["HELLO", "3"]).starts_with('{'));
    rich.send(&request(&["UNSUBSCRIBE"]));
    assert_eq!((rich.reply(), rich.reply()).1, ">[\"unsubscribe\" \"d\" :0]");
    assert!(rich.ask(&["HELLO", "2"]).starts_with('['));
    converse(&mut rich, &[("GET none", "nil"), ("SUBSCRIBE c", "[\"subscribe\" \"c\" :1]")]);
    converse(&mut other, &[("PUBLISH c 3", ":2")]);
    assert_eq!(rich.reply(), "[\"message\" \"c\" \"3\"]");
    let refused = rich.ask(&["GET", "k"]);
    assert!(refused.starts_with("-ERR Can't execute 'get'"), "{refused}");
}
