//! The running link of a replica: one thread that is driven to follow whom the engine wishes to follow.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::full_sync::{FullSync, Incoming};
use super::log;
use super::position::Position;
use super::session::Peer;
use super::session::replica::{Action, Announce, Own, ReplicaSession, Retry};
use super::sync_status::{Counters, SyncStatus};
use super::tcp::{Connection, Received, Stop};
use crate::engine::clock;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::events::EventKind;
use crate::engine::format::state::DesiredLink;
use crate::engine::generation::Store;
use crate::engine::instance::Instance;
use crate::engine::random::random_id;
use crate::engine::storage::wal;

/// What a link is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum LinkState {
    /// It looks for the primary.
    Connecting = 1,
    /// It agrees with the primary where to begin.
    Handshake = 2,
    /// It receives the whole dataset.
    Syncing = 3,
    /// It receives entries as they are written.
    Streaming = 4,
    /// It waits before it tries again.
    Waiting = 5,
}

impl LinkState {
    /// Its name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            LinkState::Connecting => "connecting",
            LinkState::Handshake => "handshake",
            LinkState::Syncing => "syncing",
            LinkState::Streaming => "streaming",
            LinkState::Waiting => "waiting",
        }
    }
}

/// The link of a replica at one moment, as it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkStatus {
    /// The primary's host.
    pub host: String,
    /// The primary's port.
    pub port: u16,
    /// What the link is doing.
    pub state: LinkState,
    /// Since when it is doing that, in Unix milliseconds.
    pub since_ms: u64,
    /// Who the primary is, once it is known.
    pub peer: Option<Peer>,
    /// How many sequences the primary was ahead when it last told; `None` before it did.
    pub lag_sequences: Option<u64>,
    /// How long ago this replica last had everything, zero when it has; `None` before it ever had.
    pub lag: Option<Duration>,
    /// How long ago the last bytes came.
    pub last_io: Option<Duration>,
    /// Why it failed last.
    pub last_error: Option<String>,
    /// What the operator ought to know of the primary.
    pub warning: Option<String>,
    /// The full sync that runs.
    pub sync: Option<SyncStatus>,
    /// How many full syncs were done since this primary is followed.
    pub full_syncs: u64,
}

/// The running link, shared by its thread and by who asks.
pub struct Link {
    instance: Arc<Instance>,
    run_id: String,
    /// The port of this engine's own listener, 0 for none.
    listens: Arc<AtomicU16>,
    run: Mutex<Run>,
    changed: Condvar,
}

#[derive(Default)]
struct Run {
    thread: Option<JoinHandle<()>>,
    closed: bool,
    /// The newest wish that the thread was woken for.
    woken_for: u64,
    /// Which wish is being followed, and what ends that.
    following: Option<(u64, Arc<Stop>)>,
    seen: Option<Seen>,
}

/// What was seen of the link that runs.
struct Seen {
    state: LinkState,
    since_ms: u64,
    /// Since when it streams, or does not.
    turned_ms: u64,
    peer: Option<Peer>,
    /// The latest sequence that the primary told of.
    latest: Option<u64>,
    caught_up: Option<Instant>,
    last_io: Option<Instant>,
    last_error: Option<String>,
    warning: Option<String>,
    sync: Option<Arc<Counters>>,
    full_syncs: u64,
}

/// That only a full sync helps, and why.
struct Needed {
    peer: Peer,
    reason: String,
    diverged: bool,
    /// What tells the primary's data from other data at its address.
    dataset: Option<String>,
}

/// A full sync that was done: of which data, and where it ended.
struct Synced {
    sequence: u64,
    dataset: String,
}

/// How an attempt to follow ended.
enum Ended {
    /// The dataset is the primary's now: go on at once.
    Synced,
    Failed(Error, Retry),
}

/// How long a link may hear nothing before it looks around.
const QUIET: Duration = Duration::from_secs(1);
/// A primary that has nothing to send says so every two seconds. One that is silent for longer may have more.
const SILENT: Duration = Duration::from_secs(5);
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// A primary that comes back, or hears of a topology later than its replicas, is found within a second.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// What will fail again before somebody does something about it.
const LONG_WAIT: Duration = Duration::from_secs(10);
/// After as many full syncs without an entry in between it waits like after a failure.
const SYNCS_IN_A_ROW: u32 = 2;

