//! Numbers with names, and the version.

use std::ffi::{CString, c_char};
use std::sync::LazyLock;

use crate::{Compression, Depth, ErrorKind, EventKind, Kind, LinkState, Operation, Peer, Role, Stage};

/// What an engine is.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum pumice_role {
    /// Takes writes and feeds replicas.
    PUMICE_ROLE_PRIMARY = 1,
    /// Follows a primary and takes no writes of its own.
    PUMICE_ROLE_REPLICA = 2,
    /// Neither: read-only until somebody says what it is.
    PUMICE_ROLE_DETACHED = 3,
}

/// The type of a key. Other numbers up to 15 are types of a later Kvrocks: their keys are alive and opaque.
#[repr(C)]
#[allow(dead_code, reason = "C hands it in as a number, which may be any")]
pub enum pumice_kind {
    PUMICE_KIND_NONE = 0,
    PUMICE_KIND_STRING = 1,
    PUMICE_KIND_HASH = 2,
    PUMICE_KIND_LIST = 3,
    PUMICE_KIND_SET = 4,
    PUMICE_KIND_ZSET = 5,
    PUMICE_KIND_BITMAP = 6,
    PUMICE_KIND_SORTEDINT = 7,
    PUMICE_KIND_STREAM = 8,
    PUMICE_KIND_BLOOM = 9,
    PUMICE_KIND_JSON = 10,
    PUMICE_KIND_HYPERLOGLOG = 11,
    PUMICE_KIND_TDIGEST = 12,
    PUMICE_KIND_TIMESERIES = 13,
    PUMICE_KIND_TOPK = 14,
}

/// How blocks are compressed from level 2 on. All codecs can be read whatever is chosen.
#[repr(C)]
#[allow(dead_code, reason = "C hands it in as a number, which may be any")]
pub enum pumice_compression {
    /// Kvrocks' default.
    PUMICE_COMPRESSION_NONE = 0,
    PUMICE_COMPRESSION_SNAPPY = 1,
    PUMICE_COMPRESSION_ZLIB = 2,
    PUMICE_COMPRESSION_LZ4 = 3,
    PUMICE_COMPRESSION_ZSTD = 4,
}

/// How deep a verification looks.
#[repr(C)]
#[allow(dead_code, reason = "C hands it in as a number, which may be any")]
pub enum pumice_depth {
    /// What is held twice: registry, link, history, log. Milliseconds.
    PUMICE_DEPTH_QUICK = 0,
    /// And the checksum of every data block. One read of all data.
    PUMICE_DEPTH_CHECKSUMS = 1,
    /// And every record decodes. Two reads of all data.
    PUMICE_DEPTH_RECORDS = 2,
}

/// What a long call is doing.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum pumice_stage {
    /// Files are linked or copied, and compared with the sync manifest.
    PUMICE_STAGE_RECEIVE = 1,
    /// The new generation is opened beside the living one.
    PUMICE_STAGE_OPEN = 2,
    /// The new generation becomes the current one.
    PUMICE_STAGE_PUBLISH = 3,
    /// Files of a new checkpoint are read for their checksums.
    PUMICE_STAGE_CHECKSUM = 4,
    /// Records are brought into the other key layout.
    PUMICE_STAGE_CONVERT = 5,
    /// Records are counted.
    PUMICE_STAGE_COUNT = 6,
}

/// What a change did. Later versions may add numbers.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum pumice_operation {
    /// A key was set. Strings and JSON come with their value; of other kinds the metadata was written.
    PUMICE_OPERATION_PUT = 1,
    /// A key was removed.
    PUMICE_OPERATION_DELETE = 2,
    /// The keys from `key` up to but not including `end` were removed; to the end of the namespace without `end`.
    /// Without a namespace both bounds are raw keys of the family.
    PUMICE_OPERATION_DELETE_RANGE = 3,
    /// All keys of the namespace were removed.
    PUMICE_OPERATION_CLEAR = 4,
    /// A field, member, element or the like of a key was set.
    PUMICE_OPERATION_PUT_SUBKEY = 5,
    /// A field, member, element or the like of a key was removed.
    PUMICE_OPERATION_DELETE_SUBKEY = 6,
    /// The namespace registry was written. Its value is not given, since it holds the tokens.
    PUMICE_OPERATION_NAMESPACES = 7,
    /// The replication id was written, or removed when there is no value.
    PUMICE_OPERATION_REPLICATION_ID = 8,
    /// Something else: a raw key, with its value when it was set and without when it was removed.
    PUMICE_OPERATION_OTHER = 9,
}

