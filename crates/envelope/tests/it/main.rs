//! The laws of the wire format, and what it refuses. One test binary.

mod batches;
mod interop;
mod laws;
mod people;
mod refused;
mod schema;
