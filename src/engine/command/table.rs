//! The table of commands, and COMMAND, which shows it.

use super::super::server::connection::Connection;
use super::super::server::{client, routing, session, subscription};
use super::transaction::{self, Transaction};
use super::{
    Answer, Attempt, Context, Refusal, bits, blocking, blooms, bulk, cluster, clusterx, config, dumps, error, general,
    geo, hashes, hyperloglogs, info, integer, is, jsons, keys, lists, namespaces, parse_integer, pubsub, replication,
    scan, sets, sort, sorted_ints, sorted_sets, stream_groups, streams, strings,
};
use crate::engine::format::resp::Reply;

/// One command.
pub struct Command {
    /// Its name, in lower case.
    pub name: &'static str,
    /// The number of arguments with the name among them; negative for at least so many.
    pub arity: i32,
    /// The sum of its flags.
    pub flags: u32,
    /// Where its keys are: the first, the last (-1 for the last argument, -2 for the one before) and the step; zeros for none.
    pub keys: (i32, i32, i32),
    pub run: Run,
}

/// How a command is run.
#[derive(Clone, Copy)]
pub enum Run {
    /// On the data of an engine, wherever it came from. In a transaction that is under the commit lock, which what it does must not take again: it reads and writes by its
    /// context, or is `NO_MULTI`.
    Data(fn(&Context<'_>, &[Vec<u8>]) -> Answer),
    /// As `Data`, and it may have to wait.
    Waiting(fn(&Context<'_>, &[Vec<u8>]) -> Result<Attempt, Refusal>),
    /// On what the client has begun.
    Transaction(fn(&mut Transaction, &Context<'_>, &[Vec<u8>]) -> Answer),
    /// On the connection that it came by.
    Connection(fn(&mut Connection, &[Vec<u8>]) -> Answer),
    /// By the primary's side of replication.
    Peer,
}

/// It changes data.
pub const WRITE: u32 = 1;
/// It only reads.
pub const READ: u32 = 2;
/// Only an admin may.
pub const ADMIN: u32 = 4;
/// It is answered before the caller has said who they are.
pub const NO_AUTH: u32 = 8;

/// It cannot be a part of a transaction.
pub const NO_MULTI: u32 = 16;

/// It is not done together with the writes of a pipeline: it may read only, or be told to who wants to hear of each.
pub const ALONE: u32 = 32;

/// It takes a moment whatever the data: connections that ask for nothing else share threads.
pub const QUICK: u32 = 64;

const FLAG_NAMES: [(u32, &str); 5] =
    [(WRITE, "write"), (READ, "readonly"), (ADMIN, "admin"), (NO_AUTH, "no_auth"), (NO_MULTI, "no-multi")];

const fn data(
    name: &'static str,
    arity: i32,
    flags: u32,
    keys: (i32, i32, i32),
    run: fn(&Context<'_>, &[Vec<u8>]) -> Answer,
) -> Command {
    Command { name, arity, flags, keys, run: Run::Data(run) }
}

const fn own(name: &'static str, arity: i32, flags: u32, run: fn(&mut Connection, &[Vec<u8>]) -> Answer) -> Command {
    Command { name, arity, flags, keys: NONE, run: Run::Connection(run) }
}

const fn waiting(
    name: &'static str,
    arity: i32,
    flags: u32,
    keys: (i32, i32, i32),
    run: fn(&Context<'_>, &[Vec<u8>]) -> Result<Attempt, Refusal>,
) -> Command {
    Command { name, arity, flags, keys, run: Run::Waiting(run) }
}

const fn transaction(
    name: &'static str,
    arity: i32,
    keys: (i32, i32, i32),
    run: fn(&mut Transaction, &Context<'_>, &[Vec<u8>]) -> Answer,
) -> Command {
    Command { name, arity, flags: READ, keys, run: Run::Transaction(run) }
}

const fn peer(name: &'static str, arity: i32) -> Command {
    Command { name, arity, flags: READ | ADMIN | NO_MULTI, keys: NONE, run: Run::Peer }
}

const NONE: (i32, i32, i32) = (0, 0, 0);
const ONE: (i32, i32, i32) = (1, 1, 1);
const ALL: (i32, i32, i32) = (1, -1, 1);

/// All commands, in the order of their names.
pub static COMMANDS: &[Command] = &[
    peer("_db_name", 1),
    peer("_fetch_file", 2),
    peer("_fetch_meta", 1),
    data("append", 3, WRITE | QUICK, ONE, strings::append),
    own("auth", -2, READ | NO_AUTH | NO_MULTI | QUICK, session::auth),
    data("bf.add", 3, WRITE, ONE, blooms::add),
    data("bf.card", 2, READ, ONE, blooms::card),
    data("bf.exists", 3, READ, ONE, blooms::exists),
    data("bf.info", -2, READ, ONE, blooms::info),
    data("bf.insert", -4, WRITE, ONE, blooms::insert),
    data("bf.madd", -3, WRITE, ONE, blooms::add),
    data("bf.mexists", -3, READ, ONE, blooms::exists),
    data("bf.reserve", -4, WRITE, ONE, blooms::reserve),
    data("bitcount", -2, READ, ONE, bits::bitcount),
    data("bitfield", -2, WRITE | ALONE, ONE, bits::bitfield),
    data("bitfield_ro", -2, READ, ONE, bits::bitfield),
    data("bitop", -4, WRITE, (2, -1, 1), bits::bitop),
    data("bitpos", -3, READ, ONE, bits::bitpos),
    waiting("blmove", 6, WRITE, (1, 2, 1), blocking::list_move),
    waiting("blmpop", -5, WRITE, NONE, blocking::list_pop_some),
    waiting("blpop", -3, WRITE, (1, -2, 1), blocking::list_pop),
    waiting("brpop", -3, WRITE, (1, -2, 1), blocking::list_pop),
    waiting("brpoplpush", 4, WRITE, (1, 2, 1), blocking::list_move),
    waiting("bzmpop", -5, WRITE, NONE, blocking::sorted_set_pop_some),
    waiting("bzpopmax", -3, WRITE, (1, -2, 1), blocking::sorted_set_pop),
    waiting("bzpopmin", -3, WRITE, (1, -2, 1), blocking::sorted_set_pop),
    own("client", -2, READ | NO_MULTI | QUICK, client::client),
    own("cluster", -2, READ | ADMIN | NO_MULTI, cluster::cluster),
    own("clusterx", -2, READ | ADMIN | NO_MULTI, clusterx::clusterx),
    data("command", -1, READ, NONE, command),
    data("config", -2, READ | ADMIN | NO_MULTI, NONE, config::config),
    data("copy", -3, WRITE, (1, 2, 1), keys::copy),
    data("dbsize", -1, READ, NONE, keys::dbsize),
    data("decr", 2, WRITE | QUICK, ONE, strings::incrby),
    data("decrby", 3, WRITE | QUICK, ONE, strings::incrby),
    data("del", -2, WRITE | QUICK, ALL, keys::del),
    transaction("discard", 1, NONE, transaction::discard),
    data("dump", 2, READ, ONE, dumps::dump),
    data("echo", 2, READ | QUICK, NONE, general::echo),
    transaction("exec", 1, NONE, transaction::exec),
    data("exists", -2, READ | QUICK, ALL, keys::exists),
    data("expire", -3, WRITE | QUICK, ONE, keys::expire),
    data("expireat", -3, WRITE | QUICK, ONE, keys::expire),
    data("expiretime", 2, READ | QUICK, ONE, keys::expiretime),
    data("flushall", -1, WRITE | ADMIN | NO_MULTI, NONE, keys::flushall),
    data("flushdb", -1, WRITE, NONE, keys::flushdb),
    data("geoadd", -5, WRITE, ONE, geo::geoadd),
    data("geodist", -4, READ, ONE, geo::geodist),
    data("geohash", -3, READ, ONE, geo::geohash),
    data("geopos", -3, READ, ONE, geo::geopos),
    data("georadius", -6, WRITE | ALONE, ONE, geo::georadius),
    data("georadius_ro", -6, READ, ONE, geo::georadius),
    data("georadiusbymember", -5, WRITE | ALONE, ONE, geo::georadius),
    data("georadiusbymember_ro", -5, READ, ONE, geo::georadius),
    data("geosearch", -7, READ, ONE, geo::geosearch),
    data("geosearchstore", -8, WRITE, (1, 2, 1), geo::geosearch),
    data("get", 2, READ | QUICK, ONE, strings::get),
    data("getbit", 3, READ | QUICK, ONE, bits::getbit),
    data("getdel", 2, WRITE | QUICK, ONE, strings::getdel),
    data("getex", -2, WRITE | ALONE | QUICK, ONE, strings::getex),
    data("getrange", 4, READ | QUICK, ONE, strings::getrange),
    data("getset", 3, WRITE | QUICK, ONE, strings::getset),
    data("hdel", -3, WRITE | QUICK, ONE, hashes::hdel),
    own("hello", -1, READ | NO_AUTH | NO_MULTI | QUICK, session::hello),
    data("hexists", 3, READ | QUICK, ONE, hashes::hexists),
    data("hget", 3, READ | QUICK, ONE, hashes::hget),
    data("hgetall", 2, READ, ONE, hashes::hgetall),
    data("hincrby", 4, WRITE | QUICK, ONE, hashes::hincrby),
    data("hincrbyfloat", 4, WRITE | QUICK, ONE, hashes::hincrbyfloat),
    data("hkeys", 2, READ, ONE, hashes::hgetall),
    data("hlen", 2, READ | QUICK, ONE, hashes::hlen),
    data("hmget", -3, READ | QUICK, ONE, hashes::hmget),
    data("hmset", -4, WRITE | QUICK, ONE, hashes::hset),
    data("hrandfield", -2, READ, ONE, hashes::hrandfield),
    data("hrangebylex", -4, READ, ONE, hashes::hrangebylex),
    data("hscan", -3, READ, ONE, hashes::hscan),
    data("hset", -4, WRITE | QUICK, ONE, hashes::hset),
    data("hsetnx", 4, WRITE | QUICK, ONE, hashes::hsetnx),
    data("hstrlen", 3, READ | QUICK, ONE, hashes::hstrlen),
    data("hvals", 2, READ, ONE, hashes::hgetall),
    data("incr", 2, WRITE | QUICK, ONE, strings::incrby),
    data("incrby", 3, WRITE | QUICK, ONE, strings::incrby),
    data("incrbyfloat", 3, WRITE | QUICK, ONE, strings::incrbyfloat),
    data("info", -1, READ | NO_MULTI, NONE, info::info),
    data("json.arrappend", -4, WRITE, ONE, jsons::arrappend),
    data("json.arrindex", -4, READ, ONE, jsons::arrindex),
    data("json.arrinsert", -5, WRITE, ONE, jsons::arrinsert),
    data("json.arrlen", -2, READ, ONE, jsons::arrlen),
    data("json.arrpop", -2, WRITE, ONE, jsons::arrpop),
    data("json.arrtrim", 5, WRITE, ONE, jsons::arrtrim),
    data("json.clear", -2, WRITE, ONE, jsons::clear),
    data("json.debug", -3, READ, (2, 2, 1), jsons::debug),
    data("json.del", -2, WRITE, ONE, jsons::del),
    data("json.forget", -2, WRITE, ONE, jsons::del),
    data("json.get", -2, READ, ONE, jsons::get),
    data("json.info", 2, READ, ONE, jsons::info),
    data("json.merge", 4, WRITE, ONE, jsons::merge),
    data("json.mget", -3, READ, (1, -2, 1), jsons::mget),
    data("json.mset", -4, WRITE, (1, -3, 3), jsons::mset),
    data("json.numincrby", 4, WRITE, ONE, jsons::calculate),
    data("json.nummultby", 4, WRITE, ONE, jsons::calculate),
    data("json.objkeys", -2, READ, ONE, jsons::objkeys),
    data("json.objlen", -2, READ, ONE, jsons::objlen),
    data("json.resp", -2, READ, ONE, jsons::resp_of),
    data("json.set", 4, WRITE, ONE, jsons::set),
    data("json.strappend", -3, WRITE, ONE, jsons::strappend),
    data("json.strlen", -2, READ, ONE, jsons::strlen),
    data("json.toggle", -2, WRITE, ONE, jsons::toggle),
    data("json.type", -2, READ, ONE, jsons::kind),
    data("keys", 2, READ, NONE, scan::keys),
    data("lindex", 3, READ | QUICK, ONE, lists::lindex),
    data("linsert", 5, WRITE, ONE, lists::linsert),
    data("llen", 2, READ | QUICK, ONE, lists::llen),
    data("lmove", 5, WRITE, (1, 2, 1), lists::lmove),
    data("lmpop", -4, WRITE, NONE, lists::lmpop),
    data("lpop", -2, WRITE | QUICK, ONE, lists::pop),
    data("lpos", -3, READ, ONE, lists::lpos),
    data("lpush", -3, WRITE | QUICK, ONE, lists::push),
    data("lpushx", -3, WRITE | QUICK, ONE, lists::push),
    data("lrange", 4, READ | QUICK, ONE, lists::lrange),
    data("lrem", 4, WRITE, ONE, lists::lrem),
    data("lset", 4, WRITE | QUICK, ONE, lists::lset),
    data("ltrim", 4, WRITE, ONE, lists::ltrim),
    data("mget", -2, READ | QUICK, ALL, strings::mget),
    data("move", 3, WRITE | ALONE, ONE, keys::move_nowhere),
    data("movex", 3, WRITE, ONE, keys::movex),
    data("mset", -3, WRITE | QUICK, (1, -1, 2), strings::mset),
    data("msetnx", -3, WRITE | QUICK, (1, -1, 2), strings::msetnx),
    transaction("multi", 1, NONE, transaction::multi),
    data("namespace", -2, READ | NO_MULTI, NONE, namespaces::namespace),
    data("object", -2, READ, NONE, keys::object),
    data("persist", 2, WRITE | QUICK, ONE, keys::persist),
    data("pexpire", -3, WRITE | QUICK, ONE, keys::expire),
    data("pexpireat", -3, WRITE | QUICK, ONE, keys::expire),
    data("pexpiretime", 2, READ | QUICK, ONE, keys::expiretime),
    data("pfadd", -2, WRITE, ONE, hyperloglogs::pfadd),
    data("pfcount", -2, READ, ALL, hyperloglogs::pfcount),
    data("pfmerge", -2, WRITE, ALL, hyperloglogs::pfmerge),
    data("ping", -1, READ | QUICK, NONE, general::ping),
    data("psetex", 4, WRITE | QUICK, ONE, strings::setex),
    own("psubscribe", -2, READ | NO_MULTI, subscription::subscribe),
    peer("psync", -2),
    data("pttl", 2, READ | QUICK, ONE, keys::ttl),
    data("publish", 3, WRITE | ALONE, NONE, pubsub::publish),
    data("pubsub", -2, READ, NONE, pubsub::pubsub),
    peer("pumice", -2),
    own("punsubscribe", -1, READ | NO_MULTI, subscription::unsubscribe),
    own("quit", -1, READ | NO_AUTH | QUICK, session::quit),
    data("randomkey", 1, READ, NONE, keys::randomkey),
    own("readonly", 1, READ | NO_MULTI | QUICK, routing::readonly),
    own("readwrite", 1, READ | NO_MULTI | QUICK, routing::readwrite),
    data("rename", 3, WRITE, (1, 2, 1), keys::rename),
    data("renamenx", 3, WRITE, (1, 2, 1), keys::rename),
    peer("replconf", -3),
    data("replicaof", 3, READ | ADMIN | NO_MULTI, NONE, replication::replicaof),
    own("reset", 1, READ | NO_AUTH | QUICK, session::reset),
    data("restore", -4, WRITE, ONE, dumps::restore),
    data("role", 1, READ | NO_MULTI, NONE, replication::role),
    data("rpop", -2, WRITE | QUICK, ONE, lists::pop),
    data("rpoplpush", 3, WRITE, (1, 2, 1), lists::lmove),
    data("rpush", -3, WRITE | QUICK, ONE, lists::push),
    data("rpushx", -3, WRITE | QUICK, ONE, lists::push),
    data("sadd", -3, WRITE | QUICK, ONE, sets::sadd),
    data("scan", -2, READ, NONE, scan::scan),
    data("scard", 2, READ | QUICK, ONE, sets::scard),
    data("sdiff", -2, READ, ALL, sets::sinter),
    data("sdiffstore", -3, WRITE, ALL, sets::sinterstore),
    data("select", 2, READ | QUICK, NONE, general::select),
    data("set", -3, WRITE | QUICK, ONE, strings::set),
    data("setbit", 4, WRITE | QUICK, ONE, bits::setbit),
    data("setex", 4, WRITE | QUICK, ONE, strings::setex),
    data("setnx", 3, WRITE | QUICK, ONE, strings::setnx),
    data("setrange", 4, WRITE | QUICK, ONE, strings::setrange),
    data("siadd", -3, WRITE, ONE, sorted_ints::siadd),
    data("sicard", 2, READ, ONE, sorted_ints::sicard),
    data("siexists", -3, READ, ONE, sorted_ints::siexists),
    data("sinter", -2, READ, ALL, sets::sinter),
    data("sintercard", -3, READ, NONE, sets::sintercard),
    data("sinterstore", -3, WRITE, ALL, sets::sinterstore),
    data("sirange", -4, READ, ONE, sorted_ints::sirange),
    data("sirangebyvalue", -4, READ, ONE, sorted_ints::sirangebyvalue),
    data("sirem", -3, WRITE, ONE, sorted_ints::sirem),
    data("sirevrange", -4, READ, ONE, sorted_ints::sirange),
    data("sirevrangebyvalue", -4, READ, ONE, sorted_ints::sirangebyvalue),
    data("sismember", 3, READ | QUICK, ONE, sets::sismember),
    data("slaveof", 3, READ | ADMIN | NO_MULTI, NONE, replication::replicaof),
    data("smembers", 2, READ, ONE, sets::smembers),
    data("smismember", -3, READ | QUICK, ONE, sets::smismember),
    data("smove", 4, WRITE, (1, 2, 1), sets::smove),
    data("sort", -2, WRITE | ALONE, ONE, sort::sort),
    data("sort_ro", -2, READ, ONE, sort::sort),
    data("spop", -2, WRITE, ONE, sets::spop),
    data("srandmember", -2, READ, ONE, sets::srandmember),
    data("srem", -3, WRITE | QUICK, ONE, sets::srem),
    data("sscan", -3, READ, ONE, sets::sscan),
    data("strlen", 2, READ | QUICK, ONE, strings::strlen),
    own("subscribe", -2, READ | NO_MULTI, subscription::subscribe),
    data("substr", 4, READ | QUICK, ONE, strings::getrange),
    data("sunion", -2, READ, ALL, sets::sinter),
    data("sunionstore", -3, WRITE, ALL, sets::sinterstore),
    data("time", 1, READ, NONE, general::time),
    data("touch", -2, READ | QUICK, ALL, keys::exists),
    data("ttl", 2, READ | QUICK, ONE, keys::ttl),
    data("type", 2, READ | QUICK, ONE, keys::kind),
    data("unlink", -2, WRITE | QUICK, ALL, keys::del),
    own("unsubscribe", -1, READ | NO_MULTI, subscription::unsubscribe),
    transaction("unwatch", 1, NONE, transaction::unwatch),
    transaction("watch", -2, ALL, transaction::watch),
    data("xack", -4, WRITE, ONE, stream_groups::xack),
    data("xadd", -5, WRITE | QUICK, ONE, streams::xadd),
    data("xautoclaim", -6, WRITE, ONE, stream_groups::xautoclaim),
    data("xclaim", -6, WRITE, ONE, stream_groups::xclaim),
    data("xdel", -3, WRITE, ONE, streams::xdel),
    data("xgroup", -4, WRITE, (2, 2, 1), stream_groups::xgroup),
    data("xinfo", -2, READ, NONE, stream_groups::xinfo),
    data("xlen", -2, READ | QUICK, ONE, streams::xlen),
    data("xpending", -3, READ, ONE, stream_groups::xpending),
    data("xrange", -4, READ, ONE, streams::xrange),
    waiting("xread", -4, READ, NONE, streams::xread),
    waiting("xreadgroup", -7, WRITE, NONE, stream_groups::xreadgroup),
    data("xrevrange", -4, READ, ONE, streams::xrange),
    data("xsetid", -3, WRITE, ONE, streams::xsetid),
    data("xtrim", -4, WRITE, ONE, streams::xtrim),
    data("zadd", -4, WRITE | QUICK, ONE, sorted_sets::zadd),
    data("zcard", 2, READ | QUICK, ONE, sorted_sets::zcard),
    data("zcount", 4, READ, ONE, sorted_sets::zcount),
    data("zdiff", -3, READ, NONE, sorted_sets::zunion),
    data("zdiffstore", -4, WRITE, ONE, sorted_sets::zunionstore),
    data("zincrby", 4, WRITE | QUICK, ONE, sorted_sets::zincrby),
    data("zinter", -3, READ, NONE, sorted_sets::zunion),
    data("zintercard", -3, READ, NONE, sets::sintercard),
    data("zinterstore", -4, WRITE, ONE, sorted_sets::zunionstore),
    data("zlexcount", 4, READ, ONE, sorted_sets::zcount),
    data("zmpop", -4, WRITE, NONE, sorted_sets::zmpop),
    data("zmscore", -3, READ | QUICK, ONE, sorted_sets::zmscore),
    data("zpopmax", -2, WRITE, ONE, sorted_sets::zpop),
    data("zpopmin", -2, WRITE, ONE, sorted_sets::zpop),
    data("zrandmember", -2, READ, ONE, sorted_sets::zrandmember),
    data("zrange", -4, READ, ONE, sorted_sets::zrange),
    data("zrangebylex", -4, READ, ONE, sorted_sets::zrange),
    data("zrangebyscore", -4, READ, ONE, sorted_sets::zrange),
    data("zrangestore", -5, WRITE, (1, 2, 1), sorted_sets::zrangestore),
    data("zrank", -3, READ, ONE, sorted_sets::zrank),
    data("zrem", -3, WRITE | QUICK, ONE, sorted_sets::zrem),
    data("zremrangebylex", 4, WRITE, ONE, sorted_sets::zremrange),
    data("zremrangebyrank", 4, WRITE, ONE, sorted_sets::zremrange),
    data("zremrangebyscore", 4, WRITE, ONE, sorted_sets::zremrange),
    data("zrevrange", -4, READ, ONE, sorted_sets::zrange),
    data("zrevrangebylex", -4, READ, ONE, sorted_sets::zrange),
    data("zrevrangebyscore", -4, READ, ONE, sorted_sets::zrange),
    data("zrevrank", -3, READ, ONE, sorted_sets::zrank),
    data("zscan", -3, READ, ONE, sorted_sets::zscan),
    data("zscore", 3, READ | QUICK, ONE, sorted_sets::zscore),
    data("zunion", -3, READ, NONE, sorted_sets::zunion),
    data("zunionstore", -4, WRITE, ONE, sorted_sets::zunionstore),
];

/// The command that the first argument names.
pub fn find(args: &[Vec<u8>]) -> Result<&'static Command, Refusal> {
    let name = args.first().map_or(&[][..], Vec::as_slice);
    by_name(name).ok_or_else(|| unknown(name, args.get(1..).unwrap_or_default()))
}

fn by_name(name: &[u8]) -> Option<&'static Command> {
    let lower = || name.iter().map(u8::to_ascii_lowercase);
    let place = COMMANDS.binary_search_by(|command| command.name.bytes().cmp(lower())).ok()?;
    COMMANDS.get(place)
}

fn unknown(name: &[u8], args: &[Vec<u8>]) -> Refusal {
    /// How much of a stranger's bytes goes back to them.
    const MOST: usize = 128;
    let cut = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(MOST)]).into_owned();
    let args: Vec<String> = args.iter().take(4).map(|arg| format!("`{}`", cut(arg))).collect();
    error(format_args!("unknown command `{}`, with args beginning with: {}", cut(name), args.join(", ")))
}

impl Command {
    /// Whether it takes a moment with these arguments, too.
    pub fn is_quick(&self, args: &[Vec<u8>]) -> bool {
        /// The most words of a request and bytes of them, and elements of its reply.
        const MOST_WORDS: usize = 256;
        const MOST_BYTES: usize = 64 << 10;
        const MOST_ELEMENTS: i64 = 1024;
        let is_short = || match self.name {
            // With more they count.
            "lpop" | "rpop" | "xlen" => args.len() == 2,
            "lrange" => match args {
                [_, _, first, last] => matches!(
                    (parse_integer(first), parse_integer(last)),
                    (Ok(first), Ok(last)) if (first < 0) == (last < 0) && last.saturating_sub(first) < MOST_ELEMENTS
                ),
                _ => true,
            },
            // What is before it is made, too.
            "setrange" => args.get(2).is_some_and(|offset| offset.len() <= 5),
            // With MAXLEN it may have much to trim.
            "xadd" => args.get(2).is_some_and(|id| !id.first().is_some_and(u8::is_ascii_alphabetic)),
            _ => true,
        };
        let few = || args.len() <= MOST_WORDS && args.iter().map(Vec::len).sum::<usize>() <= MOST_BYTES;
        self.flags & QUICK != 0 && few() && is_short()
    }

    fn describe(&self) -> Reply {
        let flags = FLAG_NAMES.iter().filter(|(flag, _)| self.flags & flag != 0);
        let (first, last, step) = self.keys;
        Reply::Array(vec![
            bulk(self.name),
            Reply::Integer(self.arity.into()),
            Reply::Set(flags.map(|(_, name)| Reply::Simple((*name).into())).collect()),
            Reply::Integer(first.into()),
            Reply::Integer(last.into()),
            Reply::Integer(step.into()),
            // Categories of rights, of which there are none.
            Reply::Set(Vec::new()),
        ])
    }
}

fn command(_: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    let Some(subcommand) = args.get(1) else {
        return Ok(Reply::Array(COMMANDS.iter().map(Command::describe).collect()));
    };
    if is(subcommand, "count") && args.len() == 2 {
        Ok(integer(COMMANDS.len() as u64))
    } else if is(subcommand, "info") {
        const MOST: usize = 1024;
        let named = args.get(2..).unwrap_or_default();
        if named.len() > MOST {
            return Err(error(format_args!("COMMAND INFO: got {} names, expected at most {MOST}", named.len())));
        }
        let shown = named.iter().map(|name| by_name(name).map_or(Reply::NilArray, Command::describe));
        Ok(Reply::Array(shown.collect()))
    } else if is(subcommand, "docs") {
        Ok(Reply::Map(Vec::new()))
    } else {
        Err(error("Command subcommand must be one of COUNT, DOCS, INFO"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What may take long has no place on a thread that connections share.
    #[test]
    fn quick() {
        let is_quick = |line: &str| {
            let args: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            find(&args).unwrap().is_quick(&args)
        };
        for line in [
            "GET a",
            "set a 1",
            "LPUSH l 1",
            "HSET h f v",
            "ZADD z 1 m",
            "LRANGE l 0 99",
            "LRANGE l -100 -1",
            "LPOP l",
            "XLEN s",
            "XADD s * f v",
            "SETRANGE a 99999 x",
            "DEL a b c",
            "AUTH p",
            "HELLO 3",
            "CLIENT ID",
            "PING",
        ] {
            assert!(is_quick(line), "{line}");
        }
        for line in [
            "KEYS *",
            "SCAN 0",
            "LRANGE l 0 -1",
            "LRANGE l 0 1024",
            "LRANGE l x y",
            "LPOP l 10",
            "XLEN s 0-0",
            "ZPOPMIN z",
            "XADD s MAXLEN 1 * f v",
            "SETRANGE a 100000 x",
            "BLPOP l 0",
            "MULTI",
            "EXEC",
            "WATCH a",
            "SUBSCRIBE c",
            "PSYNC",
            "SMEMBERS s",
            "HGETALL h",
            "ZRANGE z 0 1",
            "SORT l",
            "FLUSHDB",
            "INFO",
            "XREAD BLOCK 0 STREAMS s 0",
            "LREM l 0 x",
        ] {
            assert!(!is_quick(line), "{line}");
        }
        assert!(!is_quick(&format!("MGET {}", "k ".repeat(300))));
        assert!(!is_quick(&format!("SET k {}", "v".repeat(70_000))));
    }

    /// The table is in the order of names, which looking up relies on, and each row can be.
    #[test]
    fn the_table_is_in_order() {
        assert!(COMMANDS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for command in COMMANDS {
            assert!(command.arity != 0 && command.name == command.name.to_ascii_lowercase(), "{}", command.name);
            let (first, last, step) = command.keys;
            assert_eq!(first == 0, step == 0, "{}", command.name);
            assert!(last < 0 || (first..command.arity.abs()).contains(&last) || first == 0, "{}", command.name);
        }
        assert_eq!(find(&[b"GeT".to_vec()]).unwrap().name, "get");
    }

    /// An unknown command is told what was understood of it, and no more of it than a little.
    #[test]
    fn unknown_commands() {
        let said = |args: &[&[u8]]| {
            let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.to_vec()).collect();
            let Reply::Error(text) = find(&args).err().unwrap().reply() else { panic!("no error") };
            text
        };
        assert_eq!(said(&[b"nope", b"a", b"b"]), "ERR unknown command `nope`, with args beginning with: `a`, `b`");
        assert!(said(&[&[b'x'; 100_000], &[b'y'; 100_000]]).len() < 400);
    }
}
