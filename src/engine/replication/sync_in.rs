//! A dataset coming in: from a local folder to the current generation, atomically.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::engine::directory::Directory;
use crate::engine::error::{Error, ErrorKind, Result, shown};
use crate::engine::failpoint::step;
use crate::engine::format::side::{MANIFEST_NAME, ManifestFile, SyncManifest, check_file_name, decode_manifest};
use crate::engine::format::state::Role;
use crate::engine::generation::{Generation, Store, sniff_layout};
use crate::engine::instance::Instance;
use crate::engine::storage::dir_lock::RocksLock;
use crate::engine::storage::{files, pace, tables};

/// What a long call is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// Files are linked or copied, and compared with the sync manifest.
    Receive = 1,
    /// The new generation is opened beside the living one.
    Open = 2,
    /// The new generation becomes the current one.
    Publish = 3,
    /// Files of a new checkpoint are read for their checksums.
    Checksum = 4,
    /// Records are brought into the other key layout.
    Convert = 5,
    /// Records are counted.
    Count = 6,
}

impl Stage {
    /// Its name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Receive => "receive",
            Stage::Open => "open",
            Stage::Publish => "publish",
            Stage::Checksum => "checksum",
            Stage::Convert => "convert",
            Stage::Count => "count",
        }
    }
}

/// How far a long call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing.
    pub stage: Stage,
    /// Files done in this stage.
    pub files_done: u64,
    /// Files in all.
    pub files: u64,
    /// Bytes done in this stage.
    pub bytes_done: u64,
    /// Bytes in all; an estimate, never below what is done, where records are gone through.
    pub bytes: u64,
}

/// Tells a caller of the progress, and hears whether to go on.
pub struct Watch<'a> {
    instance: &'a Instance,
    progress: Progress,
    told: u64,
    tell: &'a mut dyn FnMut(&Progress) -> ControlFlow<()>,
}

impl<'a> Watch<'a> {
    pub fn new(instance: &'a Instance, tell: &'a mut dyn FnMut(&Progress) -> ControlFlow<()>) -> Watch<'a> {
        let progress = Progress { stage: Stage::Receive, files_done: 0, files: 0, bytes_done: 0, bytes: 0 };
        Watch { instance, progress, told: 0, tell }
    }

    pub fn begin(&mut self, stage: Stage, files: u64, bytes: u64) {
        self.progress = Progress { stage, files_done: 0, files, bytes_done: 0, bytes };
        self.told = 0;
    }

    pub fn bytes(&mut self, bytes: usize) -> Result<()> {
        const STEP: u64 = 4 << 20;
        self.progress.bytes_done += bytes as u64;
        self.progress.bytes = self.progress.bytes.max(self.progress.bytes_done);
        if self.progress.bytes_done - self.told < STEP {
            return Ok(());
        }
        self.told = self.progress.bytes_done;
        self.check()
    }

    pub fn file(&mut self) -> Result<()> {
        self.progress.files_done += 1;
        self.check()
    }

    pub fn check(&mut self) -> Result<()> {
        match (self.tell)(&self.progress) {
            // A close does not wait for the end of it.
            ControlFlow::Continue(()) => self.instance.generation().map(drop),
            ControlFlow::Break(()) => Err(Error::new(
                ErrorKind::Busy,
                format!("cancelled by the caller in stage {}; nothing was changed", self.progress.stage.name()),
            )),
        }
    }
}

/// Replaces the dataset of an instance, namespaces included, with the one in `source`.
pub fn apply(instance: &Instance, source: &Path, verify: bool, watch: &mut Watch<'_>) -> Result<()> {
    instance.generation()?;
    let _applying = instance.begin_apply()?;
    let directory = {
        let guard = instance.lock()?;
        guard.check_changeable()?;
        guard.directory()?
    };
    let number = directory.next_number()?;
    let applied = receive(&directory, number, source, watch)
        .and_then(|manifest| install(instance, &directory, number, manifest, verify, None, watch));
    clean_up(applied, &directory, number).map(drop)
}

/// The link that received a dataset.
#[derive(Clone, Copy)]
pub struct Linked {
    /// The wish under which it runs.
    pub wish: u64,
    /// Whether the old dataset has entries that the new one does not have.
    pub diverged: bool,
}

