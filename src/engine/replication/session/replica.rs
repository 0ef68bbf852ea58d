//! The replica's end of the link: handshake, then the feed. One session for each connection.

use std::borrow::Cow;

use super::frame::{FrameReader, GET_ACK, HEARTBEAT, PING};
use super::handshake::{Hello, parse_epoch, parse_sequence};
use super::{Peer, refusal};
use crate::engine::error::{Error, ErrorKind, shown};
use crate::engine::format::batch::{Batch, HEADER};
use crate::engine::format::key::Layout;
use crate::engine::format::registry::check_replication_id;
use crate::engine::format::resp::{Limits, Reply, ReplyParser, encode_request};
use crate::engine::format::state::Epoch;
use crate::engine::replication::position::Position;

/// How long a primary may say nothing. It has something to say every two seconds.
const LONGEST_SILENCE_MS: u64 = 30_000;
/// The slowest that a frame may come, in bytes a second. Below it, its length was wrong: heartbeats fill it.
const SLOWEST_FRAME: u64 = 1_000;
/// How often the primary hears of what was applied.
const ACK_INTERVAL_MS: u64 = 1_000;
/// How far apart two answers may lie that say when the same process was started, in seconds.
const STARTED_APART_S: i64 = 3;
/// What may come before the feed. INFO is a bulk; the longest reply is a table of namespaces.
const HANDSHAKE: Limits =
    Limits { count: 1 << 20, bulk: 1 << 20, line: 64 << 10, inline: false, total: 16 << 20, depth: 2 };

/// What the replica has, and who it is.
pub struct Own {
    /// Where it is.
    pub position: Position,
    /// How its keys are laid out.
    pub layout: Layout,
    /// The first sequence and the bytes of the last entry of its log, where the log has one.
    pub last: Option<(u64, Vec<u8>)>,
    /// Its data was just taken by a full sync of this dataset of the primary (see `ReplicaSession::dataset`), and
    /// nothing was applied since.
    pub admitted: Option<String>,
    /// An earlier try has received files of this dataset.
    pub received: Option<String>,
    /// 16 characters, drawn when the engine was opened.
    pub run_id: String,
    /// Who it is in a topology.
    pub node_id: Option<String>,
    /// The highest epoch that it has seen, and of which dataset.
    pub epoch: Option<(Epoch, String)>,
}

/// Where the replica itself can be reached.
#[derive(Clone, Debug)]
pub struct Announce {
    /// The port.
    pub port: u16,
    /// The address, where it is not the one that the primary sees.
    pub ip: Option<String>,
}

/// When it makes sense to connect again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// At once, or a second later.
    Soon,
    /// In some seconds.
    Later,
    /// Not before somebody changed something.
    Never,
}

/// What the driver is to do.
#[derive(Debug)]
pub enum Action {
    /// Send these bytes.
    Send(Vec<u8>),
    /// Write this batch, the first sequence of which is the next. Its records are still to be checked.
    Apply(Vec<u8>),
    /// The position was proven, and the feed has begun.
    Streaming(Peer),
    /// The primary writes under this epoch, of that dataset. To be kept before anything of it is written.
    Epoch(Epoch, String),
    /// The primary is at this sequence.
    Latest(u64),
    /// Nothing more can be taken from the log: it ends here.
    FullSync {
        /// Why.
        reason: String,
        /// Whether it is known that this replica has entries that the primary does not have.
        diverged: bool,
    },
    /// Something that the operator ought to know.
    Warn(String),
    /// It ends here.
    Failed {
        /// Why.
        error: Error,
        /// When to connect again.
        retry: Retry,
    },
}

/// What is waited for.
enum Step {
    /// The connection.
    Connection,
    /// The answer to AUTH.
    Auth,
    /// Whether it is a Pumice.
    Hello,
    /// A Kvrocks' INFO.
    Info,
    /// Where a Kvrocks keeps its namespaces.
    NamespaceOption,
    /// The namespaces that a Kvrocks keeps in its configuration file.
    Namespaces,
    /// The name of a Kvrocks' database: a line of its own kind.
    DatabaseName,
    /// The answer to the announcement.
    Announced { with_ip: bool },
    /// The answer to PSYNC.
    Psync { overlap: bool },
    /// The frame that must be our own last entry.
    Overlap,
    /// The next entry.
    Entry,
    /// Nothing more.
    Over,
}

