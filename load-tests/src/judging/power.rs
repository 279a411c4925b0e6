//! `judge-power`: the judge is judged by simulated runs, drawn from measured noise.

use std::path::PathBuf;

use clap::Args;
use portcullis_judge::simulate::{self, Effect, Noise};
use portcullis_judge::window::Failure as Kind;
use portcullis_judge::{Exit, Rules};

use crate::Failure;
use crate::report::{Table, progress};

/// What is simulated.
#[derive(Debug, Args)]
pub struct PowerArguments {
    /// Measured pairs of twins, as `judge --noise` writes them. Default: those that the project measured.
    #[arg(long)]
    noise: Option<PathBuf>,
    /// Runs of each kind.
    #[arg(long, default_value_t = 200)]
    runs: u32,
    /// The seed of all that is random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Pairs of a comparison at most.
    #[arg(long, default_value_t = 40)]
    pairs_max: u32,
    /// Pairs of the A/A leg; 19 at least.
    #[arg(long, default_value_t = 20)]
    twins: u32,
    /// Judges what a request costs alone, as `judge --duet` does.
    #[arg(long)]
    duet: bool,
}

impl PowerArguments {
    /// The command that prints the same table, without the noise's path.
    fn command(&self) -> String {
        let Self { noise, runs, seed, pairs_max, twins, duet } = self;
        let noise = if noise.is_some() { " --noise FILE" } else { "" };
        let duet = if *duet { " --duet" } else { "" };
        format!(
            "portcullis-load judge-power{noise} --runs {runs} --seed {seed} --twins {twins} --pairs-max {pairs_max}{duet}"
        )
    }
}

/// The regressions of the table.
const EFFECTS: [(&str, Effect); 12] = [
    ("none (A/A)", Effect::None),
    ("CPU per request, δ", Effect::CpuByDelta(1.0)),
    ("CPU per request, twice δ", Effect::CpuByDelta(2.0)),
    ("CPU per request, three times δ", Effect::CpuByDelta(3.0)),
    ("CPU per request, 10 %", Effect::Cpu(1.1)),
    ("CPU per request, 25 %", Effect::Cpu(1.25)),
    ("memory, 25 %", Effect::Memory(1.25)),
    ("memory per connection, 50 %", Effect::Rss(1.5)),
    ("0.3 % of requests beyond the objective", Effect::Tail(0.003)),
    ("1 % of requests beyond the objective", Effect::Tail(0.01)),
    ("0.1 % of requests cut", Effect::Failed(0.001, Kind::Cut)),
    ("1 % of requests answered with 5xx", Effect::Failed(0.01, Kind::ServerError)),
];

/// Runs it and prints a table.
///
/// # Errors
///
/// When the noise cannot be read, or the rules cannot be kept.
pub fn power(arguments: &PowerArguments) -> Result<Exit, Failure> {
    let noise = match &arguments.noise {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
            Noise::parse(&text).map_err(|error| format!("{}: {error}", path.display()))?
        }
        None if arguments.duet => Noise::measured_in_duets()?,
        None => Noise::measured()?,
    };
    let rules =
        Rules { pairs_max: arguments.pairs_max, twins: arguments.twins, cost_only: arguments.duet, ..Rules::default() };
    let mut table = Table::new(&[
        "regression",
        "FAIL",
        "PASS",
        "INCONCLUSIVE",
        "INVALID",
        "pairs to a FAIL, median",
        "pairs in all, mean",
        "δ of CPU, median",
    ]);
    let mut alarms = 0;
    let costs = |effect: Effect| matches!(effect, Effect::None | Effect::Cpu(_) | Effect::CpuByDelta(_));
    let known = noise.pairs().iter().any(|pair| pair.canary.rss.is_some());
    let told = |effect: Effect| (known || !matches!(effect, Effect::Rss(_))) && (!arguments.duet || costs(effect));
    for (name, effect) in EFFECTS.into_iter().filter(|(_, effect)| told(*effect)) {
        progress(&name);
        let outcomes = simulate::runs(&rules, &noise, effect, arguments.runs, arguments.seed)?;
        let percent = |count: u32| format!("{:.1} %", f64::from(count) * 100.0 / f64::from(outcomes.runs.max(1)));
        let pairs = outcomes.pairs.map_or_else(|| "–".to_owned(), |pairs| format!("{pairs:.0}"));
        let delta =
            outcomes.delta.map_or_else(|| "–".to_owned(), |delta| format!("{:.1} %", (delta.exp() - 1.0) * 100.0));
        let [failed, passed, inconclusive, invalid] =
            [outcomes.failed, outcomes.passed, outcomes.inconclusive, outcomes.invalid].map(percent);
        let all = format!("{:.0}", outcomes.pairs_in_all);
        table.row([&name, &failed, &passed, &inconclusive, &invalid, &pairs, &all, &delta]);
        if effect == Effect::None {
            alarms = outcomes.failed;
        }
    }
    table.print("The judge, judged by simulated runs", &arguments.command())?;
    let most = (f64::from(arguments.runs) * rules.alpha).floor();
    Ok(if f64::from(alarms) > most { Exit::Rollback } else { Exit::Pass })
}
