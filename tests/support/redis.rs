//! A Redis, and in what its replies may differ.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::client::{Client, Reply};
use super::{skipped, socket_dir, wait_until};

/// A Redis that ends with the test.
pub struct Redis {
    server: Child,
    pub socket: PathBuf,
    _dir: tempfile::TempDir,
}

impl Redis {
    /// `None`, said aloud, where there is no server, or one whose replies are those of another version.
    pub fn start(dir: &Path) -> Option<Redis> {
        let Ok(version) = Command::new("redis-server").arg("--version").output() else {
            skipped("redis-server is missing; tools/install brings it");
            return None;
        };
        let version = String::from_utf8_lossy(&version.stdout).into_owned();
        if !version.contains("Redis server v=7.") {
            skipped(&format!("got {}, expected Redis 7", version.trim()));
            return None;
        }
        let sockets = socket_dir();
        let socket = sockets.path().join("redis");
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(&socket);
        let server = command.arg("--dir").arg(dir).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let redis = Redis { server, socket, _dir: sockets };
        wait_until("the Redis answers", || UnixStream::connect(&redis.socket).is_ok());
        Some(redis)
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.socket)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Both replies to a command on a basic type without what may differ.
pub fn comparable(words: &[String], mut our: Reply, mut their: Reply) -> (Reply, Reply) {
    if let Some(paired) = unordered(words) {
        (our, their) = (our.sorted(paired), their.sorted(paired));
    }
    // Kvrocks leaves out of which command.
    if let Reply::Error(text) = &mut their
        && text.starts_with("ERR wrong number of arguments")
    {
        text.truncate("ERR wrong number of arguments".len());
    }
    (our, their)
}

/// Whether two replies are numbers that are the same but for how many digits were added: a Redis adds in more digits than a
/// double has, and a Kvrocks in those of a double.
pub fn nearly_same(words: &[String], our: &Reply, their: &Reply) -> bool {
    let (Reply::Bulk(our), Reply::Bulk(their)) = (our, their) else { return false };
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).unwrap().parse::<f64>().unwrap();
    words[0].ends_with("INCRBYFLOAT") && (number(our) / number(their) - 1.0).abs() < 1e-15
}

/// Whether the order of a reply says nothing, and whether it is of pairs.
pub fn unordered(words: &[String]) -> Option<bool> {
    match words[0].as_str() {
        "SMEMBERS" | "SINTER" | "SUNION" | "SDIFF" | "SPOP" | "SRANDMEMBER" | "SSCAN" | "HKEYS" | "HVALS" => {
            Some(false)
        }
        "HGETALL" | "HSCAN" | "ZSCAN" => Some(true),
        "HRANDFIELD" | "ZRANDMEMBER" => Some(words.len() > 3),
        _ => None,
    }
}

/// A reply without what Kvrocks says otherwise than Redis.
pub fn plain(command: &[String], reply: Reply) -> Reply {
    match reply {
        // A consumer comes to be when it asks, here as in Kvrocks and in later versions of Redis.
        Reply::Integer(_) if command[1] == "CREATECONSUMER" => Reply::Nil,
        Reply::Array(groups) if command[0] == "XINFO" => {
            let without = |group| match group {
                Reply::Array(mut parts) | Reply::Map(mut parts) => {
                    parts[3] = Reply::Nil;
                    // How many entries a group has read and has left is an estimate, another one in each version of Redis.
                    parts[9] = Reply::Nil;
                    parts[11] = Reply::Nil;
                    Reply::Array(parts)
                }
                other => other,
            };
            Reply::Array(groups.into_iter().map(without).collect())
        }
        // Of errors, that they are.
        Reply::Error(text) => Reply::Error(text.split(' ').next().unwrap_or_default().to_owned()),
        // Nothing asked for is nothing found.
        Reply::Array(items) if items.is_empty() => Reply::Nil,
        Reply::Null => Reply::Nil,
        other => other,
    }
}
/// A number that the environment sets for tests with random commands: `PUMICE_SEED` repeats a run, `PUMICE_COMMANDS` makes it
/// longer.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().unwrap())
}

/// The seed of this run, said aloud.
pub fn seed() -> u64 {
    let seed = number("PUMICE_SEED").unwrap_or_else(|| std::process::id().into());
    println!("PUMICE_SEED={seed}");
    seed
}
