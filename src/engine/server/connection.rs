//! One connection: requests in, replies out, on a thread that it shares with others or on one of its own.

use std::io::{ErrorKind as IoKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::Server;
use super::client::Client;
use super::peer::{self, Flow};
use super::session::Authority;
use super::subscription::Subscription;
use crate::engine::clock;
use crate::engine::command::line::Line;
use crate::engine::command::pipeline::Pipeline;
use crate::engine::command::table::{self, Command, Run};
use crate::engine::command::transaction::{self, Transaction};
use crate::engine::command::{self, Attempt, Context, Refusal, Wait};
use crate::engine::engine::Engine;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::resp::{Limits, Protocol, Reply, RequestParser};
use crate::engine::namespace::Namespace;
use crate::engine::replication::node::Node;
use crate::engine::replication::served::Reading;
use crate::engine::replication::session::primary::PrimarySession;
use crate::engine::waiters::Woken;

/// One connection of a listener.
pub struct Connection {
    server: Arc<Server>,
    client: Arc<Client>,
    authority: Authority,
    /// The registry in which the authority was last found.
    seen: u64,
    parser: RequestParser,
    output: Vec<u8>,
    protocol: Protocol,
    /// What requests run on: held while one read's requests are answered, and never while it waits.
    work: Option<Work>,
    /// When it must have said who it is.
    deadline: Option<Instant>,
    closing: bool,
    /// While others wait for their turn: until when it may take its own, in which it does only what takes a moment.
    until: Option<Instant>,
    /// Whether that was not time enough for all that has come.
    late: bool,
    /// Whether it asked for more than a moment once.
    alone: bool,
    /// A request for which it needs a thread of its own.
    held: Option<Vec<Vec<u8>>>,
    /// The command that was looked up last.
    latest: Option<&'static Command>,
    /// Writes that came together and have no reply yet.
    pipeline: Pipeline,
    /// What it has begun with MULTI or WATCH.
    pub transaction: Transaction,
    /// What it listens to, once it has listened to anything.
    pub subscription: Option<Subscription>,
    /// Whether it reads from a replica: see READONLY.
    pub reads_replica: bool,
    /// The conversation of a replica, once it has begun one.
    pub primary: Option<PrimarySession>,
    /// While it reads a checkpoint.
    pub reading: Option<Reading>,
}

struct Work {
    engine: Engine,
    namespace: Namespace,
}

/// What a connection needs next.
pub enum Turn {
    /// A thread that tells it when something comes.
    Shared,
    /// That its writes are done, perhaps with those of others: [`Connection::write_together`], then
    /// [`Connection::end_turn`].
    Writes,
    /// A thread of its own.
    Alone,
    /// Nothing: it is over.
    Over,
}

/// What is read at a time.
pub const READ_BYTES: usize = 64 << 10;
/// How long a turn on a shared thread may take, how much longer nobody takes twice, and what may wait there to become a
/// request.
const MOST_TIME: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_millis(100);
const MOST_UNREAD: usize = 1 << 20;
/// How much is held back to be written at once.
const WRITE_BYTES: usize = 1 << 20;

impl Drop for Connection {
    fn drop(&mut self) {
        self.client.stream.shutdown();
        self.server.clients.leave(&self.client);
    }
}

impl Connection {
    pub fn new(server: &Arc<Server>, client: &Arc<Client>) -> Connection {
        let mut connection = Connection {
            server: Arc::clone(server),
            client: Arc::clone(client),
            authority: Authority::Nobody,
            seen: 0,
            parser: RequestParser::new(Limits::default()),
            output: Vec::new(),
            protocol: Protocol::default(),
            work: None,
            deadline: None,
            closing: false,
            until: None,
            late: false,
            alone: false,
            held: None,
            latest: None,
            pipeline: Pipeline::default(),
            transaction: Transaction::default(),
            subscription: None,
            reads_replica: false,
            primary: None,
            reading: None,
        };
        connection.set_authority(connection.first_authority());
        connection
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    pub fn is_admin(&self) -> bool {
        self.authority == Authority::Admin
    }

    /// The engine; Closed when it is gone. While it is held its drop by the user does not end it: let it go before
    /// waiting for the other side.
    pub fn node(&self) -> Result<Arc<Node>> {
        self.server.node()
    }

    /// What a connection is before it says who it is: an admin where there is no password.
    pub fn first_authority(&self) -> Authority {
        match self.server.options.password {
            Some(_) => Authority::Nobody,
            None => Authority::Admin,
        }
    }

    pub fn set_authority(&mut self, authority: Authority) {
        let nobody = authority == Authority::Nobody;
        // A stranger needs little room.
        let few = Limits { count: 16, bulk: 16 << 10, line: 16 << 10, total: 64 << 10, ..Limits::default() };
        self.parser.set_limits(if nobody { few } else { Limits::default() });
        // A stranger who becomes one again has no more time than before.
        let deadline = self.deadline.unwrap_or_else(|| clock::after(self.server.options.authenticate_timeout));
        self.deadline = nobody.then_some(deadline);
        self.client.sees(&String::from_utf8_lossy(authority.namespace().unwrap_or_default()));
        self.authority = authority;
        self.seen = 0;
        self.work = None;
    }

    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// How replies and messages are written from now on.
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
        self.subscription.iter().for_each(|subscription| subscription.set_protocol(protocol));
    }

    /// Ends the connection when all that was asked before has its reply.
    pub fn close_after_reply(&mut self) {
        self.closing = true;
    }

    /// Appends a reply to what is written next.
    pub fn reply(&mut self, reply: &Reply) {
        reply.encode_in(self.protocol, &mut self.output);
    }

    /// Appends a reply as it goes over the wire.
    pub fn reply_bytes(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Writes all replies so far. Io when the other side is gone, or reads nothing for the send timeout.
    pub fn flush(&mut self) -> Result<()> {
        self.work = None;
        if let Some(subscription) = &self.subscription {
            let output = std::mem::take(&mut self.output);
            if output.is_empty() || subscription.send(output) {
                return Ok(());
            }
            return Err(Error::new(ErrorKind::Closed, "the other side reads nothing"));
        }
        if self.until.is_some() {
            if self.output.is_empty() {
                return Ok(());
            }
            let sent = self.client.stream.try_write(&self.output);
            let sent = sent.map_err(|e| Error::io(format!("write to {}", self.client.address), e))?;
            self.output.drain(..sent);
            return Ok(());
        }
        let mut output = std::mem::take(&mut self.output);
        self.write(&output).map_err(|e| Error::io(format!("write to {}", self.client.address), e))?;
        if output.capacity() <= 2 * WRITE_BYTES {
            output.clear();
            self.output = output;
        }
        Ok(())
    }

    fn write(&self, bytes: &[u8]) -> std::io::Result<()> {
        (&*self.client.stream).write_all(bytes)
    }

    /// Writes bytes, behind all replies so far.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.flush()?;
        self.write(bytes).map_err(|e| Error::io(format!("write to {}", self.client.address), e))
    }

    /// What the other side has sent beyond the requests that were handled.
    pub fn take_unread(&mut self) -> Vec<u8> {
        self.parser.take_rest()
    }

    /// Whether it may be served on a thread that serves others, too: while it is known who it is, speaks no TLS, and has asked
    /// only for what takes a moment and was done.
    pub fn may_share(&self) -> bool {
        let simple = !self.alone && self.deadline.is_none() && self.subscription.is_none();
        let done = self.pipeline.is_empty() && self.held.is_none() && !self.late;
        simple && done && self.server.shares_threads() && self.client.stream.is_plain()
    }

    /// Reads what has come and answers it, without waiting for the other side.
    pub fn turn(&mut self, buffer: &mut [u8]) -> Turn {
        match self.client.stream.try_read(buffer) {
            Ok(None) => return Turn::Shared,
            Ok(Some(read)) if read > 0 => self.parser.push(&buffer[..read]),
            _ => return Turn::Over,
        }
        self.go_on_turn()
    }

    /// Answers what has come, up to the next writes. Those of before are done, or left for a thread of its own.
    pub fn go_on_turn(&mut self) -> Turn {
        self.until = Some(clock::after(MOST_TIME));
        let goes_on = self.pipeline.is_empty() && !self.alone && !self.closing && !self.late;
        if !goes_on {
            return self.end_turn();
        }
        self.closing = self.answer_all() == Flow::Close;
        self.alone |= self.parser.unread() > MOST_UNREAD;
        if self.pipeline.is_empty() { self.end_turn() } else { Turn::Writes }
    }

    /// Sends what was answered.
    pub fn end_turn(&mut self) -> Turn {
        let flushed = self.flush();
        self.until = None;
        // A reply that the socket did not take whole is waited for elsewhere. So are writes for which there was no time.
        self.alone |= !self.output.is_empty();
        match flushed {
            Err(_) => Turn::Over,
            Ok(()) if self.closing && self.output.is_empty() => Turn::Over,
            Ok(()) if self.may_share() => Turn::Shared,
            Ok(()) => Turn::Alone,
        }
    }

    /// Whether what both ask is done with the same rights in the same namespace.
    pub fn works_as(&self, other: &Connection) -> bool {
        self.authority.namespace() == other.authority.namespace() && self.is_admin() == other.is_admin()
    }

    /// Goes on where it may: on a shared thread, or on one of its own. Where none can be started it ends.
    pub fn go_on(mut self) {
        let server = Arc::clone(&self.server);
        if self.may_share() {
            return server.share(self);
        }
        let _ = server.start("pumice-client", move || {
            if let Turn::Shared = self.run() {
                self.go_on();
            }
        });
    }

    /// Reads and answers until one side ends it, or it may share a thread.
    pub fn run(&mut self) -> Turn {
        if !Arc::clone(&self.client.stream).begin(self.server.options.authenticate_timeout) {
            return Turn::Over;
        }
        let mut buffer = vec![0; READ_BYTES];
        while !self.closing && self.answer_all() == Flow::Continue && self.flush().is_ok() {
            if self.may_share() {
                return Turn::Shared;
            }
            match self.read(&mut buffer) {
                Some(read) if read > 0 => self.parser.push(&buffer[..read]),
                _ => break,
            }
        }
        let _ = self.flush();
        self.subscription = None;
        self.client.stream.finish();
        Turn::Over
    }

    /// Answers all requests that have come whole, or as many as there is time for.
    fn answer_all(&mut self) -> Flow {
        self.late = false;
        loop {
            let request = match self.held.take() {
                Some(args) => Ok(Some(args)),
                None => self.parser.next(),
            };
            let shares = self.until.is_some();
            let flow = match request {
                Ok(Some(args)) if shares && !self.find(&args).is_ok_and(|command| command.is_quick(&args)) => {
                    self.held = Some(args);
                    self.alone = true;
                    return Flow::Continue;
                }
                Ok(Some(args)) => match self.joins(&args) {
                    Some(command) => {
                        self.server.counters.commands.fetch_add(1, Relaxed);
                        self.pipeline.push(command, args);
                        match self.pipeline.is_full() {
                            true if shares => return Flow::Continue,
                            true => self.run_pipeline(),
                            false => Flow::Continue,
                        }
                    }
                    // It comes behind the writes, which are done together with those of others.
                    None if shares && !self.pipeline.is_empty() => {
                        self.held = Some(args);
                        return Flow::Continue;
                    }
                    None if self.run_pipeline() == Flow::Close => Flow::Close,
                    None => self.answer(&args),
                },
                Ok(None) if shares || self.pipeline.is_empty() => return Flow::Continue,
                Ok(None) => self.run_pipeline(),
                Err(_) if shares && !self.pipeline.is_empty() => return Flow::Continue,
                Err(e) => {
                    if self.run_pipeline() == Flow::Continue {
                        self.refuse(command::error(e));
                    }
                    Flow::Close
                }
            };
            if flow == Flow::Close || self.closing || (self.output.len() >= WRITE_BYTES && self.flush().is_err()) {
                return Flow::Close;
            }
            let over = self.until.map_or(Duration::ZERO, |until| clock::instant().saturating_duration_since(until));
            if shares && (self.output.len() >= WRITE_BYTES || over > Duration::ZERO) {
                // It may be the machine that did something else meanwhile, but not for so long.
                self.alone |= over > LONG;
                self.late = true;
                return Flow::Continue;
            }
        }
    }

    fn find(&mut self, args: &[Vec<u8>]) -> std::result::Result<&'static Command, Refusal> {
        // Many in a row are often of one name.
        if let Some(latest) = self.latest.filter(|latest| command::is(&args[0], latest.name)) {
            return Ok(latest);
        }
        table::find(args).inspect(|command| self.latest = Some(command))
    }

    /// Whether a request is a write that may be done with those before and behind it; for what is wrong with one it is to
    /// be answered alone.
    fn joins(&mut self, args: &[Vec<u8>]) -> Option<&'static Command> {
        let comes_alone = self.until.is_none() && self.pipeline.is_empty() && !self.parser.has_more();
        if comes_alone || self.transaction.is_open() || !self.tells_apart() {
            return None;
        }
        let command = self.find(args).ok().filter(|command| Pipeline::takes(command, args))?;
        self.revalidate().ok()?;
        let known = self.authority != Authority::Nobody && command.check(args, self.is_admin()).is_ok();
        (known && self.check_route(command, args).is_ok()).then_some(command)
    }

    /// Does the writes that came together.
    fn run_pipeline(&mut self) -> Flow {
        if self.pipeline.is_empty() {
            return Flow::Continue;
        }
        Connection::write_together(&mut [self], None);
        if self.closing { Flow::Close } else { Flow::Continue }
    }

    /// Does the writes that came together, of connections that work as the first does: as if it had sent them all. Those for
    /// which there is no time are left to them.
    pub fn write_together(connections: &mut [&mut Connection], until: Option<Instant>) {
        let mut pipeline = Pipeline::default();
        // How many replies go where.
        let mut counts = Vec::with_capacity(connections.len());
        let mut outputs = Vec::with_capacity(connections.len());
        for connection in &mut *connections {
            if let Some(last) = connection.pipeline.last() {
                connection.client.does(last.name);
            }
            counts.push(connection.pipeline.len());
            outputs.push((connection.protocol, std::mem::take(&mut connection.output)));
            pipeline.append(&mut connection.pipeline);
        }
        let Some(first) = connections.first_mut() else { return };
        let mut places = counts.iter().enumerate().flat_map(|(place, &count)| std::iter::repeat_n(place, count));
        let mut answer = |reply: &Reply| {
            if let Some((protocol, output)) = places.next().and_then(|place| outputs.get_mut(place)) {
                reply.encode_in(*protocol, output);
            }
        };
        let mut unanswered = pipeline.len();
        let done = match first.authority {
            // Its right has ended since they came.
            Authority::Nobody => Err(Refusal::Text("NOAUTH Authentication required.".to_owned())),
            _ => first.context(|context| {
                pipeline.run(context, until, |reply| {
                    unanswered -= 1;
                    answer(&reply);
                })
            }),
        };
        let mut closed = false;
        if let Err(refusal) = done {
            closed = matches!(&refusal, Refusal::Engine(e) if e.kind() == ErrorKind::Closed);
            let reply = refusal.reply();
            (0..unanswered).for_each(|_| answer(&reply));
            unanswered = 0;
        }
        // Whose writes alone take so long has no place among others.
        let long = |until: Instant| clock::instant().saturating_duration_since(until) > LONG;
        let alone = counts.len() == 1 && until.is_some_and(long);
        for ((connection, count), (_, output)) in connections.iter_mut().zip(counts).zip(outputs).rev() {
            connection.output = output;
            connection.closing |= closed;
            let left = unanswered.min(count);
            unanswered -= left;
            connection.pipeline = pipeline.split_off(pipeline.len() - left);
            connection.alone |= alone;
            let done = pipeline.split_off(pipeline.len() - (count - left));
            done.into_args().rev().for_each(|args| connection.parser.recycle(args));
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let stream = Arc::clone(&self.client.stream);
        loop {
            if let Some(deadline) = self.deadline {
                let left = deadline.saturating_duration_since(clock::instant());
                if left.is_zero() {
                    self.refuse(command::error("authentication took too long"));
                    return None;
                }
                stream.set_read_timeout(Some(left)).ok()?;
            }
            match (&*stream).read(buffer) {
                Ok(read) => {
                    if self.deadline.is_some() {
                        stream.set_read_timeout(None).ok()?;
                    }
                    return Some(read);
                }
                Err(e) if matches!(e.kind(), IoKind::Interrupted | IoKind::WouldBlock | IoKind::TimedOut) => {}
                Err(_) => return None,
            }
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.reply(&refusal.reply());
    }

    fn answer(&mut self, args: &[Vec<u8>]) -> Flow {
        self.server.counters.commands.fetch_add(1, Relaxed);
        let command = match self.find(args) {
            Ok(command) => command,
            // A web page can make a browser send these. What it has sent behind them must not be obeyed.
            Err(_) if command::is(&args[0], "post") || command::is(&args[0], "host:") => return Flow::Close,
            Err(unknown) => {
                self.transaction.spoil();
                self.refuse(unknown);
                return Flow::Continue;
            }
        };
        match self.execute(command, args) {
            Ok(flow) => flow,
            Err(refusal) => {
                let closed = matches!(&refusal, Refusal::Engine(e) if e.kind() == ErrorKind::Closed);
                self.refuse(refusal);
                if closed { Flow::Close } else { Flow::Continue }
            }
        }
    }

    fn execute(&mut self, command: &'static Command, args: &[Vec<u8>]) -> std::result::Result<Flow, Refusal> {
        self.client.does(command.name);
        self.revalidate()?;
        if self.authority == Authority::Nobody && command.flags & table::NO_AUTH == 0 {
            return Err(Refusal::Text("NOAUTH Authentication required.".to_owned()));
        }
        // What took more than a moment once will do so again.
        self.alone |= !command.is_quick(args);
        self.check_listening(command)?;
        command.check(args, self.is_admin()).inspect_err(|_| self.transaction.spoil())?;
        self.check_route(command, args)?;
        let reply = match command.run {
            // As if it were a message.
            _ if command.name == "ping" && !self.tells_apart() => {
                let said = args.get(1).cloned().unwrap_or_default();
                Reply::Array(vec![command::bulk("pong"), command::bulk(said)])
            }
            // What ends a connection, or makes it a new one, ends its transaction too.
            Run::Connection(run) if command.flags & table::NO_MULTI == 0 || !self.transaction.is_open() => {
                run(self, args)?
            }
            Run::Peer if !self.transaction.is_open() => {
                self.work = None;
                return Ok(peer::handle(self, args)?);
            }
            _ => {
                let mut begun = std::mem::take(&mut self.transaction);
                let attempt = self.context(|context| transaction::run(command, &mut begun, context, args));
                self.transaction = begun;
                match attempt? {
                    Attempt::Done(reply) => reply,
                    Attempt::Wait(wait) => self.wait(command, args, wait)?,
                }
            }
        };
        self.reply(&reply);
        Ok(Flow::Continue)
    }

    /// Waits for what a command waits for, until its time is over.
    fn wait(&mut self, command: &'static Command, args: &[Vec<u8>], wait: Wait) -> command::Answer {
        let mut line = Line::new(&wait)?;
        let waited = self.wait_in(&mut line, command, args, &wait);
        // What it was given until then is nobody else's any more.
        waited.or_else(|refusal| match self.context(|context| Ok(line.leave(context.namespace))) {
            Ok(Some(given)) => given,
            _ => Err(refusal),
        })
    }

    fn wait_in(
        &mut self,
        line: &mut Line,
        command: &'static Command,
        args: &[Vec<u8>],
        wait: &Wait,
    ) -> command::Answer {
        let deadline = wait.timeout.map(clock::after);
        let waiter = line.waiter();
        loop {
            if let Some(reply) = self.context(|context| line.attempt(context.namespace))? {
                return Ok(reply);
            }
            // What was answered before goes out, and the engine is not held meanwhile.
            self.flush()?;
            let blocked = &self.server.counters.blocked;
            blocked.fetch_add(1, Relaxed);
            let woken = waiter.wait(Some(self.client.stream.descriptor()), deadline);
            blocked.fetch_sub(1, Relaxed);
            match woken? {
                Woken::Changed => {
                    if let Some(given) = self.context(|context| Ok(line.given(context.namespace)))? {
                        return given;
                    }
                    self.revalidate()?;
                    self.check_route(command, args)?;
                }
                Woken::Late => {
                    let given = self.context(|context| Ok(line.leave(context.namespace)))?;
                    return given.unwrap_or_else(|| Ok(wait.late.clone()));
                }
                Woken::Gone => return Err(Error::new(ErrorKind::Closed, "the other side is gone").into()),
            }
            if self.authority == Authority::Nobody {
                return Err(Refusal::Text("NOAUTH Authentication required.".to_owned()));
            }
        }
    }

    /// Refuses what a connection may not ask while it listens to channels: its reply could not be told from a message. In
    /// RESP3 it can, but for what is no RESP at all.
    fn check_listening(&self, command: &Command) -> std::result::Result<(), Refusal> {
        const ALLOWED: [&str; 7] = ["ping", "psubscribe", "punsubscribe", "quit", "reset", "subscribe", "unsubscribe"];
        if self.listens() && matches!(command.run, Run::Peer) {
            return Err(command::error(format_args!("Can't execute '{}': UNSUBSCRIBE first", command.name)));
        }
        if !self.tells_apart() && !ALLOWED.contains(&command.name) {
            return Err(command::error(format_args!(
                "Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this \
                 context",
                command.name
            )));
        }
        Ok(())
    }

    /// Whether replies can be told from messages.
    fn tells_apart(&self) -> bool {
        self.protocol == Protocol::Resp3 || !self.listens()
    }

    /// Whether it listens to any channel or pattern.
    pub fn listens(&self) -> bool {
        self.subscription.as_ref().is_some_and(|subscription| subscription.count() > 0)
    }

    /// Forgets what was begun with MULTI, WATCH or SUBSCRIBE.
    pub fn forget(&mut self) {
        if let Some(subscription) = &mut self.subscription {
            subscription.clear();
        }
        self.transaction = Transaction::default();
    }

    /// Ends a right that the registry gives no more.
    pub fn revalidate(&mut self) -> Result<()> {
        let holds = {
            let work;
            let generation = match &self.work {
                Some(work) => work.engine.instance().generation()?,
                None => {
                    work = self.server.node()?;
                    work.instance.generation()?
                }
            };
            let holds = self.seen == generation.stamp || self.authority.holds(&generation.registry);
            self.seen = generation.stamp;
            holds
        };
        if !holds {
            self.set_authority(Authority::Nobody);
        }
        Ok(())
    }

    /// Runs on the engine and the namespace of this connection.
    fn context<R>(
        &mut self,
        run: impl FnOnce(&Context<'_>) -> std::result::Result<R, Refusal>,
    ) -> std::result::Result<R, Refusal> {
        if self.work.is_none() {
            let engine = Engine::of(self.server.node()?);
            let namespace = engine.namespace(self.authority.namespace().unwrap_or_default())?;
            self.work = Some(Work { engine, namespace });
        }
        let Some(Work { namespace, .. }) = &self.work else {
            return Err(Error::new(ErrorKind::Internal, "a connection has nothing to work on").into());
        };
        let (admin, server) = (self.is_admin(), Some(&*self.server));
        run(&Context { namespace, admin, server, transaction: None, snapshot: None })
    }
}
