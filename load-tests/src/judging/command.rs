//! The command `judge`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use portcullis_artifacts::report::VERSION;
use portcullis_artifacts::{Report, Subject as Named};
use portcullis_judge::simulate::Noise;
use portcullis_judge::window::Limits;
use portcullis_judge::{Criteria, Exit, Finding, OnInconclusive, Pair, Rules, Sample, Verdict};

use portcullis_engine::origin::Origin;
use portcullis_engine::proof;

use crate::Failure;
use crate::report::progress;

use super::conduct::{Conduct, Conducted, conduct};
use super::live::{Live, Source};
use super::load::Load;
use super::local::Local;
use super::metrics::Select;
use super::subject::{Subject, Url};
use super::{flames, instructions, output};

/// Runs at most, with `--inconclusive=retry`.
const RUNS: u32 = 3;

/// The arguments of `judge`.
#[derive(Debug, Args)]
pub struct JudgeArguments {
    /// What is known: a command, in which `{address}` and `{origin}` are replaced (it also sees LOAD_ADDRESS, LOAD_ORIGIN and LOAD_ADMIN
    /// in its environment), or a URL.
    #[arg(long, required_unless_present = "live")]
    baseline: Option<String>,
    /// What is judged: a command or a URL.
    #[arg(long, required_unless_present = "live")]
    canary: Option<String>,
    /// Revisions, for the reports.
    #[arg(long)]
    baseline_revision: Option<String>,
    /// The same of the canary.
    #[arg(long)]
    canary_revision: Option<String>,
    /// What a window sends: a plan in YAML. Without one it is what `--rate`, `--window`, `--path`, `--host`, `--objective` and
    /// `--in-flight` say.
    #[arg(long)]
    plan: Option<PathBuf>,
    #[command(flatten)]
    load: LoadArguments,
    #[command(flatten)]
    live: LiveArguments,
    #[command(flatten)]
    rules: RulesArguments,
    /// Where `result.json`, `junit.xml`, `BASELINE.md` and `report.html` go.
    #[arg(long, default_value = "target/judge")]
    out: PathBuf,
    /// Writes the A/A leg's pairs there too, for `judge-power --noise`.
    #[arg(long)]
    noise: Option<PathBuf>,
    /// Compares instructions per request too, by callgrind (valgrind must be installed).
    #[arg(long)]
    instructions: bool,
    /// Draws flame graphs of both sides and of their difference (perf must be installed).
    #[arg(long)]
    flames: bool,
}

/// What is sent.
#[derive(Debug, Args)]
struct LoadArguments {
    /// Requests a second in each window, of a Poisson schedule.
    #[arg(long, default_value_t = 1000.0)]
    rate: f64,
    /// The length of a window, in seconds.
    #[arg(long, default_value_t = 2.0)]
    window: f64,
    /// The target of the requests; with a plan, of those that hold connections and that are counted by callgrind.
    #[arg(long, default_value = "/")]
    path: String,
    /// Their Host.
    #[arg(long, default_value = "load.test")]
    host: String,
    /// Milliseconds within which a request is to be answered, from the moment it was planned for.
    #[arg(long, default_value_t = 50)]
    objective: u64,
    /// Requests in flight at most; more wait, and are told.
    #[arg(long, default_value_t = 256)]
    in_flight: usize,
    /// Connections that are held open meanwhile, for memory per connection.
    #[arg(long, default_value_t = 200)]
    hold: usize,
    /// The core that each side runs on. Default: the last one.
    #[arg(long)]
    core: Option<u32>,
    /// The server behind both sides. Default: one of the tool's own.
    #[arg(long)]
    origin: Option<SocketAddr>,
    /// Pairs after which both sides are started anew.
    #[arg(long, default_value_t = 5)]
    restart_every: u32,
}

/// A canary that serves already.
#[derive(Debug, Args)]
struct LiveArguments {
    /// Judges by metrics alone and sends nothing but scrapes.
    #[arg(long, requires = "baseline_metrics", requires = "canary_metrics", conflicts_with_all = ["baseline", "canary"])]
    live: bool,
    /// The metrics of what is known: a URL. The token for it is in PORTCULLIS_ADMIN_TOKEN, where it wants one.
    #[arg(long)]
    baseline_metrics: Option<String>,
    /// The metrics of the canary; the same URL where labels tell both apart.
    #[arg(long)]
    canary_metrics: Option<String>,
    /// Labels that the baseline's series have: `cluster=api`, or `virtual_host=a,route=all`.
    #[arg(long, default_value = "")]
    baseline_labels: String,
    /// The same of the canary.
    #[arg(long, default_value = "")]
    canary_labels: String,
    /// Seconds from one scrape to the next.
    #[arg(long, default_value_t = 10.0)]
    every: f64,
}

