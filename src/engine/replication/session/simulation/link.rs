//! A replica's link in the simulation: connects, follows, full-syncs, and tries again.

use std::collections::BTreeMap;

use super::network::{Connection, Faults};
use super::node::{Node, word};
use super::served::Served;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::batch::Batch;
use crate::engine::format::fuzz::Random;
use crate::engine::format::resp::{Limits, ReplyParser, encode_request};
use crate::engine::format::side::SyncManifest;
use crate::engine::replication::session::Peer;
use crate::engine::replication::session::fetch::{Fetch, FetchEvent};
use crate::engine::replication::session::frame::FrameReader;
use crate::engine::replication::session::replica::{Action, Announce, ReplicaSession, Retry};

/// The replica's end of a connection that follows.
enum Chain {
    Ours(Box<ReplicaSession>),
    Kvrocks(Box<Model>),
}

/// A Kvrocks replica: writes what it gets and looks at no sequence.
struct Model {
    step: usize,
    lines: ReplyParser,
    frames: FrameReader,
    acks: bool,
}

/// A full sync: what is known and what has arrived.
#[derive(Default)]
struct Sync {
    manifest: Option<(String, SyncManifest)>,
    files: BTreeMap<String, Vec<u8>>,
    current: String,
    names: Option<Vec<String>>,
    done: bool,
    /// What the data is called that comes.
    dataset: Option<String>,
}

enum State {
    Waiting { until_ms: u64 },
    Following { chain: Chain },
    Syncing { fetch: Box<Fetch>, by_range: bool, heard_ms: u64 },
}

pub struct Link {
    pub replica: usize,
    pub primary: usize,
    pub full_syncs: usize,
    pub restores: usize,
    /// Entries that came by the feed.
    pub applied: usize,
    state: State,
    sync: Sync,
    connection: Connection,
    served: Served,
}

impl Link {
    pub fn new(replica: usize, primary: usize, random: &mut Random) -> Link {
        Link {
            replica,
            primary,
            full_syncs: 0,
            restores: 0,
            applied: 0,
            state: State::Waiting { until_ms: 0 },
            sync: Sync::default(),
            connection: Connection::default(),
            served: Served::new(replica, random),
        }
    }

    /// The connection breaks.
    pub fn cut(&mut self, primary: &mut Node, now_ms: u64) {
        self.served.close(primary);
        self.state = State::Waiting { until_ms: now_ms + 100 };
    }

    fn connect(&mut self, primary: &mut Node, random: &mut Random) {
        self.served.close(primary);
        self.connection = Connection::default();
        self.served = Served::new(self.replica, random);
    }

    pub fn step(&mut self, now_ms: u64, nodes: &mut [Node], random: &mut Random, faults: &Faults) {
        let [replica, primary] = nodes.get_disjoint_mut([self.replica, self.primary]).expect("two nodes");
        if let State::Waiting { until_ms } = self.state {
            if now_ms >= until_ms {
                self.follow(now_ms, replica, primary, random);
            }
            return;
        }
        for _ in 0..1 + random.below(6) {
            if let Some(bytes) = self.connection.to_primary.deliver(now_ms, random, faults) {
                self.served.receive(now_ms, &bytes, primary, random, faults);
            }
            self.flush();
            if let Some(bytes) = self.connection.to_replica.deliver(now_ms, random, faults) {
                self.receive(now_ms, &bytes, replica, primary, random);
            }
        }
        if !self.served.closed {
            self.served.pump(now_ms, primary, random);
        }
        self.flush();
        self.tick(now_ms, replica, primary, random);
    }

    fn flush(&mut self) {
        for bytes in self.served.out.drain(..) {
            self.connection.to_replica.send(bytes);
        }
        self.connection.to_replica.ended |= self.served.closed;
    }

    fn follow(&mut self, now_ms: u64, replica: &mut Node, primary: &mut Node, random: &mut Random) {
        self.connect(primary, random);
        let password = (random.below(2) == 0).then(|| "pw".to_owned());
        if replica.flavour == Peer::Pumice {
            let ip = (random.below(2) == 0).then(|| "replica.example".to_owned());
            let announce = Announce { port: 7000 + self.replica as u16, ip };
            let mut session = Box::new(ReplicaSession::new(password, Some(announce), replica.own()));
            let mut out = Vec::new();
            session.start(now_ms, &mut out);
            self.state = State::Following { chain: Chain::Ours(session) };
            self.act(now_ms, out, replica, primary, random);
        } else {
            let lines = ReplyParser::new(Limits::default());
            let model = Model { step: 0, lines, frames: FrameReader::default(), acks: random.below(2) == 0 };
            self.state = State::Following { chain: Chain::Kvrocks(Box::new(model)) };
            self.connection.to_primary.send(encode_request(&[b"_db_name"]));
        }
    }

