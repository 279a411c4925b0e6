//! The command `compare`: two results side by side, of two days or two machines.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use portcullis_artifacts::Report;
use portcullis_artifacts::compare::Comparison;
use portcullis_judge::Exit;
use portcullis_judge::window::Side;

use crate::Failure;
use crate::report::say;

/// The arguments of `compare`.
#[derive(Debug, Args)]
pub struct CompareArguments {
    /// The earlier `result.json`, whose baseline is carried over.
    before: PathBuf,
    /// The later one.
    now: PathBuf,
    /// The side of the later one that is compared with it.
    #[arg(long, value_enum, default_value_t = Of::Baseline)]
    with: Of,
    /// Percent by which medians may differ and still count as the same: what moves from one run to the next, and from one machine to
    /// another, is in no interval of one run.
    #[arg(long, default_value_t = 5.0)]
    margin: f64,
}

/// A side of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Of {
    Baseline,
    Canary,
}

/// Compares, and prints a table.
///
/// # Errors
///
/// When a file is no result, or says nothing to compare.
pub fn compare(arguments: &CompareArguments) -> Result<Exit, Failure> {
    if !(arguments.margin >= 0.0 && arguments.margin.is_finite()) {
        return Err(format!("--margin is a percentage, not {}", arguments.margin).into());
    }
    let (before, now) = (read(&arguments.before)?, read(&arguments.now)?);
    let side = match arguments.with {
        Of::Baseline => Side::Baseline,
        Of::Canary => Side::Canary,
    };
    let comparison = Comparison::of(&before, &now, side, 1.0 + arguments.margin / 100.0)?;
    say(&comparison.text())?;
    Ok(comparison.exit())
}

fn read(path: &Path) -> Result<Report, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Report::from_json(&text).map_err(|error| format!("{}: {error}", path.display()).into())
}
