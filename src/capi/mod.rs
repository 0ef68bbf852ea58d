//! Floor 7: the C face. Translation only: it decides nothing.
//!
//! A handle is a box around the Rust handle, which keeps alive what it needs. Pointers to single things are written
//! as `Option<&T>`, `Option<&mut T>` and `Option<Box<T>>`, which have the form of a C pointer that may be NULL; the
//! header asks of the caller what these types ask. `include/pumice.h` is made from these files, in the order of
//! `tests/header.rs`; the doc comments are its documentation.
#![allow(non_camel_case_types, reason = "these are the names that C sees")]
#![allow(improper_ctypes_definitions, reason = "handles are opaque to C")]

mod argument;
mod batch;
mod bytes;
mod changes;
mod checkpoint;
mod constants;
mod convert;
mod engine;
mod error;
mod events;
mod feeds;
mod info;
mod items;
mod link;
mod listener;
mod log;
mod namespace;
mod options;
mod position;
mod progress;
mod reply;
mod setting;
mod snapshot;
mod topology;
mod usage;
mod verify;
