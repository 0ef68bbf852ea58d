//! The sockets of a link, and how they are stopped from another thread.

use std::io::{self, ErrorKind as IoKind, Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::tls::Tls;
use crate::engine::clock;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::state::TlsClient;

/// As long as a Kvrocks waits for its primary.
const CONNECT: Duration = Duration::from_millis(3100);
/// How long a peer may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// How long a peer may leave sent bytes unread.
const SEND: Duration = Duration::from_secs(30);

/// Ends all connections that were made with it, and all sleeps, for good.
#[derive(Default)]
pub struct Stop {
    state: Mutex<Stopping>,
    woken: Condvar,
}

#[derive(Default)]
struct Stopping {
    stopped: bool,
    made: u64,
    sockets: Vec<(u64, TcpStream)>,
}

impl Stop {
    pub fn stop(&self) {
        let mut state = self.state.lock();
        state.stopped = true;
        for (_, socket) in state.sockets.drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
        drop(state);
        self.woken.notify_all();
    }

    pub fn is_stopped(&self) -> bool {
        self.state.lock().stopped
    }

    /// Does what cannot be interrupted on a thread of its own, which is left behind when this is stopped: then `None`.
    fn until_done<T: Send + 'static>(
        self: &Arc<Stop>,
        name: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<Option<T>> {
        let done = Arc::new(Mutex::new(None));
        let (stop, place) = (Arc::clone(self), Arc::clone(&done));
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let result = work();
            let state = stop.state.lock();
            *place.lock() = Some(result);
            drop(state);
            stop.woken.notify_all();
        })?;
        let mut state = self.state.lock();
        while !state.stopped {
            if let Some(result) = done.lock().take() {
                return Ok(Some(result));
            }
            self.woken.wait(&mut state);
        }
        Ok(None)
    }

    /// Waits for that long, or until it is stopped.
    pub fn sleep(&self, wait: Duration) {
        let deadline = clock::after(wait);
        let mut state = self.state.lock();
        while !state.stopped && !self.woken.wait_until(&mut state, deadline).timed_out() {}
    }
}

fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(IoKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT) {
            Ok(stream) => return Ok(stream),
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// The addresses of a host. Blocks for as long as a resolver takes for a name: never with a lock.
pub fn addresses(host: &str) -> Vec<IpAddr> {
    (host, 0).to_socket_addrs().map_or_else(|_| Vec::new(), |found| found.map(|address| address.ip()).collect())
}

/// How an alert begins, with which TLS answers who does not speak it.
const TLS_ALERT: &[u8] = &[0x15, 3];

/// What came from the peer.
pub enum Received {
    Bytes(usize),
    /// Nothing, for as long as it may be quiet.
    Quiet,
    Closed,
    /// Over TLS: it ended, but not by the peer's word. Whoever sits between could have done that.
    Cut,
}

/// A connection to a primary.
pub struct Connection {
    stream: TcpStream,
    tls: Option<Tls>,
    stop: Arc<Stop>,
    number: u64,
    peer: String,
    /// Whether anything has come.
    heard: bool,
}

impl Connection {
    /// Connects. Reads then wait for at most `quiet`.
    pub fn open(
        host: &str,
        port: u16,
        tls: Option<&TlsClient>,
        quiet: Duration,
        stop: &Arc<Stop>,
    ) -> Result<Connection> {
        let peer = format!("{host}:{port}");
        let tls = tls.map(|options| Tls::client(options, host)).transpose()?;
        let failed = |e| Error::io(format!("connect to {peer}"), e);
        let stopped = || Error::new(ErrorKind::Closed, format!("connect to {peer}: the link was stopped"));
        let connected = stop.until_done("pumice-connect", {
            let host = host.to_owned();
            move || connect(&host, port)
        });
        let stream = connected.map_err(failed)?.ok_or_else(stopped)?.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(quiet)).map_err(failed)?;
        stream.set_write_timeout(Some(SEND)).map_err(failed)?;
        let mut state = stop.state.lock();
        if state.stopped {
            return Err(stopped());
        }
        state.made += 1;
        let number = state.made;
        state.sockets.push((number, stream.try_clone().map_err(failed)?));
        drop(state);
        let opened = Connection { stream, tls, stop: Arc::clone(stop), number, peer, heard: false };
        opened.handshake(quiet).map_err(|e| Error::io(format!("TLS with {}", opened.peer), e))?;
        Ok(opened)
    }

    fn handshake(&self, quiet: Duration) -> io::Result<()> {
        let Some(tls) = &self.tls else { return Ok(()) };
        let set_timeout = |timeout| self.stream.set_read_timeout(Some(timeout));
        tls.handshake(&self.stream, clock::after(HANDSHAKE), set_timeout)?;
        set_timeout(quiet)
    }

    /// Sends all of it.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(|e| Error::io(format!("send to {}", self.peer), e))
    }

    fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        let Some(tls) = &self.tls else { return (&self.stream).write_all(bytes) };
        while !bytes.is_empty() {
            bytes = &bytes[tls.write(&self.stream, bytes)?..];
        }
        Ok(())
    }

    /// Some bytes of the peer.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<Received> {
        loop {
            let read = match &self.tls {
                Some(tls) => tls.read(&self.stream, buffer),
                None => self.stream.read(buffer),
            };
            match read {
                Ok(0) => return Ok(Received::Closed),
                Ok(read) => {
                    let first = !std::mem::replace(&mut self.heard, true);
                    if first && self.tls.is_none() && buffer[..read].starts_with(TLS_ALERT) {
                        let message = format!("receive from {}: it speaks TLS; follow it with TLS", self.peer);
                        return Err(Error::new(ErrorKind::Io, message));
                    }
                    return Ok(Received::Bytes(read));
                }
                Err(e) if e.kind() == IoKind::UnexpectedEof => return Ok(Received::Cut),
                Err(e) if e.kind() == IoKind::Interrupted => {}
                Err(e) if matches!(e.kind(), IoKind::WouldBlock | IoKind::TimedOut) => return Ok(Received::Quiet),
                Err(e) => return Err(Error::io(format!("receive from {}", self.peer), e)),
            }
        }
    }

    pub fn peer(&self) -> &str {
        &self.peer
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(tls) = &self.tls {
            let _ = tls.finish(&self.stream);
        }
        self.stop.state.lock().sockets.retain(|(number, _)| *number != self.number);
    }
}
