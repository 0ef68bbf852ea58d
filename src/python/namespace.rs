//! Namespaces as mappings of bytes.

use std::ops::ControlFlow;
use std::sync::Arc;

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyMemoryView, PyString, PyTuple};

use super::arguments::{self, Bytes, Seconds};
use super::bitmaps::{Bitmap, HyperLogLog};
use super::blooms::BloomFilter;
use super::hashes::Hash;
use super::iterators::{NamespaceIterator, What};
use super::jsons::Json;
use super::leases::{Lease, Shared};
use super::lists::List;
use super::places::Geo;
use super::sets::Set;
use super::sorted_ints::SortedInt;
use super::sorted_sets::SortedSet;
use super::streams::Stream;
use super::views::{ItemsView, KeysView, ValuesView};
use super::{buffer, calls, reply};
use crate::{Items, Kind, Range, Reply, SnapshotNamespace, Ttl, Value, WriteOptions};

/// What a namespace reads: the dataset of now, or that of a snapshot.
pub enum Source {
    Now(crate::Namespace),
    Then(Lease<SnapshotNamespace>),
}

/// One namespace to read, as a mapping from keys to values: in order, with bytes on both sides. A snapshot gives it.
///
/// Keys are `bytes`, `str` (which stands for its UTF-8) or any other buffer. A key of another type than string is in
/// the mapping with the value None when it is iterated, and raises WrongTypeError when it is read.
#[pyclass(frozen, subclass, mapping, module = "pumice")]
pub struct ReadOnlyNamespace {
    shared: Arc<Shared>,
    source: Source,
    name: Vec<u8>,
}

/// Reads from the source, whichever it is.
macro_rules! read {
    ($self:ident, $py:ident, |$at:ident| $read:expr) => {
        match &$self.source {
            Source::Now($at) => $read?,
            Source::Then(lease) => {
                // A lock is not even looked at in a forked child, where who held it is gone.
                $self.shared.engine.check_open()?;
                match &*lease.lock($py) {
                    Some($at) => $read?,
                    None => return Err($self.shared.closed($py, "the snapshot")),
                }
            }
        }
    };
}

/// From this many keys on a read of many may wait longer for the disk than threads cost.
const MANY: usize = 32;
/// How many rows of a range are counted between two looks at signals.
const STEP: usize = 8192;

impl ReadOnlyNamespace {
    /// A namespace of a snapshot.
    pub fn then(shared: &Arc<Shared>, at: SnapshotNamespace) -> ReadOnlyNamespace {
        let name = at.name().to_vec();
        ReadOnlyNamespace { shared: Arc::clone(shared), source: Source::Then(shared.leases.lend(at)), name }
    }

    pub fn get_value(&self, py: Python<'_>, key: &[u8]) -> PyResult<Option<Value>> {
        Ok(read!(self, py, |at| at.get(key)))
    }

    pub fn kind_of(&self, py: Python<'_>, key: &[u8]) -> PyResult<Option<Kind>> {
        Ok(read!(self, py, |at| at.kind(key)))
    }

    pub fn has(&self, py: Python<'_>, key: &[u8]) -> PyResult<bool> {
        Ok(self.kind_of(py, key)?.is_some())
    }

    fn walk(&self, py: Python<'_>, range: &Range) -> PyResult<Items> {
        Ok(read!(self, py, |at| at.items(range)))
    }

    pub fn iterate(&self, py: Python<'_>, range: &Range, what: What) -> PyResult<NamespaceIterator> {
        Ok(NamespaceIterator::new(py, &self.shared, self.walk(py, range)?, what))
    }

