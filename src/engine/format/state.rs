//! The side file `state`: role, link, epoch and topology. Framed as every side file, see `side.rs`.

use std::path::{Path, PathBuf};

use super::side::{File, MAX_ITEM, Reader, frame, put, unframe};
use super::topology::Topology;
use crate::engine::error::{Error, ErrorKind, Result};

/// What bincode may take for the text of a topology.
const MAX_TEXT: usize = 2 << 20;

/// What an engine does with writes. The number never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum Role {
    /// Takes writes and feeds replicas.
    Primary = 1,
    /// Follows a primary and takes no writes of its own.
    Replica = 2,
    /// Neither: read-only until somebody says what it is.
    Detached = 3,
}

impl Role {
    /// The role's name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Role::Primary => "primary",
            Role::Replica => "replica",
            Role::Detached => "detached",
        }
    }
}

/// Whom a replica is meant to follow: the only record of it. The running link is derived from it.
#[derive(Clone, PartialEq, Eq)]
pub struct DesiredLink {
    /// The primary's host name or address.
    pub host: String,
    /// The primary's port.
    pub port: u16,
    /// What the primary wants to hear first.
    pub password: Option<String>,
    /// The port under which this replica can be reached, 0 when it is not to be reached.
    pub announce_port: u16,
    /// How it is followed over TLS; without it in the clear.
    pub tls: Option<TlsClient>,
}

/// How to reach a node over TLS. The files are in PEM and read anew for each connection.
///
/// ```
/// let tls = pumice::TlsClient { ca: "ca.pem".into(), ..Default::default() };
/// let options = pumice::FollowOptions { tls: Some(tls), ..Default::default() };
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsClient {
    /// Whose signature the node's certificate must bear: certificates of one CA or more.
    pub ca: PathBuf,
    /// Our own certificate, with those between it and its CA, for a node that asks for one.
    pub certificate: Option<PathBuf>,
    /// The key of our own certificate.
    pub key: Option<PathBuf>,
    /// The name that the node's certificate must bear, where that is not the host to which we connect.
    pub server_name: Option<String>,
}

impl TlsClient {
    /// The same with paths that mean the same in another working directory. They are kept as text.
    pub(crate) fn absolute(self) -> Result<TlsClient> {
        let absolute = |path: PathBuf| match std::path::absolute(&path) {
            Ok(found) if found.to_str().is_some_and(|text| text.len() < MAX_ITEM / 2) => Ok(found),
            _ => Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "TLS: got the path {}, expected one in UTF-8 of less than {} bytes",
                    path.display(),
                    MAX_ITEM / 2
                ),
            )),
        };
        Ok(TlsClient {
            ca: absolute(self.ca)?,
            certificate: self.certificate.map(absolute).transpose()?,
            key: self.key.map(absolute).transpose()?,
            server_name: self.server_name,
        })
    }
}

impl std::fmt::Debug for DesiredLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DesiredLink({}:{})", self.host, self.port)
    }
}

/// A role, and whom to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    pub role: Role,
    pub link: Option<DesiredLink>,
}

/// Who may write: of two primaries of one dataset, the one with the higher epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch {
    /// The version of the topology that made it primary, or the highest number that it had seen and one.
    pub number: u64,
    /// A replication id under which it wrote then, by which the claims of one primary are told from another's.
    pub id: String,
}

impl Epoch {
    /// Whether a primary of this epoch was overtaken by one of the other. By its own former claim it was not: a lower version
    /// may have been forced since.
    pub fn is_ended_by(&self, other: &Epoch) -> bool {
        self < other && self.id != other.id
    }
}

impl std::fmt::Display for Epoch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.number, self.id)
    }
}

/// The topology that was set, and how its links are made.
#[derive(Clone, PartialEq, Eq)]
pub struct Governing {
    pub topology: Topology,
    /// What the other nodes want to hear first.
    pub password: Option<String>,
    /// How they are followed over TLS.
    pub tls: Option<TlsClient>,
}

impl std::fmt::Debug for Governing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Governing({:?})", self.topology)
    }
}

/// The file `state`: what the engine is meant to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// What was asked for by hand: in force while no topology lists this node.
    pub wish: Wish,
    /// The epoch under which this primary writes, or the highest that this replica has seen.
    pub epoch: Epoch,
    /// The highest number of an epoch that this node has known.
    pub highest: u64,
    /// The dataset of which a replica has seen the epoch: see [`super::side::History::origin`].
    pub origin: String,
    /// The higher epoch that ended this primary's own.
    pub ended_by: Option<Epoch>,
    /// Who this node is in a topology.
    pub node_id: Option<String>,
    /// The topology that governs, when it lists this node.
    pub governing: Option<Governing>,
}

