//! Flame graphs of both sides under the load, and of what differs, by `perf`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use portcullis_artifacts::flame::{self, Of, Stacks};
use portcullis_judge::window::Side;

use crate::Failure;

use super::conduct::Measure as _;
use super::local::Local;

/// Samples a second; not a round number, so that nothing that is done a hundred times a second is always met.
const FREQUENCY: &str = "199";

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
        .args(["record", "--quiet", "-F", FREQUENCY, "-e", "cpu-clock", "--call-graph", "fp", "-p"])
        .arg(process.id().to_string())
        .arg("-o")
        .arg(&data)
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
    let script = Command::new("perf").args(["script", "-i"]).arg(&data).stdin(Stdio::null()).output()?;
    let stacks = Stacks::fold_perf(&String::from_utf8_lossy(&script.stdout));
    if stacks.is_empty() { Err(format!("perf saw nothing of the {side}").into()) } else { Ok(stacks) }
}
