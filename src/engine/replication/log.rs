//! The replication log: entries out of a primary or replica, and into a replica.

use std::sync::Arc;
use std::time::Duration;

use super::position::Position;
use super::session::primary::Place;
use crate::engine::clock;
use crate::engine::error::{Error, ErrorKind, Result, shown};
use crate::engine::format::batch::{Batch, DEFAULT, METADATA, PROPAGATE, Record, SEARCH, STREAM, ZSET_SCORE};
use crate::engine::format::entry::Entry;
use crate::engine::format::key::Layout;
use crate::engine::format::registry::{REGISTRY_KEY, REPLICATION_ID_KEY, check_replication_id, decode_registry};
use crate::engine::format::side::History;
use crate::engine::format::state::Role;
use crate::engine::generation::{Store, Tail};
use crate::engine::instance::{CommitGuard, Instance};
use crate::engine::reclaim::{self, Range};
use crate::engine::storage::wal::{self, WalRead, WalTail};

/// A reader of the log, from one position on. It goes on across a swap of generations when its position is in the
/// new history, and says so when it is not.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let engine = pumice::Engine::open(dir.path(), &pumice::Options::default())?;
/// let before = engine.position()?;
/// engine.default_namespace().put(b"key", b"value")?;
/// let mut log = engine.log(Some(&before))?;
/// let entry = log.next_entry(None)?.expect("one entry");
/// let change = &engine.changes(&entry)?[0];
/// assert_eq!((change.operation.name(), &change.key[..]), ("put", &b"key"[..]));
/// // Nothing more for now; with a duration it would wait for the next commit.
/// assert!(log.next_entry(None)?.is_none());
/// // An entry can be stored and sent.
/// assert_eq!(pumice::Entry::decode(&entry.encode())?, entry);
/// # Ok::<(), pumice::Error>(())
/// ```
pub struct Log {
    position: Position,
    open: Option<(Arc<Store>, WalTail)>,
    // Last, because it waits for stores to be closed.
    instance: Arc<Instance>,
}

/// A batch with its last sequence, and the store that it is of.
type Found = (Arc<Store>, u64, Vec<u8>);

impl Log {
    /// A reader of what comes after a position, or of all that the log still has.
    pub fn open(instance: &Arc<Instance>, after: Option<&Position>) -> Result<Log> {
        let store = Arc::clone(&instance.generation()?.store);
        let position = match after {
            Some(position) => position.clone(),
            None => {
                let sequence = match wal::oldest_sequence(&store.db)? {
                    Some(oldest) => oldest - 1,
                    None => store.db.latest_sequence(),
                };
                Position { replication_id: store.history().id_at(sequence).to_owned(), sequence }
            }
        };
        let mut log = Log { instance: Arc::clone(instance), position, open: None };
        // The oldest position comes from this very store, also where the data never had a replication id.
        log.open = Some(match after {
            Some(_) => log.attach(store)?,
            None => log.tail_of(store),
        });
        Ok(log)
    }

    /// A reader of what `tail` reads of `store`, of whose place in it the caller has made sure. Where another store is
    /// current by now, the position must lie in its history too.
    pub fn open_at(instance: &Arc<Instance>, store: Arc<Store>, tail: WalTail) -> Log {
        let sequence = tail.next() - 1;
        let position = Position { replication_id: store.history().id_at(sequence).to_owned(), sequence };
        Log { instance: Arc::clone(instance), position, open: Some((store, tail)) }
    }

    /// Where it is: behind the last entry that it gave.
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// The store that it reads.
    pub fn store(&self) -> Option<&Arc<Store>> {
        self.open.as_ref().map(|(store, _)| store)
    }

    /// Goes on behind an entry of that store that was given by another way.
    pub fn skip_to(&mut self, sequence: u64) {
        if let Some((store, _)) = self.open.as_ref().filter(|_| sequence > self.position.sequence) {
            let replication_id = store.with_history(|history| history.id_at(sequence).to_owned());
            self.position = Position { replication_id, sequence };
        }
    }

    /// The latest sequence of the store that it reads.
    pub fn latest(&self) -> u64 {
        self.open.as_ref().map_or(self.position.sequence, |(store, _)| store.db.latest_sequence())
    }

