//! What a run says and leaves behind.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::OnceLock;

use portcullis_artifacts::{Environment, Ratio, Report, Ruler, baseline, html, junit};
use portcullis_judge::Gate;
use portcullis_judge::window::Side;

use crate::Failure;

/// What the machine is, as far as a number depends on it, as it was when this was first asked for: before the tool leaves itself but some
/// of the cores, and before its own load counts.
pub fn environment() -> Environment {
    static FOUND: OnceLock<Environment> = OnceLock::new();
    FOUND.get_or_init(look_around).clone()
}

fn look_around() -> Environment {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (cpuinfo, meminfo) = (read("/proc/cpuinfo"), read("/proc/meminfo"));
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let kibibytes = field(&meminfo, "MemTotal").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    let release = read("/proc/sys/kernel/osrelease");
    Environment {
        system: format!("{} {}", std::env::consts::OS, release.trim()),
        cpu: field(&cpuinfo, "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
        cores: std::thread::available_parallelism().map_or(0, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX)),
        memory_bytes: kibibytes.unwrap_or_default() * 1024,
        load_average: read("/proc/loadavg").split(' ').next().and_then(|text| text.parse().ok()).unwrap_or_default(),
        virtualised: field(&cpuinfo, "flags").is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
    }
}

/// Writes `result.json`, `junit.xml`, `BASELINE.md` and `report.html`.
pub(super) fn write(report: &Report, out: &Path) -> Result<(), Failure> {
    fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
    let files = [
        ("result.json", report.to_json()?),
        ("junit.xml", junit::document(report)?),
        ("BASELINE.md", baseline::document(report)),
        ("report.html", html::page(report)),
    ];
    for (name, text) in files {
        let path = out.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

/// The verdict and what it rests on, for people.
pub(super) fn summary(report: &Report) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    let Some(judgement) = &report.judgement else { return Ok(()) };
    writeln!(out, "{}", judgement.verdict)?;
    writeln!(out, "  {}", judgement.reason)?;
    if let Some(decided) = &judgement.decided_by {
        writeln!(out, "  decided by: {decided}")?;
    }
    for standing in judgement.standings.iter().filter(|standing| standing.gate.is_ratio()) {
        writeln!(out, "  δ of {}: {:.1} %", standing.gate, (standing.margin.exp() - 1.0) * 100.0)?;
    }
    for finding in &judgement.findings {
        writeln!(out, "  {}: {finding}", finding.name())?;
    }
    for ruler in &report.rulers {
        writeln!(out, "  {}", against(ruler))?;
    }
    for side in Side::BOTH {
        let windows =
            report.pairs.iter().map(|pair| if side == Side::Baseline { &pair.baseline } else { &pair.canary });
        let (capped, planned) = windows
            .filter_map(|window| window.schedule.as_ref())
            .fold((0, 0), |sum, schedule| (sum.0 + schedule.capped, sum.1 + schedule.planned));
        if capped > 0 {
            writeln!(
                out,
                "  {side}: {capped} of {planned} requests waited for the bound in flight, inside their latency"
            )?;
        }
    }
    match judgement.false_alarms {
        Some(alarms) => writeln!(out, "  false alarms: {alarms}; at most {} % by the test", judgement.alpha * 100.0)?,
        None => writeln!(out, "  false alarms: not measured, since the A/A leg was not finished")?,
    }
    writeln!(
        out,
        "  {} pairs of twins, {} pairs compared, {} could not be measured, seed {}",
        judgement.twins, judgement.pairs, judgement.invalid_pairs, judgement.seed
    )?;
    Ok(out.flush()?)
}

/// A ruler in a line.
fn against(ruler: &Ruler) -> String {
    let Ruler { name, left_out, missed, .. } = ruler;
    let told = |side: Side| {
        let Ratio { ratio, .. } = ruler.ratio(side, Gate::Cpu)?;
        let interval = ratio.low.zip(ratio.high).map(|(low, high)| format!(" [{low:.2}, {high:.2}]"));
        Some(format!("{side} {:.2}{}", ratio.value, interval.unwrap_or_default()))
    };
    let ratios: Vec<String> = Side::BOTH.into_iter().filter_map(told).collect();
    let ratios = if ratios.is_empty() { None } else { Some(format!("CPU against {name}: {}", ratios.join(", "))) };
    let left_out = left_out.as_ref().map(|why| format!("ruler {name} was left out: {why}"));
    let missed = (*missed > 0).then(|| format!("{missed} windows of {name} said nothing"));
    let text: Vec<String> = [ratios, left_out, missed].into_iter().flatten().collect();
    if text.is_empty() { format!("ruler {name} was not measured") } else { text.join("; ") }
}
