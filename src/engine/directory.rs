//! The data directory: which generation is current, and what a crash may leave behind.
//!
//! ```text
//! <dir>/LOCK                        held while open
//! <dir>/db -> generations/000003    the commit point: replaced by one rename
//! <dir>/generations/000003/         RocksDB
//! <dir>/generations/000003.history  layout and replication ids of that generation
//! <dir>/generations/000003.kept     diverged from its primary: kept when it is not current any more
//! <dir>/generations/000004.incoming/  being received, with its sync manifest
//! <dir>/checkpoints/                being served; deleted at open
//! <dir>/state                       what this node is
//! <dir>/db.creating, db.adopting, db.next   links that wait to become db
//! ```

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::error::{Error, ErrorKind, Result};
use super::failpoint::step;
use super::format::side::{self, History, MANIFEST_NAME};
use super::format::state::{self, State};
use super::storage::dir_lock::{DirLock, RocksLock, check_unlocked};
use super::storage::files;

const SIDE_FILE_LIMIT: u64 = 64 << 20;

/// A locked data directory.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    _lock: DirLock,
}

/// Where the RocksDB of a directory is.
#[derive(Debug, PartialEq, Eq)]
pub enum Current {
    /// Generation `number`, named by the link.
    Generation(u64),
    /// `db` is a plain folder, as a Kvrocks keeps it, read where it is.
    Plain,
    /// Generation 1 is to be created: the folder is new and empty.
    New,
}

/// What stands at `<dir>/db`.
enum Entry {
    Link(PathBuf),
    Folder,
    Missing,
}

