//! What stands at the other ends of the wire: a client, a proxy that counts, a pair of Redis servers.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use crate::common::Failure;

/// A client with one connection.
pub struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    reply: Vec<u8>,
}

impl Client {
    pub fn to(port: u16) -> Result<Client, Failure> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Client { stream, request: Vec::new(), reply: Vec::new() })
    }

    /// Sends a command and gives its reply: a line, or a bulk with its head.
    pub fn call(&mut self, words: &[&str]) -> Result<&[u8], Failure> {
        self.request.clear();
        write!(self.request, "*{}\r\n", words.len())?;
        for word in words {
            write!(self.request, "${}\r\n{word}\r\n", word.len())?;
        }
        self.stream.write_all(&self.request)?;
        self.reply.clear();
        let mut piece = [0; 512];
        loop {
            let read = self.stream.read(&mut piece)?;
            self.reply.extend_from_slice(&piece[..read]);
            let text = std::str::from_utf8(&self.reply).unwrap_or_default();
            let whole = match text.split_once("\r\n") {
                Some((head, rest)) => match head.strip_prefix('$').map(str::parse::<usize>) {
                    Some(Ok(length)) => rest.len() >= length + 2,
                    _ => true,
                },
                // A feed may begin behind the first line, and is no text.
                None => self.reply.starts_with(b"+OK\r\n"),
            };
            if read == 0 || self.reply.starts_with(b"-") {
                return Err(format!("{words:?}: got {}", String::from_utf8_lossy(&self.reply)).into());
            }
            if whole {
                return Ok(&self.reply);
            }
        }
    }

    /// How long it takes from before a SET here to where a GET there shows it.
    pub fn set_until_seen(&mut self, there: &mut Client, value: &str) -> Result<Duration, Failure> {
        let expected = format!("${}\r\n{value}\r\n", value.len());
        let began = Instant::now();
        self.call(&["SET", "seen", value])?;
        while there.call(&["GET", "seen"])? != expected.as_bytes() {}
        Ok(began.elapsed())
    }
}

/// Passes connections on, and counts what the primary sends. It stops to do so when a limit is reached.
pub struct Proxy {
    pub port: u16,
    counted: Arc<Counted>,
}

struct Counted {
    moved: AtomicU64,
    limit: AtomicU64,
    full: Mutex<bool>,
    reached: Condvar,
}

impl Proxy {
    pub fn start(primary: u16) -> Result<Proxy, Failure> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let (full, reached) = (Mutex::new(false), Condvar::new());
        let counted = Arc::new(Counted { moved: AtomicU64::new(0), limit: AtomicU64::new(u64::MAX), full, reached });
        let counts = Arc::clone(&counted);
        std::thread::spawn(move || {
            for replica in listener.incoming().flatten() {
                let Ok(primary) = TcpStream::connect(("127.0.0.1", primary)) else { continue };
                let _ = (replica.set_nodelay(true), primary.set_nodelay(true));
                let (Ok(from), Ok(to)) = (primary.try_clone(), replica.try_clone()) else { continue };
                let counts = Arc::clone(&counts);
                std::thread::spawn(move || pass(from, to, |bytes| counts.add(bytes)));
                std::thread::spawn(move || pass(replica, primary, |_| true));
            }
        });
        Ok(Proxy { port, counted })
    }

    /// Counts from 0, up to a limit.
    pub fn restart(&self, limit: u64) {
        self.counted.moved.store(0, Ordering::SeqCst);
        self.counted.limit.store(limit, Ordering::SeqCst);
        *self.counted.full.lock() = false;
    }

    pub fn moved(&self) -> u64 {
        self.counted.moved.load(Ordering::SeqCst)
    }

    /// Waits until the limit is reached.
    pub fn wait_full(&self) {
        let mut full = self.counted.full.lock();
        while !*full {
            self.counted.reached.wait(&mut full);
        }
    }
}

impl Counted {
    /// Whether so many more may pass.
    fn add(&self, bytes: u64) -> bool {
        let moved = self.moved.fetch_add(bytes, Ordering::SeqCst) + bytes;
        if moved < self.limit.load(Ordering::SeqCst) {
            return true;
        }
        *self.full.lock() = true;
        self.reached.notify_all();
        false
    }
}

/// Passes bytes on until one side ends. What may not pass keeps the connection open, and silent.
fn pass(mut from: TcpStream, mut to: TcpStream, mut may: impl FnMut(u64) -> bool) {
    let mut buffer = vec![0; 256 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(read) if read > 0 => {
                if to.write_all(&buffer[..read]).is_err() {
                    break;
                }
                if !may(read as u64) {
                    // Until the replica has gone.
                    let _ = to.read(&mut [0]);
                    break;
                }
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            _ => break,
        }
    }
    let _ = (from.shutdown(std::net::Shutdown::Both), to.shutdown(std::net::Shutdown::Both));
}

/// A Redis server and its replica, in memory alone.
pub struct RedisPair {
    pub ports: [u16; 2],
    servers: Vec<Child>,
}

impl RedisPair {
    /// `None` when there is no redis-server.
    pub fn start(dir: &Path) -> Result<Option<RedisPair>, Failure> {
        let free = || TcpListener::bind("127.0.0.1:0")?.local_addr().map(|address| address.port());
        let ports = [free()?, free()?];
        let mut pair = RedisPair { ports, servers: Vec::new() };
        for (index, port) in ports.iter().enumerate() {
            let mut command = Command::new("redis-server");
            command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
            command.args(["--repl-diskless-sync-delay", "0"]).arg("--dir").arg(dir).stdout(Stdio::null());
            if index == 1 {
                command.args(["--replicaof", "127.0.0.1", &ports[0].to_string()]);
            }
            match command.spawn() {
                Ok(server) => pair.servers.push(server),
                Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(e.into()),
            }
        }
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let client = Client::to(ports[0]).and_then(|mut client| {
                client.call(&["SET", "begun", "yes"])?;
                Ok(client.call(&["WAIT", "1", "1000"])? == b":1\r\n")
            });
            match client {
                Ok(true) => return Ok(Some(pair)),
                _ if Instant::now() > until => return Err("the pair of Redis servers did not begin".into()),
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }
}

impl Drop for RedisPair {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = (server.kill(), server.wait());
        }
    }
}
