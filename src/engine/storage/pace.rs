//! How a thread works beside readers: a little, then a rest.

use std::cell::Cell;
use std::time::Duration;

use crate::engine::clock;

const WORK: Duration = Duration::from_micros(250);
const REST: Duration = Duration::from_micros(50);

/// Rests for a moment once the calling thread has worked long enough since it last did. Who shares its processor, a
/// reader perhaps, then need not wait until the scheduler takes that away from it, which may be milliseconds.
pub fn rest() {
    thread_local!(static RESTED: Cell<Duration> = const { Cell::new(Duration::ZERO) });
    if clock::thread_cpu().saturating_sub(RESTED.get()) >= WORK {
        std::thread::sleep(REST);
        RESTED.set(clock::thread_cpu());
    }
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
            let until = clock::thread_cpu() + WORK;
            while clock::thread_cpu() < until {}
            let before = given_up();
            rest();
            assert_eq!(given_up(), before + 1);
            rest();
            assert_eq!(given_up(), before + 1);
        }
    }
}
