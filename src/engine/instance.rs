//! One open directory: the current generation, the role, the commit order, and what poisons it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::ThreadId;
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use parking_lot::{Mutex, MutexGuard};

use super::clock;
use super::directory::{Current, Directory};
use super::error::{Error, ErrorKind, Result};
use super::events::{EventKind, Subscriptions};
use super::failpoint::{self, step};
use super::format::batch::{BatchBuilder, MAX_BYTES, PROPAGATE};
use super::format::key::Layout;
use super::format::log_data::replication_id_log;
use super::format::registry::REPLICATION_ID_KEY;
use super::format::state::{DesiredLink, Epoch, Role, State, Wish};
use super::format::topology::Refused;
use super::generation::{Generation, Store, Written};
use super::group_sync::GroupSync;
use super::options::Options;
use super::random::random_id;
use super::reclaim::{self, Reclaim};
use super::storage::db::{Closing, Db};
use super::storage::fork::{self, Process};
use super::storage::options::{DbOptions, Memory};
use super::storage::wal::oldest_sequence;
use super::topology::{Dataset, Order, Outcome};

/// What all handles of one engine share.
pub struct Instance {
    path: PathBuf,
    process: Process,
    memory: Memory,
    options: Options,
    current: ArcSwapOption<Generation>,
    commit: Mutex<Commit>,
    durable: GroupSync,
    reclaim: Arc<Reclaim>,
    closing: Arc<Closing>,
    pub events: Subscriptions,
    /// The generations that are not current any more and still open.
    retired: Arc<Mutex<BTreeSet<u64>>>,
    /// Held by whoever builds the next generation, on the thread that `applier` names.
    applying: Mutex<()>,
    applier: Mutex<Option<ThreadId>>,
}

/// What only the holder of the commit lock may see and change.
pub struct Commit {
    /// What is persisted.
    state: State,
    /// Role and link that follow from it: the wish, of which the running link is derived.
    goal: Wish,
    /// How a topology that was refused contradicts the one that governs.
    conflict: Option<String>,
    /// Since when the role, the link and what hinders them are what they are, in Unix milliseconds.
    since_ms: u64,
    /// Tells one wish from every other: a link that runs for a former one may not write any more.
    wish: u64,
    /// Why writes are refused for good.
    poisoned: Option<String>,
    /// Why writes are refused although the role would allow them.
    read_only: Option<String>,
    directory: Option<Arc<Directory>>,
}

impl Instance {
    /// Opens a directory as [`crate::Engine::open`] says.
    pub fn open(path: &Path, options: &Options) -> Result<Instance> {
        failpoint::arm();
        options.check()?;
        fork::check_startable()?;
        let memory = Memory::new(options.memory_budget);
        let layout = options.cluster.map(|cluster| if cluster { Layout::Cluster } else { Layout::Standalone });
        let check = |folder: &Path| check_foreign(folder, &db_options(options, &memory, false), layout);
        let (directory, current) = Directory::open(path, options.create, options.read_only, &check)?;
        let directory = Arc::new(directory);
        let (state, mut read_only) = match directory.state() {
            Ok(state) => (state, None),
            Err(e) => (
                Some(State::of(Role::Detached, None)),
                Some(format!("its state file is unreadable ({e}); restore it, or promote() to make a new one")),
            ),
        };
        if options.read_only {
            read_only = Some("it was opened read-only".to_owned());
        }
        let is_new = state.is_none();
        let role = agreed_role(path, state.as_ref(), options.role)?;
        let state = state.unwrap_or_else(|| State::of(role, None));
        let number = match current {
            Current::Generation(number) => number,
            Current::New => 1,
            Current::Plain => 0,
        };
        let instance = Instance {
            path: directory.path().to_owned(),
            process: Process::current(),
            memory,
            options: options.clone(),
            current: ArcSwapOption::empty(),
            commit: Mutex::new(Commit {
                goal: Wish { link: state.goal().link.filter(|_| read_only.is_none()), ..state.goal() },
                state,
                conflict: None,
                since_ms: clock::now_ms(),
                wish: 0,
                poisoned: None,
                read_only,
                directory: Some(Arc::clone(&directory)),
            }),
            durable: GroupSync::default(),
            reclaim: Arc::default(),
            closing: Arc::default(),
            events: Subscriptions::default(),
            retired: Arc::default(),
            applying: Mutex::new(()),
            applier: Mutex::new(None),
        };
        let db = instance.open_db(&directory, &directory.folder(&current), current == Current::New, false)?;
        let store = Arc::new(Store::new(number, db, directory.history(number), layout, Layout::Standalone)?);
        let generation = Arc::new(Generation::of(store)?);
        if !options.read_only {
            if is_new {
                directory.write_state(&State::of(role, None))?;
            }
            directory.write_history(number, &generation.store.history())?;
            if current == Current::New {
                directory.finish_creation()?;
            }
        }
        instance.current.store(Some(Arc::clone(&generation)));
        let mut commit = instance.commit.lock();
        generation.store.set_role(commit.goal.role);
        if commit.goal.role == Role::Primary && commit.read_only.is_none() && commit.state.ended_by.is_none() {
            let id = random_id()?;
            if let Some(state) = commit.state.opened(&id) {
                directory.write_state(&state)?;
                commit.state = state;
            }
            draw_replication_id(&mut commit, &directory, &generation.store, id, true)?;
        }
        drop(commit);
        Ok(instance)
    }

