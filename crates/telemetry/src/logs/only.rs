//! Which records a sink takes.
//!
//! `hosts`, `statuses` and `reasons` say of what kind; they hold for every record. `slower_than` and `share` say how
//! many of those; failures are exempt from them unless `failures` is off.

use std::sync::Arc;
use std::time::Duration;

use portcullis_types::{Percent, Reason, RequestId};

use crate::record::Record;

/// Some statuses: from one to another, both included. 0 is what a record has that was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statuses {
    /// The first.
    pub first: u16,
    /// The last.
    pub last: u16,
}

impl Statuses {
    /// Those of a class, such as 5 for 500 to 599.
    #[must_use]
    pub const fn class(class: u16) -> Self {
        Self { first: class * 100, last: class * 100 + 99 }
    }
}

/// Which records a sink takes. By default all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Only {
    /// Of these virtual hosts; empty for all, those of none included.
    pub hosts: Vec<Arc<str>>,
    /// Answered with one of these; empty for all.
    pub statuses: Vec<Statuses>,
    /// Failed or refused for one of these; empty for all, those that did not fail included.
    pub reasons: Vec<Reason>,
    /// That took longer.
    pub slower_than: Option<Duration>,
    /// A share of them, chosen by the request's id: every gateway and every sink chooses alike, and a larger share has
    /// what a smaller one has.
    pub share: Option<Percent>,
    /// Whether failures are kept whatever `slower_than` and `share` say.
    pub failures: bool,
}

impl Default for Only {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            statuses: Vec::new(),
            reasons: Vec::new(),
            slower_than: None,
            share: None,
            failures: true,
        }
    }
}

impl Only {
    /// Whether a record is taken.
    #[must_use]
    pub fn takes(&self, record: &Record) -> bool {
        self.is_of_kind(record) && ((self.failures && record.failed()) || self.is_chosen(record))
    }

    fn is_of_kind(&self, record: &Record) -> bool {
        let host = || record.virtual_host.as_ref().is_some_and(|host| self.hosts.contains(host));
        let status = || self.statuses.iter().any(|range| (range.first..=range.last).contains(&record.status));
        let reason = || record.reason.is_some_and(|reason| self.reasons.contains(&reason));
        (self.hosts.is_empty() || host())
            && (self.statuses.is_empty() || status())
            && (self.reasons.is_empty() || reason())
    }

    fn is_chosen(&self, record: &Record) -> bool {
        self.slower_than.is_none_or(|least| record.timers.total > least)
            && self.share.is_none_or(|share| share.contains_hash(spread(record.id)))
    }
}

/// An id as a number that is uniform whatever ids look like: trusted neighbours may bring their own. The finalizer of
/// SplitMix64 over both halves.
const fn spread(id: RequestId) -> u64 {
    let [low, high] = [id.0 & u64::MAX as u128, id.0 >> 64];
    mix(mix(half(high)) ^ half(low))
}

#[expect(clippy::cast_possible_truncation, reason = "half of an id is 64 bits")]
const fn half(bits: u128) -> u64 {
    bits as u64
}

const fn mix(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use portcullis_types::ProxyError;

    fn slow(millis: u64) -> Record {
        let mut record = fixture::typical(7);
        record.timers.total = Duration::from_millis(millis);
        record
    }

    fn failed(reason: Reason, status: u16) -> Record {
        let mut record = slow(1);
        record.fail(&ProxyError::new(reason));
        record.status = status;
        record
    }

    #[test]
    fn kinds_hold_for_all_and_numbers_spare_failures() {
        let all = Only::default();
        let check = |only: &Only, record: &Record, taken: bool| assert_eq!(only.takes(record), taken, "{only:?}");
        check(&all, &slow(1), true);
        check(&all, &fixture::bare(1), true);
        let hosts = Only { hosts: vec!["rpc.example.com".into()], ..all.clone() };
        check(&hosts, &slow(1), true);
        check(&hosts, &fixture::bare(1), false);
        let mut elsewhere = failed(Reason::OverRate, 429);
        elsewhere.virtual_host = Some("other".into());
        check(&hosts, &elsewhere, false);
        let statuses = Only { statuses: vec![Statuses::class(5), Statuses { first: 404, last: 404 }], ..all.clone() };
        check(&statuses, &failed(Reason::UpstreamReset, 502), true);
        check(&statuses, &failed(Reason::OverRate, 429), false);
        check(&statuses, &slow(1), false);
        let reasons = Only { reasons: vec![Reason::OverRate], ..all.clone() };
        check(&reasons, &failed(Reason::OverRate, 429), true);
        check(&reasons, &failed(Reason::UpstreamReset, 502), false);
        check(&reasons, &slow(1), false);
        let slower = Only { slower_than: Some(Duration::from_millis(10)), ..all.clone() };
        check(&slower, &slow(10), false);
        check(&slower, &slow(11), true);
        check(&slower, &failed(Reason::UpstreamReset, 502), true);
        check(&Only { failures: false, ..slower }, &failed(Reason::UpstreamReset, 502), false);
        let none = Only { share: Percent::from_millionths(0), ..all };
        check(&none, &slow(1), false);
        check(&none, &failed(Reason::UpstreamReset, 502), true);
    }

    #[test]
    fn a_share_is_stable_by_id_whatever_ids_look_like_and_a_larger_one_has_the_smaller() {
        let share = |percent: u32| Only { share: Percent::from_millionths(percent * 10_000), ..Only::default() };
        let (few, many) = (share(10), share(40));
        for id_of in [|n: u128| n, |n: u128| n << 64, |n: u128| n << 100 | 1] {
            let taken = |only: &Only| -> Vec<u128> {
                let mut record = slow(1);
                (0..10_000)
                    .filter(|n| {
                        record.id = RequestId(id_of(*n));
                        only.takes(&record)
                    })
                    .collect()
            };
            let (few, many) = (taken(&few), taken(&many));
            assert!(
                (800..1200).contains(&few.len()) && (3700..4300).contains(&many.len()),
                "{} {}",
                few.len(),
                many.len()
            );
            assert!(few.iter().all(|id| many.contains(id)));
        }
    }
}
