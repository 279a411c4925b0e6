//! `BASELINE.md`: what is normal, how sure that is, what is asked, why, and what is to be done when it is not so.

use portcullis_judge::bootstrap::{self, Count};
use portcullis_judge::random::Random;
use portcullis_judge::stats::Estimate;
use portcullis_judge::window::{Histogram, Side, Window};
use portcullis_judge::{Finding, Gate, Standing};

use crate::escape::markdown as escape;
use crate::report::{Measured, Metric, Report};
use crate::rulers::Ratio;
use crate::svg::{number, put};

/// The chance on either side of an interval of 95 %.
const LEVEL: f64 = 0.025;

/// Resamples of an interval.
const RESAMPLES: u32 = 2000;

/// A row of the table.
struct Row {
    name: String,
    value: String,
    criterion: String,
    rationale: String,
    rollback: String,
    hotfix: String,
}

/// The file.
#[must_use]
pub fn document(report: &Report) -> String {
    let mut out = String::from("# Baseline\n\n");
    let revision = report.baseline.revision.as_deref().unwrap_or("of unknown revision");
    put(
        &mut out,
        format_args!(
            "{} ({}), plan {}, measured {}, seed {}.\n\n",
            escape(&report.baseline.what),
            escape(revision),
            escape(&report.plan),
            escape(&report.began),
            report.seed
        ),
    );
    machine(&mut out, report);
    let windows = report.windows(Side::Baseline);
    let rows: Vec<Row> = measured(report, &windows).into_iter().chain(findings(report)).collect();
    if !rows.is_empty() {
        out.push_str(
            "## Compared with every canary\n\n| metric | baseline, [95 %] | criterion | why | rollback when | hotfix when |\n\
             |---|---|---|---|---|---|\n",
        );
        rows.iter().for_each(|row| write_row(&mut out, row));
        out.push('\n');
    }
    rulers(&mut out, report);
    for scene in report.scenes.iter().filter(|scene| !scene.metrics.is_empty()) {
        put(
            &mut out,
            format_args!(
                "## {}\n\n| metric | baseline, [95 %] | criterion | why | rollback when | hotfix when |\n|---|---|---|---|---|---|\n",
                escape(&scene.name)
            ),
        );
        scene.metrics.iter().map(asked).for_each(|row| write_row(&mut out, &row));
        out.push('\n');
    }
    out.push_str(REMEDIES);
    out
}

const REMEDIES: &str = "## What to do\n\n\
    - **Rollback** (exit code 1): the canary is worse than its baseline in a metric above. Going back ends the harm within seconds and \
    needs no one to understand it first.\n\
    - **Hotfix** (exit code 3): going back cures nothing. Either the canary cannot be taken back any more, or it is no worse, and both \
    sides break what each must keep: the fault serves already.\n\
    - Intervals are over windows of this run on this machine. Another machine has other numbers; ratios to a ruler in the same run \
    carry over, numbers do not: `portcullis-load compare` lays two results side by side.\n";

fn machine(out: &mut String, report: &Report) {
    let environment = &report.environment;
    #[expect(clippy::cast_precision_loss, reason = "bytes of a machine are far below 2^52")]
    let memory = number(environment.memory_bytes as f64);
    put(
        out,
        format_args!(
            "On {}, {}, {} cores, {memory}B, load average {:.1} at the start{}.\n\n",
            escape(&environment.system),
            escape(&environment.cpu),
            environment.cores,
            environment.load_average,
            if environment.virtualised { ", virtualised" } else { "" }
        ),
    );
}

fn write_row(out: &mut String, row: &Row) {
    let Row { name, value, criterion, rationale, rollback, hotfix } = row;
    put(out, format_args!("| {name} | {value} | {criterion} | {rationale} | {rollback} | {hotfix} |\n"));
}

fn measured(report: &Report, windows: &[&Window]) -> Vec<Row> {
    if windows.is_empty() {
        return Vec::new();
    }
    let gates =
        [Gate::Cpu, Gate::Memory, Gate::Rss, Gate::Slo, Gate::Refused].map(|gate| gate_row(report, windows, gate));
    let failed = failed_row(windows);
    gates.into_iter().flatten().chain(failed).chain(latency(windows)).collect()
}

