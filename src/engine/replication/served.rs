//! The checkpoint that a primary serves to replicas. There is one at a time, shared by all that come.
//!
//! It is kept until every replica that listed it has come back with PSYNC and was sent what was written meanwhile, and
//! nobody else reads it; or until nobody has read it for ten minutes, for a day at most, and while what is kept for it
//! stays within a limit. No file of the database goes meanwhile, those of the log too, so that a replica that took long
//! finds the entry at which it must go on.

use std::collections::HashMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::sync_in::Watch;
use super::sync_out::{self, LinkedFiles};
use crate::engine::clock;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::side::{ManifestFile, encode_manifest};
use crate::engine::generation::Store;
use crate::engine::instance::Instance;
use crate::engine::random::random_id;
use crate::engine::storage::db::HeldFiles;
use crate::engine::storage::files;

const IDLE_MS: u64 = 10 * 60 * 1000;
const OLDEST_MS: u64 = 24 * 60 * 60 * 1000;
/// How often what is kept is measured.
const LOOK: Duration = Duration::from_secs(10);
/// What may be kept, where nobody said: the dataset's size again, or this where that is more.
const LIMIT: u64 = 1 << 30;

/// Who uses a checkpoint.
struct Uses {
    /// Its time is over: who still reads it must end, so that what is held for it goes.
    gone: AtomicBool,
    readings: AtomicU64,
    last_ms: AtomicU64,
}

/// While it lives somebody reads a checkpoint, or the log behind it.
pub struct Reading {
    serving: Weak<Serving>,
    uses: Arc<Uses>,
}

impl Reading {
    /// It goes on.
    pub fn touch(&self) {
        self.uses.last_ms.store(clock::monotonic_ms(), Ordering::Relaxed);
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let Some(serving) = self.serving.upgrade() else { return };
        let state = serving.state.lock();
        let last = self.uses.readings.fetch_sub(1, Ordering::Relaxed) == 1;
        drop(state);
        if last {
            serving.woken.notify_all();
        }
    }
}

/// A checkpoint that replicas read.
pub struct Served {
    pub id: String,
    pub folder: PathBuf,
    pub linked: LinkedFiles,
    /// The checksums of its first files. Replicas fetch files while this one is read for the rest.
    summed: Mutex<Vec<ManifestFile>>,
    store: Arc<Store>,
    made_ms: u64,
    uses: Arc<Uses>,
    /// What the database's folder had when it was made, and what it may have.
    limit: u64,
    _held: HeldFiles,
}

impl Served {
    /// Somebody reads it.
    pub fn touch(&self) {
        self.uses.last_ms.store(clock::monotonic_ms(), Ordering::Relaxed);
    }

    /// The file of that name, if it is one of the checkpoint's.
    pub fn file(&self, name: &str) -> Result<PathBuf> {
        if self.linked.files.iter().any(|(listed, _)| listed == name) {
            return Ok(self.folder.join(name));
        }
        Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("file {name:?}: got a name that checkpoint {} does not list", self.id),
        ))
    }

    /// Its files as they go over the wire: a sync manifest whose checksums are 0.
    pub fn listed(&self) -> Vec<u8> {
        let file = |(name, size): &(String, u64)| ManifestFile { name: name.clone(), size: *size, crc32c: 0 };
        encode_manifest(&self.linked.manifest(self.linked.files.iter().map(file).collect()))
    }

    /// Its sync manifest as it goes over the wire. `None` when the files could not all be read until `deadline`: the next
    /// call goes on where this one ended.
    pub fn manifest(&self, deadline: Option<Instant>) -> Result<Option<Vec<u8>>> {
        let is_late = || deadline.is_some_and(|deadline| clock::instant() >= deadline);
        let locked = match deadline {
            Some(deadline) => self.summed.try_lock_until(deadline),
            None => Some(self.summed.lock()),
        };
        let Some(mut summed) = locked else { return Ok(None) };
        let mut reader = files::PieceReader::new();
        while let Some((name, size)) = self.linked.files.get(summed.len()) {
            if is_late() {
                return Ok(None);
            }
            let done =
                sync_out::checksum(&self.store, &self.folder, name, *size, &mut reader, |_| self.check_served())?;
            self.touch();
            summed.push(done);
            if summed.len() == self.linked.files.len() {
                sync_out::remember(&self.store, &summed);
            }
        }
        Ok(Some(encode_manifest(&self.linked.manifest(summed.clone()))))
    }

    fn check_served(&self) -> Result<()> {
        if self.is_gone() || self.store.is_retired() {
            return Err(Error::new(ErrorKind::NotFound, format!("checkpoint {}: it is served no more", self.id)));
        }
        Ok(())
    }

    /// Whether it is served no more.
    pub fn is_gone(&self) -> bool {
        self.uses.gone.load(Ordering::Relaxed)
    }

    fn is_over(&self, now_ms: u64) -> bool {
        let idle = now_ms.saturating_sub(self.uses.last_ms.load(Ordering::Relaxed)) > IDLE_MS;
        let old = now_ms.saturating_sub(self.made_ms) > OLDEST_MS;
        idle || old || self.store.is_retired() || kept_bytes(self.store.db.path()) > self.limit
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = files::remove_dir(&self.folder);
    }
}

