//! Commands in the process itself, without a socket.

use super::table::{self, Run};
use super::{Answer, Context, Refusal};
use crate::engine::error::{Error, ErrorKind, Result};
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
    pub fn execute(&self, args: &[impl AsRef<[u8]>]) -> Result<Reply> {
        let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.as_ref().to_vec()).collect();
        self.run(&args).map_err(Refusal::into_error)
    }

    fn run(&self, args: &[Vec<u8>]) -> Answer {
        let command = table::find(args)?;
        let context = self.context();
        command.check(args, context.admin)?;
        match command.run {
            Run::Data(run) => run(&context, args),
            Run::Connection(_) | Run::Peer => {
                let message = format!("{}: it belongs to a connection; serve() the engine", command.name);
                Err(Error::new(ErrorKind::Unsupported, message).into())
            }
        }
    }

    /// What commands in this process run on.
    fn context(&self) -> Context<'_> {
        Context { namespace: self, admin: self.name() == DEFAULT_NAMESPACE, server: None, transaction: None }
    }
}
