//! Floor 4: the data types, on a generation.

pub mod items;
pub mod keys;
pub mod pending;
pub mod reading;
pub mod string;
pub mod writing;
