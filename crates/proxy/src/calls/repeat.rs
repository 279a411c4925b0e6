//! Whether an attempt of the gateway's own is made again, by the rules of a client's request: what may have been acted on
//! is sent again only if that is harmless, and the cluster's budget grants each repetition but two kinds (see
//! `service/retry.rs`).

use rand::RngExt as _;
use std::time::{Duration, Instant};

use portcullis_balance::backoff;
use portcullis_filter::seam::UpstreamRequest;
use portcullis_snapshot::cluster::Retries;
use portcullis_types::{Reason, Retry};

use super::Order;
use super::attempt::{Answered, Failed};
use crate::service::retry_cause;

/// The repetitions of one call in one cluster.
pub(super) struct Repeating<'a> {
    retries: &'a Retries,
    idempotent: bool,
    made: u32,
    /// Attempts that do not count: over connections that had been closed while they were idle.
    free: u32,
}

impl<'a> Repeating<'a> {
    pub(super) fn new(order: &Order<'a>, request: &UpstreamRequest) -> Self {
        let retries = &order.cluster.retry;
        if retries.policy.attempts > 1 {
            retries.budget.request(Instant::now());
        }
        Self { retries, idempotent: request.idempotent, made: 0, free: 0 }
    }

    /// The pause before the next attempt, if there is one. `left` says that an endpoint was not tried yet.
    pub(super) fn again(&mut self, made: &Result<Answered, Failed>, left: bool) -> Option<Duration> {
        self.made += 1;
        match made {
            Ok(answered) => self.after_answer(answered),
            Err(failed) => self.after_failure(failed, left),
        }
    }

    fn after_answer(&self, answered: &Answered) -> Option<Duration> {
        let status = answered.response.header.status.as_u16();
        let wanted = self.idempotent && self.retries.policy.on.takes_status(status) && self.has_more();
        (wanted && self.retries.grant(Instant::now())).then(|| self.pause())
    }

    fn after_failure(&mut self, failed: &Failed, left: bool) -> Option<Duration> {
        let reason = failed.error.reason;
        let unsent = reason.retry() == Retry::Unsent;
        let stale = failed.reused && reason == Reason::UpstreamReset && self.free == 0;
        if !unsent && !self.idempotent {
            return None;
        }
        if stale {
            self.free += 1;
            return Some(Duration::ZERO);
        }
        let wanted = retry_cause(reason).is_some_and(|cause| self.retries.policy.on.takes(cause));
        if !wanted || !self.has_more() {
            return None;
        }
        let refused = reason == Reason::UpstreamConnectRefused && left;
        let granted = refused || self.retries.grant(Instant::now());
        granted.then(|| if unsent && left { Duration::ZERO } else { self.pause() })
    }

    const fn has_more(&self) -> bool {
        self.made.saturating_sub(self.free) < self.retries.policy.attempts
    }

    fn pause(&self) -> Duration {
        let policy = &self.retries.policy;
        backoff(policy.base, policy.most, self.made.saturating_sub(1 + self.free), rand::rng().random())
    }
}
