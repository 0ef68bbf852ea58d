//! One error type for every face. The kind says what the caller can do about it.

use std::fmt;

/// What the caller can do about an error. The number is the C status and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The call is wrong: change an argument.
    InvalidArgument = 1,
    /// The named thing does not exist, or is no longer kept. A missing key is not an error.
    NotFound = 2,
    /// A thing of that name, or with that token, exists with another content.
    AlreadyExists = 3,
    /// This engine, or this role, does not take writes.
    ReadOnly = 4,
    /// The engine was closed, or this process is a fork of the one that opened it.
    Closed = 5,
    /// Somebody else holds it: try again when they let go.
    Busy = 6,
    /// The operating system refused: see the message and the source.
    Io = 7,
    /// Stored or received bytes are not what they should be.
    Corruption = 8,
    /// Well formed, but not something this version can do.
    Unsupported = 9,
    /// An earlier write failed half way: reads go on, writes need a reopened engine.
    Poisoned = 10,
    /// The position or entry belongs to another history: a full sync is needed.
    Diverged = 11,
    /// The key holds another data type.
    WrongType = 12,
    /// A fault in Pumice itself: please report it.
    Internal = 13,
}

impl ErrorKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [ErrorKind; 13] = [
        ErrorKind::InvalidArgument,
        ErrorKind::NotFound,
        ErrorKind::AlreadyExists,
        ErrorKind::ReadOnly,
        ErrorKind::Closed,
        ErrorKind::Busy,
        ErrorKind::Io,
        ErrorKind::Corruption,
        ErrorKind::Unsupported,
        ErrorKind::Poisoned,
        ErrorKind::Diverged,
        ErrorKind::WrongType,
        ErrorKind::Internal,
    ];

    /// The kind's name as it is written in code.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::InvalidArgument => "InvalidArgument",
            ErrorKind::NotFound => "NotFound",
            ErrorKind::AlreadyExists => "AlreadyExists",
            ErrorKind::ReadOnly => "ReadOnly",
            ErrorKind::Closed => "Closed",
            ErrorKind::Busy => "Busy",
            ErrorKind::Io => "Io",
            ErrorKind::Corruption => "Corruption",
            ErrorKind::Unsupported => "Unsupported",
            ErrorKind::Poisoned => "Poisoned",
            ErrorKind::Diverged => "Diverged",
            ErrorKind::WrongType => "WrongType",
            ErrorKind::Internal => "Internal",
        }
    }
}

/// An error: its kind, a message (what, which, got, expected), and its cause where there is one.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The result of every fallible call.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), source: None }
    }

    /// An error of the operating system, with what was being done and to which file.
    pub(crate) fn io(what: impl fmt::Display, source: impl Into<std::io::Error>) -> Error {
        let source = source.into();
        Error { kind: ErrorKind::Io, message: format!("{what}: {source}"), source: Some(Box::new(source)) }
    }

    /// The same error with more about what was being done in front of it.
    pub(crate) fn context(mut self, what: impl fmt::Display) -> Error {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// The same error in other words.
    pub(crate) fn reworded(self, message: String) -> Error {
        Error { message, ..self }
    }

    /// Whether it was for want of space.
    pub(crate) fn is_full_disk(&self) -> bool {
        let source = self.source.as_ref().and_then(|source| source.downcast_ref::<std::io::Error>());
        source.is_some_and(|e| e.kind() == std::io::ErrorKind::StorageFull)
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What went wrong, which thing, what was found, what was expected.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|s| s.as_ref() as _)
    }
}

/// Shortens and escapes bytes from outside for a message.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let cut = bytes.len().min(80);
    let mut text = format!("\"{}\"", bytes[..cut].escape_ascii());
    if cut < bytes.len() {
        text.push_str(&format!("… ({} bytes)", bytes.len()));
    }
    text
}