impl State {
    /// A state by hand alone.
    pub fn of(role: Role, link: Option<DesiredLink>) -> State {
        State {
            wish: Wish { role, link },
            epoch: Epoch::default(),
            highest: 0,
            origin: String::new(),
            ended_by: None,
            node_id: None,
            governing: None,
        }
    }
}

fn put_tls(out: &mut Vec<u8>, tls: Option<&TlsClient>) {
    let text = |path: &Path| path.to_string_lossy().into_owned();
    put(out, u8::from(tls.is_some()));
    if let Some(tls) = tls {
        put(out, text(&tls.ca));
        put(out, tls.certificate.as_deref().map(text));
        put(out, tls.key.as_deref().map(text));
        put(out, tls.server_name.as_deref());
    }
}

/// Writes the file `state`.
pub fn encode_state(state: &State) -> Vec<u8> {
    let epoch = |epoch: &Epoch| (epoch.number, epoch.id.clone());
    let mut payload = Vec::new();
    put(&mut payload, state.wish.role as u8);
    put(&mut payload, u8::from(state.wish.link.is_some()));
    if let Some(link) = &state.wish.link {
        put(&mut payload, (link.host.as_str(), link.port, link.password.as_deref(), link.announce_port));
        put_tls(&mut payload, link.tls.as_ref());
    }
    put(&mut payload, epoch(&state.epoch));
    put(&mut payload, state.highest);
    put(&mut payload, state.origin.as_str());
    put(&mut payload, state.ended_by.as_ref().map(epoch));
    put(&mut payload, state.node_id.as_deref());
    put(&mut payload, u8::from(state.governing.is_some()));
    if let Some(Governing { topology, password, tls }) = &state.governing {
        put(&mut payload, (topology.version(), topology.text().as_str(), password.as_deref()));
        put_tls(&mut payload, tls.as_ref());
    }
    frame(File::State, &payload)
}

fn take_tls(reader: &mut Reader<'_>) -> Result<TlsClient> {
    Ok(TlsClient {
        ca: reader.take::<String>("CA of the link")?.into(),
        certificate: reader.take::<Option<String>>("certificate of the link")?.map(PathBuf::from),
        key: reader.take::<Option<String>>("key of the link")?.map(PathBuf::from),
        server_name: reader.take("server name of the link")?,
    })
}

