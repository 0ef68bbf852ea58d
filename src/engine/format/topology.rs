//! A topology: nodes, roles and slots with a version, and its text as `CLUSTERX SETNODES` takes it.
//! Kvrocks: cluster.cc Cluster::parseClusterNodes.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use crate::engine::error::{Error, ErrorKind, Result, shown};

/// The number of slots.
pub const SLOTS: u16 = 16384;
/// The length of a node's id.
pub const NODE_ID_LENGTH: usize = 40;
/// The most nodes of one topology, as of a Redis cluster.
pub const MAX_NODES: usize = 1000;
/// The longest text: every node with a long name, and as many slots as there are, each alone.
const MAX_TEXT: usize = 1 << 20;
/// The longest host name.
const MAX_HOST: usize = 255;
/// The highest version, which a Kvrocks keeps in a signed number.
pub const MAX_VERSION: u64 = i64::MAX as u64;

/// One node of a topology.
///
/// ```
/// use pumice::{Node, Topology};
///
/// let primary = Node::primary("a".repeat(40), "10.0.0.1", 6666).with_slots(&[(0, 16383)]);
/// let replica = Node::replica("b".repeat(40), "10.0.0.2", 6666, "a".repeat(40));
/// let topology = Topology::new(1, vec![primary, replica])?;
/// assert_eq!(Topology::parse(1, &topology.text())?, topology);
/// # Ok::<(), pumice::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id: 40 characters.
    pub id: String,
    /// The host name or address under which it listens.
    pub host: String,
    /// The port on which it listens.
    pub port: u16,
    /// The id of the primary that it follows; `None` for a primary.
    pub primary: Option<String>,
    /// The slots of a primary: first and last of each range.
    pub slots: Vec<(u16, u16)>,
}

impl Node {
    /// A primary without slots.
    pub fn primary(id: impl Into<String>, host: impl Into<String>, port: u16) -> Node {
        Node { id: id.into(), host: host.into(), port, primary: None, slots: Vec::new() }
    }

    /// A replica of the primary with that id.
    pub fn replica(id: impl Into<String>, host: impl Into<String>, port: u16, primary: impl Into<String>) -> Node {
        Node { primary: Some(primary.into()), ..Node::primary(id, host, port) }
    }

    /// The same node with slots: first and last of each range.
    #[must_use]
    pub fn with_slots(self, slots: &[(u16, u16)]) -> Node {
        Node { slots: slots.to_vec(), ..self }
    }

    /// How many slots it has.
    pub fn slot_count(&self) -> usize {
        self.slots.iter().map(|&(first, last)| usize::from(last - first) + 1).sum()
    }
}

/// Who is meant to be what: nodes and roles, with a version. Checked when it is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    version: u64,
    nodes: Vec<Node>,
}

/// Why a topology is refused.
#[derive(Debug)]
pub struct Refused {
    /// The words of a Kvrocks; empty where it would not have refused.
    pub kvrocks: &'static str,
    pub error: Error,
}

pub const BAD_NODES: &str = "Invalid cluster nodes info";
pub const BAD_ID: &str = "Invalid cluster node id";
pub const BAD_PORT: &str = "Invalid cluster node port";
pub const BAD_ROLE: &str = "Invalid cluster node role";
pub const BAD_SLOT: &str = "Slot is out of range";
pub const OVERLAPPED: &str = "Slot distribution is overlapped";
pub const NO_NEWLINE: &str = "Invalid nodes definition: Missing newline between node entries.";
pub const BAD_VERSION: &str = "Invalid cluster version";
const NO_NODE: &str = "No this node in the cluster";
pub const NO_PRIMARY: &str = "The node isn't a master";
/// What only we refuse.
const OURS: &str = "";

fn refused(kvrocks: &'static str, what: impl std::fmt::Display) -> Refused {
    Refused { kvrocks, error: Error::new(ErrorKind::InvalidArgument, format!("topology, {what}")) }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Error {
        refused.error
    }
}

/// Checks the id of a node.
pub fn check_node_id(id: &str) -> std::result::Result<(), Refused> {
    if id.len() == NODE_ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    let got = shown(id.as_bytes());
    Err(refused(BAD_ID, format_args!("node id: got {got}, expected {NODE_ID_LENGTH} characters without spaces")))
}

impl Topology {
    /// A topology of nodes, checked: ids of 40 characters and no two alike, no two nodes at one address, replicas of
    /// primaries that are in it, slots below 16384 and none of them twice, at most 1,000 nodes. InvalidArgument otherwise.
    pub fn new(version: u64, nodes: Vec<Node>) -> Result<Topology> {
        Ok(Topology::checked(version, nodes)?)
    }

