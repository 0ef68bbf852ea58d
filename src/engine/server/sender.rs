//! The sending half of a feed. A thread of its own sends what the log has; while there is nothing to send, whoever
//! writes the next entry sends it himself, so that an idle feed costs no waking of a thread.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::stream::Stream;
use crate::engine::clock;
use crate::engine::error::{Error, Result};
use crate::engine::generation::Store;
use crate::engine::instance::Instance;
use crate::engine::replication::feeds::Told;
use crate::engine::replication::log::Log;
use crate::engine::replication::served::Reading;
use crate::engine::replication::session::Peer;
use crate::engine::replication::session::feed::Feed;

/// How many bytes of entries are sent at once.
const WRITE_BYTES: usize = 256 << 10;
/// The longest entry that its writer sends.
const DIRECT_BYTES: usize = 4 << 10;
/// Entries that come faster than this are sent together by the feed's own thread.
const BURST: Duration = Duration::from_micros(200);

/// Who sends the entries of one feed.
pub struct Sender {
    peer: Peer,
    feed: Arc<Mutex<Feed>>,
    stream: Arc<Stream>,
    over: AtomicBool,
    /// As `Idle::waits`, for who only looks.
    waits: AtomicBool,
    idle: Mutex<Idle>,
    woken: Condvar,
}

struct Idle {
    /// Whether the thread waits, and nothing else is being sent.
    waits: bool,
    /// When something was sent last.
    sent: Instant,
    /// What the socket did not take of an entry.
    rest: Vec<u8>,
}

/// What a feed has sent and heard.
pub fn told(feed: &Feed) -> Told {
    Told { sent: feed.sent(), acked: feed.acked(), durable: feed.durable() }
}

impl Sender {
    pub fn new(peer: Peer, feed: Arc<Mutex<Feed>>, stream: Arc<Stream>) -> Sender {
        let idle = Mutex::new(Idle { waits: false, sent: clock::instant(), rest: Vec::new() });
        Sender {
            peer,
            feed,
            stream,
            over: AtomicBool::new(false),
            waits: AtomicBool::new(false),
            idle,
            woken: Condvar::new(),
        }
    }

    /// Sends entries until the feed is over.
    pub fn run(
        self: &Arc<Sender>,
        instance: &Instance,
        mut log: Log,
        mut kept: Option<Reading>,
        tell: impl Fn(Told),
        asks: impl Fn() -> u64,
    ) -> Result<()> {
        let mut out = Vec::new();
        let latest = log.latest();
        let mut asked = asks();
        let mut offers: Option<Offers> = None;
        while !self.is_over() {
            kept = kept.filter(|_| log.position().sequence < latest).inspect(Reading::touch);
            let more = loop {
                match log.next_batch(None)? {
                    Some((first, last, bytes)) => self.feed.lock().entry(first, last, &bytes, &mut out)?,
                    None => break false,
                }
                if out.len() >= WRITE_BYTES {
                    break true;
                }
            };
            let now_ms = clock::monotonic_ms();
            let ticks = now_ms >= self.feed.lock().next_tick_ms();
            let standing = if ticks { Some(instance.standing()?) } else { None };
            let wanted = std::mem::replace(&mut asked, asks()) != asked;
            // Whoever writes takes this lock last: no other is taken under it.
            let mut feed = self.feed.lock();
            if let Some(standing) = standing {
                feed.epoch = standing.epoch();
            }
            feed.tick(now_ms, log.latest(), &mut out);
            if wanted {
                feed.want_ack(&mut out);
            }
            let (told, tick_ms) = (told(&feed), feed.next_tick_ms());
            drop(feed);
            if !out.is_empty() {
                self.write(&out)?;
                out.clear();
                out.shrink_to(4 * WRITE_BYTES);
            }
            tell(told);
            if more {
                continue;
            }
            // Before it looks for the last time, so that nothing is written behind that look without being offered.
            let store = log.store();
            if let Some(store) = store.filter(|store| offers.as_ref().is_none_or(|offers| !offers.are_of(store))) {
                offers = Some(Offers::of(store, self));
                continue;
            }
            let has_more =
                |sent: u64| log.store().is_none_or(|store| store.is_retired() || store.latest_entry() > sent);
            let until = clock::after(Duration::from_millis(tick_ms.saturating_sub(clock::monotonic_ms())));
            let rest = self.wait(|| self.is_over() || has_more(told.sent), until);
            let sent = self.feed.lock().sent();
            log.skip_to(sent);
            self.write(&rest)?;
        }
        Ok(())
    }

