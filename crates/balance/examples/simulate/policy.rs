//! The rules of choice that are compared.

use std::sync::Arc;

use portcullis_balance::{Algorithm, Ask, Candidates, ChoicePolicy, Draws, EndpointIdx};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// In turn.
    RoundRobin,
    /// By chance.
    Random,
    /// Of two drawn, the one with fewer requests in flight: what Envoy and HAProxy call least request of two.
    LeastRequest,
    /// The crate's default.
    LeastLoaded,
}

impl Policy {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::RoundRobin, Self::Random, Self::LeastRequest, Self::LeastLoaded];

    /// The column's name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round_robin",
            Self::Random => "random",
            Self::LeastRequest => "least_request_2",
            Self::LeastLoaded => "least_loaded",
        }
    }

    /// As the crate knows it.
    pub(crate) fn algorithm(self) -> Algorithm {
        match self {
            Self::RoundRobin => Algorithm::RoundRobin,
            Self::Random => Algorithm::Random,
            Self::LeastRequest => Algorithm::Custom(Arc::new(LeastRequest)),
            Self::LeastLoaded => Algorithm::LeastLoaded,
        }
    }
}

/// Plain least request of two.
struct LeastRequest;

impl ChoicePolicy for LeastRequest {
    fn choose(&self, candidates: &Candidates<'_>, ask: &Ask<'_>) -> Option<EndpointIdx> {
        let mut draws = Draws::new(ask.random);
        let first = candidates.draw(draws.next())?;
        let second = (0..8).filter_map(|_| candidates.draw(draws.next())).find(|index| *index != first)?;
        let busy = |index| candidates.state(index).map_or(0, |state| state.in_flight());
        Some(if busy(first) <= busy(second) { first } else { second })
    }
}
