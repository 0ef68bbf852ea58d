//! A dataset going out: a checkpoint with its sync manifest.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::full_sync::is_unchanging;
use super::position::Position;
use super::sync_in::{Progress, Stage, Watch};
use crate::engine::directory::check_outside;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::failpoint::step;
use crate::engine::format::side::{
    History, MANIFEST_NAME, ManifestFile, SyncManifest, check_file_name, encode_manifest,
};
use crate::engine::generation::Store;
use crate::engine::instance::Instance;
use crate::engine::random::random_id;
use crate::engine::storage::{checkpoint, files};

/// A checkpoint that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The folder that holds it.
    pub path: PathBuf,
    /// The position of its data.
    pub position: Position,
    /// How many files it has, the sync manifest not counted.
    pub files: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

/// Makes a checkpoint in `path`, which must not exist yet. It appears there whole or not at all.
pub fn create(instance: &Instance, path: &Path, watch: &mut Watch<'_>) -> Result<Checkpoint> {
    let generation = instance.generation()?.clone();
    if instance.options().read_only {
        return Err(Error::new(
            ErrorKind::Unsupported,
            format!("checkpoint of {}: it is open read-only; open it for writing", instance.path().display()),
        ));
    }
    check_outside("checkpoint", path, instance.path())?;
    let mut checkpoint = files::make_whole("checkpoint", path, &random_id()?, |beside| {
        let checkpoint = fill(instance, &generation.store, beside, watch)?;
        step!("checkpoint::ready");
        Ok(checkpoint)
    })?;
    checkpoint.path = path.to_owned();
    Ok(checkpoint)
}

fn fill(instance: &Instance, store: &Arc<Store>, folder: &Path, watch: &mut Watch<'_>) -> Result<Checkpoint> {
    let linked = link(instance, store, folder, watch)?;
    watch.begin(Stage::Checksum, linked.files.len() as u64, linked.files.iter().map(|(_, size)| size).sum());
    let mut reader = files::PieceReader::new();
    let mut listed = Vec::with_capacity(linked.files.len());
    for (name, size) in &linked.files {
        listed.push(checksum(store, folder, name, *size, &mut reader, |bytes| watch.bytes(bytes))?);
        watch.file()?;
    }
    remember(store, &listed);
    let position = Position { replication_id: linked.history.current.clone(), sequence: linked.sequence };
    let made = Checkpoint {
        path: folder.to_owned(),
        position,
        files: listed.len() as u64,
        bytes: listed.iter().map(|file| file.size).sum(),
    };
    let manifest = encode_manifest(&linked.manifest(listed));
    files::replace_file(&folder.join(MANIFEST_NAME), &manifest)?;
    Ok(made)
}

/// A checkpoint of which no checksums are known yet.
pub struct LinkedFiles {
    pub sequence: u64,
    pub history: History,
    /// Names and sizes, in order.
    pub files: Vec<(String, u64)>,
}

impl LinkedFiles {
    /// Its sync manifest, with these checksums.
    pub fn manifest(&self, files: Vec<ManifestFile>) -> SyncManifest {
        SyncManifest { sequence: self.sequence, history: self.history.clone(), files }
    }
}

/// Fills a folder, which must not exist yet, with the files of a checkpoint. Blocks for a flush and for copies of the
/// files that are not linked; writers wait for the copies.
pub fn link(instance: &Instance, store: &Arc<Store>, folder: &Path, watch: &mut Watch<'_>) -> Result<LinkedFiles> {
    // What is flushed here need not be copied as WAL while writers wait.
    store.db.flush_memtables()?;
    watch.check()?;
    let (history, sequence) = {
        let guard = instance.lock()?;
        if !Arc::ptr_eq(&guard.generation.store, store) {
            return Err(Error::new(
                ErrorKind::Busy,
                "checkpoint: the dataset was replaced meanwhile; make the checkpoint again",
            ));
        }
        checkpoint::create(&store.db, folder)?;
        (store.history(), store.db.latest_sequence())
    };
    step!("checkpoint::created");
    let listed = |e| Error::io(format!("list {}", folder.display()), e);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(listed)? {
        let entry = entry.map_err(listed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        check_file_name(&name)?;
        files.push((name, entry.metadata().map_err(listed)?.len()));
    }
    files.sort();
    Ok(LinkedFiles { sequence, history, files })
}

/// The checksum of a file of a checkpoint. `on` hears how many bytes of it are done.
pub fn checksum(
    store: &Store,
    folder: &Path,
    name: &str,
    size: u64,
    reader: &mut files::PieceReader,
    mut on: impl FnMut(usize) -> Result<()>,
) -> Result<ManifestFile> {
    // What never changes was read for an earlier checkpoint, perhaps. Should it have rotted since, whoever takes it
    // finds out.
    let known = store.checksums.lock().get(name).filter(|known| known.size == size).cloned();
    if let Some(known) = known {
        on(size as usize)?;
        return Ok(known);
    }
    let mut crc = 0;
    reader.read(&folder.join(name), |piece| {
        crc = crc32c::crc32c_append(crc, piece);
        on(piece.len())
    })?;
    Ok(ManifestFile { name: name.to_owned(), size, crc32c: crc })
}

/// Keeps the checksums of the newest checkpoint's files that never change.
pub fn remember(store: &Store, files: &[ManifestFile]) {
    let unchanging = files.iter().filter(|file| is_unchanging(&file.name));
    *store.checksums.lock() = unchanging.map(|file| (file.name.clone(), file.clone())).collect();
}

impl Progress {
    /// From 0.0 to 1.0, by bytes.
    pub fn fraction(&self) -> f64 {
        if self.bytes == 0 { 1.0 } else { self.bytes_done as f64 / self.bytes as f64 }
    }
}