/// What a primary serves now.
pub struct Serving {
    instance: Arc<Instance>,
    state: Mutex<State>,
    woken: Condvar,
    /// Held by who makes a checkpoint: who comes meanwhile shares it.
    making: Mutex<()>,
}

#[derive(Default)]
struct State {
    served: Option<Arc<Served>>,
    /// Replicas that have listed a checkpoint and not come back yet, and its id: the run of a Pumice, the address of a Kvrocks'
    /// host.
    awaited: HashMap<String, String>,
    watched: bool,
    watching: Option<JoinHandle<()>>,
    closed: bool,
}

impl State {
    fn is_used(&self, served: &Served) -> bool {
        !self.awaited.is_empty() || served.uses.readings.load(Ordering::Relaxed) > 0
    }
}

impl Serving {
    pub fn new(instance: &Arc<Instance>) -> Arc<Serving> {
        let (state, woken, making) = (Mutex::default(), Condvar::new(), Mutex::new(()));
        Arc::new(Serving { instance: Arc::clone(instance), state, woken, making })
    }

    /// The checkpoint for `replica`, made where there is none that can be shared. Blocks as
    /// `create_checkpoint` does. What is kept for it may take `limit` bytes beside the dataset.
    pub fn list(self: &Arc<Serving>, replica: &str, limit: Option<u64>) -> Result<Arc<Served>> {
        let _making = self.making.lock();
        let now_ms = clock::monotonic_ms();
        let (served, mut state) = loop {
            let shared = self.state.lock().served.clone();
            let shared = shared.filter(|served| !served.is_over(now_ms));
            let served = match shared {
                Some(served) => served,
                None => Arc::new(self.make(limit)?),
            };
            served.touch();
            let mut state = self.state.lock();
            if state.closed {
                state.served = None;
                return Err(Error::new(ErrorKind::Closed, "checkpoint: the engine is closed"));
            }
            // It may have been let go of meanwhile.
            if !served.is_gone() {
                break (served, state);
            }
        };
        // Whoever still reads another than this one must end.
        let former = state.served.replace(Arc::clone(&served)).filter(|former| !Arc::ptr_eq(former, &served));
        if let Some(former) = &former {
            former.uses.gone.store(true, Ordering::Relaxed);
        }
        state.awaited.insert(replica.to_owned(), served.id.clone());
        if !state.watched {
            let serving = Arc::clone(self);
            let started = std::thread::Builder::new().name("pumice-served".to_owned()).spawn(move || serving.watch());
            match started {
                Ok(watching) => state.watching = Some(watching),
                Err(e) => {
                    // Nobody would let go of it.
                    state.served = None;
                    return Err(Error::io("start the thread of the served checkpoint", e));
                }
            }
            state.watched = true;
        }
        drop(state);
        Ok(served)
    }

    /// The checkpoint of that id, or the newest for who names none, while it is served.
    pub fn find(&self, id: Option<&str>) -> Result<Arc<Served>> {
        let served = self.state.lock().served.clone();
        let served = served.filter(|served| id.is_none_or(|id| served.id == id)).ok_or_else(|| {
            let which = id.map_or("a checkpoint".to_owned(), |id| format!("checkpoint {id:?}"));
            Error::new(ErrorKind::NotFound, format!("{which}: it is not served any more; ask for one first"))
        })?;
        served.touch();
        Ok(served)
    }

