//! What an engine is among others, at one moment: its link, the full sync that runs on it, its feeds.

use std::time::Duration;

use pyo3::prelude::*;

/// Unix milliseconds as the seconds of `time.time()`.
pub fn time(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

fn seconds(time: Option<Duration>) -> Option<f64> {
    time.map(|time| time.as_secs_f64())
}

/// The link of a replica at one moment.
#[pyclass(frozen, get_all, module = "pumice")]
pub struct LinkStatus {
    /// The primary's host.
    host: String,
    /// The primary's port.
    port: u16,
    /// What the link is doing: "connecting", "handshake", "syncing", "streaming" or "waiting".
    state: &'static str,
    /// Since when it is doing that, as `time.time()` counts.
    since: f64,
    /// Who the primary is, once it is known: "kvrocks" or "pumice".
    peer: Option<&'static str>,
    /// How many sequences the primary was ahead when it last told; None before it did.
    lag_sequences: Option<u64>,
    /// How many seconds ago this replica last had everything, 0 when it has; None before it ever had.
    lag_seconds: Option<f64>,
    /// How many seconds ago the last bytes came.
    last_io: Option<f64>,
    /// Why it failed last.
    last_error: Option<String>,
    /// What the operator ought to know of the primary.
    warning: Option<String>,
    /// The full sync that runs, or None.
    sync: Option<Py<SyncStatus>>,
    /// How many full syncs were done since this primary is followed.
    full_syncs: u64,
}

impl LinkStatus {
    pub fn create(py: Python<'_>, link: crate::LinkStatus) -> PyResult<Bound<'_, LinkStatus>> {
        let status = LinkStatus {
            host: link.host,
            port: link.port,
            state: link.state.name(),
            since: time(link.since_ms),
            peer: link.peer.map(crate::Peer::name),
            lag_sequences: link.lag_sequences,
            lag_seconds: seconds(link.lag),
            last_io: seconds(link.last_io),
            last_error: link.last_error,
            warning: link.warning,
            sync: link.sync.map(|sync| Py::new(py, SyncStatus::from(sync))).transpose()?,
            full_syncs: link.full_syncs,
        };
        Bound::new(py, status)
    }
}

#[pymethods]
impl LinkStatus {
    fn __repr__(&self) -> String {
        let error = self.last_error.as_ref().map_or(String::new(), |error| format!(", last_error={error:?}"));
        format!("<pumice.LinkStatus of {} port {}: {}{error}>", self.host, self.port, self.state)
    }
}

/// How far a full sync is.
#[pyclass(frozen, get_all, module = "pumice")]
pub struct SyncStatus {
    /// Files in all; 0 until they are known.
    files: u64,
    /// Files that are here.
    files_done: u64,
    /// Bytes in all, as far as they are known: a Kvrocks tells the size of a file when it sends it.
    bytes: u64,
    /// Bytes that are here.
    bytes_done: u64,
    /// Of those, bytes that were here before and did not come over the wire.
    bytes_reused: u64,
    /// Bytes a second over the wire, on average.
    bytes_per_second: u64,
    /// How many seconds it will take at that rate; None while there is no rate.
    remaining_seconds: Option<f64>,
}

impl From<crate::SyncStatus> for SyncStatus {
    fn from(sync: crate::SyncStatus) -> SyncStatus {
        SyncStatus {
            files: sync.files,
            files_done: sync.files_done,
            bytes: sync.bytes,
            bytes_done: sync.bytes_done,
            bytes_reused: sync.bytes_reused,
            bytes_per_second: sync.bytes_per_second,
            remaining_seconds: seconds(sync.remaining),
        }
    }
}

#[pymethods]
impl SyncStatus {
    fn __repr__(&self) -> String {
        format!(
            "SyncStatus(files={}, files_done={}, bytes={}, bytes_done={}, bytes_reused={}, bytes_per_second={})",
            self.files, self.files_done, self.bytes, self.bytes_done, self.bytes_reused, self.bytes_per_second
        )
    }
}

/// A running feed of a primary at one moment: who follows it.
#[pyclass(frozen, get_all, module = "pumice")]
pub struct FeedStatus {
    /// Tells it from every other feed of this engine.
    id: u64,
    /// The replica's host, as it announced itself, or as the connection shows it.
    host: String,
    /// The port that the replica announced, 0 when it announced none.
    port: u16,
    /// Who the replica is: "kvrocks" or "pumice".
    peer: &'static str,
    /// The last sequence sent.
    sent: u64,
    /// The last sequence that the replica says it has applied; None while it said nothing, as an older Kvrocks does.
    acked: Option<u64>,
    /// The last sequence that the replica says will survive a power cut.
    durable: Option<u64>,
    /// How many sequences the replica lacks, by what it acknowledged, else by what was sent.
    lag_sequences: u64,
    /// How many seconds ago it acknowledged something.
    last_ack: Option<f64>,
    /// When it began, as `time.time()` counts.
    since: f64,
}

impl From<crate::FeedStatus> for FeedStatus {
    fn from(feed: crate::FeedStatus) -> FeedStatus {
        FeedStatus {
            id: feed.id,
            host: feed.host,
            port: feed.port,
            peer: feed.peer.name(),
            sent: feed.sent,
            acked: feed.acked,
            durable: feed.durable,
            lag_sequences: feed.lag_sequences,
            last_ack: seconds(feed.last_ack),
            since: time(feed.since_ms),
        }
    }
}

#[pymethods]
impl FeedStatus {
    fn __repr__(&self) -> String {
        format!("<pumice.FeedStatus {} of {} port {}: {} behind>", self.id, self.host, self.port, self.lag_sequences)
    }
}
