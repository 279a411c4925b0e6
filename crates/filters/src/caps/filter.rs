//! The filter `caps`.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::HeaderValue;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName};
use portcullis_caps::{
    Held, MethodId, Refusal, RefusalKind, Spender, Standing, Wait, write_limit, write_policy, write_refused,
};
use portcullis_filter::cx::Chunk;
use portcullis_filter::{
    BodyCx, BuildCx, Completed, ConfiguredFilter, Facts, Filter, Notes, Phase, Phases, RequestCx, ResponseCx, Verdict,
};
use portcullis_identity::Caller;
use portcullis_types::{ProxyError, Reason};
use smallvec::SmallVec;

use super::config::CapsConfig;
use super::plans::{Bound, Plans};
use super::service::CapLedger;
use super::spending::{Calls, Part, Spending, Terms};
use super::tunnel::Tunnel;
use crate::caller::asks_events;

/// The fields that tell a caller where it stands (draft-ietf-httpapi-ratelimit-headers-11), and what most of them hold.
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const FIELD: usize = 64;

/// Holds callers to what they may spend.
///
/// The caps of hosts and routes are collected in the request phases; the first `caps` of a request in its admission
/// phase decides over all that apply, at once.
pub struct Caps {
    caps: Arc<CapLedger>,
    plans: Arc<Plans>,
    /// The place of the host's or route's own set.
    set: Option<usize>,
    fields: bool,
}

/// What the filters of one request collect for the one that decides.
#[derive(Clone, Default)]
struct Collected {
    parts: SmallVec<[Part; 2]>,
    /// Whether a filter wants no `RateLimit` fields.
    quiet: bool,
}

/// Stands among a request's values when it was only explained.
#[derive(Clone)]
struct Told;

/// What the filter that decided keeps.
#[derive(Default)]
pub struct CapsCtx {
    spending: Option<Arc<Spending>>,
    refused: Option<Box<Refusal>>,
    quiet: bool,
    stream: bool,
    /// Whether a cap of bytes had none left after what passed last.
    dry: bool,
}

impl ConfiguredFilter for Caps {
    const NAME: &'static str = "caps";
    type Config = CapsConfig;

    fn build(config: CapsConfig, cx: &BuildCx<'_>) -> Result<Self, String> {
        let caps = cx.services.get::<CapLedger>().ok_or("this gateway keeps no ledger")?;
        let plans = cx.services.get::<Plans>().ok_or("this gateway has no plans")?;
        let fields = config.fields;
        let set = config.set(&owner(cx.place)).map(|set| plans.declare(set));
        Ok(Self { caps, plans, set, fields })
    }
}

/// The host or route of a filter, as it stands in messages, metrics and what is stored: `rpc.example.com/archive`.
fn owner(place: &str) -> String {
    let place = place.strip_prefix("hosts/").unwrap_or(place);
    let place = place.rsplit_once("/filters/caps").map_or(Cow::Borrowed(place), |(owner, number)| match number {
        "" => Cow::Borrowed(owner),
        number => Cow::Owned(format!("{owner}{number}")),
    });
    place.replacen("/routes/", "/", 1)
}

impl Filter for Caps {
    type Ctx = CapsCtx;

    fn phases(&self) -> Phases {
        let phases = Phases::of(Phase::AdmissionFilter).and(Phase::ResponseFilter).and(Phase::Logging);
        let phases = phases.and(Phase::RequestBodyFilter).and(Phase::ResponseBodyFilter);
        // A plain `caps` has nothing to add.
        if self.set.is_some() || !self.fields { phases.and(Phase::RequestFilter) } else { phases }
    }

    async fn request_filter(&self, cx: &mut RequestCx<'_>, _: &mut CapsCtx) -> Result<Verdict, ProxyError> {
        let calls = cx.facts.calls.as_deref().and_then(|places| Some(self.calls_at(cx.facts, &*self.bound()?, places)));
        let collected = cx.notes.extensions_mut().get_or_insert_default::<Collected>();
        collected.quiet |= !self.fields;
        collected.parts.extend(self.set.map(|set| Part { set, calls }));
        Ok(Verdict::Continue)
    }