    /// Opens a RocksDB folder of this directory, perhaps `beside` the current one. The directory stays locked until it is
    /// closed.
    pub fn open_db(&self, directory: &Arc<Directory>, folder: &Path, create: bool, beside: bool) -> Result<Arc<Db>> {
        let options = DbOptions { beside, ..db_options(&self.options, &self.memory, create) };
        Db::open(folder, &options, Some(Box::new(Arc::clone(directory))))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Refuses a call from a forked child before it touches anything.
    #[inline]
    pub fn check_process(&self) -> Result<()> {
        self.process.check()
    }

    /// The current generation, for the length of one call.
    #[inline]
    pub fn generation(&self) -> Result<Held> {
        self.check_process()?;
        let guard = self.current.load();
        if guard.is_none() {
            return Err(closed());
        }
        Ok(Held(guard))
    }

    pub fn role(&self) -> Result<Role> {
        Ok(self.lock()?.role())
    }

    /// Gives up the generations that were kept; gives how many. One that somebody still reads goes when they are done.
    pub fn discard(&self) -> Result<usize> {
        let directory = {
            let guard = self.lock()?;
            guard.check_changeable()?;
            guard.directory()?
        };
        let open = self.retired.lock();
        let kept = directory.kept()?;
        for &number in &kept {
            directory.keep_no_more(number)?;
            if !open.contains(&number) {
                directory.remove_generation(number)?;
            }
        }
        Ok(kept.len())
    }

    /// Why writes are refused, if they are: poisoned, or read-only whatever the role.
    pub fn refusal(&self) -> Option<String> {
        let commit = self.commit.lock();
        commit.poisoned.clone().or_else(|| commit.read_only.clone()).or_else(|| commit.state.why_read_only())
    }

    /// Takes the commit lock: while it is held nothing is written, swapped, promoted or closed.
    pub fn lock(&self) -> Result<CommitGuard<'_>> {
        self.check_process()?;
        let commit = self.commit.lock();
        let Some(generation) = self.current.load_full() else { return Err(closed()) };
        Ok(CommitGuard { instance: self, generation, commit, panicking: std::thread::panicking() })
    }

    /// Writes one batch as one entry: `build` makes it under the commit lock, where role, poison, generation and
    /// namespaces are what they will be when it is written. A batch without records is not written. Durable
    /// against a killed process on return, against a power cut when `sync` (or else the engine) says so.
    pub fn write<R, E: From<Error>>(
        &self,
        sync: Option<bool>,
        build: impl FnOnce(&Generation, &mut BatchBuilder) -> std::result::Result<R, E>,
    ) -> std::result::Result<R, E> {
        let mut guard = self.lock()?;
        guard.check_writable()?;
        let mut batch = BatchBuilder::new();
        let result = build(&guard.generation, &mut batch)?;
        if batch.count() == 0 {
            return Ok(result);
        }
        let deleted = reclaim::ranges(&batch);
        let last = reclaim::delete(&mut guard, batch, &deleted)?;
        if sync.unwrap_or(self.options.sync) {
            let db = Arc::clone(&guard.generation.store.db);
            drop(guard);
            self.sync(&db, last)?;
        }
        Ok(result)
    }

    /// Returns when every write acknowledged before the call survives a power cut.
    pub fn flush(&self) -> Result<()> {
        let guard = self.lock()?;
        if self.options.read_only {
            return Ok(());
        }
        let db = Arc::clone(&guard.generation.store.db);
        drop(guard);
        let latest = db.latest_sequence();
        self.sync(&db, latest)
    }

