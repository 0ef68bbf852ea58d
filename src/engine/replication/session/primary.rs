//! What a primary answers to replicas: the handshake, PSYNC, and requests for the files of a full sync. Only for
//! connections that are authenticated as the admin.

use super::admission::{Address, Admissions};
use super::handshake::{At, Hello, parse_sequence};
use super::{Peer, parse_file_names};
use crate::engine::format::batch::MAX_SEQUENCE;
use crate::engine::format::key::Layout;
use crate::engine::format::registry::check_replication_id;
use crate::engine::format::resp::Reply;
use crate::engine::format::side::{History, check_file_name};
use crate::engine::format::state::Epoch;
use crate::engine::topology::{Member, Members, Unfed};

const COMMANDS: [&[u8]; 6] = [b"replconf", b"psync", b"pumice", b"_db_name", b"_fetch_meta", b"_fetch_file"];
/// The longest host name.
const MAX_HOST: usize = 255;

/// What the primary knows of itself at this moment.
pub struct Facts {
    /// 16 characters, drawn when the engine was opened.
    pub run_id: String,
    /// The number of its generation: another one when its data was replaced as a whole.
    pub generation: u64,
    /// Its history.
    pub history: History,
    /// Its latest sequence.
    pub latest: u64,
    /// How its keys are laid out.
    pub layout: Layout,
    /// Whether it has the role of primary.
    pub primary: bool,
    /// Who it is in a topology.
    pub node_id: Option<String>,
    /// The epoch under which it writes, or that it has seen, and of which dataset.
    pub epoch: Option<(Epoch, String)>,
    /// Why it may not be followed: its epoch was ended.
    pub ended: Option<String>,
    /// Whom a topology lets it feed.
    pub members: Option<Members>,
}

/// Where a sequence lies in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// An entry starts there.
    Start,
    /// An entry started before and reaches over it.
    Inside,
    /// The log no longer reaches back to it.
    Gone,
    /// It is the one after the latest.
    End,
    /// It is after that.
    Ahead,
}

/// What the driver is to do with a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Ask {
    /// Send these bytes.
    Reply(Vec<u8>),
    /// Look up these names, without any lock, and ask again with `Members::names` of them.
    LookUp(Vec<String>),
    /// Look where that sequence lies in the log, then call `located`.
    Locate(u64),
    /// Send the reply, then make a `Feed` from that sequence on.
    Feed {
        /// The first sequence to be fed.
        next: u64,
        /// What goes before the feed.
        reply: Vec<u8>,
    },
    /// Send `names_reply` of a checkpoint, tell `listed`, then close.
    FileNames,
    /// Send these files, if they are of the listed set, each behind its `size_line`, and close the sending half; when the
    /// replica has closed its own in order, tell `taken`.
    Files(Vec<String>),
    /// Send `checkpoint_reply` of a checkpoint that is for that run, with checksums of 0.
    List(String),
    /// Send `checkpoint_reply` of the checkpoint of that id, with an empty manifest where its checksums are not known
    /// yet; without an id, of one that is complete.
    Checkpoint(Option<String>),
    /// Send a part of a file of a checkpoint, as a bulk.
    Range {
        /// Which checkpoint.
        checkpoint: String,
        /// Which file.
        name: String,
        /// From where on.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
    /// Not a command of replication.
    NotMine,
}

/// The name of a Kvrocks' database, unless its configuration gives another. A replica refuses every other.
const DATABASE_NAME: &[u8] = b"change.me.db\r\n";
/// More files than one request may ask for.
const MAX_FILES: usize = 100_000;
const OUT_OF_RANGE: &str = "ERR sequence out of range, please use fullsync";
const LOADING: &str = "LOADING kvrocks is restoring the db from backup";
const WRONG_ARGUMENTS: &str = "ERR wrong number of arguments";

/// A PSYNC that waits for its place in the log.
struct Psync {
    id: Option<String>,
    next: u64,
}

