//! Turns are exact and smooth, draws follow the weights.

use proptest::prelude::*;

use super::*;

fn tier(weights: &[u32]) -> Tier {
    let members: Vec<Member> =
        (0..).zip(weights).map(|(index, weight)| Member { index, weight: *weight, local: false }).collect();
    Tier::new(0, 0, &members)
}

#[test]
fn takes_turns_smoothly() {
    let cases: &[(&[u32], &str)] = &[
        (&[1], "aaaa"),
        (&[7], "aaaa"),
        (&[1, 1], "abab"),
        (&[5, 5], "abab"),
        (&[2, 1], "aabaab"),
        (&[1, 1, 1, 1], "abcdabcd"),
        (&[5, 1, 1], "aaabaca"),
        (&[3, 3, 3, 3, 3], "adbecadbec"),
    ];
    for (weights, expected) in cases {
        let tier = tier(weights);
        let turns: String = (0..expected.len() as u64).map(|turn| ["a", "b", "c", "d", "e"][tier.turn(turn)]).collect();
        assert_eq!(&turns, expected, "{weights:?}");
    }
}

#[test]
fn strides_are_coprime_and_golden() {
    for total in (1..5_000).chain([65_536, 1_000_000, u32::MAX]) {
        let stride = stride(total);
        assert_eq!(gcd(stride, total), 1, "{total}");
        let away = (f64::from(stride) - f64::from(total) * 0.618_034).abs();
        assert!(away <= 17.0 + f64::from(total) * 1e-6, "{total}: {stride}");
    }
}

proptest! {
    #[test]
    fn shares_are_exact_over_any_period(weights in prop::collection::vec(1_u32..40, 1..24), start in 0_u64..1 << 40) {
        let tier = tier(&weights);
        let divisor = weights.iter().fold(0, |d, w| gcd(d, *w));
        let period = u64::from(weights.iter().sum::<u32>() / divisor);
        let start = start / period * period;
        let mut counts = vec![0; weights.len()];
        for turn in start..start + period {
            counts[tier.turn(turn)] += 1;
        }
        let expected: Vec<u32> = weights.iter().map(|w| w / divisor).collect();
        prop_assert_eq!(counts, expected);
    }

    #[test]
    fn no_endpoint_runs_far_ahead_of_its_share(weights in prop::collection::vec(1_u32..100, 1..24)) {
        let tier = tier(&weights);
        let total: u32 = weights.iter().sum();
        let mut counts = vec![0_u32; weights.len()];
        for turn in 0..u64::from(total) {
            counts[tier.turn(turn)] += 1;
            for (count, weight) in counts.iter().zip(&weights) {
                let due = (turn + 1) as f64 * f64::from(*weight) / f64::from(total);
                prop_assert!((f64::from(*count) - due).abs() < 4.0, "{count} of {due} at {turn}");
            }
        }
    }

    #[test]
    fn draws_follow_the_weights(weights in prop::collection::vec(1_u32..100, 1..10), offset: u32) {
        let tier = tier(&weights);
        let total: u32 = weights.iter().sum();
        let mut counts = vec![0_u64; weights.len()];
        // An even grid over the random bits instead of chance: the shares must come out to within one grid line.
        let lines = 10_000_u64;
        for line in 0..lines {
            counts[tier.draw((u64::MAX / lines * line).wrapping_add(u64::from(offset)))] += 1;
        }
        for (count, weight) in counts.iter().zip(&weights) {
            let due = lines as f64 * f64::from(*weight) / f64::from(total);
            prop_assert!((*count as f64 - due).abs() <= 2.0, "{count} of {due}");
        }
    }

    #[test]
    fn contains_its_members_alone(indices in prop::collection::btree_set(0_u32..300, 0..40)) {
        let members: Vec<Member> = indices.iter().map(|index| Member { index: *index, weight: 2, local: false }).collect();
        let tier = Tier::new(0, 0, &members);
        for index in 0..400 {
            prop_assert_eq!(tier.contains(index), indices.contains(&index));
        }
    }
}
