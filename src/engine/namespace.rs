//! Namespaces: their registry, and the handle through which keys are read and written.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::engine::same_engine;
use super::error::{Error, ErrorKind, Result, shown};
use super::format::batch::{BatchBuilder, DEFAULT, METADATA, PROPAGATE, SEARCH, STREAM, ZSET_SCORE};
use super::format::key::{DEFAULT_NAMESPACE, Layout, MAX_NAMESPACE, namespace_prefix, prefix_end};
use super::format::metadata::Kind;
use super::format::registry::{MAX_REGISTRY, REGISTRY_KEY, Registry, check_name, check_token, encode_registry};
use super::generation::Generation;
use super::instance::{CommitGuard, Instance};
use super::options::WriteOptions;
use super::random::random_text;
use super::reclaim;
use super::replication::node::Node;
use super::types::items::{Items, Range};
use super::types::keys::{self, Ttl};
use super::types::reading::Reading;
use super::types::string::{self, Value};
use super::types::writing::Writing;

/// A handle of one namespace. A cheap handle: clones are the same. It stays valid across `apply_checkpoint`, and
/// answers NotFound while its namespace does not exist.
///
/// Keys are bytes of any kind, the empty key included, at most 512 MiB long, as values are. A write survives a killed
/// process when it returns; see [`crate::Options::sync`] for power cuts. Every call answers Closed after close.
///
/// ```
/// use std::time::Duration;
/// use pumice::{Engine, Options, Range, Ttl, WriteOptions};
///
/// # let dir = tempfile::tempdir().unwrap();
/// let engine = Engine::open(dir.path(), &Options::default())?;
/// let users = engine.create_namespace("users", Some("a secret token"))?;
/// users.put(b"ada", b"countess")?;
/// users.put_with(b"session", b"...", &WriteOptions { ttl: Some(Duration::from_secs(60)), sync: Some(true) })?;
/// assert!(!users.put_if(b"ada", b"duchess", None)?, "it is there already");
/// assert!(users.put_if(b"ada", b"duchess", Some(b"countess"))?);
/// assert!(matches!(users.ttl(b"session")?, Ttl::Left(_)));
///
/// let mut items = users.items(&Range { prefix: b"a".to_vec(), ..Default::default() })?;
/// while let Some(item) = items.next_item()? {
///     assert_eq!((item.key, item.value), (&b"ada"[..], Some(&b"duchess"[..])));
/// }
/// assert_eq!(users.get_many(&["ada", "nobody"])?[1], None);
/// assert_eq!(users.count()?, 2);
/// # Ok::<(), pumice::Error>(())
/// ```
#[derive(Clone)]
pub struct Namespace {
    inner: Arc<Inner>,
}

struct Inner {
    instance: Arc<Instance>,
    /// The engine among others, which a handle of a namespace does not keep up.
    node: Weak<Node>,
    name: Vec<u8>,
    prefix: Vec<u8>,
    /// Whether it was registered when it was opened: then it must stay so. Else it must have data.
    registered: bool,
    /// The registry in which it was last found.
    seen: AtomicU64,
}

impl Namespace {
    pub(super) fn default_of(node: &Arc<Node>) -> Namespace {
        Namespace::new(&node.instance, Arc::downgrade(node), DEFAULT_NAMESPACE, true)
    }

    pub(super) fn open(node: &Arc<Node>, name: &[u8]) -> Result<Namespace> {
        let generation = node.instance.generation()?;
        if name == DEFAULT_NAMESPACE {
            return Ok(Namespace::default_of(node));
        }
        check_openable(name)?;
        let registered = generation.is_registered(name);
        let namespace = Namespace::new(&node.instance, Arc::downgrade(node), name, registered);
        namespace.admit(&generation)?;
        Ok(namespace)
    }

    pub(super) fn new(instance: &Arc<Instance>, node: Weak<Node>, name: &[u8], registered: bool) -> Namespace {
        Namespace {
            inner: Arc::new(Inner {
                instance: Arc::clone(instance),
                node,
                name: name.to_vec(),
                prefix: namespace_prefix(name),
                registered,
                seen: AtomicU64::new(0),
            }),
        }
    }

    /// Checks that the namespace is in a generation. Free while the registry stays the same.
    #[inline]
    pub(super) fn admit(&self, generation: &Generation) -> Result<()> {
        if self.inner.seen.load(Ordering::Relaxed) == generation.stamp {
            return Ok(());
        }
        self.look_up(generation)
    }