    pub fn count(&self, py: Python<'_>, range: &Range) -> PyResult<usize> {
        let counted = if range.prefix.is_empty() && range.start.is_none() && range.end.is_none() {
            match &self.source {
                Source::Now(at) => calls::watched(py, |watch| at.count_watched(&mut |_| watch())),
                Source::Then(lease) => {
                    self.shared.engine.check_open()?;
                    // A clone, so that nobody who ends the snapshot has to wait for the count.
                    let at = lease.lock(py).clone().ok_or_else(|| self.shared.closed(py, "the snapshot"))?;
                    calls::watched(py, |watch| at.count_watched(&mut |_| watch()))
                }
            }
        } else {
            let mut items = self.walk(py, range)?;
            calls::watched(py, |watch| {
                let mut count = 0;
                while items.next_item()?.is_some() {
                    count += 1;
                    if count % STEP == 0 && watch() == ControlFlow::Break(()) {
                        break;
                    }
                }
                Ok(count as u64)
            })
        };
        Ok(usize::try_from(counted?)?)
    }

    pub fn shown(&self, py: Python<'_>) -> PyResult<String> {
        let name = arguments::name(py, &self.name)?.repr()?;
        Ok(format!("{} of '{}'", name.to_string_lossy(), self.shared.engine.path().display()))
    }
}

/// What `pop` does about a key that is not there.
pub enum Fallback<'py> {
    Given(Bound<'py, PyAny>),
    Raise,
}

impl<'py> FromPyObject<'_, 'py> for Fallback<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Fallback<'py>> {
        Ok(Fallback::Given(object.to_owned()))
    }
}

/// The error for a key that is not there, with the key as it was given.
pub fn missing(key: &Bound<'_, PyAny>) -> PyErr {
    PyKeyError::new_err(key.clone().unbind())
}

/// Takes the first item of a mapping away by its `pop`; the next one where somebody else has taken that meanwhile.
pub fn pop_first<'py>(mapping: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
    loop {
        let Some(key) = mapping.try_iter()?.next() else {
            return Err(PyKeyError::new_err("popitem: got nothing to take"));
        };
        let key = key?;
        match mapping.call_method1("pop", (&key,)) {
            Err(gone) if gone.is_instance_of::<PyKeyError>(mapping.py()) => {}
            value => return Ok((key, value?)),
        }
    }
}

#[pymethods]
impl ReadOnlyNamespace {
    /// Its name; "__namespace" for the default one. Bytes that are not UTF-8 are surrogate escapes.
    #[getter]
    fn name<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyString>> {
        arguments::name(py, &self.name)
    }

