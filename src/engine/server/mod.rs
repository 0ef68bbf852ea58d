//! The listener: RESP on sockets, for administration, replication and Redis clients. Connections share a few threads for what
//! takes a moment, and have a thread of their own for more.

pub mod client;
pub mod connection;
mod event_loop;
pub mod listener;
pub mod peer;
pub mod routing;
mod sender;
pub mod session;
pub mod stream;
pub mod subscription;

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use self::client::Clients;
use self::connection::Connection;
use self::event_loop::EventLoop;
use self::listener::{STACK_BYTES, ServeOptions};
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
    /// The threads that connections share; none where a write waits for the disk.
    loops: Vec<EventLoop>,
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

    /// Starts a thread of this listener's. Where that fails what it would do is dropped.
    fn start(self: &Arc<Self>, name: &str, run: impl FnOnce() + Send + 'static) -> Result<()> {
        self.clients.begin_thread();
        let thread = Thread(Arc::clone(self));
        let named = thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES);
        let started = named.spawn(move || {
            OWN.set(thread.0.place());
            // A panic ends this thread and no other; what it may have left half done is poisoned where that is known.
            let _ = catch_unwind(AssertUnwindSafe(run));
        });
        started.map(drop).map_err(|e| Error::io("start a thread of a listener", e))
    }

    /// Whether a write would be begun within that time; also where the engine is gone, which is then told at once.
    fn takes_writes_within(&self, wait: Duration) -> bool {
        self.node().map_or(true, |node| node.instance.takes_writes_within(wait))
    }

    /// Whether connections may share threads.
    fn shares_threads(&self) -> bool {
        !self.loops.is_empty()
    }

    /// Hands a connection to the thread that has the fewest.
    fn share(&self, connection: Connection) {
        if let Some(least) = self.loops.iter().min_by_key(|one| one.count()) {
            least.take(connection);
        }
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
            self.loops.iter().for_each(EventLoop::wake);
        }
        self.clients.wait(OWN.get() == self.place());
    }
}

/// A thread in the count of its listener, for as long as it runs.
struct Thread(Arc<Server>);

impl Drop for Thread {
    fn drop(&mut self) {
        self.0.clients.end_thread();
    }
}
