//! The primary's end after PSYNC was accepted: entries as frames, and acknowledgements.

use super::Peer;
use crate::engine::error::Result;

/// One running feed.
pub struct Feed {}

impl Feed {
    pub fn new(_peer: Peer, _next: u64, _now_ms: u64) -> Feed {
        todo!()
    }

    /// Frames the next entry.
    pub fn entry(&mut self, _first: u64, _last: u64, _bytes: &[u8], _out: &mut Vec<u8>) -> Result<()> {
        todo!()
    }

    /// Bytes of the replica.
    pub fn receive(&mut self, _now_ms: u64, _bytes: &[u8]) -> Result<()> {
        todo!()
    }

    /// To be called after entries were framed, and at `next_tick_ms`. The primary is at `latest`.
    pub fn tick(&mut self, _now_ms: u64, _latest: u64, _out: &mut Vec<u8>) {
        todo!()
    }

    /// When `tick` has something to do, if nothing else happens.
    pub fn next_tick_ms(&self) -> u64 {
        todo!()
    }

    /// Asks for an acknowledgement.
    pub fn want_ack(&mut self, _out: &mut Vec<u8>) {
        todo!()
    }

    /// The last sequence that was framed.
    pub fn sent(&self) -> u64 {
        todo!()
    }

    /// The last sequence that the replica says it has applied.
    pub fn acked(&self) -> Option<u64> {
        todo!()
    }

    /// The last sequence that the replica says will survive a power cut.
    pub fn durable(&self) -> Option<u64> {
        todo!()
    }

    /// When the last acknowledgement came.
    pub fn last_ack_ms(&self) -> Option<u64> {
        todo!()
    }
}
