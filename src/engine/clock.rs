//! The only place where time is read.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Unix time in milliseconds, as expiries are stored.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

/// Unix time in microseconds.
pub fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_micros() as u64)
}

/// A point on the monotonic clock, for waiting.
pub fn instant() -> Instant {
    Instant::now()
}

/// The point `wait` from now; a year from now for whoever waits longer.
pub fn after(wait: Duration) -> Instant {
    const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
    instant() + wait.min(LONGEST)
}

/// Milliseconds on the monotonic clock, for what must not hold an `Instant`.
pub fn monotonic_ms() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGAN.elapsed().as_millis() as u64
}
