//! Channels: messages to who listens just now. They cross namespaces, as in a Kvrocks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex};

use super::error::{Error, ErrorKind, Result};
use super::format::batch::{Batch, PUBSUB, Record};
use super::format::resp::{Protocol, Reply};
use super::pattern::{MAX_PATTERN, matches_by_steps};

/// Who listens to what.
#[derive(Default)]
pub struct Channels {
    /// How many subscriptions there are: without one a message costs nothing.
    subscriptions: AtomicUsize,
    listening: Mutex<Listening>,
}

#[derive(Default)]
struct Listening {
    channels: BTreeMap<Vec<u8>, Vec<Arc<Outbox>>>,
    patterns: BTreeMap<Vec<u8>, Vec<Arc<Outbox>>>,
}

/// Whether a name is that of a channel or a pattern of such names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum What {
    Channel,
    Pattern,
}

/// The most bytes that may lie in an outbox: who reads slower than that is dropped.
const MOST_BYTES: usize = 32 << 20;
/// The most bytes of a pattern that are looked at for one name; beyond that it does not fit. Writers wait meanwhile.
const MOST_STEPS: usize = 1 << 13;
/// What a piece takes besides its bytes.
const ITEM: usize = 64;

impl Channels {
    /// Has an outbox get what comes on a channel, or on all whose names fit a pattern.
    pub fn subscribe(&self, what: What, name: &[u8], outbox: &Arc<Outbox>) -> Result<()> {
        if what == What::Pattern && name.len() > MAX_PATTERN {
            let message = format!("pattern: got {} bytes, expected at most {MAX_PATTERN}", name.len());
            return Err(Error::new(ErrorKind::InvalidArgument, message));
        }
        self.subscriptions.fetch_add(1, Ordering::SeqCst);
        self.listening.lock().names(what).entry(name.to_vec()).or_default().push(Arc::clone(outbox));
        Ok(())
    }

    pub fn unsubscribe(&self, what: What, name: &[u8], outbox: &Arc<Outbox>) {
        let mut listening = self.listening.lock();
        let names = listening.names(what);
        let Some(outboxes) = names.get_mut(name) else { return };
        let before = outboxes.len();
        outboxes.retain(|known| !Arc::ptr_eq(known, outbox));
        self.subscriptions.fetch_sub(before - outboxes.len(), Ordering::SeqCst);
        if outboxes.is_empty() {
            names.remove(name);
        }
    }

    /// Gives a message to all who listen, and tells how many times it was given.
    pub fn publish(&self, channel: &[u8], message: &[u8]) -> usize {
        if self.subscriptions.load(Ordering::SeqCst) == 0 {
            return 0;
        }
        let listening = self.listening.lock();
        let mut given = 0;
        if let Some(outboxes) = listening.channels.get(channel) {
            offer(outboxes, &[b"message", channel, message]);
            given += outboxes.len();
        }
        for (pattern, outboxes) in listening.patterns.iter().filter(|(pattern, _)| fits(pattern, channel)) {
            offer(outboxes, &[b"pmessage", pattern, channel, message]);
            given += outboxes.len();
        }
        given
    }

    /// How many would be given a message on a channel.
    pub fn receivers(&self, channel: &[u8]) -> usize {
        let listening = self.listening.lock();
        let fitting = listening.patterns.iter().filter(|(pattern, _)| fits(pattern, channel));
        listening.channels.get(channel).map_or(0, Vec::len) + fitting.map(|(_, outboxes)| outboxes.len()).sum::<usize>()
    }

    /// Gives the messages that an entry carries.
    pub fn publish_entry(&self, batch: &[u8]) {
        if self.subscriptions.load(Ordering::SeqCst) == 0 {
            return;
        }
        // It was parsed before it was written.
        let Ok(batch) = Batch::parse(batch) else { return };
        for record in batch.records() {
            if let Record::Put { family: PUBSUB, key, value } = record {
                self.publish(key, value);
            }
        }
    }

    /// The channels that somebody listens to by name, those that fit a pattern.
    pub fn names(&self, pattern: Option<&[u8]>) -> Vec<Vec<u8>> {
        let listening = self.listening.lock();
        let fitting = listening.channels.keys().filter(|name| pattern.is_none_or(|pattern| fits(pattern, name)));
        fitting.cloned().collect()
    }

    /// How many listen to a channel by its name.
    pub fn subscribers(&self, channel: &[u8]) -> usize {
        self.listening.lock().channels.get(channel).map_or(0, Vec::len)
    }

    /// How many patterns somebody listens to.
    pub fn patterns(&self) -> usize {
        self.listening.lock().patterns.len()
    }
}

impl Listening {
    fn names(&mut self, what: What) -> &mut BTreeMap<Vec<u8>, Vec<Arc<Outbox>>> {
        match what {
            What::Channel => &mut self.channels,
            What::Pattern => &mut self.patterns,
        }
    }
}

fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let mut steps = 0;
    let mut step = |bytes| {
        steps += bytes;
        if steps > MOST_STEPS { Err(()) } else { Ok(()) }
    };
    pattern.len() <= MAX_PATTERN && matches_by_steps(pattern, name, &mut step).unwrap_or(false)
}

/// Gives one message to several, written once for each protocol among them.
fn offer(outboxes: &[Arc<Outbox>], words: &[&[u8]]) {
    let message = Reply::Push(words.iter().map(Reply::bulk).collect());
    let mut written: [Option<Arc<[u8]>>; 2] = [None, None];
    for outbox in outboxes {
        let protocol = outbox.protocol();
        let bytes = written[protocol as usize].get_or_insert_with(|| {
            let mut bytes = Vec::new();
            message.encode_in(protocol, &mut bytes);
            bytes.into()
        });
        outbox.offer(bytes);
    }
}

/// What is on its way to one listener, in order. Whoever publishes does not wait for it.
#[derive(Default)]
pub struct Outbox {
    content: Mutex<Content>,
    changed: Condvar,
    /// Whether its messages are written in RESP3.
    resp3: AtomicBool,
    /// What ends the connection of a reader that is too slow.
    end: Option<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Default)]
struct Content {
    pieces: VecDeque<Arc<[u8]>>,
    /// Messages that have to wait for the next bytes that are sent.
    held: Option<VecDeque<Arc<[u8]>>>,
    /// Of messages: a reader who is given a long reply is not slow.
    bytes: usize,
    /// How many pieces were ever put in, and how many of them are written.
    put: u64,
    written: u64,
    /// Nothing goes in any more, and what is in it still goes out.
    closed: bool,
    /// Its reader is gone, or was too slow.
    broken: bool,
}

impl Content {
    fn put(&mut self, piece: Arc<[u8]>) {
        self.put += 1;
        self.pieces.push_back(piece);
    }
}

impl Outbox {
    /// One whose reader is shown the door by `end` when it is too slow.
    pub fn new(end: impl Fn() + Send + Sync + 'static) -> Outbox {
        Outbox { end: Some(Box::new(end)), ..Outbox::default() }
    }

    /// How messages to it are written from now on.
    pub fn set_protocol(&self, protocol: Protocol) {
        self.resp3.store(protocol == Protocol::Resp3, Ordering::Relaxed);
    }

    fn protocol(&self) -> Protocol {
        if self.resp3.load(Ordering::Relaxed) { Protocol::Resp3 } else { Protocol::Resp2 }
    }

    /// Keeps messages back until something is sent: what says that the subscription has begun.
    pub fn hold(&self) {
        self.content.lock().held.get_or_insert_default();
    }

    /// Puts a message in; one that does not fit any more breaks it.
    fn offer(&self, bytes: &Arc<[u8]>) {
        let mut content = self.content.lock();
        if content.closed || content.broken {
            return;
        }
        // One message is always taken, however long.
        if content.bytes > 0 && content.bytes + bytes.len() > MOST_BYTES {
            content.pieces.clear();
            content.held = None;
            content.broken = true;
            self.end.iter().for_each(|end| end());
        } else {
            content.bytes += bytes.len() + ITEM;
            match &mut content.held {
                Some(held) => held.push_back(Arc::clone(bytes)),
                None => content.put(Arc::clone(bytes)),
            }
        }
        self.changed.notify_all();
    }

    /// Puts bytes in, and waits until they are written behind what was in it before; not for what comes behind them. `false`
    /// when it is broken.
    pub fn send(&self, bytes: Vec<u8>) -> bool {
        // Not with the lock, for which whoever publishes would wait: they may be many.
        let bytes = bytes.into();
        let mut content = self.content.lock();
        content.put(bytes);
        let own = content.put;
        while let Some(message) = content.held.as_mut().and_then(VecDeque::pop_front) {
            content.put(message);
        }
        content.held = None;
        self.changed.notify_all();
        while !content.broken && content.written < own {
            self.changed.wait(&mut content);
        }
        !content.broken
    }

    /// What to write next, waiting for it; `None` when nothing more will come.
    pub fn next(&self) -> Option<Vec<Arc<[u8]>>> {
        let mut content = self.content.lock();
        // What was taken before is written by now.
        content.written = content.put - content.pieces.len() as u64;
        self.changed.notify_all();
        while content.pieces.is_empty() && !content.closed && !content.broken {
            self.changed.wait(&mut content);
        }
        if content.broken || content.pieces.is_empty() {
            return None;
        }
        content.bytes = 0;
        Some(content.pieces.drain(..).collect())
    }

    /// Says that nothing can be written any more.
    pub fn break_off(&self) {
        let mut content = self.content.lock();
        content.broken = true;
        content.pieces.clear();
        self.changed.notify_all();
    }

