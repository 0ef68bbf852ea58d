//! Floor 4: the data types, on a generation.

pub mod algebra;
pub mod bitmap;
pub mod bloom;
pub mod dump;
pub mod geo;
pub mod hash;
pub mod hyperloglog;
pub mod items;
pub mod json;
pub mod keys;
pub mod list;
pub mod pending;
pub mod random;
pub mod ranking;
pub mod reading;
pub mod set;
pub mod sorted_int;
pub mod sorted_set;
pub mod stream;
pub mod stream_group;
pub mod string;
pub mod writing;
