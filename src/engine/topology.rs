//! What a node is to do: role and link as a function of topology, node id and what was asked for by hand, and how each order
//! changes that. Pure: a state goes in, the next one comes out.

pub mod routes;

use core::net::IpAddr;
use std::collections::HashMap;

use super::error::{Error, ErrorKind, Result};
use super::format::state::{DesiredLink, Epoch, Governing, Role, State, TlsClient, Wish};
use super::format::topology::{BAD_VERSION, Node, Refused, Topology, check_node_id};

/// What a topology says of this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// There is none, or this node does not know who it is.
    Free,
    /// It does not list this node.
    Unlisted,
    /// It is a primary.
    Primary(&'a Node),
    /// It is a replica of that primary.
    Replica(&'a Node, &'a Node),
}

/// The data of a node at one moment, as far as the rules need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dataset {
    /// The current replication id.
    pub id: String,
    /// The first one that it ever had.
    pub origin: String,
}

/// A topology to be set.
#[derive(Clone)]
pub struct Order {
    pub topology: Topology,
    pub node_id: String,
    /// What the other nodes want to hear; `None` for what they wanted before.
    pub password: Option<String>,
    pub tls: Option<TlsClient>,
    /// Whether a lower or an equal version is taken too.
    pub force: bool,
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This is the next state.
    Taken(Box<State>),
    /// It says what governs already.
    Same,
    /// It has the version that governs, and says something else: nothing was done.
    Conflict(String),
}

impl State {
    pub fn topology(&self) -> Option<&Topology> {
        self.governing.as_ref().map(|governing| &governing.topology)
    }

