//! What the holder of the commit lock sees and changes: writes in their order, the role, the swap of generations.

use std::path::Path;
use std::sync::Arc;

use parking_lot::MutexGuard;

use super::{Instance, closed, poisoned};
use crate::engine::channels::Channels;
use crate::engine::clock;
use crate::engine::directory::{Directory, remove_generation};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::events::EventKind;
use crate::engine::failpoint::step;
use crate::engine::format::batch::{BatchBuilder, MAX_BYTES, PROPAGATE};
use crate::engine::format::log_data::replication_id_log;
use crate::engine::format::registry::REPLICATION_ID_KEY;
use crate::engine::format::state::{Epoch, Role, State, Wish};
use crate::engine::format::topology::Topology;
use crate::engine::generation::{Generation, Store, Written};
use crate::engine::random::random_id;
use crate::engine::reclaim::Reclaim;
use crate::engine::storage::wal::oldest_sequence;
use crate::engine::topology::Dataset;
use crate::engine::topology::routes::Routes;
use crate::engine::waiters::Ready;

/// What only the holder of the commit lock may see and change.
pub struct Commit {
    /// What is persisted.
    pub(super) state: State,
    /// Role and link that follow from it: the wish, of which the running link is derived.
    pub(super) goal: Wish,
    /// How a topology that was refused contradicts the one that governs.
    pub(super) conflict: Option<String>,
    /// Since when the role, the link and what hinders them are what they are, in Unix milliseconds.
    pub(super) since_ms: u64,
    /// Tells one wish from every other: a link that runs for a former one may not write any more.
    pub(super) wish: u64,
    /// Why writes are refused for good.
    pub(super) poisoned: Option<String>,
    /// Why writes are refused although the role would allow them.
    pub(super) read_only: Option<String>,
    pub(super) directory: Option<Arc<Directory>>,
    /// Who is told of the messages in entries.
    pub(super) channels: Arc<Channels>,
}

/// The commit lock, with the generation that it protects. A panic while it is held poisons the instance.
pub struct CommitGuard<'a> {
    pub(super) instance: &'a Instance,
    pub generation: Arc<Generation>,
    pub(super) commit: MutexGuard<'a, Commit>,
    /// Keys that were changed and for which somebody waits.
    pub(super) ready: Ready,
    /// Whether the thread was unwinding already when it took the lock, for a reason that is not ours.
    pub(super) panicking: bool,
}

impl Drop for CommitGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.panicking {
            self.commit.poisoned.get_or_insert_with(|| "a thread panicked while it was writing".to_owned());
        }
    }
}

