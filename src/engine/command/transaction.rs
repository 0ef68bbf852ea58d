//! Transactions: MULTI, EXEC, DISCARD, WATCH, UNWATCH.

use std::cell::RefCell;

use super::table::{self, Command, Run};
use super::watch::Watch;
use super::{Answer, Attempt, Context, Refusal, error, ok};
use crate::engine::error::{Error, ErrorKind};
use crate::engine::format::resp::Reply;
use crate::engine::snapshot::Snapshot;
use crate::engine::types::writing::Writing;

/// What a client has begun and not ended: the commands that EXEC will run, and the keys that it watches.
#[derive(Default)]
pub struct Transaction {
    queue: Option<Queue>,
    watch: Option<Watch>,
}

#[derive(Default)]
struct Queue {
    commands: Vec<(&'static Command, Vec<Vec<u8>>)>,
    bytes: usize,
    /// Whether one of its commands was refused: then EXEC does nothing.
    spoiled: bool,
}

/// The most bytes that the commands of a transaction take together, and that its replies take before nothing more is read.
const MOST_BYTES: usize = 512 << 20;
/// What a command takes besides its words, and a word besides its bytes.
const ITEM: usize = size_of::<Vec<u8>>();

/// Runs a command, or queues it in an open transaction.
pub fn run(
    command: &'static Command,
    transaction: &mut Transaction,
    context: &Context<'_>,
    args: &[Vec<u8>],
) -> Result<Attempt, Refusal> {
    match command.run {
        Run::Transaction(run) => run(transaction, context, args).map(Attempt::Done),
        _ if transaction.is_open() => transaction.queue(command, args).map(Attempt::Done),
        Run::Data(run) => run(context, args).map(Attempt::Done),
        Run::Waiting(run) => run(context, args),
        Run::Connection(_) | Run::Peer => Err(super::of_a_connection(command)),
    }
}

impl Transaction {
    pub fn is_open(&self) -> bool {
        self.queue.is_some()
    }

    /// The commands that EXEC will run.
    pub fn queued(&self) -> impl Iterator<Item = (&'static Command, &[Vec<u8>])> {
        self.queue.iter().flat_map(|queue| queue.commands.iter().map(|(command, args)| (*command, args.as_slice())))
    }

    /// Has EXEC do nothing, since a command was refused.
    pub fn spoil(&mut self) {
        if let Some(queue) = &mut self.queue {
            queue.spoiled = true;
            queue.commands = Vec::new();
        }
    }

