//! A place in a history, as a record.

use std::ffi::c_char;

use super::argument::{invalid, utf8};
use crate::{Position, Result};

const ID_SIZE: usize = 17;

/// The state after the entry that ends at `sequence`, in the history of that replication id.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct pumice_position {
    /// 16 characters and a NUL; empty for data of a Kvrocks that keeps no ids.
    pub replication_id: [c_char; 17],
    /// RocksDB's sequence number.
    pub sequence: u64,
}

/// A replication id as C keeps it.
pub fn id_for_c(id: &str) -> [c_char; ID_SIZE] {
    let mut out = [0; ID_SIZE];
    for (place, byte) in out[..ID_SIZE - 1].iter_mut().zip(id.bytes()) {
        *place = byte as c_char;
    }
    out
}

impl From<&Position> for pumice_position {
    fn from(position: &Position) -> pumice_position {
        pumice_position { replication_id: id_for_c(&position.replication_id), sequence: position.sequence }
    }
}

impl pumice_position {
    /// The beginning of every history.
    pub const NOTHING: pumice_position = pumice_position { replication_id: [0; ID_SIZE], sequence: 0 };

    pub fn get(&self) -> Result<Position> {
        let id = self.replication_id.map(|byte| byte as u8);
        let end = id.iter().position(|byte| *byte == 0);
        let end = end.ok_or_else(|| invalid("position: its replication id does not end in NUL".to_owned()))?;
        Ok(Position { replication_id: utf8(&id[..end], "replication id")?.to_owned(), sequence: self.sequence })
    }
}
