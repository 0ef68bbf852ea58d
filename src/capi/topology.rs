//! Who follows whom: what is wished, and what runs.

use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;

use super::argument::{c_string, given, hand_out, place, text};
use super::bytes::{c_text, lend_text};
use super::constants::{PUMICE_UNKNOWN, pumice_role};
use super::engine::pumice_engine;
use super::error::{call, free, pumice_error, pumice_status};
use super::link::pumice_link_status;
use super::setting::{set, set_ca, set_certificate, set_password, set_server_name, try_set};
use crate::{Topology, TopologyOptions, TopologyStatus};

/// How a topology is set.
#[derive(Default)]
pub struct pumice_topology_options(TopologyOptions);

/// Options of setting a topology, to be changed and freed. As they come: the other nodes are reached with the password and
/// over TLS as the engine's own listener is, and a version must be higher than the one that governs.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_topology_options_new() -> Box<pumice_topology_options> {
    Box::default()
}

/// The admin password of the other nodes, in UTF-8. It is kept in the file `state`, which only the owner can read. Unset,
/// that of the engine's own listener.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_topology_options_set_password(
    options: Option<&mut pumice_topology_options>,
    password: *const c_char,
    password_size: usize,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    // SAFETY: the password is readable for its size.
    try_set(options, error, |options| unsafe { set_password(&mut options.0.password, password, password_size) })
}

/// Whether a version that is not higher than the one that governs is taken too. Unset, false.
///
/// A lower one is to be forced on every node, in any order: one that has not got it goes on by the higher one, and refuses
/// what is not higher still. A primary that says, when all have it, that another took over from it was told so by a node
/// before that had it: force the version there once more.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_topology_options_set_force(
    options: Option<&mut pumice_topology_options>,
    force: bool,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    set(options, error, |options| options.0.force = force)
}

/// Reaches the other nodes over TLS: their certificates must be signed by one of the CA certificates in the PEM file `ca`.
/// The path is kept, and the file read at every connection. Unset, as the engine's own listener says.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_topology_options_set_tls(
    options: Option<&mut pumice_topology_options>,
    ca: *const c_char,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    // SAFETY: the path is NULL or a C string.
    try_set(options, error, |options| unsafe { set_ca(&mut options.0.tls, ca) })
}

/// Our own certificate, with those between it and its CA, and its key, for nodes that ask for one: PEM files, read as the
/// CA's. Only together with pumice_topology_options_set_tls.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_topology_options_set_tls_certificate(
    options: Option<&mut pumice_topology_options>,
    certificate: *const c_char,
    key: *const c_char,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    // SAFETY: both paths are NULL or C strings.
    try_set(options, error, |options| unsafe { set_certificate(&mut options.0.tls, certificate, key) })
}

/// The name that the certificate of every node must bear. Unset, the host of the node. Only together with
/// pumice_topology_options_set_tls.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_topology_options_set_tls_server_name(
    options: Option<&mut pumice_topology_options>,
    server_name: *const c_char,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    // SAFETY: the name is NULL or a C string.
    try_set(options, error, |options| unsafe { set_server_name(&mut options.0.tls, server_name) })
}

/// Frees options of setting a topology.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_topology_options_free(options: Option<Box<pumice_topology_options>>) {
    free(options);
}

/// Says which nodes there are, who follows whom, and which of them this engine is: from then on that alone decides whether it
/// is a primary, a replica and of whom, or, when it is not listed, detached. `text` is that of `CLUSTERX SETNODES`, a line for
/// each node: `<id> <host> <port> <master|slave> <-|id of its master> [<slot>|<first>-<last> ...]`; ids have 40 characters.
/// `options` may be NULL.
///
/// Kept durably before it takes effect, and kept to across restarts until a later version comes. When it returns, a link to a
/// former primary and the feeds of nodes that are not replicas of this one are closed; the new link is made, and made again
/// whenever it breaks, by itself. `changed`, which may be NULL, is whether anything did: the version that governs already is
/// no news, and when it comes with other nodes that is an event, and a finding of pumice_engine_verify.
///
/// While a topology lists this node, pumice_engine_follow, _detach, _promote and _hand_over are refused. A node that is no longer
/// listed goes on serving reads and takes no writes until it is promoted by hand or listed again.
///
/// PUMICE_INVALID_ARGUMENT for a version below the one that governs, and for a text or a node id that cannot be; PUMICE_IO and
/// PUMICE_POISONED when it cannot be kept. The old topology governs then.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_set_topology(
    engine: Option<&pumice_engine>,
    version: u64,
    text: *const c_char,
    text_size: usize,
    node_id: *const c_char,
    options: Option<&pumice_topology_options>,
    changed: Option<&mut MaybeUninit<bool>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        // SAFETY: the text is readable for its size, the id is NULL or a C string.
        let (text, id) = unsafe { (self::text(text, text_size, "text")?, c_string(node_id, "node_id")?) };
        let engine = &given(engine, "engine")?.engine;
        let topology = Topology::parse(version, text)?;
        let news = match options {
            Some(options) => engine.set_topology(&topology, id, &options.0)?,
            None => engine.set_topology(&topology, id, &TopologyOptions::default())?,
        };
        if let Some(place) = changed {
            place.write(news);
        }
        Ok(())
    })
}

/// What a node is meant to be and what it is: one moment of both. Of NULL every number is 0, every text NULL.
pub struct pumice_topology_status {
    status: TopologyStatus,
    node_id: Option<CString>,
    nodes: Vec<pumice_node>,
    _texts: Vec<CString>,
    _slots: Vec<Vec<pumice_slot_range>>,
    desired_host: Option<CString>,
    actual: Option<pumice_link_status>,
    reason: Option<CString>,
}