    async fn admission_filter(&self, cx: &mut RequestCx<'_>, ctx: &mut CapsCtx) -> Result<(), ProxyError> {
        if cx.notes.get::<Spender>().is_some() || cx.notes.get::<Told>().is_some() {
            return Ok(());
        }
        let collected = cx.notes.extensions_mut().remove::<Collected>().unwrap_or_default();
        let Collected { parts, quiet } = collected;
        ctx.quiet = quiet;
        let Some(bound) = self.bound() else {
            return Err(ProxyError::with_detail(Reason::FilterFailed, "the plans are not bound"));
        };
        let terms = self.terms(cx, bound, parts)?;
        ctx.stream = terms.holds == Held::Connections;
        if cx.notes.is_explained() {
            return self.explain(cx.notes, &terms);
        }
        let now = self.caps.now();
        match terms.with_request(|request| self.caps.ledger().decide(now, request)) {
            Ok(admission) => {
                if let Some(refusal) = admission.would_refuse() {
                    cx.notes.annotate("caps_shadow", sentence(refusal));
                }
                let spending = Arc::new(Spending::new(Arc::clone(&self.caps), terms, admission));
                let spender: Arc<Spending> = Arc::clone(&spending);
                cx.notes.extensions_mut().insert(Spender(spender));
                if cx.facts.asks_upgrade && !cx.facts.is_terminated {
                    cx.notes.guard_stream(Arc::new(Tunnel::new(Arc::clone(&spending))));
                }
                ctx.spending = Some(spending);
                Ok(())
            }
            Err(refusal) => {
                let error = failure(&self.caps, &refusal);
                ctx.refused = Some(Box::new(refusal));
                Err(error)
            }
        }
    }

    async fn request_body_filter(
        &self,
        _: &mut BodyCx<'_>,
        chunk: &mut Chunk,
        _: bool,
        ctx: &mut CapsCtx,
    ) -> Result<(), ProxyError> {
        self.passes(chunk, ctx)
    }

    async fn response_filter(&self, cx: &mut ResponseCx<'_>, ctx: &mut CapsCtx) -> Result<(), ProxyError> {
        if ctx.quiet {
            return Ok(());
        }
        if let Some(refusal) = ctx.refused.as_ref().filter(|refusal| refusal.kind != RefusalKind::NoRoom) {
            let mut limit = String::with_capacity(FIELD);
            write_refused(refusal, &mut limit);
            say(cx, std::slice::from_ref(&refusal.standing), limit);
        } else if let Some(spending) = &ctx.spending {
            let standings = distinct(spending.standings());
            let mut limit = String::with_capacity(FIELD);
            write_limit(&standings, &mut limit);
            say(cx, &standings, limit);
        }
        Ok(())
    }

    fn response_body_filter(
        &self,
        _: &mut BodyCx<'_>,
        chunk: &mut Chunk,
        _: bool,
        ctx: &mut CapsCtx,
    ) -> Result<(), ProxyError> {
        self.passes(chunk, ctx)
    }

    fn logging(&self, completed: &Completed<'_>, ctx: &mut CapsCtx) {
        if let Some(spending) = ctx.spending.take() {
            spending.finish(completed.bytes_in.saturating_add(completed.bytes_out));
        }
    }
}

impl Caps {
    fn bound(&self) -> Option<Arc<Bound>> {
        self.plans.bound()
    }

    /// The numbers of the methods of some of a body's calls.
    fn calls_at(&self, facts: &Facts, bound: &Bound, places: &[usize]) -> Calls {
        let body = facts.body.as_deref();
        let method = |place: &usize| body.and_then(|body| body.method(*place));
        places.iter().map(|place| method(place).map_or(MethodId::OTHER, |name| bound.method(name))).collect()
    }

    /// Who asks for what.
    fn terms(&self, cx: &RequestCx<'_>, bound: Arc<Bound>, parts: SmallVec<[Part; 2]>) -> Result<Terms, ProxyError> {
        let (id, plan) = match cx.notes.get::<Caller>() {
            Some(caller) if bound.plan(&caller.plan).is_some() => {
                (Arc::clone(&caller.id), Some(Arc::clone(&caller.plan)))
            }
            Some(caller) => {
                self.caps.counts.unknown_plan.fetch_add(1, Ordering::Relaxed);
                let detail = format!("this gateway has no plan `{}`", caller.plan);
                return Err(ProxyError::with_detail(Reason::PlanUnknown, detail));
            }
            None => (network(cx.facts.client), None),
        };
        let calls = match cx.facts.body.as_deref().and_then(|body| body.calls()) {
            Some(count) => {
                let places: SmallVec<[usize; 16]> = (0..count).collect();
                self.calls_at(cx.facts, &bound, &places)
            }
            None => Calls::from_slice(&[MethodId::HTTP]),
        };
        let is_stream = cx.facts.asks_upgrade || opens_stream(&cx.request.headers);
        let holds = if is_stream { Held::Connections } else { Held::Requests };
        let claimed = is_stream && !cx.facts.is_terminated;
        Ok(Terms { bound, id, plan, parts, calls, holds, claimed })
    }

