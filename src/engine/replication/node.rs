//! What an engine is among others: its link, its feeds, and what it serves.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::AtomicU16;
use std::time::Duration;

use parking_lot::Mutex;

use super::feeds::{FeedStatus, Feeds};
use super::link::{Link, LinkState, LinkStatus};
use super::position::Position;
use super::served::Serving;
use super::session::admission::Admissions;
use super::session::primary::Facts;
use super::session::promote::{Promote, Said};
use super::tcp::{self, Connection, Received, Stop};
use super::tls::Tls;
use crate::engine::clock;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::state::{DesiredLink, Epoch, Role, State, TlsClient};
use crate::engine::format::topology::{Node as TopologyNode, Refused, Topology};
use crate::engine::generation::Store;
use crate::engine::instance::{Instance, Standing};
use crate::engine::random::random_id;
use crate::engine::storage::fork::Process;
use crate::engine::topology::{Members, Order};

type Closer = Box<dyn Fn() + Send>;

/// What a node is meant to be, and what it is: one moment of both.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopologyStatus {
    /// The version of the topology; `None` where none was set.
    pub version: Option<u64>,
    /// Its nodes.
    pub nodes: Vec<TopologyNode>,
    /// Who this node is in it.
    pub node_id: Option<String>,
    /// The role of this node.
    pub role: Role,
    /// The number of the epoch under which this primary writes, or that this replica has seen.
    pub epoch: u64,
    /// Host and port of the primary that it is meant to follow.
    pub desired: Option<(String, u16)>,
    /// The link that runs.
    pub actual: Option<LinkStatus>,
    /// Whether what runs is what was wished.
    pub converged: bool,
    /// Since when it has been so, or has not, in Unix milliseconds.
    pub since_ms: u64,
    /// Why it is not.
    pub reason: Option<String>,
    /// The same one by one, each with what it is about.
    pub(crate) apart: Vec<(&'static str, String)>,
}

/// An engine among others. What it holds ends with it.
pub struct Node {
    pub instance: Arc<Instance>,
    pub run_id: String,
    pub link: Arc<Link>,
    pub feeds: Arc<Feeds>,
    pub serving: Arc<Serving>,
    pub admissions: Mutex<Admissions>,
    /// The admin password of the newest listener, which is taken for that of the other nodes too.
    pub password: Mutex<Option<String>>,
    /// How the newest listener says that other nodes are reached over TLS.
    pub peer_tls: Mutex<Option<TlsClient>>,
    /// The port of the newest listener.
    pub listens: Arc<AtomicU16>,
    /// What must end when the engine is closed: listeners. `None` when it is.
    closers: Mutex<Option<Vec<Closer>>>,
    process: Process,
}

impl Node {
    pub fn new(instance: Instance) -> Result<Arc<Node>> {
        let instance = Arc::new(instance);
        let run_id = random_id()?;
        let listens = Arc::new(AtomicU16::new(0));
        let node = Node {
            link: Link::new(&instance, &run_id, &listens),
            serving: Serving::new(&instance),
            feeds: Arc::default(),
            admissions: Mutex::default(),
            password: Mutex::default(),
            peer_tls: Mutex::default(),
            listens,
            closers: Mutex::new(Some(Vec::new())),
            process: Process::current(),
            run_id,
            instance,
        };
        node.link.reconcile()?;
        Ok(Arc::new(node))
    }

    /// What a primary's session must know of this moment, and the store of which it is true.
    pub fn facts(&self) -> Result<(Facts, Arc<Store>)> {
        let guard = self.instance.lock()?;
        let store = Arc::clone(&guard.generation.store);
        let state = guard.state().clone();
        let (primary, history) = (guard.role() == Role::Primary, store.history());
        // What a replica has seen may be of other data than it has by now.
        let origin = if primary { history.origin().to_owned() } else { state.origin.clone() };
        let mut facts = Facts {
            run_id: self.run_id.clone(),
            generation: store.number,
            history,
            latest: store.db.latest_sequence(),
            layout: store.layout,
            primary,
            node_id: state.node_id.clone(),
            epoch: (!state.epoch.id.is_empty()).then(|| (state.epoch.clone(), origin)),
            ended: state.ended_by.as_ref().and_then(|_| state.why_read_only()),
            members: None,
        };
        drop(guard);
        facts.members = Members::of(&state);
        Ok((facts, store))
    }

