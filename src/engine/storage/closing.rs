//! Databases that are being closed.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

/// Databases that are being closed on threads of their own.
#[derive(Default)]
pub struct Closing {
    state: Mutex<ClosingState>,
    done: Condvar,
}

#[derive(Default)]
struct ClosingState {
    running: usize,
    abandoned: bool,
}

impl Closing {
    /// Returns when none is being closed any more.
    pub fn wait(&self) {
        let mut state = self.state.lock();
        while state.running > 0 {
            self.done.wait(&mut state);
        }
    }

    /// From now on databases are closed by whoever lets go of them: nobody is left to wait for a thread.
    pub fn abandon(&self) {
        self.state.lock().abandoned = true;
    }

    /// Runs on a thread of its own where somebody will wait for it, else here.
    pub(super) fn run(self: Arc<Self>, work: impl FnOnce() + Send + 'static) {
        let mut state = self.state.lock();
        if state.abandoned {
            drop(state);
            return work();
        }
        state.running += 1;
        drop(state);
        let closing = Arc::clone(&self);
        let work = Arc::new(Mutex::new(Some(work)));
        let for_thread = Arc::clone(&work);
        let run = move || {
            if let Some(work) = for_thread.lock().take() {
                work();
            }
            closing.state.lock().running -= 1;
            closing.done.notify_all();
        };
        if let Err(_no_thread) = std::thread::Builder::new().name("pumice-close".to_owned()).spawn(run) {
            if let Some(work) = work.lock().take() {
                work();
            }
            self.state.lock().running -= 1;
            self.done.notify_all();
        }
    }
}
