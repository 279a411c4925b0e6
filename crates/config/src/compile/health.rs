//! `health_check:` of a cluster.

use http::HeaderValue;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use portcullis_balance::{BeforeFirstCheck, HealthPolicy};
use portcullis_snapshot::{HealthCheck, HealthProbe};
use portcullis_types::Percent;
use portcullis_types::quantity::format_duration;
use portcullis_yaml::{Diagnostic, Spanned, code as yaml_code};

use super::Compiler;
use crate::code;
use crate::raw::clusters::{RawCluster, RawHealthCheck, RawHttpProbe, RawProbe, RawUpstreamProtocol};

const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(2);
/// How far an interval may be off, so that gateways do not check in step.
const JITTER_MILLIONTHS: u32 = 100_000;

impl Compiler<'_, '_> {
    pub(super) fn health(
        &mut self,
        raw: &Spanned<RawHealthCheck>,
        of: &RawCluster,
        cluster: &str,
    ) -> Option<HealthCheck> {
        let check = &raw.value;
        let probe = match &check.probe {
            None | Some(RawProbe::Tcp(_)) => Some(HealthProbe::Tcp),
            Some(RawProbe::Http(http)) => {
                self.speaks_plain_http1(raw, of);
                self.http_probe(http, cluster)
            }
        };
        let interval = self.time(check.interval, INTERVAL);
        let timeout = self.time(check.timeout, TIMEOUT.min(interval));
        if let Some(written) = check.timeout.filter(|_| timeout > interval) {
            let message = format!(
                "a check may take {} and the next one begins after {}",
                format_duration(timeout),
                format_duration(interval)
            );
            let diagnostic = Diagnostic::error(code::OUT_OF_RANGE, written.span, message);
            self.cx.push(diagnostic.help("let `timeout` be at most `interval`"));
        }
        let policy = HealthPolicy {
            interval,
            timeout,
            unhealthy_after: check.unhealthy_after.or(NonZeroU32::new(3))?,
            healthy_after: check.healthy_after.or(NonZeroU32::new(2))?,
            jitter: Percent::from_millionths(JITTER_MILLIONTHS).unwrap_or_default(),
            before_first_check: BeforeFirstCheck::Available,
        };
        Some(HealthCheck { policy, probe: probe?, port: check.port.map(std::num::NonZeroU16::get) })
    }

    /// A check asks over plain HTTP/1.1. On its own `port` the endpoint may well speak that.
    fn speaks_plain_http1(&mut self, check: &Spanned<RawHealthCheck>, of: &RawCluster) {
        let http2 = matches!(*of.protocol, Some(RawUpstreamProtocol::Http2));
        if check.value.port.is_none() && (of.tls.is_some() || http2) {
            let message = "an `http` check speaks plain HTTP/1.1, and the endpoints of this cluster do not";
            let diagnostic = Diagnostic::error(code::SETTING_CONFLICT, check.span, message);
            self.cx.push(diagnostic.help("use `tcp: {}`, or a `port` that speaks it"));
        }
    }

    fn http_probe(&mut self, raw: &RawHttpProbe, cluster: &str) -> Option<HealthProbe> {
        let path = match &raw.path {
            None => Some("/".to_owned()),
            Some(path) if is_target(&path.value) => Some(path.value.clone()),
            Some(path) => {
                let message = format!("`{}` is not a path that can be asked for", path.value);
                let diagnostic = Diagnostic::error(yaml_code::INVALID_VALUE, path.span, message);
                self.cx.fail(diagnostic.help("for example `/health` or `/health?full=1`"))
            }
        };
        // The cluster's name is the Host when there is none better; names that are no host get a neutral one.
        let fallback = || HeaderValue::from_str(cluster).unwrap_or(HeaderValue::from_static("health-check"));
        let host = raw.host.as_ref().and_then(|host| HeaderValue::from_str(host.0.authority()).ok());
        let statuses = match &raw.statuses {
            None => Some(200..=299),
            Some(statuses) => {
                let read = parse_statuses(&statuses.value);
                if read.is_none() {
                    let message = format!("`{}` is not a range of statuses", statuses.value);
                    let diagnostic = Diagnostic::error(yaml_code::INVALID_VALUE, statuses.span, message);
                    self.cx.push(diagnostic.help("for example `200` or `200-299`"));
                }
                read
            }
        };
        Some(HealthProbe::Http { path: path?, host: host.unwrap_or_else(fallback), statuses: statuses? })
    }
}

/// Origin form of RFC 9112 section 3.2.1: nothing that would end the request line early.
fn is_target(text: &str) -> bool {
    text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#')
}

fn parse_statuses(text: &str) -> Option<RangeInclusive<u16>> {
    let status = |text: &str| text.trim().parse::<u16>().ok().filter(|status| (100..=599).contains(status));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let range = status(first)?..=status(last)?;
    (!range.is_empty()).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_statuses() {
        for (text, expected) in [
            ("200", Some(200..=200)),
            ("200-299", Some(200..=299)),
            ("200 - 399", Some(200..=399)),
            ("299-200", None),
            ("20-299", None),
            ("200-", None),
            ("ok", None),
        ] {
            assert_eq!(parse_statuses(text), expected, "{text}");
        }
    }

    #[test]
    fn refuses_targets_that_would_end_the_request_line() {
        for (text, expected) in
            [("/", true), ("/a?b=c", true), ("", false), ("a", false), ("/a b", false), ("/a\r\n", false)]
        {
            assert_eq!(is_target(text), expected, "{text:?}");
        }
    }
}
