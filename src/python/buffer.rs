//! Buffers taken and lent, and pairs lent again: the one file of this face with `unsafe`.

use std::ffi::c_int;
use std::ptr;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyMemoryView, PyTuple};

use crate::Value;

/// A copy of what an object with the buffer protocol shows. A copy, because its owner may change it meanwhile.
pub fn copied(object: Borrowed<'_, '_, PyAny>) -> PyResult<Vec<u8>> {
    let mut view = ffi::Py_buffer::new();
    // SAFETY: the object is alive, and the view is released below, once, where it was filled.
    if unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut view, ffi::PyBUF_SIMPLE) } != 0 {
        return Err(PyErr::fetch(object.py()));
    }
    let mut bytes = Vec::with_capacity(view.len as usize);
    // SAFETY: a simple buffer has `len` contiguous bytes at `buf`, of which at most the content changes while it is
    // held; they are read through raw pointers into memory that was reserved for them.
    unsafe {
        ptr::copy_nonoverlapping(view.buf.cast::<u8>(), bytes.as_mut_ptr(), view.len as usize);
        bytes.set_len(view.len as usize);
        ffi::PyBuffer_Release(&raw mut view);
    }
    Ok(bytes)
}

/// Whether an object has the buffer protocol.
pub fn is_buffer(object: Borrowed<'_, '_, PyAny>) -> bool {
    // SAFETY: the object is alive.
    unsafe { ffi::PyObject_CheckBuffer(object.as_ptr()) != 0 }
}

/// A value where the storage engine keeps it, lent as a buffer. Memoryviews of it keep it alive.
#[pyclass(frozen, module = "pumice")]
struct PinnedValue(Value);

#[pymethods]
impl PinnedValue {
    /// # Safety
    /// As the buffer protocol says: `view` is null or may be written.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        if view.is_null() {
            return Err(PyBufferError::new_err("expected a place for the buffer"));
        }
        let bytes: &[u8] = &slf.get().0;
        // SAFETY: the value does not move or change while the object lives, which the view holds a reference to; the
        // buffer is filled as read-only, and the call itself refuses a request to write.
        let refused = unsafe {
            ffi::PyBuffer_FillInfo(view, slf.as_ptr(), bytes.as_ptr().cast_mut().cast(), bytes.len() as isize, 1, flags)
        };
        if refused != 0 { Err(PyErr::fetch(slf.py())) } else { Ok(()) }
    }
}

/// A read-only view of a value, without a copy.
pub fn lend<'py>(py: Python<'py>, value: Value) -> PyResult<Bound<'py, PyMemoryView>> {
    PyMemoryView::from(Bound::new(py, PinnedValue(value))?.as_any())
}

/// Pairs, as `enumerate` makes them: one of the last two is filled anew when whoever took it has let it go, as a loop
/// does. There are two because a loop that does not unpack its pair holds it until it has the next. That saves half
/// of what a row of an iteration costs in objects.
pub struct Pairs {
    last: [Option<Py<PyTuple>>; 2],
    refilled: bool,
}

impl Pairs {
    pub fn new(py: Python<'_>) -> Pairs {
        // From 3.14 on a tuple remembers its hash, which nothing outside of the interpreter can make it forget.
        Pairs { last: [None, None], refilled: py.version_info() < (3, 14) }
    }

    /// A pair of two objects that the garbage collector does not track.
    pub fn pair<'py>(
        &mut self,
        py: Python<'py>,
        first: Bound<'py, PyAny>,
        second: Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        if !self.refilled {
            return (first, second).into_pyobject(py);
        }
        for last in self.last.iter().flatten() {
            let raw = last.as_ptr();
            // SAFETY: this is the only reference to the tuple, so that nobody sees it change; each call takes one
            // reference to its object, and lets go of the one that was there.
            unsafe {
                if ffi::Py_REFCNT(raw) == 1 {
                    ffi::PyTuple_SetItem(raw, 0, first.into_ptr());
                    ffi::PyTuple_SetItem(raw, 1, second.into_ptr());
                    return Ok(last.bind(py).clone());
                }
            }
        }
        let made = (first, second).into_pyobject(py)?;
        self.last.swap(0, 1);
        self.last[0] = Some(made.clone().unbind());
        Ok(made)
    }
}
