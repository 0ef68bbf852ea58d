//! A dataset going out: a checkpoint with its sync manifest.

use std::fs;
use std::path::{Path, PathBuf};

use super::full_sync::is_unchanging;
use super::position::Position;
use super::sync_in::{Progress, Stage, Watch};
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::failpoint::step;
use crate::engine::format::side::{MANIFEST_NAME, ManifestFile, SyncManifest, check_file_name, encode_manifest};
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
    let mut checkpoint = files::make_whole("checkpoint", path, &random_id()?, |beside| {
        let checkpoint = fill(instance, &generation.store, beside, watch)?;
        step!("checkpoint::ready");
        Ok(checkpoint)
    })?;
    checkpoint.path = path.to_owned();
    Ok(checkpoint)
}

fn fill(
    instance: &Instance,
    store: &std::sync::Arc<crate::engine::generation::Store>,
    folder: &Path,
    watch: &mut Watch<'_>,
) -> Result<Checkpoint> {
    // What is flushed here need not be copied as WAL while writers wait.
    store.db.flush_memtables()?;
    watch.check()?;
    let (history, sequence) = {
        let guard = instance.lock()?;
        if !std::sync::Arc::ptr_eq(&guard.generation.store, store) {
            return Err(Error::new(
                ErrorKind::Busy,
                "checkpoint: the dataset was replaced meanwhile; make the checkpoint again",
            ));
        }
        checkpoint::create(&store.db, folder)?;
        (store.history(), store.db.latest_sequence())
    };
    step!("checkpoint::created");

    let mut names = Vec::new();
    let listed = |e| Error::io(format!("list {}", folder.display()), e);
    for entry in fs::read_dir(folder).map_err(listed)? {
        let name = entry.map_err(listed)?.file_name().to_string_lossy().into_owned();
        check_file_name(&name)?;
        names.push(name);
    }
    names.sort();
    let sizes: Vec<u64> = names
        .iter()
        .map(|name| fs::metadata(folder.join(name)).map(|found| found.len()).map_err(listed))
        .collect::<Result<_>>()?;
    watch.begin(Stage::Checksum, names.len() as u64, sizes.iter().sum());
    let mut listed = Vec::with_capacity(names.len());
    let mut reader = files::PieceReader::new();
    let checksums = store.checksums.lock().clone();
    for (name, size) in names.into_iter().zip(sizes) {
        // What never changes was read for an earlier checkpoint, perhaps. Should it have rotted since, whoever takes it
        // finds out.
        let known = checksums.get(&name).filter(|known| known.size == size).map(|known| known.crc32c);
        let mut crc = known.unwrap_or(0);
        if known.is_none() {
            reader.read(&folder.join(&name), |piece| {
                crc = crc32c::crc32c_append(crc, piece);
                watch.bytes(piece.len())
            })?;
        } else {
            watch.bytes(size as usize)?;
        }
        watch.file()?;
        listed.push(ManifestFile { name, size, crc32c: crc });
    }
    let unchanging = listed.iter().filter(|file| is_unchanging(&file.name));
    *store.checksums.lock() = unchanging.map(|file| (file.name.clone(), file.clone())).collect();
    let position = Position { replication_id: history.current.clone(), sequence };
    let made = Checkpoint {
        path: folder.to_owned(),
        position,
        files: listed.len() as u64,
        bytes: listed.iter().map(|file| file.size).sum(),
    };
    let manifest = encode_manifest(&SyncManifest { sequence, history, files: listed });
    files::replace_file(&folder.join(MANIFEST_NAME), &manifest)?;
    Ok(made)
}

impl Progress {
    /// From 0.0 to 1.0, by bytes.
    pub fn fraction(&self) -> f64 {
        if self.bytes == 0 { 1.0 } else { self.bytes_done as f64 / self.bytes as f64 }
    }
}
