//! Floor 4: the data types, on a generation.

pub mod string;
