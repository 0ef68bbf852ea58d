//! A client in the process: what redis-py has instead of a socket.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use super::namespace::Namespace;
use super::{calls, reply};
use crate::Reply;

/// A conversation about one namespace, with the transaction that it has begun. Not for users: `pumice.redis` is.
#[pyclass(frozen, module = "pumice._native")]
pub struct Session {
    session: Mutex<crate::Session>,
    /// Makes bytes of what is neither bytes, text nor a number.
    encode: Py<PyAny>,
    /// Makes an object of the text of an error.
    error: Py<PyAny>,
    /// Whether replies are in the kinds of RESP3.
    resp3: bool,
}

impl Session {
    /// Called without the GIL.
    fn lock(&self) -> MutexGuard<'_, crate::Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn object<'py>(&self, py: Python<'py>, answer: Reply) -> PyResult<Bound<'py, PyAny>> {
        let answer = if self.resp3 { answer } else { answer.plain() };
        reply::object(py, &answer, Some(self.error.bind(py)))
    }
}

#[pymethods]
impl Session {
    #[new]
    fn new(namespace: &Bound<'_, Namespace>, encode: Py<PyAny>, error: Py<PyAny>, resp3: bool) -> Session {
        Session { session: Mutex::new(crate::Session::new(&namespace.get().live)), encode, error, resp3 }
    }

    /// Runs one command and gives its reply.
    fn execute<'py>(&self, py: Python<'py>, args: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let words = reply::words(args, Some(self.encode.bind(py)))?;
        let answer = calls::watched(py, |watch| self.lock().execute(&words, watch))?;
        self.object(py, answer)
    }

    /// Runs several commands, one after the other, and gives their replies.
    fn execute_all<'py>(&self, py: Python<'py>, commands: &Bound<'py, PyList>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let encode = Some(self.encode.bind(py));
        let words =
            commands.iter().map(|args| reply::words(args.cast::<PyTuple>()?, encode)).collect::<PyResult<Vec<_>>>()?;
        let answers = calls::watched(py, |watch| {
            let mut session = self.lock();
            words.iter().map(|words| session.execute(words, watch)).collect::<crate::Result<Vec<_>>>()
        })?;
        answers.into_iter().map(|answer| self.object(py, answer)).collect()
    }
}
