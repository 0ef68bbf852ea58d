//! A real Kvrocks: the server that `PUMICE_KVROCKS` names.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::wire::Port;
use super::{Random, wait_until};

/// A running server in a directory of its own.
pub struct Server {
    pub process: Child,
    pub binary: PathBuf,
    pub configuration: PathBuf,
    pub port: u16,
    _reserved: Port,
}

impl Server {
    /// `None`, said aloud, where there is no server.
    pub fn start(dir: &Path, more: &str) -> Option<Server> {
        let Some(binary) = std::env::var_os("PUMICE_KVROCKS") else {
            super::skipped("PUMICE_KVROCKS is not set");
            return None;
        };
        fs::create_dir_all(dir).unwrap();
        let reserved = Port::reserve();
        let port = reserved.number;
        let configuration = dir.join("kvrocks.conf");
        let lines = format!("bind 127.0.0.1\nport {port}\ndir {}\ndaemonize no\n{more}\n", dir.display());
        fs::write(&configuration, lines).unwrap();
        let binary = PathBuf::from(binary);
        let process = spawn(&binary, &configuration);
        let mut server = Server { process, binary, configuration, port, _reserved: reserved };
        server.wait();
        Some(server)
    }

    pub fn wait(&mut self) {
        wait_until("the server listens", || {
            assert!(self.process.try_wait().unwrap().is_none(), "the server ended instead of listening");
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    /// Kills it as `kill -9` does, and starts it again.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = spawn(&self.binary, &self.configuration);
        self.wait();
    }

    /// Sets keys with values that no compression makes smaller.
    pub fn fill(&self, name: &str, count: usize, random: &mut Random) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        for n in 0..count {
            let (key, value) = (format!("{name}{n}"), random.bytes(10_000));
            let head = format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n${}\r\n", key.len(), value.len());
            stream.write_all(&[head.as_bytes(), &value, b"\r\n"].concat()).unwrap();
            assert_eq!(reply(&mut lines), "+OK");
        }
    }

    pub fn restart(&mut self) {
        self.ask("rootpw", &["SHUTDOWN"]);
        self.process.wait().unwrap();
        self.process = spawn(&self.binary, &self.configuration);
        self.wait();
    }

    /// One command on a connection of its own: the reply's words.
    pub fn ask(&self, password: &str, words: &[&str]) -> String {
        say(self.port, password, &[words]).pop().unwrap_or_default()
    }

    pub fn all(&self, password: &str) -> Vec<(String, String)> {
        let keys = self.ask(password, &["KEYS", "*"]);
        let mut found: Vec<(String, String)> =
            keys.split_whitespace().map(|key| (key.to_owned(), self.ask(password, &["GET", key]))).collect();
        found.sort();
        found
    }
}

/// Commands on one new connection, and their replies; none when nobody listens.
pub fn say(port: u16, password: &str, requests: &[&[&str]]) -> Vec<String> {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return Vec::new() };
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    let mut say = |words: &[&str]| {
        let mut request = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| request.push_str(&format!("${}\r\n{word}\r\n", word.len())));
        let _ = stream.write_all(request.as_bytes());
        reply(&mut lines)
    };
    if !password.is_empty() {
        assert_eq!(say(&["AUTH", password]), "+OK");
    }
    requests.iter().map(|words| say(words)).collect()
}

/// Requests in one piece on one new connection, and their replies.
pub fn say_at_once(port: u16, requests: &[Vec<String>]) -> Vec<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut bytes = String::new();
    for words in requests {
        bytes.push_str(&format!("*{}\r\n", words.len()));
        words.iter().for_each(|word| bytes.push_str(&format!("${}\r\n{word}\r\n", word.len())));
    }
    stream.write_all(bytes.as_bytes()).unwrap();
    let mut lines = BufReader::new(stream);
    requests.iter().map(|_| reply(&mut lines)).collect()
}

pub fn spawn(binary: &Path, configuration: &Path) -> Child {
    Command::new(binary).arg("-c").arg(configuration).stdout(Stdio::null()).spawn().unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn reply(lines: &mut impl BufRead) -> String {
    let mut line = String::new();
    if lines.read_line(&mut line).unwrap_or(0) == 0 {
        return String::new();
    }
    let line = line.trim_end().to_owned();
    let number = || line[1..].parse::<i64>().unwrap();
    match line.as_bytes()[0] {
        b'$' if number() < 0 => "(nil)".to_owned(),
        b'$' => {
            let mut bytes = vec![0; number() as usize + 2];
            lines.read_exact(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..bytes.len() - 2]).into_owned()
        }
        b'*' => (0..number()).map(|_| reply(lines)).collect::<Vec<_>>().join(" "),
        _ => line,
    }
}
