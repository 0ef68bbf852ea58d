//! Plain answers: where the data is, what was made, what was found, and figures.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

/// A place in a history: the state after the entry that ends at `sequence`, in the history of that replication id.
#[pyclass(frozen, eq, hash, get_all, module = "pumice")]
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Position {
    /// 16 characters; empty for data of a Kvrocks that keeps no ids.
    pub replication_id: String,
    /// RocksDB's sequence number.
    pub sequence: u64,
}

impl From<&crate::Position> for Position {
    fn from(position: &crate::Position) -> Position {
        Position { replication_id: position.replication_id.clone(), sequence: position.sequence }
    }
}

impl Position {
    pub fn to_engine(&self) -> crate::Position {
        crate::Position { replication_id: self.replication_id.clone(), sequence: self.sequence }
    }
}

#[pymethods]
impl Position {
    #[new]
    fn new(replication_id: String, sequence: u64) -> Position {
        Position { replication_id, sequence }
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyTuple>> {
        let this = slf.get();
        (slf.get_type(), (this.replication_id.as_str(), this.sequence)).into_pyobject(slf.py())
    }

    fn __repr__(&self) -> String {
        format!("Position(replication_id='{}', sequence={})", self.replication_id, self.sequence)
    }

    fn __str__(&self) -> String {
        format!("{}:{}", self.replication_id, self.sequence)
    }
}

/// A checkpoint that was made. It is an `os.PathLike` of its folder.
#[pyclass(frozen, get_all, module = "pumice")]
pub struct Checkpoint {
    /// The folder that holds it.
    path: PathBuf,
    /// The position of its data.
    position: Position,
    /// How many files it has, the sync manifest not counted.
    files: u64,
    /// How many bytes they have.
    bytes: u64,
}

impl From<crate::Checkpoint> for Checkpoint {
    fn from(made: crate::Checkpoint) -> Checkpoint {
        Checkpoint { position: (&made.position).into(), path: made.path, files: made.files, bytes: made.bytes }
    }
}

#[pymethods]
impl Checkpoint {
    fn __fspath__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        self.path.as_os_str().into_pyobject(py).map_err(Into::into)
    }

    fn __repr__(&self) -> String {
        format!(
            "Checkpoint(path={:?}, position={}, files={}, bytes={})",
            self.path,
            self.position.__repr__(),
            self.files,
            self.bytes
        )
    }
}

/// Something that is not as it must be.
#[pyclass(frozen, get_all, module = "pumice")]
pub struct Finding {
    /// What was looked at.
    what: &'static str,
    /// What was found, and what was expected.
    detail: String,
}

impl From<crate::Finding> for Finding {
    fn from(finding: crate::Finding) -> Finding {
        Finding { what: finding.what, detail: finding.detail }
    }
}

#[pymethods]
impl Finding {
    fn __repr__(&self) -> String {
        format!("Finding(what={:?}, detail={:?})", self.what, self.detail)
    }

    fn __str__(&self) -> String {
        format!("{}: {}", self.what, self.detail)
    }
}

/// Figures of one moment. Sizes are bytes.
#[pyclass(frozen, get_all, module = "pumice")]
pub struct Info {
    /// The data directory.
    path: PathBuf,
    /// What this engine is: "primary", "replica" or "detached".
    role: &'static str,
    /// Where its data is.
    position: Position,
    /// "standalone" or "cluster".
    layout: &'static str,
    /// The number of the current generation, 0 for a plain `db` folder read in place.
    generation: u64,
    /// Registered namespaces, the default one not counted.
    namespaces: u64,
    /// Why writes are refused, where they are refused whatever the role.
    refuses_writes: Option<String>,
    /// RocksDB's estimate of the records in all column families.
    records_estimate: u64,
    /// Number of SST files.
    table_files: u64,
    /// Size of the SST files.
    table_bytes: u64,
    /// Size of the blob files.
    blob_bytes: u64,
    /// The first sequence that the replication log still has, 0 when it has none.
    oldest_sequence: u64,
    /// What cache and write buffers may take together.
    memory_budget: u64,
    /// What the block cache takes, write buffers included.
    cache_bytes: u64,
    /// What write buffers take.
    write_buffer_bytes: u64,
    /// What table readers take outside the cache.
    table_reader_bytes: u64,
    /// Open snapshots.
    snapshots: u64,
    /// Replicas that are fed.
    feeds: u64,
    /// How many sequences the primary was ahead when it last told; None where nobody is followed or it did not tell.
    lag_sequences: Option<u64>,
    /// How many seconds ago this replica last had everything, 0 when it has; None where nobody is followed or it never
    /// had.
    lag_seconds: Option<f64>,
}

impl From<crate::Info> for Info {
    fn from(info: crate::Info) -> Info {
        Info {
            path: info.path,
            role: info.role.name(),
            position: (&info.position).into(),
            layout: info.layout,
            generation: info.generation,
            namespaces: info.namespaces,
            refuses_writes: info.refuses_writes,
            records_estimate: info.records_estimate,
            table_files: info.table_files,
            table_bytes: info.table_bytes,
            blob_bytes: info.blob_bytes,
            oldest_sequence: info.oldest_sequence,
            memory_budget: info.memory_budget,
            cache_bytes: info.cache_bytes,
            write_buffer_bytes: info.write_buffer_bytes,
            table_reader_bytes: info.table_reader_bytes,
            snapshots: info.snapshots,
            feeds: info.feeds,
            lag_sequences: info.lag_sequences,
            lag_seconds: info.lag.map(|lag| lag.as_secs_f64()),
        }
    }
}

/// The names of all figures, in order.
const FIGURES: [&str; 20] = [
    "path",
    "role",
    "position",
    "layout",
    "generation",
    "namespaces",
    "refuses_writes",
    "records_estimate",
    "table_files",
    "table_bytes",
    "blob_bytes",
    "oldest_sequence",
    "memory_budget",
    "cache_bytes",
    "write_buffer_bytes",
    "table_reader_bytes",
    "snapshots",
    "feeds",
    "lag_sequences",
    "lag_seconds",
];

#[pymethods]
impl Info {
    /// All figures by their names.
    fn as_dict<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyDict>> {
        let figures = PyDict::new(slf.py());
        for name in FIGURES {
            figures.set_item(name, slf.getattr(name)?)?;
        }
        Ok(figures)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let mut parts = Vec::new();
        for name in FIGURES {
            parts.push(format!("{name}={}", slf.getattr(name)?.repr()?));
        }
        Ok(format!("Info({})", parts.join(", ")))
    }
}
