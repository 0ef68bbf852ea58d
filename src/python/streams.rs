//! Streams as logs that grow at their end, and their groups.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use super::arguments::Bytes;
use super::elements::{ElementIterator, Walk};
use super::leases::Shared;
use crate::{StreamEntry, StreamId};

/// The stream of one key: a log of entries, each an id like "1700000000000-0" and a dict of fields.
///
/// A loop over it gives pairs of both in the order of the ids, as they were when it began; nothing is loaded ahead. It need
/// not be there. Each call is one write or one look. A key of another type raises WrongTypeError.
#[pyclass(frozen, module = "pumice")]
pub struct Stream {
    shared: Arc<Shared>,
    live: crate::Stream,
}

impl Stream {
    pub fn new(shared: &Arc<Shared>, live: crate::Stream) -> Stream {
        Stream { shared: Arc::clone(shared), live }
    }

    fn walk(&self, py: Python<'_>, reverse: bool) -> PyResult<ElementIterator> {
        let entries = py.detach(|| match reverse {
            true => self.live.iter_reversed(StreamId::MIN, StreamId::MAX),
            false => self.live.iter(StreamId::MIN, StreamId::MAX),
        })?;
        Ok(ElementIterator::new(&self.shared, Walk::Entries(entries)))
    }
}

/// A group of consumers that share a stream: each entry is given to one of them, and pending until it is acknowledged.
#[pyclass(frozen, module = "pumice")]
pub struct StreamGroup {
    live: crate::StreamGroup,
}

fn parse_id(text: &str, seq: u64) -> PyResult<StreamId> {
    StreamId::parse(text.as_bytes(), seq)
        .ok_or_else(|| PyValueError::new_err(format!("id of a stream: got {text:?}, expected one like \"5-0\"")))
}

fn parse_ids(ids: Vec<String>) -> PyResult<Vec<StreamId>> {
    ids.iter().map(|id| parse_id(id, 0)).collect()
}

type Row<'py> = (String, Bound<'py, PyDict>);

/// An entry as its id and its fields.
pub fn row<'py>(py: Python<'py>, entry: StreamEntry) -> PyResult<Row<'py>> {
    let fields = PyDict::new(py);
    for pair in entry.values.chunks(2) {
        let value = pair.get(1).map(Vec::as_slice).unwrap_or_default();
        fields.set_item(PyBytes::new(py, &pair[0]), PyBytes::new(py, value))?;
    }
    Ok((entry.id.to_string(), fields))
}

fn shown<'py>(py: Python<'py>, entries: Vec<StreamEntry>) -> PyResult<Vec<Row<'py>>> {
    entries.into_iter().map(|entry| row(py, entry)).collect()
}

#[pymethods]
impl Stream {
    fn __len__(&self) -> PyResult<usize> {
        Ok(usize::try_from(self.live.len()?)?)
    }

    fn __iter__(&self, py: Python<'_>) -> PyResult<ElementIterator> {
        self.walk(py, false)
    }

    fn __reversed__(&self, py: Python<'_>) -> PyResult<ElementIterator> {
        self.walk(py, true)
    }

    /// Python would look for an id among the pairs: through all of them, and find none.
    #[classattr]
    const __contains__: Option<Py<PyAny>> = None;

    /// Appends an entry, with the next id or with one that is behind the last. Gives its id.
    #[pyo3(signature = (fields, *, id=None))]
    fn append(&self, py: Python<'_>, fields: &Bound<'_, PyDict>, id: Option<&str>) -> PyResult<String> {
        let copied = |bytes: Bound<'_, PyAny>| Ok::<_, PyErr>(Bytes::extract(bytes.as_borrowed())?.to_vec());
        let mut pairs = Vec::with_capacity(fields.len());
        for (field, value) in fields {
            pairs.push((copied(field)?, copied(value)?));
        }
        let id = id.map(|id| parse_id(id, 0)).transpose()?;
        let added = py.detach(|| match id {
            Some(id) => self.live.add_with(id, &pairs),
            None => self.live.add(&pairs),
        })?;
        Ok(added.to_string())
    }