    /// Reads the text of `CLUSTERX SETNODES`: a line for each node, `<id> <host> <port> <master|slave> <-|id of its master>
    /// [<slot>|<first>-<last> ...]`. InvalidArgument says which line and what was expected.
    pub fn parse(version: u64, text: &str) -> Result<Topology> {
        Ok(Topology::read(version, text.as_bytes())?)
    }

    /// As `parse`, for bytes, with the words in which a Kvrocks refuses.
    pub fn read(version: u64, text: &[u8]) -> std::result::Result<Topology, Refused> {
        if text.len() > MAX_TEXT {
            let got = text.len();
            return Err(refused(OURS, format_args!("text: got {got} bytes, expected at most {MAX_TEXT}")));
        }
        let text = std::str::from_utf8(text).map_err(|_| refused(OURS, "text: expected UTF-8"))?;
        let lines = text.split('\n').enumerate().filter(|(_, line)| !line.trim().is_empty());
        let mut nodes = Vec::new();
        for (number, line) in lines {
            // Before they are all read: a text of a mebibyte has many lines.
            check_count(nodes.len() + 1)?;
            let node = read_node(line).map_err(|Refused { kvrocks, error }| Refused {
                kvrocks,
                error: error.context(format!("line {}", number + 1)),
            })?;
            nodes.push(node);
        }
        Topology::checked(version, nodes)
    }

    fn checked(version: u64, mut nodes: Vec<Node>) -> std::result::Result<Topology, Refused> {
        if version > MAX_VERSION {
            return Err(refused(BAD_VERSION, format_args!("version: got {version}, expected at most {MAX_VERSION}")));
        }
        if nodes.is_empty() {
            return Err(refused(BAD_NODES, "nodes: got none, expected one at least"));
        }
        check_count(nodes.len())?;
        let mut ids = HashMap::new();
        let mut addresses = HashSet::new();
        for node in &nodes {
            check_node(node)?;
            if ids.insert(node.id.clone(), node.primary.is_none()).is_some() {
                return Err(refused(OURS, format_args!("node {}: got its id twice", node.id)));
            }
            if !addresses.insert((node.host.clone(), node.port)) {
                let Node { id, host, port, .. } = node;
                return Err(refused(OURS, format_args!("node {id}: another node is at {host}:{port} too")));
            }
        }
        let mut owner: Vec<Option<usize>> = vec![None; usize::from(SLOTS)];
        for (index, node) in nodes.iter_mut().enumerate() {
            if let Some(primary) = &node.primary {
                match ids.get(primary) {
                    Some(true) => {}
                    Some(false) => {
                        let what = format_args!("node {}: {primary} is a replica, expected a primary", node.id);
                        return Err(refused(OURS, what));
                    }
                    None => {
                        let what = format_args!("node {}: its primary {primary} is not in it", node.id);
                        return Err(refused(OURS, what));
                    }
                }
            }
            for &(first, last) in &node.slots {
                for slot in first..=last {
                    if let Some(Some(_)) = owner.get(usize::from(slot)) {
                        let what = format_args!("node {}: slot {slot} is given away already", node.id);
                        return Err(refused(OVERLAPPED, what));
                    }
                    if let Some(place) = owner.get_mut(usize::from(slot)) {
                        *place = Some(index);
                    }
                }
            }
            node.slots = merged(std::mem::take(&mut node.slots));
        }
        Ok(Topology { version, nodes })
    }

