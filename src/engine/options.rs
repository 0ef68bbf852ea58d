//! What an engine is opened with.

use std::path::PathBuf;
use std::time::Duration;

use super::error::{Error, ErrorKind, Result};
use super::format::state::{Role, TlsClient};
use super::storage::options::Compression;

/// How to open a directory. `Options::default()` suits most programs.
///
/// ```
/// let options = pumice::Options { create: false, sync: true, ..Default::default() };
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// The role to insist on. `None` takes what the directory records; a new or foreign one becomes a primary.
    pub role: Option<Role>,
    /// The key layout to insist on: `true` for the cluster layout, with a slot in every key. `None` takes what the
    /// directory records or its keys show; a new one gets the standalone layout.
    pub cluster: Option<bool>,
    /// Whether to create the database where there is none.
    pub create: bool,
    /// Opens without changing a byte; writes answer ReadOnly.
    pub read_only: bool,
    /// Whether a write survives a power cut when it returns, unless the call says otherwise. Without it a write
    /// survives a killed process. It costs one fsync, shared by concurrent writers.
    pub sync: bool,
    /// Bytes for the block cache, with write buffers counted in it. Shared by both generations of a swap.
    pub memory_budget: usize,
    /// How new data is compressed.
    pub compression: Compression,
    /// Bytes of replication log to keep for followers.
    pub wal_keep_bytes: u64,
    /// How long to keep the replication log for followers.
    pub wal_keep: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            role: None,
            cluster: None,
            create: true,
            read_only: false,
            sync: false,
            memory_budget: 256 << 20,
            compression: Compression::None,
            wal_keep_bytes: 1 << 30,
            wal_keep: Duration::from_secs(3 * 60 * 60),
        }
    }
}

impl Options {
    pub(crate) fn check(&self) -> Result<()> {
        const LEAST: usize = 4 << 20;
        if self.memory_budget < LEAST {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("memory budget: got {} bytes, expected at least {LEAST}", self.memory_budget),
            ));
        }
        Ok(())
    }
}

/// How one write is done.
#[derive(Clone, Copy, Debug, Default)]
pub struct WriteOptions {
    /// How long the key lives, in whole milliseconds; `None` for ever.
    pub ttl: Option<Duration>,
    /// Whether it survives a power cut when the call returns; `None` as the engine was opened.
    pub sync: Option<bool>,
}

/// How to follow a primary.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct FollowOptions {
    /// The primary's admin password. It is kept in the file `state`, which only the owner can read.
    pub password: Option<String>,
    /// The port under which others can reach this engine, announced to the primary; 0 for that of its listener, once there
    /// is one.
    pub announce_port: u16,
    /// How to reach it over TLS; without it in the clear. Needs the feature `tls`.
    pub tls: Option<TlsClient>,
}

/// How a topology is set.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TopologyOptions {
    /// The admin password of the other nodes, kept in the file `state`; `None` for that of this engine's own listener.
    pub password: Option<String>,
    /// How the other nodes are reached over TLS; `None` as this engine's own listener says.
    pub tls: Option<TlsClient>,
    /// Whether a version that is not higher than the one that governs is taken too. A lower one is to be forced on every
    /// node, in any order: one that has not got it goes on by the higher one, and refuses what is not higher still. A primary
    /// that says, when all have it, that another took over from it was told so by a node before that had it: force the version
    /// there once more.
    pub force: bool,
}

impl std::fmt::Debug for TopologyOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TopologyOptions(force={}, tls={:?})", self.force, self.tls)
    }
}

/// How a listener speaks TLS. The files are in PEM and read when it begins to listen. Needs the feature `tls`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsServer {
    /// Its certificate, with those between it and its CA.
    pub certificate: PathBuf,
    /// The key of its certificate.
    pub key: PathBuf,
    /// Where it is given, clients and replicas must show a certificate that is signed by it.
    pub client_ca: Option<PathBuf>,
    /// Where it is given, `REPLICAOF` on this listener and `hand_over` reach other nodes over TLS: their certificates must
    /// be signed by it, and the listener's own is shown to them. Without it they are reached in the clear.
    pub peer_ca: Option<PathBuf>,
}

impl TlsServer {
    pub(crate) fn peers(&self) -> Option<TlsClient> {
        self.peer_ca.clone().map(|ca| TlsClient {
            ca,
            certificate: Some(self.certificate.clone()),
            key: Some(self.key.clone()),
            server_name: None,
        })
    }
}

impl std::fmt::Debug for FollowOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FollowOptions(announce_port={}, tls={:?})", self.announce_port, self.tls)
    }
}
