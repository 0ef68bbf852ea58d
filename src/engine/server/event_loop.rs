//! A thread that serves many connections: whichever has something to read, one after the other.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::fd::OwnedFd;

use super::Server;
use super::connection::{Connection, READ_BYTES, Turn};
use crate::engine::clock;
use crate::engine::error::{Error, Result};

/// The connections of one such thread, by the ids of their clients.
pub struct EventLoop {
    epoll: OwnedFd,
    /// Is readable when there is something else to do.
    woken: OwnedFd,
    /// Connections that it has not seen yet; `None` once it has ended.
    arriving: Mutex<Option<Vec<Connection>>>,
    count: AtomicUsize,
}

/// Those that wait for their turn.
type Connections = HashMap<u64, Connection>;

/// The id of no client.
const WOKEN: u64 = 0;
/// How long those wait that do not write, for those that do.
const PATIENCE: Duration = Duration::from_millis(20);
/// The most threads that a listener's connections share.
const MOST: usize = 8;

impl EventLoop {
    /// As many as there are processors; none where requests wait for the disk, which are to wait together.
    pub fn some(waits: bool) -> Result<Vec<EventLoop>> {
        let processors = if waits { 0 } else { thread::available_parallelism().map_or(1, usize::from) };
        (0..processors.min(MOST)).map(|_| EventLoop::new()).collect()
    }

    fn new() -> Result<EventLoop> {
        let new = || -> rustix::io::Result<EventLoop> {
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            let woken = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            epoll::add(&epoll, &woken, epoll::EventData::new_u64(WOKEN), epoll::EventFlags::IN)?;
            Ok(EventLoop { epoll, woken, arriving: Mutex::new(Some(Vec::new())), count: AtomicUsize::new(0) })
        };
        new().map_err(|e| Error::io("make an event loop for connections", std::io::Error::from(e)))
    }

    /// How many connections it has.
    pub fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// Takes a connection, or ends it when this has ended.
    pub fn take(&self, connection: Connection) {
        let mut arriving = self.arriving.lock();
        match &mut *arriving {
            Some(connections) => {
                connections.push(connection);
                // Under the lock, behind which the end of the loop is told.
                self.count.fetch_add(1, Relaxed);
                drop(arriving);
                self.wake();
            }
            None => {
                drop(arriving);
                drop(connection);
            }
        }
    }

    /// Has it look whether its listener is closed, and who has come.
    pub fn wake(&self) {
        // It fails only when the number is at its end, and then it is readable.
        let _ = rustix::io::write(&self.woken, &1u64.to_ne_bytes());
    }

    /// Serves connections until their listener is closed.
    pub fn run(&self, server: &Server) {
        const EVENTS: usize = 64;
        let _ended = Ended(self);
        let mut connections = Connections::new();
        let mut events = Vec::with_capacity(EVENTS);
        let mut buffer = vec![0; READ_BYTES];
        while !server.clients.is_closed() {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => break,
            }
            let mut writers = Vec::new();
            for event in &events {
                match event.data.u64() {
                    WOKEN => self.welcome(&mut connections),
                    id => {
                        let Some(connection) = connections.get_mut(&id) else { continue };
                        let turn = guarded(|| connection.turn(&mut buffer));
                        if let Turn::Shared = turn {
                            continue;
                        }
                        let Some(connection) = connections.remove(&id) else { continue };
                        match turn {
                            Turn::Writes => writers.push(connection),
                            turn => self.go_on(turn, connection, &mut connections),
                        }
                    }
                }
            }
            self.write(server, writers, &mut connections);
        }
    }

    fn welcome(&self, connections: &mut Connections) {
        let _ = rustix::io::read(&self.woken, &mut [0; 8]);
        let arrived = self.arriving.lock().as_mut().map(std::mem::take).unwrap_or_default();
        for connection in arrived {
            let id = connection.client().id;
            let (data, flags) = (epoll::EventData::new_u64(id), epoll::EventFlags::IN);
            if epoll::add(&self.epoll, connection.client().stream.descriptor(), data, flags).is_ok() {
                connections.insert(id, connection);
            } else {
                self.count.fetch_sub(1, Relaxed);
            }
        }
    }

    /// Does what those asked who have something to write, together where they work alike, and answers what came behind it.
    fn write(&self, server: &Server, mut writers: Vec<Connection>, connections: &mut Connections) {
        while !writers.is_empty() {
            let until = clock::after(PATIENCE);
            // Who only reads is not to wait for whoever keeps others from writing.
            let in_time = server.takes_writes_within(PATIENCE);
            if in_time {
                // Rights may have ended in the turns of others.
                writers.iter_mut().for_each(|writer| drop(writer.revalidate()));
            }
            let mut again = Vec::new();
            while let Some(first) = writers.first() {
                let others = writers.iter().position(|writer| !writer.works_as(first)).unwrap_or(writers.len());
                let rest = writers.split_off(others);
                let written = guarded(|| {
                    if in_time {
                        Connection::write_together(&mut writers.iter_mut().collect::<Vec<_>>(), Some(until));
                    }
                    Turn::Writes
                });
                for mut writer in writers {
                    let turn = match written {
                        Turn::Writes => guarded(|| writer.go_on_turn()),
                        _ => Turn::Over,
                    };
                    match turn {
                        Turn::Writes => again.push(writer),
                        turn => self.go_on(turn, writer, connections),
                    }
                }
                writers = rest;
            }
            writers = again;
        }
    }

    fn go_on(&self, turn: Turn, connection: Connection, connections: &mut Connections) {
        if let Turn::Shared = turn {
            connections.insert(connection.client().id, connection);
            return;
        }
        // Not by closing it alone: a forked child may hold it, too.
        let _ = epoll::delete(&self.epoll, connection.client().stream.descriptor());
        self.count.fetch_sub(1, Relaxed);
        if let Turn::Alone = turn {
            connection.go_on();
        }
    }
}

