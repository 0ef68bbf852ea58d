//! A thread that serves many connections: whichever has something to read, one after the other.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use parking_lot::Mutex;
use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::fd::OwnedFd;

use super::Server;
use super::connection::{Connection, READ_BYTES, Turn};
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
            self.write(writers, &mut connections);
        }
        let late = self.arriving.lock().take();
        drop((late, connections));
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

    /// Does what those asked who have something to write, together where they work alike.
    fn write(&self, mut writers: Vec<Connection>, connections: &mut Connections) {
        while let Some(first) = writers.first() {
            let others = writers.iter().position(|writer| !writer.works_as(first)).unwrap_or(writers.len());
            let rest = writers.split_off(others);
            let written = guarded(|| {
                let mut alike: Vec<_> = writers.iter_mut().collect();
                Connection::write_together(&mut alike);
                Turn::Writes
            });
            for mut writer in writers {
                let turn = match written {
                    Turn::Writes => guarded(|| writer.end_turn()),
                    _ => Turn::Over,
                };
                self.go_on(turn, writer, connections);
            }
            writers = rest;
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

/// A panic ends the connection in whose turn it comes and no other; what it may have left half done is poisoned where that
/// is known.
fn guarded(turn: impl FnOnce() -> Turn) -> Turn {
    catch_unwind(AssertUnwindSafe(turn)).unwrap_or(Turn::Over)
}
