//! Commands in the process itself, without a socket.

use super::table::{self, Run};
use std::ops::ControlFlow;
use std::time::Duration;

use super::line::Line;
use super::transaction::{self, Transaction};
use super::{Answer, Attempt, Context, Refusal, Wait};
use crate::engine::clock;
use crate::engine::error::{self, Error, ErrorKind};
use crate::engine::format::key::DEFAULT_NAMESPACE;
use crate::engine::format::resp::Reply;
use crate::engine::namespace::Namespace;
use crate::engine::snapshot::SnapshotNamespace;
use crate::engine::waiters::Woken;

impl Namespace {
    /// Runs a command of Redis on the keys of this namespace, in this process: the name, then its arguments. What a Redis
    /// would answer comes as a value. A command is one entry of the log at most, durable as a write is.
    ///
    /// On the default namespace it may do what an admin of a listener may: `CONFIG`, `NAMESPACE`, `REPLICAOF`. Commands that
    /// belong to a connection (`AUTH`, `MULTI`, `SUBSCRIBE`) are Unsupported. One that waits (`BLPOP` and its kin,
    /// `XREAD BLOCK`, `XREADGROUP BLOCK`) waits no time here, whatever time-out it names: where there is nothing it answers at
    /// once what it would answer when that is over, [`Reply::NilArray`] or [`Reply::Nil`]. Who must wait asks a listener.
    ///
    /// An error reply is an error with the server's words as its message: WrongType, ReadOnly, else of the kind that the
    /// failure has, and InvalidArgument for what is wrong with the command itself.
    ///
    /// ```
    /// use pumice::Reply;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let engine = pumice::Engine::open(dir.path(), &pumice::Options::default())?;
    /// let namespace = engine.default_namespace();
    /// assert_eq!(namespace.execute(&["SET", "ada", "countess", "NX"])?, Reply::Simple("OK".to_owned()));
    /// assert_eq!(namespace.execute(&["MGET", "ada", "nobody"])?, Reply::Array(vec![Reply::bulk("countess"), Reply::Nil]));
    /// let refused = namespace.execute(&["SET", "ada", "countess", "EX", "soon"]).unwrap_err();
    /// assert_eq!(refused.message(), "ERR value is not an integer or out of range");
    /// # Ok::<(), pumice::Error>(())
    /// ```
    pub fn execute(&self, args: &[impl AsRef<[u8]>]) -> error::Result<Reply> {
        let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.as_ref().to_vec()).collect();
        self.execute_words(&args)
    }

    /// [`Namespace::execute`], for who has made words of its own already.
    pub(crate) fn execute_words(&self, args: &[Vec<u8>]) -> error::Result<Reply> {
        self.run(args).map(Reply::plain).map_err(Refusal::into_error)
    }

    fn run(&self, args: &[Vec<u8>]) -> Answer {
        let command = table::find(args)?;
        if matches!(command.run, Run::Transaction(_)) {
            return Err(super::of_a_connection(command));
        }
        // Also what reads no key is closed with the engine.
        self.instance().generation()?;
        match Session::new(self).attempt(args)? {
            Attempt::Done(reply) => Ok(reply),
            Attempt::Wait(wait) => Ok(wait.late),
        }
    }
}

impl SnapshotNamespace {
    /// Runs a command of Redis that only reads, on the keys as they were then: `HGETALL`, `ZRANGE`, `SCAN`, `XREAD`, of every
    /// type. Replies and errors are those of [`Namespace::execute`]; expiries are those of then, compared with the clock of
    /// now.
    ///
    /// A command that may write is ReadOnly, also where it would not: `SORT`, `GEORADIUS` and `BITFIELD` have a form with
    /// `_RO` that does not. One about the engine or a connection (`INFO`, `AUTH`) is Unsupported. Of two calls on one
    /// snapshot both see the same.
    ///
    /// ```
    /// use pumice::Reply;
    ///
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let engine = pumice::Engine::open(dir.path(), &pumice::Options::default())?;
    /// let namespace = engine.default_namespace();
    /// namespace.execute(&["HSET", "ada", "born", "1815"])?;
    /// let then = engine.snapshot()?.default_namespace();
    /// namespace.execute(&["DEL", "ada"])?;
    /// let found = then.execute(&["HGETALL", "ada"])?;
    /// assert_eq!(found, Reply::Array(vec![Reply::bulk("born"), Reply::bulk("1815")]));
    /// assert_eq!(then.execute(&["DEL", "ada"]).unwrap_err().kind(), pumice::ErrorKind::ReadOnly);
    /// # Ok::<(), pumice::Error>(())
    /// ```
    pub fn execute(&self, args: &[impl AsRef<[u8]>]) -> error::Result<Reply> {
        let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.as_ref().to_vec()).collect();
        self.execute_words(&args)
    }

    /// [`SnapshotNamespace::execute`], for who has made words of its own already.
    pub(crate) fn execute_words(&self, args: &[Vec<u8>]) -> error::Result<Reply> {
        let command = table::find(args).map_err(Refusal::into_error)?;
        let refused = |kind, why| Err(Error::new(kind, format!("{} on a snapshot: {why}", command.name)));
        if command.flags & table::WRITE != 0 {
            return refused(
                ErrorKind::ReadOnly,
                "it may write; run it on a namespace of the engine, or what only reads",
            );
        }
        // What may be a part of a transaction reads by its context, wherever that reads.
        let reads = matches!(command.run, Run::Data(_) | Run::Waiting(_)) && command.name != "pubsub";
        if command.flags & table::NO_MULTI != 0 || !reads {
            return refused(ErrorKind::Unsupported, "it does not read keys; run it on a namespace of the engine");
        }
        let namespace = self.namespace();
        // Also what reads no key is closed with the engine.
        namespace.instance().generation()?;
        let context = Context { namespace, admin: false, server: None, transaction: None, snapshot: Some(self) };
        let answer = command.check(args, false).and_then(|()| transaction::attempt(command, &context, args));
        answer.map(Reply::plain).map_err(Refusal::into_error)
    }
}

