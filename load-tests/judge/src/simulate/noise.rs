//! Noise as it was measured: pairs of windows of twins, in the order in which they were.

use crate::random::Random;
use crate::sample::{Pair, Sample};
use crate::window::Failure;

/// Pairs that are drawn together: what a machine does lasts longer than a pair, and so do processes.
const BLOCK: usize = 5;

/// The columns of the file, of each side. The last may be missing.
const COLUMNS: usize = 6;

/// Measured pairs of twins.
#[derive(Debug, Clone, PartialEq)]
pub struct Noise(Vec<Pair>);

/// Why a file is no noise.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadNoise {
    /// A line that is neither ten numbers nor twelve.
    #[error("line {0}: not ten or twelve numbers, or more requests beyond the objective or failed than there were")]
    Line(usize),
    /// Too few pairs to draw from.
    #[error("{0} pairs are too few to draw runs from: 60 are the least")]
    TooFew(usize),
}

impl Noise {
    /// Of these pairs.
    ///
    /// # Errors
    ///
    /// When there are too few.
    pub fn new(pairs: Vec<Pair>) -> Result<Self, BadNoise> {
        if pairs.len() < 60 { Err(BadNoise::TooFew(pairs.len())) } else { Ok(Self(pairs)) }
    }

    /// What was measured for this project: two shared cores while compilers ran on them. The file says how.
    ///
    /// # Errors
    ///
    /// Never: the file is part of the crate, and a test reads it.
    pub fn measured() -> Result<Self, BadNoise> {
        Self::parse(include_str!("../../noise/two-shared-cores.csv"))
    }

    /// The same of duets, in which both ran at the same moment.
    ///
    /// # Errors
    ///
    /// Never: the file is part of the crate, and a test reads it.
    pub fn measured_in_duets() -> Result<Self, BadNoise> {
        Self::parse(include_str!("../../noise/two-shared-cores-duet.csv"))
    }

    /// The measured pairs.
    #[must_use]
    pub fn pairs(&self) -> &[Pair] {
        &self.0
    }

    /// Of a file: a line for each pair, for each side requests, those beyond the objective, those that failed, CPU per request in
    /// nanoseconds, memory in bytes, and what a held connection adds to it in bytes, where that is known of both; with commas, `#` begins
    /// a remark.
    ///
    /// # Errors
    ///
    /// When a line is not understood, or there are too few.
    pub fn parse(text: &str) -> Result<Self, BadNoise> {
        let lines = text.lines().zip(1..).filter(|(line, _)| !line.starts_with('#') && !line.trim().is_empty());
        let pairs: Result<Vec<Pair>, BadNoise> =
            lines.map(|(line, number)| pair(line).ok_or(BadNoise::Line(number))).collect();
        Self::new(pairs?)
    }

    /// The file's lines.
    #[must_use]
    pub fn lines(pairs: &[Pair]) -> String {
        let side = |sample: &Sample| {
            let Sample { requests, beyond, cpu, memory, rss, .. } = *sample;
            let failed = sample.failed_in_all();
            let [cpu, memory, rss] = [cpu, memory, rss].map(|value| value.unwrap_or(0.0));
            format!("{requests},{beyond},{failed},{cpu:.0},{memory:.0},{rss:.0}")
        };
        pairs.iter().map(|pair| format!("{},{}\n", side(&pair.baseline), side(&pair.canary))).collect()
    }

    /// A run's worth of noise.
    #[must_use]
    pub const fn draw(&self) -> Draw<'_> {
        Draw::of(self.0.as_slice())
    }
}

/// Noise of one run: blocks of pairs from anywhere among those that were measured.
#[derive(Debug, Clone)]
pub struct Draw<'a> {
    pairs: &'a [Pair],
    next: usize,
    left: usize,
    exchanged: bool,
}

impl<'a> Draw<'a> {
    /// From these pairs, in the order in which they were measured.
    #[must_use]
    pub const fn of(pairs: &'a [Pair]) -> Self {
        Self { pairs, next: 0, left: 0, exchanged: false }
    }

    /// The next pair. The sides of a whole block are exchanged or not: which process stood in which place was luck, and stayed as long
    /// as they did.
    pub fn next_pair(&mut self, random: &mut Random) -> Pair {
        if self.left == 0 {
            self.left = BLOCK;
            self.next = random.below(self.pairs.len());
            self.exchanged = random.unit() < 0.5;
        }
        let pair = self.pairs.get(self.next % self.pairs.len().max(1)).copied().unwrap_or_default();
        self.left -= 1;
        self.next += 1;
        if self.exchanged { pair.exchanged() } else { pair }
    }
}

fn pair(line: &str) -> Option<Pair> {
    let cells: Vec<&str> = line.split(',').map(str::trim).collect();
    let columns = cells.len() / 2;
    if !cells.len().is_multiple_of(2) || !(COLUMNS - 1..=COLUMNS).contains(&columns) {
        return None;
    }
    Some(Pair { baseline: sample(cells.get(..columns)?)?, canary: sample(cells.get(columns..)?)? })
}

fn sample(cells: &[&str]) -> Option<Sample> {
    let [requests, beyond, failed, cpu, memory, rest @ ..] = cells else { return None };
    let measured = |text: &str| -> Option<Option<f64>> {
        let value: f64 = text.parse().ok()?;
        value.is_finite().then(|| (value > 0.0).then_some(value))
    };
    let (requests, beyond, failed_requests) = (requests.parse().ok()?, beyond.parse().ok()?, failed.parse().ok()?);
    let mut failed = [0; Failure::ALL.len()];
    // The file does not say how; a request without an answer in time is what noise makes.
    for (kind, count) in Failure::ALL.into_iter().zip(&mut failed) {
        *count = if kind == Failure::Timeout { failed_requests } else { 0 };
    }
    (beyond <= requests && failed_requests <= beyond).then_some(())?;
    let rss = rest.first().map_or(Some(None), |rss| measured(rss))?;
    Some(Sample { requests, beyond, refused: 0, failed, cpu: measured(cpu)?, memory: measured(memory)?, rss })
}
