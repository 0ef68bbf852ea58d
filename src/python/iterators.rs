//! Iterators over keys, values and items. Rows go straight from where RocksDB has them into Python's objects.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyNone};

use super::buffer::Pairs;
use super::leases::{Lease, Shared};
use crate::Items;

/// What an iterator gives of each row.
#[derive(Clone, Copy)]
pub enum What {
    Keys,
    Values,
    Items,
}

/// A walk that is not at its end.
struct Walk {
    items: Items,
    pairs: Pairs,
}

/// After how many rows signals are looked at and other threads are let in, since a loop like that of `list` does
/// neither.
const STEP: usize = 4096;

/// An iterator over one namespace, in order, as it was when the iterator was made. It raises ClosedError after the
/// engine, or the snapshot that it came from, was closed.
#[pyclass(frozen, module = "pumice")]
pub struct NamespaceIterator {
    shared: Arc<Shared>,
    /// Nothing in it once it is at its end.
    walk: Lease<Option<Walk>>,
    what: What,
    /// Counted loosely, which is all that it is for.
    given: AtomicUsize,
}

impl NamespaceIterator {
    pub fn new(py: Python<'_>, shared: &Arc<Shared>, items: Items, what: What) -> NamespaceIterator {
        let walk = shared.leases.lend(Some(Walk { items, pairs: Pairs::new(py) }));
        NamespaceIterator { shared: Arc::clone(shared), walk, what, given: AtomicUsize::new(1) }
    }
}

#[pymethods]
impl NamespaceIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let given = self.given.load(Ordering::Relaxed);
        self.given.store(given + 1, Ordering::Relaxed);
        if given.is_multiple_of(STEP) {
            // Not under the lock, which a fork on another thread would leave locked in the child.
            py.detach(std::thread::yield_now);
            py.check_signals()?;
        }
        let mut lent = self.walk.lock(py);
        let Walk { items, pairs } = match &mut *lent {
            Some(Some(walk)) => walk,
            Some(None) => return Ok(None),
            None => return Err(self.shared.closed(py, "the snapshot of this iterator")),
        };
        let Some(item) = items.next_item()? else {
            *lent = Some(None);
            return Ok(None);
        };
        let made = |bytes: &[u8]| PyBytes::new(py, bytes).into_any();
        Ok(Some(match (self.what, item.value) {
            (What::Keys, _) => made(item.key),
            (What::Values, Some(value)) => made(value),
            (What::Values, None) => PyNone::get(py).to_owned().into_any(),
            (What::Items, Some(value)) => pairs.pair(py, made(item.key), made(value))?.into_any(),
            (What::Items, None) => pairs.pair(py, made(item.key), PyNone::get(py).to_owned().into_any())?.into_any(),
        }))
    }

    fn __repr__(&self) -> &'static str {
        match self.what {
            What::Keys => "<pumice.NamespaceIterator of keys>",
            What::Values => "<pumice.NamespaceIterator of values>",
            What::Items => "<pumice.NamespaceIterator of items>",
        }
    }
}
