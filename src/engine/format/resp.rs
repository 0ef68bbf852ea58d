//! RESP2: requests and replies, read from pieces of any size. What a length claims is allocated when the bytes are
//! there, not before.
//! Redis: networking.c processInlineBuffer, processMultibulkBuffer; sds.c sdssplitargs.

use crate::engine::error::{Error, ErrorKind, Result, shown};

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
    /// A bulk of these bytes.
    pub fn bulk(bytes: impl AsRef<[u8]>) -> Reply {
        Reply::Bulk(bytes.as_ref().to_vec())
    }

    /// Appends the reply. A line break in a line becomes a space, so that it stays one line.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let line = |kind: u8, text: &str, out: &mut Vec<u8>| {
            out.push(kind);
            out.extend(text.bytes().map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
            out.extend_from_slice(b"\r\n");
        };
        match self {
            Reply::Simple(text) => line(b'+', text, out),
            Reply::Error(text) => line(b'-', text, out),
            Reply::Integer(number) => append_header(out, b':', number),
            Reply::Bulk(bytes) => append_bulk(out, bytes),
            Reply::Nil => append_header(out, b'$', -1),
            Reply::NilArray => append_header(out, b'*', -1),
            Reply::Array(items) => {
                append_header(out, b'*', items.len());
                items.iter().for_each(|item| item.encode(out));
            }
        }
    }
}

fn append_header(out: &mut Vec<u8>, kind: u8, number: impl std::fmt::Display) {
    out.push(kind);
    out.extend_from_slice(number.to_string().as_bytes());
    out.extend_from_slice(b"\r\n");
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
/// An empty buffer that is larger gives its memory back.
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
            if self.bytes.is_empty() && self.bytes.capacity() > KEPT_BUFFER {
                self.bytes = Vec::new();
            }
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    fn skip(&mut self, length: usize) {
        self.start = (self.start + length).min(self.bytes.len());
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

fn request_error(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("Protocol error: {what}"))
}

/// Reads requests as a server does: arrays of bulks, and lines.
pub struct RequestParser {
    limits: Limits,
    buffer: Buffer,
    /// Arguments that are still to come, while inside of an array.
    missing: usize,
    /// The length of the bulk whose header was read.
    bulk: Option<usize>,
    args: Vec<Vec<u8>>,
    total: usize,
    failed: Option<String>,
}

impl RequestParser {
    pub fn new(limits: Limits) -> RequestParser {
        RequestParser {
            limits,
            buffer: Buffer::default(),
            missing: 0,
            bulk: None,
            args: Vec::new(),
            total: 0,
            failed: None,
        }
    }

    /// Other limits for what comes from now on.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Bytes of the client.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buffer.push(bytes);
        }
    }

    /// The next request; empty ones are skipped. After an error nothing more can be read.
    #[allow(clippy::should_implement_trait, reason = "an iterator would end where this waits")]
    pub fn next(&mut self) -> Result<Option<Vec<Vec<u8>>>> {
        if let Some(message) = &self.failed {
            return Err(Error::new(ErrorKind::InvalidArgument, message.clone()));
        }
        self.read().inspect_err(|error| {
            self.failed = Some(error.message().to_owned());
            self.buffer = Buffer::default();
            self.args = Vec::new();
        })
    }

    fn read(&mut self) -> Result<Option<Vec<Vec<u8>>>> {
        loop {
            if self.missing > 0 {
                return self.read_bulks();
            }
            match self.buffer.unread().first() {
                None => return Ok(None),
                Some(b'*') => {
                    let Some(count) = self.number_line("too big mbulk count string", "invalid multibulk length")?
                    else {
                        return Ok(None);
                    };
                    // A count below one is a request for nothing.
                    self.missing = usize::try_from(count).unwrap_or(0);
                    if self.missing > self.limits.count {
                        return Err(request_error("invalid multibulk length"));
                    }
                    self.total = 0;
                }
                Some(_) if self.limits.inline => match self.inline()? {
                    Some(args) if args.is_empty() => {}
                    args => return Ok(args),
                },
                Some(other) => return Err(request_error(format!("expected '*', got '{}'", other.escape_ascii()))),
            }
        }
    }

    fn read_bulks(&mut self) -> Result<Option<Vec<Vec<u8>>>> {
        while self.missing > 0 {
            let length = match (self.bulk, self.buffer.unread().first()) {
                (Some(length), _) => length,
                (None, None) => return Ok(None),
                (None, Some(b'$')) => {
                    let number = self.number_line("too big bulk count string", "invalid bulk length")?;
                    let Some(number) = number else { return Ok(None) };
                    match usize::try_from(number) {
                        Ok(length) if length <= self.limits.bulk => length,
                        _ => return Err(request_error("invalid bulk length")),
                    }
                }
                (None, Some(other)) => {
                    return Err(request_error(format!("expected '$', got '{}'", other.escape_ascii())));
                }
            };
            if self.bulk.is_none() {
                self.charge(length)?;
                self.bulk = Some(length);
            }
            let Some((bytes, rest)) = self.buffer.unread().split_at_checked(length) else { return Ok(None) };
            let Some(end) = rest.first_chunk::<2>() else { return Ok(None) };
            if end != b"\r\n" {
                return Err(request_error("expected a line end after a bulk"));
            }
            self.args.push(bytes.to_vec());
            self.buffer.skip(length + 2);
            self.bulk = None;
            self.missing -= 1;
        }
        Ok(Some(std::mem::take(&mut self.args)))
    }

    fn charge(&mut self, length: usize) -> Result<()> {
        self.total = self.total.saturating_add(ITEM).saturating_add(length);
        if self.total > self.limits.total {
            return Err(request_error("too big request"));
        }
        Ok(())
    }

    /// The number of a line `*n` or `$n`.
    fn number_line(&mut self, too_long: &str, invalid: &str) -> Result<Option<i64>> {
        let found = self.buffer.line_length(NUMBER_LINE).map_err(|()| request_error(too_long))?;
        let Some(length) = found else { return Ok(None) };
        let line = self.buffer.unread().get(1..length).and_then(strip_return);
        let number = line.and_then(parse_integer).ok_or_else(|| request_error(invalid))?;
        self.buffer.skip(length + 1);
        Ok(Some(number))
    }

    fn inline(&mut self) -> Result<Option<Vec<Vec<u8>>>> {
        let found = self.buffer.line_length(self.limits.line);
        let Some(length) = found.map_err(|()| request_error("too big inline request"))? else { return Ok(None) };
        let line = self.buffer.unread().get(..length).unwrap_or_default();
        let args = split_inline(line).ok_or_else(|| request_error("unbalanced quotes in request"))?;
        self.buffer.skip(length + 1);
        if args.len() > self.limits.count || args.iter().map(|arg| ITEM + arg.len()).sum::<usize>() > self.limits.total
        {
            return Err(request_error("too big request"));
        }
        Ok(Some(args))
    }

    /// What was not read yet: after a request that ends the conversation in RESP.
    pub fn take_rest(&mut self) -> Vec<u8> {
        self.buffer.take_rest()
    }
}

