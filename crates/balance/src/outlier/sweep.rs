//! Taking endpoints out and bringing them back, under the lock of the lineage.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::judge::judge;
use super::watch::Window;
use super::{EjectionCause, OutlierChange, OutlierEvent};
use crate::lineage::{Inner, Lineage};
use crate::set::EndpointSet;
use crate::state::EndpointState;

/// Events that wait for [`EndpointSet::sweep`]; past this many the oldest are dropped.
const EVENTS: usize = 256;

/// Whether most endpoints fail is looked at no more often than this, once they did.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

impl EndpointSet {
    /// Brings back endpoints whose time out is over, judges the window when one is over, and tells what happened since
    /// the last call. To be called every second or so, for one generation of the cluster.
    pub fn sweep(&self, now: Instant) -> Vec<OutlierEvent> {
        self.lineage().sweep(now)
    }

    /// How many endpoints outlier detection may take out at once.
    #[must_use]
    pub fn max_ejected(&self) -> usize {
        let Some(policy) = self.tuning().outliers else { return 0 };
        let all = self.weighted().count();
        let share = all as u64 * u64::from(policy.max_ejected.millionths()) / 1_000_000;
        usize::try_from(share).unwrap_or(all).max(1).min(all.saturating_sub(1))
    }

    /// How many it has taken out.
    #[must_use]
    pub fn ejected(&self) -> usize {
        self.weighted().filter(|state| state.watch().is_out()).count()
    }

    /// The endpoints that are not drained.
    fn weighted(&self) -> impl Iterator<Item = &Arc<EndpointState>> {
        self.endpoints().iter().filter(|endpoint| endpoint.spec().weight > 0).map(|endpoint| endpoint.state())
    }

    fn may_eject(&self, suspect: &EndpointState) -> bool {
        let usable = |state: &EndpointState| !state.watch().is_out() && self.allows(state.health());
        let is_suspect = |state: &EndpointState| std::ptr::eq(state, suspect);
        self.weighted().any(|state| is_suspect(state))
            && self.ejected() < self.max_ejected()
            && self.weighted().any(|state| !is_suspect(state) && usable(state))
    }

    /// Whether most of the endpoints in use, but for one, fail too.
    fn most_fail(&self, suspect: &EndpointState) -> bool {
        let others = self.weighted().filter(|state| {
            !std::ptr::eq(&***state, suspect) && !state.watch().is_out() && self.allows(state.health())
        });
        let (all, well) =
            others.fold((0, 0), |(all, well), state| (all + 1, well + usize::from(state.watch().streak() <= 1)));
        well * 2 < all
    }
}

impl Lineage {
    /// Takes an endpoint out, if the newest generation allows it.
    pub(crate) fn eject(&self, state: &EndpointState, now: Instant, cause: EjectionCause) {
        let mut inner = self.lock();
        let Some(set) = inner.newest.upgrade() else { return };
        if inner.eject(&set, state, now, cause) {
            inner.refresh(now);
        }
    }

    fn sweep(&self, now: Instant) -> Vec<OutlierEvent> {
        let mut inner = self.lock();
        let Some(set) = inner.newest.upgrade() else { return Vec::new() };
        let mut changed = inner.bring_back(&set, now);
        if let Some(policy) = set.tuning().outliers
            && now.saturating_duration_since(inner.window_began) >= policy.interval
        {
            inner.window_began = now;
            let states: Vec<&Arc<EndpointState>> = set.weighted().collect();
            let windows: Vec<Window> = states.iter().map(|state| state.watch().close()).collect();
            for (at, cause) in judge(&policy, &windows) {
                if let Some(state) = states.get(at) {
                    changed |= inner.eject(&set, state, now, cause);
                }
            }
        }
        if changed {
            inner.refresh(now);
        }
        inner.events.drain(..).collect()
    }
}

impl Lineage {
    /// Brings an endpoint back that active checks have found well again.
    pub(crate) fn acquit(&self, state: &EndpointState, now: Instant) {
        self.lock().acquit(state, now);
    }
}

impl Inner {
    fn acquit(&mut self, state: &EndpointState, now: Instant) {
        if let Some(out) = state.watch().bring_back(now) {
            self.tell(state, now, OutlierChange::Returned { after: now.saturating_duration_since(out.since) });
        }
    }

    fn eject(&mut self, set: &EndpointSet, state: &EndpointState, now: Instant, cause: EjectionCause) -> bool {
        let Some(policy) = set.tuning().outliers else { return false };
        // When most fail, taking endpoints out mends nothing and leaves too few once the fault is over. It goes on for
        // a while after: answers to requests from before come in late.
        let since = self.most_failed.map(|then| now.saturating_duration_since(then));
        if since.is_none_or(|since| since > LOOK_AGAIN) && set.most_fail(state) {
            self.most_failed = Some(now);
            return false;
        }
        if since.is_some_and(|since| since < policy.interval) || !set.may_eject(state) {
            return false;
        }
        let Some(out) = state.watch().eject(&policy, now, cause) else { return false };
        self.tell(
            state,
            now,
            OutlierChange::Ejected { cause, lasts: out.until.saturating_duration_since(now), times: out.times },
        );
        true
    }

    /// Brings back those whose time is over, all when outliers are no longer looked for, and those that have been out
    /// longest while more are out than may be, as after a reload that took endpoints away.
    pub(crate) fn bring_back(&mut self, set: &EndpointSet, now: Instant) -> bool {
        let mut out: Vec<(Instant, Instant, &Arc<EndpointState>)> = set
            .endpoints()
            .iter()
            .map(|endpoint| endpoint.state())
            .filter_map(|state| state.watch().record().out.map(|out| (out.since, out.until, state)))
            .collect();
        out.sort_by_key(|(since, ..)| *since);
        // Drained ones do not count against the cap.
        let mut surplus = set.ejected().saturating_sub(set.max_ejected());
        let mut changed = false;
        for (_, until, state) in out {
            if surplus > 0 || until <= now || set.tuning().outliers.is_none() {
                surplus = surplus.saturating_sub(1);
                changed = true;
                state.begin_ramp(now);
                self.acquit(state, now);
            }
        }
        changed
    }

    fn tell(&mut self, state: &EndpointState, at: Instant, change: OutlierChange) {
        if self.events.len() >= EVENTS {
            let _ = self.events.pop_front();
        }
        self.events.push_back(OutlierEvent { endpoint: state.name().clone(), address: state.address(), at, change });
    }
}
