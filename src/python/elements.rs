//! Iterators over what one key holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::leases::{Lease, Shared};
use super::streams;
use crate::{Elements, Entries, Fields, Members, Scores};

/// What is walked through, and what comes of each step.
pub enum Walk {
    Fields(Fields),
    FieldsWithValues(Fields),
    Elements(Elements),
    Members(Members),
    Scored(Scores),
    ScoredWithScores(Scores),
    Entries(Entries),
}

/// After how many steps signals are looked at and other threads are let in.
const STEP: usize = 4096;

/// An iterator over what one key holds, as it was when the iterator was made. Nothing is loaded ahead. It raises ClosedError
/// after the engine was closed.
#[pyclass(frozen, module = "pumice")]
pub struct ElementIterator {
    shared: Arc<Shared>,
    /// Nothing in it once it is at its end.
    walk: Lease<Option<Walk>>,
    /// Counted loosely, which is all that it is for.
    given: AtomicUsize,
}

impl ElementIterator {
    pub fn new(shared: &Arc<Shared>, walk: Walk) -> ElementIterator {
        let walk = shared.leases.lend(Some(walk));
        ElementIterator { shared: Arc::clone(shared), walk, given: AtomicUsize::new(1) }
    }
}

#[pymethods]
impl ElementIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let given = self.given.load(Ordering::Relaxed);
        self.given.store(given + 1, Ordering::Relaxed);
        if given.is_multiple_of(STEP) {
            py.detach(std::thread::yield_now);
            py.check_signals()?;
        }
        let mut lent = self.walk.lock(py);
        let walk = match &mut *lent {
            Some(Some(walk)) => walk,
            Some(None) => return Ok(None),
            None => return Err(self.shared.closed(py, "this iterator")),
        };
        let bytes = |bytes: &[u8]| PyBytes::new(py, bytes).into_any();
        let pair = |member: &[u8], score: f64| Ok::<_, PyErr>((bytes(member), score).into_pyobject(py)?.into_any());
        let next = match walk {
            Walk::Fields(fields) => fields.next_field()?.map(|(field, _)| bytes(field)),
            Walk::FieldsWithValues(fields) => match fields.next_field()? {
                Some((field, value)) => Some(PyTuple::new(py, [bytes(field), bytes(value)])?.into_any()),
                None => None,
            },
            Walk::Elements(elements) => elements.next_element()?.map(bytes),
            Walk::Members(members) => members.next_member()?.map(bytes),
            Walk::Scored(scores) => scores.next_member()?.map(|(member, _)| bytes(member)),
            Walk::ScoredWithScores(scores) => {
                scores.next_member()?.map(|(member, score)| pair(member, score)).transpose()?
            }
            Walk::Entries(entries) => match entries.next_entry()? {
                Some(entry) => Some(streams::row(py, entry)?.into_pyobject(py)?.into_any()),
                None => None,
            },
        };
        if next.is_none() {
            *lent = Some(None);
        }
        Ok(next)
    }
}
