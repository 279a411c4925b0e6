//! The universal scalability law (Gunther 2007): what more concurrency brings, and what it costs.
//!
//! Throughput at concurrency `N` is `C(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1))`: `sigma` is the share that waits for
//! each other, `kappa` what it costs to agree. Written as `N / C = a + b (N - 1) + c N (N - 1)` it is linear in its parameters.
//!
//! Invariant: nothing is said about more concurrency than was measured.

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// A measured point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Concurrency: connections, or cores.
    pub concurrency: f64,
    /// Requests a second.
    pub throughput: f64,
}

/// A number with the interval that holds it in 95 of 100 resamples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The best fit.
    pub fit: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// A fitted law.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Law {
    /// Requests a second of one alone.
    pub lambda: Interval,
    /// Waiting for each other: 0 to 1.
    pub sigma: Interval,
    /// The cost of agreeing.
    pub kappa: Interval,
    /// The concurrency beyond which throughput falls, where it lies within what was measured and is more than luck: where `kappa` may be
    /// nothing, there need be none.
    pub peak: Option<f64>,
    /// The least and the most concurrency that were measured.
    pub measured: (f64, f64),
}

/// Why there is no fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoFit {
    /// Three parameters want more than three concurrencies.
    #[error("a fit wants at least four concurrencies, {0} were measured")]
    TooFew(usize),
    /// Nothing that the law describes.
    #[error("the points do not follow the law: throughput or concurrency is not above zero, or they lie on no curve")]
    NotALaw,
}

type Parameters = [f64; 3];

impl Law {
    /// Fits the law by least squares of relative errors; the intervals are by resampling of the residuals.
    ///
    /// # Errors
    ///
    /// When there are too few points, or the law does not describe them.
    pub fn fit(points: &[Point], resamples: u32, random: &mut Random) -> Result<Self, NoFit> {
        let mut levels: Vec<f64> = points.iter().map(|point| point.concurrency).collect();
        levels.sort_by(f64::total_cmp);
        levels.dedup();
        if levels.len() < 4 {
            return Err(NoFit::TooFew(levels.len()));
        }
        let sound = |point: &Point| point.concurrency > 0.0 && point.throughput > 0.0 && point.throughput.is_finite();
        let (Some(least), Some(most), true) = (levels.first(), levels.last(), points.iter().all(sound)) else {
            return Err(NoFit::NotALaw);
        };
        let best = solve(points).ok_or(NoFit::NotALaw)?;
        let drawn = resample(points, best, resamples, random);
        let interval = |of: fn(Parameters) -> f64| {
            let mut values: Vec<f64> = drawn.iter().map(|one| of(*one)).collect();
            values.sort_by(f64::total_cmp);
            let at = |per_mille: usize| values.get(values.len() * per_mille / 1000).copied().unwrap_or(of(best));
            Interval { fit: of(best), low: at(25).min(of(best)), high: at(975).max(of(best)) }
        };
        let kappa = interval(|[a, _, c]| c / a);
        let sigma = interval(|[a, b, _]| b / a);
        let peak = (kappa.low > 0.0).then(|| ((1.0 - sigma.fit).max(0.0) / kappa.fit).sqrt());
        let peak = peak.filter(|peak| peak >= least && peak <= most);
        Ok(Self { lambda: interval(|[a, ..]| 1.0 / a), sigma, kappa, peak, measured: (*least, *most) })
    }

    /// Requests a second at a concurrency; `None` outside of what was measured.
    #[must_use]
    pub fn at(&self, concurrency: f64) -> Option<f64> {
        let (least, most) = self.measured;
        (concurrency >= least && concurrency <= most).then(|| {
            let a = 1.0 / self.lambda.fit;
            value([a, a * self.sigma.fit, a * self.kappa.fit], concurrency)
        })
    }
}

fn value([a, b, c]: Parameters, n: f64) -> f64 {
    n / (a + b * (n - 1.0) + c * n * (n - 1.0))
}

fn resample(points: &[Point], best: Parameters, resamples: u32, random: &mut Random) -> Vec<Parameters> {
    let ratios: Vec<f64> = points.iter().map(|point| point.throughput / value(best, point.concurrency)).collect();
    let mut draw = || ratios.get(random.below(ratios.len())).copied().unwrap_or(1.0);
    let again = |_| {
        let points: Vec<Point> = points
            .iter()
            .map(|point| Point { throughput: value(best, point.concurrency) * draw(), ..*point })
            .collect();
        solve(&points)
    };
    (0..resamples).filter_map(again).collect()
}

/// The best fit among those without negative parameters: where the best of all has one, it is zero.
fn solve(points: &[Point]) -> Option<Parameters> {
    let kept = [[true; 3], [true, true, false], [true, false, true], [true, false, false]];
    let fits = kept.into_iter().filter_map(|kept| least_squares(points, kept));
    let sound = fits.filter(|[a, b, c]| *a > 0.0 && *b >= 0.0 && *c >= 0.0);
    sound.min_by(|one, other| error(points, *one).total_cmp(&error(points, *other)))
}

fn error(points: &[Point], parameters: Parameters) -> f64 {
    points.iter().map(|point| (value(parameters, point.concurrency) / point.throughput - 1.0).powi(2)).sum()
}

/// Of `C / N (a + b (N - 1) + c N (N - 1)) = 1`, by the normal equations; what is not kept is zero.
fn least_squares(points: &[Point], kept: [bool; 3]) -> Option<Parameters> {
    let mut rows = [[0.0; 4]; 3];
    for Point { concurrency: n, throughput } in points {
        let weight = throughput / n;
        let terms = [weight, weight * (n - 1.0), weight * n * (n - 1.0)];
        for (row, left) in rows.iter_mut().zip(terms) {
            for (cell, right) in row.iter_mut().zip(terms.into_iter().chain([1.0])) {
                *cell += left * right;
            }
        }
    }
    for (place, _) in kept.iter().enumerate().filter(|(_, kept)| !**kept) {
        rows.iter_mut().filter_map(|row| row.get_mut(place)).for_each(|cell| *cell = 0.0);
        let mut unit = [0.0; 4];
        *unit.get_mut(place)? = 1.0;
        *rows.get_mut(place)? = unit;
    }
    eliminate(rows)
}

/// Gauss and Jordan, of three rows, the largest first.
fn eliminate(mut rows: [[f64; 4]; 3]) -> Option<Parameters> {
    for place in 0..3 {
        let size = |row: &[f64; 4]| row.get(place).map_or(0.0, |cell| cell.abs());
        let (largest, _) =
            rows.iter().enumerate().skip(place).max_by(|(_, one), (_, other)| size(one).total_cmp(&size(other)))?;
        rows.swap(place, largest);
        let pivot = *rows.get(place)?;
        let lead = *pivot.get(place)?;
        if lead == 0.0 || !lead.is_finite() {
            return None;
        }
        let pivot = pivot.map(|cell| cell / lead);
        for (other, row) in rows.iter_mut().enumerate() {
            let factor = *row.get(place)?;
            if other == place {
                *row = pivot;
            } else {
                row.iter_mut().zip(pivot).for_each(|(cell, of_pivot)| *cell -= factor * of_pivot);
            }
        }
    }
    let [[.., a], [.., b], [.., c]] = rows;
    [a, b, c].iter().all(|one| one.is_finite()).then_some([a, b, c])
}

#[cfg(test)]
mod tests;