/// A client in this process: what a connection is to a listener, without a socket.
pub struct Session {
    namespace: Namespace,
    transaction: Transaction,
}

impl Session {
    pub fn new(namespace: &Namespace) -> Session {
        Session { namespace: namespace.clone(), transaction: Transaction::default() }
    }

    /// Runs a command as a connection would, with a reply in the kinds of RESP3. What fails is a reply, but for Closed. One that waits asks now and then
    /// whether it may go on, and ends with Busy when not.
    #[cfg_attr(not(feature = "python"), allow(dead_code, reason = "for the face that has clients in the process"))]
    pub fn execute(&mut self, args: &[Vec<u8>], go_on: &mut dyn FnMut() -> ControlFlow<()>) -> error::Result<Reply> {
        let answer = match self.attempt(args) {
            Ok(Attempt::Wait(wait)) => self.wait(wait, go_on),
            Ok(Attempt::Done(reply)) => Ok(reply),
            Err(refusal) => Err(refusal),
        };
        match answer {
            Ok(reply) => Ok(reply),
            Err(Refusal::Engine(e)) if matches!(e.kind(), ErrorKind::Closed | ErrorKind::Busy) => Err(e),
            Err(refusal) => Ok(refusal.reply()),
        }
    }

    /// Waits for what a command waits for, until its time is over.
    fn wait(&mut self, wait: Wait, go_on: &mut dyn FnMut() -> ControlFlow<()>) -> Answer {
        let mut line = Line::new(&wait)?;
        let waited = self.wait_in(&mut line, &wait, go_on);
        // What it was given until then is nobody else's any more.
        waited.or_else(|refusal| line.leave(&self.namespace).unwrap_or(Err(refusal)))
    }

    fn wait_in(&self, line: &mut Line, wait: &Wait, go_on: &mut dyn FnMut() -> ControlFlow<()>) -> Answer {
        /// How long it waits before it asks whether to go on.
        const TICK: Duration = Duration::from_millis(50);
        let deadline = wait.timeout.map(clock::after);
        let waiter = line.waiter();
        loop {
            if let Some(reply) = line.attempt(&self.namespace)? {
                return Ok(reply);
            }
            while waiter.wait(None, Some(clock::after(TICK).min(deadline.unwrap_or_else(|| clock::after(TICK)))))?
                == Woken::Late
            {
                if deadline.is_some_and(|deadline| deadline <= clock::instant()) {
                    return line.leave(&self.namespace).unwrap_or_else(|| Ok(wait.late.clone()));
                }
                if go_on().is_break() {
                    return Err(Error::new(ErrorKind::Busy, "cancelled by the caller while it waited").into());
                }
            }
            if let Some(given) = line.given(&self.namespace) {
                return given;
            }
        }
    }

    fn attempt(&mut self, args: &[Vec<u8>]) -> Result<Attempt, Refusal> {
        // As on a listener: whoever holds the default namespace is an admin.
        let admin = self.namespace.name() == DEFAULT_NAMESPACE;
        let found = table::find(args).and_then(|command| command.check(args, admin).map(|()| command));
        let command = found.inspect_err(|_| self.transaction.spoil())?;
        let context = Context { namespace: &self.namespace, admin, server: None, transaction: None, snapshot: None };
        transaction::run(command, &mut self.transaction, &context, args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::engine::Engine;
    use crate::engine::options::Options;

    /// What somebody was given while the caller said to wait no longer is not lost.
    #[test]
    fn given_and_cancelled() {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path(), &Options::default()).unwrap();
        let namespace = engine.default_namespace();
        let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
        let mut asked = 0;
        let reply = Session::new(&namespace).execute(&words("BLPOP l 0"), &mut || {
            asked += 1;
            namespace.execute(&["RPUSH", "l", "x"]).unwrap();
            ControlFlow::Break(())
        });
        assert_eq!(reply.unwrap(), Reply::Array(vec![Reply::bulk("l"), Reply::bulk("x")]));
        assert_eq!((asked, namespace.execute(&["LLEN", "l"]).unwrap()), (1, Reply::Integer(0)));
        let reply = Session::new(&namespace).execute(&words("BLPOP l 0"), &mut || ControlFlow::Break(()));
        assert_eq!(reply.unwrap_err().kind(), ErrorKind::Busy);
    }
}