/// The replica's end of one connection.
pub struct ReplicaSession {
    password: Option<String>,
    announce: Option<Announce>,
    own: Own,
    step: Step,
    peer: Option<Peer>,
    /// What tells the primary's data from other data at the same address.
    dataset: Option<String>,
    /// Where a Pumice said it is, and under which epoch it writes.
    primary_latest: u64,
    primary_epoch: Option<(Epoch, String)>,
    replies: ReplyParser,
    frames: FrameReader,
    /// The first sequence of the next entry.
    next: u64,
    heard_ms: u64,
    /// When the last reply or frame was whole.
    whole_ms: u64,
    /// Whether the primary reads acknowledgements.
    acks: bool,
    ack_wanted: bool,
    /// What was applied and what will survive a power cut, and what of it the primary was told.
    applied: Option<(u64, u64)>,
    told: Option<(u64, u64)>,
    told_ms: u64,
}

/// How a session ends.
struct End {
    error: Error,
    retry: Retry,
}

/// A connection that says something wrong is worth another one.
impl From<Error> for End {
    fn from(error: Error) -> End {
        let retry = if error.kind() == ErrorKind::Corruption { Retry::Soon } else { Retry::Later };
        End { error, retry }
    }
}

fn refused_for_good(kind: ErrorKind, message: String) -> End {
    End { error: Error::new(kind, message), retry: Retry::Never }
}

type Outcome = std::result::Result<(), End>;

impl ReplicaSession {
    pub fn new(password: Option<String>, announce: Option<Announce>, own: Own) -> ReplicaSession {
        ReplicaSession {
            password,
            announce,
            next: own.position.sequence + 1,
            own,
            step: Step::Connection,
            peer: None,
            dataset: None,
            primary_latest: 0,
            primary_epoch: None,
            replies: ReplyParser::new(HANDSHAKE),
            frames: FrameReader::default(),
            heard_ms: 0,
            whole_ms: 0,
            acks: false,
            ack_wanted: false,
            applied: None,
            told: None,
            told_ms: 0,
        }
    }

    /// The connection stands.
    pub fn start(&mut self, now_ms: u64, out: &mut Vec<Action>) {
        (self.heard_ms, self.whole_ms) = (now_ms, now_ms);
        match &self.password {
            Some(password) => {
                out.push(Action::Send(encode_request(&[b"AUTH", password.as_bytes()])));
                self.step = Step::Auth;
            }
            None => self.greet(out),
        }
    }

    /// Bytes of the primary.
    pub fn receive(&mut self, now_ms: u64, bytes: &[u8], out: &mut Vec<Action>) {
        if bytes.is_empty() {
            return;
        }
        self.heard_ms = now_ms;
        if self.is_fed() && self.frames.pending().is_none() {
            self.whole_ms = now_ms;
        }
        let actions = out.len();
        if let Err(End { error, retry }) = self.read(bytes, out) {
            self.fail(error, retry, out);
        }
        if out.len() > actions {
            self.whole_ms = now_ms;
        }
    }

    /// To be called once a second at least.
    pub fn tick(&mut self, now_ms: u64, out: &mut Vec<Action>) {
        match self.step {
            Step::Connection | Step::Over => {}
            _ if now_ms.saturating_sub(self.heard_ms) > LONGEST_SILENCE_MS => {
                let message = format!("the primary said nothing for more than {} s", LONGEST_SILENCE_MS / 1000);
                self.fail(Error::new(ErrorKind::Io, message), Retry::Soon, out);
            }
            _ if self.is_stuck(now_ms) => {
                let message = format!("got no whole reply or frame for more than {} s", LONGEST_SILENCE_MS / 1000);
                self.fail(Error::new(ErrorKind::Corruption, message), Retry::Soon, out);
            }
            Step::Entry if self.acks && now_ms.saturating_sub(self.told_ms) >= ACK_INTERVAL_MS => {
                self.acknowledge(now_ms, out);
            }
            _ => {}
        }
    }

    /// To be called after the actions of each `receive` were done, however long that took.
    pub fn applied(&mut self, now_ms: u64, applied: u64, durable: u64, out: &mut Vec<Action>) {
        self.heard_ms = self.heard_ms.max(now_ms);
        self.applied = Some((applied, durable));
        let news = self.peer == Some(Peer::Pumice) && self.told != self.applied;
        if matches!(self.step, Step::Entry) && self.acks && (self.ack_wanted || news) {
            self.acknowledge(now_ms, out);
        }
    }

    /// Who the primary is, once it is known.
    pub fn peer(&self) -> Option<Peer> {
        self.peer
    }

