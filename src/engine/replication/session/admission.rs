//! Which replicas may continue by a bare sequence. A Kvrocks without ids names nothing else, and a sequence proves
//! nothing about the entries before it. What this process itself has sent to an address does.

use std::collections::HashMap;

/// Where a replica says that it can be reached: the address and the port.
pub type Address = (String, u16);

/// More replicas than one primary feeds. Beyond it the oldest are forgotten, and full-sync once more.
const MAX_ADDRESSES: usize = 1024;

/// What is known of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It was told to full-sync.
    Refused,
    /// It got the list of a checkpoint up to this sequence.
    Listed(u64),
    /// It got the files as well, so that this sequence is where it is when it comes back.
    Synced(u64),
    /// It is being fed.
    Fed,
    /// It was fed up to this sequence. Beyond it, entries would be its own.
    Ended(u64),
}

struct Known {
    standing: Standing,
    /// The address of the socket from which it was refused.
    peer_ip: String,
    since: u64,
}

/// The addresses that were fed or full-synced under the current replication id.
#[derive(Default)]
pub struct Admissions {
    id: String,
    known: HashMap<Address, Known>,
    changes: u64,
}

impl Admissions {
    /// Forgets all addresses when the id is another than before.
    pub fn set_id(&mut self, id: &str) {
        if self.id != id {
            id.clone_into(&mut self.id);
            self.known.clear();
        }
    }

    /// The replica at `address`, connected from `peer_ip`, was told to full-sync.
    pub fn refused(&mut self, address: Address, peer_ip: &str) {
        self.put(address, Standing::Refused, peer_ip);
    }

    /// A peer got the names of the files of a checkpoint that ends at `sequence`. Another replica on its host may have taken
    /// files before, and is still to come back.
    pub fn listed(&mut self, peer_ip: &str, sequence: u64) {
        for known in self.of_peer(peer_ip) {
            if matches!(known.standing, Standing::Refused | Standing::Listed(_)) {
                known.standing = Standing::Listed(sequence);
            }
        }
    }

    /// A peer has taken files of it, CURRENT among them.
    pub fn taken(&mut self, peer_ip: &str) {
        for known in self.of_peer(peer_ip) {
            if let Standing::Listed(sequence) = known.standing {
                known.standing = Standing::Synced(sequence);
            }
        }
    }

    /// A feed to `address` begins. Gives what tells it from those before and after it.
    pub fn fed(&mut self, address: Address, peer_ip: &str) -> u64 {
        self.put(address, Standing::Fed, peer_ip);
        self.changes
    }

    /// The feed `number` to `address` ended after `sequence`. Without being told, what the replica wrote itself would pass.
    /// What is known of a later feed stays: a superseded one ends at its own pace.
    pub fn ended(&mut self, address: &Address, number: u64, sequence: u64) {
        if self.known.get(address).is_some_and(|known| known.since == number) {
            self.superseded(address, sequence);
        }
    }

    /// The newest feed to `address`, which has sent up to `sequence`, gives way to another.
    pub fn superseded(&mut self, address: &Address, sequence: u64) {
        if let Some(known) = self.known.get_mut(address)
            && matches!(known.standing, Standing::Fed | Standing::Ended(_))
        {
            known.standing = Standing::Ended(sequence);
        }
    }

    /// Whether a replica behind that socket address has listed a checkpoint and not come back.
    pub fn awaits(&mut self, peer_ip: &str) -> bool {
        self.of_peer(peer_ip).any(|known| matches!(known.standing, Standing::Listed(_) | Standing::Synced(_)))
    }

    /// Whether the replica at `address` may go on with the sequence `next`.
    pub fn admits(&self, address: &Address, next: u64) -> bool {
        match self.known.get(address).map(|known| known.standing) {
            None | Some(Standing::Refused | Standing::Listed(_)) => false,
            Some(Standing::Synced(sequence)) => next == sequence.saturating_add(1),
            Some(Standing::Fed) => true,
            Some(Standing::Ended(sequence)) => next <= sequence.saturating_add(1),
        }
    }

