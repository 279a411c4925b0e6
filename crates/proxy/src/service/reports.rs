//! What an answer says of the endpoint that gave it: whether it did its work, and how full it is.
//!
//! Nothing is looked for that the cluster does not ask for. Of a status alone one number is compared; Retry-After is read
//! of 503 and 429 only.

use http::{HeaderMap, HeaderName};
use pingora_http::ResponseHeader;
use std::time::{Duration, Instant, SystemTime};

use portcullis_balance::{Answer, CapacityReport, Choice, EndpointState, parse_orca};
use portcullis_snapshot::{Cluster, LoadReports, UpstreamProtocol};
use portcullis_telemetry::metrics::{HealthMetrics, Report};

use super::context::Ctx;
use super::retry::retry_after;

static ORCA_FIELD: HeaderName = HeaderName::from_static("endpoint-load-metrics");
static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// The gRPC status RESOURCE_EXHAUSTED.
const EXHAUSTED: u32 = 8;

/// Who listens, and for what.
struct Listening<'a> {
    reports: &'a LoadReports,
    state: &'a EndpointState,
    metrics: &'a HealthMetrics,
    now: Instant,
}

/// Takes in what the head of an answer says, and judges the answer. Fields that no client shall see are taken out.
pub(super) fn head(response: &mut ResponseHeader, ctx: &Ctx, now: Instant) -> Answer {
    let status = response.status.as_u16();
    match (&ctx.upstream.cluster, &ctx.upstream.choice) {
        (Some((_, cluster)), Some(choice)) => judge(response, cluster, choice, now),
        _ => Answer::of_status(status),
    }
}

/// [`head`], of an answer of this endpoint.
pub(crate) fn judge(response: &mut ResponseHeader, cluster: &Cluster, choice: &Choice, now: Instant) -> Answer {
    let status = response.status.as_u16();
    let listening = Listening {
        reports: &cluster.reports,
        state: choice.endpoint().state(),
        metrics: cluster.metrics.health(),
        now,
    };
    let mut answer = Answer::of_status(status);
    if listening.wants_to_be_left_alone(status, &response.headers) {
        answer = Answer::Overloaded;
    }
    if cluster.protocol == UpstreamProtocol::Http2
        && let Some(code) = grpc_status(&response.headers)
    {
        answer = Answer::of_grpc(code);
        if code == EXHAUSTED {
            listening.metrics.reported(Report::Exhausted);
        }
    }
    if listening.reports.reads_fields() {
        listening.fields(&response.headers);
        if listening.reports.strip {
            strip(response, listening.reports);
        }
    }
    answer
}

/// Takes in what the trailers of an answer say. The answer itself is judged by then, so a lack of resources counts as a
/// report of being full.
pub(super) fn trailers(trailers: &mut HeaderMap, ctx: &Ctx) {
    let (Some((_, cluster)), Some(choice)) = (&ctx.upstream.cluster, &ctx.upstream.choice) else { return };
    let listening = Listening {
        reports: &cluster.reports,
        state: choice.endpoint().state(),
        metrics: cluster.metrics.health(),
        now: Instant::now(),
    };
    if grpc_status(trailers) == Some(EXHAUSTED) {
        listening.hear(Report::Exhausted, &CapacityReport { utilisation: Some(1.0), ..CapacityReport::default() });
    }
    if listening.reports.reads_fields() {
        listening.fields(trailers);
        if listening.reports.strip {
            fields(listening.reports).for_each(|name| drop(trailers.remove(name)));
        }
    }
}

