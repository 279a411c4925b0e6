//! Facts of objectives of service levels.

use portcullis_snapshot::settings::{Good, Slo};

use super::Facts;

/// The facts of all objectives.
pub(super) fn say_slos(slos: &[Slo], facts: &mut Facts) {
    for slo in slos {
        let key = |word: &str| format!("slos.{}.{word}", slo.name);
        facts.say(key("host"), &slo.host);
        facts.say_some(key("route"), slo.route.as_ref());
        facts.say(key("objective"), percent(slo.objective.target()));
        facts.say_duration(key("window"), slo.objective.window());
        match &slo.good {
            Good::Available(faults) => facts.say_list(key("faults"), faults.iter().map(|fault| fault.as_str())),
            Good::Within(latency) => facts.say_duration(key("latency"), *latency),
        }
    }
}

/// As an operator writes it: `99.95%`.
fn percent(share: f64) -> String {
    let text = format!("{:.4}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}
