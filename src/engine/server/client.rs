//! The connections of a listener, and CLIENT, which shows and ends them.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::connection::Connection;
use super::stream::Stream;
use crate::engine::clock;
use crate::engine::command::{Answer, Refusal, bulk, error, integer, is, ok, parse_integer};
use crate::engine::format::resp::Reply;

/// One connection, as others see it.
pub struct Client {
    pub id: u64,
    /// The address of the other end.
    pub address: String,
    pub stream: Arc<Stream>,
    connected: Instant,
    shown: Mutex<Shown>,
    on_end: Mutex<Option<Box<dyn Fn() + Send>>>,
}

struct Shown {
    name: String,
    library: String,
    library_version: String,
    namespace: String,
    command: &'static str,
    active: Instant,
    replica: bool,
}

/// All connections of a listener.
#[derive(Default)]
pub struct Clients {
    known: Mutex<Known>,
    /// Somebody left.
    left: Condvar,
}

#[derive(Default)]
struct Known {
    last_id: u64,
    clients: BTreeMap<u64, Arc<Client>>,
    /// Threads that run for the listener.
    threads: usize,
    closed: bool,
}

/// Why a connection was not let in.
pub enum NotAdmitted {
    Full,
    Closed,
}

impl Clients {
    /// Takes a connection in.
    pub fn admit(&self, stream: Stream, address: String, most: usize) -> Result<Arc<Client>, (Stream, NotAdmitted)> {
        let mut known = self.known.lock();
        if known.closed {
            return Err((stream, NotAdmitted::Closed));
        }
        if known.clients.len() >= most {
            return Err((stream, NotAdmitted::Full));
        }
        known.last_id += 1;
        let now = clock::instant();
        let client = Arc::new(Client {
            id: known.last_id,
            address,
            stream: Arc::new(stream),
            connected: now,
            shown: Mutex::new(Shown {
                name: String::new(),
                library: String::new(),
                library_version: String::new(),
                namespace: String::new(),
                command: "NULL",
                active: now,
                replica: false,
            }),
            on_end: Mutex::default(),
        });
        known.clients.insert(client.id, Arc::clone(&client));
        Ok(client)
    }

    /// A connection has ended.
    pub fn leave(&self, client: &Client) {
        self.known.lock().clients.remove(&client.id);
        self.left.notify_all();
    }

    /// A thread of the listener is about to begin.
    pub fn begin_thread(&self) {
        self.known.lock().threads += 1;
    }

    pub fn end_thread(&self) {
        self.known.lock().threads -= 1;
        self.left.notify_all();
    }

    pub fn is_closed(&self) -> bool {
        self.known.lock().closed
    }

    /// Waits until a connection has ended, or for that long.
    pub fn wait_for_room(&self, wait: Duration) {
        let mut known = self.known.lock();
        if !known.closed {
            self.left.wait_for(&mut known, wait);
        }
    }

    /// Lets nobody in any more and ends who is there. Whether it had not been done before.
    pub fn close(&self) -> bool {
        let mut known = self.known.lock();
        for client in known.clients.values() {
            client.end();
        }
        self.left.notify_all();
        !std::mem::replace(&mut known.closed, true)
    }

    /// Waits until all threads have ended; all but the calling one, where it is one of them.
    pub fn wait(&self, but_one: bool) {
        let mut known = self.known.lock();
        while known.threads > usize::from(but_one) {
            self.left.wait(&mut known);
        }
    }

    pub fn count(&self) -> usize {
        self.known.lock().clients.len()
    }

    fn all(&self) -> Vec<Arc<Client>> {
        self.known.lock().clients.values().map(Arc::clone).collect()
    }
}

impl Client {
    /// Notes what it does now.
    pub fn does(&self, command: &'static str) {
        let mut shown = self.shown.lock();
        shown.command = command;
        shown.active = clock::instant();
    }

    /// Notes the namespace that it sees; empty for none.
    pub fn sees(&self, namespace: &str) {
        namespace.clone_into(&mut self.shown.lock().namespace);
    }

    /// Notes that it is a replica, which waits for more than its socket: `on_end` wakes it when it is ended.
    pub fn is_replica(&self, on_end: Box<dyn Fn() + Send>) {
        self.shown.lock().replica = true;
        *self.on_end.lock() = Some(on_end);
    }

    /// Ends it from another thread: what it reads or writes fails from now on.
    pub fn end(&self) {
        self.stream.shutdown();
        if let Some(on_end) = &*self.on_end.lock() {
            on_end();
        }
    }

    pub fn set_name(&self, name: &[u8]) -> Result<(), Refusal> {
        self.shown.lock().name = printable(name, "Client names")?;
        Ok(())
    }

    /// Its line, as a Kvrocks shows it.
    fn line(&self) -> String {
        let now = clock::instant();
        let mut line = String::new();
        let shown = self.shown.lock();
        let seconds = |since: Instant| now.saturating_duration_since(since).as_secs();
        let _ = writeln!(
            line,
            "id={} addr={} fd={} name={} age={} idle={} flags={} namespace={} qbuf=0 obuf=0 cmd={} lib-name={} lib-ver={}",
            self.id,
            self.address,
            self.stream.number(),
            shown.name,
            seconds(self.connected),
            seconds(shown.active),
            if shown.replica { "S" } else { "N" },
            shown.namespace,
            shown.command,
            shown.library,
            shown.library_version,
        );
        line
    }
}

