//! Which process this is, told apart without a system call.
//!
//! RocksDB must not be touched in a forked child: closing it there truncates the parent's WAL, and
//! its locks may be held by threads that the child does not have. Nor can it be started anew there: it believes that
//! its background threads still run, and waits for them for ever; at exit it even joins them, and crashes where another
//! thread of the child has got the memory of one.

#[cfg(target_env = "gnu")]
use std::ffi::{c_int, c_void};
use std::fs::File;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Once, OnceLock};

#[cfg(target_env = "gnu")]
use librocksdb_sys as ffi;

use crate::engine::error::{Error, ErrorKind, Result};

static FORKS: AtomicU64 = AtomicU64::new(0);
static REGISTERED: Once = Once::new();
static FIRST: OnceLock<Process> = OnceLock::new();

/// Descriptors that a child must not keep: a lock on them would outlive the parent. More than these are kept.
static PARENTS_OWN: [AtomicI32; 256] = [const { AtomicI32::new(-1) }; 256];

extern "C" fn in_child() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    for place in &PARENTS_OWN {
        let descriptor = place.swap(-1, Ordering::Relaxed);
        if descriptor >= 0 {
            // SAFETY: close is allowed between fork and exec; the owner leaks its copy in the child.
            unsafe { libc::close(descriptor) };
        }
    }
}

/// A file whose descriptor a forked child loses at once. Its locks end with this process, whatever children live on.
#[derive(Debug)]
pub struct OwnFile {
    file: ManuallyDrop<File>,
    process: Process,
}

impl OwnFile {
    pub fn new(file: File) -> OwnFile {
        let process = Process::current();
        let free = |place: &&AtomicI32| {
            place.compare_exchange(-1, file.as_raw_fd(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        let _kept = PARENTS_OWN.iter().find(free);
        OwnFile { file: ManuallyDrop::new(file), process }
    }
}

impl Deref for OwnFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        if self.process.is_current() {
            for place in &PARENTS_OWN {
                let _ = place.compare_exchange(self.file.as_raw_fd(), -1, Ordering::Relaxed, Ordering::Relaxed);
            }
            // SAFETY: dropped once, here, in the process that opened it.
            unsafe { ManuallyDrop::drop(&mut self.file) };
        }
    }
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
    FIRST.get_or_init(|| {
        // Handlers run in reverse: RocksDB's own is there once its environment is made, and ours comes before it.
        // SAFETY: the environment is a singleton that this only names; the handler is as long as the program.
        #[cfg(target_env = "gnu")]
        unsafe {
            ffi::rocksdb_env_destroy(ffi::rocksdb_create_default_env());
            on_exit(at_exit, std::ptr::null_mut());
        }
        Process::current()
    });
}

#[cfg(target_env = "gnu")]
unsafe extern "C" {
    fn on_exit(handler: extern "C" fn(c_int, *mut c_void), argument: *mut c_void) -> c_int;
}

/// Ends a forked child before RocksDB waits for threads that only its parent has. What was printed is not lost.
#[cfg(target_env = "gnu")]
extern "C" fn at_exit(status: c_int, _argument: *mut c_void) {
    if FIRST.get().is_some_and(|first| !first.is_current()) {
        // SAFETY: both may be called while the process exits.
        unsafe {
            libc::fflush(std::ptr::null_mut());
            libc::_exit(status);
        }
    }
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