    /// The next entry, waiting up to `wait` for it to be written. `None` is the end of the log for now. NotFound: the
    /// log no longer reaches back to the position. Diverged: the position is not in this history. Both need a full
    /// sync.
    pub fn next_entry(&mut self, wait: Option<Duration>) -> Result<Option<Entry>> {
        let Some((store, _, bytes)) = self.find(wait)? else { return Ok(None) };
        let (history, next) = (store.history(), self.position.sequence + 1);
        let entry = Entry::new(history.id_at(self.position.sequence), store.layout == Layout::Cluster, bytes.into())?;
        if entry.first != next {
            return Err(Error::new(
                ErrorKind::Corruption,
                format!("entry after {}: got first sequence {}, expected {next}", self.position, entry.first),
            ));
        }
        self.position = Position { replication_id: history.id_at(entry.last).to_owned(), sequence: entry.last };
        Ok(Some(entry))
    }

    /// As [`Log::next_entry`], for who sends the bytes on as they are and compares their place himself: them, with
    /// their first and last sequence.
    pub fn next_batch(&mut self, wait: Option<Duration>) -> Result<Option<(u64, u64, Vec<u8>)>> {
        let Some((store, last, bytes)) = self.find(wait)? else { return Ok(None) };
        let first = self.position.sequence + 1;
        let Position { replication_id, sequence } = &mut self.position;
        *sequence = last;
        store.with_history(|history| {
            let id = history.id_at(last);
            if id != replication_id {
                id.clone_into(replication_id);
            }
        });
        Ok(Some((first, last, bytes)))
    }

    /// The entry behind the position with its last sequence, and the store that it is of.
    fn find(&mut self, wait: Option<Duration>) -> Result<Option<Found>> {
        let deadline = wait.map(clock::after);
        loop {
            let current = match self.instance.generation() {
                Ok(generation) => Arc::clone(&generation.store),
                Err(e) => {
                    // A closed engine must not be kept from closing its files.
                    self.open = None;
                    return Err(e);
                }
            };
            let (store, tail) = match &mut self.open {
                Some(open) if Arc::ptr_eq(&open.0, &current) => open,
                _ => {
                    self.open = None;
                    let attached = self.attach(current)?;
                    self.open.insert(attached)
                }
            };
            let next = self.position.sequence + 1;
            let (last, bytes) = match store.tail(next, deadline) {
                Tail::Entry(last, bytes) => {
                    tail.skip_to(last + 1);
                    (last, bytes)
                }
                Tail::Ahead => return Ok(None),
                Tail::Retired => continue,
                Tail::Older => {
                    tail.skip_to(next);
                    match tail.read()? {
                        WalRead::Entry(bytes) => (tail.next() - 1, bytes),
                        WalRead::CaughtUp => continue,
                        WalRead::Gone { oldest } => return Err(gone(&self.position, oldest)),
                    }
                }
            };
            return Ok(Some((Arc::clone(store), last, bytes)));
        }
    }

    /// Checks the position against a store's history.
    fn attach(&self, store: Arc<Store>) -> Result<(Arc<Store>, WalTail)> {
        let Position { replication_id, sequence } = &self.position;
        let (history, latest) = (store.history(), store.db.latest_sequence());
        // The empty history is a prefix of every other.
        let nothing = replication_id.is_empty() && *sequence == 0;
        if !(nothing || history.contains(replication_id, *sequence)) || *sequence > latest {
            return Err(Error::new(
                ErrorKind::Diverged,
                format!(
                    "position {}: it is not in this history, which is now at {}:{latest}; a full sync is needed",
                    self.position, history.current
                ),
            ));
        }
        Ok(self.tail_of(store))
    }

    fn tail_of(&self, store: Arc<Store>) -> (Arc<Store>, WalTail) {
        let tail = WalTail::new(&store.db, self.position.sequence + 1);
        (store, tail)
    }
}

/// The entries of an engine that lie after the last position which another history shares with its own, as far as its
/// log tells: that position, and how many entries come after it.
pub fn own_entries(store: &Arc<Store>, other: &History, other_latest: u64) -> Result<(u64, u64)> {
    let own = store.history();
    let latest = store.db.latest_sequence();
    let shares =
        |sequence: u64| sequence == 0 || (sequence <= other_latest && other.contains(own.id_at(sequence), sequence));
    // Histories agree up to a point and never again, and ids change at few of them.
    let mut ends: Vec<u64> =
        own.past.iter().chain(&other.past).map(|past| past.ended).chain([latest, other_latest]).collect();
    ends.retain(|&end| end <= latest && shares(end));
    let shared = ends.into_iter().max().unwrap_or(0);
    let mut tail = WalTail::new(&store.db, shared + 1);
    let mut entries = 0;
    while let WalRead::Entry(_) = tail.read()? {
        entries += 1;
    }
    Ok((shared, entries))
}

