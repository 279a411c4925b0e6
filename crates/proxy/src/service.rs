//! Pingora's phases: each is a few lines here, and a file of [`service`](self) holds what it does.
//!
//! A request's whole state is its [`Ctx`]; the record in it is completed in `logging`, or when the context is dropped
//! because the request's future was.

mod admit;
mod attempts;
mod batch;
mod cache;
mod context;
mod deadline;
mod failover;
mod failure;
mod fallback;
mod hedge;
mod heights;
mod length;
mod limits;
mod mirror;
mod peek;
mod presence;
mod record;
mod reports;
mod respond;
mod response;
mod retry;
mod route;
mod target;
mod upgrade;
mod upstream;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use pingora_core::modules::http::HttpModules;
use pingora_core::protocols::Digest;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, Session, Settled};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_filter::Source;

pub(crate) use context::Ctx;
pub(crate) use deadline::tell as tell_deadline;
pub(crate) use heights::hear_height;
pub(crate) use limits::taken_together;
pub(crate) use mirror::Mirrors;
pub(crate) use reports::{judge as judge_head, says_drain};
pub(crate) use retry::cause as retry_cause;
pub(crate) use target::{connection, peer_of as peer};
pub(crate) use upgrade::Granted;

use crate::core::Core;
use crate::gate::conn::CONN;

/// The proxy's phases.
pub(crate) struct Service {
    core: Arc<Core>,
}

impl Service {
    pub(crate) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }
}

#[async_trait]
impl ProxyHttp for Service {
    type CTX = Box<Ctx>;

    fn new_ctx(&self) -> Box<Ctx> {
        Box::new(Ctx::new(&self.core, CONN.try_with(Arc::clone).ok()))
    }

    // None of Pingora's modules: compression and the like are filters here.
    fn init_downstream_modules(&self, _modules: &mut HttpModules) {}

    async fn request_filter(&self, session: &mut Session, ctx: &mut Box<Ctx>) -> Result<bool> {
        respond::expect(session);
        portcullis_mutants::when!(Tail => if portcullis_mutants::one_in(100) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        });
        portcullis_mutants::when!(WaitsForRedis => if portcullis_mutants::is_silent() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        });
        match route::request(session, ctx).await {
            Ok(route::Next::Forward) => Ok(false),
            Ok(route::Next::Answer(answer)) => {
                respond::send(session, ctx, (*answer, Source::Gateway)).await.map(|()| true)
            }
            Ok(route::Next::Stored(answer)) => {
                respond::send(session, ctx, (*answer, Source::Upstream)).await.map(|()| true)
            }
            Ok(route::Next::Upgrade(upgrade, cluster)) => {
                upgrade::hand_over(session, ctx, (*upgrade, cluster)).await.map(|()| true)
            }
            Err(error) => Err(ctx.fail(error)),
        }
    }

    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Box<Ctx>,
    ) -> Result<()> {
        upstream::request_body(session, body, end, ctx).await.map_err(|error| ctx.fail(error))
    }

    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Box<Ctx>) -> Result<Box<HttpPeer>> {
        attempts::peer(session, ctx).await.map_err(|error| ctx.fail(error))
    }

    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        reused: bool,
        _peer: &HttpPeer,
        _fd: std::os::unix::io::RawFd,
        _digest: Option<&Digest>,
        ctx: &mut Box<Ctx>,
    ) -> Result<()> {
        ctx.connected(reused);
        Ok(())
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        ctx: &mut Box<Ctx>,
    ) -> Result<()> {
        upstream::request_head(session, request, ctx).await.map_err(|error| ctx.fail(error))
    }

    fn upstream_idle_timeout(&self, session: &Session, ctx: &Box<Ctx>) -> Option<Duration> {
        Some(target::idle_timeout(session, ctx))
    }

    fn request_pause_timeout(&self, session: &Session, ctx: &Box<Ctx>) -> Option<Duration> {
        Some(target::pause_timeout(session, ctx))
    }

    fn response_header_deadline(&self, _session: &Session, ctx: &Box<Ctx>) -> Option<Instant> {
        ctx.upstream.deadline
    }

    fn hedge_after(&self, session: &Session, ctx: &Box<Ctx>) -> Option<Duration> {
        hedge::after(session, ctx)
    }

    async fn hedge_peer(&self, session: &mut Session, ctx: &mut Box<Ctx>) -> Option<Box<HttpPeer>> {
        hedge::peer(session, ctx)
    }

    fn hedge_settled(&self, _session: &mut Session, ctx: &mut Box<Ctx>, settled: Settled<'_>) {
        hedge::settled(ctx, &settled);
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Box<Ctx>,
    ) -> Result<()> {
        response::from_upstream(response, ctx).map_err(|error| ctx.fail(error))?;
        if retry::status(session, ctx, response) { Err(Ctx::again()) } else { Ok(()) }
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        ctx: &mut Box<Ctx>,
    ) -> Result<()> {
        respond::settle(session, response, ctx);
        response::head(session.req_header(), response, ctx).await.map_err(|error| ctx.fail(error))
    }

    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end: bool,
        ctx: &mut Box<Ctx>,
    ) -> Result<Option<Duration>> {
        let filtered = response::body_from_upstream(session.req_header(), body, end, ctx);
        filtered.map(|()| None).map_err(|error| ctx.fail(error))
    }

    fn response_body_after_header(
        &self,
        session: &mut Session,
        header: &ResponseHeader,
        ctx: &mut Box<Ctx>,
    ) -> Result<Option<Bytes>> {
        let mut body = None;
        if response::may_have_body(session.req_header(), header) {
            let filtered = response::body_from_upstream(session.req_header(), &mut body, true, ctx);
            filtered.map_err(|error| ctx.fail(error))?;
        } else {
            response::ends();
        }
        Ok(body.filter(|body| !body.is_empty()))
    }

    async fn response_trailer_filter(
        &self,
        session: &mut Session,
        trailers: &mut HeaderMap,
        ctx: &mut Box<Ctx>,
    ) -> Result<Option<Bytes>> {
        let filtered = response::trailers(session.req_header(), trailers, ctx);
        filtered.map(|()| None).map_err(|error| ctx.fail(error))
    }

    fn fail_to_connect(
        &self,
        session: &mut Session,
        _peer: &HttpPeer,
        ctx: &mut Box<Ctx>,
        error: Box<Error>,
    ) -> Box<Error> {
        failure::of_connecting(session, ctx, error)
    }

    fn error_while_proxy(
        &self,
        _peer: &HttpPeer,
        session: &mut Session,
        error: Box<Error>,
        ctx: &mut Box<Ctx>,
        reused: bool,
    ) -> Box<Error> {
        failure::of_exchange(session, ctx, error, reused)
    }

    async fn fail_to_proxy(&self, session: &mut Session, error: &Error, ctx: &mut Box<Ctx>) -> FailToProxy {
        failure::answer(session, ctx, error).await
    }

    // Every failure has a record; Pingora's own error lines would say it twice.
    fn suppress_error_log(&self, _session: &Session, _ctx: &Box<Ctx>, _error: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _session: &Session,
        _ctx: &Box<Ctx>,
        _error: &Error,
        _context: pingora_proxy::ProxyWarnLogContext,
    ) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, _error: Option<&Error>, ctx: &mut Box<Ctx>) {
        ctx.note_bytes(session);
        ctx.complete();
    }
}
