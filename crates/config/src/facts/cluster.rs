//! Facts of a cluster. Its endpoints are apart: they are compared one by one.

use portcullis_balance::Algorithm;
use portcullis_snapshot::cluster::health::{BodyMatch, HttpProbe};
use portcullis_snapshot::{HealthCheck, HealthProbe, SourceKey, UpstreamProtocol, UpstreamTls};
use portcullis_types::quantity::format_duration;
use std::ops::RangeInclusive;

use super::Facts;
use super::attempts::say_attempts;
use super::limits::say_limits;
use super::tuning::{say_reports, say_tuning};
use crate::plan::{AddressPlan, ClusterPlan, EndpointPlan};

impl ClusterPlan {
    pub(crate) fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        match &self.hash_key {
            Some(key) => {
                facts.say("balance", format_args!("{} by {key}", self.algorithm.as_str()));
                if let Algorithm::Hash(bound) = &self.algorithm {
                    facts.say("balance.hash.bound", format_args!("{}%", bound.percent()));
                }
            }
            None => facts.say("balance", self.algorithm.as_str()),
        }
        facts.say("protocol", protocol(self.protocol));
        match &self.tls {
            None => facts.say("tls", false),
            Some(tls) => say_tls(tls, &mut facts),
        }
        say_attempts(self, &mut facts);
        say_limits(&self.limits, &mut facts);
        facts.say("keepalive", format_duration(self.keepalive));
        facts.say("panic_threshold", self.panic_threshold);
        say_tuning(&self.tuning, &mut facts);
        say_reports(&self.reports, &mut facts);
        if let Some(health) = &self.health {
            say_health(health, &mut facts);
        }
        facts
    }
}

impl EndpointPlan {
    pub(crate) fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        match &self.address {
            AddressPlan::Socket(_) | AddressPlan::Source(SourceKey::Name { .. }) => {
                facts.say("weight", self.weight.unwrap_or(1));
                facts.say("priority", self.priority.unwrap_or(0));
            }
            AddressPlan::Source(_) => {
                facts.say_some("weight", self.weight);
                facts.say_some("priority", self.priority);
            }
        }
        facts.say_some("zone", self.zone.as_ref());
        for (name, value) in &self.labels {
            facts.say(format!("labels.{name}"), value);
        }
        facts
    }
}

fn say_tls(tls: &UpstreamTls, facts: &mut Facts) {
    facts.say("tls", true);
    facts.say("tls.server_name", &tls.server_name);
    facts.say("tls.verify", tls.verify);
    if let Some(ca) = &tls.ca {
        facts.hide("tls.ca", ca);
    }
    if let Some(client) = &tls.client {
        facts.hide("tls.cert", client);
    }
}

fn say_health(health: &HealthCheck, facts: &mut Facts) {
    match &health.probe {
        HealthProbe::Tcp => facts.say("health_check", "tcp"),
        HealthProbe::Tls => facts.say("health_check", "tls"),
        HealthProbe::Http(http) => say_http(http, facts),
        HealthProbe::Solana(solana) => {
            facts.say("health_check", "solana");
            facts.say("health_check.solana.path", &solana.path);
            facts.say("health_check.solana.host", solana.host.to_str().unwrap_or_default());
            facts.say("health_check.solana.max_unprocessed", solana.max_unprocessed);
            facts.say("health_check.solana.batch", solana.batch);
        }
        HealthProbe::Grpc(grpc) => {
            facts.say("health_check", "grpc");
            facts.say("health_check.grpc.service", &grpc.service);
            facts.say("health_check.grpc.host", grpc.host.to_str().unwrap_or_default());
        }
    }
    facts.say_duration("health_check.interval", health.policy.interval);
    facts.say_duration("health_check.timeout", health.policy.timeout);
    facts.say("health_check.unhealthy_after", health.policy.unhealthy_after);
    facts.say("health_check.healthy_after", health.policy.healthy_after);
    facts.say_some("health_check.port", health.port);
    facts.say("health_check.tls", health.tls.is_some());
    facts.say("health_check.protocol", protocol(health.protocol));
    facts.say("health_check.reuse", health.reuse);
    facts.say("health_check.jitter", health.policy.jitter);
}

fn say_http(http: &HttpProbe, facts: &mut Facts) {
    facts.say("health_check", "http");
    facts.say("health_check.http.path", &http.path);
    facts.say("health_check.http.host", http.host.to_str().unwrap_or_default());
    let range = |range: &RangeInclusive<u16>| format!("{}-{}", range.start(), range.end());
    facts.say_list("health_check.http.statuses", http.statuses.iter().map(range));
    match &http.body {
        None => {}
        Some(BodyMatch::Contains(text)) => facts.say("health_check.http.body.contains", text),
        Some(BodyMatch::Regex(regex)) => facts.say("health_check.http.body.regex", regex),
    }
}

const fn protocol(protocol: UpstreamProtocol) -> &'static str {
    match protocol {
        UpstreamProtocol::Http1 => "http1",
        UpstreamProtocol::Http2 => "http2",
    }
}
