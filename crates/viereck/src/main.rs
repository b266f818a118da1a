//! The binary: everything is in the library, so that tests use the same pieces.

fn main() {}
