//! What scrapes tell beside the windows: which costs may be compared, whether the canary lives, how memory grows.

use portcullis_judge::growth::{Growth, Point, Slope};
use portcullis_judge::window::Window;
use portcullis_judge::{Finding, Sample};

use crate::Failure;
use crate::judging::metrics::Scrape;
use crate::judging::progress::note;

/// By how much more requests one side may have for its costs to be compared. What a gateway does by time is spread over its requests, so
/// fewer of them are dearer each; and who has more connections needs more memory.
const ALIKE: f64 = 1.25;

/// Scrapes in a row that fail, and restarts, of the canary alone, from which on it is down.
const MOST: u32 = 3;

/// Which costs may be compared: they follow the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Costs {
    cpu: bool,
    memory: bool,
}

impl Costs {
    /// Of two sides with so many requests. A canary with fewer needs no more memory for it; one with more may.
    #[expect(clippy::cast_precision_loss, reason = "counts of a window are far below 2^52")]
    pub(super) fn of(baseline: u64, canary: u64) -> Self {
        let ratio = canary as f64 / baseline.max(1) as f64;
        Self { cpu: (ALIKE.recip()..=ALIKE).contains(&ratio), memory: ratio <= ALIKE }
    }

    /// The same, and what is left out is said.
    pub(super) fn told(self, baseline: &Window, canary: &Window) -> Self {
        let left_out = match self {
            Self { cpu: true, .. } => return self,
            Self { memory: true, .. } => "CPU per request is",
            Self { .. } => "CPU per request and memory are",
        };
        note(&format!(
            "the baseline has {} requests and the canary {}: {left_out} not compared",
            baseline.requests, canary.requests
        ));
        self
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self { cpu: self.cpu && other.cpu, memory: self.memory && other.memory }
    }

    /// A sample without what may not be compared.
    pub(super) fn kept(self, sample: Sample) -> Sample {
        Sample { cpu: sample.cpu.filter(|_| self.cpu), memory: sample.memory.filter(|_| self.memory), ..sample }
    }
}

/// Whether the canary is down, or begins anew again and again, while its baseline is well.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    unreachable: u32,
    restarts: u32,
    last: String,
}

impl Trouble {
    /// A moment at which a side could not be scraped. Where the baseline could not either, it is no fault of the canary's.
    pub(super) fn unreachable(&mut self, baseline_is_well: bool, canary: Option<&Failure>) {
        match canary.filter(|_| baseline_is_well) {
            Some(failure) => {
                self.unreachable += 1;
                self.last = failure.to_string();
            }
            None => self.unreachable = 0,
        }
    }

    /// A moment at which both could be, and which of them began anew since the last one.
    pub(super) fn reachable(&mut self, [baseline, canary]: [bool; 2]) {
        self.unreachable = 0;
        self.restarts += u32::from(canary && !baseline);
    }

    pub(super) fn finding(&self) -> Option<Finding> {
        let text = if self.unreachable >= MOST {
            format!(
                "the canary could not be asked {} times in a row, and the baseline could: {}",
                self.unreachable, self.last
            )
        } else if self.restarts >= MOST {
            format!("the canary was started anew {} times, and the baseline was not", self.restarts)
        } else {
            return None;
        };
        Some(Finding::Scene { name: "lives".to_owned(), baseline: Some(true), canary: false, text })
    }
}

/// Memory of both over the comparison. What was before is left out: a gateway that has just begun fills what it keeps.
#[derive(Debug, Default)]
pub(super) struct Growing([Vec<Point>; 2]);

impl Growing {
    /// Notes a moment, where it counts. Who began anew has not grown.
    pub(super) fn note(&mut self, now: &[Scrape; 2], restarted: [bool; 2], seconds: f64, counts: bool) {
        for ((points, scrape), restarted) in self.0.iter_mut().zip(now).zip(restarted) {
            if restarted {
                points.clear();
            }
            points.extend(scrape.resident().filter(|_| counts).map(|value| Point { seconds, value }));
        }
    }

    /// What a day of it would come to, against a cap in bytes; `None` where the canary's is not known.
    #[expect(clippy::cast_precision_loss, reason = "bytes of a process are far below 2^52")]
    pub(super) fn finding(&self, cap: u64) -> Option<Finding> {
        let growth = |points: &Vec<Point>| {
            Some(Growth { what: "growth_rss".to_owned(), slope: Slope::of(points)?, cap: cap as f64 })
        };
        let [baseline, canary] = &self.0;
        Some(Finding::Growth { baseline: growth(baseline), canary: growth(canary)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_compared_where_the_traffic_is_alike() {
        for (baseline, canary, cpu, memory) in [
            (1000, 1000, true, true),
            (1000, 800, true, true),
            (1000, 1250, true, true),
            (1000, 50, false, true),
            (1000, 2000, false, false),
        ] {
            assert_eq!(Costs::of(baseline, canary), Costs { cpu, memory }, "{canary} of {baseline}");
        }
        let sample = Sample { cpu: Some(1.0), memory: Some(2.0), ..Sample::default() };
        let kept = Costs::of(1000, 1000).and(Costs::of(1000, 50)).kept(sample);
        assert_eq!((kept.cpu, kept.memory), (None, Some(2.0)));
    }

    #[test]
    fn three_scrapes_in_a_row_and_three_restarts_of_the_canary_alone_are_trouble() {
        let refused: Failure = "refused".into();
        let mut trouble = Trouble::default();
        for (baseline_is_well, failure) in [(true, Some(&refused)), (true, Some(&refused)), (false, Some(&refused))] {
            trouble.unreachable(baseline_is_well, failure);
        }
        assert!(trouble.finding().is_none(), "the baseline was not well");
        (0..2).for_each(|_| trouble.unreachable(true, Some(&refused)));
        trouble.reachable([false, true]);
        (0..2).for_each(|_| trouble.unreachable(true, Some(&refused)));
        assert!(trouble.finding().is_none());
        trouble.unreachable(true, Some(&refused));
        assert!(trouble.finding().unwrap().to_string().contains("3 times in a row, and the baseline could: refused"));
        trouble.reachable([true, true]);
        trouble.reachable([false, true]);
        assert!(trouble.finding().is_none(), "one restart was of both");
        trouble.reachable([false, true]);
        assert!(trouble.finding().unwrap().to_string().contains("started anew 3 times"));
    }
}
