//! What a close takes back: iterators, snapshots and logs that callers still hold would keep the directory open.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pyo3::prelude::*;
use pyo3::sync::MutexExt;

use super::errors;
use crate::{Engine, ErrorKind, Listener};

/// Something that is there until it is taken back.
pub struct Lease<T>(Arc<Mutex<Option<T>>>);

impl<T> Clone for Lease<T> {
    fn clone(&self) -> Lease<T> {
        Lease(Arc::clone(&self.0))
    }
}

impl<T: Send + 'static> Lease<T> {
    /// The thing, or nothing when it was taken back. Nobody waits for it with the GIL.
    pub fn lock(&self, py: Python<'_>) -> MutexGuard<'_, Option<T>> {
        self.0.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of the thing.
    pub fn end(&self, py: Python<'_>) {
        let ended = self.lock(py).take();
        py.detach(move || drop(ended));
    }
}

trait Release: Send + Sync {
    fn release(&self);
}

impl<T: Send> Release for Mutex<Option<T>> {
    fn release(&self) {
        let released = self.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(released);
    }
}

/// What was lent and can be taken back.
#[derive(Default)]
pub struct Leases(Mutex<Vec<Weak<dyn Release>>>);

impl Leases {
    pub fn lend<T: Send + 'static>(&self, thing: T) -> Lease<T> {
        let lent = Arc::new(Mutex::new(Some(thing)));
        let weak = Arc::downgrade(&lent);
        self.enlist(weak);
        Lease(lent)
    }

    fn enlist(&self, lent: Weak<dyn Release>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked through only when the list is full, and then given room again.
        if all.len() == all.capacity() {
            all.retain(|lent| lent.strong_count() > 0);
            let room = all.len().max(16);
            all.reserve(room);
        }
        all.push(lent);
    }

    /// Takes back everything. Called without the GIL, which who uses a thing just now may need to go on.
    pub fn take_back(&self) {
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for lent in all {
            if let Some(lent) = lent.upgrade() {
                lent.release();
            }
        }
    }
}

/// An engine with what was lent from it, or from one of its snapshots.
pub struct Shared {
    pub engine: Engine,
    pub leases: Leases,
    /// What serves the engine, which goes on when nobody keeps it.
    pub listeners: Mutex<Vec<Arc<Listener>>>,
}

impl Release for Shared {
    fn release(&self) {
        self.leases.take_back();
    }
}

impl Shared {
    pub fn new(engine: Engine) -> Arc<Shared> {
        Arc::new(Shared { engine, leases: Leases::default(), listeners: Mutex::default() })
    }

    /// A part whose things can be taken back alone, and are taken back with all.
    pub fn part(&self) -> Arc<Shared> {
        let part = Shared::new(self.engine.clone());
        let weak = Arc::downgrade(&part);
        self.leases.enlist(weak);
        part
    }

    /// An exception of the kind Closed: after close, in a forked child, or when the thing itself was closed.
    #[cold]
    pub fn closed(&self, py: Python<'_>, what: &str) -> PyErr {
        match self.engine.check_open() {
            Err(error) => error.into(),
            Ok(()) => errors::raise(py, ErrorKind::Closed, format!("{what} is closed")),
        }
    }
}
