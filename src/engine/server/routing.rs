//! Which commands are served here while a topology governs, in the cluster layout. Kvrocks: cluster.cc CanExecByMySelf.

use super::connection::Connection;
use crate::engine::command::table::{self, Command};
use crate::engine::command::transaction::Transaction;
use crate::engine::command::{Answer, Refusal, is, ok, parse_integer};
use crate::engine::format::key::slot;
use crate::engine::topology::routes::Route;

/// Commands that say how many keys follow: where that number stands.
const COUNTED: [(&str, usize); 12] = [
    ("blmpop", 2),
    ("bzmpop", 2),
    ("lmpop", 1),
    ("sintercard", 1),
    ("zdiff", 1),
    ("zdiffstore", 2),
    ("zinter", 1),
    ("zintercard", 1),
    ("zinterstore", 2),
    ("zmpop", 1),
    ("zunion", 1),
    ("zunionstore", 2),
];
/// Commands whose key follows a subcommand.
const BEHIND: [&str; 2] = ["object", "xinfo"];
/// Commands whose first half of what follows the word STREAMS is keys.
const STREAMS: [&str; 2] = ["xread", "xreadgroup"];
/// Commands that may name a key to store into, behind a word.
const STORING: [&str; 3] = ["georadius", "georadiusbymember", "sort"];

/// The keys of a command: those of its row of the table, and those that its words say.
fn keys<'a>(command: &Command, args: &'a [Vec<u8>]) -> Vec<&'a [u8]> {
    let (first, last, step) = command.keys;
    let mut keys: Vec<&[u8]> = Vec::new();
    if let (Ok(first @ 1..), Ok(step @ 1..)) = (usize::try_from(first), usize::try_from(step)) {
        let behind = |last: i32| args.len().checked_sub(last.unsigned_abs() as usize);
        let last =
            usize::try_from(last).ok().or_else(|| behind(last)).map(|last| last.min(args.len().saturating_sub(1)));
        let fixed = last.and_then(|last| args.get(first..=last)).unwrap_or_default();
        keys.extend(fixed.iter().step_by(step).map(Vec::as_slice));
    }
    let named = |names: &[&str]| names.contains(&command.name);
    if let Some((_, number)) = COUNTED.iter().find(|(name, _)| *name == command.name) {
        let count = args.get(*number).and_then(|count| usize::try_from(parse_integer(count).ok()?).ok());
        let counted = args.get(number + 1..).unwrap_or_default();
        keys.extend(counted.iter().take(count.unwrap_or(0)).map(Vec::as_slice));
    } else if named(&BEHIND) {
        keys.extend(args.get(2).map(Vec::as_slice));
    } else if named(&STREAMS) {
        // A group may have that name too.
        let from = if command.name == "xreadgroup" { 4 } else { 1 };
        let place = args.iter().skip(from).position(|arg| is(arg, "streams")).map(|place| place + from + 1);
        let streams = place.and_then(|place| args.get(place..)).unwrap_or_default();
        keys.extend(streams.iter().take(streams.len() / 2).map(Vec::as_slice));
    } else if named(&STORING) {
        let words = args.windows(2).skip(1).filter(|pair| is(&pair[0], "store") || is(&pair[0], "storedist"));
        keys.extend(words.map(|pair| pair[1].as_slice()));
    }
    keys
}

impl Connection {
    /// Refuses a command on keys that are not this node's, and says whose they are; EXEC where a queued command is.
    pub fn check_route(&mut self, command: &Command, args: &[Vec<u8>]) -> Result<(), Refusal> {
        if !self.server().cluster {
            return Ok(());
        }
        if command.name == "exec" {
            let checked = self.transaction.queued().try_for_each(|(command, args)| self.check_keys(command, args));
            return checked.inspect_err(|_| self.transaction = Transaction::default());
        }
        self.check_keys(command, args).inspect_err(|_| self.transaction.spoil())
    }