impl CommitGuard<'_> {
    pub fn role(&self) -> Role {
        self.commit.goal.role
    }

    /// What is persisted of who this node is.
    pub fn state(&self) -> &State {
        &self.commit.state
    }

    /// The dataset, as the rules of roles see it.
    pub(super) fn dataset(&self) -> Dataset {
        let history = self.generation.store.history();
        Dataset { origin: history.origin().to_owned(), id: history.current }
    }

    /// Another node told of an epoch. Whether that ended this primary's own.
    pub(super) fn learn(&mut self, epoch: &Epoch, origin: &str) -> Result<bool> {
        let Some(state) = self.commit.state.learned(epoch, origin, &self.dataset()) else { return Ok(false) };
        self.check_changeable()?;
        let ended = state.ended_by != self.commit.state.ended_by;
        self.take_state(state, String::new())?;
        Ok(ended)
    }

    /// The history of this dataset began with that id, whatever is known of its beginning here.
    pub(super) fn begin_with(&mut self, origin: &str) -> Result<()> {
        let store = &self.generation.store;
        let mut history = store.history();
        if history.begin_with(origin) {
            self.check_changeable()?;
            self.directory()?.write_history(store.number, &history)?;
            store.set_history(history);
        }
        Ok(())
    }

    /// Takes the next state: persisted first. A node that becomes a primary begins to write under `id`.
    pub(super) fn take_state(&mut self, state: State, id: String) -> Result<()> {
        let instance = self.instance;
        let store = Arc::clone(&self.generation.store);
        let commit = &mut *self.commit;
        let (former, wrote) = (commit.goal.role, commit.state.ended_by.is_none());
        let version = |state: &State| state.topology().map(Topology::version);
        let governed = version(&commit.state) != version(&state);
        commit.keep(state).map_err(|e| commit.poison("the role could not be kept", e))?;
        instance.routes.store(Routes::of(&commit.state).map(Arc::new));
        let (role, writes) = (commit.goal.role, commit.state.ended_by.is_none());
        store.set_role(role);
        if role == Role::Primary && writes && (former != Role::Primary || !wrote) {
            begin_writing(commit, &store, id).map_err(|e| commit.poison("promotion failed half way", e))?;
        }
        if governed {
            store.wake_waiters();
        }
        if governed && let Some(version) = version(&commit.state) {
            instance.events.tell(EventKind::Topology, || format!("topology version {version} governs"));
        }
        if former != role || wrote != writes {
            store.wake_waiters();
            let why = commit.state.why_read_only().map(|why| format!(": {why}")).unwrap_or_default();
            instance.events.tell(EventKind::Role, || format!("{} is now {}{why}", former.name(), role.name()));
        }
        Ok(())
    }

    /// Refuses what a link does for a wish that is no longer the one.
    pub fn check_wish(&self, wish: u64) -> Result<()> {
        if self.commit.wish == wish {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Closed, "the link was for another primary, and has ended"))
    }

    /// Refuses writes of this engine's own.
    pub fn check_writable(&self) -> Result<()> {
        self.check_healthy()?;
        let is_primary = self.commit.goal.role == Role::Primary;
        if is_primary && self.commit.read_only.is_none() && self.commit.state.ended_by.is_none() {
            return Ok(());
        }
        let own = self.commit.read_only.clone().or_else(|| self.commit.state.why_read_only());
        let why = own.unwrap_or_else(|| {
            let why = match self.commit.goal.role {
                Role::Primary => "it is another's turn",
                Role::Replica => "it is a replica; write to its primary, or promote() it",
                Role::Detached => "it is detached; promote() it to write",
            };
            why.to_owned()
        });
        Err(Error::new(ErrorKind::ReadOnly, format!("{} takes no writes: {why}", self.instance.path.display())))
    }

    /// Refuses every change, a replica's too.
    pub fn check_healthy(&self) -> Result<()> {
        match &self.commit.poisoned {
            Some(why) => Err(poisoned(&self.instance.path, why)),
            None => Ok(()),
        }
    }

    /// Refuses changes to what a read-only open shows.
    pub fn check_changeable(&self) -> Result<()> {
        self.check_healthy()?;
        if self.instance.options.read_only {
            return self.check_writable();
        }
        Ok(())
    }

    /// The directory, for as long as the engine is open.
    pub fn directory(&self) -> Result<Arc<Directory>> {
        self.commit.directory()
    }

    /// Writes one batch of this engine's own as the next entry, ending with the replication id. Returns its last
    /// sequence.
    pub fn append(&mut self, batch: BatchBuilder) -> Result<u64> {
        let written = self.write(batch)?;
        let last = written.last;
        self.hand_on(written);
        Ok(last)
    }

    /// Tells of an entry that was written: history and registry are its own by now. Who waits for its keys is there for
    /// [`CommitGuard::serve`].
    pub fn hand_on(&mut self, written: Written<impl AsRef<[u8]>>) {
        self.generation.store.append(written).into_iter().for_each(|key| self.ready.push(key));
    }

    /// Gives who waits for a key what was just written there: who came first the first, each that takes by an entry of its
    /// own, before anybody else can take it. Such an entry may bring something to another.
    pub fn serve(&mut self) {
        while let Some(key) = self.ready.next() {
            for waiter in self.generation.store.line(&key) {
                if !waiter.serve(self, &key) {
                    break;
                }
            }
            self.ready.done(&key);
        }
    }

    /// As [`CommitGuard::append`], for a batch that changes the registry: who is told of it sees the new one.
    pub fn append_registry(&mut self, batch: BatchBuilder) -> Result<()> {
        let written = self.write(batch)?;
        let reloaded = self.reload_registry();
        self.generation.store.append(written);
        // Whoever waits by a token or in a namespace that is gone must not be served any more.
        self.generation.store.wake_waiters();
        reloaded
    }

    /// Makes everything up to `last` survive a power cut. Writers wait for the fsync.
    pub fn sync(&mut self, last: u64) -> Result<()> {
        let synced = self.instance.durable.sync(&self.generation.store.db, last);
        synced.map_err(|e| self.poison("syncing the log failed", e))
    }

    /// Who gives back the space of what is deleted here.
    pub fn reclaim(&self) -> &Arc<Reclaim> {
        &self.instance.reclaim
    }

    fn write(&mut self, mut batch: BatchBuilder) -> Result<Written<Vec<u8>>> {
        let store = &self.generation.store;
        store.with_replication_id(|id| batch.log_data_with(&replication_id_log(id)));
        write_entry(&mut self.commit, store, batch)
    }

    /// Writes the bytes of a primary's entry as they are. The caller has checked them and their place, and appends
    /// what it gets to the store when history and registry are as the entry makes them.
    pub fn write_verbatim<'a>(&mut self, first: u64, last: u64, bytes: &'a [u8]) -> Result<Written<&'a [u8]>> {
        write_bytes(&mut self.commit, &self.generation.store, (first, last), bytes)
    }

    /// Gives a store that is not current yet a history of this primary's own: a fresh id, and no former ones.
    pub fn begin_history(&mut self, store: &Store) -> Result<()> {
        let directory = self.directory()?;
        draw_replication_id(&mut self.commit, &directory, store, random_id()?, false)?;
        store.db.sync_wal()
    }

    /// Refuses all later writes, and says so in the error that was the reason.
    pub fn poison(&mut self, what: &str, e: Error) -> Error {
        self.commit.poison(what, e)
    }

    /// Reads the registry anew, after a record on its key was written.
    pub fn reload_registry(&mut self) -> Result<()> {
        let reloaded = Generation::of(Arc::clone(&self.generation.store))
            .map_err(|e| self.commit.poison("the registry could not be read back", e))?;
        self.generation = Arc::new(reloaded);
        self.instance.current.store(Some(Arc::clone(&self.generation)));
        Ok(())
    }

    /// Publishes the next generation: the link first, then the pointer, then the old one goes. After the link is
    /// renamed there is no way back, so a failure behind it swaps all the same, and poisons.
    /// The old one stays on the disk when it is to be `kept`.
    pub fn swap(&mut self, next: Generation, kept: bool) -> Result<()> {
        let directory = self.directory()?;
        let next = Arc::new(next);
        if kept {
            directory.keep(self.generation.store.number)?;
        }
        step!("apply::publish");
        directory.publish(next.store.number)?;
        let synced = after_link(&directory);
        let old = std::mem::replace(&mut self.generation, Arc::clone(&next));
        self.instance.current.store(Some(next));
        old.store.retire();
        self.instance.reclaim.abandon();
        self.generation.store.set_role(self.commit.goal.role);
        if let Err(e) = synced {
            return Err(self.poison("the new dataset is current, but might not survive a power cut", e));
        }
        old.store.db.stop_background_work();
        let (path, number) = (directory.path().to_owned(), old.store.number);
        let open = Arc::clone(&self.instance.retired);
        open.lock().insert(number);
        old.store.db.after_close(&self.instance.closing, move || {
            let mut open = open.lock();
            open.remove(&number);
            if !directory.is_kept(number) {
                let _ = retired(&path, number);
            }
            drop(open);
            drop(directory);
        });
        Ok(())
    }
}

