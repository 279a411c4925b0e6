//! One attempt of a call: a connection, the request, the whole answer.

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderValue, StatusCode};
use pingora_core::Error;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::{RequestHeader, ResponseHeader};
use std::time::{Duration, Instant};

use portcullis_balance::{Answer, Choice};
use portcullis_filter::seam::{UpstreamRequest, UpstreamResponse};
use portcullis_snapshot::request::forwarding;
use portcullis_snapshot::request::trace::Trace;
use portcullis_snapshot::{Cluster, Members};
use portcullis_telemetry::metrics::EndpointMetrics;
use portcullis_telemetry::record::Attempt;
use portcullis_types::{ProxyError, Reason};
use portcullis_wire::response::check_response_framing;

use super::{Lines, Order, Tries};
use crate::core::{Core, new_span};
use crate::reasons::{Progress, of_upstream_side};
use crate::service::{connection, hear_height, judge_head, tell_deadline};

/// How many informational heads may come before the final one.
const INTERIM: usize = 8;

/// An attempt that was answered.
pub(super) struct Answered {
    pub(super) response: UpstreamResponse,
    pub(super) first_byte: Duration,
    /// What the answer says of the endpoint.
    pub(super) judged: Answer,
}

/// One that was not.
pub(super) struct Failed {
    pub(super) error: ProxyError,
    /// Over a connection that was open already.
    pub(super) reused: bool,
    /// Whether it took too long.
    pub(super) late: bool,
    pub(super) took: Duration,
}

/// How far an attempt has come.
struct Run<'a> {
    lines: &'a Lines,
    order: &'a Order<'a>,
    peer: HttpPeer,
    started: Instant,
    progress: Progress,
    reused: bool,
    connect: Option<Duration>,
    first_byte: Option<Duration>,
    /// What is left of the time for the whole call.
    left: Duration,
    /// The attempt's span; 0 where the call is not traced.
    span: u64,
    /// The answer is larger than the caller takes, or later than the caller wants it: no fault of the endpoint's.
    blameless: bool,
}

/// Makes an attempt, and lets everybody know who counts: the endpoint's health, its metrics, the list of attempts.
pub(super) async fn make(
    core: &Core,
    order: &Order<'_>,
    (members, mut choice): (&Members, Choice),
    request: &UpstreamRequest,
    tries: &mut Tries,
) -> Result<Answered, Failed> {
    let started = Instant::now();
    let counted = members.metrics.get(choice.index().get()).filter(|_| core.observes());
    let _in_flight = counted.map(EndpointMetrics::begin);
    let deadline = order.timeouts.per_try.map_or(tries.deadline, |per_try| tries.deadline.min(started + per_try));
    let connect = order.timeouts.connect.min(deadline.saturating_duration_since(started));
    let peer = connection(order.cluster, choice.address(), connect);
    let mut run = Run::new(&core.lines, order, (peer, started), tries.left());
    run.span = tries.trace.map_or(0, |_| new_span());
    let ran = tokio::time::timeout_at(deadline.into(), run.exchange(request, tries.trace)).await;
    let late = ran.is_err();
    let total = Instant::now() >= tries.deadline;
    run.blameless |= late && total && tries.are_callers();
    let ran = ran.unwrap_or_else(|_| {
        Err(if total { Reason::UpstreamTotalTimeout.into() } else { Reason::UpstreamPerTryTimeout.into() })
    });
    let made = settle(&run, &mut choice, ran, late);
    let attempt = told(&run, &choice, tries.began, &made);
    if let Some(metrics) = counted {
        metrics.observe(&attempt);
    }
    let attempt = Attempt { cluster: order.elsewhere.then(|| order.cluster.name.clone()), ..attempt };
    tries.made.push(attempt);
    made
}

/// Lets the endpoint know.
fn settle(
    run: &Run<'_>,
    choice: &mut Choice,
    ran: Result<(ResponseHeader, Bytes), ProxyError>,
    late: bool,
) -> Result<Answered, Failed> {
    let now = Instant::now();
    let took = now.saturating_duration_since(run.started);
    match ran {
        Ok((mut header, body)) => {
            let first_byte = run.first_byte.unwrap_or(took);
            let judged = judge_head(&mut header, run.order.cluster, choice, now);
            choice.answered(now, first_byte, judged);
            hear_height(run.order.cluster, choice.endpoint().state(), &body);
            let endpoint = choice.endpoint().spec().name.clone();
            Ok(Answered { response: UpstreamResponse { header, body, endpoint }, first_byte, judged })
        }
        Err(error) => {
            let blameless = run.blameless || error.reason.is_own_lack();
            if !blameless {
                choice.failure(now, error.reason);
            }
            let late = (late || error.reason == Reason::UpstreamFirstByteTimeout) && !blameless;
            Err(Failed { error, reused: run.reused, late, took })
        }
    }
}

fn told(run: &Run<'_>, choice: &Choice, began: Instant, made: &Result<Answered, Failed>) -> Attempt {
    Attempt {
        endpoint: choice.endpoint().spec().name.clone(),
        cluster: None,
        started: run.started.saturating_duration_since(began),
        connect: run.connect,
        first_byte: run.first_byte,
        outcome: match made {
            Ok(answered) => Ok(answered.response.header.status.as_u16()),
            Err(failed) => Err(failed.error.reason),
        },
        reused: run.reused,
        outrun: false,
        span: run.span,
        ended: (run.span != 0).then(|| began.elapsed()),
    }
}

