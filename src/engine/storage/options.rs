//! RocksDB options, as Kvrocks sets them (kvrocks: storage.cc InitRocksDBOptions, Open).

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DataBlockIndexType, InfoLogger, LogLevel,
    Options, WriteBufferManager,
};

use super::filter::Filters;
use super::pace;
use crate::engine::clock;
use crate::engine::format::batch::{DEFAULT, METADATA};

/// Names of the column families; the place in the list is the id on disk and on the wire.
pub const FAMILY_NAMES: [&str; 7] = ["default", "metadata", "zset_score", "pubsub", "propagate", "stream", "search"];

/// How blocks are compressed from level 2 on. All codecs can be read whatever is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Compression {
    /// No compression, Kvrocks' default.
    #[default]
    None = 0,
    /// Snappy.
    Snappy = 1,
    /// zlib.
    Zlib = 2,
    /// LZ4.
    Lz4 = 3,
    /// Zstandard.
    Zstd = 4,
}

impl Compression {
    fn codec(self) -> DBCompressionType {
        match self {
            Compression::None => DBCompressionType::None,
            Compression::Snappy => DBCompressionType::Snappy,
            Compression::Zlib => DBCompressionType::Zlib,
            Compression::Lz4 => DBCompressionType::Lz4,
            Compression::Zstd => DBCompressionType::Zstd,
        }
    }
}

/// One memory budget: block cache, with the write buffers counted in it. Both generations of a swap share it.
#[derive(Clone)]
pub struct Memory {
    pub cache: Cache,
    pub write_buffers: WriteBufferManager,
    pub budget: usize,
}

impl Memory {
    pub fn new(budget: usize) -> Memory {
        // Without locks: a reader that lost its CPU in the middle of a look-up holds up nobody.
        let cache = Cache::new_hyper_clock_cache(budget, 0);
        let write_buffers = WriteBufferManager::new_write_buffer_manager_with_cache(budget / 4, false, cache.clone());
        Memory { cache, write_buffers, budget }
    }
}

/// What one RocksDB is opened with.
#[derive(Clone)]
pub struct DbOptions {
    pub create: bool,
    pub read_only: bool,
    /// Whether another RocksDB of this process is being read meanwhile. Where there are many table files, opening then
    /// leaves them closed for [`super::tables::open`].
    pub beside: bool,
    pub compression: Compression,
    pub wal_keep_bytes: u64,
    pub wal_keep: Duration,
    pub memory: Memory,
}

// A quarter of what Kvrocks takes: a write into a skip list that the processor's caches hold takes half the time, for which level 1
// is written three times more.
const WRITE_BUFFER_BYTES: usize = 16 << 20;
const MIB: u64 = 1 << 20;
const LOG_BYTES: u64 = 4 * MIB;

