//! The commands: what was typed is turned into calls of the library, and what came back into text, JSON and an exit code.

mod args;
mod decode;
mod design;
mod export;
mod faults;
mod identify;
mod model;
mod model_compare;
mod progress;
mod replay;
mod simulate;
mod verify;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory, Parser};

use args::{Cli, Command};

/// A bound or target is missed.
const MISSED: u8 = 1;
/// Bad usage or input.
const BAD_INPUT: u8 = 2;

/// Whether everything that decides the exit code was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Met,
    Missed,
}

/// Parses the command line and carries it out.
pub(super) fn run() -> ExitCode {
    match dispatch(Cli::parse()) {
        Ok(Verdict::Met) => ExitCode::SUCCESS,
        Ok(Verdict::Missed) => ExitCode::from(MISSED),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing can be done if the error stream is closed as well.
            let _ = writeln!(io::stderr(), "error: {}", chain(&error));
            ExitCode::from(BAD_INPUT)
        }
    }
}

fn dispatch(cli: Cli) -> Result<Verdict> {
    match cli.command {
        Command::Identify(args) => identify::run(args, cli.quiet),
        Command::Replay(args) => replay::run(args, cli.quiet),
        Command::Verify(args) => verify::run(args, cli.quiet),
        Command::Export(args) => export::run(&args, cli.quiet),
        Command::Faults(args) => faults::run(&args, cli.quiet),
        Command::Simulate(args) => simulate::run(&args, cli.quiet),
        Command::Decode(args) => decode::run(&args, cli.quiet),
        Command::Design(args) => design::run(&args, cli.quiet),
        Command::Model(command) => model::run(command, cli.quiet),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "bms", &mut script);
            io::stdout().write_all(&script)?;
            Ok(Verdict::Met)
        }
    }
}

/// Whoever reads the output has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|e| e.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe))
}

/// An error with its causes, without those that its text already tells.
fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Prints a value as JSON on the standard output.
fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
    writeln!(out)?;
    out.flush()?;
    Ok(())
}

/// Makes the folder of a file that is going to be written, so that a long computation does not end in an error.
fn make_parent(path: &std::path::Path) -> Result<()> {
    use anyhow::Context;
    match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => {
            std::fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))
        }
        _ => Ok(()),
    }
}
