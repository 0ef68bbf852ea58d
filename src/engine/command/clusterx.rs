//! CLUSTERX, by which a controller says who is what: the whole topology, or a change of it. Persisted before OK is answered.
//! Kvrocks: cmd_cluster.cc CommandClusterX, commander.cc ParseSlotRanges.

use super::{Answer, Refusal, bulk, error, is, ok, parse_integer};
use crate::engine::format::state::State;
use crate::engine::format::topology::{BAD_VERSION, NODE_ID_LENGTH, Refused, SLOTS, Topology};
use crate::engine::server::connection::Connection;
use crate::engine::topology::Order;

pub fn clusterx(connection: &mut Connection, args: &[Vec<u8>]) -> Answer {
    match args {
        [_, version] if is(version, "version") => {
            let version = state(connection)?.topology().map(Topology::version);
            Ok(bulk(version.map_or("-1".to_owned(), |version| version.to_string())))
        }
        [_, myid] if is(myid, "myid") => Ok(bulk(state(connection)?.node_id.unwrap_or_default())),
        [_, setnodeid, id] if is(setnodeid, "setnodeid") && id.len() == NODE_ID_LENGTH => {
            connection.node()?.set_node_id(&String::from_utf8_lossy(id)).map_err(refusal)?;
            Ok(ok())
        }
        [_, setnodes, text, version, options @ ..] if is(setnodes, "setnodes") => {
            set_nodes(connection, text, version, options)
        }
        [_, setslot, ranges, word, id, version] if is(setslot, "setslot") => {
            set_slots(connection, ranges, word, id, version)
        }
        [_, migrate, rest @ ..] if is(migrate, "migrate") => match rest.len() {
            2..=4 => Err(error(
                "CLUSTERX MIGRATE is not supported: replicate the data, then assign its slots with CLUSTERX SETSLOT or SETNODES",
            )),
            _ => Err(Refusal::arity()),
        },
        _ => Err(error("CLUSTERX command, CLUSTERX VERSION|MYID|SETNODEID|SETNODES|SETSLOT|MIGRATE")),
    }
}

fn state(connection: &Connection) -> Result<State, Refusal> {
    Ok(connection.node()?.instance.standing()?.state)
}

/// In a Kvrocks' words where it refuses too, in ours where not.
fn refusal(refused: Refused) -> Refusal {
    if refused.kvrocks.is_empty() { refused.error.into() } else { error(refused.kvrocks) }
}

/// The order of a controller. How the other nodes are reached it does not say.
fn order(topology: Topology, node_id: String, force: bool) -> Order {
    Order { topology, node_id, password: None, tls: None, force }
}

fn set_nodes(connection: &Connection, text: &[u8], version: &[u8], options: &[Vec<u8>]) -> Answer {
    let version = parse_integer(version).map_err(|_| error("Invalid version"))?;
    let force = match options {
        [] => false,
        [force] if is(force, "force") => true,
        _ => return Err(error("Invalid setnodes options")),
    };
    let version = u64::try_from(version).map_err(|_| error(BAD_VERSION))?;
    let topology = Topology::read(version, text).map_err(refusal)?;
    let known = state(connection)?.node_id;
    let found = if known.is_none() || force { listening_node(connection, &topology)? } else { None };
    let Some(node_id) = found.or(known) else {
        let address = &connection.server().address;
        return Err(error(format_args!(
            "node id: none was set, and no node of the topology is at {address}; say which one this is with CLUSTERX SETNODEID"
        )));
    };
    connection.node()?.set_topology(&order(topology, node_id, force)).map_err(refusal)?;
    Ok(ok())
}