    /// Sets a topology. When it returns, a link or a feed that it does not have is closed. Whether anything changed.
    pub fn set_topology(&self, order: &Order) -> std::result::Result<bool, Refused> {
        let mut order = order.clone();
        let failed = |error| Refused { kvrocks: "", error };
        let before = self.instance.standing().map_err(failed)?.state;
        check_password(order.password.as_ref(), "set_topology").map_err(failed)?;
        if let Some(tls) = &order.tls {
            Tls::client(tls, "localhost").map_err(|e| failed(e.context("set_topology")))?;
        }
        // What is only said again says nothing of how the nodes are reached.
        let governs = before.topology().map(Topology::version);
        if order.force || governs != Some(order.topology.version()) {
            order.password = order.password.or_else(|| self.password.lock().clone());
            order.tls = order.tls.or_else(|| self.peer_tls.lock().clone());
        }
        order.tls = order.tls.map(TlsClient::absolute).transpose().map_err(failed)?;
        let changed = self.instance.set_topology(&order)?;
        self.realize(&before).map_err(failed)?;
        Ok(changed)
    }

    /// Says who this node is in its topology.
    pub fn set_node_id(&self, node_id: &str) -> std::result::Result<bool, Refused> {
        let failed = |error| Refused { kvrocks: "", error };
        let before = self.instance.standing().map_err(failed)?.state;
        let changed = self.instance.set_node_id(node_id)?;
        self.realize(&before).map_err(failed)?;
        Ok(changed)
    }

    /// Brings what runs in line with what is wished.
    fn realize(&self, before: &State) -> Result<()> {
        self.link.reconcile()?;
        self.refuse_feeds()?;
        // Who is fed no more gets no more files either. Whoever else fetches them goes on with another checkpoint.
        let now = self.instance.standing()?.state;
        if let Some(now) = Members::of(&now)
            && Members::of(before).is_none_or(|before| before.loses_any_in(&now))
        {
            self.serving.withdraw();
        }
        Ok(())
    }

    /// Ends the feeds that a topology does not have, or all when a higher epoch ended this primary's own.
    pub fn refuse_feeds(&self) -> Result<()> {
        let Standing { state, .. } = self.instance.standing()?;
        if state.ended_by.is_some() {
            self.feeds.refuse(|_, _, _| true);
        } else if let Some(members) = Members::of(&state) {
            // Nothing is looked up here: who is not known for certain comes again, and is asked for then.
            self.feeds.refuse(|node_id, host, port| members.admit(node_id, host, port).is_err());
        }
        Ok(())
    }

    /// Another node told of an epoch.
    pub fn learn(&self, epoch: &Epoch, origin: &str) -> Result<()> {
        if self.instance.learn(epoch, origin)? {
            self.refuse_feeds()?;
            self.serving.withdraw();
        }
        Ok(())
    }

    /// Wish and reality, side by side.
    pub fn topology(&self) -> Result<TopologyStatus> {
        let Standing { state, goal, conflict, refusal, since_ms, .. } = self.instance.standing()?;
        let actual = self.link.status()?;
        let desired = goal.link.as_ref().map(|link| (link.host.clone(), link.port));
        let mut apart = Vec::new();
        let mut since_ms = since_ms;
        if let Some(desired) = &desired {
            let streams = actual.as_ref().is_some_and(|link| {
                (&link.host, link.port) == (&desired.0, desired.1) && link.state == LinkState::Streaming
            });
            if !streams {
                let doing = actual.as_ref().map_or("not there", |link| link.state.name());
                let error = actual.as_ref().and_then(|link| link.last_error.clone());
                let error = error.map(|error| format!(": {error}")).unwrap_or_default();
                apart.push(("primary", format!("the link to {}:{} is {doing}{error}", desired.0, desired.1)));
            }
            since_ms = since_ms.max(self.link.turned_ms().unwrap_or(0));
        }
        // Of a removed node that is detached, and of a read-only open, reality is what was wished.
        let wished = goal.role == Role::Detached || self.instance.options().read_only;
        apart.extend(refusal.filter(|_| !wished).map(|why| ("role", why)));
        apart.extend(conflict.map(|conflict| ("topology", conflict)));
        let reasons: Vec<&str> = apart.iter().map(|(_, why)| why.as_str()).collect();
        Ok(TopologyStatus {
            version: state.topology().map(Topology::version),
            nodes: state.topology().map(|topology| topology.nodes().to_vec()).unwrap_or_default(),
            node_id: state.node_id.clone(),
            role: goal.role,
            epoch: state.epoch.number,
            desired,
            actual,
            converged: reasons.is_empty(),
            since_ms,
            reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
            apart,
        })
    }

