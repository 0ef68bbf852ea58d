//! Which commands are served here while a topology governs, in the cluster layout. Kvrocks: cluster.cc CanExecByMySelf.

use super::connection::Connection;
use crate::engine::command::table::{self, Command};
use crate::engine::command::{Answer, Refusal, ok, parse_integer};
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

/// The keys of a command, by its row of the table.
fn keys<'a>(command: &Command, args: &'a [Vec<u8>]) -> impl Iterator<Item = &'a [u8]> {
    let (first, last, step) = command.keys;
    let step = usize::try_from(step).unwrap_or(0).max(1);
    let first = usize::try_from(first).unwrap_or(0);
    let end = usize::try_from(last).map_or_else(
        |_| args.len().saturating_sub(last.unsigned_abs() as usize - 1),
        |last| if first == 0 { 0 } else { last + 1 },
    );
    let fixed = args.get(first..end.min(args.len())).unwrap_or_default().iter().step_by(step);
    let number = COUNTED.iter().find(|(name, _)| *name == command.name).map(|(_, number)| *number);
    let counted = number.and_then(|number| {
        let count = usize::try_from(parse_integer(args.get(number)?).ok()?).ok()?;
        Some(args.get(number + 1..)?.iter().take(count))
    });
    fixed.chain(counted.into_iter().flatten()).map(Vec::as_slice)
}

impl Connection {
    /// Refuses a command on keys that are not this node's, and says whose they are.
    pub fn check_route(&self, command: &Command, args: &[Vec<u8>]) -> Result<(), Refusal> {
        if !self.server().cluster {
            return Ok(());
        }
        let mut slots = keys(command, args).map(slot);
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
        keys(command, &args).map(|key| String::from_utf8_lossy(key).into_owned()).collect()
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
        let counted = |name: &'static str, keys: (i32, i32, i32), words: &str| {
            let command = Command { name, keys, ..*table::find(&[b"ping".to_vec()]).unwrap() };
            let args: Vec<Vec<u8>> = words.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            super::keys(&command, &args).map(|key| String::from_utf8_lossy(key).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(counted("zunion", (0, 0, 0), "zunion 2 a b weights 1 2"), ["a", "b"]);
        assert_eq!(counted("zunionstore", (1, 1, 1), "zunionstore d 2 a b"), ["d", "a", "b"]);
        assert_eq!(counted("blpop", (1, -2, 1), "blpop a b 0"), ["a", "b"]);
        for few in ["zunion", "zunion x a", "zunion -1 a", "zunion 99999999999999999999 a"] {
            assert!(counted("zunion", (0, 0, 0), few).is_empty(), "{few}");
        }
        assert_eq!(counted("zunion", (0, 0, 0), "zunion 9 a"), ["a"]);
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
            "flushdb",
            "hello",
            "info",
            "keys",
            "multi",
            "namespace",
            "ping",
            "psync",
            "pumice",
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
            "time",
            "unwatch",
        ];
        let mut seen = 0;
        for command in table::COMMANDS.iter().filter(|command| command.keys.0 == 0) {
            seen += 1;
            let name = command.name;
            let known = KEYLESS.contains(&name) || COUNTED.iter().any(|(counted, _)| *counted == name);
            assert!(known, "{name}: where are its keys?");
        }
        assert!(seen > 20, "{seen}");
    }
}
