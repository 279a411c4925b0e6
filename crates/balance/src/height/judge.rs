//! Comparing the endpoints of a cluster, under the lock of the lineage.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::reference::{Reference, compare, follow};
use super::{HeightEvent, HeightPolicy, HeightStanding, Sounding};
use crate::endpoint::Endpoint;
use crate::lineage::{Inner, Lineage};
use crate::set::EndpointSet;
use crate::signals::Stamp;
use crate::state::EndpointState;

/// Events that wait to be told; past this many the oldest are dropped.
const EVENTS: usize = 256;
/// Endpoints are compared no more often than once in so long for each of them, so that the work of a fleet does not
/// grow with its square.
const SPACING: Duration = Duration::from_millis(1);
/// However large the fleet is.
const MOST_SPACING: Duration = Duration::from_millis(100);

/// What the endpoints of a lineage are measured by, and what is to be told of it.
#[derive(Debug, Default)]
pub(crate) struct Heights {
    reference: Option<Reference>,
    judged: Option<Stamp>,
    events: VecDeque<HeightEvent>,
}

impl EndpointSet {
    /// Compares the heights of the cluster's endpoints, if that is due, and tells what changed since the last call. To
    /// be called every second or so; checks compare by themselves.
    pub fn watch_heights(&self, now: Instant) -> Vec<HeightEvent> {
        self.lineage().judge_heights(now);
        self.lineage().lock().heights.events.drain(..).collect()
    }

    /// The height that endpoints are measured by.
    #[must_use]
    pub fn reference_height(&self) -> Option<u64> {
        self.lineage().lock().heights.reference.map(|reference| reference.height)
    }

    /// Where an endpoint of this set is beside the others; `None` where heights are not followed, or nothing was heard.
    #[must_use]
    pub fn height_of(&self, endpoint: &Endpoint, now: Instant) -> Option<HeightStanding> {
        let policy = self.tuning().heights.as_ref()?;
        let reference = self.lineage().lock().heights.reference;
        endpoint.state().mark().standing(self.lineage().stamp(now), reference, policy)
    }
}

impl EndpointState {
    /// Takes in what a check found of the endpoint's height, and compares.
    pub fn sound(&self, now: Instant, sounding: Sounding) {
        self.mark().sound(self.lineage().stamp(now), sounding);
        self.lineage().judge_heights(now);
    }

    /// Takes in the height that an answer speaks of: the endpoint has reached it.
    pub fn hear_height(&self, now: Instant, least: u64) {
        self.mark().hear(self.lineage().stamp(now), least);
    }

    /// The height that it is known to have.
    #[must_use]
    pub fn height(&self) -> Option<u64> {
        self.mark().height()
    }

    /// Whether its height keeps requests away while others may take them.
    #[must_use]
    pub fn is_off_height(&self) -> bool {
        self.mark().is_out()
    }

    /// Whether answers since a moment tell as much as a check would: that it keeps up, by a height of its own.
    #[must_use]
    pub fn is_told_since(&self, then: Instant, policy: &HeightPolicy) -> bool {
        let (mark, lineage) = (self.mark(), self.lineage());
        let close = |height: u64| height.saturating_add(policy.max_lag / 2) >= lineage.reference();
        mark.told() > lineage.stamp(then) && mark.is_level() && mark.height().is_some_and(close)
    }

    /// The height it has as far as that is believed.
    pub(crate) fn believed_height(&self) -> u64 {
        let height = self.mark().height().unwrap_or(0);
        if self.mark().is_ahead() { height.min(self.lineage().reference()) } else { height }
    }
}

impl Lineage {
    pub(crate) fn judge_heights(&self, now: Instant) {
        let mut inner = self.lock();
        let Some(set) = inner.newest.upgrade() else { return };
        let Some(policy) = set.tuning().heights else { return };
        let stamp = self.stamp(now);
        if !inner.heights.is_due(set.endpoints().len(), stamp) {
            return;
        }
        let changed = inner.compare(&set, (now, stamp), &policy);
        self.set_reference(inner.heights.reference.map_or(0, |reference| reference.height));
        if changed || inner.any_behind() {
            inner.refresh(now);
        }
    }
}

impl Heights {
    fn is_due(&self, endpoints: usize, now: Stamp) -> bool {
        let endpoints = u32::try_from(endpoints).unwrap_or(u32::MAX);
        let spacing = SPACING.saturating_mul(endpoints).min(MOST_SPACING);
        self.judged.is_none_or(|judged| super::reference::between(judged, now) >= spacing)
    }

    fn tell(&mut self, event: HeightEvent) {
        if self.events.len() >= EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

impl Inner {
    /// Whether who may take requests has changed.
    fn compare(&mut self, set: &Arc<EndpointSet>, (now, stamp): (Instant, Stamp), policy: &HeightPolicy) -> bool {
        self.heights.judged = Some(stamp);
        let views: Vec<_> = set.endpoints().iter().map(|one| one.state().mark().view(stamp, policy)).collect();
        let reference = follow(self.heights.reference, &views, stamp, policy);
        let before = std::mem::replace(&mut self.heights.reference, reference);
        let breaks = reference.zip(before).is_some_and(|(reference, before)| reference.breaks_with(&before, policy));
        let bearings = compare(&views, reference, stamp, policy);
        let mut changed = false;
        for ((endpoint, view), bearing) in set.endpoints().iter().zip(&views).zip(bearings) {
            let mark = endpoint.state().mark();
            let near = |height: &u64| reference.is_some_and(|it| it.firm && it.is_near(*height, policy));
            let near = view.height.filter(near).map(|height| (height, stamp));
            let near = near.or(view.near.filter(|_| !breaks));
            let Some((before, lasted)) = mark.judge(bearing, near, now) else { continue };
            changed |= before.is_out() != bearing.is_out();
            if (before.is_off() || bearing.is_off())
                && let Some(standing) = mark.standing(stamp, reference, policy)
            {
                let spec = endpoint.spec();
                self.heights.tell(HeightEvent {
                    endpoint: spec.name.clone(),
                    address: spec.address,
                    standing,
                    before,
                    lasted,
                });
            }
        }
        changed
    }
}
