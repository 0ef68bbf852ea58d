//! The feeds of a primary that run, and what their replicas have acknowledged.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::session::Peer;
use crate::engine::clock;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::topology::Member;

/// A running feed at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeedStatus {
    /// Tells it from every other feed of this engine.
    pub id: u64,
    /// The replica's host, as it announced itself, or as the connection shows it.
    pub host: String,
    /// The port that the replica announced, 0 when it announced none.
    pub port: u16,
    /// Who the replica is.
    pub peer: Peer,
    /// The last sequence sent.
    pub sent: u64,
    /// The last sequence that the replica says it has applied; `None` while it said nothing, as an older Kvrocks does.
    pub acked: Option<u64>,
    /// The last sequence that the replica says will survive a power cut.
    pub durable: Option<u64>,
    /// How many sequences the replica lacks, by what it acknowledged, else by what was sent.
    pub lag_sequences: u64,
    /// How long ago it acknowledged something.
    pub last_ack: Option<Duration>,
    /// When it began, in Unix milliseconds.
    pub since_ms: u64,
    /// Which node of a topology the replica is, where that is known.
    pub(crate) node_id: Option<String>,
}

/// Whom a feed is for.
pub struct Replica {
    /// The node id that it said.
    pub node_id: Option<String>,
    /// As which node it was admitted, where a topology governs.
    pub member: Option<Member>,
    /// Where it can be reached, as it announced that.
    pub host: String,
    pub port: u16,
    pub peer: Peer,
}

/// What a feed tells of itself.
#[derive(Clone, Copy, Default)]
pub struct Told {
    pub sent: u64,
    pub acked: Option<u64>,
    pub durable: Option<u64>,
}

struct Running {
    replica: Replica,
    /// The number of the generation that it reads.
    store: u64,
    told: Told,
    last_ack: Option<Instant>,
    since_ms: u64,
    end: Box<dyn Fn() + Send>,
}

/// All feeds of an engine.
#[derive(Default)]
pub struct Feeds {
    state: Mutex<State>,
    acked: Condvar,
}

#[derive(Default)]
struct State {
    made: u64,
    closed: bool,
    running: BTreeMap<u64, Running>,
    /// Replicas wanted to hear of acknowledgements: how often somebody began to wait for them.
    asked: u64,
}

impl Feeds {
    /// A feed begins, of the generation `store`; `end` ends it from another thread.
    pub fn begin(&self, replica: Replica, store: u64, sent: u64, end: Box<dyn Fn() + Send>) -> Result<u64> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Error::new(ErrorKind::Closed, "feed: the engine is closed"));
        }
        state.made += 1;
        let (id, since_ms) = (state.made, clock::now_ms());
        let told = Told { sent, ..Told::default() };
        state.running.insert(id, Running { replica, store, told, last_ack: None, since_ms, end });
        Ok(id)
    }

    /// What a feed has sent and heard.
    pub fn tell(&self, id: u64, told: Told) {
        let mut state = self.state.lock();
        let Some(running) = state.running.get_mut(&id) else { return };
        // Sender and receiver of a feed both tell, and who saw it first may come last.
        let before = running.told;
        running.told = Told {
            sent: before.sent.max(told.sent),
            acked: before.acked.max(told.acked),
            durable: before.durable.max(told.durable),
        };
        let acked = before.acked != running.told.acked || before.durable != running.told.durable;
        if acked {
            running.last_ack = Some(clock::instant());
            drop(state);
            self.acked.notify_all();
        }
    }

    /// A feed has ended.
    pub fn ended(&self, id: u64) {
        self.state.lock().running.remove(&id);
        self.acked.notify_all();
    }

    /// Ends the feeds that `which` says; gives how many.
    pub fn end(&self, which: impl Fn(&str, u16) -> bool) -> usize {
        let state = self.state.lock();
        let ended = state.running.values().filter(|running| which(&running.replica.host, running.replica.port));
        ended.map(|running| (running.end)()).count()
    }

    /// Ends the feeds that `refuses` says, by node id, host and port, and shows them no more; gives how many. Who was found by
    /// an address is known by that which the topology had.
    pub fn refuse(&self, refuses: impl Fn(Option<&str>, &str, u16) -> bool) -> usize {
        let mut state = self.state.lock();
        let before = state.running.len();
        state.running.retain(|_, running| {
            let Replica { node_id, member, host, port, .. } = &running.replica;
            let (host, port) = member.as_ref().map_or((host, port), |member| (&member.host, &member.port));
            let refused = refuses(node_id.as_deref(), host, *port);
            if refused {
                (running.end)();
            }
            !refused
        });
        let ended = before - state.running.len();
        drop(state);
        self.acked.notify_all();
        ended
    }

    /// Ends all feeds, and admits no more.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.end(|_, _| true);
        self.acked.notify_all();
    }

    /// All that run, where the primary is at `latest`.
    pub fn status(&self, latest: u64) -> Vec<FeedStatus> {
        let now = clock::instant();
        let state = self.state.lock();
        let status = |(&id, running): (&u64, &Running)| FeedStatus {
            id,
            host: running.replica.host.clone(),
            port: running.replica.port,
            peer: running.replica.peer,
            sent: running.told.sent,
            acked: running.told.acked,
            durable: running.told.durable,
            lag_sequences: latest.saturating_sub(running.told.acked.unwrap_or(running.told.sent)),
            last_ack: running.last_ack.map(|then| now.duration_since(then)),
            since_ms: running.since_ms,
            node_id: {
                let Replica { node_id, member, .. } = &running.replica;
                node_id.clone().or_else(|| member.as_ref().map(|member| member.id.clone()))
            },
        };
        state.running.iter().map(status).collect()
    }

    /// Ends the feed of that address, if there is one; gives the last sequence sent on it.
    pub fn supersede(&self, host: &str, port: u16) -> Option<u64> {
        let state = self.state.lock();
        let former =
            state.running.values().filter(|feed| (feed.replica.host.as_str(), feed.replica.port) == (host, port));
        former.inspect(|feed| (feed.end)()).map(|feed| feed.told.sent).max()
    }

    /// Waits until `replicas` feeds of the generation `store` have acknowledged `sequence`; gives how many have when the
    /// time is over.
    pub fn wait_acked(&self, store: u64, sequence: u64, replicas: usize, deadline: Instant) -> usize {
        let mut state = self.state.lock();
        state.asked += 1;
        loop {
            let has = |feed: &&Running| feed.store == store && feed.told.acked.is_some_and(|acked| acked >= sequence);
            let acked = state.running.values().filter(has).count();
            if acked >= replicas || state.closed || self.acked.wait_until(&mut state, deadline).timed_out() {
                return acked;
            }
        }
    }

    /// Waits until one feed has acknowledged `sequence` of the generation `store`. `false` when the time is over or the
    /// feed has ended.
    pub fn wait_acked_by(&self, id: u64, store: u64, sequence: u64, deadline: Instant) -> bool {
        let mut state = self.state.lock();
        state.asked += 1;
        loop {
            let Some(feed) = state.running.get(&id).filter(|feed| feed.store == store) else { return false };
            if feed.told.acked.is_some_and(|acked| acked >= sequence) {
                return true;
            }
            if state.closed || self.acked.wait_until(&mut state, deadline).timed_out() {
                return false;
            }
        }
    }

    /// How often somebody began to wait for acknowledgements: a feed that sees it change asks its replica for one.
    pub fn asked(&self) -> u64 {
        self.state.lock().asked
    }
}
