//! The filter `jsonrpc`: what makes a host one of JSON-RPC.
//!
//! It asks for the whole body before the route is chosen, and refuses there what a node would refuse, or must not see: a
//! body that is no JSON-RPC, too many calls, methods that are not offered, not allowed to this caller, or called with params
//! of another shape. From its first phase on, errors of the host are JSON-RPC error objects.
//!
//! A batch goes on whole or not at all. Where HTTP says that all is well (an unknown method, wrong params), a refused batch
//! is answered by a list, since clients read nothing else: the call that was refused with its error, the others with one
//! that says that they were not carried out.

mod config;
mod refusal;
#[cfg(test)]
mod tests;

use http::{HeaderValue, Method, StatusCode, header};
use std::borrow::Cow;
use std::sync::Arc;

use portcullis_filter::{
    BuildCx, ConfiguredFilter, ErrorCx, Filter, Phase, Phases, Registry, RequestCx, Response, ResponseCx, Source,
    Verdict,
};
use portcullis_identity::Caller;
use portcullis_identity::check::check_rpc_method;
use portcullis_types::{ProxyError, Reason};

use crate::body::{Body, is_encoded};
use crate::cache::{Outcome, X_CACHE};
use crate::scan::{Call, Scan, ScanError};
use crate::solana;
use crate::ws::RpcWebsocket;

pub use config::{JsonRpcConfig, Offered};

/// Adds the filters of this crate.
#[must_use]
pub fn register(registry: Registry) -> Registry {
    registry.with::<JsonRpc>().with::<RpcWebsocket>()
}

/// The filter `jsonrpc`.
pub struct JsonRpc {
    config: Arc<JsonRpcConfig>,
}

/// What the host of an upgrade offers, among the notes of its request: a method that is refused over HTTP is on a WebSocket
/// too.
#[derive(Clone)]
pub(crate) struct OnHost(pub(crate) Arc<JsonRpcConfig>);

/// What is known of one request.
#[derive(Default)]
pub struct JsonRpcCtx {
    /// Whether a body was seen.
    seen: bool,
    /// The call that was refused.
    refused: Option<usize>,
}

impl Filter for JsonRpc {
    type Ctx = JsonRpcCtx;

    fn phases(&self) -> Phases {
        Phases::of(Phase::RequestFilter)
            .and(Phase::RequestPeekFilter)
            .and(Phase::AdmissionFilter)
            .and(Phase::ResponseFilter)
            .and(Phase::FailToProxy)
    }

    fn peek_limit(&self) -> usize {
        self.config.body
    }

    async fn request_filter(&self, cx: &mut RequestCx<'_>, _ctx: &mut JsonRpcCtx) -> Result<Verdict, ProxyError> {
        let calls = cx.request.method == Method::POST;
        if cx.facts.asks_upgrade || calls || !self.config.others {
            cx.notes.dialect = Some(portcullis_types::Dialect::JsonRpc);
        }
        if cx.facts.asks_upgrade {
            cx.notes.extensions_mut().insert(OnHost(Arc::clone(&self.config)));
        }
        // A preflight request makes no calls; it comes without credentials, and wants its own answer.
        let other = !calls && !cx.facts.asks_upgrade && cx.request.method != Method::OPTIONS;
        if other && !self.config.others {
            let detail = format!("JSON-RPC is called by POST; this is {}", cx.request.method);
            return Err(ProxyError::with_detail(Reason::RpcInvalidRequest, detail));
        }
        if calls && cx.request.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0") {
            return Err(empty());
        }
        Ok(Verdict::Continue)
    }

    async fn request_peek_filter(&self, cx: &mut RequestCx<'_>, ctx: &mut JsonRpcCtx) -> Result<Verdict, ProxyError> {
        ctx.seen = true;
        let Some(view) = cx.facts.body.as_deref() else {
            // A coding could hide a call from every check here, by whatever method it comes.
            let passes = cx.request.method != Method::POST && !is_encoded(&cx.request.headers);
            return if passes { Ok(Verdict::Continue) } else { Err(unread(cx.request)) };
        };
        let body = Body::of(view).ok_or_else(|| {
            ProxyError::with_detail(Reason::FilterFailed, "bodies are read by another reader than the one of `jsonrpc`")
        })?;
        if cx.request.method != Method::POST && !body.may_call() {
            return Ok(Verdict::Continue);
        }
        let scan = self.whole(body)?;
        cx.notes.annotate("rpc", described(body));
        let caller = cx.notes.get::<Caller>();
        for (place, call) in scan.calls().iter().enumerate() {
            self.call(body, call, caller).map_err(|error| {
                ctx.refused = Some(place);
                if scan.is_batch() { refusal::of_batch(error, place) } else { error }
            })?;
        }
        Ok(Verdict::Continue)
    }

    /// A POST over HTTP/2 may turn out to have no body after its head.
    async fn admission_filter(&self, cx: &mut RequestCx<'_>, ctx: &mut JsonRpcCtx) -> Result<(), ProxyError> {
        let unseen = !ctx.seen && !cx.facts.asks_upgrade && !cx.notes.is_explained();
        if unseen && cx.request.method == Method::POST { Err(empty()) } else { Ok(()) }
    }

    async fn response_filter(&self, cx: &mut ResponseCx<'_>, _ctx: &mut JsonRpcCtx) -> Result<(), ProxyError> {
        let Some(outcome) = cx.facts.body.as_deref().and_then(Body::of).and_then(Body::outcome) else { return Ok(()) };
        cx.notes.annotate("rpc_cache", outcome.as_str());
        if outcome == Outcome::Miss && cx.source == Source::Upstream {
            // Infallible for a typed name and value short of the map's limit.
            drop(cx.response.insert_header(X_CACHE, HeaderValue::from_static(outcome.as_str())));
        }
        Ok(())
    }

    fn fail_to_proxy(&self, cx: &mut ErrorCx<'_>, ctx: &mut JsonRpcCtx) -> Option<Response> {
        let refused = ctx.refused.filter(|_| cx.error.reason.status() == StatusCode::OK.as_u16())?;
        let body = cx.facts.body.as_deref().and_then(Body::of)?;
        let batch = body.scan().ok().filter(|scan| scan.is_batch())?;
        let answer = refusal::list(body, batch.calls(), refused, cx.error);
        Some(Response::new(StatusCode::OK).with_body(HeaderValue::from_static("application/json"), answer))
    }
}

