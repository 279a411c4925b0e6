//! `run`: a plan against a server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_engine::drive::{self, Load, Watch};
use portcullis_engine::http2::{self, Settings};
use portcullis_engine::machine::Sampler;
use portcullis_engine::plan::{Plan, Protocol, Target, When};
use portcullis_engine::request::Mix;
use portcullis_engine::tally::Tally;
use portcullis_engine::tls::Tls;
use portcullis_engine::{process, proof, websocket};
use portcullis_yaml::OsLoader;
use serde_json::json;

use crate::Failure;
use crate::judging::flames::Recording;
use crate::judging::runs::Begun;

use super::Ended;
use super::progress::Progress;
use super::report::Report;

/// The length of a window of the machine's readings.
const WINDOW: Duration = Duration::from_secs(1);

/// What is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The plan.
    pub plan: PathBuf,
    /// Who is asked, in place of what the plan says.
    pub to: Option<String>,
    /// The seed, in place of the plan's.
    pub seed: Option<u64>,
    /// Where `run.json` and the reports go.
    pub out: Option<PathBuf>,
    /// A process on this machine whose CPU and memory are read meanwhile.
    pub pid: Option<u32>,
    /// Draws where that process spends its CPU time; wants `pid` and `out`.
    pub flames: bool,
}

impl Options {
    /// Whose CPU time is drawn, and where to, if that is asked for.
    fn drawn(&self) -> Result<Option<(u32, &Path)>, Failure> {
        match (self.flames, self.pid, &self.out) {
            (false, ..) => Ok(None),
            (true, Some(_), Some(_)) if process::find("perf").is_none() => {
                Err("--flames: perf is not installed (scripts/setup bench)".into())
            }
            (true, Some(pid), Some(out)) => Ok(Some((pid, out))),
            (true, ..) => Err("--flames wants --pid and --out".into()),
        }
    }
}

/// A plan that is read, with who is asked.
#[derive(Debug)]
pub struct Prepared {
    /// The plan.
    pub plan: Plan,
    /// Who is asked.
    pub target: Target,
    tls: Option<Tls>,
    upgrade: Option<Vec<u8>>,
}

impl Prepared {
    /// Reads a plan.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the plan or the target.
    pub fn new(file: &Path, to: Option<&str>, seed: Option<u64>) -> Result<Self, Failure> {
        let mut plan = Plan::read(file, &OsLoader)?;
        plan.seed = seed.unwrap_or(plan.seed);
        let target = match to {
            Some(to) => to.parse().map_err(|why| format!("--to {to}: {why}"))?,
            None => plan.to.clone().ok_or("the plan does not say `to`, and there is no --to")?,
        };
        let tls = target.tls.then(|| tls(&plan, &target)).transpose()?;
        let upgrade = (plan.protocol == Protocol::Websocket)
            .then(|| websocket::upgrade(&plan.websocket, &target.authority(), ""));
        Ok(Self { plan, target, tls, upgrade })
    }

    /// Sends it.
    ///
    /// # Errors
    ///
    /// When there is nobody, or no descriptors are left.
    pub fn send(&self, mix: &mut Mix, watch: &Watch) -> Result<Tally, Failure> {
        let plan = &self.plan;
        let load = Load {
            tls: self.tls.as_ref(),
            upgrade: self.upgrade.as_deref(),
            warm_up: plan.warm_up,
            objective: plan.objective,
            timeout: plan.timeout,
            in_flight: plan.in_flight,
            ..Load::new(self.target.resolve()?, plan.pace())
        };
        let start = Instant::now() + Duration::from_millis(10);
        match plan.protocol {
            Protocol::Http1 | Protocol::Websocket => drive::run(&load, mix, start, watch),
            Protocol::Http2 | Protocol::Grpc => {
                let grpc = plan.protocol == Protocol::Grpc;
                http2::run(&load, Settings { connections: plan.connections, grpc }, mix, start, watch)
            }
        }
    }
}

fn tls(plan: &Plan, target: &Target) -> Result<Tls, Failure> {
    let protocols: &[&str] = match plan.protocol {
        Protocol::Http1 | Protocol::Websocket => &["http/1.1"],
        Protocol::Http2 | Protocol::Grpc => &["h2"],
    };
    Tls::new(plan.tls_name.as_deref().unwrap_or_else(|| target.name()), &plan.trust, protocols)
}

/// Proves the tool, runs the plan, prints what came of it.
///
/// # Errors
///
/// When the plan is wrong, what is asked for besides cannot be had, or nobody can be asked.
pub fn run(options: &Options) -> Result<Ended, Failure> {
    let drawn = options.drawn()?;
    let prepared = Prepared::new(&options.plan, options.to.as_deref(), options.seed)?;
    let begun = Begun::now();
    process::raise_file_limit()?;
    let proof = proof::prove()?;
    let mut mix = prepared.plan.mix(&prepared.target.authority());
    let watch = Arc::<Watch>::default();
    let progress = Progress::start("run", prepared.plan.length(), &watch)?;
    let sampler = Sampler::start(options.pid.into_iter().collect(), WINDOW)?;
    let recording = drawn.map(|(pid, out)| record(pid, prepared.plan.length(), out)).transpose()?;
    let tally = prepared.send(&mut mix, &watch)?;
    recording.iter().for_each(Recording::stop);
    drop(progress);
    let plan = &prepared.plan;
    let requests = mix.requests().iter().zip(mix.outcomes());
    let name = options.plan.display().to_string();
    let report = Report {
        plan: &name,
        to: prepared.target.to_string(),
        seed: plan.seed,
        proof,
        tally: &tally,
        requests: requests.map(|(request, outcomes)| (request.name.clone(), json!(outcomes))).collect(),
        windows: sampler.stop()?,
        length: plan.length().saturating_sub(plan.warm_up),
        pass: plan.pass.clone(),
        open: matches!(plan.when, When::Open(_)),
    };
    let json = format!("{:#}\n", report.json());
    match &options.out {
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            std::fs::write(folder.join("run.json"), json)?;
            begun.leave(&report, folder)?;
            crate::report::say(&report.text())?;
        }
        None => {
            crate::report::progress(&report.text().trim_end());
            crate::report::say(&json)?;
        }
    }
    // The reports are written already, and nothing of them changes.
    if let Some(Err(failure)) = recording.map(Recording::write) {
        crate::report::progress(&format!("there is no flame graph: {failure}"));
    }
    Ok(report.ended())
}

fn record(pid: u32, length: Duration, out: &Path) -> Result<Recording, Failure> {
    std::fs::create_dir_all(out)?;
    Recording::start(pid, length, out)
}
