//! A generation: one opened RocksDB *with* the registry read from it. Readers hold a generation, never one half.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::backlog::Backlog;
use super::error::{Error, ErrorKind, Result};
use super::format::batch::{METADATA, PROPAGATE};
use super::format::key::{DEFAULT_NAMESPACE, Layout, looks_like_cluster, prefix_end};
use super::format::registry::{REGISTRY_KEY, REPLICATION_ID_KEY, Registry, check_replication_id, decode_registry};
use super::format::side::{History, ManifestFile};
use super::format::state::Role;
use super::ranks::{Ranks, Remembered};
use super::storage::db::Db;
use super::storage::filter::{GRACE, GRACE_OF_REPLICA};
use super::storage::iterator::Cursor;
use super::waiters::{Waiter, Waiters};

/// One RocksDB with what belongs to it and not to its successor.
pub struct Store {
    /// Its number under `generations/`, 0 for a plain `db` folder read in place.
    pub number: u64,
    pub db: Arc<Db>,
    pub layout: Layout,
    /// Checksums of files that never change, as the last checkpoint had them.
    pub checksums: Mutex<HashMap<String, ManifestFile>>,
    history: Mutex<History>,
    arrivals: Mutex<Arrivals>,
    appended: Condvar,
}

/// A store with its registry: immutable, replaced whole when the registry changes.
pub struct Generation {
    pub store: Arc<Store>,
    pub registry: Registry,
    /// Tells one value of the registry from every other in this process.
    pub stamp: u64,
}

/// Where entries come by once they are written.
#[derive(Default)]
struct Arrivals {
    backlog: Backlog,
    /// The last sequence whose entry came by: what RocksDB has beyond it is about to come.
    latest: u64,
    /// The lowest sequence that somebody waits for, if any: nobody is woken before it.
    wanted: Option<u64>,
    /// Who waits for changes of keys.
    waiters: Waiters,
    /// Whose ranks somebody asks for.
    remembered: Remembered,
    /// Who is offered each entry where it is written.
    offers: Vec<(u64, Box<Offer>)>,
    offered: u64,
    retired: bool,
}

/// Is offered each entry, with its first and last sequence, by the thread that writes it, and nothing when none will
/// come any more. It runs under the lock of the arrivals: it must not come back to the store, nor wait.
pub type Offer = dyn Fn(Option<(u64, u64, &[u8])>) + Send;

impl Arrivals {
    fn offer(&self, entry: Option<(u64, u64, &[u8])>) {
        self.offers.iter().for_each(|(_, offer)| offer(entry));
    }
}

/// An entry that RocksDB has taken, and that no follower was told of yet.
#[must_use]
pub struct Written<B> {
    pub first: u64,
    pub last: u64,
    pub bytes: B,
}

/// What the backlog knows of the entry that starts at a sequence.
pub enum Tail {
    /// It, with its last sequence.
    Entry(u64, Vec<u8>),
    /// It is older than the backlog, or larger: look in the WAL.
    Older,
    /// It was not written yet.
    Ahead,
    /// This store is no longer the current one.
    Retired,
}

impl Generation {
    /// Reads the registry of a store.
    pub fn of(store: Arc<Store>) -> Result<Generation> {
        static STAMP: AtomicU64 = AtomicU64::new(1);
        let registry = stored_registry(&store.db)?;
        Ok(Generation { store, registry, stamp: STAMP.fetch_add(1, Ordering::Relaxed) })
    }

    /// Whether a namespace of that name is there: the default one, a registered one, or one that has data.
    pub fn has_namespace(&self, name: &[u8], prefix: &[u8]) -> Result<bool> {
        if name == DEFAULT_NAMESPACE || self.is_registered(name) {
            return Ok(true);
        }
        self.has_data(prefix)
    }

    pub fn is_registered(&self, name: &[u8]) -> bool {
        std::str::from_utf8(name).is_ok_and(|name| self.registry.contains(name))
    }

    /// Whether any key starts with that namespace prefix. One seek.
    pub fn has_data(&self, prefix: &[u8]) -> Result<bool> {
        let mut cursor = Cursor::open(&self.store.db, METADATA, prefix.to_vec(), prefix_end(prefix), None, true);
        cursor.seek_to_first();
        Ok(cursor.record()?.is_some())
    }

    /// Namespaces that have data and are neither registered nor the default one. One seek for each namespace.
    pub fn unregistered(&self) -> Result<Vec<Vec<u8>>> {
        let mut found = Vec::new();
        let mut from = vec![];
        loop {
            let mut cursor = Cursor::open(&self.store.db, METADATA, from.clone(), None, None, true);
            cursor.seek_to_first();
            let Some((key, _)) = cursor.record()? else { return Ok(found) };
            let prefix = match key.first() {
                Some(&length) if length > 0 && key.len() > usize::from(length) => &key[..=usize::from(length)],
                // Not a key of a namespace: step over everything that starts with that byte.
                _ => &key[..key.len().min(1)],
            };
            let name = prefix.get(1..).unwrap_or_default();
            if !name.is_empty() && name != DEFAULT_NAMESPACE && !self.is_registered(name) {
                found.push(name.to_vec());
            }
            match prefix_end(prefix) {
                Some(end) => from = end,
                None => return Ok(found),
            }
        }
    }
}

