//! The binary: everything is in the library, so that tests use the same pieces.

use std::process::ExitCode;

fn main() -> ExitCode {
    viereck::cli::main()
}
