//! CLUSTER, word for word as a Kvrocks (cluster.cc, cmd_cluster.cc): the topology that governs and what runs of it. Nodes are
//! shown in the order of the topology. SHARDS and MYID are Redis'.

use std::fmt::Write;

use super::{Answer, Refusal, bulk, error, integer, is, map};
use crate::engine::clock::now_ms;
use crate::engine::format::key::{Layout, slot};
use crate::engine::format::resp::Reply;
use crate::engine::format::topology::{NO_PRIMARY, Node, range_text};
use crate::engine::replication::feeds::FeedStatus;
use crate::engine::replication::link::LinkState;
use crate::engine::replication::node::TopologyStatus;
use crate::engine::server::connection::Connection;

/// Between the port of a node and that of its cluster bus, which nobody listens on.
const BUS: u32 = 10_000;

pub fn cluster(connection: &mut Connection, args: &[Vec<u8>]) -> Answer {
    match args {
        [_, info] if is(info, "info") => Ok(Reply::Verbatim(Shown::of(connection)?.info())),
        [_, nodes] if is(nodes, "nodes") => Ok(Reply::Verbatim(Shown::of(connection)?.nodes())),
        [_, slots] if is(slots, "slots") => Ok(Shown::of(connection)?.slots()),
        [_, shards] if is(shards, "shards") => Ok(Shown::of(connection)?.shards()),
        [_, replicas, id] if is(replicas, "replicas") => Shown::of(connection)?.replicas(id),
        [_, keyslot, key] if is(keyslot, "keyslot") => {
            status(connection)?;
            Ok(integer(slot(key).into()))
        }
        [_, myid] if is(myid, "myid") => Ok(bulk(status(connection)?.node_id.unwrap_or_default())),
        [_, reset] | [_, reset, _] if is(reset, "reset") => Err(error(
            "CLUSTER RESET is not supported: no topology is ever forgotten; set one without this node, or open it in a new \
             directory",
        )),
        [_, import, _, _] if is(import, "import") => Err(error(
            "CLUSTER IMPORT is not supported: slots do not migrate; replicate the data, then assign its slots with CLUSTERX \
             SETSLOT or SETNODES",
        )),
        _ => Err(error("CLUSTER command, CLUSTER INFO|NODES|SLOTS|KEYSLOT|RESET|REPLICAS")),
    }
}

/// Wish and reality, where there are clusters: in the cluster layout, and where a topology was set.
fn status(connection: &Connection) -> Result<TopologyStatus, Refusal> {
    let node = connection.node()?;
    let status = node.topology()?;
    if status.version.is_none() && node.instance.generation()?.store.layout == Layout::Standalone {
        return Err(error("Cluster mode is not enabled"));
    }
    Ok(status)
}

/// The topology at one moment.
struct Shown {
    version: u64,
    status: TopologyStatus,
    latest: u64,
    feeds: Vec<FeedStatus>,
    tls: bool,
}

impl Shown {
    fn of(connection: &Connection) -> Result<Shown, Refusal> {
        let status = status(connection)?;
        let version = status.version;
        let version = version.ok_or_else(|| Refusal::Text("CLUSTERDOWN The cluster is not initialized".to_owned()))?;
        let node = connection.node()?;
        let latest = node.instance.generation()?.store.db.latest_sequence();
        let tls = connection.server().options.tls.is_some();
        Ok(Shown { version, status, latest, feeds: node.feeds()?, tls })
    }

    fn is_own(&self, node: &Node) -> bool {
        self.status.node_id.as_ref() == Some(&node.id)
    }

    fn replicas_of<'a>(&'a self, primary: &'a Node) -> impl Iterator<Item = &'a Node> {
        self.status.nodes.iter().filter(|node| node.primary.as_ref() == Some(&primary.id))
    }

    fn info(&self) -> String {
        let slots: usize = self.status.nodes.iter().map(Node::slot_count).sum();
        let size = self.status.nodes.iter().filter(|node| !node.slots.is_empty()).count();
        let (known, version) = (self.status.nodes.len(), self.version);
        format!(
            "cluster_state:ok\r\ncluster_slots_assigned:{slots}\r\ncluster_slots_ok:{slots}\r\ncluster_slots_pfail:0\r\n\
             cluster_slots_fail:0\r\ncluster_known_nodes:{known}\r\ncluster_size:{size}\r\n\
             cluster_current_epoch:{version}\r\ncluster_my_epoch:{version}\r\n"
        )
    }

