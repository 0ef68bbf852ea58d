//! RESP2: requests and replies, read from pieces of any size.

use crate::engine::error::Result;

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+text`
    Simple(String),
    /// `-CODE text`; the code is part of the text.
    Error(String),
    /// `:number`
    Integer(i64),
    /// `$length bytes`
    Bulk(Vec<u8>),
    /// `$-1`
    Nil,
    /// `*-1`
    NilArray,
    /// `*count replies`
    Array(Vec<Reply>),
}

impl Reply {
    /// Appends the reply.
    pub fn encode(&self, _out: &mut Vec<u8>) {
        todo!()
    }
}

/// A request: an array of bulks.
pub fn encode_request(_args: &[&[u8]]) -> Vec<u8> {
    todo!()
}

/// What one request or reply may claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Elements of one array.
    pub count: usize,
    /// Bytes of one bulk.
    pub bulk: usize,
    /// Bytes of one line; inline requests are lines.
    pub line: usize,
    /// Whether requests may be lines.
    pub inline: bool,
    /// Bytes in memory of one whole request or reply.
    pub total: usize,
    /// Arrays in arrays. Requests have none.
    pub depth: usize,
}

impl Default for Limits {
    /// What Redis allows, and 1 GiB for a whole request.
    fn default() -> Limits {
        Limits { count: 1024 * 1024, bulk: 512 << 20, line: 64 << 10, inline: true, total: 1 << 30, depth: 8 }
    }
}

/// Reads requests as a server does: arrays of bulks, and lines.
pub struct RequestParser {}

impl RequestParser {
    pub fn new(_limits: Limits) -> RequestParser {
        todo!()
    }

    /// Other limits for what comes from now on.
    pub fn set_limits(&mut self, _limits: Limits) {
        todo!()
    }

    /// Bytes of the client.
    pub fn push(&mut self, _bytes: &[u8]) {
        todo!()
    }

    /// The next request; empty ones are skipped. After an error nothing more can be read.
    #[allow(clippy::should_implement_trait, reason = "an iterator would end where this waits")]
    pub fn next(&mut self) -> Result<Option<Vec<Vec<u8>>>> {
        todo!()
    }

    /// What was not read yet: after a request that ends the conversation in RESP.
    pub fn take_rest(&mut self) -> Vec<u8> {
        todo!()
    }
}

/// Reads replies as a client does.
pub struct ReplyParser {}

impl ReplyParser {
    pub fn new(_limits: Limits) -> ReplyParser {
        todo!()
    }

    /// Bytes of the server.
    pub fn push(&mut self, _bytes: &[u8]) {
        todo!()
    }

    /// The next reply. After an error nothing more can be read.
    #[allow(clippy::should_implement_trait, reason = "an iterator would end where this waits")]
    pub fn next(&mut self) -> Result<Option<Reply>> {
        todo!()
    }

    /// The next line, without its end: for servers that answer with something that is not RESP.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>> {
        todo!()
    }

    /// What was not read yet.
    pub fn take_rest(&mut self) -> Vec<u8> {
        todo!()
    }
}
