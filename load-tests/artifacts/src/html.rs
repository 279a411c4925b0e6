//! `report.html`: one file, no script, no request; light and dark.

use portcullis_judge::{Gate, Judgement, Remedy, Standing, Verdict};

use crate::charts;
use crate::escape::html as escape;
use crate::report::{Environment, Metric, Outcome, Report, SceneResult};
use crate::svg::{number, put};

mod missed;
mod rulers;

const STYLE: &str = include_str!("../assets/report.css");

/// The page.
#[must_use]
pub fn page(report: &Report) -> String {
    let title = escape(&format!("{}: {}", report.plan, heading(report)));
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title><style>{STYLE}</style></head><body><main>"
    );
    summary(&mut out, report);
    if let Some(judgement) = &report.judgement {
        gates(&mut out, judgement);
        pair_plots(&mut out, report);
    }
    rulers::section(&mut out, report);
    latency(&mut out, report);
    over_time(&mut out, report);
    for (index, scene) in report.scenes.iter().enumerate() {
        scene_section(&mut out, &missed::anchor(index), scene);
    }
    if let Some(scalability) = &report.scalability {
        put(&mut out, format_args!("<h2>Scalability</h2>{}", charts::scalability(scalability).render()));
    }
    provenance(&mut out, report);
    out.push_str("</main></body></html>\n");
    out
}

/// The verdict, or how many scenes failed.
fn heading(report: &Report) -> String {
    if let Some(judgement) = &report.judgement {
        return judgement.verdict.to_string();
    }
    let failed = report.scenes.iter().filter(|scene| scene.outcome == Outcome::Failed).count();
    let invalid = report.scenes.iter().filter(|scene| scene.outcome == Outcome::Invalid).count();
    match (failed, invalid) {
        (0, 0) => format!("{} scenes passed", report.scenes.len()),
        (failed, invalid) => format!("{failed} of {} scenes failed, {invalid} are invalid", report.scenes.len()),
    }
}

/// The look of how it ended.
fn look(report: &Report) -> &'static str {
    match report.judgement.as_ref().map(|judgement| judgement.verdict) {
        Some(Verdict::Pass) => "good",
        Some(Verdict::Fail(_)) => "bad",
        Some(Verdict::Inconclusive | Verdict::Invalid) => "unsure",
        None if report.scenes.iter().any(|scene| scene.outcome == Outcome::Failed) => "bad",
        None if report.scenes.iter().any(|scene| scene.outcome == Outcome::Invalid) => "unsure",
        None => "good",
    }
}

fn summary(out: &mut String, report: &Report) {
    put(out, format_args!("<header class=\"{}\"><p class=\"plan\">{}</p>", look(report), escape(&report.plan)));
    put(out, format_args!("<h1>{}</h1>", escape(&heading(report))));
    if let Some(judgement) = &report.judgement {
        put(out, format_args!("<p>{}</p>", escape(&judgement.reason)));
        let advice = match judgement.verdict.remedy() {
            Some(Remedy::Rollback) => "Roll back: the canary is worse than its baseline, and going back ends that.",
            Some(Remedy::Hotfix) => "Hotfix: going back does not cure it.",
            None => "",
        };
        if !advice.is_empty() {
            put(out, format_args!("<p>{advice}</p>"));
        }
        let alarms = judgement
            .false_alarms
            .map_or_else(|| "not measured: the A/A leg was not finished".to_owned(), |alarms| alarms.to_string());
        let bound = judgement.alpha * 100.0;
        put(
            out,
            format_args!("<p class=\"fine\">False alarms: {}; at most {bound} % by the test.</p>", escape(&alarms)),
        );
    }
    missed::list(out, report);
    out.push_str("</header>");
}

fn gates(out: &mut String, judgement: &Judgement) {
    out.push_str(
        "<h2>Gates</h2><div class=\"wide\"><table><thead><tr><th>gate</th><th>baseline</th><th>canary</th><th>δ</th>\
         <th>worse / better / pairs</th><th>evidence of harm</th><th>of soundness</th></tr></thead><tbody>",
    );
    for standing in judgement.standings.iter().chain(&judgement.shown) {
        gate_row(out, judgement, standing);
    }
    out.push_str("</tbody></table></div>");
    if !judgement.shown.is_empty() {
        out.push_str(
            "<p class=\"fine\">What has no evidence decides nothing: both sides ran at the same moment, so it is also the other side's \
             doing.</p>",
        );
    }
    put(
        out,
        format_args!(
            "<p class=\"fine\">{} pairs of twins, {} pairs compared, {} could not be measured. FAIL wants evidence of {} on one \
             gate: {} a chance of {} %.</p>",
            judgement.twins,
            judgement.pairs,
            judgement.invalid_pairs,
            number(judgement.enough),
            if judgement.gates == 1 { "it has".to_owned() } else { format!("{} gates share", judgement.gates) },
            judgement.alpha * 100.0
        ),
    );
    for finding in &judgement.findings {
        put(out, format_args!("<p>{}: {}</p>", escape(finding.name()), escape(&finding.to_string())));
    }
}

