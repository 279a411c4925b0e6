//! The checks that keep the style, run as `cargo xtask <command>`.
//!
//! | command | what it does |
//! |---|---|
//! | `ci` | every check below, and fmt, clippy, rustdoc and (where installed) cargo-deny |
//! | `tidy` | what no other tool looks at: dependency arrows, file sizes, file heads, forbidden words |
//! | `arrows` | prints the table of dependency arrows that `tidy` enforces |
//!
//! Invariants: nothing here changes a file, and every finding names the file it is about.

mod arrows;
mod metadata;
mod steps;
mod tidy;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What went wrong, in words for the person who ran the command.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let command = std::env::args().nth(1).unwrap_or_default();
    let outcome = match command.as_str() {
        "ci" => steps::ci(&root()),
        "tidy" => tidy(&root()),
        "arrows" => say(&arrows::table()),
        _ => Err("usage: cargo xtask ci | tidy | arrows".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // When standard error is closed there is nobody left to tell; the exit code still says it.
            drop(writeln!(std::io::stderr(), "{failure}"));
            ExitCode::FAILURE
        }
    }
}

/// The workspace's folder: the parent of this package's.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

/// Looks at every file and at the packages' dependencies, and says everything that is wrong at once.
fn tidy(root: &Path) -> Result<(), Failure> {
    let mut findings = tidy::check(&tidy::read_files(root)?);
    findings.extend(arrows::check(&metadata::packages(root)?));
    if findings.is_empty() {
        return say("tidy: nothing to say\n");
    }
    let mut text = String::new();
    for finding in &findings {
        writeln!(text, "{finding}")?;
    }
    write!(text, "tidy: {} findings", findings.len())?;
    Err(text.into())
}

fn say(text: &str) -> Result<(), Failure> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