impl<'a> Run<'a> {
    fn new(lines: &'a Lines, order: &'a Order<'a>, (peer, started): (HttpPeer, Instant), left: Duration) -> Self {
        Self {
            lines,
            order,
            peer,
            started,
            progress: Progress::Connecting,
            reused: false,
            connect: None,
            first_byte: None,
            left,
            span: 0,
            blameless: false,
        }
    }

    async fn exchange(
        &mut self,
        request: &UpstreamRequest,
        trace: Option<Trace>,
    ) -> Result<(ResponseHeader, Bytes), ProxyError> {
        let connected = self.lines.http.get_http_session(&self.peer).await;
        let (mut session, reused) = connected.map_err(|error| self.failed(&error))?;
        self.reused = reused;
        self.connect = (!reused).then(|| self.started.elapsed());
        self.progress = Progress::Waiting;
        session.set_write_timeout(Some(self.order.timeouts.idle));
        session.set_read_timeout(Some(self.order.timeouts.first_byte));
        let answer = self.ask(&mut session, request, trace).await;
        let keep = answer.is_ok() && session.response_done();
        if keep {
            let keepalive = Some(self.order.cluster.keepalive);
            self.lines.http.release_http_session(session, &self.peer, keepalive).await;
        } else {
            session.shutdown().await;
        }
        answer
    }

    async fn ask(
        &mut self,
        session: &mut HttpSession,
        request: &UpstreamRequest,
        trace: Option<Trace>,
    ) -> Result<(ResponseHeader, Bytes), ProxyError> {
        let mut head = complete(request, self.order.cluster, &self.peer)?;
        if let Some(trace) = trace {
            forwarding::set_trace(&mut head, trace, self.span);
        }
        tell_deadline(&mut head, self.order.cluster, Some(self.left.saturating_sub(self.connect.unwrap_or_default())));
        let lost = |run: &Self, error: Box<Error>| run.failed(&error);
        session.write_request_header(Box::new(head)).await.map_err(|error| lost(self, error))?;
        if !request.body.is_empty() {
            session.write_request_body(request.body.clone(), false).await.map_err(|error| lost(self, error))?;
        }
        session.finish_request_body().await.map_err(|error| lost(self, error))?;
        let head = self.head(session).await?;
        self.progress = Progress::Answering;
        self.first_byte = Some(self.started.elapsed());
        session.set_read_timeout(Some(self.order.timeouts.idle));
        let body = self.body(session, request.most).await?;
        Ok((head, body))
    }

    async fn head(&self, session: &mut HttpSession) -> Result<ResponseHeader, ProxyError> {
        for _ in 0..INTERIM {
            session.read_response_header().await.map_err(|error| self.failed(&error))?;
            let Some(head) = session.response_header() else { continue };
            let fields = head.headers.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()));
            check_response_framing(head.status.as_u16(), fields)
                .map_err(|error| ProxyError::with_detail(Reason::UpstreamMalformed, error.name()))?;
            if head.status == StatusCode::SWITCHING_PROTOCOLS {
                let detail = "an upgrade that was not asked for";
                return Err(ProxyError::with_detail(Reason::UpstreamMalformed, detail));
            }
            if !head.status.is_informational() {
                return Ok(head.clone());
            }
        }
        Err(ProxyError::with_detail(Reason::UpstreamMalformed, "too many interim answers"))
    }

    async fn body(&mut self, session: &mut HttpSession, most: usize) -> Result<Bytes, ProxyError> {
        let mut first: Option<Bytes> = None;
        let mut body = BytesMut::new();
        while let Some(part) = session.read_response_body().await.map_err(|error| self.failed(&error))? {
            let held = body.len() + first.as_ref().map_or(0, Bytes::len);
            if held + part.len() > most {
                self.blameless = true;
                let detail = format!("an answer over {most} bytes");
                return Err(ProxyError::with_detail(Reason::UpstreamMalformed, detail));
            }
            match first.take() {
                None if body.is_empty() => first = Some(part),
                first => {
                    body.extend_from_slice(&first.unwrap_or_default());
                    body.extend_from_slice(&part);
                }
            }
        }
        Ok(first.unwrap_or_else(|| body.freeze()))
    }

    fn failed(&self, error: &Error) -> ProxyError {
        ProxyError::new(of_upstream_side(error, self.progress))
    }
}

/// A head with what every request has: a Host, and the length of its body.
fn complete(request: &UpstreamRequest, cluster: &Cluster, peer: &HttpPeer) -> Result<RequestHeader, ProxyError> {
    let invalid = |what| ProxyError::with_detail(Reason::Internal, what);
    let mut head = request.header.clone();
    host(&mut head, cluster, peer)?;
    let bodiless = request.body.is_empty() && matches!(head.method, http::Method::GET | http::Method::HEAD);
    if !bodiless && !head.headers.contains_key(CONTENT_LENGTH) {
        let length = HeaderValue::from(request.body.len());
        head.insert_header(CONTENT_LENGTH, length).map_err(|_| invalid("the length of an own request"))?;
    }
    Ok(head)
}

/// Says which host is asked, where the head does not: the one that TLS asks for, else the endpoint's address.
pub(super) fn host(head: &mut RequestHeader, cluster: &Cluster, peer: &HttpPeer) -> Result<(), ProxyError> {
    if head.headers.contains_key(HOST) {
        return Ok(());
    }
    let name = cluster.tls.as_ref().map_or_else(|| peer._address.to_string(), |tls| tls.server_name.clone());
    let invalid = || ProxyError::with_detail(Reason::Internal, "the host of an own request");
    let value = HeaderValue::from_str(&name).map_err(|_| invalid())?;
    head.insert_header(HOST, value).map_err(|_| invalid())
}
