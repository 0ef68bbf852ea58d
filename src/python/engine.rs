//! The engine: one open data directory.

use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyList, PyString, PyTuple};

use super::arguments::{self, Name, Seconds};
use super::batch::Batch;
use super::events::Events;
use super::leases::Shared;
use super::listener::Listener;
use super::log::{Change, Entry, Log};
use super::namespace::Namespace;
use super::records::{Checkpoint, Finding, Info, Position};
use super::replication::{FeedStatus, LinkStatus};
use super::snapshot::Snapshot;
use super::tls::{TlsClient, TlsServer};
use super::topology::{self, TopologyStatus};
use super::usage::Usage;
use super::{calls, errors};
use crate::{Depth, ErrorKind, FollowOptions, Options, ServeOptions, TopologyOptions};

/// Opens the data directory `path`, the folder that holds `db/`, as a Kvrocks' `dir` does.
///
/// What the directory records about role and key layout holds; `role` ("primary", "replica" or "detached") and
/// `cluster` insist on one, and a new directory takes primary and the standalone layout without them. `create` is
/// whether to make a database where there is none, `read_only` opens without changing a byte, `sync` is whether
/// writes survive a power cut when they return. `memory_budget` is bytes for block cache and write buffers (256 MiB),
/// `compression` one of "none", "snappy", "zlib", "lz4" and "zstd"; `wal_keep_bytes` (1 GiB) and `wal_keep_seconds`
/// (3 hours) say how much replication log is kept for followers.
#[pyfunction]
#[pyo3(signature = (
    path, *, role=None, create=true, read_only=false, cluster=None, sync=false, memory_budget=None, compression=None,
    wal_keep_bytes=None, wal_keep_seconds=None
))]
#[allow(clippy::too_many_arguments, reason = "keyword arguments")]
pub fn open(
    py: Python<'_>,
    path: PathBuf,
    role: Option<&str>,
    create: bool,
    read_only: bool,
    cluster: Option<bool>,
    sync: bool,
    memory_budget: Option<usize>,
    compression: Option<&str>,
    wal_keep_bytes: Option<u64>,
    wal_keep_seconds: Option<Seconds>,
) -> PyResult<Engine> {
    let default = Options::default();
    let options = Options {
        role: role.map(|role| arguments::role(py, role)).transpose()?,
        cluster,
        create,
        read_only,
        sync,
        memory_budget: memory_budget.unwrap_or(default.memory_budget),
        compression: compression.map_or(Ok(default.compression), |name| arguments::compression(py, name))?,
        wal_keep_bytes: wal_keep_bytes.unwrap_or(default.wal_keep_bytes),
        wal_keep: wal_keep_seconds.map_or(default.wal_keep, |seconds| seconds.0),
    };
    let engine = calls::run(py, None, move |_| crate::Engine::open(path, &options))?;
    Ok(Engine { shared: Shared::new(engine) })
}

/// Makes the closed directory `path` a plain Kvrocks directory again, for handing it over for good: `db` becomes a
/// folder, and Pumice's own files go. InvalidArgumentError while it keeps data that was given up: discard() it first.
#[pyfunction]
pub fn release(py: Python<'_>, path: PathBuf) -> PyResult<()> {
    calls::run(py, None, move |_| crate::release(&path))
}

/// One open data directory. All its methods may be used from any thread. After a fork every call in the child raises
/// ClosedError, and nothing of the parent's is touched.
#[pyclass(frozen, module = "pumice")]
pub struct Engine {
    shared: Arc<Shared>,
}

impl Engine {
    fn engine(&self) -> &crate::Engine {
        &self.shared.engine
    }
}

#[pymethods]
impl Engine {
    /// The directory, without links in its path.
    #[getter]
    fn path(&self) -> PathBuf {
        self.engine().path().to_owned()
    }

