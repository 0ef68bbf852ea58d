//! What happens in an engine.

use std::time::Duration;

use pyo3::prelude::*;

use super::arguments::Seconds;
use super::calls::TICK;
use super::errors;
use super::replication::time;
use crate::ErrorKind;

/// Something that happened.
#[pyclass(frozen, get_all, module = "pumice")]
pub struct Event {
    /// When, as `time.time()` counts.
    time: f64,
    /// What it is about: "role", "link", "topology", "full_sync", "divergence" or "feed".
    kind: &'static str,
    /// What happened, for people.
    message: String,
    /// How many events before this one were dropped, because nobody took them in time.
    lost: u64,
}

impl From<crate::Event> for Event {
    fn from(event: crate::Event) -> Event {
        Event { time: time(event.time_ms), kind: event.kind.name(), message: event.message, lost: event.lost }
    }
}

#[pymethods]
impl Event {
    fn __repr__(&self) -> String {
        let lost = if self.lost > 0 { format!(", lost={}", self.lost) } else { String::new() };
        format!("<pumice.Event {}: {:?}{lost}>", self.kind, self.message)
    }
}

/// What happens in an engine from the moment on when it was asked for, in order. A loop over it waits for the next event and
/// ends when the engine is closed. It does not keep the engine open. At most 1,024 events wait; whoever is slower loses the
/// oldest, and `lost` of the next one says how many.
#[pyclass(frozen, module = "pumice")]
pub struct Events {
    events: crate::Events,
}

impl Events {
    pub fn new(events: crate::Events) -> Events {
        Events { events }
    }

    /// The next event; `None` when none came in that time, or none will come any more.
    fn wait(&self, py: Python<'_>, timeout: Option<Duration>) -> PyResult<Option<Event>> {
        let mut left = timeout;
        loop {
            let slice = left.map_or(TICK, |left| left.min(TICK));
            let event = py.detach(|| self.events.next(Some(slice)));
            if event.is_some() || self.events.is_over() {
                return Ok(event.map(Into::into));
            }
            left = left.map(|left| left - slice);
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(None);
            }
            py.check_signals()?;
        }
    }
}

#[pymethods]
impl Events {
    /// The next event, waiting for it so many seconds, or as long as it takes; None when none came in that time. ClosedError
    /// when the engine was closed and every event was taken.
    #[pyo3(signature = (timeout=None))]
    fn next(&self, py: Python<'_>, timeout: Option<Seconds>) -> PyResult<Option<Event>> {
        let event = self.wait(py, timeout.map(|timeout| timeout.0))?;
        if event.is_none() && self.events.is_over() {
            let message = "events: the engine is closed, and all of them were taken";
            return Err(errors::raise(py, ErrorKind::Closed, message));
        }
        Ok(event)
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Event>> {
        self.wait(py, None)
    }

    fn __repr__(&self) -> &'static str {
        if self.events.is_over() { "<pumice.Events, over>" } else { "<pumice.Events>" }
    }
}