/// What a link is doing.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum pumice_link_state {
    /// There is none.
    PUMICE_LINK_STATE_NONE = 0,
    /// It looks for the primary.
    PUMICE_LINK_STATE_CONNECTING = 1,
    /// It agrees with the primary where to begin.
    PUMICE_LINK_STATE_HANDSHAKE = 2,
    /// It receives the whole dataset.
    PUMICE_LINK_STATE_SYNCING = 3,
    /// It receives entries as they are written.
    PUMICE_LINK_STATE_STREAMING = 4,
    /// It waits before it tries again.
    PUMICE_LINK_STATE_WAITING = 5,
}

/// Who is at the other end.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum pumice_peer {
    /// It is not known yet.
    PUMICE_PEER_NONE = 0,
    /// An Apache Kvrocks server.
    PUMICE_PEER_KVROCKS = 1,
    /// An engine like this one.
    PUMICE_PEER_PUMICE = 2,
}

/// What an event is about. Later versions may add numbers.
#[repr(C)]
#[derive(Clone, Copy)]
pub enum pumice_event_kind {
    /// Nothing: of no event.
    PUMICE_EVENT_KIND_NONE = 0,
    /// The engine has another role, or takes writes no more, or again.
    PUMICE_EVENT_KIND_ROLE = 1,
    /// The link to the primary is in another state.
    PUMICE_EVENT_KIND_LINK = 2,
    /// A topology was set, or contradicts the one that governs.
    PUMICE_EVENT_KIND_TOPOLOGY = 3,
    /// A full sync began, or was done.
    PUMICE_EVENT_KIND_FULL_SYNC = 4,
    /// Entries of the engine's own are given up.
    PUMICE_EVENT_KIND_DIVERGENCE = 5,
    /// A feed to a replica began, or ended.
    PUMICE_EVENT_KIND_FEED = 6,
}

/// What a number is that is not known.
pub const PUMICE_UNKNOWN: u64 = 0xFFFF_FFFF_FFFF_FFFF;

/// What a time to live is of a key that does not exist.
pub const PUMICE_TTL_MISSING: i64 = -2;
/// What a time to live is of a key that does not expire.
pub const PUMICE_TTL_FOREVER: i64 = -1;

impl From<Role> for pumice_role {
    fn from(role: Role) -> pumice_role {
        match role {
            Role::Primary => pumice_role::PUMICE_ROLE_PRIMARY,
            Role::Replica => pumice_role::PUMICE_ROLE_REPLICA,
            Role::Detached => pumice_role::PUMICE_ROLE_DETACHED,
        }
    }
}

impl From<Stage> for pumice_stage {
    fn from(stage: Stage) -> pumice_stage {
        match stage {
            Stage::Receive => pumice_stage::PUMICE_STAGE_RECEIVE,
            Stage::Open => pumice_stage::PUMICE_STAGE_OPEN,
            Stage::Publish => pumice_stage::PUMICE_STAGE_PUBLISH,
            Stage::Checksum => pumice_stage::PUMICE_STAGE_CHECKSUM,
            Stage::Convert => pumice_stage::PUMICE_STAGE_CONVERT,
            Stage::Count => pumice_stage::PUMICE_STAGE_COUNT,
        }
    }
}

impl From<Operation> for pumice_operation {
    fn from(operation: Operation) -> pumice_operation {
        match operation {
            Operation::Put => pumice_operation::PUMICE_OPERATION_PUT,
            Operation::Delete => pumice_operation::PUMICE_OPERATION_DELETE,
            Operation::DeleteRange => pumice_operation::PUMICE_OPERATION_DELETE_RANGE,
            Operation::Clear => pumice_operation::PUMICE_OPERATION_CLEAR,
            Operation::PutSubkey => pumice_operation::PUMICE_OPERATION_PUT_SUBKEY,
            Operation::DeleteSubkey => pumice_operation::PUMICE_OPERATION_DELETE_SUBKEY,
            Operation::Namespaces => pumice_operation::PUMICE_OPERATION_NAMESPACES,
            Operation::ReplicationId => pumice_operation::PUMICE_OPERATION_REPLICATION_ID,
            Operation::Other => pumice_operation::PUMICE_OPERATION_OTHER,
        }
    }
}