impl Store {
    /// Puts a store around an opened RocksDB. `recorded` is its history as the side file has it: believed as to the
    /// layout, and as to the ids only when it agrees with the RocksDB. `layout` is what the caller insists on.
    /// Without either it is `fallback`.
    pub fn new(
        number: u64,
        db: Arc<Db>,
        recorded: Option<History>,
        layout: Option<Layout>,
        fallback: Layout,
    ) -> Result<Store> {
        let id = stored_replication_id(&db)?;
        let known = match &recorded {
            Some(history) => Some(history.layout),
            None => sniff_layout(&db)?,
        };
        if let (Some(known), Some(asked)) = (known, layout)
            && known != asked
        {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "key layout of {}: got {}, asked for {}; leave the layout out, or convert the data",
                    db.path().display(),
                    known.name(),
                    asked.name()
                ),
            ));
        }
        let layout = known.or(layout).unwrap_or(fallback);
        let history = match recorded {
            Some(history) if history.current == id => history,
            _ => History { layout, current: id, past: Vec::new() },
        };
        let arrivals = Arrivals { latest: db.latest_sequence(), ..Arrivals::default() };
        db.leave_out_dead(layout);
        Ok(Store {
            number,
            db,
            layout,
            checksums: Mutex::default(),
            history: Mutex::new(history),
            arrivals: Mutex::new(arrivals),
            appended: Condvar::new(),
        })
    }

    /// Takes the role of its engine: what has expired is kept for longer where another's clock says what has.
    pub fn set_role(&self, role: Role) {
        let (grace, level_ms) = if role == Role::Primary { (GRACE, u64::MAX) } else { (GRACE_OF_REPLICA, 0) };
        self.db.set_grace(grace);
        self.db.set_level(level_ms);
    }

    /// The ids that this store's sequences were written under.
    pub fn history(&self) -> History {
        self.history.lock().clone()
    }

    /// The replication id now; empty when the data came from a Kvrocks that has none.
    pub fn replication_id(&self) -> String {
        self.history.lock().current.clone()
    }

    /// [`Store::replication_id`], without a copy.
    pub fn with_replication_id<R>(&self, with: impl FnOnce(&str) -> R) -> R {
        with(&self.history.lock().current)
    }

    /// [`Store::history`], without a copy.
    pub fn with_history<R>(&self, with: impl FnOnce(&History) -> R) -> R {
        with(&self.history.lock())
    }

    /// Replaces the history, after its entry was written.
    pub fn set_history(&self, history: History) {
        *self.history.lock() = history;
    }

    /// Takes an entry that was written, and wakes who waits for it: history and registry must be its own by now. The keys
    /// of it for which somebody waits, who is to be served.
    pub fn append(&self, written: Written<impl AsRef<[u8]>>) -> Vec<Vec<u8>> {
        let (first, last, bytes) = (written.first, written.last, written.bytes.as_ref());
        let mut arrivals = self.arrivals.lock();
        arrivals.latest = last;
        let ready = if arrivals.waiters.is_empty() { Vec::new() } else { arrivals.waiters.changed_by(bytes) };
        if !arrivals.remembered.is_empty() {
            arrivals.remembered.note(last, bytes);
        }
        arrivals.offer(Some((first, last, bytes)));
        arrivals.backlog.push(first, last, bytes);
        let wakes = arrivals.wanted.is_some_and(|wanted| wanted <= last);
        if wakes {
            arrivals.wanted = None;
        }
        drop(arrivals);
        if wakes {
            self.appended.notify_all();
        }
        ready
    }

    /// The entry that starts at `next`, waiting for it until `deadline`.
    pub fn tail(&self, next: u64, deadline: Option<Instant>) -> Tail {
        let mut arrivals = self.arrivals.lock();
        arrivals.backlog.keep();
        loop {
            if arrivals.retired {
                return Tail::Retired;
            }
            if next <= arrivals.latest {
                let found = arrivals.backlog.find(next);
                return found.map_or(Tail::Older, |(last, bytes)| Tail::Entry(last, bytes));
            }
            match deadline {
                Some(deadline) if self.wait_in(&mut arrivals, next, deadline) => {}
                _ => return Tail::Ahead,
            }
        }
    }

    /// The newest entry with its first sequence, where the backlog has it.
    pub fn newest(&self) -> Option<(u64, Vec<u8>)> {
        self.arrivals.lock().backlog.newest()
    }

    /// Waits once for an entry that reaches `sequence`. `false` when the time is over.
    fn wait_in(&self, arrivals: &mut MutexGuard<'_, Arrivals>, sequence: u64, deadline: Instant) -> bool {
        arrivals.wanted = Some(arrivals.wanted.map_or(sequence, |wanted| wanted.min(sequence)));
        !self.appended.wait_until(arrivals, deadline).timed_out()
    }

    /// Waits until `sequence` was written here, until `deadline`; `false` when it was not.
    pub fn wait_for(&self, sequence: u64, deadline: Instant) -> bool {
        let mut arrivals = self.arrivals.lock();
        while arrivals.latest < sequence && !arrivals.retired {
            if !self.wait_in(&mut arrivals, sequence, deadline) {
                break;
            }
        }
        arrivals.latest >= sequence
    }

    /// What is remembered of the ranks of a sorted set, by what its subkeys start with. It follows the log from now on.
    pub fn follow_ranks(&self, start: &[u8]) -> Arc<Mutex<Ranks>> {
        let mut arrivals = self.arrivals.lock();
        let latest = arrivals.latest;
        arrivals.remembered.follow(start, latest)
    }

    /// Where a sorted set was written up to `until` since that was asked for last. `None` when it is not followed any more.
    pub fn written_places(&self, start: &[u8], ranks: &Arc<Mutex<Ranks>>, until: u64) -> Option<Vec<Box<[u8]>>> {
        self.arrivals.lock().remembered.take(start, ranks, until)
    }

    /// Forgets what is remembered of the ranks of a sorted set.
    pub fn forget_ranks(&self, start: &[u8], ranks: &Arc<Mutex<Ranks>>) {
        self.arrivals.lock().remembered.forget(start, ranks);
    }

    /// Has every entry offered from now on, until [`Store::offer_no_more`] is called with the number that this gives.
    pub fn offer_to(&self, offer: Box<Offer>) -> u64 {
        let mut arrivals = self.arrivals.lock();
        arrivals.offered += 1;
        let number = arrivals.offered;
        arrivals.offers.push((number, offer));
        number
    }

    pub fn offer_no_more(&self, number: u64) {
        self.arrivals.lock().offers.retain(|(known, _)| *known != number);
    }

    /// The last sequence whose entry came by.
    pub fn latest_entry(&self) -> u64 {
        self.arrivals.lock().latest
    }

    /// Has a waiter woken by changes of keys, given as they are in the metadata, from now on.
    pub fn begin_waiting(&self, keys: &[Vec<u8>], waiter: &Arc<Waiter>) {
        let mut arrivals = self.arrivals.lock();
        keys.iter().for_each(|key| arrivals.waiters.add(key, waiter));
        if arrivals.retired {
            waiter.ring();
        }
    }

    pub fn end_waiting(&self, keys: &[Vec<u8>], waiter: &Arc<Waiter>) {
        let mut arrivals = self.arrivals.lock();
        keys.iter().for_each(|key| arrivals.waiters.remove(key, waiter));
    }

    /// Who waits for a key, who came first the first.
    pub fn line(&self, key: &[u8]) -> Vec<Arc<Waiter>> {
        self.arrivals.lock().waiters.line(key)
    }

    /// Whether anybody waits, for whatever key.
    pub fn serves_anybody(&self) -> bool {
        !self.arrivals.lock().waiters.is_empty()
    }

    /// Has all who wait for a key look again: what they may do has changed.
    pub fn wake_waiters(&self) {
        self.arrivals.lock().waiters.wake_all();
    }

    /// Whether another store is current now, or none.
    pub fn is_retired(&self) -> bool {
        self.arrivals.lock().retired
    }

    /// Wakes all waiters for good: another store is current now, or none.
    pub fn retire(&self) {
        let mut arrivals = self.arrivals.lock();
        arrivals.retired = true;
        arrivals.offer(None);
        arrivals.waiters.wake_all();
        drop(arrivals);
        self.appended.notify_all();
    }
}