/// Where a sequence lies in the log of a store, and what reads the log from there on: to come to it a file of the log
/// is gone through from its beginning, up to 64 MB of it, which once is enough for.
pub fn place(store: &Store, sequence: u64) -> Result<(Place, WalTail)> {
    let mut tail = WalTail::new(&store.db, sequence);
    let latest = store.db.latest_sequence();
    if sequence > latest {
        return Ok((if sequence == latest + 1 { Place::End } else { Place::Ahead }, tail));
    }
    if let Tail::Entry(..) = store.tail(sequence, None) {
        return Ok((Place::Start, tail));
    }
    let place = match tail.read() {
        Ok(WalRead::Entry(bytes)) => {
            tail.put_back(sequence, bytes);
            Place::Start
        }
        Ok(WalRead::CaughtUp) => Place::End,
        Ok(WalRead::Gone { .. }) => Place::Gone,
        Err(e) if e.kind() == ErrorKind::InvalidArgument => Place::Inside,
        Err(e) => return Err(e),
    };
    Ok((place, tail))
}

fn gone(position: &Position, oldest: Option<u64>) -> Error {
    let oldest = oldest.map_or("no older entry is kept".to_owned(), |oldest| format!("the oldest kept is {oldest}"));
    Error::new(
        ErrorKind::NotFound,
        format!("position {position}: the log no longer reaches back to it, {oldest}; a full sync is needed"),
    )
}

/// Writes an entry of the primary into a replica, byte for byte. Everything is checked before RocksDB sees it: the
/// history, the place, every record, and a registry that it carries.
pub fn apply(instance: &Instance, entry: &Entry) -> Result<()> {
    // An entry can be made by hand: believe its bytes, not its fields.
    let (batch, effects) = Effects::parse(&entry.bytes)?;
    let (first, last) = (batch.sequence(), batch.last_sequence());
    if (entry.first, entry.last) != (first, last) || batch.count() == 0 {
        return Err(Error::new(
            ErrorKind::Corruption,
            format!("entry: got sequences {} to {}, its batch has {first} to {last}", entry.first, entry.last),
        ));
    }

    let mut guard = instance.lock()?;
    guard.check_changeable()?;
    if guard.role() != Role::Replica {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("apply: this engine is a {}; only a replica takes entries of another", guard.role().name()),
        ));
    }
    let store = Arc::clone(&guard.generation.store);
    let latest = store.db.latest_sequence();
    // Data of a Kvrocks without ids could be anybody's: only the empty history may be left without one.
    let follows = store.with_replication_id(|id| entry.replication_id == id);
    if !follows || (entry.replication_id.is_empty() && latest > 0) {
        return Err(Error::new(
            ErrorKind::Diverged,
            format!(
                "apply: the entry follows history \"{}\", this replica is in \"{}\" at {latest}; a full sync is needed",
                entry.replication_id,
                store.replication_id()
            ),
        ));
    }
    if first != latest + 1 {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("apply: got an entry that starts at {first}, expected {}; send the entries in order", latest + 1),
        ));
    }
    if entry.cluster != (store.layout == Layout::Cluster) {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "apply: the entry has keys in the {} layout, this replica in the {} one; open the replica with cluster={}",
                if entry.cluster { Layout::Cluster } else { Layout::Standalone }.name(),
                store.layout.name(),
                entry.cluster
            ),
        ));
    }
    write(&mut guard, &store, effects, (first, last), &entry.bytes)?;
    drop(guard);
    if instance.options().sync { instance.sync(&store.db, last) } else { Ok(()) }
}

/// How many entries, and bytes of them, of a link are written before others may have the commit lock.
const LOCKED_ENTRIES: usize = 64;
const LOCKED_BYTES: usize = 64 << 10;

/// Writes batches that a link received into the replica, for the wish under which the link runs and the store that it
/// found. The link has made sure that they are of the right history and layout. One fsync for all, where entries are
/// synced.
pub fn apply_linked(instance: &Instance, wish: u64, store: &Arc<Store>, batches: &[Vec<u8>]) -> Result<()> {
    let applied = apply_all(instance, wish, store, batches);
    // What came before one that fails is to be as durable as if that had come later.
    let synced = if instance.options().sync { instance.sync(&store.db, store.db.latest_sequence()) } else { Ok(()) };
    applied.and(synced)
}

fn apply_all(instance: &Instance, wish: u64, store: &Arc<Store>, batches: &[Vec<u8>]) -> Result<()> {
    let mut rest = batches;
    while !rest.is_empty() {
        let mut guard = instance.lock()?;
        guard.check_wish(wish)?;
        guard.check_changeable()?;
        if !Arc::ptr_eq(&guard.generation.store, store) {
            let message = "entry from the primary: the dataset that it is for was replaced meanwhile";
            return Err(Error::new(ErrorKind::Diverged, message));
        }
        let (mut entries, mut written) = (0, 0);
        while let Some((bytes, others)) = rest.split_first()
            && entries < LOCKED_ENTRIES
            && written < LOCKED_BYTES
        {
            apply_next(&mut guard, store, bytes)?;
            (entries, written, rest) = (entries + 1, written + bytes.len(), others);
        }
    }
    Ok(())
}

