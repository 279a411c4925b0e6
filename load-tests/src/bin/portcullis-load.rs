//! The load tool. `--help` says what it can do.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use portcullis_judge::Exit;
use portcullis_load::Failure;
use portcullis_load::judging::command::{JudgeArguments, judge};
use portcullis_load::judging::power::{PowerArguments, power};
use portcullis_load::report::progress;

/// Judges a canary against its baseline, on machines that do other work too.
///
/// Exit codes: 0 pass, 1 rollback, 2 usage, 3 hotfix, 4 inconclusive, 5 invalid.
#[derive(Debug, Parser)]
#[command(name = "portcullis-load", version)]
struct Arguments {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Compares a canary with its baseline, in pairs of windows, or live by metrics.
    Judge(Box<JudgeArguments>),
    /// Tells how often the judge is wrong, by simulated runs drawn from measured noise.
    JudgePower(PowerArguments),
}

fn main() -> ExitCode {
    match command(Arguments::parse().command) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            progress(&failure);
            Exit::Usage.into()
        }
    }
}

fn command(what: What) -> Result<Exit, Failure> {
    match what {
        What::Judge(arguments) => judge(&arguments),
        What::JudgePower(arguments) => power(&arguments),
    }
}