impl Directory {
    /// Locks a directory and finds its RocksDB. For writing, finishes what a crash left half done and adopts a
    /// plain `db` folder; read-only, changes nothing.
    /// `check` sees a plain folder before it is adopted, and may refuse it while nothing is changed.
    pub fn open(
        path: &Path,
        create: bool,
        read_only: bool,
        check: &dyn Fn(&Path) -> Result<()>,
    ) -> Result<(Directory, Current)> {
        let create = create && !read_only;
        check_place(path, create)?;
        if create {
            fs::create_dir_all(path).map_err(|e| Error::io(format!("create {}", path.display()), e))?;
        }
        let path = fs::canonicalize(path).map_err(|e| Error::io(format!("open {}", path.display()), e))?;
        let directory = Directory { _lock: DirLock::take(&path, read_only)?, path };
        let current = if read_only { directory.find()? } else { directory.recover(check)? };
        match current {
            Some(current) => Ok((directory, current)),
            None if create => {
                directory.begin_creation()?;
                Ok((directory, Current::New))
            }
            None => Err(nothing_here(&directory.path)),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The RocksDB folder of a generation.
    pub fn generation(&self, number: u64) -> PathBuf {
        self.path.join(generation_name(number))
    }

    /// The RocksDB folder that `current` means.
    pub fn folder(&self, current: &Current) -> PathBuf {
        match current {
            Current::Generation(number) => self.generation(*number),
            Current::New => self.generation(1),
            Current::Plain => self.path.join("db"),
        }
    }

    /// The folder in which generation `number` is received.
    pub fn incoming(&self, number: u64) -> PathBuf {
        self.generation(number).with_extension("incoming")
    }

    /// A number that no generation here has.
    pub fn next_number(&self) -> Result<u64> {
        Ok(self.numbers()?.last().copied().unwrap_or(0) + 1)
    }

    /// The number under which a dataset was being received when it broke off, or a new one.
    pub fn incoming_number(&self) -> Result<u64> {
        match self.numbers()?.into_iter().find(|&number| self.incoming(number).is_dir()) {
            Some(number) => Ok(number),
            None => self.next_number(),
        }
    }

    /// Reads `state`; `None` when there is none.
    pub fn state(&self) -> Result<Option<State>> {
        match files::read_file(&self.path.join("state"), SIDE_FILE_LIMIT)? {
            Some(bytes) => state::decode_state(&bytes).map(Some),
            None => Ok(None),
        }
    }

    /// Replaces `state`, durably.
    pub fn write_state(&self, state: &State) -> Result<()> {
        step!("state::write");
        files::replace_file(&self.path.join("state"), &state::encode_state(state))
    }

    /// The history of a generation; `None` when it is missing or unreadable, and then followers full-sync.
    pub fn history(&self, number: u64) -> Option<History> {
        let bytes = files::read_file(&self.history_path(number), SIDE_FILE_LIMIT).ok()??;
        side::decode_history(&bytes).ok()
    }

    /// Replaces the history of a generation, durably.
    pub fn write_history(&self, number: u64, history: &History) -> Result<()> {
        step!("history::write");
        files::replace_file(&self.history_path(number), &side::encode_history(history))
    }

    fn history_path(&self, number: u64) -> PathBuf {
        self.generation(number).with_extension("history")
    }

    /// The commit point: makes generation `number` the current one, durably.
    pub fn publish(&self, number: u64) -> Result<()> {
        let next = self.path.join("db.next");
        files::remove_file(&next)?;
        symlink(generation_name(number), &next).map_err(|e| Error::io(format!("link {}", next.display()), e))?;
        step!("publish::linked");
        fs::rename(&next, self.path.join("db")).map_err(|e| Error::io(format!("rename {}", next.display()), e))?;
        Ok(())
    }

    /// Makes the names in the directory survive a power cut.
    pub fn sync(&self) -> Result<()> {
        files::sync_dir(&self.path)
    }

    /// Makes the names of the generations survive a power cut.
    pub fn sync_generations(&self) -> Result<()> {
        files::sync_dir(&self.path.join("generations"))
    }

    /// Has a generation kept when it is not current any more, until it is discarded.
    pub fn keep(&self, number: u64) -> Result<()> {
        files::replace_file(&self.kept_path(number), b"")
    }

    /// Ends that.
    pub fn keep_no_more(&self, number: u64) -> Result<()> {
        files::remove_file(&self.kept_path(number))
    }

    /// Whether it stays when it is not current any more.
    pub fn is_kept(&self, number: u64) -> bool {
        self.kept_path(number).exists()
    }

    fn kept_path(&self, number: u64) -> PathBuf {
        self.generation(number).with_extension("kept")
    }

    /// Generations that are kept although they are not current, in order.
    pub fn kept(&self) -> Result<Vec<u64>> {
        Ok(self.numbers()?.into_iter().filter(|&number| self.is_kept(number) && !self.names(number)).collect())
    }

    /// Deletes a generation that is not current any more.
    pub fn remove_generation(&self, number: u64) -> Result<()> {
        remove_generation(&self.path, number)
    }

    /// Ends the creation begun at open: the link appears, and with it the directory is one of ours.
    pub fn finish_creation(&self) -> Result<()> {
        self.sync_generations()?;
        step!("create::ready");
        let waiting = self.path.join("db.creating");
        fs::rename(&waiting, self.path.join("db"))
            .map_err(|e| Error::io(format!("rename {}", waiting.display()), e))?;
        self.sync()
    }

    fn begin_creation(&self) -> Result<()> {
        let waiting = self.path.join("db.creating");
        let made = symlink(generation_name(1), &waiting)
            .and_then(|()| fs::create_dir_all(self.generation(1)))
            .map_err(|e| Error::io(format!("create {}", self.path.display()), e));
        made.and_then(|()| self.sync())
    }

    /// What is current, finishing or undoing what a crash left.
    fn recover(&self, check: &dyn Fn(&Path) -> Result<()>) -> Result<Option<Current>> {
        let db = self.path.join("db");
        match self.entry()? {
            Entry::Missing if is_link(&self.path.join("db.adopting")) => {
                // Killed between the two renames of an adoption: the folder is where the waiting link points.
                fs::rename(self.path.join("db.adopting"), &db).map_err(|e| Error::io("finish adoption", e))?;
                self.sync()?;
            }
            Entry::Missing if is_link(&self.path.join("db.creating")) => {
                // Killed while being created: nothing was ever acknowledged in it.
                self.remove_generation(1)?;
                files::remove_file(&self.path.join("state"))?;
                files::remove_file(&self.path.join("db.creating"))?;
            }
            Entry::Folder => self.adopt(check)?,
            _ => {}
        }
        let current = self.find()?;
        if let Some(Current::Generation(number)) = current {
            self.clean(number)?;
        }
        Ok(current)
    }

    /// What is current, changing nothing.
    fn find(&self) -> Result<Option<Current>> {
        match self.entry()? {
            Entry::Folder => {
                let folder = self.path.join("db");
                check_is_rocksdb(&folder)?;
                check_unlocked(&folder)?;
                Ok(Some(Current::Plain))
            }
            Entry::Link(target) => {
                let number = target.to_str().and_then(|t| t.strip_prefix("generations/")).and_then(parse_number);
                match number {
                    Some(number) if self.generation(number).join("CURRENT").exists() => {
                        check_unlocked(&self.generation(number))?;
                        Ok(Some(Current::Generation(number)))
                    }
                    Some(_) => Err(self.lost(&format!("db names {}, which is not there", target.display()))),
                    None => Err(Error::new(
                        ErrorKind::Unsupported,
                        format!(
                            "{}/db is a link to {}; expected a folder or a link into generations/: open the folder \
                             that holds the real db",
                            self.path.display(),
                            target.display()
                        ),
                    )),
                }
            }
            Entry::Missing if !self.numbers()?.is_empty() || self.path.join("state").exists() => {
                Err(self.lost("the link db is missing"))
            }
            Entry::Missing => Ok(None),
        }
    }

    /// Whether the link names that generation.
    pub fn names(&self, number: u64) -> bool {
        fs::read_link(self.path.join("db")).is_ok_and(|target| target == Path::new(&generation_name(number)))
    }

    fn lost(&self, what: &str) -> Error {
        let found: Vec<String> = self.numbers().unwrap_or_default().into_iter().map(generation_name).collect();
        let found = if found.is_empty() { "no generation".to_owned() } else { found.join(", ") };
        Error::new(
            ErrorKind::Corruption,
            format!(
                "{}: {what}, and {found} is here; nothing was changed. If this is a copy made without its link, \
                 make it again: ln -s generations/<number> db",
                self.path.display()
            ),
        )
    }

    fn entry(&self) -> Result<Entry> {
        let db = self.path.join("db");
        match fs::symlink_metadata(&db) {
            Ok(found) if found.is_symlink() => {
                fs::read_link(&db).map(Entry::Link).map_err(|e| Error::io(format!("read {}", db.display()), e))
            }
            Ok(found) if found.is_dir() => Ok(Entry::Folder),
            Ok(_) => Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("{} is a file; expected a folder with a RocksDB in it", db.display()),
            )),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Entry::Missing),
            Err(e) => Err(Error::io(format!("open {}", db.display()), e)),
        }
    }

    /// Makes the plain folder `db` a generation, and `db` the link to it, in one step where the file system can.
    fn adopt(&self, check: &dyn Fn(&Path) -> Result<()>) -> Result<()> {
        let db = self.path.join("db");
        check_is_rocksdb(&db)?;
        let held = RocksLock::take(&db)?;
        check(&db)?;
        // A waiting link of an adoption that was cut short has the name of a generation.
        for number in self.numbers()? {
            if is_link(&self.generation(number)) {
                files::remove_file(&self.generation(number))?;
            }
        }
        let number = self.next_number()?;
        let (folder, link) = (self.generation(number), generation_name(number));
        fs::create_dir_all(self.path.join("generations"))
            .and_then(|()| symlink(&link, &folder))
            .map_err(|e| Error::io(format!("link {}", folder.display()), e))?;
        step!("adopt::linked");
        let exchanged = cannot_exchange().and_then(|()| files::exchange(&db, &folder)).unwrap_or(false);
        if !exchanged {
            let waiting = self.path.join("db.adopting");
            // One may be left of an adoption that was cut short here.
            files::remove_file(&waiting)?;
            let moved = fs::remove_file(&folder).and_then(|()| symlink(&link, &waiting));
            if let Err(e) = moved.and_then(|()| adopt_step()).and_then(|()| fs::rename(&db, &folder)) {
                let _ = files::remove_file(&waiting);
                return Err(Error::io(format!("adopt {}", db.display()), e));
            }
            step!("adopt::moved");
            fs::rename(&waiting, &db).map_err(|e| Error::io(format!("adopt {}", db.display()), e))?;
        }
        self.sync_generations()?;
        self.sync()?;
        step!("adopt::done");
        drop(held);
        // The lock file was made, if it was, under the folder's old name.
        Ok(())
    }

    /// Deletes what is neither current nor needed: other generations, half received ones, waiting links.
    fn clean(&self, current: u64) -> Result<()> {
        for waiting in ["db.next", "db.creating", "db.adopting", "state.tmp"] {
            files::remove_file(&self.path.join(waiting))?;
        }
        files::remove_file(&self.generation(current).with_extension("tmp"))?;
        // It was about to be replaced, and was not.
        files::remove_file(&self.kept_path(current))?;
        let follows = self.state().is_ok_and(|state| state.is_some_and(|state| state.goal().link.is_some()));
        for number in self.numbers()? {
            // What was being received with a sync manifest goes on where it ended: every byte of it is checked then.
            let resumes =
                follows && self.incoming(number).join(MANIFEST_NAME).exists() && !self.generation(number).exists();
            if number != current && !resumes && !self.is_kept(number) {
                self.remove_generation(number)?;
            }
        }
        files::remove_dir(&self.path.join("checkpoints"))
    }

    /// Numbers of everything under `generations/` that is a generation, or part of one, in order.
    fn numbers(&self) -> Result<Vec<u64>> {
        let folder = self.path.join("generations");
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io(format!("list {}", folder.display()), e)),
        };
        let mut numbers = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|e| Error::io(format!("list {}", folder.display()), e))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let stem = ["incoming", "history", "kept", "tmp"]
                .iter()
                .find_map(|kind| name.strip_suffix(kind)?.strip_suffix('.'))
                .unwrap_or(&name);
            numbers.extend(parse_number(stem));
        }
        numbers.sort_unstable();
        numbers.dedup();
        Ok(numbers)
    }
}

