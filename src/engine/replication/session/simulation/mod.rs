//! Both ends of replication over a model database and a faulty network, by seed.
//!
//! `PUMICE_SEED` is the seed of the first run, drawn where it is not given, and `PUMICE_SEEDS` says how many there are: a failure
//! names those that replay it.

mod link;
mod network;
mod node;
mod served;

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};

use self::link::{Link, restart};
use self::network::Faults;
use self::node::{Mark, Node};
use super::Peer;
use crate::engine::format::fuzz::Random;

/// Who replicates from whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// A Pumice with two replicas, one of which may take its place.
    Siblings,
    /// A Kvrocks, a Pumice behind it, and a Pumice behind that.
    BehindKvrocks,
    /// A Pumice with a Kvrocks and a Pumice as replicas.
    FeedingKvrocks,
}

struct World {
    shape: Shape,
    random: Random,
    now_ms: u64,
    nodes: Vec<Node>,
    links: Vec<Link>,
    primary: usize,
    /// Every state that some primary was in.
    truth: HashSet<Mark>,
    /// Bits were flipped, so that nothing can be said of the data.
    damaged: bool,
}

impl World {
    fn new(seed: u64) -> World {
        let mut random = Random(seed);
        let shape = [Shape::Siblings, Shape::BehindKvrocks, Shape::FeedingKvrocks][random.below(3)];
        let ids = random.below(2) == 0;
        let flavours = match shape {
            Shape::Siblings => [Peer::Pumice; 3],
            Shape::BehindKvrocks => [Peer::Kvrocks, Peer::Pumice, Peer::Pumice],
            Shape::FeedingKvrocks => [Peer::Pumice, Peer::Kvrocks, Peer::Pumice],
        };
        let nodes: Vec<Node> = flavours
            .into_iter()
            .map(|flavour| Node::new(flavour, flavour == Peer::Pumice || ids, &mut random))
            .collect();
        let second = if shape == Shape::BehindKvrocks { 1 } else { 0 };
        let links = vec![Link::new(1, 0, &mut random), Link::new(2, second, &mut random)];
        let truth = HashSet::from([(0, 0)]);
        let mut world = World { shape, random, now_ms: 0, nodes, links, primary: 0, truth, damaged: false };
        world.draw_id(0);
        for _ in 0..world.random.below(20) {
            world.write(0);
        }
        world
    }

    fn draw_id(&mut self, node: usize) {
        let mark = self.nodes[node].draw_id(&mut self.random);
        self.truth.extend(mark);
    }

    fn write(&mut self, node: usize) {
        let mark = self.nodes[node].write(&mut self.random);
        self.truth.insert(mark);
    }

    fn faults(&mut self) -> Faults {
        let random = &mut self.random;
        let mut rate = |one_in: usize| (random.below(3) == 0).then(|| 5 + random.below(one_in));
        let mut faults = Faults {
            cut: rate(100),
            stall: rate(100),
            repeat: rate(100),
            swap: rate(100),
            flip: rate(100).and_then(|_| rate(200)),
            giant: rate(200),
            loading: rate(20),
        };
        if self.shape == Shape::FeedingKvrocks {
            // A Kvrocks believes all that it hears; over a sound connection it hears only what is right.
            faults = Faults { repeat: None, swap: None, flip: None, giant: None, ..faults };
        }
        self.damaged |= faults.flip.is_some();
        faults
    }

    /// Cuts what goes in and out of a node.
    fn cut(&mut self, node: usize) {
        for link in &mut self.links {
            if link.replica == node || link.primary == node {
                link.cut(&mut self.nodes[link.primary], self.now_ms);
            }
        }
    }

    /// Something happens to a node.
    fn event(&mut self) {
        let node = self.random.below(3);
        let primary = node == self.primary;
        match self.random.below(16) {
            // A restart. A primary draws an id, a replica may have lost the end of its log.
            0 => {
                self.cut(node);
                restart(&mut self.nodes[node], &mut self.random);
                if primary {
                    self.draw_id(node);
                } else if self.nodes[node].flavour == Peer::Pumice {
                    let length = self.nodes[node].entries.len().saturating_sub(self.random.below(3));
                    self.nodes[node].truncate(length);
                }
            }
            1 => {
                let node = &mut self.nodes[node];
                node.log_start += self.random.below(node.entries.len() - node.log_start + 1);
            }
            2 => self.cut(node),
            3 => self.fail_over(),
            4 if self.shape == Shape::FeedingKvrocks => self.diverge(),
            _ => {}
        }
    }

