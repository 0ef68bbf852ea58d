//! The listener: RESP on sockets, for administration, replication and Redis clients. A thread for each connection.

pub mod client;
pub mod connection;
pub mod listener;
pub mod peer;
pub mod routing;
mod sender;
pub mod session;
pub mod stream;
pub mod subscription;

use std::cell::Cell;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use self::client::Clients;
use self::listener::ServeOptions;
use self::peer::Pace;
use self::stream::{Acceptor, Address};
use super::clock;
use super::error::{Error, ErrorKind, Result};
use super::replication::node::Node;
use super::replication::tls;
use super::storage::fork::Process;

/// What the connections of one listener share. It does not keep the engine open.
pub struct Server {
    pub options: ServeOptions,
    pub address: Address,
    pub clients: Clients,
    pub counters: Counters,
    /// Whether keys have slots here.
    pub cluster: bool,
    /// How fast files are sent.
    pub pace: Pace,
    node: Weak<Node>,
    acceptor: Acceptor,
    tls: Option<tls::Acceptor>,
    started: Instant,
    process: Process,
}

/// What INFO counts.
#[derive(Default)]
pub struct Counters {
    pub connections: AtomicU64,
    pub commands: AtomicU64,
    pub rejected: AtomicU64,
    /// Connections that wait just now for a change of a key.
    pub blocked: AtomicU64,
    pub sync_full: AtomicU64,
    pub sync_partial_ok: AtomicU64,
    pub sync_partial_err: AtomicU64,
}

thread_local! {
    /// The listener whose thread this is, by its place in memory; 0 for none.
    static OWN: Cell<usize> = const { Cell::new(0) };
}

impl Server {
    /// The engine, for the length of what is done with it. Closed when it is gone.
    pub fn node(&self) -> Result<Arc<Node>> {
        self.node.upgrade().ok_or_else(|| Error::new(ErrorKind::Closed, "the engine is closed; open it again"))
    }

    pub fn uptime(&self) -> Duration {
        clock::instant().duration_since(self.started)
    }

    /// Marks the calling thread as one of this listener's.
    fn enter(&self) {
        OWN.set(self.place());
    }

    fn place(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Ends all connections and the thread that accepts them, and waits until their threads have ended. In a forked child
    /// it does nothing: the sockets are the parent's.
    pub fn close(&self) {
        if !self.process.is_current() {
            return;
        }
        if self.clients.close() {
            self.acceptor.close(&self.address);
        }
        self.clients.wait(OWN.get() == self.place());
    }
}