    fn receive(&mut self, now_ms: u64, bytes: &[u8], replica: &mut Node, primary: &mut Node, random: &mut Random) {
        match &mut self.state {
            State::Waiting { .. } => {}
            State::Following { chain: Chain::Ours(session) } => {
                let mut out = Vec::new();
                session.receive(now_ms, bytes, &mut out);
                let size: usize =
                    out.iter().map(|action| if let Action::Apply(bytes) = action { bytes.len() } else { 0 }).sum();
                assert!(size <= 200_000, "{size} bytes came out");
                self.act(now_ms, out, replica, primary, random);
                let mut out = Vec::new();
                if let State::Following { chain: Chain::Ours(session) } = &mut self.state {
                    let durable = replica.latest().saturating_sub(random.below(3) as u64);
                    session.applied(now_ms, replica.latest(), durable, &mut out);
                }
                self.act(now_ms, out, replica, primary, random);
            }
            State::Following { chain: Chain::Kvrocks(_) } => {
                if let Err(wait_ms) = self.receive_as_kvrocks(now_ms, bytes, replica, primary, random) {
                    self.wait(now_ms + wait_ms);
                }
            }
            State::Syncing { .. } => {
                let outcome = self.take(now_ms, bytes);
                self.synced(outcome, now_ms, replica, primary, random);
            }
        }
    }

    fn wait(&mut self, until_ms: u64) {
        self.state = State::Waiting { until_ms };
        self.connection.to_primary.cut = true;
    }

    fn act(&mut self, now_ms: u64, actions: Vec<Action>, replica: &mut Node, primary: &mut Node, random: &mut Random) {
        for action in actions {
            match action {
                Action::Send(bytes) => self.connection.to_primary.send(bytes),
                // As the link: with what is no batch the attempt ends.
                Action::Apply(bytes) if Batch::parse(&bytes).is_err() => return self.wait(now_ms + 5_000),
                Action::Apply(bytes) => {
                    replica.push(&bytes);
                    replica.admitted = None;
                    self.applied += 1;
                }
                Action::Streaming(_) | Action::Epoch(..) | Action::Latest(_) | Action::Warn(_) => {}
                Action::Failed { retry, .. } => self.wait(now_ms + if retry == Retry::Soon { 100 } else { 5_000 }),
                Action::FullSync { .. } => {
                    let State::Following { chain: Chain::Ours(session) } = &self.state else { panic!("not following") };
                    let by_range = session.peer() == Some(Peer::Pumice);
                    self.sync.dataset = session.dataset().map(str::to_owned);
                    self.full_syncs += 1;
                    let fetch = if by_range { Fetch::pumice(None) } else { Fetch::names(None) };
                    self.fetch(now_ms, fetch, by_range, replica, primary, random);
                }
            }
        }
    }

