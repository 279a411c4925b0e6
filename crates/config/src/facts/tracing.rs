//! Facts of traces.

use portcullis_telemetry::{RouteTracing, TraceSettings};

use super::Facts;

pub(super) fn say_tracing(tracing: &TraceSettings, facts: &mut Facts) {
    let TraceSettings { rules, unrouted, exporter } = tracing;
    facts.say("tracing.endpoint", &exporter.url);
    for (name, value) in &exporter.headers {
        facts.hide(format!("tracing.headers.{name}"), value);
    }
    if let Some(authorities) = &exporter.authorities {
        facts.hide("tracing.ca", authorities);
    }
    facts.say("tracing.gzip", exporter.gzip);
    facts.say_duration("tracing.timeout", exporter.timeout);
    facts.say("tracing.callers", rules.callers.word());
    facts.say("tracing.sampled", if rules.follow { "follow" } else { "ignore" });
    facts.say("tracing.sample", rules.sample);
    if let Some(slow) = unrouted.slow {
        facts.say_duration("tracing.slow", slow);
    }
    facts.say("tracing.service", &exporter.service);
    for (name, value) in &exporter.resource {
        facts.say(format!("tracing.resource.{name}"), value);
    }
    facts.say("tracing.consumer", exporter.consumer);
    facts.say("tracing.client_address", exporter.client_address);
    facts.say("tracing.queue", exporter.queue);
    facts.say("tracing.batch.spans", exporter.batch);
    facts.say_duration("tracing.batch.wait", exporter.wait);
}

pub(super) fn say_route_tracing(tracing: &RouteTracing, facts: &mut Facts) {
    if tracing.off {
        facts.say("tracing", "off");
    }
    facts.say_some("tracing.sample", tracing.sample);
    if let Some(slow) = tracing.slow {
        facts.say_duration("tracing.slow", slow);
    }
}
