//! The replica's end of one connection of a full sync. Bytes of files are passed on as they come, without a copy.

use std::collections::VecDeque;

use super::handshake::parse_sequence;
use super::{parse_file_names, refusal};
use crate::engine::error::{Error, ErrorKind, Result, shown};
use crate::engine::format::registry::check_replication_id;
use crate::engine::format::resp::{Limits, Reply, ReplyParser, encode_request};
use crate::engine::format::side::{SyncManifest, check_file_name, decode_manifest};

/// The longest list of names, and how many they may be.
const LONGEST_LIST: usize = 4 << 20;
const MAX_FILES: usize = 100_000;
/// The longest line of any other kind: an error.
const LONGEST_LINE: usize = 64 << 10;
/// A size in decimal has no more digits.
const LONGEST_SIZE: usize = 20;
/// The slowest that bytes may come, in bytes a second, looked at once in so many milliseconds: one now and then keeps
/// nobody waiting for ever.
const SLOWEST: u64 = 1_000;
const LOOK_MS: u64 = 60_000;
/// A checkpoint is its id and its sync manifest.
const CHECKPOINT: Limits =
    Limits { count: 2, bulk: 64 << 20, line: 64 << 10, inline: false, total: 65 << 20, depth: 1 };

/// What a fetching connection brings.
#[derive(Debug)]
pub enum FetchEvent<'a> {
    /// Send these bytes.
    Send(&'a [u8]),
    /// Authenticated: `request_checkpoint` and `request_range` may be called. Only of `Fetch::pumice`.
    Ready,
    /// The names of all files, checked.
    Names(Vec<String>),
    /// The checksums of the checkpoint are not known yet: ask again.
    NotYet,
    /// A checkpoint of a Pumice, or its files alone.
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

/// What the connection is for.
enum Purpose {
    Names,
    Files,
    Pumice,
}

/// A file that was asked for, and how many bytes must come where that is known.
struct Asked {
    name: String,
    expected: Option<u64>,
}

/// What is waited for.
enum Step {
    Connection,
    Auth,
    Names,
    /// The size of the first file asked for, or that nothing is asked for.
    Size,
    /// So many bytes of the file.
    Data(u64),
    /// The line end behind a bulk.
    BulkEnd,
    Checkpoint(Box<ReplyParser>),
    /// Nothing more may come.
    Done,
    Failed,
}

/// One connection of a full sync.
pub struct Fetch {
    /// Who asks, for a primary that a topology tells whom to feed.
    pub node_id: Option<String>,
    password: Option<String>,
    purpose: Purpose,
    step: Step,
    asked: VecDeque<Asked>,
    /// How many bytes of files may still come.
    left: u64,
    line: Vec<u8>,
    /// When the bytes that are counted began to come, and how many have come since.
    counted: Option<(u64, u64)>,
}

fn bad(message: String) -> Error {
    Error::new(ErrorKind::Corruption, format!("full sync, {message}"))
}

impl Fetch {
    /// Asks a Kvrocks for the names of the files of a checkpoint.
    pub fn names(password: Option<String>) -> Fetch {
        Fetch::new(password, Purpose::Names)
    }

    /// Asks a Kvrocks for files. More than `limit` bytes in all is an error.
    pub fn files(password: Option<String>, names: Vec<String>, limit: u64) -> Fetch {
        let mut fetch = Fetch::new(password, Purpose::Files);
        fetch.asked.extend(names.into_iter().map(|name| Asked { name, expected: None }));
        fetch.left = limit;
        fetch
    }

    /// Asks a Pumice for what will be requested.
    pub fn pumice(password: Option<String>) -> Fetch {
        Fetch::new(password, Purpose::Pumice)
    }

    fn new(password: Option<String>, purpose: Purpose) -> Fetch {
        let (step, asked) = (Step::Connection, VecDeque::new());
        Fetch { node_id: None, password, purpose, step, asked, left: u64::MAX, line: Vec::new(), counted: None }
    }

    /// The connection stands.
    pub fn start(&mut self, on: OnEvent<'_>) -> Result<()> {
        let Some(password) = &self.password else { return self.authenticated(on) };
        self.step = Step::Auth;
        on(FetchEvent::Send(&encode_request(&[b"AUTH", password.as_bytes()])))
    }

    fn authenticated(&mut self, on: OnEvent<'_>) -> Result<()> {
        match self.purpose {
            Purpose::Names => {
                self.step = Step::Names;
                on(FetchEvent::Send(&encode_request(&[b"_fetch_meta"])))
            }
            Purpose::Files if self.asked.is_empty() => {
                self.step = Step::Done;
                Ok(())
            }
            Purpose::Files => {
                self.step = Step::Size;
                let names: Vec<&str> = self.asked.iter().map(|asked| asked.name.as_str()).collect();
                on(FetchEvent::Send(&encode_request(&[b"_fetch_file", names.join(",").as_bytes()])))
            }
            Purpose::Pumice => {
                self.step = Step::Size;
                on(FetchEvent::Ready)
            }
        }
    }

    /// A request, with who asks where a topology says who that is.
    fn signed<'a>(&'a self, words: &[&'a [u8]]) -> Vec<&'a [u8]> {
        words.iter().copied().chain(self.node_id.as_deref().map(str::as_bytes)).collect()
    }

    /// Gives the request for the files of a checkpoint without their checksums, for the engine's run, to be sent while
    /// nothing else is asked for.
    pub fn request_files(&mut self, run_id: &str) -> Result<Vec<u8>> {
        self.await_checkpoint()?;
        Ok(encode_request(&self.signed(&[b"PUMICE", b"FILES", run_id.as_bytes()])))
    }

    /// Gives the request for the checksums of a checkpoint's files, to be sent while nothing else is asked for.
    pub fn request_checksums(&mut self, id: &str) -> Result<Vec<u8>> {
        self.await_checkpoint()?;
        Ok(encode_request(&self.signed(&[b"PUMICE", b"CHECKSUMS", id.as_bytes()])))
    }

    /// Gives the request for a whole checkpoint, to be sent while nothing else is asked for. The primary may be silent for
    /// as long as it takes to read it.
    pub fn request_checkpoint(&mut self) -> Result<Vec<u8>> {
        self.await_checkpoint()?;
        Ok(encode_request(&self.signed(&[b"PUMICE", b"CHECKPOINT"])))
    }

    fn await_checkpoint(&mut self) -> Result<()> {
        self.check_ready(self.asked.is_empty())?;
        self.step = Step::Checkpoint(Box::new(ReplyParser::new(CHECKPOINT)));
        Ok(())
    }

    /// Gives the request for `length` bytes of a file from `offset` on, to be sent. Several may be asked for before the first
    /// has come.
    pub fn request_range(&mut self, id: &str, name: &str, offset: u64, length: u64) -> Result<Vec<u8>> {
        self.check_ready(self.asked.len() < MAX_FILES)?;
        self.asked.push_back(Asked { name: name.to_owned(), expected: Some(length) });
        let (offset, length) = (offset.to_string(), length.to_string());
        let words: [&[u8]; 6] =
            [b"PUMICE", b"RANGE", id.as_bytes(), name.as_bytes(), offset.as_bytes(), length.as_bytes()];
        Ok(encode_request(&self.signed(&words)))
    }

    fn check_ready(&self, free: bool) -> Result<()> {
        let ready = matches!(self.step, Step::Size | Step::Data(_) | Step::BulkEnd);
        if free && ready && matches!(self.purpose, Purpose::Pumice) {
            return Ok(());
        }
        let message = "full sync: this connection takes no request now";
        Err(Error::new(ErrorKind::Internal, message))
    }

    /// Bytes of the primary. After an error nothing more is taken.
    pub fn receive(&mut self, now_ms: u64, bytes: &[u8], on: OnEvent<'_>) -> Result<()> {
        let read = self.check_pace(now_ms, bytes.len() as u64).and_then(|()| self.read(bytes, on));
        if !self.is_waiting() {
            self.counted = None;
        }
        read.inspect_err(|_| {
            self.step = Step::Failed;
            self.line = Vec::new();
        })
    }

    /// Whether a part of something has come, and the rest is to come.
    fn is_waiting(&self) -> bool {
        match &self.step {
            Step::Data(_) | Step::BulkEnd | Step::Names | Step::Auth | Step::Checkpoint(_) => true,
            Step::Size => !self.asked.is_empty(),
            Step::Connection | Step::Done | Step::Failed => false,
        }
    }

    fn check_pace(&mut self, now_ms: u64, more: u64) -> Result<()> {
        let (since_ms, bytes) = self.counted.unwrap_or((now_ms, 0));
        let (elapsed_ms, bytes) = (now_ms.saturating_sub(since_ms), bytes.saturating_add(more));
        if elapsed_ms < LOOK_MS {
            self.counted = Some((since_ms, bytes));
            return Ok(());
        }
        self.counted = Some((now_ms, 0));
        let least = LOOK_MS / 1000 * SLOWEST;
        if bytes >= least {
            return Ok(());
        }
        let message = format!("full sync: got {bytes} bytes in {} s, expected at least {least}", elapsed_ms / 1000);
        Err(Error::new(ErrorKind::Io, message))
    }

    fn read(&mut self, mut input: &[u8], on: OnEvent<'_>) -> Result<()> {
        loop {
            match &mut self.step {
                // What was asked for and is empty still begins and ends.
                Step::Data(0) => self.file_end(on)?,
                _ if input.is_empty() => return Ok(()),
                Step::Data(left) => {
                    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    let (data, rest) = input.split_at(length);
                    *left -= length as u64;
                    input = rest;
                    on(FetchEvent::Data(data))?;
                }
                Step::BulkEnd => {
                    if self.line.is_empty() && input.first() != Some(&b'\r') {
                        return Err(bad(format!("end of a file: got {}, expected a line end", shown(input))));
                    }
                    if let Some(line) = self.take_line(&mut input, 2)? {
                        if !line.is_empty() {
                            return Err(bad(format!("end of a file: got {}, expected a line end", shown(&line))));
                        }
                        self.step = Step::Size;
                    }
                }
                Step::Auth => {
                    if let Some(line) = self.take_line(&mut input, LONGEST_LINE)? {
                        check_error("AUTH", &line)?;
                        if line.first() != Some(&b'+') {
                            return Err(bad(format!("AUTH: got {}", shown(&line))));
                        }
                        self.authenticated(on)?;
                    }
                }
                Step::Names => {
                    if let Some(line) = self.take_line(&mut input, LONGEST_LIST)? {
                        check_error("_fetch_meta", &line)?;
                        let names = parse_file_names(&line, MAX_FILES)?;
                        check_names(&names)?;
                        self.step = Step::Done;
                        on(FetchEvent::Names(names))?;
                    }
                }
                Step::Size => self.size(&mut input, on)?,
                Step::Checkpoint(parser) => {
                    parser.push(input);
                    let Some(reply) = parser.next()? else { return Ok(()) };
                    let rest = parser.take_rest();
                    self.step = Step::Size;
                    on(checkpoint(reply)?)?;
                    // What comes behind it can only answer a later request.
                    return if rest.is_empty() { Ok(()) } else { self.read(&rest, on) };
                }
                Step::Connection | Step::Done | Step::Failed => {
                    return Err(bad(format!("got {}, expected nothing more", shown(input))));
                }
            }
        }
    }

    /// The size of a file: a bare number from a Kvrocks, the head of a bulk from a Pumice.
    fn size(&mut self, input: &mut &[u8], on: OnEvent<'_>) -> Result<()> {
        let pumice = matches!(self.purpose, Purpose::Pumice);
        let Some(asked) = self.asked.front() else {
            return Err(bad(format!("got {}, expected nothing more", shown(input))));
        };
        // An error may be longer than a number.
        let first = self.line.first().or(input.first());
        let limit = if first == Some(&b'-') { LONGEST_LINE } else { LONGEST_SIZE + 3 };
        let expected = asked.expected;
        let Some(line) = self.take_line(input, limit)? else { return Ok(()) };
        let name = self.asked.front().map_or("", |asked| &asked.name);
        check_error(name, &line)?;
        let digits = if pumice { line.strip_prefix(b"$") } else { Some(line.as_slice()) };
        let size = digits
            .and_then(parse_sequence)
            .ok_or_else(|| bad(format!("size of {name}: got {}, expected a number", shown(&line))))?;
        if let Some(expected) = expected
            && size != expected
        {
            return Err(bad(format!("size of {name}: got {size} bytes, expected {expected}")));
        }
        let left = self.left.checked_sub(size);
        self.left = left.ok_or_else(|| bad(format!("size of {name}: got {size}, expected at most {}", self.left)))?;
        on(FetchEvent::Begin { name, size })?;
        self.step = Step::Data(size);
        Ok(())
    }

    fn file_end(&mut self, on: OnEvent<'_>) -> Result<()> {
        self.asked.pop_front();
        self.step = match self.purpose {
            Purpose::Pumice => Step::BulkEnd,
            _ if self.asked.is_empty() => Step::Done,
            _ => Step::Size,
        };
        on(FetchEvent::End)
    }

    /// The next line, without its end.
    fn take_line(&mut self, input: &mut &[u8], limit: usize) -> Result<Option<Vec<u8>>> {
        let room = limit.saturating_sub(self.line.len());
        let end = input.iter().take(room).position(|&byte| byte == b'\n');
        let (piece, rest) = input.split_at(end.map_or(input.len().min(room), |end| end + 1));
        self.line.extend_from_slice(piece);
        *input = rest;
        if end.is_none() {
            if self.line.len() < limit {
                return Ok(None);
            }
            return Err(bad(format!("got the line {} of {limit} bytes or more", shown(&self.line))));
        }
        let line = std::mem::take(&mut self.line);
        match line.strip_suffix(b"\r\n") {
            Some(line) => Ok(Some(line.to_vec())),
            None => Err(bad(format!("got the line {}, expected one that ends in CR LF", shown(&line)))),
        }
    }

    /// The primary closed the connection: an error where something was still to come.
    pub fn closed(&self) -> Result<()> {
        let idle = matches!(self.purpose, Purpose::Pumice) && matches!(self.step, Step::Size) && self.asked.is_empty();
        if matches!(self.step, Step::Done) || idle {
            return Ok(());
        }
        let what = match &self.step {
            Step::Data(left) => format!("the last {left} bytes of a file"),
            Step::Names => "the names of the files".to_owned(),
            Step::Checkpoint(_) => "a checkpoint".to_owned(),
            _ => "an answer".to_owned(),
        };
        Err(Error::new(ErrorKind::Io, format!("full sync: the primary closed the connection before {what}")))
    }
}

fn check_error(step: &str, line: &[u8]) -> Result<()> {
    match line.strip_prefix(b"-") {
        Some(text) => Err(refusal(step, &String::from_utf8_lossy(text))),
        None => Ok(()),
    }
}

/// A checkpoint without these is none.
fn check_names(names: &[String]) -> Result<()> {
    for (what, found) in [
        ("CURRENT", names.iter().any(|name| name == "CURRENT")),
        ("MANIFEST", names.iter().any(|name| name.starts_with("MANIFEST-"))),
    ] {
        if !found {
            return Err(bad(format!("list of files: got no {what}, expected one")));
        }
    }
    Ok(())
}

fn checkpoint(reply: Reply) -> Result<FetchEvent<'static>> {
    let items = match reply {
        Reply::Array(items) => items,
        Reply::Error(text) => return Err(refusal("PUMICE CHECKPOINT", &text)),
        _ => Vec::new(),
    };
    let [Reply::Bulk(id), Reply::Bulk(manifest)] = items.as_slice() else {
        return Err(bad("checkpoint: got another reply, expected an id and a sync manifest".to_owned()));
    };
    let id = check_replication_id(id).map_err(|error| error.context("checkpoint id"))?.to_owned();
    if manifest.is_empty() {
        return Ok(FetchEvent::NotYet);
    }
    let manifest = decode_manifest(manifest)?;
    if manifest.files.len() > MAX_FILES {
        return Err(bad(format!("sync manifest: got {} files, expected at most {MAX_FILES}", manifest.files.len())));
    }
    manifest.files.iter().try_for_each(|file| check_file_name(&file.name))?;
    Ok(FetchEvent::Checkpoint { id, manifest })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::format::key::Layout;
    use crate::engine::format::side::{History, ManifestFile, encode_manifest};
    use crate::engine::replication::session::primary::checkpoint_reply;

    const ID: &str = "AAAAAAAAAAAAAAAA";

    /// What a connection brought: requests and events in words, data collected.
    fn written(event: FetchEvent<'_>, out: &mut Vec<String>) -> Result<()> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("\r\n", " ");
        match event {
            FetchEvent::Send(bytes) => out.push(text(bytes)),
            FetchEvent::Ready => out.push("ready".to_owned()),
            FetchEvent::Names(names) => out.push(names.join(" ")),
            FetchEvent::NotYet => out.push("not yet".to_owned()),
            FetchEvent::Checkpoint { id, manifest } => out.push(format!("{id} {}", manifest.files.len())),
            FetchEvent::Begin { name, size } => out.push(format!("{name} {size}: ")),
            FetchEvent::Data(bytes) => out.last_mut().unwrap().push_str(&text(bytes)),
            FetchEvent::End => out.last_mut().unwrap().push('.'),
        }
        Ok(())
    }

    fn start(fetch: &mut Fetch) -> Vec<String> {
        let mut out = Vec::new();
        fetch.start(&mut |event| written(event, &mut out)).unwrap();
        out
    }

    fn hear(fetch: &mut Fetch, bytes: &[u8], piece: usize) -> Result<Vec<String>> {
        let mut out = Vec::new();
        for piece in bytes.chunks(piece) {
            fetch.receive(0, piece, &mut |event| written(event, &mut out))?;
        }
        Ok(out)
    }

    #[track_caller]
    fn refused(fetch: &mut Fetch, bytes: &[u8], message: &str) {
        let error = hear(fetch, bytes, 1 << 20).unwrap_err();
        assert!(error.message().contains(message), "{error}");
        let after = hear(fetch, b"x", 1).unwrap_err();
        assert!(after.message().contains("expected nothing more"), "{after}");
        assert!(fetch.closed().is_err());
    }

    fn names(list: &str) -> Vec<String> {
        list.split(' ').map(str::to_owned).collect()
    }

    /// The names of a Kvrocks' checkpoint, in any pieces; the connection may end after them and not before.
    #[test]
    fn list_of_names() {
        for piece in [1, 2, 5, 100] {
            let mut fetch = Fetch::names(Some("pw".to_owned()));
            assert_eq!(start(&mut fetch), ["*2 $4 AUTH $2 pw "]);
            assert!(fetch.closed().is_err());
            assert_eq!(hear(&mut fetch, b"+OK\r\n", piece).unwrap(), ["*1 $11 _fetch_meta "]);
            let said = hear(&mut fetch, b"MANIFEST-000001,CURRENT,1.sst\r\n", piece).unwrap();
            assert_eq!(said, ["MANIFEST-000001 CURRENT 1.sst"]);
            fetch.closed().unwrap();
        }
        let started = || {
            let mut fetch = Fetch::names(None);
            start(&mut fetch);
            fetch
        };
        refused(&mut started(), b"CURRENT,1.sst\r\n", "got no MANIFEST");
        refused(&mut started(), b"MANIFEST-1,1.sst\r\n", "got no CURRENT");
        refused(&mut started(), b"MANIFEST-1,CURRENT,../../x\r\n", "got \"../../x\"");
        refused(&mut started(), b"MANIFEST-1,CURRENT,CURRENT\r\n", "got CURRENT twice");
        refused(&mut started(), b"\r\n", "file name: got \"\"");
        refused(&mut started(), b"CURRENT\n", "expected one that ends in CR LF");
        refused(&mut started(), b"MANIFEST-1,CURRENT\r\nx", "expected nothing more");
        refused(&mut started(), &vec![b'1'; LONGEST_LIST], "or more");
        let many: Vec<String> = (0..=MAX_FILES).map(|n| format!("{n}.sst")).collect();
        refused(&mut started(), format!("{}\r\n", many.join(",")).as_bytes(), "got more than 100000 names");
        for (line, kind) in [
            ("-can't create db checkpoint\r\n", ErrorKind::Busy),
            ("-LOADING kvrocks is restoring\r\n", ErrorKind::Busy),
            ("-ERR admin permission required\r\n", ErrorKind::InvalidArgument),
        ] {
            assert_eq!(hear(&mut started(), line.as_bytes(), 100).unwrap_err().kind(), kind, "{line}");
        }
        let mut fetch = Fetch::names(Some("pw".to_owned()));
        start(&mut fetch);
        refused(&mut fetch, b"-ERR Invalid password\r\n", "AUTH: the primary answered");
    }

    /// Files of a Kvrocks, empty ones too, in any pieces, and the end where it belongs.
    #[test]
    fn files_of_a_kvrocks() {
        let stream = b"3\r\nabc0\r\n10\r\n0123456789";
        for piece in 1..=stream.len() {
            let mut fetch = Fetch::files(None, names("CURRENT 1.log 2.sst"), 13);
            assert_eq!(start(&mut fetch), ["*2 $11 _fetch_file $19 CURRENT,1.log,2.sst "]);
            let said = hear(&mut fetch, stream, piece).unwrap();
            assert_eq!(said, ["CURRENT 3: abc.", "1.log 0: .", "2.sst 10: 0123456789."], "pieces of {piece}");
            fetch.closed().unwrap();
        }
        for cut in 0..stream.len() {
            let mut fetch = Fetch::files(None, names("CURRENT 1.log 2.sst"), 13);
            start(&mut fetch);
            hear(&mut fetch, &stream[..cut], 100).unwrap();
            assert_eq!(fetch.closed().unwrap_err().kind(), ErrorKind::Io, "cut at {cut}");
        }
        let started = || {
            let mut fetch = Fetch::files(None, names("CURRENT 1.log"), 13);
            start(&mut fetch);
            fetch
        };
        refused(&mut started(), b"14\r\n", "size of CURRENT: got 14, expected at most 13");
        refused(&mut started(), b"3\r\nabc11\r\n", "size of 1.log: got 11, expected at most 10");
        refused(&mut started(), b"18446744073709551616\r\n", "expected a number");
        refused(&mut started(), b"999999999999999999999999999\r\n", "or more");
        refused(&mut started(), b"-1\r\n", "the primary answered \"1\"");
        refused(&mut started(), b"+3\r\n", "expected a number");
        refused(&mut started(), b"0\r\n0\r\nx", "expected nothing more");
        let mut fetch = Fetch::files(None, Vec::new(), 0);
        assert!(start(&mut fetch).is_empty());
        fetch.closed().unwrap();
    }

    /// Whoever takes the data can stop it.
    #[test]
    fn stopped() {
        let mut fetch = Fetch::files(None, names("CURRENT"), 13);
        start(&mut fetch);
        let full = |event: FetchEvent<'_>| match event {
            FetchEvent::Data(_) => Err(Error::new(ErrorKind::Io, "disk full")),
            _ => Ok(()),
        };
        assert_eq!(fetch.receive(0, b"3\r\nabc", &mut { full }).unwrap_err().message(), "disk full");
        assert!(fetch.closed().is_err());
    }

    fn manifest() -> Vec<u8> {
        let file = |name: &str| ManifestFile { name: name.to_owned(), size: 3, crc32c: 1 };
        let history = History { layout: Layout::Standalone, current: ID.to_owned(), past: Vec::new() };
        encode_manifest(&SyncManifest { sequence: 9, history, files: vec![file("CURRENT"), file("1.sst")] })
    }

    /// A checkpoint of a Pumice, then ranges of its files on the same connection.
    #[test]
    fn a_pumice() {
        for piece in [1, 3, 1000] {
            let mut fetch = Fetch::pumice(Some("pw".to_owned()));
            start(&mut fetch);
            assert!(fetch.request_checkpoint().is_err());
            assert_eq!(hear(&mut fetch, b"+OK\r\n", piece).unwrap(), ["ready"]);
            assert_eq!(fetch.request_checkpoint().unwrap(), encode_request(&[b"PUMICE", b"CHECKPOINT"]));
            assert!(fetch.request_range(ID, "1.sst", 0, 3).is_err());
            assert!(fetch.closed().is_err());
            let said = hear(&mut fetch, &checkpoint_reply(ID, &manifest()), piece).unwrap();
            assert_eq!(said, [format!("{ID} 2")]);
            fetch.closed().unwrap();
            let request = fetch.request_range(ID, "1.sst", 1, 2).unwrap();
            let words: [&[u8]; 6] = [b"PUMICE", b"RANGE", ID.as_bytes(), b"1.sst", b"1", b"2"];
            assert_eq!(request, encode_request(&words));
            fetch.request_range(ID, "2.sst", 3, 0).unwrap();
            let said = hear(&mut fetch, b"$2\r\nbc\r\n$0\r\n\r", piece).unwrap();
            assert_eq!(said, ["1.sst 2: bc.", "2.sst 0: ."]);
            assert!(fetch.closed().is_err());
            assert!(hear(&mut fetch, b"\n", piece).unwrap().is_empty());
            fetch.closed().unwrap();
            fetch.request_range(ID, "1.sst", 0, 3).unwrap();
            assert_eq!(hear(&mut fetch, b"$3\r\nabc\r\n", piece).unwrap(), ["1.sst 3: abc."]);
        }
    }

    /// The files alone come first, and their checksums when the primary has them.
    #[test]
    fn files_first() {
        let mut fetch = Fetch::pumice(None);
        start(&mut fetch);
        let request = fetch.request_files("RUNRUNRUNRUNRUN0").unwrap();
        assert_eq!(request, encode_request(&[b"PUMICE", b"FILES", b"RUNRUNRUNRUNRUN0"]));
        assert_eq!(hear(&mut fetch, &checkpoint_reply(ID, &manifest()), 7).unwrap(), [format!("{ID} 2")]);
        for said in [checkpoint_reply(ID, b""), checkpoint_reply(ID, &manifest())] {
            let request = fetch.request_checksums(ID).unwrap();
            assert_eq!(request, encode_request(&[b"PUMICE", b"CHECKSUMS", ID.as_bytes()]));
            let whole = said.len() > 60;
            let expected = if whole { format!("{ID} 2") } else { "not yet".to_owned() };
            assert_eq!(hear(&mut fetch, &said, 7).unwrap(), [expected]);
        }
        fetch.closed().unwrap();
    }

    /// A byte now and then is no progress; a slow primary, and one that has long nothing to send, is none that drips.
    #[test]
    fn dripping() {
        let drip = |piece: &[u8], every_ms: u64| {
            let mut fetch = Fetch::files(None, names("CURRENT"), 1 << 30);
            start(&mut fetch);
            let mut now_ms = 0;
            let mut receive = |bytes: &[u8]| {
                now_ms += every_ms;
                fetch.receive(now_ms, bytes, &mut |_| Ok(()))
            };
            receive(b"1000000000\r\n")?;
            (0..1000).try_for_each(|_| receive(piece))
        };
        assert!(drip(b"x", 30_000).unwrap_err().message().contains("expected at least 60000"));
        assert!(drip(&[b'x'; 10_000], 1_000).is_ok());
        let mut fetch = Fetch::pumice(None);
        start(&mut fetch);
        for minutes in 1..10 {
            fetch.request_range(ID, "1.sst", 0, 3).unwrap();
            fetch.receive(minutes * 60_000, b"$3\r\nabc\r\n", &mut |_| Ok(())).unwrap();
        }
    }

    /// Another length than the manifest's, unasked bytes, a checkpoint that is none or is gone: errors.
    #[test]
    fn a_pumice_that_lies() {
        let started = |asked: bool| {
            let mut fetch = Fetch::pumice(None);
            start(&mut fetch);
            if asked {
                fetch.request_range(ID, "1.sst", 0, 3).unwrap();
            }
            fetch
        };
        refused(&mut started(true), b"$4\r\n", "size of 1.sst: got 4 bytes, expected 3");
        refused(&mut started(true), b"3\r\n", "expected a number");
        refused(&mut started(true), b"$-1\r\n", "expected a number");
        refused(&mut started(true), b"$3\r\nabcd", "end of a file");
        refused(&mut started(true), b"$3\r\nabc\r\n$", "expected nothing more");
        refused(&mut started(false), b"$", "expected nothing more");
        let gone = hear(&mut started(true), b"-NOTFOUND no such checkpoint\r\n", 1).unwrap_err();
        assert_eq!(gone.kind(), ErrorKind::NotFound);
        let asking = || {
            let mut fetch = started(false);
            fetch.request_checkpoint().unwrap();
            fetch
        };
        refused(&mut asking(), b"+OK\r\n", "got another reply");
        refused(&mut asking(), b"*3\r\n", "got an array of 3");
        refused(&mut asking(), b"*2\r\n$16\r\nAAAAAAAAAAAAAAAA\r\n$67108865\r\n", "expected at most 67108864");
        refused(&mut asking(), &checkpoint_reply("../../../../../..", &manifest()), "checkpoint id");
        let mut damaged = manifest();
        damaged[30] ^= 1;
        refused(&mut asking(), &checkpoint_reply(ID, &damaged), "crc32c");
        refused(&mut asking(), b"-ERR unknown command\r\n", "PUMICE CHECKPOINT: the primary answered");
    }
}
