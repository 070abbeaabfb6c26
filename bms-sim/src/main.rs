//! The command line `bms`.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
