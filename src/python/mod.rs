//! Floor 7: the Python face.
