//! Commands: what can be asked in Redis' words, with Kvrocks' replies. One table for everyone who runs them.

pub mod bits;
pub mod blocking;
pub mod blooms;
pub mod cluster;
pub mod clusterx;
pub mod config;
pub mod dumps;
pub mod execute;
pub mod general;
pub mod geo;
pub mod hashes;
pub mod hyperloglogs;
pub mod info;
pub mod jsons;
pub mod keys;
pub mod line;
pub mod lists;
pub mod namespaces;
pub mod pipeline;
pub mod pubsub;
pub mod replication;
pub mod scan;
pub mod sets;
pub mod sort;
pub mod sorted_ints;
pub mod sorted_sets;
pub mod stream_groups;
pub mod streams;
pub mod strings;
pub mod table;
pub mod transaction;
pub mod watch;

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use super::engine::Engine;
use super::error::{Error, ErrorKind};
use super::format::double::{format_double, parse_double};
use super::format::metadata::Kind;
use super::format::resp::{self, Reply};
use super::namespace::Namespace;
use super::server::Server;
use super::snapshot::SnapshotNamespace;
use super::types::keys::MAX_BYTES;
use super::types::random::Draw;
use super::types::reading::{Budget, Reading};
use super::types::writing::Writing;

pub use super::pattern;
pub use table::Command;

/// What a command runs on, and for whom.
pub struct Context<'a> {
    pub namespace: &'a Namespace,
    /// Whether the caller may see and change more than the namespace.
    pub admin: bool,
    /// The listener that it came by, if by one.
    pub server: Option<&'a Server>,
    /// The transaction that it is a part of: it reads what that has written, and writes into the same entry.
    pub transaction: Option<&'a RefCell<Writing<'a>>>,
    /// The snapshot that it reads in place of the namespace of now.
    pub snapshot: Option<&'a SnapshotNamespace>,
}