    fn check_keys(&self, command: &Command, args: &[Vec<u8>]) -> Result<(), Refusal> {
        let mut slots = keys(command, args).into_iter().map(slot);
        let Some(slot) = slots.next() else { return Ok(()) };
        let node = self.node()?;
        let routes = node.instance.routes.load();
        let Some(routes) = &*routes else { return Ok(()) };
        let refused = |text: String| Err(Refusal::Text(text));
        if slots.any(|other| other != slot) {
            return refused("CROSSSLOT Attempted to access keys that don't hash to the same slot".to_owned());
        }
        match routes.find(slot) {
            Route::Here => Ok(()),
            Route::Primary(..) if self.reads_replica && command.flags & table::WRITE == 0 => Ok(()),
            Route::Primary(host, port) | Route::Elsewhere(host, port) => refused(format!("MOVED {slot} {host}:{port}")),
            Route::Nowhere => refused("CLUSTERDOWN Hash slot not served".to_owned()),
        }
    }
}

/// READONLY: this connection reads what a replica has of its primary's slots.
pub fn readonly(connection: &mut Connection, _: &[Vec<u8>]) -> Answer {
    connection.reads_replica = true;
    Ok(ok())
}

/// READWRITE ends that.
pub fn readwrite(connection: &mut Connection, _: &[Vec<u8>]) -> Answer {
    connection.reads_replica = false;
    Ok(ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(words: &str) -> Vec<String> {
        let args: Vec<Vec<u8>> = words.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let command = table::find(&args).unwrap();
        keys(command, &args).into_iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect()
    }

    /// The keys of a command are those that its row of the table says, however few there are.
    #[test]
    fn keys_are_found() {
        assert_eq!(found("get a"), ["a"]);
        assert_eq!(found("set a 1 ex 2"), ["a"]);
        assert_eq!(found("del a b c"), ["a", "b", "c"]);
        assert_eq!(found("mset a 1 b 2 c"), ["a", "b", "c"]);
        for none in ["get", "mset", "ping a", "dbsize scan", "scan 0 match a", "echo a"] {
            assert_eq!(found(none), Vec::<String>::new(), "{none}");
        }
        for (words, expected) in [
            ("zunion 2 a b weights 1 2", "a b"),
            ("zunion 9 a", "a"),
            ("zunionstore d 2 a b", "d a b"),
            ("blmpop 0 2 a b left", "a b"),
            ("blpop a b 0", "a b"),
            ("bitop not a b", "a b"),
            ("json.mset a $ 1 b $ 2", "a b"),
            ("json.mget a b $", "a b"),
            ("object encoding a", "a"),
            ("xinfo stream a full", "a"),
            ("xread count 1 streams a b 0 0", "a b"),
            ("xreadgroup group streams c streams a >", "a"),
            ("sort a by b store c", "a c"),
            ("georadius a 0 0 1 km store b storedist c", "a b c"),
            ("geosearchstore a b fromlonlat 0 0 byradius 1 km", "a b"),
        ] {
            assert_eq!(found(words).join(" "), expected, "{words}");
        }
        for few in ["zunion", "zunion x a", "zunion -1 a", "zunion 99999999999999999999 a", "xread streams a", "object"]
        {
            assert!(found(few).is_empty(), "{few}");
        }
    }

    /// A command without keys in its row has none: one that were forgotten would be served on every node.
    #[test]
    fn commands_without_keys() {
        const KEYLESS: &[&str] = &[
            "_db_name",
            "_fetch_file",
            "_fetch_meta",
            "auth",
            "client",
            "cluster",
            "clusterx",
            "command",
            "config",
            "dbsize",
            "discard",
            "echo",
            "exec",
            "flushall",
            "flushdb",
            "hello",
            "info",
            "keys",
            "multi",
            "namespace",
            "ping",
            "psubscribe",
            "psync",
            "publish",
            "pubsub",
            "pumice",
            "punsubscribe",
            "quit",
            "randomkey",
            "readonly",
            "readwrite",
            "replconf",
            "replicaof",
            "reset",
            "role",
            "scan",
            "select",
            "slaveof",
            "subscribe",
            "time",
            "unsubscribe",
            "unwatch",
        ];
        let mut seen = 0;
        for command in table::COMMANDS.iter().filter(|command| command.keys.0 == 0) {
            seen += 1;
            let name = command.name;
            let known = KEYLESS.contains(&name) || BEHIND.contains(&name) || STREAMS.contains(&name);
            let known = known || COUNTED.iter().any(|(counted, _)| *counted == name);
            assert!(known, "{name}: where are its keys?");
        }
        assert!(seen > 20, "{seen}");
    }
}