/// One node of a topology. What it points to is lent until the status is freed.
#[repr(C)]
pub struct pumice_node {
    /// Its id: 40 characters.
    pub id: *const c_char,
    /// The host name or address under which it listens.
    pub host: *const c_char,
    /// The id of the primary that it follows; NULL for a primary.
    pub primary: *const c_char,
    /// The slots of a primary, in order.
    pub slots: *const pumice_slot_range,
    /// How many ranges of slots it has.
    pub slot_range_count: usize,
    /// The port on which it listens.
    pub port: u16,
}

/// Slots from the first to the last, both included.
#[repr(C)]
pub struct pumice_slot_range {
    pub first: u16,
    pub last: u16,
}

impl From<TopologyStatus> for pumice_topology_status {
    fn from(mut status: TopologyStatus) -> pumice_topology_status {
        let (mut nodes, mut texts, mut slots) = (Vec::new(), Vec::new(), Vec::new());
        // What is pointed to stays where it is when the lists that own it move.
        let mut lent = |text: &str| {
            let text = c_text(text);
            let pointer = text.as_ptr();
            texts.push(text);
            pointer
        };
        for node in &status.nodes {
            let range = |&(first, last): &(u16, u16)| pumice_slot_range { first, last };
            let ranges: Vec<_> = node.slots.iter().map(range).collect();
            nodes.push(pumice_node {
                id: lent(&node.id),
                host: lent(&node.host),
                primary: node.primary.as_deref().map_or(std::ptr::null(), &mut lent),
                slots: ranges.as_ptr(),
                slot_range_count: ranges.len(),
                port: node.port,
            });
            slots.push(ranges);
        }
        pumice_topology_status {
            node_id: status.node_id.as_deref().map(c_text),
            nodes,
            _texts: texts,
            _slots: slots,
            desired_host: status.desired.as_ref().map(|(host, _)| c_text(host)),
            actual: status.actual.take().map(Into::into),
            reason: status.reason.as_deref().map(c_text),
            status,
        }
    }
}

/// What this node is meant to be and what it is, side by side, computed from what runs.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_topology(
    engine: Option<&pumice_engine>,
    status: Option<&mut MaybeUninit<*mut pumice_topology_status>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(status, "status")?;
        hand_out(place, pumice_topology_status::from(given(engine, "engine")?.engine.topology()?));
        Ok(())
    })
}

/// The version of the topology; PUMICE_UNKNOWN where none was set.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_topology_status_version(status: Option<&pumice_topology_status>) -> u64 {
    status.map_or(0, |status| status.status.version.unwrap_or(PUMICE_UNKNOWN))
}

/// Who this node is in it, lent until the status is freed; NULL where that was not said.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_topology_status_node_id(status: Option<&pumice_topology_status>) -> *const c_char {
    lend_text(status.and_then(|status| status.node_id.as_ref()))
}

/// How many nodes it has.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_topology_status_node_count(status: Option<&pumice_topology_status>) -> usize {
    status.map_or(0, |status| status.nodes.len())
}

/// A node, in the order in which they were given, lent until the status is freed; NULL when there is none at that index.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_topology_status_node_at(
    status: Option<&pumice_topology_status>,
    index: usize,
) -> *const pumice_node {
    status.and_then(|status| status.nodes.get(index)).map_or(std::ptr::null(), std::ptr::from_ref)
}

/// The role of this node; PUMICE_ROLE_DETACHED of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_topology_status_role(status: Option<&pumice_topology_status>) -> pumice_role {
    status.map_or(pumice_role::PUMICE_ROLE_DETACHED, |status| status.status.role.into())
}

/// The number of the epoch under which this primary writes, or that this replica has seen.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_topology_status_epoch(status: Option<&pumice_topology_status>) -> u64 {
    status.map_or(0, |status| status.status.epoch)
}

/// The host of the primary that it is meant to follow, lent until the status is freed; NULL for nobody.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_topology_status_desired_host(status: Option<&pumice_topology_status>) -> *const c_char {
    lend_text(status.and_then(|status| status.desired_host.as_ref()))
}

/// The port of the primary that it is meant to follow; 0 for nobody.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_topology_status_desired_port(status: Option<&pumice_topology_status>) -> u16 {
    status.and_then(|status| status.status.desired.as_ref()).map_or(0, |(_, port)| *port)
}

/// The link that runs, lent until the status is freed, for pumice_link_status_state and the like; NULL when there is none. It
/// is not freed by itself.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_topology_status_actual(status: Option<&pumice_topology_status>) -> *const pumice_link_status {
    status.and_then(|status| status.actual.as_ref()).map_or(std::ptr::null(), std::ptr::from_ref)
}

/// Whether what runs is what was wished.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_topology_status_converged(status: Option<&pumice_topology_status>) -> bool {
    status.is_some_and(|status| status.status.converged)
}

/// Since when it has been so, or has not, in unix milliseconds.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_topology_status_since_ms(status: Option<&pumice_topology_status>) -> u64 {
    status.map_or(0, |status| status.status.since_ms)
}

/// Why it has not, lent until the status is freed; else NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_topology_status_reason(status: Option<&pumice_topology_status>) -> *const c_char {
    lend_text(status.and_then(|status| status.reason.as_ref()))
}

/// Frees the status of a topology.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_topology_status_free(status: Option<Box<pumice_topology_status>>) {
    free(status);
}
