//! A client that speaks RESP, and a listener for it.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use pumice::{Engine, Listener, Options, ServeOptions};
use serde_json::Value as Json;

/// A reply, in the form in which the fixtures show one but for bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reply {
    Nil,
    Integer(i64),
    Bulk(Vec<u8>),
    Simple(String),
    Error(String),
    Array(Vec<Reply>),
    /// These come only to who has asked for RESP3.
    Null,
    Double(String),
    Verbatim(Vec<u8>),
    Map(Vec<Reply>),
    Set(Vec<Reply>),
    Push(Vec<Reply>),
}

impl From<pumice::Reply> for Reply {
    fn from(reply: pumice::Reply) -> Reply {
        match reply {
            pumice::Reply::Nil | pumice::Reply::NilArray => Reply::Nil,
            pumice::Reply::Integer(number) => Reply::Integer(number),
            pumice::Reply::Bulk(bytes) => Reply::Bulk(bytes),
            pumice::Reply::Simple(text) => Reply::Simple(text),
            pumice::Reply::Error(text) => Reply::Error(text),
            pumice::Reply::Array(items) => Reply::Array(items.into_iter().map(Reply::from).collect()),
            rich => panic!("execute() answered {rich:?}"),
        }
    }
}

impl Reply {
    /// A reply as a fixture shows it.
    pub fn of(json: &Json) -> Reply {
        match json {
            Json::Null => Reply::Nil,
            Json::Number(number) => Reply::Integer(number.as_i64().unwrap()),
            Json::Array(items) => Reply::Array(items.iter().map(Reply::of).collect()),
            Json::Object(object) => match object.iter().next().unwrap() {
                (kind, Json::String(text)) if kind == "s" => Reply::Simple(text.clone()),
                (kind, Json::String(text)) if kind == "e" => Reply::Error(text.clone()),
                _ => Reply::Bulk(text(json)),
            },
            _ => Reply::Bulk(text(json)),
        }
    }

    /// The same with arrays in order, for replies whose order says nothing: pairs stay together when `paired`.
    pub fn sorted(self, paired: bool) -> Reply {
        let mut items = match self {
            Reply::Array(items) => items,
            Reply::Set(items) => {
                let Reply::Array(items) = Reply::Array(items).sorted(false) else { unreachable!() };
                return Reply::Set(items);
            }
            Reply::Map(items) => {
                let Reply::Array(items) = Reply::Array(items).sorted(true) else { unreachable!() };
                return Reply::Map(items);
            }
            other => return other,
        };
        // A page of a scan.
        if let [Reply::Bulk(_), Reply::Array(_)] = &items[..] {
            let page = items.pop().unwrap();
            return Reply::Array(vec![items.pop().unwrap(), page.sorted(paired)]);
        }
        if !paired || matches!(items.first(), Some(Reply::Array(_))) {
            items.sort();
            return Reply::Array(items);
        }
        let mut pairs: Vec<&[Reply]> = items.chunks(2).collect();
        pairs.sort();
        Reply::Array(pairs.concat())
    }
}

/// Bytes as a fixture shows them.
pub fn text(json: &Json) -> Vec<u8> {
    match json {
        Json::String(text) => text.clone().into_bytes(),
        other => {
            let digits = other["hex"].as_str().unwrap().as_bytes();
            let pairs = digits.chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
            pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
        }
    }
}

pub struct Client(BufReader<UnixStream>);

impl Client {
    pub fn connect(socket: &Path) -> Client {
        Client(BufReader::new(UnixStream::connect(socket).unwrap()))
    }

    pub fn ask(&mut self, words: &[impl AsRef<[u8]>]) -> Reply {
        self.try_ask(words).expect("the connection ended")
    }

    /// `None` when the other side ends the connection.
    pub fn try_ask(&mut self, words: &[impl AsRef<[u8]>]) -> Option<Reply> {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            let word = word.as_ref();
            request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        self.0.get_mut().write_all(&request).ok()?;
        let open = !self.0.fill_buf().ok()?.is_empty();
        open.then(|| self.reply())
    }

    /// Asks with words that are parted by spaces.
    pub fn say(&mut self, line: &str) -> Reply {
        self.ask(&line.split(' ').collect::<Vec<_>>())
    }

    fn replies(&mut self, count: &str, times: usize) -> Vec<Reply> {
        (0..count.parse::<usize>().unwrap() * times).map(|_| self.reply()).collect()
    }

    fn reply(&mut self) -> Reply {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        let line = line.trim_end();
        let (kind, rest) = line.split_at(1);
        match kind {
            "+" => Reply::Simple(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Integer(rest.parse().unwrap()),
            "$" if rest == "-1" => Reply::Nil,
            "$" => {
                let mut bytes = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.0.read_exact(&mut bytes).unwrap();
                bytes.truncate(bytes.len() - 2);
                Reply::Bulk(bytes)
            }
            "=" => {
                let mut bytes = vec![0; rest.parse::<usize>().unwrap() + 2];
                self.0.read_exact(&mut bytes).unwrap();
                Reply::Verbatim(bytes[..bytes.len() - 2].to_vec())
            }
            "*" if rest == "-1" => Reply::Nil,
            "*" => Reply::Array(self.replies(rest, 1)),
            "_" => Reply::Null,
            // As a number, whose digits may be more than it takes.
            "," => {
                let digits = |c: char| c.is_ascii_digit() || "+-.eE".contains(c);
                assert!(["inf", "-inf", "nan"].contains(&rest) || rest.chars().all(digits), "{line}");
                Reply::Double(rest.parse::<f64>().unwrap().to_string())
            }
            "%" => Reply::Map(self.replies(rest, 2)),
            "~" => Reply::Set(self.replies(rest, 1)),
            ">" => Reply::Push(self.replies(rest, 1)),
            _ => panic!("a reply that begins with {line:?}"),
        }
    }
}

/// An engine behind a socket.
pub struct Served {
    pub engine: Engine,
    socket: PathBuf,
    _listener: Listener,
}

impl Served {
    /// A new engine in a directory, open to everybody.
    pub fn open(dir: &Path) -> Served {
        Served::new(Engine::open(dir, &Options::default()).unwrap(), None)
    }

    pub fn new(engine: Engine, password: Option<&str>) -> Served {
        let socket = engine.path().join("socket");
        let options = ServeOptions { password: password.map(str::to_owned), ..Default::default() };
        let listener = engine.serve(&format!("unix:{}", socket.display()), &options).unwrap();
        Served { engine, socket, _listener: listener }
    }

    pub fn client(&self) -> Client {
        Client::connect(&self.socket)
    }
}
