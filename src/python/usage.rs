//! What a dataset holds.

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::arguments;

/// What a dataset holds. Bytes are those of keys and values as they are stored, before compression.
#[pyclass(frozen, get_all, module = "pumice")]
pub struct Usage {
    /// Every namespace that is registered or has data, the default one first, then in order of their names.
    namespaces: Vec<Py<NamespaceUsage>>,
    /// Bytes of what belongs to no key: the registry, scripts, published messages, search indexes.
    other_bytes: u64,
    /// Records that cannot be decoded: `verify` says which.
    unreadable_records: u64,
}

impl Usage {
    pub fn new(py: Python<'_>, usage: crate::Usage) -> PyResult<Usage> {
        let namespaces = usage.namespaces.into_iter().map(|namespace| NamespaceUsage::create(py, namespace));
        Ok(Usage {
            namespaces: namespaces.collect::<PyResult<_>>()?,
            other_bytes: usage.other_bytes,
            unreadable_records: usage.unreadable_records,
        })
    }
}

#[pymethods]
impl Usage {
    fn __repr__(&self) -> String {
        let (mut keys, mut bytes) = (0, 0);
        for namespace in self.namespaces.iter().map(Py::get) {
            keys += namespace.keys;
            bytes += namespace.bytes;
        }
        format!("<pumice.Usage of {} namespaces: {keys} keys, {bytes} bytes>", self.namespaces.len())
    }
}

/// What one namespace holds.
#[pyclass(frozen, get_all, module = "pumice")]
pub struct NamespaceUsage {
    /// Its name; "__namespace" for the default one. Bytes that are not UTF-8 are surrogate escapes.
    name: Py<PyString>,
    /// Whether it is registered, or the default one.
    registered: bool,
    /// The types that it has keys of.
    kinds: Vec<Py<KindUsage>>,
    /// Keys of all types.
    keys: u64,
    /// Bytes of all types.
    bytes: u64,
    /// Keys that are stored and no longer there: expired, or emptied.
    expired_keys: u64,
    /// Bytes of those.
    expired_bytes: u64,
    /// Bytes of fields, members and elements whose key was deleted or replaced, and that compaction has yet to take.
    remains_bytes: u64,
}

impl NamespaceUsage {
    fn create(py: Python<'_>, usage: crate::NamespaceUsage) -> PyResult<Py<NamespaceUsage>> {
        let kinds = usage.kinds.iter().map(|&kind| Py::new(py, KindUsage::from(kind)));
        let made = NamespaceUsage {
            name: arguments::name(py, &usage.name)?.unbind(),
            registered: usage.registered,
            kinds: kinds.collect::<PyResult<_>>()?,
            keys: usage.keys(),
            bytes: usage.bytes(),
            expired_keys: usage.expired_keys,
            expired_bytes: usage.expired_bytes,
            remains_bytes: usage.remains_bytes,
        };
        Py::new(py, made)
    }
}

#[pymethods]
impl NamespaceUsage {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let name = self.name.bind(py).repr()?;
        Ok(format!("<pumice.NamespaceUsage of {name}: {} keys, {} bytes>", self.keys, self.bytes))
    }
}

/// The keys of one type in a namespace.
#[pyclass(frozen, get_all, module = "pumice")]
pub struct KindUsage {
    /// The type, as Kvrocks' TYPE gives it.
    kind: &'static str,
    /// How many keys.
    keys: u64,
    /// Their bytes, with those of their fields, members or elements.
    bytes: u64,
}

impl From<crate::KindUsage> for KindUsage {
    fn from(usage: crate::KindUsage) -> KindUsage {
        KindUsage { kind: usage.kind.name(), keys: usage.keys, bytes: usage.bytes }
    }
}

#[pymethods]
impl KindUsage {
    fn __repr__(&self) -> String {
        format!("KindUsage(kind='{}', keys={}, bytes={})", self.kind, self.keys, self.bytes)
    }
}
