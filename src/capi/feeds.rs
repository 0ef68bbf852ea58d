//! Who follows a primary, and waiting for what was written.

use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;
use std::time::Duration;

use super::argument::{given, hand_out, place};
use super::bytes::c_text;
use super::constants::{PUMICE_UNKNOWN, pumice_peer};
use super::engine::pumice_engine;
use super::error::{call, free, pumice_error, pumice_status};
use super::link::milliseconds;
use super::position::pumice_position;
use crate::FeedStatus;

/// The feeds of a primary at one moment.
pub struct pumice_feeds {
    views: Vec<pumice_feed_status>,
    _hosts: Vec<CString>,
}

/// A running feed: one who follows this engine.
#[repr(C)]
pub struct pumice_feed_status {
    /// Tells it from every other feed of this engine.
    pub id: u64,
    /// The replica's host, as it announced itself, or as the connection shows it.
    pub host: *const c_char,
    /// The last sequence sent.
    pub sent: u64,
    /// The last sequence that the replica says it has applied; PUMICE_UNKNOWN while it said nothing, as an older Kvrocks
    /// does.
    pub acked: u64,
    /// The last sequence that the replica says will survive a power cut, or PUMICE_UNKNOWN.
    pub durable: u64,
    /// How many sequences the replica lacks, by what it acknowledged, else by what was sent.
    pub lag_sequences: u64,
    /// How long ago it acknowledged something, or PUMICE_UNKNOWN.
    pub last_ack_ms: u64,
    /// When it began, in unix milliseconds.
    pub since_ms: u64,
    /// Who the replica is.
    pub peer: pumice_peer,
    /// The port that the replica announced, 0 when it announced none.
    pub port: u16,
}

impl From<Vec<FeedStatus>> for pumice_feeds {
    fn from(feeds: Vec<FeedStatus>) -> pumice_feeds {
        let hosts: Vec<CString> = feeds.iter().map(|feed| c_text(&feed.host)).collect();
        let view = |(feed, host): (FeedStatus, &CString)| pumice_feed_status {
            id: feed.id,
            host: host.as_ptr(),
            sent: feed.sent,
            acked: feed.acked.unwrap_or(PUMICE_UNKNOWN),
            durable: feed.durable.unwrap_or(PUMICE_UNKNOWN),
            lag_sequences: feed.lag_sequences,
            last_ack_ms: milliseconds(feed.last_ack),
            since_ms: feed.since_ms,
            peer: feed.peer.into(),
            port: feed.port,
        };
        // The hosts stay where they are when the list that owns them moves.
        pumice_feeds { views: feeds.into_iter().zip(&hosts).map(view).collect(), _hosts: hosts }
    }
}

/// The feeds that run at this moment: who follows this engine.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_feeds(
    engine: Option<&pumice_engine>,
    feeds: Option<&mut MaybeUninit<*mut pumice_feeds>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(feeds, "feeds")?;
        hand_out(place, pumice_feeds::from(given(engine, "engine")?.engine.feeds()?));
        Ok(())
    })
}

/// How many feeds there are; 0 of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_feeds_count(feeds: Option<&pumice_feeds>) -> usize {
    feeds.map_or(0, |feeds| feeds.views.len())
}

/// A feed, lent with its host until the list is freed; NULL when there is none at that index.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_feeds_at(feeds: Option<&pumice_feeds>, index: usize) -> *const pumice_feed_status {
    feeds.and_then(|feeds| feeds.views.get(index)).map_or(std::ptr::null(), std::ptr::from_ref)
}

/// Frees a list of feeds.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_feeds_free(feeds: Option<Box<pumice_feeds>>) {
    free(feeds);
}

/// Waits up to `timeout_ms` until this engine has what a position says: to read on a replica what was written on its
/// primary. `*reached` is false when the time is over. PUMICE_DIVERGED when it has got there in another history.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_wait_for(
    engine: Option<&pumice_engine>,
    position: Option<&pumice_position>,
    timeout_ms: u64,
    reached: Option<&mut MaybeUninit<bool>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = given(reached, "reached")?;
        let position = given(position, "position")?.get()?;
        place.write(given(engine, "engine")?.engine.wait_for(&position, Duration::from_millis(timeout_ms))?);
        Ok(())
    })
}

/// Waits up to `timeout_ms` until as many replicas have applied what a position says; how many have comes in `*acked`.
/// PUMICE_DIVERGED when the position is not in this history.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_wait_acked(
    engine: Option<&pumice_engine>,
    position: Option<&pumice_position>,
    replicas: usize,
    timeout_ms: u64,
    acked: Option<&mut MaybeUninit<usize>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = given(acked, "acked")?;
        let position = given(position, "position")?.get()?;
        let timeout = Duration::from_millis(timeout_ms);
        place.write(given(engine, "engine")?.engine.wait_acked(&position, replicas, timeout)?);
        Ok(())
    })
}
