//! The two ends of replication as pure state machines: bytes and time go in, bytes and actions come out. No socket, no
//! thread, no clock, no RocksDB.
#![allow(dead_code, reason = "the driver of the link and the listener come after")]

pub mod admission;
pub mod feed;
pub mod fetch;
pub mod frame;
pub mod handshake;
pub mod primary;
pub mod promote;
pub mod replica;

#[cfg(test)]
mod recorded;
#[cfg(test)]
mod simulation;

use std::collections::HashSet;

use crate::engine::error::{Error, ErrorKind, Result, shown};
use crate::engine::format::side::check_file_name;

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

/// An error that a peer answered with, its `-` taken off. Busy: try again later. NotFound: what was asked for is gone.
fn refusal(step: &str, text: &str) -> Error {
    let code = text.split(' ').next().unwrap_or_default();
    let kind = match code {
        "LOADING" | "BUSY" | "MASTERDOWN" | "STALE" | "UNLISTED" | "TRYAGAIN" => ErrorKind::Busy,
        "NOTFOUND" => ErrorKind::NotFound,
        // Kvrocks, when it has no room or is busy with another checkpoint.
        "can't" => ErrorKind::Busy,
        _ => ErrorKind::InvalidArgument,
    };
    Error::new(kind, format!("{step}: the primary answered {}", shown(text.as_bytes())))
}

/// The names of a list with commas. Each is one that a checkpoint may have, and none is there twice.
fn parse_file_names(list: &[u8], limit: usize) -> Result<Vec<String>> {
    let bad = |message: String| Error::new(ErrorKind::Corruption, format!("list of files: {message}"));
    let mut names = Vec::new();
    for name in list.split(|&byte| byte == b',') {
        check_file_name(name)?;
        if names.len() == limit {
            return Err(bad(format!("got more than {limit} names")));
        }
        names.push(String::from_utf8_lossy(name).into_owned());
    }
    let mut seen = HashSet::with_capacity(names.len());
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(twice) => Err(bad(format!("got {twice} twice, expected it once"))),
        None => Ok(names),
    }
}
