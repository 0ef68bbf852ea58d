//! Words of commands from Python objects, and replies to them.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use super::arguments::Bytes;
use super::errors;
use crate::{ErrorKind, Reply};

/// The words of a command. What is neither bytes, text nor a number goes through `encode`, where there is one.
pub fn words(args: &Bound<'_, PyTuple>, encode: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<Vec<u8>>> {
    args.iter_borrowed().map(|arg| word(arg, encode)).collect()
}

fn word(arg: Borrowed<'_, '_, PyAny>, encode: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<u8>> {
    if arg.is_exact_instance_of::<PyBytes>() {
        return Ok(arg.extract::<&[u8]>()?.to_vec());
    }
    if arg.is_exact_instance_of::<PyString>() {
        return Ok(arg.extract::<&str>()?.as_bytes().to_vec());
    }
    if arg.is_exact_instance_of::<PyInt>() {
        return Ok(arg.str()?.to_str()?.as_bytes().to_vec());
    }
    if arg.is_exact_instance_of::<PyFloat>() {
        return Ok(arg.repr()?.to_str()?.as_bytes().to_vec());
    }
    match encode {
        None => Ok(Bytes::extract(arg)?.to_vec()),
        Some(encode) => Ok(Bytes::extract(encode.call1((arg,))?.as_borrowed())?.to_vec()),
    }
}

/// A reply as an object. The text of an error in it becomes what `error` makes of it.
pub fn object<'py>(py: Python<'py>, reply: &Reply, error: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match reply {
        Reply::Nil | Reply::NilArray => py.None().into_bound(py),
        Reply::Integer(number) => number.into_pyobject(py)?.into_any(),
        Reply::Bulk(bytes) => PyBytes::new(py, bytes).into_any(),
        Reply::Simple(text) => PyBytes::new(py, text.as_bytes()).into_any(),
        Reply::Error(text) => match error {
            Some(error) => error.call1((text,))?,
            None => return Err(errors::raise(py, ErrorKind::InvalidArgument, text)),
        },
        Reply::Array(items) => {
            let items = items.iter().map(|item| object(py, item, error)).collect::<PyResult<Vec<_>>>()?;
            PyList::new(py, items)?.into_any()
        }
        // As redis-py reads them: also a set is a list, since what is in it need not be hashable.
        Reply::Double(text) => PyFloat::new(py, text.parse().unwrap_or(f64::NAN)).into_any(),
        Reply::Either(forms) => object(py, &forms[1], error)?,
        Reply::Verbatim(text) => PyBytes::new(py, text.as_bytes()).into_any(),
        Reply::Set(items) | Reply::Push(items) => {
            let items = items.iter().map(|item| object(py, item, error)).collect::<PyResult<Vec<_>>>()?;
            PyList::new(py, items)?.into_any()
        }
        Reply::Map(items) | Reply::Keyed(items) => {
            let dict = PyDict::new(py);
            for pair in items.chunks_exact(2) {
                dict.set_item(object(py, &pair[0], error)?, object(py, &pair[1], error)?)?;
            }
            dict.into_any()
        }
        Reply::Pairs(items) => {
            let pair = |pair: &[Reply]| {
                let pair = pair.iter().map(|item| object(py, item, error)).collect::<PyResult<Vec<_>>>()?;
                PyList::new(py, pair)
            };
            PyList::new(py, items.chunks(2).map(pair).collect::<PyResult<Vec<_>>>()?)?.into_any()
        }
    })
}