/// The words of a line, quoted as Redis quotes. `None` where a quote does not end.
fn split_inline(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let is_space = |byte: u8| byte.is_ascii_whitespace() || byte == 0x0B;
    let mut args = Vec::new();
    let mut rest = line.trim_ascii();
    while let Some(start) = rest.iter().position(|&byte| !is_space(byte)) {
        let mut word = Vec::new();
        let mut bytes = rest.get(start..).unwrap_or_default();
        let mut quote = None;
        loop {
            bytes = match (quote, bytes) {
                (None, []) => break,
                (None, [byte, ..]) if is_space(*byte) => break,
                (None, [byte @ (b'"' | b'\''), after @ ..]) => {
                    quote = Some(*byte);
                    after
                }
                (Some(_), []) => return None,
                (Some(b'"'), [b'\\', b'x', high, low, after @ ..])
                    if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
                {
                    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0) as u8;
                    word.push(digit(*high) << 4 | digit(*low));
                    after
                }
                (Some(b'"'), [b'\\', byte, after @ ..]) => {
                    word.push(match byte {
                        b'n' => b'\n',
                        b'r' => b'\r',
                        b't' => b'\t',
                        b'b' => 8,
                        b'a' => 7,
                        other => *other,
                    });
                    after
                }
                (Some(b'\''), [b'\\', b'\'', after @ ..]) => {
                    word.push(b'\'');
                    after
                }
                (Some(end), [byte, after @ ..]) if *byte == end => {
                    // A word ends with its quote.
                    if after.first().is_some_and(|&next| !is_space(next)) {
                        return None;
                    }
                    quote = None;
                    after
                }
                (_, [byte, after @ ..]) => {
                    word.push(*byte);
                    after
                }
            };
        }
        args.push(word);
        rest = bytes;
    }
    Some(args)
}

fn reply_error(what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corruption, format!("reply: {what}"))
}

/// Reads replies as a client does.
pub struct ReplyParser {
    limits: Limits,
    buffer: Buffer,
    /// Arrays that are not full yet: how many elements are missing, and those that are there.
    open: Vec<(usize, Vec<Reply>)>,
    total: usize,
    failed: Option<String>,
}

impl ReplyParser {
    pub fn new(limits: Limits) -> ReplyParser {
        ReplyParser { limits, buffer: Buffer::default(), open: Vec::new(), total: 0, failed: None }
    }