/// The primary's end of one connection, until the feed begins.
pub struct PrimarySession {
    peer_ip: String,
    port: Option<u16>,
    ip: Option<String>,
    hello: Option<Hello>,
    psync: Option<Psync>,
    /// The node of a topology that it is, when it is to be fed.
    member: Option<Member>,
    /// The number of its feed.
    fed: Option<u64>,
    /// Whether CURRENT is among the files that were asked for.
    asked_current: bool,
}

fn error(text: impl Into<String>) -> Ask {
    let mut out = Vec::new();
    Reply::Error(text.into()).encode(&mut out);
    Ask::Reply(out)
}

/// What is said, or done, about a replica that is not fed.
fn refused(unfed: Unfed) -> Ask {
    match unfed {
        Unfed::Unlisted(why) => error(format!("UNLISTED {why}")),
        Unfed::Unknown(why) => error(format!("TRYAGAIN {why}")),
        Unfed::Unresolved(names) => Ask::LookUp(names),
    }
}

fn ok() -> Vec<u8> {
    b"+OK\r\n".to_vec()
}

impl PrimarySession {
    /// A session with a peer at that address, as the socket has it.
    pub fn new(peer_ip: impl Into<String>) -> PrimarySession {
        let (port, ip, hello, psync, member, fed) = (None, None, None, None, None, None);
        PrimarySession { peer_ip: peer_ip.into(), port, ip, hello, psync, member, fed, asked_current: false }
    }

    /// Whether `request` answers commands of that name.
    pub fn answers(command: &[u8]) -> bool {
        COMMANDS.iter().any(|name| command.eq_ignore_ascii_case(name))
    }

    /// A request: the name of a command and its arguments.
    pub fn request(&mut self, args: &[Vec<u8>], facts: &Facts, admissions: &mut Admissions) -> Ask {
        admissions.set_id(&facts.history.current);
        let Some((command, args)) = args.split_first() else { return Ask::NotMine };
        match command.to_ascii_lowercase().as_slice() {
            b"replconf" => self.replconf(args, facts),
            b"psync" => self.psync(args, facts, admissions),
            b"pumice" => self.pumice(args, facts),
            b"_db_name" if args.is_empty() => Ask::Reply(DATABASE_NAME.to_vec()),
            b"_fetch_meta" if args.is_empty() => self.unlisted(None, facts).unwrap_or(Ask::FileNames),
            b"_fetch_file" => match args {
                [names] => self.unlisted(None, facts).unwrap_or_else(|| self.files(names)),
                _ => error(WRONG_ARGUMENTS),
            },
            b"_db_name" | b"_fetch_meta" => error(WRONG_ARGUMENTS),
            _ => Ask::NotMine,
        }
    }

    fn replconf(&mut self, args: &[Vec<u8>], facts: &Facts) -> Ask {
        if args.is_empty() || !args.len().is_multiple_of(2) {
            return error(WRONG_ARGUMENTS);
        }
        if args.first().is_some_and(|option| option.eq_ignore_ascii_case(b"pumice")) {
            return self.greeted(args, facts);
        }
        let (mut port, mut ip) = (None, None);
        for pair in args.chunks_exact(2) {
            let [option, value] = pair else { continue };
            match option.to_ascii_lowercase().as_slice() {
                b"listening-port" => {
                    let number = parse_sequence(value).and_then(|number| u16::try_from(number).ok());
                    match number.filter(|port| (1..u16::MAX).contains(port)) {
                        Some(number) => port = Some(number),
                        None => return error("ERR listening-port should be number or out of range"),
                    }
                }
                b"ip-address" if value.is_empty() => return error("ERR ip-address should not be empty"),
                b"ip-address" => match std::str::from_utf8(value) {
                    Ok(text) if text.len() <= MAX_HOST && !text.contains(char::is_control) => {
                        ip = Some(text.to_owned());
                    }
                    _ => return error("ERR ip-address should be a host name or an address"),
                },
                _ => return error("ERR unknown option"),
            }
        }
        self.port = port.or(self.port);
        self.ip = ip.or(self.ip.take());
        Ask::Reply(ok())
    }