impl Listening<'_> {
    fn hear(&self, kind: Report, report: &CapacityReport) {
        self.metrics.reported(kind);
        self.state.report(self.now, report);
    }

    /// Whether a refusal says for how long.
    fn wants_to_be_left_alone(&self, status: u16, headers: &HeaderMap) -> bool {
        if !self.reports.retry_after.of(status) {
            return false;
        }
        let Some(wait) = wait(headers, SystemTime::now()) else { return false };
        self.hear(Report::RetryAfter, &CapacityReport { retry_after: Some(wait), ..CapacityReport::default() });
        true
    }

    fn fields(&self, headers: &HeaderMap) {
        let reports = self.reports;
        if let Some(value) = headers.get(&ORCA_FIELD).filter(|_| reports.orca) {
            match value.to_str().ok().and_then(|value| parse_orca(value).ok()) {
                Some(report) => self.hear(Report::Orca, &report),
                None => self.metrics.reported(Report::Unreadable),
            }
        }
        if let Some(value) = reports.utilisation.as_ref().and_then(|name| headers.get(name)) {
            match value.to_str().ok().and_then(utilisation) {
                Some(own) => {
                    let report = CapacityReport { utilisation: Some(own), ..CapacityReport::default() };
                    self.hear(Report::Utilisation, &report);
                }
                None => self.metrics.reported(Report::Unreadable),
            }
        }
        if reports.drain.as_ref().is_some_and(|name| says_drain(headers, name)) {
            self.hear(Report::Drain, &CapacityReport { drain: true, ..CapacityReport::default() });
        }
    }
}

fn strip(response: &mut ResponseHeader, reports: &LoadReports) {
    for name in fields(reports) {
        drop(response.remove_header(name));
    }
}

fn fields(reports: &LoadReports) -> impl Iterator<Item = &HeaderName> {
    let orca = Some(&ORCA_FIELD).filter(|_| reports.orca);
    orca.into_iter().chain(&reports.utilisation).chain(&reports.drain)
}

/// The gRPC status in a head or in trailers.
pub(super) fn grpc_status(fields: &HeaderMap) -> Option<u32> {
    fields.get(&GRPC_STATUS)?.to_str().ok()?.parse().ok()
}

/// Whether a field says that the endpoint drains.
pub(crate) fn says_drain(fields: &HeaderMap, name: &HeaderName) -> bool {
    fields.get(name).is_some_and(|value| !matches!(value.as_bytes(), b"0" | b"false"))
}

/// `0.83` or `83%`; not negative, not infinite.
fn utilisation(value: &str) -> Option<f64> {
    let value = value.trim();
    let number = match value.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok()? / 100.0,
        None => value.parse::<f64>().ok()?,
    };
    (number.is_finite() && number >= 0.0).then_some(number)
}

/// For how long an endpoint wants to be left alone; a Retry-After that is over says nothing.
fn wait(fields: &HeaderMap, now: SystemTime) -> Option<Duration> {
    retry_after(fields, now).filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::RETRY_AFTER;

    #[test]
    fn reads_how_full_an_endpoint_is() {
        for (text, expected) in [
            ("0.83", Some(0.83)),
            (" 83% ", Some(0.83)),
            ("1.5", Some(1.5)),
            ("-1", None),
            ("inf", None),
            ("NaN", None),
            ("", None),
            ("%", None),
            ("full", None),
        ] {
            assert_eq!(utilisation(text), expected, "{text:?}");
        }
    }

    #[test]
    fn reads_how_long_to_wait() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (text, expected) in [
            ("3", Some(3)),
            ("0", None),
            ("-1", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:51:17 GMT", Some(100)),
        ] {
            let fields = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(wait(&fields, now), expected.map(Duration::from_secs), "{text:?}");
        }
    }

    #[test]
    fn a_drain_field_may_say_no() {
        let name = HeaderName::from_static("x-drain");
        for (value, expected) in [("1", true), ("true", true), ("", true), ("0", false), ("false", false)] {
            let fields = HeaderMap::from_iter([(name.clone(), value.parse().unwrap())]);
            assert_eq!(says_drain(&fields, &name), expected, "{value:?}");
        }
        assert!(!says_drain(&HeaderMap::new(), &name));
    }
}
