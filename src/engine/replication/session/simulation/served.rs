//! The primary's end of a connection in the simulation: ours, and a model of a Kvrocks.

use super::network::{Faults, happens};
use super::node::Node;
use crate::engine::format::batch::BatchBuilder;
use crate::engine::format::fuzz::Random;
use crate::engine::format::resp::{Limits, Reply, RequestParser, append_bulk};
use crate::engine::format::side::encode_manifest;
use crate::engine::replication::session::Peer;
use crate::engine::replication::session::feed::Feed;
use crate::engine::replication::session::frame::append_frame;
use crate::engine::replication::session::handshake::parse_sequence;
use crate::engine::replication::session::primary::{
    Ask, Place, PrimarySession, checkpoint_reply, names_reply, size_line,
};

/// Where a connection to a primary ends.
pub struct Served {
    requests: RequestParser,
    session: PrimarySession,
    feed: Option<Feed>,
    model: Model,
    pub closed: bool,
    /// All files that were asked for are on their way.
    whole: bool,
    pub out: Vec<Vec<u8>>,
}

/// What a Kvrocks remembers of a connection.
#[derive(Default)]
struct Model {
    next: Option<u64>,
    /// A later version, which asks for acknowledgements.
    asks: bool,
    /// What it was told may not be what the replica said, its PSYNC too.
    misheard: bool,
    idle_since_ms: u64,
}

const LOADING: &[u8] = b"-LOADING kvrocks is restoring the db from backup\r\n";
const OUT_OF_RANGE: &[u8] = b"-ERR sequence out of range, please use fullsync\r\n";

impl Served {
    pub fn new(replica: usize, random: &mut Random) -> Served {
        Served {
            requests: RequestParser::new(Limits::default()),
            session: PrimarySession::new(format!("10.0.0.{replica}")),
            feed: None,
            model: Model { asks: random.below(2) == 0, ..Model::default() },
            closed: false,
            whole: false,
            out: Vec::new(),
        }
    }

    pub fn receive(&mut self, now_ms: u64, bytes: &[u8], node: &mut Node, random: &mut Random, faults: &Faults) {
        if let Some(feed) = &mut self.feed {
            self.closed |= feed.receive(now_ms, bytes).is_err();
            return;
        }
        if self.model.next.is_some() && !self.model.asks {
            let acknowledges = bytes.windows(3).any(|word| word == b"ack");
            assert!(!acknowledges, "an old Kvrocks reads nothing while it feeds");
            return;
        }
        self.model.misheard |= faults.alters();
        self.requests.push(bytes);
        while !self.closed {
            let args = match self.requests.next() {
                Ok(Some(args)) => args,
                Ok(None) => return,
                Err(_) => {
                    self.closed = true;
                    return;
                }
            };
            if args[0] == b"AUTH" {
                self.out.push(b"+OK\r\n".to_vec());
            } else if happens(random, faults.loading) && self.model.next.is_none() {
                self.out.push(LOADING.to_vec());
            } else if node.flavour == Peer::Kvrocks {
                self.answer_as_kvrocks(now_ms, &args, node, random);
            } else if let Some(rest) = self.answer(now_ms, &args, node, random) {
                return self.receive(now_ms, &rest, node, random, faults);
            }
        }
    }

    /// Our own answer. Gives what came behind an accepted PSYNC.
    fn answer(&mut self, now_ms: u64, args: &[Vec<u8>], node: &mut Node, random: &mut Random) -> Option<Vec<u8>> {
        let facts = node.facts();
        let mut ask = self.session.request(args, &facts, &mut node.admissions);
        if let Ask::Locate(next) = ask {
            ask = self.session.located(node.locate(next), &facts, &mut node.admissions);
        }
        match ask {
            Ask::Reply(bytes) => self.out.push(bytes),
            Ask::Feed { next, reply } => {
                self.out.push(reply);
                self.feed = Some(Feed::new(self.session.peer(), next, now_ms));
                return Some(self.requests.take_rest());
            }
            Ask::FileNames => {
                let checkpoint = node.checkpoint(random);
                let names: Vec<String> = checkpoint.files.iter().map(|(name, _)| name.clone()).collect();
                let sequence = checkpoint.sequence;
                self.out.push(names_reply(&names));
                self.session.listed(sequence, &mut node.admissions);
                self.closed = true;
            }
            Ask::Files(names) => {
                self.whole = self.send_files(&names, node);
            }
            Ask::Checkpoint(_) | Ask::List(_) => {
                let checkpoint = node.checkpoint(random);
                self.out.push(checkpoint_reply(&checkpoint.id, &encode_manifest(&checkpoint.manifest)));
            }
            Ask::Range { checkpoint, name, offset, length } => {
                let found = node.checkpoint.as_ref().filter(|found| found.id == checkpoint);
                let content =
                    found.and_then(|found| found.file(&name)?.get(offset as usize..(offset + length) as usize));
                let mut out = Vec::new();
                match content {
                    Some(content) => append_bulk(&mut out, content),
                    None => Reply::Error("NOTFOUND no such checkpoint".to_owned()).encode(&mut out),
                }
                self.out.push(out);
            }
            Ask::Locate(_) => panic!("located and asked again"),
            Ask::LookUp(names) => panic!("{names:?} looked up without a topology"),
            Ask::NotMine => self.out.push(b"-ERR unknown command\r\n".to_vec()),
        }
        None
    }

