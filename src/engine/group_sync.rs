//! Writers that want an fsync, together.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::error::Result;
use super::failpoint::step;
use super::storage::db::Db;

/// Writers that want an fsync share it: one of them syncs for all that wrote before.
#[derive(Default)]
pub struct GroupSync {
    state: Mutex<SyncState>,
    done: Condvar,
}

#[derive(Default)]
struct SyncState {
    /// The database that `synced` counts in: a swap starts anew.
    database: u64,
    synced: u64,
    leader: bool,
}

impl GroupSync {
    /// The last sequence of that database that is known to survive a power cut.
    pub fn synced(&self, db: &Arc<Db>) -> u64 {
        let state = self.state.lock();
        if state.database == db.id() { state.synced } else { 0 }
    }

    /// Returns when everything up to `sequence` survives a power cut.
    pub fn sync(&self, db: &Arc<Db>, sequence: u64) -> Result<()> {
        let database = db.id();
        let mut state = self.state.lock();
        loop {
            if state.database == database && state.synced >= sequence {
                return Ok(());
            }
            if !state.leader {
                break;
            }
            self.done.wait(&mut state);
        }
        state.leader = true;
        drop(state);
        let target = db.latest_sequence();
        let result = sync_step().and_then(|()| db.sync_wal());
        let mut state = self.state.lock();
        state.leader = false;
        if result.is_ok() {
            (state.database, state.synced) = (database, target);
        }
        drop(state);
        self.done.notify_all();
        result
    }
}

fn sync_step() -> Result<()> {
    step!("commit::sync");
    Ok(())
}