/// Makes `db` a plain folder again and removes everything that is ours, so that the directory is a Kvrocks' own.
/// Fails with Busy while it is open anywhere, and with InvalidArgument while it keeps data that was given up
/// ([`crate::Engine::discard`]). Read back with [`crate::Engine::open`], it is adopted anew.
pub fn release(path: &Path) -> Result<()> {
    super::failpoint::arm();
    check_place(path, false)?;
    let directory = Directory { _lock: DirLock::take(path, false)?, path: path.to_owned() };
    match directory.entry()? {
        Entry::Folder => check_is_rocksdb(&path.join("db"))?,
        _ => match directory.recover(&|_| Ok(()))? {
            Some(Current::Generation(number)) => {
                if let Some(kept) = directory.kept()?.into_iter().find(|&kept| kept != number) {
                    let kept = directory.generation(kept);
                    let message = format!(
                        "release {}: {} holds data that was given up when this engine had diverged; open it and discard(), or \
                         move that folder and the .kept file beside it elsewhere",
                        path.display(),
                        kept.display()
                    );
                    return Err(Error::new(ErrorKind::InvalidArgument, message));
                }
                let (db, folder) = (path.join("db"), directory.generation(number));
                let _held = RocksLock::take(&folder)?;
                step!("release::begin");
                let exchanged = cannot_exchange().and_then(|()| files::exchange(&db, &folder)).unwrap_or(false);
                if !exchanged {
                    fs::rename(&db, path.join("db.adopting"))
                        .and_then(|()| fs::rename(&folder, &db))
                        .map_err(|e| Error::io(format!("release {}", path.display()), e))?;
                }
                directory.sync()?;
                step!("release::moved");
            }
            Some(_) => {}
            None => return Err(nothing_here(path)),
        },
    }
    for waiting in ["db.adopting", "db.next", "db.creating", "state.tmp", "state"] {
        files::remove_file(&path.join(waiting))?;
    }
    files::remove_dir(&path.join("generations"))?;
    files::remove_dir(&path.join("checkpoints"))?;
    files::remove_file(&path.join("LOCK"))?;
    directory.sync()
}

