//! The places of walks that go on with another call: SCAN's cursors.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

use super::error::{Error, ErrorKind, Result};

/// Where walks go on. Clients want a number for a cursor, which has no room for a key, so the last key of a page is kept
/// here: the newest of them, as Kvrocks does it. Each namespace has its own room, so that no tenant takes that of another.
pub struct Cursors {
    places: Mutex<Places>,
}

struct Places {
    /// The number of the next place.
    next: u64,
    namespaces: HashMap<Vec<u8>, Room>,
}

/// The places in one namespace, in the order of their numbers.
#[derive(Default)]
struct Room {
    places: VecDeque<(u64, Vec<u8>)>,
    bytes: usize,
}

/// The most namespaces that have room.
const MOST_ROOMS: usize = 256;
/// The most bytes of places in one of them; one place is always kept.
const ROOM_BYTES: usize = 256 << 10;

impl Room {
    fn keep(&mut self, number: u64, after: &[u8]) {
        let cost = |after: &[u8]| after.len() + size_of::<(u64, Vec<u8>)>();
        self.bytes += cost(after);
        self.places.push_back((number, after.to_vec()));
        while self.bytes > ROOM_BYTES && self.places.len() > 1 {
            self.bytes -= self.places.pop_front().map_or(0, |(_, gone)| cost(&gone));
        }
    }

    fn newest(&self) -> u64 {
        self.places.back().map_or(0, |(number, _)| *number)
    }
}

impl Cursors {
    /// Numbers start anywhere, so that a cursor of another process is not mistaken for one of these.
    pub fn new() -> Result<Cursors> {
        let mut random = [0; 8];
        getrandom::fill(&mut random)
            .map_err(|e| Error::new(ErrorKind::Io, format!("draw the first cursor: read random bytes: {e}")))?;
        let next = (u64::from_le_bytes(random) >> 16) + 1;
        Ok(Cursors { places: Mutex::new(Places { next, namespaces: HashMap::new() }) })
    }

    pub fn keep(&self, namespace: &[u8], after: &[u8]) -> u64 {
        let mut places = self.places.lock();
        let Places { next, namespaces } = &mut *places;
        if namespaces.len() >= MOST_ROOMS && !namespaces.contains_key(namespace) {
            let oldest = namespaces.iter().min_by_key(|(_, room)| room.newest()).map(|(name, _)| name.clone());
            oldest.map(|name| namespaces.remove(&name));
        }
        let number = *next;
        *next += 1;
        namespaces.entry(namespace.to_vec()).or_default().keep(number, after);
        number
    }

    pub fn find(&self, cursor: u64, namespace: &[u8]) -> Option<Vec<u8>> {
        let places = self.places.lock();
        let places = &places.namespaces.get(namespace)?.places;
        let index = places.binary_search_by_key(&cursor, |(number, _)| *number).ok()?;
        places.get(index).map(|(_, after)| after.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A cursor finds its place in its own namespace only, and the oldest are forgotten.
    #[test]
    fn cursors_are_bounded() {
        let cursors = Cursors::new().unwrap();
        let first = cursors.keep(b"a", b"key");
        assert_eq!(cursors.find(first, b"a").as_deref(), Some(&b"key"[..]));
        assert_eq!(cursors.find(first, b"b"), None);
        assert_eq!(cursors.find(first + 1, b"a"), None);
        assert_eq!(cursors.find(0, b"a"), None);
        for n in 0..ROOM_BYTES / 32 {
            let cursor = cursors.keep(b"a", n.to_string().as_bytes());
            assert_eq!(cursors.find(cursor, b"a").unwrap(), n.to_string().as_bytes());
        }
        assert_eq!(cursors.find(first, b"a"), None);
        let long = vec![b'x'; ROOM_BYTES];
        let cursor = cursors.keep(b"a", &long);
        assert_eq!(cursors.find(cursor, b"a"), Some(long));
        assert_eq!(cursors.places.lock().namespaces[&b"a"[..]].places.len(), 1);
    }

    /// However much one tenant walks, the places of another stay; only so many namespaces have room, those that walked last.
    #[test]
    fn tenants_have_their_own_room() {
        let cursors = Cursors::new().unwrap();
        let kept = cursors.keep(b"quiet", b"key");
        let loud = (0..100_000).map(|_| cursors.keep(b"loud", b"key")).last().unwrap();
        assert_eq!(cursors.find(kept, b"quiet").as_deref(), Some(&b"key"[..]));
        for n in 1..MOST_ROOMS {
            cursors.keep(n.to_string().as_bytes(), b"key");
        }
        assert_eq!(cursors.find(kept, b"quiet"), None);
        assert!(cursors.find(loud, b"loud").is_some());
        assert_eq!(cursors.places.lock().namespaces.len(), MOST_ROOMS);
    }
}
