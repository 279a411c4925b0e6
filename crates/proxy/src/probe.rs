//! Active health checks: one task an endpoint, alive as long as some generation has that endpoint with those checks.
//!
//! The verdict is `balance`'s; here is only the asking. An endpoint that a reload keeps with the same checks keeps its
//! task, and with it its streak; anything else is stopped or started.

use parking_lot::Mutex;
use rand::RngExt as _;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use portcullis_balance::{CheckFailure, Endpoint, EndpointState, Health, HealthMachine};
use portcullis_snapshot::{Cluster, HealthCheck, HealthProbe, Members, Snapshot};
use portcullis_telemetry::metrics::{EndpointMetrics, Health as Shown};

/// Bytes of an answer that are looked at: a status line fits many times.
const MAX_ANSWER: usize = 16 * 1024;

/// The checks that run now.
#[derive(Default)]
pub(crate) struct Probes {
    running: Mutex<HashMap<Key, Running>>,
}

/// An endpoint of a cluster.
type Key = (String, SocketAddr);

struct Running {
    check: HealthCheck,
    state: usize,
    stop: CancellationToken,
}

impl Probes {
    /// Checks what this generation wants checked, and nothing else.
    pub(crate) fn follow(&self, snapshot: &Snapshot) {
        let mut running = self.running.lock();
        let mut before = std::mem::take(&mut *running);
        for cluster in &snapshot.clusters {
            let Some(check) = &cluster.health else { continue };
            let members = cluster.fleet.members();
            for (endpoint, metrics) in members.each() {
                let key = (cluster.name.to_string(), endpoint.spec().address);
                let state = Arc::as_ptr(endpoint.state()).addr();
                let same = |old: &Running| old.check == *check && old.state == state;
                let kept = before.remove(&key).filter(same);
                let now = kept.unwrap_or_else(|| start(cluster, &members, (endpoint, metrics), check));
                running.insert(key, now);
            }
        }
        for (_, gone) in before {
            gone.stop.cancel();
        }
    }

    /// Stops all checks.
    pub(crate) fn stop(&self) {
        for (_, check) in self.running.lock().drain() {
            check.stop.cancel();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn start(
    cluster: &Arc<Cluster>,
    members: &Members,
    (endpoint, metrics): (&Arc<Endpoint>, &Arc<EndpointMetrics>),
    check: &HealthCheck,
) -> Running {
    let stop = CancellationToken::new();
    let machine = HealthMachine::new(check.policy, endpoint.state().clone());
    let target = Target {
        cluster: cluster.name.to_string(),
        address: SocketAddr::new(endpoint.spec().address.ip(), check.port.unwrap_or(endpoint.spec().address.port())),
        check: check.clone(),
        state: endpoint.state().clone(),
        metrics: metrics.clone(),
    };
    let fleet = members.endpoints.endpoints().len();
    let watched = stop.clone();
    tokio::spawn(async move { watched.run_until_cancelled(run(machine, target, fleet)).await });
    Running { check: check.clone(), state: Arc::as_ptr(endpoint.state()).addr(), stop }
}

struct Target {
    cluster: String,
    address: SocketAddr,
    check: HealthCheck,
    state: Arc<EndpointState>,
    metrics: Arc<EndpointMetrics>,
}

async fn run(mut machine: HealthMachine, target: Target, fleet: usize) {
    let mut at = machine.first_check(Instant::now(), fleet);
    loop {
        tokio::time::sleep_until(at.into()).await;
        at = machine.next_check(Instant::now(), rand::rng().random());
        let result = ask(&target).await;
        if let Some(transition) = machine.on_result(Instant::now(), result) {
            log::warn!("cluster {} endpoint {}: {transition}", target.cluster, target.address);
            target.metrics.set_health(match target.state.health() {
                Health::Healthy => Shown::Healthy,
                Health::Unhealthy => Shown::Unhealthy,
                Health::Unknown => Shown::Unknown,
            });
        }
    }
}

async fn ask(target: &Target) -> Result<(), CheckFailure> {
    let timeout = target.check.policy.timeout;
    let connecting = tokio::time::timeout(timeout, TcpStream::connect(target.address)).await;
    let stream = match connecting {
        Err(_) => return Err(CheckFailure::ConnectTimeout),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(CheckFailure::ConnectRefused),
        Ok(Err(_)) => return Err(CheckFailure::Unreachable),
        Ok(Ok(stream)) => stream,
    };
    let HealthProbe::Http { path, host, .. } = &target.check.probe else { return Ok(()) };
    let host = host.to_str().unwrap_or_default();
    let request =
        format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: portcullis-health\r\nconnection: close\r\n\r\n");
    let answered = tokio::time::timeout(timeout, status(stream, request.as_bytes())).await;
    let status = answered.map_err(|_| CheckFailure::Timeout)??;
    let healthy = http::StatusCode::from_u16(status).is_ok_and(|status| target.check.probe.accepts(status));
    if healthy { Ok(()) } else { Err(CheckFailure::Status(status)) }
}

/// Sends a request and reads the status of its answer.
async fn status(mut stream: TcpStream, request: &[u8]) -> Result<u16, CheckFailure> {
    stream.write_all(request).await.map_err(|_| CheckFailure::Reset)?;
    let mut answer = Vec::with_capacity(256);
    while answer.len() < MAX_ANSWER {
        if let Some(status) = parse_status(&answer)? {
            return Ok(status);
        }
        let read = stream.read_buf(&mut answer).await.map_err(|_| CheckFailure::Reset)?;
        if read == 0 {
            return Err(CheckFailure::Reset);
        }
    }
    Err(CheckFailure::Malformed)
}

/// The status of a status line, `None` when it is not whole yet.
fn parse_status(answer: &[u8]) -> Result<Option<u16>, CheckFailure> {
    let Some(end) = answer.iter().position(|&byte| byte == b'\n') else { return Ok(None) };
    let line = std::str::from_utf8(answer.get(..end).unwrap_or_default()).map_err(|_| CheckFailure::Malformed)?;
    let mut words = line.split(' ');
    let version = words.next().filter(|version| version.starts_with("HTTP/1."));
    let status = words.next().and_then(|word| word.trim_end().parse().ok());
    version.and(status).map(Some).ok_or(CheckFailure::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_status_of_a_whole_line_only() {
        assert_eq!(parse_status(b"HTTP/1.1 20"), Ok(None));
        assert_eq!(parse_status(b"HTTP/1.1 204 No Content\r\n"), Ok(Some(204)));
        assert_eq!(parse_status(b"HTTP/1.0 503\r\n"), Ok(Some(503)));
        assert_eq!(parse_status(b"SSH-2.0-x\r\n"), Err(CheckFailure::Malformed));
    }
}