impl DbOptions {
    pub(super) fn db(&self, folder: &Path) -> Options {
        let mut db = Options::default();
        db.create_if_missing(self.create);
        db.create_missing_column_families(!self.read_only);
        db.set_max_total_wal_size(512 * MIB);
        db.set_wal_ttl_seconds(self.wal_keep.as_secs().max(1));
        db.set_wal_size_limit_mb(self.wal_keep_bytes.div_ceil(MIB).max(1));
        // Recycled or manually flushed WALs cannot be read by sequence.
        db.set_recycle_log_file_num(0);
        db.set_manual_wal_flush(false);
        db.set_unordered_write(false);
        db.set_enable_pipelined_write(false);
        db.set_max_manifest_file_size(64 << 20);
        db.set_max_background_jobs(2);
        db.set_keep_log_file_num(4);
        db.set_max_log_file_size(LOG_BYTES as usize);
        db.set_stats_dump_period_sec(0);
        if self.beside {
            // RocksDB opens files on 16 threads, which would leave the readers a small part of the CPU.
            db.set_max_file_opening_threads(1);
            // It would open some more to guess where deletions are.
            db.set_skip_stats_update_on_db_open(true);
        }
        db.set_write_buffer_manager(&self.memory.write_buffers);
        if self.read_only {
            // A read-only open leaves no file behind, not even RocksDB's own text log.
            db.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Fatal, |_, _| {}));
        } else if self.beside {
            db.set_info_logger(warnings(folder));
        } else {
            db.set_log_level(LogLevel::Warn);
        }
        super::db::recover_from_full_disk(&mut db);
        db
    }

    fn family(&self, id: usize, filters: &Arc<Filters>) -> Options {
        let mut table = BlockBasedOptions::default();
        // Readable by every RocksDB since 6.6.
        table.set_format_version(5);
        table.set_bloom_filter(10.0, false);
        table.set_optimize_filters_for_memory(true);
        table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        // Most keys have a place of their own in a block's hash index, and few others between it and theirs: a twentieth more
        // of a file, and of a look-up a twentieth less.
        table.set_data_block_hash_ratio(0.3);
        table.set_block_restart_interval(4);
        table.set_block_size(16 * 1024);
        table.set_block_cache(&self.memory.cache);
        // Index and filters live in the cache, so that memory does not grow with the data. They are whole, not
        // partitioned as Kvrocks writes them: each file says itself which, and two lookups of a read are saved.
        table.set_cache_index_and_filter_blocks(true);
        table.set_cache_index_and_filter_blocks_with_high_priority(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);

        let mut family = Options::default();
        family.set_block_based_table_factory(&table);
        family.set_num_levels(7);
        family.set_level_compaction_dynamic_level_bytes(false);
        family.set_write_buffer_size(WRITE_BUFFER_BYTES.min(self.memory.budget / 4).max(1 << 20));
        let codec = self.compression.codec();
        let none = DBCompressionType::None;
        family.set_compression_type(codec);
        family.set_compression_per_level(&[none, none, codec, codec, codec, codec, codec]);
        // What is looked for by its key is often new: then the newest records need not be searched for it.
        if matches!(id as u32, METADATA | DEFAULT) {
            family.set_memtable_prefix_bloom_ratio(0.02);
        }
        family.set_memtable_whole_key_filtering(true);
        // We write no blobs, and give back the space of those that a Kvrocks wrote, as it does.
        family.set_enable_blob_gc(true);
        family.set_blob_gc_age_cutoff(0.25);
        if !self.read_only {
            filters.install(&mut family, id as u32);
        }
        family
    }

    pub(super) fn families(&self, filters: &Arc<Filters>) -> Vec<ColumnFamilyDescriptor> {
        let family = |(id, name): (usize, &&str)| ColumnFamilyDescriptor::new(*name, self.family(id, filters));
        FAMILY_NAMES.iter().enumerate().map(family).collect()
    }
}

/// RocksDB's text log with nothing but warnings. It would begin with a thousand lines that list the options, whatever
/// its level, which take a fifth of the opening. They come from all over it, and are moments to rest.
fn warnings(folder: &Path) -> InfoLogger {
    let log = folder.join("LOG");
    InfoLogger::new_callback_logger(LogLevel::Warn, move |level, line| match level {
        LogLevel::Warn | LogLevel::Error | LogLevel::Fatal => note(&log, level, line),
        _ => pace::rest(),
    })
}

/// Adds a line to a log, which begins anew when it is long. One that cannot be written must not keep RocksDB from what
/// it does.
fn note(log: &Path, level: LogLevel, line: &str) {
    if log.metadata().is_ok_and(|found| found.len() > LOG_BYTES) {
        let _ = std::fs::rename(log, log.with_extension("old"));
    }
    let log = OpenOptions::new().create(true).append(true).open(log);
    let _ = log.and_then(|mut log| writeln!(log, "{} [{level:?}] {line}", clock::now_ms()));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A warning is a line of its own behind those that were there; a log that cannot be written is no failure, and a
    /// long one begins anew.
    #[test]
    fn noted_warnings() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("LOG");
        note(&log, LogLevel::Warn, "one");
        note(&log, LogLevel::Error, "two");
        note(&dir.path().join("no folder/LOG"), LogLevel::Error, "three");
        let text = std::fs::read_to_string(log).unwrap();
        let lines: Vec<&str> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
        assert_eq!(lines, ["[Warn] one", "[Error] two"]);
        let log = dir.path().join("LOG");
        note(&log, LogLevel::Warn, &"long ".repeat(LOG_BYTES as usize / 5));
        note(&log, LogLevel::Warn, "new");
        assert!(std::fs::read_to_string(&log).unwrap().ends_with("[Warn] new\n"));
        assert_eq!(std::fs::read_to_string(log).unwrap().lines().count(), 1);
        assert!(std::fs::read_to_string(dir.path().join("LOG.old")).unwrap().starts_with(&text));
    }
}