    /// Its version: who governs is the one with the highest.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Its nodes, in the order in which they were given.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node with that id.
    pub fn node(&self, id: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// The node that has a slot.
    pub fn owner(&self, slot: u16) -> Option<&Node> {
        self.nodes.iter().find(|node| node.slots.iter().any(|&(first, last)| (first..=last).contains(&slot)))
    }

    /// The next version of it, in which the node with that id has these slots too: first and last of each range.
    pub(crate) fn assigned(&self, id: &str, ranges: &[(u16, u16)]) -> std::result::Result<Topology, Refused> {
        match self.node(id) {
            Some(Node { primary: None, .. }) => {}
            Some(_) => return Err(refused(NO_PRIMARY, format_args!("node {id}: got a replica, expected a primary"))),
            None => return Err(refused(NO_NODE, format_args!("node {id}: it is not in it"))),
        }
        let mut owners = vec![None; usize::from(SLOTS)];
        let mut give = |&(first, last): &(u16, u16), to: usize| {
            if let Some(slots) = owners.get_mut(usize::from(first)..=usize::from(last)) {
                slots.fill(Some(to));
            }
        };
        for (place, node) in self.nodes.iter().enumerate() {
            node.slots.iter().for_each(|range| give(range, place));
        }
        let to = self.nodes.iter().position(|node| node.id == id).unwrap_or_default();
        ranges.iter().for_each(|range| give(range, to));
        let mut nodes = self.nodes.clone();
        nodes.iter_mut().for_each(|node| node.slots.clear());
        for (owner, slot) in owners.into_iter().zip(0..) {
            if let Some(node) = owner.and_then(|owner| nodes.get_mut(owner)) {
                node.slots.push((slot, slot));
            }
        }
        Topology::checked(self.version.saturating_add(1), nodes)
    }

    /// The text that [`Topology::parse`] reads.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for node in &self.nodes {
            if !text.is_empty() {
                text.push('\n');
            }
            let (role, primary) = match &node.primary {
                None => ("master", "-"),
                Some(primary) => ("slave", primary.as_str()),
            };
            let _ = write!(text, "{} {} {} {role} {primary}", node.id, node.host, node.port);
            for range in &node.slots {
                let _ = write!(text, " {}", range_text(*range));
            }
        }
        text
    }

    /// Whether another one says the same, in whatever order.
    pub fn says_the_same(&self, other: &Topology) -> bool {
        let sorted = |topology: &Topology| {
            let mut nodes = topology.nodes.clone();
            nodes.sort_by(|a, b| a.id.cmp(&b.id));
            nodes
        };
        self.version == other.version && sorted(self) == sorted(other)
    }
}

/// A range of slots as Kvrocks writes it: one slot as a number alone.
pub fn range_text((first, last): (u16, u16)) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

/// Ranges in order, those that touch made one.
fn merged(mut ranges: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    ranges.sort_unstable();
    let mut merged: Vec<(u16, u16)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if before.1 + 1 == first => before.1 = last,
            _ => merged.push((first, last)),
        }
    }
    merged
}

fn check_count(count: usize) -> std::result::Result<(), Refused> {
    if count <= MAX_NODES {
        return Ok(());
    }
    Err(refused(OURS, format_args!("nodes: got {count} or more, expected at most {MAX_NODES}")))
}

fn check_node(node: &Node) -> std::result::Result<(), Refused> {
    check_node_id(&node.id)?;
    let host = &node.host;
    if host.is_empty() || host.len() > MAX_HOST || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
        let got = shown(host.as_bytes());
        return Err(refused(OURS, format_args!("node {}, host: got {got}, expected a name or address", node.id)));
    }
    if node.port == 0 {
        return Err(refused(BAD_PORT, format_args!("node {}, port: got 0, expected 1 to 65535", node.id)));
    }
    if node.primary.is_some() && !node.slots.is_empty() {
        return Err(refused(BAD_NODES, format_args!("node {}: got slots for a replica, expected none", node.id)));
    }
    if let Some((first, last)) = node.slots.iter().find(|(first, last)| first > last || *last >= SLOTS) {
        let what = format_args!("node {}, slots: got {first}-{last}, expected 0 to {}", node.id, SLOTS - 1);
        return Err(refused(BAD_SLOT, what));
    }
    Ok(())
}

fn read_node(line: &str) -> std::result::Result<Node, Refused> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let [id, host, port, role, primary, slots @ ..] = &fields[..] else {
        let got = fields.len();
        return Err(refused(BAD_NODES, format_args!("fields: got {got}, expected id, host, port, role, primary")));
    };
    check_node_id(id)?;
    let decimal = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let number = port.parse::<u16>().ok().filter(|&number| decimal && number > 0);
    let Some(port) = number else {
        let got = shown(port.as_bytes());
        return Err(refused(BAD_PORT, format_args!("port: got {got}, expected 1 to 65535")));
    };
    let primary = match role.to_ascii_lowercase().as_str() {
        "master" if *primary == "-" => None,
        "master" => {
            let got = shown(primary.as_bytes());
            return Err(refused(BAD_ID, format_args!("primary of a master: got {got}, expected \"-\"")));
        }
        "slave" | "replica" => {
            check_node_id(primary)?;
            Some((*primary).to_owned())
        }
        _ => {
            let got = shown(role.as_bytes());
            return Err(refused(BAD_ROLE, format_args!("role: got {got}, expected master, slave or replica")));
        }
    };
    if primary.is_some() && !slots.is_empty() {
        let got = slots.len();
        return Err(refused(
            BAD_NODES,
            format_args!("fields of a replica: got {got} behind its primary, expected none"),
        ));
    }
    let slots = slots.iter().map(|field| read_slots(field)).collect::<std::result::Result<_, _>>()?;
    Ok(Node { id: (*id).to_owned(), host: (*host).to_owned(), port, primary, slots })
}

