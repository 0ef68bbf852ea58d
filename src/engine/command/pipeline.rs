//! Writes that a client has sent one behind the other, without waiting for the replies between.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use super::table::{self, Command, Run};
use super::{Context, Refusal, transaction};
use crate::engine::clock;
use crate::engine::error::Error;
use crate::engine::format::resp::Reply;
use crate::engine::types::writing::Writing;

/// Writes that are still to be done. They are done under one lock and become one entry where it is not long: each as if it
/// had come alone, in the order in which they came.
#[derive(Default)]
pub struct Pipeline {
    commands: Vec<(&'static Command, Vec<Vec<u8>>)>,
    bytes: usize,
}

/// The most writes of one client, and about how many bytes of them, of an entry and of replies, that are done under one
/// lock.
const MOST: usize = 128;
const MOST_BYTES: usize = 256 << 10;
/// How long they may take before others may write.
const MOST_TIME: Duration = Duration::from_millis(5);

impl Pipeline {
    /// Whether a command can be done together with others.
    pub fn takes(command: &Command, args: &[Vec<u8>]) -> bool {
        matches!(command.run, Run::Data(_))
            && command.flags & (table::WRITE | table::NO_MULTI | table::ALONE) == table::WRITE
            && args.iter().map(Vec::len).sum::<usize>() < MOST_BYTES
    }

    pub fn push(&mut self, command: &'static Command, args: Vec<Vec<u8>>) {
        self.bytes += args.iter().map(Vec::len).sum::<usize>();
        self.commands.push((command, args));
    }

    /// Takes over those of another, behind its own.
    pub fn append(&mut self, other: &mut Pipeline) {
        self.commands.append(&mut other.commands);
        self.bytes += std::mem::take(&mut other.bytes);
    }

    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// The one that came last.
    pub fn last(&self) -> Option<&'static Command> {
        self.commands.last().map(|(command, _)| *command)
    }

    pub fn is_full(&self) -> bool {
        self.commands.len() >= MOST || self.bytes >= MOST_BYTES
    }

    /// Takes away the last ones.
    pub fn split_off(&mut self, at: usize) -> Pipeline {
        let commands = self.commands.split_off(at);
        let bytes = commands.iter().flat_map(|(_, args)| args).map(Vec::len).sum();
        self.bytes = self.bytes.saturating_sub(bytes);
        Pipeline { commands, bytes }
    }

    /// The words of all.
    pub fn into_args(self) -> impl DoubleEndedIterator<Item = Vec<Vec<u8>>> {
        self.commands.into_iter().map(|(_, args)| args)
    }

    /// Does them, and gives their replies in their order: all, or those of the entries that are begun before `until`. What
    /// keeps an entry from being written is the answer to all that would have been in it, and to the rest.
    pub fn run(
        &self,
        context: &Context<'_>,
        until: Option<Instant>,
        mut reply: impl FnMut(Reply),
    ) -> Result<(), Refusal> {
        let mut rest = self.commands.as_slice();
        let late = || until.is_some_and(|until| clock::instant() >= until);
        while !rest.is_empty() && (rest.len() == self.commands.len() || !late()) {
            let replies = context.namespace.instance().write(None, |generation, batch| {
                context.namespace.admit(generation)?;
                let writing = RefCell::new(Writing::new(&generation.store, context.namespace.prefix(), batch));
                let context = Context { transaction: Some(&writing), ..*context };
                let (mut replies, mut bytes) = (Vec::with_capacity(rest.len()), 0);
                // Nobody gets in line while this is done.
                let until = clock::after(MOST_TIME);
                let waited = generation.store.serves_anybody();
                for (command, args) in rest {
                    let from = writing.borrow().len_bytes();
                    let answer = transaction::step(command, &context, args, Some(&writing));
                    bytes += transaction::cost(&answer);
                    replies.push(answer);
                    let writing = writing.borrow();
                    let long = bytes.max(writing.len_bytes()) >= MOST_BYTES || clock::instant() >= until;
                    // Who waits for what this one brings is served before the next.
                    if long || (waited && writing.brings_since(from)) {
                        break;
                    }
                }
                Ok::<_, Error>(replies)
            });
            let replies = replies?;
            rest = rest.get(replies.len()..).unwrap_or_default();
            replies.into_iter().for_each(&mut reply);
        }
        Ok(())
    }
}