    #[cold]
    fn look_up(&self, generation: &Generation) -> Result<()> {
        let name = &self.inner.name;
        let found = name == DEFAULT_NAMESPACE
            || generation.is_registered(name)
            || (!self.inner.registered && generation.has_data(&self.inner.prefix)?);
        if !found {
            return Err(not_found(name));
        }
        self.inner.seen.store(generation.stamp, Ordering::Relaxed);
        Ok(())
    }

    /// Reads at several moments, for what is one record or needs no moment.
    #[inline]
    pub(super) fn read<R, E: From<Error>>(
        &self,
        read: impl FnOnce(&Reading<'_>) -> std::result::Result<R, E>,
    ) -> std::result::Result<R, E> {
        let generation = self.inner.instance.generation()?;
        self.admit(&generation)?;
        read(&Reading { store: &generation.store, snapshot: None, prefix: &self.inner.prefix, pending: None })
    }

    /// Reads at one moment, whatever is written meanwhile.
    pub(super) fn view<R, E: From<Error>>(
        &self,
        read: impl FnOnce(&Reading<'_>) -> std::result::Result<R, E>,
    ) -> std::result::Result<R, E> {
        let generation = self.inner.instance.generation()?;
        self.admit(&generation)?;
        let rows = Arc::new(generation.store.db.snapshot());
        let prefix = &self.inner.prefix;
        read(&Reading { store: &generation.store, snapshot: Some(&rows), prefix, pending: None })
    }

    /// Writes one entry, and reads what it has written so far: nothing comes between.
    pub(super) fn write<R, E: From<Error>>(
        &self,
        sync: Option<bool>,
        write: impl FnOnce(&mut Writing<'_>) -> std::result::Result<R, E>,
    ) -> std::result::Result<R, E> {
        self.inner.instance.write(sync, |generation, batch| {
            self.admit(generation)?;
            write(&mut Writing::new(&generation.store, &self.inner.prefix, batch))
        })
    }

    pub(super) fn instance(&self) -> &Arc<Instance> {
        &self.inner.instance
    }

    /// The engine among others; `None` when its last handle is gone.
    pub(super) fn node(&self) -> Option<Arc<Node>> {
        self.inner.node.upgrade()
    }

    pub(super) fn prefix(&self) -> &[u8] {
        &self.inner.prefix
    }

    pub(super) fn check_engine(&self, instance: &Arc<Instance>) -> Result<()> {
        same_engine(instance, &self.inner.instance)
    }

    /// Its name; `__namespace` for the default one.
    pub fn name(&self) -> &[u8] {
        &self.inner.name
    }

    /// Its token; `None` for the default namespace and for an unregistered one. NotFound when it was dropped.
    pub fn token(&self) -> Result<Option<String>> {
        let generation = self.inner.instance.generation()?;
        self.admit(&generation)?;
        let name = std::str::from_utf8(&self.inner.name).unwrap_or_default();
        Ok(generation.registry.token_of(name).map(str::to_owned))
    }

    /// Gives it another token. One write, alone in its log record. AlreadyExists when another namespace has the token;
    /// InvalidArgument for the default namespace, which has none.
    pub fn set_token(&self, token: &str) -> Result<()> {
        check_token(token)?;
        let name = registrable(&self.inner.name)?;
        change_registry(&self.inner.instance, |generation, registry| {
            self.admit(generation)?;
            match registry.name_of(token) {
                Some(owner) if owner == name => return Ok(()),
                Some(_) => return Err(token_taken()),
                None => {}
            }
            registry.remove(name);
            registry.insert(token, name);
            Ok(())
        })
    }

    /// The value of a string, where the storage engine keeps it; `None` when there is no such key or it expired.
    /// WrongType when the key is of another type. Blocks for the disk when the block is not in the cache.
    #[inline]
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        self.read(|reading| reading.string(key))
    }

    /// The values of many strings, in the order of the keys, seen at one moment of one dataset. WrongType when a key is
    /// of another type. Faster than as many gets.
    pub fn get_many(&self, keys: &[impl AsRef<[u8]>]) -> Result<Vec<Option<Value>>> {
        self.read(|reading| reading.strings(keys))
    }

    /// The type of a key, whatever it is; `None` when there is no such key.
    pub fn kind(&self, key: &[u8]) -> Result<Option<Kind>> {
        Ok(self.read(|reading| reading.metadata(key))?.map(|metadata| metadata.kind))
    }

    /// Whether a key of any type is there.
    pub fn exists(&self, key: &[u8]) -> Result<bool> {
        Ok(self.kind(key)?.is_some())
    }

    /// How long a key of any type still lives.
    pub fn ttl(&self, key: &[u8]) -> Result<Ttl> {
        self.read(|reading| reading.ttl(key))
    }

    /// The keys of a range in order, with the values of strings, as they are at this moment.
    pub fn items(&self, range: &Range) -> Result<Items<'static>> {
        self.read(|reading| Ok(reading.items(range).kept()))
    }

    /// The exact number of keys. It reads them all: about two million a second.
    pub fn count(&self) -> Result<u64> {
        self.count_watched(&mut |_| ControlFlow::Continue(()))
    }

    /// [`Namespace::count`] that tells every few thousand keys how many it has; `Break` cancels it with Busy.
    pub(crate) fn count_watched(&self, progress: &mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<u64> {
        self.read(|reading| reading.count(progress))
    }

    /// Whether it has no key. One seek, past keys that have expired.
    pub fn is_empty(&self) -> Result<bool> {
        self.read(|reading| Ok(reading.items(&Range::default()).next_item()?.is_none()))
    }

    /// Stores a string, over whatever the key was.
    pub fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.put_with(key, value, &WriteOptions::default())
    }

    /// Stores a string with a time to live, or with another durability than the engine's.
    pub fn put_with(&self, key: &[u8], value: &[u8], options: &WriteOptions) -> Result<()> {
        keys::check_key(key)?;
        keys::check_value(value)?;
        let expire_ms = keys::expiry(options.ttl)?;
        self.write(options.sync, |writing| string::put(writing, key, value, expire_ms))
    }

    /// Stores a string only if the key holds `expected` now, or with `None` only if there is no such key. Whether it
    /// did. No other write comes between the look and the write.
    pub fn put_if(&self, key: &[u8], value: &[u8], expected: Option<&[u8]>) -> Result<bool> {
        self.put_if_with(key, value, expected, &WriteOptions::default())
    }

    /// [`Namespace::put_if`] with a time to live, or with another durability than the engine's.
    pub fn put_if_with(
        &self,
        key: &[u8],
        value: &[u8],
        expected: Option<&[u8]>,
        options: &WriteOptions,
    ) -> Result<bool> {
        keys::check_key(key)?;
        keys::check_value(value)?;
        let expire_ms = keys::expiry(options.ttl)?;
        self.write(options.sync, |writing| {
            let reading = writing.reading();
            let matches = match expected {
                Some(expected) => reading.string(key)?.is_some_and(|found| found == expected),
                None => reading.metadata(key)?.is_none(),
            };
            if matches {
                string::put(writing, key, value, expire_ms)?;
            }
            Ok(matches)
        })
    }

    /// Deletes a key of any type. Whether it was there.
    pub fn delete(&self, key: &[u8]) -> Result<bool> {
        self.delete_with(key, &WriteOptions::default())
    }

    /// [`Namespace::delete`] with another durability than the engine's.
    pub fn delete_with(&self, key: &[u8], options: &WriteOptions) -> Result<bool> {
        keys::check_key(key)?;
        self.write(options.sync, |writing| keys::delete(writing, key))
    }

    /// Lets a key of any type expire after `ttl`. `false` when there is no such key.
    pub fn expire(&self, key: &[u8], ttl: Duration) -> Result<bool> {
        let expire_ms = keys::expiry(Some(ttl))?;
        self.write(None, |writing| keys::expire(writing, key, expire_ms))
    }

    /// Takes the expiry off a key. `false` when there is no such key, or it had none.
    pub fn persist(&self, key: &[u8]) -> Result<bool> {
        self.write(None, |writing| keys::expire(writing, key, 0))
    }

    /// Deletes all keys: one range delete, whatever their number, in milliseconds. Where they take more than a megabyte of
    /// files, their space comes back in the background, at once unless a snapshot is open, and the delete is synced.
    pub fn clear(&self) -> Result<()> {
        self.write(None, keys::clear)
    }
}

impl std::fmt::Debug for Namespace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Namespace({})", shown(&self.inner.name))
    }
}

