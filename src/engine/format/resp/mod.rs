//! RESP: requests and replies, read from pieces of any size. What a length claims is allocated when the bytes are
//! there, not before. Replies are written in RESP2 or RESP3, and read in RESP2.

mod reply;
mod request;

use std::io::Write;

pub use reply::ReplyParser;
pub use request::RequestParser;

/// How replies are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    #[default]
    Resp2,
    Resp3,
}

/// What a command answers. `execute` answers with the kinds from [`Reply::Simple`] to [`Reply::Array`], which are those of
/// RESP2; the others say more to a client of a listener who has asked for RESP3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+text`, a status.
    Simple(String),
    /// `-CODE text`; the code is part of the text. Only in an array: a command that fails is an error.
    Error(String),
    /// `:number`.
    Integer(i64),
    /// `$length bytes`.
    Bulk(Vec<u8>),
    /// `$-1`, no value.
    Nil,
    /// `*-1`, no array.
    NilArray,
    /// `*count replies`.
    Array(Vec<Reply>),
    /// `,number`, a number with a fraction; in RESP2 a bulk.
    Double(String),
    /// `=length txt:text`, a text to be shown as it is; in RESP2 a bulk.
    Verbatim(String),
    /// `%count replies`, names with their values, one behind the other; in RESP2 an array of them all.
    Map(Vec<Reply>),
    /// `%count replies` too; in RESP2 an array of pairs.
    Keyed(Vec<Reply>),
    /// An array of pairs, here one behind the other; in RESP2 an array of them all.
    Pairs(Vec<Reply>),
    /// `~count replies`, none of them twice; in RESP2 an array.
    Set(Vec<Reply>),
    /// One reply in RESP2, and another in RESP3.
    Either(Box<[Reply; 2]>),
    /// `>count replies`, which nobody has asked for; in RESP2 an array.
    Push(Vec<Reply>),
}

impl Reply {
    /// A bulk of these bytes.
    pub fn bulk(bytes: impl AsRef<[u8]>) -> Reply {
        Reply::Bulk(bytes.as_ref().to_vec())
    }

    /// The same in the kinds of RESP2.
    pub fn plain(self) -> Reply {
        let all = |items: Vec<Reply>| Reply::Array(items.into_iter().map(Reply::plain).collect());
        match self {
            Reply::Double(text) | Reply::Verbatim(text) => Reply::Bulk(text.into_bytes()),
            Reply::Array(items) | Reply::Map(items) | Reply::Pairs(items) | Reply::Set(items) | Reply::Push(items) => {
                all(items)
            }
            Reply::Keyed(items) => {
                let mut items = items.into_iter();
                let pair = || Some([items.next()?, items.next()?]).map(|pair| all(pair.into()));
                Reply::Array(std::iter::from_fn(pair).collect())
            }
            Reply::Either(forms) => {
                let [plain, _] = *forms;
                plain.plain()
            }
            Reply::Simple(_) | Reply::Error(_) | Reply::Integer(_) | Reply::Bulk(_) | Reply::Nil | Reply::NilArray => {
                self
            }
        }
    }