/// How sure it is to be.
#[derive(Debug, Args)]
struct RulesArguments {
    /// What an INCONCLUSIVE is worth: `retry` runs it again, at most twice, and then fails.
    #[arg(long, value_enum, default_value_t = Inconclusive::Fail)]
    inconclusive: Inconclusive,
    /// What is drawn at random follows from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Pairs of the A/A leg; 19 at least.
    #[arg(long, default_value_t = 20)]
    twins: u32,
    /// Pairs of the comparison at most.
    #[arg(long, default_value_t = 40)]
    pairs_max: u32,
    /// The share of requests that each side may fail by itself: 0.001.
    #[arg(long)]
    most_failed: Option<f64>,
    /// The share of requests that each side may have beyond the objective by itself: 0.01.
    #[arg(long)]
    most_beyond: Option<f64>,
    /// The canary cannot be taken back: harm wants a hotfix.
    #[arg(long)]
    irreversible: bool,
    /// A window is invalid as soon as the load tool itself was late for one request in a hundred; for quiet machines.
    #[arg(long)]
    strict: bool,
}

/// What an INCONCLUSIVE is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Inconclusive {
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
    fn rules(&self) -> Result<Rules, Failure> {
        let runs = if self.inconclusive == Inconclusive::Retry { RUNS } else { 1 };
        let defaults = Rules::default();
        let rules = Rules {
            // Each run may cry wolf; together no more often than one.
            alpha: defaults.alpha / f64::from(runs),
            twins: self.twins,
            pairs_max: self.pairs_max,
            pairs_least: defaults.pairs_least.min(self.pairs_max),
            limits: if self.strict { Limits::default() } else { Limits::shared() },
            criteria: Criteria { failed: self.most_failed, beyond_slo: self.most_beyond },
            irreversible: self.irreversible,
            ..defaults
        };
        rules.check()?;
        Ok(rules)
    }
}

