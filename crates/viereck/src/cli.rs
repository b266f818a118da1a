//! The command line: which commands there are, and the one place where a failure is printed.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::demo;
use crate::failure::{Exit, Failure};

/// Viereck carries applications to the authority that is competent for them, and its answers back.
#[derive(Debug, Parser)]
#[command(name = "viereck", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The whole network in one process, with stand-ins for corners 1 and 4
    Demo(demo::Args),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(usage) => usage.exit(),
    };
    match tokio_main(cli) {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => {
            eprint(&failure.report());
            failure.exit.into()
        }
    }
}

fn eprint(text: &str) {
    use std::io::Write;
    // Nobody is left to be told when stderr is gone.
    let _gone = std::io::stderr().write_all(text.as_bytes());
}

fn tokio_main(cli: Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::new(Exit::Unexpected, "runtime-failed", format!("cannot start threads: {error}")))?;
    runtime.block_on(async move {
        match cli.command {
            Command::Demo(args) => Ok(demo::run(&args).await?),
        }
    })
}