/// Registered names, the default one first.
pub fn names(generation: &Generation) -> Vec<String> {
    let default = String::from_utf8_lossy(DEFAULT_NAMESPACE).into_owned();
    std::iter::once(default).chain(generation.registry.names().map(str::to_owned)).collect()
}

/// Registers a namespace. The checks are Kvrocks' (namespace.cc), without handing over another's token.
pub fn create(instance: &Instance, name: &[u8], token: Option<&str>) -> Result<()> {
    let name = registrable(name)?;
    let drawn;
    let given = match token {
        Some(token) => {
            check_token(token)?;
            token
        }
        None => {
            drawn = random_text(b"0123456789abcdefghijklmnopqrstuvwxyz", 40)?;
            &drawn
        }
    };
    change_registry(instance, |generation, registry| {
        if generation.store.layout == Layout::Cluster {
            return Err(Error::new(
                ErrorKind::Unsupported,
                format!(
                    "namespace {}: the cluster layout has no namespaces; use the default one",
                    shown(name.as_bytes())
                ),
            ));
        }
        match registry.token_of(name) {
            Some(had) if token == Some(had) => return Ok(()),
            Some(_) => {
                return Err(Error::new(
                    ErrorKind::AlreadyExists,
                    format!(
                        "namespace {}: it exists with another token; open it, or set_token()",
                        shown(name.as_bytes())
                    ),
                ));
            }
            None => {}
        }
        if registry.name_of(given).is_some() {
            return Err(token_taken());
        }
        registry.insert(given, name);
        Ok(())
    })
}

