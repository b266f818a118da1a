//! `viereck keys`: private keys, certificates and tokens, from the first to the next.
//!
//! `new` makes everything of a table for tests and trials, `link` what its connections to RabbitMQ need; `list` and
//! `check` look; `csr` and `import` go the way over a certification authority, `rotate` the short one of a self-signed
//! successor. Guarantees: no secret on stdout or in a flag, private keys 0600 from the first octet and never in the folder
//! that is given out, nothing overwritten, nothing deleted, and nothing counts from a moment that has passed.

mod apart;
mod check;
mod csr;
mod import;
pub mod link;
mod list;
mod make;
mod new;
mod rotate;
mod stock;
mod turn;
mod worn;

use clap::Subcommand;

pub use self::new::{Algorithm, Made, New, Wanted, new};
pub(crate) use self::rotate::{Next, enter};
pub(crate) use self::stock::Place;
pub(crate) use self::worn::{Worn, worn};
use crate::failure::Failure;

/// `viereck keys`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make keys, certificates and tokens for everyone in a routing table
    New(New),
    /// Make an authority for the link alone, and certificates for RabbitMQ and everyone in a routing table
    Link(link::Link),
    /// What there is: certificates of the table beside the keys of this host
    List(list::List),
    /// Rights of files, pairs, revocation, and certificates that end within 60 days
    Check(check::Check),
    /// Make the next key of a holder and a request to have it certified
    Csr(csr::Csr),
    /// Enter a certificate that an authority issued
    Import(import::Import),
    /// Make the next key of a holder with a self-signed certificate, and enter it
    Rotate(rotate::Rotate),
}

/// Runs `viereck keys …`.
pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::New(args) => new::run(args),
        Command::Link(args) => link::run(args),
        Command::List(args) => list::run(args),
        Command::Check(args) => check::run(args),
        Command::Csr(args) => csr::run(args),
        Command::Import(args) => import::run(args),
        Command::Rotate(args) => rotate::run(args),
    }
}
