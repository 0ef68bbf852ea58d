//! The engine. Imports go down: each floor uses only those above it in this list.

// Floor 0: bytes in, bytes out.
mod clock;
pub mod error;
mod failpoint;
#[allow(dead_code, reason = "the layouts of all types are here, also of those that are still opaque")]
pub mod format;
pub mod pattern;
mod random;
// Floor 1: one RocksDB.
pub mod storage;
// Floor 2: what a node is to do, and who hears of it.
pub mod events;
mod topology;
// Floor 3: directories, generations, the swap.
mod backlog;
mod channels;
mod cursors;
mod directory;
mod generation;
mod group_sync;
mod instance;
pub mod options;
mod ranks;
mod reclaim;
mod waiters;
// Floor 4: what is done on a generation.
pub mod replication;
pub mod types;
// Floor 5: what users call.
pub mod batch;
pub mod collections;
pub mod convert;
#[allow(clippy::module_inception, reason = "the engine of the module engine")]
pub mod engine;
pub mod info;
pub mod namespace;
pub mod snapshot;
pub mod usage;
pub mod verify;
// Floor 6: what is asked over a socket.
pub mod command;
pub mod server;

pub use directory::release;
