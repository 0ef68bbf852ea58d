//! Files and folders, made durable in the order in which they are used.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

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

/// Goes through a file piece by piece: `piece` sees its bytes in order and may end it with an error.
pub fn read_pieces(path: &Path, mut piece: impl FnMut(&[u8]) -> Result<()>) -> Result<u64> {
    let failed = |e| Error::io(format!("read {}", path.display()), e);
    let mut file = File::open(path).map_err(failed)?;
    let mut buffer = vec![0; 256 << 10];
    let mut total = 0;
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            return Ok(total);
        }
        total += read as u64;
        piece(&buffer[..read])?;
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

/// Removes a folder with all in it; one that is not there is fine.
pub fn remove_dir(path: &Path) -> Result<()> {
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
