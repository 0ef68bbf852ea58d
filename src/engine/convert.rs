//! A dataset in the other key layout: the slot put into every key, or taken out.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::directory::check_outside;
use super::error::{Error, ErrorKind, Result, shown};
use super::failpoint::step;
use super::format::batch::{BatchBuilder, DEFAULT, METADATA, PROPAGATE, SEARCH, STREAM, ZSET_SCORE};
use super::format::key::{
    DEFAULT_NAMESPACE, Layout, Subkey, append_key, append_subkey, decode_key, decode_subkey, namespace_prefix,
    prefix_end, slot,
};
use super::format::registry::{REGISTRY_KEY, REPLICATION_ID_KEY, check_name};
use super::format::state::Role;
use super::generation::Generation;
use super::instance::Instance;
use super::namespace;
use super::options::Options;
use super::random::random_id;
use super::replication::position::Position;
use super::replication::sync_in::{Progress, Stage, Watch};
use super::storage::db::Db;
use super::storage::files;
use super::storage::iterator::Cursor;
use super::storage::options::Compression;

/// What to convert to. `ConvertOptions::default()` asks for the standalone layout with all keys in the default namespace.
#[derive(Clone, Debug)]
pub struct ConvertOptions {
    /// The key layout of the target: `true` for the cluster layout.
    pub cluster: bool,
    /// To the cluster layout, which has no namespaces, the one to take; to the standalone layout, the one to make and put
    /// all keys into. `None` for the default one.
    pub namespace: Option<Vec<u8>>,
    /// How the target is compressed.
    pub compression: Compression,
    /// Bytes for caches and write buffers, for the source and for the target each.
    pub memory_budget: usize,
}

impl Default for ConvertOptions {
    fn default() -> ConvertOptions {
        ConvertOptions { cluster: false, namespace: None, compression: Compression::None, memory_budget: 128 << 20 }
    }
}

/// A dataset that was converted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Converted {
    /// The data directory that holds it.
    pub path: PathBuf,
    /// Its position, in a history of its own.
    pub position: Position,
    /// Its key layout: `standalone` or `cluster`.
    pub layout: &'static str,
    /// The namespace that its keys are in.
    pub namespace: Vec<u8>,
    /// How many keys it has, those that expired and were not compacted away included.
    pub keys: u64,
    /// How many records: keys with their fields, members and elements, and scripts.
    pub records: u64,
    /// Bytes of those, before compression.
    pub bytes: u64,
    /// What the source has and the target does not, a sentence each.
    pub left_out: Vec<String>,
}

/// Makes a new data directory `target` with the dataset of the data directory `source` in the other key layout. Every
/// type is converted, those too that can only be seen here; keys keep their expiry, and with it go, as they are, the
/// versions that fields, members and elements carry, and what is left of deleted keys. Scripts come along. Search
/// indexes do not, since a cluster has none, nor do the tokens of namespaces.
///
/// The source is only read, and may be open read-only elsewhere meanwhile. The target appears whole or not at all; it is
/// a primary with a history of its own, and its log starts behind the conversion. `Break` cancels with Busy and leaves
/// nothing. Memory does not grow with the data.
///
/// Errors: NotFound for the source, or a namespace that it does not have; InvalidArgument when it has that layout already;
/// AlreadyExists for the target; Busy when somebody has the source open for writing; Unsupported when a source in the
/// cluster layout has keys outside of the default namespace; Corruption naming a record that is not what it should be; Io.
///
/// ```
/// use std::ops::ControlFlow;
/// use pumice::{ConvertOptions, Engine, Options};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let (plain, cluster) = (dir.path().join("plain"), dir.path().join("cluster"));
/// let engine = Engine::open(&plain, &Options::default())?;
/// engine.create_namespace("users", None)?.put(b"ada", b"countess")?;
/// engine.close()?;
/// let options = ConvertOptions { cluster: true, namespace: Some(b"users".to_vec()), ..Default::default() };
/// pumice::convert(&plain, &cluster, &options, &mut |_| ControlFlow::Continue(()))?;
/// let engine = Engine::open(&cluster, &Options::default())?;
/// assert_eq!(engine.default_namespace().get(b"ada")?.unwrap(), b"countess");
/// # Ok::<(), pumice::Error>(())
/// ```
pub fn convert(
    source: impl AsRef<Path>,
    target: impl AsRef<Path>,
    options: &ConvertOptions,
    progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
) -> Result<Converted> {
    let opened = Options { create: false, read_only: true, memory_budget: options.memory_budget, ..Options::default() };
    let source = Instance::open(source.as_ref(), &opened)?;
    let generation = source.generation()?.clone();
    let plan = Plan::new(&source, &generation, options)?;
    check_outside("target", target.as_ref(), source.path())?;
    let mut watch = Watch::new(&source, progress);
    let mut converted = files::make_whole("target", target.as_ref(), &random_id()?, |beside| {
        let converted = fill(&generation, &plan, beside, options, &mut watch)?;
        watch.begin(Stage::Publish, 0, 0);
        watch.check()?;
        step!("convert::ready");
        Ok(converted)
    })?;
    converted.path = std::fs::canonicalize(target.as_ref()).unwrap_or_else(|_| target.as_ref().to_owned());
    Ok(converted)
}

