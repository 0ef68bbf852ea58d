//! The listener that users hold.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::client::{Clients, NotAdmitted};
use super::connection::Connection;
use super::event_loop::EventLoop;
use super::peer::Pace;
use super::stream::{Acceptor, Address, Stream};
use super::{Counters, Server};
use crate::engine::clock;
use crate::engine::engine::Engine;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::key::Layout;
use crate::engine::options::TlsServer;
use crate::engine::replication::tls::{self, Tls};
use crate::engine::storage::fork::Process;

/// How to serve an engine. `ServeOptions::default()` asks for no password: whoever reaches the address may do everything.
///
/// ```
/// let options = pumice::ServeOptions { password: Some("a secret".to_owned()), ..Default::default() };
/// # let _ = options;
/// ```
#[derive(Clone)]
pub struct ServeOptions {
    /// What clients and replicas say to become admin. With it, the token of a namespace opens that namespace.
    pub password: Option<String>,
    /// How many connections there may be at a time.
    pub max_connections: usize,
    /// How long a connection may take to authenticate.
    pub authenticate_timeout: Duration,
    /// How long the other side may read nothing of what is sent to it.
    pub send_timeout: Duration,
    /// How fast the files of a full sync are sent, all replicas together, at least 1; without it as fast as can be.
    pub sync_bytes_per_second: Option<u64>,
    /// How many bytes a checkpoint that replicas fetch may keep on the disk when the engine needs them no more; without it
    /// as many as the database's folder has, and 1 GiB at least.
    pub checkpoint_disk_limit: Option<u64>,
    /// How to speak TLS; without it all is in the clear.
    pub tls: Option<TlsServer>,
}

impl Default for ServeOptions {
    fn default() -> ServeOptions {
        ServeOptions {
            password: None,
            max_connections: 1024,
            authenticate_timeout: Duration::from_secs(10),
            send_timeout: Duration::from_secs(30),
            sync_bytes_per_second: None,
            checkpoint_disk_limit: None,
            tls: None,
        }
    }
}

impl std::fmt::Debug for ServeOptions {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServeOptions")
            .field("password", &self.password.as_ref().map(|_| ".."))
            .field("max_connections", &self.max_connections)
            .field("authenticate_timeout", &self.authenticate_timeout)
            .field("send_timeout", &self.send_timeout)
            .field("sync_bytes_per_second", &self.sync_bytes_per_second)
            .field("checkpoint_disk_limit", &self.checkpoint_disk_limit)
            .field("tls", &self.tls)
            .finish()
    }
}

impl ServeOptions {
    fn check(&self) -> Result<()> {
        let wrong = if self.password.as_deref() == Some("") {
            "password: got an empty one, expected at least one byte, or none".to_owned()
        } else if self.max_connections == 0 {
            "max_connections: got 0, expected at least 1".to_owned()
        } else if self.sync_bytes_per_second == Some(0) {
            "sync_bytes_per_second: got 0, expected at least 1, or none for no limit".to_owned()
        } else if self.authenticate_timeout < SHORTEST || self.send_timeout < SHORTEST {
            let (a, b) = (self.authenticate_timeout, self.send_timeout);
            format!("authenticate_timeout and send_timeout: got {a:?} and {b:?}, expected at least {SHORTEST:?}")
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::InvalidArgument, wrong))
    }
}

/// A listener: Redis clients and replicas talk to the engine through it. It lives until it is closed or dropped, or until
/// the engine is closed or its last handle goes; it does not keep the engine open. In a forked child it is nothing.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let engine = pumice::Engine::open(dir.path(), &pumice::Options::default())?;
/// let listener = engine.serve("127.0.0.1:0", &pumice::ServeOptions::default())?;
/// println!("redis-cli -h {} -p {}", listener.address().host(), listener.address().port());
/// listener.close();
/// # Ok::<(), pumice::Error>(())
/// ```
pub struct Listener {
    server: Arc<Server>,
}

/// The shortest time that a socket can be told to wait.
const SHORTEST: Duration = Duration::from_millis(1);

/// A connection's thread needs no more: what is large is on the heap.
pub const STACK_BYTES: usize = 1 << 20;