    /// What the topology says of this node.
    pub fn place(&self) -> Place<'_> {
        let (Some(topology), Some(id)) = (self.topology(), &self.node_id) else { return Place::Free };
        let Some(node) = topology.node(id) else { return Place::Unlisted };
        match node.primary.as_deref().map(|primary| topology.node(primary)) {
            None => Place::Primary(node),
            Some(Some(primary)) => Place::Replica(node, primary),
            // Refused when a topology is made.
            Some(None) => Place::Unlisted,
        }
    }

    /// The role and the link that this node is meant to have: the only place where they are decided.
    pub fn goal(&self) -> Wish {
        match self.place() {
            Place::Free | Place::Unlisted => self.wish.clone(),
            Place::Primary(_) => Wish { role: Role::Primary, link: None },
            Place::Replica(node, primary) => {
                let governing = self.governing.as_ref();
                let link = DesiredLink {
                    host: primary.host.clone(),
                    port: primary.port,
                    password: governing.and_then(|governing| governing.password.clone()),
                    announce_port: node.port,
                    tls: governing.and_then(|governing| governing.tls.clone()),
                };
                Wish { role: Role::Replica, link: Some(link) }
            }
        }
    }

    /// Why a node that has the role of primary takes no writes, or a detached one is detached.
    pub fn why_read_only(&self) -> Option<String> {
        if self.goal().role == Role::Primary {
            let ended_by = self.ended_by.as_ref()?;
            return Some(format!(
                "a primary of epoch {ended_by} took over from it, whose epoch is {}; follow that one, set a topology, or promote() it again",
                self.epoch
            ));
        }
        if self.place() != Place::Unlisted || self.goal().role != Role::Detached {
            return None;
        }
        let version = self.topology().map_or(0, Topology::version);
        let id = self.node_id.as_deref().unwrap_or_default();
        Some(format!("topology version {version} does not list it (node {id}); promote() it, or list it again"))
    }

    /// Refuses an order by hand while a topology lists this node.
    pub fn check_free(&self, what: &str) -> Result<()> {
        let role = match self.place() {
            Place::Free | Place::Unlisted => return Ok(()),
            Place::Primary(_) => "primary",
            Place::Replica(..) => "replica",
        };
        let version = self.topology().map_or(0, Topology::version);
        Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("{what}: topology version {version} governs this node, as a {role}; set_topology() a later one"),
        ))
    }

    /// The highest number of an epoch that this node knows of.
    fn known(&self) -> u64 {
        let ended_by = self.ended_by.as_ref().map_or(0, |epoch| epoch.number);
        self.highest.max(self.epoch.number).max(ended_by).max(self.topology().map_or(0, Topology::version))
    }

    /// The same without the role of primary. One by hand gives up its claim with it: what it wrote does not count against a
    /// primary of a lower epoch that it is to follow now. One of a topology has seen its own epoch, as every other node.
    fn stepped_down(&self, dataset: &Dataset) -> State {
        let mut state = State { highest: self.known(), ended_by: None, ..self.clone() };
        match (self.goal().role, self.place()) {
            (Role::Primary, Place::Primary(_)) => state.origin.clone_from(&dataset.origin),
            (Role::Primary, _) => (state.epoch, state.origin) = (Epoch::default(), String::new()),
            _ => {}
        }
        state
    }

    /// A primary that is opened and has no epoch yet takes one: it writes under `id`.
    pub fn opened(&self, id: &str) -> Option<State> {
        let lacks = self.goal().role == Role::Primary && self.epoch.id.is_empty();
        lacks.then(|| State { epoch: Epoch { number: self.known().max(1), id: id.to_owned() }, ..self.clone() })
    }

    /// Follows somebody, or nobody, by hand.
    pub fn wished(&self, what: &str, wish: Wish, dataset: &Dataset) -> Result<State> {
        self.check_free(what)?;
        Ok(State { wish, ..self.stepped_down(dataset) })
    }

    /// Becomes a primary by hand, which will write under `id`.
    pub fn promoted(&self, id: &str) -> Result<State> {
        self.check_free("promote")?;
        let epoch = Epoch { number: self.known().saturating_add(1), id: id.to_owned() };
        Ok(State { wish: Wish { role: Role::Primary, link: None }, epoch, ended_by: None, ..self.clone() })
    }

    /// Takes a topology, or says why not. A node that becomes a primary will write under `id`.
    pub fn ordered(&self, order: &Order, dataset: &Dataset, id: &str) -> std::result::Result<Outcome, Refused> {
        check_node_id(&order.node_id)?;
        let version = order.topology.version();
        if let Some(current) = self.topology().filter(|_| !order.force) {
            if version < current.version() {
                let got = format!("topology, version: got {version}, expected more than {}", current.version());
                let error = Error::new(ErrorKind::InvalidArgument, format!("{got}; force it if it must be"));
                return Err(Refused { kvrocks: BAD_VERSION, error });
            }
            if version == current.version() {
                if !order.topology.says_the_same(current) {
                    return Ok(Outcome::Conflict(format!(
                        "topology version {version} was set again with other nodes: {} governs, {} was refused; \
                         set a later version",
                        summary(current),
                        summary(&order.topology)
                    )));
                }
                let governing = self.governing.as_ref();
                let password = order.password.is_none() || self.password() == order.password.as_deref();
                let tls = order.tls.is_none() || governing.is_some_and(|governing| governing.tls == order.tls);
                if password && tls && self.node_id.as_deref() == Some(&order.node_id) {
                    return Ok(Outcome::Same);
                }
            }
        }
        let password = order.password.clone().or_else(|| self.password().map(str::to_owned));
        let tls = order.tls.clone().or_else(|| self.governing.as_ref().and_then(|governing| governing.tls.clone()));
        let governing = Some(Governing { topology: order.topology.clone(), password, tls });
        Ok(self.governed(governing, order.node_id.clone(), order.force, dataset, id))
    }

    /// Takes another id for itself, in the topology that is there.
    pub fn named(&self, node_id: &str, dataset: &Dataset, id: &str) -> std::result::Result<Outcome, Refused> {
        check_node_id(node_id)?;
        if self.node_id.as_deref() == Some(node_id) {
            return Ok(Outcome::Same);
        }
        if self.topology().is_some_and(|topology| topology.node(node_id).is_none()) {
            let text = format!("node id {node_id}: the topology does not list it; set one that does first");
            return Err(Refused { kvrocks: "", error: Error::new(ErrorKind::InvalidArgument, text) });
        }
        Ok(self.governed(self.governing.clone(), node_id.to_owned(), false, dataset, id))
    }

    fn governed(
        &self,
        governing: Option<Governing>,
        node_id: String,
        force: bool,
        dataset: &Dataset,
        id: &str,
    ) -> Outcome {
        let was = self.goal().role;
        // Who was removed, and is listed no more, is on its own and read-only.
        let removed = !matches!(self.place(), Place::Unlisted);
        let mut next = State { governing, node_id: Some(node_id), ..self.clone() };
        if next.governing.is_some() && (removed || next.place() != Place::Unlisted) {
            next.wish = Wish { role: Role::Detached, link: None };
        }
        match next.place() {
            Place::Primary(_) => {
                let number = next.topology().map_or(0, Topology::version);
                let ended = self.ended_by.is_some();
                // Who goes on as a primary keeps its id: replicas may have seen its claim under a higher number.
                let goes_on = was == Role::Primary && !ended && !self.epoch.id.is_empty();
                next.epoch = Epoch { number, id: if goes_on { self.epoch.id.clone() } else { id.to_owned() } };
                next.ended_by = self.ended_by.clone().filter(|ended_by| !force && *ended_by > next.epoch);
            }
            // A primary by hand, as before.
            _ if next.goal().role == Role::Primary => {}
            _ => {
                let State { governing, node_id, wish, .. } = next;
                next = State { governing, node_id, wish, ..self.stepped_down(dataset) };
                if force {
                    // What was seen under versions that are taken back does not count.
                    (next.epoch, next.origin) = (Epoch::default(), String::new());
                }
            }
        }
        Outcome::Taken(Box::new(next))
    }

    fn password(&self) -> Option<&str> {
        self.governing.as_ref()?.password.as_deref()
    }

    /// Another node told of an epoch of the dataset that began with `origin`. The next state, where that changes it: a
    /// primary with a lower epoch of the same dataset stops.
    pub fn learned(&self, epoch: &Epoch, origin: &str, dataset: &Dataset) -> Option<State> {
        if origin.is_empty() || epoch.id.is_empty() {
            return None;
        }
        if self.goal().role == Role::Primary {
            let ends = origin == dataset.origin && self.epoch.is_ended_by(epoch);
            let news = ends && self.ended_by.as_ref() < Some(epoch);
            return news.then(|| State { ended_by: Some(epoch.clone()), ..self.clone() });
        }
        // The latest that a primary says of itself counts, though it be a lower number.
        let own = epoch.id == self.epoch.id && *epoch != self.epoch;
        let news = origin != self.origin || own || *epoch > self.epoch;
        let highest = self.known();
        news.then(|| State { epoch: epoch.clone(), origin: origin.to_owned(), highest, ..self.clone() })
    }

    /// Whether a primary of that epoch was overtaken by one that this replica has seen.
    pub fn is_stale(&self, epoch: &Epoch, origin: &str) -> bool {
        !origin.is_empty() && origin == self.origin && epoch.is_ended_by(&self.epoch)
    }
}