    /// The value of a string, or `default` when there is no such key.
    #[pyo3(signature = (key, default=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: Bytes<'_>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(match self.get_value(py, &key)? {
            Some(value) => Some(PyBytes::new(py, &value).into_any()),
            None => default,
        })
    }

    /// The values of many strings in the order of the keys, None for those that are not there, seen at one moment.
    fn get_many<'py>(&self, py: Python<'py>, keys: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let keys = arguments::keys(keys)?;
        let keys: Vec<Bytes<'_>> = keys.iter_borrowed().map(Bytes::extract).collect::<PyResult<_>>()?;
        let values = if keys.len() < MANY {
            read!(self, py, |at| at.get_many(&keys))
        } else {
            read!(self, py, |at| py.detach(|| at.get_many(&keys)))
        };
        PyList::new(py, values.iter().map(|value| value.as_ref().map(|value| PyBytes::new(py, value))))
    }

    /// A read-only view of a value where the storage engine keeps it, without a copy, or None. It stays valid for as
    /// long as it lives, also after close; the directory stays open until then.
    fn get_view<'py>(&self, py: Python<'py>, key: Bytes<'_>) -> PyResult<Option<Bound<'py, PyMemoryView>>> {
        self.get_value(py, &key)?.map(|value| buffer::lend(py, value)).transpose()
    }

    /// Whether a key of any type is there.
    fn exists(&self, py: Python<'_>, key: Bytes<'_>) -> PyResult<bool> {
        self.has(py, &key)
    }

    /// The type of a key, as Kvrocks' TYPE names it, or None when there is no such key.
    fn kind(&self, py: Python<'_>, key: Bytes<'_>) -> PyResult<Option<&'static str>> {
        Ok(self.kind_of(py, &key)?.map(|kind| kind.name()))
    }

    /// How many seconds a key of any type still lives; None when it has no expiry. KeyError when there is none.
    fn ttl(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
        let bytes = Bytes::extract(key.as_borrowed())?;
        match read!(self, py, |at| at.ttl(&bytes)) {
            Ttl::Missing => Err(missing(key)),
            Ttl::Forever => Ok(None),
            Ttl::Left(left) => Ok(Some(left.as_secs_f64())),
        }
    }

    /// The keys in order: those that start with `prefix`, from `start` on, before `end`.
    #[pyo3(signature = (*, prefix=None, start=None, end=None, reverse=false))]
    fn keys(
        slf: &Bound<'_, Self>,
        prefix: Option<Bytes<'_>>,
        start: Option<Bytes<'_>>,
        end: Option<Bytes<'_>>,
        reverse: bool,
    ) -> KeysView {
        KeysView::new(slf, arguments::range(prefix, start, end, reverse))
    }

    /// The values in the order of their keys: of those that start with `prefix`, from `start` on, before `end`.
    #[pyo3(signature = (*, prefix=None, start=None, end=None, reverse=false))]
    fn values(
        slf: &Bound<'_, Self>,
        prefix: Option<Bytes<'_>>,
        start: Option<Bytes<'_>>,
        end: Option<Bytes<'_>>,
        reverse: bool,
    ) -> ValuesView {
        ValuesView::new(slf, arguments::range(prefix, start, end, reverse))
    }

    /// Pairs of key and value in order: those that start with `prefix`, from `start` on, before `end`. The value of a
    /// key of another type than string is None.
    #[pyo3(signature = (*, prefix=None, start=None, end=None, reverse=false))]
    fn items(
        slf: &Bound<'_, Self>,
        prefix: Option<Bytes<'_>>,
        start: Option<Bytes<'_>>,
        end: Option<Bytes<'_>>,
        reverse: bool,
    ) -> ItemsView {
        ItemsView::new(slf, arguments::range(prefix, start, end, reverse))
    }

    /// Runs a command of Redis, its name and its arguments (bytes, str, another buffer or numbers), and gives what a Redis
    /// would answer: int, bytes, None, or a list of these. An error reply raises, with the server's words: WrongTypeError,
    /// ReadOnlyError, else what the failure is, and InvalidArgumentError for what is wrong with the command. In a snapshot
    /// commands that may write raise ReadOnlyError.
    #[pyo3(signature = (*args))]
    fn execute<'py>(&self, py: Python<'py>, args: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let words = reply::words(args, None)?;
        let answer = match &self.source {
            Source::Now(at) => py.detach(|| at.execute_words(&words)),
            Source::Then(lease) => {
                self.shared.engine.check_open()?;
                // A clone, so that nobody who ends the snapshot has to wait for the command.
                let at = lease.lock(py).clone().ok_or_else(|| self.shared.closed(py, "the snapshot"))?;
                py.detach(move || at.execute_words(&words))
            }
        };
        reply::object(py, &answer?, None)
    }

    fn __getitem__<'py>(&self, py: Python<'py>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let bytes = Bytes::extract(key.as_borrowed())?;
        match self.get_value(py, &bytes)? {
            Some(value) => Ok(PyBytes::new(py, &value)),
            None => Err(missing(key)),
        }
    }

    fn __contains__(&self, py: Python<'_>, key: Bytes<'_>) -> PyResult<bool> {
        self.has(py, &key)
    }

    /// The exact number of keys, which reads them all.
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.count(py, &Range::default())
    }

    fn __bool__(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(!read!(self, py, |at| at.is_empty()))
    }

    fn __iter__(&self, py: Python<'_>) -> PyResult<NamespaceIterator> {
        self.iterate(py, &Range::default(), What::Keys)
    }

    fn __reversed__(&self, py: Python<'_>) -> PyResult<NamespaceIterator> {
        self.iterate(py, &Range { reverse: true, ..Range::default() }, What::Keys)
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        Ok(format!("<pumice.{} {}>", slf.get_type().name()?, slf.get().shown(slf.py())?))
    }
}

/// One namespace, as a mutable mapping from keys to values: in order, with bytes on both sides.
///
/// It stays valid across `apply_checkpoint`, and raises NotFoundError while its namespace does not exist. Each write is
/// atomic for itself; `Engine.batch` makes several one. Values are given as keys are: bytes, str or any other buffer.
#[pyclass(frozen, extends = ReadOnlyNamespace, mapping, module = "pumice")]
pub struct Namespace {
    pub live: crate::Namespace,
}