/// The id of the node that has this listener's port and an address of it. Names are looked up only where no address does.
fn listening_node(connection: &Connection, topology: &Topology) -> Result<Option<String>, Refusal> {
    let own = &connection.server().address;
    let candidates = || topology.nodes().iter().filter(|node| node.port == own.port());
    let is_address = |host: &str| !host.contains(|c: char| !c.is_ascii_hexdigit() && c != '.' && c != ':');
    let here = |addresses: bool| {
        candidates().filter(move |node| {
            is_address(&node.host) == addresses && own.is_reached_by(&node.host, node.port) == Some(true)
        })
    };
    let mut found: Vec<&str> = here(true).map(|node| node.id.as_str()).collect();
    if found.is_empty() {
        found = here(false).map(|node| node.id.as_str()).collect();
    }
    match found[..] {
        [] => Ok(None),
        [id] => Ok(Some(id.to_owned())),
        [one, other, ..] => Err(error(format_args!(
            "node id: nodes {one} and {other} of the topology are both at {own}; say which one this is with CLUSTERX SETNODEID"
        ))),
    }
}

/// Assigns slots to a node, as the next version. Their keys stay where they are: a Kvrocks deletes those of slots that it has
/// migrated, and here nothing migrates, so that this may be the only copy.
fn set_slots(connection: &Connection, ranges: &[u8], word: &[u8], id: &[u8], version: &[u8]) -> Answer {
    let ranges = read_ranges(&String::from_utf8_lossy(ranges))?;
    if !is(word, "node") {
        return Err(error("Invalid setslot options"));
    }
    if id.len() != NODE_ID_LENGTH {
        return Err(error("Invalid node id"));
    }
    let version = u64::try_from(parse_integer(version)?).map_err(|_| error("Invalid version"))?;
    let state = state(connection)?;
    let (Some(topology), Some(node_id)) = (state.topology(), &state.node_id) else { return Err(error(BAD_VERSION)) };
    if topology.version().checked_add(1) != Some(version) {
        return Err(error(BAD_VERSION));
    }
    let next = topology.assigned(&String::from_utf8_lossy(id), &ranges).map_err(refusal)?;
    let order = order(next, node_id.clone(), false);
    // Another order may have been first with this version.
    if !connection.node()?.set_topology(&order).map_err(refusal)? {
        return Err(error(BAD_VERSION));
    }
    Ok(ok())
}

/// Reads `slot` and `first-last`, parted by spaces.
fn read_ranges(text: &str) -> Result<Vec<(u16, u16)>, Refusal> {
    const LONGEST: usize = 1 << 17;
    if text.len() > LONGEST {
        return Err(error(format_args!("slots: got {} bytes, expected at most {LONGEST}", text.len())));
    }
    if text.is_empty() {
        return Err(error("No slots to parse."));
    }
    let ranges = text.split(' ').filter(|field| !field.is_empty()).map(read_range);
    let ranges: Vec<(u16, u16)> = ranges.collect::<Result<_, _>>()?;
    if ranges.is_empty() {
        return Err(error(format_args!(
            "Invalid slots: `{text}`. No slots to parse. Please use spaces to separate slots."
        )));
    }
    Ok(ranges)
}

fn read_range(field: &str) -> Result<(u16, u16), Refusal> {
    /// How much of a wrong field goes back.
    const MOST: usize = 64;
    let shown: String = field.chars().take(MOST).collect();
    let wrong = |why: &str| error(format_args!("Invalid slot range: `{shown}`. {why}"));
    if !field.contains('-') {
        return read_slot(field).map(|slot| (slot, slot)).map_err(|why| error(format_args!("Invalid slot id: {why}")));
    }
    if field.starts_with('-') || field.ends_with('-') {
        return Err(wrong("The character '-' can't appear in the first or last position."));
    }
    let parts: Vec<&str> = field.split('-').take(3).collect();
    let [first, last] = parts[..] else { return Err(wrong("The slot range should be of the form `int1-int2`.")) };
    let range = read_slot(first).ok().zip(read_slot(last).ok()).filter(|(first, last)| first <= last);
    range.ok_or_else(|| wrong("The slot range `int1-int2` needs to satisfy the condition (int1 <= int2)."))
}

fn read_slot(text: &str) -> Result<u16, &'static str> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("not started as an integer");
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("encounter non-integer characters");
    }
    let slot = digits.parse::<i64>().map_err(|_| "Numerical result out of range")?;
    u16::try_from(slot).ok().filter(|&slot| slot < SLOTS).ok_or("out of numeric range")
}