impl JsonRpc {
    /// The calls of a body that is JSON-RPC and within the limits of this host.
    fn whole<'a>(&self, body: &'a Body) -> Result<&'a Scan, ProxyError> {
        let JsonRpcConfig { body: most_bytes, depth, batch, .. } = *self.config;
        let bytes = body.text().len();
        if bytes > most_bytes {
            return Err(refused(&ScanError::Size { bytes, most: most_bytes }));
        }
        let scan = body.scan().map_err(refused)?;
        if scan.depth() > depth {
            let detail = format!("it nests {} deep; {depth} at most", scan.depth());
            return Err(ProxyError::with_detail(Reason::RpcParseError, detail));
        }
        if scan.is_batch() && scan.calls().len() > batch {
            return Err(refused(&ScanError::Batch { most: batch }));
        }
        Ok(scan)
    }

    /// Whether a call may be made by this caller, and is one.
    fn call(&self, body: &Body, call: &Call, caller: Option<&Caller>) -> Result<(), ProxyError> {
        let name = body.slice(call.method());
        let known = solana::method(name).filter(|_| self.config.methods.solana());
        if known.is_none() && !self.config.methods.has(name) {
            return Err(ProxyError::with_detail(Reason::RpcMethodUnknown, format!("method `{name}`")));
        }
        if self.config.denies(name) {
            return Err(ProxyError::with_detail(
                Reason::Denied,
                format!("method `{name}` is not offered on this host"),
            ));
        }
        let consumer = caller.and_then(|caller| caller.consumer.as_deref());
        if let Some(Err(restriction)) = consumer.map(|consumer| check_rpc_method(consumer, name)) {
            let detail = format!("{}: `{name}`", restriction.name());
            return Err(ProxyError::with_detail(Reason::KeyForbidden, detail));
        }
        let checked = known.filter(|_| self.config.params).map_or(Ok(()), |method| method.check(&body.params(call)));
        checked.map_err(|why| ProxyError::with_detail(Reason::RpcParamsInvalid, format!("`{name}`: {why}")))
    }
}

/// What a body calls, for the record.
fn described(body: &Body) -> Cow<'static, str> {
    match body.single() {
        Some(call) => body.slice(call.method()).to_owned().into(),
        None => format!("batch of {}", body.calls().len()).into(),
    }
}

fn refused(error: &ScanError) -> ProxyError {
    let reason = match error {
        ScanError::Json(_) | ScanError::Depth { .. } => Reason::RpcParseError,
        ScanError::Invalid { .. } => Reason::RpcInvalidRequest,
        ScanError::Batch { .. } | ScanError::Size { .. } => Reason::BodyTooLarge,
    };
    ProxyError::with_detail(reason, error.to_string())
}

fn empty() -> ProxyError {
    ProxyError::with_detail(Reason::RpcInvalidRequest, "the request has no body")
}

/// A body that does not begin like JSON, or cannot be looked at.
fn unread(request: &pingora_http::RequestHeader) -> ProxyError {
    let detail =
        if is_encoded(&request.headers) { "a body with a content coding is not read" } else { "expected JSON" };
    ProxyError::with_detail(Reason::RpcParseError, detail)
}

impl ConfiguredFilter for JsonRpc {
    const NAME: &'static str = "jsonrpc";

    type Config = JsonRpcConfig;

    fn build(config: JsonRpcConfig, cx: &BuildCx<'_>) -> Result<Self, String> {
        if cx.place.contains("/routes/") {
            return Err("`jsonrpc` looks into bodies before a route is chosen; write it in the `filters` of the host"
                .to_owned());
        }
        Ok(Self { config: Arc::new(config) })
    }
}
