//! The trial itself.

use crate::counts::{Counts, Metric};
use crate::evidence::evidence;
use crate::margin::{Before, Difference};
use crate::verdict::{Standing, Verdict};

/// In how many ways a metric can be found harmful: above what was usual, and above what was mostly for longer than ever.
const WAYS: f64 = 2.0;

/// How sure a trial is to be, and what it lets pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// The chance at most of finding harm where there is none: 0.01 by default.
    pub alpha: f64,
    /// The evidence of soundness that is asked for: 20 by default.
    pub sound: f64,
    /// By how much of a share the new side may be worse, by the places of [`Metric::ALL`]; 0.5, 2 and 5 points by default. A
    /// lead-in raises it to what the groups differ by anyway, and three standard errors of that.
    pub margins: [f64; 3],
    /// Requests that a window has on each side, at least: 20 by default. Windows with fewer are put together.
    pub least: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { alpha: 0.01, sound: 20.0, margins: [0.005, 0.02, 0.05], least: 20 }
    }
}

/// What the new side is compared with.
#[derive(Debug, Clone)]
enum Known {
    /// The other side of the same window; by how much the groups differed before.
    Beside([Difference; 3]),
    /// Windows from before: their shares, and their sum.
    Before(Box<[Before; 3]>, Counts),
}

/// One metric so far.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    windows: u32,
    beyond: u32,
    /// Windows above what was so mostly, by the margin.
    lasting: u32,
}

/// A comparison under way. See the crate's text.
#[derive(Debug, Clone)]
pub struct Trial {
    options: Options,
    known: Known,
    tallies: [Tally; 3],
    /// Both sides over all windows.
    sums: (Counts, Counts),
    /// Windows that are too small so far.
    pending: (Counts, Counts),
}

impl Trial {
    /// Two sides at the same time.
    #[must_use]
    pub fn beside(options: Options) -> Self {
        Self::new(options, Known::Beside(Default::default()))
    }

    /// After against before. Windows from before that have fewer requests than `least` do not count.
    #[must_use]
    pub fn after(options: Options, before: &[Counts]) -> Self {
        let windows: Vec<&Counts> = before.iter().filter(|window| window.requests >= options.least).collect();
        let before = Metric::ALL.map(|metric| {
            let shares: Vec<f64> = windows.iter().map(|window| window.share(metric)).collect();
            Before::new(&shares, options.margins.get(metric.place()).copied().unwrap_or_default())
        });
        let mut sum = Counts::default();
        windows.into_iter().for_each(|window| sum += *window);
        Self::new(options, Known::Before(Box::new(before), sum))
    }

    fn new(options: Options, known: Known) -> Self {
        Self { options, known, tallies: Default::default(), sums: Default::default(), pending: Default::default() }
    }

    /// A pair of windows in which both sides still did the same. Only of meaning for two sides at the same time, and before
    /// the first [`Trial::push`].
    pub fn lead(&mut self, known: Counts, new: Counts) {
        let Some((known, new)) = self.complete(known, new) else { return };
        let Known::Beside(differences) = &mut self.known else { return };
        for (difference, metric) in differences.iter_mut().zip(Metric::ALL) {
            difference.push(new.share(metric) - known.share(metric));
        }
    }

    /// How many windows the margins were told from.
    #[must_use]
    pub fn led(&self) -> usize {
        match &self.known {
            Known::Beside(differences) => differences.first().map_or(0, |one| one.count() as usize),
            Known::Before(before, _) => before.first().map_or(0, Before::len),
        }
    }

    /// A window. `known` is not looked at when the known side is from before. Answers with harm as soon as it is found.
    pub fn push(&mut self, known: Counts, new: Counts) -> Option<Verdict> {
        let (known, new) = self.complete(known, new)?;
        self.sums.0 += known;
        self.sums.1 += new;
        for metric in Metric::ALL {
            let (share, margin) = (new.share(metric), self.margin(metric));
            let [usual, mostly] = self.limits(metric, &known).map(|limit| u32::from(share > limit + margin));
            if let Some(tally) = self.tallies.get_mut(metric.place()) {
                tally.windows = tally.windows.saturating_add(1);
                tally.beyond = tally.beyond.saturating_add(usual);
                tally.lasting = tally.lasting.saturating_add(mostly);
            }
        }
        let ways = if matches!(self.known, Known::Before(..)) { WAYS } else { 1.0 };
        let enough = Metric::ALL.len() as f64 * ways / self.options.alpha;
        let worst = self.standings().into_iter().max_by(|a, b| a.harm.total_cmp(&b.harm))?;
        (worst.harm >= enough).then_some(Verdict::Harm(worst))
    }

    /// The end of the trial's time: what can be said now.
    #[must_use]
    pub fn finish(&self) -> Verdict {
        let least = self.standings().into_iter().min_by(|a, b| a.soundness.total_cmp(&b.soundness));
        match least {
            Some(standing) if standing.soundness >= self.options.sound => Verdict::Sound,
            Some(standing) if standing.windows > 0 => Verdict::Unclear(Some(standing)),
            _ => Verdict::Unclear(None),
        }
    }

    /// How each metric stands.
    #[must_use]
    pub fn standings(&self) -> [Standing; 3] {
        Metric::ALL.map(|metric| {
            let tally = self.tallies.get(metric.place()).copied().unwrap_or_default();
            let windows = tally.windows;
            let beyond = if self.lasts_longer(metric, &tally) { tally.lasting.max(tally.beyond) } else { tally.beyond };
            let known = match &self.known {
                Known::Beside(_) => self.sums.0.share(metric),
                Known::Before(_, sum) => sum.share(metric),
            };
            Standing {
                metric,
                windows,
                beyond,
                margin: self.margin(metric),
                known,
                new: self.sums.1.share(metric),
                harm: evidence(windows, beyond),
                soundness: evidence(windows, windows.saturating_sub(tally.lasting.max(beyond))),
            }
        })
    }

    /// Puts small windows together until both sides have enough.
    fn complete(&mut self, known: Counts, new: Counts) -> Option<(Counts, Counts)> {
        self.pending.0 += known;
        self.pending.1 += new;
        let beside = matches!(self.known, Known::Beside(_));
        let full =
            self.pending.1.requests >= self.options.least && (!beside || self.pending.0.requests >= self.options.least);
        full.then(|| std::mem::take(&mut self.pending))
    }

    /// The shares that the new side is held against: that of the other side, or what was usual and what was so mostly.
    fn limits(&self, metric: Metric, known: &Counts) -> [f64; 2] {
        match &self.known {
            Known::Beside(_) => [known.share(metric); 2],
            Known::Before(before, _) => before.get(metric.place()).map(Before::limits).unwrap_or_default(),
        }
    }

    /// Whether more windows lie above what was so mostly than ever did before in as long a time: an outage of a few seconds
    /// before the change then hides none that stays, and bursts that come and go are no harm of the change.
    fn lasts_longer(&self, metric: Metric, tally: &Tally) -> bool {
        let Known::Before(before, _) = &self.known else { return false };
        before.get(metric.place()).is_some_and(|one| tally.lasting as usize > one.most_beyond(tally.windows as usize))
    }

    /// By how much the new side may be worse than that.
    fn margin(&self, metric: Metric) -> f64 {
        let asked = self.options.margins.get(metric.place()).copied().unwrap_or_default();
        match &self.known {
            Known::Beside(differences) => {
                asked.max(differences.get(metric.place()).map(Difference::at_most).unwrap_or_default())
            }
            Known::Before(..) => asked,
        }
    }
}