    /// Has `close` called when the engine is closed; at once when it is.
    pub fn on_close(&self, close: Closer) {
        if let Some(closers) = &mut *self.closers.lock() {
            return closers.push(close);
        }
        close();
    }

    pub fn follow(&self, desired: DesiredLink) -> Result<()> {
        if desired.host.is_empty() || desired.host.len() > 255 || desired.port == 0 {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "follow: got {:?} port {}, expected a host name or address and a port",
                    desired.host, desired.port
                ),
            ));
        }
        if let Some(tls) = &desired.tls {
            Tls::client(tls, &desired.host).map_err(|e| e.context("follow"))?;
        }
        check_password(desired.password.as_ref(), "follow")?;
        let tls = desired.tls.map(TlsClient::absolute).transpose()?;
        self.instance.desire("follow", Role::Replica, Some(DesiredLink { tls, ..desired }))?;
        self.link.reconcile()
    }

    /// Waits until the link streams. `false` when the time is over.
    pub fn wait_linked(
        &self,
        timeout: Option<Duration>,
        tell: &mut dyn FnMut(&LinkStatus) -> ControlFlow<()>,
    ) -> Result<bool> {
        Ok(self.link.wait(timeout.map(clock::after), tell)?.is_some())
    }

    pub fn detach(&self) -> Result<()> {
        if self.instance.role()? == Role::Primary {
            return Err(Error::new(ErrorKind::InvalidArgument, "detach: this engine is a primary; it follows nobody"));
        }
        self.instance.desire("detach", Role::Detached, None)?;
        self.link.reconcile()
    }

    pub fn promote(&self) -> Result<()> {
        self.instance.promote()?;
        self.link.reconcile()
    }

    /// Hands the role of primary to a replica that is fed and has everything. It is reached, and then followed, with the
    /// password of the newest listener here, and over TLS where that listener names a `peer_ca`.
    pub fn hand_over(&self, host: &str, port: u16, timeout: Duration) -> Result<()> {
        let deadline = clock::after(timeout);
        self.instance.standing()?.state.check_free("hand_over")?;
        let feed = self.feed_of(host, port)?;
        let why = format!("it is being handed over to {host}:{port}");
        let last = self.instance.pause_writes(Some(why))?;
        // Nothing is swapped in unseen: a feed of another generation than that of `last` does not count.
        let store = self.instance.generation()?.store.number;
        let resumed = |e: Error| match self.instance.pause_writes(None) {
            Ok(_) => e.context("hand_over: writes are taken again"),
            Err(resuming) => resuming,
        };
        if !self.feeds.wait_acked_by(feed.id, store, last, deadline) {
            let got = self.feeds()?.into_iter().find(|now| now.id == feed.id).and_then(|feed| feed.acked);
            let got = got.map_or("nothing".to_owned(), |acked| acked.to_string());
            return Err(resumed(Error::new(
                ErrorKind::Busy,
                format!("{host}:{port} has acknowledged {got}, expected {last} within {timeout:?}"),
            )));
        }
        let (password, tls) = (self.password.lock().clone(), self.peer_tls.lock().clone());
        let stop = Arc::new(Stop::default());
        let mut connection = Connection::open(host, port, tls.as_ref(), timeout, &stop).map_err(resumed)?;
        // From here on another may be the primary: persisted, so that a restart does not forget it.
        self.instance.desire("hand_over", Role::Detached, None).map_err(resumed)?;
        let unknown = |e: Error| {
            e.context(format!(
                "hand_over to {host}:{port}: whether it is the primary now is not known, so no write is taken here; \
                 promote() or follow() when you know"
            ))
        };
        match ask_to_promote(&mut connection, password.as_deref()).map_err(unknown)? {
            None => self.follow(DesiredLink { host: host.to_owned(), port, password, announce_port: 0, tls }),
            Some(refused) => {
                self.promote()?;
                Err(refused.context("hand_over: writes are taken again"))
            }
        }
    }

    /// The feed of the replica that can be reached there.
    fn feed_of(&self, host: &str, port: u16) -> Result<FeedStatus> {
        let feeds = self.feeds()?;
        let of_port = || feeds.iter().filter(|feed| feed.port == port);
        let found = of_port().find(|feed| feed.host == host).or_else(|| {
            let addresses = tcp::addresses(host);
            of_port().find(|feed| feed.host.parse().is_ok_and(|address| addresses.contains(&address)))
        });
        found.cloned().ok_or_else(|| {
            let known: Vec<String> = feeds.iter().map(|feed| format!("{}:{}", feed.host, feed.port)).collect();
            Error::new(
                ErrorKind::NotFound,
                format!("hand_over: no replica that announced {host}:{port} is fed; fed are [{}]", known.join(", ")),
            )
        })
    }

    pub fn feeds(&self) -> Result<Vec<FeedStatus>> {
        let latest = self.instance.generation()?.store.db.latest_sequence();
        Ok(self.feeds.status(latest))
    }

    pub fn wait_for(&self, position: &Position, timeout: Duration) -> Result<bool> {
        let deadline = clock::after(timeout);
        loop {
            let store = Arc::clone(&self.instance.generation()?.store);
            if store.wait_for(position.sequence, deadline) {
                let history = store.history();
                let lies_on = history.contains(&position.replication_id, position.sequence)
                    || (position.replication_id.is_empty() && history.id_at(position.sequence).is_empty());
                if !lies_on {
                    return Err(Error::new(
                        ErrorKind::Diverged,
                        format!(
                            "position {position}: it is not in this history, which is \"{}\" there",
                            history.id_at(position.sequence)
                        ),
                    ));
                }
                return Ok(true);
            }
            if !store.is_retired() || clock::instant() >= deadline {
                return Ok(false);
            }
        }
    }

    pub fn wait_acked(&self, position: &Position, replicas: usize, timeout: Duration) -> Result<usize> {
        let store = Arc::clone(&self.instance.generation()?.store);
        let history = store.history();
        if !history.contains(&position.replication_id, position.sequence) {
            return Err(Error::new(
                ErrorKind::Diverged,
                format!(
                    "position {position}: it is not in this history, which is \"{}\" there",
                    history.id_at(position.sequence)
                ),
            ));
        }
        Ok(self.feeds.wait_acked(store.number, position.sequence, replicas, clock::after(timeout)))
    }

    pub fn close(&self) -> Result<()> {
        self.end();
        self.instance.close()
    }

    fn end(&self) {
        self.link.close();
        // Listeners wait for the threads of their connections, and feeds run on those.
        self.feeds.close();
        self.serving.close();
        let closers = self.closers.lock().take();
        closers.iter().flatten().for_each(|close| close());
    }
}

fn check_password(password: Option<&String>, what: &str) -> Result<()> {
    const LONGEST: usize = 1024;
    match password.filter(|password| password.len() > LONGEST) {
        None => Ok(()),
        Some(password) => Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("{what}: got a password of {} bytes, expected at most {LONGEST}", password.len()),
        )),
    }
}

/// `None` when the replica is the primary now, its refusal when it is not, an error when nobody knows.
fn ask_to_promote(connection: &mut Connection, password: Option<&str>) -> Result<Option<Error>> {
    let (mut promote, first) = Promote::begin(password);
    connection.send(&first)?;
    let mut buffer = [0; 1024];
    loop {
        let Received::Bytes(read) = connection.receive(&mut buffer)? else {
            return Err(Error::new(ErrorKind::Io, "it did not answer"));
        };
        match promote.receive(&buffer[..read])? {
            Said::Send(more) => connection.send(&more)?,
            Said::More => {}
            Said::Yes => return Ok(None),
            Said::No(refused) => return Ok(Some(refused)),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.process.is_current() {
            self.end();
        }
    }
}
