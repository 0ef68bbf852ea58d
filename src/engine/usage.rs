//! Counting what a dataset holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::clock::now_ms;
use super::error::Result;
use super::format::batch::{DEFAULT, METADATA, PROPAGATE, PUBSUB, SEARCH, STREAM, ZSET_SCORE};
use super::format::key::{DEFAULT_NAMESPACE, append_key, decode_key, decode_subkey, namespace_prefix};
use super::format::metadata::{Kind, decode_metadata};
use super::generation::Store;
use super::instance::Instance;
use super::replication::sync_in::{Stage, Watch};
use super::storage::db::Snapshot;
use super::storage::iterator::Cursor;

/// What a dataset holds. Bytes are those of keys and values as they are stored, before compression.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Every namespace that is registered or has data, the default one first, then in order of their names.
    pub namespaces: Vec<NamespaceUsage>,
    /// Bytes of what belongs to no key: the registry, scripts, published messages, search indexes.
    pub other_bytes: u64,
    /// Records that cannot be decoded: `verify` says which.
    pub unreadable_records: u64,
}

/// What one namespace holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NamespaceUsage {
    /// Its name; `__namespace` for the default one.
    pub name: Vec<u8>,
    /// Whether it is registered, or the default one.
    pub registered: bool,
    /// The types that it has keys of, by their numbers.
    pub kinds: Vec<KindUsage>,
    /// Keys that are stored and no longer there: expired, or emptied.
    pub expired_keys: u64,
    /// Bytes of those.
    pub expired_bytes: u64,
    /// Bytes of fields, members and elements whose key was deleted or replaced, and that compaction has yet to take.
    pub remains_bytes: u64,
}

/// The keys of one type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KindUsage {
    /// The type.
    pub kind: Kind,
    /// How many keys.
    pub keys: u64,
    /// Their bytes, with those of their fields, members or elements.
    pub bytes: u64,
}

impl NamespaceUsage {
    /// Keys of all types.
    pub fn keys(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.keys).sum()
    }

    /// Bytes of all types.
    pub fn bytes(&self) -> u64 {
        self.kinds.iter().map(|kind| kind.bytes).sum()
    }

    fn kind(&mut self, kind: Kind) -> &mut KindUsage {
        let place = match self.kinds.binary_search_by_key(&kind.number(), |usage| usage.kind.number()) {
            Ok(place) => place,
            Err(place) => {
                self.kinds.insert(place, KindUsage { kind, keys: 0, bytes: 0 });
                place
            }
        };
        &mut self.kinds[place]
    }

    fn add(&mut self, owner: Owner, keys: u64, bytes: u64) {
        match owner {
            Owner::Alive(kind) => {
                let usage = self.kind(kind);
                usage.keys += keys;
                usage.bytes += bytes;
            }
            Owner::Expired => {
                self.expired_keys += keys;
                self.expired_bytes += bytes;
            }
            Owner::Gone => self.remains_bytes += bytes,
        }
    }
}

/// What a record belongs to.
#[derive(Clone, Copy)]
enum Owner {
    Alive(Kind),
    Expired,
    Gone,
}

pub fn of(instance: &Instance, watch: &mut Watch<'_>) -> Result<Usage> {
    let guard = instance.lock()?;
    let generation = Arc::clone(&guard.generation);
    let rows = Arc::new(generation.store.db.snapshot());
    drop(guard);
    let store = &generation.store;
    let mut count = Count { store, rows: &rows, namespaces: BTreeMap::new(), usage: Usage::default(), now: now_ms() };
    let registered = generation.registry.names().map(str::as_bytes).chain([DEFAULT_NAMESPACE]);
    for name in registered {
        count.namespace(name).registered = true;
    }
    let families = [METADATA, DEFAULT, ZSET_SCORE, STREAM, SEARCH, PUBSUB, PROPAGATE];
    watch.begin(Stage::Count, 0, families.iter().map(|&family| store.db.raw_bytes(family)).sum());
    watch.check()?;
    for family in families {
        count.family(family, watch)?;
    }
    let Count { mut namespaces, mut usage, .. } = count;
    usage.namespaces.extend(namespaces.remove(DEFAULT_NAMESPACE));
    usage.namespaces.extend(namespaces.into_values());
    Ok(usage)
}

struct Count<'a> {
    store: &'a Arc<Store>,
    rows: &'a Arc<Snapshot>,
    namespaces: BTreeMap<Vec<u8>, NamespaceUsage>,
    usage: Usage,
    now: u64,
}

impl Count<'_> {
    fn namespace(&mut self, name: &[u8]) -> &mut NamespaceUsage {
        if !self.namespaces.contains_key(name) {
            self.namespaces.insert(name.to_vec(), NamespaceUsage { name: name.to_vec(), ..Default::default() });
        }
        self.namespaces.get_mut(name).expect("it was just put there")
    }

    fn family(&mut self, family: u32, watch: &mut Watch<'_>) -> Result<()> {
        let mut cursor = Cursor::open(&self.store.db, family, Vec::new(), None, Some(self.rows), false);
        // Subkeys of one key follow each other: what they belong to is looked up once.
        let (mut group, mut owner) = (Vec::new(), Owner::Gone);
        cursor.seek_to_first();
        while let Some((key, value)) = cursor.record()? {
            let bytes = (key.len() + value.len()) as u64;
            match family {
                METADATA => self.key(key, value),
                DEFAULT | ZSET_SCORE | STREAM => match decode_subkey(key, self.store.layout) {
                    Ok(subkey) if !subkey.namespace.is_empty() => {
                        let head = &key[..key.len() - subkey.sub.len()];
                        if group != head {
                            head.clone_into(&mut group);
                            owner = self.owner(subkey.namespace, subkey.key, subkey.version)?;
                        }
                        self.namespace(subkey.namespace).add(owner, 0, bytes);
                    }
                    _ => self.usage.unreadable_records += 1,
                },
                _ => self.usage.other_bytes += bytes,
            }
            watch.bytes(bytes as usize)?;
            cursor.next();
        }
        Ok(())
    }

    fn key(&mut self, key: &[u8], value: &[u8]) {
        let decoded = decode_key(key, self.store.layout).and_then(|key| Ok((key, decode_metadata(value)?)));
        let (parts, metadata) = match decoded {
            Ok(decoded) if !decoded.0.namespace.is_empty() => decoded,
            _ => {
                self.usage.unreadable_records += 1;
                return;
            }
        };
        let owner = if metadata.is_alive(self.now) { Owner::Alive(metadata.kind) } else { Owner::Expired };
        self.namespace(parts.namespace).add(owner, 1, (key.len() + value.len()) as u64);
    }

    /// What the subkeys of that version belong to.
    fn owner(&self, namespace: &[u8], key: &[u8], version: u64) -> Result<Owner> {
        let mut full = Vec::new();
        append_key(&mut full, &namespace_prefix(namespace), self.store.layout, key);
        let Some(record) = self.store.db.get(METADATA, &full, Some(self.rows))? else { return Ok(Owner::Gone) };
        Ok(match decode_metadata(&record) {
            Ok(metadata) if metadata.kind.is_single_kv() || metadata.version != version => Owner::Gone,
            Ok(metadata) if !metadata.is_alive(self.now) => Owner::Expired,
            Ok(metadata) => Owner::Alive(metadata.kind),
            Err(_) => Owner::Gone,
        })
    }
}