    /// Another primary, which may lack the last entries of the former.
    fn fail_over(&mut self) {
        let former = self.primary;
        for node in 0..3 {
            self.cut(node);
        }
        if self.shape == Shape::BehindKvrocks {
            // Its sibling answers at the same address.
            restart(&mut self.nodes[0], &mut self.random);
            let length = self.nodes[0].entries.len().saturating_sub(self.random.below(5));
            self.nodes[0].truncate(length);
            self.nodes[0].checkpoint = None;
            self.draw_id(0);
            for _ in 0..self.random.below(4) {
                self.write(0);
            }
            return;
        }
        for _ in 0..self.random.below(3) {
            self.write(former);
        }
        self.primary = if former == 0 { 2 } else { 0 };
        self.nodes[self.primary].checkpoint = None;
        self.draw_id(self.primary);
        for link in &mut self.links {
            link.primary = self.primary;
            if link.replica == self.primary {
                link.replica = former;
            }
        }
    }

    /// The Kvrocks replica is written to, beyond what it could have been sent.
    fn diverge(&mut self) {
        self.cut(1);
        self.draw_id(1);
        while self.nodes[1].latest() <= self.nodes[self.primary].latest() {
            self.write(1);
        }
    }

    fn step(&mut self, faults: &Faults) {
        self.now_ms += 1 + self.random.below(700) as u64;
        for index in 0..self.links.len() {
            let link = &mut self.links[index];
            let restores = link.restores;
            link.step(self.now_ms, &mut self.nodes, &mut self.random, faults);
            let after = self.nodes[link.replica].mark();
            if !self.damaged {
                let replica = link.replica;
                assert!(self.truth.contains(&after), "{replica} holds at {after:?} what no primary ever held");
            }
            // Who got other data can feed nobody from before it.
            if restores != link.restores {
                let replica = link.replica;
                for other in &mut self.links {
                    if other.primary == replica {
                        other.cut(&mut self.nodes[replica], self.now_ms);
                    }
                }
            }
        }
    }

    fn run(&mut self) {
        let faults = self.faults();
        for _ in 0..self.random.below(200) {
            if self.random.below(2) == 0 {
                self.write(self.primary);
            }
            self.event();
            self.step(&faults);
        }
        if self.damaged {
            return;
        }
        let none = Faults::default();
        let before: Vec<usize> = self.links.iter().map(|link| link.full_syncs).collect();
        for step in 0..1500 {
            if step < 20 && self.random.below(2) == 0 {
                self.write(self.primary);
            }
            self.step(&none);
            // A loop of full syncs would come around in that time.
            if step > 300
                && self.links.iter().all(|link| self.nodes[link.replica].mark() == self.nodes[self.primary].mark())
            {
                break;
            }
        }
        for (link, before) in self.links.iter().zip(before) {
            let (replica, primary) = (self.nodes[link.replica].mark(), self.nodes[self.primary].mark());
            assert_eq!(
                replica, primary,
                "{:?}: node {} has not come to where its primary is",
                self.shape, link.replica
            );
            let more = link.full_syncs - before;
            assert!(more <= 3, "{:?}: node {} needed {more} full syncs over a sound network", self.shape, link.replica);
        }
    }
}

/// Names the run when it fails.
struct Run(u64);

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("replay with PUMICE_SEED={} PUMICE_SEEDS=1", self.0);
        }
    }
}

/// Whatever the network and the nodes do: a replica only ever holds what some primary held, entry by entry, and when
/// the faults end it soon holds what its primary holds.
#[test]
fn any_faults() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().expect("a number"));
    let first = number("PUMICE_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    let runs = number("PUMICE_SEEDS").unwrap_or(3_000);
    let (mut applied, mut full_syncs) = (0, 0);
    for seed in 0..runs {
        let run = Run(first.wrapping_add(seed));
        let mut world = World::new(run.0);
        world.run();
        applied += world.links.iter().map(|link| link.applied).sum::<usize>();
        full_syncs += world.links.iter().map(|link| link.full_syncs).sum::<usize>();
    }
    println!("{runs} runs: {applied} entries by feed, {full_syncs} full syncs");
    assert!(runs < 100 || (applied > 1000 && full_syncs > 100), "nothing happened");
}
