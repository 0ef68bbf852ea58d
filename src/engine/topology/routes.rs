//! Which node has a slot, as a table: asked before each command on keys that comes by a listener in the cluster layout.

use super::Place;
use crate::engine::format::state::{Role, State};
use crate::engine::format::topology::{Node, SLOTS, Topology};

/// The slots of a topology, as one of its nodes sees them.
pub struct Routes {
    /// For each slot the place of its node in `nodes`, and one; 0 for none.
    owners: Vec<u16>,
    nodes: Vec<Target>,
    /// This node's own place.
    own: Option<usize>,
    /// The place of the primary that this node follows.
    primary: Option<usize>,
}

/// Where a client finds a node.
struct Target {
    host: String,
    port: u16,
}

/// Where the keys of a slot are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'a> {
    /// On this node.
    Here,
    /// On the primary that this node follows, at host and port.
    Primary(&'a str, u16),
    /// On another node.
    Elsewhere(&'a str, u16),
    /// Nowhere: no node has the slot.
    Nowhere,
}

impl Routes {
    /// `None` where no topology governs: nothing is another node's then. So it is on a node that was removed and promoted by
    /// hand, which is on its own.
    pub fn of(state: &State) -> Option<Routes> {
        let topology = state.topology()?;
        let place = |node: &Node| topology.nodes().iter().position(|other| other.id == node.id);
        let (own, primary) = match state.place() {
            Place::Free => return None,
            Place::Unlisted if state.goal().role == Role::Primary => return None,
            Place::Unlisted => (None, None),
            Place::Primary(node) => (place(node), None),
            Place::Replica(node, primary) => (place(node), place(primary)),
        };
        let target = |node: &Node| Target { host: node.host.clone(), port: node.port };
        Some(Routes { owners: owners(topology), nodes: topology.nodes().iter().map(target).collect(), own, primary })
    }

    /// Where the keys of a slot are.
    pub fn find(&self, slot: u16) -> Route<'_> {
        let owner = self.owners.get(usize::from(slot)).and_then(|&owner| usize::from(owner).checked_sub(1));
        let Some((owner, target)) = owner.and_then(|owner| Some((owner, self.nodes.get(owner)?))) else {
            return Route::Nowhere;
        };
        if self.own == Some(owner) {
            Route::Here
        } else if self.primary == Some(owner) {
            Route::Primary(&target.host, target.port)
        } else {
            Route::Elsewhere(&target.host, target.port)
        }
    }
}

/// For each slot the place of its node, and one.
fn owners(topology: &Topology) -> Vec<u16> {
    let mut owners = vec![0; usize::from(SLOTS)];
    for (node, place) in topology.nodes().iter().zip(1..) {
        for &(first, last) in &node.slots {
            if let Some(range) = owners.get_mut(usize::from(first)..=usize::from(last)) {
                range.fill(place);
            }
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::format::state::{Governing, Wish};

    fn state(own: &str, role: Role) -> State {
        let id = |letter: &str| letter.repeat(40);
        let nodes = vec![
            Node::primary(id("a"), "host-a", 1).with_slots(&[(0, 0), (16383, 16383)]),
            Node::replica(id("b"), "host-b", 2, id("a")),
            Node::primary(id("c"), "host-c", 3).with_slots(&[(1, 99)]),
        ];
        let topology = Topology::new(1, nodes).unwrap();
        State {
            wish: Wish { role, link: None },
            node_id: Some(id(own)),
            governing: Some(Governing { topology, password: None, tls: None }),
            ..State::of(role, None)
        }
    }

    /// Each slot is found where the topology has it, as the node that asks sees it.
    #[test]
    fn slots_are_found() {
        let (a, c) = (("host-a", 1), ("host-c", 3));
        let elsewhere = |(host, port)| Route::Elsewhere(host, port);
        for (own, first, second) in [
            ("a", Route::Here, elsewhere(c)),
            ("b", Route::Primary(a.0, a.1), elsewhere(c)),
            ("c", elsewhere(a), Route::Here),
            ("d", elsewhere(a), elsewhere(c)),
        ] {
            let routes = Routes::of(&state(own, Role::Detached)).unwrap();
            let found = [0, 16383, 1, 99, 100, 16384].map(|slot| routes.find(slot));
            assert_eq!(found, [first, first, second, second, Route::Nowhere, Route::Nowhere], "{own}");
        }
    }

    /// Who is in no topology, or was removed from it and is a primary by hand, has nothing to route.
    #[test]
    fn nothing_to_route() {
        assert!(Routes::of(&State::of(Role::Primary, None)).is_none());
        assert!(Routes::of(&state("d", Role::Primary)).is_none());
    }
}
