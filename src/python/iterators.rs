//! Iterators over keys, values and items: rows are fetched in chunks and handed out one by one.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyNone};

use super::leases::{Lease, Shared};
use crate::{Items, Result};

/// What an iterator gives of each row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum What {
    Keys,
    Values,
    Items,
}

/// The rows of one walk, a chunk at a time.
struct Rows {
    items: Items,
    /// The bytes of the chunk's keys and values, one after the other.
    bytes: Vec<u8>,
    /// Where in `bytes` each key and each value ends; no value for keys of other types than string.
    ends: Vec<(usize, Option<usize>)>,
    /// The next row to hand out, and where its bytes begin.
    next: usize,
    begin: usize,
    /// How many rows to fetch at once: few at first, for who wants only some.
    wanted: usize,
}

const FIRST: usize = 16;
const MOST: usize = 1024;
const MOST_BYTES: usize = 256 << 10;

impl Rows {
    /// Fetches the next chunk. Empty at the end.
    fn fetch(&mut self, what: What) -> Result<()> {
        self.bytes.clear();
        // One large value must not stay for the rest of the walk.
        self.bytes.shrink_to(2 * MOST_BYTES);
        self.ends.clear();
        (self.next, self.begin) = (0, 0);
        while self.ends.len() < self.wanted && self.bytes.len() < MOST_BYTES {
            let Some(item) = self.items.next_item()? else { break };
            if what != What::Values {
                self.bytes.extend_from_slice(item.key);
            }
            let key_end = self.bytes.len();
            let value = if what == What::Keys { None } else { item.value };
            let value_end = value.map(|value| {
                self.bytes.extend_from_slice(value);
                self.bytes.len()
            });
            self.ends.push((key_end, value_end));
        }
        self.wanted = (2 * self.wanted).min(MOST);
        Ok(())
    }

    /// The key and value of the next row of the chunk.
    fn row(&mut self) -> Option<(&[u8], Option<&[u8]>)> {
        let &(key_end, value_end) = self.ends.get(self.next)?;
        let key = &self.bytes[self.begin..key_end];
        let value = value_end.map(|end| &self.bytes[key_end..end]);
        self.next += 1;
        self.begin = value_end.unwrap_or(key_end);
        Some((key, value))
    }
}

/// An iterator over one namespace, in order, as it was when the iterator was made. It raises ClosedError after the
/// engine, or the snapshot that it came from, was closed.
#[pyclass(frozen, module = "pumice")]
pub struct NamespaceIterator {
    shared: Arc<Shared>,
    /// The walk; nothing in it once it is at its end.
    rows: Lease<Option<Rows>>,
    what: What,
}

impl NamespaceIterator {
    pub fn new(shared: &Arc<Shared>, items: Items, what: What) -> NamespaceIterator {
        let rows = Rows { items, bytes: Vec::new(), ends: Vec::new(), next: 0, begin: 0, wanted: FIRST };
        NamespaceIterator { shared: Arc::clone(shared), rows: shared.leases.lend(Some(rows)), what }
    }
}

#[pymethods]
impl NamespaceIterator {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.shared.engine.check_open()?;
        let mut lent = self.rows.lock(py);
        let rows = match &mut *lent {
            Some(Some(rows)) => rows,
            Some(None) => return Ok(None),
            None => return Err(self.shared.closed(py, "the snapshot of this iterator")),
        };
        if rows.next == rows.ends.len() {
            let what = self.what;
            // The first rows are a point read; more of them may wait for the disk.
            if rows.wanted == FIRST { rows.fetch(what)? } else { py.detach(|| rows.fetch(what))? }
        }
        let Some((key, value)) = rows.row() else {
            *lent = Some(None);
            return Ok(None);
        };
        let made = |bytes: &[u8]| PyBytes::new(py, bytes).into_any();
        Ok(Some(match (self.what, value) {
            (What::Keys, _) => made(key),
            (What::Values, Some(value)) => made(value),
            (What::Values, None) => PyNone::get(py).to_owned().into_any(),
            (What::Items, Some(value)) => (made(key), made(value)).into_pyobject(py)?.into_any(),
            (What::Items, None) => (made(key), PyNone::get(py)).into_pyobject(py)?.into_any(),
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
