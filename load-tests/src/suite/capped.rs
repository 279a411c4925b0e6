//! Requests of one caller who may do so many and no more, and whether it was exactly so many.

use portcullis_engine::answer::Answer;
use portcullis_engine::drive::Source;
use portcullis_engine::outcome::{Kind, Outcome as Became};
use portcullis_engine::tally::Tally;

use super::outcome::Notes;
use super::part::Part;
use super::served::{Bad, SHEDS_AFTER, told};

/// The same GET again and again.
#[derive(Debug)]
pub(super) struct Capped {
    request: Vec<u8>,
    /// How often it was let in.
    pub(super) admitted: u64,
}

impl Capped {
    /// Of a target, with more fields, each with its line's end.
    pub(super) fn get(target: &str, fields: &str) -> Self {
        let request = format!("GET {target} HTTP/1.1\r\nHost: load.test\r\n{fields}\r\n").into_bytes();
        Self { request, admitted: 0 }
    }

    /// A cap that nothing comes back to while the scene plays lets exactly so many in: where there are fewer, some are counted
    /// twice, where there are more, some are forgotten. It is not reached when none was refused, and of those that failed nobody knows
    /// whether they were let in.
    pub(super) fn expect(&self, outcome: &Notes, what: &str, cap: u64, (tally, part): (&Tally, &Part)) {
        let (criterion, found) = (format!("{what}: exactly {cap} are let in"), format!("{} were", self.admitted));
        let bad = Bad::failed(tally);
        part.expect_none(outcome, &format!("{what}: nothing fails"), bad, &told(tally));
        let reached = tally.all.refused > 0;
        if self.admitted > cap || (reached && bad == Bad::default()) {
            outcome.count(criterion, self.admitted == cap && reached, found);
        } else {
            let all = format!("{found}, {} refused of {}", tally.all.refused, tally.all.sent());
            outcome.timing(part.excuse_for(SHEDS_AFTER), criterion, self.admitted == cap && reached, all);
        }
    }
}

impl Source for Capped {
    fn write(&mut self, _: u64, out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(&self.request);
        0
    }

    fn judge(&mut self, _: usize, _: u64, answer: &Answer<'_>) -> Became {
        match answer.status {
            200 => {
                self.admitted += 1;
                Became::Succeeded
            }
            429 => Became::Refused,
            _ => Became::Failed(Kind::Status),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::suite::outcome::Status;
    use portcullis_engine::tally::Failed;

    #[test]
    fn one_too_many_and_one_too_few_are_found_and_a_cap_that_is_not_reached_says_nothing() {
        let ms = Duration::from_millis;
        for (admitted, refused, late, kept_out, status) in [
            (24, 9, 0, 5000, Status::Failed),
            (25, 9, 0, 0, Status::Passed),
            (26, 0, 1, 5000, Status::Failed),
            // Nobody knows whether the late one was let in.
            (24, 9, 1, 5000, Status::Invalid),
            (25, 9, 1, 5000, Status::Invalid),
            (24, 9, 1, 0, Status::Failed),
            // Too few were sent.
            (24, 0, 0, 5000, Status::Invalid),
            (24, 0, 0, 0, Status::Failed),
            (25, 0, 0, 0, Status::Failed),
        ] {
            let mut tally = Tally::new(ms(50), Duration::ZERO).unwrap();
            (0..admitted).for_each(|n| tally.answered(ms(n), ms(1)));
            (0..refused).for_each(|n| tally.refused(ms(n)));
            for id in 0..late {
                tally.failed(Failed { id, planned: ms(1), status: None, kind: Kind::Timeout });
            }
            let (notes, part) = (Notes::default(), Part::fixture(ms(10_000), ms(kept_out), 0));
            Capped { admitted, ..Capped::get("/", "") }.expect(&notes, "a race", 25, (&tally, &part));
            assert_eq!(notes.outcome().status(), status, "{admitted} {refused} {late} {kept_out}");
        }
    }
}
