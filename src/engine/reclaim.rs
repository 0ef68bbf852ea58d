//! Giving back the space of what was deleted by range, while the engine runs.
//!
//! Files that hold nothing else go at once, under the commit lock that the deletion was written under. The rest, what
//! shares a file with other keys or lies in files that RocksDB does not let go that way, is compacted away in the
//! background.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::error::Result;
use super::failpoint::step;
use super::format::batch::{BatchBuilder, DEFAULT, METADATA, STREAM, ZSET_SCORE};
use super::format::key::prefix_end;
use super::instance::CommitGuard;
use super::storage::db::{Db, HeldFiles};
use super::storage::space::HeldMemtables;

/// Space that nobody misses: ordinary compactions give it back. The sum counts.
const LITTLE: u64 = 1 << 20;

/// How long compaction waits for whoever deletes to be done, since it begins with a flush that writers wait for; and how
/// often it is looked whether a snapshot still sees what was deleted.
const LOOK: Duration = Duration::from_millis(100);

/// Keys of one family from `begin` to before `end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    pub family: u32,
    pub begin: Vec<u8>,
    pub end: Vec<u8>,
}

/// What is still to be compacted.
struct Owed {
    db: Arc<Db>,
    range: Range,
    /// The last sequence of the deletion.
    deleted: u64,
    /// Whether records are covered by the deletion itself, rather than dead because their key is.
    covered: bool,
}

/// What an instance still has to give back, and the one thread that does it, while there is enough of it.
#[derive(Default)]
pub struct Reclaim {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    owed: Vec<Owed>,
    bytes: u64,
    /// Whether there is enough to begin with it.
    due: bool,
    /// Files that are no longer used and not yet removed.
    files: Vec<HeldFiles>,
    running: bool,
    ended: bool,
}

/// What a batch deletes by range, and all that dies of it: with their metadata, subkeys do.
fn dying(deleted: &[Range]) -> Vec<(Range, bool)> {
    let mut dying: Vec<(Range, bool)> = Vec::new();
    // Metadata first: what is looked up for each subkey is gone then.
    let (metadata, others): (Vec<_>, Vec<_>) = deleted.iter().partition(|range| range.family == METADATA);
    dying.extend(metadata.iter().chain(&others).map(|&range| (range.clone(), true)));
    for range in metadata {
        for family in [DEFAULT, ZSET_SCORE, STREAM] {
            let Range { mut begin, mut end, .. } = range.clone();
            if prefix_end(&begin).as_ref() != Some(&end) {
                // Between two keys, whose subkeys are in another order: their namespaces as a whole.
                begin = namespace(&begin).to_vec();
                end = prefix_end(namespace(&end)).unwrap_or(end);
            }
            let subkeys = Range { family, begin, end };
            if !dying.iter().any(|(range, _)| *range == subkeys) {
                dying.push((subkeys, false));
            }
        }
    }
    dying
}

/// The part of a key that names its namespace.
fn namespace(key: &[u8]) -> &[u8] {
    let length = key.first().map_or(0, |&length| 1 + usize::from(length));
    key.get(..length).unwrap_or(key)
}

/// Whether it is too little to do anything for.
fn is_little(bytes: u64) -> bool {
    let any = || -> Result<()> {
        step!("reclaim::any");
        Ok(())
    };
    bytes < LITTLE && any().is_ok()
}

/// The ranges of whole keys that a batch deletes.
pub fn ranges(batch: &BatchBuilder) -> Vec<Range> {
    let range = |(begin, end): &(Vec<u8>, Vec<u8>)| Range { family: METADATA, begin: begin.clone(), end: end.clone() };
    batch.deleted_keys().iter().map(range).collect()
}

/// Writes a batch that may delete ranges of keys as the next entry, and gives their space back. It costs an fsync where whole
/// files go. Gives its last sequence.
pub fn delete(guard: &mut CommitGuard<'_>, batch: BatchBuilder, deleted: &[Range]) -> Result<u64> {
    if deleted.is_empty() {
        return guard.append(batch);
    }
    let store = Arc::clone(&guard.generation.store);
    let held = store.db.hold_memtables();
    let last = guard.append(batch)?;
    deleted_by(guard, held, deleted, last)?;
    Ok(last)
}

/// Gives back the space of ranges that were just deleted, by the write that ends at `last` and is the only one since
/// the memtables are held.
pub fn deleted_by(
    guard: &mut CommitGuard<'_>,
    held: Option<HeldMemtables<'_>>,
    deleted: &[Range],
    last: u64,
) -> Result<()> {
    let db = Arc::clone(&guard.generation.store.db);
    let bytes = deleted.iter().map(|range| db.file_bytes(range.family, &range.begin, &range.end)).sum();
    let mut files = None;
    if let Some(held) = held
        && !is_little(bytes)
        && db.snapshots() == 0
    {
        // After a power cut the log must not be without the deletion of what the files are without.
        guard.sync(last)?;
        // Where that fails, it is compacted away with the rest.
        files = delete_files(&db, deleted, &held).ok();
    }
    guard.reclaim().add(&db, dying(deleted), last, files);
    Ok(())
}