    fn greeted(&mut self, args: &[Vec<u8>], facts: &Facts) -> Ask {
        match Hello::parse(args) {
            Ok(hello) => self.hello = Some(hello),
            Err(fault) => return error(format!("REFUSED {}", fault.message())),
        }
        let at = At { generation: facts.generation, id: facts.history.current.clone(), latest: facts.latest };
        let (run_id, node_id, epoch) = (facts.run_id.clone(), facts.node_id.clone(), facts.epoch.clone());
        let own = Hello { layout: facts.layout, run_id, node_id, epoch, at: Some(at) };
        let mut out = Vec::new();
        Reply::Array(own.words().into_iter().map(Reply::Bulk).collect()).encode(&mut out);
        Ask::Reply(out)
    }

    /// Why a Pumice cannot be a replica of this one. It refuses by itself; this is for one that does not.
    fn unfit(&self, facts: &Facts) -> Option<Ask> {
        let hello = self.hello.as_ref()?;
        if hello.run_id == facts.run_id {
            return Some(error("REFUSED can't replicate itself"));
        }
        if hello.layout != facts.layout {
            let (theirs, ours) = (hello.layout.name(), facts.layout.name());
            return Some(error(format!("REFUSED the replica has the layout {theirs}, the primary {ours}")));
        }
        None
    }

    /// Why nobody, or not this replica, is fed.
    fn unwelcome(&mut self, facts: &Facts) -> Option<Ask> {
        self.member = None;
        if let Some(ended) = &facts.ended {
            return Some(error(format!("STALE {ended}")));
        }
        let (host, port) = self.announced().unwrap_or_else(|| (self.peer_ip.clone(), 0));
        match facts.members.as_ref()?.admit(self.node_id(), &host, port) {
            Ok(member) => {
                self.member = Some(member.clone());
                None
            }
            // The one answer to PSYNC after which a Kvrocks asks again, and for no files.
            Err(Unfed::Unknown(_)) if self.peer() == Peer::Kvrocks => Some(error(LOADING)),
            Err(unfed) => Some(refused(unfed)),
        }
    }

    /// Why a connection that asks for files gets none. A Pumice says who it is, a Kvrocks does not on these.
    fn unlisted(&self, node_id: Option<&[u8]>, facts: &Facts) -> Option<Ask> {
        if let Some(ended) = &facts.ended {
            return Some(error(format!("STALE {ended}")));
        }
        let members = facts.members.as_ref()?;
        let admitted = match node_id.map(String::from_utf8_lossy) {
            Some(id) => members.admit(Some(&id), &self.peer_ip, 0),
            None => members.admit_address(&self.peer_ip),
        };
        admitted.err().map(refused)
    }

    /// The node of a topology as which the replica is fed.
    pub fn member(&self) -> Option<&Member> {
        self.member.as_ref()
    }

    /// The node id of a replica that said one.
    pub fn node_id(&self) -> Option<&str> {
        self.hello.as_ref()?.node_id.as_deref()
    }

    /// The epoch that the replica has seen, and of which dataset.
    pub fn epoch(&self) -> Option<&(Epoch, String)> {
        self.hello.as_ref()?.epoch.as_ref()
    }

    fn psync(&mut self, args: &[Vec<u8>], facts: &Facts, admissions: &mut Admissions) -> Ask {
        let (id, next) = match args {
            [next] => (None, next),
            [id, next] => (Some(id), next),
            _ => return error(WRONG_ARGUMENTS),
        };
        let Some(next) = parse_sequence(next) else {
            return error("ERR value is not an unsigned long long or out of range");
        };
        let id = match id.map(|id| check_replication_id(id)) {
            Some(Err(_)) => return error("ERR Wrong replication id length"),
            Some(Ok(id)) => Some(id.to_owned()),
            None => None,
        };
        if let Some(refused) = self.unfit(facts).or_else(|| self.unwelcome(facts)) {
            return refused;
        }
        self.psync = Some(Psync { id, next });
        if next == 0 || next > MAX_SEQUENCE + 1 {
            return self.located(Place::Ahead, facts, admissions);
        }
        Ask::Locate(next)
    }

