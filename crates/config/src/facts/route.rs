//! Facts of a route.

use http::HeaderMap;
use portcullis_filter::Response;
use portcullis_snapshot::ClusterIdx;
use portcullis_types::{ByteSize, Percent, Scheme};

use super::attempts::{say_fallback, say_route_timeouts};
use super::host::{dialect, say_filters};
use super::limits::say_limits;
use super::tracing::say_route_tracing;
use super::{Facts, hash_of};
use crate::plan::{ActionPlan, ClusterPlan, ForwardPlan, RedirectPlan, RoutePlan, TargetPlan};

/// How much of a body is shown.
const BODY_SHOWN: usize = 40;

impl RoutePlan {
    /// The clusters are those of the same config: a route names them by their places.
    pub(crate) fn facts(&self, clusters: &[ClusterPlan]) -> Facts {
        let mut facts = Facts::default();
        facts.say("match", self.matcher.describe());
        match &self.action {
            ActionPlan::Forward(forward) => say_forward(forward, clusters, &mut facts),
            ActionPlan::Redirect(redirect) => say_redirect(redirect, &mut facts),
            ActionPlan::Respond(response) => say_respond("respond", response, &mut facts),
        }
        say_filters(&self.filters, &mut facts);
        facts.say("body_limit", self.body_limit.map_or_else(|| "0".to_owned(), |limit| ByteSize(limit).to_string()));
        facts.say("errors", dialect(self.dialect));
        facts.say_some("cache", self.cache.as_ref());
        facts.say("upgrade", self.upgrade);
        facts.say("idempotent", self.idempotent);
        facts.say("hedge", self.hedge);
        say_limits(&self.limits, &mut facts);
        facts.say("priority", self.priority.as_str());
        say_route_tracing(&self.tracing, &mut facts);
        facts
    }
}

pub(super) fn cluster_name(clusters: &[ClusterPlan], index: ClusterIdx) -> &str {
    clusters.get(index.0 as usize).map_or("", |cluster| cluster.name.as_str())
}

fn say_forward(forward: &ForwardPlan, clusters: &[ClusterPlan], facts: &mut Facts) {
    match &forward.target {
        TargetPlan::Cluster(index) => facts.say("to", cluster_name(clusters, *index)),
        TargetPlan::Subset { cluster, labels, .. } => {
            facts.say("to", cluster_name(clusters, *cluster));
            facts.say_list("to.subset", labels.iter().map(|(name, value)| format!("{name}: {value}")));
        }
        TargetPlan::Split { split, sticky } => {
            let share = |(index, weight): (&ClusterIdx, u32)| format!("{}: {weight}", cluster_name(clusters, *index));
            facts.say_list("to.split", split.items().map(share));
            facts.say_some("to.sticky", sticky.as_ref());
        }
    }
    facts.say_some("rewrite", forward.rewrite.as_ref().map(|rewrite| &rewrite.text));
    facts.say_some("rewrite.host", forward.host.as_ref().and_then(|host| host.to_str().ok()));
    if let Some((index, share)) = forward.mirror {
        let share = if share == Percent::ALL { String::new() } else { format!(" {share}") };
        facts.say("mirror", format_args!("{}{share}", cluster_name(clusters, index)));
    }
    say_route_timeouts(&forward.timeouts, facts);
    say_fallback(forward.fallback.as_ref(), clusters, facts);
}

fn say_redirect(plan: &RedirectPlan, facts: &mut Facts) {
    let redirect = &plan.redirect;
    facts.say("redirect.status", redirect.status.code());
    facts.say_some("redirect.scheme", redirect.scheme.map(Scheme::as_str));
    facts.say_some("redirect.host", redirect.host.as_ref());
    facts.say_some("redirect.port", redirect.port);
    facts.say_some("redirect.path", plan.path_text.as_ref());
    facts.say("redirect.keep_query", redirect.keep_query);
}

pub(super) fn say_respond(key: &str, response: &Response, facts: &mut Facts) {
    facts.say(format!("{key}.status"), response.header.status.as_u16());
    say_fields(key, &response.header.headers, facts);
    let text = String::from_utf8_lossy(&response.body);
    match text.char_indices().nth(BODY_SHOWN) {
        None => facts.say(format!("{key}.body"), format_args!("{:?}", text)),
        Some((end, _)) => {
            let shown = text.get(..end).unwrap_or_default();
            // The hash tells two long bodies apart that begin alike.
            let length = response.body.len();
            facts.say(format!("{key}.body"), format_args!("{shown:?}… ({length} bytes, {:08x})", hash_of(&text) >> 32));
        }
    }
}

fn say_fields(key: &str, fields: &HeaderMap, facts: &mut Facts) {
    for (name, value) in fields {
        facts.say(format!("{key}.headers.{name}"), String::from_utf8_lossy(value.as_bytes()));
    }
}
