//! How far long calls are.

use std::ffi::{c_int, c_void};
use std::ops::ControlFlow;

use super::constants::pumice_stage;
use crate::Progress;

/// How far a long call is.
#[repr(C)]
pub struct pumice_progress {
    /// What it is doing.
    pub stage: pumice_stage,
    /// Files done in this stage.
    pub files_done: u64,
    /// Files in all.
    pub files: u64,
    /// Bytes done in this stage.
    pub bytes_done: u64,
    /// Bytes in all; an estimate, never below what is done, where records are gone through.
    pub bytes: u64,
}

/// Told how far a long call is, on the thread that made it; the record is lent for the call. Anything but 0 cancels.
/// It must return: no exception and no longjmp may leave it.
pub type pumice_progress_callback =
    Option<unsafe extern "C" fn(progress: *const pumice_progress, user_data: *mut c_void) -> c_int>;

/// Tells a caller, and hears whether to go on.
pub fn tell(callback: pumice_progress_callback, user_data: *mut c_void, progress: &Progress) -> ControlFlow<()> {
    let Some(callback) = callback else { return ControlFlow::Continue(()) };
    let progress = pumice_progress {
        stage: progress.stage.into(),
        files_done: progress.files_done,
        files: progress.files,
        bytes_done: progress.bytes_done,
        bytes: progress.bytes,
    };
    // SAFETY: a function of that signature, called with what it was given along with.
    match unsafe { callback(&raw const progress, user_data) } {
        0 => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    }
}