/// A topology in a few words.
fn summary(topology: &Topology) -> String {
    const MOST: usize = 3;
    let mut text = format!("{} nodes (", topology.nodes().len());
    for (n, node) in topology.nodes().iter().take(MOST).enumerate() {
        let role = if node.primary.is_none() { "master" } else { "slave" };
        let id = node.id.get(..8).unwrap_or_default();
        text.push_str(&format!("{}{id} {}:{} {role}", if n == 0 { "" } else { ", " }, node.host, node.port));
    }
    text.push_str(if topology.nodes().len() > MOST { ", ...)" } else { ")" });
    text
}

/// Whom a primary that a topology governs may feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    version: u64,
    own: String,
    nodes: Vec<Member>,
    /// The addresses of names that were looked up; of one that was not found, none.
    pub names: HashMap<String, Vec<IpAddr>>,
}

/// A node as a primary knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: String,
    /// As the topology has it.
    pub host: String,
    pub port: u16,
    primary: Option<String>,
}

/// Why a replica is not fed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfed {
    /// The topology does not have it as a replica of this node.
    Unlisted(String),
    /// These names must be looked up first.
    Unresolved(Vec<String>),
    /// A name was not found, so that it is not known yet.
    Unknown(String),
}

impl Members {
    /// `None` where no topology governs.
    pub fn of(state: &State) -> Option<Members> {
        if let Place::Free = state.place() {
            return None;
        }
        // Who is a primary by hand feeds whom it likes.
        if state.place() == Place::Unlisted && state.goal().role == Role::Primary {
            return None;
        }
        let (topology, own) = (state.topology()?, state.node_id.clone()?);
        let member = |node: &Node| Member {
            id: node.id.clone(),
            host: node.host.clone(),
            port: node.port,
            primary: node.primary.clone(),
        };
        let nodes = topology.nodes().iter().map(member).collect();
        Some(Members { version: topology.version(), own, nodes, names: HashMap::new() })
    }