impl Link {
    pub fn new(instance: &Arc<Instance>, run_id: &str, listens: &Arc<AtomicU16>) -> Arc<Link> {
        Arc::new(Link {
            instance: Arc::clone(instance),
            run_id: run_id.to_owned(),
            listens: Arc::clone(listens),
            run: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Brings the running link in line with the wish. Returns at once: who no longer is followed writes nothing more,
    /// since each of its entries is checked against the wish.
    pub fn reconcile(self: &Arc<Link>) -> Result<()> {
        let (wish, desired) = self.instance.desired()?;
        let mut run = self.run.lock();
        if run.closed {
            return Ok(());
        }
        run.woken_for = run.woken_for.max(wish);
        if let Some((followed, stop)) = &run.following
            && *followed != wish
        {
            stop.stop();
        }
        if desired.is_some() && run.thread.is_none() {
            let link = Arc::clone(self);
            let started = std::thread::Builder::new().name("pumice-link".to_owned()).spawn(move || link.run());
            run.thread = Some(started.map_err(|e| Error::io("start the thread of the link", e))?);
        }
        drop(run);
        self.changed.notify_all();
        Ok(())
    }

    /// Tells the primary where this engine listens by now: it connects anew, unless it announces something else.
    pub fn announce(&self) {
        let Ok((_, Some(desired))) = self.instance.desired() else { return };
        let run = self.run.lock();
        // After a full sync it connects anew by itself.
        let is_syncing = run.seen.as_ref().is_some_and(|seen| seen.state == LinkState::Syncing);
        if let Some((_, stop)) = &run.following
            && desired.announce_port == 0
            && !is_syncing
        {
            stop.stop();
        }
    }

    /// Ends it for good, and waits for its thread.
    pub fn close(&self) {
        let mut run = self.run.lock();
        run.closed = true;
        if let Some((_, stop)) = &run.following {
            stop.stop();
        }
        let thread = run.thread.take();
        drop(run);
        self.changed.notify_all();
        thread.map(JoinHandle::join);
    }

    /// What runs now. `None` when nobody is to be followed.
    pub fn status(&self) -> Result<Option<LinkStatus>> {
        let (wish, Some(desired)) = self.instance.desired()? else { return Ok(None) };
        let own = self.instance.generation()?.store.db.latest_sequence();
        let run = self.run.lock();
        let followed = run.following.as_ref().is_some_and(|(followed, _)| *followed == wish);
        let seen = run.seen.as_ref().filter(|_| followed);
        let now = clock::instant();
        let ago = |then: Instant| now.duration_since(then);
        let lag_sequences = seen.and_then(|seen| seen.latest).map(|latest| latest.saturating_sub(own));
        let streaming = seen.is_some_and(|seen| seen.state == LinkState::Streaming);
        let heard = seen.and_then(|seen| seen.last_io).is_some_and(|then| ago(then) < SILENT);
        Ok(Some(LinkStatus {
            host: desired.host,
            port: desired.port,
            state: seen.map_or(LinkState::Connecting, |seen| seen.state),
            since_ms: seen.map_or_else(clock::now_ms, |seen| seen.since_ms),
            peer: seen.and_then(|seen| seen.peer),
            lag_sequences,
            lag: match lag_sequences {
                Some(0) if streaming && heard => Some(Duration::ZERO),
                _ => seen.and_then(|seen| seen.caught_up).map(ago),
            },
            last_io: seen.and_then(|seen| seen.last_io).map(ago),
            last_error: seen.and_then(|seen| seen.last_error.clone()),
            warning: seen.and_then(|seen| seen.warning.clone()),
            sync: seen.and_then(|seen| seen.sync.as_ref()).map(|counters| counters.status()),
            full_syncs: seen.map_or(0, |seen| seen.full_syncs),
        }))
    }

    /// Waits until the link streams and has had everything once, and tells what it does meanwhile. `None` when the time is
    /// over, or nobody is followed any more.
    pub fn wait(
        &self,
        deadline: Option<Instant>,
        tell: &mut dyn FnMut(&LinkStatus) -> std::ops::ControlFlow<()>,
    ) -> Result<Option<LinkStatus>> {
        const TELL: Duration = Duration::from_millis(100);
        loop {
            let Some(status) = self.status()? else { return Ok(None) };
            // A log that begins at nothing streams long before the data is here.
            let here = status.lag.is_some() || status.full_syncs > 0;
            if status.state == LinkState::Streaming && here {
                return Ok(Some(status));
            }
            if tell(&status).is_break() {
                return Err(Error::new(ErrorKind::Busy, "follow: cancelled by the caller; the link goes on"));
            }
            let next = clock::after(TELL);
            let until = deadline.map_or(next, |deadline| deadline.min(next));
            if deadline.is_some_and(|deadline| clock::instant() >= deadline) {
                return Ok(None);
            }
            self.changed.wait_until(&mut self.run.lock(), until);
        }
    }

    fn run(self: Arc<Link>) {
        let mut wait = FIRST_WAIT;
        let mut syncs = 0;
        let mut received = None;
        let mut synced = None;
        while let Some((wish, desired, stop, fresh)) = self.next_wish() {
            if fresh {
                (wait, syncs, received, synced) = (FIRST_WAIT, 0, None, None);
            }
            let mut attempt =
                Attempt { link: &self, wish, desired: &desired, stop: &stop, received: &mut received, streamed: false };
            let run = AssertUnwindSafe(|| attempt.run(&mut synced));
            let ended = catch_unwind(run).unwrap_or_else(|_| {
                let error = Error::new(ErrorKind::Internal, "the thread of the link panicked; it begins anew");
                Ended::Failed(error, Retry::Later)
            });
            if attempt.streamed {
                (wait, syncs) = (FIRST_WAIT, 0);
            }
            if stop.is_stopped() {
                continue;
            }
            let pause = match ended {
                Ended::Synced if syncs < SYNCS_IN_A_ROW => {
                    syncs += 1;
                    continue;
                }
                Ended::Synced => {
                    syncs = 0;
                    LONG_WAIT
                }
                Ended::Failed(error, retry) => {
                    self.see(wish, |seen| {
                        let text = error.to_string();
                        if seen.last_error.as_ref() != Some(&text) {
                            self.tell(|| format!("link to {}:{}: {text}", desired.host, desired.port));
                            seen.last_error = Some(text);
                        }
                    });
                    match retry {
                        Retry::Soon => {
                            wait = (wait * 2).min(LONGEST_WAIT);
                            wait
                        }
                        Retry::Later | Retry::Never => LONG_WAIT,
                    }
                }
            };
            self.enter(wish, LinkState::Waiting);
            stop.sleep(jittered(pause));
        }
    }

    /// Waits for somebody to follow. `None` when there will be nobody.
    fn next_wish(&self) -> Option<(u64, DesiredLink, Arc<Stop>, bool)> {
        loop {
            // Without the lock of the run, since whoever changes the wish holds the commit lock and takes this one then.
            let (wish, desired) = self.instance.desired().ok()?;
            let mut run = self.run.lock();
            if run.closed {
                return None;
            }
            let Some(desired) = desired else {
                run.following = None;
                run.seen = None;
                // Another wish may have come since this one was read.
                if run.woken_for <= wish {
                    self.changed.wait(&mut run);
                }
                continue;
            };
            let same = run.following.as_ref().filter(|(followed, stop)| *followed == wish && !stop.is_stopped());
            if let Some((_, stop)) = same {
                return Some((wish, desired, Arc::clone(stop), false));
            }
            let stop = Arc::new(Stop::default());
            let former = run.following.replace((wish, Arc::clone(&stop)));
            if former.is_some_and(|(followed, _)| followed == wish) && run.seen.is_some() {
                return Some((wish, desired, stop, false));
            }
            run.seen = Some(Seen {
                state: LinkState::Connecting,
                since_ms: clock::now_ms(),
                turned_ms: clock::now_ms(),
                peer: None,
                latest: None,
                caught_up: None,
                last_io: None,
                last_error: None,
                warning: None,
                sync: None,
                full_syncs: 0,
            });
            return Some((wish, desired, stop, true));
        }
    }

    /// Notes something about the link that runs for a wish.
    fn see(&self, wish: u64, note: impl FnOnce(&mut Seen)) {
        let mut run = self.run.lock();
        let current = run.following.as_ref().is_some_and(|(followed, _)| *followed == wish);
        if let Some(seen) = run.seen.as_mut().filter(|_| current) {
            note(seen);
        }
    }

    fn tell(&self, message: impl FnOnce() -> String) {
        self.instance.events.tell(EventKind::Link, message);
    }

    /// Since when the link streams, or does not. `None` when nothing was seen of it yet.
    pub fn turned_ms(&self) -> Option<u64> {
        self.run.lock().seen.as_ref().map(|seen| seen.turned_ms)
    }

    fn enter(&self, wish: u64, state: LinkState) {
        self.see(wish, |seen| {
            if seen.state != state {
                let streaming = LinkState::Streaming;
                if seen.state == streaming || state == streaming {
                    seen.turned_ms = clock::now_ms();
                    self.tell(|| format!("the link was {}, and is {}", seen.state.name(), state.name()));
                }
                seen.state = state;
                seen.since_ms = clock::now_ms();
            }
            if state != LinkState::Syncing {
                seen.sync = None;
            }
        });
        self.changed.notify_all();
    }
}

/// One connection to the primary.
struct Attempt<'a> {
    link: &'a Link,
    wish: u64,
    desired: &'a DesiredLink,
    stop: &'a Arc<Stop>,
    /// What an earlier try has received.
    received: &'a mut Option<Incoming>,
    streamed: bool,
}

impl Attempt<'_> {
    /// Follows until it cannot. `synced` is the last full sync from this primary.
    fn run(&mut self, synced: &mut Option<Synced>) -> Ended {
        match self.follow(synced.as_ref()) {
            Ok(Needed { peer, reason, diverged, dataset }) => {
                self.link.see(self.wish, |seen| seen.last_error = Some(format!("full sync: {reason}")));
                match self.full_sync(peer, diverged, dataset.as_deref()) {
                    Ok(sequence) => {
                        *synced = dataset.map(|dataset| Synced { sequence, dataset });
                        Ended::Synced
                    }
                    Err(e) => Ended::Failed(e, Retry::Soon),
                }
            }
            Err((error, retry)) => Ended::Failed(error, retry),
        }
    }

    /// Follows the log. Returns when a full sync is needed, and why.
    fn follow(&mut self, synced: Option<&Synced>) -> std::result::Result<Needed, (Error, Retry)> {
        let soon = |error| (error, Retry::Soon);
        let link = self.link;
        link.enter(self.wish, LinkState::Connecting);
        let mut connection = self.connect().map_err(soon)?;
        link.enter(self.wish, LinkState::Handshake);
        let (own, store) = self.own(synced).map_err(soon)?;
        let ports = [self.desired.announce_port, link.listens.load(Ordering::Relaxed)];
        let announce = ports.into_iter().find(|&port| port != 0).map(|port| Announce { port, ip: None });
        let mut session = ReplicaSession::new(self.desired.password.clone(), announce, own);
        let mut actions = Vec::new();
        session.start(clock::monotonic_ms(), &mut actions);
        let mut buffer = vec![0; 256 << 10];
        let mut received = false;
        let mut batches = Vec::new();
        let (mut ticked_ms, mut streams_ms) = (clock::monotonic_ms(), None);
        loop {
            for action in actions.drain(..) {
                // Entries that came together are written together.
                if !matches!(action, Action::Apply(_)) {
                    self.apply(&store, &mut batches)?;
                }
                match action {
                    Action::Send(bytes) => connection.send(&bytes).map_err(soon)?,
                    Action::Apply(bytes) => batches.push(bytes),
                    Action::Epoch(epoch, origin) => {
                        // Persisted before anything that was written under it is.
                        link.instance.led(self.wish, &store, &epoch, &origin).map_err(soon)?;
                    }
                    Action::Streaming(peer) => {
                        streams_ms = Some(clock::monotonic_ms());
                        link.see(self.wish, |seen| {
                            (seen.peer, seen.latest, seen.last_error) = (Some(peer), None, None);
                        });
                        link.enter(self.wish, LinkState::Streaming);
                    }
                    Action::Latest(latest) => self.latest(Some(latest)),
                    Action::FullSync { reason, diverged } => {
                        let dataset = session.dataset().map(str::to_owned);
                        return Ok(Needed { peer: session.peer().unwrap_or(Peer::Kvrocks), reason, diverged, dataset });
                    }
                    Action::Warn(warning) => link.see(self.wish, |seen| seen.warning = Some(warning)),
                    Action::Failed { error, retry } => return Err((error, retry)),
                }
            }
            self.apply(&store, &mut batches)?;
            if std::mem::take(&mut received) {
                self.latest(None);
                let applied = store.db.latest_sequence();
                let durable = link.instance.durable_sequence(&store.db).min(applied);
                session.applied(clock::monotonic_ms(), applied, durable, &mut actions);
                continue;
            }
            let now_ms = clock::monotonic_ms();
            if now_ms.saturating_sub(ticked_ms) >= QUIET.as_millis() as u64 {
                ticked_ms = now_ms;
                // Who streams for a while does not fail over and over.
                self.streamed |= streams_ms.is_some_and(|since| now_ms - since >= QUIET.as_millis() as u64);
                session.tick(now_ms, &mut actions);
                if !actions.is_empty() {
                    continue;
                }
            }
            match connection.receive(&mut buffer).map_err(soon)? {
                Received::Bytes(read) => {
                    received = true;
                    link.see(self.wish, |seen| seen.last_io = Some(clock::instant()));
                    session.receive(clock::monotonic_ms(), &buffer[..read], &mut actions);
                }
                Received::Quiet => {}
                ended @ (Received::Closed | Received::Cut) => {
                    let how = if let Received::Cut = ended { "was cut" } else { "was closed by the primary" };
                    let message = format!("link to {}: the connection {how}", connection.peer());
                    return Err((Error::new(ErrorKind::Io, message), Retry::Soon));
                }
            }
        }
    }

    fn apply(&mut self, store: &Arc<Store>, batches: &mut Vec<Vec<u8>>) -> std::result::Result<(), (Error, Retry)> {
        if batches.is_empty() {
            return Ok(());
        }
        let applied = log::apply_linked(&self.link.instance, self.wish, store, batches);
        batches.clear();
        applied.map_err(|e| match e.kind() {
            ErrorKind::Poisoned | ErrorKind::Corruption => (e, Retry::Later),
            _ => (e, Retry::Soon),
        })?;
        self.streamed = true;
        Ok(())
    }

    fn connect(&self) -> Result<Connection> {
        let DesiredLink { host, port, tls, .. } = self.desired;
        Connection::open(host, *port, tls.as_ref(), QUIET, self.stop)
    }

    /// Notes where the primary is, or that more of it is here.
    fn latest(&self, latest: Option<u64>) {
        let Ok(generation) = self.link.instance.generation() else { return };
        let own = generation.store.db.latest_sequence();
        let mut here = false;
        self.link.see(self.wish, |seen| {
            // A Kvrocks tells where it is only when it has nothing to send.
            let known = seen.latest.filter(|&known| known >= own || seen.peer == Some(Peer::Pumice));
            seen.latest = latest.or(known.map(|known| known.max(own)));
            if seen.latest.is_some_and(|latest| own >= latest) {
                generation.store.db.set_level(clock::now_ms());
                here = seen.caught_up.replace(clock::instant()).is_none();
            }
        });
        if here {
            self.link.changed.notify_all();
        }
    }

    fn own(&self, synced: Option<&Synced>) -> Result<(Own, Arc<Store>)> {
        let (store, node_id, epoch) = {
            let guard = self.link.instance.lock()?;
            guard.check_wish(self.wish)?;
            let state = guard.state();
            let epoch = (!state.origin.is_empty()).then(|| (state.epoch.clone(), state.origin.clone()));
            (Arc::clone(&guard.generation.store), state.node_id.clone(), epoch)
        };
        // Only this link writes, so that position and last entry belong together.
        let sequence = store.db.latest_sequence();
        let last = match store.newest() {
            None if sequence > 0 => wal::last_entry(&store.db, sequence)?,
            newest => newest,
        };
        let own = Own {
            position: Position { replication_id: store.replication_id(), sequence },
            layout: store.layout,
            last,
            admitted: synced.as_ref().filter(|synced| synced.sequence == sequence).map(|synced| synced.dataset.clone()),
            received: self.received.as_ref().and_then(Incoming::dataset),
            run_id: self.link.run_id.clone(),
            node_id,
            epoch,
        };
        Ok((own, store))
    }

    fn full_sync(&mut self, peer: Peer, diverged: bool, dataset: Option<&str>) -> Result<u64> {
        let counters = Arc::new(FullSync::counters());
        self.link.see(self.wish, |seen| (seen.peer, seen.sync) = (Some(peer), Some(Arc::clone(&counters))));
        self.link.enter(self.wish, LinkState::Syncing);
        let instance = &self.link.instance;
        let node_id = instance.lock()?.state().node_id.clone();
        let primary = format!("{}:{}", self.desired.host, self.desired.port);
        instance.events.tell(EventKind::FullSync, || format!("a full sync from {primary} begins"));
        let sync = FullSync {
            instance,
            desired: self.desired,
            wish: self.wish,
            node_id: node_id.as_deref(),
            stop: self.stop,
            counters: &counters,
            run_id: &self.link.run_id,
            dataset,
            diverged,
        };
        if let Some(gives_up) = sync.run(peer, self.received)? {
            instance.events.tell(EventKind::Divergence, || gives_up.clone());
            self.link.see(self.wish, |seen| seen.warning = Some(gives_up));
        }
        let sequence = self.link.instance.generation()?.store.db.latest_sequence();
        self.link.see(self.wish, |seen| seen.full_syncs += 1);
        instance.events.tell(EventKind::FullSync, || format!("the dataset of {primary} is here, up to {sequence}"));
        Ok(sequence)
    }
}

/// Between half of it and all of it, so that many replicas do not come at once.
fn jittered(wait: Duration) -> Duration {
    let drawn = random_id().map_or(0, |id| id.bytes().map(u32::from).sum::<u32>() % 100);
    wait / 2 + wait / 2 * drawn / 100
}
