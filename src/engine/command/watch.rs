//! Keys that a client watches: whether the log has changed them since.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::{Arc, Weak};

use crate::engine::clock::now_ms;
use crate::engine::error::Result;
use crate::engine::format::batch::{Batch, DEFAULT, METADATA, Record, STREAM, ZSET_SCORE};
use crate::engine::generation::{Store, Tail};
use crate::engine::namespace::Namespace;
use crate::engine::storage::wal::{WalRead, WalTail};

/// Watched keys. It holds no dataset open.
pub struct Watch {
    store: Weak<Store>,
    /// Up to which sequence the log was looked at.
    seen: u64,
    /// How much of the log may still be read.
    budget: usize,
    /// The keys as they are in the metadata.
    keys: BTreeSet<Vec<u8>>,
    /// What their subkeys of all versions start with. None is the beginning of another, since each has its length in it.
    subkeys: BTreeSet<Vec<u8>>,
    /// When the first of them expires; 0 for never.
    expires_ms: u64,
    changed: bool,
}

/// How much of the log is looked at: behind that, keys count as changed.
const MOST_BYTES: usize = 256 << 20;

impl Watch {
    pub fn begin(namespace: &Namespace, keys: &[Vec<u8>]) -> Result<Watch> {
        let store = Arc::clone(&namespace.instance().generation()?.store);
        let mut watch = Watch {
            seen: store.db.latest_sequence(),
            store: Arc::downgrade(&store),
            budget: MOST_BYTES,
            keys: BTreeSet::new(),
            subkeys: BTreeSet::new(),
            expires_ms: 0,
            changed: false,
        };
        watch.add(namespace, keys)?;
        Ok(watch)
    }

    /// Watches more keys, from this moment on.
    pub fn add(&mut self, namespace: &Namespace, keys: &[Vec<u8>]) -> Result<()> {
        // What was before counts for the keys that were watched then, and only for those.
        let store = Arc::clone(&namespace.instance().generation()?.store);
        self.look(&store)?;
        namespace.read(|reading| {
            for key in keys {
                let expires_ms = reading.metadata(key)?.map_or(0, |metadata| metadata.expire_ms);
                if expires_ms > 0 && (self.expires_ms == 0 || expires_ms < self.expires_ms) {
                    self.expires_ms = expires_ms;
                }
                self.keys.insert(reading.full_key(key));
                let mut subkeys = reading.subkey_prefix(key, 0);
                subkeys.truncate(subkeys.len() - size_of::<u64>());
                self.subkeys.insert(subkeys);
            }
            Ok(())
        })
    }

    /// Whether any of the keys has changed, as far as the log of the current store tells.
    pub fn look(&mut self, current: &Arc<Store>) -> Result<bool> {
        if self.expires_ms > 0 && self.expires_ms <= now_ms() {
            self.changed = true;
        }
        let mut wal = None;
        while !self.changed {
            if !std::ptr::eq(self.store.as_ptr(), Arc::as_ptr(current)) {
                self.changed = true;
                break;
            }
            let next = self.seen + 1;
            let bytes = match current.tail(next, None) {
                Tail::Ahead => return Ok(false),
                Tail::Entry(_, bytes) => bytes,
                Tail::Older => {
                    let tail = wal.get_or_insert_with(|| WalTail::new(&current.db, next));
                    tail.skip_to(next);
                    match tail.read()? {
                        WalRead::Entry(bytes) => bytes,
                        WalRead::CaughtUp | WalRead::Gone { .. } => {
                            self.changed = true;
                            break;
                        }
                    }
                }
                Tail::Retired => {
                    self.changed = true;
                    break;
                }
            };
            let batch = Batch::parse(&bytes)?;
            self.changed = bytes.len() > self.budget || batch.records().any(|record| self.is_changed_by(&record));
            self.budget = self.budget.saturating_sub(bytes.len());
            self.seen = batch.last_sequence();
        }
        Ok(true)
    }

    fn is_changed_by(&self, record: &Record<'_>) -> bool {
        let (Record::Put { family, .. } | Record::Delete { family, .. } | Record::DeleteRange { family, .. }) = *record
        else {
            return false;
        };
        match (family, record) {
            (METADATA, Record::Put { key, .. } | Record::Delete { key, .. }) => self.keys.contains(*key),
            (METADATA, Record::DeleteRange { begin, end, .. }) => {
                let range = (Bound::Included(*begin), Bound::Excluded(*end));
                begin < end && self.keys.range::<[u8], _>(range).next().is_some()
            }
            (DEFAULT | ZSET_SCORE | STREAM, Record::Put { key, .. } | Record::Delete { key, .. }) => {
                self.owner(key).is_some_and(|prefix| key.starts_with(prefix))
            }
            (DEFAULT | ZSET_SCORE | STREAM, Record::DeleteRange { begin, end, .. }) => {
                let range = (Bound::Included(*begin), Bound::Excluded(*end));
                self.owner(begin).is_some_and(|prefix| begin.starts_with(prefix))
                    || (begin < end && self.subkeys.range::<[u8], _>(range).next().is_some())
            }
            _ => false,
        }
    }

    /// The last of the prefixes that are not behind a subkey.
    fn owner(&self, subkey: &[u8]) -> Option<&Vec<u8>> {
        self.subkeys.range::<[u8], _>((Bound::Unbounded, Bound::Included(subkey))).next_back()
    }
}
