//! A view of one moment.

use std::ops::ControlFlow;
use std::sync::{Arc, Weak};

use super::error::{Error, ErrorKind, Result, shown};
use super::format::key::DEFAULT_NAMESPACE;
use super::format::metadata::Kind;
use super::generation::Generation;
use super::instance::{CommitGuard, Instance};
use super::namespace::{self, Namespace, check_openable};
use super::replication::position::Position;
use super::storage::db;
use super::types::items::{Items, Range};
use super::types::keys::Ttl;
use super::types::reading::Reading;
use super::types::string::Value;

/// Data and namespaces as they were together when it was taken, whatever is written or swapped later. It keeps the
/// dataset of that moment on disk: let it go when you are done. After close it answers Closed.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let engine = pumice::Engine::open(dir.path(), &pumice::Options::default())?;
/// let users = engine.create_namespace("users", None)?;
/// users.put(b"ada", b"countess")?;
/// let then = engine.snapshot()?;
/// engine.drop_namespace("users")?;
/// assert_eq!(then.namespaces()?, ["__namespace", "users"]);
/// assert_eq!(then.namespace("users")?.get(b"ada")?.unwrap(), b"countess");
/// assert_eq!(engine.namespaces()?, ["__namespace"]);
/// # Ok::<(), pumice::Error>(())
/// ```
#[derive(Clone)]
pub struct Snapshot {
    view: Arc<View>,
}

struct View {
    // Dropped in this order: what is seen, its generation, and the instance, which waits until that is closed.
    rows: Arc<db::Snapshot>,
    generation: Arc<Generation>,
    position: Position,
    instance: Arc<Instance>,
}

/// One namespace as a snapshot sees it.
#[derive(Clone)]
pub struct SnapshotNamespace {
    view: Arc<View>,
    /// The same namespace of now, of which only the name is used.
    namespace: Namespace,
}

impl Snapshot {
    pub(super) fn take(instance: &Arc<Instance>) -> Result<Snapshot> {
        Ok(Snapshot::of(&instance.lock()?, instance))
    }

    /// What the holder of the commit lock would see for as long as it holds it.
    pub(super) fn of(guard: &CommitGuard<'_>, instance: &Arc<Instance>) -> Snapshot {
        let generation = Arc::clone(&guard.generation);
        let rows = generation.store.db.snapshot();
        let position = Position { replication_id: generation.store.replication_id(), sequence: rows.sequence() };
        Snapshot { view: Arc::new(View { instance: Arc::clone(instance), rows: Arc::new(rows), generation, position }) }
    }

    /// A namespace that was admitted to the same generation.
    pub(super) fn of_namespace(&self, namespace: &Namespace) -> SnapshotNamespace {
        SnapshotNamespace { view: Arc::clone(&self.view), namespace: namespace.clone() }
    }

    /// The position that it shows.
    pub fn position(&self) -> &Position {
        &self.view.position
    }

    /// Names of the namespaces registered then, the default one first as `__namespace`.
    pub fn namespaces(&self) -> Result<Vec<String>> {
        self.view.instance.generation()?;
        Ok(namespace::names(&self.view.generation))
    }

    /// A namespace that was registered or had data then; NotFound otherwise.
    pub fn namespace(&self, name: impl AsRef<[u8]>) -> Result<SnapshotNamespace> {
        self.view.instance.generation()?;
        let name = name.as_ref();
        check_openable(name)?;
        let found = SnapshotNamespace::new(&self.view, name);
        if name == DEFAULT_NAMESPACE || self.view.generation.is_registered(name) {
            return Ok(found);
        }
        if found.is_empty()? {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("namespace {}: the snapshot has none of that name", shown(name)),
            ));
        }
        Ok(found)
    }

    /// The default namespace.
    pub fn default_namespace(&self) -> SnapshotNamespace {
        SnapshotNamespace::new(&self.view, DEFAULT_NAMESPACE)
    }
}

impl SnapshotNamespace {
    fn new(view: &Arc<View>, name: &[u8]) -> SnapshotNamespace {
        let namespace = Namespace::new(&view.instance, Weak::new(), name, false);
        SnapshotNamespace { view: Arc::clone(view), namespace }
    }

    pub(super) fn read<R, E: From<Error>>(
        &self,
        read: impl FnOnce(&Reading<'_>) -> std::result::Result<R, E>,
    ) -> std::result::Result<R, E> {
        self.view.instance.generation()?;
        let store = &self.view.generation.store;
        read(&Reading { store, snapshot: Some(&self.view.rows), prefix: self.namespace.prefix(), pending: None })
    }

    /// Its name, and the cursors of walks. It is not to be read or written.
    pub(super) fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Its name; `__namespace` for the default one.
    pub fn name(&self) -> &[u8] {
        self.namespace.name()
    }

    /// As [`crate::Namespace::get`].
    pub fn get(&self, key: &[u8]) -> Result<Option<Value>> {
        self.read(|reading| reading.string(key))
    }

    /// As [`crate::Namespace::get_many`].
    pub fn get_many(&self, keys: &[impl AsRef<[u8]>]) -> Result<Vec<Option<Value>>> {
        self.read(|reading| reading.strings(keys))
    }

    /// As [`crate::Namespace::kind`].
    pub fn kind(&self, key: &[u8]) -> Result<Option<Kind>> {
        Ok(self.read(|reading| reading.metadata(key))?.map(|metadata| metadata.kind))
    }

    /// As [`crate::Namespace::exists`].
    pub fn exists(&self, key: &[u8]) -> Result<bool> {
        Ok(self.kind(key)?.is_some())
    }

    /// As [`crate::Namespace::ttl`]: the expiry as it was then, compared with the clock of now.
    pub fn ttl(&self, key: &[u8]) -> Result<Ttl> {
        self.read(|reading| reading.ttl(key))
    }

    /// As [`crate::Namespace::items`].
    pub fn items(&self, range: &Range) -> Result<Items<'static>> {
        self.read(|reading| Ok(reading.items(range).kept()))
    }

    /// As [`crate::Namespace::count`].
    pub fn count(&self) -> Result<u64> {
        self.count_watched(&mut |_| ControlFlow::Continue(()))
    }

    /// As [`crate::Namespace::count_watched`].
    pub(crate) fn count_watched(&self, progress: &mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<u64> {
        self.read(|reading| reading.count(progress))
    }

    /// As [`crate::Namespace::is_empty`].
    pub fn is_empty(&self) -> Result<bool> {
        self.read(|reading| Ok(reading.items(&Range::default()).next_item()?.is_none()))
    }
}
