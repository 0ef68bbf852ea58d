//! The replica's end of one connection of a full sync.

use crate::engine::error::Result;
use crate::engine::format::side::SyncManifest;

/// What a fetching connection brings.
#[derive(Debug)]
pub enum FetchEvent<'a> {
    /// Send these bytes.
    Send(&'a [u8]),
    /// Authenticated: `request_checkpoint` and `request_range` may be called. Only of `Fetch::pumice`.
    Ready,
    /// The names of all files, checked.
    Names(Vec<String>),
    /// A checkpoint of a Pumice.
    Checkpoint {
        /// Its id.
        id: String,
        /// Its files, checked.
        manifest: SyncManifest,
    },
    /// A file begins, or the rest of it that was asked for.
    Begin {
        /// Its name.
        name: &'a str,
        /// How many bytes will come.
        size: u64,
    },
    /// The next bytes of it.
    Data(&'a [u8]),
    /// All bytes of it were there.
    End,
}

/// What takes the events.
pub type OnEvent<'a> = &'a mut dyn FnMut(FetchEvent<'_>) -> Result<()>;

/// One connection of a full sync.
pub struct Fetch {}

impl Fetch {
    /// Asks a Kvrocks for the names of the files of a checkpoint.
    pub fn names(_password: Option<String>) -> Fetch {
        todo!()
    }

    /// Asks a Kvrocks for files. More than `limit` bytes in all is an error.
    pub fn files(_password: Option<String>, _names: Vec<String>, _limit: u64) -> Fetch {
        todo!()
    }

    /// Asks a Pumice for what will be requested.
    pub fn pumice(_password: Option<String>) -> Fetch {
        todo!()
    }

    /// The connection stands.
    pub fn start(&mut self, _on: OnEvent<'_>) -> Result<()> {
        todo!()
    }

    /// Gives the request for a checkpoint, to be sent.
    pub fn request_checkpoint(&mut self) -> Result<Vec<u8>> {
        todo!()
    }

    /// Gives the request for a file from `offset` on, to be sent. The answer must have `expected` bytes.
    pub fn request_range(&mut self, _id: &str, _name: &str, _offset: u64, _expected: u64) -> Result<Vec<u8>> {
        todo!()
    }

    /// Bytes of the primary.
    pub fn receive(&mut self, _bytes: &[u8], _on: OnEvent<'_>) -> Result<()> {
        todo!()
    }

    /// The primary closed the connection: an error where something was still to come.
    pub fn closed(&self) -> Result<()> {
        todo!()
    }
}