fn gate_row(report: &Report, windows: &[&Window], gate: Gate) -> Option<Row> {
    let (value, rationale) = match gate {
        Gate::Cpu => (
            estimate(windows, |window| Some(window.cpu_per_request()? / 1000.0), "µs"),
            "moves by a few percent where throughput and latency move by a third on a shared machine",
        ),
        Gate::Memory => (
            estimate(windows, |window| Some(window.rss()? / 1_048_576.0), "MiB"),
            "what a machine must give to the process",
        ),
        Gate::Rss => (
            estimate(windows, |window| Some(window.rss_per_connection()? / 1024.0), "KiB"),
            "bounds the connections that a machine holds",
        ),
        Gate::Slo => (
            share(windows, |window| window.beyond_slo),
            "what users notice; counts, since a ratio of p99s says nothing on a shared machine",
        ),
        Gate::Refused => {
            (share(windows, |window| window.refused), "the plan's requests are good, so each is a caller turned away")
        }
        Gate::SloTotal | Gate::Failed(_) => return None,
    };
    let judgement = report.judgement.as_ref()?;
    let standing = judgement.standings.iter().find(|standing| standing.gate == gate);
    let Some(standing) = standing else {
        let shown = judgement.shown.iter().any(|standing| standing.gate == gate);
        return shown.then_some(Row {
            name: gate.to_string(),
            value: value?,
            criterion: "none".to_owned(),
            rationale: "shown, not judged: both sides ran at the same moment".to_owned(),
            rollback: "–".to_owned(),
            hotfix: "–".to_owned(),
        });
    };
    Some(Row {
        name: gate.to_string(),
        value: value?,
        criterion: criterion(standing),
        rationale: rationale.to_owned(),
        rollback: "the canary's evidence of harm is enough".to_owned(),
        hotfix: match gate {
            Gate::Slo => "both sides have more than the plan allows".to_owned(),
            Gate::Cpu | Gate::Memory | Gate::Rss | Gate::SloTotal | Gate::Refused | Gate::Failed(_) => {
                "it cannot be taken back".to_owned()
            }
        },
    })
}

fn criterion(standing: &Standing) -> String {
    if standing.gate.is_ratio() {
        format!("not worse by more than δ = {:.1} % in most pairs", (standing.margin.exp() - 1.0) * 100.0)
    } else {
        format!("not worse by more than {:.2} points in most pairs that differ", standing.margin * 100.0)
    }
}

fn failed_row(windows: &[&Window]) -> Option<Row> {
    Some(Row {
        name: "failed, each kind".to_owned(),
        value: share(windows, Window::failed_requests)?,
        criterion: "not worse in most pairs that differ".to_owned(),
        rationale: "a kind of failure of its own is a fault of its own, however rare".to_owned(),
        rollback: "the canary's evidence of harm is enough".to_owned(),
        hotfix: "both sides have more than the plan allows".to_owned(),
    })
}

fn latency(windows: &[&Window]) -> Vec<Row> {
    let all = Histogram::merged(windows.iter().map(|window| &window.latency));
    let row = |(name, quantile): (&str, f64)| {
        #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a request are far below 2^52")]
        let of = |histogram: &Histogram| Some(histogram.quantile(quantile)? as f64 / 1e6);
        let spread = estimate(windows, |window| of(&window.latency), "ms")?;
        Some(Row {
            name: format!("latency {name}"),
            value: format!("{} ms over all; windows {spread}", number(of(&all)?)),
            criterion: "none".to_owned(),
            rationale: "reported, not gated: see the share beyond the objective".to_owned(),
            rollback: "–".to_owned(),
            hotfix: "–".to_owned(),
        })
    };
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)].into_iter().filter_map(row).collect()
}

fn estimate(windows: &[&Window], of: impl Fn(&Window) -> Option<f64>, unit: &str) -> Option<String> {
    let values: Vec<f64> = windows.iter().filter_map(|window| of(window)).collect();
    let Estimate { median, low, high } = Estimate::of(&values)?;
    Some(format!("{} [{}, {}] {unit}", number(median), number(low), number(high)))
}

fn share(windows: &[&Window], of: impl Fn(&Window) -> u64) -> Option<String> {
    let counts: Vec<Count> = windows.iter().map(|window| Count { part: of(window), whole: window.requests }).collect();
    let bounds = bootstrap::total(&counts, LEVEL, RESAMPLES, &mut Random::new(7))?;
    let percent = |share: f64| format!("{:.4}", share * 100.0);
    Some(format!("{} [{}, {}] %", percent(bounds.estimate), percent(bounds.low), percent(bounds.high)))
}

/// What carries over to another machine.
fn rulers(out: &mut String, report: &Report) {
    if report.rulers.is_empty() {
        return;
    }
    out.push_str(
        "## As ratios to rulers\n\n| ruler | version | of | baseline / ruler, [95 %] | rounds | canary / ruler, [95 %] | rounds |\n\
         |---|---|---|---|---|---|---|\n",
    );
    let cells = |ratio: Option<&Ratio>| match ratio {
        Some(Ratio { ratio: Measured { value, low: Some(low), high: Some(high) }, rounds, .. }) => {
            format!("{value:.3} [{low:.3}, {high:.3}] | {rounds}")
        }
        Some(Ratio { ratio, rounds, .. }) => format!("{:.3}, too few rounds for an interval | {rounds}", ratio.value),
        None => "– | 0".to_owned(),
    };
    for ruler in report.rulers.iter().filter(|ruler| !ruler.ratios.is_empty()) {
        let version = escape(ruler.version.as_deref().unwrap_or("unknown"));
        for gate in [Gate::Cpu, Gate::Rss] {
            let [baseline, canary] = Side::BOTH.map(|side| cells(ruler.ratio(side, gate)));
            put(out, format_args!("| {} | {version} | {gate} | {baseline} | {canary} |\n", escape(&ruler.name)));
        }
    }
    out.push('\n');
    for ruler in &report.rulers {
        let name = escape(&ruler.name);
        if let Some(why) = &ruler.left_out {
            put(out, format_args!("{name} was left out: {}\n\n", escape(why)));
        }
        if let Some(why) = &ruler.missed_last {
            put(out, format_args!("{name}: {} windows said nothing; the last: {}\n\n", ruler.missed, escape(why)));
        }
    }
}

