//! Writes that happen together.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::sync::MutexExt;

use super::arguments::{Bytes, Name, Seconds};
use super::errors;
use super::leases::Shared;
use super::namespace::Namespace;
use crate::{ErrorKind, WriteOptions};

/// A batch of writes to any namespaces of one engine. Nothing happens until it is committed, which the end of its
/// `with` block does, or discards it when it is left by an exception. It becomes one entry of the log.
#[pyclass(frozen, module = "pumice")]
pub struct Batch {
    shared: Arc<Shared>,
    records: Mutex<Option<crate::Batch>>,
    sync: Option<bool>,
}

/// A namespace by its handle or its name.
#[derive(FromPyObject)]
enum Target<'py> {
    Handle(Bound<'py, Namespace>),
    Name(Name),
}

impl Batch {
    pub fn new(shared: &Arc<Shared>, sync: Option<bool>) -> PyResult<Batch> {
        shared.engine.check_open()?;
        Ok(Batch { shared: Arc::clone(shared), records: Mutex::new(Some(shared.engine.batch())), sync })
    }

    fn lock(&self, py: Python<'_>) -> PyResult<MutexGuard<'_, Option<crate::Batch>>> {
        self.shared.engine.check_open()?;
        Ok(self.records.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner))
    }

    fn change(
        &self,
        py: Python<'_>,
        target: Target<'_>,
        change: impl FnOnce(&mut crate::Batch, &crate::Namespace) -> crate::Result<()>,
    ) -> PyResult<()> {
        let mut records = self.lock(py)?;
        let records = records.as_mut().ok_or_else(|| ended(py))?;
        match target {
            Target::Handle(namespace) => change(records, &namespace.get().live)?,
            Target::Name(name) => change(records, &self.shared.engine.namespace(&name.0)?)?,
        }
        Ok(())
    }
}

fn ended(py: Python<'_>) -> PyErr {
    let message = "batch: it was committed or discarded; begin another one";
    errors::raise(py, ErrorKind::InvalidArgument, message)
}

#[pymethods]
impl Batch {
    /// Adds a string to be stored, over whatever the key was. `ttl` counts from now.
    #[pyo3(signature = (namespace, key, value, *, ttl=None))]
    fn put(
        &self,
        py: Python<'_>,
        namespace: Target<'_>,
        key: Bytes<'_>,
        value: Bytes<'_>,
        ttl: Option<Seconds>,
    ) -> PyResult<()> {
        let options = WriteOptions { ttl: ttl.map(|ttl| ttl.0), sync: None };
        self.change(py, namespace, |records, namespace| records.put_with(namespace, &key, &value, &options))
    }

    /// Adds a deletion of a key of any type; of one that is not there it is nothing.
    fn delete(&self, py: Python<'_>, namespace: Target<'_>, key: Bytes<'_>) -> PyResult<()> {
        self.change(py, namespace, |records, namespace| records.delete(namespace, &key))
    }

    /// Does all of it, or, with NotFoundError when one of its namespaces is gone, nothing.
    fn commit(&self, py: Python<'_>) -> PyResult<()> {
        let records = self.lock(py)?.take().ok_or_else(|| ended(py))?;
        Ok(py.detach(|| records.commit(self.sync))?)
    }

    /// Forgets all of it.
    fn discard(&self, py: Python<'_>) -> PyResult<()> {
        self.lock(py)?.take();
        Ok(())
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        Ok(self.lock(py)?.as_ref().map_or(0, crate::Batch::len))
    }

    fn __bool__(&self) -> bool {
        true
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        exception: &Bound<'_, PyAny>,
        _value: &Bound<'_, PyAny>,
        _traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        if !exception.is_none() {
            // The exception that is on its way is the one to be seen.
            let _ = self.discard(py);
            return Ok(());
        }
        // A batch that was committed or discarded inside the block has nothing left to do.
        if self.lock(py)?.is_none() {
            return Ok(());
        }
        self.commit(py)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let records = self.lock(py).ok().and_then(|records| records.as_ref().map(crate::Batch::len));
        let state = records.map_or("ended".to_owned(), |count| format!("{count} writes"));
        Ok(format!("<pumice.Batch of '{}', {state}>", self.shared.engine.path().display()))
    }
}
