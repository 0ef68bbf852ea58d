//! Comparing what must be equal.

use std::fmt;

use super::error::Result;
use super::format::batch::{DEFAULT, METADATA, STREAM, ZSET_SCORE};
use super::format::key::{decode_key, decode_subkey};
use super::format::metadata::decode_metadata;
use super::format::state::Role;
use super::generation::{Store, stored_registry, stored_replication_id};
use super::replication::node::Node;
use super::storage::iterator::Cursor;
use super::storage::wal::oldest_sequence;

/// How deep [`crate::Engine::verify`] looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Depth {
    /// What is held twice: registry, link, history, log. Milliseconds.
    #[default]
    Quick = 0,
    /// And the checksum of every data block. One read of all data.
    Checksums = 1,
    /// And every record decodes. Two reads of all data.
    Records = 2,
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// What was found, and what was expected.
    pub detail: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.detail)
    }
}

/// The most findings of one kind; the rest is counted.
const MOST: usize = 20;

pub fn verify(node: &Node, depth: Depth) -> Result<Vec<Finding>> {
    let instance = &node.instance;
    let mut findings = Vec::new();
    let mut found = |what: &'static str, detail: String| findings.push(Finding { what, detail });

    let guard = instance.lock()?;
    let generation = guard.generation.clone();
    let store = &generation.store;
    let (role, directory) = (guard.role(), guard.directory()?);
    match stored_registry(&store.db) {
        Ok(stored) if stored == generation.registry => {}
        Ok(stored) => found(
            "registry",
            format!("{} namespaces in memory, {} stored, and they differ", generation.registry.len(), stored.len()),
        ),
        Err(e) => found("registry", e.to_string()),
    }
    let history = store.history();
    match stored_replication_id(&store.db) {
        Ok(stored) if stored == history.current => {}
        Ok(stored) => found("replication id", format!("got {stored:?} stored, expected {:?}", history.current)),
        Err(e) => found("replication id", e.to_string()),
    }
    if role == Role::Primary && history.current.is_empty() && !instance.options().read_only {
        found("replication id", "got none, expected a primary to have one".to_owned());
    }
    let latest = store.db.latest_sequence();
    if let Some(past) = history.past.iter().find(|past| past.ended > latest) {
        found("history", format!("id {} ended at {}, expected at most {latest}", past.id, past.ended));
    }
    if store.number > 0 {
        let link = std::fs::canonicalize(directory.path().join("db"));
        if !link.as_ref().is_ok_and(|link| link == store.db.path()) {
            found("link", format!("db names {link:?}, expected {}", store.db.path().display()));
        }
        match directory.history(store.number) {
            Some(kept) if kept == history => {}
            kept => found("history", format!("kept on disk: {kept:?}, expected {history:?}")),
        }
        match directory.state() {
            Ok(Some(state)) if state == *guard.state() => {}
            state => found("state", format!("kept on disk: {state:?}, expected {:?}", guard.state())),
        }
    }
    let poisoned = guard.check_healthy().err().map(|e| e.to_string());
    drop(guard);
    match poisoned {
        Some(why) => found("poison", why),
        None => node.topology()?.apart.into_iter().for_each(|(what, why)| found(what, why)),
    }

    match oldest_sequence(&store.db) {
        Ok(Some(oldest)) if oldest > latest + 1 => {
            found("log", format!("the oldest entry is {oldest}, expected at most {}", latest + 1));
        }
        Err(e) if !instance.options().read_only => found("log", e.to_string()),
        _ => {}
    }
    if depth >= Depth::Checksums
        && let Err(e) = store.db.verify_checksums()
    {
        found("checksums", e.to_string());
    }
    if depth >= Depth::Records {
        for family in [METADATA, DEFAULT, ZSET_SCORE, STREAM] {
            records(store, family, &mut found);
        }
    }
    Ok(findings)
}

fn records(store: &std::sync::Arc<Store>, family: u32, found: &mut impl FnMut(&'static str, String)) {
    let mut cursor = Cursor::open(&store.db, family, Vec::new(), None, None, false);
    cursor.seek_to_first();
    let mut bad = 0;
    loop {
        let (key, value) = match cursor.record() {
            Ok(Some(record)) => record,
            Ok(None) => break,
            Err(e) => {
                found("record", format!("column family {family}: {e}"));
                break;
            }
        };
        let decoded = match family {
            METADATA => decode_key(key, store.layout).and_then(|_| decode_metadata(value)).map(drop),
            _ => decode_subkey(key, store.layout).map(drop),
        };
        if let Err(e) = decoded {
            bad += 1;
            if bad <= MOST {
                found("record", e.to_string());
            }
        }
        cursor.next();
    }
    if bad > MOST {
        found("record", format!("and {} more in column family {family}", bad - MOST));
    }
}