/// The layout that the keys of a foreign directory show; `None` when it has no keys.
pub fn sniff_layout(db: &Arc<Db>) -> Result<Option<Layout>> {
    const SAMPLE: usize = 1000;
    let mut cursor = Cursor::open(db, METADATA, Vec::new(), None, None, true);
    cursor.seek_to_first();
    let mut seen = 0;
    while let Some((key, _)) = cursor.record()? {
        if !looks_like_cluster(key) {
            return Ok(Some(Layout::Standalone));
        }
        seen += 1;
        if seen == SAMPLE {
            break;
        }
        cursor.next();
    }
    Ok((seen > 0).then_some(Layout::Cluster))
}

/// The registry as RocksDB has it.
pub fn stored_registry(db: &Arc<Db>) -> Result<Registry> {
    match db.get(PROPAGATE, REGISTRY_KEY, None)? {
        Some(bytes) => decode_registry(&bytes),
        None => Ok(Registry::default()),
    }
}

/// The replication id as RocksDB has it, empty when there is none.
pub fn stored_replication_id(db: &Arc<Db>) -> Result<String> {
    match db.get(PROPAGATE, REPLICATION_ID_KEY, None)? {
        Some(bytes) => check_replication_id(&bytes).map(str::to_owned),
        None => Ok(String::new()),
    }
}
