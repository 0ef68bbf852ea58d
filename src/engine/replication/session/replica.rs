//! The replica's end of the link: handshake, then the feed. One session for each connection.

use std::sync::Arc;

use super::Peer;
use crate::engine::error::Error;
use crate::engine::format::key::Layout;
use crate::engine::replication::position::Position;

/// What the replica has, and who it is.
pub struct Own {
    /// Where it is.
    pub position: Position,
    /// How its keys are laid out.
    pub layout: Layout,
    /// The first sequence and the bytes of the last entry of its log, where the log has one.
    pub last: Option<(u64, Arc<[u8]>)>,
    /// Its data was just taken from this very primary by a full sync, and nothing was applied since.
    pub admitted: bool,
    /// 16 characters, drawn when the engine was opened.
    pub run_id: String,
}

/// Where the replica itself can be reached.
#[derive(Clone, Debug)]
pub struct Announce {
    /// The port.
    pub port: u16,
    /// The address, where it is not the one that the primary sees.
    pub ip: Option<String>,
}

/// When it makes sense to connect again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// At once, or a second later.
    Soon,
    /// In some seconds.
    Later,
    /// Not before somebody changed something.
    Never,
}

/// What the driver is to do.
#[derive(Debug)]
pub enum Action {
    /// Send these bytes.
    Send(Vec<u8>),
    /// Write this batch: it is whole, and its first sequence is the next.
    Apply(Vec<u8>),
    /// The position was proven, and the feed has begun.
    Streaming(Peer),
    /// The primary is at this sequence.
    Latest(u64),
    /// Nothing more can be taken from the log. The end of this session.
    FullSync {
        /// Why.
        reason: String,
        /// Whether it is known that this replica has entries that the primary does not have.
        diverged: bool,
    },
    /// Something that the operator ought to know.
    Warn(String),
    /// The end of this session.
    Failed {
        /// Why.
        error: Error,
        /// When to connect again.
        retry: Retry,
    },
}

/// The replica's end of one connection.
pub struct ReplicaSession {}

impl ReplicaSession {
    pub fn new(_password: Option<String>, _announce: Option<Announce>, _own: Own) -> ReplicaSession {
        todo!()
    }

    /// The connection stands.
    pub fn start(&mut self, _now_ms: u64, _out: &mut Vec<Action>) {
        todo!()
    }

    /// Bytes of the primary.
    pub fn receive(&mut self, _now_ms: u64, _bytes: &[u8], _out: &mut Vec<Action>) {
        todo!()
    }

    /// To be called once a second at least.
    pub fn tick(&mut self, _now_ms: u64, _out: &mut Vec<Action>) {
        todo!()
    }

    /// To be called after the actions of each `receive` were done.
    pub fn applied(&mut self, _now_ms: u64, _applied: u64, _durable: u64, _out: &mut Vec<Action>) {
        todo!()
    }

    /// Who the primary is, once it is known.
    pub fn peer(&self) -> Option<Peer> {
        todo!()
    }
}
