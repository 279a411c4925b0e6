//! A leak is found within a short soak, and a process that only breathes is not called one.

use super::*;
use crate::random::Random;

const MIB: f64 = 1024.0 * 1024.0;

/// Resident memory of a process, looked at twice a second for two minutes: it settles, breathes in steps of 64 KiB as buffers come
/// and go, keeps part of each step for a while, and leaks `leak` bytes a second. Real memory is counted in pages.
fn soak(leak: f64, seed: u64) -> Vec<Point> {
    let mut random = Random::new(seed);
    let mut breath = 0.0;
    let point = |look: u32| {
        let seconds = f64::from(look) / 2.0;
        breath = 0.8 * breath + (random.unit() - 0.5) * 128.0 * 1024.0;
        let value = 30.0 * MIB + leak * seconds + breath;
        Point { seconds, value: (value / 4096.0).floor() * 4096.0 }
    };
    (0..240).map(point).collect()
}

fn outlook(points: &[Point]) -> Outlook {
    let growth = Growth { what: "rss".to_owned(), slope: Slope::of(points).unwrap(), cap: 256.0 * MIB };
    growth.outlook()
}

#[test]
fn a_leak_of_a_kibibyte_per_thousand_requests_is_found_in_two_minutes() {
    // At 5,000 requests a second; a day of it is 432 MiB.
    let found = (0..100).filter(|seed| outlook(&soak(5.0 * 1024.0, *seed)) == Outlook::Exceeds).count();
    assert!(found >= 98, "{found} of 100");
}

#[test]
fn a_process_that_only_breathes_is_not_called_leaking() {
    let wrong = (0..100).filter(|seed| outlook(&soak(0.0, *seed)) == Outlook::Exceeds).count();
    let kept = (0..100).filter(|seed| outlook(&soak(0.0, *seed)) == Outlook::Kept).count();
    assert_eq!(wrong, 0);
    assert!(kept >= 90, "{kept} of 100");
}

#[test]
fn the_bounds_hold_the_truth_although_neighbours_are_alike() {
    let held = (0..300).filter(|seed| {
        let slope = Slope::of(&soak(2048.0, *seed)).unwrap();
        (slope.low..=slope.high).contains(&2048.0)
    });
    let count = held.count();
    assert!(count >= 285, "{count} of 300");
}

#[test]
fn a_third_of_wild_points_changes_little() {
    let mut points: Vec<Point> =
        (0..60).map(|n| Point { seconds: f64::from(n), value: 100.0 + 2.0 * f64::from(n) }).collect();
    let slope = Slope::of(&points).unwrap();
    assert!((slope.median - 2.0).abs() < 1e-9 && (slope.level - 218.0).abs() < 1e-9, "{slope:?}");
    points.iter_mut().step_by(5).for_each(|point| point.value = 1e9);
    let slope = Slope::of(&points).unwrap();
    assert!((slope.median - 2.0).abs() < 0.5, "{slope:?}");
}

#[test]
fn too_few_points_tell_nothing() {
    assert_eq!(Slope::of(&soak(0.0, 1)[..7]), None);
    let at_once = [Point { seconds: 1.0, value: 5.0 }; 20];
    assert_eq!(Slope::of(&at_once), None);
    let many: Vec<Point> = (0..5000).map(|n| Point { seconds: f64::from(n), value: f64::from(n) }).collect();
    assert!((Slope::of(&many).unwrap().median - 1.0).abs() < 1e-9);
}

/// Memory of a process over blocks of 8,000 requests, in pages: now and then, in a fifth of the blocks, its allocator takes or gives
/// back up to 400 KiB.
fn blocks(leak: f64, count: u32, seed: u64) -> Vec<f64> {
    let mut random = Random::new(seed);
    let (mut level, mut before) = (14.0 * MIB, (14.0 * MIB / 4096.0).floor());
    let block = |_| {
        level += leak * 8.0;
        if random.unit() < 0.2 {
            level += (random.unit() - 0.5) * 800.0 * 1024.0;
        }
        let pages = (level / 4096.0).floor();
        (pages - std::mem::replace(&mut before, pages)) * 4096.0 / 8.0
    };
    (0..count).map(block).collect()
}