/// Reads the file `state`.
pub fn decode_state(bytes: &[u8]) -> Result<State> {
    let (rest, format) = unframe(File::State, bytes)?;
    let mut reader = Reader { file: File::State, rest };
    let role = match reader.take::<u8>("role")? {
        1 => Role::Primary,
        2 => Role::Replica,
        3 => Role::Detached,
        other => return Err(File::State.bad(format!("role: got {other}, expected 1, 2 or 3"))),
    };
    // The first format left out what was not there.
    let is_there = |reader: &mut Reader<'_>, what: &str| match format {
        1 => Ok(!reader.rest.is_empty()),
        _ => reader.take::<bool>(what),
    };
    let mut state = State::of(role, None);
    if is_there(&mut reader, "link")? {
        let (host, port, password, announce_port) = reader.take::<(String, u16, Option<String>, u16)>("link")?;
        let has_tls = is_there(&mut reader, "TLS of the link")?;
        let tls = has_tls.then(|| take_tls(&mut reader)).transpose()?;
        state.wish.link = Some(DesiredLink { host, port, password, announce_port, tls });
    }
    if format > 1 {
        let epoch = |(number, id): (u64, String)| Epoch { number, id };
        state.epoch = reader.take("epoch").map(epoch)?;
        state.highest = reader.take("highest number")?;
        state.origin = reader.take("origin")?;
        state.ended_by = reader.take::<Option<(u64, String)>>("higher epoch")?.map(epoch);
        state.node_id = reader.take("node id")?;
        if reader.take::<bool>("topology")? {
            let (version, text, password) =
                reader.take_within::<(u64, String, Option<String>), MAX_TEXT>("topology")?;
            let topology =
                Topology::parse(version, &text).map_err(|e| File::State.bad(format!("topology: {}", e.message())))?;
            let tls = if reader.take::<bool>("TLS of the topology")? { Some(take_tls(&mut reader)?) } else { None };
            state.governing = Some(Governing { topology, password, tls });
        }
    }
    reader.finish()?;
    Ok(state)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::fuzz::hex;
    use super::*;

    const A: &str = "AAAAAAAAAAAAAAAA";
    const B: &str = "BBBBBBBBBBBBBBBB";
    const FIRST_STATE: &str = "50554d49434500 01 0100 01000000 02 9aa210fb";
    pub(in super::super) const STATE: &str = "50554d49434500010200b10000000300fb2c011041414141414141414141414141414141fb2b011042424242424242424242 \
        42424242424201fb2d0110424242424242424242424242424242420128616161616161616161616161616161616161616161 \
        6161616161616161616161616161616161616101073961616161616161616161616161616161616161616161616161616161 \
        61616161616161616161616120682031206d6173746572202d20302d390102707701032f63610000003509b4c8";
    fn governed() -> State {
        let topology = Topology::parse(7, &format!("{} h 1 master - 0-9", "a".repeat(40))).unwrap();
        let tls = Some(TlsClient { ca: "/ca".into(), ..Default::default() });
        State {
            epoch: Epoch { number: 300, id: A.to_owned() },
            highest: 299,
            origin: B.to_owned(),
            ended_by: Some(Epoch { number: 301, id: B.to_owned() }),
            node_id: Some("a".repeat(40)),
            governing: Some(Governing { topology, password: Some("pw".into()), tls }),
            ..State::of(Role::Detached, None)
        }
    }

    #[track_caller]
    fn corrupt<T: std::fmt::Debug>(result: Result<T>, message: &str) {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
        assert!(error.message().contains(message), "{error}");
    }

    /// The bytes of the state never change, and its first format is still read.
    #[test]
    fn golden_bytes() {
        let state = State::of(Role::Replica, None);
        // As the first format had it, and as it is now.
        assert_eq!(decode_state(&hex(FIRST_STATE)).unwrap(), state);
        assert_eq!(encode_state(&governed()), hex(STATE));
        assert_eq!(decode_state(&hex(STATE)).unwrap(), governed());
    }

    /// What is no state is refused, saying which part of it.
    #[test]
    fn faults() {
        corrupt(decode_state(&frame(File::State, &[4])), "state, role: got 4");
        corrupt(decode_state(&frame(File::State, &[1, 1])), "state, link: got");
        corrupt(
            decode_state(&frame(File::State, &[2, 1, 1, b'h', 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9])),
            "state, payload: got 1 bytes after the end",
        );
        corrupt(decode_state(&frame(File::State, &[2, 1, 1, b'h', 1, 0, 0, 1])), "state, CA of the link");
    }

    /// The numbers and names of roles never change.
    #[test]
    fn roles() {
        for (role, number, name) in
            [(Role::Primary, 1, "primary"), (Role::Replica, 2, "replica"), (Role::Detached, 3, "detached")]
        {
            assert_eq!((role as u8, role.name()), (number, name));
            let link = DesiredLink {
                host: "primary".into(),
                port: 6666,
                password: Some("pw".into()),
                announce_port: 1,
                tls: None,
            };
            let ca = TlsClient { ca: "/ca".into(), ..Default::default() };
            let name = Some("primary.test".to_owned());
            let all =
                TlsClient { certificate: Some("/c".into()), key: Some("/k".into()), server_name: name, ..ca.clone() };
            let over = |tls: TlsClient| Some(DesiredLink { tls: Some(tls), ..link.clone() });
            for link in [None, Some(DesiredLink { password: None, ..link.clone() }), over(ca), over(all), Some(link)] {
                let state = State::of(role, link);
                assert_eq!(decode_state(&encode_state(&state)).unwrap(), state);
                let nodes = format!("{} h 1 master -", "a".repeat(40));
                let topology = Topology::parse(7, &nodes).unwrap();
                let tls = state.wish.link.as_ref().and_then(|link| link.tls.clone());
                let epoch = |number| Epoch { number, id: A.to_owned() };
                let governing = Governing { topology, password: Some("pw".into()), tls };
                let state = State {
                    epoch: epoch(6),
                    origin: B.to_owned(),
                    ended_by: Some(epoch(u64::MAX)),
                    node_id: Some("a".repeat(40)),
                    governing: Some(governing),
                    ..state
                };
                assert_eq!(decode_state(&encode_state(&state)).unwrap(), state);
                assert!(!format!("{state:?}").contains("pw"));
            }
        }
    }
}
