//! A checkpoint of one RocksDB: hard links of its SST files, copies of the rest.

use std::path::Path;

use super::db::{Db, storage_error};
use crate::engine::error::Result;

/// Makes a checkpoint in `path`, which must not exist. Flushes nothing: the live WAL is copied into it, so
/// call [`Db::flush_memtables`] first, and hold writers off to know its sequence.
pub fn create(db: &Db, path: &Path) -> Result<()> {
    rocksdb::checkpoint::Checkpoint::new(db.rocks())
        .and_then(|checkpoint| checkpoint.create_checkpoint_with_log_size(path, u64::MAX))
        .map_err(|e| storage_error(&format!("create checkpoint {}", path.display()), e.into_string()))
}
