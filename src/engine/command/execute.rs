//! Commands in the process itself, without a socket.

use super::table::{self, Run};
use super::transaction::{self, Transaction};
use super::{Answer, Attempt, Context, Refusal};
use crate::engine::error::{self, ErrorKind};
use crate::engine::format::key::DEFAULT_NAMESPACE;
use crate::engine::format::resp::Reply;
use crate::engine::namespace::Namespace;

impl Namespace {
    /// Runs a command of Redis on the keys of this namespace, in this process: the name, then its arguments. What a Redis
    /// would answer comes as a value. A command is one entry of the log at most, durable as a write is.
    ///
    /// On the default namespace it may do what an admin of a listener may: `CONFIG`, `NAMESPACE`, `REPLICAOF`. Commands that
    /// belong to a connection (`AUTH`, `MULTI`, `SUBSCRIBE`) are Unsupported. One that waits for an element, like
    /// `BLPOP`, waits no time here.
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
        self.run(&args).map_err(Refusal::into_error)
    }

    fn run(&self, args: &[Vec<u8>]) -> Answer {
        let command = table::find(args)?;
        if matches!(command.run, Run::Transaction(_)) {
            return Err(super::of_a_connection(command));
        }
        match Session::new(self).attempt(args)? {
            Attempt::Done(reply) => Ok(reply),
            Attempt::Wait(wait) => Ok(wait.late),
        }
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

    /// Runs a command as a connection would. What fails is a reply, but for Closed.
    #[cfg_attr(not(feature = "python"), allow(dead_code, reason = "for the face that has clients in the process"))]
    pub fn execute(&mut self, args: &[Vec<u8>]) -> error::Result<Reply> {
        match self.attempt(args) {
            Ok(Attempt::Done(reply)) => Ok(reply),
            Ok(Attempt::Wait(wait)) => Ok(wait.late),
            Err(Refusal::Engine(closed)) if closed.kind() == ErrorKind::Closed => Err(closed),
            Err(refusal) => Ok(refusal.reply()),
        }
    }

    fn attempt(&mut self, args: &[Vec<u8>]) -> Result<Attempt, Refusal> {
        // As on a listener: whoever holds the default namespace is an admin.
        let admin = self.namespace.name() == DEFAULT_NAMESPACE;
        let found = table::find(args).and_then(|command| command.check(args, admin).map(|()| command));
        let command = found.inspect_err(|_| self.transaction.spoil())?;
        let context = Context { namespace: &self.namespace, admin, server: None, transaction: None };
        transaction::run(command, &mut self.transaction, &context, args)
    }
}
