//! The [`Filter`] trait: what a platform team implements.

use http::{HeaderMap, HeaderName};
use std::future::{Future, ready};
use std::sync::Arc;

use portcullis_types::ProxyError;
use portcullis_yaml::{Decode, Spanned};

use crate::cx::{BodyCx, Chunk, Completed, ErrorCx, RequestCx, ResponseCx, SelectCx};
use crate::phase::Phases;
use crate::registry::BuildCx;
use crate::response::Response;
use crate::seam::{PEEK_LIMIT, Upgrade};
use crate::secrets::Secrets;

/// What a filter decided of a request.
#[derive(Debug)]
pub enum Verdict {
    /// Go on to the next filter.
    Continue,
    /// Answer with this; nothing goes upstream.
    Respond(Box<Response>),
    /// Upgrade the connection: the gateway speaks on it by itself. Only for an HTTP/1.1 request that asks for it
    /// ([`crate::Facts::asks_upgrade`]); any other ends with [`portcullis_types::Reason::FilterFailed`].
    Upgrade(Box<Upgrade>),
}

/// A step of a filter chain.
///
/// A filter names the phases it takes part in with [`Filter::phases`]; a phase it does not name is never called on
/// it. Every phase may fail with a [`ProxyError`], which ends the request with that reason. The async phases are
/// those that are async in Pingora.
pub trait Filter: Send + Sync + 'static {
    /// What this filter keeps for one request; made by `Default` at its first phase.
    type Ctx: Default + Send + Sync + 'static;

    /// The phases this filter takes part in.
    fn phases(&self) -> Phases;

    /// Where the secrets stand that this filter reads out of a request's target, so that no record shows them. Asked once,
    /// when its chain is made.
    fn secrets(&self) -> Option<Arc<dyn Secrets>> {
        None
    }

    /// Names of fields in which this filter tells upstreams what they believe of nobody else: who calls, say. What a client
    /// sends under such a name, or under one that differs by `_` for `-`, is taken away before any filter runs, on every
    /// route of the config. Asked once, when its chain is made.
    fn claims(&self) -> Vec<HeaderName> {
        Vec::new()
    }

    /// The head is here. A host's filters run before the route is chosen, a route's after.
    fn request_filter(
        &self,
        _cx: &mut RequestCx<'_>,
        _ctx: &mut Self::Ctx,
    ) -> impl Future<Output = Result<Verdict, ProxyError>> + Send {
        ready(Ok(Verdict::Continue))
    }

    /// The whole body was read and [`crate::Facts::body`] says what it holds, before the request is routed. Called on a
    /// host's filters alone, after all their `request_filter`; not on a request without content, nor when it asks for
    /// an upgrade.
    fn request_peek_filter(
        &self,
        _cx: &mut RequestCx<'_>,
        _ctx: &mut Self::Ctx,
    ) -> impl Future<Output = Result<Verdict, ProxyError>> + Send {
        ready(Ok(Verdict::Continue))
    }

    /// The most bytes of a body that this filter wants to see in `request_peek_filter`; a larger body is answered 413.
    fn peek_limit(&self) -> usize {
        PEEK_LIMIT
    }

    /// The route is chosen and no filter refused: the last word before something is done, a host's filters first. A
    /// batch that is sent in parts gets here once, after the request phases of all its routes.
    fn admission_filter(
        &self,
        _cx: &mut RequestCx<'_>,
        _ctx: &mut Self::Ctx,
    ) -> impl Future<Output = Result<(), ProxyError>> + Send {
        ready(Ok(()))
    }

    /// A chunk of the request body; it may be changed, held back (`None`) or refused.
    fn request_body_filter(
        &self,
        _cx: &mut BodyCx<'_>,
        _chunk: &mut Chunk,
        _end: bool,
        _ctx: &mut Self::Ctx,
    ) -> impl Future<Output = Result<(), ProxyError>> + Send {
        ready(Ok(()))
    }

    /// An endpoint is about to be chosen. `Some(index)` into the candidates chooses, `None` leaves it to the next
    /// filter and at last to the cluster's balancer.
    ///
    /// # Errors
    /// Ends the request with that reason.
    fn upstream_peer(&self, _cx: &mut SelectCx<'_>, _ctx: &mut Self::Ctx) -> Result<Option<usize>, ProxyError> {
        Ok(None)
    }

    /// The head that goes upstream, once per attempt, after hop-by-hop fields are gone and forwarding fields set.
    fn upstream_request_filter(
        &self,
        _cx: &mut RequestCx<'_>,
        _ctx: &mut Self::Ctx,
    ) -> impl Future<Output = Result<(), ProxyError>> + Send {
        ready(Ok(()))
    }

    /// The head of the answer, whoever gives it.
    fn response_filter(
        &self,
        _cx: &mut ResponseCx<'_>,
        _ctx: &mut Self::Ctx,
    ) -> impl Future<Output = Result<(), ProxyError>> + Send {
        ready(Ok(()))
    }

    /// A chunk of the answer's body. A filter that changes its length removes Content-Length in `response_filter`.
    ///
    /// # Errors
    /// Aborts the answer: its head is gone already.
    fn response_body_filter(
        &self,
        _cx: &mut BodyCx<'_>,
        _chunk: &mut Chunk,
        _end: bool,
        _ctx: &mut Self::Ctx,
    ) -> Result<(), ProxyError> {
        Ok(())
    }

    /// The answer's trailers.
    ///
    /// # Errors
    /// Aborts the answer.
    fn response_trailer_filter(
        &self,
        _cx: &mut BodyCx<'_>,
        _trailers: &mut HeaderMap,
        _ctx: &mut Self::Ctx,
    ) -> Result<(), ProxyError> {
        Ok(())
    }

    /// The gateway is about to answer with an error: `Some` answers in its place. The reason stays what it is.
    fn fail_to_proxy(&self, _cx: &mut ErrorCx<'_>, _ctx: &mut Self::Ctx) -> Option<Response> {
        None
    }

    /// The request is over. Called once, whatever happened, a dropped connection included.
    fn logging(&self, _completed: &Completed<'_>, _ctx: &mut Self::Ctx) {}
}

/// What a filter's settings ask of the config around it: where that is not so the config is refused, at the filter's place
/// and before any request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Needs {
    /// The clusters that they name. One that is none is refused; one that stands nowhere else counts as used.
    pub clusters: Vec<Spanned<String>>,
    /// Whether the filter goes by the cluster that the route forwards to.
    pub routes_cluster: bool,
    /// Whether it acts on upgrades alone, which only HTTP/1.1 has.
    pub upgrade: bool,
}

/// A filter that the config can name.
pub trait ConfiguredFilter: Filter + Sized {
    /// Its word in a `filters:` list.
    const NAME: &'static str;

    /// Its settings. Unknown keys are refused by the derive; a filter without settings takes a unit struct that
    /// derives it.
    type Config: Decode;

    /// What the settings ask of the config around them.
    fn needs(_config: &Self::Config) -> Needs {
        Needs::default()
    }

    /// Makes the filter; the settings are valid already. A check and a dry run do it too, on state of their own, and
    /// throw the filter away: nothing outside may change here.
    ///
    /// # Errors
    /// A sentence for the operator, shown at the place of the filter in the file.
    fn build(config: Self::Config, cx: &BuildCx<'_>) -> Result<Self, String>;
}
