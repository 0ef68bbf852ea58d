//! The primary's side of replication on a connection: what replicas ask for, and their feeds.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::connection::Connection;
use super::sender::{self, Sender};
use crate::engine::clock;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::events::EventKind;
use crate::engine::generation::Store;
use crate::engine::replication::feeds::Replica;
use crate::engine::replication::log::{self, Log};
use crate::engine::replication::node::Node;
use crate::engine::replication::served::Served;
use crate::engine::replication::session::feed::Feed;
use crate::engine::replication::session::primary::{
    Ask, PrimarySession, checkpoint_reply, names_reply, range_head, size_line,
};
use crate::engine::replication::tcp;
use crate::engine::storage::wal::WalTail;

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Continue,
    Close,
}

/// Answers a command of a replica. A feed takes the connection until it ends.
pub fn handle(connection: &mut Connection, args: &[Vec<u8>]) -> Result<Flow> {
    let node = connection.node()?;
    let begun = connection.primary.take();
    let mut session = begun.unwrap_or_else(|| PrimarySession::new(connection.client().stream.peer_ip()));
    let flow = answer(connection, node, &mut session, args);
    connection.primary = Some(session);
    flow
}

fn answer(
    connection: &mut Connection,
    node: Arc<Node>,
    session: &mut PrimarySession,
    args: &[Vec<u8>],
) -> Result<Flow> {
    let (ask, store, tail) = match asked(&node, session, args) {
        Ok(asked) => asked,
        // Not ERR, which would mean a full sync.
        Err(failed) => {
            connection.reply_bytes(format!("-TRYAGAIN {failed}\r\n").as_bytes());
            return Ok(Flow::Continue);
        }
    };
    match ask {
        Ask::Reply(bytes) => {
            if bytes.starts_with(b"-") && args.first().is_some_and(|name| name.eq_ignore_ascii_case(b"psync")) {
                connection.server().counters.sync_partial_err.fetch_add(1, Relaxed);
            }
            connection.reply_bytes(&bytes);
            Ok(Flow::Continue)
        }
        Ask::Feed { next, reply } => {
            let returned = session.returned_as(&mut node.admissions.lock());
            connection.reading = node.serving.returned(returned.iter().map(String::as_str));
            connection.server().counters.sync_partial_ok.fetch_add(1, Relaxed);
            let tail = tail.unwrap_or_else(|| WalTail::new(&store.db, next));
            let fed = feed(connection, node, store, tail, session, &reply);
            if let Ok(node) = connection.node() {
                session.ended(fed, &mut node.admissions.lock());
            }
            Ok(Flow::Close)
        }
        Ask::FileNames => {
            connection.server().counters.sync_full.fetch_add(1, Relaxed);
            let limit = connection.server().options.checkpoint_disk_limit;
            let names = match node.serving.list(&session.awaited_as(None), limit) {
                Ok(served) => {
                    connection.reading = Some(node.serving.read(&served));
                    session.listed(served.linked.sequence, &mut node.admissions.lock());
                    let names: Vec<String> = served.linked.files.iter().map(|(name, _)| name.clone()).collect();
                    names_reply(&names)
                }
                // As a Kvrocks says it.
                Err(_) => b"-can't create db checkpoint\r\n".to_vec(),
            };
            drop(node);
            connection.send(&names)?;
            Ok(Flow::Close)
        }
        Ask::Files(names) => {
            let served = node.serving.find_listed(&session.awaited_as(None))?;
            connection.reading = Some(node.serving.read(&served));
            // Every name before the first byte: a peer that asks for another gets nothing.
            let files = names.iter().map(|name| served.file(name)).collect::<Result<Vec<_>>>()?;
            drop(node);
            let mut send = |file: &Path| {
                let size = file_size(file)?;
                connection.send(&size_line(size))?;
                send_file(connection, &served, file, 0, size)
            };
            // Behind a part of a file there is no place for an error.
            let sent = files.iter().try_for_each(|file| send(file)).is_ok();
            // Only a replica that closes in order behind the last byte has taken them.
            if sent && connection.client().stream.ends_in_order() {
                session.taken(&mut connection.node()?.admissions.lock());
            }
            Ok(Flow::Close)
        }
        Ask::List(run) => {
            connection.server().counters.sync_full.fetch_add(1, Relaxed);
            let limit = connection.server().options.checkpoint_disk_limit;
            let served = node.serving.list(&session.awaited_as(Some(run)), limit)?;
            connection.reading = Some(node.serving.read(&served));
            drop(node);
            connection.send(&checkpoint_reply(&served.id, &served.listed()))?;
            Ok(Flow::Continue)
        }
        Ask::Checkpoint(id) => {
            let found = match &id {
                Some(id) => node.serving.find(Some(id)),
                None => {
                    connection.server().counters.sync_full.fetch_add(1, Relaxed);
                    let limit = connection.server().options.checkpoint_disk_limit;
                    node.serving.list(&session.awaited_as(None), limit)
                }
            };
            let served = match found {
                Ok(served) => served,
                Err(gone) if gone.kind() == ErrorKind::NotFound => return not_found(connection, &gone),
                Err(failed) => return Err(failed),
            };
            connection.reading = Some(node.serving.read(&served));
            drop(node);
            match served.manifest(id.is_some().then(|| clock::after(SUMMING))) {
                Ok(manifest) => connection.send(&checkpoint_reply(&served.id, &manifest.unwrap_or_default()))?,
                Err(gone) if gone.kind() == ErrorKind::NotFound => return not_found(connection, &gone),
                Err(failed) => return Err(failed),
            }
            Ok(Flow::Continue)
        }
        Ask::Range { checkpoint, name, offset, length } => {
            let served = match node.serving.find(Some(&checkpoint)) {
                Ok(served) => served,
                Err(gone) => return not_found(connection, &gone),
            };
            connection.reading = Some(node.serving.read(&served));
            let file = served.file(&name)?;
            let size = file_size(&file)?;
            if offset.checked_add(length).is_none_or(|end| end > size) {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    format!(
                        "range of {name}: got {length} bytes from {offset} on, expected an end at {size} or before"
                    ),
                ));
            }
            drop(node);
            let head = connection.send(&range_head(length));
            let sent = head.and_then(|()| send_file(connection, &served, &file, offset, length));
            match sent.and_then(|()| connection.send(b"\r\n")) {
                Ok(()) => Ok(Flow::Continue),
                // Behind a part of a file there is no place for an error.
                Err(_) => Ok(Flow::Close),
            }
        }
        Ask::LookUp(_) | Ask::Locate(_) | Ask::NotMine => {
            Err(Error::new(ErrorKind::InvalidArgument, "not a command of replication"))
        }
    }
}