    /// Whether any replica of this node is none any more, or is elsewhere.
    pub fn loses_any_in(&self, now: &Members) -> bool {
        let ours = |members: &Members, node: &Member| node.primary.as_ref() == Some(&members.own);
        let keeps = |node: &Member| now.nodes.iter().any(|other| other == node && ours(now, other));
        self.nodes.iter().any(|node| ours(self, node) && !keeps(node))
    }

    /// The node that a replica is, when it is to be fed: a Pumice is known by its node id, another by the address that it
    /// announced.
    pub fn admit(&self, node_id: Option<&str>, host: &str, port: u16) -> std::result::Result<&Member, Unfed> {
        let who = node_id.map_or_else(|| format!("{host}:{port}"), |id| format!("node {id}"));
        let version = self.version;
        let found = match node_id {
            Some(id) => self.nodes.iter().find(|node| node.id == id),
            None => self.find(host, |node| node.port == port)?,
        };
        let Some(node) = found else {
            return Err(Unfed::Unlisted(format!("topology version {version} does not list {who}")));
        };
        match node.primary.as_deref() {
            Some(primary) if primary == self.own => Ok(node),
            Some(primary) => Err(Unfed::Unlisted(format!(
                "topology version {version} has {who} as a replica of {primary}, not of this"
            ))),
            None => Err(Unfed::Unlisted(format!("topology version {version} has {who} as a primary"))),
        }
    }

    /// A replica at that address, for peers that ask for files and say nothing else of themselves.
    pub fn admit_address(&self, address: &str) -> std::result::Result<&Member, Unfed> {
        let found = self.find(address, |node| node.primary.as_ref() == Some(&self.own))?;
        let version = self.version;
        found.ok_or_else(|| {
            Unfed::Unlisted(format!("topology version {version} lists no replica of this node at {address}"))
        })
    }

    /// The first node of that kind at a host. As the topology has it, so that no name is looked up that is the same; else by
    /// what both stand for.
    fn find(&self, host: &str, of_kind: impl Fn(&Member) -> bool) -> std::result::Result<Option<&Member>, Unfed> {
        let mut nodes = self.nodes.iter().filter(|node| of_kind(node));
        if let Some(node) = nodes.clone().find(|node| node.host == host) {
            return Ok(Some(node));
        }
        let hosts: Vec<&str> = nodes.clone().map(|node| node.host.as_str()).collect();
        let asked = if hosts.is_empty() { None } else { Some(host) };
        let names = || hosts.iter().copied().chain(asked).filter(|name| name.parse::<IpAddr>().is_err());
        let unresolved: Vec<String> =
            names().filter(|&name| !self.names.contains_key(name)).map(str::to_owned).collect();
        if !unresolved.is_empty() {
            return Err(Unfed::Unresolved(unresolved));
        }
        let known = self.addresses(host);
        if let Some(node) = nodes.find(|node| self.addresses(&node.host).iter().any(|address| known.contains(address)))
        {
            return Ok(Some(node));
        }
        match names().find(|&name| self.addresses(name).is_empty()) {
            Some(name) => Err(Unfed::Unknown(format!("{name} is not found, so that {host} is not known yet"))),
            None => Ok(None),
        }
    }

    fn addresses(&self, host: &str) -> Vec<IpAddr> {
        let found = match host.parse::<IpAddr>() {
            Ok(address) => &[address][..],
            Err(_) => self.names.get(host).map_or(&[][..], Vec::as_slice),
        };
        found.iter().map(IpAddr::to_canonical).collect()
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
