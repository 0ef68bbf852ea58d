//! A view of one moment.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::arguments::Name;
use super::leases::{Lease, Shared};
use super::namespace::ReadOnlyNamespace;
use super::records::Position;

/// Data and namespaces as they were together when it was taken, whatever is written or swapped later. It keeps the
/// dataset of that moment on disk: close it, or use it in a `with` block.
#[pyclass(frozen, module = "pumice")]
pub struct Snapshot {
    /// What was opened from this snapshot, and ends with it.
    shared: Arc<Shared>,
    view: Lease<crate::Snapshot>,
    position: crate::Position,
}

impl Snapshot {
    pub fn take(py: Python<'_>, shared: &Arc<Shared>) -> PyResult<Snapshot> {
        let view = py.detach(|| shared.engine.snapshot())?;
        let position = view.position().clone();
        Ok(Snapshot { shared: shared.part(), view: shared.leases.lend(view), position })
    }

    fn read<R>(&self, py: Python<'_>, read: impl FnOnce(&crate::Snapshot) -> crate::Result<R>) -> PyResult<R> {
        self.shared.engine.check_open()?;
        match &*self.view.lock(py) {
            Some(view) => Ok(read(view)?),
            None => Err(self.shared.closed(py, "the snapshot")),
        }
    }
}

#[pymethods]
impl Snapshot {
    /// The position that it shows.
    #[getter]
    fn position(&self) -> Position {
        (&self.position).into()
    }

    /// Names of the namespaces registered then, the default one first as "__namespace".
    fn namespaces(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        self.read(py, |view| view.namespaces())
    }

    /// A namespace that was registered or had data then.
    fn namespace(&self, py: Python<'_>, name: Name) -> PyResult<ReadOnlyNamespace> {
        let found = self.read(py, |view| view.namespace(&name.0))?;
        Ok(ReadOnlyNamespace::then(&self.shared, found))
    }

    /// The default namespace.
    #[getter]
    fn default(&self, py: Python<'_>) -> PyResult<ReadOnlyNamespace> {
        let found = self.read(py, |view| Ok(view.default_namespace()))?;
        Ok(ReadOnlyNamespace::then(&self.shared, found))
    }

    /// Lets go of the dataset. Its namespaces and their iterators raise ClosedError from then on. A second close does
    /// nothing.
    fn close(&self, py: Python<'_>) {
        if self.shared.engine.check_open().is_ok() {
            py.detach(|| self.shared.leases.take_back());
            self.view.end(py);
        }
    }

    /// Whether it was closed, or its engine was.
    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        self.shared.engine.check_open().is_err() || self.view.lock(py).is_none()
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) {
        self.close(py);
    }

    fn __repr__(&self) -> String {
        format!("<pumice.Snapshot of '{}' at {}>", self.shared.engine.path().display(), self.position)
    }
}
