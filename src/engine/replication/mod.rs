//! Floor 4: the log, and datasets coming in and going out.

pub mod log;
pub mod position;
pub mod session;
pub mod sync_in;
pub mod sync_out;
