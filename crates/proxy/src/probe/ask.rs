//! One endpoint's checks: connect, ask, judge.

use http::StatusCode;
use http::header::{HOST, USER_AGENT};
use pingora_core::Error;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_http::{RequestHeader, ResponseHeader};
use rand::RngExt as _;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

use portcullis_balance::{CapacityReport, CheckFailure, Endpoint, EndpointState, HealthMachine, HeightPolicy};
use portcullis_snapshot::cluster::health::{HEALTH_BODY, HttpProbe};
use portcullis_snapshot::{Cluster, HealthCheck, HealthProbe};
use portcullis_telemetry::metrics::{ClusterMetrics, EndpointMetrics};
use portcullis_types::{ClusterName, Reason};

use super::{Lines, grpc, keeper, solana};
use crate::reasons::Progress;
use crate::service::{peer, says_drain};

/// An endpoint, and how it is checked.
pub(super) struct Target {
    cluster: ClusterName,
    address: SocketAddr,
    check: Arc<HealthCheck>,
    state: Arc<EndpointState>,
    pub(super) metrics: Arc<EndpointMetrics>,
    counted: Arc<ClusterMetrics>,
    drained: bool,
    pub(super) heights: Option<HeightPolicy>,
    /// The field by which the endpoint says that it drains.
    drain: Option<http::HeaderName>,
    group: u64,
}

/// How far a check has come, to tell the kinds of lateness apart.
type Connected = AtomicBool;

impl Target {
    pub(super) fn new(
        cluster: &Cluster,
        check: Arc<HealthCheck>,
        (endpoint, metrics): (&Arc<Endpoint>, &Arc<EndpointMetrics>),
    ) -> Self {
        let spec = endpoint.spec();
        Self {
            cluster: cluster.name.clone(),
            address: SocketAddr::new(spec.address.ip(), check.port.unwrap_or(spec.address.port())),
            check,
            state: endpoint.state().clone(),
            metrics: metrics.clone(),
            counted: cluster.metrics.clone(),
            drained: spec.weight == 0,
            heights: cluster.fleet.plan().tuning.heights,
            drain: cluster.reports.drain.clone(),
            group: cluster.connection_group,
        }
    }

    /// How the check's connection must be.
    fn peer(&self) -> HttpPeer {
        let check = &*self.check;
        let mut peer = peer(check.tls.as_ref(), check.protocol, (self.address, check.policy.timeout));
        peer.group_key = self.group;
        peer.options.idle_timeout = Some(self.kept());
        peer
    }

    /// How long a connection may wait for the next check.
    fn kept(&self) -> Duration {
        self.check.policy.interval.saturating_mul(2) + Duration::from_secs(1)
    }
}

/// Checks an endpoint until it is stopped.
pub(super) async fn run(target: Arc<Target>, lines: Arc<Lines>, fleet: usize) {
    let mut machine = HealthMachine::new(target.check.policy, target.state.clone());
    let mut at = machine.first_check(Instant::now(), fleet);
    let mut rest = Rest { asked: Instant::now(), skipped: REST };
    loop {
        tokio::time::sleep_until(at.into()).await;
        if rest.may(&target) {
            at = machine.next_check(Instant::now(), rand::rng().random());
            continue;
        }
        at = machine.next_check(Instant::now(), rand::rng().random());
        // Boxed, so that a task that waits holds no more than a timer.
        let result = Box::pin(ask(&target, &lines)).await;
        target.counted.health().checked(result.err().map(CheckFailure::as_str));
        if let Some(transition) = machine.on_result(Instant::now(), result) {
            log::warn!("cluster {}: {transition}", target.cluster);
            keeper::show(&target.state, target.drained, &target.metrics);
        }
    }
}

/// So many checks in a row may be left out.
const REST: u32 = 4;

/// Whether a check is left out, because the answers that passed since the last one tell as much.
struct Rest {
    asked: Instant,
    skipped: u32,
}

