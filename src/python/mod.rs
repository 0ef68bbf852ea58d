//! Floor 7: the Python face. It translates and decides nothing.
//!
//! Every object keeps its state behind a lock of its own, so that none of them needs the GIL to be safe.

mod arguments;
mod batch;
mod bitmaps;
mod blooms;
mod buffer;
mod calls;
mod convert;
mod elements;
mod engine;
mod errors;
mod events;
mod hashes;
mod iterators;
mod jsons;
mod leases;
mod listener;
mod lists;
mod log;
mod module;
mod namespace;
mod places;
mod progress;
mod records;
mod replication;
mod reply;
mod session;
mod sets;
mod snapshot;
mod sorted_ints;
mod sorted_sets;
mod streams;
mod tls;
mod topology;
mod usage;
mod views;
