//! `health_check:` of a cluster.

use http::HeaderValue;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use portcullis_balance::{BeforeFirstCheck, HealthPolicy};
use portcullis_snapshot::cluster::health::{BodyMatch, GrpcProbe, HttpProbe};
use portcullis_snapshot::{HealthCheck, HealthProbe, UpstreamProtocol, UpstreamTls};
use portcullis_types::Percent;
use portcullis_types::quantity::format_duration;
use portcullis_yaml::{Diagnostic, Spanned, code as yaml_code};

use super::{Compiler, heights};
use crate::code;
use crate::raw::clusters::{RawBodyMatch, RawCluster, RawHealthCheck, RawHttpProbe, RawProbe, RawUpstreamProtocol};
use crate::raw::words::AuthorityWord;

const INTERVAL: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(2);
/// How far an interval may be off, so that gateways do not check in step.
const JITTER_MILLIONTHS: u32 = 100_000;

impl Compiler<'_, '_> {
    pub(super) fn health(
        &mut self,
        raw: &Spanned<RawHealthCheck>,
        (of, cluster_tls): (&RawCluster, Option<&UpstreamTls>),
        cluster: &str,
    ) -> Option<HealthCheck> {
        let check = &raw.value;
        let probe = match &check.probe {
            None | Some(RawProbe::Tcp(_)) => Some(HealthProbe::Tcp),
            Some(RawProbe::Tls(_)) => Some(HealthProbe::Tls),
            Some(RawProbe::Http(http)) => self.http_probe(http, cluster).map(HealthProbe::Http),
            Some(RawProbe::Solana(solana)) => self.solana_probe(solana, cluster).map(HealthProbe::Solana),
            Some(RawProbe::Grpc(grpc)) => Some(HealthProbe::Grpc(GrpcProbe {
                service: grpc.service.clone().unwrap_or_default(),
                host: host(grpc.host.as_ref(), cluster),
            })),
        };
        let tls = self.check_tls(raw, of, cluster_tls);
        let protocol = self.check_protocol(check, of);
        let solana = matches!(check.probe, Some(RawProbe::Solana(_)));
        let interval = self.time(check.interval, if solana { heights::INTERVAL } else { INTERVAL });
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
            jitter: check.jitter.or(Percent::from_millionths(JITTER_MILLIONTHS)).unwrap_or_default(),
            before_first_check: BeforeFirstCheck::Available,
        };
        Some(HealthCheck {
            policy,
            probe: probe?,
            port: check.port.map(std::num::NonZeroU16::get),
            tls,
            protocol,
            reuse: check.reuse.unwrap_or(true),
        })
    }

    /// TLS of the check: that of the cluster, unless the check turns it off.
    fn check_tls(
        &mut self,
        raw: &Spanned<RawHealthCheck>,
        of: &RawCluster,
        cluster: Option<&UpstreamTls>,
    ) -> Option<UpstreamTls> {
        let handshake = matches!(raw.value.probe, Some(RawProbe::Tls(_)));
        let plain = raw.value.plain_text.filter(|plain| plain.value);
        if let Some(plain) = plain.filter(|_| handshake) {
            let message = "a `tls` check is a handshake, which plain text does not have";
            self.cx.push(Diagnostic::error(code::SETTING_CONFLICT, plain.span, message).help("remove `plain_text`"));
        }
        // A cluster whose settings are wrong has none either, and that is said where they are.
        if handshake && cluster.is_none() && of.tls.is_none() {
            let message = "the check is a TLS handshake, and the cluster has no TLS settings to do so with";
            let diagnostic = Diagnostic::error(code::SETTING_CONFLICT, raw.span, message);
            self.cx.push(diagnostic.help("add `tls: { server_name: api.internal }` to the cluster"));
        }
        cluster.filter(|_| plain.is_none()).cloned()
    }

    fn check_protocol(&mut self, check: &RawHealthCheck, of: &RawCluster) -> UpstreamProtocol {
        let spoken = |raw: RawUpstreamProtocol| match raw {
            RawUpstreamProtocol::Http1 => UpstreamProtocol::Http1,
            RawUpstreamProtocol::Http2 => UpstreamProtocol::Http2,
        };
        let written = check.protocol.map(|protocol| (spoken(protocol.value), protocol.span));
        match (&check.probe, written) {
            (Some(RawProbe::Grpc(_)), Some((UpstreamProtocol::Http1, span))) => {
                let message = "a `grpc` check speaks HTTP/2";
                self.cx.push(Diagnostic::error(code::SETTING_CONFLICT, span, message).help("remove `protocol`"));
                UpstreamProtocol::Http2
            }
            (Some(RawProbe::Grpc(_)), _) => UpstreamProtocol::Http2,
            (_, Some((protocol, _))) => protocol,
            (_, None) => of.protocol.map_or(UpstreamProtocol::Http1, spoken),
        }
    }

    fn http_probe(&mut self, raw: &RawHttpProbe, cluster: &str) -> Option<HttpProbe> {
        let path = self.probe_path(raw.path.as_ref());
        let all = raw.statuses.as_ref().map_or_else(
            || Some(vec![200..=299]),
            |statuses| statuses.iter().map(|one| self.statuses(one)).collect::<Vec<_>>().into_iter().collect(),
        );
        let body = raw.body.as_ref().map(|body| match body {
            RawBodyMatch::Contains(text) => BodyMatch::Contains(text.clone()),
            RawBodyMatch::Regex(regex) => BodyMatch::Regex(regex.clone()),
        });
        Some(HttpProbe { path: path?, host: host(raw.host.as_ref(), cluster), statuses: all?.into(), body })
    }

    pub(super) fn probe_path(&mut self, raw: Option<&Spanned<String>>) -> Option<String> {
        match raw {
            None => Some("/".to_owned()),
            Some(path) if is_target(&path.value) => Some(path.value.clone()),
            Some(path) => {
                let message = format!("`{}` is not a path that can be asked for", path.value);
                let diagnostic = Diagnostic::error(yaml_code::INVALID_VALUE, path.span, message);
                self.cx.fail(diagnostic.help("for example `/health` or `/health?full=1`"))
            }
        }
    }

    fn statuses(&mut self, raw: &Spanned<String>) -> Option<RangeInclusive<u16>> {
        let read = parse_statuses(&raw.value);
        if read.is_none() {
            let message = format!("`{}` is not a range of statuses", raw.value);
            let diagnostic = Diagnostic::error(yaml_code::INVALID_VALUE, raw.span, message);
            self.cx.push(diagnostic.help("for example `200` or `200-299`"));
        }
        read
    }
}

/// The cluster's name is the Host when there is none better; names that are no host get a neutral one.
pub(super) fn host(raw: Option<&AuthorityWord>, cluster: &str) -> HeaderValue {
    let fallback = || HeaderValue::from_str(cluster).unwrap_or(HeaderValue::from_static("health-check"));
    raw.and_then(|host| HeaderValue::from_str(host.0.authority()).ok()).unwrap_or_else(fallback)
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