impl Namespace {
    pub fn create<'py>(
        py: Python<'py>,
        shared: &Arc<Shared>,
        live: crate::Namespace,
    ) -> PyResult<Bound<'py, Namespace>> {
        let name = live.name().to_vec();
        let base = ReadOnlyNamespace { shared: Arc::clone(shared), source: Source::Now(live.clone()), name };
        Bound::new(py, PyClassInitializer::from(base).add_subclass(Namespace { live }))
    }
}

#[pymethods]
impl Namespace {
    /// Its token; None for the default namespace and for an unregistered one.
    #[getter]
    fn token(&self) -> PyResult<Option<String>> {
        Ok(self.live.token()?)
    }

    /// Gives it another token.
    fn set_token(&self, py: Python<'_>, token: &str) -> PyResult<()> {
        Ok(py.detach(|| self.live.set_token(token))?)
    }

    /// Stores a string, over whatever the key was. `ttl` is how long it lives, in seconds or as a timedelta; `sync` is
    /// whether it survives a power cut when the call returns, None as the engine was opened.
    #[pyo3(signature = (key, value, *, ttl=None, sync=None))]
    fn put(
        &self,
        py: Python<'_>,
        key: Bytes<'_>,
        value: Bytes<'_>,
        ttl: Option<Seconds>,
        sync: Option<bool>,
    ) -> PyResult<()> {
        let options = WriteOptions { ttl: ttl.map(|ttl| ttl.0), sync };
        Ok(py.detach(|| self.live.put_with(&key, &value, &options))?)
    }

    /// Stores a string only if the key holds `expected` now, or with None only if there is no such key. Whether it did.
    #[pyo3(signature = (key, value, expected, *, ttl=None, sync=None))]
    fn put_if(
        &self,
        py: Python<'_>,
        key: Bytes<'_>,
        value: Bytes<'_>,
        expected: Option<Bytes<'_>>,
        ttl: Option<Seconds>,
        sync: Option<bool>,
    ) -> PyResult<bool> {
        let options = WriteOptions { ttl: ttl.map(|ttl| ttl.0), sync };
        Ok(py.detach(|| self.live.put_if_with(&key, &value, expected.as_deref(), &options))?)
    }

    /// Deletes a key of any type. Whether it was there.
    #[pyo3(signature = (key, *, sync=None))]
    fn delete(&self, py: Python<'_>, key: Bytes<'_>, sync: Option<bool>) -> PyResult<bool> {
        let options = WriteOptions { ttl: None, sync };
        Ok(py.detach(|| self.live.delete_with(&key, &options))?)
    }

