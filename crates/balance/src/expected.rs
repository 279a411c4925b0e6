//! How long an attempt takes, as far as is known: so that none is made that cannot end in time.
//!
//! What is known of each endpoint is its mean latency to the first byte, as the choice reads it. The median over
//! endpoints is what is expected of the next attempt: neither one that is slow nor one that hangs decides it.

use std::time::Duration;

use crate::ask::Ask;
use crate::endpoint::EndpointIdx;
use crate::random::Draws;
use crate::set::EndpointSet;
use crate::tier::Tier;

/// How many endpoints are looked at; all of a fleet that is no larger.
const LOOK: usize = 16;

/// Whether an attempt that begins after `pause` may end in what is `left`: not when it usually takes longer. Of a fleet
/// of which nothing is known, any time will do.
#[must_use]
pub fn can_finish(left: Duration, pause: Duration, usual: Option<Duration>) -> bool {
    let rest = left.saturating_sub(pause);
    !rest.is_zero() && usual.is_none_or(|usual| rest >= usual)
}

impl EndpointSet {
    /// How long an attempt usually takes to its first byte, at the endpoints that the next one may go to: those that were
    /// not tried, and all where no other is left. `None` when nothing is known of them.
    #[must_use]
    pub fn usual(&self, ask: &Ask<'_>) -> Option<Duration> {
        let rotation = self.rotation();
        let untried = |tier: &&Tier| tier.walk(0, |index| !ask.skip.contains(&EndpointIdx(index))).is_some();
        match rotation.tiers.iter().find(untried) {
            Some(tier) => self.median(tier, ask),
            None => self.median(rotation.tiers.first()?, &Ask { skip: &[], ..*ask }),
        }
    }

    /// The median of what is known of the tier's endpoints, of some drawn by weight where there are many.
    fn median(&self, tier: &Tier, ask: &Ask<'_>) -> Option<Duration> {
        let (now, mut draws) = (self.lineage().stamp(ask.now), Draws::new(ask.random));
        let (mut known, mut count) = ([0.0_f32; LOOK], 0);
        for nth in 0..tier.len().min(LOOK) {
            let position = if tier.len() <= LOOK { nth } else { tier.draw(draws.next()) };
            let Some(index) = tier.member(position).map(EndpointIdx).filter(|index| !ask.skip.contains(index)) else {
                continue;
            };
            let latency = self.state(index).map_or(0.0, |state| state.signals().read(now).latency);
            if latency > 0.0
                && let Some(slot) = known.get_mut(count)
            {
                (*slot, count) = (latency, count + 1);
            }
        }
        let known = known.get_mut(..count)?;
        known.sort_unstable_by(f32::total_cmp);
        known.get(count.saturating_sub(1) / 2).and_then(|seconds| Duration::try_from_secs_f32(*seconds).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Algorithm, EndpointSpec, SetOptions};
    use std::sync::Arc;
    use std::time::Instant;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn an_attempt_is_made_when_what_is_left_after_the_pause_is_as_long_as_it_usually_takes() {
        for (left, pause, usual, expected) in [
            (100, 0, None, true),
            (100, 99, None, true),
            (100, 100, None, false),
            (0, 0, None, false),
            (100, 0, Some(100), true),
            (100, 0, Some(101), false),
            (100, 60, Some(40), true),
            (100, 61, Some(40), false),
            (100, 500, Some(0), false),
            (100, 0, Some(0), true),
        ] {
            let got = can_finish(left * MS, pause * MS, usual.map(|usual| usual * MS));
            assert_eq!(got, expected, "{left} {pause} {usual:?}");
        }
    }

    fn fleet(priorities: impl IntoIterator<Item = u8>, now: Instant) -> Arc<EndpointSet> {
        let spec = |(nth, priority): (u32, u8)| EndpointSpec {
            priority,
            ..EndpointSpec::new(format!("e{nth}").into(), (nth.to_be_bytes(), 80).into())
        };
        let options = SetOptions { algorithm: Algorithm::LeastLoaded, ..SetOptions::default() };
        EndpointSet::build((0..).zip(priorities).map(spec).collect(), options, now).unwrap()
    }

    fn answer(set: &EndpointSet, nth: u32, now: Instant, millis: u32) {
        set.claim(EndpointIdx(nth)).unwrap().success(now, millis * MS);
    }

    fn usual(set: &EndpointSet, now: Instant, tried: &[u32]) -> Option<u128> {
        let skip: Vec<EndpointIdx> = tried.iter().copied().map(EndpointIdx).collect();
        let usual = set.usual(&Ask { skip: &skip, ..Ask::new(now, 7) });
        usual.map(|usual| (usual + MS / 2).as_millis())
    }

    #[test]
    fn the_usual_time_is_the_median_of_the_endpoints_that_may_be_tried() {
        let now = Instant::now();
        let set = fleet([0, 0, 0, 0, 1], now);
        assert_eq!(usual(&set, now, &[]), None, "nothing is known yet");
        for (nth, millis) in [(0, 10), (1, 20), (2, 30), (4, 500)] {
            answer(&set, nth, now, millis);
        }
        for (tried, expected) in [
            (&[][..], Some(20)),
            (&[1], Some(10)),
            (&[0], Some(20)),
            (&[0, 1], Some(30)),
            (&[0, 1, 2], None),
            (&[0, 1, 2, 3], Some(500)),
            (&[0, 1, 2, 3, 4], Some(20)),
        ] {
            assert_eq!(usual(&set, now, tried), expected, "{tried:?}");
        }
    }

    #[test]
    fn a_few_of_many_say_what_is_usual() {
        let now = Instant::now();
        let set = fleet([0; 1_000], now);
        (0..1_000).for_each(|nth| answer(&set, nth, now, if nth % 5 == 0 { 900 } else { 40 }));
        assert_eq!(usual(&set, now, &[]), Some(40));
    }

    #[test]
    fn an_endpoint_that_hangs_is_as_slow_as_it_is_waited_for() {
        let now = Instant::now();
        let set = fleet([0], now);
        answer(&set, 0, now, 10);
        let waits = set.claim_at(EndpointIdx(0), now).unwrap();
        assert_eq!(usual(&set, now + 700 * MS, &[0]), Some(700));
        drop(waits);
    }

    #[test]
    fn asking_for_the_usual_time_allocates_nothing() {
        let now = Instant::now();
        let set = fleet([0; 100], now);
        answer(&set, 0, now, 10);
        let _ = set.usual(&Ask::new(now, 1));
        let cost = allocation_counter::measure(|| {
            let _ = set.usual(&Ask::new(now, 1));
        });
        assert_eq!(cost.count_total, 0);
    }
}
