//! Floor 4: the data types, on a generation.

pub mod bitmap;
pub mod bloom;
pub mod hyperloglog;
pub mod items;
pub mod keys;
pub mod pending;
pub mod reading;
pub mod sorted_int;
pub mod stream;
pub mod stream_group;
pub mod string;
pub mod writing;
