//! Writes that happen together.

use std::sync::Arc;

use super::error::{Error, ErrorKind, Result};
use super::format::batch::{BatchBuilder, METADATA};
use super::format::key::Layout;
use super::generation::Generation;
use super::instance::Instance;
use super::namespace::Namespace;
use super::options::WriteOptions;
use super::types::reading::with_key;
use super::types::{keys, string};

/// A batch of writes to any namespaces of one engine. Nothing happens until [`Batch::commit`]; dropped without it, it
/// never was. It becomes one entry of the log.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let engine = pumice::Engine::open(dir.path(), &pumice::Options::default())?;
/// let (from, to) = (engine.create_namespace("from", None)?, engine.create_namespace("to", None)?);
/// from.put(b"coin", b"1")?;
/// let mut batch = engine.batch();
/// batch.delete(&from, b"coin")?;
/// batch.put(&to, b"coin", b"1")?;
/// batch.commit(None)?;
/// assert!(to.exists(b"coin")? && !from.exists(b"coin")?);
/// # Ok::<(), pumice::Error>(())
/// ```
pub struct Batch {
    instance: Arc<Instance>,
    records: BatchBuilder,
    namespaces: Vec<Namespace>,
    /// The key layout that its records are in.
    layout: Option<Layout>,
}

impl Batch {
    pub(super) fn new(instance: &Arc<Instance>) -> Batch {
        Batch { instance: Arc::clone(instance), records: BatchBuilder::new(), namespaces: Vec::new(), layout: None }
    }

    /// Adds a string to be stored, over whatever the key was.
    pub fn put(&mut self, namespace: &Namespace, key: &[u8], value: &[u8]) -> Result<()> {
        self.put_with(namespace, key, value, &WriteOptions::default())
    }

    /// [`Batch::put`] with a time to live, which counts from now.
    pub fn put_with(&mut self, namespace: &Namespace, key: &[u8], value: &[u8], options: &WriteOptions) -> Result<()> {
        keys::check_key(key)?;
        keys::check_value(value)?;
        let expire_ms = keys::expiry(options.ttl)?;
        let generation = self.enlist(namespace)?;
        let layout = generation.store.layout;
        string::append_put(&mut self.records, layout, namespace.prefix(), key, value, expire_ms);
        Ok(())
    }

    /// Adds a deletion of a key of any type; of one that is not there it is nothing.
    pub fn delete(&mut self, namespace: &Namespace, key: &[u8]) -> Result<()> {
        keys::check_key(key)?;
        let generation = self.enlist(namespace)?;
        let records = &mut self.records;
        with_key(namespace.prefix(), generation.store.layout, key, |full| records.delete(METADATA, full));
        Ok(())
    }

    fn enlist(&mut self, namespace: &Namespace) -> Result<Arc<Generation>> {
        namespace.check_engine(&self.instance)?;
        if !self.namespaces.iter().any(|known| known.prefix() == namespace.prefix()) {
            self.namespaces.push(namespace.clone());
        }
        let generation = Arc::clone(&*self.instance.generation()?);
        let layout = *self.layout.get_or_insert(generation.store.layout);
        check_layout(layout, &generation)?;
        Ok(generation)
    }

    /// How many writes it holds.
    pub fn len(&self) -> usize {
        self.records.count() as usize
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Does all of it, or, with NotFound when one of its namespaces is gone, nothing. `sync` as in [`WriteOptions`].
    pub fn commit(self, sync: Option<bool>) -> Result<()> {
        let Batch { instance, records, namespaces, layout } = self;
        instance.write(sync, |generation, batch| {
            if let Some(layout) = layout {
                check_layout(layout, generation)?;
            }
            for namespace in &namespaces {
                namespace.admit(generation)?;
            }
            *batch = records;
            Ok(())
        })
    }
}

/// A swap may bring another key layout into an engine that had no keys.
fn check_layout(layout: Layout, generation: &Generation) -> Result<()> {
    if layout == generation.store.layout {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Busy,
        format!(
            "batch: it was begun in the {} layout, a swap brought the {} one; begin it again",
            layout.name(),
            generation.store.layout.name()
        ),
    ))
}
