//! What stands between a replica and its primary: connections that break, stall, and are counted.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::Random;

/// What happens to one connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fault {
    /// After so many bytes for the replica it breaks.
    pub cut: Option<usize>,
    /// Each piece is at most that long, and comes after a moment.
    pub piece: Option<usize>,
}

/// A port that leads to a primary.
pub struct Proxy {
    pub port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    target: AtomicU16,
    closed: AtomicBool,
    /// Whether the primary is to look like a Kvrocks.
    kvrocks: AtomicBool,
    stalled: AtomicBool,
    to_replica: AtomicU64,
    connections: AtomicU64,
    asked: Mutex<Vec<u8>>,
    faults: Mutex<VecDeque<Fault>>,
    random: Mutex<Option<(Random, usize)>>,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    pub fn to(target: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State { target: AtomicU16::new(target), ..State::default() });
        let accepting = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepting.closed.load(Ordering::Relaxed) {
                    return;
                }
                accepting.connections.fetch_add(1, Ordering::Relaxed);
                let fault = accepting.next_fault();
                let Ok(server) = TcpStream::connect(("127.0.0.1", accepting.target.load(Ordering::Relaxed))) else {
                    continue;
                };
                accepting.open.lock().unwrap().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                let [up, down] = [Arc::clone(&accepting), Arc::clone(&accepting)];
                let (from_client, to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                std::thread::spawn(move || up.copy_up(from_client, to_server));
                std::thread::spawn(move || down.copy_down(server, client, fault));
            }
        });
        Proxy { port, state }
    }

    /// Leads to another primary from now on; connections that stand go on.
    pub fn lead_to(&self, target: u16) {
        self.state.target.store(target, Ordering::Relaxed);
    }

    /// Has the primary look like a Kvrocks: it does not know our dialect.
    pub fn like_kvrocks(self) -> Proxy {
        self.state.kvrocks.store(true, Ordering::Relaxed);
        self
    }

    /// What happens to the next connections, one after the other.
    pub fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.faults.lock().unwrap().extend(faults);
    }

    /// Cuts every connection after at most `most` bytes, and delays some; `None` ends that.
    pub fn random(&self, random: Option<(Random, usize)>) {
        *self.state.random.lock().unwrap() = random;
    }

    /// Lets no byte through to replicas, or all again.
    pub fn stall(&self, stalled: bool) {
        self.state.stalled.store(stalled, Ordering::Relaxed);
    }

    /// Breaks all connections.
    pub fn cut(&self) {
        self.state.open.lock().unwrap().drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }

    /// Bytes that went to replicas.
    pub fn moved(&self) -> u64 {
        self.state.to_replica.load(Ordering::Relaxed)
    }

    /// How many connections were made.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// What replicas asked for: all their words in order, without the heads.
    pub fn asked(&self) -> Vec<String> {
        let asked = self.state.asked.lock().unwrap();
        let text = String::from_utf8_lossy(&asked).into_owned();
        text.split("\r\n").filter(|word| !word.starts_with(['*', '$'])).map(str::to_owned).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.closed.store(true, Ordering::Relaxed);
        self.stall(false);
        self.cut();
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl State {
    fn next_fault(&self) -> Fault {
        if let Some(fault) = self.faults.lock().unwrap().pop_front() {
            return fault;
        }
        match &mut *self.random.lock().unwrap() {
            None => Fault::default(),
            Some((random, most)) => {
                Fault { cut: Some(random.below(*most)), piece: (random.below(4) == 0).then(|| 1 + random.below(5000)) }
            }
        }
    }

    fn copy_up(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read) = from.read(&mut buffer)
            && read > 0
        {
            let bytes = &buffer[..read];
            self.asked.lock().unwrap().extend_from_slice(bytes);
            let greets = bytes.windows(14).any(|words| words == b"$6\r\npumice\r\n$1");
            let done = if greets && self.kvrocks.load(Ordering::Relaxed) {
                from.write_all(b"-ERR unknown option\r\n")
            } else {
                to.write_all(bytes)
            };
            if done.is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }

    fn copy_down(&self, mut from: TcpStream, mut to: TcpStream, fault: Fault) {
        let mut buffer = vec![0; fault.piece.unwrap_or(64 << 10)];
        let mut left = fault.cut.unwrap_or(usize::MAX);
        while let Ok(read) = from.read(&mut buffer)
            && read > 0
        {
            while self.stalled.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
            if fault.piece.is_some() {
                std::thread::sleep(Duration::from_micros(300));
            }
            let sent = read.min(left);
            left -= sent;
            self.to_replica.fetch_add(sent as u64, Ordering::Relaxed);
            if to.write_all(&buffer[..sent]).is_err() || left == 0 {
                let _ = to.shutdown(Shutdown::Both);
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
        // A primary whose replica is gone must hear of it.
        if left == 0 {
            let _ = from.shutdown(Shutdown::Both);
        }
    }
}

/// A connection on which a test says what it likes.
pub struct Raw {
    pub stream: TcpStream,
    lines: BufReader<TcpStream>,
}

impl Raw {
    pub fn connect(port: u16) -> Raw {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        Raw { lines: BufReader::new(stream.try_clone().unwrap()), stream }
    }

    /// A replica that has said that it is a Pumice.
    pub fn pumice(port: u16) -> Raw {
        let mut raw = Raw::connect(port);
        let hello = raw.ask(&["replconf", "pumice", "1", "layout", "standalone", "run", "aReplicaOfATest0"]);
        assert_eq!(hello[0], "pumice", "{hello:?}");
        raw
    }

    pub fn request(words: &[&str]) -> Vec<u8> {
        let mut request = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| request.push_str(&format!("${}\r\n{word}\r\n", word.len())));
        request.into_bytes()
    }

    /// Asks, and gives the words of the reply; of an error its text.
    pub fn ask(&mut self, words: &[&str]) -> Vec<String> {
        self.stream.write_all(&Raw::request(words)).unwrap();
        self.reply()
    }

    fn reply(&mut self) -> Vec<String> {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        match kind {
            "*" => (0..rest.parse().unwrap()).flat_map(|_| self.reply()).collect(),
            "$" => {
                let mut bytes = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.lines.read_exact(&mut bytes).unwrap();
                vec![String::from_utf8_lossy(&bytes[..bytes.len() - 2]).into_owned()]
            }
            _ => vec![rest.to_owned()],
        }
    }

    /// The next bulk; `None` when the other side has closed.
    pub fn bulk(&mut self) -> Option<Vec<u8>> {
        let mut line = String::new();
        self.lines.read_line(&mut line).ok().filter(|&read| read > 0)?;
        let length: usize = line.trim_end().strip_prefix('$')?.parse().ok()?;
        let mut bytes = vec![0; length + 2];
        self.lines.read_exact(&mut bytes).ok()?;
        bytes.truncate(length);
        Some(bytes)
    }
}

/// A port on which nobody listens and which nobody is given who asks for any, for as long as this is held: a socket is bound to
/// it that does not listen. Who names the port may listen there.
pub struct Port {
    pub number: u16,
    _bound: rustix::fd::OwnedFd,
}

impl Port {
    pub fn reserve() -> Port {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with, sockopt};
        let bound = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        sockopt::set_socket_reuseaddr(&bound, true).unwrap();
        bind(&bound, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        let number = SocketAddrV4::try_from(getsockname(&bound).unwrap()).unwrap().port();
        Port { number, _bound: bound }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }
}

/// Memory of this process.
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