impl From<LinkState> for pumice_link_state {
    fn from(state: LinkState) -> pumice_link_state {
        match state {
            LinkState::Connecting => pumice_link_state::PUMICE_LINK_STATE_CONNECTING,
            LinkState::Handshake => pumice_link_state::PUMICE_LINK_STATE_HANDSHAKE,
            LinkState::Syncing => pumice_link_state::PUMICE_LINK_STATE_SYNCING,
            LinkState::Streaming => pumice_link_state::PUMICE_LINK_STATE_STREAMING,
            LinkState::Waiting => pumice_link_state::PUMICE_LINK_STATE_WAITING,
        }
    }
}

impl From<Peer> for pumice_peer {
    fn from(peer: Peer) -> pumice_peer {
        match peer {
            Peer::Kvrocks => pumice_peer::PUMICE_PEER_KVROCKS,
            Peer::Pumice => pumice_peer::PUMICE_PEER_PUMICE,
        }
    }
}

impl From<EventKind> for pumice_event_kind {
    fn from(kind: EventKind) -> pumice_event_kind {
        match kind {
            EventKind::Role => pumice_event_kind::PUMICE_EVENT_KIND_ROLE,
            EventKind::Link => pumice_event_kind::PUMICE_EVENT_KIND_LINK,
            EventKind::Topology => pumice_event_kind::PUMICE_EVENT_KIND_TOPOLOGY,
            EventKind::FullSync => pumice_event_kind::PUMICE_EVENT_KIND_FULL_SYNC,
            EventKind::Divergence => pumice_event_kind::PUMICE_EVENT_KIND_DIVERGENCE,
            EventKind::Feed => pumice_event_kind::PUMICE_EVENT_KIND_FEED,
        }
    }
}

const EVENT_KINDS: [EventKind; 6] = [
    EventKind::Role,
    EventKind::Link,
    EventKind::Topology,
    EventKind::FullSync,
    EventKind::Divergence,
    EventKind::Feed,
];
const LINK_STATES: [LinkState; 5] =
    [LinkState::Connecting, LinkState::Handshake, LinkState::Syncing, LinkState::Streaming, LinkState::Waiting];
const PEERS: [Peer; 2] = [Peer::Kvrocks, Peer::Pumice];
const ROLES: [Role; 3] = [Role::Primary, Role::Replica, Role::Detached];
const STAGES: [Stage; 6] = [Stage::Receive, Stage::Open, Stage::Publish, Stage::Checksum, Stage::Convert, Stage::Count];
const DEPTHS: [Depth; 3] = [Depth::Quick, Depth::Checksums, Depth::Records];
const COMPRESSIONS: [Compression; 5] =
    [Compression::None, Compression::Snappy, Compression::Zlib, Compression::Lz4, Compression::Zstd];

/// The role of a number from C.
pub fn role(number: i32) -> Option<Role> {
    ROLES.into_iter().find(|role| *role as i32 == number)
}

/// The compression of a number from C.
pub fn compression(number: i32) -> Option<Compression> {
    COMPRESSIONS.into_iter().find(|compression| *compression as i32 == number)
}

/// The depth of a number from C.
pub fn depth(number: i32) -> Option<Depth> {
    DEPTHS.into_iter().find(|depth| *depth as i32 == number)
}

/// Names by number, with the NUL that C wants.
struct Names(Vec<(i32, CString)>);

