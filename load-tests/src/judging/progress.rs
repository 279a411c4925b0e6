//! How far a judge is: one line that is written over on a terminal; in CI a line every ten seconds, and where something changes.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use portcullis_judge::{Judge, Step};

use crate::tool::progress::shown;

/// From one line to the next where no line is written over.
const CI: Duration = Duration::from_secs(10);

/// Pairs that what is expected weighs as much as.
const EXPECTED: f64 = 3.0;

/// Tells how far it is.
#[derive(Debug)]
pub(super) struct Progress {
    /// What a pair takes as far as is known before the first is over.
    pair: Duration,
    terminal: bool,
    /// The last line's stage and moment.
    last: Option<(&'static str, Instant)>,
}

impl Progress {
    /// Of pairs that are expected to take so long each.
    pub(super) fn new(pair: Duration) -> Self {
        Self { pair, terminal: std::io::stderr().is_terminal(), last: None }
    }

    /// Tells it, so many seconds from the beginning.
    pub(super) fn tell(&mut self, judge: &Judge, elapsed: f64) {
        let (stage, text) = line(judge, elapsed, self.pair);
        let ended = judge.step() == Step::End;
        let mut err = std::io::stderr().lock();
        if self.terminal {
            // Nobody has to listen.
            drop(write!(err, "\r\x1b[K{text}{}", if ended { "\n" } else { "" }).and_then(|()| err.flush()));
            return;
        }
        let due = self.last.is_none_or(|(last, at)| last != stage || at.elapsed() >= CI);
        if due || ended {
            self.last = Some((stage, Instant::now()));
            drop(writeln!(err, "{text}"));
        }
    }
}

/// Says something beside it, on a line of its own.
pub(super) fn note(text: &str) {
    let mut err = std::io::stderr().lock();
    let clear = if err.is_terminal() { "\r\x1b[K" } else { "" };
    drop(writeln!(err, "{clear}{text}"));
}

/// The stage, and all that is said of it.
fn line(judge: &Judge, elapsed: f64, pair: Duration) -> (&'static str, String) {
    let (twins, pairs, left) = (judge.twins_seen(), judge.pairs_seen(), judge.remaining());
    let seen = twins + pairs;
    // At first what is expected weighs as much as what was seen, of which the start is a part.
    let each = (elapsed + EXPECTED * pair.as_secs_f64()) / (EXPECTED + f64::from(seen));
    let left_over = shown(Duration::try_from_secs_f64(each * f64::from(left)).unwrap_or_default());
    let (stage, done) = match judge.step() {
        Step::Twins(_) => ("A/A leg", twins),
        Step::Compare(_) => ("comparison", pairs),
        Step::End => return ("done", format!("done: {twins} pairs of twins, {pairs} pairs compared")),
    };
    let spoiled = match judge.skipped() {
        0 => String::new(),
        skipped => format!(", {skipped} could not be measured"),
    };
    (stage, format!("{stage}: {done} done, at most {left} pairs to go, about {left_over}{spoiled}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_judge::{Pair, Rules, Sample};

    #[test]
    fn says_the_stage_what_is_done_and_how_long_it_may_take() {
        let mut judge = Judge::new(Rules { resamples: 1000, ..Rules::default() }, 1).unwrap();
        let second = Duration::from_secs(1);
        let said = |judge: &Judge, elapsed: f64| line(judge, elapsed, second * 4).1;
        assert_eq!(said(&judge, 0.0), "A/A leg: 0 done, at most 60 pairs to go, about 4 min");
        let side = Sample { requests: 100, cpu: Some(1e4), rss: Some(1e5), ..Sample::default() };
        let pair = Pair { baseline: side, canary: side };
        (0..5).for_each(|_| judge.push(pair));
        assert_eq!(said(&judge, 12.0), "A/A leg: 5 done, at most 55 pairs to go, about 3 min");
        judge.skip("the machine");
        (0..20).for_each(|_| judge.push(pair));
        let text = "comparison: 5 done, at most 35 pairs to go, about 110 s, 1 could not be measured";
        assert_eq!(said(&judge, 76.0), text);
        (0..40).for_each(|_| judge.push(pair));
        assert_eq!(said(&judge, 99.0), "done: 20 pairs of twins, 20 pairs compared");
    }
}