impl Context<'_> {
    /// The engine among others. Closed when its last handle is gone, which a namespace outlives.
    pub fn engine(&self) -> Result<Engine, Refusal> {
        let gone = || Error::new(ErrorKind::Closed, "the last handle of the engine is gone; keep one");
        Ok(Engine::of(self.namespace.node().ok_or_else(gone)?))
    }

    /// Reads in the namespace, for what is one record or needs no moment.
    #[inline]
    pub fn read<R>(&self, read: impl FnOnce(&Reading<'_>) -> Result<R, Refusal>) -> Result<R, Refusal> {
        match (self.transaction, self.snapshot) {
            (None, None) => self.namespace.read(read),
            (Some(writing), _) => read(&writing.borrow_mut().reading()),
            (None, Some(snapshot)) => snapshot.read(read),
        }
    }

    /// Reads in the namespace at one moment.
    pub fn view<R>(&self, read: impl FnOnce(&Reading<'_>) -> Result<R, Refusal>) -> Result<R, Refusal> {
        match (self.transaction, self.snapshot) {
            (None, None) => self.namespace.view(read),
            (Some(writing), _) => read(&writing.borrow_mut().reading()),
            (None, Some(snapshot)) => snapshot.read(read),
        }
    }

    /// Writes in the namespace: one entry, or a part of the transaction's.
    pub fn write<R>(&self, write: impl FnOnce(&mut Writing<'_>) -> Result<R, Refusal>) -> Result<R, Refusal> {
        match (self.transaction, self.snapshot) {
            (Some(writing), _) => write(&mut writing.borrow_mut()),
            (None, None) => self.namespace.write(None, write),
            (None, Some(_)) => Err(Error::new(ErrorKind::ReadOnly, "a snapshot is only read").into()),
        }
    }

    /// Refuses to go on with long work when the listener is being closed.
    pub fn check_going_on(&self) -> Result<(), Refusal> {
        match self.server {
            Some(server) if server.clients.is_closed() => {
                Err(Error::new(ErrorKind::Closed, "the listener is closed").into())
            }
            _ => Ok(()),
        }
    }
}

/// What a command answers.
pub type Answer = Result<Reply, Refusal>;

/// What came of a command that may have to wait.
pub enum Attempt {
    Done(Reply),
    Wait(Wait),
}

/// What a command waits for. It gets it right behind the write that brings it, who came first the first.
pub struct Wait {
    /// A change of any of these keys.
    pub keys: Vec<Vec<u8>>,
    /// Of what kind a key has to be.
    pub kind: Kind,
    pub take: Take,
    /// Whether `take` writes. What only reads is served on a replica too.
    pub writes: bool,
    /// For how long; for ever without it.
    pub timeout: Option<Duration>,
    /// What it answers when the time is over.
    pub late: Reply,
}

/// What a command takes, or reads, of the keys for which it waits, or of the one that was changed, and answers; `None` when
/// there is nothing.
pub type Take = Arc<dyn Fn(&mut Writing<'_>, &[Vec<u8>]) -> Result<Option<Reply>, Refusal> + Send + Sync>;

/// Why a command was not done, on its way to the caller.
#[derive(Debug)]
pub enum Refusal {
    /// An error reply, word for word, with its code in front.
    Text(String),
    /// An error of the engine.
    Engine(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Engine(error)
    }
}

impl Refusal {
    pub fn syntax() -> Refusal {
        error("syntax error")
    }

    pub fn arity() -> Refusal {
        error("wrong number of arguments")
    }

    pub fn admin() -> Refusal {
        error("admin permission required to perform the command")
    }

    /// The reply that says so.
    pub fn reply(self) -> Reply {
        Reply::Error(match self {
            Refusal::Text(text) => text,
            Refusal::Engine(error) => worded(&error),
        })
    }

    /// The same as an error with the words of the reply.
    pub fn into_error(self) -> Error {
        match self {
            Refusal::Text(text) => Error::new(ErrorKind::InvalidArgument, text),
            Refusal::Engine(error) => {
                let words = worded(&error);
                error.reworded(words)
            }
        }
    }
}

/// An error as Kvrocks words it.
fn worded(error: &Error) -> String {
    match error.kind() {
        ErrorKind::WrongType => "WRONGTYPE Operation against a key holding the wrong kind of value".to_owned(),
        ErrorKind::ReadOnly => "READONLY You can't write against a read only slave.".to_owned(),
        _ => format!("ERR {error}"),
    }
}

/// A refusal with the code `ERR`.
pub fn error(text: impl std::fmt::Display) -> Refusal {
    Refusal::Text(format!("ERR {text}"))
}

impl Command {
    /// Refuses a wrong number of arguments, and what only an admin may do.
    pub fn check(&self, args: &[Vec<u8>], admin: bool) -> Result<(), Refusal> {
        let wanted = self.arity.unsigned_abs() as usize;
        if args.len() < wanted || (self.arity > 0 && args.len() > wanted) {
            return Err(Refusal::arity());
        }
        if let Some(long) = args.iter().find(|arg| arg.len() > MAX_BYTES) {
            return Err(error(format_args!("argument: got {} bytes, expected at most {}", long.len(), MAX_BYTES)));
        }
        if self.flags & table::ADMIN != 0 && !admin {
            return Err(Refusal::admin());
        }
        Ok(())
    }
}

/// Why a command without a connection is not done.
fn of_a_connection(command: &Command) -> Refusal {
    let message = format!("{}: it belongs to a connection; serve() the engine", command.name);
    Error::new(ErrorKind::Unsupported, message).into()
}

pub fn ok() -> Reply {
    Reply::Simple("OK".into())
}

pub fn bulk(bytes: impl Into<Vec<u8>>) -> Reply {
    Reply::Bulk(bytes.into())
}

pub fn integer(number: u64) -> Reply {
    Reply::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

/// An array of bulk strings.
pub fn bulks<T: Into<Vec<u8>>>(items: impl IntoIterator<Item = T>) -> Reply {
    Reply::Array(items.into_iter().map(bulk).collect())
}

/// A whole number as Redis reads one.
pub fn parse_integer(bytes: &[u8]) -> Result<i64, Refusal> {
    resp::parse_integer(bytes).ok_or_else(|| error("value is not an integer or out of range"))
}

/// A number with a fraction.
pub fn parse_float(bytes: &[u8]) -> Result<f64, Refusal> {
    parse_double(bytes).ok_or_else(|| error("value is not a valid float"))
}

/// A whole number that is not negative.
pub fn parse_count(bytes: &[u8]) -> Result<u64, Refusal> {
    let count = parse_integer(bytes).ok().and_then(|count| u64::try_from(count).ok());
    count.ok_or_else(|| error("value is out of range, must be positive"))
}

/// How many random elements to draw: each once, or with a negative number as often as they come.
pub fn parse_draw(bytes: &[u8]) -> Result<Draw, Refusal> {
    match parse_integer(bytes)? {
        i64::MIN => Err(error("value is out of range")),
        count if count < 0 => Ok(Draw::Repeated(count.unsigned_abs())),
        count => Ok(Draw::Distinct(count.unsigned_abs())),
    }
}

/// Some of the arguments.
type Words<'a> = &'a [Vec<u8>];

/// `numkeys key [key ...]` and what stands behind; `None` when there are fewer keys than that, or it is no number.
pub fn split_keys(args: &[Vec<u8>]) -> Option<(Words<'_>, Words<'_>)> {
    let (number, rest) = args.split_first()?;
    let number = parse_integer(number).ok().and_then(|number| usize::try_from(number).ok())?;
    if number > 0 { rest.split_at_checked(number) } else { None }
}

pub fn float(value: f64) -> Reply {
    Reply::Double(format_double(value))
}

/// Names with their values.
pub fn map<const N: usize>(rows: [(&str, Reply); N]) -> Reply {
    Reply::Map(rows.into_iter().flat_map(|(name, value)| [bulk(name), value]).collect())
}

/// Bulk strings on their way into a reply, which is refused when it takes too much memory.
#[derive(Default)]
pub struct Gathered {
    items: Vec<Reply>,
    budget: Budget,
}

impl Gathered {
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.budget.take(bytes.len())?;
        self.items.push(bulk(bytes));
        Ok(())
    }

    pub fn array(self) -> Reply {
        Reply::Array(self.items)
    }

    /// What was pushed by twos.
    pub fn map(self) -> Reply {
        Reply::Map(self.items)
    }

    /// What was pushed by twos.
    pub fn pairs(self) -> Reply {
        Reply::Pairs(self.items)
    }

    pub fn set(self) -> Reply {
        Reply::Set(self.items)
    }
}

/// Whether an argument is a word, in whatever case.
pub fn is(argument: &[u8], word: &str) -> bool {
    argument.eq_ignore_ascii_case(word.as_bytes())
}
