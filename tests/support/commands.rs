//! Random commands.

use super::Random;

/// The commands of one kind of key: what its keys begin with, and templates.
///
/// `k` is a key, `n` a number of keys followed by as many, `m` a member or a value, `e` one of many, `f` a number with a
/// fraction, `i` a small whole one, `w` a whole one that may be large, `s` a bound of scores, `l` a bound of members, `o` the
/// offset of a bit, `t` a type of a field, `v` a number that no Redis stumbles over, `x` and `y` a longitude and a latitude, `r`
/// a radius, `d` an id of an entry, `g` a group, `c` a consumer, `j` a JSON value, `p` a path, `u` a number without a sign;
/// other words stand for themselves, `a|b` for one of them, `_` for nothing.
pub type Group = (&'static str, &'static str);

/// Groups that a Redis answers as is answered here, word for word.
pub const MAIN: [Group; 6] =
    [("str", STRINGS), ("hash", HASHES), ("set", SETS), ("list", LISTS), ("zset", ZSETS), ("member", MEMBERS)];
/// Groups that a Redis answers in other words where something is wrong.
pub const SPECIAL: [Group; 4] = [("bit", BITS), ("log", LOGS), ("place", PLACES), ("stream", STREAMS)];
/// Groups that no Redis has.
pub const OWN: [Group; 3] = [("json", JSONS), ("bloom", BLOOMS), ("int", INTS)];

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
const BITS: &str = "
SETBIT k o 0|1
SETBIT k o 1
GETBIT k o
BITCOUNT k
BITCOUNT k w w _|BYTE|BIT
BITPOS k 0|1
BITPOS k 0|1 w
BITPOS k 0|1 w w _|BYTE|BIT
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
SET k e
EXISTS k
";
const LOGS: &str = "
PFADD k e e e
PFADD k
PFADD k e
PFCOUNT k
PFCOUNT k k
PFMERGE k k
PFMERGE k k k
DEL k
EXISTS k
";
const PLACES: &str = "
GEOADD k x y e
GEOADD k x y e x y e x y e
GEOADD k _|CH NX|XX|CH x y e
GEOHASH k e e
ZSCORE k e
ZREM k e
ZCARD k
GEOSEARCH k FROMLONLAT x y BYRADIUS r m|km|ft|mi ASC|DESC
GEOSEARCH k FROMLONLAT x y BYBOX r r m|km|ft|mi ASC|DESC
GEOSEARCH k FROMLONLAT x y BYRADIUS r km ASC|DESC COUNT 3
GEOSEARCHSTORE k k FROMLONLAT x y BYBOX r r km
GEORADIUS k x y r km ASC
GEORADIUS_RO k x y r km DESC COUNT 2
GEORADIUS k x y r km STORE k
GEOADD k 181 0 e
DEL k
";
const STREAMS: &str = "
XADD k d e e
XADD k d e e e e
XADD k d e e
XADD k d-* e e
XADD k NOMKSTREAM d e e
XADD k MAXLEN _|= w d e e
XADD k MINID d d e e
XLEN k
XRANGE k d d
XRANGE k - + COUNT 5
XRANGE k (d (d
XRANGE k d +
XREVRANGE k + - COUNT 3
XREVRANGE k d d
XDEL k d
XDEL k d d d
XTRIM k MAXLEN|MINID w
XTRIM k MINID d
XREAD COUNT 3 STREAMS k k d d
XREAD STREAMS k d
XREAD STREAMS k $
XGROUP CREATE k g d|$|0 _|MKSTREAM
XGROUP CREATE k g 0
XGROUP CREATE k g $ ENTRIESREAD w
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
XPENDING k g IDLE 100000000 - + 10
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
const JSONS: &str = "
JSON.SET k $ j
JSON.SET k p j
JSON.SET k $ nope
JSON.GET k
JSON.GET k p
JSON.DEL k p
JSON.TYPE|JSON.CLEAR|JSON.TOGGLE k p
JSON.ARRAPPEND k p j
JSON.ARRAPPEND k p j j
JSON.ARRLEN|JSON.OBJLEN|JSON.STRLEN|JSON.OBJKEYS k p
JSON.ARRPOP k p i
JSON.ARRTRIM k p i i
JSON.ARRINDEX k p j
JSON.ARRINSERT k p i j
JSON.NUMINCRBY|JSON.NUMMULTBY k p i
JSON.MERGE k p j
JSON.MGET k k p
DEL|EXISTS|TYPE k
";
const BLOOMS: &str = "
BF.RESERVE k 0.01 100
BF.RESERVE k 0.1 2 EXPANSION 2
BF.RESERVE k 0.1 2 NONSCALING
BF.ADD|BF.EXISTS k e
BF.MADD|BF.MEXISTS k e e e
BF.INSERT k CAPACITY 4 ITEMS e e
BF.INSERT k NOCREATE ITEMS e
BF.CARD|BF.INFO k
BF.INFO k CAPACITY|SIZE|FILTERS|ITEMS|EXPANSION
DEL|EXISTS|TYPE k
";
const INTS: &str = "
SIADD|SIREM|SIEXISTS k u
SIADD|SIREM|SIEXISTS k u 20|21|22 23|24
SICARD k
SIRANGE|SIREVRANGE k u 1|3|20
SIRANGE|SIREVRANGE k 0 1|3|20 CURSOR u
SIRANGEBYVALUE|SIREVRANGEBYVALUE k u u
SIRANGEBYVALUE k u +inf LIMIT 0|1 3
SIADD k e
DEL|EXISTS|TYPE k
";

pub struct Words {
    random: Random,
    groups: Vec<Group>,
    /// What keys begin with: those of one group, seldom of another.
    kind: &'static str,
}

impl Words {
    pub fn new(seed: u64, groups: &[Group]) -> Words {
        Words { random: Random(seed), groups: groups.to_vec(), kind: "" }
    }

    /// The words of any command, and the kind of its keys.
    pub fn any(&mut self) -> (&'static str, Vec<String>) {
        let (kind, templates) = self.groups[self.random.below(self.groups.len())];
        self.kind = kind;
        let common = self.has_basic_type() && self.random.below(8) == 0;
        let templates = if common { KEYS } else { templates };
        let templates: Vec<&str> = templates.lines().filter(|line| !line.is_empty()).collect();
        let template = self.pick(&templates);
        (kind, self.command(template))
    }

    /// Whether a command may also ask for a key of another type.
    fn has_basic_type(&self) -> bool {
        BASIC.contains(&self.kind)
    }

    fn pick<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[self.random.below(words.len())]
    }

    fn number(&mut self, from: i64, to: i64) -> i64 {
        from + self.random.below((to - from) as usize) as i64
    }

    fn key(&mut self) -> String {
        let strange = self.has_basic_type() && self.random.below(12) == 0;
        let kind = if strange { self.pick(&BASIC) } else { self.kind };
        format!("{kind}{}", self.random.below(4))
    }

    fn id(&mut self) -> String {
        format!("{}-{}", self.number(0, 6), self.number(0, 6))
    }

    fn command(&mut self, template: &str) -> Vec<String> {
        let mut words = Vec::new();
        for word in template.split(' ') {
            let new = match word {
                "k" => self.key(),
                "n" => {
                    let keys = 1 + self.random.below(3);
                    words.push(keys.to_string());
                    words.extend((1..keys).map(|_| self.key()));
                    self.key()
                }
                "m" => self.pick(&["a", "b", "c", "d", "e", "aa", "ab", "", "7", "-3", "long member"]).into(),
                "e" => format!("m{}", self.random.below(30)),
                "f" => self.pick(&["0", "1", "-1", "2.5", "1.5", "1e3", "-0.25", "10"]).into(),
                "i" => self.pick(&["0", "1", "2", "3", "-1", "-2", "-3", "5", "-100", "100"]).into(),
                "w" => match self.random.below(8) {
                    0 => self.pick(&["9223372036854775807", "-9223372036854775808", "8192"]).into(),
                    _ => self.number(-20, 20).to_string(),
                },
                "s" => self.pick(&["0", "(1", "1", "-inf", "+inf", "(2.5", "inf", "-1", "(0", "x"]).into(),
                "l" => self.pick(&["-", "+", "[a", "(a", "[b", "(b", "[aa", "[", "(d", "a"]).into(),
                "o" => match self.random.below(4) {
                    0 => self.number(0, 64).to_string(),
                    1 => self.number(8150, 8250).to_string(),
                    _ => self.number(0, 40_000).to_string(),
                },
                "t" => {
                    let width = self.number(1, 66);
                    format!("{}{width}", self.pick(&["i", "u"]))
                }
                "v" => self.number(-5000, 5000).to_string(),
                "x" => format!("{:.4}", self.number(-1_800_000, 1_800_000) as f64 / 1e4),
                "y" => format!("{:.4}", self.number(-850_000, 850_000) as f64 / 1e4),
                "r" => self.pick(&["0", "1", "100", "1000.5", "3000", "6000", "20000"]).into(),
                "d" => self.id(),
                "(d" => format!("({}", self.id()),
                "d-*" => format!("{}-*", self.number(0, 6)),
                "g" => format!("g{}", self.random.below(2)),
                "c" => format!("c{}", self.random.below(3)),
                "j" => self.pick(&["1", "-2.5", "\"a\"", "true", "null", "[]", "{}", "[1,2,\"a\"]", VALUE]).into(),
                "p" => self.pick(&["$", "$.a", "$.b", "$.*", "$..a", "$.a[0]", "$.b[-1]", "$.a.b"]).into(),
                "u" => self.number(1, 20).to_string(),
                word => match self.pick(&word.split('|').collect::<Vec<_>>()) {
                    "_" => continue,
                    "d" => self.id(),
                    word => word.to_owned(),
                },
            };
            words.push(new);
        }
        words
    }
}

/// The types whose commands meet keys of one another.
const BASIC: [&str; 5] = ["str", "hash", "set", "list", "zset"];
const VALUE: &str = "{\"a\":[1,{\"a\":2}],\"b\":\"text\"}";
