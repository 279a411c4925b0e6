//! Choosing for a request that names the least height it may be answered from.

use std::sync::Arc;

use crate::ask::Ask;
use crate::endpoint::{Endpoint, EndpointIdx};
use crate::random::Draws;
use crate::set::EndpointSet;
use crate::state::EndpointState;
use crate::tier::Tier;

/// In a larger tier the highest is sought among so many.
const LOOK: usize = 64;

impl EndpointSet {
    /// Whether an endpoint is known to have the height that a request asks for, if it asks for any.
    pub(crate) fn is_high_enough(&self, index: EndpointIdx, ask: &Ask<'_>) -> bool {
        let least = ask.least_height.filter(|_| self.tuning().heights.is_some());
        least.is_none_or(|least| self.height_at(index) >= least)
    }

    /// How many of the set's endpoints are known to have a height; `None` where heights are not followed.
    #[must_use]
    pub fn at_height(&self, least: u64) -> Option<usize> {
        self.tuning().heights.as_ref()?;
        let has =
            |endpoint: &&Arc<Endpoint>| self.selects(endpoint.spec()) && endpoint.state().believed_height() >= least;
        Some(self.endpoints().iter().filter(has).count())
    }

    /// What stands in when no endpoint is known to have it: the highest that was not tried, which answers for itself.
    pub(crate) fn highest(&self, tier: &Tier, ask: &Ask<'_>, draws: &mut Draws) -> Option<EndpointIdx> {
        ask.least_height?;
        let mut best: Option<(u64, EndpointIdx)> = None;
        let mut left = LOOK;
        let look = |index: u32| {
            let index = EndpointIdx(index);
            let height = self.height_at(index);
            if !ask.skip.contains(&index) && best.is_none_or(|(highest, _)| height > highest) {
                best = Some((height, index));
            }
            left -= 1;
            left == 0
        };
        tier.walk(tier.draw(draws.next()), look);
        best.map(|(_, index)| index)
    }

    /// The height of an endpoint as far as it is believed.
    pub(crate) fn height_at(&self, index: EndpointIdx) -> u64 {
        self.state(index).map_or(0, EndpointState::believed_height)
    }
}
