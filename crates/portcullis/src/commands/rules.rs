//! `rules`: Prometheus rules for a config: its objectives by several windows, and the gateway's own alerts.
//!
//! The text is YAML whose scalars are JSON strings, so that no name of a config can be anything but a value.

mod own;

use serde_json::Value;
use std::fmt::Write as _;

use portcullis_slo::{Alert, Severity};
use portcullis_snapshot::settings::Slo;

use super::{candidate, world};
use crate::app::App;
use crate::cli::looking::RulesArgs;
use crate::output;
use crate::slos::WINDOWS;

pub(crate) use own::OWN;

/// Prints them.
pub(crate) fn rules(app: App, args: &RulesArgs) -> Result<bool, String> {
    let candidate = candidate(&world(app, &args.config)?)?;
    output::print(&text(&candidate.checked().settings().slos));
    Ok(true)
}

/// An alert.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) expr: &'static str,
    /// How long it must hold.
    pub(crate) lasts: &'static str,
    pub(crate) severity: Severity,
    pub(crate) summary: &'static str,
    /// The page under `docs/runbooks`, without its ending.
    pub(crate) runbook: &'static str,
}

/// The name of the alert of a pair of windows.
pub(crate) const fn alert_name(alert: &Alert) -> &'static str {
    match alert.severity {
        Severity::Page if alert.factor > 10.0 => "PortcullisSloFastBurn",
        Severity::Page => "PortcullisSloBurn",
        Severity::Ticket => "PortcullisSloSlowBurn",
    }
}

/// A file of rules.
pub(crate) fn text(slos: &[Slo]) -> String {
    let mut out = String::from("# Rules for Prometheus, made by `portcullis rules`.\ngroups:\n");
    if !slos.is_empty() {
        out.push_str("  - name: portcullis-slos\n    rules:\n");
        for slo in slos {
            WINDOWS.iter().for_each(|(window, _)| recorded(&mut out, slo, window));
        }
        for slo in slos {
            Alert::ALL.iter().for_each(|alert| burns(&mut out, slo, alert));
        }
    }
    out.push_str("  - name: portcullis\n    rules:\n");
    for rule in &OWN {
        alert(&mut out, rule.name, rule.expr, rule.lasts, (rule.severity.as_str(), None, rule.summary, rule.runbook));
    }
    out
}

/// The burn rate in a window.
fn recorded(out: &mut String, slo: &Slo, window: &str) {
    let name = quoted(&slo.name);
    let rate = |what: &str| format!("sum(rate(portcullis_slo_{what}_total{{slo={name}}}[{window}]))");
    let (good, bad) = (rate("good"), rate("bad"));
    let expr = format!("({bad} / ({good} + {bad})) / {}", allowed(slo));
    // Writing to a string does not fail.
    let _ = write!(
        out,
        "      - record: portcullis:slo_burn:{window}\n        expr: {}\n        labels: {{ slo: {name} }}\n",
        quoted(&expr)
    );
}

fn burns(out: &mut String, slo: &Slo, one: &Alert) {
    let name = quoted(&slo.name);
    let of = |window: std::time::Duration| {
        let window = WINDOWS.iter().find(|(_, span)| *span == window).map_or("5m", |(name, _)| name);
        format!("portcullis:slo_burn:{window}{{slo={name}}} > {}", one.factor)
    };
    let expr = format!("{} and {}", of(one.long), of(one.short));
    // Labels of alerts are templates, those of recorded series are not.
    let label = quoted(&templated(&slo.name));
    let summary = format!("The error budget of {} is used up more than {} times too fast.", slo.name, one.factor);
    alert(out, alert_name(one), &expr, "0s", (one.severity.as_str(), Some(&label), &templated(&summary), "slo"));
}

fn alert(
    out: &mut String,
    name: &str,
    expr: &str,
    lasts: &str,
    (severity, slo, summary, runbook): (&str, Option<&str>, &str, &str),
) {
    let slo = slo.map(|slo| format!(", slo: {slo}")).unwrap_or_default();
    let _ = write!(
        out,
        "      - alert: {name}\n        expr: {}\n        for: {lasts}\n        labels: {{ severity: {severity}{slo} }}\n        \
         annotations:\n          summary: {}\n          runbook: docs/runbooks/{runbook}.md\n",
        quoted(expr),
        quoted(summary),
    );
}

/// The share that may go badly, without the digits that floating point adds.
fn allowed(slo: &Slo) -> String {
    let text = format!("{:.6}", 1.0 - slo.objective.target());
    text.trim_end_matches('0').to_owned()
}

/// A string of JSON, which is one of YAML and, without escapes of its own, one of PromQL.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A text that Prometheus takes for a template, so that it stands for itself.
fn templated(text: &str) -> String {
    text.replace("{{", "{{ \"{{\" }}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_slo::Objective;
    use portcullis_snapshot::settings::Good;
    use std::collections::HashSet;
    use std::sync::Arc;
    use std::time::Duration;

    fn slo(name: &str) -> Slo {
        let objective = Objective::new(0.999, Duration::from_secs(30 * 86_400)).unwrap();
        Slo { name: Arc::from(name), host: "h".into(), route: None, good: Good::Available(Vec::new()), objective }
    }

    #[test]
    fn an_objective_has_a_burn_rate_a_window_and_three_alerts() {
        let text = text(&[slo("up")]);
        assert_eq!(text.matches("record: portcullis:slo_burn:").count(), WINDOWS.len());
        for (name, expr) in [
            (
                "PortcullisSloFastBurn",
                "portcullis:slo_burn:1h{slo=\\\"up\\\"} > 14.4 and portcullis:slo_burn:5m{slo=\\\"up\\\"} > 14.4",
            ),
            (
                "PortcullisSloBurn",
                "portcullis:slo_burn:6h{slo=\\\"up\\\"} > 6 and portcullis:slo_burn:30m{slo=\\\"up\\\"} > 6",
            ),
            (
                "PortcullisSloSlowBurn",
                "portcullis:slo_burn:3d{slo=\\\"up\\\"} > 1 and portcullis:slo_burn:6h{slo=\\\"up\\\"} > 1",
            ),
        ] {
            assert!(text.contains(&format!("alert: {name}\n        expr: \"{expr}\"")), "{text}");
        }
        assert!(text.contains("/ 0.001\""), "{text}");
    }

    #[test]
    fn a_name_of_a_config_is_never_more_than_a_value() {
        let text = text(&[slo("a\"}\nb: {{ .Labels }}")]);
        assert!(!text.contains("\nb:") && text.contains("{{ \\\"{{\\\" }}"), "{text}");
    }

    #[test]
    fn without_objectives_there_are_the_gateways_own_alerts() {
        let text = text(&[]);
        assert!(!text.contains("portcullis-slos"));
        let names: HashSet<&str> = OWN.iter().map(|rule| rule.name).collect();
        assert_eq!(names.len(), OWN.len());
        assert_eq!(text.matches("- alert:").count(), OWN.len());
    }
}