    /// Pairs of id and fields from one id to another, which is among them, `count` at most; from the last to the first with
    /// `reverse`.
    #[pyo3(signature = (start=None, end=None, *, count=None, reverse=false))]
    fn entries<'py>(
        &self,
        py: Python<'py>,
        start: Option<&str>,
        end: Option<&str>,
        count: Option<u64>,
        reverse: bool,
    ) -> PyResult<Vec<Row<'py>>> {
        let from = start.map_or(Ok(StreamId::MIN), |start| parse_id(start, 0))?;
        let to = end.map_or(Ok(StreamId::MAX), |end| parse_id(end, u64::MAX))?;
        let count = count.unwrap_or(u64::MAX);
        let found = py.detach(|| match reverse {
            true => self.live.entries_reversed(from, to, count),
            false => self.live.entries(from, to, count),
        })?;
        shown(py, found)
    }

    /// Deletes entries. How many were there.
    fn remove(&self, py: Python<'_>, ids: Vec<String>) -> PyResult<u64> {
        let ids = parse_ids(ids)?;
        Ok(py.detach(|| self.live.remove(&ids))?)
    }

    /// Deletes the oldest entries but `count`. How many went.
    fn trim(&self, py: Python<'_>, count: u64) -> PyResult<u64> {
        Ok(py.detach(|| self.live.trim(count))?)
    }

    /// Deletes the entries before an id. How many went.
    fn trim_before(&self, py: Python<'_>, id: &str) -> PyResult<u64> {
        let id = parse_id(id, 0)?;
        Ok(py.detach(|| self.live.trim_before(id))?)
    }

    /// A group of consumers of this stream, there or not.
    fn group(&self, name: Bytes<'_>) -> StreamGroup {
        StreamGroup { live: self.live.group(&*name) }
    }

    /// Removes the stream with its entries and groups.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.live.clear())?)
    }
}

#[pymethods]
impl StreamGroup {
    /// Makes the group, and the stream where there is none; it is given the entries behind an id. False when it is there.
    #[pyo3(signature = (behind="0-0"))]
    fn create(&self, py: Python<'_>, behind: &str) -> PyResult<bool> {
        let behind = parse_id(behind, 0)?;
        Ok(py.detach(|| self.live.create(behind))?)
    }

    /// Removes the group with what is pending. Whether it was there.
    fn remove(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(py.detach(|| self.live.remove())?)
    }

    /// Gives a consumer entries that none of the group was given, `count` at most.
    #[pyo3(signature = (consumer, count=100))]
    fn read<'py>(&self, py: Python<'py>, consumer: Bytes<'_>, count: u64) -> PyResult<Vec<Row<'py>>> {
        let given = py.detach(|| self.live.read(&*consumer, count))?;
        shown(py, given)
    }

    /// Gives a consumer again what is pending for it, behind an id, `count` entries at most. What was deleted meanwhile is
    /// counted, and does not come. Goes through what is pending for others, too.
    #[pyo3(signature = (consumer, behind="0-0", count=100))]
    fn read_pending<'py>(
        &self,
        py: Python<'py>,
        consumer: Bytes<'_>,
        behind: &str,
        count: u64,
    ) -> PyResult<Vec<Row<'py>>> {
        let behind = parse_id(behind, 0)?;
        let given = py.detach(|| self.live.read_pending(&*consumer, behind, count))?;
        shown(py, given)
    }

    /// Entries are done with. How many were pending.
    fn acknowledge(&self, py: Python<'_>, ids: Vec<String>) -> PyResult<u64> {
        let ids = parse_ids(ids)?;
        Ok(py.detach(|| self.live.acknowledge(&ids))?)
    }

    /// Gives a consumer what has been pending for anyone for at least so many seconds, `count` entries at most.
    #[pyo3(signature = (consumer, min_idle=0.0, count=100))]
    fn claim<'py>(&self, py: Python<'py>, consumer: Bytes<'_>, min_idle: f64, count: u64) -> PyResult<Vec<Row<'py>>> {
        let idle_ms = (min_idle * 1000.0) as u64;
        let claimed = py.detach(|| self.live.claim(&*consumer, idle_ms, count))?;
        shown(py, claimed)
    }

    /// How many entries are pending for each consumer that has some.
    fn pending<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let out = PyDict::new(py);
        for (consumer, count) in py.detach(|| self.live.pending())? {
            out.set_item(PyBytes::new(py, &consumer), count)?;
        }
        Ok(out)
    }
}