    /// The answer to `Ask::Locate`.
    pub fn located(&mut self, place: Place, facts: &Facts, admissions: &mut Admissions) -> Ask {
        admissions.set_id(&facts.history.current);
        let Some(Psync { id, next }) = self.psync.take() else { return error("ERR no PSYNC to answer") };
        let refused = match self.peer() {
            Peer::Pumice => refused_pumice(id.as_deref(), next, place, facts),
            Peer::Kvrocks => self.refused_kvrocks(id.as_deref(), next, place, facts, admissions),
        };
        if let Some(text) = refused {
            if let Some(address) = self.announced().filter(|_| self.peer() == Peer::Kvrocks) {
                admissions.refused(address, &self.peer_ip);
            }
            return error(text);
        }
        if let Some(address) = self.announced() {
            self.fed = Some(admissions.fed(address, &self.peer_ip));
        }
        Ask::Feed { next, reply: ok() }
    }

    fn refused_kvrocks(
        &self,
        id: Option<&str>,
        next: u64,
        place: Place,
        facts: &Facts,
        admissions: &Admissions,
    ) -> Option<String> {
        // A replica of nothing can follow anybody. Otherwise a number is no proof, but what was sent here before is.
        let known = match id {
            Some(id) => facts.history.contains(id, next.wrapping_sub(1)),
            None => next == 1 || self.announced().is_some_and(|address| admissions.admits(&address, next)),
        };
        if id.is_some() && !known {
            return Some("ERR wrong replication id of the last log".to_owned());
        }
        if known && matches!(place, Place::Start | Place::End) { None } else { Some(OUT_OF_RANGE.to_owned()) }
    }

    fn files(&mut self, names: &[u8]) -> Ask {
        match parse_file_names(names, MAX_FILES) {
            Ok(names) => {
                self.asked_current = names.iter().any(|name| name == "CURRENT");
                Ask::Files(names)
            }
            Err(fault) => error(format!("ERR {}", fault.message())),
        }
    }

    /// `PUMICE CHECKPOINT`, `PUMICE FILES run`, `PUMICE CHECKSUMS id` and `PUMICE RANGE id name offset length`, each with a node id
    /// behind it or without.
    fn pumice(&mut self, args: &[Vec<u8>], facts: &Facts) -> Ask {
        let bare = match args.first() {
            Some(what) if what.eq_ignore_ascii_case(b"checkpoint") => 1,
            Some(what) if what.eq_ignore_ascii_case(b"files") || what.eq_ignore_ascii_case(b"checksums") => 2,
            _ => 5,
        };
        let node_id = args.get(bare).filter(|_| args.len() == bare + 1);
        if let Some(refused) = self.unlisted(node_id.map(Vec::as_slice), facts) {
            return refused;
        }
        pumice(if node_id.is_some() { &args[..bare] } else { args })
    }

    /// The driver has sent the names of a checkpoint that holds everything up to `sequence`.
    pub fn listed(&mut self, sequence: u64, admissions: &mut Admissions) {
        admissions.listed(&self.peer_ip, sequence);
    }

    /// The replica has taken all files that were asked for: it has closed the connection in order after the last byte.
    /// Only sent is not enough: a replica that lost them could be where the checkpoint is by chance.
    pub fn taken(&mut self, admissions: &mut Admissions) {
        if std::mem::take(&mut self.asked_current) {
            admissions.taken(&self.peer_ip);
        }
    }

    /// The feed has ended, after `sequence`.
    pub fn ended(&mut self, sequence: u64, admissions: &mut Admissions) {
        if let (Some(address), Some(fed)) = (self.announced(), self.fed.take()) {
            admissions.ended(&address, fed, sequence);
        }
    }

    /// As whom it is awaited when it has listed a checkpoint: as a run, which it names or has named before, else as
    /// whoever is at its address.
    pub fn awaited_as(&self, run: Option<String>) -> String {
        run.or_else(|| self.hello.as_ref().map(|hello| hello.run_id.clone())).unwrap_or_else(|| self.peer_ip.clone())
    }