/// Makes `generations/N`, whose files are there, durable and checked, the current generation. Gives whether the former one
/// is kept.
pub fn install(
    instance: &Instance,
    directory: &Arc<Directory>,
    number: u64,
    manifest: Option<SyncManifest>,
    verify: bool,
    linked: Option<Linked>,
    watch: &mut Watch<'_>,
) -> Result<bool> {
    let next = open(instance, directory, number, manifest, verify, watch)?;
    watch.begin(Stage::Publish, 0, 0);
    watch.check()?;
    let mut guard = instance.lock()?;
    guard.check_changeable()?;
    linked.map_or(Ok(()), |linked| guard.check_wish(linked.wish))?;
    if guard.role() == Role::Primary {
        guard.begin_history(&next)?;
    }
    // Who is ahead of its primary has entries that the primary does not have.
    let ahead = guard.generation.store.db.latest_sequence() > next.db.latest_sequence();
    let kept = linked.is_some_and(|linked| linked.diverged || ahead) && has_data(&guard.generation)?;
    let next = Generation::of(Arc::new(next))?;
    step!("apply::opened");
    guard.swap(next, kept).map(|()| kept)
}

/// Whether there is a key or a namespace: what is written before that is the engine's own.
fn has_data(generation: &Generation) -> Result<bool> {
    Ok(!generation.registry.is_empty() || sniff_layout(&generation.store.db)?.is_some())
}

/// Deletes what a failed install leaves. After the link was renamed the generation is current, whatever went wrong
/// behind that.
pub fn clean_up<T>(installed: Result<T>, directory: &Directory, number: u64) -> Result<T> {
    if installed.is_err() && !directory.names(number) {
        let _ = directory.remove_generation(number);
    }
    installed
}

/// Brings all files of the source into `generations/N`, durable and checked.
fn receive(directory: &Directory, number: u64, source: &Path, watch: &mut Watch<'_>) -> Result<Option<SyncManifest>> {
    let found = fs::metadata(source).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => {
            Error::new(ErrorKind::NotFound, format!("checkpoint {}: there is no such folder", source.display()))
        }
        _ => Error::io(format!("open checkpoint {}", source.display()), e),
    })?;
    if !found.is_dir() || !source.join("CURRENT").exists() {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "checkpoint {}: it has no CURRENT file; expected a folder made by create_checkpoint, or the backup \
                 or db folder of a Kvrocks",
                source.display()
            ),
        ));
    }
    let _held = RocksLock::take(source)?;
    let manifest = files::read_file(&source.join(MANIFEST_NAME), MANIFEST_LIMIT)?
        .map(|bytes| decode_manifest(&bytes))
        .transpose()
        .map_err(|e| e.context(format!("checkpoint {}", source.display())))?;
    let list = list(source, manifest.as_ref())?;
    step!("apply::listed");

    let incoming = directory.incoming(number);
    files::remove_dir(&incoming)?;
    fs::create_dir_all(&incoming).map_err(|e| Error::io(format!("create {}", incoming.display()), e))?;
    watch.begin(Stage::Receive, list.len() as u64, list.iter().map(|(_, size)| size).sum());
    let mut reader = files::PieceReader::new();
    for (index, (name, size)) in list.iter().enumerate() {
        let expected = manifest.as_ref().map(|manifest| &manifest.files[index]);
        receive_file(&source.join(name), &incoming.join(name), *size, expected, &mut reader, watch)?;
        watch.file()?;
        some_received()?;
        pace::rest();
    }
    let received: Vec<PathBuf> = list.iter().map(|(name, _)| incoming.join(name)).collect();
    complete(directory, number, &received, watch)?;
    Ok(manifest)
}

/// Makes received files durable, and their folder `generations/N`.
pub fn complete(directory: &Directory, number: u64, received: &[PathBuf], watch: &mut Watch<'_>) -> Result<()> {
    step!("apply::received");
    let incoming = directory.incoming(number);
    files::sync_files(received, || watch.check())?;
    // Of a full sync, which would go on here after a restart.
    files::remove_file(&incoming.join(MANIFEST_NAME))?;
    files::sync_dir(&incoming)?;
    let folder = directory.generation(number);
    fs::rename(&incoming, &folder).map_err(|e| Error::io(format!("rename {}", incoming.display()), e))?;
    directory.sync_generations()?;
    step!("apply::renamed");
    Ok(())
}

const MANIFEST_LIMIT: u64 = 64 << 20;

