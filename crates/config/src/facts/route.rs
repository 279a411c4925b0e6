//! Facts of a route.

use std::time::Duration;

use http::HeaderMap;
use portcullis_filter::Response;
use portcullis_snapshot::ClusterIdx;
use portcullis_types::quantity::format_duration;
use portcullis_types::{ByteSize, Percent, Scheme};

use super::host::{dialect, say_filters};
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
            ActionPlan::Respond(response) => say_respond(response, &mut facts),
        }
        say_filters(&self.filters, &mut facts);
        facts.say("body_limit", self.body_limit.map_or_else(|| "0".to_owned(), |limit| ByteSize(limit).to_string()));
        facts.say("errors", dialect(self.dialect));
        facts.say_some("cache", self.cache.as_ref());
        facts.say("upgrade", self.upgrade);
        facts
    }
}

fn cluster_name(clusters: &[ClusterPlan], index: ClusterIdx) -> &str {
    clusters.get(index.0 as usize).map_or("", |cluster| cluster.name.as_str())
}

fn say_forward(forward: &ForwardPlan, clusters: &[ClusterPlan], facts: &mut Facts) {
    match &forward.target {
        TargetPlan::Cluster(index) => facts.say("to", cluster_name(clusters, *index)),
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
    let timeouts = &forward.timeouts;
    facts.say_some("timeouts.connect", timeouts.connect.map(format_duration));
    facts.say_some("timeouts.first_byte", timeouts.first_byte.map(format_duration));
    facts.say_some("timeouts.idle", timeouts.idle.map(format_duration));
    facts.say_some("timeouts.total", timeouts.total.map(|total| format_duration(total.unwrap_or(Duration::ZERO))));
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

fn say_respond(response: &Response, facts: &mut Facts) {
    facts.say("respond.status", response.header.status.as_u16());
    say_fields(&response.header.headers, facts);
    let text = String::from_utf8_lossy(&response.body);
    match text.char_indices().nth(BODY_SHOWN) {
        None => facts.say("respond.body", format_args!("{:?}", text)),
        Some((end, _)) => {
            let shown = text.get(..end).unwrap_or_default();
            // The hash tells two long bodies apart that begin alike.
            let length = response.body.len();
            facts.say("respond.body", format_args!("{shown:?}… ({length} bytes, {:08x})", hash_of(&text) >> 32));
        }
    }
}

fn say_fields(fields: &HeaderMap, facts: &mut Facts) {
    for (name, value) in fields {
        facts.say(format!("respond.headers.{name}"), String::from_utf8_lossy(value.as_bytes()));
    }
}
