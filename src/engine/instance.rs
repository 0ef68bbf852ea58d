//! One open directory: the current generation, the role, the commit order, and what poisons it.

mod commit;
mod orders;

pub use commit::CommitGuard;
pub use orders::Standing;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::ThreadId;
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use parking_lot::{Mutex, MutexGuard};

use super::channels::Channels;
use super::clock;
use super::cursors::Cursors;
use super::directory::{Current, Directory};
use super::error::{Error, ErrorKind, Result};
use super::events::Subscriptions;
use super::failpoint;
use super::format::batch::BatchBuilder;
use super::format::key::Layout;
use super::format::state::{Role, State, Wish};
use super::generation::{Generation, Store};
use super::group_sync::GroupSync;
use super::options::Options;
use super::random::random_id;
use super::reclaim::{self, Reclaim};
use super::storage::closing::Closing;
use super::storage::db::Db;
use super::storage::fork::{self, Process};
use super::storage::options::{DbOptions, Memory};
use super::topology::routes::Routes;
use super::waiters::Ready;
use commit::{Commit, draw_replication_id};

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
    /// Where keys are while a topology governs: derived from the state whenever that changes.
    pub routes: ArcSwapOption<Routes>,
    /// The generations that are not current any more and still open.
    retired: Arc<Mutex<BTreeSet<u64>>>,
    /// Held by whoever builds the next generation, on the thread that `applier` names.
    applying: Mutex<()>,
    applier: Mutex<Option<ThreadId>>,
    /// Where walks in its namespaces go on.
    pub cursors: Cursors,
    pub channels: Arc<Channels>,
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
        let channels = Arc::<Channels>::default();
        let instance = Instance {
            path: directory.path().to_owned(),
            process: Process::current(),
            memory,
            options: options.clone(),
            current: ArcSwapOption::empty(),
            routes: ArcSwapOption::from_pointee(Routes::of(&state)),
            commit: Mutex::new(Commit {
                goal: Wish { link: state.goal().link.filter(|_| read_only.is_none()), ..state.goal() },
                state,
                conflict: None,
                since_ms: clock::now_ms(),
                wish: 0,
                poisoned: None,
                read_only,
                directory: Some(Arc::clone(&directory)),
                channels: Arc::clone(&channels),
            }),
            durable: GroupSync::default(),
            reclaim: Arc::default(),
            closing: Arc::default(),
            events: Subscriptions::default(),
            retired: Arc::default(),
            applying: Mutex::new(()),
            applier: Mutex::new(None),
            cursors: Cursors::new()?,
            channels: Arc::clone(&channels),
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
        let panicking = std::thread::panicking();
        Ok(CommitGuard { instance: self, generation, commit, ready: Ready::default(), panicking })
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
        guard.serve();
        if sync.unwrap_or(self.options.sync) {
            let db = Arc::clone(&guard.generation.store.db);
            drop(guard);
            self.sync(&db, last)?;
        }
        Ok(result)
    }

    /// Whether a write would be begun within that time, as far as can be told.
    pub fn takes_writes_within(&self, wait: Duration) -> bool {
        self.commit.try_lock_for(wait).is_some()
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
            self.events.close();
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