/// A text that does not break the line that shows it.
fn printable(bytes: &[u8], what: &str) -> Result<String, Refusal> {
    const LONGEST: usize = 1024;
    if bytes.len() > LONGEST || !bytes.iter().all(|byte| (b'!'..=b'~').contains(byte)) {
        return Err(error(format_args!("{what} cannot contain spaces, newlines or special characters")));
    }
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

pub fn client(connection: &mut Connection, args: &[Vec<u8>]) -> Answer {
    let own = Arc::clone(connection.client());
    match args {
        [_, id] if is(id, "id") => Ok(integer(own.id)),
        [_, list] if is(list, "list") => {
            Ok(Reply::Verbatim(seen(connection).iter().map(|client| client.line()).collect::<String>()))
        }
        [_, info] if is(info, "info") => Ok(Reply::Verbatim(own.line())),
        [_, getname] if is(getname, "getname") => {
            let name = own.shown.lock().name.clone();
            Ok(if name.is_empty() { Reply::Nil } else { bulk(name) })
        }
        [_, setname, name] if is(setname, "setname") => {
            own.set_name(name)?;
            Ok(ok())
        }
        [_, setinfo, what, text] if is(setinfo, "setinfo") => {
            let text = printable(text, "lib-name and lib-ver")?;
            let mut shown = own.shown.lock();
            if is(what, "lib-name") {
                shown.library = text;
            } else if is(what, "lib-ver") {
                shown.library_version = text;
            } else {
                return Err(error("Unrecognized option"));
            }
            Ok(ok())
        }
        [_, no, switch] if (is(no, "no-evict") || is(no, "no-touch")) && (is(switch, "on") || is(switch, "off")) => {
            Ok(ok())
        }
        [_, kill, address] if is(kill, "kill") => {
            let wanted = Wanted { address: Some(address), skip_own: false, ..Wanted::default() };
            match wanted.kill(connection) {
                0 => Err(error("No such client")),
                _ => Ok(ok()),
            }
        }
        [_, kill, filters @ ..] if is(kill, "kill") && !filters.is_empty() => {
            Ok(integer(Wanted::parse(filters)?.kill(connection)))
        }
        [_, kill] if is(kill, "kill") => Err(Refusal::syntax()),
        _ => Err(error("Syntax error, try CLIENT LIST|INFO|KILL ip:port|GETNAME|SETNAME")),
    }
}

/// The connections that the caller may see: an admin all, others those of their namespace.
fn seen(connection: &Connection) -> Vec<Arc<Client>> {
    let mut clients = connection.server().clients.all();
    if !connection.is_admin() {
        let own = connection.client().shown.lock().namespace.clone();
        clients.retain(|client| client.shown.lock().namespace == own);
    }
    clients
}

/// Which connections to end: those to which all of it applies.
struct Wanted<'a> {
    id: Option<u64>,
    address: Option<&'a [u8]>,
    replica: Option<bool>,
    /// Of a kind that this listener does not have.
    none: bool,
    skip_own: bool,
}

impl Default for Wanted<'_> {
    fn default() -> Self {
        Wanted { id: None, address: None, replica: None, none: false, skip_own: true }
    }
}

impl<'a> Wanted<'a> {
    fn parse(filters: &'a [Vec<u8>]) -> Result<Wanted<'a>, Refusal> {
        let mut wanted = Wanted::default();
        for filter in filters.chunks(2) {
            match filter {
                [id, number] if is(id, "id") => {
                    let number = u64::try_from(parse_integer(number)?).ok().filter(|&number| number > 0);
                    wanted.id = Some(number.ok_or_else(|| error("client-id should be greater than 0"))?);
                }
                [addr, address] if is(addr, "addr") => wanted.address = Some(address),
                [kind, name] if is(kind, "type") => match name.to_ascii_lowercase().as_slice() {
                    b"normal" => wanted.replica = Some(false),
                    b"replica" | b"slave" => wanted.replica = Some(true),
                    b"pubsub" | b"master" => wanted.none = true,
                    _ => return Err(Refusal::syntax()),
                },
                [skipme, yes] if is(skipme, "skipme") && is(yes, "yes") => wanted.skip_own = true,
                [skipme, no] if is(skipme, "skipme") && is(no, "no") => wanted.skip_own = false,
                _ => return Err(Refusal::syntax()),
            }
        }
        Ok(wanted)
    }

    fn applies(&self, client: &Client) -> bool {
        let shown = client.shown.lock();
        !self.none
            && self.id.is_none_or(|id| id == client.id)
            && self.address.is_none_or(|address| address == client.address.as_bytes())
            && self.replica.is_none_or(|replica| replica == shown.replica)
    }

    /// How many it ended; the caller's own connection ends when it has its reply.
    fn kill(&self, connection: &mut Connection) -> u64 {
        let mut killed = 0;
        for client in seen(connection).iter().filter(|client| self.applies(client)) {
            if client.id != connection.client().id {
                client.end();
            } else if self.skip_own {
                continue;
            } else {
                connection.close_after_reply();
            }
            killed += 1;
        }
        killed
    }
}
