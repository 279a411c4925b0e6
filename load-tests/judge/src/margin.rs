//! By how much twins differ: the A/A leg.

/// Of fewer than these not even the largest distance is a 95 % range.
pub(crate) const LEAST_TWINS: usize = 19;

/// A distance that a new difference of twins does not exceed with a chance of at least 95 %, whatever their distribution is: the
/// value of rank `ceil(0.95 (n + 1))` among the `n` seen, by size. Infinite where fewer than 19 were seen.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rank among a few thousand"
)]
pub fn usual_distance(differences: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = differences.iter().map(|difference| difference.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    let rank = (0.95 * (sizes.len() as f64 + 1.0)).ceil() as usize;
    sizes.get(rank.saturating_sub(1)).copied().unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn fewer_than_nineteen_tell_nothing() {
        let values: Vec<f64> = (1..=19).map(f64::from).collect();
        assert_eq!(usual_distance(&values), 19.0);
        assert_eq!(usual_distance(values.get(1..).unwrap_or_default()), f64::INFINITY);
        let values: Vec<f64> = (1..=99).map(|n| -f64::from(n)).collect();
        assert_eq!(usual_distance(&values), 95.0);
    }

    #[test]
    fn the_next_one_is_within_with_a_chance_of_at_least_95_in_100() {
        let mut random = Random::new(11);
        let mut draw = || random.exponential() - random.exponential();
        let within = (0..4000).filter(|_| {
            let seen: Vec<f64> = (0..20).map(|_| draw()).collect();
            draw().abs() <= usual_distance(&seen)
        });
        // 20 of 21 are 95.2 %; the standard error is 0.34 %.
        let share = within.count() as f64 / 4000.0;
        assert!((0.94..0.965).contains(&share), "{share}");
    }
}