    /// Appends the reply in RESP2.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_in(Protocol::Resp2, out);
    }

    /// Appends the reply. A line break in a line becomes a space, so that it stays one line.
    pub(crate) fn encode_in(&self, protocol: Protocol, out: &mut Vec<u8>) {
        let line = |kind: u8, text: &str, out: &mut Vec<u8>| {
            out.push(kind);
            out.extend(text.bytes().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
            out.extend_from_slice(b"\r\n");
        };
        let all = |kind: u8, count: usize, items: &[Reply], out: &mut Vec<u8>| {
            append_header(out, kind, count);
            items.iter().for_each(|item| item.encode_in(protocol, out));
        };
        let pairs = |items: &[Reply], out: &mut Vec<u8>| {
            append_header(out, b'*', items.len() / 2);
            items.chunks(2).for_each(|pair| all(b'*', pair.len(), pair, out));
        };
        let rich = protocol == Protocol::Resp3;
        match self {
            Reply::Simple(text) => line(b'+', text, out),
            Reply::Error(text) => line(b'-', text, out),
            Reply::Integer(number) => append_header(out, b':', number),
            Reply::Bulk(bytes) => append_bulk(out, bytes),
            Reply::Nil | Reply::NilArray if rich => out.extend_from_slice(b"_\r\n"),
            Reply::Nil => append_header(out, b'$', -1),
            Reply::NilArray => append_header(out, b'*', -1),
            Reply::Double(number) if rich => line(b',', number, out),
            Reply::Verbatim(text) if rich => {
                append_header(out, b'=', text.len() + 4);
                out.extend_from_slice(b"txt:");
                out.extend_from_slice(text.as_bytes());
                out.extend_from_slice(b"\r\n");
            }
            Reply::Double(text) | Reply::Verbatim(text) => append_bulk(out, text.as_bytes()),
            Reply::Map(items) | Reply::Keyed(items) if rich => all(b'%', items.len() / 2, items, out),
            Reply::Either(forms) => forms[usize::from(rich)].encode_in(protocol, out),
            Reply::Pairs(items) if rich => pairs(items, out),
            Reply::Keyed(items) => pairs(items, out),
            Reply::Set(items) if rich => all(b'~', items.len(), items, out),
            Reply::Push(items) if rich => all(b'>', items.len(), items, out),
            Reply::Array(items) | Reply::Map(items) | Reply::Pairs(items) | Reply::Set(items) | Reply::Push(items) => {
                all(b'*', items.len(), items, out);
            }
        }
    }
}

fn append_header(out: &mut Vec<u8>, kind: u8, number: impl std::fmt::Display) {
    out.push(kind);
    // What is written into memory does not fail.
    let _ = write!(out, "{number}\r\n");
}

/// Appends a bulk.
pub fn append_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.reserve(bytes.len() + 16);
    append_header(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// A request: an array of bulks.
pub fn encode_request(args: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    append_header(&mut out, b'*', args.len());
    args.iter().for_each(|arg| append_bulk(&mut out, arg));
    out
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

/// The longest line that holds a number: its type, 20 characters and the end.
const NUMBER_LINE: usize = 32;
/// What an argument or element takes besides its bytes.
const ITEM: usize = 48;
/// A buffer with no more than this in it gives back the memory beyond.
const KEPT_BUFFER: usize = 1 << 20;

/// A number as Redis reads it: decimal, no plus, no leading zero.
pub fn parse_integer(digits: &[u8]) -> Option<i64> {
    let (negative, magnitude) = match digits.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, digits),
    };
    let canonical = match magnitude {
        [b'0'] => !negative,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if canonical { std::str::from_utf8(digits).ok()?.parse().ok() } else { None }
}

/// Received bytes that were not read yet.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    /// Before it all was read.
    start: usize,
    /// Before it there is no line feed.
    scanned: usize,
}

impl Buffer {
    fn push(&mut self, bytes: &[u8]) {
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.scanned = self.scanned.saturating_sub(self.start);
            self.start = 0;
            if self.bytes.len() <= KEPT_BUFFER {
                self.bytes.shrink_to(KEPT_BUFFER);
            }
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    fn skip(&mut self, length: usize) {
        self.start = (self.start + length).min(self.bytes.len());
        if self.start == self.bytes.len() {
            self.bytes.clear();
            self.bytes.shrink_to(KEPT_BUFFER);
            (self.start, self.scanned) = (0, 0);
        }
    }

    /// The length of the next line without its line feed, or `None` while there is no end in sight. `Err` when it is
    /// longer than `limit`.
    fn line_length(&mut self, limit: usize) -> std::result::Result<Option<usize>, ()> {
        let from = self.scanned.max(self.start);
        let window = self.bytes.len().min(self.start.saturating_add(limit));
        let ahead = self.bytes.get(from..window).unwrap_or_default();
        match ahead.iter().position(|&byte| byte == b'\n') {
            Some(at) => {
                self.scanned = from;
                Ok(Some(from + at - self.start))
            }
            None if self.unread().len() >= limit => Err(()),
            None => {
                self.scanned = self.bytes.len();
                Ok(None)
            }
        }
    }

    fn take_rest(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.drain(..self.start);
        (self.start, self.scanned) = (0, 0);
        bytes
    }
}

/// Removes the carriage return that ends every line of RESP.
fn strip_return(line: &[u8]) -> Option<&[u8]> {
    line.strip_suffix(b"\r")
}
