//! Every request has its line in the log, and nobody waits for it.
//!
//! What the machine does to latency it does to the origin too: so rounds through the gateway take turns with rounds straight
//! to the origin, the same moments in both, and what is judged is how many more were late through the gateway, in the middle
//! of all rounds.

use std::fs;
use std::time::Duration;

use portcullis_engine::drive::Load;
use portcullis_engine::origin::Origin;
use portcullis_engine::tally::Tally;
use portcullis_judge::stats::Estimate;

use crate::Failure;

use super::books::{Books, SETTLE};
use super::kit::{Stage, ms, open, play, until};
use super::outcome::Notes;
use super::served::Bad;

/// Requests a second.
const RATE: f64 = 400.0;

/// Who takes longer is late.
const LATE: Duration = Duration::from_millis(25);

/// The share that may be late through the gateway and would not be without it.
const MORE: f64 = 0.03;

/// Plays.
pub(super) fn records(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    let origin = Origin::start("{\"fine\":true}")?;
    let edge = stage.plain(origin.address())?;
    let books = Books::open(&edge, &origin)?;
    let (rounds, length) = stage.size((7, Duration::from_millis(1500)), (41, Duration::from_secs(5)));
    let load = |to, seed| Load { objective: LATE, ..open(to, RATE, length, seed) };
    let (mut more, mut through, mut straight, mut bad) = (Vec::new(), 0, 0, Bad::default());
    let mut disturbed = Vec::new();
    for (round, seed) in (0..rounds).zip(stage.seed..) {
        let ((with, without), part) = edge.watched(outcome, &format!("round {}", round + 1), || {
            let (with, without) = (load(edge.address, seed), load(origin.address(), seed));
            // Neither is always first.
            let played = if round % 2 == 0 {
                let with = play(&with)?;
                (with, play(&without)?)
            } else {
                let without = play(&without)?;
                (play(&with)?, without)
            };
            let lag = played.0.lag();
            Ok((played, Some(lag)))
        })?;
        part.expect_served(outcome, &with);
        part.keep(outcome, &with);
        bad += Bad::of(&with);
        through += with.all.sent();
        straight += without.all.sent();
        more.push(late(&with) - late(&without));
        disturbed.extend(part.excuse(MORE));
    }
    books.close(outcome, "all rounds", [through, through - bad.refused + straight], bad.late)?;
    let lines = || -> Result<u64, Failure> {
        let log = fs::read(stage.folder.join("edge/access.log"))?;
        Ok(log.iter().filter(|byte| **byte == b'\n').count() as u64)
    };
    until(SETTLE, || Ok(lines()? == through));
    let written = lines()?;
    let each = written <= through && written + bad.late >= through;
    outcome.count("each has one line in the log", each, format!("{written} for {through}"));
    outcome.rounds("late_more", &more);
    let spread =
        Estimate::of(&more).map(|Estimate { low, high, .. }| format!(" [{:.2}, {:.2}]", low * 100.0, high * 100.0));
    let more = middle(&mut more);
    // Rounds take turns, and the middle one decides: a few that the machine disturbed do not.
    let excuse = disturbed.first().filter(|_| disturbed.len() * 2 > rounds);
    outcome.timing(
        excuse.map(|first| format!("{} of {rounds} rounds were disturbed: {first}, for one", disturbed.len())),
        format!("at most {:.0} % more than without the gateway take longer than {}", MORE * 100.0, ms(LATE)),
        more <= MORE,
        format!("{:.2}{} % more, in the middle of {rounds} rounds", more * 100.0, spread.unwrap_or_default()),
    );
    Ok(())
}

fn late(tally: &Tally) -> f64 {
    tally.beyond as f64 / tally.counted.sent().max(1) as f64
}

/// The median of an odd number of values.
fn middle(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_moment_of_the_machine_does_not_decide() {
        assert_eq!(middle(&mut [0.0, 0.9, -0.2, 0.01, 0.0]), 0.0);
        assert!(middle(&mut [0.08, 0.11, 0.0, 0.12, 0.09]) > MORE);
    }
}