#[test]
fn what_a_thousand_requests_leave_behind_is_found_between_the_leaps_of_an_allocator() {
    let proven = |leak: f64| (0..200).filter(|seed| Residue::of(&blocks(leak, 20, *seed)).unwrap().low > 256.0).count();
    let (found, wrong) = (proven(1024.0), proven(0.0));
    assert!(found >= 180, "{found} of 200");
    assert_eq!(wrong, 0);
}

#[test]
fn a_bound_of_99_percent_needs_seven_blocks() {
    assert_eq!(Residue::of(&[1.0; 6]), None);
    assert_eq!(Residue::of(&[3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0]), Some(Residue { median: 3.0, low: 1.0, blocks: 7 }));
    // Sums of binomial coefficients: 1 + 20 + 190 + 1140 + 4845 of 2^20 are 0.6 %.
    assert_eq!([6, 7, 11, 20].map(below), [0, 1, 2, 5]);
    // Of many it is the normal quantile: n/2 - 2.326 √n/2, to one or two.
    for count in [200, 1000, 1100, 5000, 100_000] {
        let expected = f64::from(count) / 2.0 - 2.326 * f64::from(count).sqrt() / 2.0;
        let rank = below(usize::try_from(count).unwrap()) as f64;
        assert!((rank - expected).abs() < 2.0, "{rank} of {count}, not {expected}");
    }
}

/// Descriptors of the gateway in a soak of 85 minutes, looked at every 21.25 s, while compilers ran beside it.
#[rustfmt::skip]
const DESCRIPTORS: [u32; 240] = [
    32, 35, 36, 32, 32, 32, 32, 32, 32, 31, 34, 34, 34, 33, 34, 40, 40, 40, 37, 37, 36, 34, 32, 31, 34, 34, 34, 32,
    30, 31, 31, 120, 120, 120, 75, 32, 32, 33, 33, 72, 107, 117, 117, 155, 154, 163, 163, 132, 181, 181, 181, 146,
    100, 131, 131, 131, 58, 58, 55, 71, 71, 82, 130, 130, 130, 90, 46, 54, 54, 54, 96, 171, 171, 171, 155, 155, 155,
    113, 133, 133, 133, 138, 138, 104, 68, 73, 73, 75, 71, 71, 36, 36, 35, 34, 34, 32, 32, 32, 32, 68, 68, 68, 62, 45,
    32, 32, 32, 32, 32, 34, 34, 34, 33, 33, 32, 32, 32, 32, 63, 63, 50, 30, 32, 32, 38, 42, 42, 38, 33, 32, 58, 58,
    58, 49, 42, 42, 38, 32, 31, 35, 36, 36, 35, 64, 95, 217, 217, 217, 133, 57, 82, 85, 85, 85, 68, 79, 79, 81, 80,
    80, 105, 105, 89, 82, 82, 79, 55, 55, 58, 73, 120, 120, 120, 98, 51, 34, 33, 32, 57, 57, 57, 34, 34, 34, 34, 32,
    31, 31, 31, 32, 32, 32, 32, 32, 32, 32, 32, 46, 266, 266, 266, 178, 43, 139, 139, 139, 123, 80, 70, 51, 129, 129,
    129, 80, 32, 32, 32, 31, 31, 32, 33, 33, 33, 35, 54, 54, 54, 32, 34, 42, 46, 46, 41, 40, 40, 40, 35, 35, 34, 33,
];

#[test]
fn what_comes_and_goes_is_no_growth_at_its_quietest_and_what_leaks_is_there_too() {
    // With so many more as leak in a day.
    let points = |leak: f64| -> Vec<Point> {
        let looks = DESCRIPTORS.into_iter().zip(0_u32..);
        looks
            .map(|(open, look)| (open, f64::from(look) * 21.25))
            .map(|(open, seconds)| Point { seconds, value: f64::from(open) + (leak * seconds / DAY).floor() })
            .collect()
    };
    let outlook = |points: &[Point]| {
        let growth = Growth { what: "descriptors".to_owned(), slope: Slope::of(points).unwrap(), cap: 232.0 };
        growth.outlook()
    };
    assert_eq!(outlook(&points(0.0)), Outlook::Unclear);
    assert_eq!(outlook(&floors(&points(0.0), 12)), Outlook::Kept);
    assert_eq!(outlook(&floors(&points(1000.0), 12)), Outlook::Exceeds);
    assert_eq!(floors(&points(0.0)[..11], 12), []);
}
