//! Facts of a listener.

use portcullis_snapshot::ListenerLimits;

use super::Facts;
use crate::plan::{KindPlan, ListenerPlan, TlsPlan};

impl ListenerPlan {
    pub(crate) fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        facts.say_list("bind", &self.bind);
        match &self.kind {
            KindPlan::Handler(name) => facts.say("handler", name),
            KindPlan::Http { http1, http2 } => {
                let h2 = if self.tls.is_some() { "http2" } else { "h2c" };
                facts.say_list("protocols", http1.then_some("http1").into_iter().chain(http2.then_some(h2)));
            }
        }
        if let Some(tls) = &self.tls {
            tls.say(&mut facts);
        }
        limits(&self.limits, &mut facts);
        if let Some(from) = &self.proxy_protocol {
            facts.say_list("proxy_protocol.from", from);
        }
        facts.say_some("connect", self.connect.as_ref());
        facts.say("half_close", self.half_close);
        facts
    }
}

impl TlsPlan {
    /// What a TLS configuration depends on, certificates and keys included.
    pub(crate) fn say(&self, facts: &mut Facts) {
        facts.say_list("tls.certificates", self.identities.iter().map(|(path, _)| path));
        for (path, identity) in &self.identities {
            facts.hide(format!("tls.certificates.{path}"), identity.fingerprint);
        }
        if let Some(client) = &self.client {
            facts.say("tls.client_ca", &client.path);
            facts.hide(format!("tls.client_ca.{}", client.path), &client.authorities);
            facts.say("tls.client_auth", if client.required { "required" } else { "optional" });
        }
        facts.say("tls.min_version", if self.only_tls13 { "1.3" } else { "1.2" });
    }
}

fn limits(limits: &ListenerLimits, facts: &mut Facts) {
    facts.say("limits.connections", limits.connections);
    facts.say("limits.connections_per_network", limits.connections_per_network);
    facts.say_duration("limits.handshake_timeout", limits.handshake_timeout);
    facts.say_duration("limits.header_timeout", limits.header_timeout);
    facts.say_bytes("limits.header_bytes", limits.header_bytes as u64);
    facts.say("limits.header_fields", limits.header_fields);
    facts.say_bytes("limits.target_bytes", limits.target_bytes as u64);
    facts.say_duration("limits.idle_timeout", limits.idle_timeout);
    facts.say_duration("limits.body_timeout", limits.body_timeout);
    facts.say_bytes("limits.body_rate", limits.body_rate);
    facts.say_duration("limits.write_timeout", limits.write_timeout);
    facts.say("limits.requests", limits.requests);
    let http2 = &limits.http2;
    facts.say("limits.streams", http2.streams);
    facts.say("limits.resets", http2.resets);
    facts.say("limits.continuations", http2.continuations);
    facts.say("limits.control_frames", http2.control_frames);
    facts.say_bytes("limits.stream_window", u64::from(http2.stream_window));
    facts.say_bytes("limits.connection_window", u64::from(http2.connection_window));
}
