//! Floor 7: the C face.
