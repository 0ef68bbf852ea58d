//! Locks on folders: ours on a data directory, and RocksDB's own on a folder that we read or move.

use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::db::is_open_here;
use super::fork::{OwnFile, Process};
use crate::engine::error::{Error, ErrorKind, Result, shown};

/// Our lock on a data directory: one writer, or any number of readers. It is on the folder itself, so that a reader
/// leaves no trace, and on the file `LOCK` in it, where a writer says who it is. Let go in the process that took it only.
#[derive(Debug)]
pub struct DirLock {
    folder: OwnFile,
    file: Option<OwnFile>,
    writer: bool,
    process: Process,
}

impl DirLock {
    /// Takes it; Busy names the writer that holds it.
    pub fn take(dir: &Path, shared: bool) -> Result<DirLock> {
        let path = dir.join("LOCK");
        let folder = File::open(dir).map_err(|e| Error::io(format!("open {}", dir.display()), e))?;
        lock(&folder, dir, shared)?;
        let failed = |e: std::io::Error| Error::io(format!("open {}", path.display()), e);
        let file = if shared {
            File::open(&path).ok()
        } else {
            let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o644).open(&path);
            Some(opened.map_err(failed)?)
        };
        if let Some(file) = &file {
            lock(file, dir, shared)?;
        }
        let lock = DirLock {
            folder: OwnFile::new(folder),
            file: file.map(OwnFile::new),
            writer: !shared,
            process: Process::current(),
        };
        if let (Some(mut file), false) = (lock.file.as_deref(), shared) {
            file.set_len(0)
                .and_then(|()| file.rewind())
                .and_then(|()| write!(file, "{}", std::process::id()))
                .map_err(|e| Error::io(format!("write {}", path.display()), e))?;
        }
        Ok(lock)
    }
}

fn lock(file: &File, dir: &Path, shared: bool) -> Result<()> {
    let operation =
        if shared { FlockOperation::NonBlockingLockShared } else { FlockOperation::NonBlockingLockExclusive };
    match flock(file, operation) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let holder = std::fs::read_to_string(dir.join("LOCK")).unwrap_or_default();
            let holder = match holder.trim() {
                // A killed writer leaves its number: then it is readers who hold the lock.
                pid if !Path::new("/proc").join(pid).exists() => "a process that opened it read-only".to_owned(),
                "" => "a process that opened it read-only".to_owned(),
                pid if pid == std::process::id().to_string() => "this process".to_owned(),
                pid => format!("process {}", &shown(pid.as_bytes()).trim_matches('"')),
            };
            Err(Error::new(
                ErrorKind::Busy,
                format!(
                    "{} is open in {holder}; close it there, with every value, iterator and snapshot of it, or open another",
                    dir.display()
                ),
            ))
        }
        Err(e) => Err(Error::io(format!("lock {}", dir.display()), e)),
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        if !self.process.is_current() {
            return;
        }
        if let Some(file) = &self.file {
            if self.writer {
                let _ = file.set_len(0);
            }
            let _ = flock(&**file, FlockOperation::Unlock);
        }
        let _ = flock(&*self.folder, FlockOperation::Unlock);
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
