//! A real Kvrocks, where one is named, reads what is written here and goes on with it, and the other way round.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use pumice::{Engine, Options, release};

use crate::redis::reads;
use crate::support::client::{Client, Reply, Served};
use crate::support::commands::{MAIN, Words};
use crate::support::{assert_sound, redis, skipped, wait_until};

struct Kvrocks {
    server: Child,
    socket: PathBuf,
}

impl Kvrocks {
    fn start(program: &Path, data: &Path, scrap: &Path) -> Kvrocks {
        let socket = scrap.join("kvrocks.socket");
        let configuration = scrap.join("kvrocks.conf");
        let lines = format!("unixsocket {}\ndir {}\ndaemonize no\n", socket.display(), data.display());
        fs::write(&configuration, lines + "repl-namespace-enabled yes\nrequirepass rootpw\n").unwrap();
        let server = Command::new(program).arg("-c").arg(&configuration).stdout(Stdio::null()).spawn().unwrap();
        let mut kvrocks = Kvrocks { server, socket };
        wait_until("the server listens", || {
            assert!(kvrocks.server.try_wait().unwrap().is_none(), "the server ended instead of listening");
            UnixStream::connect(&kvrocks.socket).is_ok()
        });
        kvrocks
    }

    fn client(&self) -> Client {
        let mut client = Client::connect(&self.socket);
        assert_eq!(client.say("AUTH rootpw"), Reply::Simple("OK".into()));
        client
    }
}

impl Drop for Kvrocks {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn shown(client: &mut Client) -> Vec<(Vec<String>, Reply)> {
    reads(client).into_iter().map(|read| (read.clone(), client.ask(&read))).collect()
}

/// After random commands a Kvrocks shows of the directory what was shown here, and after random commands of its own it is
/// shown here what it showed: every type, every element, every score.
#[test]
fn there_and_back() {
    let Some(program) = std::env::var_os("PUMICE_KVROCKS") else { return skipped("PUMICE_KVROCKS is not set") };
    let seed = redis::seed();
    let mut words = Words::new(seed, &MAIN);
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut seen = 0;
    let mut before = Vec::new();
    for _ in 0..3 {
        let engine = Engine::open(&data, &Options::default()).unwrap();
        let served = Served::new(engine, None);
        let mut client = served.client();
        let found = shown(&mut client);
        if !before.is_empty() {
            assert_eq!(found, before, "what a Kvrocks left, seed {seed}");
            seen += found.len();
        }
        for _ in 0..2000 {
            client.ask(&words.any().1);
        }
        let ours = shown(&mut client);
        assert_sound(&served.engine);
        served.engine.close().unwrap();
        drop((client, served));
        release(&data).unwrap();

        let mut kvrocks = Kvrocks::start(Path::new(&program), &data, dir.path());
        let mut client = kvrocks.client();
        assert_eq!(shown(&mut client), ours, "what a Kvrocks reads, seed {seed}");
        for _ in 0..500 {
            let command = words.any().1;
            if client.try_ask(&command).is_none() {
                println!("the Kvrocks fell over {command:?}");
                drop(kvrocks);
                kvrocks = Kvrocks::start(Path::new(&program), &data, dir.path());
                client = kvrocks.client();
            }
        }
        before = shown(&mut client);
    }
    assert!(seen >= 40, "{seen}");
}