fn read_slots(field: &str) -> std::result::Result<(u16, u16), Refused> {
    if field.len() == NODE_ID_LENGTH {
        return Err(refused(NO_NEWLINE, "slots: got a node id, expected a line end before it"));
    }
    let slot = |text: &str| {
        let decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<u16>().ok().filter(|&slot| decimal && slot < SLOTS)
    };
    let range = match field.split_once('-') {
        None => slot(field).map(|slot| (slot, slot)),
        Some((first, last)) => slot(first).zip(slot(last)).filter(|(first, last)| first < last),
    };
    range.ok_or_else(|| {
        let got = shown(field.as_bytes());
        refused(BAD_SLOT, format_args!("slots: got {got}, expected a slot or <first>-<last> up to {}", SLOTS - 1))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(letter: char) -> String {
        letter.to_string().repeat(NODE_ID_LENGTH)
    }

    fn text() -> String {
        let (a, b, c) = (id('a'), id('b'), id('c'));
        format!(
            "{a} 10.0.0.1 6666 master - 0-100 102 200-16383\n{b} host-b 1 slave {a}\n\n  {c}  ::1  65535  MASTER  -  \n"
        )
    }

    fn refusal(text: &str) -> (&'static str, String) {
        let Err(Refused { kvrocks, error }) = Topology::read(1, text.as_bytes()) else { panic!("taken: {text}") };
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().len() < 400, "{error}");
        (kvrocks, error.message().to_owned())
    }

    /// What is read is what the text says, and what is written is read again.
    #[test]
    fn both_ways() {
        let topology = Topology::parse(7, &text()).unwrap();
        assert_eq!((topology.version(), topology.nodes().len()), (7, 3));
        let [a, b, c] = topology.nodes() else { panic!() };
        assert_eq!((a.slots.as_slice(), a.slot_count()), (&[(0, 100), (102, 102), (200, 16383)][..], 16286));
        assert_eq!((b.primary.as_deref(), b.host.as_str(), b.port), (Some(id('a').as_str()), "host-b", 1));
        assert_eq!((c.primary.as_deref(), c.port, c.host.as_str()), (None, 65535, "::1"));
        assert_eq!(Topology::parse(7, &topology.text()).unwrap(), topology);
        assert_eq!(topology.owner(102), Some(a));
        assert_eq!(topology.owner(101), None);
        assert_eq!(topology.node(&id('c')), Some(c));
    }

    /// Order of nodes and the cutting of ranges make no difference, everything else does.
    #[test]
    fn the_same() {
        let a = Node::primary(id('a'), "h", 1);
        let b = Node::replica(id('b'), "h", 2, id('a'));
        let one = Topology::new(1, vec![a.clone().with_slots(&[(0, 9)]), b.clone()]).unwrap();
        let other = Topology::new(1, vec![b.clone(), a.clone().with_slots(&[(5, 9), (0, 4)])]).unwrap();
        assert!(one.says_the_same(&other));
        for different in [
            Topology::new(2, vec![a.clone().with_slots(&[(0, 9)]), b.clone()]),
            Topology::new(1, vec![a.clone().with_slots(&[(0, 8)]), b.clone()]),
            Topology::new(1, vec![a.with_slots(&[(0, 9)]), Node { port: 3, ..b }]),
        ] {
            assert!(!one.says_the_same(&different.unwrap()));
        }
    }

    /// Every kind of bad text is refused, in a Kvrocks' words where that refuses it too, and by an error that names line, got and expected.
    #[test]
    fn refused_texts() {
        let (a, b) = (id('a'), id('b'));
        let nodes: String = (0..10_000).map(|n| format!("{n:040} h{n} 1 master -\n")).collect();
        for (text, kvrocks, what) in [
            (String::new(), BAD_NODES, "nodes: got none"),
            ("\n \n".to_owned(), BAD_NODES, "nodes: got none"),
            (format!("{a} h 1 master"), BAD_NODES, "line 1: topology, fields: got 4"),
            (format!("{a}x h 1 master -"), BAD_ID, "node id: got"),
            (format!("{a} h 0 master -"), BAD_PORT, "port: got \"0\""),
            (format!("{a} h 65536 master -"), BAD_PORT, "port: got \"65536\""),
            (format!("{a} h +1 master -"), BAD_PORT, "port: got \"+1\""),
            (format!("{a} h 1 boss -"), BAD_ROLE, "role: got \"boss\""),
            (format!("{a} h 1 master {b}"), BAD_ID, "expected \"-\""),
            (format!("{a} h 1 slave -"), BAD_ID, "node id: got \"-\""),
            (format!("{a} h 1 slave {b}"), OURS, "is not in it"),
            (format!("{a} h 1 slave {a}"), OURS, "is a replica, expected a primary"),
            (format!("{a} h 1 slave {b}\n{b} h 2 slave {a}"), OURS, "is a replica, expected a primary"),
            (format!("{a} h 1 master -\n{b} h 2 slave {a} 5"), BAD_NODES, "line 2: topology, fields of a replica"),
            (format!("{a} h 1 master -\n{a} h 2 master -"), OURS, "got its id twice"),
            (format!("{a} h 1 master -\n{b} h 1 master -"), OURS, "another node is at h:1"),
            (format!("{a} h 1 master - 16384"), BAD_SLOT, "got \"16384\""),
            (format!("{a} h 1 master - 0-16384"), BAD_SLOT, "got \"0-16384\""),
            (format!("{a} h 1 master - 9-9"), BAD_SLOT, "got \"9-9\""),
            (format!("{a} h 1 master - 9-8"), BAD_SLOT, "got \"9-8\""),
            (format!("{a} h 1 master - -1"), BAD_SLOT, "got \"-1\""),
            (format!("{a} h 1 master - 1-2-3"), BAD_SLOT, "got \"1-2-3\""),
            (format!("{a} h 1 master - 0-9 9"), OVERLAPPED, "slot 9 is given away"),
            (format!("{a} h 1 master - 0-9\n{b} h 2 master - 4-5"), OVERLAPPED, "slot 4 is given away"),
            (format!("{a} h 1 master - 0-9 {b} h 2 master -"), NO_NEWLINE, "got a node id"),
            (format!("{a} h\u{e9} 1 master -"), OURS, "host: got"),
            (format!("{a} {} 1 master -", "h".repeat(256)), OURS, "host: got"),
            (nodes, OURS, "nodes: got 1001 or more, expected at most 1000"),
            ("x".repeat(MAX_TEXT + 1), OURS, "bytes, expected at most"),
        ] {
            let (said, message) = refusal(&text);
            assert_eq!(said, kvrocks, "{message}");
            assert!(message.contains(what), "{message}, expected {what}");
        }
        assert!(Topology::read(1, b"\xff").is_err());
        let Err(Refused { kvrocks, .. }) = Topology::read(u64::MAX, text().as_bytes()) else { panic!() };
        assert_eq!(kvrocks, BAD_VERSION);
    }

    /// Slots go to another primary as one, whoever had them, and nothing else changes but the version.
    #[test]
    fn slots_are_assigned() {
        let [a, c] = ['a', 'c'].map(|letter| Node::primary(id(letter), "h", letter as u16));
        let b = Node::replica(id('b'), "h", 2, id('a'));
        let nodes =
            vec![a.clone().with_slots(&[(0, 100), (200, 16383)]), b.clone(), c.clone().with_slots(&[(101, 110)])];
        let topology = Topology::new(7, nodes).unwrap();
        let next = topology.assigned(&id('c'), &[(90, 99), (150, 150), (16383, 16383), (95, 101)]).unwrap();
        let a = a.with_slots(&[(0, 89), (200, 16382)]);
        let c = c.with_slots(&[(90, 110), (150, 150), (16383, 16383)]);
        assert_eq!(next, Topology::new(8, vec![a, b, c]).unwrap());
        for (to, words) in [('b', NO_PRIMARY), ('d', NO_NODE)] {
            assert_eq!(topology.assigned(&id(to), &[(1, 1)]).unwrap_err().kvrocks, words);
        }
    }

    /// A text torn at any byte is refused or is a topology of its own; it never panics.
    #[test]
    fn torn() {
        let text = text();
        let whole = Topology::parse(1, &text).unwrap();
        let mut taken = 0;
        for cut in 0..text.len() {
            if let Ok(topology) = Topology::read(1, &text.as_bytes()[..cut]) {
                taken += 1;
                assert_eq!(Topology::parse(1, &topology.text()).unwrap(), topology);
            }
        }
        assert!(taken > 0 && whole.nodes().len() == 3);
    }
}
