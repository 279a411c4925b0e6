//! The load tool. `--help` says what it can do; `docs/load-tests.md` says how to use it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use portcullis_judge::Exit;
use portcullis_load::Failure;
use portcullis_load::judging;
use portcullis_load::judging::command::{JudgeArguments, judge};
use portcullis_load::judging::compare::{CompareArguments, compare};
use portcullis_load::judging::instructions::{InstructionsArguments, instructions};
use portcullis_load::judging::power::{PowerArguments, power};
use portcullis_load::report::progress;
use portcullis_load::suite::{self, Which};
use portcullis_load::tool::{Ended, prove, run};

/// Sends load, says whether what it measured can be believed, and judges a canary against its baseline on machines that do
/// other work too.
///
/// Exit codes: 0 pass, 1 a criterion is missed or rollback, 2 usage, 3 hotfix, 4 inconclusive, 5 invalid: the machine or the
/// tool could not tell.
#[derive(Debug, Parser)]
#[command(name = "portcullis-load", version)]
struct Arguments {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Runs a plan. The result is JSON.
    Run {
        /// The plan, in YAML.
        plan: PathBuf,
        /// Who is asked, in place of what the plan says: a URL.
        #[arg(long)]
        to: Option<String>,
        /// The seed, in place of the plan's.
        #[arg(long)]
        seed: Option<u64>,
        /// Where `run.json`, `result.json`, `junit.xml`, `BASELINE.md` and `report.html` go. Without it the JSON goes to standard output.
        #[arg(long)]
        out: Option<PathBuf>,
        /// A process on this machine whose CPU and memory are read meanwhile.
        #[arg(long)]
        pid: Option<u32>,
        /// Draws where the process of `--pid` spends its CPU time, by perf: `flame.svg` and `flame.folded` in `--out`.
        #[arg(long, requires = "pid", requires = "out")]
        flames: bool,
    },
    /// Measures a stall that is known, and says whether the tool can be believed on this machine now.
    Prove,
    /// Plays scenes with the gateway's binary and an origin of the tool's own, each with criteria.
    Scenes {
        /// All of them short and small.
        #[arg(long)]
        small: bool,
        /// The length of the load of the scene `soak`, such as `45m`; a minute at least. Default: a minute where it is small, three
        /// hours where not. The shorter it is, the less is proven of the 24 hours that it is told for.
        #[arg(long, value_name = "DURATION", value_parser = suite::parse_length)]
        soak: Option<Duration>,
        /// Only these. `list` names them.
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
        /// What is drawn at random follows from it.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The gateway's binary. Default: `portcullis` beside this one, or on the `PATH`.
        #[arg(long)]
        gateway: Option<PathBuf>,
        /// Where `scenes.json`, the reports, configs and logs go. Default: `target/load-scenes`.
        #[arg(long, default_value = "target/load-scenes")]
        out: PathBuf,
    },
    /// Gives the gateway faults on purpose, and says which scene finds which.
    Mutants {
        /// The gateway's binary, built with `--features mutants` where nobody takes it for one without: see `scripts/mutants`.
        #[arg(long)]
        gateway: PathBuf,
        /// Only these mutants.
        #[arg(long, value_delimiter = ',')]
        only: Vec<String>,
        /// How often the scenes are played without a fault, which they must pass.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
        sound: u64,
        /// Every mutant before every scene that is meant for one, not only before its own and one other.
        #[arg(long)]
        whole: bool,
        /// What is drawn at random follows from it.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Where `mutants.json`, `mutants.md`, configs and logs go.
        #[arg(long, default_value = "target/load-mutants")]
        out: PathBuf,
    },
    /// Compares a canary with its baseline, in pairs of windows, or live by metrics.
    Judge(Box<JudgeArguments>),
    /// Lays two results of `judge` side by side: a baseline carried to another day or another machine. Exit codes: 0 the same or
    /// better, 1 worse, 2 usage, 4 cannot tell.
    Compare(CompareArguments),
    /// Counts the instructions of a request on both sides by callgrind, each side twice, and nothing else. Exit codes: 0 no more than
    /// 5 % more, 1 more, 2 usage, or a side that does not answer, 5 counts of one build differ, or valgrind is not installed.
    Instructions(InstructionsArguments),
    /// Tells how often the judge is wrong, by simulated runs drawn from measured noise.
    JudgePower(PowerArguments),
}

fn main() -> ExitCode {
    // The machine as it is before anything of the tool runs.
    judging::environment();
    match command(Arguments::parse().command) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            progress(&failure);
            Exit::Usage.into()
        }
    }
}

fn command(what: What) -> Result<Exit, Failure> {
    let exit = |ended| match ended {
        Ended::Passed => Exit::Pass,
        Ended::Missed => Exit::Rollback,
        Ended::Invalid => Exit::Invalid,
    };
    match what {
        What::Run { plan, to, seed, out, pid, flames } => {
            run::run(&run::Options { plan, to, seed, out, pid, flames }).map(exit)
        }
        What::Prove => prove::prove().map(exit),
        What::Scenes { small, soak, only, seed, gateway, out } => {
            suite::play(&Which { small, soak, only, seed, gateway, out }).map(exit)
        }
        What::Mutants { gateway, only, sound, whole, seed, out } => {
            suite::hunt(&suite::Hunt { gateway, only, sound, whole, seed, out }).map(exit)
        }
        What::Judge(arguments) => judge(&arguments),
        What::Compare(arguments) => compare(&arguments),
        What::Instructions(arguments) => instructions(&arguments),
        What::JudgePower(arguments) => power(&arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hunt_names_its_gateway_and_has_plays_that_must_pass() {
        let parsed = |words: &str| Arguments::try_parse_from(words.split(' '));
        assert!(parsed("portcullis-load mutants --gateway x --sound 1").is_ok());
        for wrong in ["portcullis-load mutants --gateway x --sound 0", "portcullis-load mutants"] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }

    /// Every command of the docs is one that is understood.
    #[test]
    fn understands_what_the_docs_say() {
        let docs = [include_str!("../../../docs/load-tests.md"), include_str!("../../../docs/production-ready.md")];
        let commands: Vec<&str> = docs
            .iter()
            .flat_map(|page| page.lines())
            .filter_map(|line| line.trim_start().strip_prefix("portcullis-load ").filter(|_| line.starts_with("    ")))
            .collect();
        assert!(commands.len() >= 8, "{commands:?}");
        for command in commands {
            let words = command.split(" #").next().unwrap().split_whitespace();
            let parsed = Arguments::try_parse_from(std::iter::once("portcullis-load").chain(words));
            assert!(parsed.is_ok(), "{command}: {}", parsed.unwrap_err());
        }
    }
}