    /// Says what would be decided; nothing is spent.
    fn explain(&self, notes: &mut Notes, terms: &Terms) -> Result<(), ProxyError> {
        let (now, ledger) = (self.caps.now(), self.caps.ledger());
        let (standings, refusal) =
            terms.with_request(|request| (ledger.standings(now, request), ledger.would_refuse(now, request)));
        let mut text = terms.id.to_string();
        for Standing { cap, remaining, limit, .. } in &standings {
            let _ = write!(text, "; {cap}: {remaining} of {limit} left");
        }
        notes.annotate("caps", text);
        notes.extensions_mut().insert(Told);
        refusal.map_or(Ok(()), |refusal| Err(failure(&self.caps, &refusal)))
    }

    /// Bytes of a stream pass, as long as the caps of bytes have any; those with which one runs dry pass too, so that what
    /// is charged is what passed.
    fn passes(&self, chunk: &Chunk, ctx: &mut CapsCtx) -> Result<(), ProxyError> {
        let Some(spending) = ctx.spending.as_ref().filter(|_| ctx.stream) else { return Ok(()) };
        let bytes = chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        if bytes == 0 {
            return Ok(());
        }
        // Time may have brought some since.
        if let Some(refusal) = ctx.dry.then(|| spending.dry()).flatten() {
            self.caps.counts.dry_streams.fetch_add(1, Ordering::Relaxed);
            return Err(failure(&self.caps, &refusal));
        }
        ctx.dry = spending.stream(bytes).is_err();
        Ok(())
    }
}

/// The failure of what a cap refuses.
pub(super) fn failure(caps: &CapLedger, refusal: &Refusal) -> ProxyError {
    let reason = match refusal.kind {
        RefusalKind::OverRate => Reason::OverRate,
        RefusalKind::OverQuota => Reason::OverQuota,
        RefusalKind::OverConcurrency => Reason::OverConcurrency,
        RefusalKind::NoRoom => {
            caps.counts.no_room.fetch_add(1, Ordering::Relaxed);
            return ProxyError::with_detail(Reason::Overloaded, "the ledger has no room for another consumer");
        }
    };
    let retry_after = refusal.retry_after().map(Duration::from_secs);
    ProxyError { retry_after, ..ProxyError::with_detail(reason, sentence(refusal)) }
}

/// Whether a request opens a stream by its fields: gRPC, or server-sent events.
fn opens_stream(headers: &HeaderMap) -> bool {
    let is_grpc = headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
    is_grpc || asks_events(headers)
}

/// Who has not said who it is, is its network: one IPv4 address, or 64 bits of an IPv6 address.
fn network(client: IpAddr) -> Arc<str> {
    match client {
        IpAddr::V4(address) => format!("net:{address}").into(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("net:{a:x}:{b:x}:{c:x}:{d:x}::/64").into()
        }
    }
}

/// One of each name, as the fields want it: that of which the least is left. Hosts and routes may have caps of one name.
fn distinct(mut standings: Vec<Standing>) -> Vec<Standing> {
    let mut at = 1;
    while let Some(standing) = standings.get(at) {
        let cap = Arc::clone(&standing.cap);
        let before = standings.iter().take(at).position(|other| other.cap == cap);
        let Some(before) = before else {
            at += 1;
            continue;
        };
        let later = standings.remove(at);
        if let Some(first) = standings.get_mut(before).filter(|first| later.remaining < first.remaining) {
            *first = later;
        }
    }
    standings
}

fn say(cx: &mut ResponseCx<'_>, standings: &[Standing], limit: String) {
    if standings.is_empty() {
        return;
    }
    let mut policy = String::with_capacity(FIELD);
    write_policy(standings, &mut policy);
    for (name, value) in [(POLICY, policy), (LIMIT, limit)] {
        // Names of caps are printable, so the values are fields.
        if let Ok(value) = HeaderValue::try_from(value) {
            drop(cx.response.insert_header(name, value));
        }
    }
}

/// `rate of the plan free: 0 of 20 requests left, 1 needed`.
fn sentence(refusal: &Refusal) -> String {
    let Refusal { standing, set, cost, wait, .. } = refusal;
    let unit = match standing.counted {
        portcullis_caps::Counted::Spent(unit) => unit.as_str(),
        portcullis_caps::Counted::Held(held) => held.as_str(),
    };
    let whose = match standing.scope {
        portcullis_caps::Scope::Gateway => "the gateway".to_owned(),
        portcullis_caps::Scope::Route => format!("the route {set}"),
        portcullis_caps::Scope::Plan => format!("the plan {set}"),
        portcullis_caps::Scope::Consumer => "this consumer alone".to_owned(),
    };
    let (cap, left, limit) = (&standing.cap, standing.remaining, standing.limit);
    let never = if *wait == Wait::Never { ", which is more than it ever has" } else { "" };
    format!("{cap} of {whose}: {left} of {limit} {unit} left, {cost} needed{never}")
}
