//! `dashboards`: a Grafana dashboard for a config, as JSON that Grafana imports.

use serde_json::{Value, json};

use portcullis_snapshot::settings::Slo;

use super::{candidate, world};
use crate::app::App;
use crate::cli::looking::RulesArgs;
use crate::output;

/// A panel: what it is called, the unit of its values, its queries with their legends, and whether only their newest value is shown.
struct Panel {
    title: &'static str,
    unit: &'static str,
    queries: &'static [(&'static str, &'static str)],
    single: bool,
}

const fn lines(title: &'static str, unit: &'static str, queries: &'static [(&'static str, &'static str)]) -> Panel {
    Panel { title, unit, queries, single: false }
}

/// What every gateway has.
const PANELS: [Panel; 12] = [
    Panel {
        title: "Verdict",
        unit: "none",
        queries: &[("portcullis_verdict{instance=~\"$instance\"} == 1", "{{state}}")],
        single: true,
    },
    Panel {
        title: "Reasons",
        unit: "none",
        queries: &[("portcullis_verdict_reasons{instance=~\"$instance\"} > 0", "{{kind}} ({{severity}})")],
        single: true,
    },
    lines(
        "Requests by class",
        "reqps",
        &[(
            "sum by (class) (rate(portcullis_route_requests_total{instance=~\"$instance\"}[$__rate_interval]))",
            "{{class}}",
        )],
    ),
    lines(
        "Failures by reason",
        "reqps",
        &[(
            "sum by (reason) (rate(portcullis_failures_total{instance=~\"$instance\"}[$__rate_interval])) > 0",
            "{{reason}}",
        )],
    ),
    lines(
        "Latency",
        "s",
        &[
            (
                "histogram_quantile(0.5, sum by (le) \
                 (rate(portcullis_route_duration_seconds_bucket{instance=~\"$instance\"}[$__rate_interval])))",
                "p50",
            ),
            (
                "histogram_quantile(0.9, sum by (le) \
                 (rate(portcullis_route_duration_seconds_bucket{instance=~\"$instance\"}[$__rate_interval])))",
                "p90",
            ),
            (
                "histogram_quantile(0.99, sum by (le) \
                 (rate(portcullis_route_duration_seconds_bucket{instance=~\"$instance\"}[$__rate_interval])))",
                "p99",
            ),
        ],
    ),
    lines(
        "Busiest routes",
        "reqps",
        &[(
            "topk(10, sum by (virtual_host, route) (rate(portcullis_route_requests_total{instance=~\"$instance\"}[$__rate_interval])))",
            "{{virtual_host}}/{{route}}",
        )],
    ),
    lines(
        "Endpoints that may be chosen",
        "none",
        &[("portcullis_cluster_available{instance=~\"$instance\"}", "{{cluster}}")],
    ),
    lines("Requests in flight", "none", &[("portcullis_cluster_in_flight{instance=~\"$instance\"}", "{{cluster}}")]),
    lines("Ejected endpoints", "none", &[("portcullis_cluster_ejected{instance=~\"$instance\"} > 0", "{{cluster}}")]),
    lines(
        "How full bounds are",
        "percentunit",
        &[(
            "portcullis_bound_used{instance=~\"$instance\"} / (portcullis_bound_limit{instance=~\"$instance\"} > 0)",
            "{{bound}} {{of}}",
        )],
    ),
    lines(
        "Records dropped",
        "cps",
        &[(
            "rate(portcullis_records_dropped_total{instance=~\"$instance\"}[$__rate_interval]) > 0",
            "{{sink}}: {{cause}}",
        )],
    ),
    lines(
        "Configs",
        "none",
        &[
            ("portcullis_generation{instance=~\"$instance\"}", "generation"),
            ("increase(portcullis_reloads_total{instance=~\"$instance\"}[$__rate_interval])", "{{outcome}}"),
        ],
    ),
];