/// What goes where.
struct Plan {
    from: Layout,
    to: Layout,
    /// What stored keys of the source start with.
    prefix: Vec<u8>,
    /// The namespace in the target.
    namespace: Vec<u8>,
    left_out: Vec<String>,
}

impl Plan {
    fn new(source: &Instance, generation: &Generation, options: &ConvertOptions) -> Result<Plan> {
        let path = source.path().display();
        let from = generation.store.layout;
        let to = if options.cluster { Layout::Cluster } else { Layout::Standalone };
        if from == to {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!("{path}: it has the {} layout already; there is nothing to convert", from.name()),
            ));
        }
        let named = options.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
        let others: Vec<Vec<u8>> = {
            let registered = generation.registry.names().map(|name| name.as_bytes().to_vec());
            registered.chain(generation.unregistered()?).chain([DEFAULT_NAMESPACE.to_vec()]).collect()
        };
        let mut left_out = Vec::new();
        let (taken, namespace) = match to {
            Layout::Cluster => {
                if !others.iter().any(|name| name == named) {
                    return Err(Error::new(
                        ErrorKind::NotFound,
                        format!("namespace {}: {path} has none of that name", shown(named)),
                    ));
                }
                let mut with_data = Vec::new();
                for name in others.iter().filter(|name| *name != named) {
                    if generation.has_data(&namespace_prefix(name))? {
                        with_data.push(shown(name));
                    }
                }
                if !with_data.is_empty() {
                    left_out.push(format!(
                        "{} other namespaces with data ({}): convert each into a target of its own",
                        with_data.len(),
                        listed(&with_data)
                    ));
                }
                (named, DEFAULT_NAMESPACE)
            }
            Layout::Standalone => {
                if named != DEFAULT_NAMESPACE {
                    check_name(named)?;
                }
                for name in others.iter().filter(|name| *name != DEFAULT_NAMESPACE) {
                    if generation.has_data(&namespace_prefix(name))? {
                        return Err(Error::new(
                            ErrorKind::Unsupported,
                            format!(
                                "{path}: got keys of namespace {}, expected keys of the default one only in the cluster layout",
                                shown(name)
                            ),
                        ));
                    }
                }
                (DEFAULT_NAMESPACE, named)
            }
        };
        let prefix = namespace_prefix(taken);
        let mut indexes = Cursor::open(&generation.store.db, SEARCH, prefix.clone(), prefix_end(&prefix), None, false);
        indexes.seek_to_first();
        if indexes.record()?.is_some() {
            left_out
                .push("search indexes: a cluster has none; make them anew with FT.CREATE where they can be".to_owned());
        }
        Ok(Plan { from, to, prefix, namespace: namespace.to_vec(), left_out })
    }
}

