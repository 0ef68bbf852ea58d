//! Sets as mutable sets.

use std::sync::Arc;

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arguments::{self, Bytes};
use super::elements::{ElementIterator, Walk};
use super::leases::Shared;

/// The set of one key, as a mutable set of bytes, in the order of the bytes.
///
/// It need not be there: a set without members is none. Each call is one write or one look. A key of another type raises
/// WrongTypeError.
#[pyclass(frozen, module = "pumice")]
pub struct Set {
    shared: Arc<Shared>,
    live: crate::Set,
}

impl Set {
    pub fn new(shared: &Arc<Shared>, live: crate::Set) -> Set {
        Set { shared: Arc::clone(shared), live }
    }
}

#[pymethods]
impl Set {
    fn __len__(&self) -> PyResult<usize> {
        Ok(usize::try_from(self.live.len()?)?)
    }

    /// What no bytes can be is no member.
    fn __contains__(&self, member: &Bound<'_, PyAny>) -> PyResult<bool> {
        match Bytes::extract(member.as_borrowed()) {
            Ok(member) => Ok(self.live.contains(&member)?),
            Err(_) => Ok(false),
        }
    }

    fn __iter__(&self, py: Python<'_>) -> PyResult<ElementIterator> {
        let members = py.detach(|| self.live.members())?;
        Ok(ElementIterator::new(&self.shared, Walk::Members(members)))
    }

    /// Adds a member.
    fn add(&self, py: Python<'_>, value: Bytes<'_>) -> PyResult<()> {
        py.detach(|| self.live.add(&[&*value]))?;
        Ok(())
    }

    /// Adds members in one write. How many are new.
    fn update(&self, py: Python<'_>, values: &Bound<'_, PyAny>) -> PyResult<u64> {
        let members = arguments::keys(values)?;
        let members: Vec<Bytes<'_>> = members.iter_borrowed().map(Bytes::extract).collect::<PyResult<_>>()?;
        if members.is_empty() {
            return Ok(0);
        }
        Ok(py.detach(|| self.live.add(&members))?)
    }

    /// Removes a member, if it is there.
    fn discard(&self, py: Python<'_>, value: Bytes<'_>) -> PyResult<()> {
        py.detach(|| self.live.remove(&[&*value]))?;
        Ok(())
    }

    /// Removes a member; KeyError where it is not there.
    fn remove(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes = Bytes::extract(value.as_borrowed())?;
        match py.detach(|| self.live.remove(&[&*bytes]))? {
            0 => Err(PyKeyError::new_err(value.clone().unbind())),
            _ => Ok(()),
        }
    }

    /// Takes a random member away; KeyError where there is none. Goes through the set.
    fn pop<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        match py.detach(|| self.live.pop(1))?.pop() {
            Some(member) => Ok(PyBytes::new(py, &member)),
            None => Err(PyKeyError::new_err("pop from an empty set")),
        }
    }

    /// Removes all members.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.live.clear())?)
    }

    fn __repr__(&self) -> String {
        format!("<pumice.Set {}>", self.live.shown())
    }
}