/// Lets go of the files that hold nothing but what was deleted. They are removed when what it gives is dropped.
fn delete_files(db: &Arc<Db>, deleted: &[Range], held: &HeldMemtables<'_>) -> Result<HeldFiles> {
    step!("reclaim::synced");
    let files = db.hold_files()?;
    for Range { family, begin, end } in deleted {
        db.delete_files(held, *family, begin, end)?;
    }
    step!("reclaim::files");
    Ok(files)
}

impl Reclaim {
    /// Takes what dies of a deletion that ends at `deleted`, and files to be removed.
    fn add(self: &Arc<Self>, db: &Arc<Db>, dying: Vec<(Range, bool)>, deleted: u64, files: Option<HeldFiles>) {
        let mut state = self.state.lock();
        for (range, covered) in dying {
            let bytes = db.file_bytes(range.family, &range.begin, &range.end);
            state.bytes += bytes;
            match state.owed.iter_mut().find(|owed| owed.range == range && owed.covered == covered) {
                Some(owed) => owed.deleted = deleted,
                None if bytes == 0 && is_little(bytes) => {}
                None => state.owed.push(Owed { db: Arc::clone(db), range, deleted, covered }),
            }
        }
        state.files.extend(files);
        state.due |= !state.owed.is_empty() && !is_little(state.bytes);
        if state.running || state.ended || (state.files.is_empty() && !state.due) {
            return;
        }
        state.running = true;
        drop(state);
        let reclaim = Arc::clone(self);
        let run = move || {
            let _running = Running(&reclaim);
            reclaim.run();
        };
        if let Err(_no_thread) = std::thread::Builder::new().name("pumice-reclaim".to_owned()).spawn(run) {
            self.state.lock().running = false;
        }
    }

    fn run(&self) {
        let mut waited = false;
        loop {
            let mut state = self.state.lock();
            let files = std::mem::take(&mut state.files);
            if !files.is_empty() {
                drop(state);
                drop(files);
                continue;
            }
            if state.ended || !state.due {
                state.running = false;
                self.changed.notify_all();
                return;
            }
            if !std::mem::replace(&mut waited, true) {
                self.changed.wait_for(&mut state, LOOK);
                continue;
            }
            let unseen = |owed: &Owed| owed.db.snapshots() == 0 || (owed.covered && owed.db.is_unseen(owed.deleted));
            match state.owed.iter().position(unseen) {
                Some(at) => {
                    let owed = state.owed.remove(at);
                    if state.owed.is_empty() {
                        (state.due, state.bytes) = (false, 0);
                    }
                    drop(state);
                    // What fails here is space that ordinary compactions give back later.
                    let _ = compact(&owed);
                }
                None => drop(self.changed.wait_for(&mut state, LOOK)),
            }
        }
    }

    /// Forgets what is owed: another generation is current now.
    pub fn abandon(&self) {
        let mut state = self.state.lock();
        let owed = std::mem::take(&mut state.owed);
        (state.due, state.bytes) = (false, 0);
        drop(state);
        self.changed.notify_all();
        // Outside of the lock, for it may close what it held open.
        drop(owed);
    }

    /// Forgets what is owed for good, and returns when the thread has ended. `db` is the one that is being closed.
    pub fn end(&self, db: &Db) {
        self.state.lock().ended = true;
        self.abandon();
        if self.state.lock().running {
            db.stop_compactions();
        }
        self.wait();
    }

    /// Returns when the thread has ended.
    pub fn wait(&self) {
        let mut state = self.state.lock();
        while state.running {
            self.changed.wait(&mut state);
        }
    }
}

fn compact(Owed { db, range: Range { family, begin, end }, .. }: &Owed) -> Result<()> {
    step!("reclaim::compact");
    db.compact(*family, Some(begin), Some(end));
    step!("reclaim::compacted");
    Ok(())
}

/// Tells that the thread has ended, a panic in it included.
struct Running<'a>(&'a Reclaim);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.state.lock().running = false;
            self.0.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(family: u32, begin: &[u8], end: &[u8]) -> Range {
        Range { family, begin: begin.to_vec(), end: end.to_vec() }
    }

    /// With the metadata of a range its subkeys die: the same range where it is that of a prefix, and whole namespaces
    /// where it begins and ends with keys.
    #[test]
    fn what_dies() {
        let (begin, end) = (&b"\x02ns"[..], &b"\x02nt"[..]);
        let clear = dying(&[range(METADATA, begin, end)]);
        let subkeys = [DEFAULT, ZSET_SCORE, STREAM].map(|family| (range(family, begin, end), false));
        assert_eq!(clear[0], (range(METADATA, begin, end), true));
        assert_eq!(clear[1..], subkeys);

        let deleted = [DEFAULT, METADATA, ZSET_SCORE, STREAM].map(|family| range(family, begin, end));
        let dropped = dying(&deleted);
        assert_eq!(dropped[0].0.family, METADATA);
        assert!(dropped.len() == 4 && dropped.iter().all(|(_, covered)| *covered), "{dropped:?}");

        let all = dying(&[range(METADATA, b"\x01akey", b"\x02nskez")]);
        assert_eq!(all[1], (range(DEFAULT, b"\x01a", b"\x02nt"), false));
    }
}
