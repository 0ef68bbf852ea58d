//! The same RocksDB without Pumice: opened with the same options, and brought to another
//! dataset as a Kvrocks does it (storage.cc RestoreFromCheckpoint): answer LOADING, close, rename, open.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::RwLock;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBPinnableSlice, DataBlockIndexType, Options,
};

use super::Failure;

/// The family that holds a record for every key.
pub const METADATA: &str = "metadata";

/// Opens a RocksDB folder with the options that Pumice has. They are repeated here, since Pumice shows them to nobody
/// and the OPTIONS file forgets the filter.
pub fn open(path: &Path, cache: &Cache) -> Result<DB, Failure> {
    let mut options = Options::default();
    options.set_max_total_wal_size(512 << 20);
    options.set_wal_ttl_seconds(3 * 60 * 60);
    options.set_wal_size_limit_mb(1024);
    options.set_max_background_jobs(2);
    options.set_stats_dump_period_sec(0);
    let families = ["default", METADATA, "zset_score", "pubsub", "propagate", "stream", "search"];
    let families = families.map(|name| ColumnFamilyDescriptor::new(name, family(name, cache)));
    Ok(DB::open_cf_descriptors(&options, path, families)?)
}

fn family(name: &str, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_format_version(5);
    table.set_bloom_filter(10.0, false);
    table.set_optimize_filters_for_memory(true);
    table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
    table.set_data_block_hash_ratio(0.3);
    table.set_block_restart_interval(4);
    table.set_block_size(16 * 1024);
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);
    table.set_cache_index_and_filter_blocks_with_high_priority(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);

    let mut family = Options::default();
    family.set_block_based_table_factory(&table);
    family.set_num_levels(7);
    family.set_level_compaction_dynamic_level_bytes(false);
    family.set_write_buffer_size(16 << 20);
    family.set_compression_type(rocksdb::DBCompressionType::None);
    if matches!(name, METADATA | "default") {
        family.set_memtable_prefix_bloom_ratio(0.02);
    }
    family.set_memtable_whole_key_filtering(true);
    family
}

/// A block cache as Pumice has it.
pub fn cache(bytes: usize) -> Cache {
    Cache::new_hyper_clock_cache(bytes, 0)
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
