//! Flame graphs of both sides under the load, and of what differs, by `perf`; and of one process in a run of a plan.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use portcullis_artifacts::flame::{self, Of, Stacks};
use portcullis_engine::process::{Process, Program};
use portcullis_judge::window::Side;

use crate::Failure;

use super::conduct::Measure as _;
use super::local::Local;

/// Samples a second; not a round number, so that nothing that is done a hundred times a second is always met.
const FREQUENCY: u64 = 199;

/// Samples of a core that one run has at most, about, however long it is: more are no more to look at.
const MOST: u64 = 60_000;

/// How long `perf` may take to write what it has when it is told to end.
const ENDS: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

/// Callers that keep each side busy.
const CALLERS: usize = 16;

/// How long each side is sampled.
const LENGTH: Duration = Duration::from_secs(10);

/// Samples both sides and writes `flame-baseline.svg`, `flame-canary.svg`, `flame-difference.svg` and the folded stacks.
pub(super) fn record(local: &mut Local, out: &Path) -> Result<(), Failure> {
    local
        .start(Side::BOTH, Side::Baseline)
        .map_err(|missing| format!("the {} does not start: {}", missing.side, missing.why))?;
    let [baseline, canary] = [sample(local, Side::Baseline)?, sample(local, Side::Canary)?];
    local.stop();
    let titles = [
        "CPU of the baseline",
        "CPU of the canary",
        "CPU of the canary; red grew and blue shrank against the baseline",
    ];
    write(out, "flame", titles.map(str::to_owned), [&baseline, &canary], Of::Shares)
}

/// Writes `NAME-baseline.svg`, `NAME-canary.svg`, `NAME-difference.svg` and the folded stacks of both.
pub(super) fn write(
    out: &Path,
    name: &str,
    titles: [String; 3],
    [baseline, canary]: [&Stacks; 2],
    of: Of,
) -> Result<(), Failure> {
    let [of_baseline, of_canary, of_difference] = titles;
    for (side, title, stacks) in [(Side::Baseline, of_baseline, baseline), (Side::Canary, of_canary, canary)] {
        fs::write(out.join(format!("{name}-{side}.svg")), flame::graph(&title, stacks, of))?;
        fs::write(out.join(format!("{name}-{side}.folded")), stacks.folded())?;
    }
    let difference = flame::difference(&of_difference, baseline, canary, of);
    Ok(fs::write(out.join(format!("{name}-difference.svg")), difference)?)
}

fn sample(local: &Local, side: Side) -> Result<Stacks, Failure> {
    let running = local.running.iter().find_map(|(place, running)| (*place == side).then_some(running));
    let running = running.ok_or("nothing was started")?;
    let process = running.process.as_ref().ok_or("a flame graph is made of a command, not of a URL")?;
    let data = local.folder.join(format!("perf-{side}.data"));
    let seconds = LENGTH.as_secs().to_string();
    let mut perf = Command::new("perf")
        .args(recording(process.id(), FREQUENCY, &data))
        .args(["--", "sleep", &seconds])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("perf: {error}"))?;
    let sent = local.load.send_closed(running.address, CALLERS, LENGTH);
    let status = perf.wait()?;
    sent?;
    if !status.success() {
        return Err(format!("perf record: {status}").into());
    }
    let stacks = fold(&data)?;
    if stacks.is_empty() { Err(format!("perf saw nothing of the {side}").into()) } else { Ok(stacks) }
}

/// What `perf` is told to sample a process.
fn recording(id: u32, frequency: u64, data: &Path) -> Vec<OsString> {
    let (id, frequency) = (id.to_string(), frequency.to_string());
    let words = ["record", "--quiet", "-F", &frequency, "-e", "cpu-clock", "--call-graph", "fp", "-p", &id, "-o"];
    words.into_iter().map(OsString::from).chain([data.into()]).collect()
}

fn fold(data: &Path) -> Result<Stacks, Failure> {
    let script = Command::new("perf").args(["script", "-i"]).arg(data).stdin(Stdio::null()).output()?;
    Ok(Stacks::fold_perf(&String::from_utf8_lossy(&script.stdout)))
}

/// Samples a second in a run of a length.
fn frequency(length: Duration) -> u64 {
    (MOST / length.as_secs().max(1)).clamp(1, FREQUENCY)
}

/// `perf` beside a process that somebody else has started. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Recording {
    perf: Process,
    id: u32,
    folder: PathBuf,
}

impl Recording {
    /// Starts it in a folder that is there, for a run of a length.
    ///
    /// # Errors
    ///
    /// When it cannot be started. What `perf` itself complains of is told when it is written.
    pub(crate) fn start(id: u32, length: Duration, folder: &Path) -> Result<Self, Failure> {
        let mut words = vec![OsString::from("perf")];
        words.extend(recording(id, frequency(length), &data(folder)));
        let perf = Process::start(&Program { words, core: None, log: log(folder) })?;
        Ok(Self { perf, id, folder: folder.to_owned() })
    }

    /// No more samples are taken.
    pub(crate) fn stop(&self) {
        // It may have ended with the process.
        self.perf.signal("INT").ok();
    }

    /// Writes `flame.svg` and `flame.folded` of what was sampled until it was stopped.
    ///
    /// # Errors
    ///
    /// When `perf` was not allowed to look, or saw nothing.
    pub(crate) fn write(mut self) -> Result<(), Failure> {
        let until = Instant::now() + ENDS;
        while self.perf.ended()?.is_none() {
            if Instant::now() > until {
                return Err("perf does not end".into());
            }
            std::thread::sleep(LOOK);
        }
        let Self { id, folder, .. } = &self;
        let stacks = fold(&data(folder));
        let said = fs::read_to_string(log(folder)).unwrap_or_default();
        // There is no data where it failed at once.
        fs::remove_file(data(folder)).ok();
        fs::remove_file(log(folder))?;
        let stacks = stacks?;
        if stacks.is_empty() {
            return Err(format!("perf saw nothing of the process {id}\n{}", said.trim()).into());
        }
        fs::write(folder.join("flame.svg"), flame::graph(&format!("CPU of the process {id}"), &stacks, Of::Shares))?;
        Ok(fs::write(folder.join("flame.folded"), stacks.folded())?)
    }
}

fn data(folder: &Path) -> PathBuf {
    folder.join("perf.data")
}

fn log(folder: &Path) -> PathBuf {
    folder.join("perf.log")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_have_fewer_samples_a_second() {
        for (seconds, samples) in [(0, 199), (10, 199), (300, 199), (600, 100), (3600, 16), (86_400, 1)] {
            assert_eq!(frequency(Duration::from_secs(seconds)), samples, "{seconds}");
        }
    }

    #[test]
    fn a_process_that_cannot_be_looked_at_is_told_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        // No process has this id; and where there is no perf, nothing is recorded either.
        let recording = Recording::start(u32::MAX, Duration::from_secs(1), folder.path()).unwrap();
        recording.stop();
        recording.write().unwrap_err();
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