fn after_link(directory: &Directory) -> Result<()> {
    step!("apply::linked");
    directory.sync()?;
    step!("apply::swap");
    Ok(())
}

fn retired(path: &Path, number: u64) -> Result<()> {
    step!("apply::retire");
    remove_generation(path, number)?;
    step!("apply::retired");
    Ok(())
}

impl Commit {
    /// Takes a state, once it is persisted.
    pub(super) fn keep(&mut self, state: State) -> Result<()> {
        self.directory()?.write_state(&state)?;
        let goal = state.goal();
        if goal != self.goal {
            self.wish += 1;
        }
        if goal != self.goal || state.ended_by != self.state.ended_by {
            self.since_ms = clock::now_ms();
        }
        (self.state, self.goal) = (state, goal);
        Ok(())
    }

    pub(super) fn poison(&mut self, what: &str, e: Error) -> Error {
        self.poisoned.get_or_insert_with(|| format!("{what}: {e}"));
        e.context(format!("{what}; no write is taken until it is opened again"))
    }

    pub(super) fn directory(&self) -> Result<Arc<Directory>> {
        self.directory.clone().ok_or_else(closed)
    }
}

fn write_entry(commit: &mut Commit, store: &Store, batch: BatchBuilder) -> Result<Written<Vec<u8>>> {
    if batch.len_bytes() > MAX_BYTES {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("batch: got {} bytes, expected at most {MAX_BYTES}", batch.len_bytes()),
        ));
    }
    if batch.count() == 0 {
        // Its first sequence would be the next entry's too.
        return Err(Error::new(ErrorKind::Internal, "batch: got no records, expected one at least"));
    }
    let first = store.db.latest_sequence() + 1;
    let last = first + u64::from(batch.count()) - 1;
    write_bytes(commit, store, (first, last), batch.finish(first))
}

