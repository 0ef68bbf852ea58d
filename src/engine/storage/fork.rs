//! Which process this is, told apart without a system call.
//!
//! RocksDB must not be touched in a forked child: closing it there truncates the parent's WAL, and
//! its locks may be held by threads that the child does not have. Nor can it be started anew there: it believes that
//! its background threads still run, and waits for them for ever.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Once, OnceLock};

use crate::engine::error::{Error, ErrorKind, Result};

static FORKS: AtomicU64 = AtomicU64::new(0);
static REGISTERED: Once = Once::new();
static FIRST: OnceLock<Process> = OnceLock::new();

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

/// Notes that RocksDB is started, in this process or in one that it was forked from.
pub fn started() {
    FIRST.get_or_init(Process::current);
}

/// Refuses to start RocksDB in a fork of a process that had started it.
pub fn check_startable() -> Result<()> {
    if FIRST.get().is_none_or(|first| first.is_current()) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Unsupported,
        "open: this process is a fork of one that had an engine open, whose background threads it does not have; \
         fork before the first open, or run another program (spawn, exec)",
    ))
}

#[cold]
fn forked() -> Error {
    Error::new(ErrorKind::Closed, "the engine was opened by the process that this one was forked from; use it there")
}
