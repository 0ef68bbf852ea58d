//! Bitmaps and HyperLogLogs.

use pyo3::prelude::*;

use super::arguments::{self, Bytes};
use crate::BitRange;

/// The bitmap of one key: `bitmap[7] = True`. Bits are off until they are set.
///
/// It need not be there; a string is worked on as the bits that it is. Each call is one write or one look. A key of
/// another type raises WrongTypeError.
#[pyclass(frozen, module = "pumice")]
pub struct Bitmap {
    pub live: crate::Bitmap,
}

#[pymethods]
impl Bitmap {
    /// Python would go through all 2^32 of them by their index.
    #[classattr]
    const __iter__: Option<Py<PyAny>> = None;

    fn __getitem__(&self, py: Python<'_>, offset: u32) -> PyResult<bool> {
        Ok(py.detach(|| self.live.get(offset))?)
    }

    fn __setitem__(&self, py: Python<'_>, offset: u32, on: bool) -> PyResult<()> {
        py.detach(|| self.live.set(offset, on))?;
        Ok(())
    }

    /// How many bits are on, from the bit `start` on, before `end`.
    #[pyo3(signature = (start=0, end=None))]
    fn count(&self, py: Python<'_>, start: u32, end: Option<u32>) -> PyResult<u64> {
        match range(start, end) {
            Some(range) => Ok(py.detach(|| self.live.count(range))?),
            None => Ok(0),
        }
    }

    /// The first bit that is on, or with `False` off, from the bit `start` on, before `end`. None when there is none.
    #[pyo3(signature = (on=true, start=0, end=None))]
    fn find(&self, py: Python<'_>, on: bool, start: u32, end: Option<u32>) -> PyResult<Option<u64>> {
        match range(start, end) {
            Some(range) => Ok(py.detach(|| self.live.find(on, range))?),
            None => Ok(None),
        }
    }

    /// Removes all bits.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.live.clear())?)
    }
}

/// Bits from one on, before another; `None` for no bits.
fn range(start: u32, end: Option<u32>) -> Option<BitRange> {
    if end.is_some_and(|end| end <= start) {
        return None;
    }
    Some(BitRange { start: start.into(), end: end.map(|end| i64::from(end) - 1), in_bits: true })
}

/// The HyperLogLog of one key: how many different elements there were, within about 0.8 %.
///
/// It need not be there. Each call is one write or one look. A key of another type raises WrongTypeError.
#[pyclass(frozen, module = "pumice")]
pub struct HyperLogLog {
    pub live: crate::HyperLogLog,
}

#[pymethods]
impl HyperLogLog {
    /// Adds an element. Whether the estimate may be another now.
    fn add(&self, py: Python<'_>, element: Bytes<'_>) -> PyResult<bool> {
        Ok(py.detach(|| self.live.add(&[&*element]))?)
    }

    /// Adds elements in one write. Whether the estimate may be another now.
    fn update(&self, py: Python<'_>, elements: &Bound<'_, PyAny>) -> PyResult<bool> {
        let elements = arguments::keys(elements)?;
        let elements: Vec<Bytes<'_>> = elements.iter_borrowed().map(Bytes::extract).collect::<PyResult<_>>()?;
        Ok(py.detach(|| self.live.add(&elements))?)
    }

    /// The estimated number of different elements.
    fn count(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(py.detach(|| self.live.count())?)
    }

    /// Adds what other keys of the namespace have counted.
    fn merge(&self, py: Python<'_>, keys: &Bound<'_, PyAny>) -> PyResult<()> {
        let keys = arguments::keys(keys)?;
        let keys: Vec<Bytes<'_>> = keys.iter_borrowed().map(Bytes::extract).collect::<PyResult<_>>()?;
        Ok(py.detach(|| self.live.merge(&keys))?)
    }

    /// Forgets all elements.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.live.clear())?)
    }
}
