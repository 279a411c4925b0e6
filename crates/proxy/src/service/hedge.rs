//! A second attempt beside the first, when the first has been waited for longer than most are.
//!
//! The connections and the race are Pingora's (vendor/README.md); here is who may have a second attempt, and what both
//! mean for the endpoints and the record. While the second is made the context is that attempt's, and what belongs to the
//! first alone is put aside.
//! Invariants: where no cluster of the route has `hedge`, it costs a branch; the budget is asked last, and what is granted is spent; of the
//! attempt that lost everything is given back.

use http::StatusCode;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorSource};
use pingora_proxy::{Contestant, Lost, Session, Settled};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_balance::{Answer, Choice, Hedge};
use portcullis_snapshot::Action;
use portcullis_snapshot::limits::Place;
use portcullis_telemetry::metrics::{EndpointMetrics, InFlight};
use portcullis_telemetry::record::{Flag, Hedged};
use portcullis_types::Reason;

use super::context::Ctx;
use super::{failure, limits, retry, target};
use crate::reasons::{Progress, of_pingora};

/// What belongs to one of two attempts.
#[derive(Default)]
pub(super) struct Own {
    choice: Option<Choice>,
    counted: Option<(Arc<EndpointMetrics>, InFlight)>,
    deadline: Option<Instant>,
    started: Option<Instant>,
    progress: Option<Progress>,
    connected: bool,
    at: usize,
}

/// The hedging of one request.
#[derive(Default)]
pub(crate) struct Beside {
    /// The first attempt's, while the context is the second's.
    aside: Option<Own>,
    /// The second attempt's place in its cluster, held until it is decided.
    _place: Option<Place>,
}

impl Own {
    /// Changes places with what the context has.
    fn swap(&mut self, ctx: &mut Ctx) {
        let upstream = &mut ctx.upstream;
        std::mem::swap(&mut self.choice, &mut upstream.choice);
        std::mem::swap(&mut self.counted, &mut upstream.counted);
        std::mem::swap(&mut self.deadline, &mut upstream.deadline);
        std::mem::swap(&mut self.started, &mut upstream.attempt_started);
        std::mem::swap(&mut self.progress, &mut upstream.progress);
        std::mem::swap(&mut self.connected, &mut upstream.connected);
        std::mem::swap(&mut self.at, &mut upstream.at);
    }

    /// The attempt is over.
    fn over(self, ctx: &mut Ctx) {
        ctx.note_end(self.at);
        if let (Some((metrics, _in_flight)), Some(attempt)) = (self.counted, ctx.record.attempts.get_mut(self.at)) {
            metrics.observe(attempt);
        }
    }
}

fn of(ctx: &Ctx) -> Option<&Arc<Hedge>> {
    match &ctx.route.as_ref()?.action {
        Action::Forward(forward) if !forward.hedges.is_empty() => forward.hedge(ctx.upstream.cluster.as_ref()?.0),
        Action::Forward(_) | Action::Redirect(_) | Action::Respond(_) => None,
    }
}

/// How long the first attempt is waited for before a second is made; `None` when there is none.
pub(super) fn after(session: &Session, ctx: &Ctx) -> Option<Duration> {
    let hedge = of(ctx)?;
    if ctx.upstream.upgrade || ctx.upstream.attempts != 1 || !retry::may_repeat(session, ctx) {
        return None;
    }
    hedge.request(Instant::now())
}

/// The connection of the second attempt, the wait being over.
pub(super) fn peer(session: &mut Session, ctx: &mut Ctx) -> Option<Box<HttpPeer>> {
    match begin(session, ctx) {
        Ok(peer) => {
            ctx.record.flags.set(Flag::Hedged);
            Some(peer)
        }
        Err(why) => {
            ctx.record.hedged = Some(why);
            None
        }
    }
}

