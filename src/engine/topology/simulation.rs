//! Nodes under random topologies, partitions, crashes and restarts, by seed. Data is a list of entries; who may write, follow
//! and be fed is decided by the rules alone. They take no time, so that a clock that jumps changes only when a node tries again.
//!
//! `PUMICE_SEED` is the seed of the first run, drawn where it is not given, and `PUMICE_SEEDS` says how many there are: a failure
//! names those that replay it.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};

use super::*;
use crate::engine::format::fuzz::Random;
use crate::engine::format::key::Layout;
use crate::engine::format::side::{History, PastId};

/// One entry: a write, or a replication id.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Write(u64),
    Id(String),
}

/// A node: what is on its disk, and what runs.
struct Simulated {
    name: String,
    state: State,
    log: Vec<Entry>,
    history: History,
    running: bool,
    /// The node that the running link goes to, and the wish for which it was made.
    link: Option<(usize, Wish)>,
    /// How many steps it waits before it tries again.
    wait: usize,
}

impl Simulated {
    fn new(number: usize) -> Simulated {
        let name = char::from(b'a' + number as u8).to_string().repeat(40);
        let history = History { layout: Layout::Standalone, current: String::new(), past: Vec::<PastId>::new() };
        let state = State::of(Role::Detached, None);
        Simulated { name, state, log: Vec::new(), history, running: true, link: None, wait: 0 }
    }

    fn dataset(&self) -> Dataset {
        Dataset { id: self.history.current.clone(), origin: self.history.origin().to_owned() }
    }

    fn push(&mut self, entry: Entry) {
        if let Entry::Id(id) = &entry {
            self.history.change(id, self.log.len() as u64);
        }
        self.log.push(entry);
    }

    fn may_write(&self) -> bool {
        self.running && self.state.goal().role == Role::Primary && self.state.why_read_only().is_none()
    }

    fn members(&self) -> Option<Members> {
        Members::of(&self.state)
    }
}