/// Has a loop take no more connections once its thread has ended, however that came.
struct Ended<'a>(&'a EventLoop);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let mut arriving = self.0.arriving.lock();
        let late = arriving.take();
        self.0.count.store(usize::MAX, Relaxed);
        drop(arriving);
        drop(late);
    }
}

/// A panic ends the connections whose turn it is, those that write together among them, and no other; what it may have left
/// half done is poisoned where that is known.
fn guarded(turn: impl FnOnce() -> Turn) -> Turn {
    catch_unwind(AssertUnwindSafe(turn)).unwrap_or(Turn::Over)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;

    use crate::{Engine, Options, ServeOptions};

    fn client(address: &str) -> TcpStream {
        let client = TcpStream::connect(address).unwrap();
        // A test that hangs is no use; nothing is measured by it.
        client.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
        client
    }

    fn expect(client: &mut TcpStream, reply: &[u8]) {
        let mut got = vec![0; reply.len()];
        client
            .read_exact(&mut got)
            .unwrap_or_else(|e| panic!("{e} for {}, got {}", reply.escape_ascii(), got.escape_ascii()));
        assert_eq!(got.escape_ascii().to_string(), reply.escape_ascii().to_string());
    }

    /// While somebody keeps all others from writing, those who read are answered, those who write wait, and what they asked
    /// behind their writes keeps its place.
    #[test]
    fn nobody_may_write() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path(), &Options::default()).unwrap();
        let listener = engine.serve("127.0.0.1:0", &ServeOptions::default()).unwrap();
        let address = listener.address().to_string();
        let (mut writers, mut readers) = ([(); 20].map(|()| client(&address)), [(); 20].map(|()| client(&address)));
        readers[0].write_all(b"SET a 1\r\n").unwrap();
        expect(&mut readers[0], b"+OK\r\n");
        let guard = engine.node.instance.lock().unwrap();
        for (number, writer) in writers.iter_mut().enumerate() {
            writer
                .write_all(format!("PING\r\nINCR w{number}\r\nINCR w{number}\r\nGET w{number}\r\n").as_bytes())
                .unwrap();
        }
        for _ in 0..5 {
            for reader in &mut readers {
                reader.write_all(b"GET a\r\n").unwrap();
                expect(reader, b"$1\r\n1\r\n");
            }
        }
        drop(guard);
        for writer in &mut writers {
            expect(writer, b"+PONG\r\n:1\r\n:2\r\n$1\r\n2\r\n");
            writer.write_all(b"ECHO x\r\n").unwrap();
            expect(writer, b"$1\r\nx\r\n");
        }
    }
}