    fn is_fed(&self) -> bool {
        matches!(self.step, Step::Overlap | Step::Entry)
    }

    /// Bytes come, but no end of a reply, or of a frame at a pace that makes sense.
    fn is_stuck(&self, now_ms: u64) -> bool {
        let elapsed_ms = now_ms.saturating_sub(self.whole_ms);
        let slow = |length: usize| (length as u64) < elapsed_ms * SLOWEST_FRAME / 1000;
        elapsed_ms > LONGEST_SILENCE_MS && (!self.is_fed() || self.frames.pending().is_some_and(slow))
    }

    /// What tells the primary's data from other data that may come to stand at its address. To be kept when a full sync
    /// begins, and given to the session after it as `Own::admitted`.
    pub fn dataset(&self) -> Option<&str> {
        self.dataset.as_deref()
    }

    fn acknowledge(&mut self, now_ms: u64, out: &mut Vec<Action>) {
        let Some((applied, durable)) = self.applied else { return };
        let (first, second) = (applied.to_string(), durable.to_string());
        let words: &[&[u8]] = &[b"replconf", b"ack", first.as_bytes(), second.as_bytes()];
        let words = if self.peer == Some(Peer::Pumice) { words } else { &words[..3] };
        out.push(Action::Send(encode_request(words)));
        self.told = self.applied;
        self.told_ms = now_ms;
        self.ack_wanted = false;
    }

    fn fail(&mut self, error: Error, retry: Retry, out: &mut Vec<Action>) {
        self.end();
        out.push(Action::Failed { error, retry });
    }

    fn full_sync(&mut self, reason: String, diverged: bool, out: &mut Vec<Action>) {
        self.end();
        out.push(Action::FullSync { reason, diverged });
    }

    fn end(&mut self) {
        self.step = Step::Over;
        self.replies = ReplyParser::new(HANDSHAKE);
        self.frames = FrameReader::default();
    }

    fn read(&mut self, bytes: &[u8], out: &mut Vec<Action>) -> Outcome {
        match self.step {
            Step::Connection | Step::Over => return Ok(()),
            Step::Overlap | Step::Entry => return self.read_frames(bytes, out),
            _ => self.replies.push(bytes),
        }
        loop {
            match self.step {
                Step::Connection | Step::Over => return Ok(()),
                Step::Overlap | Step::Entry => {
                    let rest = self.replies.take_rest();
                    return self.read_frames(&rest, out);
                }
                Step::DatabaseName => match self.replies.next_line()? {
                    Some(line) => self.database_name(&line, out)?,
                    None => return Ok(()),
                },
                _ => match self.replies.next()? {
                    Some(reply) => self.reply(reply, out)?,
                    None => return Ok(()),
                },
            }
        }
    }

    fn reply(&mut self, reply: Reply, out: &mut Vec<Action>) -> Outcome {
        if let Reply::Error(text) = &reply
            && ["LOADING ", "NOAUTH ", "MASTERDOWN "].iter().any(|code| text.starts_with(code))
        {
            return Err(refusal("handshake", text).into());
        }
        match self.step {
            Step::Auth => self.authenticated(reply, out),
            Step::Hello => self.greeted(reply, out),
            Step::Info => self.informed(reply, out),
            Step::NamespaceOption => {
                self.namespace_option(&reply, out);
                Ok(())
            }
            Step::Namespaces => {
                self.namespaces(&reply, out);
                Ok(())
            }
            Step::Announced { with_ip } => {
                // Other refusals are no reason not to replicate.
                match reply {
                    Reply::Error(text) if with_ip && text.contains("unknown option") => self.announce(false, out),
                    _ => self.psync(out),
                }
                Ok(())
            }
            Step::Psync { overlap } => self.accepted(reply, overlap, out),
            _ => Ok(()),
        }
    }

    fn authenticated(&mut self, reply: Reply, out: &mut Vec<Action>) -> Outcome {
        match reply {
            Reply::Simple(_) => self.greet(out),
            Reply::Error(text) => return Err(refusal("AUTH", &text).into()),
            other => return Err(unexpected("AUTH", &other).into()),
        }
        Ok(())
    }

    fn greet(&mut self, out: &mut Vec<Action>) {
        let Own { layout, run_id, node_id, epoch, .. } = &self.own;
        let (run_id, node_id, epoch) = (run_id.clone(), node_id.clone(), epoch.clone());
        let hello = Hello { layout: *layout, run_id, node_id, epoch, at: None }.words();
        let mut words: Vec<&[u8]> = vec![b"replconf"];
        words.extend(hello.iter().map(Vec::as_slice));
        out.push(Action::Send(encode_request(&words)));
        self.step = Step::Hello;
    }

