//! The newest entries in memory, so that who follows at the tail need not read the WAL.

use std::collections::VecDeque;

/// Entries in their order, the oldest of which give way: their bytes lie one behind the other in one buffer, around its
/// end. Only the newest one until somebody looks for others: what nobody reads would take the processor's cache from what
/// writes.
#[derive(Default)]
pub struct Backlog {
    is_read: bool,
    entries: VecDeque<Entry>,
    /// Empty before the first entry.
    buffer: Box<[u8]>,
    /// Bytes ever taken up: where the next entry lies, but for the turns around the buffer.
    end: u64,
}

struct Entry {
    first: u64,
    last: u64,
    at: u64,
    length: usize,
}

/// What there is room for. A larger entry is only in the WAL.
const BYTES: usize = 4 << 20;
const ENTRIES: usize = 4096;

impl Backlog {
    /// Somebody looks for entries: from now on they are kept.
    pub fn keep(&mut self) {
        self.is_read = true;
    }

    /// Takes the entry behind the last one.
    pub fn push(&mut self, first: u64, last: u64, bytes: &[u8]) {
        if !self.is_read {
            self.entries.clear();
            self.end = 0;
        }
        if bytes.len() > BYTES {
            // What is older is of no use to who lacks this one.
            self.entries.clear();
            return;
        }
        if self.buffer.is_empty() {
            // Zeroed by the kernel, page by page when it is first written.
            self.buffer = vec![0; BYTES].into();
        }
        let left = BYTES - place(self.end);
        if left < bytes.len() {
            self.end += left as u64;
        }
        let (at, length) = (self.end, bytes.len());
        self.buffer[place(at)..][..length].copy_from_slice(bytes);
        self.end += length as u64;
        while self.entries.len() == ENTRIES
            || self.entries.front().is_some_and(|old| old.at + (BYTES as u64) < self.end)
        {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { first, last, at, length });
    }

    /// The entry that starts at a sequence, with its last one.
    pub fn find(&self, first: u64) -> Option<(u64, Vec<u8>)> {
        let found = self.entries.get(self.entries.partition_point(|entry| entry.first < first))?;
        (found.first == first).then(|| (found.last, self.bytes(found).to_vec()))
    }

    /// The newest entry with its first sequence.
    pub fn newest(&self) -> Option<(u64, Vec<u8>)> {
        self.entries.back().map(|entry| (entry.first, self.bytes(entry).to_vec()))
    }

    fn bytes(&self, entry: &Entry) -> &[u8] {
        &self.buffer[place(entry.at)..][..entry.length]
    }
}

/// Where in the buffer something lies.
fn place(at: u64) -> usize {
    (at % BYTES as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::format::fuzz::Random;

    /// Whatever their lengths, the newest entries are found whole, the oldest give way first, and none is another's bytes.
    #[test]
    fn around_the_end() {
        let mut backlog = Backlog::default();
        backlog.keep();
        let mut random = Random(7);
        let (mut next, mut gave_way) = (1, 0);
        let entry = |first: u64, length: usize| -> Vec<u8> {
            let mut bytes = vec![first as u8; length];
            bytes[..8].copy_from_slice(&first.to_le_bytes());
            bytes
        };
        let mut lengths: Vec<usize> = Vec::new();
        for _ in 0..20_000 {
            let length = match random.below(400) {
                0 => BYTES,
                1..=3 => 1_000_000,
                4..=100 => 100 + random.below(100_000),
                _ => 8 + random.below(200),
            };
            backlog.push(next, next, &entry(next, length));
            lengths.push(length);
            next += 1;
            let kept = backlog.entries.len() as u64;
            gave_way += u64::from(kept < next - 1);
            assert_eq!(backlog.newest(), Some((next - 1, entry(next - 1, length))));
            for first in [next - kept, next - 1 - random.below(kept as usize) as u64] {
                let length = lengths[first as usize - 1];
                assert_eq!(backlog.find(first), Some((first, entry(first, length))));
            }
            assert_eq!((backlog.find(next - kept - 1), backlog.find(next)), (None, None));
        }
        assert!(gave_way > 1_000);
        backlog.push(next, next, &vec![0; BYTES + 1]);
        assert_eq!((backlog.newest(), backlog.find(next - 1)), (None, None));
    }

    /// Entries of no more than their share of the buffer are all kept, up to the most there may be.
    #[test]
    fn as_many() {
        let mut backlog = Backlog::default();
        backlog.keep();
        (0..5_000).for_each(|first| backlog.push(first, first, &[1; 1_000]));
        assert_eq!(backlog.entries.len(), ENTRIES);
        assert!(backlog.find(5_000 - ENTRIES as u64).is_some());
    }

    /// Until somebody looks for entries the newest alone is there, and from then on all that come.
    #[test]
    fn unread() {
        let mut backlog = Backlog::default();
        (0..10).for_each(|first| backlog.push(first, first, &[first as u8; 1_000]));
        assert_eq!((backlog.newest(), backlog.find(8)), (Some((9, vec![9; 1_000])), None));
        backlog.keep();
        (10..20).for_each(|first| backlog.push(first, first, &[first as u8; 1_000]));
        assert_eq!(backlog.find(8), None);
        (9..20).for_each(|first| assert_eq!(backlog.find(first), Some((first, vec![first as u8; 1_000]))));
        backlog.push(20, 20, &vec![0; BYTES + 1]);
        assert_eq!((backlog.newest(), backlog.find(19)), (None, None));
    }
}
