//! How a thread works beside readers: a little, then a rest.

use std::cell::Cell;
use std::time::Duration;

const WORK: Duration = Duration::from_micros(250);
const REST: Duration = Duration::from_micros(50);

/// Rests for a moment once the calling thread has worked long enough since it last did. Who shares its processor, a
/// reader perhaps, then need not wait until the scheduler takes that away from it, which may be milliseconds.
pub fn rest() {
    thread_local!(static RESTED: Cell<Duration> = const { Cell::new(Duration::ZERO) });
    if worked().saturating_sub(RESTED.get()) >= WORK {
        std::thread::sleep(REST);
        RESTED.set(worked());
    }
}

/// How long the calling thread has had a processor.
fn worked() -> Duration {
    let mut spent = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills in what it is given; every thread has this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut spent) };
    Duration::new(spent.tv_sec.unsigned_abs(), spent.tv_nsec.unsigned_abs() as u32)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// How often this thread gave up its processor by itself.
    fn given_up() -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
        line.trim().parse().unwrap()
    }

    /// A thread that has worked for long gives up its processor once, and not again before it has worked once more.
    #[test]
    fn rests_after_work() {
        for _ in 0..3 {
            let until = worked() + WORK;
            while worked() < until {}
            let before = given_up();
            rest();
            assert_eq!(given_up(), before + 1);
            rest();
            assert_eq!(given_up(), before + 1);
        }
    }
}
