//! Who waits for a change of a key, and the bell that wakes them.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::clock;
use super::error::{Error, Result};
use super::format::batch::{Batch, METADATA, Record};
use super::instance::CommitGuard;

/// Somebody who waits.
pub struct Waiter {
    bell: OwnedFd,
    /// Gives it what it waits for, on the thread of whoever changes a key.
    serve: Box<Serve>,
}

/// Tries to give a waiter something of a key, as it is in the metadata, under the commit lock.
pub type Serve = dyn Fn(&mut CommitGuard<'_>, &[u8]) -> Tried + Send + Sync;

/// What came of a try to give a waiter something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// It has something to look at.
    Ring,
    /// There is nothing for this one.
    Nothing,
    /// The key is gone: there is nothing for anybody.
    Gone,
}

/// Keys that were changed and for which somebody waits, in the order of the changes, each once.
#[derive(Default)]
pub struct Ready {
    order: VecDeque<Vec<u8>>,
    known: BTreeSet<Vec<u8>>,
}

impl Ready {
    pub fn push(&mut self, key: Vec<u8>) {
        if self.known.insert(key.clone()) {
            self.order.push_back(key);
        }
    }

    /// The next key. What changes it while its line is served is for that line.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        self.order.pop_front()
    }

    /// All who wait for a key were served.
    pub fn done(&mut self, key: &[u8]) {
        self.known.remove(key);
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Something may have changed.
    Changed,
    /// The time is over.
    Late,
    /// The other side of the connection is gone.
    Gone,
}

impl Waiter {
    pub fn new(serve: Box<Serve>) -> Result<Waiter> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let bell = bell.map_err(|e| Error::io("make an eventfd to wait with", e))?;
        Ok(Waiter { bell, serve })
    }

    /// Gives it what a key has for it. Whether there may be something for the next in line.
    pub fn serve(&self, guard: &mut CommitGuard<'_>, key: &[u8]) -> bool {
        let tried = (self.serve)(guard, key);
        if tried == Tried::Ring {
            self.ring();
        }
        tried != Tried::Gone
    }

    pub fn ring(&self) {
        // It fails only when it has been rung without end.
        let _ = rustix::io::write(&self.bell, &1u64.to_ne_bytes());
    }

    /// Waits until it is woken, until `deadline`, or until the other side of a connection is gone.
    pub fn wait(&self, connection: Option<BorrowedFd<'_>>, deadline: Option<Instant>) -> Result<Woken> {
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(clock::instant()));
            let timeout = left.map(|left| Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            });
            let bell = PollFd::from_borrowed_fd(self.bell.as_fd(), PollFlags::IN);
            let other = connection.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::RDHUP));
            let mut fds: Vec<PollFd<'_>> = std::iter::once(bell).chain(other).collect();
            match poll(&mut fds, timeout.as_ref()) {
                Ok(0) => return Ok(Woken::Late),
                Ok(_) if fds.get(1).is_some_and(|other| !other.revents().is_empty()) => return Ok(Woken::Gone),
                Ok(_) => {
                    let _ = rustix::io::read(&self.bell, &mut [0; 8]);
                    return Ok(Woken::Changed);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(Error::io("wait for a change of a key", e)),
            }
        }
    }
}

/// Who waits for which key, who came first the first. Keys are as they are in the metadata.
#[derive(Default)]
pub struct Waiters {
    keys: HashMap<Vec<u8>, Vec<Arc<Waiter>>>,
}

impl Waiters {
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub fn add(&mut self, key: &[u8], waiter: &Arc<Waiter>) {
        self.keys.entry(key.to_vec()).or_default().push(Arc::clone(waiter));
    }

    pub fn remove(&mut self, key: &[u8], waiter: &Arc<Waiter>) {
        let Some(waiting) = self.keys.get_mut(key) else { return };
        waiting.retain(|known| !Arc::ptr_eq(known, waiter));
        if waiting.is_empty() {
            self.keys.remove(key);
        }
    }

    /// The keys for which somebody waits and that an entry has changed.
    pub fn changed_by(&self, batch: &[u8]) -> Vec<Vec<u8>> {
        // It was parsed before it was written.
        let Ok(batch) = Batch::parse(batch) else { return Vec::new() };
        let (mut changed, mut seen) = (Vec::new(), BTreeSet::new());
        for record in batch.records() {
            if let Record::Put { family: METADATA, key, .. } = record
                && self.keys.contains_key(key)
                && seen.insert(key)
            {
                changed.push(key.to_vec());
            }
        }
        changed
    }

    /// Who waits for a key, who came first the first.
    pub fn line(&self, key: &[u8]) -> Vec<Arc<Waiter>> {
        self.keys.get(key).cloned().unwrap_or_default()
    }

    pub fn wake_all(&self) {
        self.keys.values().flatten().for_each(|waiter| waiter.ring());
    }
}