/// Names and sizes of what to bring, in the order of the manifest where there is one.
fn list(source: &Path, manifest: Option<&SyncManifest>) -> Result<Vec<(String, u64)>> {
    let failed = |e| Error::io(format!("list {}", source.display()), e);
    let mut found = Vec::new();
    for entry in fs::read_dir(source).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        // RocksDB's lock, its text logs and the archive of old WALs are not part of a dataset.
        let Some(name) = name.to_str().filter(|name| check_file_name(name).is_ok()) else { continue };
        let kind = entry.file_type().map_err(failed)?;
        if !kind.is_file() {
            return Err(Error::new(
                ErrorKind::Corruption,
                format!("checkpoint {}: {} is not a regular file", source.display(), shown(name.as_bytes())),
            ));
        }
        found.push((name.to_owned(), entry.metadata().map_err(failed)?.len()));
        pace::rest();
    }
    let Some(manifest) = manifest else {
        found.sort();
        return Ok(found);
    };
    let mut found: HashMap<String, u64> = found.into_iter().collect();
    let mut list = Vec::with_capacity(manifest.files.len());
    for file in &manifest.files {
        match found.remove(&file.name) {
            Some(size) if size == file.size => list.push((file.name.clone(), size)),
            Some(size) => {
                return Err(Error::new(
                    ErrorKind::Corruption,
                    format!(
                        "checkpoint {}: file {}: got {size} bytes, expected {}",
                        source.display(),
                        file.name,
                        file.size
                    ),
                ));
            }
            None => {
                return Err(Error::new(
                    ErrorKind::Corruption,
                    format!("checkpoint {}: file {} is missing", source.display(), file.name),
                ));
            }
        }
    }
    if let Some(extra) = found.keys().next() {
        return Err(Error::new(
            ErrorKind::Corruption,
            format!("checkpoint {}: file {extra} is not in its sync manifest", source.display()),
        ));
    }
    Ok(list)
}

/// Links a file that never changes, or copies one, and compares it with the manifest.
fn receive_file(
    source: &Path,
    target: &Path,
    size: u64,
    expected: Option<&ManifestFile>,
    reader: &mut files::PieceReader,
    watch: &mut Watch<'_>,
) -> Result<()> {
    let unchanging = source.extension().is_some_and(|extension| extension == "sst" || extension == "blob");
    let linked = unchanging && fs::hard_link(source, target).is_ok();
    let mut crc = 0;
    if linked {
        if expected.is_some() {
            reader.read(target, |piece| {
                crc = crc32c::crc32c_append(crc, piece);
                watch.bytes(piece.len())
            })?;
        } else {
            watch.bytes(size as usize)?;
        }
    } else {
        let failed = |e| Error::io(format!("write {}", target.display()), e);
        let mut copy: File = OpenOptions::new().write(true).create_new(true).open(target).map_err(failed)?;
        reader.read(source, |piece| {
            crc = crc32c::crc32c_append(crc, piece);
            copy.write_all(piece).map_err(failed)?;
            watch.bytes(piece.len())
        })?;
    }
    match expected {
        Some(expected) if expected.crc32c != crc => Err(Error::new(
            ErrorKind::Corruption,
            format!("checkpoint file {}: got crc32c {crc:08x}, expected {:08x}", source.display(), expected.crc32c),
        )),
        _ => Ok(()),
    }
}

fn some_received() -> Result<()> {
    step!("apply::some");
    Ok(())
}

/// Opens the received generation beside the living one, and checks that it is what was promised.
fn open(
    instance: &Instance,
    directory: &Arc<Directory>,
    number: u64,
    manifest: Option<SyncManifest>,
    verify: bool,
    watch: &mut Watch<'_>,
) -> Result<Store> {
    watch.begin(Stage::Open, 0, 0);
    watch.check()?;
    let folder: PathBuf = directory.generation(number);
    let db = instance.open_db(directory, &folder, false, true)?;
    watch.begin(Stage::Open, db.table_files().0, 0);
    tables::open(&db, || watch.file())?;
    if let Some(manifest) = &manifest
        && db.latest_sequence() != manifest.sequence
    {
        return Err(Error::new(
            ErrorKind::Corruption,
            format!(
                "checkpoint: got sequence {} after opening it, expected {} as its manifest says",
                db.latest_sequence(),
                manifest.sequence
            ),
        ));
    }
    if verify {
        db.verify_checksums()?;
    }
    watch.check()?;
    // An engine without a key has no layout of its own unless it was opened with one.
    let living = instance.generation()?.store.clone();
    let layout = match (instance.options().cluster, sniff_layout(&living.db)?) {
        (None, None) => None,
        _ => Some(living.layout),
    };
    let store = Store::new(number, db, manifest.map(|manifest| manifest.history), layout, living.layout)?;
    directory.write_history(number, &store.history())?;
    Ok(store)
}
