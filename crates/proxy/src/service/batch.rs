//! A batch whose calls go to different routes: it is sent in parts, at the same time, and answered as one.
//!
//! Each call is routed as if it had come alone; those of one route make a part, in the order of the calls. Invariants:
//! - All or nothing until something is sent. A call that has no route, a filter of any part that refuses or answers, a
//!   route that answers by itself: that is the outcome of the whole batch, as it would be of the call alone.
//! - The batch is admitted once, by the host's filters as a whole and by each route's for its part.
//! - Once it is sent, a part without an answer costs its own calls alone, each of which gets the error; a batch of which
//!   nothing was answered fails as a request does.
//! - One record: the route is the first part's, and each part has its attempts.
//!
//! A part has no cache, no mirror, no hedging, and of its route's fallback only the cluster.

mod head;
mod part;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use portcullis_filter::chain::Instead;
use portcullis_filter::{BodyCx, Chain, ChainState, Completed, Facts, Notes, Phase, RequestCx, Response};
use portcullis_policy::Params;
use portcullis_snapshot::request::action;
use portcullis_snapshot::{Action, RouteData, Snapshot};
use portcullis_telemetry::record::Decision;
use portcullis_types::{Batch, BatchPart, BodyView, ProxyError, Reason};

use super::context::Ctx;
use super::route::{self, Next, VirtualHost};
use super::{admit, limits, presence};
pub(crate) use part::Parts;
use part::{Named, Part, Sent};

/// The calls of one route.
pub(super) struct Group {
    route: Arc<RouteData>,
    params: Params,
    named: Named,
    calls: Vec<usize>,
}

/// The parts of a batch that must be sent in several; `None` when one route takes all of it.
pub(super) fn groups(
    request: &RequestHeader,
    ctx: &mut Ctx,
    host: &VirtualHost,
) -> Result<Option<Vec<Group>>, ProxyError> {
    let Some(body) = ctx.facts.body.clone() else { return Ok(None) };
    let Some(batch) = body.batch() else { return Ok(None) };
    if !host.needs_body(&ctx.facts.view(request)) {
        return Ok(None);
    }
    let routed = by_route(request, ctx, host, (batch, body.calls().unwrap_or_default()));
    ctx.facts.body = Some(body.clone());
    routed.map(|groups| Some(groups).filter(|groups| groups.len() > 1))
}

fn by_route(
    request: &RequestHeader,
    ctx: &mut Ctx,
    host: &VirtualHost,
    (batch, calls): (&dyn Batch, usize),
) -> Result<Vec<Group>, ProxyError> {
    let mut groups: Vec<Group> = Vec::new();
    for at in 0..calls {
        ctx.facts.body = batch.call(at);
        let view = ctx.facts.view(request);
        let found = host.find(&view).ok_or_else(|| no_route(at))?;
        let route = found.route.data();
        if let Some(group) = groups.iter_mut().find(|group| Arc::ptr_eq(&group.route, route)) {
            group.calls.push(at);
            continue;
        }
        let named = action::captured(&found, view.path);
        groups.push(Group { route: route.clone(), params: found.params, named, calls: vec![at] });
    }
    Ok(groups)
}

fn no_route(call: usize) -> ProxyError {
    ProxyError::with_detail(Reason::NoRoute, format!("call {call} of the batch"))
}

/// Does all that is done with a batch in parts.
pub(super) async fn serve(
    session: &mut Session,
    ctx: &mut Ctx,
    snapshot: &Snapshot,
    groups: Vec<Group>,
) -> Result<Next, ProxyError> {
    begin(ctx, groups)?;
    let before = session.req_header().clone();
    // What the host's filters chose holds for each part whose route's filters choose nothing else.
    let by_host = ctx.notes.cluster.take();
    for at in 0..parts(ctx).len() {
        ctx.notes.cluster.clone_from(&by_host);
        if let Some(answer) = enter(&before, ctx, at).await? {
            return Ok(Next::Answer(answer));
        }
    }
    admission(session, ctx).await?;
    let body = ctx.facts.body.clone().ok_or(Reason::Internal)?;
    let batch = body.batch().ok_or(Reason::Internal)?;
    for at in 0..parts(ctx).len() {
        aim(&before, ctx, (at, batch, &*body), snapshot).await?;
    }
    let sent = send(session, ctx, snapshot).await?;
    // What is said of the answer is said of the whole; the route is the first part's.
    if let Some(part) = ctx.parts.0.first() {
        part.name(&mut ctx.facts);
        ctx.facts.calls = None;
    }
    whole(batch, sent).map(|answer| Next::Answer(Box::new(answer)))
}

