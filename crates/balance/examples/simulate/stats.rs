//! What is measured, and what it says.

use super::scene::Scene;
use super::server::SECOND;

/// The width of a bucket of the course of events: 50 ms.
pub(crate) const BUCKET: u64 = SECOND / 20;

/// A stretch of time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bucket {
    /// Requests that began.
    pub(crate) requests: u32,
    /// Attempts sent.
    pub(crate) attempts: u32,
    /// Those sent to watched servers.
    pub(crate) watched: u32,
    /// Requests that ended well, with the latencies in milliseconds.
    pub(crate) good: Vec<f32>,
    /// Requests that ended badly.
    pub(crate) bad: u32,
}

/// The course of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stats {
    /// By time.
    pub(crate) buckets: Vec<Bucket>,
    /// Attempts by server, in the measured stretch.
    pub(crate) by_server: Vec<u64>,
    /// What a request that ended badly counts as in quantiles, in milliseconds: the timeout, however fast it failed.
    pub(crate) failed_as: f32,
}

/// What a run says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Summary {
    /// Quantiles of latency, in milliseconds; a request that ended badly counts as the timeout.
    pub(crate) p50: f64,
    /// See above.
    pub(crate) p99: f64,
    /// See above.
    pub(crate) p999: f64,
    /// The part of requests that ended badly.
    pub(crate) errors: f64,
    /// The part of attempts that went to watched servers.
    pub(crate) watched: f64,
    /// Attempts of the busiest server over the mean.
    pub(crate) most: f64,
    /// Seconds from the fault until the watched servers get under a quarter of their fair share; `None` when never.
    pub(crate) reacts: Option<f64>,
}

impl Stats {
    /// The bucket of a moment.
    pub(crate) fn at(&mut self, now: u64) -> &mut Bucket {
        let at = usize::try_from(now / BUCKET).unwrap_or(0);
        if self.buckets.len() <= at {
            self.buckets.resize(at + 1, Bucket::default());
        }
        let last = self.buckets.len() - 1;
        &mut self.buckets[at.min(last)]
    }

    /// The buckets from one second to another.
    pub(crate) fn between(&self, from: f64, to: f64) -> &[Bucket] {
        let at = |seconds: f64| ((seconds * SECOND as f64 / BUCKET as f64).round() as usize).min(self.buckets.len());
        &self.buckets[at(from)..at(to).max(at(from))]
    }

    /// A quantile of latency between two seconds, in milliseconds.
    pub(crate) fn quantile(&self, from: f64, to: f64, quantile: f64) -> f64 {
        let buckets = self.between(from, to);
        let mut all: Vec<f32> = buckets.iter().flat_map(|bucket| bucket.good.iter().copied()).collect();
        let bad: usize = buckets.iter().map(|bucket| bucket.bad as usize).sum();
        all.resize(all.len() + bad, self.failed_as);
        quantile_of(&mut all, quantile)
    }

    /// The part of requests that ended badly between two seconds.
    pub(crate) fn errors(&self, from: f64, to: f64) -> f64 {
        let (bad, good) = self
            .between(from, to)
            .iter()
            .fold((0.0, 0.0), |(bad, good), bucket| (bad + f64::from(bucket.bad), good + bucket.good.len() as f64));
        if bad + good > 0.0 { bad / (bad + good) } else { 0.0 }
    }

    /// The part of attempts sent to watched servers between two seconds.
    pub(crate) fn watched(&self, from: f64, to: f64) -> f64 {
        let (watched, all) = self.between(from, to).iter().fold((0.0, 0.0), |(watched, all), bucket| {
            (watched + f64::from(bucket.watched), all + f64::from(bucket.attempts))
        });
        if all > 0.0 { watched / all } else { 0.0 }
    }

    /// Attempts per second between two seconds.
    pub(crate) fn offered(&self, from: f64, to: f64) -> f64 {
        self.between(from, to).iter().map(|bucket| f64::from(bucket.attempts)).sum::<f64>() / (to - from)
    }

    /// What the run says from the second on that the scene is measured from.
    pub(crate) fn summary(&self, scene: &Scene) -> Summary {
        let (from, to) = (scene.measure_from, scene.seconds);
        let mean = self.by_server.iter().sum::<u64>() as f64 / self.by_server.len().max(1) as f64;
        let most = self.by_server.iter().copied().max().unwrap_or(0) as f64;
        Summary {
            p50: self.quantile(from, to, 0.5),
            p99: self.quantile(from, to, 0.99),
            p999: self.quantile(from, to, 0.999),
            errors: self.errors(from, to),
            watched: self.watched(from, to),
            most: if mean > 0.0 { most / mean } else { 0.0 },
            reacts: self.reacts(scene),
        }
    }

    fn reacts(&self, scene: &Scene) -> Option<f64> {
        let fault = scene.fault_at()?;
        let fair = scene.watched.len() as f64 / scene.fleet as f64;
        let ends = scene.changes.iter().map(|change| change.at).filter(|at| *at > fault).fold(scene.seconds, f64::min);
        let step = BUCKET as f64 / SECOND as f64;
        let steps = ((ends - fault) / step) as usize;
        let calm = |from: f64| {
            let to = (from + 4.0 * step).min(ends);
            self.between(from, to).iter().any(|bucket| bucket.attempts > 0) && self.watched(from, to) <= fair / 4.0
        };
        (0..steps).map(|nth| nth as f64 * step).find(|after| calm(fault + after))
    }
}

/// A quantile; 0 of nothing.
pub(crate) fn quantile_of(all: &mut [f32], quantile: f64) -> f64 {
    if all.is_empty() {
        return 0.0;
    }
    let at = ((all.len() as f64 * quantile) as usize).min(all.len() - 1);
    f64::from(*all.select_nth_unstable_by(at, f32::total_cmp).1)
}
