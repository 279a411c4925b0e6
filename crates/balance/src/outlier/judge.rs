//! Who stands out in a window: pure arithmetic over what the cluster's endpoints did.

use std::time::Duration;

use portcullis_types::Percent;

use super::watch::Window;
use super::{EjectionCause, FailureRate, LatencyOutlier, OutlierPolicy};
use crate::number::small;
use crate::tuning::percent;

/// Those that stand out, the worst first, with the cause. Failing is worse than being slow.
pub(crate) fn judge(policy: &OutlierPolicy, windows: &[Window]) -> Vec<(usize, EjectionCause)> {
    let mut out = policy.failure_rate.map(|rule| failing(&rule, windows)).unwrap_or_default();
    for (at, cause) in policy.latency.map(|rule| slow(&rule, windows)).unwrap_or_default() {
        if !out.iter().any(|(known, _)| *known == at) {
            out.push((at, cause));
        }
    }
    out
}

/// How much more than the others an endpoint of a small cluster must fail.
const SMALL_GAP: f64 = 0.5;

fn failing(rule: &FailureRate, windows: &[Window]) -> Vec<(usize, EjectionCause)> {
    let rates: Vec<(usize, f64)> = windows
        .iter()
        .enumerate()
        .filter(|(_, window)| window.good.saturating_add(window.bad) >= rule.min_requests.get())
        .map(|(at, window)| (at, f64::from(window.bad) / (f64::from(window.good) + f64::from(window.bad))))
        .collect();
    if rates.len() < 2 {
        return Vec::new();
    }
    let count = rates.len() as f64;
    let sum: f64 = rates.iter().map(|(_, rate)| rate).sum();
    let mean = sum / count;
    let deviation = (rates.iter().map(|(_, rate)| (rate - mean).powi(2)).sum::<f64>() / count).sqrt();
    let gap = f64::from(rule.min_gap.millionths()) * 1e-6;
    let enough = rates.len() >= rule.min_endpoints.get() as usize;
    let stands_out = |rate: f64| {
        let others = (sum - rate) / (count - 1.0);
        if enough { rate > mean + (rule.stdev_factor * deviation).max(gap) } else { rate > others + SMALL_GAP.max(gap) }
    };
    let mut out: Vec<(usize, f64)> = rates.iter().copied().filter(|(_, rate)| stands_out(*rate)).collect();
    out.sort_by(|one, other| other.1.total_cmp(&one.1));
    out.into_iter().map(|(at, rate)| (at, EjectionCause::FailureRate { own: share(rate), mean: share(mean) })).collect()
}

/// Rounded to a tenth of a per cent, which is what people can read.
fn share(rate: f64) -> Percent {
    percent(small((rate.clamp(0.0, 1.0) * 1_000.0).round()) * 1_000)
}

fn slow(rule: &LatencyOutlier, windows: &[Window]) -> Vec<(usize, EjectionCause)> {
    let mut known: Vec<(usize, Duration)> = windows
        .iter()
        .enumerate()
        .filter(|(_, window)| window.good >= rule.min_requests.get())
        .map(|(at, window)| (at, window.latency))
        .collect();
    if known.len() < 2 {
        return Vec::new();
    }
    known.sort_by_key(|(_, latency)| *latency);
    // The median of the others: the middle of the list without its slower half's last, which is the suspect.
    let Some((_, median)) = known.get((known.len() - 2) / 2).copied() else { return Vec::new() };
    let limit = median.mul_f64(rule.factor.max(1.0)).max(median + rule.min_gap);
    let standing_out = known.into_iter().rev().take_while(|(_, latency)| *latency > limit);
    standing_out.map(|(at, own)| (at, EjectionCause::Slow { own, median })).collect()
}
