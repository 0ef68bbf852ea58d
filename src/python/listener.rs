//! The listener through which Redis clients and replicas reach an engine.

use std::sync::{Arc, PoisonError, Weak};

use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::calls;
use super::leases::Shared;
use crate::{Address, ServeOptions};

/// A listener: Redis clients and replicas talk to the engine through it, until it is closed or the engine is. It does
/// not keep the engine open, and it need not be kept. In a forked child it is nothing.
#[pyclass(frozen, module = "pumice")]
pub struct Listener {
    listener: Arc<crate::Listener>,
    shared: Weak<Shared>,
}

impl Listener {
    pub fn open(py: Python<'_>, shared: &Arc<Shared>, address: &str, options: &ServeOptions) -> PyResult<Listener> {
        let listener = Arc::new(py.detach(|| shared.engine.serve(address, options))?);
        shared.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&listener));
        Ok(Listener { listener, shared: Arc::downgrade(shared) })
    }
}

#[pymethods]
impl Listener {
    /// Where it listens: a tuple of host and port, or the path of a Unix socket.
    #[getter]
    fn address<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.listener.address() {
            Address::Unix(path) => Ok(path.as_os_str().into_pyobject(py)?.into_any()),
            address => Ok((address.host(), address.port()).into_pyobject(py)?.into_any()),
        }
    }

    /// Ends all connections and waits until the commands that run have finished. The address is free then. A second
    /// close does nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        calls::check_not_in_callback(py, "close")?;
        if let Some(shared) = self.shared.upgrade() {
            let mut listeners = shared.listeners.lock().unwrap_or_else(PoisonError::into_inner);
            listeners.retain(|listener| !Arc::ptr_eq(listener, &self.listener));
        }
        let listener = Arc::clone(&self.listener);
        calls::run(py, None, move |_| {
            listener.close();
            Ok(())
        })
    }

    fn __enter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        self.close(py)
    }

    fn __repr__(&self) -> String {
        format!("<pumice.Listener '{}'>", self.listener.address())
    }
}