fn not_found(connection: &mut Connection, gone: &Error) -> Result<Flow> {
    connection.reply_bytes(format!("-NOTFOUND {gone}\r\n").as_bytes());
    Ok(Flow::Continue)
}

/// How long names are looked up for one request.
const RESOLVING: Duration = Duration::from_secs(5);
/// How long a replica is kept waiting for checksums before it hears that they are not there yet.
const SUMMING: Duration = Duration::from_secs(5);

/// What a request asks for, the store for which that was found, and what reads its log from where it was looked up.
fn asked(node: &Node, session: &mut PrimarySession, args: &[Vec<u8>]) -> Result<(Ask, Arc<Store>, Option<WalTail>)> {
    let until = clock::after(RESOLVING);
    let mut names = HashMap::new();
    let (ask, facts, store) = loop {
        let (mut facts, store) = node.facts()?;
        if let Some(members) = &mut facts.members {
            members.names.clone_from(&names);
        }
        let ask = session.request(args, &facts, &mut node.admissions.lock());
        let Ask::LookUp(unresolved) = ask else { break (ask, facts, store) };
        // What was not asked for in that time counts as not found: its replica comes again.
        names.extend(unresolved.into_iter().map(|name| {
            let found = if clock::instant() < until { tcp::addresses(&name) } else { Vec::new() };
            (name, found)
        }));
    };
    let mut admissions = node.admissions.lock();
    admissions.set_id(&facts.history.current);
    if let Some((epoch, origin)) = session.epoch().filter(|_| facts.primary) {
        drop(admissions);
        node.learn(epoch, origin)?;
        admissions = node.admissions.lock();
    }
    let Ask::Locate(sequence) = ask else { return Ok((ask, store, None)) };
    // Who comes anew has left its former feed, whatever that one knows: what was sent on it is what it may have.
    if let Some(address) = session.announced()
        && let Some(sent) = node.feeds.supersede(&address.0, address.1)
    {
        admissions.superseded(&address, sent);
    }
    drop(admissions);
    let (place, tail) = log::place(&store, sequence)?;
    Ok((session.located(place, &facts, &mut node.admissions.lock()), store, Some(tail)))
}

/// What is sent of a file at a time, unless a rate asks for less.
const PIECE: u64 = 1 << 20;

fn file_size(path: &Path) -> Result<u64> {
    let found = path.metadata().map_err(|e| Error::io(format!("open {}", path.display()), e))?;
    Ok(found.len())
}