fn gate_row(out: &mut String, judgement: &Judgement, standing: &Standing) {
    let ratio = standing.gate.is_ratio();
    let value = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| standing.gate.shown(value));
    let margin = if ratio {
        format!("{:.1} %", (standing.margin.exp() - 1.0) * 100.0)
    } else {
        format!("{:.2} points", standing.margin * 100.0)
    };
    let evidence = |value: Option<f64>| match (value, standing.bounds) {
        (Some(value), _) if value.is_finite() => number(value),
        (Some(_), _) => "∞".to_owned(),
        (None, Some((low, high))) => format!("{:.3} to {:.3} points", low * 100.0, high * 100.0),
        (None, None) => "–".to_owned(),
    };
    let decided = judgement.decided_by.as_deref() == Some(standing.gate.as_str());
    let failed = judgement.verdict.remedy().is_some();
    put(
        out,
        format_args!(
            "<tr{}><th>{}</th><td>{}</td><td>{}</td><td>{margin}</td><td>{} / {} / {}</td><td>{}</td><td>{}</td></tr>",
            match (decided, failed) {
                (true, true) => " class=\"decided\"",
                (true, false) => " class=\"decided unsure\"",
                (false, _) => "",
            },
            standing.gate,
            value(standing.baseline),
            value(standing.canary),
            standing.worse,
            standing.better,
            standing.pairs,
            evidence(standing.harm),
            standing.soundness.map_or_else(|| "–".to_owned(), |value| evidence(Some(value)))
        ),
    );
}

fn pair_plots(out: &mut String, report: &Report) {
    let plots: Vec<String> = [Gate::Cpu, Gate::Memory, Gate::Rss, Gate::Slo]
        .into_iter()
        .filter_map(|gate| Some(charts::pairs(report, gate)?.render()))
        .collect();
    if !plots.is_empty() {
        put(out, format_args!("<h2>Pairs</h2>{}", plots.concat()));
    }
}

fn latency(out: &mut String, report: &Report) {
    if let Some(chart) = charts::percentiles(report) {
        put(out, format_args!("<h2>Latency</h2>{}", chart.render()));
    }
}

fn over_time(out: &mut String, report: &Report) {
    #[expect(clippy::cast_precision_loss, reason = "counts of a window are far below 2^52")]
    let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64 * 100.0);
    let plots = [
        charts::over_time(report, "CPU µs per request", |window| Some(window.cpu_per_request()? / 1000.0)),
        charts::over_time(report, "beyond the objective, %", |window| share(window.beyond_slo, window.requests)),
        charts::over_time(report, "failed, %", |window| share(window.failed_requests(), window.requests)),
        charts::over_time(report, "CPU of neighbours and steal, %", |window| {
            Some((window.machine.neighbour_cpu + window.machine.steal) * 100.0)
        }),
    ];
    let plots: Vec<String> = plots.into_iter().flatten().map(|chart| chart.render()).collect();
    let series: Vec<String> = report.series.iter().map(|one| charts::series(one).render()).collect();
    if !(plots.is_empty() && series.is_empty()) {
        put(out, format_args!("<h2>Over time</h2>{}{}", plots.concat(), series.concat()));
    }
}

fn scene_section(out: &mut String, anchor: &str, scene: &SceneResult) {
    let (class, word) = match scene.outcome {
        Outcome::Passed => ("good", "passed"),
        Outcome::Failed => ("bad", "failed"),
        Outcome::Invalid => ("unsure", "invalid"),
    };
    put(
        out,
        format_args!("<h2 id=\"{anchor}\">{} <span class=\"badge {class}\">{word}</span></h2>", escape(&scene.name)),
    );
    put(out, format_args!("<p class=\"fine\">{:.1} s, seed {}</p>", scene.seconds, scene.seed));
    for note in &scene.notes {
        put(out, format_args!("<p>{}</p>", escape(note)));
    }
    out.push_str(
        "<div class=\"wide\"><table><thead><tr><th>metric</th><th>measured</th><th>interval</th><th>asked, and why</th><th></th></tr>\
         </thead><tbody>",
    );
    for metric in &scene.metrics {
        metric_row(out, metric);
    }
    out.push_str("</tbody></table></div>");
    for chart in charts::of_scene(scene) {
        out.push_str(&chart.render());
    }
}

