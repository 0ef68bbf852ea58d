//! A real Redis, to compare with.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::wait_until;

/// A Redis that ends with the test.
pub struct Redis {
    server: Child,
    pub socket: PathBuf,
}

impl Redis {
    /// `None`, said aloud, where there is none.
    pub fn start(dir: &Path) -> Option<Redis> {
        let socket = dir.join("redis");
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]).arg(&socket);
        let Ok(server) = command.arg("--dir").arg(dir).stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
            super::skipped("redis-server is missing; tools/install brings it");
            return None;
        };
        let redis = Redis { server, socket };
        wait_until("the Redis answers", || UnixStream::connect(&redis.socket).is_ok());
        Some(redis)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
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
