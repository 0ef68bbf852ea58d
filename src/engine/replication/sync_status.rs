//! How far a full sync is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::engine::clock;

/// How far a full sync is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncStatus {
    /// Files in all; 0 until they are known.
    pub files: u64,
    /// Files that are here.
    pub files_done: u64,
    /// Bytes in all, as far as they are known: a Kvrocks tells the size of a file when it sends it.
    pub bytes: u64,
    /// Bytes that are here.
    pub bytes_done: u64,
    /// Of those, bytes that were here before and did not come over the wire.
    pub bytes_reused: u64,
    /// Bytes a second over the wire, on average.
    pub bytes_per_second: u64,
    /// How long it will take at that rate.
    pub remaining: Option<Duration>,
}

/// The counters of a running full sync. What is in one is in the next before: bytes, then those done, then those of them that
/// were reused; and so for files. Read the other way round no part is more than its whole.
pub struct Counters {
    pub began: Instant,
    pub files: AtomicU64,
    pub files_done: AtomicU64,
    pub bytes: AtomicU64,
    pub bytes_done: AtomicU64,
    pub bytes_reused: AtomicU64,
}

impl Counters {
    pub fn new() -> Counters {
        let zero = || AtomicU64::new(0);
        Counters {
            began: clock::instant(),
            files: zero(),
            files_done: zero(),
            bytes: zero(),
            bytes_done: zero(),
            bytes_reused: zero(),
        }
    }

    /// Counts bytes that were here before.
    pub fn reuse(&self, bytes: u64) {
        self.bytes_done.fetch_add(bytes, Ordering::Release);
        self.bytes_reused.fetch_add(bytes, Ordering::Release);
    }

    pub fn status(&self) -> SyncStatus {
        let of = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        let (bytes_reused, bytes_done, bytes) = (of(&self.bytes_reused), of(&self.bytes_done), of(&self.bytes));
        let (files_done, files) = (of(&self.files_done), of(&self.files));
        let elapsed = clock::instant().duration_since(self.began).as_secs_f64();
        let rate = (bytes_done.saturating_sub(bytes_reused)) as f64 / elapsed.max(0.001);
        let left = bytes.saturating_sub(bytes_done) as f64;
        SyncStatus {
            files,
            files_done,
            bytes,
            bytes_done,
            bytes_reused,
            bytes_per_second: rate as u64,
            remaining: (rate >= 1.0).then(|| Duration::from_secs_f64((left / rate).min(1e9))),
        }
    }
}
