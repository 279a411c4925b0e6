//! A cluster's endpoints: where each stands, and whether a request would pass it over.

use std::time::Duration;

use portcullis_balance::{Algorithm, EndpointSet, EndpointStanding};
use portcullis_types::quantity::format_duration;

use super::draw::Draw;
use super::finding::{ClusterFinding, EndpointFinding};
use super::{MOST, Moment};
use crate::cluster::{Cluster, Members, UpstreamProtocol};
use crate::route::Timeouts;

/// Tells of a cluster. `key` is the hash of what the request is balanced by.
pub(super) fn describe(
    cluster: &Cluster,
    because: String,
    timeouts: &Timeouts,
    (members, set): (&Members, &EndpointSet),
    (key, moment): (Option<u64>, Moment<'_>),
) -> ClusterFinding {
    let standings = set.explain(moment.now);
    let draw = Draw::of((cluster, set), key, &standings, moment.now);
    let one = |standing: &EndpointStanding| {
        let share = draw.as_ref().and_then(|draw| draw.share(standing));
        EndpointFinding { share, ..endpoint(standing, moment.live) }
    };
    let endpoints: Vec<_> = standings.iter().take(MOST).map(one).collect();
    ClusterFinding {
        name: cluster.name.to_string(),
        because,
        balance: balance(cluster, members),
        protocol: protocol(cluster),
        timeouts: words(timeouts),
        retry: cluster.retry.policy.to_string(),
        hedge: None,
        limits: String::new(),
        failover: None,
        fallback: None,
        at: None,
        endpoint: draw.as_ref().and_then(|draw| draw.endpoint.as_ref().map(ToString::to_string)),
        chosen: draw.map(|draw| draw.because),
        mirror: None,
        discovery: discovery(cluster, moment),
        endpoints_left_out: standings.len().saturating_sub(endpoints.len()),
        endpoints,
    }
}

/// What is to know of sources and overrides: nothing, where all sources answer.
fn discovery(cluster: &Cluster, moment: Moment<'_>) -> Vec<String> {
    let feeds = cluster.fleet.plan().feeds().map(|feed| (feed.key(), feed.status(moment.now)));
    let silent = feeds.filter(|(_, status)| status.as_str() != "answered");
    let mut told: Vec<String> = silent.map(|(key, status)| format!("{key}: {status}")).collect();
    told.extend(cluster.fleet.overrides().iter().map(|one| one.says(moment.now)));
    told.extend(cluster.fleet.trouble().map(|why| format!("the endpoints stay what they were: {why}")));
    told
}

fn balance(cluster: &Cluster, members: &Members) -> String {
    let algorithm = &members.endpoints.options().algorithm;
    match (algorithm, &cluster.hash_key) {
        (Algorithm::Hash(bound), Some(key)) => {
            format!("hash by {key}, bounded to {}% of the fair share", bound.percent())
        }
        _ => algorithm.as_str().to_owned(),
    }
}

fn protocol(cluster: &Cluster) -> String {
    let spoken = match (cluster.protocol, cluster.tls.is_some()) {
        (UpstreamProtocol::Http1, _) => "HTTP/1.1",
        (UpstreamProtocol::Http2, true) => "HTTP/2",
        (UpstreamProtocol::Http2, false) => "HTTP/2 (h2c)",
    };
    match &cluster.tls {
        Some(tls) if tls.verify => format!("{spoken} over TLS, verified as {}", tls.server_name),
        Some(tls) => format!("{spoken} over TLS to {}, not verified", tls.server_name),
        None => spoken.to_owned(),
    }
}

fn words(timeouts: &Timeouts) -> String {
    let Timeouts { connect, per_try, first_byte, idle, total } = timeouts;
    let per_try = per_try.map_or_else(String::new, |per_try| format!(", one try {}", format_duration(per_try)));
    let total = total.map_or_else(|| "no limit".to_owned(), format_duration);
    format!(
        "connect {}, first byte {}, idle {}{per_try}, total {total}",
        format_duration(*connect),
        format_duration(*first_byte),
        format_duration(*idle)
    )
}

fn endpoint(standing: &EndpointStanding, live: bool) -> EndpointFinding {
    let EndpointStanding { name, address, place, .. } = standing;
    let why = if live {
        let lasted = format_duration(Duration::from_secs(standing.lasted.as_secs()));
        format!("{place}, for {lasted}. {}", standing.would_change)
    } else {
        format!("{place}")
    };
    EndpointFinding {
        name: name.to_string(),
        address: address.to_string(),
        weight: standing.weight,
        priority: standing.priority,
        zone: standing.zone.as_ref().map(ToString::to_string),
        takes: place.takes_requests(),
        standing: place.as_str(),
        why,
        in_flight: standing.in_flight,
        share: None,
    }
}