/// Judges, and leaves the reports behind.
///
/// # Errors
///
/// When the arguments say what cannot be done, or a file cannot be written.
pub fn judge(arguments: &JudgeArguments) -> Result<Exit, Failure> {
    let rules = arguments.rules.rules()?;
    let began = jiff::Timestamp::now().to_string();
    let start = Instant::now();
    let environment = output::environment();
    let mut seed = arguments.rules.seed;
    let mut runs = if arguments.rules.inconclusive == Inconclusive::Retry { RUNS } else { 1 };
    let (run, judgement) = loop {
        let mut run = measure(arguments, &rules, seed)?;
        let judgement = run.judge.judgement(std::mem::take(&mut run.findings));
        runs -= 1;
        if judgement.verdict != Verdict::Inconclusive || runs == 0 {
            break (run, judgement);
        }
        progress(&format!("INCONCLUSIVE: {}; once more with another seed", judgement.reason));
        seed = seed.wrapping_add(1);
    };
    if let Some(path) = &arguments.noise {
        write_noise(&run, path)?;
    }
    let [baseline, canary] = arguments.named();
    let report = Report {
        version: VERSION,
        tool: format!("portcullis-load {}", env!("CARGO_PKG_VERSION")),
        began,
        seconds: start.elapsed().as_secs_f64(),
        seed,
        plan: arguments.plan(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        environment,
        baseline,
        canary: Some(canary),
        judgement: Some(judgement),
        inconclusive: arguments.rules.inconclusive.into(),
        twins: run.twins,
        pairs: run.pairs,
        scenes: Vec::new(),
        scalability: None,
        series: Vec::new(),
    };
    output::write(&report, &arguments.out)?;
    output::summary(&report)?;
    Ok(report.exit())
}

fn measure(arguments: &JudgeArguments, rules: &Rules, seed: u64) -> Result<Conducted, Failure> {
    if arguments.live.live {
        return arguments.live(rules, seed)?.watch(&mut output::progress);
    }
    let folder = tempfile::tempdir()?;
    let mut local = arguments.local(folder.path())?;
    let how = Conduct { rules: rules.clone(), seed, restart_every: arguments.load.restart_every };
    if let Some(flaw) = proof::prove()?.flaw() {
        return Conducted::invalid(&how, &format!("the load tool could not prove itself: {flaw}"));
    }
    let mut run = conduct(&how, &mut local, &mut output::progress)?;
    local.running.clear();
    if arguments.instructions {
        progress(&"counting instructions");
        run.findings.push(Finding::Instructions(instructions::count(&local, rules.instructions)?));
    }
    if arguments.flames {
        progress(&"drawing flame graphs");
        std::fs::create_dir_all(&arguments.out)?;
        flames::record(&mut local, &arguments.out)?;
    }
    Ok(run)
}

fn write_noise(run: &Conducted, path: &Path) -> Result<(), Failure> {
    let pair = |pair: &portcullis_artifacts::WindowPair| Pair {
        baseline: Sample::of(&pair.baseline),
        canary: Sample::of(&pair.canary),
    };
    let pairs: Vec<Pair> = run.twins.iter().map(pair).collect();
    std::fs::write(path, Noise::lines(&pairs)).map_err(|error| format!("{}: {error}", path.display()).into())
}

impl JudgeArguments {
    fn local(&self, folder: &Path) -> Result<Local, Failure> {
        let side = |text: &Option<String>| Subject::parse(text.as_deref().unwrap_or_default());
        let file = match &self.plan {
            Some(file) => file.clone(),
            None => self.load.plan(folder)?,
        };
        if self.load.path.contains(char::is_whitespace) || !self.load.path.starts_with('/') {
            return Err("--path begins with a slash and has no white space".into());
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let own = if self.load.origin.is_none() { Some(Origin::start("{\"load\":\"test\"}")?) } else { None };
        let origin = self.load.origin.or_else(|| own.as_ref().map(Origin::address)).ok_or("no origin")?;
        crate::process::raise_file_limit()?;
        Ok(Local {
            baseline: side(&self.baseline)?,
            canary: side(&self.canary)?,
            load: Load::read(&file)?,
            hold: self.load.hold,
            path: self.load.path.clone(),
            core: self.load.core.unwrap_or(u32::try_from(cores)?.saturating_sub(1)),
            folder: folder.to_owned(),
            origin,
            _own: own,
            begin: Instant::now(),
            running: Vec::new(),
        })
    }

    fn live(&self, rules: &Rules, seed: u64) -> Result<Live, Failure> {
        let live = &self.live;
        let token = std::env::var("PORTCULLIS_ADMIN_TOKEN").ok().filter(|token| !token.is_empty());
        let source = |url: &Option<String>, labels: &str| -> Result<Source, Failure> {
            let mut url = Url::parse(url.as_deref().unwrap_or_default())?;
            if url.path == "/" {
                url.path = "/metrics".to_owned();
            }
            Ok(Source { url, select: Select::parse(labels)?, token: token.clone() })
        };
        let (baseline, canary) = (
            source(&live.baseline_metrics, &live.baseline_labels)?,
            source(&live.canary_metrics, &live.canary_labels)?,
        );
        if baseline == canary {
            return Err("baseline and canary are the same: name another URL, or labels that tell them apart".into());
        }
        let every = Duration::try_from_secs_f64(live.every)?.max(Duration::from_millis(100));
        let objective = Duration::from_millis(self.load.objective);
        Ok(Live { baseline, canary, every, objective, rules: rules.clone(), seed })
    }

    fn plan(&self) -> String {
        let load = &self.load;
        match &self.plan {
            _ if self.live.live => {
                format!("live, a window every {} s, objective {} ms", self.live.every, load.objective)
            }
            Some(file) => file.display().to_string(),
            None => format!(
                "{} requests/s of {}, windows of {} s, objective {} ms",
                load.rate, load.path, load.window, load.objective
            ),
        }
    }

    fn named(&self) -> [Named; 2] {
        let live = |url: &Option<String>, labels: &str| {
            let url = url.clone().unwrap_or_default();
            if labels.is_empty() { url } else { format!("{url} {{{labels}}}") }
        };
        let what = if self.live.live {
            [
                live(&self.live.baseline_metrics, &self.live.baseline_labels),
                live(&self.live.canary_metrics, &self.live.canary_labels),
            ]
        } else {
            [self.baseline.clone().unwrap_or_default(), self.canary.clone().unwrap_or_default()]
        };
        let [baseline, canary] = what;
        [
            Named { what: baseline, revision: self.baseline_revision.clone() },
            Named { what: canary, revision: self.canary_revision.clone() },
        ]
    }
}

impl LoadArguments {
    /// Writes the plan that the flags stand for.
    fn plan(&self, folder: &Path) -> Result<PathBuf, Failure> {
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