fn findings(report: &Report) -> Vec<Row> {
    let row = |finding: &Finding| {
        let (value, criterion) = match finding {
            Finding::Instructions(it) => {
                let twins = it.twins_differ_by().map(|share| format!(", two counts differ by {:.1} %", share * 100.0));
                let value = format!("{}{}", number(it.baseline), twins.unwrap_or_default());
                (value, format!("a ratio of at most {:.3}", it.allowed))
            }
            Finding::Growth { baseline: Some(growth), .. } => {
                (escape(&growth.to_string()), format!("at most {} after 24 h", number(growth.cap)))
            }
            Finding::Growth { baseline: None, canary } => {
                ("not soaked".to_owned(), format!("at most {} after 24 h", number(canary.cap)))
            }
            Finding::Scene { baseline, .. } => (
                baseline.map_or("not played", |kept| if kept { "kept" } else { "broken" }).to_owned(),
                "kept".to_owned(),
            ),
        };
        Row {
            name: escape(finding.name()),
            value,
            criterion,
            rationale: "needs no windows in pairs".to_owned(),
            rollback: "the canary breaks it and the baseline does not".to_owned(),
            hotfix: "both break it".to_owned(),
        }
    };
    report.judgement.iter().flat_map(|judgement| &judgement.findings).map(row).collect()
}

fn asked(metric: &Metric) -> Row {
    let interval = match metric.measured.map(|measured| (measured.low, measured.high)) {
        Some((Some(low), Some(high))) => format!(" [{}, {}]", number(low), number(high)),
        Some(_) | None => String::new(),
    };
    let gated = metric.criterion.is_some();
    let when = |own: Option<&str>, text: &str| if gated { escape(own.unwrap_or(text)) } else { "–".to_owned() };
    let excused = metric.excused.as_ref().filter(|_| metric.kept.is_some());
    let told = excused.map(|why| format!("; cannot be told: {}", escape(why))).unwrap_or_default();
    Row {
        name: escape(&metric.name),
        value: format!("{}{interval}{told}", escape(&metric.shown())),
        criterion: match metric.criterion.as_deref() {
            Some(criterion) if criterion == metric.name => "it holds".to_owned(),
            criterion => escape(criterion.unwrap_or("none")),
        },
        rationale: escape(metric.rationale.as_deref().unwrap_or("reported")),
        rollback: when(metric.rollback.as_deref(), "the canary misses it and the baseline does not"),
        hotfix: when(metric.hotfix.as_deref(), "both miss it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{HOSTILE, report};

    #[test]
    fn every_row_has_as_many_cells_as_its_head() {
        let text = document(&report());
        let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
        assert!(rows.len() > 12, "{text}");
        let mut head = 0;
        for (place, row) in rows.iter().enumerate() {
            let cells = row.replace("\\|", "").matches('|').count();
            if rows.get(place + 1).is_some_and(|next| next.starts_with("|---")) {
                head = cells;
            }
            assert!(cells == head && cells >= 7, "{row}");
        }
    }

    #[test]
    fn numbers_have_intervals_reasons_and_remedies() {
        let text = document(&report());
        let row = |name: &str| text.lines().find(|line| line.starts_with(&format!("| {name} |"))).unwrap().to_owned();
        let cpu = row("cpu_per_request");
        assert!(cpu.contains("[") && cpu.contains("δ = ") && cpu.contains("evidence of harm"), "{cpu}");
        assert!(row("beyond_slo").contains("both sides have more"));
        assert!(row("latency p99").contains("not gated"));
        assert!(row("instructions\\_per\\_request").contains("two counts differ by 0.2 %"));
        let excused = row("excused");
        assert!(
            excused.contains("cannot be told: others had the core") && excused.ends_with("| both miss it |"),
            "{excused}"
        );
        assert!(row("doubted").contains("cannot be told: the tool measured too little"));
        let ruled = row("nginx");
        assert!(ruled.starts_with("| nginx | 1.22.1 | cpu_per_request | "), "{ruled}");
        assert!(ruled.matches('[').count() == 2 && text.contains("Envoy was left out"), "{ruled}");
        assert!(text.contains("**Rollback** (exit code 1)") && text.contains("**Hotfix** (exit code 3)"));
    }

    #[test]
    fn hostile_names_stay_text() {
        let text = document(&report());
        assert!(!text.contains(HOSTILE) && !text.contains("<script"), "{text}");
    }
}