    fn greeted(&mut self, reply: Reply, out: &mut Vec<Action>) -> Outcome {
        let Reply::Array(items) = reply else {
            // A Kvrocks knows no such option.
            self.peer = Some(Peer::Kvrocks);
            out.push(Action::Send(encode_request(&[b"INFO", b"server"])));
            self.step = Step::Info;
            return Ok(());
        };
        let words: Vec<&[u8]> =
            items.iter().map(|item| if let Reply::Bulk(bytes) = item { bytes.as_slice() } else { b"" }).collect();
        let hello = Hello::parse(&words)?;
        self.check_layout(hello.layout.name())?;
        if hello.run_id == self.own.run_id {
            let message = "the primary is this very engine: it can't replicate itself".to_owned();
            return Err(refused_for_good(ErrorKind::InvalidArgument, message));
        }
        let Some(at) = hello.at else {
            let message = "handshake of a Pumice: got no generation, id and latest, expected them";
            return Err(Error::new(ErrorKind::Corruption, message).into());
        };
        if let Some(told) = hello.epoch {
            self.check_epoch(&told)?;
            self.primary_epoch = Some(told);
        }
        self.primary_latest = at.latest;
        self.dataset = Some(format!("run {} generation {}", hello.run_id, at.generation));
        self.peer = Some(Peer::Pumice);
        self.acks = true;
        self.announce(true, out);
        Ok(())
    }

    /// Refuses a primary whose epoch was ended by one that was seen.
    fn check_epoch(&self, (epoch, origin): &(Epoch, String)) -> Outcome {
        match &self.own.epoch {
            Some((seen, of)) if of == origin && epoch.is_ended_by(seen) => {
                let message = format!("the primary's epoch {epoch} was ended by {seen}: its stream is refused");
                Err(End { error: Error::new(ErrorKind::Busy, message), retry: Retry::Soon })
            }
            _ => Ok(()),
        }
    }

    fn check_layout(&self, primary: &str) -> Outcome {
        let own = self.own.layout.name();
        if primary == own {
            return Ok(());
        }
        let primary = shown(primary.as_bytes());
        let message = format!("the primary has keys in the layout {primary}, this replica in the layout \"{own}\"");
        Err(refused_for_good(ErrorKind::InvalidArgument, message))
    }