/// The first of some names.
fn listed(names: &[String]) -> String {
    const MOST: usize = 20;
    let mut text = names[..names.len().min(MOST)].join(", ");
    if names.len() > MOST {
        text.push_str(", …");
    }
    text
}

/// Makes the data directory `folder` and fills it, durably.
fn fill(
    generation: &Generation,
    plan: &Plan,
    folder: &Path,
    options: &ConvertOptions,
    watch: &mut Watch<'_>,
) -> Result<Converted> {
    let source = &generation.store.db;
    // A replica says nothing of its own in its log. Promoted at the end, its log and its history start there.
    let opened = Options {
        role: Some(Role::Replica),
        cluster: Some(options.cluster),
        compression: options.compression,
        memory_budget: options.memory_budget,
        ..Options::default()
    };
    let target = Instance::open(folder, &opened)?;
    let db = Arc::clone(&target.generation()?.store.db);
    watch.begin(Stage::Convert, 0, [METADATA, DEFAULT, ZSET_SCORE, STREAM].iter().map(|&f| source.raw_bytes(f)).sum());
    watch.check()?;
    let mut copy = Copy { plan, db, batch: BatchBuilder::new(), records: 0, bytes: 0 };
    let keys = copy.family(source, METADATA, watch)?;
    for family in [DEFAULT, ZSET_SCORE, STREAM] {
        copy.family(source, family, watch)?;
    }
    copy.propagate(source)?;
    copy.write()?;
    copy.db.flush_memtables()?;
    let Copy { records, bytes, db, .. } = copy;
    target.promote()?;
    if plan.namespace != DEFAULT_NAMESPACE {
        namespace::create(&target, &plan.namespace, None)?;
    }
    target.flush()?;
    let position =
        Position { replication_id: target.generation()?.store.replication_id(), sequence: db.latest_sequence() };
    drop(db);
    target.close()?;
    Ok(Converted {
        path: folder.to_owned(),
        position,
        layout: plan.to.name(),
        namespace: plan.namespace.clone(),
        keys,
        records,
        bytes,
        left_out: plan.left_out.clone(),
    })
}

/// Records on their way.
struct Copy<'a> {
    plan: &'a Plan,
    db: Arc<Db>,
    batch: BatchBuilder,
    records: u64,
    bytes: u64,
}

impl Copy<'_> {
    /// Brings the namespace's records of one family over. Gives their number.
    fn family(&mut self, source: &Arc<Db>, family: u32, watch: &mut Watch<'_>) -> Result<u64> {
        let prefix = &self.plan.prefix;
        let mut cursor = Cursor::open(source, family, prefix.clone(), prefix_end(prefix), None, false);
        let mut converted = Vec::new();
        let mut records = 0;
        cursor.seek_to_first();
        while let Some((key, value)) = cursor.record()? {
            converted.clear();
            match family {
                METADATA => self.plan.key(key, &mut converted)?,
                _ => self.plan.subkey(key, &mut converted)?,
            }
            self.put(family, &converted, value)?;
            records += 1;
            watch.bytes(key.len() + value.len())?;
            cursor.next();
        }
        Ok(records)
    }

    /// Brings scripts and functions over: all but the registry, which names what the target does not have, and the
    /// replication id, which is the source's own.
    fn propagate(&mut self, source: &Arc<Db>) -> Result<()> {
        let mut cursor = Cursor::open(source, PROPAGATE, Vec::new(), None, None, false);
        cursor.seek_to_first();
        while let Some((key, value)) = cursor.record()? {
            if key != REGISTRY_KEY && key != REPLICATION_ID_KEY {
                self.put(PROPAGATE, key, value)?;
            }
            cursor.next();
        }
        Ok(())
    }

    fn put(&mut self, family: u32, key: &[u8], value: &[u8]) -> Result<()> {
        const MOST_BYTES: usize = 1 << 20;
        const MOST_RECORDS: u32 = 1000;
        self.batch.put(family, key, value);
        self.records += 1;
        self.bytes += (key.len() + value.len()) as u64;
        if self.batch.len_bytes() < MOST_BYTES && self.batch.count() < MOST_RECORDS {
            return Ok(());
        }
        self.write()
    }

    fn write(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        if batch.count() == 0 {
            return Ok(());
        }
        step!("convert::write");
        self.db.write_unlogged(&batch.finish(self.db.latest_sequence() + 1))
    }
}

