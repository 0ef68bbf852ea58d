//! How a call ends: its status, and the error that says more.

use std::any::Any;
use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::bytes::c_text;
use crate::{Error, ErrorKind, Result};

/// How a call ended. The numbers never change.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum pumice_status {
    /// It did what it says.
    PUMICE_OK = 0,
    /// The call is wrong: change an argument.
    PUMICE_INVALID_ARGUMENT = 1,
    /// The named thing does not exist, or is no longer kept. A missing key is not an error.
    PUMICE_NOT_FOUND = 2,
    /// A thing of that name, or with that token, exists with another content.
    PUMICE_ALREADY_EXISTS = 3,
    /// This engine, or this role, does not take writes.
    PUMICE_READ_ONLY = 4,
    /// The engine was closed, or this process is a fork of the one that opened it.
    PUMICE_CLOSED = 5,
    /// Somebody else holds it: try again when they let go.
    PUMICE_BUSY = 6,
    /// The operating system refused: see the message.
    PUMICE_IO = 7,
    /// Stored or received bytes are not what they should be.
    PUMICE_CORRUPTION = 8,
    /// Well formed, but not something this version can do.
    PUMICE_UNSUPPORTED = 9,
    /// An earlier write failed half way: reads go on, writes need a reopened engine.
    PUMICE_POISONED = 10,
    /// The position or entry belongs to another history: a full sync is needed.
    PUMICE_DIVERGED = 11,
    /// The key holds another data type.
    PUMICE_WRONG_TYPE = 12,
    /// A fault in Pumice itself: please report it.
    PUMICE_INTERNAL = 13,
}

use pumice_status::*;

impl From<ErrorKind> for pumice_status {
    fn from(kind: ErrorKind) -> pumice_status {
        match kind {
            ErrorKind::InvalidArgument => PUMICE_INVALID_ARGUMENT,
            ErrorKind::NotFound => PUMICE_NOT_FOUND,
            ErrorKind::AlreadyExists => PUMICE_ALREADY_EXISTS,
            ErrorKind::ReadOnly => PUMICE_READ_ONLY,
            ErrorKind::Closed => PUMICE_CLOSED,
            ErrorKind::Busy => PUMICE_BUSY,
            ErrorKind::Io => PUMICE_IO,
            ErrorKind::Corruption => PUMICE_CORRUPTION,
            ErrorKind::Unsupported => PUMICE_UNSUPPORTED,
            ErrorKind::Poisoned => PUMICE_POISONED,
            ErrorKind::Diverged => PUMICE_DIVERGED,
            ErrorKind::WrongType => PUMICE_WRONG_TYPE,
            ErrorKind::Internal => PUMICE_INTERNAL,
        }
    }
}

/// Why a call failed.
pub struct pumice_error {
    status: pumice_status,
    message: CString,
}

impl From<&Error> for pumice_error {
    fn from(error: &Error) -> pumice_error {
        pumice_error { status: error.kind().into(), message: c_text(error.message()) }
    }
}

/// Runs the body of a function: success and failure become a status, and so does a panic, which must not reach C.
#[inline]
pub fn call(error: Option<&mut MaybeUninit<*mut pumice_error>>, run: impl FnOnce() -> Result<()>) -> pumice_status {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(())) => {
            if let Some(place) = error {
                place.write(std::ptr::null_mut());
            }
            PUMICE_OK
        }
        Ok(Err(failure)) => failed(&failure, error),
        Err(panic) => failed(&internal(panic), error),
    }
}

#[cold]
fn failed(failure: &Error, error: Option<&mut MaybeUninit<*mut pumice_error>>) -> pumice_status {
    if let Some(place) = error {
        place.write(Box::into_raw(Box::new(failure.into())));
    }
    failure.kind().into()
}

fn internal(panic: Box<dyn Any + Send>) -> Error {
    let text = match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast::<&str>().map_or_else(|_| "a panic without words".to_owned(), |s| s.to_string()),
    };
    Error::new(ErrorKind::Internal, format!("a fault in Pumice, please report it: {text}"))
}

/// Lets go of a handle. A panic on the way stays here.
pub fn free<T>(handle: Option<Box<T>>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(handle)));
}

/// What the caller can do about an error; `PUMICE_OK` of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_error_kind(error: Option<&pumice_error>) -> pumice_status {
    error.map_or(PUMICE_OK, |error| error.status)
}

/// What went wrong, which thing, what was found, what was expected: one line of UTF-8, lent until the error is freed.
/// Empty of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_error_message(error: Option<&pumice_error>) -> *const c_char {
    error.map_or(c"".as_ptr(), |error| error.message.as_ptr())
}

/// Frees an error.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_error_free(error: Option<Box<pumice_error>>) {
    free(error);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind has its own number in C.
    #[test]
    fn numbers() {
        for kind in ErrorKind::ALL {
            assert_eq!(pumice_status::from(kind) as i32, kind as i32);
        }
    }

    /// A panic is a status with its words, and takes nothing with it.
    #[test]
    fn panics() {
        let mut error = MaybeUninit::uninit();
        assert_eq!(call(Some(&mut error), || panic!("at {}", 7)), PUMICE_INTERNAL);
        // SAFETY: written by the call, and freed once.
        let error = unsafe { Box::from_raw(error.assume_init()) };
        assert!(error.message.to_str().unwrap().ends_with("at 7"));
        assert_eq!(call(None, || panic!("words")), PUMICE_INTERNAL);
    }
}
