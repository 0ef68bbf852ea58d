//! The replication log: its reader, its entries, and what an entry did.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString, PyTuple, PyType};

use super::arguments::{self, Bytes};
use super::calls::TICK;
use super::leases::{Lease, Shared};
use super::records::Position;

/// A reader of the log from one position on: an iterator of entries. It stops at the end of the log, or when nothing
/// came for as long as it was told to wait; asked again, it goes on where it stopped.
#[pyclass(frozen, module = "pumice")]
pub struct Log {
    shared: Arc<Shared>,
    log: Lease<crate::Log>,
    wait: Option<Duration>,
}

impl Log {
    pub fn open(
        py: Python<'_>,
        shared: &Arc<Shared>,
        after: Option<crate::Position>,
        wait: Option<Duration>,
    ) -> PyResult<Log> {
        let log = py.detach(|| shared.engine.log(after.as_ref()))?;
        Ok(Log { shared: Arc::clone(shared), log: shared.leases.lend(log), wait })
    }
}

#[pymethods]
impl Log {
    /// Where it is: behind the last entry that it gave.
    #[getter]
    fn position(&self, py: Python<'_>) -> PyResult<Position> {
        self.shared.engine.check_open()?;
        match &*self.log.lock(py) {
            Some(log) => Ok(log.position().into()),
            None => Err(self.shared.closed(py, "the log")),
        }
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Entry>> {
        let mut left = self.wait;
        loop {
            self.shared.engine.check_open()?;
            let slice = left.map(|left| left.min(TICK));
            let entry = match &mut *self.log.lock(py) {
                Some(log) => py.detach(|| log.next_entry(slice))?,
                None => return Err(self.shared.closed(py, "the log")),
            };
            if let Some(inner) = entry {
                return Ok(Some(Entry { inner }));
            }
            left = match (left, slice) {
                (Some(left), Some(slice)) if left > slice => Some(left - slice),
                _ => return Ok(None),
            };
            py.check_signals()?;
        }
    }

    fn __repr__(&self) -> String {
        format!("<pumice.Log of '{}'>", self.shared.engine.path().display())
    }
}

/// One committed batch, with the history that it continues. It can be stored, sent and pickled.
#[pyclass(frozen, eq, hash, module = "pumice")]
#[derive(PartialEq, Eq)]
pub struct Entry {
    pub inner: crate::Entry,
}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.inner.replication_id, self.inner.first, self.inner.last).hash(state);
    }
}

#[pymethods]
impl Entry {
    /// Reads and checks an entry that `to_bytes` made, its batch included.
    #[classmethod]
    fn from_bytes(_class: &Bound<'_, PyType>, data: Bytes<'_>) -> PyResult<Entry> {
        Ok(Entry { inner: crate::Entry::decode(&data)? })
    }

    /// The entry as bytes.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.encode())
    }

    /// The replication id before the batch; empty when the directory had none.
    #[getter]
    fn replication_id(&self) -> &str {
        &self.inner.replication_id
    }

    /// Whether its keys are in the cluster layout.
    #[getter]
    fn cluster(&self) -> bool {
        self.inner.cluster
    }

    /// The sequence number of its first record.
    #[getter]
    fn first(&self) -> u64 {
        self.inner.first
    }

    /// The sequence number of its last record.
    #[getter]
    fn last(&self) -> u64 {
        self.inner.last
    }

    /// The batch as RocksDB serialises it.
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.bytes)
    }

    fn __bytes__<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        self.to_bytes(py)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let py = slf.py();
        (slf.get_type().getattr("from_bytes")?, (slf.get().to_bytes(py),)).into_pyobject(py)
    }

    fn __repr__(&self) -> String {
        let Entry { inner } = self;
        format!(
            "<pumice.Entry {} to {} after '{}', {} bytes>",
            inner.first,
            inner.last,
            inner.replication_id,
            inner.bytes.len()
        )
    }
}

/// One thing that an entry did.
#[pyclass(frozen, module = "pumice")]
pub struct Change {
    inner: crate::Change,
}

impl Change {
    pub fn new(inner: crate::Change) -> Change {
        Change { inner }
    }
}

fn lent<'py>(py: Python<'py>, bytes: &Option<Vec<u8>>) -> Option<Bound<'py, PyBytes>> {
    bytes.as_ref().map(|bytes| PyBytes::new(py, bytes))
}

#[pymethods]
impl Change {
    /// What was done: "put", "delete", "delete_range", "clear", "put_subkey", "delete_subkey", "namespaces",
    /// "replication_id" or "other".
    #[getter]
    fn operation(&self) -> &'static str {
        self.inner.operation.name()
    }

    /// The id of the column family that it was done in.
    #[getter]
    fn family(&self) -> u32 {
        self.inner.family
    }

    /// The namespace; empty when `key` is a raw key.
    #[getter]
    fn namespace<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        arguments::name(py, &self.inner.namespace)
    }

    /// The user key, the first key of a range, or a raw key.
    #[getter]
    fn key<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner.key)
    }

    /// The key after the last of a range.
    #[getter]
    fn end<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        lent(py, &self.inner.end)
    }

    /// The stored field, member, index or id of a subkey.
    #[getter]
    fn sub<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        lent(py, &self.inner.sub)
    }

    /// The version of a composite key, which its subkeys carry; 0 for none.
    #[getter]
    fn version(&self) -> u64 {
        self.inner.version
    }

    /// The value; of JSON with its leading format byte.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        lent(py, &self.inner.value)
    }

    /// The type of the key, "none" where the record does not say.
    #[getter]
    fn kind(&self) -> &'static str {
        self.inner.kind.name()
    }

    /// When the key expires, in unix milliseconds; 0 for never.
    #[getter]
    fn expire_ms(&self) -> u64 {
        self.inner.expire_ms
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (namespace, key) = (self.namespace(py)?.repr()?, self.key(py).repr()?);
        Ok(format!("<pumice.Change {} namespace={namespace} key={key}>", self.operation()))
    }
}
