//! The views that `keys`, `values` and `items` give: a namespace and a range, looked at anew by each iteration.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use super::arguments::Bytes;
use super::iterators::{NamespaceIterator, What};
use super::namespace::ReadOnlyNamespace;
use crate::{Kind, Range};

struct View {
    namespace: Py<ReadOnlyNamespace>,
    range: Range,
}

impl View {
    fn new(namespace: &Bound<'_, ReadOnlyNamespace>, range: Range) -> View {
        View { namespace: namespace.clone().unbind(), range }
    }

    fn iterate(&self, py: Python<'_>, what: What) -> PyResult<NamespaceIterator> {
        self.namespace.get().iterate(py, &self.range, what)
    }

    fn reversed(&self, py: Python<'_>, what: What) -> PyResult<NamespaceIterator> {
        let range = Range { reverse: !self.range.reverse, ..self.range.clone() };
        self.namespace.get().iterate(py, &range, what)
    }

    fn count(&self, py: Python<'_>) -> PyResult<usize> {
        self.namespace.get().count(py, &self.range)
    }

    /// Whether a key is in the range, there or not.
    fn covers(&self, key: &[u8]) -> bool {
        key.starts_with(&self.range.prefix)
            && self.range.start.as_deref().is_none_or(|start| key >= start)
            && self.range.end.as_deref().is_none_or(|end| key < end)
    }

    fn shown(&self, py: Python<'_>, class: &str) -> PyResult<String> {
        Ok(format!("<pumice.{class} of {}>", self.namespace.get().shown(py)?))
    }
}

/// The keys of a namespace, or of a range in it, in order. A set, as the keys of a dict are.
#[pyclass(frozen, sequence, module = "pumice")]
pub struct KeysView(View);

impl KeysView {
    pub fn new(namespace: &Bound<'_, ReadOnlyNamespace>, range: Range) -> KeysView {
        KeysView(View::new(namespace, range))
    }
}

#[pymethods]
impl KeysView {
    fn __iter__(&self, py: Python<'_>) -> PyResult<NamespaceIterator> {
        self.0.iterate(py, What::Keys)
    }

    fn __reversed__(&self, py: Python<'_>) -> PyResult<NamespaceIterator> {
        self.0.reversed(py, What::Keys)
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.0.count(py)
    }

    fn __contains__(&self, py: Python<'_>, key: Bytes<'_>) -> PyResult<bool> {
        Ok(self.0.covers(&key) && self.0.namespace.get().has(py, &key)?)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.0.shown(py, "KeysView")
    }
}

/// The values of a namespace, or of a range in it, in the order of their keys.
#[pyclass(frozen, sequence, module = "pumice")]
pub struct ValuesView(View);

impl ValuesView {
    pub fn new(namespace: &Bound<'_, ReadOnlyNamespace>, range: Range) -> ValuesView {
        ValuesView(View::new(namespace, range))
    }
}

#[pymethods]
impl ValuesView {
    fn __iter__(&self, py: Python<'_>) -> PyResult<NamespaceIterator> {
        self.0.iterate(py, What::Values)
    }

    fn __reversed__(&self, py: Python<'_>) -> PyResult<NamespaceIterator> {
        self.0.reversed(py, What::Values)
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.0.count(py)
    }

    /// Whether any key has that value, which reads them all.
    fn __contains__(&self, py: Python<'_>, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        let values = Bound::new(py, self.0.iterate(py, What::Values)?)?;
        for found in values.try_iter()? {
            if found?.eq(value)? {
                return Ok(true);
            }
            py.check_signals()?;
        }
        Ok(false)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.0.shown(py, "ValuesView")
    }
}

/// Pairs of key and value of a namespace, or of a range in it, in order. A set, as the items of a dict are.
#[pyclass(frozen, sequence, module = "pumice")]
pub struct ItemsView(View);

impl ItemsView {
    pub fn new(namespace: &Bound<'_, ReadOnlyNamespace>, range: Range) -> ItemsView {
        ItemsView(View::new(namespace, range))
    }
}

#[pymethods]
impl ItemsView {
    fn __iter__(&self, py: Python<'_>) -> PyResult<NamespaceIterator> {
        self.0.iterate(py, What::Items)
    }

    fn __reversed__(&self, py: Python<'_>) -> PyResult<NamespaceIterator> {
        self.0.reversed(py, What::Items)
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.0.count(py)
    }

    fn __contains__(&self, py: Python<'_>, item: &Bound<'_, PyAny>) -> PyResult<bool> {
        let Ok((key, value)) = item.cast::<PyTuple>()?.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>() else {
            return Ok(false);
        };
        let key = Bytes::extract(key.as_borrowed())?;
        if !self.0.covers(&key) {
            return Ok(false);
        }
        let namespace = self.0.namespace.get();
        match namespace.kind_of(py, &key)? {
            None => Ok(false),
            Some(Kind::STRING) => match namespace.get_value(py, &key)? {
                Some(found) => value.eq(PyBytes::new(py, &found)),
                None => Ok(false),
            },
            Some(_) => Ok(value.is_none()),
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.0.shown(py, "ItemsView")
    }
}