/// What a config with objectives has.
const OF_SLOS: [Panel; 2] = [
    lines(
        "Error budget left",
        "percentunit",
        &[("portcullis_slo_budget_left{instance=~\"$instance\",slo=~\"$slo\"}", "{{slo}}")],
    ),
    lines(
        "Burn rate",
        "none",
        &[("portcullis_slo_burn{instance=~\"$instance\",slo=~\"$slo\"}", "{{slo}} over {{window}}")],
    ),
];

/// Prints it.
pub(crate) fn dashboards(app: App, args: &RulesArgs) -> Result<bool, String> {
    let candidate = candidate(&world(app, &args.config)?)?;
    output::print(&format!("{:#}\n", dashboard(&candidate.checked().settings().slos)));
    Ok(true)
}

fn dashboard(slos: &[Slo]) -> Value {
    let of_slos: &[Panel] = if slos.is_empty() { &[] } else { &OF_SLOS };
    let panels: Vec<Value> = (0_u64..).zip(of_slos.iter().chain(&PANELS)).map(|(at, one)| panel(at, one)).collect();
    let mut variables = vec![
        json!({ "name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus" }),
        variable("instance", "Gateway", "label_values(portcullis_build_info, instance)"),
    ];
    if !slos.is_empty() {
        variables.push(variable("slo", "Objective", "label_values(portcullis_slo_objective, slo)"));
    }
    json!({
        "title": "Portcullis",
        "uid": "portcullis",
        "tags": ["portcullis"],
        "schemaVersion": 39,
        "editable": true,
        "refresh": "10s",
        "time": { "from": "now-1h", "to": "now" },
        "templating": { "list": variables },
        "panels": panels,
    })
}

fn variable(name: &str, label: &str, query: &str) -> Value {
    json!({
        "name": name,
        "label": label,
        "type": "query",
        "datasource": { "type": "prometheus", "uid": "${datasource}" },
        "query": { "query": query, "refId": "StandardVariableQuery" },
        "refresh": 2,
        "multi": true,
        "includeAll": true,
        "allValue": ".*",
        "current": { "text": "All", "value": "$__all" },
    })
}

/// Two panels a row, 12 of 24 columns each.
fn panel(at: u64, one: &Panel) -> Value {
    let source = json!({ "type": "prometheus", "uid": "${datasource}" });
    let query = |(place, (expr, legend)): (u8, &(&str, &str))| {
        let name = char::from(b'A' + place).to_string();
        json!({ "refId": name, "expr": expr, "legendFormat": legend, "instant": one.single, "datasource": source })
    };
    let queries: Vec<Value> = (0..26).zip(one.queries).map(query).collect();
    let kind = if one.single { "stat" } else { "timeseries" };
    let options =
        if one.single { json!({ "textMode": "name" }) } else { json!({ "legend": { "displayMode": "list" } }) };
    json!({
        "id": at + 1,
        "title": one.title,
        "type": kind,
        "datasource": source,
        "gridPos": { "x": at % 2 * 12, "y": at / 2 * 8, "w": 12, "h": 8 },
        "fieldConfig": { "defaults": { "unit": one.unit }, "overrides": [] },
        "options": options,
        "targets": queries,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn panels_have_ids_and_places_of_their_own() {
        let board = dashboard(&[]);
        let panels = board["panels"].as_array().unwrap();
        assert_eq!(panels.len(), PANELS.len());
        let of = |key: &str| panels.iter().map(|panel| panel[key].to_string()).collect::<HashSet<_>>();
        assert_eq!(
            (of("id").len(), of("gridPos").len(), of("title").len()),
            (panels.len(), panels.len(), panels.len())
        );
    }

    #[test]
    fn objectives_come_first_where_there_are_some() {
        let text = "version: 1\nlisteners: { edge: { bind: '127.0.0.1:8080' } }\nslos: { up: { host: a, objective: 99% } }\n\
                    hosts: [{ names: [a], routes: [{ name: all, respond: { status: 204 } }] }]";
        let (_dir, world) = crate::tests::explain::world_of(text, App::new());
        let board = dashboard(&world.check().candidate.unwrap().checked().settings().slos);
        assert_eq!(board["panels"][0]["title"], "Error budget left");
        assert_eq!(board["templating"]["list"][2]["name"], "slo");
    }
}