fn write_bytes<B: AsRef<[u8]>>(
    commit: &mut Commit,
    store: &Store,
    (first, last): (u64, u64),
    bytes: B,
) -> Result<Written<B>> {
    step!("commit::write");
    let written = store.db.write(bytes.as_ref());
    let latest = store.db.latest_sequence();
    match written {
        Ok(()) if latest == last => {
            commit.channels.publish_entry(bytes.as_ref());
            Ok(Written { first, last, bytes })
        }
        // A write that failed before it counted is as if it had never been asked for.
        Err(e) if latest == first - 1 => Err(e),
        written => {
            let why = format!("sequence after a write: got {latest}, expected {last}");
            let e = written.err().unwrap_or_else(|| Error::new(ErrorKind::Internal, why.clone()));
            Err(commit.poison(&why, e))
        }
    }
}

/// A node that has become a primary writes its first entry, which is its replication id.
fn begin_writing(commit: &mut Commit, store: &Store, id: String) -> Result<()> {
    step!("promote::persisted");
    let directory = commit.directory()?;
    draw_replication_id(commit, &directory, store, id, true)
}

/// Writes a fresh replication id as an entry of its own. The former ones are kept for as long as the log
/// reaches back to their end, or not at all.
pub(super) fn draw_replication_id(
    commit: &mut Commit,
    directory: &Directory,
    store: &Store,
    id: String,
    keep_past: bool,
) -> Result<()> {
    let ended = store.db.latest_sequence();
    let mut batch = BatchBuilder::new();
    batch.put(PROPAGATE, REPLICATION_ID_KEY, id.as_bytes());
    batch.log_data_with(&replication_id_log(&id));
    let written = write_entry(commit, store, batch)?;
    let mut history = store.history();
    history.change(&id, ended);
    if keep_past {
        // What an unreadable log reaches back to is unknown: nothing is forgotten then.
        let oldest = oldest_sequence(&store.db).ok().map_or(0, |oldest| oldest.unwrap_or(ended + 1));
        history.forget_before(oldest.saturating_sub(1));
    } else {
        history.past.clear();
    }
    store.set_history(history.clone());
    store.append(written);
    directory.write_history(store.number, &history)
}
