//! How much of what would stay in the gateway's zone leaves it, because its endpoints are full and others have room.
//!
//! How full a zone is: the mean over its endpoints of what each is filled to, by its own word (load reports, the wish to
//! be left alone) or by the requests it holds of those that it may (`per_endpoint`). From [`START`] on a share leaves that
//! grows evenly and would be all at [`FULL`]. Only what the other zones are less full by counts: zones that are equally full
//! keep what they have.
//!
//! Reports are late, by as long as endpoints measure over, so the share must not jump after each: it follows within
//! seconds when it grows and within ten when it shrinks, which keeps it from swinging. In between it is one number: choosing
//! reads it, and looks at endpoints only every 50 ms.

use std::time::Instant;

use crate::algorithm::unit;
use crate::atomics::{AtomicU32, AtomicU64, Ordering::Relaxed};
use crate::endpoint::EndpointIdx;
use crate::number::single;
use crate::random::{Draws, mix};
use crate::rotation::Rotation;
use crate::set::EndpointSet;
use crate::signals::Stamp;
use crate::tier::Tier;

/// Nothing leaves a zone that is not fuller than this.
const START: f32 = 0.8;
/// What leaves would be all at this.
const FULL: f32 = 1.0;
/// But for this, so that it is seen when there is room again.
const MOST: f32 = 0.95;
/// Less than this is nothing.
const LEAST: f32 = 0.005;
/// How long the share remembers, in seconds, when it grows and when it shrinks: after so long a change has come through by
/// two thirds.
const GROWS: f32 = 2.0;
const SHRINKS: f32 = 10.0;
/// Seconds from one look at the endpoints to the next.
const EVERY: f32 = 0.05;
/// Endpoints of a zone that are looked at.
const LOOK: usize = 64;
/// What sets the draw of who leaves apart from the draws of endpoints.
const SALT: u64 = 0x7a6f_6e65_7370_696c;

/// The share that leaves; one for each priority of a set. See the module's text.
#[derive(Debug, Default)]
pub(crate) struct Spill {
    /// The bits of an `f32`.
    share: AtomicU32,
    /// When it was worked out.
    at: AtomicU64,
    /// When requests began to leave, or ceased to.
    turned: AtomicU64,
}

impl Clone for Spill {
    fn clone(&self) -> Self {
        let copy = |cell: &AtomicU64| AtomicU64::new(cell.load(Relaxed));
        Self { share: AtomicU32::new(self.share.load(Relaxed)), at: copy(&self.at), turned: copy(&self.turned) }
    }
}

impl Spill {
    fn share(&self) -> f32 {
        f32::from_bits(self.share.load(Relaxed))
    }

    /// The share at this moment. `look` tells how full the zone is, and how full the others are; one worker does it, others
    /// go on with what was known.
    fn follow(&self, now: Stamp, look: impl FnOnce() -> (f32, f32)) -> f32 {
        let (share, at) = (self.share(), self.at.load(Relaxed));
        let seconds = now.seconds_since(at);
        if seconds < EVERY || self.at.compare_exchange(at, now.0, Relaxed, Relaxed).is_err() {
            return share;
        }
        let next = step(share, seconds, look());
        if (next > 0.0) != (share > 0.0) {
            self.turned.store(now.0, Relaxed);
        }
        self.share.store(next.to_bits(), Relaxed);
        next
    }
}

/// The share so many seconds later, with the own zone and the others so full.
fn step(share: f32, seconds: f32, (home, away): (f32, f32)) -> f32 {
    let wanted = ((home - away.max(START)) / (FULL - START)).clamp(0.0, MOST);
    let memory = if wanted > share { GROWS } else { SHRINKS };
    let next = share + (wanted - share) * (seconds / (memory + seconds));
    if next < LEAST { 0.0 } else { next }
}

impl EndpointSet {
    /// The part of all requests, 0 to 1, that goes to other zones although the gateway's own has endpoints that may be used:
    /// these are too few or too full.
    #[must_use]
    pub fn leaving_zone(&self) -> f32 {
        let rotation = self.rotation();
        let pairs = rotation.tiers.array_windows().filter(|[home, _]| home.home);
        single(pairs.map(|[home, away]| away.share + home.share * self.spilling(home)).sum())
    }

    fn spilling(&self, home: &Tier) -> f64 {
        self.group(home.group).map_or(0.0, |group| f64::from(group.spill.share()))
    }

    /// The second of these tiers, when the first is the own zone and this request leaves it.
    pub(crate) fn away<'t>(&self, tiers: &'t [Tier], now: Instant, chance: u64) -> Option<&'t Tier> {
        let [home, away, ..] = tiers else { return None };
        let group = self.group(home.group).filter(|_| home.home)?;
        let (now, draw) = (self.lineage().stamp(now), mix(chance ^ SALT));
        let share = group.spill.follow(now, || (self.fullness(home, now, draw), self.fullness(away, now, draw)));
        (share > 0.0 && unit(draw) < share).then_some(away)
    }

    /// For the tier at this place of the rotation, if it is what a priority has beside the own zone: whether the own zone
    /// is so full that a part of its requests comes here, and since when that is so.
    pub(crate) fn overflow(&self, rotation: &Rotation, place: usize) -> Option<(bool, Stamp)> {
        let home = rotation.tiers.get(place.checked_sub(1)?).filter(|tier| tier.home)?;
        let spill = &self.group(home.group)?.spill;
        Some((spill.share() > 0.0 && home.share > 0.0, Stamp(spill.turned.load(Relaxed))))
    }

    /// How full the tier's endpoints are, 0 to 1; of many, some that are drawn by weight.
    fn fullness(&self, tier: &Tier, now: Stamp, random: u64) -> f32 {
        let (few, mut draws) = (tier.len() <= LOOK, Draws::new(random));
        let (mut full, mut weights) = (0.0, 0.0);
        for nth in 0..tier.len().min(LOOK) {
            let position = if few { nth } else { tier.draw(draws.next()) };
            let Some(index) = tier.member(position).map(EndpointIdx) else { continue };
            let weight = if few { self.weight(index) as f32 } else { 1.0 };
            full += self.filled(index, now) * weight;
            weights += weight;
        }
        if weights > 0.0 { full / weights } else { 0.0 }
    }

    /// How full an endpoint is, 0 to 1.
    fn filled(&self, index: EndpointIdx, now: Stamp) -> f32 {
        let Some(state) = self.state(index) else { return 0.0 };
        let reported = state.signals().reported();
        let (utilisation, away) = (reported.latest(now), reported.away_for(now).is_some());
        let each = self.tuning().zone.as_ref().and_then(|zone| zone.per_endpoint);
        let held = each.map_or(0.0, |each| state.in_flight() as f32 / each.max(1) as f32);
        if away { 1.0 } else { utilisation.max(held).min(1.0) }
    }
}

#[cfg(test)]
mod tests;
