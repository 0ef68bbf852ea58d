//! The façade: one open data directory.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::batch::Batch;
use super::error::{Error, ErrorKind, Result};
use super::events::Events;
use super::format::batch as write_batch;
use super::format::change::{self, Change};
use super::format::entry::Entry;
use super::format::state::{DesiredLink, Role};
use super::format::topology::Topology;
use super::info::Info;
use super::instance::Instance;
use super::namespace::{self, Namespace};
use super::options::{FollowOptions, Options, TopologyOptions};
use super::replication::feeds::FeedStatus;
use super::replication::link::LinkStatus;
use super::replication::log::{self, Log};
use super::replication::node::{Node, TopologyStatus};
use super::replication::position::Position;
use super::replication::sync_in::{self, Progress, Watch};
use super::replication::sync_out::{self, Checkpoint};
use super::snapshot::Snapshot;
use super::topology::Order;
use super::usage::{self, Usage};
use super::verify::{self, Depth, Finding};

/// One open data directory. A cheap handle: clones are the same engine, and all of them may be used from any thread.
///
/// After a fork every call in the child answers Closed and nothing of the parent's is touched. The child cannot open
/// engines of its own, and should end with `_exit` or run another program: RocksDB's threads are the parent's.
#[derive(Clone)]
pub struct Engine {
    pub(super) node: Arc<Node>,
}

impl Engine {
    pub(super) fn of(node: Arc<Node>) -> Engine {
        Engine { node }
    }

    pub(super) fn instance(&self) -> &Arc<Instance> {
        &self.node.instance
    }

    /// Opens the data directory `path`, the folder that holds `db/`, as a Kvrocks' `dir` does. A folder written by a
    /// Kvrocks is adopted: its `db` becomes a link. Blocks while the log is replayed: about a second for 500 MB of it.
    ///
    /// As a primary it draws a fresh replication id, which is one write.
    ///
    /// Errors: NotFound when nothing is there and `create` is off; Busy when another process has it open;
    /// InvalidArgument when a role or layout is asked for that it does not have, or when the path is no data
    /// directory; Unsupported when a newer Kvrocks wrote it; Corruption when it cannot be read.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let path = dir.path().join("data");
    /// let engine = pumice::Engine::open(&path, &pumice::Options::default())?;
    /// engine.default_namespace().put(b"key", b"value")?;
    /// assert_eq!(engine.default_namespace().get(b"key")?.unwrap(), b"value");
    /// # Ok::<(), pumice::Error>(())
    /// ```
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Engine> {
        Ok(Engine { node: Node::new(Instance::open(path.as_ref(), options)?)? })
    }

    /// Refuses all later calls, of every handle, with Closed. Files are closed and the directory is free once no
    /// value, iterator, snapshot or log reader is held any more. Calls that run on other threads finish first, but for
    /// `apply_checkpoint`, which ends with Closed. A second close does nothing.
    pub fn close(&self) -> Result<()> {
        self.node.instance.check_process()?;
        self.node.close()
    }

    /// Whether calls are answered: Closed after close, and in a forked child.
    pub fn check_open(&self) -> Result<()> {
        self.node.instance.generation().map(drop)
    }

    /// The directory, without links in its path.
    pub fn path(&self) -> &Path {
        self.node.instance.path()
    }

    /// What this engine is now.
    pub fn role(&self) -> Result<Role> {
        self.node.instance.role()
    }

    /// Where the data is now: the replication id and the last sequence written.
    pub fn position(&self) -> Result<Position> {
        let guard = self.node.instance.lock()?;
        let store = &guard.generation.store;
        Ok(Position { replication_id: store.replication_id(), sequence: store.db.latest_sequence() })
    }

    /// Makes a namespace and gives its handle; a token of 40 characters is drawn when none is given. One write, alone
    /// in its log record. The same name with the same token is no error and no write.
    ///
    /// Errors: AlreadyExists when the name has another token, or the token another name; InvalidArgument for a name
    /// that is empty, longer than 255 bytes, not UTF-8, ends in 0xFF or is `__namespace`, and for an empty token;
    /// Unsupported in the cluster layout, which has no namespaces.
    pub fn create_namespace(&self, name: impl AsRef<[u8]>, token: Option<&str>) -> Result<Namespace> {
        namespace::create(&self.node.instance, name.as_ref(), token)?;
        self.namespace(name)
    }

    /// The handle of a namespace that is registered, or that has data (a Kvrocks may keep its registry in a
    /// configuration file). NotFound otherwise. The handle stays valid across `apply_checkpoint`.
    pub fn namespace(&self, name: impl AsRef<[u8]>) -> Result<Namespace> {
        Namespace::open(&self.node, name.as_ref())
    }

