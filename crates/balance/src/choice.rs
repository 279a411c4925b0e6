//! A chosen endpoint, counted in flight until it is dropped.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_types::Reason;

use crate::answer::Answer;
use crate::endpoint::{Endpoint, EndpointIdx};

/// The endpoint of one attempt. While it lives, the attempt counts as in flight; dropping it ends that, however the
/// attempt ends: answered, failed, cancelled or unwound by a panic.
///
/// It holds the endpoint alone, neither set nor snapshot, so that a long stream keeps no generation alive.
#[must_use = "the request counts as in flight only while the choice is held"]
pub struct Choice {
    endpoint: Arc<Endpoint>,
    index: EndpointIdx,
    again: bool,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Open,
    Succeeded,
    Failed,
}

impl Choice {
    pub(crate) fn new(endpoint: Arc<Endpoint>, index: EndpointIdx, again: bool, now: Option<Instant>) -> Self {
        endpoint.state().enter(now);
        Self { endpoint, index, again, outcome: Outcome::Open }
    }

    /// Where to connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.endpoint.spec().address
    }

    /// The endpoint.
    #[must_use]
    pub const fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Its place in the set that chose it, for [`crate::Ask::skip`] of the next attempt.
    #[must_use]
    pub const fn index(&self) -> EndpointIdx {
        self.index
    }

    /// Whether this endpoint had been tried before: no other one was left.
    #[must_use]
    pub const fn is_again(&self) -> bool {
        self.again
    }

    /// Reports a good answer, `latency` after the attempt began (to the first byte). The first report counts; a
    /// failure may still follow when the answer breaks off.
    pub fn success(&mut self, now: Instant, latency: Duration) {
        self.answered(now, latency, Answer::Good);
    }

    /// Reports an answer and what it says of the endpoint. Otherwise as [`Self::success`].
    pub fn answered(&mut self, now: Instant, latency: Duration, answer: Answer) {
        if self.outcome != Outcome::Open {
            return;
        }
        let state = self.endpoint.state();
        self.outcome = match answer {
            Answer::Good => {
                state.count_success(now, latency);
                Outcome::Succeeded
            }
            Answer::Overloaded => {
                state.count_overload(now);
                Outcome::Succeeded
            }
            Answer::Failed => {
                state.count_failure(now, None);
                Outcome::Failed
            }
        };
    }

    /// Reports that another attempt answered first, `waited` after this one began. It is as slow as that at the least,
    /// which is all that is known of it: neither a good answer nor a failure.
    pub fn outrun(&mut self, now: Instant, waited: Duration) {
        if self.outcome == Outcome::Open {
            self.endpoint.state().count_outrun(now, waited);
        }
    }

    /// Reports a failure that is the endpoint's. Counts once; the first reason stands.
    pub fn failure(&mut self, now: Instant, reason: Reason) {
        if self.outcome != Outcome::Failed {
            self.outcome = Outcome::Failed;
            self.endpoint.state().count_failure(now, Some(reason));
        }
    }
}

impl Drop for Choice {
    fn drop(&mut self) {
        if self.outcome == Outcome::Open {
            self.endpoint.state().count_abandoned();
        }
        self.endpoint.state().leave();
    }
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = self.endpoint.spec();
        f.debug_struct("Choice")
            .field("endpoint", &spec.name.as_str())
            .field("address", &spec.address)
            .field("index", &self.index.get())
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}
