//! Lists as mutable sequences with the ends of a deque.

use std::sync::Arc;

use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PySlice};

use super::arguments::{self, Bytes};
use super::elements::{ElementIterator, Walk};
use super::leases::Shared;
use crate::{End, ErrorKind};

/// The list of one key, as a mutable sequence of bytes with the methods of a deque: both ends are near.
///
/// It need not be there: a list without elements is none. Each call is one write or one look. A key of another type raises
/// WrongTypeError.
#[pyclass(frozen, sequence, module = "pumice")]
pub struct List {
    shared: Arc<Shared>,
    live: crate::List,
}

impl List {
    pub fn new(shared: &Arc<Shared>, live: crate::List) -> List {
        List { shared: Arc::clone(shared), live }
    }

    fn push_all(&self, py: Python<'_>, end: End, elements: &Bound<'_, PyAny>) -> PyResult<()> {
        let elements = arguments::keys(elements)?;
        let elements: Vec<Bytes<'_>> = elements.iter_borrowed().map(Bytes::extract).collect::<PyResult<_>>()?;
        py.detach(|| self.live.push(end, &elements))?;
        Ok(())
    }

    fn taken<'py>(py: Python<'py>, element: Option<Vec<u8>>, what: &'static str) -> PyResult<Bound<'py, PyBytes>> {
        match element {
            Some(element) => Ok(PyBytes::new(py, &element)),
            None => Err(PyIndexError::new_err(what)),
        }
    }
}

fn out_of_range() -> PyErr {
    PyIndexError::new_err("list index out of range")
}

/// An index of a sequence, for which Python has tried a negative one itself or not.
fn index_of(index: &Bound<'_, PyAny>) -> PyResult<i64> {
    if index.is_instance_of::<PySlice>() {
        return Err(PyTypeError::new_err("got a slice, expected an index; a slice can be read, and trim() cuts"));
    }
    index.extract::<i64>()
}

#[pymethods]
impl List {
    fn __len__(&self) -> PyResult<usize> {
        Ok(usize::try_from(self.live.len()?)?)
    }

    fn __getitem__<'py>(&self, py: Python<'py>, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let Ok(slice) = index.cast::<PySlice>() else {
            let element = self.live.get(index_of(index)?)?.ok_or_else(out_of_range)?;
            return Ok(PyBytes::new(py, &element).into_any());
        };
        let indices = slice.indices(isize::try_from(self.live.len()?)?)?;
        let list = PyList::empty(py);
        if indices.slicelength == 0 {
            return Ok(list.into_any());
        }
        // A negative step counts from the last one that is given.
        let last = indices.start + (indices.slicelength as isize - 1) * indices.step;
        let (low, high) = (indices.start.min(last) as i64, indices.start.max(last) as i64);
        let step = indices.step.unsigned_abs();
        let mut elements = match indices.step > 0 {
            true => self.live.elements(low, high)?,
            false => self.live.elements_reversed(low, high)?,
        };
        let mut at = 0usize;
        while let Some(element) = elements.next_element()? {
            if at.is_multiple_of(step) {
                list.append(PyBytes::new(py, element))?;
            }
            at += 1;
            if at.is_multiple_of(4096) {
                py.check_signals()?;
            }
        }
        Ok(list.into_any())
    }

    fn __setitem__(&self, py: Python<'_>, index: &Bound<'_, PyAny>, element: Bytes<'_>) -> PyResult<()> {
        let index = index_of(index)?;
        match py.detach(|| self.live.set(index, &element)) {
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::InvalidArgument) && is_index(&e) => {
                Err(out_of_range())
            }
            set => Ok(set?),
        }
    }

    fn __delitem__(&self, py: Python<'_>, index: &Bound<'_, PyAny>) -> PyResult<()> {
        let index = index_of(index)?;
        py.detach(|| self.live.take(index))?.map(drop).ok_or_else(out_of_range)
    }

    fn __iter__(&self, py: Python<'_>) -> PyResult<ElementIterator> {
        let elements = py.detach(|| self.live.elements(0, -1))?;
        Ok(ElementIterator::new(&self.shared, Walk::Elements(elements)))
    }

    fn __reversed__(&self, py: Python<'_>) -> PyResult<ElementIterator> {
        let elements = py.detach(|| self.live.elements_reversed(0, -1))?;
        Ok(ElementIterator::new(&self.shared, Walk::Elements(elements)))
    }

    /// Whether an element equals that. Goes through the list.
    fn __contains__(&self, py: Python<'_>, element: Bytes<'_>) -> PyResult<bool> {
        Ok(py.detach(|| self.live.position(&element))?.is_some())
    }

    /// Inserts an element before that of an index; at an end where there is none.
    fn insert(&self, py: Python<'_>, index: i64, value: Bytes<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.live.insert(index, &value))?)
    }

    /// Pushes an element at the right end.
    fn append(&self, py: Python<'_>, value: Bytes<'_>) -> PyResult<()> {
        py.detach(|| self.live.push(End::Right, &[&*value]))?;
        Ok(())
    }

    /// Pushes an element at the left end.
    fn appendleft(&self, py: Python<'_>, value: Bytes<'_>) -> PyResult<()> {
        py.detach(|| self.live.push(End::Left, &[&*value]))?;
        Ok(())
    }

    /// Pushes elements at the right end, one after the other, in one write.
    fn extend(&self, py: Python<'_>, values: &Bound<'_, PyAny>) -> PyResult<()> {
        self.push_all(py, End::Right, values)
    }

    /// Pushes elements at the left end, one after the other, in one write: the last of them is the first then.
    fn extendleft(&self, py: Python<'_>, values: &Bound<'_, PyAny>) -> PyResult<()> {
        self.push_all(py, End::Left, values)
    }

    /// Takes the element at an index away, the last one without; IndexError where there is none.
    #[pyo3(signature = (index=-1), text_signature = "($self, index=-1)")]
    fn pop<'py>(&self, py: Python<'py>, index: i64) -> PyResult<Bound<'py, PyBytes>> {
        List::taken(py, py.detach(|| self.live.take(index))?, "pop from an empty list, or index out of range")
    }

    /// Takes the first element away; IndexError where there is none.
    fn popleft<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        List::taken(py, py.detach(|| self.live.pop(End::Left))?, "pop from an empty list")
    }

    /// Removes the first element that equals that; ValueError where there is none.
    fn remove(&self, py: Python<'_>, value: Bytes<'_>) -> PyResult<()> {
        match py.detach(|| self.live.remove(&value, 1))? {
            0 => Err(PyValueError::new_err("no element of the list equals that")),
            _ => Ok(()),
        }
    }

    /// Keeps the elements from one index to another, which is among them, and no others.
    fn trim(&self, py: Python<'_>, first: i64, last: i64) -> PyResult<()> {
        Ok(py.detach(|| self.live.trim(first, last))?)
    }

    /// Removes all elements.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.live.clear())?)
    }

    fn __repr__(&self) -> String {
        format!("<pumice.List {}>", self.live.shown())
    }
}

/// Whether an error is about an index, or about there being no list.
fn is_index(error: &crate::Error) -> bool {
    ["no such key", "index out of range"].contains(&error.message())
}
