//! What happens in an engine, for whoever wants to hear of it.

use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;
use std::time::Duration;

use super::argument::{given, hand_out, place};
use super::bytes::{c_text, lend_text};
use super::constants::pumice_event_kind;
use super::engine::pumice_engine;
use super::error::{call, free, pumice_error, pumice_status};
use crate::{Error, ErrorKind, Event, Events};

/// What happens in an engine from the moment on when it was asked for, in order. It does not keep the engine open. At most
/// 1,024 events wait; whoever is slower loses the oldest, and is told how many.
pub struct pumice_events(Events);

/// Something that happened. It holds nothing of the engine.
pub struct pumice_event {
    event: Event,
    message: CString,
}

/// What happens from now on: changes of the role, the link and the topology, full syncs, data given up, feeds.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_engine_events(
    engine: Option<&pumice_engine>,
    events: Option<&mut MaybeUninit<*mut pumice_events>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(events, "events")?;
        hand_out(place, pumice_events(given(engine, "engine")?.engine.events()?));
        Ok(())
    })
}

/// The next event, waiting up to `timeout_ms` for it; 0 does not wait. `*event` is NULL when none came in that time; else
/// free it. PUMICE_CLOSED when the engine was closed and every event was taken; a close ends the wait.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_events_next(
    events: Option<&pumice_events>,
    timeout_ms: u64,
    event: Option<&mut MaybeUninit<*mut pumice_event>>,
    error: Option<&mut MaybeUninit<*mut pumice_error>>,
) -> pumice_status {
    call(error, || {
        let place = place(event, "event")?;
        let events = &given(events, "events")?.0;
        match events.next(Some(Duration::from_millis(timeout_ms))) {
            Some(event) => hand_out(place, pumice_event { message: c_text(&event.message), event }),
            None if events.is_over() => {
                return Err(Error::new(ErrorKind::Closed, "events: the engine is closed, and all of them were taken"));
            }
            None => {}
        }
        Ok(())
    })
}

/// Frees events; those that wait are lost.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_events_free(events: Option<Box<pumice_events>>) {
    free(events);
}

/// When it happened, in unix milliseconds; 0 of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_event_time_ms(event: Option<&pumice_event>) -> u64 {
    event.map_or(0, |event| event.event.time_ms)
}

/// What it is about; PUMICE_EVENT_KIND_NONE of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_event_get_kind(event: Option<&pumice_event>) -> pumice_event_kind {
    event.map_or(pumice_event_kind::PUMICE_EVENT_KIND_NONE, |event| event.event.kind.into())
}

/// What happened, for people, lent until the event is freed; NULL of NULL.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_event_message(event: Option<&pumice_event>) -> *const c_char {
    lend_text(event.map(|event| &event.message))
}

/// How many events before this one were dropped, because nobody took them in time.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_event_lost(event: Option<&pumice_event>) -> u64 {
    event.map_or(0, |event| event.event.lost)
}

/// Frees an event.
#[unsafe(no_mangle)]
pub extern "C" fn pumice_event_free(event: Option<Box<pumice_event>>) {
    free(event);
}
