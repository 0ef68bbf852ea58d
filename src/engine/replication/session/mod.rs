//! The two ends of replication as pure state machines: bytes and time go in, bytes and actions come out. No socket, no
//! thread, no clock, no RocksDB.
#![allow(dead_code, reason = "the driver of the link and the listener come after")]

pub mod admission;
pub mod feed;
pub mod fetch;
pub mod primary;
pub mod replica;

/// Whom one talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// An Apache Kvrocks server.
    Kvrocks,
    /// An engine like this one.
    Pumice,
}

impl Peer {
    /// Its name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Kvrocks => "kvrocks",
            Peer::Pumice => "pumice",
        }
    }
}
