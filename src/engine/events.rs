//! What happened, for whoever wants to hear of it.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::clock;
use super::storage::fork::Process;

/// What an event is about. The number never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum EventKind {
    /// This engine has another role, or takes writes no more, or again.
    Role = 1,
    /// The link to the primary is in another state.
    Link = 2,
    /// A topology was set, or contradicts the one that governs.
    Topology = 3,
    /// A full sync began, or was done.
    FullSync = 4,
    /// Entries of this engine's own are given up.
    Divergence = 5,
    /// A feed to a replica began, or ended.
    Feed = 6,
}

impl EventKind {
    /// Its name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::Role => "role",
            EventKind::Link => "link",
            EventKind::Topology => "topology",
            EventKind::FullSync => "full_sync",
            EventKind::Divergence => "divergence",
            EventKind::Feed => "feed",
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// When, in Unix milliseconds.
    pub time_ms: u64,
    /// What it is about.
    pub kind: EventKind,
    /// What happened, for people.
    pub message: String,
    /// How many events before this one were dropped, because nobody took them in time.
    pub lost: u64,
}

/// The most events that wait for a reader. Then the oldest go.
const MOST_WAITING: usize = 1024;

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Default)]
struct Waiting {
    events: VecDeque<Event>,
    lost: u64,
    closed: bool,
}

/// Where events are told.
#[derive(Default)]
pub struct Subscriptions {
    listening: Mutex<Listening>,
}

#[derive(Default)]
struct Listening {
    queues: Vec<Weak<Queue>>,
    closed: bool,
}

impl Subscriptions {
    /// Tells all who listen. Never waits.
    pub fn tell(&self, kind: EventKind, message: impl FnOnce() -> String) {
        let queues = &mut self.listening.lock().queues;
        queues.retain(|queue| queue.strong_count() > 0);
        if queues.is_empty() {
            return;
        }
        let event = Event { time_ms: clock::now_ms(), kind, message: message(), lost: 0 };
        for queue in queues.iter().filter_map(Weak::upgrade) {
            let mut waiting = queue.waiting.lock();
            if waiting.events.len() == MOST_WAITING {
                waiting.events.pop_front();
                waiting.lost += 1;
            }
            waiting.events.push_back(event.clone());
            drop(waiting);
            queue.changed.notify_all();
        }
    }

    /// Everything from now on; nothing when it is closed already.
    pub fn subscribe(&self) -> Events {
        let queue = Arc::new(Queue::default());
        let mut listening = self.listening.lock();
        queue.waiting.lock().closed = listening.closed;
        if !listening.closed {
            listening.queues.push(Arc::downgrade(&queue));
        }
        Events { queue, process: Process::current() }
    }

    /// No more events will come.
    pub fn close(&self) {
        let mut listening = self.listening.lock();
        listening.closed = true;
        for queue in listening.queues.drain(..).filter_map(|queue| queue.upgrade()) {
            queue.waiting.lock().closed = true;
            queue.changed.notify_all();
        }
    }
}

/// What happens in an engine from the moment on when it was asked for, in order. At most 1,024 events wait; whoever is
/// slower loses the oldest, and is told how many. It ends when the engine is closed.
///
/// ```
/// use std::time::Duration;
/// # let dir = tempfile::tempdir().unwrap();
/// let engine = pumice::Engine::open(dir.path(), &pumice::Options { role: Some(pumice::Role::Detached), ..Default::default() })?;
/// let events = engine.events()?;
/// engine.promote()?;
/// let event = events.next(Some(Duration::from_secs(1))).unwrap();
/// assert_eq!(event.kind, pumice::EventKind::Role);
/// assert_eq!(events.next(Some(Duration::ZERO)), None);
/// # Ok::<(), pumice::Error>(())
/// ```
pub struct Events {
    queue: Arc<Queue>,
    /// A forked child may have got the queue locked, and nothing comes into it there.
    process: Process,
}

impl Events {
    /// The next event. `None` when none comes within the timeout, or without a timeout when the engine was closed.
    pub fn next(&self, timeout: Option<Duration>) -> Option<Event> {
        if !self.process.is_current() {
            return None;
        }
        let deadline = timeout.map(clock::after);
        let mut waiting = self.queue.waiting.lock();
        loop {
            if let Some(mut event) = waiting.events.pop_front() {
                event.lost = std::mem::take(&mut waiting.lost);
                return Some(event);
            }
            if waiting.closed {
                return None;
            }
            match deadline {
                None => self.queue.changed.wait(&mut waiting),
                Some(deadline) => {
                    if self.queue.changed.wait_until(&mut waiting, deadline).timed_out() && waiting.events.is_empty() {
                        return None;
                    }
                }
            }
        }
    }

    /// Whether the engine was closed and every event was taken, or this process is a fork of the one that asked for them.
    pub fn is_over(&self) -> bool {
        if !self.process.is_current() {
            return true;
        }
        let waiting = self.queue.waiting.lock();
        waiting.closed && waiting.events.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(events: &Events) -> Vec<(String, u64)> {
        std::iter::from_fn(|| events.next(Some(Duration::ZERO))).map(|event| (event.message, event.lost)).collect()
    }

    /// Each reader hears everything since it began, in order, and how much it was too slow for.
    #[test]
    fn told() {
        let subscriptions = Subscriptions::default();
        subscriptions.tell(EventKind::Role, || panic!("nobody listens"));
        let one = subscriptions.subscribe();
        subscriptions.tell(EventKind::Role, || "1".to_owned());
        let two = subscriptions.subscribe();
        subscriptions.tell(EventKind::Link, || "2".to_owned());
        assert_eq!(messages(&one), [("1".to_owned(), 0), ("2".to_owned(), 0)]);
        assert_eq!(messages(&two), [("2".to_owned(), 0)]);
        drop(two);
        for n in 0..MOST_WAITING + 3 {
            subscriptions.tell(EventKind::Feed, || n.to_string());
        }
        let told = messages(&one);
        assert_eq!((told.len(), &told[0], told[1].1), (MOST_WAITING, &("3".to_owned(), 3), 0));
        subscriptions.close();
        assert!(one.is_over() && one.next(None).is_none());
    }

    /// Whoever waits when it is closed ends, who began to wait by then, and who asks for events when it is closed already: an
    /// engine may be closed between its check that it is open and this.
    #[test]
    fn closing() {
        for round in 0..200 {
            let subscriptions = Subscriptions::default();
            let early = subscriptions.subscribe();
            std::thread::scope(|scope| {
                let waiting = scope.spawn(move || early.next(None));
                if round % 2 == 0 {
                    std::thread::yield_now();
                }
                subscriptions.close();
                assert_eq!(waiting.join().unwrap(), None);
            });
            let late = subscriptions.subscribe();
            assert!(late.is_over() && late.next(Some(Duration::ZERO)).is_none());
            subscriptions.tell(EventKind::Role, || panic!("nobody listens"));
        }
    }
}
