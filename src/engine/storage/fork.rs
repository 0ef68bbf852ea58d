//! Which process this is, told apart without a system call.
//!
//! RocksDB must not be touched in a forked child: closing it there truncates the parent's WAL, and
//! its locks may be held by threads that the child does not have.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::error::{Error, ErrorKind, Result};

static FORKS: AtomicU64 = AtomicU64::new(0);
static REGISTERED: Once = Once::new();

extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// The process that made this value; a forked child of it is another one.
#[derive(Clone, Copy, Debug)]
pub struct Process(u64);

impl Process {
    /// The calling process.
    pub fn current() -> Process {
        REGISTERED.call_once(|| {
            // SAFETY: the handler only adds to an atomic, which is allowed between fork and exec.
            unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        });
        Process(FORKS.load(Ordering::Relaxed))
    }

    /// Whether the caller is still that process, and not a forked child of it.
    #[inline]
    pub fn is_current(self) -> bool {
        self.0 == FORKS.load(Ordering::Relaxed)
    }

    /// Refuses a call from a forked child.
    #[inline]
    pub fn check(self) -> Result<()> {
        if self.is_current() { Ok(()) } else { Err(forked()) }
    }
}

#[cold]
fn forked() -> Error {
    Error::new(ErrorKind::Closed, "the engine was opened before a fork; open it in the child")
}