    fn informed(&mut self, reply: Reply, out: &mut Vec<Action>) -> Outcome {
        let text = match reply {
            Reply::Bulk(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Reply::Error(text) => return Err(refusal("INFO", &text).into()),
            other => return Err(unexpected("INFO", &other).into()),
        };
        let find = |name| text.lines().find_map(|line| line.trim_end().strip_prefix(name));
        let Some(mode) = find("kvrocks_mode:") else {
            let message = "INFO: got no kvrocks_mode, expected that of a Kvrocks";
            return Err(Error::new(ErrorKind::Unsupported, message).into());
        };
        self.check_layout(mode)?;
        // In containers every process has the same number: when it was started tells them apart. What it says of that is in
        // whole seconds, and some way back.
        let uptime = find("uptime_in_seconds:").and_then(|text| text.parse::<i64>().ok());
        let started = uptime.map_or(0, |uptime| (self.heard_ms as i64 / 1000).saturating_sub(uptime));
        let (process, port) = (find("process_id:").unwrap_or_default(), find("tcp_port:").unwrap_or_default());
        let dataset = |away: i64| format!("process {process} at {port}, since {}", started.saturating_add(away));
        let known = [&self.own.admitted, &self.own.received];
        let same = (-STARTED_APART_S..=STARTED_APART_S)
            .map(dataset)
            .find(|one| known.iter().any(|known| known.as_ref() == Some(one)));
        self.dataset = Some(same.unwrap_or_else(|| dataset(0)));
        out.push(Action::Send(encode_request(&[b"CONFIG", b"GET", b"repl-namespace-enabled"])));
        self.step = Step::NamespaceOption;
        Ok(())
    }

    fn namespace_option(&mut self, reply: &Reply, out: &mut Vec<Action>) {
        let off = matches!(reply, Reply::Array(items)
            if matches!(items.get(1), Some(Reply::Bulk(value)) if value.eq_ignore_ascii_case(b"no")));
        if off {
            out.push(Action::Send(encode_request(&[b"NAMESPACE", b"GET", b"*"])));
            self.step = Step::Namespaces;
        } else {
            self.ask_name(out);
        }
    }

    fn namespaces(&mut self, reply: &Reply, out: &mut Vec<Action>) {
        // Pairs of name and token, the default namespace among them.
        if let Reply::Array(items) = reply
            && items.len() > 2
        {
            out.push(Action::Warn(format!(
                "the primary keeps {} namespaces in its configuration file: their data is followed, their names are \
                 not known here; repl-namespace-enabled yes on the primary would send them",
                items.len() / 2 - 1
            )));
        }
        self.ask_name(out);
    }

    fn ask_name(&mut self, out: &mut Vec<Action>) {
        out.push(Action::Send(encode_request(&[b"_db_name"])));
        self.step = Step::DatabaseName;
    }

    fn database_name(&mut self, line: &[u8], out: &mut Vec<Action>) -> Outcome {
        if let Some(text) = line.strip_prefix(b"-") {
            return Err(refusal("_db_name", &String::from_utf8_lossy(text)).into());
        }
        self.announce(true, out);
        Ok(())
    }

    fn announce(&mut self, with_ip: bool, out: &mut Vec<Action>) {
        let Some(announce) = &self.announce else { return self.psync(out) };
        let port = announce.port.to_string();
        let mut words: Vec<&[u8]> = vec![b"replconf", b"listening-port", port.as_bytes()];
        let ip = announce.ip.as_ref().filter(|_| with_ip);
        if let Some(ip) = ip {
            words.extend([b"ip-address".as_slice(), ip.as_bytes()]);
        }
        self.step = Step::Announced { with_ip: ip.is_some() };
        out.push(Action::Send(encode_request(&words)));
    }

    /// The last entry of our log, if it is what it is said to be.
    fn last(&self) -> Option<(u64, &[u8])> {
        let (first, bytes) = self.own.last.as_ref()?;
        let batch = Batch::parse(bytes).ok()?;
        let fits = batch.sequence() == *first && batch.last_sequence() == self.own.position.sequence;
        if fits && batch.count() > 0 { Some((*first, bytes)) } else { None }
    }

    fn admitted(&self) -> bool {
        self.own.admitted.is_some() && self.own.admitted == self.dataset
    }

    fn psync(&mut self, out: &mut Vec<Action>) {
        let Position { replication_id: id, sequence } = &self.own.position;
        let by_id = self.peer == Some(Peer::Pumice) && !id.is_empty();
        let first = self.last().map(|(first, _)| first);
        let (id, next, overlap) = match (*sequence, first) {
            // The empty history is a prefix of every other.
            (0, _) => (None, 1, false),
            _ if by_id => (Some(id.as_bytes()), self.next, false),
            (_, Some(first)) => (None, first, true),
            (_, None) if self.admitted() => (None, self.next, false),
            (_, None) => {
                let reason = format!("at {sequence} with no entry in the log to compare with the primary's");
                return self.full_sync(reason, false, out);
            }
        };
        let next = next.to_string();
        let words: &[&[u8]] = match id {
            Some(id) => &[b"PSYNC", id, next.as_bytes()],
            None => &[b"PSYNC", next.as_bytes()],
        };
        out.push(Action::Send(encode_request(words)));
        self.step = Step::Psync { overlap };
    }

    fn accepted(&mut self, reply: Reply, overlap: bool, out: &mut Vec<Action>) -> Outcome {
        let text = match reply {
            Reply::Simple(text) if text == "OK" => {
                if overlap {
                    self.step = Step::Overlap;
                } else {
                    self.streaming(out);
                }
                return Ok(());
            }
            Reply::Error(text) => text,
            other => return Err(unexpected("PSYNC", &other).into()),
        };
        let code = text.split(' ').next().unwrap_or_default();
        if overlap && self.admitted() {
            // The primary may have dropped that entry from its log while it sent us the data.
            self.own.last = None;
            self.psync(out);
        } else if code == "DIVERGED" {
            self.full_sync(text, true, out);
        } else if code == "ERR" && !text.contains("permission") {
            self.full_sync(text, false, out);
        } else {
            // Who hears of a topology before its primary does is welcome a moment later.
            let soon = matches!(code, "UNLISTED" | "STALE" | "TRYAGAIN");
            let retry = if soon { Retry::Soon } else { Retry::Later };
            return Err(End { error: refusal("PSYNC", &text), retry });
        }
        Ok(())
    }

    fn streaming(&mut self, out: &mut Vec<Action>) {
        let peer = self.peer.unwrap_or(Peer::Kvrocks);
        self.step = Step::Entry;
        self.own.last = None;
        if let Some((epoch, origin)) = self.primary_epoch.clone() {
            out.push(Action::Epoch(epoch, origin));
        }
        out.push(Action::Streaming(peer));
        if peer == Peer::Pumice {
            out.push(Action::Latest(self.primary_latest));
        }
    }

    fn read_frames(&mut self, mut input: &[u8], out: &mut Vec<Action>) -> Outcome {
        while !matches!(self.step, Step::Over)
            && let Some(frame) = self.frames.next(&mut input)?
        {
            self.frame(frame, out)?;
        }
        Ok(())
    }

    fn frame(&mut self, frame: Cow<'_, [u8]>, out: &mut Vec<Action>) -> Outcome {
        if frame == PING {
            // It is sent when there is nothing else to send.
            let sent = self.last().filter(|_| matches!(self.step, Step::Overlap)).map_or(self.next, |(first, _)| first);
            self.heartbeat(sent - 1, out);
        } else if frame == GET_ACK {
            (self.acks, self.ack_wanted) = (true, true);
        } else if let (Some(Peer::Pumice), Some(words)) = (self.peer, frame.strip_prefix(HEARTBEAT)) {
            let find = |name: &[u8]| {
                let mut words = words.split(|&byte| byte == b' ');
                let mut pairs = std::iter::from_fn(|| words.next().zip(words.next()));
                pairs.find(|pair| pair.0 == name).map(|pair| pair.1)
            };
            if let Some(latest) = find(b"latest").and_then(parse_sequence) {
                self.heartbeat(latest, out);
            }
            // A primary goes on under a higher epoch without a break of the link.
            if let (Some(epoch), Some(Ok(origin))) =
                (find(b"epoch").and_then(parse_epoch), find(b"origin").map(check_replication_id))
                && matches!(self.step, Step::Entry)
            {
                let told = (epoch, origin.to_owned());
                if self.primary_epoch.as_ref() != Some(&told) {
                    self.check_epoch(&told)?;
                    out.push(Action::Epoch(told.0.clone(), told.1.clone()));
                    self.primary_epoch = Some(told);
                }
            }
        } else if frame.len() >= HEADER {
            self.batch(frame, out)?;
        }
        // What is shorter than a batch is of a later version.
        Ok(())
    }

    /// The primary is at `latest`. It may be before our last entry: it accepts a PSYNC of what it will write next.
    fn heartbeat(&mut self, latest: u64, out: &mut Vec<Action>) {
        match self.last().filter(|_| matches!(self.step, Step::Overlap)) {
            Some((first, _)) if latest < first => {
                let reason = format!("the primary is at {latest} and has no entry at {first}, the last one here");
                self.full_sync(reason, true, out);
            }
            _ => out.push(Action::Latest(latest)),
        }
    }

    fn batch(&mut self, frame: Cow<'_, [u8]>, out: &mut Vec<Action>) -> Outcome {
        // The records are checked where they are applied. The same bytes would come again at once.
        let later = |error| End { error, retry: Retry::Later };
        let (sequence, count) = Batch::head(&frame).map_err(later)?;
        let last = if matches!(self.step, Step::Overlap) { self.last() } else { None };
        let expected = last.map_or(self.next, |(first, _)| first);
        if sequence != expected {
            let message = format!("feed, first sequence of an entry: got {sequence}, expected {expected}");
            return Err(Error::new(ErrorKind::Corruption, message).into());
        }
        // Only notes: it moves nothing.
        if count == 0 {
            return Batch::parse(&frame).map(drop).map_err(later);
        }
        let Some((first, bytes)) = last else {
            self.next = sequence + u64::from(count);
            out.push(Action::Apply(frame.into_owned()));
            return Ok(());
        };
        if *frame == *bytes {
            self.streaming(out);
        } else {
            Batch::parse(&frame).map_err(later)?;
            let reason = format!("the primary's entry at {first} is not the one here: the histories have diverged");
            self.full_sync(reason, true, out);
        }
        Ok(())
    }
}

fn unexpected(step: &str, reply: &Reply) -> Error {
    let mut bytes = Vec::new();
    reply.encode(&mut bytes);
    Error::new(ErrorKind::Corruption, format!("{step}: got {}", shown(&bytes)))
}

#[cfg(test)]
mod tests;
