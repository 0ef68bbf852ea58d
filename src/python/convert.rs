//! A dataset in the other key layout.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::arguments::{self, Name};
use super::calls;
use super::records::Position;
use crate::ConvertOptions;

/// Makes a new data directory `target` with the dataset of the data directory `source` in the other key layout: with
/// `cluster` the one with a slot in every key. Every type is converted; keys keep their expiry. Scripts come along. Search
/// indexes do not, nor do the tokens of namespaces.
///
/// `namespace` is, to the cluster layout, which has no namespaces, the one to take, and to the standalone layout the one to
/// make and put all keys into; the default one when it is not given. `compression` is one of "none", "snappy", "zlib",
/// "lz4" and "zstd"; `memory_budget` is bytes for caches and write buffers (128 MiB), for the source and for the target
/// each.
///
/// The source is only read. The target appears whole or not at all, a primary with a history of its own. `progress` is
/// called with a Progress now and then; an exception from it cancels and propagates, and leaves nothing.
#[pyfunction]
#[pyo3(signature = (source, target, *, cluster, namespace=None, compression=None, memory_budget=None, progress=None))]
#[allow(clippy::too_many_arguments, reason = "keyword arguments")]
pub fn convert(
    py: Python<'_>,
    source: PathBuf,
    target: PathBuf,
    cluster: bool,
    namespace: Option<Name>,
    compression: Option<&str>,
    memory_budget: Option<usize>,
    progress: Option<&Bound<'_, PyAny>>,
) -> PyResult<Converted> {
    let default = ConvertOptions::default();
    let options = ConvertOptions {
        cluster,
        namespace: namespace.map(|name| name.0),
        compression: compression.map_or(Ok(default.compression), |name| arguments::compression(py, name))?,
        memory_budget: memory_budget.unwrap_or(default.memory_budget),
    };
    let made = calls::run(py, progress, move |watch| {
        crate::convert(source, target, &options, &mut |progress| watch.tell(progress))
    })?;
    Converted::new(py, made)
}

/// A dataset that was converted. It is an `os.PathLike` of its directory.
#[pyclass(frozen, get_all, module = "pumice")]
pub struct Converted {
    /// The data directory that holds it.
    path: PathBuf,
    /// Its position, in a history of its own.
    position: Position,
    /// Its key layout: "standalone" or "cluster".
    layout: &'static str,
    /// The namespace that its keys are in; "__namespace" for the default one.
    namespace: Py<PyString>,
    /// How many keys it has, those that expired and were not compacted away included.
    keys: u64,
    /// How many records: keys with their fields, members and elements, and scripts.
    records: u64,
    /// Bytes of those, before compression.
    bytes: u64,
    /// What the source has and the target does not, a sentence each.
    left_out: Vec<String>,
}

impl Converted {
    fn new(py: Python<'_>, made: crate::Converted) -> PyResult<Converted> {
        Ok(Converted {
            position: (&made.position).into(),
            path: made.path,
            layout: made.layout,
            namespace: arguments::name(py, &made.namespace)?.unbind(),
            keys: made.keys,
            records: made.records,
            bytes: made.bytes,
            left_out: made.left_out,
        })
    }
}

#[pymethods]
impl Converted {
    fn __fspath__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        self.path.as_os_str().into_pyobject(py).map_err(Into::into)
    }

    fn __repr__(&self) -> String {
        format!("<pumice.Converted '{}', {}: {} keys>", self.path.display(), self.layout, self.keys)
    }
}
