//! Floor 1: one RocksDB directory. The only place that knows RocksDB.

pub mod checkpoint;
pub mod closing;
pub mod db;
pub mod dir_lock;
pub mod files;
pub mod filter;
pub mod fork;
pub mod iterator;
pub mod options;
pub mod pace;
pub mod space;
pub mod tables;
pub mod wal;
