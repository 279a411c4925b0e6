//! What endpoints are measured by, and how each of them compares. Pure: heights and moments in, verdicts out.

use std::time::Duration;

use super::{Bearing, HeightPolicy, OwnWord};
use crate::signals::Stamp;

/// What the endpoints of a cluster are measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) height: u64,
    pub(crate) at: Stamp,
    /// How much of what time allows was not used, so that a height that stood still for a moment may catch up: as the time
    /// that it takes to rise so far, since judgements come faster than heights.
    spare: Duration,
    /// Whether two endpoints agreed on it, then or on the way to it.
    pub(super) firm: bool,
}

/// What is known of one endpoint when it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct View {
    /// The height that it has now at the usual pace; `None` when nothing was heard of late.
    pub(crate) height: Option<u64>,
    pub(crate) own: OwnWord,
    pub(crate) was: Bearing,
    /// When it was last near the reference, and where that was.
    pub(crate) near: Option<(u64, Stamp)>,
}

/// The time from one moment to another, which may not be later.
pub(super) const fn between(from: Stamp, to: Stamp) -> Duration {
    Duration::from_nanos(to.0.saturating_sub(from.0))
}

/// The heights that have a say: those of endpoints that think well of themselves, or all when these are less than two.
fn voices(views: &[View]) -> Vec<u64> {
    let of =
        |all: bool| views.iter().filter(move |view| all || view.own == OwnWord::Well).filter_map(|view| view.height);
    let mut heights: Vec<u64> = of(false).collect();
    if heights.len() < 2 {
        heights = of(true).collect();
    }
    heights.sort_unstable_by(|one, other| other.cmp(one));
    heights
}

/// The reference after these views. Without any it stays what it was.
pub(crate) fn follow(
    before: Option<Reference>,
    views: &[View],
    now: Stamp,
    policy: &HeightPolicy,
) -> Option<Reference> {
    let heights = voices(views);
    let count = heights.len();
    // More than half have come as far as this.
    let Some(majority) = heights.get(count / 2).copied() else { return before };
    // What one endpoint said alone is no history.
    let (base, reach) = match before.filter(|before| before.firm) {
        Some(before) => (before.height, before.spare.saturating_add(policy.at_most(between(before.at, now)))),
        None if count > 2 => (majority, policy.takes(policy.apart())),
        None => (majority, policy.takes(policy.max_lag)),
    };
    // Of three or more the highest has no say: it may be a lie.
    let seconded = if count > 2 { heights.get(1..).unwrap_or_default() } else { &heights };
    let limit = base.saturating_add(policy.grown(reach));
    let plausible = seconded.iter().copied().find(|height| *height <= limit).unwrap_or(0).max(majority);
    // Some that agree on another chain are still fewer than those of this one.
    let half = heights.get(count.saturating_sub(1) / 2).copied().unwrap_or(majority);
    let strange = count > 2 && plausible > half.saturating_add(policy.apart());
    let height = if strange { half } else { plausible };
    let agree = heights.iter().filter(|one| one.abs_diff(height) <= policy.max_lag).count();
    let firm = agree >= 2 || (height <= limit && before.is_some_and(|before| before.firm));
    let spare = reach.saturating_sub(policy.takes(height.saturating_sub(base)));
    let spare = if height > limit { policy.takes(policy.max_lag) } else { spare.min(policy.takes(policy.max_lag)) };
    Some(Reference { height, at: now, spare, firm })
}

impl Reference {
    /// Whether this is another history than the one before: what was near that says nothing here.
    pub(super) fn breaks_with(&self, before: &Self, policy: &HeightPolicy) -> bool {
        let passed = policy.most_grown(between(before.at, self.at));
        self.height.abs_diff(before.height) > policy.apart().saturating_add(passed)
    }

    /// Whether a height is no further away than endpoints may be.
    pub(super) const fn is_near(&self, height: u64, policy: &HeightPolicy) -> bool {
        height.abs_diff(self.height) <= policy.max_lag
    }
}

/// How each endpoint compares.
pub(crate) fn compare(views: &[View], reference: Option<Reference>, now: Stamp, policy: &HeightPolicy) -> Vec<Bearing> {
    let near = |height: u64| reference.is_some_and(|reference| reference.is_near(height, policy));
    let agree = views.iter().filter(|view| view.height.is_some_and(near)).count();
    views.iter().map(|view| bearing(view, reference, (agree >= 2, now), policy)).collect()
}

fn bearing(view: &View, reference: Option<Reference>, (agreed, now): (bool, Stamp), policy: &HeightPolicy) -> Bearing {
    let Some(height) = view.height else {
        // Silence clears nobody.
        return if view.was.is_out() { view.was } else { Bearing::Unknown };
    };
    if view.own != OwnWord::Well {
        return Bearing::Says(view.own);
    }
    let Some(reference) = reference else { return Bearing::Level };
    let (lag, lead) = (reference.height.saturating_sub(height), height.saturating_sub(reference.height));
    let bound = |was: bool| if was { policy.max_lag / 2 } else { policy.max_lag };
    if lag > bound(view.was.is_behind()) {
        return Bearing::Lags;
    }
    let was_ahead = matches!(view.was, Bearing::Ahead { .. });
    if lead <= bound(was_ahead) {
        return Bearing::Level;
    }
    let leapt = match view.near {
        Some((from, then)) => {
            let most = policy.most_grown(between(then, now)).saturating_add(policy.max_lag);
            height > from.saturating_add(most)
        }
        None => lead > policy.apart(),
    };
    let was_out = view.was == Bearing::Ahead { out: true };
    Bearing::Ahead { out: agreed && (leapt || was_out) }
}
