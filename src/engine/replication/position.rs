//! A place in a history.

use std::fmt;

/// (replication id, sequence): the state after the entry that ends at `sequence`, in the history of that id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// 16 characters; empty for data of a Kvrocks that keeps no ids.
    pub replication_id: String,
    /// RocksDB's sequence number.
    pub sequence: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.replication_id, self.sequence)
    }
}
