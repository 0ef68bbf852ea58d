//! Writes that happen together.

use std::sync::Arc;

use super::error::Result;
use super::format::batch::BatchBuilder;
use super::instance::Instance;
use super::namespace::Namespace;
use super::options::WriteOptions;
use super::types::string;

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
}

impl Batch {
    pub(super) fn new(instance: &Arc<Instance>) -> Batch {
        Batch { instance: Arc::clone(instance), records: BatchBuilder::new(), namespaces: Vec::new() }
    }

    /// Adds a string to be stored, over whatever the key was.
    pub fn put(&mut self, namespace: &Namespace, key: &[u8], value: &[u8]) -> Result<()> {
        self.put_with(namespace, key, value, &WriteOptions::default())
    }

    /// [`Batch::put`] with a time to live, which counts from now.
    pub fn put_with(&mut self, namespace: &Namespace, key: &[u8], value: &[u8], options: &WriteOptions) -> Result<()> {
        string::check_key(key)?;
        string::check_value(value)?;
        let expire_ms = string::expiry(options.ttl)?;
        self.enlist(namespace)?;
        let generation = self.instance.generation()?;
        string::put(&generation.store, &mut self.records, namespace.prefix(), key, value, expire_ms);
        Ok(())
    }

    /// Adds a deletion of a key of any type; of one that is not there it is nothing.
    pub fn delete(&mut self, namespace: &Namespace, key: &[u8]) -> Result<()> {
        string::check_key(key)?;
        self.enlist(namespace)?;
        let generation = self.instance.generation()?;
        string::delete(&generation.store, &mut self.records, namespace.prefix(), key);
        Ok(())
    }

    fn enlist(&mut self, namespace: &Namespace) -> Result<()> {
        namespace.check_engine(&self.instance)?;
        if !self.namespaces.iter().any(|known| known.prefix() == namespace.prefix()) {
            self.namespaces.push(namespace.clone());
        }
        Ok(())
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
        self.instance.write(sync, |generation, batch| {
            for namespace in &self.namespaces {
                namespace.admit(generation)?;
            }
            *batch = self.records;
            Ok(())
        })
    }
}
