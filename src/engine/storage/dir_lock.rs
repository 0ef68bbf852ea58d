//! Locks on folders: ours on a data directory, and RocksDB's own on a folder that we read or move.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::db::is_open_here;
use super::fork::Process;
use crate::engine::error::{Error, ErrorKind, Result};

/// Our lock on a data directory: one writer, or any number of readers. Let go in the process that took it only.
#[derive(Debug)]
pub struct DirLock {
    file: File,
    process: Process,
}

impl DirLock {
    /// Takes `<dir>/LOCK`; Busy names the writer that holds it.
    pub fn take(dir: &Path, shared: bool) -> Result<DirLock> {
        let path = dir.join("LOCK");
        let failed = |e: std::io::Error| Error::io(format!("open {}", path.display()), e);
        let open = |write: bool| OpenOptions::new().read(true).write(write).create(write).mode(0o644).open(&path);
        // A reader on a read-only file system takes the lock file as it finds it.
        let mut file = match open(true) {
            Err(_) if shared => open(false).map_err(failed)?,
            opened => opened.map_err(failed)?,
        };
        let operation =
            if shared { FlockOperation::NonBlockingLockShared } else { FlockOperation::NonBlockingLockExclusive };
        if let Err(e) = flock(&file, operation) {
            let mut holder = String::new();
            let _ = (&mut file).take(64).read_to_string(&mut holder);
            let holder = match holder.trim() {
                "" => "a process that opened it read-only".to_owned(),
                pid if pid == std::process::id().to_string() => "this process".to_owned(),
                pid => format!("process {pid}"),
            };
            if e == rustix::io::Errno::WOULDBLOCK {
                return Err(Error::new(
                    ErrorKind::Busy,
                    format!("{} is open in {holder}; close it there, or open another directory", dir.display()),
                ));
            }
            return Err(Error::io(format!("lock {}", path.display()), e));
        }
        if !shared {
            file.set_len(0)
                .and_then(|()| file.rewind())
                .and_then(|()| write!(file, "{}", std::process::id()))
                .map_err(|e| Error::io(format!("write {}", path.display()), e))?;
        }
        Ok(DirLock { file, process: Process::current() })
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        // A forked child shares the lock: closing its copy is harmless, unlocking it would free the parent's.
        if self.process.is_current() {
            let _ = self.file.set_len(0);
            let _ = flock(&self.file, FlockOperation::Unlock);
        }
    }
}

/// RocksDB's own `LOCK` in one of its folders, so that nobody opens it while we read or move it.
#[derive(Debug)]
pub struct RocksLock {
    _file: Option<File>,
    made: Option<PathBuf>,
}

impl RocksLock {
    /// Takes it; Busy when a server, or this process, has that RocksDB open.
    pub fn take(folder: &Path) -> Result<RocksLock> {
        if is_open_here(folder) {
            return Err(busy(folder, "this process"));
        }
        let path = folder.join("LOCK");
        let existed = path.exists();
        let file = match OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path) {
            Ok(file) => file,
            // Where nothing can be written, nobody can have RocksDB open for writing.
            Err(e) if !existed && matches!(e.raw_os_error(), Some(libc::EROFS | libc::EACCES)) => {
                return Ok(RocksLock { _file: None, made: None });
            }
            Err(e) => return Err(Error::io(format!("open {}", path.display()), e)),
        };
        // SAFETY: a plain structure for fcntl.
        let mut lock: libc::flock = unsafe { std::mem::zeroed() };
        lock.l_type = libc::F_WRLCK as _;
        lock.l_whence = libc::SEEK_SET as _;
        // RocksDB takes a record lock of its process; one of the open file conflicts with it and does not vanish
        // when another descriptor of this process closes.
        // SAFETY: a valid descriptor and structure.
        if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } != 0 {
            let holder = holder(&file);
            // Closing this descriptor would drop a record lock that this very process holds through another library.
            std::mem::forget(file);
            return Err(busy(folder, &holder));
        }
        Ok(RocksLock { _file: Some(file), made: (!existed).then_some(path) })
    }
}

impl Drop for RocksLock {
    fn drop(&mut self) {
        if let Some(path) = &self.made {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Refuses a RocksDB folder that a running server holds, without taking or making anything.
pub fn check_unlocked(folder: &Path) -> Result<()> {
    if is_open_here(folder) {
        return Err(busy(folder, "this process"));
    }
    let Ok(file) = File::open(folder.join("LOCK")) else { return Ok(()) };
    match holder(&file).as_str() {
        "" => Ok(()),
        name => {
            std::mem::forget(file);
            Err(busy(folder, name))
        }
    }
}

/// Who holds a record lock on the file, or nothing.
fn holder(file: &File) -> String {
    // SAFETY: a plain structure for fcntl, which fills it.
    unsafe {
        let mut lock: libc::flock = std::mem::zeroed();
        lock.l_type = libc::F_WRLCK as _;
        lock.l_whence = libc::SEEK_SET as _;
        if libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) != 0 || lock.l_type == libc::F_UNLCK as i16 {
            return String::new();
        }
        if lock.l_pid > 0 { format!("process {}", lock.l_pid) } else { "another process".to_owned() }
    }
}

fn busy(folder: &Path, holder: &str) -> Error {
    let holder = if holder.is_empty() { "another process" } else { holder };
    Error::new(
        ErrorKind::Busy,
        format!("{} is a RocksDB that {holder} has open; stop it, or use a checkpoint of it", folder.display()),
    )
}
