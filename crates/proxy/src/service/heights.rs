//! Heights as requests meet them: the least one that a request asks for, and the one that a passing answer speaks of.
//!
//! Only clusters that follow heights are listened to, and of an answer only the first bytes.

use bytes::Bytes;
use std::time::Instant;

use portcullis_balance::EndpointState;
use portcullis_snapshot::Cluster;
use portcullis_wire::height::{Told, told};

use super::context::Ctx;

/// The method whose result is the height itself.
const HEIGHT: &str = "getSlot";

/// The least height that the answer may speak of, when the request names one.
pub(super) fn least(ctx: &Ctx) -> Option<u64> {
    ctx.facts.body.as_ref()?.least_height()
}

/// Hears what the beginning of an answer to one of the gateway's own requests says.
pub(crate) fn hear_height(cluster: &Cluster, endpoint: &EndpointState, answer: &[u8]) {
    if cluster.fleet.plan().tuning.heights.is_some()
        && let Some(Told::Context(height)) = told(answer)
    {
        endpoint.hear_height(Instant::now(), height);
    }
}

/// Hears what the beginning of an answer's body says.
pub(super) fn hear(chunk: Option<&Bytes>, ctx: &Ctx) {
    let Some(chunk) = chunk.filter(|chunk| ctx.body.sent == 0 && !chunk.is_empty()) else { return };
    let (Some((_, cluster)), Some(choice)) = (&ctx.upstream.cluster, &ctx.upstream.choice) else { return };
    if cluster.fleet.plan().tuning.heights.is_none() || ctx.record.upstream_status != Some(200) {
        return;
    }
    let height = match told(chunk) {
        Some(Told::Context(height)) => Some(height),
        Some(Told::Result(number)) => Some(number).filter(|_| asks_for_height(ctx)),
        None => None,
    };
    if let Some(height) = height {
        choice.endpoint().state().hear_height(Instant::now(), height);
    }
}

fn asks_for_height(ctx: &Ctx) -> bool {
    ctx.facts.body.as_ref().is_some_and(|body| body.calls() == Some(1) && body.method(0) == Some(HEIGHT))
}
