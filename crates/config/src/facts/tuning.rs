//! Facts of what tunes a cluster's choice.

use portcullis_balance::{OutlierPolicy, Tuning};
use portcullis_snapshot::cluster::reports::LoadReports;

use super::Facts;

pub(super) fn say_tuning(tuning: &Tuning, facts: &mut Facts) {
    match &tuning.slow_start {
        None => facts.say("slow_start", "0s"),
        Some(slow) => {
            facts.say_duration("slow_start.window", slow.window);
            facts.say("slow_start.from", slow.from);
        }
    }
    if let Some(factor) = tuning.overprovisioning {
        facts.say("overprovisioning", format_args!("{}%", factor.percent()));
    }
    if let Some(zone) = &tuning.zone {
        facts.say("zone_preference", &zone.zone);
        facts.say_some("zone_preference.traffic", zone.traffic);
    }
    if let Some(heights) = &tuning.heights {
        facts.say("health_check.solana.max_lag", heights.max_lag);
        facts.say_duration("health_check.solana.slot_time", heights.pace);
    }
    match &tuning.outliers {
        None => facts.say("outlier_detection", false),
        Some(policy) => say_outliers(policy, facts),
    }
}

fn say_outliers(policy: &OutlierPolicy, facts: &mut Facts) {
    facts.say("outlier_detection.consecutive_failures", policy.consecutive_failures);
    facts.say_duration("outlier_detection.interval", policy.interval);
    facts.say_duration("outlier_detection.ejection", policy.ejection);
    facts.say_duration("outlier_detection.max_ejection", policy.max_ejection);
    facts.say("outlier_detection.max_ejected", policy.max_ejected);
    match &policy.failure_rate {
        None => facts.say("outlier_detection.failure_rate", false),
        Some(rule) => {
            facts.say("outlier_detection.failure_rate.min_requests", rule.min_requests);
            facts.say("outlier_detection.failure_rate.min_endpoints", rule.min_endpoints);
            facts.say("outlier_detection.failure_rate.deviations", rule.stdev_factor);
            facts.say("outlier_detection.failure_rate.min_gap", rule.min_gap);
        }
    }
    match &policy.latency {
        None => facts.say("outlier_detection.latency", false),
        Some(rule) => {
            facts.say("outlier_detection.latency.min_requests", rule.min_requests);
            facts.say("outlier_detection.latency.factor", rule.factor);
            facts.say_duration("outlier_detection.latency.min_gap", rule.min_gap);
        }
    }
}

pub(super) fn say_reports(reports: &LoadReports, facts: &mut Facts) {
    facts.say("load_reports.orca", reports.orca);
    facts.say_some("load_reports.utilisation", reports.utilisation.as_ref());
    facts.say_some("load_reports.drain", reports.drain.as_ref());
    facts.say("load_reports.retry_after", reports.retry_after.as_str());
    if reports.reads_fields() {
        facts.say("load_reports.strip", reports.strip);
    }
}
