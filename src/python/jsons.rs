//! JSON documents, as the objects of Python's `json`.

use pyo3::prelude::*;

/// The JSON document of one key, read and changed by JSONPath. Values are what Python's `json` makes of them.
///
/// It need not be there. A document is one record: every change writes all of it. A key of another type raises
/// WrongTypeError, a path that is none InvalidArgumentError.
#[pyclass(frozen, module = "pumice")]
pub struct Json {
    pub live: crate::Json,
}

fn dumps(value: &Bound<'_, PyAny>) -> PyResult<String> {
    value.py().import("json")?.call_method1("dumps", (value,))?.extract()
}

fn loads<'py>(py: Python<'py>, text: Option<String>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(text) = text else { return Ok(None) };
    py.import("json")?.call_method1("loads", (text,)).map(Some)
}

#[pymethods]
impl Json {
    /// The whole document, None when there is none.
    fn get<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let text = py.detach(|| self.live.get())?;
        loads(py, text)
    }

    /// A list of what a path finds, None when there is no document.
    fn find<'py>(&self, py: Python<'py>, path: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        let text = py.detach(|| self.live.find(path))?;
        loads(py, text)
    }

    /// Sets the document, or what a path finds in it.
    #[pyo3(signature = (value, path="$"))]
    fn set(&self, py: Python<'_>, value: &Bound<'_, PyAny>, path: &str) -> PyResult<()> {
        let text = dumps(value)?;
        Ok(py.detach(|| self.live.set(path, &text))?)
    }

    /// Merges a patch into what a path finds: members that are None in it go.
    #[pyo3(signature = (patch, path="$"))]
    fn merge(&self, py: Python<'_>, patch: &Bound<'_, PyAny>, path: &str) -> PyResult<()> {
        let text = dumps(patch)?;
        Ok(py.detach(|| self.live.merge(path, &text))?)
    }

    /// Appends a value to the arrays that a path finds. Their lengths then, None for what is no array.
    #[pyo3(signature = (value, path="$"))]
    fn append(&self, py: Python<'_>, value: &Bound<'_, PyAny>, path: &str) -> PyResult<Vec<Option<u64>>> {
        let text = dumps(value)?;
        Ok(py.detach(|| self.live.append(path, &[text]))?)
    }

    /// Removes what a path finds; the whole document without one. How many values went.
    #[pyo3(signature = (path="$"))]
    fn remove(&self, py: Python<'_>, path: &str) -> PyResult<u64> {
        Ok(py.detach(|| self.live.remove(path))?)
    }

    /// Removes the document.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.live.clear())?)
    }
}
