//! The arguments of `judge`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use portcullis_judge::window::Limits;
use portcullis_judge::{Criteria, OnInconclusive, Rules};

use crate::Failure;

use super::rulers::Named;

/// Runs at most, with `--inconclusive=retry`.
pub(super) const RUNS: u32 = 3;

/// The least δ of memory of two processes that serve already: they did not begin together, nor do what is kept in them.
const LIVE_MEMORY: f64 = 0.2;

/// The arguments of `judge`.
#[derive(Debug, Args)]
pub struct JudgeArguments {
    /// What is known: a command, in which `{address}` and `{origin}` are replaced (it also sees LOAD_ADDRESS, LOAD_ORIGIN and LOAD_ADMIN
    /// in its environment), or a URL.
    #[arg(long, required_unless_present = "live")]
    pub(super) baseline: Option<String>,
    /// What is judged: a command or a URL.
    #[arg(long, required_unless_present = "live")]
    pub(super) canary: Option<String>,
    /// Revisions, for the reports.
    #[arg(long)]
    pub(super) baseline_revision: Option<String>,
    /// The same of the canary.
    #[arg(long)]
    pub(super) canary_revision: Option<String>,
    /// What a window sends: a plan in YAML. Without one it is what `--rate`, `--window`, `--path`, `--host`, `--objective` and
    /// `--in-flight` say.
    #[arg(long)]
    pub(super) plan: Option<PathBuf>,
    #[command(flatten)]
    pub(super) load: LoadArguments,
    #[command(flatten)]
    pub(super) live: LiveArguments,
    #[command(flatten)]
    pub(super) rules: RulesArguments,
    /// Where `result.json`, `junit.xml`, `BASELINE.md` and `report.html` go.
    #[arg(long, default_value = "target/judge")]
    pub(super) out: PathBuf,
    /// Writes the A/A leg's pairs there too, for `judge-power --noise`.
    #[arg(long)]
    pub(super) noise: Option<PathBuf>,
    /// Compares instructions per request too, by callgrind (valgrind must be installed). Each side is counted twice.
    #[arg(long)]
    pub(super) instructions: bool,
    /// Draws flame graphs of both sides and of their difference (perf must be installed).
    #[arg(long)]
    pub(super) flames: bool,
    /// Draws flame graphs of what a request allocates on both sides and of the difference, counted by callgrind (valgrind must be
    /// installed, and the builds keep their symbols).
    #[arg(long)]
    pub(super) allocations: bool,
    /// Measures both sides at the same moment, each at half the rate; where there are two cores each has one, and they exchange them
    /// ten times a second. What a request costs is judged alone; the rest is shown.
    #[arg(long, conflicts_with_all = ["live", "rulers", "most_failed", "most_beyond"])]
    pub(super) duet: bool,
    /// Other proxies that get windows of the same plan in the same rounds, so that the results carry over to another machine as
    /// ratios. They decide nothing.
    #[arg(long, value_enum, value_delimiter = ',', conflicts_with = "live")]
    pub(super) rulers: Vec<Named>,
    /// Pairs from one round of the rulers to the next.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) rulers_every: u32,
}

/// What is sent.
#[derive(Debug, Args)]
pub(super) struct LoadArguments {
    /// Requests a second in each window, of a Poisson schedule.
    #[arg(long, default_value_t = 1000.0)]
    pub(super) rate: f64,
    /// The length of a window, in seconds.
    #[arg(long, default_value_t = 2.0)]
    pub(super) window: f64,
    /// The target of the requests; with a plan, of those that hold connections and that are counted by callgrind.
    #[arg(long, default_value = "/")]
    pub(super) path: String,
    /// Their Host.
    #[arg(long, default_value = "load.test")]
    pub(super) host: String,
    /// Milliseconds within which a request is to be answered, from the moment it was planned for.
    #[arg(long, default_value_t = 50)]
    pub(super) objective: u64,
    /// Requests in flight at most; more wait, and are told.
    #[arg(long, default_value_t = 256)]
    pub(super) in_flight: usize,
    /// Connections that are held open meanwhile, for memory per connection, where the plan is in plain HTTP/1.1: 600, or as many as the
    /// files that may be open allow. Of fewer than 100 nothing is told.
    #[arg(long)]
    pub(super) hold: Option<usize>,
    /// The core that each side runs on; in a duet one of them, and the other has the one before it. Default: the last one.
    #[arg(long)]
    pub(super) core: Option<u32>,
    /// The server behind both sides. Default: one of the tool's own.
    #[arg(long)]
    pub(super) origin: Option<SocketAddr>,
    /// Pairs after which both sides are started anew.
    #[arg(long, default_value_t = 5)]
    pub(super) restart_every: u32,
}