    fn nodes(&self) -> String {
        let now = now_ms();
        self.status.nodes.iter().map(|node| self.line(node, self.is_own(node), now)).collect()
    }

    fn line(&self, node: &Node, own: bool, now: u64) -> String {
        let Node { id, host, port, primary, slots } = node;
        let role = primary.as_ref().map_or("master -".to_owned(), |primary| format!("slave {primary}"));
        let (own, bus) = (if own { "myself," } else { "" }, u32::from(*port) + BUS);
        let (before, version) = (now.saturating_sub(1), self.version);
        let mut line = format!("{id} {host}:{port}@{bus} {own}{role} {before} {now} {version} connected");
        for range in slots {
            let _ = write!(line, " {}", range_text(*range));
        }
        line.push('\n');
        line
    }

    fn replicas(&self, id: &[u8]) -> Answer {
        let node = self.status.nodes.iter().find(|node| node.id.as_bytes() == id);
        let node = node.ok_or_else(|| error("Invalid cluster node id"))?;
        if node.primary.is_some() {
            return Err(error(NO_PRIMARY));
        }
        let now = now_ms();
        Ok(Reply::Verbatim(self.replicas_of(node).map(|replica| self.line(replica, false, now)).collect()))
    }

    fn slots(&self) -> Reply {
        let address = |node: &Node| {
            Reply::Array(vec![bulk(node.host.clone()), Reply::Integer(node.port.into()), bulk(node.id.clone())])
        };
        let mut ranges: Vec<((u16, u16), &Node)> =
            self.status.nodes.iter().flat_map(|node| node.slots.iter().map(move |range| (*range, node))).collect();
        ranges.sort_unstable_by_key(|(range, _)| *range);
        let shown = ranges.into_iter().map(|((first, last), node)| {
            let mut range = vec![Reply::Integer(first.into()), Reply::Integer(last.into()), address(node)];
            range.extend(self.replicas_of(node).map(address));
            Reply::Array(range)
        });
        Reply::Array(shown.collect())
    }

    /// Each primary with its replicas, as Redis 7 gives them.
    fn shards(&self) -> Reply {
        let primaries = self.status.nodes.iter().filter(|node| node.primary.is_none());
        let shown = primaries.map(|primary| {
            let slots = primary.slots.iter().flat_map(|&(first, last)| [first, last]);
            let nodes = std::iter::once(primary).chain(self.replicas_of(primary));
            map([
                ("slots", Reply::Array(slots.map(|slot| Reply::Integer(slot.into())).collect())),
                ("nodes", Reply::Array(nodes.map(|node| self.member(node)).collect())),
            ])
        });
        Reply::Array(shown.collect())
    }

    fn member(&self, node: &Node) -> Reply {
        let (offset, online) = self.progress(node);
        map([
            ("id", bulk(node.id.clone())),
            (if self.tls { "tls-port" } else { "port" }, Reply::Integer(node.port.into())),
            ("ip", bulk(node.host.clone())),
            ("endpoint", bulk(node.host.clone())),
            ("role", bulk(if node.primary.is_none() { "master" } else { "replica" })),
            ("replication-offset", integer(offset)),
            ("health", bulk(if online { "online" } else { "loading" })),
        ])
    }

    /// The sequence that a node has and whether it has its data, as far as this one can know: of itself and of those whom it
    /// feeds.
    fn progress(&self, node: &Node) -> (u64, bool) {
        if self.is_own(node) {
            let link = self.status.actual.as_ref();
            return (self.latest, link.is_none_or(|link| link.state != LinkState::Syncing));
        }
        if node.primary.is_none() || node.primary != self.status.node_id {
            return (0, true);
        }
        // By its node id, and by its address before a topology gave it one.
        let feed = self.feeds.iter().find(|feed| match &feed.node_id {
            Some(id) => *id == node.id,
            None => (feed.host.as_str(), feed.port) == (node.host.as_str(), node.port),
        });
        (feed.map_or(0, |feed| feed.acked.unwrap_or(feed.sent)), feed.is_some())
    }
}
