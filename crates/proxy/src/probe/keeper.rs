//! The beat of a gateway: every second it brings endpoints back whose time out is over, tells what outlier detection
//! did, and states how the endpoints stand; and it lets the checks follow endpoints that come and go.

use std::sync::Weak;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use portcullis_balance::{EndpointState, Health, OutlierChange, OutlierEvent, Resort};
use portcullis_snapshot::{Cluster, Members};
use portcullis_telemetry::metrics::{EndpointMetrics, Health as Shown, Standing};

use crate::gateway::Gateway;

/// How often clusters are looked at.
const BEAT: Duration = Duration::from_secs(1);

/// Keeps the clusters of the generations that serve until the gateway is gone or drains.
pub(crate) async fn keep(gateway: Weak<Gateway>) {
    let mut changes = None;
    let mut beat = tokio::time::interval(BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let endpoints_changed = tokio::select! {
            _ = beat.tick() => false,
            () = change(&mut changes) => true,
        };
        let Some(gateway) = gateway.upgrade().filter(|gateway| gateway.is_ready()) else { return };
        let clusters = gateway.generations().clusters();
        if endpoints_changed {
            gateway.follow();
        } else if changes.is_none() {
            // All fleets tell of their changes together; a config without clusters has none to ask.
            changes = clusters.first().map(|cluster| cluster.fleet.changed());
        }
        let now = Instant::now();
        clusters.iter().for_each(|cluster| look(cluster, now));
    }
}

/// Waits until endpoints changed without a generation.
async fn change(changes: &mut Option<watch::Receiver<u64>>) {
    let told = match changes {
        Some(receiver) => receiver.changed().await.is_ok(),
        None => false,
    };
    if !told {
        std::future::pending::<()>().await;
    }
}

fn look(cluster: &Cluster, now: Instant) {
    let members = cluster.fleet.members();
    for event in members.endpoints.sweep(now) {
        log::warn!("cluster {}: {event}", cluster.name);
        count(cluster, &event);
    }
    for event in members.endpoints.watch_heights(now) {
        log::warn!("cluster {}: {event}", cluster.name);
    }
    for (endpoint, metrics) in members.each() {
        show(endpoint.state(), endpoint.spec().weight == 0, metrics);
        let thousandths = (endpoint.state().reported(now).0 * 1000.0).round();
        metrics.set_utilisation(whole(thousandths));
        let height = members.endpoints.height_of(endpoint, now);
        metrics.set_height(height.map(|height| (height.height, height.lag())));
    }
    stand(cluster, &members);
}

/// A number of thousandths, of which there are 2000 at most.
#[expect(clippy::cast_possible_truncation, reason = "clamped to what fits")]
#[expect(clippy::cast_sign_loss, reason = "clamped to what fits")]
const fn whole(thousandths: f32) -> u32 {
    thousandths.clamp(0.0, 2000.0) as u32
}

fn count(cluster: &Cluster, event: &OutlierEvent) {
    match event.change {
        OutlierChange::Ejected { cause, .. } => cluster.metrics.health().ejected(cause.as_str()),
        OutlierChange::Returned { .. } => {}
    }
}

/// States how the cluster stands, and says when panic begins and ends.
fn stand(cluster: &Cluster, members: &Members) {
    let set = &members.endpoints;
    let panicking = set.is_panicking();
    let (available, ejected) = (set.available() as u64, set.ejected() as u64);
    let leaving_zone = whole((set.leaving_zone() * 1000.0).round());
    if cluster.metrics.health().set(Standing { available, ejected, panicking, leaving_zone }) {
        let all = set.endpoints().len();
        match panicking {
            true => {
                log::warn!("cluster {}: {}", cluster.name, panic_words(set.resort(), all));
            }
            false => {
                log::warn!("cluster {}: enough of its {all} endpoints are well; health counts again", cluster.name);
            }
        }
    }
}

fn panic_words(resort: Resort, all: usize) -> String {
    match resort {
        Resort::Usual => format!("too few of its {all} endpoints are well, so health is ignored"),
        Resort::Behind | Resort::Last => format!("{resort} ({all} there are)"),
    }
}

/// States an endpoint's health.
pub(super) fn show(state: &EndpointState, drained: bool, metrics: &EndpointMetrics) {
    metrics.set_health(match (drained, state.health()) {
        (true, _) => Shown::Draining,
        (false, Health::Unhealthy) => Shown::Unhealthy,
        (false, Health::Healthy | Health::Unknown) if state.is_ejected() => Shown::Ejected,
        (false, Health::Healthy) => Shown::Healthy,
        (false, Health::Unknown) => Shown::Unknown,
    });
}