/// Sends bytes of a file as fast as may be. A file that is shorter than promised ends the connection.
fn send_file(connection: &Connection, served: &Served, path: &Path, offset: u64, length: u64) -> Result<()> {
    let failed = |e| Error::io(format!("read {}", path.display()), e);
    let mut file = File::open(path).map_err(failed)?;
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let pace = &connection.server().pace;
    let mut left = length;
    while left > 0 {
        let piece = pace.piece(PIECE).min(left);
        pace.wait_for(piece);
        if served.is_gone() {
            return Err(Error::new(ErrorKind::Closed, format!("send {}: it is served no more", path.display())));
        }
        let sent = connection.client().stream.send_file(&file, usize::try_from(piece).unwrap_or(usize::MAX));
        sent.map_err(|e| Error::io(format!("send {}", path.display()), e))?;
        served.touch();
        left -= piece;
    }
    Ok(())
}

/// How fast files are sent, all connections together.
#[derive(Default)]
pub struct Pace {
    bytes_per_second: Option<u64>,
    free: Mutex<Option<Instant>>,
}

impl Pace {
    pub fn new(bytes_per_second: Option<u64>) -> Pace {
        Pace { bytes_per_second: bytes_per_second.map(|rate| rate.max(1)), free: Mutex::new(None) }
    }

    /// At most a twentieth of a second's bytes, so that the rate holds inside a file too.
    fn piece(&self, most: u64) -> u64 {
        self.bytes_per_second.map_or(most, |rate| (rate / 20).clamp(1, most))
    }

    /// Waits until so many bytes may go.
    fn wait_for(&self, bytes: u64) {
        let Some(rate) = self.bytes_per_second else { return };
        let now = clock::instant();
        let until = {
            let mut free = self.free.lock();
            let begin = free.map_or(now, |free| free.max(now));
            let end = begin + Duration::from_secs_f64(bytes as f64 / rate as f64);
            *free = Some(end);
            end
        };
        std::thread::sleep(until.duration_since(now));
    }
}

/// Feeds a replica until one side ends it. Gives the last sequence sent.
fn feed(
    connection: &mut Connection,
    node: Arc<Node>,
    store: Arc<Store>,
    tail: WalTail,
    session: &PrimarySession,
    reply: &[u8],
) -> u64 {
    let next = tail.next();
    let kept = connection.reading.take();
    let state = Arc::new(Mutex::new(Feed::new(session.peer(), next, clock::monotonic_ms())));
    let (host, port) = session.announced().unwrap_or_else(|| (connection.client().stream.peer_ip(), 0));
    let (feeds, instance) = (Arc::clone(&node.feeds), Arc::clone(&node.instance));
    // The feed must not keep the engine: it goes when the engine does.
    drop(node);
    let stream = Arc::clone(&connection.client().stream);
    let sender = Arc::new(Sender::new(session.peer(), Arc::clone(&state), Arc::clone(&stream)));
    let end = {
        let sender = Arc::clone(&sender);
        move || sender.end()
    };
    connection.client().is_replica(Box::new(end.clone()));
    let (node_id, member) = (session.node_id().map(str::to_owned), session.member().cloned());
    let replica = Replica { node_id, member, host, port, peer: session.peer() };
    let begun = feeds.begin(replica, store.number, next - 1, Box::new(end.clone()));
    let Ok(id) = begun else { return next - 1 };
    // A topology that came between the answer to PSYNC and this has not seen the feed.
    if connection.node().is_ok_and(|node| node.refuse_feeds().is_err()) || sender.is_over() {
        feeds.ended(id);
        return next - 1;
    }
    let who = connection.client().stream.peer_ip();
    instance.events.tell(EventKind::Feed, || format!("a feed to {who} begins after {}", next - 1));
    if connection.send(reply).is_err() {
        feeds.ended(id);
        return next - 1;
    }
    let unread = connection.take_unread();
    let reading = {
        let (state, feeds, stream) = (Arc::clone(&state), Arc::clone(&feeds), Arc::clone(&stream));
        std::thread::Builder::new().name("pumice-acks".to_owned()).spawn(move || {
            let mut bytes = unread;
            let mut buffer = vec![0; 16 << 10];
            loop {
                let mut feed = state.lock();
                if feed.receive(clock::monotonic_ms(), &bytes).is_err() {
                    break;
                }
                let told = sender::told(&feed);
                drop(feed);
                feeds.tell(id, told);
                match (&*stream).read(&mut buffer) {
                    Ok(read) if read > 0 => bytes = buffer[..read].to_vec(),
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => bytes.clear(),
                    _ => break,
                }
            }
            end();
        })
    };
    if let Ok(reading) = reading {
        // Why it ended is told by the replica, who comes back or does not.
        let log = Log::open_at(&instance, store, tail);
        let _ = sender.run(&instance, log, kept, |told| feeds.tell(id, told), || feeds.asked());
        stream.shutdown();
        let _ = reading.join();
    }
    feeds.ended(id);
    let sent = state.lock().sent();
    instance.events.tell(EventKind::Feed, || format!("the feed to {who} has ended at {sent}"));
    sent
}