    fn queue(&mut self, command: &'static Command, args: &[Vec<u8>]) -> Answer {
        let Some(queue) = &mut self.queue else { return Err(error("no MULTI")) };
        queue.bytes += ITEM + args.iter().map(|arg| ITEM + arg.len()).sum::<usize>();
        let refused = if command.flags & table::NO_MULTI != 0 {
            Some(format!("Can't execute '{}' in MULTI", command.name))
        } else if queue.bytes > MOST_BYTES {
            Some(format!("transaction: got more than {MOST_BYTES} bytes; make it shorter"))
        } else {
            None
        };
        if let Some(refused) = refused {
            self.spoil();
            return Err(error(refused));
        }
        if !queue.spoiled {
            queue.commands.push((command, args.to_vec()));
        }
        Ok(Reply::Simple("QUEUED".into()))
    }
}

pub fn multi(transaction: &mut Transaction, _: &Context<'_>, _: &[Vec<u8>]) -> Answer {
    if transaction.is_open() {
        return Err(error("MULTI calls can not be nested"));
    }
    transaction.queue = Some(Queue::default());
    Ok(ok())
}

pub fn discard(transaction: &mut Transaction, _: &Context<'_>, _: &[Vec<u8>]) -> Answer {
    if !transaction.is_open() {
        return Err(error("DISCARD without MULTI"));
    }
    *transaction = Transaction::default();
    Ok(ok())
}

pub fn watch(transaction: &mut Transaction, context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    if transaction.is_open() {
        return Err(error("WATCH inside MULTI is not allowed"));
    }
    match &mut transaction.watch {
        Some(watch) => watch.add(context.namespace, &args[1..])?,
        None => transaction.watch = Some(Watch::begin(context.namespace, &args[1..])?),
    }
    Ok(ok())
}

pub fn unwatch(transaction: &mut Transaction, _: &Context<'_>, _: &[Vec<u8>]) -> Answer {
    // Behind MULTI it is too late: as in Redis, EXEC still looks.
    if !transaction.is_open() {
        transaction.watch = None;
    }
    Ok(ok())
}

/// All commands at one moment, and what they write as one entry. A command that fails leaves none of its own records and
/// does not keep the others from being done.
pub fn exec(transaction: &mut Transaction, context: &Context<'_>, _: &[Vec<u8>]) -> Answer {
    let Transaction { queue, watch } = std::mem::take(transaction);
    let Some(queue) = queue else { return Err(error("EXEC without MULTI")) };
    if queue.spoiled {
        return Err(Refusal::Text("EXECABORT Transaction discarded because of previous errors.".to_owned()));
    }
    let instance = context.namespace.instance();
    let mut watch = watch;
    if let Some(watch) = &mut watch {
        // Most of the log is read here, where nobody waits for it.
        watch.look(&instance.generation()?.store)?;
    }
    if !queue.commands.iter().any(|(command, _)| command.flags & table::WRITE != 0) {
        let guard = instance.lock()?;
        context.namespace.admit(&guard.generation)?;
        if let Some(watch) = &mut watch
            && watch.look(&guard.generation.store)?
        {
            return Ok(Reply::NilArray);
        }
        // All see the same, and nobody waits for them however much they read.
        let snapshot = Snapshot::of(&guard, instance).of_namespace(context.namespace);
        drop(guard);
        return Ok(run_all(&queue, &Context { transaction: None, snapshot: Some(&snapshot), ..*context }, None));
    }
    let replies = instance.write(None, |generation, batch| {
        context.namespace.admit(generation)?;
        if let Some(watch) = &mut watch
            && watch.look(&generation.store)?
        {
            return Ok(Reply::NilArray);
        }
        let writing = RefCell::new(Writing::new(&generation.store, context.namespace.prefix(), batch));
        let context = Context { transaction: Some(&writing), ..*context };
        Ok::<_, Error>(run_all(&queue, &context, Some(&writing)))
    })?;
    Ok(replies)
}

fn run_all(queue: &Queue, context: &Context<'_>, writing: Option<&RefCell<Writing<'_>>>) -> Reply {
    let mut replies = Vec::with_capacity(queue.commands.len());
    let mut bytes = 0;
    for (command, args) in &queue.commands {
        let reply = if bytes > MOST_BYTES {
            let message =
                format!("EXEC: the replies before it have more than {MOST_BYTES} bytes; ask for less at a time");
            Refusal::from(Error::new(ErrorKind::InvalidArgument, message)).reply()
        } else {
            step(command, context, args, writing)
        };
        bytes += cost(&reply);
        replies.push(reply);
    }
    Reply::Array(replies)
}

/// One command among others. Where it fails it leaves nothing of what it has written.
pub fn step(
    command: &'static Command,
    context: &Context<'_>,
    args: &[Vec<u8>],
    writing: Option<&RefCell<Writing<'_>>>,
) -> Reply {
    let mark = writing.map(|writing| writing.borrow_mut().begin());
    attempt(command, context, args).unwrap_or_else(|refusal| {
        if let (Some(writing), Some(mark)) = (writing, mark) {
            writing.borrow_mut().roll_back(mark);
        }
        refusal.reply()
    })
}

/// One command, which waits for nothing.
pub fn attempt(command: &'static Command, context: &Context<'_>, args: &[Vec<u8>]) -> Answer {
    match command.run {
        Run::Data(run) => run(context, args),
        Run::Waiting(run) => match run(context, args)? {
            Attempt::Done(reply) => Ok(reply),
            Attempt::Wait(wait) => Ok(wait.late),
        },
        Run::Transaction(_) | Run::Connection(_) | Run::Peer => Err(super::of_a_connection(command)),
    }
}

/// About how many bytes a reply takes.
pub fn cost(reply: &Reply) -> usize {
    size_of::<Reply>()
        + match reply {
            Reply::Bulk(bytes) => bytes.len(),
            Reply::Simple(text) | Reply::Error(text) | Reply::Double(text) | Reply::Verbatim(text) => text.len(),
            Reply::Array(items)
            | Reply::Map(items)
            | Reply::Keyed(items)
            | Reply::Pairs(items)
            | Reply::Set(items)
            | Reply::Push(items) => items.iter().map(cost).sum(),
            Reply::Either(forms) => forms.iter().map(cost).sum(),
            Reply::Integer(_) | Reply::Nil | Reply::NilArray => 0,
        }
}
