//! What callers may give: keys and values, names, times, paths.

use std::ops::Deref;
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDelta, PyList, PyString, PyTuple};

use super::{buffer, errors};
use crate::{Compression, ErrorKind, Range, Role};

/// A key or value: `bytes` as they are, `str` as UTF-8, a copy of any other buffer.
pub enum Bytes<'a> {
    Borrowed(&'a [u8]),
    Copied(Vec<u8>),
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Borrowed(bytes) => bytes,
            Bytes::Copied(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Bytes<'_> {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl<'a> FromPyObject<'a, '_> for Bytes<'a> {
    type Error = PyErr;

    #[inline]
    fn extract(object: Borrowed<'a, '_, PyAny>) -> PyResult<Bytes<'a>> {
        if object.is_instance_of::<PyBytes>() {
            return Ok(Bytes::Borrowed(object.extract::<&'a [u8]>()?));
        }
        other_bytes(object)
    }
}

#[cold]
fn other_bytes<'a>(object: Borrowed<'a, '_, PyAny>) -> PyResult<Bytes<'a>> {
    if object.is_instance_of::<PyString>() {
        return Ok(Bytes::Borrowed(object.extract::<&'a str>()?.as_bytes()));
    }
    if buffer::is_buffer(object) {
        return Ok(Bytes::Copied(buffer::copied(object)?));
    }
    Err(PyTypeError::new_err(format!("got {}, expected bytes, str or another buffer", object.get_type().name()?)))
}

/// What gives pairs: the items of a mapping, else the object itself.
pub fn pairs<'py>(given: &Bound<'py, PyAny>) -> Bound<'py, PyAny> {
    given.call_method0("items").unwrap_or_else(|_| given.clone())
}

/// Many keys. They are held by a tuple, which nobody can change while their bytes are borrowed.
pub fn keys<'py>(keys: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
    if let Ok(tuple) = keys.cast_exact::<PyTuple>() {
        return Ok(tuple.clone());
    }
    if let Ok(list) = keys.cast::<PyList>() {
        return Ok(list.to_tuple());
    }
    if keys.is_instance_of::<PyString>() || keys.is_instance_of::<PyBytes>() {
        return Err(PyTypeError::new_err(format!("got one {}, expected an iterable of keys", keys.get_type().name()?)));
    }
    Ok(keys.py().get_type::<PyTuple>().call1((keys,))?.cast_into()?)
}

/// The name of a namespace: `str` as UTF-8, where surrogate escapes stand for other bytes, or `bytes`.
pub struct Name(pub Vec<u8>);

impl FromPyObject<'_, '_> for Name {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Name> {
        if let Ok(text) = object.cast::<PyString>() {
            if let Ok(text) = text.extract::<&str>() {
                return Ok(Name(text.as_bytes().to_vec()));
            }
            let escaped = text.call_method1("encode", ("utf-8", "surrogateescape"))?;
            return Ok(Name(escaped.extract::<&[u8]>()?.to_vec()));
        }
        match object.extract::<&[u8]>() {
            Ok(bytes) => Ok(Name(bytes.to_vec())),
            Err(_) => {
                let message = format!("got {}, expected the name of a namespace as str", object.get_type().name()?);
                Err(PyTypeError::new_err(message))
            }
        }
    }
}

/// The name of a namespace as `str`, with surrogate escapes for what is not UTF-8.
pub fn name<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(PyString::new(py, text)),
        Err(_) => {
            Ok(PyBytes::new(py, bytes).call_method1("decode", ("utf-8", "surrogateescape"))?.cast_into::<PyString>()?)
        }
    }
}

/// A length of time: seconds as a number, or a `timedelta`.
pub struct Seconds(pub Duration);

impl FromPyObject<'_, '_> for Seconds {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Seconds> {
        // A number first: to ask for a `timedelta` imports it, which a signal may interrupt.
        let seconds: f64 = match object.extract() {
            Ok(seconds) => seconds,
            Err(_) if object.is_instance_of::<PyDelta>() => object.call_method0("total_seconds")?.extract()?,
            Err(_) => {
                let name = object.get_type().name().map_or_else(|_| String::new(), |name| name.to_string());
                let message = format!("got {name}, expected seconds as a number, or a timedelta");
                return Err(PyTypeError::new_err(message));
            }
        };
        // Microseconds are what both forms can say; the remainder is how binary fractions are written.
        const MOST: f64 = 1e13;
        if !(0.0..=MOST).contains(&seconds) {
            let message = format!("a length of time: got {seconds} seconds, expected 0 to {MOST}");
            return Err(errors::raise(object.py(), ErrorKind::InvalidArgument, message));
        }
        Ok(Seconds(Duration::from_micros((seconds * 1e6).round() as u64)))
    }
}

/// A role by its name.
pub fn role(py: Python<'_>, name: &str) -> PyResult<Role> {
    const ROLES: [Role; 3] = [Role::Primary, Role::Replica, Role::Detached];
    ROLES.into_iter().find(|role| role.name() == name).ok_or_else(|| {
        let message = format!("role: got {name:?}, expected \"primary\", \"replica\" or \"detached\"");
        errors::raise(py, ErrorKind::InvalidArgument, message)
    })
}

/// A compression by its name.
pub fn compression(py: Python<'_>, name: &str) -> PyResult<Compression> {
    Ok(match name {
        "none" => Compression::None,
        "snappy" => Compression::Snappy,
        "zlib" => Compression::Zlib,
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        _ => {
            let message =
                format!("compression: got {name:?}, expected \"none\", \"snappy\", \"zlib\", \"lz4\" or \"zstd\"");
            return Err(errors::raise(py, ErrorKind::InvalidArgument, message));
        }
    })
}

/// A range of keys from its parts.
pub fn range(prefix: Option<Bytes<'_>>, start: Option<Bytes<'_>>, end: Option<Bytes<'_>>, reverse: bool) -> Range {
    let owned = |bytes: Bytes<'_>| bytes.to_vec();
    Range { prefix: prefix.map(owned).unwrap_or_default(), start: start.map(owned), end: end.map(owned), reverse }
}