fn begin(session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>, Hedged> {
    let hedge = of(ctx).cloned().ok_or(Hedged::Alone)?;
    if session.as_ref().retry_buffer_truncated() {
        return Err(Hedged::Body);
    }
    if !retry::others_left(ctx) {
        return Err(Hedged::Alone);
    }
    let place = limits::second_place(ctx).map_err(|()| Hedged::Overloaded)?;
    let now = Instant::now();
    let picked = target::pick_another(session, ctx, now)
        .map_err(|error| if error.reason == Reason::Overloaded { Hedged::Overloaded } else { Hedged::Alone })?;
    let overloaded = ctx.core.guard.is_raised();
    if !hedge.grant(now, overloaded) {
        return Err(if overloaded { Hedged::Overloaded } else { Hedged::Budget });
    }
    let mut first = Own { at: ctx.upstream.at, ..Own::default() };
    first.swap(ctx);
    ctx.upstream.beside = Beside { aside: Some(first), _place: place };
    Ok(target::set_out(ctx, picked, now))
}

/// One of the two is gone on with; the context becomes that one's.
pub(super) fn settled(ctx: &mut Ctx, settled: &Settled<'_>) {
    let Some(mut other) = std::mem::take(&mut ctx.upstream.beside).aside else { return };
    if settled.winner == Contestant::First {
        other.swap(ctx);
    }
    ctx.record.hedged = word(settled);
    let now = Instant::now();
    let waited = other.started.map(|started| now.saturating_duration_since(started)).unwrap_or_default();
    let loser = Loser { now, waited, own: other };
    match settled.lost {
        Lost::Cancelled => loser.outrun(ctx),
        Lost::Answered(status) => loser.answered(ctx, status),
        Lost::Failed(error) => loser.failed(ctx, error),
        Lost::Gone => loser.own.over(ctx),
    }
}

fn word(settled: &Settled<'_>) -> Option<Hedged> {
    match (settled.winner, &settled.lost) {
        (_, Lost::Gone) => None,
        _ if !settled.answered => Some(Hedged::Failed),
        (Contestant::Second, _) => Some(Hedged::Won),
        (Contestant::First, Lost::Cancelled) => Some(Hedged::Lost),
        (Contestant::First, Lost::Failed(_) | Lost::Answered(_)) => Some(Hedged::Failed),
    }
}

/// The request is over in the middle of a race.
pub(super) fn abandoned(ctx: &mut Ctx) {
    if let Some(first) = std::mem::take(&mut ctx.upstream.beside).aside {
        first.over(ctx);
    }
}

/// The attempt whose answer is not used.
struct Loser {
    now: Instant,
    waited: Duration,
    own: Own,
}

impl Loser {
    fn outrun(mut self, ctx: &mut Ctx) {
        if let Some(choice) = &mut self.own.choice {
            choice.outrun(self.now, self.waited);
        }
        if let Some(attempt) = ctx.record.attempts.get_mut(self.own.at) {
            attempt.outrun = true;
        }
        self.own.over(ctx);
    }

    fn answered(mut self, ctx: &mut Ctx, status: StatusCode) {
        let status = status.as_u16();
        if let Some(choice) = &mut self.own.choice {
            choice.answered(self.now, self.waited, Answer::of_status(status));
        }
        if let Some(attempt) = ctx.record.attempts.get_mut(self.own.at) {
            attempt.outcome = Ok(status);
        }
        self.own.over(ctx);
    }

    fn failed(mut self, ctx: &mut Ctx, error: &Error) {
        // An error of ours that ended this attempt is not the request's.
        let ours = ctx.failure.take().filter(|_| Ctx::is_ours(error)).map(|error| error.reason);
        let reason = ours.unwrap_or_else(|| {
            let reason = of_pingora(error, self.own.progress.unwrap_or(Progress::Connecting));
            failure::timed_out(ctx, self.own.started, reason)
        });
        let to_blame = ours.is_none()
            && *error.esource() == ErrorSource::Upstream
            && !reason.is_own_lack()
            && !failure::is_callers(ctx, reason);
        if let Some(choice) = self.own.choice.as_mut().filter(|_| to_blame) {
            choice.failure(self.now, reason);
        }
        if let Some(attempt) = ctx.record.attempts.get_mut(self.own.at) {
            attempt.outcome = Err(reason);
        }
        self.own.over(ctx);
    }
}

/// Takes in how long the first attempt took to its first byte, or how long it was waited for when it lost.
pub(super) fn answered(ctx: &Ctx, now: Instant, took: Duration) {
    let Some(hedge) = of(ctx).filter(|_| ctx.upstream.attempts == 1) else { return };
    // Of the second attempt's time nothing follows for the first, but that it had been waited for before that.
    let waited = match ctx.record.hedged {
        Some(Hedged::Won) => hedge.wait().unwrap_or_default() + took,
        _ => took,
    };
    hedge.record(now, waited);
}
