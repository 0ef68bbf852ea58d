//! Floor 4: the log, datasets coming in and going out, and what goes over the wire.

pub mod feeds;
pub mod full_sync;
pub mod link;
pub mod log;
pub mod node;
pub mod pieces;
pub mod position;
pub mod served;
pub mod session;
pub mod sync_in;
pub mod sync_out;
pub mod sync_status;
pub mod tcp;
#[cfg_attr(not(feature = "tls"), path = "no_tls.rs")]
pub mod tls;
