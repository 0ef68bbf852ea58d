//! What an engine is among others: its link, its feeds, and what it serves.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::feeds::{FeedStatus, Feeds};
use super::link::{Link, LinkStatus};
use super::position::Position;
use super::served::Serving;
use super::session::admission::Admissions;
use super::session::primary::Facts;
use crate::engine::clock;
use crate::engine::error::{Error, ErrorKind, Result};
use crate::engine::format::side::{DesiredLink, Role};
use crate::engine::instance::{Instance, random_id};
use crate::engine::storage::fork::Process;

/// An engine among others. What it holds ends with it.
pub struct Node {
    pub instance: Arc<Instance>,
    pub run_id: String,
    pub link: Arc<Link>,
    pub feeds: Feeds,
    pub serving: Arc<Serving>,
    pub admissions: Mutex<Admissions>,
    /// What must end when the engine is closed: listeners. `None` when it is.
    closers: Mutex<Option<Vec<Box<dyn Fn() + Send>>>>,
    process: Process,
}

impl Node {
    pub fn new(instance: Instance) -> Result<Arc<Node>> {
        let instance = Arc::new(instance);
        let run_id = random_id()?;
        let node = Node {
            link: Link::new(&instance, &run_id),
            serving: Serving::new(&instance),
            feeds: Feeds::default(),
            admissions: Mutex::default(),
            closers: Mutex::new(Some(Vec::new())),
            process: Process::current(),
            run_id,
            instance,
        };
        node.link.reconcile()?;
        Ok(Arc::new(node))
    }

    /// What a primary's session must know of this moment.
    pub fn facts(&self) -> Result<Facts> {
        let guard = self.instance.lock()?;
        let store = &guard.generation.store;
        Ok(Facts {
            run_id: self.run_id.clone(),
            history: store.history(),
            latest: store.db.latest_sequence(),
            layout: store.layout,
        })
    }

    /// Has `close` called when the engine is closed; at once when it is.
    pub fn on_close(&self, close: Box<dyn Fn() + Send>) {
        match &mut *self.closers.lock() {
            Some(closers) => return closers.push(close),
            None => {}
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
        self.instance.desire(Role::Replica, Some(desired))?;
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
        self.instance.desire(Role::Detached, None)?;
        self.link.reconcile()
    }

    pub fn promote(&self) -> Result<()> {
        self.instance.promote()?;
        self.link.reconcile()
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
        let history = self.instance.generation()?.store.history();
        if !history.contains(&position.replication_id, position.sequence) {
            return Err(Error::new(
                ErrorKind::Diverged,
                format!(
                    "position {position}: it is not in this history, which is \"{}\" there",
                    history.id_at(position.sequence)
                ),
            ));
        }
        Ok(self.feeds.wait_acked(position.sequence, replicas, clock::after(timeout)))
    }

    pub fn close(&self) -> Result<()> {
        self.end();
        self.instance.close()
    }

    fn end(&self) {
        self.link.close();
        // Listeners wait for the threads of their connections, and feeds run on those.
        self.feeds.close();
        let closers = self.closers.lock().take();
        closers.iter().flatten().for_each(|close| close());
        self.serving.close();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.process.is_current() {
            self.end();
        }
    }
}
