//! Hashes as mutable mappings.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::arguments::{self, Bytes};
use super::elements::{ElementIterator, Walk};
use super::leases::Shared;
use super::namespace::{Fallback, missing, pop_first};
use crate::Range;

/// The hash of one key, as a mutable mapping from fields to values: in the order of the fields, with bytes on both sides.
///
/// It need not be there: a hash without fields is none. Each call is one write or one look. A key of another type raises
/// WrongTypeError.
#[pyclass(frozen, mapping, module = "pumice")]
pub struct Hash {
    shared: Arc<Shared>,
    live: crate::Hash,
}

impl Hash {
    pub fn new(shared: &Arc<Shared>, live: crate::Hash) -> Hash {
        Hash { shared: Arc::clone(shared), live }
    }

    fn walk(&self, py: Python<'_>, range: &Range, with: fn(crate::Fields) -> Walk) -> PyResult<ElementIterator> {
        let fields = py.detach(|| self.live.fields(range))?;
        Ok(ElementIterator::new(&self.shared, with(fields)))
    }
}

#[pymethods]
impl Hash {
    fn __getitem__<'py>(&self, py: Python<'py>, field: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = Bytes::extract(field.as_borrowed())?;
        match self.live.get(&bytes)? {
            Some(value) => Ok(PyBytes::new(py, &value)),
            None => Err(missing(field)),
        }
    }

    fn __setitem__(&self, py: Python<'_>, field: Bytes<'_>, value: Bytes<'_>) -> PyResult<()> {
        py.detach(|| self.live.set(&field, &value))?;
        Ok(())
    }

    fn __delitem__(&self, py: Python<'_>, field: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes = Bytes::extract(field.as_borrowed())?;
        match py.detach(|| self.live.remove(&[&*bytes]))? {
            0 => Err(missing(field)),
            _ => Ok(()),
        }
    }

    fn __contains__(&self, field: Bytes<'_>) -> PyResult<bool> {
        Ok(self.live.contains(&field)?)
    }

    fn __len__(&self) -> PyResult<usize> {
        Ok(usize::try_from(self.live.len()?)?)
    }

    fn __iter__(&self, py: Python<'_>) -> PyResult<ElementIterator> {
        self.walk(py, &Range::default(), Walk::Fields)
    }

    fn __reversed__(&self, py: Python<'_>) -> PyResult<ElementIterator> {
        self.walk(py, &Range { reverse: true, ..Range::default() }, Walk::Fields)
    }

    /// The value of a field, or `default` when it is not there.
    #[pyo3(signature = (key, default=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: Bytes<'_>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.live.get(&key)?.map(|value| PyBytes::new(py, &value).into_any()).or(default))
    }

    /// Takes a field away and gives its value, or `default` when it is not there, or else raises KeyError.
    #[pyo3(signature = (key, default=Fallback::Raise), text_signature = "($self, key, default=...)")]
    fn pop<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        default: Fallback<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let bytes = Bytes::extract(key.as_borrowed())?;
        match (py.detach(|| self.live.take(&bytes))?, default) {
            (Some(value), _) => Ok(PyBytes::new(py, &value).into_any()),
            (None, Fallback::Given(default)) => Ok(default),
            (None, Fallback::Raise) => Err(missing(key)),
        }
    }

    /// Takes the first field away and gives it with its value; KeyError where there is none.
    fn popitem<'py>(slf: Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        pop_first(slf.as_any())
    }

    /// The value of a field, which is stored as `default` when it is not there, with nothing in between.
    fn setdefault<'py>(&self, py: Python<'py>, key: Bytes<'_>, default: Bytes<'_>) -> PyResult<Bound<'py, PyBytes>> {
        loop {
            if let Some(value) = self.live.get(&key)? {
                return Ok(PyBytes::new(py, &value));
            }
            if py.detach(|| self.live.set_absent(&key, &default))? {
                return Ok(PyBytes::new(py, &default));
            }
            // Another thread stored one in between.
        }
    }

    /// Pairs of field and value in order, at one moment: of the fields that start with `prefix`, from `start` on, before `end`.
    #[pyo3(signature = (*, prefix=None, start=None, end=None, reverse=false))]
    fn scan(
        &self,
        py: Python<'_>,
        prefix: Option<Bytes<'_>>,
        start: Option<Bytes<'_>>,
        end: Option<Bytes<'_>>,
        reverse: bool,
    ) -> PyResult<ElementIterator> {
        self.walk(py, &arguments::range(prefix, start, end, reverse), Walk::FieldsWithValues)
    }

    /// The values of many fields in their order, None for those that are not there, at one moment.
    fn get_many<'py>(&self, py: Python<'py>, fields: &Bound<'py, PyAny>) -> PyResult<Vec<Option<Bound<'py, PyBytes>>>> {
        let fields = arguments::keys(fields)?;
        let fields: Vec<Bytes<'_>> = fields.iter_borrowed().map(Bytes::extract).collect::<PyResult<_>>()?;
        let values = py.detach(|| self.live.get_many(&fields))?;
        Ok(values.into_iter().map(|value| value.map(|value| PyBytes::new(py, &value))).collect())
    }

    /// Sets many fields in one write. How many are new.
    fn set_many(&self, py: Python<'_>, fields: &Bound<'_, PyAny>) -> PyResult<u64> {
        let mut owned = Vec::new();
        for pair in arguments::pairs(fields).try_iter()? {
            let (field, value) = pair?.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>()?;
            let copied = |bytes: &Bound<'_, PyAny>| Ok::<_, PyErr>(Bytes::extract(bytes.as_borrowed())?.to_vec());
            owned.push((copied(&field)?, copied(&value)?));
        }
        if owned.is_empty() {
            return Ok(0);
        }
        Ok(py.detach(|| self.live.set_many(&owned))?)
    }

    /// Adds to the whole number in a field, 0 where there is none, with nothing in between. Gives what it is then.
    #[pyo3(signature = (field, by=1))]
    fn increment(&self, py: Python<'_>, field: Bytes<'_>, by: i64) -> PyResult<i64> {
        Ok(py.detach(|| self.live.increment(&field, by))?)
    }

    /// Removes all fields.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.live.clear())?)
    }

    fn __repr__(&self) -> String {
        format!("<pumice.Hash {}>", self.live.shown())
    }
}