impl Rest {
    fn may(&mut self, target: &Target) -> bool {
        let told = |policy: &HeightPolicy| target.state.is_told_since(self.asked, policy);
        let rests = self.skipped < REST && target.heights.as_ref().is_some_and(told);
        self.skipped = if rests { self.skipped + 1 } else { 0 };
        self.asked = Instant::now();
        rests
    }
}

async fn ask(target: &Target, lines: &Lines) -> Result<(), CheckFailure> {
    let connected = Connected::new(false);
    let asking = tokio::time::timeout(target.check.policy.timeout, probe(target, lines, &connected));
    let late = || match connected.load(Ordering::Relaxed) {
        true => CheckFailure::Timeout,
        false => CheckFailure::ConnectTimeout,
    };
    asking.await.unwrap_or_else(|_| Err(late()))
}

async fn probe(target: &Target, lines: &Lines, connected: &Connected) -> Result<(), CheckFailure> {
    match &target.check.probe {
        HealthProbe::Tcp => TcpStream::connect(target.address).await.map(drop).map_err(|error| of_io(&error)),
        HealthProbe::Tls => {
            let stream = lines.raw.new_stream(&target.peer()).await;
            stream.map(drop).map_err(|error| of_error(&error, Progress::Connecting))
        }
        HealthProbe::Http(_) | HealthProbe::Grpc(_) => {
            exchange_anew(target, (lines, connected), bytes::Bytes::new()).await.map(drop)
        }
        HealthProbe::Solana(probe) => {
            let mut answers = Vec::new();
            for call in solana::calls(probe) {
                answers.push(exchange_anew(target, (lines, connected), call).await?);
            }
            let sounding = solana::read(probe, &answers)?;
            target.state.sound(Instant::now(), sounding);
            Ok(())
        }
    }
}

/// An exchange, on another connection when a kept one turns out to be closed: that says nothing of the endpoint.
async fn exchange_anew(
    target: &Target,
    (lines, connected): (&Lines, &Connected),
    call: bytes::Bytes,
) -> Result<Vec<u8>, CheckFailure> {
    let peer = target.peer();
    match exchange(target, (lines, &peer), connected, call.clone()).await {
        Err(Stale) => exchange(target, (lines, &peer), connected, call).await.unwrap_or(Err(CheckFailure::Reset)),
        Ok(result) => result,
    }
}

/// A kept connection turned out to be closed.
struct Stale;

async fn exchange(
    target: &Target,
    (lines, peer): (&Lines, &HttpPeer),
    connected: &Connected,
    call: bytes::Bytes,
) -> Result<Result<Vec<u8>, CheckFailure>, Stale> {
    let (mut session, reused) = match lines.http.get_http_session(peer).await {
        Ok(session) => session,
        Err(error) => return Ok(Err(of_error(&error, Progress::Connecting))),
    };
    connected.store(true, Ordering::Relaxed);
    let result = match &target.check.probe {
        HealthProbe::Http(http) => get(target, http, &mut session).await.map(|()| Vec::new()),
        HealthProbe::Grpc(probe) => grpc::check(probe, &mut session).await.map(|()| Vec::new()),
        HealthProbe::Solana(probe) => solana::post(probe, call, &mut session).await,
        HealthProbe::Tcp | HealthProbe::Tls => Ok(Vec::new()),
    };
    if reused && result == Err(CheckFailure::Reset) {
        return Err(Stale);
    }
    if target.check.reuse && result.is_ok() && session.response_done() {
        lines.http.release_http_session(session, peer, Some(target.kept())).await;
    } else {
        session.shutdown().await;
    }
    Ok(result)
}