    /// Returns when everything up to `sequence` survives a power cut.
    pub fn sync(&self, db: &Arc<Db>, sequence: u64) -> Result<()> {
        self.durable.sync(db, sequence).map_err(|e| self.commit.lock().poison("syncing the log failed", e))
    }

    /// The last sequence that is known to survive a power cut.
    pub fn durable_sequence(&self, db: &Arc<Db>) -> u64 {
        self.durable.synced(db)
    }

    /// Makes this engine a primary: persisted first, then written into its log as a fresh replication id.
    pub fn promote(&self) -> Result<()> {
        let mut guard = self.lock()?;
        if guard.commit.goal.role == Role::Primary && guard.commit.state.ended_by.is_none() {
            return Ok(());
        }
        if self.options.read_only {
            return Err(guard.check_writable().expect_err("a read-only open takes no writes"));
        }
        if let Some(why) = &guard.commit.poisoned {
            return Err(poisoned(&self.path, why));
        }
        let id = random_id()?;
        let state = guard.commit.state.promoted(&id)?;
        guard.commit.read_only = None;
        guard.take_state(state, id)
    }

    /// Sets a topology: persisted first, in force when it returns. Says whether anything changed.
    pub fn set_topology(&self, order: &Order) -> std::result::Result<bool, Refused> {
        self.ordered(|state, dataset, id| state.ordered(order, dataset, id))
    }

    /// Says who this node is in its topology.
    pub fn set_node_id(&self, node_id: &str) -> std::result::Result<bool, Refused> {
        self.ordered(|state, dataset, id| state.named(node_id, dataset, id))
    }

    fn ordered(
        &self,
        order: impl FnOnce(&State, &Dataset, &str) -> std::result::Result<Outcome, Refused>,
    ) -> std::result::Result<bool, Refused> {
        let failed = |error| Refused { kvrocks: "", error };
        let mut guard = self.lock().map_err(failed)?;
        guard.check_changeable().map_err(failed)?;
        let id = random_id().map_err(failed)?;
        match order(&guard.commit.state, &guard.dataset(), &id)? {
            Outcome::Same => Ok(false),
            Outcome::Conflict(conflict) => {
                self.events.tell(EventKind::Topology, || conflict.clone());
                guard.commit.conflict = Some(conflict);
                Ok(false)
            }
            Outcome::Taken(state) => {
                (guard.commit.conflict, guard.commit.read_only) = (None, None);
                guard.take_state(*state, id).map_err(failed)?;
                Ok(true)
            }
        }
    }

    /// Another node told of an epoch. Whether that ended this primary's own.
    pub fn learn(&self, epoch: &Epoch, origin: &str) -> Result<bool> {
        let mut guard = self.lock()?;
        let Some(state) = guard.commit.state.learned(epoch, origin, &guard.dataset()) else { return Ok(false) };
        guard.check_changeable()?;
        let ended = state.ended_by != guard.commit.state.ended_by;
        guard.take_state(state, String::new())?;
        Ok(ended)
    }

    /// What is persisted of who this node is, and whether a topology contradicted it.
    pub fn standing(&self) -> Result<Standing> {
        let guard = self.lock()?;
        let Commit { state, goal, conflict, since_ms, read_only, poisoned, .. } = &*guard.commit;
        Ok(Standing {
            state: state.clone(),
            goal: goal.clone(),
            dataset: guard.dataset(),
            conflict: conflict.clone(),
            refusal: poisoned.clone().or_else(|| read_only.clone()).or_else(|| state.why_read_only()),
            since_ms: *since_ms,
        })
    }

    #[cfg(feature = "failpoints")]
    pub fn wait_reclaimed(&self) {
        self.reclaim.wait();
    }

    /// Refuses writes while the primary is handed over, whose last sequence this gives; `None` takes them again.
    pub fn pause_writes(&self, why: Option<String>) -> Result<u64> {
        let mut guard = self.lock()?;
        guard.check_healthy()?;
        if guard.commit.read_only.is_some() == why.is_some() || guard.commit.goal.role != Role::Primary {
            guard.check_writable()?;
        }
        guard.commit.read_only = why;
        Ok(guard.generation.store.db.latest_sequence())
    }

