//! `cargo xtask ci`: the steps, one after another, all of them even when one fails.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::Failure;

/// A command to run: its name in the summary, the words, and what is set in its environment.
struct Step {
    name: &'static str,
    words: &'static [&'static str],
    env: Option<(&'static str, &'static str)>,
}

const STEPS: [Step; 6] = [
    Step { name: "fmt", words: &["fmt", "--all", "--check"], env: None },
    // Outside the workspace, so `--all` does not reach them.
    Step { name: "fmt fuzz", words: &["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"], env: None },
    Step { name: "fmt bare", words: &["fmt", "--manifest-path", "load-tests/bare/Cargo.toml", "--check"], env: None },
    Step {
        name: "fmt surfpool",
        words: &["fmt", "--manifest-path", "integration-tests/surfpool/Cargo.toml", "--check"],
        env: None,
    },
    Step {
        name: "clippy",
        words: &["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"],
        env: None,
    },
    Step {
        name: "doc",
        words: &["doc", "--workspace", "--no-deps", "--quiet"],
        env: Some(("RUSTDOCFLAGS", "--deny warnings")),
    },
];

/// cargo-deny is looked for, not asked for: what it would say about Pingora, `tidy` says too.
const DENY: Step = Step { name: "deny", words: &["deny", "check", "bans", "licenses", "sources"], env: None };

/// Runs every step and says in the end which failed.
pub(crate) fn ci(root: &Path) -> Result<(), Failure> {
    let mut failed = Vec::new();
    for step in STEPS.iter().chain(has_deny().then_some(&DENY)) {
        say(step.name)?;
        if !run(root, step)? {
            failed.push(step.name);
        }
    }
    say("tidy")?;
    if let Err(findings) = crate::tidy(root) {
        writeln!(std::io::stderr(), "{findings}")?;
        failed.push("tidy");
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("ci: failed: {}", failed.join(", ")).into()) }
}

fn say(name: &str) -> Result<(), Failure> {
    Ok(writeln!(std::io::stderr(), "== {name}")?)
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn run(root: &Path, step: &Step) -> Result<bool, Failure> {
    Ok(cargo().args(step.words).envs(step.env).current_dir(root).status()?.success())
}

fn has_deny() -> bool {
    cargo().args(["deny", "--version"]).output().is_ok_and(|output| output.status.success())
}