    /// Takes a string away and gives its value, or `default` when there is no such key, or else raises KeyError.
    #[pyo3(signature = (key, default=Fallback::Raise), text_signature = "($self, key, default=...)")]
    fn pop<'py>(
        &self,
        py: Python<'py>,
        key: &Bound<'py, PyAny>,
        default: Fallback<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let words = [b"GETDEL".to_vec(), Bytes::extract(key.as_borrowed())?.to_vec()];
        match (py.detach(|| self.live.execute_words(&words))?, default) {
            (Reply::Bulk(value), _) => Ok(PyBytes::new(py, &value).into_any()),
            (_, Fallback::Given(default)) => Ok(default),
            (_, Fallback::Raise) => Err(missing(key)),
        }
    }

    /// Takes the first string away and gives it with its key; KeyError where there is none.
    fn popitem<'py>(slf: Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        pop_first(slf.as_any())
    }

    /// The value of a string, which is stored as `default` when there is no such key, with nothing in between.
    fn setdefault<'py>(&self, py: Python<'py>, key: Bytes<'_>, default: Bytes<'_>) -> PyResult<Bound<'py, PyBytes>> {
        loop {
            if let Some(value) = self.live.get(&key)? {
                return Ok(PyBytes::new(py, &value));
            }
            if py.detach(|| self.live.put_if(&key, &default, None))? {
                return Ok(PyBytes::new(py, &default));
            }
            // Another thread stored one in between.
        }
    }

    /// Lets a key of any type expire after `ttl`, in seconds or as a timedelta. False when there is no such key.
    fn expire(&self, py: Python<'_>, key: Bytes<'_>, ttl: Seconds) -> PyResult<bool> {
        Ok(py.detach(|| self.live.expire(&key, ttl.0))?)
    }

    /// Takes the expiry off a key. False when there is no such key, or it had none.
    fn persist(&self, py: Python<'_>, key: Bytes<'_>) -> PyResult<bool> {
        Ok(py.detach(|| self.live.persist(&key))?)
    }

    /// The hash of that key, as a mutable mapping. Nothing is looked up before it is used.
    fn hash(slf: &Bound<'_, Self>, key: Bytes<'_>) -> Hash {
        Hash::new(&slf.as_super().get().shared, slf.get().live.hash(&*key))
    }

    /// The list of that key, as a mutable sequence. Nothing is looked up before it is used.
    fn list(slf: &Bound<'_, Self>, key: Bytes<'_>) -> List {
        List::new(&slf.as_super().get().shared, slf.get().live.list(&*key))
    }

    /// The set of that key, as a mutable set. Nothing is looked up before it is used.
    fn set(slf: &Bound<'_, Self>, key: Bytes<'_>) -> Set {
        Set::new(&slf.as_super().get().shared, slf.get().live.set(&*key))
    }

    /// The sorted set of that key, as a mutable mapping of members to scores. Nothing is looked up before it is used.
    fn sorted_set(slf: &Bound<'_, Self>, key: Bytes<'_>) -> SortedSet {
        SortedSet::new(&slf.as_super().get().shared, slf.get().live.sorted_set(&*key))
    }

    /// The bitmap of that key: `bitmap[7] = True`. Nothing is looked up before it is used.
    fn bitmap(slf: &Bound<'_, Self>, key: Bytes<'_>) -> Bitmap {
        Bitmap { live: slf.get().live.bitmap(&*key) }
    }

    /// The HyperLogLog of that key. Nothing is looked up before it is used.
    fn hyperloglog(slf: &Bound<'_, Self>, key: Bytes<'_>) -> HyperLogLog {
        HyperLogLog { live: slf.get().live.hyperloglog(&*key) }
    }

    /// The JSON document of that key. Nothing is looked up before it is used.
    fn json(slf: &Bound<'_, Self>, key: Bytes<'_>) -> Json {
        Json { live: slf.get().live.json(&*key) }
    }

    /// The places of that key, by the names of members. Nothing is looked up before it is used.
    fn geo(slf: &Bound<'_, Self>, key: Bytes<'_>) -> Geo {
        Geo { live: slf.get().live.geo(&*key) }
    }

    /// The Bloom filter of that key: `item in bloom`. Nothing is looked up before it is used.
    fn bloom_filter(slf: &Bound<'_, Self>, key: Bytes<'_>) -> BloomFilter {
        BloomFilter { live: slf.get().live.bloom_filter(&*key) }
    }

    /// The sorted int of that key. Nothing is looked up before it is used.
    fn sorted_int(slf: &Bound<'_, Self>, key: Bytes<'_>) -> SortedInt {
        SortedInt { live: slf.get().live.sorted_int(&*key) }
    }

    /// The stream of that key. Nothing is looked up before it is used.
    fn stream(slf: &Bound<'_, Self>, key: Bytes<'_>) -> Stream {
        Stream::new(&slf.as_super().get().shared, slf.get().live.stream(&*key))
    }

    /// Deletes all keys: one range delete, whatever their number.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.live.clear())?)
    }

    fn __setitem__(&self, py: Python<'_>, key: Bytes<'_>, value: Bytes<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.live.put(&key, &value))?)
    }

    fn __delitem__(&self, py: Python<'_>, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let bytes = Bytes::extract(key.as_borrowed())?;
        if py.detach(|| self.live.delete(&bytes))? { Ok(()) } else { Err(missing(key)) }
    }
}
