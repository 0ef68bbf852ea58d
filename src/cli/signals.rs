//! Ctrl-C and the like.

use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals as Iterator};
use signal_hook::low_level::emulate_default_handler;

/// Hears SIGINT, SIGTERM and SIGHUP. They end the process at once, which no directory minds; but while something is
/// being made the first of them asks it to stop and to remove what it made, and only the second does not wait for that.
/// A second SIGHUP is nothing: who closes a terminal may send several.
pub struct Signals {
    shared: Arc<Shared>,
    first: mpsc::Receiver<()>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    caught: AtomicI32,
    making: AtomicBool,
}

impl Signals {
    pub fn listen() -> io::Result<Signals> {
        let mut signals = Iterator::new([SIGINT, SIGTERM])?;
        if !is_hangup_ignored() {
            signals.add_signal(SIGHUP)?;
        }
        let shared = Arc::new(Shared::default());
        let handle = signals.handle();
        let heard = Arc::clone(&shared);
        let (tell, first) = mpsc::channel();
        let thread = std::thread::Builder::new().name("pumice-signals".to_owned()).spawn(move || {
            for signal in signals.forever() {
                let alone = heard.caught.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst).is_ok();
                if !((alone || signal == SIGHUP) && heard.making.load(Ordering::SeqCst)) {
                    let _ = emulate_default_handler(signal);
                }
                let _ = tell.send(());
            }
        })?;
        Ok(Signals { shared, first, handle, thread: Some(thread) })
    }

    /// From here on the first signal is answered by [`Signals::flow`].
    pub fn make(&self) {
        self.shared.making.store(true, Ordering::SeqCst);
    }

    /// Whether to go on.
    pub fn flow(&self) -> ControlFlow<()> {
        if self.caught().is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Waits for the first signal, no longer than that; whether it came.
    pub fn wait(&self, longest: Duration) -> bool {
        self.first.recv_timeout(longest) != Err(mpsc::RecvTimeoutError::Timeout)
    }

    /// The signal that was heard first.
    pub fn caught(&self) -> Option<i32> {
        Some(self.shared.caught.load(Ordering::SeqCst)).filter(|signal| *signal != 0)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.handle.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Whether this was started to outlive its terminal, as by `nohup`.
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Its lowest bit is signal 1, which SIGHUP is.
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}