    /// Bytes of the server.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buffer.push(bytes);
        }
    }

    /// The next reply. After an error nothing more can be read.
    #[allow(clippy::should_implement_trait, reason = "an iterator would end where this waits")]
    pub fn next(&mut self) -> Result<Option<Reply>> {
        self.guarded(Self::read)
    }

    /// The next line, without its end: for servers that answer with something that is not RESP.
    pub fn next_line(&mut self) -> Result<Option<Vec<u8>>> {
        self.guarded(|parser| {
            let Some((line, used)) = parser.line(0, parser.limits.line)? else { return Ok(None) };
            parser.buffer.skip(used);
            Ok(Some(line))
        })
    }

    /// What was not read yet.
    pub fn take_rest(&mut self) -> Vec<u8> {
        self.buffer.take_rest()
    }

    fn guarded<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if let Some(message) = &self.failed {
            return Err(Error::new(ErrorKind::Corruption, message.clone()));
        }
        read(self).inspect_err(|error| {
            self.failed = Some(error.message().to_owned());
            self.buffer = Buffer::default();
            self.open = Vec::new();
        })
    }

    fn read(&mut self) -> Result<Option<Reply>> {
        loop {
            let mut reply = match self.item()? {
                Item::Incomplete => return Ok(None),
                Item::Opened => continue,
                Item::Whole(reply) => reply,
            };
            loop {
                let Some((missing, items)) = self.open.last_mut() else {
                    self.total = 0;
                    return Ok(Some(reply));
                };
                items.push(reply);
                *missing -= 1;
                if *missing > 0 {
                    break;
                }
                reply = Reply::Array(self.open.pop().map(|(_, items)| items).unwrap_or_default());
            }
        }
    }

    fn item(&mut self) -> Result<Item> {
        let Some(&kind) = self.buffer.unread().first() else { return Ok(Item::Incomplete) };
        if !b"+-:$*".contains(&kind) {
            let got = kind.escape_ascii();
            return Err(reply_error(format!("got the type '{got}', expected one of + - : $ *")));
        }
        let text = matches!(kind, b'+' | b'-');
        let limit = if text { self.limits.line } else { NUMBER_LINE };
        let Some((line, used)) = self.line(1, limit)? else { return Ok(Item::Incomplete) };
        if text {
            self.buffer.skip(used);
            self.charge(line.len())?;
            let text = String::from_utf8_lossy(&line).into_owned();
            return Ok(Item::Whole(if kind == b'+' { Reply::Simple(text) } else { Reply::Error(text) }));
        }
        let Some(number) = parse_integer(&line) else {
            return Err(reply_error(format!("got {}, expected a number", shown(&line))));
        };
        let reply = match (kind, number) {
            (b':', _) => Reply::Integer(number),
            (b'$', -1) => Reply::Nil,
            (b'*', -1) => Reply::NilArray,
            (b'$', _) => return self.bulk(number, used),
            (_, _) => return self.array(number, used),
        };
        self.buffer.skip(used);
        self.charge(0)?;
        Ok(Item::Whole(reply))
    }

    fn bulk(&mut self, length: i64, header: usize) -> Result<Item> {
        let limit = self.limits.bulk;
        let Some(length) = usize::try_from(length).ok().filter(|&length| length <= limit) else {
            return Err(reply_error(format!("got a bulk of {length} bytes, expected at most {limit}")));
        };
        if self.total.saturating_add(length) > self.limits.total {
            return self.charge(length).map(|()| Item::Incomplete);
        }
        let body = self.buffer.unread().get(header..).unwrap_or_default();
        let Some((bytes, rest)) = body.split_at_checked(length) else { return Ok(Item::Incomplete) };
        let Some(end) = rest.first_chunk::<2>() else { return Ok(Item::Incomplete) };
        if end != b"\r\n" {
            return Err(reply_error(format!("got {} after a bulk of {length} bytes, expected a line end", shown(end))));
        }
        let bytes = bytes.to_vec();
        self.buffer.skip(header + length + 2);
        self.charge(length)?;
        Ok(Item::Whole(Reply::Bulk(bytes)))
    }

    fn array(&mut self, count: i64, header: usize) -> Result<Item> {
        let limit = self.limits.count;
        let Some(count) = usize::try_from(count).ok().filter(|&count| count <= limit) else {
            return Err(reply_error(format!("got an array of {count}, expected at most {limit}")));
        };
        if self.open.len() >= self.limits.depth {
            return Err(reply_error(format!("got more than {} arrays in each other", self.limits.depth)));
        }
        self.buffer.skip(header);
        self.charge(0)?;
        if count == 0 {
            return Ok(Item::Whole(Reply::Array(Vec::new())));
        }
        self.open.push((count, Vec::new()));
        Ok(Item::Opened)
    }

    fn charge(&mut self, length: usize) -> Result<()> {
        self.total = self.total.saturating_add(ITEM).saturating_add(length);
        if self.total > self.limits.total {
            return Err(reply_error(format!("got more than {} bytes, expected a shorter one", self.limits.total)));
        }
        Ok(())
    }

    /// A line behind `skipped` bytes, without its end, and how many bytes it takes with both.
    fn line(&mut self, skipped: usize, limit: usize) -> Result<Option<(Vec<u8>, usize)>> {
        let found = self.buffer.line_length(limit);
        let found = found.map_err(|()| reply_error(format!("got a line of {limit} bytes or more without an end")))?;
        let Some(length) = found else { return Ok(None) };
        let whole = self.buffer.unread().get(..length).unwrap_or_default();
        let Some(line) = strip_return(whole).and_then(|line| line.get(skipped..)) else {
            return Err(reply_error(format!("got the line {}, expected one that ends in CR LF", shown(whole))));
        };
        Ok(Some((line.to_vec(), length + 1)))
    }
}

/// What was read of a reply.
enum Item {
    Incomplete,
    Opened,
    Whole(Reply),
}
