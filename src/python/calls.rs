//! Calls that may wait: without the GIL, and with an ear for signals.

use std::cell::Cell;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use pyo3::prelude::*;

use super::progress::Told;
use super::{errors, progress};
use crate::{ErrorKind, Result};

/// How often a waiting call looks at signals.
pub const TICK: Duration = Duration::from_millis(50);

/// What the working thread tells the calling one.
enum Message<T> {
    Progress(Told),
    Done(Result<T>),
}

/// The working thread's side: tells progress, and hears whether to go on.
pub struct Watch<T> {
    messages: Sender<Message<T>>,
    answers: Receiver<ControlFlow<()>>,
    cancelled: Arc<AtomicBool>,
    asked: bool,
}

impl<T> Watch<T> {
    pub fn tell(&mut self, progress: impl Into<Told>) -> ControlFlow<()> {
        if self.cancelled.load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        if !self.asked {
            return ControlFlow::Continue(());
        }
        let told = self.messages.send(Message::Progress(progress.into()));
        // Without a caller there is nobody left to go on for.
        told.ok().and_then(|()| self.answers.recv().ok()).unwrap_or(ControlFlow::Break(()))
    }
}

thread_local! {
    /// Whether this thread is inside a progress callback, where the call that it belongs to holds locks.
    static IN_CALLBACK: Cell<bool> = const { Cell::new(false) };
}

/// Refuses a call that would wait for the one whose progress callback makes it.
pub fn check_not_in_callback(py: Python<'_>, what: &str) -> PyResult<()> {
    if IN_CALLBACK.get() {
        let message = format!("{what}: got called from a progress callback; raise an exception there to cancel");
        return Err(errors::raise(py, ErrorKind::Busy, message));
    }
    Ok(())
}

/// Runs `work` on a thread of its own while this one waits for it and for signals. When one of them raises, the work
/// is told to stop and left behind: it lets go of what it holds when it ends.
///
/// `callback` is called on this thread with each progress, and cancels by raising.
pub fn run<T: Send + 'static>(
    py: Python<'_>,
    callback: Option<&Bound<'_, PyAny>>,
    work: impl FnOnce(&mut Watch<T>) -> Result<T> + Send + 'static,
) -> PyResult<T> {
    let (messages, mut inbox) = mpsc::channel();
    let (answer, answers) = mpsc::channel();
    let cancelled = Arc::new(AtomicBool::new(false));
    let mut watch = Watch { messages, answers, cancelled: Arc::clone(&cancelled), asked: callback.is_some() };
    let running = Running::begin();
    let started = thread::Builder::new().name("pumice".to_owned()).spawn(move || {
        let result = work(&mut watch);
        // Whatever the result holds is let go before this thread counts as gone.
        let _ = watch.messages.send(Message::Done(result));
        drop(watch);
        drop(running);
    });
    started?;
    let process = std::process::id();
    let raised = loop {
        let inbox = &mut inbox;
        match py.detach(move || inbox.recv_timeout(TICK)) {
            Ok(Message::Done(result)) => return Ok(result?),
            Ok(Message::Progress(told)) => {
                let outer = IN_CALLBACK.replace(true);
                let called = callback.map_or(Ok(()), |callback| progress::call(py, callback, told));
                IN_CALLBACK.set(outer);
                if let Err(raised) = called {
                    break raised;
                }
                let _ = answer.send(ControlFlow::Continue(()));
            }
            Err(RecvTimeoutError::Timeout) if std::process::id() != process => {
                let message = "the call was waiting when this process was forked; its work is the parent's";
                return Err(errors::raise(py, ErrorKind::Closed, message));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(errors::raise(py, ErrorKind::Internal, "the working thread panicked"));
            }
        }
        if let Err(raised) = py.check_signals() {
            break raised;
        }
    };
    cancelled.store(true, Ordering::Relaxed);
    let _ = answer.send(ControlFlow::Break(()));
    drop(answer);
    // Most work stops at once and cleans up; none is waited for any longer than a signal may take.
    let inbox = &mut inbox;
    py.detach(move || while let Ok(Message::Progress(_)) = inbox.recv_timeout(TICK) {});
    Err(raised)
}

/// Runs `work` on this thread without the GIL. What it is given looks at signals, and says to stop when one raised.
pub fn watched<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&mut dyn FnMut() -> ControlFlow<()>) -> Result<T> + Send,
) -> PyResult<T> {
    let mut raised = None;
    let result = py.detach(|| {
        work(&mut || match Python::attach(|py| py.check_signals()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                raised = Some(error);
                ControlFlow::Break(())
            }
        })
    });
    match raised {
        Some(raised) => Err(raised),
        None => Ok(result?),
    }
}

/// Asks again and again, without the GIL and for a [`TICK`] at most, until the answer is the one that was waited for or
/// the time is over; looks at signals in between.
pub fn sliced<T: Send>(
    py: Python<'_>,
    timeout: Duration,
    ask: impl Fn(Duration) -> Result<T> + Sync,
    is_it: impl Fn(&T) -> bool,
) -> PyResult<T> {
    let mut left = timeout;
    loop {
        let slice = left.min(TICK);
        let answer = py.detach(|| ask(slice))?;
        left -= slice;
        if left.is_zero() || is_it(&answer) {
            return Ok(answer);
        }
        py.check_signals()?;
    }
}

/// How many threads work, and in which process: a forked child has none of them.
static WORKING: Mutex<(u32, usize)> = Mutex::new((0, 0));
static GONE: Condvar = Condvar::new();

struct Running;

impl Running {
    fn begin() -> Running {
        let mut working = WORKING.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        if working.0 != process {
            *working = (process, 0);
        }
        working.1 += 1;
        Running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut working = WORKING.lock().unwrap_or_else(PoisonError::into_inner);
        working.1 = working.1.saturating_sub(1);
        GONE.notify_all();
    }
}

/// Waits at exit for work that was left behind, since a process must not end in the middle of RocksDB. Not for ever.
#[pyfunction]
pub fn settle(py: Python<'_>) {
    const PATIENCE: u32 = 200;
    py.detach(|| {
        for _ in 0..PATIENCE {
            let working = WORKING.lock().unwrap_or_else(PoisonError::into_inner);
            if working.0 != std::process::id() || working.1 == 0 {
                return;
            }
            let _ = GONE.wait_timeout(working, TICK);
        }
    });
}
