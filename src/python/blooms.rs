//! Bloom filters.

use pyo3::prelude::*;

use super::arguments::{self, Bytes};
use crate::BloomShape;

/// The Bloom filter of one key: `item in bloom` is certain when it is False, and when it is True wrong at the rate that was
/// asked for.
///
/// It need not be there: without `reserve` the first item makes one for 100 items, that grows. Each call is one write or one
/// look. A key of another type raises WrongTypeError.
#[pyclass(frozen, module = "pumice")]
pub struct BloomFilter {
    pub live: crate::BloomFilter,
}

/// What a Bloom filter is like.
#[pyclass(frozen, get_all, module = "pumice")]
pub struct BloomInfo {
    /// How many items it takes before it grows, or is full.
    capacity: u64,
    /// How many were added.
    items: u64,
    /// How many filters it has grown to.
    filters: u16,
    /// How many bytes these have.
    bytes: u32,
    /// The rate of false alarms that was asked for.
    error_rate: f64,
    /// By how much each filter is larger than the one before; 0 when it does not grow.
    expansion: u16,
}

#[pymethods]
impl BloomInfo {
    fn __repr__(&self) -> String {
        format!(
            "BloomInfo(capacity={}, items={}, filters={}, bytes={}, error_rate={}, expansion={})",
            self.capacity, self.items, self.filters, self.bytes, self.error_rate, self.expansion
        )
    }
}

#[pymethods]
impl BloomFilter {
    /// Makes the filter, with `expansion=0` one that does not grow. False when it is there already.
    #[pyo3(signature = (capacity, error_rate=0.01, *, expansion=2))]
    fn reserve(&self, py: Python<'_>, capacity: u32, error_rate: f64, expansion: u16) -> PyResult<bool> {
        Ok(py.detach(|| self.live.reserve(BloomShape { capacity, error_rate, expansion }))?)
    }

    /// Adds an item. Whether it is new. A full filter that does not grow raises InvalidArgumentError.
    fn add(&self, py: Python<'_>, item: Bytes<'_>) -> PyResult<bool> {
        Ok(py.detach(|| self.live.add(&*item))?)
    }

    /// Adds items in one write: which are new. When one of them finds the filter full, none is added.
    fn add_many(&self, py: Python<'_>, items: &Bound<'_, PyAny>) -> PyResult<Vec<bool>> {
        let items = arguments::keys(items)?;
        let items: Vec<Bytes<'_>> = items.iter_borrowed().map(Bytes::extract).collect::<PyResult<_>>()?;
        Ok(py.detach(|| self.live.add_many(&items))?)
    }

    fn __contains__(&self, py: Python<'_>, item: Bytes<'_>) -> PyResult<bool> {
        Ok(py.detach(|| self.live.contains(&*item))?)
    }

    /// Which items were probably added, at one moment.
    fn contains_many(&self, py: Python<'_>, items: &Bound<'_, PyAny>) -> PyResult<Vec<bool>> {
        let items = arguments::keys(items)?;
        let items: Vec<Bytes<'_>> = items.iter_borrowed().map(Bytes::extract).collect::<PyResult<_>>()?;
        Ok(py.detach(|| self.live.contains_many(&items))?)
    }

    /// What the filter is like, None when there is none.
    fn info(&self, py: Python<'_>) -> PyResult<Option<BloomInfo>> {
        let found = py.detach(|| self.live.info())?;
        Ok(found.map(|info| BloomInfo {
            capacity: info.capacity,
            items: info.items,
            filters: info.filters,
            bytes: info.bytes,
            error_rate: info.error_rate,
            expansion: info.expansion,
        }))
    }

    /// Forgets all items.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.live.clear())?)
    }
}
