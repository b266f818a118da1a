//! The command line: which commands there are, and the one place where a failure is printed.
//!
//! stdout is data, stderr is talk. No command asks anything back, and no flag takes a secret.

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::Part;
use crate::config::commands as config;
use crate::failure::{Exit, Failure};
use crate::{
    demo, doctor, drill, envelope, journal, keys, messages, parked, pauses, report, routes, run, send, telemetry,
};

/// Viereck carries applications to the authority that is competent for them, and its answers back.
#[derive(Debug, Parser)]
#[command(name = "viereck", version, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 unexpected, 2 usage or configuration, 3 not found, 4 findings or refused, 5 changes pending,
6 not permitted, 7 temporarily unreachable, 8 conflict";

#[derive(Debug, Subcommand)]
enum Command {
    /// The whole network in one process, with stand-ins for corners 1 and 4
    Demo(demo::Args),
    /// Break a private network while applications flow through it, and account for every one of them
    Drill(drill::Args),
    /// Run all roles of a configuration
    Run(run::Run),
    /// Run the sender gateways of a configuration
    Sender(run::Run),
    /// Run the broker of a configuration
    Broker(run::Run),
    /// Run the receiver gateways of a configuration
    Receiver(run::Run),
    /// Post an application to a sender gateway
    Send(send::Send),
    /// Keys, certificates and tokens
    #[command(subcommand)]
    Keys(keys::Command),
    /// Routing tables: who is competent
    #[command(subcommand)]
    Routes(routes::Command),
    /// Envelopes in files
    #[command(subcommand)]
    Envelope(envelope::Command),
    /// Messages and their life
    #[command(subcommand)]
    Message(messages::Command),
    /// A month in numbers: Leistung, Land and Behörde
    Report(report::Month),
    /// What was taken out of the flow: look, put back, end
    #[command(subcommand)]
    Parked(parked::Command),
    /// Let a Behörde or a gateway rest
    Pause(pauses::Order),
    /// Let it go on
    Resume(pauses::Order),
    /// One look at everything that can be wrong
    Doctor(doctor::Doctor),
    /// Copies of journals and their way back, and the trail of what operators did
    #[command(subcommand)]
    Journal(journal::Command),
    /// The configuration
    #[command(subcommand)]
    Config(config::Command),
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help goes to stdout and ends with 0, a mistake to stderr and ends with 2.
        Err(usage) => usage.exit(),
    };
    match dispatch(cli.command) {
        Ok(()) => Exit::Ok.into(),
        Err(failure) => {
            // Nobody is left to be told when stderr is gone.
            let _gone = std::io::stderr().write_all(failure.report().as_bytes());
            failure.exit.into()
        }
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new().map_err(|error| {
        Failure::new(
            Exit::Unexpected,
            "runtime-failed",
            format!("cannot start threads: {error}"),
        )
    })?;
    // What runs roles logs as its configuration says, everything else only what went wrong.
    let runs_roles = matches!(
        command,
        Command::Run(_) | Command::Sender(_) | Command::Broker(_) | Command::Receiver(_)
    );
    if !runs_roles {
        telemetry::start("warn,lapin=off", telemetry::Format::Auto)?;
    }
    runtime.block_on(async {
        match &command {
            Command::Demo(args) => demo::run(args).await,
            Command::Drill(args) => drill::run(args).await,
            Command::Run(args) => run::command(args, Part::All).await,
            Command::Sender(args) => run::command(args, Part::Sender).await,
            Command::Broker(args) => run::command(args, Part::Broker).await,
            Command::Receiver(args) => run::command(args, Part::Receiver).await,
            Command::Send(args) => send::run(args).await,
            Command::Keys(command) => keys::run(command),
            Command::Routes(command) => routes::run(command),
            Command::Envelope(command) => envelope::run(command),
            Command::Message(command) => messages::run(command).await,
            Command::Report(args) => report::run(args).await,
            Command::Parked(command) => parked::run(command).await,
            Command::Pause(args) => pauses::pause(args).await,
            Command::Resume(args) => pauses::resume(args).await,
            Command::Doctor(args) => doctor::run(args).await,
            Command::Journal(command) => journal::run(command).await,
            Command::Config(command) => config::run(command),
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_free_of_contradictions() {
        Cli::command().debug_assert();
    }

    /// `UPDATE_REFERENCE=1 cargo test --release -p viereck` writes the reference anew.
    #[test]
    fn the_reference_is_what_help_prints() {
        let mut reference = String::new();
        collect(Cli::command().term_width(100), "", &mut reference);
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/reference/cli.txt");
        if std::env::var_os("UPDATE_REFERENCE").is_some() {
            std::fs::write(file, &reference).unwrap();
        }
        let committed = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            committed == reference,
            "reference/cli.txt is not what the commands print; see above this test"
        );
    }

    fn collect(command: clap::Command, parents: &str, reference: &mut String) {
        let name = format!("{parents}{}", command.get_name());
        let mut shown = command.clone().bin_name(&name).disable_help_subcommand(true);
        reference.push_str(&format!("$ {name} --help\n{}\n", shown.render_long_help()));
        for sub in command.get_subcommands() {
            collect(sub.clone().term_width(100), &format!("{name} "), reference);
        }
    }

    #[test]
    fn no_flag_takes_a_secret() {
        fn look(command: &clap::Command) {
            for argument in command.get_arguments() {
                let name = argument.get_id().as_str();
                assert!(
                    !["token", "password", "secret"].contains(&name),
                    "{name} of {}",
                    command.get_name()
                );
            }
            command.get_subcommands().for_each(look);
        }
        look(&Cli::command());
    }
}
