//! Facts of a cluster. Its endpoints are apart: they are compared one by one.

use portcullis_snapshot::{HealthCheck, HealthProbe, Timeouts, UpstreamProtocol, UpstreamTls};
use portcullis_types::quantity::format_duration;

use super::Facts;
use crate::plan::{ClusterPlan, EndpointPlan};

impl ClusterPlan {
    pub(crate) fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        match &self.hash_key {
            Some(key) => facts.say("balance", format_args!("{} by {key}", self.algorithm.as_str())),
            None => facts.say("balance", self.algorithm.as_str()),
        }
        facts.say(
            "protocol",
            match self.protocol {
                UpstreamProtocol::Http1 => "http1",
                UpstreamProtocol::Http2 => "http2",
            },
        );
        match &self.tls {
            None => facts.say("tls", false),
            Some(tls) => say_tls(tls, &mut facts),
        }
        say_timeouts(&self.timeouts, &mut facts);
        facts.say("retry.attempts", self.attempts);
        facts.say("keepalive", format_duration(self.keepalive));
        if let Some(health) = &self.health {
            say_health(health, &mut facts);
        }
        facts
    }
}

impl EndpointPlan {
    pub(crate) fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        facts.say("weight", self.weight);
        facts.say("priority", self.priority);
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

fn say_timeouts(timeouts: &Timeouts, facts: &mut Facts) {
    facts.say_duration("timeouts.connect", timeouts.connect);
    facts.say_duration("timeouts.first_byte", timeouts.first_byte);
    facts.say_duration("timeouts.idle", timeouts.idle);
    facts.say_duration("timeouts.total", timeouts.total.unwrap_or_default());
}

fn say_health(health: &HealthCheck, facts: &mut Facts) {
    match &health.probe {
        HealthProbe::Tcp => facts.say("health_check", "tcp"),
        HealthProbe::Http { path, host, statuses } => {
            facts.say("health_check", "http");
            facts.say("health_check.http.path", path);
            facts.say("health_check.http.host", host.to_str().unwrap_or_default());
            facts.say("health_check.http.statuses", format_args!("{}-{}", statuses.start(), statuses.end()));
        }
    }
    facts.say_duration("health_check.interval", health.policy.interval);
    facts.say_duration("health_check.timeout", health.policy.timeout);
    facts.say("health_check.unhealthy_after", health.policy.unhealthy_after);
    facts.say("health_check.healthy_after", health.policy.healthy_after);
    facts.say_some("health_check.port", health.port);
}
