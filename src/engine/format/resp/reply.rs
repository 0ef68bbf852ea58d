//! Replies, as a client reads them.

use super::{Buffer, ITEM, Limits, NUMBER_LINE, Reply, parse_integer, strip_return};
use crate::engine::error::{Error, ErrorKind, Result, shown};

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
        if self.total.saturating_add(ITEM).saturating_add(length) > self.limits.total {
            return Err(self.too_long());
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
        if self.total > self.limits.total { Err(self.too_long()) } else { Ok(()) }
    }

    fn too_long(&self) -> Error {
        reply_error(format!("got more than {} bytes, expected a shorter one", self.limits.total))
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

#[cfg(test)]
mod tests {
    use super::super::Protocol;
    use super::*;

    fn replies(stream: &[u8], piece: usize, limits: Limits) -> Result<Vec<Reply>> {
        let mut parser = ReplyParser::new(limits);
        let mut out = Vec::new();
        for piece in stream.chunks(piece) {
            parser.push(piece);
            while let Some(reply) = parser.next()? {
                out.push(reply);
            }
        }
        Ok(out)
    }

    /// Replies of all kinds come out as they went in, however they are cut.
    #[test]
    fn replies_in_any_pieces() {
        let all = vec![
            Reply::Simple("OK".to_owned()),
            Reply::Error("ERR no".to_owned()),
            Reply::Integer(i64::MIN),
            Reply::bulk(b"a\r\nb"),
            Reply::bulk(b""),
            Reply::Nil,
            Reply::NilArray,
            Reply::Array(Vec::new()),
            Reply::Array(vec![Reply::Array(vec![Reply::Nil, Reply::Array(vec![])]), Reply::Integer(7)]),
        ];
        let mut stream = Vec::new();
        all.iter().for_each(|reply| reply.encode(&mut stream));
        assert!(
            stream.starts_with(
                b"+OK\r\n-ERR no\r\n:-9223372036854775808\r\n$4\r\na\r\nb\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n"
            )
        );
        for piece in 1..=stream.len() {
            assert_eq!(replies(&stream, piece, Limits::default()).unwrap(), all, "pieces of {piece}");
        }
        // A text cannot make a second reply.
        let mut bytes = Vec::new();
        Reply::Error("ERR a\r\n+OK".to_owned()).encode(&mut bytes);
        assert_eq!(bytes, b"-ERR a  +OK\r\n");
    }

    /// What is no reply, too long or too deep is refused.
    #[test]
    fn bad_replies() {
        let line = [b'+'; 70_000];
        let deep = b"*1\r\n".repeat(9);
        let small = Limits { total: 300, ..Limits::default() };
        for (stream, limits) in [
            (&b"change.me.db\r\n"[..], Limits::default()),
            (b":x\r\n", Limits::default()),
            (b":+1\r\n", Limits::default()),
            (b"$-2\r\n", Limits::default()),
            (b"*-2\r\n", Limits::default()),
            (b"$536870913\r\n", Limits::default()),
            (b"*1048577\r\n", Limits::default()),
            (b"$1\r\nxxx", Limits::default()),
            (b"+OK\n", Limits::default()),
            (&[b'$'; 40], Limits::default()),
            (&line, Limits::default()),
            (&deep, Limits::default()),
            (b"$300\r\n", small),
            (b"*100\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n", small),
        ] {
            for piece in [1, 1 << 20] {
                let error = replies(stream, piece, limits).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Corruption, "{}", shown(stream));
            }
        }
        assert!(replies(&b"*1\r\n".repeat(8), 1, Limits::default()).unwrap().is_empty());
    }

    /// Each kind goes out in RESP3 as what it is, and in RESP2 as what its plain form is.
    #[test]
    fn kinds_of_resp3() {
        let pair = || vec![Reply::bulk(b"a"), Reply::Double("1.5".to_owned())];
        for (reply, rich) in [
            (Reply::Nil, "_\r\n"),
            (Reply::NilArray, "_\r\n"),
            (Reply::Integer(7), ":7\r\n"),
            (Reply::Double("inf".to_owned()), ",inf\r\n"),
            (Reply::Verbatim("a\r\nb".to_owned()), "=8\r\ntxt:a\r\nb\r\n"),
            (Reply::Array(pair()), "*2\r\n$1\r\na\r\n,1.5\r\n"),
            (Reply::Map(pair()), "%1\r\n$1\r\na\r\n,1.5\r\n"),
            (Reply::Keyed(pair()), "%1\r\n$1\r\na\r\n,1.5\r\n"),
            (Reply::Pairs(pair()), "*1\r\n*2\r\n$1\r\na\r\n,1.5\r\n"),
            (Reply::Set(pair()), "~2\r\n$1\r\na\r\n,1.5\r\n"),
            (Reply::Push(pair()), ">2\r\n$1\r\na\r\n,1.5\r\n"),
            (Reply::Set(Vec::new()), "~0\r\n"),
            (Reply::Map(vec![Reply::Nil, Reply::Set(Vec::new())]), "%1\r\n_\r\n~0\r\n"),
        ] {
            let mut bytes = Vec::new();
            reply.encode_in(Protocol::Resp3, &mut bytes);
            assert_eq!(bytes, rich.as_bytes(), "{reply:?}");
            let (mut bytes, mut of_plain) = (Vec::new(), Vec::new());
            reply.encode(&mut bytes);
            let plain = reply.plain();
            plain.encode(&mut of_plain);
            assert_eq!(bytes, of_plain);
            assert_eq!(replies(&bytes, 1, Limits::default()).unwrap(), [plain]);
        }
        let mut bytes = Vec::new();
        Reply::Keyed(pair()).encode(&mut bytes);
        assert_eq!(bytes, b"*1\r\n*2\r\n$1\r\na\r\n$3\r\n1.5\r\n");
    }

    /// A line that is no reply can be read between two replies.
    #[test]
    fn bare_lines() {
        let mut parser = ReplyParser::new(Limits::default());
        parser.push(b"+OK\r\nchange");
        assert_eq!(parser.next().unwrap(), Some(Reply::Simple("OK".to_owned())));
        assert_eq!(parser.next_line().unwrap(), None);
        parser.push(b".me.db\r\n:1\r\nrest");
        assert_eq!(parser.next_line().unwrap().unwrap(), b"change.me.db");
        assert_eq!(parser.next().unwrap(), Some(Reply::Integer(1)));
        assert_eq!(parser.take_rest(), b"rest");
    }

    /// A claimed length allocates nothing before its bytes are there.
    #[test]
    fn claims() {
        let mut parser = ReplyParser::new(Limits::default());
        parser.push(b"*1048576\r\n*1048576\r\n$536870912\r\nabc");
        assert!(parser.next().unwrap().is_none());
        assert!(parser.open.iter().all(|(_, items)| items.capacity() == 0));
        assert!(parser.buffer.bytes.capacity() < 1000);
    }
}
