//! Facts of timeouts, retries, failover and fallbacks.

use portcullis_snapshot::route::RouteTimeouts;
use portcullis_snapshot::{RetryPolicy, Timeouts};
use portcullis_types::quantity::format_duration;
use std::time::Duration;

use super::Facts;
use super::route::{cluster_name, say_respond};
use crate::plan::{ClusterPlan, FallbackPlan, ThenPlan};

pub(super) fn say_attempts(plan: &ClusterPlan, facts: &mut Facts) {
    say_timeouts(&plan.timeouts, facts);
    facts.say_some("timeouts.deadline_header", plan.deadline_header.as_ref());
    say_retry(&plan.retry, facts);
    if let Some(hedge) = &plan.hedge {
        facts.say("hedge.after", format_args!("p{}", hedge.after.to_string().trim_end_matches('%')));
        facts.say_duration("hedge.at_least", hedge.at_least);
        facts.say("hedge.at_most", hedge.budget.share);
    }
    if !plan.failover.is_empty() {
        facts.say_list("failover", plan.failover.iter());
    }
}

fn say_timeouts(timeouts: &Timeouts, facts: &mut Facts) {
    facts.say_duration("timeouts.connect", timeouts.connect);
    facts.say_duration("timeouts.per_try", timeouts.per_try.unwrap_or_default());
    facts.say_duration("timeouts.first_byte", timeouts.first_byte);
    facts.say_duration("timeouts.idle", timeouts.idle);
    facts.say_duration("timeouts.total", timeouts.total.unwrap_or_default());
}

fn say_retry(retry: &RetryPolicy, facts: &mut Facts) {
    facts.say("retry.attempts", retry.attempts);
    facts.say("retry.on", retry.on);
    facts.say("retry.budget", retry.budget.share);
    facts.say_duration("retry.backoff.base", retry.base);
    facts.say_duration("retry.backoff.max", retry.most);
}

pub(super) fn say_route_timeouts(timeouts: &RouteTimeouts, facts: &mut Facts) {
    let off = |value: Option<Duration>| format_duration(value.unwrap_or(Duration::ZERO));
    facts.say_some("timeouts.connect", timeouts.connect.map(format_duration));
    facts.say_some("timeouts.per_try", timeouts.per_try.map(off));
    facts.say_some("timeouts.first_byte", timeouts.first_byte.map(format_duration));
    facts.say_some("timeouts.idle", timeouts.idle.map(format_duration));
    facts.say_some("timeouts.total", timeouts.total.map(off));
}

pub(super) fn say_fallback(fallback: Option<&FallbackPlan>, clusters: &[ClusterPlan], facts: &mut Facts) {
    let Some(fallback) = fallback else { return };
    facts.say("fallback.stale", fallback.stale);
    match &fallback.then {
        None => {}
        Some(ThenPlan::Cluster(index)) => facts.say("fallback.to", cluster_name(clusters, *index)),
        Some(ThenPlan::Respond(response)) => say_respond("fallback.respond", response, facts),
        Some(ThenPlan::Route(name)) => facts.say("fallback.route", name),
    }
}