async fn get(target: &Target, probe: &HttpProbe, session: &mut HttpSession) -> Result<(), CheckFailure> {
    let unsent = |_| CheckFailure::Malformed;
    let mut head = RequestHeader::build("GET", probe.path.as_bytes(), None).map_err(unsent)?;
    head.insert_header(HOST, probe.host.clone()).map_err(unsent)?;
    head.insert_header(USER_AGENT, "portcullis-health").map_err(unsent)?;
    if !target.check.reuse {
        head.insert_header(http::header::CONNECTION, "close").map_err(unsent)?;
    }
    send(session, head, bytes::Bytes::new()).await?;
    let head = head_of(session).await?;
    let status = head.status;
    if target.drain.as_ref().is_some_and(|name| says_drain(&head.headers, name)) {
        target.state.report(Instant::now(), &CapacityReport { drain: true, ..CapacityReport::default() });
    }
    if !probe.accepts(status) {
        return Err(CheckFailure::Status(status.as_u16()));
    }
    // Without a wish for the body, it is read all the same where the connection is to be used again.
    if probe.body.is_none() && !target.check.reuse {
        return Ok(());
    }
    let body = body_of(session).await?;
    match &probe.body {
        Some(wanted) if !wanted.matches(&body) => Err(CheckFailure::BodyMismatch),
        Some(_) | None => Ok(()),
    }
}

/// Sends a request.
pub(super) async fn send(
    session: &mut HttpSession,
    head: RequestHeader,
    body: bytes::Bytes,
) -> Result<(), CheckFailure> {
    let lost = |error: Box<Error>| of_error(&error, Progress::Waiting);
    session.write_request_header(Box::new(head)).await.map_err(lost)?;
    if !body.is_empty() {
        session.write_request_body(body, false).await.map_err(lost)?;
    }
    session.finish_request_body().await.map_err(lost)
}

/// How many informational heads may come before the final one.
const INTERIM: usize = 8;

/// Reads the head of the answer.
pub(super) async fn head_of(session: &mut HttpSession) -> Result<ResponseHeader, CheckFailure> {
    for _ in 0..INTERIM {
        session.read_response_header().await.map_err(|error| of_error(&error, Progress::Waiting))?;
        let head = session.response_header().filter(|head| !is_interim(head.status));
        if let Some(head) = head {
            return Ok(head.clone());
        }
    }
    Err(CheckFailure::Malformed)
}

fn is_interim(status: StatusCode) -> bool {
    status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS
}

/// Reads as much of the body as is looked at.
pub(super) async fn body_of(session: &mut HttpSession) -> Result<Vec<u8>, CheckFailure> {
    let mut body = Vec::new();
    while body.len() < HEALTH_BODY {
        let chunk = session.read_response_body().await.map_err(|error| of_error(&error, Progress::Answering))?;
        match chunk {
            Some(chunk) => body.extend_from_slice(&chunk),
            None => break,
        }
    }
    body.truncate(HEALTH_BODY);
    Ok(body)
}

fn of_io(error: &io::Error) -> CheckFailure {
    if error.kind() == io::ErrorKind::ConnectionRefused {
        CheckFailure::ConnectRefused
    } else {
        CheckFailure::Unreachable
    }
}

/// The failure behind an error of Pingora's.
#[expect(clippy::wildcard_enum_match_arm, reason = "of the many reasons only those of an upstream can come")]
pub(super) fn of_error(error: &Error, progress: Progress) -> CheckFailure {
    match crate::reasons::of_upstream_side(error, progress) {
        Reason::UpstreamConnectTimeout => CheckFailure::ConnectTimeout,
        Reason::UpstreamConnectRefused => CheckFailure::ConnectRefused,
        Reason::UpstreamConnectFailed => CheckFailure::Unreachable,
        Reason::UpstreamTlsFailed => CheckFailure::TlsFailed,
        Reason::UpstreamCertificateInvalid => CheckFailure::CertificateInvalid,
        Reason::UpstreamMalformed => CheckFailure::Malformed,
        Reason::UpstreamFirstByteTimeout | Reason::UpstreamIdleTimeout | Reason::UpstreamWriteTimeout => {
            CheckFailure::Timeout
        }
        _ if progress == Progress::Connecting => CheckFailure::Unreachable,
        _ => CheckFailure::Reset,
    }
}
