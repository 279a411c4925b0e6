//! The load above which an endpoint is hot: a quantile of the loads of the cluster's endpoints.
//!
//! The quantile is followed, not computed: each sample above the estimate raises it a little, each below lowers it
//! less, so that it settles where the wanted share of samples lies below. Steps are a share of the estimate, so it
//! follows a change of level within some tens of samples at any level. Racing workers may lose a step.

use crate::atomics::{AtomicU32, Ordering::Relaxed};

/// The share of endpoints that are cold.
const QUANTILE: f32 = 0.84;
/// A step, as a share of the estimate.
const STEP: f32 = 0.05;

/// See the module's text. Holds the bits of an `f32`; 0.0 before the first sample.
#[derive(Debug, Default)]
pub(crate) struct Heat(AtomicU32);

impl Heat {
    /// The load that is just not hot; `None` before the first sample.
    pub(crate) fn threshold(&self) -> Option<f32> {
        let threshold = f32::from_bits(self.0.load(Relaxed));
        if threshold > 0.0 { Some(threshold) } else { None }
    }

    /// Takes in the load, above 0, of an endpoint drawn by chance.
    pub(crate) fn sample(&self, load: f32) {
        let next = match self.threshold() {
            None => load,
            Some(threshold) if load > threshold => (threshold + threshold * (STEP * QUANTILE)).min(load),
            Some(threshold) => (threshold - threshold * (STEP * (1.0 - QUANTILE))).max(f32::MIN_POSITIVE),
        };
        self.0.store(next.to_bits(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Draws;

    #[test]
    fn settles_at_the_quantile_and_follows() {
        let heat = Heat::default();
        assert_eq!(heat.threshold(), None);
        let mut draws = Draws::new(3);
        for top in [100, 10, 1000] {
            for _ in 0..2_000 {
                heat.sample((draws.next() % top + 1) as f32);
            }
            let off = heat.threshold().unwrap() / (0.84 * top as f32);
            assert!((0.8..1.2).contains(&off), "{top}: {off}");
        }
    }

    #[test]
    fn equal_loads_are_not_hot() {
        let heat = Heat::default();
        for _ in 0..1_000 {
            heat.sample(7.0);
        }
        let threshold = heat.threshold().unwrap();
        assert!(threshold * crate::least_loaded::SLACK >= 7.0, "{threshold}");
    }
}