fn parts(ctx: &mut Ctx) -> &mut Vec<Part> {
    &mut ctx.parts.0
}

/// Takes the routes: a place on each.
fn begin(ctx: &mut Ctx, groups: Vec<Group>) -> Result<(), ProxyError> {
    let told: Vec<String> = groups.iter().map(|group| format!("{} {}", group.route.name, group.calls.len())).collect();
    ctx.record.note("parts", told.join(", "));
    for Group { route, params, named, calls } in groups {
        let place = limits::place_on(&ctx.core, &route)?;
        if ctx.route.is_none() {
            // Errors are written as the first part's route says, and the record is its.
            ctx.set_route(route.clone());
            admit::trace_route(ctx);
        }
        parts(ctx).push(Part::new(route, place, (params, named), calls.into()));
    }
    ctx.record.decision = Decision::Other("batch");
    Ok(())
}

/// The request phases of a part's route, on a head of its own.
async fn enter(before: &RequestHeader, ctx: &mut Ctx, at: usize) -> Result<Option<Box<Response>>, ProxyError> {
    let Some(mut part) = Part::take(ctx, at) else { return Ok(None) };
    part.name(&mut ctx.facts);
    let mut head = before.clone();
    let mut outcome = Ok(None);
    if part.route.chain.has(Phase::RequestFilter) {
        let mut cx = RequestCx { request: &mut head, facts: &ctx.facts, notes: &mut ctx.notes };
        let ran = part.route.chain.request_filter(&mut cx, &mut part.state, &mut |_| {}).await;
        outcome = route::stopped(ran, ctx);
    }
    part.cluster = ctx.notes.cluster.take();
    let answer = match outcome {
        Ok(Some(Instead::Respond(answer))) => Ok(Some(answer)),
        Ok(Some(Instead::Upgrade(_)) | None) => own_answer(&part, &head, ctx),
        Err(error) => Err(error),
    };
    part.head = Some(Box::new(head));
    part.put_back(ctx, at);
    answer
}

/// The answer of a route that forwards nothing, which is the batch's.
fn own_answer(part: &Part, head: &RequestHeader, ctx: &mut Ctx) -> Result<Option<Box<Response>>, ProxyError> {
    if part.cluster.is_some() {
        return Ok(None);
    }
    let (decision, answer) = match &part.route.action {
        Action::Forward(_) => return Ok(None),
        Action::Respond(response) => (Decision::Respond, response.clone()),
        Action::Redirect(redirect) => {
            let view = ctx.facts.view(head);
            (Decision::Redirect, action::redirect(redirect, &part.params, &part.route, &view)?)
        }
    };
    ctx.record.decision = decision;
    Ok(Some(Box::new(answer)))
}

/// The host's filters admit the batch as a whole, then each route's its part.
async fn admission(session: &mut Session, ctx: &mut Ctx) -> Result<(), ProxyError> {
    (ctx.facts.route, ctx.facts.calls) = (None, None);
    if let Some(host) = ctx.host.clone().filter(|host| host.chain.has(Phase::AdmissionFilter)) {
        let mut cx = RequestCx { request: session.req_header_mut(), facts: &ctx.facts, notes: &mut ctx.notes };
        let ran = host.chain.admission_filter(&mut cx, &mut ctx.host_state, &mut |_| {}).await;
        route::stopped(ran, ctx)?;
    }
    for at in 0..parts(ctx).len() {
        let Some(mut part) = Part::take(ctx, at) else { continue };
        part.name(&mut ctx.facts);
        let mut ran = Ok(());
        if let Some(head) = part.head.as_deref_mut().filter(|_| part.route.chain.has(Phase::AdmissionFilter)) {
            let mut cx = RequestCx { request: head, facts: &ctx.facts, notes: &mut ctx.notes };
            ran = part.route.chain.admission_filter(&mut cx, &mut part.state, &mut |_| {}).await;
        }
        part.put_back(ctx, at);
        route::stopped(ran, ctx)?;
    }
    Ok(())
}