    fn fetch(
        &mut self,
        now_ms: u64,
        mut fetch: Fetch,
        by_range: bool,
        replica: &mut Node,
        primary: &mut Node,
        random: &mut Random,
    ) {
        self.connect(primary, random);
        let mut ready = false;
        let to_primary = &mut self.connection.to_primary;
        let on = &mut |event: FetchEvent<'_>| {
            match event {
                FetchEvent::Send(bytes) => to_primary.send(bytes.to_vec()),
                FetchEvent::Ready => ready = true,
                other => panic!("{other:?} at the start"),
            }
            Ok(())
        };
        fetch.start(on).unwrap();
        if ready {
            to_primary.send(fetch.request_checkpoint().unwrap());
        }
        self.state = State::Syncing { fetch: Box::new(fetch), by_range, heard_ms: now_ms };
        self.synced(Ok(()), now_ms, replica, primary, random);
    }

    /// Takes bytes of a full sync.
    fn take(&mut self, now_ms: u64, bytes: &[u8]) -> Result<()> {
        let State::Syncing { fetch, heard_ms, .. } = &mut self.state else { return Ok(()) };
        *heard_ms = now_ms;
        let sync = &mut self.sync;
        let mut listed = false;
        fetch.receive(now_ms, bytes, &mut |event| {
            match event {
                FetchEvent::Names(names) => sync.names = Some(names),
                FetchEvent::Checkpoint { id, manifest } => {
                    if sync.manifest.as_ref().is_none_or(|(known, _)| *known != id) {
                        sync.files.clear();
                    }
                    sync.manifest = Some((id, manifest));
                    listed = true;
                }
                FetchEvent::Begin { name, .. } => name.clone_into(&mut sync.current),
                FetchEvent::Data(data) => sync.files.entry(sync.current.clone()).or_default().extend_from_slice(data),
                FetchEvent::End => {
                    sync.files.entry(sync.current.clone()).or_default();
                }
                FetchEvent::Send(_) | FetchEvent::Ready | FetchEvent::NotYet => {}
            }
            Ok(())
        })?;
        if listed && let Some((id, manifest)) = &sync.manifest {
            for file in &manifest.files {
                let have = sync.files.get(&file.name).map_or(0, Vec::len) as u64;
                let left = file.size.checked_sub(have).ok_or_else(|| Error::new(ErrorKind::Corruption, "longer"))?;
                let request = fetch.request_range(id, &file.name, have, left)?;
                self.connection.to_primary.send(request);
            }
        }
        if let Some((_, manifest)) = &sync.manifest {
            let whole = |name: &str, size: u64| sync.files.get(name).is_some_and(|bytes| bytes.len() as u64 == size);
            sync.done = !listed && manifest.files.iter().all(|file| whole(&file.name, file.size));
        }
        Ok(())
    }

    /// What is next in a full sync.
    fn synced(
        &mut self,
        outcome: Result<()>,
        now_ms: u64,
        replica: &mut Node,
        primary: &mut Node,
        random: &mut Random,
    ) {
        let State::Syncing { fetch, by_range, .. } = &self.state else { return };
        let by_range = *by_range;
        if outcome.is_err() {
            self.sync = Sync::default();
            return self.wait(now_ms + 1_000);
        }
        if !by_range {
            if fetch.closed().is_err() {
                return;
            }
            if let Some(names) = self.sync.names.take() {
                self.sync.files.clear();
                let fetch = Fetch::files(None, names, 10_000_000);
                return self.fetch(now_ms, fetch, false, replica, primary, random);
            }
            self.sync.done = true;
            self.served.taken(primary);
        }
        if self.sync.done {
            self.restores += 1;
            let sync = std::mem::take(&mut self.sync);
            let files: Vec<(String, Vec<u8>)> = sync.files.into_iter().collect();
            if replica.restore(&files) {
                replica.admitted = sync.dataset;
            }
            self.wait(now_ms + random.below(1_000) as u64);
        }
    }

    fn receive_as_kvrocks(
        &mut self,
        now_ms: u64,
        bytes: &[u8],
        replica: &mut Node,
        primary: &mut Node,
        random: &mut Random,
    ) -> std::result::Result<(), u64> {
        let State::Following { chain: Chain::Kvrocks(model) } = &mut self.state else { return Ok(()) };
        let to_primary = &mut self.connection.to_primary;
        let rest;
        let mut input = bytes;
        if model.step < 3 {
            model.lines.push(bytes);
            while model.step < 3 {
                let Some(line) = model.lines.next_line().map_err(|_| 1_000u64)? else { return Ok(()) };
                if line.starts_with(b"-LOADING") {
                    return Err(10_000);
                }
                match model.step {
                    0 => {
                        assert_eq!(line, b"change.me.db");
                        let port = (7000 + self.replica).to_string();
                        to_primary.send(encode_request(&[b"replconf", b"listening-port", port.as_bytes()]));
                    }
                    1 => {
                        let (id, next) = (replica.id(), (replica.latest() + 1).to_string());
                        let words: &[&[u8]] = match replica.ids && !id.is_empty() {
                            true => &[b"PSYNC", id.as_bytes(), next.as_bytes()],
                            false => &[b"PSYNC", next.as_bytes()],
                        };
                        to_primary.send(encode_request(words));
                    }
                    _ if line == b"+OK" => {}
                    _ => {
                        self.full_syncs += 1;
                        self.fetch(now_ms, Fetch::names(None), false, replica, primary, random);
                        return Ok(());
                    }
                }
                model.step += 1;
            }
            rest = model.lines.take_rest();
            input = &rest;
        }
        while let Some(frame) = model.frames.next(&mut input).map_err(|_| 10_000u64)? {
            if frame == b"ping".as_slice() || frame.len() < 12 {
                assert!(frame == b"ping".as_slice() || model.acks, "an old Kvrocks was asked");
            } else {
                assert!(Batch::parse(&frame).unwrap().count() > 0);
                replica.push(&frame);
                self.applied += 1;
            }
            if model.acks {
                let latest = replica.latest().to_string();
                to_primary.send(encode_request(&[b"replconf", b"ack", latest.as_bytes()]));
            }
        }
        Ok(())
    }

    /// Time passes, and connections end.
    fn tick(&mut self, now_ms: u64, replica: &mut Node, primary: &mut Node, random: &mut Random) {
        if let State::Following { chain: Chain::Ours(session) } = &mut self.state {
            let mut out = Vec::new();
            session.tick(now_ms, &mut out);
            self.act(now_ms, out, replica, primary, random);
        }
        let over = self.connection.to_replica.is_over() || self.connection.is_cut();
        match &self.state {
            State::Waiting { .. } => self.served.close(primary),
            State::Syncing { heard_ms, .. } if over || now_ms > heard_ms + 30_000 => {
                // What has arrived of a file is kept for the next time, with its checkpoint.
                self.sync.names = None;
                self.wait(now_ms + 1_000);
            }
            State::Following { .. } if over => self.wait(now_ms + 1_000),
            _ => {}
        }
    }
}

/// A process begins anew.
pub fn restart(node: &mut Node, random: &mut Random) {
    node.run_id = word(random);
    node.admitted = None;
    node.admissions = Default::default();
    // An engine deletes at open what it served before: it may have lost entries that are in it.
    node.checkpoint = None;
}