impl Names {
    fn new(names: impl IntoIterator<Item = (i32, &'static str)>) -> Names {
        Names(names.into_iter().map(|(number, name)| (number, CString::new(name).unwrap_or_default())).collect())
    }

    fn of(&self, number: i32) -> *const c_char {
        self.0.iter().find(|name| name.0 == number).map_or(c"unknown".as_ptr(), |name| name.1.as_ptr())
    }
}

/// The version of the library, like "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn pumice_version() -> *const c_char {
    static VERSION: LazyLock<CString> = LazyLock::new(|| CString::new(env!("CARGO_PKG_VERSION")).unwrap_or_default());
    VERSION.as_ptr()
}

/// The name of a pumice_status, like "NotFound"; "Ok" of PUMICE_OK; "unknown" of any other number.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_status_name(status: i32) -> *const c_char {
    static NAMES: LazyLock<Names> = LazyLock::new(|| {
        Names::new(std::iter::once((0, "Ok")).chain(ErrorKind::ALL.map(|kind| (kind as i32, kind.name()))))
    });
    NAMES.of(status)
}

/// The name of a pumice_role, like "primary"; "unknown" of any other number.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_role_name(role: i32) -> *const c_char {
    static NAMES: LazyLock<Names> = LazyLock::new(|| Names::new(ROLES.map(|role| (role as i32, role.name()))));
    NAMES.of(role)
}

/// The name of a pumice_kind as Kvrocks' TYPE gives it, like "string"; "unknown" of any other number.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_kind_name(kind: i32) -> *const c_char {
    static NAMES: LazyLock<Names> =
        LazyLock::new(|| Names::new((0..16).map(|number| (i32::from(number), Kind::from_flags(number).name()))));
    NAMES.of(kind)
}

/// The name of a pumice_stage, like "receive"; "unknown" of any other number.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_stage_name(stage: i32) -> *const c_char {
    static NAMES: LazyLock<Names> = LazyLock::new(|| Names::new(STAGES.map(|stage| (stage as i32, stage.name()))));
    NAMES.of(stage)
}

/// The name of a pumice_operation, like "put"; "unknown" of any other number.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_operation_name(operation: i32) -> *const c_char {
    static NAMES: LazyLock<Names> =
        LazyLock::new(|| Names::new(Operation::ALL.map(|operation| (operation as i32, operation.name()))));
    NAMES.of(operation)
}

/// The name of a pumice_link_state, like "streaming"; "unknown" of any other number.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_link_state_name(state: i32) -> *const c_char {
    static NAMES: LazyLock<Names> = LazyLock::new(|| Names::new(LINK_STATES.map(|state| (state as i32, state.name()))));
    NAMES.of(state)
}

/// The name of a pumice_peer, like "kvrocks"; "unknown" of any other number.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_peer_name(peer: i32) -> *const c_char {
    static NAMES: LazyLock<Names> =
        LazyLock::new(|| Names::new(PEERS.map(|peer| (pumice_peer::from(peer) as i32, peer.name()))));
    NAMES.of(peer)
}

/// The name of a pumice_event_kind, like "full_sync"; "unknown" of any other number.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_event_kind_name(kind: i32) -> *const c_char {
    static NAMES: LazyLock<Names> = LazyLock::new(|| Names::new(EVENT_KINDS.map(|kind| (kind as i32, kind.name()))));
    NAMES.of(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of both sides are the same.
    #[test]
    fn numbers() {
        for role in ROLES {
            assert_eq!(pumice_role::from(role) as i32, role as i32);
        }
        for stage in STAGES {
            assert_eq!(pumice_stage::from(stage) as i32, stage as i32);
        }
        for state in LINK_STATES {
            assert_eq!(pumice_link_state::from(state) as i32, state as i32);
        }
        for kind in EVENT_KINDS {
            assert_eq!(pumice_event_kind::from(kind) as i32, kind as i32);
        }
        for operation in Operation::ALL {
            assert_eq!(pumice_operation::from(operation) as i32, operation as i32);
        }
        assert_eq!(pumice_kind::PUMICE_KIND_TOPK as u8, Kind::TOPK.number());
        assert_eq!(pumice_kind::PUMICE_KIND_STRING as u8, Kind::STRING.number());
        assert_eq!(pumice_compression::PUMICE_COMPRESSION_ZSTD as u8, Compression::Zstd as u8);
        assert_eq!(pumice_depth::PUMICE_DEPTH_RECORDS as u8, Depth::Records as u8);
    }
}
