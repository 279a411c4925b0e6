//! The law is found again in points that were made from it.

use super::*;

const LEVELS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

fn points(lambda: f64, sigma: f64, kappa: f64, noise: f64, random: &mut Random) -> Vec<Point> {
    let a = 1.0 / lambda;
    let point = |n: f64| {
        let throughput = value([a, a * sigma, a * kappa], n) * (1.0 + noise * (random.unit() - 0.5));
        Point { concurrency: n, throughput }
    };
    LEVELS.into_iter().flat_map(|n| [n; 3]).map(point).collect()
}

#[test]
fn exact_points_give_exact_parameters() {
    let mut random = Random::new(1);
    let points = points(1000.0, 0.05, 0.0005, 0.0, &mut random);
    let law = Law::fit(&points, 100, &mut random).unwrap();
    for (interval, truth) in [(law.lambda, 1000.0), (law.sigma, 0.05), (law.kappa, 0.0005)] {
        assert!((interval.fit / truth - 1.0).abs() < 1e-6, "{law:?}");
        assert!((interval.high - interval.low) / truth < 1e-6, "{law:?}");
    }
    // sqrt(0.95 / 0.0005)
    assert!((law.peak.unwrap() - 43.589).abs() < 0.01);
}

#[test]
fn intervals_hold_the_truth() {
    let mut random = Random::new(2);
    let held = (0..100).filter(|_| {
        let points = points(1000.0, 0.05, 0.0005, 0.2, &mut random);
        let law = Law::fit(&points, 200, &mut random).unwrap();
        (law.sigma.low..=law.sigma.high).contains(&0.05) && (law.kappa.low..=law.kappa.high).contains(&0.0005)
    });
    let count = held.count();
    assert!(count >= 80, "{count} of 100");
}

#[test]
fn nothing_is_said_beyond_what_was_measured() {
    let mut random = Random::new(3);
    let points = points(1000.0, 0.02, 1e-7, 0.0, &mut random);
    let law = Law::fit(&points, 50, &mut random).unwrap();
    assert_eq!(law.peak, None, "the peak is near 3,000, and 256 were measured");
    assert!(law.at(256.0).is_some() && law.at(0.5).is_none() && law.at(257.0).is_none());
    assert!((law.at(1.0).unwrap() - 1000.0).abs() < 1e-6);
}

#[test]
fn a_law_without_contention_has_none() {
    let mut random = Random::new(4);
    let points = points(1000.0, 0.0, 0.0, 0.02, &mut random);
    let law = Law::fit(&points, 100, &mut random).unwrap();
    assert!(law.sigma.fit >= 0.0 && law.kappa.fit >= 0.0, "{law:?}");
    assert!((law.lambda.fit / 1000.0 - 1.0).abs() < 0.02, "{law:?}");
}

#[test]
fn a_peak_that_may_be_luck_is_not_told() {
    let mut random = Random::new(6);
    // Nothing in them falls: where the fit has a peak it is made by noise, and the interval of κ reaches down to nothing.
    let laws: Vec<Law> =
        (0..50).map(|_| Law::fit(&points(1000.0, 0.05, 0.0, 0.1, &mut random), 200, &mut random).unwrap()).collect();
    assert!(laws.iter().any(|law| law.kappa.fit > 0.0), "noise makes some fits fall");
    assert!(laws.iter().all(|law| law.peak.is_none() || law.kappa.low > 0.0));
    let told = laws.iter().filter(|law| law.peak.is_some()).count();
    assert!(told <= 5, "{told} of 50");
}

#[test]
fn too_few_points_and_no_points_of_the_law_are_refused() {
    let mut random = Random::new(5);
    let point = |concurrency: f64, throughput: f64| Point { concurrency, throughput };
    let three = [point(1.0, 1.0), point(2.0, 2.0), point(3.0, 3.0), point(3.0, 3.0)];
    assert_eq!(Law::fit(&three, 10, &mut random), Err(NoFit::TooFew(3)));
    let dead = [point(1.0, 1.0), point(2.0, 2.0), point(3.0, 0.0), point(4.0, 3.0)];
    assert_eq!(Law::fit(&dead, 10, &mut random), Err(NoFit::NotALaw));
}
