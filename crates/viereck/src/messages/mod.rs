//! `viereck message`: where is it, who has it now, and whom do I call?
//!
//! - `trace`: the whole life of one message, or of all messages of a case, on one screen.
//! - `list`: messages by what they have in common, newest first.
//!
//! Both put together what every custodian knows that the configurations name, and what others told these by their
//! receipts. A process that runs is asked through its operations interface where there is an operator's token, else its
//! journal is opened to look. No envelope is opened, and nothing here is about a person.

mod ask;
pub(crate) mod known;
mod list;
mod route;
mod story;
mod told;
mod trace;

use clap::Subcommand;

use crate::failure::Failure;

/// `viereck message`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The whole life of a message or a case
    Trace(trace::Trace),
    /// Messages by what they have in common, newest first
    List(list::List),
}

/// Runs `viereck message …`.
pub async fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Trace(args) => trace::run(args).await,
        Command::List(args) => list::run(args).await,
    }
}
