//! Which replicas may continue by a bare sequence. A Kvrocks without ids names nothing else, and a sequence proves
//! nothing about the entries before it. What this process itself has sent to an address does.

/// The addresses that were fed or full-synced under the current replication id.
#[derive(Default)]
pub struct Admissions {}

impl Admissions {
    /// Forgets all addresses when the id is another than before.
    pub fn set_id(&mut self, _id: &str) {
        todo!()
    }

    /// The replica at `address`, connected from `peer_ip`, was told to full-sync.
    pub fn refused(&mut self, _address: (String, u16), _peer_ip: &str) {
        todo!()
    }

    /// A peer got the names of the files of a checkpoint that ends at `sequence`.
    pub fn listed(&mut self, _peer_ip: &str, _sequence: u64) {
        todo!()
    }

    /// A peer got files of it, CURRENT among them.
    pub fn sent(&mut self, _peer_ip: &str) {
        todo!()
    }

    /// A feed to `address` begins.
    pub fn fed(&mut self, _address: (String, u16)) {
        todo!()
    }

    /// A feed to `address` ended after `sequence`. Must be told, or what the replica has could be its own.
    pub fn ended(&mut self, _address: &(String, u16), _sequence: u64) {
        todo!()
    }

    /// Whether the replica at `address` may go on with the sequence `next`.
    pub fn admits(&self, _address: &(String, u16), _next: u64) -> bool {
        todo!()
    }
}