/// A canary that serves already.
#[derive(Debug, Args)]
pub(super) struct LiveArguments {
    /// Judges by metrics alone and sends nothing but scrapes.
    #[arg(long, requires = "baseline_metrics", requires = "canary_metrics", conflicts_with_all = ["baseline", "canary"])]
    pub(super) live: bool,
    /// The metrics of what is known: a URL. The token for it is in PORTCULLIS_ADMIN_TOKEN, where it wants one.
    #[arg(long)]
    pub(super) baseline_metrics: Option<String>,
    /// The metrics of the canary; the same URL where labels tell both apart.
    #[arg(long)]
    pub(super) canary_metrics: Option<String>,
    /// Labels that the baseline's series have: `cluster=api`, or `virtual_host=a,route=all`.
    #[arg(long, default_value = "")]
    pub(super) baseline_labels: String,
    /// The same of the canary.
    #[arg(long, default_value = "")]
    pub(super) canary_labels: String,
    /// Seconds from one scrape to the next.
    #[arg(long, default_value_t = 10.0)]
    pub(super) every: f64,
    /// MiB that each side may hold after 24 hours, as far as its growth during the comparison tells.
    #[arg(long, requires = "live")]
    pub(super) most_memory: Option<u64>,
}

/// How sure it is to be.
#[derive(Debug, Args)]
pub(super) struct RulesArguments {
    /// What an INCONCLUSIVE is worth: `retry` runs it again, at most twice, and then fails.
    #[arg(long, value_enum, default_value_t = Inconclusive::Fail)]
    pub(super) inconclusive: Inconclusive,
    /// What is drawn at random follows from it.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Pairs of the A/A leg; 19 at least.
    #[arg(long, default_value_t = 20)]
    pub(super) twins: u32,
    /// Pairs of the comparison at most.
    #[arg(long, default_value_t = 40)]
    pub(super) pairs_max: u32,
    /// The share of requests that each side may fail by itself: 0.001.
    #[arg(long)]
    pub(super) most_failed: Option<f64>,
    /// The share of requests that each side may have beyond the objective by itself: 0.01.
    #[arg(long)]
    pub(super) most_beyond: Option<f64>,
    /// The canary cannot be taken back: harm wants a hotfix.
    #[arg(long)]
    pub(super) irreversible: bool,
    /// A window is invalid as soon as the load tool itself was late for one request in a hundred; for quiet machines.
    #[arg(long)]
    pub(super) strict: bool,
    /// The share of a window's requests that the load tool may send 1 ms late: 0.5, or 0.01 with `--strict`.
    #[arg(long)]
    pub(super) most_late: Option<f64>,
}

/// What an INCONCLUSIVE is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Inconclusive {
    Fail,
    Pass,
    Retry,
}

impl From<Inconclusive> for OnInconclusive {
    fn from(inconclusive: Inconclusive) -> Self {
        match inconclusive {
            Inconclusive::Fail => Self::Fail,
            Inconclusive::Pass => Self::Pass,
            Inconclusive::Retry => Self::Retry,
        }
    }
}

impl RulesArguments {
    pub(super) fn rules(&self, duet: bool, live: bool, commands: bool) -> Result<Rules, Failure> {
        let runs = if self.inconclusive == Inconclusive::Retry { RUNS } else { 1 };
        let defaults = Rules::default();
        let rules = Rules {
            // Each run may cry wolf; together no more often than one.
            alpha: defaults.alpha / f64::from(runs),
            twins: self.twins,
            pairs_max: self.pairs_max,
            pairs_least: defaults.pairs_least.min(self.pairs_max),
            limits: self.limits()?,
            criteria: Criteria { failed: self.most_failed, beyond_slo: self.most_beyond },
            irreversible: self.irreversible,
            cost_only: duet,
            // The A/A leg of a live run is of one process alone.
            least_memory_margin: if live { LIVE_MEMORY } else { defaults.least_memory_margin },
            costs_known: commands,
            ..defaults
        };
        rules.check()?;
        Ok(rules)
    }

    fn limits(&self) -> Result<Limits, Failure> {
        let limits = if self.strict { Limits::default() } else { Limits::shared() };
        match self.most_late {
            Some(share) if (0.0..=1.0).contains(&share) => Ok(Limits { late: share, ..limits }),
            Some(share) => Err(format!("--most-late is a share from 0 to 1, not {share}").into()),
            None => Ok(limits),
        }
    }
}

impl LoadArguments {
    /// Writes the plan that the flags stand for.
    pub(super) fn plan(&self, folder: &Path) -> Result<PathBuf, Failure> {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let text = format!(
            "version: 1\nto: {}\nobjective: {}ms\nin_flight: {}\nload:\n  - poisson: {{ rate: {}/s, for: {}ms }}\n\
             requests:\n  - {{ name: all, path: {} }}\n",
            quoted(&format!("http://{}", self.host)),
            self.objective,
            self.in_flight,
            self.rate,
            (self.window * 1000.0).round(),
            quoted(&self.path)
        );
        let file = folder.join("plan.yaml");
        std::fs::write(&file, text)?;
        Ok(file)
    }
}
