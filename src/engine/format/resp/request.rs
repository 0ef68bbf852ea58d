//! Requests, as a server reads them: arrays of bulks, and lines.
//! Redis: networking.c processInlineBuffer, processMultibulkBuffer; sds.c sdssplitargs.

use super::{Buffer, ITEM, Limits, NUMBER_LINE, parse_integer, strip_return};
use crate::engine::error::{Error, ErrorKind, Result};

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
    /// Arguments that are done with, whose memory is for the next.
    spare: Vec<Vec<u8>>,
    total: usize,
    failed: Option<String>,
}

/// How many spare arguments are kept, and how much memory each may have.
const SPARE: usize = 128;
const SPARE_BYTES: usize = 128;

impl RequestParser {
    pub fn new(limits: Limits) -> RequestParser {
        RequestParser {
            limits,
            buffer: Buffer::default(),
            missing: 0,
            bulk: None,
            args: Vec::new(),
            spare: Vec::new(),
            total: 0,
            failed: None,
        }
    }

    /// Takes the memory of a request that is done with, for those that come.
    pub fn recycle(&mut self, args: Vec<Vec<u8>>) {
        for arg in args.into_iter().rev() {
            if self.spare.len() < SPARE && arg.capacity() <= SPARE_BYTES {
                self.spare.push(arg);
            }
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
            let mut arg = self.spare.pop().unwrap_or_default();
            arg.clear();
            arg.extend_from_slice(bytes);
            self.args.push(arg);
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
        // What nearly all such lines are.
        let (number, length) = match *self.buffer.unread() {
            [_, a @ b'0'..=b'9', b'\r', b'\n', ..] => (i64::from(a - b'0'), 4),
            [_, a @ b'1'..=b'9', b @ b'0'..=b'9', b'\r', b'\n', ..] => {
                (i64::from(a - b'0') * 10 + i64::from(b - b'0'), 5)
            }
            [_, a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', b'\r', b'\n', ..] => {
                (i64::from(a - b'0') * 100 + i64::from(b - b'0') * 10 + i64::from(c - b'0'), 6)
            }
            _ => return self.long_number_line(too_long, invalid),
        };
        self.buffer.skip(length);
        Ok(Some(number))
    }

    fn long_number_line(&mut self, too_long: &str, invalid: &str) -> Result<Option<i64>> {
        let found = self.buffer.line_length(NUMBER_LINE).map_err(|()| request_error(too_long))?;
        let Some(length) = found else { return Ok(None) };
        let line = self.buffer.unread().get(1..length).and_then(strip_return);
        let number = line.and_then(parse_integer).ok_or_else(|| request_error(invalid))?;
        self.buffer.skip(length + 1);
        Ok(Some(number))
    }

    fn inline(&mut self) -> Result<Option<Vec<Vec<u8>>>> {
        // How TLS begins, and no command.
        if self.buffer.unread().first() == Some(&0x16) {
            return Err(request_error("TLS is not spoken here"));
        }
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

    /// Whether more has come than was given.
    pub fn has_more(&self) -> bool {
        self.unread() > 0
    }

    /// How many bytes came of which nothing was made yet.
    pub fn unread(&self) -> usize {
        self.buffer.unread().len()
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

#[cfg(test)]
mod tests {
    use super::super::{KEPT_BUFFER, encode_request};
    use super::*;

    fn requests(stream: &[u8], piece: usize, limits: Limits) -> Result<Vec<Vec<Vec<u8>>>> {
        let mut parser = RequestParser::new(limits);
        let mut out = Vec::new();
        for piece in stream.chunks(piece) {
            parser.push(piece);
            while let Some(request) = parser.next()? {
                out.push(request);
            }
        }
        Ok(out)
    }

    fn words(line: &str) -> Vec<Vec<u8>> {
        line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
    }

    /// Arrays and lines come out as they were meant, however they are cut, and empty ones are skipped.
    #[test]
    fn requests_in_any_pieces() {
        let stream = [
            encode_request(&[b"SET", b"key", b"a\r\nb"]),
            b"*0\r\n\r\n*-1\r\n  \r\nPING\r\nGET  key \n".to_vec(),
            encode_request(&[b"", b"x"]),
            encode_request(&[b"last", &[b'x'; 5000]]),
        ]
        .concat();
        let expected = vec![
            vec![b"SET".to_vec(), b"key".to_vec(), b"a\r\nb".to_vec()],
            words("PING"),
            words("GET key"),
            vec![Vec::new(), b"x".to_vec()],
            vec![b"last".to_vec(), vec![b'x'; 5000]],
        ];
        for piece in [1, 2, 3, 7, 64, 10_000] {
            assert_eq!(requests(&stream, piece, Limits::default()).unwrap(), expected, "pieces of {piece}");
        }
    }

    /// Lines are split as Redis splits them.
    #[test]
    fn quoted_words() {
        for (line, expected) in [
            (r#"a "b c" 'd e'"#, Some(vec!["a", "b c", "d e"])),
            (r#""\x41\n\"" '\''"#, Some(vec!["A\n\"", "'"])),
            (r#"a"b c"d"#, None),
            (r#"a"b c" d"#, Some(vec!["ab c", "d"])),
            (r#""" ''"#, Some(vec!["", ""])),
            (r#""open"#, None),
            (r#"'open\'"#, None),
            ("", Some(vec![])),
            ("\u{b} \t", Some(vec![])),
        ] {
            let expected =
                expected.map(|words| words.into_iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>());
            assert_eq!(split_inline(line.as_bytes()), expected, "{line:?}");
        }
    }

    /// What is no request is refused in the words of Redis, as soon as it can be seen, and for good.
    #[test]
    fn bad_requests() {
        let long = [&b"*"[..], &[b'1'; 100]].concat();
        let deep = [&b"*1\r\n$"[..], &[b'1'; 100]].concat();
        let line = [b'x'; 70_000];
        let small = Limits { total: 200, ..Limits::default() };
        let strict = Limits { inline: false, ..Limits::default() };
        for (stream, limits, message) in [
            (&b"*1048577\r\n"[..], Limits::default(), "Protocol error: invalid multibulk length"),
            (b"*x\r\n", Limits::default(), "Protocol error: invalid multibulk length"),
            (b"*03\r\n", Limits::default(), "Protocol error: invalid multibulk length"),
            (b"*9223372036854775808\r\n", Limits::default(), "Protocol error: invalid multibulk length"),
            (b"*1\n$1\r\nx\r\n", Limits::default(), "Protocol error: invalid multibulk length"),
            (&long, Limits::default(), "Protocol error: too big mbulk count string"),
            (b"*1\r\nx", Limits::default(), "Protocol error: expected '$', got 'x'"),
            (b"*1\r\n$-1\r\n", Limits::default(), "Protocol error: invalid bulk length"),
            (b"*1\r\n$536870913\r\n", Limits::default(), "Protocol error: invalid bulk length"),
            (b"*1\r\n$18446744073709551615\r\n", Limits::default(), "Protocol error: invalid bulk length"),
            (&deep, Limits::default(), "Protocol error: too big bulk count string"),
            (b"*1\r\n$1\r\nxxx", Limits::default(), "Protocol error: expected a line end after a bulk"),
            (b"a 'b\r\n", Limits::default(), "Protocol error: unbalanced quotes in request"),
            (&line, Limits::default(), "Protocol error: too big inline request"),
            (b"*2\r\n$60\r\n", Limits { bulk: 59, ..Limits::default() }, "Protocol error: invalid bulk length"),
            (b"*9\r\n$160\r\n", small, "Protocol error: too big request"),
            (b"*9\r\n$0\r\n\r\n$0\r\n\r\n$0\r\n\r\n$0\r\n\r\n$0\r\n", small, "Protocol error: too big request"),
            (b"a b c d e\r\n", small, "Protocol error: too big request"),
            (b"PING\r\n", strict, "Protocol error: expected '*', got 'P'"),
        ] {
            for piece in [1, 1 << 20] {
                let error = requests(stream, piece, limits).unwrap_err();
                assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidArgument, message));
            }
        }
        let mut parser = RequestParser::new(Limits::default());
        parser.push(b"*x\r\n");
        assert!(parser.next().is_err());
        parser.push(b"PING\r\n");
        assert_eq!(parser.next().unwrap_err().message(), "Protocol error: invalid multibulk length");
    }

    /// A claimed length allocates nothing before its bytes are there.
    #[test]
    fn claims() {
        let mut parser = RequestParser::new(Limits::default());
        parser.push(b"*1048576\r\n$536870912\r\nabc");
        assert!(parser.next().unwrap().is_none());
        assert!(parser.args.capacity() < 10 && parser.buffer.bytes.capacity() < 1000);
    }

    /// After the last request the rest is given back as it came; a buffer does not grow with what was read.
    #[test]
    fn the_rest() {
        let mut parser = RequestParser::new(Limits::default());
        let stream = [encode_request(&[b"PSYNC", b"1"]), b"*no request at all".to_vec()].concat();
        parser.push(&stream);
        assert_eq!(parser.next().unwrap().unwrap(), words("PSYNC 1"));
        assert_eq!(parser.take_rest(), b"*no request at all");
        for _ in 0..10_000 {
            parser.push(&encode_request(&[b"PING", &[b'x'; 100]]));
            assert_eq!(parser.next().unwrap().unwrap().len(), 2);
        }
        assert!(parser.buffer.bytes.capacity() < 1000, "{}", parser.buffer.bytes.capacity());
    }

    /// A connection does not keep the memory of its largest request, neither while it is silent nor with the beginning of
    /// another one behind it.
    #[test]
    fn the_memory_of_a_large_request() {
        let large = encode_request(&[b"SET", b"key", &vec![b'x'; 8 << 20]]);
        let mut parser = RequestParser::new(Limits::default());
        for rest in [&b""[..], b"*1\r\n$4"] {
            parser.push(&[&large[..], rest].concat());
            assert_eq!(parser.next().unwrap().unwrap().len(), 3);
            if !rest.is_empty() {
                parser.push(b"\r\nPING\r\n");
                assert_eq!(parser.next().unwrap().unwrap(), words("PING"));
            }
            assert!(parser.buffer.bytes.capacity() <= KEPT_BUFFER, "{}", parser.buffer.bytes.capacity());
        }
    }
}