fn metric_row(out: &mut String, metric: &Metric) {
    let measured = metric.measured.map(|measured| (measured.low, measured.high)).unwrap_or_default();
    let interval = match measured {
        (Some(low), Some(high)) => format!("{} to {}", number(low), number(high)),
        _ => "–".to_owned(),
    };
    let (class, word) = match (metric.kept, &metric.excused) {
        (Some(true), None) => ("good", "kept".to_owned()),
        (Some(false), None) => ("bad", "missed".to_owned()),
        (Some(_), Some(why)) => ("unsure", format!("cannot be told: {}", escape(why))),
        (None, _) => ("", String::new()),
    };
    put(
        out,
        format_args!(
            "<tr><th>{}</th><td>{}</td><td class=\"interval\">{interval}</td><td>{}</td><td class=\"{class}\">{word}</td></tr>",
            escape(&metric.name),
            escape(&metric.shown()),
            asked(metric)
        ),
    );
}

/// What is asked, where its name does not say it already, and why.
fn asked(metric: &Metric) -> String {
    let criterion = metric.criterion.as_deref().filter(|criterion| *criterion != metric.name);
    let why = metric.rationale.as_ref().map(|why| format!("<span class=\"fine\">{}</span>", escape(why)));
    let parts: Vec<String> = criterion.map(escape).into_iter().chain(why).collect();
    if parts.is_empty() { "–".to_owned() } else { parts.join("<br>") }
}

fn provenance(out: &mut String, report: &Report) {
    let Environment { system, cpu, cores, memory_bytes, load_average, virtualised } = &report.environment;
    #[expect(clippy::cast_precision_loss, reason = "bytes of a machine are far below 2^52")]
    let memory = number(*memory_bytes as f64);
    let subject = |subject: &crate::report::Subject| match &subject.revision {
        Some(revision) => format!("{} ({revision})", subject.what),
        None => subject.what.clone(),
    };
    let virtualised = if *virtualised { "virtualised" } else { "not virtualised, as far as it can be told" };
    let rows = [
        ("baseline", subject(&report.baseline)),
        ("canary", report.canary.as_ref().map(subject).unwrap_or_default()),
        ("began", report.began.clone()),
        ("length", format!("{:.0} s", report.seconds)),
        ("seed", report.seed.to_string()),
        ("command", report.command.clone()),
        (
            "machine",
            format!("{system}, {cpu}, {cores} cores, {memory}B, load average {load_average:.1}, {virtualised}"),
        ),
        ("tool", report.tool.clone()),
    ];
    out.push_str("<h2>Provenance</h2><table class=\"plain\"><tbody>");
    for (name, value) in rows.into_iter().filter(|(_, value)| !value.is_empty()) {
        put(out, format_args!("<tr><th>{name}</th><td>{}</td></tr>", escape(&value)));
    }
    out.push_str("</tbody></table>");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{HOSTILE, little, report};

    #[test]
    fn a_page_asks_for_nothing_outside_and_runs_nothing() {
        let page = page(&report());
        for outside in ["http://", "https://", "<script", "src=", "@import", "url(", "<link", "<iframe", "onerror=a"] {
            let own = page.replace(&escape(HOSTILE), "");
            assert!(!own.contains(outside), "{outside}");
        }
        assert!(page.contains("default-src 'none'"));
    }

    #[test]
    fn hostile_names_stay_text() {
        let page = page(&report());
        assert!(page.matches(&escape(HOSTILE)).count() >= 4, "plan, command, scene, metric, note");
        assert!(!page.contains(HOSTILE));
    }

    #[test]
    fn everything_that_was_found_is_shown() {
        let page = page(&report());
        for text in [
            "FAIL: roll back",
            "False alarms: 0 of 200",
            "Latency by percentile",
            "pair by pair",
            "universal scalability law",
            "CPU µs per request over the run",
            "class=\"decided\"",
            "missed",
            "cannot be told: others had the core",
            "cannot be told: the tool measured too little",
            "Latency by percentile, window by window",
            "Latency over time",
            "CPU and waits for a core over time",
            "growing by",
            "<th>nginx 1.22.1</th>",
            "Envoy was left out",
        ] {
            assert!(page.contains(text), "{text}");
        }
        assert!(!page.contains("NaN"));
    }

    #[test]
    fn a_run_of_nothing_has_a_page() {
        assert!(page(&little()).contains("0 scenes passed"));
    }
}
