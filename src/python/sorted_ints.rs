//! Sorted ints.

use pyo3::prelude::*;

/// The sorted int of one key: a set of integers from 0 to 2**64 - 1 in order, of Kvrocks' own.
///
/// It need not be there. Each call is one write or one look. A key of another type raises WrongTypeError.
#[pyclass(frozen, module = "pumice")]
pub struct SortedInt {
    pub live: crate::SortedInt,
}

fn integers(given: &Bound<'_, PyAny>) -> PyResult<Vec<u64>> {
    given.try_iter()?.map(|integer| integer?.extract()).collect()
}

#[pymethods]
impl SortedInt {
    /// Adds an integer. Whether it is new.
    fn add(&self, py: Python<'_>, integer: u64) -> PyResult<bool> {
        Ok(py.detach(|| self.live.add(&[integer]))? > 0)
    }

    /// Adds integers in one write. How many are new.
    fn update(&self, py: Python<'_>, integers: &Bound<'_, PyAny>) -> PyResult<u64> {
        let integers = self::integers(integers)?;
        Ok(py.detach(|| self.live.add(&integers))?)
    }

    /// Removes integers in one write. How many were there.
    fn remove(&self, py: Python<'_>, integers: &Bound<'_, PyAny>) -> PyResult<u64> {
        let integers = self::integers(integers)?;
        Ok(py.detach(|| self.live.remove(&integers))?)
    }

    fn __contains__(&self, integer: u64) -> PyResult<bool> {
        Ok(self.live.contains(integer)?)
    }

    fn __len__(&self) -> PyResult<usize> {
        Ok(usize::try_from(self.live.len()?)?)
    }

    /// The integers from one to another, which is among them, in order or with `reverse` backwards, `count` at most.
    #[pyo3(signature = (first=0, last=None, *, count=None, reverse=false))]
    fn range(
        &self,
        py: Python<'_>,
        first: u64,
        last: Option<u64>,
        count: Option<u64>,
        reverse: bool,
    ) -> PyResult<Vec<u64>> {
        let (last, count) = (last.unwrap_or(u64::MAX), count.unwrap_or(u64::MAX));
        Ok(py.detach(|| match reverse {
            true => self.live.range_reversed(first, last, count),
            false => self.live.range(first, last, count),
        })?)
    }

    /// Removes all integers.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.live.clear())?)
    }
}
