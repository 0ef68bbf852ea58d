//! The same RocksDB without Pumice: opened with the options that Pumice wrote beside the data, and brought to another
//! dataset as a Kvrocks does it (storage.cc RestoreFromCheckpoint): answer LOADING, close, rename, open.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use rocksdb::{Cache, ColumnFamily, DB, DBPinnableSlice, Env, Options};

use super::Failure;

/// The family that holds a record for every key.
pub const METADATA: &str = "metadata";

/// Opens a RocksDB folder with the options that its OPTIONS file names. `cache` is the block cache.
pub fn open(path: &Path, cache: &Cache) -> Result<DB, Failure> {
    let (options, families) = Options::load_latest(path, Env::new()?, true, cache.clone())?;
    Ok(DB::open_cf_descriptors(&options, path, families)?)
}

/// The family of all keys.
pub fn metadata(db: &DB) -> &ColumnFamily {
    db.cf_handle(METADATA).expect("every dataset has it")
}

/// A user key as it is stored.
pub fn stored_key(out: &mut Vec<u8>, namespace: &[u8], key: &[u8]) {
    out.clear();
    out.push(namespace.len() as u8);
    out.extend_from_slice(namespace);
    out.extend_from_slice(key);
}

/// The string in a stored value: flags and a wide expiry stand before it.
pub fn string(record: &[u8]) -> &[u8] {
    &record[9..]
}

/// A served dataset that is replaced by close, rename and open.
pub struct Served {
    loading: AtomicBool,
    db: RwLock<Option<DB>>,
    path: PathBuf,
    cache: Cache,
}

impl Served {
    /// Serves the dataset of a checkpoint from `<dir>/db`.
    pub fn start(dir: &Path, checkpoint: &Path, cache: Cache) -> Result<Served, Failure> {
        let path = dir.join("db");
        bring(checkpoint, &path)?;
        let db = open(&path, &cache)?;
        Ok(Served { loading: AtomicBool::new(false), db: RwLock::new(Some(db)), path, cache })
    }

    /// One read; `None` while it is LOADING.
    pub fn read<R>(&self, key: &[u8], with: impl FnOnce(Option<DBPinnableSlice<'_>>) -> R) -> Option<R> {
        if self.loading.load(Ordering::Acquire) {
            return None;
        }
        let db = self.db.read();
        let db = db.as_ref()?;
        Some(with(db.get_pinned_cf(metadata(db), key).ok()?))
    }

    /// Names of the namespaces, read from the stored registry; `None` while it is LOADING.
    pub fn namespaces(&self) -> Option<usize> {
        if self.loading.load(Ordering::Acquire) {
            return None;
        }
        let db = self.db.read();
        let db = db.as_ref()?;
        let stored = db.get_pinned_cf(db.cf_handle("propagate")?, "__namespace_keys__").ok()??;
        let registry: serde_json::Value = serde_json::from_slice(&stored).ok()?;
        Some(registry.as_object()?.len() + 1)
    }

    /// Replaces the dataset with that of a checkpoint, whose files are neither compared nor synced.
    pub fn replace(&self, checkpoint: &Path) -> Result<(), Failure> {
        let incoming = self.path.with_extension("incoming");
        let before = self.path.with_extension("before");
        bring(checkpoint, &incoming)?;
        self.loading.store(true, Ordering::Release);
        {
            let mut db = self.db.write();
            *db = None;
            std::fs::rename(&self.path, &before)?;
            std::fs::rename(&incoming, &self.path)?;
            *db = Some(open(&self.path, &self.cache)?);
        }
        self.loading.store(false, Ordering::Release);
        std::fs::remove_dir_all(&before)?;
        Ok(())
    }
}

/// Links the files that never change, and copies the others.
pub fn bring(from: &Path, to: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let source = entry?.path();
        let target = to.join(source.file_name().expect("an entry has a name"));
        if source.extension().is_some_and(|extension| extension == "sst") {
            std::fs::hard_link(&source, &target)?;
        } else if source.is_file() {
            std::fs::copy(&source, &target)?;
        }
    }
    Ok(())
}