    /// What this engine is now: "primary", "replica" or "detached".
    #[getter]
    fn role(&self, py: Python<'_>) -> PyResult<&'static str> {
        self.engine().check_open()?;
        Ok(py.detach(|| self.engine().role())?.name())
    }

    /// Where the data is now: the replication id and the last sequence written.
    #[getter]
    fn position(&self, py: Python<'_>) -> PyResult<Position> {
        Ok((&py.detach(|| self.engine().position())?).into())
    }

    /// Makes a namespace; a token of 40 characters is drawn when none is given. The same name with the same token is
    /// no error and no write.
    #[pyo3(signature = (name, token=None))]
    fn create_namespace<'py>(
        &self,
        py: Python<'py>,
        name: Name,
        token: Option<&str>,
    ) -> PyResult<Bound<'py, Namespace>> {
        let made = py.detach(|| self.engine().create_namespace(&name.0, token))?;
        Namespace::create(py, &self.shared, made)
    }

    /// A namespace that is registered, or that has data. NotFoundError otherwise.
    fn namespace<'py>(&self, py: Python<'py>, name: Name) -> PyResult<Bound<'py, Namespace>> {
        Namespace::create(py, &self.shared, self.engine().namespace(&name.0)?)
    }

    /// The default namespace, which is always there.
    #[getter]
    fn default<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, Namespace>> {
        self.engine().check_open()?;
        Namespace::create(py, &self.shared, self.engine().default_namespace())
    }

    /// Names of the registered namespaces, the default one first as "__namespace"; with `unregistered` also of those
    /// that have data and no registration. Bytes that are not UTF-8 are surrogate escapes.
    #[pyo3(signature = (unregistered=false))]
    fn namespaces<'py>(&self, py: Python<'py>, unregistered: bool) -> PyResult<Bound<'py, PyList>> {
        let names = PyList::new(py, self.engine().namespaces()?)?;
        if unregistered {
            for name in py.detach(|| self.engine().unregistered_namespaces())? {
                let name: Bound<'_, PyString> = arguments::name(py, &name)?;
                names.append(name)?;
            }
        }
        Ok(names)
    }

    /// Deletes a namespace with its data.
    fn drop_namespace(&self, py: Python<'_>, name: Name) -> PyResult<()> {
        Ok(py.detach(|| self.engine().drop_namespace(&name.0))?)
    }

    /// A batch of writes that happen together or not at all, when its `with` block ends. `sync` is whether it
    /// survives a power cut then, None as the engine was opened.
    #[pyo3(signature = (sync=None))]
    fn batch(&self, sync: Option<bool>) -> PyResult<Batch> {
        Batch::new(&self.shared, sync)
    }

    /// A view of data and namespaces as they are at this moment.
    fn snapshot(&self, py: Python<'_>) -> PyResult<Snapshot> {
        Snapshot::take(py, &self.shared)
    }

    /// Makes a checkpoint of the whole dataset in a folder that does not exist yet. `progress` is called with a
    /// Progress now and then; an exception from it cancels and propagates, and leaves nothing.
    #[pyo3(signature = (path, *, progress=None))]
    fn create_checkpoint(
        &self,
        py: Python<'_>,
        path: PathBuf,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Checkpoint> {
        self.engine().check_open()?;
        let engine = self.engine().clone();
        let made = calls::run(py, progress, move |watch| {
            engine.create_checkpoint_watched(path, &mut |progress| watch.tell(progress))
        })?;
        Ok(made.into())
    }

    /// Replaces the whole dataset, data and namespaces as one, with that of a checkpoint, or of the `backup` or `db`
    /// folder of a Kvrocks, while readers go on. `verify` reads every data block first, for folders without a
    /// sync manifest. `progress` is called with a Progress now and then; an exception from it cancels and propagates,
    /// and leaves the old dataset.
    #[pyo3(signature = (path, *, progress=None, verify=false))]
    fn apply_checkpoint(
        &self,
        py: Python<'_>,
        path: PathBuf,
        progress: Option<&Bound<'_, PyAny>>,
        verify: bool,
    ) -> PyResult<()> {
        self.engine().check_open()?;
        let engine = self.engine().clone();
        calls::run(py, progress, move |watch| {
            engine.apply_checkpoint_watched(path, verify, &mut |progress| watch.tell(progress))
        })
    }

    /// The entries of the log after a position, or all that are still kept. It stops at the end of the log; with
    /// `wait`, only when nothing came for that many seconds.
    #[pyo3(signature = (after=None, wait=None))]
    fn log(&self, py: Python<'_>, after: Option<&Position>, wait: Option<Seconds>) -> PyResult<Log> {
        Log::open(py, &self.shared, after.map(Position::to_engine), wait.map(|wait| wait.0))
    }

    /// What an entry does, record by record.
    fn changes(&self, entry: &Entry) -> PyResult<Vec<Change>> {
        Ok(self.engine().changes(&entry.inner)?.into_iter().map(Change::new).collect())
    }

    /// Writes an entry of the primary into this replica, byte for byte, at its place.
    fn apply(&self, py: Python<'_>, entry: &Entry) -> PyResult<()> {
        Ok(py.detach(|| self.engine().apply(&entry.inner))?)
    }

    /// Serves the engine to Redis clients and to replicas, in RESP2 or RESP3, on "host:port" (port 0 takes a free one) or on
    /// "unix:/path", a socket that only this user may open. It serves until it is closed, or the engine is.
    ///
    /// Without a password every connection may do everything with the engine. With one, it says AUTH first: the password
    /// makes it an admin, the token of a namespace opens that namespace alone. Passwords and data cross the wire as they
    /// are, unless `tls` is given: then every connection must speak TLS. `max_connections` (1024) is how many there may be
    /// at a time, `sync_bytes_per_second` how fast the files of a full sync are sent, `authenticate_timeout` (10 s) how
    /// long a connection may take to say AUTH, `send_timeout` (30 s) how long the other side may read nothing, and
    /// `checkpoint_disk_limit` how many bytes a checkpoint that replicas fetch may keep on the disk when the engine needs
    /// them no more (as many as the database's folder has, and 1 GiB at least).
    #[pyo3(signature = (
        addr="127.0.0.1:0", *, password=None, max_connections=None, sync_bytes_per_second=None,
        authenticate_timeout=None, send_timeout=None, checkpoint_disk_limit=None, tls=None
    ))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments")]
    fn serve(
        &self,
        py: Python<'_>,
        addr: &str,
        password: Option<String>,
        max_connections: Option<usize>,
        sync_bytes_per_second: Option<u64>,
        authenticate_timeout: Option<Seconds>,
        send_timeout: Option<Seconds>,
        checkpoint_disk_limit: Option<u64>,
        tls: Option<&TlsServer>,
    ) -> PyResult<Listener> {
        let default = ServeOptions::default();
        let options = ServeOptions {
            password,
            max_connections: max_connections.unwrap_or(default.max_connections),
            sync_bytes_per_second,
            authenticate_timeout: authenticate_timeout.map_or(default.authenticate_timeout, |time| time.0),
            send_timeout: send_timeout.map_or(default.send_timeout, |time| time.0),
            checkpoint_disk_limit,
            tls: tls.map(|tls| tls.0.clone()),
        };
        Listener::open(py, &self.shared, addr, &options)
    }

    /// Makes this engine a replica of a primary: a Pumice that serves, or a Kvrocks. That is kept, so that it goes on after
    /// a restart. Readers go on with the data of before until the primary's is here, all at once; data that the primary
    /// does not have is given up. `password` is the primary's admin password, `announce_port` the port under which others
    /// reach this engine, that of its listener when it is not given; `tls` is how to reach the primary over TLS, without
    /// it in the clear.
    ///
    /// Returns at once, or with `wait` when the primary's data is here: `timeout` and `progress` are those of
    /// `wait_linked`, and BusyError says that the time is over. The link goes on whatever ends the wait.
    #[pyo3(signature = (
        host, port, *, password=None, announce_port=None, tls=None, wait=false, timeout=None, progress=None
    ))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments")]
    fn follow(
        &self,
        py: Python<'_>,
        host: String,
        port: u16,
        password: Option<String>,
        announce_port: Option<u16>,
        tls: Option<&TlsClient>,
        wait: bool,
        timeout: Option<Seconds>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        if !wait && (timeout.is_some() || progress.is_some()) {
            let message = "follow: got timeout or progress, which are for wait=True";
            return Err(errors::raise(py, ErrorKind::InvalidArgument, message));
        }
        let tls = tls.map(|tls| tls.0.clone());
        let options = FollowOptions { password, announce_port: announce_port.unwrap_or(0), tls };
        py.detach(|| self.engine().follow(&host, port, &options))?;
        if !wait || self.wait_linked(py, timeout, progress)? {
            return Ok(());
        }
        let why = match py.detach(|| self.engine().link())? {
            Some(link) => link.last_error.unwrap_or_else(|| format!("it is {}", link.state.name())),
            None => "it is not followed any more".to_owned(),
        };
        let message = format!("follow {host} port {port}: its data is not here in time; {why}");
        Err(errors::raise(py, ErrorKind::Busy, message))
    }

    /// Waits until the primary's data is here and the link receives entries as they are written. False when `timeout`
    /// seconds are over, or nobody is followed. `progress` is called with the LinkStatus ten times a second at
    /// most; an exception from it ends the wait and propagates, and the link goes on.
    #[pyo3(signature = (timeout=None, *, progress=None))]
    fn wait_linked(
        &self,
        py: Python<'_>,
        timeout: Option<Seconds>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<bool> {
        self.engine().check_open()?;
        let engine = self.engine().clone();
        let timeout = timeout.map(|timeout| timeout.0);
        calls::run(py, progress, move |watch| engine.wait_linked(timeout, &mut |link| watch.tell(link)))
    }

    /// The link at this moment; None when this engine follows nobody.
    #[getter]
    fn link<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, LinkStatus>>> {
        let link = py.detach(|| self.engine().link())?;
        link.map(|link| LinkStatus::create(py, link)).transpose()
    }

    /// The feeds that run at this moment: who follows this engine.
    fn feeds(&self, py: Python<'_>) -> PyResult<Vec<FeedStatus>> {
        Ok(py.detach(|| self.engine().feeds())?.into_iter().map(Into::into).collect())
    }

    /// Follows nobody any more and stays read-only, durably. When it returns nothing of the former primary is written any
    /// more.
    fn detach(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.engine().detach())?)
    }

    /// A planned switch: stops writes here, waits until the replica that announced `host` and `port` has acknowledged every
    /// entry, makes it the primary, and follows it. Nothing is given up. The replica is asked with the password of this
    /// engine's own listener.
    ///
    /// NotFoundError when no such replica is fed; BusyError when it is not there in time, or says no, and writes are taken
    /// again; IoError when it did not answer whether it is the primary now, and no writes are taken. Ctrl-C does not stop
    /// what was begun.
    fn hand_over(&self, py: Python<'_>, host: String, port: u16, timeout: Seconds) -> PyResult<()> {
        self.engine().check_open()?;
        let engine = self.engine().clone();
        calls::run(py, None, move |_| engine.hand_over(&host, port, timeout.0))
    }

    /// Deletes what was kept of datasets that this engine gave up because they had diverged from its primary's. How many
    /// there were.
    fn discard(&self, py: Python<'_>) -> PyResult<usize> {
        self.engine().check_open()?;
        let engine = self.engine().clone();
        calls::run(py, None, move |_| engine.discard())
    }

    /// Waits until this engine has what a position says: to read on a replica what was written on its primary. False when
    /// `timeout` seconds are over. DivergedError when it has got there in another history.
    fn wait_for(&self, py: Python<'_>, position: &Position, timeout: Seconds) -> PyResult<bool> {
        let position = position.to_engine();
        calls::sliced(py, timeout.0, |slice| self.engine().wait_for(&position, slice), |&reached| reached)
    }

    /// Waits until as many replicas have applied what a position says; how many have, also when `timeout` seconds are over.
    /// DivergedError when the position is not in this history.
    fn wait_acked(&self, py: Python<'_>, position: &Position, replicas: usize, timeout: Seconds) -> PyResult<usize> {
        let position = position.to_engine();
        let ask = |slice| self.engine().wait_acked(&position, replicas, slice);
        calls::sliced(py, timeout.0, ask, |&acked| acked >= replicas)
    }

    /// Makes this engine a primary, durably. On a primary it does nothing.
    fn promote(&self, py: Python<'_>) -> PyResult<()> {
        Ok(py.detach(|| self.engine().promote())?)
    }

    /// Says which nodes there are, who follows whom, and which of them this engine is: from then on that alone decides whether
    /// it is a primary, a replica and of whom, or, when it is not listed, detached. `nodes` are `Node`s, or the text of
    /// `CLUSTERX SETNODES`. It is kept, and kept to across restarts, until a later version comes. `password` is the admin
    /// password of the other nodes and `tls` how they are reached over TLS, both as this engine's own listener says when they
    /// are not given; `force` takes a version that is not higher than the one that governs.
    ///
    /// A lower version is to be forced on every node, in any order: one that has not got it goes on by the higher one, and
    /// refuses what is not higher still. A primary that says, when all have it, that another took over from it was told so by
    /// a node before that had it: force the version there once more.
    ///
    /// When it returns, a link to a former primary and the feeds of nodes that are not replicas of this one are closed; the
    /// new link is made, and made again whenever it breaks, by itself. Returns whether anything changed: the version that
    /// governs already is no news, and when it comes with other nodes that is an event, and a finding of `verify`.
    ///
    /// While a topology lists this node, `follow`, `detach`, `promote` and `hand_over` raise InvalidArgumentError. A node that is
    /// no longer listed goes on serving reads and takes no writes until it is promoted by hand or listed again.
    #[pyo3(signature = (nodes, *, version, node_id, password=None, tls=None, force=false))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments")]
    fn set_topology(
        &self,
        py: Python<'_>,
        nodes: &Bound<'_, PyAny>,
        version: u64,
        node_id: String,
        password: Option<String>,
        tls: Option<&TlsClient>,
        force: bool,
    ) -> PyResult<bool> {
        self.engine().check_open()?;
        let topology = topology::topology(version, nodes)?;
        let options = TopologyOptions { password, tls: tls.map(|tls| tls.0.clone()), force };
        let engine = self.engine().clone();
        // It may look up names, which can take long.
        calls::run(py, None, move |_| engine.set_topology(&topology, &node_id, &options))
    }

    /// What this node is meant to be and what it is, side by side, computed from what runs.
    fn topology(&self, py: Python<'_>) -> PyResult<TopologyStatus> {
        TopologyStatus::new(py, py.detach(|| self.engine().topology())?)
    }

    /// What happens from now on: changes of the role, the link and the topology, full syncs, data given up, feeds.
    fn events(&self) -> PyResult<Events> {
        Ok(Events::new(self.engine().events()?))
    }

    /// Compares what must be equal, and lists what is not. `depth` is "quick", "checksums" (and the checksum of every
    /// data block) or "records" (and every record decodes).
    #[pyo3(signature = (depth="quick"))]
    fn verify(&self, py: Python<'_>, depth: &str) -> PyResult<Vec<Finding>> {
        self.engine().check_open()?;
        let depth = match depth {
            "quick" => Depth::Quick,
            "checksums" => Depth::Checksums,
            "records" => Depth::Records,
            _ => {
                let message = format!("depth: got {depth:?}, expected \"quick\", \"checksums\" or \"records\"");
                return Err(errors::raise(py, ErrorKind::InvalidArgument, message));
            }
        };
        let engine = self.engine().clone();
        let findings = calls::run(py, None, move |_| engine.verify(depth))?;
        Ok(findings.into_iter().map(Into::into).collect())
    }

    /// How many keys of which type each namespace has, and their bytes. Reads every record once, past the cache.
    /// `progress` is called with a Progress now and then; an exception from it cancels and propagates.
    #[pyo3(signature = (*, progress=None))]
    fn usage(&self, py: Python<'_>, progress: Option<&Bound<'_, PyAny>>) -> PyResult<Usage> {
        self.engine().check_open()?;
        let engine = self.engine().clone();
        let counted =
            calls::run(py, progress, move |watch| engine.usage_watched(&mut |progress| watch.tell(progress)))?;
        Usage::new(py, counted)
    }

    /// Figures of this moment.
    fn info(&self, py: Python<'_>) -> PyResult<Info> {
        Ok(py.detach(|| self.engine().info())?.into())
    }

    /// Returns when every write acknowledged before the call survives a power cut.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        self.engine().check_open()?;
        let engine = self.engine().clone();
        calls::run(py, None, move |_| engine.flush())
    }

    /// Refuses all later calls with ClosedError, those on its namespaces, iterators, snapshots and logs too, and frees
    /// the directory once no view of a value is held any more. A second close does nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        calls::check_not_in_callback(py, "close")?;
        if self.engine().check_open().is_err() {
            // Closed already, or a forked child, which the engine tells apart.
            return Ok(self.engine().close()?);
        }
        let shared = Arc::clone(&self.shared);
        calls::run(py, None, move |_| {
            shared.leases.take_back();
            let closed = shared.engine.close();
            // What was lent between the two.
            shared.leases.take_back();
            closed
        })
    }

    /// Whether it was closed, or this process is a fork of the one that opened it.
    #[getter]
    fn closed(&self) -> bool {
        self.engine().check_open().is_err()
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().engine().check_open()?;
        Ok(slf)
    }

    #[pyo3(signature = (*_exception))]
    fn __exit__(&self, py: Python<'_>, _exception: &Bound<'_, PyTuple>) -> PyResult<()> {
        // A forked child that leaves the block has nothing of its own to close.
        if self.closed() { Ok(()) } else { self.close(py) }
    }

    fn __repr__(&self) -> String {
        let state = if self.closed() { ", closed" } else { "" };
        format!("<pumice.Engine '{}'{state}>", self.engine().path().display())
    }
}
