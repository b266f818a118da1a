//! `viereck keys`: private keys, certificates and tokens, from the first to the next.

mod new;

use clap::Subcommand;

pub use self::new::{Algorithm, Made, New, Wanted, folder_name, new};
use crate::failure::Failure;

/// `viereck keys`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make keys, certificates and tokens for everyone in a routing table
    New(New),
}

/// Runs `viereck keys …`.
pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::New(args) => new::run(args),
    }
}