    /// The checkpoint that a replica has listed, the newest for who has listed none, while it is served.
    pub fn find_listed(&self, replica: &str) -> Result<Arc<Served>> {
        let id = self.state.lock().awaited.get(replica).cloned();
        self.find(id.as_deref())
    }

    /// Replicas that may have listed it have come back. The log is to be kept for them until they have what was written so
    /// far.
    pub fn returned<'r>(self: &Arc<Serving>, replicas: impl Iterator<Item = &'r str>) -> Option<Reading> {
        let mut state = self.state.lock();
        for replica in replicas {
            state.awaited.remove(replica);
        }
        // Counted before anybody can see that it is awaited no more.
        state.served.as_ref().map(|served| self.reading(served))
    }

    /// Somebody reads it for a while.
    pub fn read(self: &Arc<Serving>, served: &Served) -> Reading {
        let _state = self.state.lock();
        self.reading(served)
    }

    fn reading(self: &Arc<Serving>, served: &Served) -> Reading {
        served.uses.readings.fetch_add(1, Ordering::Relaxed);
        Reading { serving: Arc::downgrade(self), uses: Arc::clone(&served.uses) }
    }

    /// Whoever reads the checkpoint that is served gets no more of it.
    pub fn withdraw(&self) {
        let mut state = self.state.lock();
        let withdrawn = state.served.take();
        if let Some(served) = &withdrawn {
            served.uses.gone.store(true, Ordering::Relaxed);
        }
        state.awaited.clear();
        drop(state);
        self.woken.notify_all();
    }

    /// Serves nothing any more.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.served = None;
        let watching = state.watching.take();
        drop(state);
        self.woken.notify_all();
        watching.map(JoinHandle::join);
    }

    fn make(&self, limit: Option<u64>) -> Result<Served> {
        let store = Arc::clone(&self.instance.generation()?.store);
        let held = store.db.hold_files()?;
        let id = random_id()?;
        let folder = self.instance.path().join("checkpoints").join(&id);
        let mut on = |_: &_| match self.state.lock().closed {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let mut watch = Watch::new(&self.instance, &mut on);
        let linked = files::make_whole("checkpoint", &folder, &random_id()?, |beside| {
            sync_out::link(&self.instance, &store, beside, &mut watch)
        })?;
        let has = kept_bytes(store.db.path());
        let limit = has.saturating_add(limit.unwrap_or_else(|| has.max(LIMIT)));
        let now_ms = clock::monotonic_ms();
        Ok(Served {
            id,
            folder,
            linked,
            summed: Mutex::default(),
            store,
            made_ms: now_ms,
            uses: Arc::new(Uses {
                gone: AtomicBool::new(false),
                readings: AtomicU64::new(0),
                last_ms: AtomicU64::new(now_ms),
            }),
            limit,
            _held: held,
        })
    }

    /// Lets go of it when nobody uses it, or its time is over. Ends when there is nothing to watch.
    fn watch(&self) {
        let mut look = clock::after(LOOK);
        let mut state = self.state.lock();
        while let Some(served) = state.served.clone() {
            let mut over = !state.is_used(&served);
            if !over && clock::instant() >= look {
                look = clock::after(LOOK);
                over = MutexGuard::unlocked(&mut state, || served.is_over(clock::monotonic_ms()));
            }
            if over && state.served.as_ref().is_some_and(|now| Arc::ptr_eq(now, &served)) {
                served.uses.gone.store(true, Ordering::Relaxed);
                state.served = None;
                state.awaited.clear();
            }
            // Whoever lets go of it last deletes its files.
            MutexGuard::unlocked(&mut state, || drop(served));
            if state.served.as_ref().is_some_and(|served| state.is_used(served)) {
                self.woken.wait_until(&mut state, look);
            }
        }
        state.watched = false;
    }
}

/// Bytes of all files in a database's folder, the kept ones too.
fn kept_bytes(folder: &Path) -> u64 {
    let sum = |folder: &Path| -> u64 {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.metadata().ok()).filter(|found| found.is_file()).map(|found| found.len()).sum()
    };
    sum(folder) + sum(&folder.join("archive"))
}
