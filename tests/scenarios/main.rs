//! All scenarios in one binary.
