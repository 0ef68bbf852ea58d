//! Floor 4: the data types, on a generation.

pub mod algebra;
pub mod hash;
pub mod items;
pub mod keys;
pub mod list;
pub mod pending;
pub mod random;
pub mod reading;
pub mod set;
pub mod sorted_set;
pub mod string;
pub mod writing;
