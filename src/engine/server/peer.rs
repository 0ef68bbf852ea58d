//! The primary's side of replication on a connection.

use super::connection::Connection;
use crate::engine::error::Result;
use crate::engine::format::resp::Reply;

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    Continue,
    Close,
}

/// Answers a command of a replica.
pub fn handle(connection: &mut Connection, args: &[Vec<u8>]) -> Result<Flow> {
    let name = args.first().map_or_else(String::new, |name| String::from_utf8_lossy(name).into_owned());
    connection.reply(&Reply::Error(format!("ERR unknown command `{name}`, with args beginning with: ")));
    Ok(Flow::Continue)
}