struct World {
    random: Random,
    nodes: Vec<Simulated>,
    /// Which nodes reach each other: those of one side.
    side: Vec<usize>,
    topologies: Vec<Topology>,
    /// Who has written under a number.
    writers: BTreeMap<u64, String>,
    /// Whether somebody was promoted by hand, so that numbers are no longer given out by one hand.
    by_hand: bool,
    /// Whether all have one dataset, though each may know it since another id.
    one_dataset: bool,
    writes: u64,
    ids: u64,
    seen: HashMap<&'static str, u64>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random(seed);
        let count = 3 + random.below(5);
        let nodes = (0..count).map(Simulated::new).collect();
        World {
            random,
            nodes,
            side: vec![0; count],
            topologies: Vec::new(),
            writers: BTreeMap::new(),
            by_hand: false,
            one_dataset: false,
            writes: 0,
            ids: 0,
            seen: HashMap::new(),
        }
    }

    /// All have taken the dataset of a Kvrocks, each at another moment, so that each knows it since another of its ids. Then
    /// the first topology makes one of them the primary, and all follow it.
    fn full_synced(&mut self) {
        let ids = [(); 3].map(|()| self.fresh_id());
        for n in 0..self.nodes.len() {
            let since = self.random.below(ids.len());
            let node = &mut self.nodes[n];
            for (k, id) in ids.iter().enumerate() {
                node.push(Entry::Id(id.clone()));
                node.push(Entry::Write(0));
                if k == since {
                    node.history.past.clear();
                }
            }
        }
        self.issue(1, true);
        (0..self.nodes.len()).for_each(|n| self.deliver(n, 0, false));
        for _ in 0..50 {
            (0..self.nodes.len()).for_each(|n| self.drive(n));
        }
        self.one_dataset = true;
    }

    fn note(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    fn fresh_id(&mut self) -> String {
        self.ids += 1;
        // Drawn, so that no order of ids is favoured.
        format!("{:08X}{:08}", self.random.next() as u32, self.ids)
    }

    /// A topology with one primary, or without some of the nodes, and a version that was never issued.
    fn issue(&mut self, version: u64, whole: bool) {
        let mut listed: Vec<usize> = (0..self.nodes.len()).filter(|_| whole || self.random.below(4) > 0).collect();
        if listed.is_empty() {
            listed.push(self.random.below(self.nodes.len()));
        }
        let primary = listed[self.random.below(listed.len())];
        let nodes = listed.into_iter().map(|n| {
            let (id, host, port) = (self.nodes[n].name.clone(), format!("host-{n}"), n as u16 + 1);
            if n == primary {
                Node::primary(id, host, port)
            } else {
                Node::replica(id, host, port, self.nodes[primary].name.clone())
            }
        });
        let topology = Topology::new(version, nodes.collect()).unwrap();
        self.topologies.push(topology);
    }

    /// Tells a node a topology. It may be killed behind the write of its state.
    fn deliver(&mut self, n: usize, which: usize, killed: bool) {
        let id = self.fresh_id();
        let node = &mut self.nodes[n];
        if !node.running {
            return;
        }
        let topology = self.topologies[which].clone();
        let order = Order { topology, node_id: node.name.clone(), password: None, tls: None, force: false };
        let wrote = node.may_write();
        match node.state.ordered(&order, &node.dataset(), &id) {
            Ok(Outcome::Taken(state)) => {
                node.state = *state;
                if killed {
                    node.running = false;
                    node.link = None;
                    self.realize(n);
                    return self.note("killed while it takes a topology");
                }
                self.begins(n, wrote, id);
                self.note("topology taken");
            }
            Ok(_) => {}
            Err(_) => self.note("lower version refused"),
        }
        self.realize(n);
    }

    /// A node that has become a primary writes its id first.
    fn begins(&mut self, n: usize, wrote: bool, id: String) {
        let node = &mut self.nodes[n];
        if node.may_write() && !wrote {
            node.push(Entry::Id(id));
            self.wrote(n);
        }
    }

    /// Brings link and feeds of a node in line with its state, as the engine does before it answers.
    fn realize(&mut self, n: usize) {
        let goal = self.nodes[n].state.goal();
        if self.nodes[n].link.as_ref().is_some_and(|(_, wish)| *wish != goal) {
            self.nodes[n].link = None;
            self.nodes[n].wait = 0;
        }
        let ended = self.nodes[n].state.ended_by.is_some() || !self.nodes[n].running;
        let members = self.nodes[n].members();
        for other in 0..self.nodes.len() {
            let name = self.nodes[other].name.clone();
            let refused = members.as_ref().is_some_and(|members| members.admit(Some(&name), "", 0).is_err());
            if self.nodes[other].link.as_ref().is_some_and(|(to, _)| *to == n) && (ended || refused) {
                self.nodes[other].link = None;
                self.note("feed dropped");
            }
        }
    }

    fn restart(&mut self, n: usize) {
        let id = self.fresh_id();
        let node = &mut self.nodes[n];
        node.running = true;
        node.wait = 0;
        if node.state.goal().role == Role::Primary && node.state.ended_by.is_none() {
            node.state = node.state.opened(&id).unwrap_or_else(|| node.state.clone());
            node.push(Entry::Id(id));
            self.wrote(n);
        }
    }

    fn kill(&mut self, n: usize) {
        self.nodes[n].running = false;
        self.nodes[n].link = None;
        self.realize(n);
    }

    fn write(&mut self, n: usize) {
        self.writes += 1;
        let write = Entry::Write(self.writes);
        self.nodes[n].push(write);
        self.wrote(n);
        self.note("write");
    }

    /// Nobody else may ever write under the number of an epoch.
    fn wrote(&mut self, n: usize) {
        let node = &self.nodes[n];
        let number = node.state.epoch.number;
        assert!(number > 0, "{} writes under no epoch", node.name);
        let writer = self.writers.entry(number).or_insert_with(|| node.name.clone());
        assert!(self.by_hand || *writer == node.name, "{writer} and {} both write under {number}", node.name);
    }

    fn reaches(&self, a: usize, b: usize) -> bool {
        self.nodes[a].running && self.nodes[b].running && self.side[a] == self.side[b]
    }

    /// A node drives its link: it connects, or takes some entries.
    fn drive(&mut self, n: usize) {
        let goal = self.nodes[n].state.goal();
        let Some(link) = goal.link.clone().filter(|_| self.nodes[n].running) else {
            assert_eq!(self.nodes[n].link, None, "a link that nobody wishes");
            return;
        };
        let primary = usize::from(link.port) - 1;
        if let Some((to, wish)) = self.nodes[n].link.clone() {
            assert_eq!((to, &wish), (primary, &goal), "the running link is the desired one");
            if self.reaches(n, primary) {
                self.feed(primary, n)
            } else {
                self.nodes[n].link = None
            }
            return;
        }
        if self.nodes[n].wait > 0 {
            self.nodes[n].wait -= 1;
            return;
        }
        self.nodes[n].wait = self.random.below(4);
        if self.reaches(n, primary) {
            self.connect(n, primary, goal);
        }
    }

    /// The handshake: epochs are told both ways, then the primary decides whether, and the histories from where.
    fn connect(&mut self, n: usize, primary: usize, goal: Wish) {
        let said = Some((self.nodes[n].state.epoch.clone(), self.nodes[n].state.origin.clone()));
        let host = &self.nodes[primary];
        let (epoch, origin) = (host.state.epoch.clone(), host.history.origin().to_owned());
        if let Some((epoch, origin)) = said
            && host.state.goal().role == Role::Primary
            && let Some(state) = host.state.learned(&epoch, &origin, &host.dataset())
        {
            self.nodes[primary].state = state;
            self.realize(primary);
            self.note("primary ended");
        }
        let replica = &self.nodes[n];
        if !origin.is_empty() && replica.state.is_stale(&epoch, &origin) {
            return self.note("stale primary refused");
        }
        let host = &self.nodes[primary];
        if host.state.ended_by.is_some() {
            return self.note("ended primary");
        }
        if host.members().is_some_and(|members| members.admit(Some(&replica.name), "", 0).is_err()) {
            return self.note("not listed");
        }
        // A node by hand feeds whom it likes, but one that was told nothing is nobody's primary.
        if host.state.goal().role != Role::Primary {
            return self.note("no primary");
        }
        let seen = &replica.state.epoch;
        assert!(!self.one_dataset || epoch >= *seen, "{} goes back from {seen} to {epoch}", replica.name);
        let position = replica.log.len() as u64;
        let continues = position == 0
            || (position <= host.log.len() as u64 && host.history.contains(&replica.history.current, position));
        if continues {
            assert!(host.log.starts_with(&replica.log), "a history that is no prefix was continued");
        } else {
            let (log, history) = (host.log.clone(), host.history.clone());
            (self.nodes[n].log, self.nodes[n].history) = (log, history);
            self.note("full sync");
        }
        self.nodes[n].history.begin_with(&origin);
        let dataset = self.nodes[n].dataset();
        if let Some(state) = self.nodes[n].state.learned(&epoch, &origin, &dataset) {
            self.nodes[n].state = state;
        }
        self.nodes[n].link = Some((primary, goal));
        self.note("linked");
    }

    fn feed(&mut self, primary: usize, n: usize) {
        let name = self.nodes[n].name.clone();
        let (own, members) = (&self.nodes[primary], self.nodes[primary].members());
        assert!(own.state.ended_by.is_none(), "a primary that was ended feeds");
        if let Some(unfed) = members.and_then(|members| members.admit(Some(&name), "", 0).err()) {
            panic!("a node is fed although it is {unfed:?}");
        }
        // A heartbeat tells under which epoch the primary goes on.
        let (epoch, origin) = (own.state.epoch.clone(), own.history.origin().to_owned());
        let replica = &self.nodes[n];
        if let Some(state) = replica.state.learned(&epoch, &origin, &replica.dataset()) {
            self.nodes[n].state = state;
        }
        let from = self.nodes[n].log.len();
        let upto = self.nodes[primary].log.len().min(from + 1 + self.random.below(5));
        let sent: Vec<Entry> = self.nodes[primary].log[from..upto].to_vec();
        sent.into_iter().for_each(|entry| self.nodes[n].push(entry));
    }

    fn step(&mut self) {
        let n = self.random.below(self.nodes.len());
        match self.random.below(24) {
            0 => {
                let version = self.topologies.last().map_or(1, |last| last.version() + 1 + self.random.below(2) as u64);
                self.issue(version, false);
            }
            1..4 if !self.topologies.is_empty() => {
                // Late ones and old ones too.
                let which = self.topologies.len() - 1 - self.random.below(self.topologies.len().min(3));
                let killed = self.random.below(6) == 0;
                self.deliver(n, which, killed);
            }
            4 => self.kill(n),
            5..7 if !self.nodes[n].running => self.restart(n),
            7 => {
                let sides = 1 + self.random.below(3);
                self.side = (0..self.nodes.len()).map(|_| self.random.below(sides)).collect();
            }
            8 => self.nodes[n].link = None,
            9 if self.by_hand && self.nodes[n].running && self.random.below(3) == 0 => {
                let id = self.fresh_id();
                let wrote = self.nodes[n].may_write();
                if let Ok(state) = self.nodes[n].state.promoted(&id) {
                    self.nodes[n].state = state;
                    self.begins(n, wrote, id);
                    self.realize(n);
                    self.note("promoted by hand");
                }
            }
            10..14 if self.nodes[n].may_write() => self.write(n),
            // A clock that jumps wakes it early, or late.
            14 => self.nodes[n].wait = self.random.below(50),
            _ => self.drive(n),
        }
        for (n, node) in self.nodes.iter().enumerate() {
            if let Some((to, wish)) = &node.link {
                assert!(*wish == node.state.goal() && node.running && *to != n, "{} has a link of before", node.name);
            }
        }
    }

    /// The faults stop, and everybody hears of a last topology: within a bounded number of steps all are what it says.
    fn settle(&mut self) {
        self.side = vec![0; self.nodes.len()];
        for n in 0..self.nodes.len() {
            if !self.nodes[n].running {
                self.restart(n);
            }
        }
        let highest = self.nodes.iter().map(|node| node.state.known()).max().unwrap_or(0);
        let whole = self.random.below(2) == 0;
        let version = self.topologies.last().map_or(1, Topology::version).max(highest) + 1;
        self.issue(version, whole);
        let last = self.topologies.len() - 1;
        for n in 0..self.nodes.len() {
            self.deliver(n, last, false);
        }
        let topology = self.topologies[last].clone();
        let longest = self.nodes.iter().map(|node| node.log.len()).max().unwrap_or(0);
        for _ in 0..60 + longest {
            for n in 0..self.nodes.len() {
                self.drive(n);
            }
        }
        let primary = topology.nodes().iter().position(|node| node.primary.is_none()).unwrap();
        let primary = usize::from(topology.nodes()[primary].port) - 1;
        assert!(self.nodes[primary].may_write(), "the primary of the last topology writes");
        self.write(primary);
        for _ in 0..2 {
            (0..self.nodes.len()).for_each(|n| self.drive(n));
        }
        for (n, node) in self.nodes.iter().enumerate() {
            match topology.node(&node.name) {
                None => {
                    let by_hand = self.by_hand && node.state.goal().role == Role::Primary;
                    assert!(by_hand || node.state.goal().role == Role::Detached, "{} is not listed", node.name);
                    assert_eq!(node.link, None);
                }
                Some(_) if n == primary => {}
                Some(_) => {
                    assert_eq!(node.state.goal().role, Role::Replica);
                    assert_eq!(node.link.as_ref().map(|(to, _)| *to), Some(primary), "{} has converged", node.name);
                    assert_eq!(node.log, self.nodes[primary].log, "{} has everything", node.name);
                }
            }
        }
    }
}

struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with PUMICE_SEED={} PUMICE_SEEDS=1", self.0);
        }
    }
}

/// With each version issued once no two nodes write under one number, a node that a primary knows to be removed is never fed, the
/// running link is the desired one at every step, a history that is no prefix is never continued, who has followed one primary
/// with others never goes back to a lower epoch of it or of them, and when the faults stop all converge to the last topology
/// within a bounded number of steps.
#[test]
fn nodes_converge() {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    let first = number("PUMICE_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let runs = number("PUMICE_SEEDS").unwrap_or(20_000);
    let mut seen: HashMap<&'static str, u64> = HashMap::new();
    for run in 0..runs {
        let seed = first.wrapping_add(run);
        let replay = Replay(seed);
        let mut world = World::new(seed);
        world.by_hand = world.random.below(4) == 0;
        if world.random.below(3) == 0 {
            world.full_synced();
        }
        for _ in 0..100 + world.random.below(300) {
            world.step();
        }
        world.settle();
        world.seen.iter().for_each(|(what, times)| *seen.entry(what).or_default() += times);
        drop(replay);
    }
    if runs > 1_000 {
        for what in [
            "topology taken",
            "killed while it takes a topology",
            "lower version refused",
            "feed dropped",
            "write",
            "linked",
            "full sync",
            "not listed",
            "stale primary refused",
            "primary ended",
            "promoted by hand",
        ] {
            assert!(seen.contains_key(what), "{what} was not seen");
        }
    }
}
