//! Iterators over keys, values and items. Rows go straight from where RocksDB has them into Python's objects.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyNone};

use super::leases::{Lease, Shared};
use crate::Items;

/// What an iterator gives of each row.
#[derive(Clone, Copy)]
pub enum What {
    Keys,
    Values,
    Items,
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
    walk: Lease<Option<Items>>,
    what: What,
    given: AtomicUsize,
}

impl NamespaceIterator {
    pub fn new(shared: &Arc<Shared>, items: Items, what: What) -> NamespaceIterator {
        let walk = shared.leases.lend(Some(items));
        NamespaceIterator { shared: Arc::clone(shared), walk, what, given: AtomicUsize::new(1) }
    }
}

#[pymethods]
impl NamespaceIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if self.given.fetch_add(1, Ordering::Relaxed).is_multiple_of(STEP) {
            // Not under the lock, which a fork on another thread would leave locked in the child.
            py.detach(std::thread::yield_now);
            py.check_signals()?;
        }
        let mut lent = self.walk.lock(py);
        let items = match &mut *lent {
            Some(Some(items)) => items,
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
            (What::Items, Some(value)) => (made(item.key), made(value)).into_pyobject(py)?.into_any(),
            (What::Items, None) => (made(item.key), PyNone::get(py)).into_pyobject(py)?.into_any(),
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
