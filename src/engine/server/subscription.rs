//! Connections that listen to channels: SUBSCRIBE and its kin.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::connection::Connection;
use super::listener::STACK_BYTES;
use super::stream::Stream;
use crate::engine::channels::{Channels, Outbox, What};
use crate::engine::command::{Answer, Refusal, bulk, error, integer, is};
use crate::engine::error::{Error, Result};
use crate::engine::format::resp::{Protocol, Reply};

/// What a connection listens to. From the first subscription on, a thread of its own writes all that goes to the other
/// side: messages come at any time.
pub struct Subscription {
    channels: Arc<Channels>,
    outbox: Arc<Outbox>,
    writer: Option<JoinHandle<()>>,
    names: BTreeSet<Vec<u8>>,
    patterns: BTreeSet<Vec<u8>>,
    bytes: usize,
}

/// The most bytes that the names of one connection take.
const MOST_BYTES: usize = 16 << 20;
/// The most patterns of one connection: each is held against every message while writers wait.
const MOST_PATTERNS: usize = 1 << 10;
/// What a name takes besides its bytes.
const ITEM: usize = 128;

impl Subscription {
    fn begin(channels: &Arc<Channels>, stream: &Arc<Stream>) -> Result<Subscription> {
        let slow = Arc::clone(stream);
        let outbox = Arc::new(Outbox::new(move || slow.shutdown()));
        let (source, stream) = (Arc::clone(&outbox), Arc::clone(stream));
        let writer = thread::Builder::new().name("pumice-messages".to_owned()).stack_size(STACK_BYTES);
        let writer = writer.spawn(move || {
            while let Some(pieces) = source.next() {
                if pieces.iter().any(|piece| (&*stream).write_all(piece).is_err()) {
                    // The connection's other thread is woken by it.
                    stream.shutdown();
                    break;
                }
            }
            source.break_off();
        });
        let writer = writer.map_err(|e| Error::io("start a thread that writes messages", e))?;
        Ok(Subscription {
            channels: Arc::clone(channels),
            outbox,
            writer: Some(writer),
            names: BTreeSet::new(),
            patterns: BTreeSet::new(),
            bytes: 0,
        })
    }

    /// Writes bytes behind all that is on its way. `false` when nobody reads them.
    pub fn send(&self, bytes: Vec<u8>) -> bool {
        self.outbox.send(bytes)
    }

    /// How messages are written from now on.
    pub fn set_protocol(&self, protocol: Protocol) {
        self.outbox.set_protocol(protocol);
    }

    /// How many channels and patterns it listens to.
    pub fn count(&self) -> usize {
        self.names.len() + self.patterns.len()
    }

    fn names(&mut self, what: What) -> &mut BTreeSet<Vec<u8>> {
        match what {
            What::Channel => &mut self.names,
            What::Pattern => &mut self.patterns,
        }
    }

    fn add(&mut self, what: What, name: &[u8]) -> std::result::Result<(), Refusal> {
        if self.names(what).contains(name) {
            return Ok(());
        }
        if self.bytes + name.len() + ITEM > MOST_BYTES {
            return Err(error(format_args!(
                "subscriptions: got more than {MOST_BYTES} bytes of names in one connection"
            )));
        }
        if what == What::Pattern && self.names(what).len() >= MOST_PATTERNS {
            return Err(error(format_args!("subscriptions: got more than {MOST_PATTERNS} patterns in one connection")));
        }
        self.outbox.hold();
        self.channels.subscribe(what, name, &self.outbox)?;
        self.bytes += name.len() + ITEM;
        self.names(what).insert(name.to_vec());
        Ok(())
    }

    fn remove(&mut self, what: What, name: &[u8]) {
        if self.names(what).remove(name) {
            self.bytes -= name.len() + ITEM;
            self.channels.unsubscribe(what, name, &self.outbox);
        }
    }

    /// Listens to nothing any more.
    pub fn clear(&mut self) {
        for what in [What::Channel, What::Pattern] {
            for name in std::mem::take(self.names(what)) {
                self.channels.unsubscribe(what, &name, &self.outbox);
            }
        }
        self.bytes = 0;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.clear();
        self.outbox.close();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// SUBSCRIBE and PSUBSCRIBE.
pub fn subscribe(connection: &mut Connection, args: &[Vec<u8>]) -> Answer {
    let (verb, what) = match is(&args[0], "subscribe") {
        true => ("subscribe", What::Channel),
        false => ("psubscribe", What::Pattern),
    };
    if connection.subscription.is_none() {
        // What was answered before goes out first.
        connection.flush()?;
        let channels = Arc::clone(&connection.node()?.instance.channels);
        let subscription = Subscription::begin(&channels, &connection.client().stream)?;
        subscription.set_protocol(connection.protocol());
        connection.subscription = Some(subscription);
    }
    each(connection, verb, &args[1..], |subscription, name| subscription.add(what, name))
}

/// UNSUBSCRIBE and PUNSUBSCRIBE: of some, or of all.
pub fn unsubscribe(connection: &mut Connection, args: &[Vec<u8>]) -> Answer {
    let (verb, what) = match is(&args[0], "unsubscribe") {
        true => ("unsubscribe", What::Channel),
        false => ("punsubscribe", What::Pattern),
    };
    let all: Vec<Vec<u8>>;
    let names = match &connection.subscription {
        Some(subscription) if args.len() == 1 => {
            all = match what {
                What::Channel => subscription.names.iter().cloned().collect(),
                What::Pattern => subscription.patterns.iter().cloned().collect(),
            };
            &all[..]
        }
        _ => &args[1..],
    };
    if names.is_empty() {
        let left = connection.subscription.as_ref().map_or(0, Subscription::count);
        return Ok(Reply::Push(vec![bulk(verb), Reply::Nil, integer(left as u64)]));
    }
    each(connection, verb, names, |subscription, name| {
        subscription.remove(what, name);
        Ok(())
    })
}

/// A reply for each name; the last is the answer.
fn each(
    connection: &mut Connection,
    verb: &str,
    names: &[Vec<u8>],
    change: impl Fn(&mut Subscription, &[u8]) -> std::result::Result<(), Refusal>,
) -> Answer {
    let mut last = None;
    for name in names {
        if let Some(reply) = last.take() {
            connection.reply(&reply);
        }
        let count = match &mut connection.subscription {
            Some(subscription) => {
                change(subscription, name)?;
                subscription.count()
            }
            None => 0,
        };
        last = Some(Reply::Push(vec![bulk(verb), bulk(name.clone()), integer(count as u64)]));
    }
    last.ok_or_else(|| error("wrong number of arguments"))
}
