//! What a primary answers to replicas: the handshake, PSYNC, and requests for the files of a full sync. Only for
//! connections that are authenticated as the admin.

use super::Peer;
use super::admission::Admissions;
use crate::engine::format::key::Layout;
use crate::engine::format::side::History;

/// What the primary knows of itself at this moment.
pub struct Facts {
    /// 16 characters, drawn when the engine was opened.
    pub run_id: String,
    /// Its history.
    pub history: History,
    /// Its latest sequence.
    pub latest: u64,
    /// How its keys are laid out.
    pub layout: Layout,
}

/// Where a sequence lies in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// An entry starts there.
    Start,
    /// An entry started before and reaches over it.
    Inside,
    /// The log no longer reaches back to it.
    Gone,
    /// It is the one after the latest.
    End,
    /// It is after that.
    Ahead,
}

/// What the driver is to do with a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Ask {
    /// Send these bytes.
    Reply(Vec<u8>),
    /// Look where that sequence lies in the log, then call `located`.
    Locate(u64),
    /// Send the reply, then make a `Feed` from that sequence on.
    Feed {
        /// The first sequence to be fed.
        next: u64,
        /// What goes before the feed.
        reply: Vec<u8>,
    },
    /// Send `names_reply` of a checkpoint, tell `listed`, then close.
    FileNames,
    /// Send these files, if they are of the listed set, each behind its `size_line`; tell `sent`, then close.
    Files(Vec<String>),
    /// Send `checkpoint_reply` of a checkpoint.
    Checkpoint,
    /// Send the rest of a file of a checkpoint, as a bulk.
    Range {
        /// Which checkpoint.
        checkpoint: String,
        /// Which file.
        name: String,
        /// From where on.
        offset: u64,
    },
    /// Not a command of replication.
    NotMine,
}

/// The primary's end of one connection, until the feed begins.
pub struct PrimarySession {}

impl PrimarySession {
    /// A session with a peer at that address, as the socket has it.
    pub fn new(_peer_ip: impl Into<String>) -> PrimarySession {
        todo!()
    }

    /// Whether `request` answers commands of that name.
    pub fn answers(_command: &[u8]) -> bool {
        todo!()
    }

    /// A request: the name of a command and its arguments.
    pub fn request(&mut self, _args: &[Vec<u8>], _facts: &Facts, _admissions: &mut Admissions) -> Ask {
        todo!()
    }

    /// The answer to `Ask::Locate`.
    pub fn located(&mut self, _place: Place, _facts: &Facts, _admissions: &mut Admissions) -> Ask {
        todo!()
    }

    /// The driver has sent the names of a checkpoint that holds everything up to `sequence`.
    pub fn listed(&mut self, _sequence: u64, _admissions: &mut Admissions) {
        todo!()
    }

    /// The driver has sent the last byte of the files that were asked for.
    pub fn sent(&mut self, _admissions: &mut Admissions) {
        todo!()
    }

    /// The address that the replica announced: its own, or the socket's where it gave a port alone.
    pub fn announced(&self) -> Option<(String, u16)> {
        todo!()
    }

    /// Who the replica is. A Kvrocks, until it says something else.
    pub fn peer(&self) -> Peer {
        todo!()
    }
}

/// The answer to `_fetch_meta`.
pub fn names_reply(_names: &[String]) -> Vec<u8> {
    todo!()
}

/// What goes before each file of `_fetch_file`.
pub fn size_line(_size: u64) -> Vec<u8> {
    todo!()
}

/// The answer to `PUMICE CHECKPOINT`.
pub fn checkpoint_reply(_id: &str, _manifest: &[u8]) -> Vec<u8> {
    todo!()
}
