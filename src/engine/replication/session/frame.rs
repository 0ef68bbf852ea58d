//! The frames of a feed: `$<length> CR LF <bytes> CR LF`, back to back. A write batch, or a shorter or special note.

use std::borrow::Cow;

use crate::engine::error::{Error, ErrorKind, Result, shown};
use crate::engine::format::batch::MAX_BYTES;
use crate::engine::format::resp::append_bulk;

/// What a Kvrocks sends when there was nothing to send.
pub const PING: &[u8] = b"ping";
/// What asks for an acknowledgement.
pub const GET_ACK: &[u8] = b"_getack";
/// What begins a heartbeat between Pumice peers. Read as a batch it would have a sequence that does not exist.
pub const HEARTBEAT: &[u8] = b"_pumice ";

/// `$`, ten digits and the line end.
const LONGEST_HEADER: usize = 13;

/// Appends a frame.
pub fn append_frame(out: &mut Vec<u8>, bytes: &[u8]) {
    append_bulk(out, bytes);
}

/// Reads frames from pieces of any size. A frame that lies in one piece is not copied.
#[derive(Default)]
pub struct FrameReader {
    header: Vec<u8>,
    /// A frame that is not whole: its length with the line end, and what is there of it.
    body: Option<(usize, Vec<u8>)>,
}

fn bad(message: String) -> Error {
    Error::new(ErrorKind::Corruption, format!("feed, {message}"))
}

impl FrameReader {
    /// Takes the next frame off the front of the input, or all of the input while it has none.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Cow<'a, [u8]>>> {
        let (wanted, mut got) = match self.body.take() {
            Some(body) => body,
            None => match self.read_header(input)? {
                Some(length) => (length + 2, Vec::new()),
                None => return Ok(None),
            },
        };
        let (piece, rest) = input.split_at(input.len().min(wanted - got.len()));
        *input = rest;
        if got.len() + piece.len() < wanted {
            got.extend_from_slice(piece);
            self.body = Some((wanted, got));
            return Ok(None);
        }
        let mut frame = Cow::Borrowed(piece);
        if !got.is_empty() {
            got.extend_from_slice(piece);
            frame = Cow::Owned(got);
        }
        let length = wanted - 2;
        if frame.get(length..) != Some(b"\r\n") {
            let end = shown(frame.get(length..).unwrap_or_default());
            return Err(bad(format!("end of a frame of {length} bytes: got {end}, expected a line end")));
        }
        Ok(Some(match frame {
            Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(..length).unwrap_or_default()),
            Cow::Owned(mut bytes) => {
                bytes.truncate(length);
                Cow::Owned(bytes)
            }
        }))
    }

    /// How much is there of a frame that is not whole.
    pub fn pending(&self) -> Option<usize> {
        self.body.as_ref().map(|(_, got)| got.len())
    }

    fn read_header(&mut self, input: &mut &[u8]) -> Result<Option<usize>> {
        let room = LONGEST_HEADER - self.header.len();
        let end = input.iter().take(room).position(|&byte| byte == b'\n');
        let (piece, rest) = input.split_at(end.map_or(input.len().min(room), |end| end + 1));
        self.header.extend_from_slice(piece);
        *input = rest;
        if end.is_none() && self.header.len() < LONGEST_HEADER {
            // What cannot become a length need not be waited for.
            return if self.header.first().is_none_or(|&byte| byte == b'$') {
                Ok(None)
            } else {
                Err(self.bad_header())
            };
        }
        let digits = self.header.strip_prefix(b"$").and_then(|rest| rest.strip_suffix(b"\r\n"));
        let length = digits
            .filter(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
            .and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<usize>().ok())
            .filter(|&length| length <= MAX_BYTES);
        let length = length.ok_or_else(|| self.bad_header())?;
        self.header.clear();
        Ok(Some(length))
    }

    fn bad_header(&self) -> Error {
        bad(format!("length of a frame: got {}, expected $ and at most {MAX_BYTES}", shown(&self.header)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(stream: &[u8], piece: usize) -> Result<Vec<Vec<u8>>> {
        let mut reader = FrameReader::default();
        let mut frames = Vec::new();
        for mut input in stream.chunks(piece) {
            while let Some(frame) = reader.next(&mut input)? {
                frames.push(frame.into_owned());
            }
            assert!(input.is_empty());
        }
        Ok(frames)
    }

    /// Frames come out as they went in, however they are cut.
    #[test]
    fn any_pieces() {
        let frames: Vec<Vec<u8>> = [0, 1, 4, 12, 100, 3000].into_iter().map(|length| vec![b'x'; length]).collect();
        let mut stream = Vec::new();
        frames.iter().for_each(|frame| append_frame(&mut stream, frame));
        for piece in 1..stream.len() + 1 {
            assert_eq!(read_all(&stream, piece).unwrap(), frames, "pieces of {piece}");
        }
    }

    /// A frame that lies in one piece is lent, not copied.
    #[test]
    fn lent() {
        let mut input = b"$4\r\nping\r\n$4\r\npi".as_slice();
        let mut reader = FrameReader::default();
        assert!(matches!(reader.next(&mut input).unwrap(), Some(Cow::Borrowed(b"ping"))));
        assert!(reader.next(&mut input).unwrap().is_none());
        assert!(matches!(reader.next(&mut b"ng\r\n".as_slice()).unwrap(), Some(Cow::Owned(frame)) if frame == PING));
    }

    /// A length that is none, too large or endless is refused as soon as it is seen, and allocates nothing.
    #[test]
    fn bad_lengths() {
        for stream in [
            "$1073741825\r\n",
            "$9223372036854775808\r\n",
            "$99999999999999",
            "$-1\r\n",
            "$\r\n",
            "$+4\r\nping\r\n",
            "$4\nping\r\n",
            "x",
            "-ERR no\r\n",
            "$4\r\npingXX",
            "$4\r\nping\rX",
        ] {
            for piece in [1, 100] {
                let error = read_all(stream.as_bytes(), piece).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Corruption, "{stream:?}");
            }
        }
        let mut reader = FrameReader::default();
        assert!(reader.next(&mut b"$1073741824\r\nabc".as_slice()).unwrap().is_none());
        assert!(reader.body.unwrap().1.capacity() < 1024);
    }
}
