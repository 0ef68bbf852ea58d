//! Files and folders, made durable in the order in which they are used.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::pace;
use crate::engine::error::{Error, ErrorKind, Result};

/// Makes a file's bytes survive a power cut.
pub fn sync_file(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_all()).map_err(|e| Error::io(format!("fsync {}", path.display()), e))
}

/// Makes the names in a folder survive a power cut.
pub fn sync_dir(path: &Path) -> Result<()> {
    sync_file(path)
}

/// Replaces a small file whole: written beside, synced, renamed, the folder synced. Mode 0600.
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = path.with_extension("tmp");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&beside, path));
    if let Err(e) = written {
        let _ = fs::remove_file(&beside);
        return Err(Error::io(format!("write {}", path.display()), e));
    }
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// Has the disk begin with bytes of a file that were just written, so that less is left for its fsync. Promises nothing.
#[cfg(target_os = "linux")]
pub fn write_behind(file: &File, from: u64, length: u64) {
    use std::os::fd::AsRawFd;
    let (Ok(from), Ok(length)) = (i64::try_from(from), i64::try_from(length)) else { return };
    // SAFETY: the descriptor is open while `file` lives; the call touches no memory of this process.
    unsafe { libc::sync_file_range(file.as_raw_fd(), from, length, libc::SYNC_FILE_RANGE_WRITE) };
}

#[cfg(not(target_os = "linux"))]
pub fn write_behind(_: &File, _: u64, _: u64) {}

/// How many bytes the file system of a folder takes from this process before it is full.
pub fn free_bytes(folder: &Path) -> Result<u64> {
    let found = rustix::fs::statvfs(folder);
    let found = found.map_err(|e| Error::io(format!("free space of {}", folder.display()), std::io::Error::from(e)))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// The bytes of a small file, `None` when it does not exist, cut off at `limit`.
pub fn read_file(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io(format!("open {}", path.display()), e)),
    };
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes).map_err(|e| Error::io(format!("read {}", path.display()), e))?;
    Ok(Some(bytes))
}

/// Makes the bytes of many files survive a power cut. Several at a time, since the device then flushes once for all that
/// wait. `done` is asked now and then, and may end it with an error.
pub fn sync_files(paths: &[PathBuf], mut done: impl FnMut() -> Result<()>) -> Result<()> {
    const AT_A_TIME: usize = 4;
    for paths in paths.chunks(64) {
        let next = AtomicUsize::new(0);
        let sync = || -> Result<()> {
            while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                sync_file(path)?;
            }
            Ok(())
        };
        let threads = AT_A_TIME.min(paths.len());
        std::thread::scope(|scope| {
            let helpers: Vec<_> = (1..threads).map(|_| scope.spawn(sync)).collect();
            let here = sync();
            helpers.into_iter().fold(here, |result, helper| {
                let there = helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                result.and(there)
            })
        })?;
        done()?;
    }
    Ok(())
}

/// Goes through files piece by piece. Its buffer is kept from file to file: to map and unmap one for each would hold up
/// every thread that touches new memory.
pub struct PieceReader {
    buffer: Vec<u8>,
}

impl PieceReader {
    pub fn new() -> PieceReader {
        PieceReader { buffer: vec![0; 256 << 10] }
    }

    /// `piece` sees the bytes of the file in order and may end it with an error. Gives their number.
    pub fn read(&mut self, path: &Path, mut piece: impl FnMut(&[u8]) -> Result<()>) -> Result<u64> {
        let failed = |e| Error::io(format!("read {}", path.display()), e);
        let mut file = File::open(path).map_err(failed)?;
        let mut total = 0;
        loop {
            let read = file.read(&mut self.buffer).map_err(failed)?;
            if read == 0 {
                return Ok(total);
            }
            total += read as u64;
            piece(&self.buffer[..read])?;
            pace::rest();
        }
    }
}

/// Swaps two names of one file system in one step. `false` when the file system cannot.
pub fn exchange(a: &Path, b: &Path) -> Result<bool> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    match renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
        Err(e) => Err(Error::io(format!("exchange {} and {}", a.display(), b.display()), e)),
    }
}

/// Renames a folder to a name that nobody has; AlreadyExists when somebody took it meanwhile.
pub fn rename_new(from: &Path, to: &Path) -> Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use rustix::io::Errno;
    let renamed = match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => fs::rename(from, to),
        renamed => renamed.map_err(std::io::Error::from),
    };
    renamed.map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Error::new(ErrorKind::AlreadyExists, format!("{}: the path exists; name one that does not", to.display()))
        }
        _ => Error::io(format!("rename {} to {}", from.display(), to.display()), e),
    })
}

/// Makes a folder of that name, which nobody may have, whole or not at all: `make` fills one beside it, with `id` in its
/// name, which then takes the name. `what` is for messages.
pub fn make_whole<R>(what: &str, path: &Path, id: &str, make: impl FnOnce(&Path) -> Result<R>) -> Result<R> {
    if fs::symlink_metadata(path).is_ok() {
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            format!("{what} {}: the path exists; name one that does not", path.display()),
        ));
    }
    let Some(name) = path.file_name() else {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("{what} {}: expected a path that ends in a name", path.display()),
        ));
    };
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if parent.is_file() {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("{what} {}: {} is a file; expected a folder to make it in", path.display(), parent.display()),
        ));
    }
    fs::create_dir_all(parent).map_err(|e| Error::io(format!("create {}", parent.display()), e))?;
    let mut beside = name.to_owned();
    beside.push(format!(".{id}.incomplete"));
    let beside = parent.join(beside);
    let made = make(&beside).and_then(|made| {
        rename_new(&beside, path)?;
        sync_dir(parent)?;
        Ok(made)
    });
    if made.is_err() {
        let _ = remove_dir(&beside);
    }
    made
}

/// Whether a path, of which something may not exist yet, is a folder or lies in it.
pub fn is_inside(path: &Path, folder: &Path) -> bool {
    let Ok(folder) = fs::canonicalize(folder) else { return false };
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.ancestors().find_map(|parent| fs::canonicalize(parent).ok()).is_some_and(|real| real.starts_with(folder))
}

/// Removes a folder with all in it; one that is not there is fine. Takes its time where it has many files.
pub fn remove_dir(path: &Path) -> Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
        && let Ok(entries) = fs::read_dir(path)
    {
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())) {
            // What stays is tried again below, where a failure is told.
            let _ = fs::remove_file(entry.path());
            pace::rest();
        }
    }
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(format!("remove {}", path.display()), e)),
        _ => Ok(()),
    }
}

/// Removes a file; one that is not there is fine.
pub fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(format!("remove {}", path.display()), e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder goes with its files, folders and links, and what a link points to stays; a link to a folder goes alone.
    #[test]
    fn removed_folders() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["kept", "gone/inner"] {
            fs::create_dir_all(at(name)).unwrap();
            fs::write(at(name).join("file"), name).unwrap();
        }
        fs::write(at("gone/file"), "gone").unwrap();
        std::os::unix::fs::symlink(at("kept"), at("gone/link")).unwrap();
        std::os::unix::fs::symlink(at("kept/file"), at("gone/inner/link")).unwrap();
        std::os::unix::fs::symlink(at("kept"), at("link")).unwrap();
        for name in ["gone", "link", "never"] {
            remove_dir(&at(name)).unwrap();
            assert!(fs::symlink_metadata(at(name)).is_err(), "{name}");
        }
        assert_eq!(fs::read(at("kept/file")).unwrap(), b"kept");
    }
}