    /// Makes this engine a replica that follows somebody, or nobody: persisted first, in force when it returns.
    pub fn desire(&self, what: &str, role: Role, link: Option<DesiredLink>) -> Result<()> {
        let mut guard = self.lock()?;
        guard.check_changeable()?;
        let wish = Wish { role, link };
        let state = guard.commit.state.wished(what, wish.clone(), &guard.dataset())?;
        if guard.commit.goal == wish {
            return Ok(());
        }
        guard.commit.read_only = None;
        guard.take_state(state, String::new())
    }

    /// Whom to follow, and the number of that wish.
    pub fn desired(&self) -> Result<(u64, Option<DesiredLink>)> {
        let guard = self.lock()?;
        Ok((guard.commit.wish, guard.commit.goal.link.clone()))
    }

    /// Refuses every later call and lets go of the directory once no value, iterator, snapshot or log reader holds
    /// it. Calls that are running finish, but for `apply_checkpoint`, which ends with Closed. A second close is a no-op.
    pub fn close(&self) -> Result<()> {
        self.process.check()?;
        let mut commit = self.commit.lock();
        let Some(generation) = self.current.swap(None) else { return Ok(()) };
        generation.store.retire();
        commit.directory = None;
        drop(commit);
        self.events.close();
        self.closing.abandon();
        self.reclaim.end(&generation.store.db);
        let db = Arc::downgrade(&generation.store.db);
        drop(generation);
        // An apply notices at its next step. Called from its own progress callback, close must not wait for it.
        if *self.applier.lock() != Some(std::thread::current().id()) {
            drop(self.applying.lock());
        }
        // Calls that were running let go within a moment; views that the user holds may stay for long.
        for _ in 0..100 {
            if db.strong_count() == 0 {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.closing.wait();
        Ok(())
    }

    /// Makes the caller the only one that builds the next generation; Busy while somebody else does.
    pub fn begin_apply(&self) -> Result<Applying<'_>> {
        let Some(lock) = self.applying.try_lock() else {
            return Err(Error::new(
                ErrorKind::Busy,
                "apply_checkpoint: another one is running on this engine; wait for it",
            ));
        };
        *self.applier.lock() = Some(std::thread::current().id());
        Ok(Applying { instance: self, _lock: lock })
    }
}

/// Who a node is at one moment.
pub struct Standing {
    pub state: State,
    pub goal: Wish,
    pub dataset: Dataset,
    pub conflict: Option<String>,
    /// Why writes are refused beyond what the role says.
    pub refusal: Option<String>,
    pub since_ms: u64,
}

/// The right to build the next generation.
pub struct Applying<'a> {
    instance: &'a Instance,
    _lock: MutexGuard<'a, ()>,
}

impl Drop for Applying<'_> {
    fn drop(&mut self) {
        *self.instance.applier.lock() = None;
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Whoever lets go of an engine may end the process next, which RocksDB must not be closing in.
        if self.process.is_current() {
            self.closing.abandon();
            if let Some(generation) = self.current.swap(None) {
                self.reclaim.end(&generation.store.db);
            }
            self.closing.wait();
        }
    }
}

fn db_options(options: &Options, memory: &Memory, create: bool) -> DbOptions {
    DbOptions {
        create,
        read_only: options.read_only,
        beside: false,
        compression: options.compression,
        wal_keep_bytes: options.wal_keep_bytes,
        wal_keep: options.wal_keep,
        memory: memory.clone(),
    }
}

/// Refuses a Kvrocks' folder while it is still as the Kvrocks left it.
fn check_foreign(folder: &Path, options: &DbOptions, layout: Option<Layout>) -> Result<()> {
    Db::check_families(folder, options)?;
    if layout.is_none() {
        return Ok(());
    }
    let db = Db::open(folder, &DbOptions { read_only: true, ..options.clone() }, None)?;
    Store::new(0, db, None, layout, Layout::Standalone).map(drop)
}

/// The current generation, held for one call without counting.
pub struct Held(Guard<Option<Arc<Generation>>>);

impl std::ops::Deref for Held {
    type Target = Arc<Generation>;

    #[inline]
    fn deref(&self) -> &Arc<Generation> {
        self.0.as_ref().expect("checked when it was taken")
    }
}

