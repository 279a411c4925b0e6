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

use crate::Failure;

use super::kit::{Books, Stage, ms, open, play, told, until, watched};
use super::outcome::Outcome;

/// Requests a second.
const RATE: f64 = 400.0;

/// Who takes longer is late.
const LATE: Duration = Duration::from_millis(25);

/// The share that may be late through the gateway and would not be without it.
const MORE: f64 = 0.03;

/// Plays.
pub(super) fn records(stage: &Stage) -> Result<Outcome, Failure> {
    let mut outcome = Outcome::default();
    let origin = Origin::start("{\"fine\":true}")?;
    let edge = stage.plain(origin.address())?;
    let books = Books::open(&edge, &origin)?;
    let (rounds, length) = stage.size((7, Duration::from_millis(1500)), (41, Duration::from_secs(5)));
    let load = |to, seed| Load { objective: LATE, ..open(to, RATE, length, seed) };
    let (mut more, mut through, mut passed, mut failed) = (Vec::new(), 0, 0, Vec::new());
    for (round, seed) in (0..rounds).zip(stage.seed..) {
        let (with, without) = watched(&mut outcome, "rounds", || {
            let (with, without) = (load(edge.address, seed), load(origin.address(), seed));
            // Neither is always first.
            let played = if round % 2 == 0 {
                let with = play(&with)?;
                (with, play(&without)?)
            } else {
                let without = play(&without)?;
                (play(&with)?, without)
            };
            Ok((played, None))
        })?;
        through += with.all.sent();
        passed += with.all.sent() + without.all.sent();
        more.push(late(&with) - late(&without));
        if with.all.failures() + with.all.refused > 0 {
            failed.push(told(&with));
        }
    }
    outcome.expect("nothing fails", failed.is_empty(), failed.join("; "));
    books.close(&mut outcome, "all rounds", [through, passed])?;
    let lines = || -> Result<u64, Failure> {
        let log = fs::read(stage.folder.join("edge/access.log"))?;
        Ok(log.iter().filter(|byte| **byte == b'\n').count() as u64)
    };
    let written = until(Duration::from_secs(5), || Ok(lines()? == through))?;
    outcome.expect("each has one line in the log", written, format!("{} for {through}", lines()?));
    let more = middle(&mut more);
    outcome.expect(
        format!("at most {:.0} % more than without the gateway take longer than {}", MORE * 100.0, ms(LATE)),
        more <= MORE,
        format!("{:.2} % more, in the middle of {rounds} rounds", more * 100.0),
    );
    outcome.number("late_more", more);
    Ok(outcome)
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
