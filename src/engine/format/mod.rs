//! Floor 0: bytes in, bytes out. No RocksDB, no files, no clock.

pub mod batch;
pub mod change;
pub mod double;
pub mod entry;
pub mod key;
pub mod log_data;
pub mod metadata;
pub mod registry;
pub mod resp;
pub mod side;
pub mod topology;

#[cfg(test)]
pub(in crate::engine) mod fuzz;
