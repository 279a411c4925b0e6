//! The sequential sign test.

/// The evidence that more than half of all windows are beyond, from `beyond` of `windows` that were.
///
/// It is the likelihood of a chance `p` of being beyond, uniform over 1/2 to 1, against `p = 1/2`:
/// `E = 2^(n+1) B(k+1, n-k+1) (1 - I_1/2(k+1, n-k+1))`, which is `sum over j <= k of C(n+1, j)`, divided by `(n+1) C(n, k)`. Where
/// the chance is at most 1/2 given all windows before, `E` is at most a supermartingale that begins at 1, so the chance that it
/// ever exceeds `x` is at most `1/x` (Ville 1939). Beyond the range of a double it is infinite, which decides all the same.
#[must_use]
pub fn evidence(windows: u32, beyond: u32) -> f64 {
    let (n, k) = (f64::from(windows), f64::from(beyond.min(windows)));
    // C(n+1, j) / C(n, k) for j = k, and down from there.
    let mut term = (n + 1.0) / (n + 1.0 - k);
    let mut sum = 0.0;
    let mut j = k;
    loop {
        sum += term;
        if j < 1.0 || term < sum * f64::EPSILON {
            break;
        }
        term *= j / (n + 2.0 - j);
        j -= 1.0;
    }
    sum / (n + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By the sum itself, with whole numbers.
    fn exact(n: u32, k: u32) -> f64 {
        let choose = |n: u32, k: u32| (0..k).fold(1.0, |product, i| product * f64::from(n - i) / f64::from(i + 1));
        let sum: f64 = (0..=k).map(|j| choose(n + 1, j)).sum();
        sum / (f64::from(n + 1) * choose(n, k))
    }

    #[test]
    fn nothing_seen_is_no_evidence() {
        assert!((evidence(0, 0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn all_beyond_is_found_within_eleven_windows() {
        assert!((evidence(11, 11) - 4095.0 / 12.0).abs() < 1e-6);
        assert!(evidence(10, 10) < 300.0);
        assert!(evidence(11, 11) > 300.0);
        assert!(evidence(5000, 5000).is_infinite());
    }

    #[test]
    fn half_of_them_is_evidence_of_nothing() {
        for n in [10, 100, 1000, 100_000] {
            assert!(evidence(n, n / 2) < 1.0, "{n}");
        }
    }

    proptest! {
        #[test]
        fn it_is_the_sum_of_the_formula((n, k) in (0_u32..60).prop_flat_map(|n| (Just(n), 0..=n))) {
            let (ours, exact) = (evidence(n, k), exact(n, k));
            prop_assert!((ours / exact - 1.0).abs() < 1e-9, "{n} {k}: {ours} {exact}");
        }

        /// The next window makes it, on average under the null hypothesis, no larger: what makes it valid at any time.
        #[test]
        fn under_chance_it_does_not_grow((n, k) in (0_u32..500).prop_flat_map(|n| (Just(n), 0..=n))) {
            let expected = f64::midpoint(evidence(n + 1, k), evidence(n + 1, k + 1));
            prop_assert!(expected <= evidence(n, k) * (1.0 + 1e-9));
        }
    }
}
