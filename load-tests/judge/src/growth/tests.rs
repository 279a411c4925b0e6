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
