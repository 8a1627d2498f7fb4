//! The `pushflow` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    pushflow::cli::main()
}