/// Registers a namespace, or gives it another token; AlreadyExists when another one has the token.
pub fn register(instance: &Instance, name: &[u8], token: &str) -> Result<()> {
    check_token(token)?;
    let name = registrable(name)?;
    change_registry(instance, |_, registry| match registry.name_of(token) {
        Some(owner) if owner != name => Err(token_taken()),
        _ => {
            registry.insert(token, name);
            Ok(())
        }
    })
}

/// Drops a namespace: its data first, then its registration, with nothing between the two.
pub fn remove(instance: &Instance, name: &[u8]) -> Result<()> {
    if name == DEFAULT_NAMESPACE {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            "namespace \"__namespace\": the default one cannot be dropped; clear() it",
        ));
    }
    check_openable(name)?;
    let mut guard = instance.lock()?;
    guard.check_writable()?;
    let prefix = namespace_prefix(name);
    if !guard.generation.has_namespace(name, &prefix)? {
        return Err(not_found(name));
    }
    let end = prefix_end(&prefix).expect("a name does not end in 0xFF");
    let mut data = BatchBuilder::new();
    let deleted = [DEFAULT, METADATA, ZSET_SCORE, STREAM, SEARCH].map(|family| {
        data.delete_range(family, &prefix, &end);
        reclaim::Range { family, begin: prefix.clone(), end: end.clone() }
    });
    reclaim::delete(&mut guard, data, &deleted)?;
    let mut registry = guard.generation.registry.clone();
    if std::str::from_utf8(name).is_ok_and(|name| registry.remove(name)) {
        write_registry(&mut guard, &registry)
    } else {
        // Nothing was registered, but handles must look again.
        guard.reload_registry()
    }
}

/// Changes the registry under the commit lock and writes it, alone in its record, if it became another.
fn change_registry(instance: &Instance, change: impl FnOnce(&Generation, &mut Registry) -> Result<()>) -> Result<()> {
    let mut guard = instance.lock()?;
    guard.check_writable()?;
    let mut registry = guard.generation.registry.clone();
    change(&guard.generation, &mut registry)?;
    if registry == guard.generation.registry {
        return Ok(());
    }
    write_registry(&mut guard, &registry)
}

fn write_registry(guard: &mut CommitGuard<'_>, registry: &Registry) -> Result<()> {
    let encoded = encode_registry(registry);
    if encoded.len() > MAX_REGISTRY {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "namespaces: {} of them with their tokens take {} bytes, expected at most {MAX_REGISTRY}",
                registry.len(),
                encoded.len()
            ),
        ));
    }
    let mut batch = BatchBuilder::new();
    batch.put(PROPAGATE, REGISTRY_KEY, &encoded);
    guard.append_registry(batch)
}

/// Checks a name that may be in use: one that a Kvrocks keeps in its configuration file need not be UTF-8.
pub fn check_openable(name: &[u8]) -> Result<()> {
    if name.is_empty() || name.len() > MAX_NAMESPACE || name.last() == Some(&0xFF) {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("namespace {}: expected 1 to {MAX_NAMESPACE} bytes, the last not 0xFF", shown(name)),
        ));
    }
    Ok(())
}

fn registrable(name: &[u8]) -> Result<&str> {
    check_name(name)?;
    Ok(std::str::from_utf8(name).expect("check_name refuses other bytes"))
}

fn not_found(name: &[u8]) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("namespace {}: there is none of that name; create_namespace() makes one", shown(name)),
    )
}

fn token_taken() -> Error {
    Error::new(ErrorKind::AlreadyExists, "namespace token: another namespace has it; choose another token")
}
