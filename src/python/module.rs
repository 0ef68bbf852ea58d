//! The module `pumice._native`: its names, and what its mappings borrow from `collections.abc`.

use pyo3::prelude::*;
use pyo3::types::PyType;

use super::batch::Batch;
use super::bitmaps::{Bitmap, HyperLogLog};
use super::blooms::{BloomFilter, BloomInfo};
use super::convert::{self, Converted};
use super::elements::ElementIterator;
use super::engine::{self, Engine};
use super::events::{Event, Events};
use super::hashes::Hash;
use super::iterators::NamespaceIterator;
use super::jsons::Json;
use super::listener::Listener;
use super::lists::List;
use super::log::{Change, Entry, Log};
use super::namespace::{Namespace, ReadOnlyNamespace};
use super::places::Geo;
use super::progress::Progress;
use super::records::{Checkpoint, Finding, Info, Position};
use super::replication::{FeedStatus, LinkStatus, SyncStatus};
use super::session::Session;
use super::sets::Set;
use super::snapshot::Snapshot;
use super::sorted_ints::SortedInt;
use super::sorted_sets::SortedSet;
use super::streams::{Stream, StreamGroup};
use super::tls::{TlsClient, TlsServer};
use super::topology::{Node, TopologyStatus};
use super::usage::{KindUsage, NamespaceUsage, Usage};
use super::views::{ItemsView, KeysView, ValuesView};
use super::{calls, errors};

#[pymodule(gil_used = false)]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(engine::open, module)?)?;
    module.add_function(wrap_pyfunction!(engine::release, module)?)?;
    module.add_function(wrap_pyfunction!(convert::convert, module)?)?;
    #[cfg(feature = "cli")]
    module.add_function(wrap_pyfunction!(cli, module)?)?;
    module.add_class::<Engine>()?;
    module.add_class::<ReadOnlyNamespace>()?;
    module.add_class::<Namespace>()?;
    module.add_class::<KeysView>()?;
    module.add_class::<ValuesView>()?;
    module.add_class::<ItemsView>()?;
    module.add_class::<NamespaceIterator>()?;
    module.add_class::<Hash>()?;
    module.add_class::<List>()?;
    module.add_class::<Set>()?;
    module.add_class::<SortedSet>()?;
    module.add_class::<Bitmap>()?;
    module.add_class::<HyperLogLog>()?;
    module.add_class::<Json>()?;
    module.add_class::<Geo>()?;
    module.add_class::<BloomFilter>()?;
    module.add_class::<BloomInfo>()?;
    module.add_class::<SortedInt>()?;
    module.add_class::<Stream>()?;
    module.add_class::<StreamGroup>()?;
    module.add_class::<ElementIterator>()?;
    module.add_class::<Batch>()?;
    module.add_class::<Snapshot>()?;
    module.add_class::<Log>()?;
    module.add_class::<Entry>()?;
    module.add_class::<Change>()?;
    module.add_class::<Position>()?;
    module.add_class::<Checkpoint>()?;
    module.add_class::<Progress>()?;
    module.add_class::<Finding>()?;
    module.add_class::<Info>()?;
    module.add_class::<Converted>()?;
    module.add_class::<Usage>()?;
    module.add_class::<NamespaceUsage>()?;
    module.add_class::<KindUsage>()?;
    module.add_class::<Listener>()?;
    module.add_class::<TlsServer>()?;
    module.add_class::<TlsClient>()?;
    module.add_class::<LinkStatus>()?;
    module.add_class::<SyncStatus>()?;
    module.add_class::<FeedStatus>()?;
    module.add_class::<Session>()?;
    module.add_class::<Node>()?;
    module.add_class::<TopologyStatus>()?;
    module.add_class::<Events>()?;
    module.add_class::<Event>()?;
    errors::add(module)?;
    be_mappings(py)?;
    // The package says what is public.
    module.delattr("__all__")?;
    let settle = wrap_pyfunction!(calls::settle, module)?;
    py.import("atexit")?.call_method1("register", (settle,))?;
    Ok(())
}

/// Runs the program `pumice` with these arguments, its own name not among them, and gives its exit status.
#[cfg(feature = "cli")]
#[pyfunction]
fn cli(py: Python<'_>, arguments: Vec<std::ffi::OsString>) -> i32 {
    py.detach(|| crate::cli::run(arguments))
}

/// Registers namespaces and views with the abstract classes that they fulfil, and takes from these the methods that
/// follow from the others.
fn be_mappings(py: Python<'_>) -> PyResult<()> {
    const COMPARED: &[&str] = &["__eq__", "__hash__"];
    const CHANGED: &[&str] = &["update"];
    const SET: &[&str] = &[
        "__eq__",
        "__le__",
        "__lt__",
        "__ge__",
        "__gt__",
        "__and__",
        "__rand__",
        "__or__",
        "__ror__",
        "__sub__",
        "__rsub__",
        "__xor__",
        "__rxor__",
        "__hash__",
        "isdisjoint",
        "_from_iterable",
    ];
    let abc = py.import("collections.abc")?;
    let borrow = |class: Bound<'_, PyType>, base: &str, names: &[&str]| -> PyResult<()> {
        let base = abc.getattr(base)?;
        for name in names {
            class.setattr(*name, base.getattr(*name)?)?;
        }
        base.call_method1("register", (class,)).map(drop)
    };
    borrow(py.get_type::<ReadOnlyNamespace>(), "Mapping", COMPARED)?;
    borrow(py.get_type::<Namespace>(), "MutableMapping", CHANGED)?;
    const MAPPING: &[&str] = &["__eq__", "__hash__", "keys", "values", "items", "update"];
    const IN_PLACE: &[&str] = &["__ior__", "__iand__", "__ixor__", "__isub__"];
    borrow(py.get_type::<Hash>(), "MutableMapping", MAPPING)?;
    borrow(py.get_type::<SortedSet>(), "MutableMapping", MAPPING)?;
    borrow(py.get_type::<List>(), "MutableSequence", &["index", "count", "reverse", "__iadd__"])?;
    // What comes of two sets is a set in memory, as with the keys of a mapping.
    borrow(py.get_type::<Set>(), "KeysView", SET)?;
    borrow(py.get_type::<Set>(), "MutableSet", IN_PLACE)?;
    borrow(py.get_type::<KeysView>(), "KeysView", SET)?;
    borrow(py.get_type::<ItemsView>(), "ItemsView", SET)?;
    borrow(py.get_type::<ValuesView>(), "ValuesView", &[])
}