/// Decides where a part goes, and writes what is sent.
async fn aim(
    before: &RequestHeader,
    ctx: &mut Ctx,
    (at, batch, whole): (usize, &dyn Batch, &dyn BodyView),
    snapshot: &Snapshot,
) -> Result<(), ProxyError> {
    let Some(mut part) = Part::take(ctx, at) else { return Ok(()) };
    part.name(&mut ctx.facts);
    let ready = part.aim(before, ctx, (batch, whole), snapshot).await;
    part.put_back(ctx, at);
    ready
}

/// Sends all parts at once, while the client is there.
async fn send(session: &mut Session, ctx: &mut Ctx, snapshot: &Snapshot) -> Result<Vec<BatchPart>, ProxyError> {
    let (core, when) = (ctx.core.clone(), (ctx.arrived, ctx.trace));
    let parts = std::mem::take(&mut ctx.parts.0);
    let calls = parts.iter().map(|part| Box::pin(part.send(&core, snapshot, when)) as Running<'_, Sent>);
    let sent = presence::while_there(session, all(calls.collect())).await;
    let mut answers = Vec::with_capacity(parts.len());
    let sent = sent.map(|sent: Vec<Sent>| {
        for (part, (answer, attempts)) in parts.iter().zip(sent) {
            attempts.into_iter().for_each(|attempt| ctx.record.attempts.push(attempt));
            answers.push(BatchPart { calls: part.calls.to_vec(), answer });
        }
    });
    ctx.parts.0 = parts;
    sent.map(|()| answers)
}

/// A future among others.
type Running<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The outcomes of futures that run side by side, in their order.
async fn all<T>(mut running: Vec<Running<'_, T>>) -> Vec<T> {
    let mut done: Vec<Option<T>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        let mut waits = false;
        for (future, done) in running.iter_mut().zip(&mut done).filter(|(_, done)| done.is_none()) {
            match future.as_mut().poll(cx) {
                Poll::Ready(outcome) => *done = Some(outcome),
                Poll::Pending => waits = true,
            }
        }
        if waits { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    done.into_iter().flatten().collect()
}

/// One answer of all. Without any the batch fails as its first part did.
fn whole(batch: &dyn Batch, parts: Vec<BatchPart>) -> Result<Response, ProxyError> {
    if let Some(error) = parts.first().and_then(|part| part.answer.as_ref().err())
        && parts.iter().all(|part| part.answer.is_err())
    {
        return Err(error.clone());
    }
    let mut response =
        Response::new(StatusCode::OK).with_field(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.body = batch.join(&parts);
    Ok(response)
}

/// The filters of the parts' routes hear of the end, each of its part. `state` is that of the first's.
pub(super) fn logging(parts: &mut Parts, completed: &Completed<'_>, state: &mut ChainState) {
    let states = std::iter::once(Some(state)).chain(std::iter::repeat_with(|| None));
    for (part, state) in parts.0.iter_mut().zip(states).filter(|(part, _)| part.route.chain.has(Phase::Logging)) {
        let mut facts = completed.facts.clone();
        part.name(&mut facts);
        let state = state.unwrap_or(&mut part.state);
        part.route.chain.logging(&Completed { facts: &facts, ..completed.clone() }, state);
    }
}

/// Runs a phase of a chain on the whole body of a part, as its one chunk.
async fn body_filters(
    chain: &Chain,
    head: &RequestHeader,
    (notes, state): (&mut Notes, &mut ChainState),
    facts: &Facts,
    body: Bytes,
) -> Result<Bytes, ProxyError> {
    let mut chunk = Some(body);
    let mut cx = BodyCx { request: head, facts, notes };
    chain.request_body_filter(&mut cx, &mut chunk, true, state).await?;
    Ok(chunk.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn futures_run_side_by_side_and_keep_their_order() {
        let after = |seconds: u64| {
            Box::pin(async move {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                seconds
            }) as Running<'static, u64>
        };
        let began = tokio::time::Instant::now();
        assert_eq!(all(vec![after(3), after(1), after(2)]).await, [3, 1, 2]);
        assert_eq!(began.elapsed().as_secs(), 3);
    }
}