    /// Ends the feed, whoever sends just now.
    pub fn end(&self) {
        self.over.store(true, SeqCst);
        self.stream.shutdown();
        self.offer(None);
    }

    pub fn is_over(&self) -> bool {
        self.over.load(SeqCst)
    }

    fn write(&self, bytes: &[u8]) -> Result<()> {
        (&*self.stream).write_all(bytes).map_err(|e| Error::io("send entries", e))
    }

    /// Waits until there is something to do, or `until`; not at all when `is_due` says so once others may send. Gives what
    /// they have left to send.
    fn wait(&self, is_due: impl FnOnce() -> bool, until: Instant) -> Vec<u8> {
        let set = |waits: bool| {
            let mut idle = self.idle.lock();
            idle.waits = waits;
            self.waits.store(waits, SeqCst);
            idle
        };
        drop(set(true));
        if !is_due() {
            let mut idle = self.idle.lock();
            while idle.waits && !self.woken.wait_until(&mut idle, until).timed_out() {}
        }
        let mut idle = set(false);
        idle.sent = clock::instant();
        std::mem::take(&mut idle.rest)
    }

    /// An entry was written: sends it where the thread waits and the socket takes it, else wakes the thread.
    fn offer(&self, entry: Option<(u64, u64, &[u8])>) {
        if !self.waits.load(SeqCst) {
            return;
        }
        let mut idle = self.idle.lock();
        if idle.waits && !entry.is_some_and(|entry| self.send(&mut idle, entry)) {
            idle.waits = false;
            self.waits.store(false, SeqCst);
            drop(idle);
            self.woken.notify_one();
        }
    }

    /// Whether an entry was sent, all of it.
    fn send(&self, idle: &mut Idle, (first, last, bytes): (u64, u64, &[u8])) -> bool {
        let now = clock::instant();
        // A Kvrocks acknowledges once a second: only the thread tells what was sent to it.
        let direct = self.peer == Peer::Pumice && bytes.len() <= DIRECT_BYTES && now - idle.sent >= BURST;
        if !direct {
            return false;
        }
        let mut feed = self.feed.lock();
        let mut frame = Vec::with_capacity(bytes.len() + 16);
        if feed.sent() + 1 != first || feed.entry(first, last, bytes, &mut frame).is_err() {
            return false;
        }
        // A connection that is broken is noticed by the thread, at its next write.
        let sent = self.stream.try_write(&frame).unwrap_or(0);
        idle.sent = now;
        idle.rest = frame.split_off(sent);
        idle.rest.is_empty()
    }
}

/// The entries of a store are offered to a sender for as long as this lives.
struct Offers {
    store: Arc<Store>,
    number: u64,
}

impl Offers {
    fn of(store: &Arc<Store>, sender: &Arc<Sender>) -> Offers {
        let sender = Arc::clone(sender);
        let number = store.offer_to(Box::new(move |entry| sender.offer(entry)));
        Offers { store: Arc::clone(store), number }
    }

    fn are_of(&self, store: &Arc<Store>) -> bool {
        Arc::ptr_eq(&self.store, store)
    }
}

impl Drop for Offers {
    fn drop(&mut self) {
        self.store.offer_no_more(self.number);
    }
}