    /// The handle of the default namespace, which is always there.
    pub fn default_namespace(&self) -> Namespace {
        Namespace::default_of(&self.node)
    }

    /// Names of all registered namespaces, the default one first as `__namespace`, the others in order.
    pub fn namespaces(&self) -> Result<Vec<String>> {
        let generation = self.node.instance.generation()?;
        Ok(namespace::names(&generation))
    }

    /// Names of namespaces that have data and no registration. One seek for each namespace.
    pub fn unregistered_namespaces(&self) -> Result<Vec<Vec<u8>>> {
        self.node.instance.generation()?.unregistered()
    }

    /// Deletes a namespace with its data. Two writes: range deletes in every column family, then the registry alone.
    /// Takes milliseconds; the space comes back in the background, within seconds for millions of keys, once no snapshot
    /// of before is open. Where whole files go, the delete is synced. NotFound when there is none of that name.
    pub fn drop_namespace(&self, name: impl AsRef<[u8]>) -> Result<()> {
        namespace::remove(&self.node.instance, name.as_ref())
    }

    /// A batch of writes that happen together or not at all.
    pub fn batch(&self) -> Batch {
        Batch::new(&self.node.instance)
    }

    /// A view of data and namespaces as they are at this moment.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Snapshot::take(&self.node.instance)
    }

    /// Returns when every write acknowledged before the call survives a power cut. One fsync, shared.
    pub fn flush(&self) -> Result<()> {
        self.node.instance.flush()
    }

    /// Makes a checkpoint of the whole dataset in a folder that does not exist yet: hard links of the SST files where
    /// the file system allows, a copy of the rest, and a sync manifest with size and crc32c of every file, which a
    /// Kvrocks ignores. Writers wait while links are made; every file is read once for its checksum.
    ///
    /// Errors: AlreadyExists for the folder; Unsupported when the engine is read-only; Io.
    pub fn create_checkpoint(&self, path: impl AsRef<Path>) -> Result<Checkpoint> {
        self.create_checkpoint_watched(path, &mut |_| ControlFlow::Continue(()))
    }

    /// [`Engine::create_checkpoint`] that tells its progress; `Break` cancels it with Busy and leaves nothing.
    pub fn create_checkpoint_watched(
        &self,
        path: impl AsRef<Path>,
        progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<Checkpoint> {
        sync_out::create(&self.node.instance, path.as_ref(), &mut Watch::new(&self.node.instance, progress))
    }

    /// Replaces the whole dataset, data and namespaces as one, with that of a checkpoint: one made by
    /// [`Engine::create_checkpoint`], or the `backup` or `db` folder of a Kvrocks. The folder is only read, with RocksDB's
    /// `LOCK` held in it meanwhile.
    ///
    /// Readers never wait and never fail: each call sees the old dataset or the new one, whole. Open snapshots and
    /// iterators finish on the old one. Handles of namespaces stay valid; where the namespace is gone they answer
    /// NotFound. On disk the change is one rename: a crash leaves the old dataset or the new one. A replica then stands
    /// at the checkpoint's position; a primary starts a history of its own there.
    ///
    /// SST files are linked where the file system allows, else copied. With a sync manifest every file is compared
    /// with it. Costs one read of the checkpoint, and twice the open files while both datasets are open.
    ///
    /// Errors, each leaving the old dataset as it was: NotFound and InvalidArgument for the folder or another key
    /// layout; Corruption naming the file; Busy when a server has the folder open or another apply runs; Io.
    pub fn apply_checkpoint(&self, path: impl AsRef<Path>) -> Result<()> {
        self.apply_checkpoint_watched(path, false, &mut |_| ControlFlow::Continue(()))
    }

    /// [`Engine::apply_checkpoint`] that tells its progress; `Break` cancels it with Busy and leaves the old dataset.
    /// `verify` compares all data with RocksDB's own checksums before the swap, for checkpoints without a manifest: it
    /// finds less than the manifest does, which covers every byte.
    pub fn apply_checkpoint_watched(
        &self,
        path: impl AsRef<Path>,
        verify: bool,
        progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    ) -> Result<()> {
        sync_in::apply(&self.node.instance, path.as_ref(), verify, &mut Watch::new(&self.node.instance, progress))
    }

    /// A reader of the log: the entries after a position, or all that are still kept.
    ///
    /// Errors: Diverged when the position is not in this history. Its `next_entry` answers NotFound when the log no longer
    /// reaches back that far.
    pub fn log(&self, after: Option<&Position>) -> Result<Log> {
        Log::open(&self.node.instance, after)
    }

    /// What an entry does, record by record, for people and for change feeds.
    pub fn changes(&self, entry: &Entry) -> Result<Vec<Change>> {
        let layout = self.node.instance.generation()?.store.layout;
        Ok(change::changes(&write_batch::Batch::parse(&entry.bytes)?, layout))
    }

    /// Writes an entry of the primary into this replica, byte for byte, at its place. Durable as a write.
    ///
    /// Errors: Diverged when the entry follows another history; InvalidArgument when it is not the next one, or this is
    /// not a replica; Corruption or Unsupported when its bytes are not a batch that a primary writes. Nothing is
    /// written then.
    pub fn apply(&self, entry: &Entry) -> Result<()> {
        log::apply(&self.node.instance, entry)
    }

    /// Makes this engine a primary, durably. It draws a fresh replication id; the former one stays known, so that
    /// replicas that are not ahead go on without a full sync. On a primary it does nothing.
    pub fn promote(&self) -> Result<()> {
        self.node.promote()
    }

    /// Makes this engine a replica of a primary: a Pumice that serves, or a Kvrocks. Persisted, so that it goes on after a
    /// restart. Returns at once; a thread of its own then connects, brings the dataset or goes on from its position, and
    /// tries again whenever that fails. Readers go on with the data of before until the primary's is here, all at once.
    ///
    /// Data that the primary does not have is given up, also that of a former primary.
    ///
    /// Errors: InvalidArgument for a host, a port or TLS options that cannot be; Unsupported for TLS in a build without
    /// the feature `tls`; ReadOnly, Poisoned, Io, when it cannot be kept.
    pub fn follow(&self, host: &str, port: u16, options: &FollowOptions) -> Result<()> {
        self.node.follow(DesiredLink {
            host: host.to_owned(),
            port,
            password: options.password.clone(),
            announce_port: options.announce_port,
            tls: options.tls.clone(),
        })
    }

    /// Waits until the primary's data is here and the link receives entries as they are written. Tells how it goes ten
    /// times a second at most; `Break` ends the wait with Busy, and the link goes on. `false` when the
    /// time is over or nobody is followed.
    pub fn wait_linked(
        &self,
        timeout: Option<Duration>,
        progress: &mut dyn FnMut(&LinkStatus) -> ControlFlow<()>,
    ) -> Result<bool> {
        self.node.wait_linked(timeout, progress)
    }

    /// Follows nobody any more and stays read-only, durably. When it returns nothing of the former primary is written
    /// any more. InvalidArgument on a primary.
    pub fn detach(&self) -> Result<()> {
        self.node.detach()
    }

    /// A planned switch: stops writes here, waits until the replica that announced `host` and `port` has acknowledged
    /// every entry, makes it the primary, and follows it. Nothing is given up. The replica is asked with the password
    /// of this engine's own listener.
    ///
    /// Errors: NotFound when no such replica is fed; Busy when it is not there in time, or says no: writes are taken
    /// again then. Io when it did not answer whether it is the primary now: no writes are taken then.
    pub fn hand_over(&self, host: &str, port: u16, timeout: Duration) -> Result<()> {
        self.node.hand_over(host, port, timeout)
    }

    /// Deletes what was kept of datasets that this engine gave up because they had diverged from its primary's. Gives
    /// how many there were. Snapshots and iterators on one of them finish; then it goes.
    pub fn discard(&self) -> Result<usize> {
        self.node.instance.discard()
    }

    /// The link as it runs now; `None` when this engine follows nobody.
    pub fn link(&self) -> Result<Option<LinkStatus>> {
        self.node.link.status()
    }

    /// The feeds that run now: who follows this engine.
    pub fn feeds(&self) -> Result<Vec<FeedStatus>> {
        self.node.feeds()
    }

    /// Waits until this engine has what a position says: to read on a replica what was written on its primary. `false`
    /// when the time is over. Diverged when it has got there in another history.
    pub fn wait_for(&self, position: &Position, timeout: Duration) -> Result<bool> {
        self.node.wait_for(position, timeout)
    }

    /// Waits until as many replicas have applied what a position says; gives how many have when the time is over.
    /// Diverged when the position is not in this history.
    pub fn wait_acked(&self, position: &Position, replicas: usize, timeout: Duration) -> Result<usize> {
        self.node.wait_acked(position, replicas, timeout)
    }

    /// Says which nodes there are, who follows whom, and which of them this engine is: from then on that alone decides whether
    /// it is a primary, a replica and of whom, or, when it is not listed, detached. Persisted before it takes effect, and
    /// kept to across restarts until a later version comes. When it returns, a link to a former primary and the feeds of
    /// nodes that are not replicas of this one are closed; the new link is made, and made again whenever it breaks, by
    /// itself. Whether anything changed: the version that governs already is no news, and when it comes with other nodes
    /// that is an event, and a finding of [`Engine::verify`].
    ///
    /// While a topology lists this node, `follow`, `detach` and `promote` are refused. A node that is no longer listed goes on
    /// serving reads and takes no writes until it is promoted by hand or listed again.
    ///
    /// Errors: InvalidArgument for a version below the one that governs (`force` takes it) and for a bad node id; Io and
    /// Poisoned when it cannot be kept. The old topology governs then.
    ///
    /// ```
    /// use pumice::{Node, Options, Role, Topology, TopologyOptions};
    /// # let dir = tempfile::tempdir().unwrap();
    /// let engine = pumice::Engine::open(dir.path(), &Options::default())?;
    /// let (a, b) = ("a".repeat(40), "b".repeat(40));
    /// let nodes = vec![Node::primary(&a, "127.0.0.1", 6666), Node::replica(&b, "127.0.0.1", 6667, &a)];
    /// engine.set_topology(&Topology::new(1, nodes.clone())?, &a, &TopologyOptions::default())?;
    /// assert!(engine.topology()?.converged);
    /// // The next one leaves it out.
    /// let rest = vec![Node::primary(&b, "127.0.0.1", 6667)];
    /// engine.set_topology(&Topology::new(2, rest)?, &a, &TopologyOptions::default())?;
    /// assert_eq!(engine.role()?, Role::Detached);
    /// # Ok::<(), pumice::Error>(())
    /// ```
    pub fn set_topology(&self, topology: &Topology, node_id: &str, options: &TopologyOptions) -> Result<bool> {
        Ok(self.node.set_topology(&Order {
            topology: topology.clone(),
            node_id: node_id.to_owned(),
            password: options.password.clone(),
            tls: options.tls.clone(),
            force: options.force,
        })?)
    }

    /// What this node is meant to be and what it is, side by side, computed from what runs.
    pub fn topology(&self) -> Result<TopologyStatus> {
        self.node.topology()
    }

    /// What happens from now on: changes of the role, the link and the topology, full syncs, data given up, feeds.
    pub fn events(&self) -> Result<Events> {
        self.check_open()?;
        Ok(self.node.instance.events.subscribe())
    }

    /// Compares what must be equal: registry and stored key, link and open folder, history and log; and, as deep as asked,
    /// checksums and every record. Empty when all is well.
    pub fn verify(&self, depth: Depth) -> Result<Vec<Finding>> {
        verify::verify(&self.node, depth)
    }

    /// How many keys of which type each namespace has, and their bytes. Reads every record once, past the cache, and takes
    /// memory for the namespaces alone.
    pub fn usage(&self) -> Result<Usage> {
        self.usage_watched(&mut |_| ControlFlow::Continue(()))
    }

    /// [`Engine::usage`] that tells its progress; `Break` cancels it with Busy.
    pub fn usage_watched(&self, progress: &mut dyn FnMut(&Progress) -> ControlFlow<()>) -> Result<Usage> {
        usage::of(&self.node.instance, &mut Watch::new(&self.node.instance, progress))
    }

    /// Compacts everything, for tests.
    #[cfg(feature = "failpoints")]
    #[doc(hidden)]
    pub fn compact(&self) -> Result<()> {
        let db = Arc::clone(&self.node.instance.generation()?.store.db);
        db.flush_memtables()?;
        (0..7).for_each(|family| db.compact(family, None, None));
        Ok(())
    }

    /// Returns when all space is given back that can be, for tests.
    #[cfg(feature = "failpoints")]
    #[doc(hidden)]
    pub fn wait_reclaimed(&self) {
        self.node.instance.wait_reclaimed();
    }

    /// Figures of this moment.
    pub fn info(&self) -> Result<Info> {
        Info::of(&self.node)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({})", self.path().display())
    }
}

pub(super) fn same_engine(a: &Arc<Instance>, b: &Arc<Instance>) -> Result<()> {
    if Arc::ptr_eq(a, b) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidArgument,
        format!(
            "namespace of another engine: got one of {}, expected one of {}",
            b.path().display(),
            a.path().display()
        ),
    ))
}
