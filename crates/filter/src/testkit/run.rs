//! The phases in their order, as the proxy runs them.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pingora_http::{RequestHeader, ResponseHeader};
use std::sync::Arc;
use std::time::Duration;

use portcullis_types::{Dialect, ProxyError, Reason, RequestId};

use super::{Exchange, Seen, Upstream};
use crate::chain::{Chain, ChainState, Instead, Stopped};
use crate::claims::Claims;
use crate::cx::{BodyCx, Completed, ErrorCx, Facts, Notes, RequestCx, ResponseCx, Source};
use crate::response::Response;
use crate::seam::Upgrade;

/// Runs an exchange through every phase.
pub(super) async fn run(exchange: Exchange, chain: &Chain) -> Seen {
    let Exchange { request, facts, notes, body, upstream } = exchange;
    let mut run = Run {
        chain,
        state: ChainState::default(),
        notes,
        facts,
        request,
        sent: Sent::default(),
        asked: None,
        asked_body: Vec::new(),
        reason: None,
        stopped_by: None,
        upgrade: None,
    };
    let stopped = match run.request(body).await {
        Ok(()) => upstream.failure.clone().map(Err),
        Err(Stopped { filter, outcome }) => {
            run.stopped_by = Some(filter);
            Some(outcome)
        }
    };
    let (source, answer) = match stopped {
        None => (Source::Upstream, upstream),
        Some(outcome) => (Source::Gateway, whole(run.stopped(outcome))),
    };
    run.response(answer, source).await;
    run.finish()
}

/// An answer of the gateway's own, whole.
fn whole(answer: Response) -> Upstream {
    Upstream { answer, chunks: Vec::new(), trailers: HeaderMap::new(), disconnects: false, failure: None }
}

struct Run<'a> {
    chain: &'a Chain,
    state: ChainState,
    notes: Notes,
    facts: Facts,
    request: RequestHeader,
    sent: Sent,
    /// The head that the upstream got.
    asked: Option<RequestHeader>,
    asked_body: Vec<u8>,
    reason: Option<Reason>,
    stopped_by: Option<Arc<str>>,
    upgrade: Option<Box<Upgrade>>,
}

/// What the client got.
#[derive(Default)]
struct Sent {
    head: Option<ResponseHeader>,
    chunks: Vec<Bytes>,
    trailers: HeaderMap,
    complete: bool,
}