/// The commit lock, with the generation that it protects. A panic while it is held poisons the instance.
pub struct CommitGuard<'a> {
    instance: &'a Instance,
    pub generation: Arc<Generation>,
    commit: MutexGuard<'a, Commit>,
    /// Whether the thread was unwinding already when it took the lock, for a reason that is not ours.
    panicking: bool,
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
    fn dataset(&self) -> Dataset {
        let history = self.generation.store.history();
        Dataset { origin: history.origin().to_owned(), id: history.current }
    }

    /// Takes the next state: persisted first. A node that becomes a primary begins to write under `id`.
    fn take_state(&mut self, state: State, id: String) -> Result<()> {
        let instance = self.instance;
        let store = Arc::clone(&self.generation.store);
        let commit = &mut *self.commit;
        let (former, wrote) = (commit.goal.role, commit.state.ended_by.is_none());
        let version = |state: &State| state.topology().map(super::format::topology::Topology::version);
        let governed = version(&commit.state) != version(&state);
        commit.keep(state).map_err(|e| commit.poison("the role could not be kept", e))?;
        let (role, writes) = (commit.goal.role, commit.state.ended_by.is_none());
        store.set_role(role);
        if role == Role::Primary && former != Role::Primary && writes {
            begin_writing(commit, &store, id).map_err(|e| commit.poison("promotion failed half way", e))?;
        }
        if governed && let Some(version) = version(&commit.state) {
            instance.events.tell(EventKind::Topology, || format!("topology version {version} governs"));
        }
        if former != role || wrote != writes {
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
        let last = written.last();
        self.generation.store.append(written);
        Ok(last)
    }

    /// As [`CommitGuard::append`], for a batch that changes the registry: who is told of it sees the new one.
    pub fn append_registry(&mut self, batch: BatchBuilder) -> Result<()> {
        let written = self.write(batch)?;
        let reloaded = self.reload_registry();
        self.generation.store.append(written);
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

    fn write(&mut self, mut batch: BatchBuilder) -> Result<Written> {
        let store = &self.generation.store;
        store.with_replication_id(|id| batch.log_data_with(&replication_id_log(id)));
        write_entry(&mut self.commit, store, batch)
    }

    /// Writes the bytes of a primary's entry as they are. The caller has checked them and their place, and appends
    /// what it gets to the store when history and registry are as the entry makes them.
    pub fn write_verbatim(&mut self, first: u64, last: u64, bytes: Arc<[u8]>) -> Result<Written> {
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
    super::directory::remove_generation(path, number)?;
    step!("apply::retired");
    Ok(())
}

impl Commit {
    /// Takes a state, once it is persisted.
    fn keep(&mut self, state: State) -> Result<()> {
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

    fn poison(&mut self, what: &str, e: Error) -> Error {
        self.poisoned.get_or_insert_with(|| format!("{what}: {e}"));
        e.context(format!("{what}; no write is taken until it is opened again"))
    }

    fn directory(&self) -> Result<Arc<Directory>> {
        self.directory.clone().ok_or_else(closed)
    }
}

fn write_entry(commit: &mut Commit, store: &Store, batch: BatchBuilder) -> Result<Written> {
    if batch.len_bytes() > MAX_BYTES {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("batch: got {} bytes, expected at most {MAX_BYTES}", batch.len_bytes()),
        ));
    }
    let first = store.db.latest_sequence() + 1;
    let last = first + u64::from(batch.count()) - 1;
    write_bytes(commit, store, (first, last), batch.finish(first))
}

fn write_bytes(
    commit: &mut Commit,
    store: &Store,
    (first, last): (u64, u64),
    bytes: impl AsRef<[u8]> + Into<Arc<[u8]>>,
) -> Result<Written> {
    step!("commit::write");
    let written = store.db.write(bytes.as_ref());
    let latest = store.db.latest_sequence();
    match written {
        Ok(()) if latest == last => Ok(Written::new(first, last, bytes)),
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
fn draw_replication_id(
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

/// The role that the record and the caller agree on; only a directory without a record takes primary by default.
fn agreed_role(path: &Path, state: Option<&State>, asked: Option<Role>) -> Result<Role> {
    let Some(state) = state else { return Ok(asked.unwrap_or(Role::Primary)) };
    match asked {
        Some(asked) if asked != state.goal().role => {
            let instead = match asked {
                Role::Primary => "open it without a role and call promote()",
                Role::Replica => "open a new directory as a replica and apply_checkpoint() to it",
                Role::Detached => "open it without a role",
            };
            Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "role of {}: it is recorded as {}, asked for {}; {instead}",
                    path.display(),
                    state.goal().role.name(),
                    asked.name()
                ),
            ))
        }
        _ => Ok(state.goal().role),
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the engine is closed; open it again")
}

fn poisoned(path: &Path, why: &str) -> Error {
    Error::new(
        ErrorKind::Poisoned,
        format!("{} takes no writes until it is opened again, because {why}", path.display()),
    )
}