/// Refuses to make something for a user where a data directory keeps files of its own, with which it would go.
pub fn check_outside(what: &str, path: &Path, directory: &Path) -> Result<()> {
    if ["generations", "checkpoints"].iter().all(|own| !files::is_inside(path, &directory.join(own))) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!(
            "{what} {}: it would lie where {} keeps its own files, and go with them; name a folder elsewhere",
            path.display(),
            directory.display()
        ),
    ))
}

/// Deletes a generation's folder, what was being received for it, and its history.
pub fn remove_generation(directory: &Path, number: u64) -> Result<()> {
    let folder = directory.join(generation_name(number));
    if is_link(&folder) {
        files::remove_file(&folder)?;
    }
    files::remove_dir(&folder)?;
    files::remove_dir(&folder.with_extension("incoming"))?;
    files::remove_file(&folder.with_extension("tmp"))?;
    files::remove_file(&folder.with_extension("history"))?;
    files::remove_file(&folder.with_extension("kept"))
}

fn generation_name(number: u64) -> String {
    format!("generations/{number:06}")
}

fn parse_number(name: &str) -> Option<u64> {
    (name.len() >= 6 && name.bytes().all(|b| b.is_ascii_digit())).then(|| name.parse().ok()).flatten()
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

/// The moment between the waiting link and the renames of an adoption.
fn adopt_step() -> std::io::Result<()> {
    let step = || -> Result<()> {
        step!("adopt::waiting");
        Ok(())
    };
    step().map_err(std::io::Error::other)
}

/// Stands for a file system that cannot exchange two names.
fn cannot_exchange() -> Result<()> {
    step!("exchange");
    Ok(())
}

/// Refuses, before anything is made there, a path that cannot be a data directory.
fn check_place(path: &Path, create: bool) -> Result<()> {
    if path.as_os_str().is_empty() {
        let message = "path: got an empty one, expected the folder that holds db/; . is the current one";
        return Err(Error::new(ErrorKind::InvalidArgument, message));
    }
    match fs::metadata(path) {
        Ok(found) if !found.is_dir() => Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("{} is a file; expected the folder that holds db/", path.display()),
        )),
        Ok(_) if path.join("CURRENT").exists() => Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "{} is a RocksDB folder itself; give the folder that holds it under the name db, or \
                 apply_checkpoint() it to an engine",
                path.display()
            ),
        )),
        Ok(_) => {
            let ours = ["db", "generations", "state", "db.adopting", "db.creating"];
            if create || ours.iter().any(|name| fs::symlink_metadata(path.join(name)).is_ok()) {
                return Ok(());
            }
            Err(nothing_here(path))
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            if create {
                return Ok(());
            }
            Err(nothing_here(path))
        }
        Err(e) => Err(Error::io(format!("open {}", path.display()), e)),
    }
}

fn check_is_rocksdb(folder: &Path) -> Result<()> {
    if folder.join("CURRENT").exists() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!("{} is not a RocksDB: it has no CURRENT file; remove it or open another directory", folder.display()),
    ))
}

fn nothing_here(path: &Path) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("{} holds no database, and none was to be created; give the folder that holds db/", path.display()),
    )
}