impl Plan {
    /// Appends the key of a metadata record as the target has it.
    fn key(&self, key: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let parts = decode_key(key, self.from)?;
        check_slot(key, parts.slot, parts.key)?;
        append_key(out, &namespace_prefix(&self.namespace), self.to, parts.key);
        Ok(())
    }

    /// Appends a subkey as the target has it.
    fn subkey(&self, key: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let parts = decode_subkey(key, self.from)?;
        check_slot(key, parts.slot, parts.key)?;
        let slot = (self.to == Layout::Cluster).then(|| slot(parts.key));
        append_subkey(out, &Subkey { namespace: &self.namespace, slot, ..parts });
        Ok(())
    }
}

/// Refuses a record that a cluster would not find: its slot is not that of its key.
fn check_slot(stored: &[u8], found: Option<u16>, key: &[u8]) -> Result<()> {
    let expected = slot(key);
    match found {
        Some(found) if found != expected => Err(Error::new(
            ErrorKind::Corruption,
            format!("record {}: got slot {found}, expected {expected}", shown(stored)),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(from: Layout, to: Layout, taken: &[u8], namespace: &[u8]) -> Plan {
        Plan { from, to, prefix: namespace_prefix(taken), namespace: namespace.to_vec(), left_out: Vec::new() }
    }

    /// A key and a subkey get the slot of their user key, hash tag minded, lose it on the way back, and keep the rest.
    #[test]
    fn there_and_back() {
        let there = plan(Layout::Standalone, Layout::Cluster, b"ns", DEFAULT_NAMESPACE);
        let back = plan(Layout::Cluster, Layout::Standalone, DEFAULT_NAMESPACE, b"ns");
        for user in [&b"foo"[..], b"", b"{user1000}.x", b"\xff\x00"] {
            let (mut plain, mut cluster, mut again) = (Vec::new(), Vec::new(), Vec::new());
            append_key(&mut plain, &namespace_prefix(b"ns"), Layout::Standalone, user);
            there.key(&plain, &mut cluster).unwrap();
            let parts = decode_key(&cluster, Layout::Cluster).unwrap();
            assert_eq!((parts.namespace, parts.slot, parts.key), (DEFAULT_NAMESPACE, Some(slot(user)), user));
            back.key(&cluster, &mut again).unwrap();
            assert_eq!(again, plain);

            let subkey = Subkey { namespace: b"ns", slot: None, key: user, version: 7, sub: b"field" };
            let (mut plain, mut cluster, mut again) = (Vec::new(), Vec::new(), Vec::new());
            append_subkey(&mut plain, &subkey);
            there.subkey(&plain, &mut cluster).unwrap();
            let parts = decode_subkey(&cluster, Layout::Cluster).unwrap();
            assert_eq!(parts, Subkey { namespace: DEFAULT_NAMESPACE, slot: Some(slot(user)), ..subkey });
            back.subkey(&cluster, &mut again).unwrap();
            assert_eq!(again, plain);
        }
    }

    /// A record with the slot of another key is refused, not made unfindable.
    #[test]
    fn wrong_slots() {
        let back = plan(Layout::Cluster, Layout::Standalone, DEFAULT_NAMESPACE, DEFAULT_NAMESPACE);
        let stored = [&namespace_prefix(DEFAULT_NAMESPACE)[..], &1u16.to_be_bytes(), b"foo"].concat();
        let error = back.key(&stored, &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corruption);
        assert!(error.message().contains("got slot 1, expected 12182"), "{error}");
    }
}
