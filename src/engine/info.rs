//! Figures of an engine.

use std::path::PathBuf;
use std::time::Duration;

use super::error::Result;
use super::format::state::Role;
use super::replication::node::Node;
use super::replication::position::Position;
use super::storage::wal::oldest_sequence;

/// Figures of one moment. Sizes are bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Info {
    /// The data directory.
    pub path: PathBuf,
    /// What this engine is.
    pub role: Role,
    /// Where its data is.
    pub position: Position,
    /// `standalone` or `cluster`.
    pub layout: &'static str,
    /// The number of the current generation, 0 for a plain `db` folder read in place.
    pub generation: u64,
    /// Registered namespaces, the default one not counted.
    pub namespaces: u64,
    /// Why writes are refused, where they are refused whatever the role.
    pub refuses_writes: Option<String>,
    /// RocksDB's estimate of the records in all column families.
    pub records_estimate: u64,
    /// Number of SST files.
    pub table_files: u64,
    /// Size of the SST files.
    pub table_bytes: u64,
    /// Size of the blob files.
    pub blob_bytes: u64,
    /// The first sequence that the replication log still has, 0 when it has none.
    pub oldest_sequence: u64,
    /// What cache and write buffers may take together.
    pub memory_budget: u64,
    /// What the block cache takes, write buffers included.
    pub cache_bytes: u64,
    /// What write buffers take.
    pub write_buffer_bytes: u64,
    /// What table readers take outside the cache.
    pub table_reader_bytes: u64,
    /// Open snapshots.
    pub snapshots: u64,
    /// Replicas that are fed.
    pub feeds: u64,
    /// How many sequences the primary was ahead when it last told; `None` where nobody is followed or it did not tell.
    pub lag_sequences: Option<u64>,
    /// How long ago this replica last had everything, zero when it has; `None` where nobody is followed or it never had.
    pub lag: Option<Duration>,
}

impl Info {
    pub(super) fn of(node: &Node) -> Result<Info> {
        let instance = &node.instance;
        let link = node.link.status()?;
        let guard = instance.lock()?;
        let generation = guard.generation.clone();
        let store = &generation.store;
        let position = Position { replication_id: store.replication_id(), sequence: store.db.latest_sequence() };
        let role = guard.role();
        drop(guard);
        let (table_files, table_bytes) = store.db.table_files();
        let memory = instance.memory();
        Ok(Info {
            path: instance.path().to_owned(),
            role,
            position,
            layout: store.layout.name(),
            generation: store.number,
            namespaces: generation.registry.len() as u64,
            refuses_writes: instance.refusal(),
            records_estimate: store.db.property("rocksdb.estimate-num-keys"),
            table_files,
            table_bytes,
            blob_bytes: store.db.property("rocksdb.total-blob-file-size"),
            oldest_sequence: oldest_sequence(&store.db)?.unwrap_or(0),
            memory_budget: memory.budget as u64,
            cache_bytes: memory.cache.get_usage() as u64,
            write_buffer_bytes: memory.write_buffers.get_usage() as u64,
            table_reader_bytes: store.db.property("rocksdb.estimate-table-readers-mem"),
            snapshots: store.db.shared_property("rocksdb.num-snapshots"),
            feeds: node.feeds()?.len() as u64,
            lag_sequences: link.as_ref().and_then(|link| link.lag_sequences),
            lag: link.and_then(|link| link.lag),
        })
    }
}