    /// Takes nothing more; what is in it goes out.
    pub fn close(&self) {
        self.content.lock().closed = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every listener gets a message once for each way it listens, and none that it does not listen to.
    #[test]
    fn who_gets_what() {
        let (channels, a, b) = (Channels::default(), Arc::new(Outbox::default()), Arc::new(Outbox::default()));
        assert_eq!(channels.publish(b"news", b"x"), 0);
        channels.subscribe(What::Channel, b"news", &a).unwrap();
        channels.subscribe(What::Pattern, b"n*", &a).unwrap();
        channels.subscribe(What::Pattern, b"x*", &b).unwrap();
        assert_eq!((channels.receivers(b"news"), channels.publish(b"news", b"hello")), (2, 2));
        let got: Vec<u8> = a.next().unwrap().concat();
        let expected: &[u8] = b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n\
            *4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n$4\r\nnews\r\n$5\r\nhello\r\n";
        assert_eq!(got, expected);
        assert_eq!(
            (channels.names(None), channels.subscribers(b"news"), channels.patterns()),
            (vec![b"news".to_vec()], 1, 2)
        );
        // In the protocol of each.
        b.set_protocol(Protocol::Resp3);
        channels.subscribe(What::Channel, b"news", &b).unwrap();
        channels.publish(b"news", b"hello");
        assert_eq!(b.next().unwrap().concat(), b">3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n");
        assert!(a.next().unwrap().concat().starts_with(b"*3"));
        channels.unsubscribe(What::Channel, b"news", &b);
        channels.unsubscribe(What::Channel, b"news", &a);
        channels.unsubscribe(What::Pattern, b"n*", &a);
        channels.unsubscribe(What::Pattern, b"n*", &b);
        assert_eq!((channels.publish(b"news", b"hello"), channels.publish(b"xy", b"")), (0, 1));
        b.close();
        assert!(b.next().is_some() && b.next().is_none());
    }

    /// A listener that does not read is dropped when its messages are too many, and keeps none of them; one message fits,
    /// however long it is.
    #[test]
    fn a_slow_one_is_dropped() {
        let (channels, slow) = (Channels::default(), Arc::new(Outbox::default()));
        channels.subscribe(What::Channel, b"c", &slow).unwrap();
        channels.publish(b"c", &vec![0; MOST_BYTES]);
        assert_eq!(slow.next().unwrap().len(), 1);
        for _ in 0..=MOST_BYTES >> 20 {
            channels.publish(b"c", &vec![0; 1 << 20]);
        }
        assert!(slow.next().is_none() && slow.content.lock().pieces.is_empty());
        channels.publish(b"c", b"more");
        assert!(slow.content.lock().pieces.is_empty());
    }

    /// A long reply on its way does not make its reader a slow one.
    #[test]
    fn replies_are_no_messages() {
        let (channels, outbox) = (Channels::default(), Arc::new(Outbox::default()));
        channels.subscribe(What::Channel, b"c", &outbox).unwrap();
        let sender = Arc::clone(&outbox);
        let sender = std::thread::spawn(move || sender.send(vec![0; MOST_BYTES + 1]));
        while outbox.content.lock().pieces.is_empty() {
            std::thread::yield_now();
        }
        channels.publish(b"c", b"message");
        assert_eq!(outbox.next().unwrap().len(), 2);
        outbox.close();
        assert!(outbox.next().is_none() && sender.join().unwrap());
    }

    /// What is sent is written behind what was there before it, and whoever sent it does not wait for what comes after it,
    /// however much that is.
    #[test]
    fn answers_between_messages_without_end() {
        let (channels, outbox) = (Channels::default(), Arc::new(Outbox::default()));
        channels.subscribe(What::Channel, b"c", &outbox).unwrap();
        channels.publish(b"c", b"before");
        let (done, sent) = std::sync::mpsc::channel();
        let sender = Arc::clone(&outbox);
        let sender = std::thread::spawn(move || done.send(sender.send(b"answer".to_vec())));
        let mut written = Vec::new();
        while !written.ends_with(b"answer") {
            written.extend(outbox.next().unwrap().concat());
        }
        assert!(written.starts_with(b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$6\r\nbefore\r\n"));
        assert!(sent.try_recv().is_err(), "it is not written yet");
        // It is never empty from now on.
        channels.publish(b"c", b"after");
        assert_eq!(outbox.next().unwrap().len(), 1);
        channels.publish(b"c", b"more");
        assert_eq!(sent.recv_timeout(std::time::Duration::from_secs(60)), Ok(true));
        sender.join().unwrap().unwrap();
    }

    /// A pattern that takes too long does not fit, and one that is too long is refused.
    #[test]
    fn patterns_are_bounded() {
        assert!(!fits(&b"*a".repeat(2000), &vec![b'a'; 1 << 20]));
        let class = [b"*[".as_slice(), &[b'b'; 4000], b"]a*"].concat();
        assert!(!fits(&class, b"ccba"));
        assert!(fits(b"*[b-d]a*", &[&[b'c'; 500][..], b"a"].concat()));
        let channels = Channels::default();
        let long = vec![b'*'; MAX_PATTERN + 1];
        assert!(channels.subscribe(What::Pattern, &long, &Arc::default()).is_err());
        assert_eq!(channels.patterns(), 0);
    }
}
