//! RUN it: command line, configuration, telemetry, keys, `run`, `demo`.
//!
//! Everything of the binary is here, so that the demonstration and the scenario tests use the same pieces as an
//! operator does. This crate knows how the parts are started, fed and stopped; what a message means, who gets it and who
//! may do what is decided by the crates below.
//!
//! Entry points: [`cli::main`] for the binary, [`config::Config`] and [`network::Network`] for whoever starts a network
//! from Rust, [`keys::new`] for its keys.

pub mod cli;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod drill;
pub mod envelope;
pub mod failure;
mod http_client;
mod input;
pub mod journal;
mod journals;
pub mod keys;
mod link;
pub mod messages;
pub mod network;
pub mod operations;
mod output;
pub mod parked;
pub mod pauses;
pub mod report;
mod revocation;
pub mod routes;
pub mod run;
pub mod send;
pub mod telemetry;