impl Run<'_> {
    async fn request(&mut self, chunks: Vec<Bytes>) -> Result<(), Stopped> {
        self.chain.claims().collect::<Claims>().strip(&mut self.request);
        let mut cx = RequestCx { request: &mut self.request, facts: &self.facts, notes: &mut self.notes };
        self.chain.request_filter(&mut cx, &mut self.state, &mut |_| {}).await?;
        // As in the gateway: a body that no reader knows was read all the same.
        if cx.facts.body.is_some() || chunks.iter().any(|chunk| !chunk.is_empty()) {
            self.chain.request_peek_filter(&mut cx, &mut self.state, &mut |_| {}).await?;
        }
        self.chain.admission_filter(&mut cx, &mut self.state, &mut |_| {}).await?;
        let by = |error| Stopped { filter: Arc::from("upstream"), outcome: Err(error) };
        let mut head = self.request.clone();
        let mut cx = RequestCx { request: &mut head, facts: &self.facts, notes: &mut self.notes };
        self.chain.upstream_request_filter(&mut cx, &mut self.state).await.map_err(by)?;
        self.asked = Some(head);
        let ends = chunks.into_iter().map(|chunk| (Some(chunk), false)).chain([(None, true)]);
        for (mut chunk, end) in ends {
            let mut cx = BodyCx { request: &self.request, facts: &self.facts, notes: &mut self.notes };
            self.chain.request_body_filter(&mut cx, &mut chunk, end, &mut self.state).await.map_err(by)?;
            self.asked_body.extend_from_slice(&chunk.unwrap_or_default());
        }
        Ok(())
    }

    /// The answer to a request that went no further.
    fn stopped(&mut self, outcome: Result<Instead, ProxyError>) -> Response {
        match outcome {
            Ok(Instead::Respond(response)) => *response,
            Ok(Instead::Upgrade(upgrade)) => {
                let response = Response { header: upgrade.response.clone(), body: Bytes::new() };
                self.upgrade = Some(upgrade);
                response
            }
            Err(error) => {
                self.reason = Some(error.reason);
                let mut cx =
                    ErrorCx { error: &error, request: &self.request, facts: &self.facts, notes: &mut self.notes };
                let mapped = self.chain.fail_to_proxy(&mut cx, &mut self.state);
                mapped.unwrap_or_else(|| written(&error, self.facts.id))
            }
        }
    }

    async fn response(&mut self, upstream: Upstream, source: Source) {
        let Response { mut header, body } = upstream.answer;
        let (request, facts, notes) = (&self.request, &self.facts, &mut self.notes);
        let mut cx = ResponseCx { response: &mut header, request, facts, notes, source };
        let outcome = self.chain.response_filter(&mut cx, &mut self.state).await;
        if let Err(error) = outcome {
            let Response { header, body } = self.stopped(Err(error));
            self.sent = Sent { head: Some(header), chunks: vec![body], complete: true, ..Sent::default() };
            return;
        }
        let bodiless = self.request.method == Method::HEAD || matches!(header.status.as_u16(), 204 | 304);
        self.sent.head = Some(header);
        if bodiless {
            self.sent.complete = true;
            return;
        }
        let chunks = std::iter::once(body).chain(upstream.chunks).filter(|chunk| !chunk.is_empty());
        let outcome = self.body(chunks, upstream.disconnects, upstream.trailers);
        if let Err(error) = outcome {
            self.reason = Some(error.reason);
        }
    }

    fn body(
        &mut self,
        chunks: impl Iterator<Item = Bytes>,
        disconnects: bool,
        mut trailers: HeaderMap,
    ) -> Result<(), ProxyError> {
        let ends = chunks.map(|chunk| (Some(chunk), false)).chain((!disconnects).then_some((None, true)));
        let mut cx = BodyCx { request: &self.request, facts: &self.facts, notes: &mut self.notes };
        for (mut chunk, end) in ends {
            self.chain.response_body_filter(&mut cx, &mut chunk, end, &mut self.state)?;
            self.sent.chunks.extend(chunk.filter(|chunk| !chunk.is_empty()));
        }
        if disconnects {
            return Err(Reason::UpstreamIncomplete.into());
        }
        if !trailers.is_empty() {
            self.chain.response_trailer_filter(&mut cx, &mut trailers, &mut self.state)?;
        }
        self.sent.trailers = trailers;
        self.sent.complete = true;
        Ok(())
    }

    fn finish(mut self) -> Seen {
        let body: Bytes = self.sent.chunks.concat().into();
        let head = self.sent.head.as_ref();
        let status = head.map_or(0, |head| head.status.as_u16());
        let phrase = head.and_then(ResponseHeader::get_reason_phrase).map(str::to_owned);
        let headers = head.map(|head| head.headers.clone()).unwrap_or_default();
        let completed = Completed {
            facts: &self.facts,
            notes: &self.notes,
            status,
            reason: self.reason,
            bytes_in: self.asked_body.len() as u64,
            bytes_out: body.len() as u64,
            total: Duration::from_millis(1),
        };
        self.chain.logging(&completed, &mut self.state);
        Seen {
            status,
            phrase,
            headers,
            body,
            chunks: self.sent.chunks,
            trailers: self.sent.trailers,
            complete: self.sent.complete,
            upstream: self.asked,
            upstream_body: self.asked_body.into(),
            reason: self.reason,
            stopped_by: self.stopped_by,
            notes: self.notes,
            upgrade: self.upgrade,
        }
    }
}

fn written(error: &ProxyError, id: RequestId) -> Response {
    let answer = Dialect::Problem.write(error, id, None);
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let content_type = HeaderValue::from_static("application/problem+json");
    let mut response = Response::new(status).with_body(content_type, answer.body);
    if let Some(after) = error.retry_after {
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        // A number is a value, and one field more is no trouble.
        drop(response.header.insert_header(http::header::RETRY_AFTER, HeaderValue::from(seconds)));
    }
    response
}
