//! One exception class for each kind of error.

use pyo3::PyErrArguments;
use pyo3::exceptions::{PyException, PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::{Error, ErrorKind};

/// The classes of all kinds, in the order of [`ErrorKind::ALL`].
static CLASSES: PyOnceLock<Vec<Py<PyType>>> = PyOnceLock::new();

/// What the class of a kind says of itself.
fn doc(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidArgument => "The call is wrong: change an argument.",
        ErrorKind::NotFound => "The named thing does not exist, or is no longer kept. A missing key is a KeyError.",
        ErrorKind::AlreadyExists => "A thing of that name, or with that token, exists with another content.",
        ErrorKind::ReadOnly => "This engine, or this role, does not take writes.",
        ErrorKind::Closed => "The engine was closed, or this process is a fork of the one that opened it.",
        ErrorKind::Busy => "Somebody else holds it: try again when they let go.",
        ErrorKind::Io => "The operating system refused; errno says how, where it is known.",
        ErrorKind::Corruption => "Stored or received bytes are not what they should be.",
        ErrorKind::Unsupported => "Well formed, but not something this version can do.",
        ErrorKind::Poisoned => "An earlier write failed half way: reads go on, writes need a reopened engine.",
        ErrorKind::Diverged => "The position or entry belongs to another history: a full sync is needed.",
        ErrorKind::WrongType => "The key holds another data type.",
        ErrorKind::Internal => "A fault in Pumice itself: please report it.",
    }
}

/// Makes the classes and adds them to the module.
pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let base = class(py, "Error", "The base of all errors of Pumice.", "Error", &[py.get_type::<PyException>()])?;
    module.add("Error", &base)?;
    let mut classes = Vec::new();
    for kind in ErrorKind::ALL {
        let mut bases = vec![base.clone()];
        match kind {
            ErrorKind::InvalidArgument => bases.push(py.get_type::<PyValueError>()),
            ErrorKind::Io => bases.push(py.get_type::<PyOSError>()),
            _ => {}
        }
        let name = format!("{}Error", kind.name());
        let made = class(py, &name, doc(kind), kind.name(), &bases)?;
        module.add(name.as_str(), &made)?;
        classes.push(made.unbind());
    }
    let _ = CLASSES.set(py, classes);
    Ok(())
}

fn class<'py>(
    py: Python<'py>,
    name: &str,
    doc: &str,
    kind: &str,
    bases: &[Bound<'py, PyType>],
) -> PyResult<Bound<'py, PyType>> {
    let names = PyDict::new(py);
    names.set_item("__module__", "pumice")?;
    names.set_item("__doc__", doc)?;
    names.set_item("kind", kind)?;
    Ok(py.get_type::<PyType>().call1((name, PyTuple::new(py, bases)?, names))?.cast_into()?)
}

/// An exception of a kind that this face raises by itself.
pub fn raise(py: Python<'_>, kind: ErrorKind, message: impl Into<String>) -> PyErr {
    of_class(py, kind, (message.into(),))
}

fn of_class(py: Python<'_>, kind: ErrorKind, arguments: impl PyErrArguments + 'static) -> PyErr {
    let place = ErrorKind::ALL.iter().position(|known| *known == kind);
    match place.and_then(|place| CLASSES.get(py)?.get(place)) {
        Some(class) => PyErr::from_type(class.bind(py).clone(), arguments),
        None => pyo3::exceptions::PyRuntimeError::new_err(arguments),
    }
}

impl From<Error> for PyErr {
    #[cold]
    fn from(error: Error) -> PyErr {
        let cause = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<std::io::Error>());
        let errno = cause.and_then(std::io::Error::raw_os_error);
        let message = error.message().to_owned();
        Python::attach(|py| match errno {
            Some(errno) if error.kind() == ErrorKind::Io => of_class(py, ErrorKind::Io, (errno, message)),
            _ => of_class(py, error.kind(), (message,)),
        })
    }
}
