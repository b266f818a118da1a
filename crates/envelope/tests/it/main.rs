//! The laws of the wire format, and what it refuses. One test binary.
//!
//! The modules say that they are tests, so that lints judge their shared functions as such.

#[cfg(test)]
mod batches;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod forged;
#[cfg(test)]
mod grammar;
#[cfg(test)]
mod hybrid;
#[cfg(test)]
mod kinds;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod people;
#[cfg(test)]
mod schema;
#[cfg(test)]
mod signatures;
#[cfg(test)]
mod spelling;
