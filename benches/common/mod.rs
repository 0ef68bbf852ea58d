//! What the demo and the benches share: datasets, readers that never stop, clocks, the same RocksDB without Pumice.
#![allow(dead_code, reason = "each of them uses a part")]

pub mod elsewhere;
pub mod report;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use pumice::{Engine, Namespace};

/// Anything that goes wrong in a program of ours.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The length of every value.
pub const VALUE: usize = 100;

/// The key of a number.
pub fn key(number: u32) -> [u8; 12] {
    let mut key = *b"key:00000000";
    digits(&mut key[4..], number);
    key
}

/// The value that a key has in one dataset: it says where it belongs, so that a reader notices any other.
pub fn value(dataset: u8, namespace: &[u8], number: u32) -> [u8; VALUE] {
    let mut value = [b'.'; VALUE];
    value[0] = dataset;
    digits(&mut value[1..9], number);
    value[10..10 + namespace.len()].copy_from_slice(namespace);
    value
}

fn digits(out: &mut [u8], mut number: u32) {
    for place in out.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// A small random generator: every run draws the same.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (((self.0 >> 32) * u64::from(limit)) >> 32) as u32
    }
}

/// CPU time of the calling thread.
pub fn thread_cpu() -> Duration {
    clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// CPU time of this process.
pub fn process_cpu() -> Duration {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn clock(which: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a valid place for the answer.
    unsafe { libc::clock_gettime(which, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// A line of `/proc/self/status` in bytes, 0 where there is none: `VmRSS`, `VmHWM`, `RssAnon`.
pub fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let found = status.lines().find_map(|text| text.strip_prefix(line)?.strip_prefix(':'));
    found.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Writes `keys` keys into each namespace, in batches. `tell` hears how many are written.
pub fn fill(
    engine: &Engine,
    dataset: u8,
    namespaces: &[Namespace],
    keys: u32,
    tell: &mut dyn FnMut(u64),
) -> Result<(), Failure> {
    const BATCH: u32 = 500;
    let mut written = 0;
    for namespace in namespaces {
        for from in (0..keys).step_by(BATCH as usize) {
            let mut batch = engine.batch();
            for number in from..keys.min(from + BATCH) {
                batch.put(namespace, &key(number), &value(dataset, namespace.name(), number))?;
            }
            written += batch.len() as u64;
            batch.commit(None)?;
            tell(written);
        }
    }
    Ok(())
}

/// What one read came to.
pub enum Outcome {
    /// The right answer.
    Good,
    /// No answer, or a wrong one.
    Failed,
}

/// The counts of one reader thread, read by others while it runs.
#[derive(Default)]
pub struct Tally {
    pub reads: AtomicU64,
    pub failed: AtomicU64,
    /// The longest time between two good reads since it was last set to 0.
    gap_ns: AtomicU64,
}

/// What all readers did in one stretch of time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stretch {
    pub reads: u64,
    pub failed: u64,
    pub gap: Duration,
}

/// Reader threads that read without a pause until they are stopped.
pub struct Readers<'a> {
    tallies: &'a [Tally],
    stop: &'a AtomicBool,
}

/// Runs `main` while `count` threads call readers made by `reader`.
pub fn with_readers<R, F: FnMut() -> Outcome>(
    name: &str,
    count: usize,
    reader: impl Fn(usize) -> F + Sync,
    main: impl FnOnce(&Readers<'_>) -> R,
) -> R {
    let tallies: Vec<Tally> = (0..count).map(|_| Tally::default()).collect();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for (index, tally) in tallies.iter().enumerate() {
            let (stop, reader) = (&stop, &reader);
            let named = std::thread::Builder::new().name(format!("{name}-{index}"));
            let run = move || {
                let mut read = reader(index);
                let mut last = Instant::now();
                while !stop.load(Ordering::Relaxed) {
                    match read() {
                        Outcome::Good => {
                            let now = Instant::now();
                            let gap = (now - last).as_nanos() as u64;
                            if gap > tally.gap_ns.load(Ordering::Relaxed) {
                                tally.gap_ns.store(gap, Ordering::Relaxed);
                            }
                            last = now;
                            tally.reads.fetch_add(1, Ordering::Relaxed);
                        }
                        Outcome::Failed => {
                            tally.failed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            };
            named.spawn_scoped(scope, run).expect("a thread starts");
        }
        // Also when `main` panics: the scope waits for its threads.
        let readers = Readers { tallies: &tallies, stop: &stop };
        main(&readers)
    })
}

impl Readers<'_> {
    /// Lets `run` happen with some quiet time before and after it, and tells what the readers did meanwhile: how long they
    /// waited at most from when it began.
    pub fn during<R>(&self, quiet: Duration, run: impl FnOnce() -> R) -> (R, Stretch) {
        let sum = |count: fn(&Tally) -> &AtomicU64| {
            self.tallies.iter().map(|tally| count(tally).load(Ordering::Relaxed)).sum::<u64>()
        };
        let (reads, failed) = (sum(|tally| &tally.reads), sum(|tally| &tally.failed));
        std::thread::sleep(quiet);
        self.tallies.iter().for_each(|tally| tally.gap_ns.store(0, Ordering::Relaxed));
        let result = run();
        std::thread::sleep(quiet);
        let gap = self.tallies.iter().map(|tally| tally.gap_ns.load(Ordering::Relaxed)).max().unwrap_or(0);
        let stretch = Stretch {
            reads: sum(|tally| &tally.reads) - reads,
            failed: sum(|tally| &tally.failed) - failed,
            gap: Duration::from_nanos(gap),
        };
        (result, stretch)
    }
}

impl Drop for Readers<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Keeps one CPU busy until the calling thread has used `cpu`.
pub fn burn(cpu: Duration) {
    let until = thread_cpu() + cpu;
    let mut random = Random::new(7);
    while thread_cpu() < until {
        for _ in 0..1000 {
            std::hint::black_box(random.below(1000));
        }
    }
}