    fn of_peer<'a>(&'a mut self, peer_ip: &str) -> impl Iterator<Item = &'a mut Known> + use<'a> {
        let peer_ip = peer_ip.to_owned();
        self.known.values_mut().filter(move |known| known.peer_ip == peer_ip)
    }

    fn put(&mut self, address: Address, standing: Standing, peer_ip: &str) {
        self.changes += 1;
        let known = Known { standing, peer_ip: peer_ip.to_owned(), since: self.changes };
        self.known.insert(address, known);
        if self.known.len() > MAX_ADDRESSES {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.since).map(|(address, _)| address.clone());
            oldest.and_then(|oldest| self.known.remove(&oldest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> Address {
        ("10.0.0.1".to_owned(), port)
    }

    /// An address is admitted for where its full sync left it, and for nothing else.
    #[test]
    fn full_sync() {
        let mut admissions = Admissions::default();
        let admits = |admissions: &Admissions| [9, 10, 11].map(|next| admissions.admits(&address(1), next));
        admissions.listed("10.0.0.1", 9);
        admissions.taken("10.0.0.1");
        assert_eq!(admits(&admissions), [false; 3], "nobody was refused");
        admissions.refused(address(1), "192.168.0.1");
        admissions.taken("192.168.0.1");
        assert_eq!(admits(&admissions), [false; 3], "nothing was listed");
        admissions.listed("10.0.0.1", 9);
        admissions.taken("10.0.0.1");
        assert_eq!(admits(&admissions), [false; 3], "another socket");
        admissions.listed("192.168.0.1", 9);
        assert_eq!(admits(&admissions), [false; 3], "only listed");
        admissions.taken("192.168.0.1");
        assert_eq!(admits(&admissions), [false, true, false]);
        assert!(!admissions.admits(&address(2), 10));
        // Another replica of that host lists a later checkpoint: this one has its files all the same.
        admissions.listed("192.168.0.1", 10);
        assert_eq!(admits(&admissions), [false, true, false]);
        // A second try of the full sync begins again.
        admissions.refused(address(1), "192.168.0.1");
        assert_eq!(admits(&admissions), [false; 3]);
        admissions.listed("192.168.0.1", 10);
        assert_eq!(admits(&admissions), [false; 3]);
        admissions.taken("192.168.0.1");
        assert_eq!(admits(&admissions), [false, false, true]);
    }

    /// What was fed may come back at or before the end of its feed, not with entries of its own.
    #[test]
    fn fed() {
        let mut admissions = Admissions::default();
        admissions.set_id("A");
        let feed = admissions.fed(address(1), "10.0.0.1");
        assert!(admissions.admits(&address(1), 1000));
        admissions.ended(&address(1), feed, 50);
        assert!(admissions.admits(&address(1), 51) && admissions.admits(&address(1), 3));
        assert!(!admissions.admits(&address(1), 52));
        // The list of a checkpoint changes nothing for it.
        admissions.listed("10.0.0.1", 70);
        admissions.taken("10.0.0.1");
        assert!(admissions.admits(&address(1), 51) && !admissions.admits(&address(1), 71));
        admissions.set_id("A");
        assert!(admissions.admits(&address(1), 51));
        admissions.set_id("B");
        assert!(!admissions.admits(&address(1), 51));
        admissions.ended(&address(1), feed, 50);
        assert!(!admissions.admits(&address(1), 51), "a feed of another id");
    }

    /// A feed that was superseded says how far it came when the next one runs already: that does not count.
    #[test]
    fn superseded() {
        let mut admissions = Admissions::default();
        let former = admissions.fed(address(1), "10.0.0.1");
        admissions.superseded(&address(1), 50);
        assert!(admissions.admits(&address(1), 51) && !admissions.admits(&address(1), 52));
        let feed = admissions.fed(address(1), "10.0.0.1");
        admissions.ended(&address(1), former, 50);
        assert!(admissions.admits(&address(1), 80), "it is still fed");
        admissions.ended(&address(1), feed, 70);
        admissions.ended(&address(1), former, 90);
        assert!(admissions.admits(&address(1), 71) && !admissions.admits(&address(1), 72));
    }

    /// A host is awaited until each of its replicas that were told to full-sync has come back.
    #[test]
    fn awaited() {
        let mut admissions = Admissions::default();
        admissions.refused(address(1), "10.0.0.1");
        admissions.refused(address(2), "10.0.0.1");
        assert!(!admissions.awaits("10.0.0.1"));
        admissions.listed("10.0.0.1", 9);
        admissions.taken("10.0.0.1");
        admissions.fed(address(2), "10.0.0.1");
        assert!(admissions.awaits("10.0.0.1") && !admissions.awaits("10.0.0.2"));
        admissions.fed(address(1), "10.0.0.1");
        assert!(!admissions.awaits("10.0.0.1"));
    }

    /// Addresses without end are not kept.
    #[test]
    fn bounded() {
        let mut admissions = Admissions::default();
        for port in 0..5000 {
            admissions.fed(address(port), "10.0.0.1");
        }
        assert_eq!(admissions.known.len(), MAX_ADDRESSES);
        assert!(admissions.admits(&address(4999), 1) && !admissions.admits(&address(0), 1));
    }
}