impl Engine {
    /// Serves the engine to Redis clients and to replicas, in RESP2 or RESP3, on `host:port` (port 0 takes a free one) or on
    /// `unix:/path`, a socket that only this user may open. Returns as soon as it listens.
    ///
    /// Without a password every connection may do everything with the engine. With one, it says `AUTH` first: the
    /// password makes it an admin who sees the default namespace, the token of a namespace opens that namespace alone,
    /// for as long as it is its token. Passwords and data cross the wire as they are, unless `tls` is given: then every
    /// connection must speak TLS.
    ///
    /// Costs a thread for each processor, 8 at most, which all connections share that ask for what takes a moment. What
    /// asks for more than that (a walk, a transaction, to wait, to be told of messages, to be fed) has a thread of its own
    /// from then on, about 50 KiB while it is idle; so has what speaks TLS, and all of an engine whose writes are synced.
    ///
    /// Errors: Busy when somebody else listens there; AlreadyExists when the path is a file that is no socket;
    /// InvalidArgument for an address that is none, or certificates that do not do; Unsupported for TLS in a build without
    /// the feature `tls`; Io; Closed.
    ///
    /// ```
    /// use std::io::{Read, Write};
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// let engine = pumice::Engine::open(dir.path(), &pumice::Options::default())?;
    /// let listener = engine.serve("127.0.0.1:0", &pumice::ServeOptions::default())?;
    /// let mut client = std::net::TcpStream::connect(listener.address().to_string()).unwrap();
    /// client.write_all(b"SET ada countess\r\n").unwrap();
    /// let mut reply = [0; 5];
    /// client.read_exact(&mut reply).unwrap();
    /// assert_eq!(&reply, b"+OK\r\n");
    /// assert_eq!(engine.default_namespace().get(b"ada")?.unwrap(), b"countess");
    /// # Ok::<(), pumice::Error>(())
    /// ```
    pub fn serve(&self, addr: &str, options: &ServeOptions) -> Result<Listener> {
        self.check_open()?;
        options.check()?;
        let tls = options.tls.as_ref().map(tls::Acceptor::new).transpose()?;
        if let Some(peers) = options.tls.as_ref().and_then(TlsServer::peers) {
            Tls::client(&peers, "localhost")?;
        }
        if tls.is_some() && addr.starts_with("unix:") {
            let message = format!("serve on {addr}: got TLS on a Unix socket, expected it on host:port only");
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        let (acceptor, address) = Acceptor::bind(addr)?;
        let server = Arc::new(Server {
            options: options.clone(),
            address,
            clients: Clients::default(),
            loops: EventLoop::some(self.node.instance.options().sync)?,
            counters: Counters::default(),
            cluster: self.node.instance.generation()?.store.layout == Layout::Cluster,
            pace: Pace::new(options.sync_bytes_per_second),
            node: Arc::downgrade(&self.node),
            acceptor,
            tls,
            started: clock::instant(),
            process: Process::current(),
        });
        *self.node.password.lock() = options.password.clone();
        *self.node.peer_tls.lock() = options.tls.as_ref().and_then(TlsServer::peers);
        self.node.listens.store(server.address.port(), Relaxed);
        self.node.link.announce();
        let listener = Listener { server: Arc::clone(&server) };
        let weak = Arc::downgrade(&server);
        self.node.on_close(Box::new(move || {
            if let Some(server) = weak.upgrade() {
                server.close();
            }
        }));
        self.check_open()?;
        for number in 0..server.loops.len() {
            let serving = Arc::clone(&server);
            server.start("pumice-loop", move || serving.loops[number].run(&serving))?;
        }
        let accepting = Arc::clone(&server);
        server.start("pumice-accept", move || accept(&accepting))?;
        Ok(listener)
    }
}

impl Listener {
    /// Where it listens, with the port that was taken.
    pub fn address(&self) -> &Address {
        &self.server.address
    }

    /// Ends all connections and waits until their threads have ended, for which the commands that run finish first. Then
    /// the address is free. A second close does nothing.
    pub fn close(&self) {
        self.server.close();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.server.close();
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Listener({})", self.address())
    }
}

fn accept(server: &Arc<Server>) {
    // How long to wait for a connection to end when no more can be opened (EMFILE).
    const WAIT: Duration = Duration::from_millis(100);
    while !server.clients.is_closed() {
        match server.acceptor.accept() {
            Ok(stream) => begin(server, stream),
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionAborted => {}
            Err(_) => server.clients.wait_for_room(WAIT),
        }
    }
}

fn begin(server: &Arc<Server>, stream: Stream) {
    server.counters.connections.fetch_add(1, Relaxed);
    let address = stream.peer(&server.address);
    let stream = match server.tls.as_ref().map(tls::Acceptor::begin).transpose() {
        Ok(tls) if stream.set_write_timeout(Some(server.options.send_timeout)).is_ok() => stream.over(tls),
        _ => return,
    };
    let client = match server.clients.admit(stream, address, server.options.max_connections) {
        Ok(client) => client,
        Err((stream, NotAdmitted::Full)) => {
            server.counters.rejected.fetch_add(1, Relaxed);
            stream.refuse(b"-ERR max number of clients reached\r\n");
            return;
        }
        Err((_, NotAdmitted::Closed)) => return,
    };
    Connection::new(server, &client).go_on();
}