    fn send_files(&mut self, names: &[String], node: &Node) -> bool {
        self.closed = true;
        for name in names {
            let Some(content) = node.checkpoint.as_ref().and_then(|checkpoint| checkpoint.file(name)) else {
                return false;
            };
            self.out.push([&size_line(content.len() as u64)[..], content].concat());
        }
        true
    }

    fn answer_as_kvrocks(&mut self, now_ms: u64, args: &[Vec<u8>], node: &mut Node, random: &mut Random) {
        if let Some(next) = self.model.next {
            if let [_, option, sequence] = args
                && option == b"ack"
            {
                let sent = parse_sequence(sequence).is_none_or(|acked| acked < next);
                assert!(sent || self.model.misheard, "an ack of what was not sent");
            }
            return;
        }
        let mut reply = Vec::new();
        match args[0].to_ascii_lowercase().as_slice() {
            b"replconf" if args.get(1).is_some_and(|option| option == b"listening-port") => reply.extend(b"+OK\r\n"),
            b"replconf" => reply.extend(b"-ERR unknown option\r\n"),
            b"info" => {
                let text = format!("# Server\r\nkvrocks_mode:standalone\r\nprocess_id:{}\r\n", node.run_id);
                append_bulk(&mut reply, text.as_bytes());
            }
            b"config" if random.below(3) == 0 => reply.extend(b"-ERR no\r\n"),
            b"config" => reply.extend(b"*2\r\n$22\r\nrepl-namespace-enabled\r\n$2\r\nno\r\n"),
            b"namespace" => reply.extend(b"*4\r\n$1\r\na\r\n$3\r\ntok\r\n$11\r\n__namespace\r\n$0\r\n\r\n"),
            b"_db_name" => reply.extend(b"change.me.db\r\n"),
            b"psync" => {
                let next = if args.len() == 2 { parse_sequence(&args[1]) } else { None };
                if let Some(next) = next
                    && matches!(node.locate(next), Place::Start | Place::End)
                {
                    self.model.next = Some(next);
                    self.model.idle_since_ms = now_ms;
                    reply.extend(b"+OK\r\n");
                } else {
                    reply.extend(OUT_OF_RANGE);
                }
            }
            b"_fetch_meta" => {
                let names: Vec<String> = node.checkpoint(random).files.iter().map(|(name, _)| name.clone()).collect();
                reply = names_reply(&names);
                self.closed = true;
            }
            b"_fetch_file" => {
                let names = String::from_utf8_lossy(args.get(1).map_or(b"", Vec::as_slice));
                let names: Vec<String> = names.split(',').map(str::to_owned).collect();
                self.send_files(&names, node);
            }
            _ => reply.extend(b"-ERR unknown command\r\n"),
        }
        self.out.push(reply);
    }

    /// Sends some of what is new.
    pub fn pump(&mut self, now_ms: u64, node: &Node, random: &mut Random) {
        for _ in 0..random.below(4) {
            let mut out = Vec::new();
            for _ in 0..1 + random.below(3) {
                self.feed_one(node, random, &mut out);
            }
            self.out.push(out);
        }
        let mut out = Vec::new();
        if let Some(feed) = &mut self.feed {
            feed.tick(now_ms, node.latest(), &mut out);
            if random.below(10) == 0 {
                feed.want_ack(&mut out);
            }
        } else if self.model.next.is_some() && now_ms > self.model.idle_since_ms + 2_000 {
            append_frame(&mut out, b"ping");
            if self.model.asks {
                append_frame(&mut out, b"_getack");
            }
            self.model.idle_since_ms = now_ms;
        }
        self.out.push(out);
    }

    fn feed_one(&mut self, node: &Node, random: &mut Random, out: &mut Vec<u8>) {
        let next = match (&self.feed, self.model.next) {
            (Some(feed), _) => feed.sent() + 1,
            (None, Some(next)) => next,
            (None, None) => return,
        };
        if next > node.latest() {
            return;
        }
        let Some(entry) = node.entry(next) else {
            // Purged under the feed.
            self.closed = true;
            return;
        };
        if let Some(feed) = &mut self.feed {
            feed.entry(entry.first, entry.last, &entry.bytes, out).unwrap();
            return;
        }
        if random.below(5) == 0 {
            let mut notes = BatchBuilder::new();
            notes.log_data(b"2");
            append_frame(out, &notes.finish(next));
        }
        append_frame(out, &entry.bytes);
        self.model.next = Some(entry.last + 1);
    }

    /// The replica has read everything and closed the connection, as one sees when it closes without a reset.
    pub fn taken(&mut self, node: &mut Node) {
        if self.whole {
            self.session.taken(&mut node.admissions);
        }
    }

    /// The connection is over.
    pub fn close(&mut self, node: &mut Node) {
        if let Some(feed) = self.feed.take() {
            self.session.ended(feed.sent(), &mut node.admissions);
        }
    }
}
