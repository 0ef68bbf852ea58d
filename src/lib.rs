//! Pumice is Kvrocks light enough to live inside your process: an embedded storage engine on RocksDB with
//! namespaces, checkpoint-based full sync and a replication log. It keeps its data in Apache Kvrocks' on-disk format.
//!
//! ```
//! use pumice::{Engine, Options, Role};
//!
//! # let dir = tempfile::tempdir().unwrap();
//! // A primary with a namespace.
//! let primary = Engine::open(dir.path().join("primary"), &Options::default())?;
//! let users = primary.create_namespace("users", None)?;
//! users.put(b"ada", b"countess")?;
//!
//! // Its whole dataset, namespaces included, brought into a replica in one step.
//! let checkpoint = primary.create_checkpoint(dir.path().join("checkpoint"))?;
//! let options = Options { role: Some(Role::Replica), ..Default::default() };
//! let replica = Engine::open(dir.path().join("replica"), &options)?;
//! replica.apply_checkpoint(&checkpoint.path)?;
//! assert_eq!(replica.namespace("users")?.get(b"ada")?.unwrap(), b"countess");
//!
//! // And what is written after it, entry by entry.
//! users.put(b"grace", b"admiral")?;
//! let mut log = primary.log(Some(&replica.position()?))?;
//! while let Some(entry) = log.next_entry(None)? {
//!     replica.apply(&entry)?;
//! }
//! assert_eq!(replica.position()?, primary.position()?);
//! # Ok::<(), pumice::Error>(())
//! ```
#![warn(missing_docs)]

#[allow(missing_docs, reason = "what is public is re-exported below, and documented where it is")]
mod engine;

/// What the README shows is compiled with the other examples.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(feature = "capi")]
mod capi;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "python")]
mod python;

pub use engine::batch::Batch;
pub use engine::collections::{
    Bitmap, BloomFilter, Elements, Entries, Fields, Geo, Hash, HyperLogLog, Json, List, Members, Scores, Set,
    SortedInt, SortedSet, Stream, StreamGroup,
};
#[cfg(feature = "python")]
pub(crate) use engine::command::execute::Session;
pub use engine::convert::{ConvertOptions, Converted, convert};
pub use engine::engine::Engine;
pub use engine::error::{Error, ErrorKind, Result};
pub use engine::events::{Event, EventKind, Events};
pub use engine::format::change::{Change, Operation};
pub use engine::format::entry::Entry;
pub use engine::format::geohash::{GeoShape, Place};
pub use engine::format::metadata::Kind;
pub use engine::format::resp::Reply;
pub use engine::format::state::{Role, TlsClient};
pub use engine::format::stream::StreamId;
pub use engine::format::topology::{Node, Topology};
pub use engine::info::Info;
pub use engine::namespace::Namespace;
pub use engine::options::{FollowOptions, Options, TlsServer, TopologyOptions, WriteOptions};
pub use engine::release;
pub use engine::replication::feeds::FeedStatus;
pub use engine::replication::link::{LinkState, LinkStatus};
pub use engine::replication::log::Log;
pub use engine::replication::node::TopologyStatus;
pub use engine::replication::position::Position;
pub use engine::replication::session::Peer;
pub use engine::replication::sync_in::{Progress, Stage};
pub use engine::replication::sync_out::Checkpoint;
pub use engine::replication::sync_status::SyncStatus;
pub use engine::server::listener::{Listener, ServeOptions};
pub use engine::server::stream::Address;
pub use engine::snapshot::{Snapshot, SnapshotNamespace};
pub use engine::storage::options::Compression;
pub use engine::types::bitmap::{BitOperation, BitRange};
pub use engine::types::bloom::{BloomInfo, BloomShape};
pub use engine::types::geo::GeoHit;
pub use engine::types::items::{Item, Range};
pub use engine::types::keys::Ttl;
pub use engine::types::list::End;
pub use engine::types::sorted_set::{Add, Added, MemberBound, Part, ScoreBound, Span};
pub use engine::types::stream::StreamEntry;
pub use engine::types::string::Value;
pub use engine::usage::{KindUsage, NamespaceUsage, Usage};
pub use engine::verify::{Depth, Finding};

/// An ordered walk through the keys of a namespace that are alive, seeing one moment. In the cluster layout the
/// order is by slot, then by key.
pub type Items = engine::types::items::Items<'static>;
