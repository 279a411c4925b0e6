//! Whether something grows without end: memory, descriptors, tasks.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Seconds of a day.
const DAY: f64 = 86_400.0;

/// The normal quantile of 99 %: the bounds are one-sided.
const Z: f64 = 2.326;

/// The most points whose pairs are all looked at; of more, evenly many are left out.
const MOST: usize = 600;

/// A value at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Seconds from the run's start.
    pub seconds: f64,
    /// Bytes, or a number.
    pub value: f64,
}

/// How fast it grows: the median of the slopes of all pairs of points (Theil 1950, Sen 1968). A third of the points may be wild.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Slope {
    /// Per second.
    pub median: f64,
    /// It is above this with a chance of 99 %.
    pub low: f64,
    /// It is below this with a chance of 99 %.
    pub high: f64,
    /// The value at the last moment, on the line.
    pub level: f64,
}

impl Slope {
    /// Of these points; `None` where fewer than eight differ in time. The bounds are those of Kendall's statistic, widened by the
    /// correlation of neighbours: what is left of memory after a moment is there the next moment too.
    #[must_use]
    pub fn of(points: &[Point]) -> Option<Self> {
        let points = thinned(points);
        if points.len() < 8 {
            return None;
        }
        let mut slopes: Vec<f64> = pairs(&points)
            .filter(|(one, other)| other.seconds > one.seconds)
            .map(|(one, other)| (other.value - one.value) / (other.seconds - one.seconds))
            .collect();
        slopes.sort_by(f64::total_cmp);
        let median = middle(&slopes)?;
        let mut rests: Vec<f64> = points.iter().map(|point| point.value - median * point.seconds).collect();
        let correlation = correlation(&rests);
        rests.sort_by(f64::total_cmp);
        let level = middle(&rests)? + median * points.last()?.seconds;
        let (low, high) = bounds(&slopes, points.len(), correlation)?;
        Some(Self { median, low, high, level })
    }
}

/// The least of every so many points that follow each other: of descriptors and tasks those in flight come and go, and what leaks is
/// there at the quietest moment too.
#[must_use]
pub fn floors(points: &[Point], every: usize) -> Vec<Point> {
    let least = |block: &[Point]| block.iter().copied().min_by(|one, other| one.value.total_cmp(&other.value));
    points.chunks_exact(every.max(1)).filter_map(least).collect()
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "ranks among at most 200,000 slopes"
)]
fn bounds(slopes: &[f64], points: usize, correlation: f64) -> Option<(f64, f64)> {
    let n = points as f64;
    let widened = (1.0 + correlation) / (1.0 - correlation);
    let spread = Z * (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0 * widened).sqrt();
    let count = slopes.len() as f64;
    let low = ((count - spread) / 2.0).floor().max(0.0) as usize;
    let high = (((count + spread) / 2.0).ceil() as usize).min(slopes.len().checked_sub(1)?);
    Some((*slopes.get(low)?, *slopes.get(high)?))
}

fn thinned(points: &[Point]) -> Vec<Point> {
    let every = points.len().div_ceil(MOST).max(1);
    let mut points: Vec<Point> = points.iter().step_by(every).copied().collect();
    points.retain(|point| point.seconds.is_finite() && point.value.is_finite());
    points.sort_by(|one, other| one.seconds.total_cmp(&other.seconds));
    points
}

fn pairs(points: &[Point]) -> impl Iterator<Item = (&Point, &Point)> {
    points.iter().enumerate().flat_map(|(place, one)| points.iter().skip(place + 1).map(move |other| (one, other)))
}

fn middle(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    sorted.get((sorted.len() / 2).checked_sub(1)?).map(|lower| f64::midpoint(*lower, upper))
}

/// Of neighbours, from 0 to 0.95.
#[expect(clippy::cast_precision_loss, reason = "a few hundred points")]
fn correlation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let products: f64 = values.iter().zip(values.iter().skip(1)).map(|(one, next)| (one - mean) * (next - mean)).sum();
    if squares > 0.0 { (products / squares).clamp(0.0, 0.95) } else { 0.0 }
}

/// What a day of it would come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outlook {
    /// Under the cap, even at the fastest growth that is likely.
    Kept,
    /// Over the cap, even at the slowest growth that is likely.
    Exceeds,
    /// Neither is proven.
    Unclear,
}

/// What equal blocks of work leave behind, such as bytes of memory: the median block. An allocator takes and gives back in leaps of
/// hundreds of kibibytes, which say nothing of the work; a leap lies in one block, where it tilts every slope over the whole run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Residue {
    /// Of the median block.
    pub median: f64,
    /// The median block leaves more than this with a chance of 99 %.
    pub low: f64,
    /// Blocks.
    pub blocks: usize,
}

impl Residue {
    /// Of what each block left; `None` for fewer than seven, of which nothing is shown. The bound is an order statistic: as with
    /// the sign test, nothing is assumed of how blocks differ.
    #[must_use]
    pub fn of(blocks: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = blocks.iter().copied().filter(|left| left.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let low = *sorted.get(below(sorted.len()).checked_sub(1)?)?;
        Some(Self { median: middle(&sorted)?, low, blocks: sorted.len() })
    }
}

/// The largest r for which the r-th smallest of so many values lies above their true median with a chance of at most 1 %.
fn below(count: usize) -> usize {
    // In logarithms: of some 1,100 values on, ½ to the power of their number is less than the least number above zero.
    let (mut chance, mut sum, mut rank) = (number(count) * 0.5_f64.ln(), 0.0, 0);
    while rank < count {
        sum += chance.exp();
        if sum > 0.01 {
            break;
        }
        rank += 1;
        // From one binomial coefficient to the next.
        chance += (number(count - rank + 1) / number(rank)).ln();
    }
    rank
}

#[expect(clippy::cast_precision_loss, reason = "a number of blocks")]
const fn number(count: usize) -> f64 {
    count as f64
}

/// Growth against a cap.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// What grows.
    pub what: String,
    /// How fast.
    pub slope: Slope,
    /// What the value may be after 24 hours.
    pub cap: f64,
}

impl Growth {
    /// The value after 24 hours of the fastest growth that is likely.
    #[must_use]
    pub fn after_a_day(&self) -> f64 {
        self.slope.level + self.slope.high.max(0.0) * DAY
    }

    /// Whether it stays under the cap.
    #[must_use]
    pub fn outlook(&self) -> Outlook {
        let at_least = self.slope.level + self.slope.low.max(0.0) * DAY;
        if self.after_a_day() <= self.cap {
            Outlook::Kept
        } else if at_least > self.cap {
            Outlook::Exceeds
        } else {
            Outlook::Unclear
        }
    }
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Slope { median, low, high, level } = self.slope;
        write!(
            f,
            "{}: {level:.0}, growing by {median:.1} [{low:.1}, {high:.1}] a second: at most {:.0} after 24 h, {:.0} allowed",
            self.what,
            self.after_a_day(),
            self.cap
        )
    }
}

#[cfg(test)]
mod tests;