    /// As whom it need not be awaited any more now that it has come back. Several may stand behind one address.
    pub fn returned_as(&self, admissions: &mut Admissions) -> Vec<String> {
        let address = Some(&self.peer_ip).filter(|ip| !admissions.awaits(ip));
        self.hello.iter().map(|hello| &hello.run_id).chain(address).cloned().collect()
    }

    /// The address that the replica announced: its own, or the socket's where it gave a port alone.
    pub fn announced(&self) -> Option<Address> {
        let ip = self.ip.as_ref().unwrap_or(&self.peer_ip);
        self.port.map(|port| (ip.clone(), port))
    }

    /// Who the replica is. A Kvrocks, until it says something else.
    pub fn peer(&self) -> Peer {
        if self.hello.is_some() { Peer::Pumice } else { Peer::Kvrocks }
    }
}

fn refused_pumice(id: Option<&str>, next: u64, place: Place, facts: &Facts) -> Option<String> {
    let latest = facts.latest;
    let current = &facts.history.current;
    let on_history = match id {
        Some(id) => facts.history.contains(id, next.wrapping_sub(1)),
        // It compares the bytes of its last entry with ours, or it has none.
        None => true,
    };
    if next == 0 || next - 1 > latest || !on_history || matches!(place, Place::Inside | Place::Ahead) {
        let id = id.unwrap_or_default();
        let at = next.wrapping_sub(1);
        return Some(format!("DIVERGED {id}:{at} is not on the history of this primary, now at {current}:{latest}"));
    }
    if place == Place::Gone { Some(OUT_OF_RANGE.to_owned()) } else { None }
}

fn pumice(args: &[Vec<u8>]) -> Ask {
    let is = |word: &[u8], name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    match args {
        [what] if is(what, "checkpoint") => Ask::Checkpoint(None),
        [what, id] if is(what, "checksums") || is(what, "files") => match check_replication_id(id) {
            Ok(id) if is(what, "files") => Ask::List(id.to_owned()),
            Ok(id) => Ask::Checkpoint(Some(id.to_owned())),
            Err(_) => error("ERR a checkpoint id and a run id have 16 letters and digits"),
        },
        [what, id, name, offset, length] if is(what, "range") => {
            let Ok(checkpoint) = check_replication_id(id) else {
                return error("ERR a checkpoint id has 16 letters and digits");
            };
            if let Err(fault) = check_file_name(name) {
                return error(format!("ERR {}", fault.message()));
            }
            let (Some(offset), Some(length)) = (parse_sequence(offset), parse_sequence(length)) else {
                return error("ERR value is not an unsigned long long or out of range");
            };
            let name = String::from_utf8_lossy(name).into_owned();
            Ask::Range { checkpoint: checkpoint.to_owned(), name, offset, length }
        }
        [what, ..] if ["checkpoint", "checksums", "files", "range"].iter().any(|name| is(what, name)) => {
            error(WRONG_ARGUMENTS)
        }
        _ => error("ERR PUMICE subcommand must be one of CHECKPOINT, CHECKSUMS, FILES, RANGE"),
    }
}

/// The answer to `_fetch_meta`.
pub fn names_reply(names: &[String]) -> Vec<u8> {
    let mut out = names.join(",").into_bytes();
    out.extend_from_slice(b"\r\n");
    out
}

/// What goes before each file of `_fetch_file`.
pub fn size_line(size: u64) -> Vec<u8> {
    format!("{size}\r\n").into_bytes()
}

/// What goes before the bytes of `PUMICE RANGE`; a line end goes behind them.
pub fn range_head(length: u64) -> Vec<u8> {
    format!("${length}\r\n").into_bytes()
}

/// The answer to `PUMICE CHECKPOINT`.
pub fn checkpoint_reply(id: &str, manifest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Reply::Array(vec![Reply::bulk(id), Reply::bulk(manifest)]).encode(&mut out);
    out
}

#[cfg(test)]
mod tests;