fn apply_next(guard: &mut CommitGuard<'_>, store: &Arc<Store>, bytes: &[u8]) -> Result<()> {
    let (batch, effects) = Effects::parse(bytes)?;
    let (count, first) = (batch.count(), batch.sequence());
    let latest = store.db.latest_sequence();
    if first != latest + 1 || count == 0 {
        return Err(Error::new(
            ErrorKind::Diverged,
            format!(
                "entry from the primary: got one of {count} records that starts at {first}, expected the one after {latest}"
            ),
        ));
    }
    write(guard, store, effects, (first, batch.last_sequence()), bytes)
}

fn write(
    guard: &mut CommitGuard<'_>,
    store: &Arc<Store>,
    mut effects: Effects,
    (first, last): (u64, u64),
    bytes: &[u8],
) -> Result<()> {
    let mut deleted = std::mem::take(&mut effects.deleted);
    // Ranges of subkeys alone are parts of keys.
    if !deleted.iter().any(|range| range.family == METADATA) {
        deleted.clear();
    }
    let held = if deleted.is_empty() { None } else { store.db.hold_memtables() };
    let written = guard.write_verbatim(first, last, bytes)?;
    let applied = take_effect(guard, store, effects, first);
    guard.hand_on(written);
    guard.serve();
    applied?;
    if !deleted.is_empty() {
        reclaim::deleted_by(guard, held, &deleted, last)?;
    }
    Ok(())
}

/// Makes history and registry what a written entry says.
fn take_effect(guard: &mut CommitGuard<'_>, store: &Arc<Store>, effects: Effects, first: u64) -> Result<()> {
    if let Some(id) = effects.replication_id {
        let mut history = store.history();
        history.change(&id, first - 1);
        let kept = guard.directory().and_then(|directory| directory.write_history(store.number, &history));
        store.set_history(history);
        kept.map_err(|e| guard.poison("the history could not be kept", e))?;
    }
    if effects.registry { guard.reload_registry() } else { Ok(()) }
}

/// What a batch changes beyond its records.
struct Effects {
    registry: bool,
    replication_id: Option<String>,
    /// Ranges of keys that it deletes, the first of them: whose space is given back.
    deleted: Vec<Range>,
}

/// The most ranges of one batch whose space is looked for. Kvrocks' FLUSHDB has one, a dropped namespace five.
const MOST_RANGES: usize = 16;

impl Effects {
    /// Checks a batch, looks at every record, and decodes what will have to be decoded after the write.
    fn parse(bytes: &[u8]) -> Result<(Batch<'_>, Effects)> {
        let mut effects = Effects { registry: false, replication_id: None, deleted: Vec::new() };
        let batch = Batch::parse_each(bytes, |record| {
            match *record {
                Record::Put { family: PROPAGATE, key, value } if key == REGISTRY_KEY => {
                    decode_registry(value)?;
                    effects.registry = true;
                }
                Record::Put { family: PROPAGATE, key, value } if key == REPLICATION_ID_KEY => {
                    effects.replication_id = Some(check_replication_id(value)?.to_owned());
                }
                // RocksDB counts it and may give it no sequence when it replays the log.
                Record::DeleteRange { begin, end, .. } if begin == end => {
                    return Err(Error::new(
                        ErrorKind::Corruption,
                        format!("entry, DeleteRange: got begin {} not before its end", shown(begin)),
                    ));
                }
                Record::Delete { family: PROPAGATE, key } if key == REGISTRY_KEY => effects.registry = true,
                Record::Delete { family: PROPAGATE, key } if key == REPLICATION_ID_KEY => {
                    effects.replication_id = Some(String::new());
                }
                Record::DeleteRange { family: PROPAGATE, begin, end } => {
                    effects.registry |= begin <= REGISTRY_KEY && REGISTRY_KEY < end;
                    if begin <= REPLICATION_ID_KEY && REPLICATION_ID_KEY < end {
                        effects.replication_id = Some(String::new());
                    }
                }
                Record::DeleteRange {
                    family: family @ (DEFAULT | METADATA | ZSET_SCORE | STREAM | SEARCH),
                    begin,
                    end,
                } if begin < end && effects.deleted.len() < MOST_RANGES => {
                    effects.deleted.push(Range { family, begin: begin.to_vec(), end: end.to_vec() });
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok((batch, effects))
    }
}
