//! Floor 0: bytes in, bytes out. No RocksDB, no files, no clock.

pub mod batch;
pub mod bits;
pub mod bloom;
pub mod change;
pub mod double;
pub mod dump;
pub mod entry;
pub mod geohash;
pub mod hyperloglog;
pub mod json;
pub mod json_path;
pub mod key;
pub mod log_data;
pub mod metadata;
pub mod registry;
pub mod resp;
pub mod side;
pub mod state;
pub mod stream;
pub mod topology;

#[cfg(test)]
pub(in crate::engine) mod fuzz;
