//! Requests of one caller who may do so many and no more, and whether it was exactly so many.

use portcullis_engine::answer::Answer;
use portcullis_engine::drive::Source;
use portcullis_engine::outcome::{Kind, Outcome as Became};

use super::outcome::Outcome;

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
    /// twice, where there are more, some are forgotten. Of those that failed nobody knows whether they were let in.
    pub(super) fn expect(&self, outcome: &mut Outcome, what: &str, cap: u64, failed: u64) {
        let (criterion, found) = (format!("{what}: exactly {cap} are let in"), format!("{} were", self.admitted));
        if self.admitted > cap || failed == 0 {
            outcome.insist(criterion, self.admitted == cap, found);
        } else {
            outcome.expect(criterion, self.admitted == cap, found);
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
    use super::*;
    use crate::suite::outcome::Status;

    #[test]
    fn one_too_many_and_one_too_few_are_found() {
        for (admitted, failed, status) in [
            (24, 0, Status::Failed),
            (24, 1, Status::Invalid),
            (25, 0, Status::Passed),
            (25, 1, Status::Passed),
            (26, 1, Status::Failed),
        ] {
            let mut outcome = Outcome::default();
            outcome.excuse("the machine was busy");
            Capped { admitted, ..Capped::get("/", "") }.expect(&mut outcome, "a race", 25, failed);
            assert_eq!(outcome.status(), status, "{admitted} {failed}");
        }
    }
}
