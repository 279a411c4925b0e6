//! The end of a request: its record is completed, filters hear of it, everybody who listens gets it.

use portcullis_filter::{Completed, Phase};

use portcullis_telemetry::record::Record;

use super::batch;
use super::context::Ctx;

/// Completes the record of a request and hands it on.
pub(super) fn complete(ctx: &mut Ctx) {
    ctx.record.timers.total = ctx.arrived.elapsed();
    ctx.record.bytes_in = ctx.record.bytes_in.max(ctx.body.received);
    ctx.record.bytes_out = ctx.record.bytes_out.max(ctx.body.sent);
    let completed = Completed {
        facts: &ctx.facts,
        notes: &ctx.notes,
        status: ctx.record.status,
        reason: ctx.record.reason,
        bytes_in: ctx.record.bytes_in,
        bytes_out: ctx.record.bytes_out,
        total: ctx.record.timers.total,
    };
    let whole = ctx.route.as_ref().filter(|_| ctx.parts.is_empty());
    if let Some(route) = whole.filter(|route| route.chain.has(Phase::Logging)) {
        route.chain.logging(&completed, &mut ctx.route_state);
    }
    batch::logging(&mut ctx.parts, &completed, &mut ctx.route_state);
    if let Some(left) = ctx.falling_back.left.as_deref_mut().filter(|left| left.route.chain.has(Phase::Logging)) {
        left.route.chain.logging(&completed, &mut left.state);
    }
    if let Some(host) = ctx.host.as_ref().filter(|host| host.chain.has(Phase::Logging)) {
        host.chain.logging(&completed, &mut ctx.host_state);
    }
    ctx.record.consumer = ctx.notes.consumer.take();
    for (name, value) in ctx.notes.take_annotations() {
        ctx.record.note(name, value);
    }
    let empty = Record::request(ctx.record.id, ctx.record.generation, ctx.record.at, ctx.record.downstream.clone());
    let record = std::mem::replace(&mut ctx.record, empty);
    let cluster = ctx.upstream.cluster.as_ref().map(|(_, cluster)| &**cluster);
    // The route that was chosen counts it, whatever it went on as.
    let chosen = ctx.falling_back.left.as_ref().map(|left| &left.route).or(ctx.route.as_ref());
    ctx.core.finish(record, chosen.map(|route| &**route), cluster);
}
