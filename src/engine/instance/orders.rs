//! Orders that change what a node is: its role, its link, its topology.

use std::sync::Arc;

use super::commit::Commit;
use super::{Instance, poisoned};
use crate::engine::error::Result;
use crate::engine::events::EventKind;
use crate::engine::format::state::{DesiredLink, Epoch, Role, State, Wish};
use crate::engine::format::topology::Refused;
use crate::engine::generation::Store;
use crate::engine::random::random_id;
use crate::engine::topology::{Dataset, Order, Outcome};

/// Who a node is at one moment.
pub struct Standing {
    pub state: State,
    pub goal: Wish,
    pub dataset: Dataset,
    pub conflict: Option<String>,
    /// Why writes are refused beyond what the role says.
    pub refusal: Option<String>,
    pub since_ms: u64,
}

impl Standing {
    /// The epoch under which this primary writes, and of which dataset.
    pub fn epoch(self) -> Option<(Epoch, String)> {
        let writes = self.goal.role == Role::Primary && !self.state.epoch.id.is_empty();
        writes.then_some((self.state.epoch, self.dataset.origin))
    }
}

impl Instance {
    /// Makes this engine a primary: persisted first, then written into its log as a fresh replication id.
    pub fn promote(&self) -> Result<()> {
        let mut guard = self.lock()?;
        if guard.commit.goal.role == Role::Primary && guard.commit.state.ended_by.is_none() {
            return Ok(());
        }
        if self.options.read_only {
            return Err(guard.check_writable().expect_err("a read-only open takes no writes"));
        }
        if let Some(why) = &guard.commit.poisoned {
            return Err(poisoned(&self.path, why));
        }
        let id = random_id()?;
        let state = guard.commit.state.promoted(&id)?;
        guard.commit.read_only = None;
        guard.take_state(state, id)
    }

    /// Sets a topology: persisted first, in force when it returns. Says whether anything changed.
    pub fn set_topology(&self, order: &Order) -> std::result::Result<bool, Refused> {
        self.ordered(|state, dataset, id| state.ordered(order, dataset, id))
    }

    /// Says who this node is in its topology.
    pub fn set_node_id(&self, node_id: &str) -> std::result::Result<bool, Refused> {
        self.ordered(|state, dataset, id| state.named(node_id, dataset, id))
    }

    fn ordered(
        &self,
        order: impl FnOnce(&State, &Dataset, &str) -> std::result::Result<Outcome, Refused>,
    ) -> std::result::Result<bool, Refused> {
        let failed = |error| Refused { kvrocks: "", error };
        let mut guard = self.lock().map_err(failed)?;
        guard.check_changeable().map_err(failed)?;
        let id = random_id().map_err(failed)?;
        match order(&guard.commit.state, &guard.dataset(), &id)? {
            Outcome::Same => Ok(false),
            Outcome::Conflict(conflict) => {
                self.events.tell(EventKind::Topology, || conflict.clone());
                guard.commit.conflict = Some(conflict);
                Ok(false)
            }
            Outcome::Taken(state) => {
                (guard.commit.conflict, guard.commit.read_only) = (None, None);
                guard.take_state(*state, id).map_err(failed)?;
                Ok(true)
            }
        }
    }

    /// A replica told of an epoch. Whether that ended this primary's own.
    pub fn learn(&self, epoch: &Epoch, origin: &str) -> Result<bool> {
        let mut guard = self.lock()?;
        // Who has become a replica meanwhile hears of its primary.
        if guard.role() == Role::Primary { guard.learn(epoch, origin) } else { Ok(false) }
    }

    /// The primary, whose history that of `store` is proven to go on, told of its epoch and of the first id of its dataset,
    /// which is this one's too: so that all who followed it fence each other, whatever id each knows the dataset since.
    pub fn led(&self, wish: u64, store: &Arc<Store>, epoch: &Epoch, origin: &str) -> Result<()> {
        let mut guard = self.lock()?;
        // A link for a former wish, or for data that was replaced, may still have something to tell.
        guard.check_wish(wish)?;
        if Arc::ptr_eq(&guard.generation.store, store) {
            guard.begin_with(origin)?;
        }
        guard.learn(epoch, origin).map(drop)
    }

    /// What is persisted of who this node is, and whether a topology contradicted it.
    pub fn standing(&self) -> Result<Standing> {
        let guard = self.lock()?;
        let Commit { state, goal, conflict, since_ms, read_only, poisoned, .. } = &*guard.commit;
        Ok(Standing {
            state: state.clone(),
            goal: goal.clone(),
            dataset: guard.dataset(),
            conflict: conflict.clone(),
            refusal: poisoned.clone().or_else(|| read_only.clone()).or_else(|| state.why_read_only()),
            since_ms: *since_ms,
        })
    }

    #[cfg(feature = "failpoints")]
    pub fn wait_reclaimed(&self) {
        self.reclaim.wait();
    }

    /// Refuses writes while the primary is handed over, whose last sequence this gives; `None` takes them again.
    pub fn pause_writes(&self, why: Option<String>) -> Result<u64> {
        let mut guard = self.lock()?;
        guard.check_healthy()?;
        if guard.commit.read_only.is_some() == why.is_some() || guard.commit.goal.role != Role::Primary {
            guard.check_writable()?;
        }
        guard.commit.read_only = why;
        Ok(guard.generation.store.db.latest_sequence())
    }

    /// Makes this engine a replica that follows somebody, or nobody: persisted first, in force when it returns.
    pub fn desire(&self, what: &str, role: Role, link: Option<DesiredLink>) -> Result<()> {
        let mut guard = self.lock()?;
        guard.check_changeable()?;
        let wish = Wish { role, link };
        let state = guard.commit.state.wished(what, wish.clone(), &guard.dataset())?;
        if guard.commit.goal == wish {
            return Ok(());
        }
        guard.commit.read_only = None;
        guard.take_state(state, String::new())
    }

    /// Whom to follow, and the number of that wish.
    pub fn desired(&self) -> Result<(u64, Option<DesiredLink>)> {
        let guard = self.lock()?;
        Ok((guard.commit.wish, guard.commit.goal.link.clone()))
    }
}
