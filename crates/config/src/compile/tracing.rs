//! `tracing:`, of the gateway and of a route.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use portcullis_telemetry::record::TraceTerms;
use portcullis_telemetry::{Exporter, RouteTracing, TraceRules, TraceSettings, Traces};
use portcullis_types::Percent;
use portcullis_yaml::{Diagnostic, Named, Secret, Spanned};

use super::Compiler;
use crate::code;
use crate::raw::tracing::{RawSampled, RawTraceCallers, RawTracing, RouteTracingWord};

/// The share of traces that is kept by default.
const SAMPLE: Percent = match Percent::from_millionths(10_000) {
    Some(share) => share,
    None => Percent::ALL,
};
/// What is slow by default.
const SLOW: Duration = Duration::from_secs(1);
/// Attributes of the resource at most.
const MOST_ATTRIBUTES: usize = 32;
/// Fields of the requests to the collector that are the gateway's own.
const OWN: [&str; 8] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "te",
    "transfer-encoding",
    "user-agent",
];

impl Compiler<'_, '_> {
    pub(super) fn tracing(&mut self, raw: &RawTracing) -> Option<TraceSettings> {
        let rules = TraceRules {
            callers: match raw.callers.unwrap_or(RawTraceCallers::Trusted) {
                RawTraceCallers::Trusted => Traces::Trusted,
                RawTraceCallers::Anyone => Traces::Anyone,
                RawTraceCallers::Nobody => Traces::Nobody,
            },
            follow: raw.sampled.unwrap_or(RawSampled::Follow) == RawSampled::Follow,
            sample: raw.sample.unwrap_or(SAMPLE),
        };
        let unrouted = Arc::new(TraceTerms { slow: Some(self.time(raw.slow, SLOW)), pattern: None });
        self.exporter(raw).map(|exporter| TraceSettings { rules, unrouted, exporter })
    }

    fn exporter(&mut self, raw: &RawTracing) -> Option<Exporter> {
        let batch = raw.batch.as_ref();
        let (milli, second) = (Duration::from_millis(1), Duration::from_secs(1));
        let queue = self.number(raw.queue, 4096, 64..=1_000_000);
        let spans = batch.and_then(|batch| batch.spans);
        let size = self.number(spans, queue.min(512), 1..=10_000);
        if size > queue {
            let message = format!("a batch of {size} spans never comes together: {queue} may wait");
            let span = spans.or(raw.queue).map_or(raw.endpoint.span, |said| said.span);
            let help = "make the queue larger, or the batch smaller";
            self.cx.push(Diagnostic::error(code::SETTING_CONFLICT, span, message).help(help));
        }
        let authorities = match &raw.ca {
            None => None,
            Some(ca) => {
                let path = self.cx.resolve(ca.span, &ca.value);
                Some(self.cx.read_or_report(&path, ca.span)?)
            }
        };
        Some(Exporter {
            url: raw.endpoint.value.0.0.clone(),
            headers: self.trace_headers(raw.headers.as_ref()),
            authorities,
            gzip: raw.gzip.unwrap_or(true),
            timeout: self.time(raw.timeout, second * 10),
            service: self.service_name(raw.service.as_ref()),
            resource: self.trace_resource(raw.resource.as_ref()),
            queue,
            batch: size,
            wait: self.time_within(batch.and_then(|batch| batch.wait), second, milli * 10..=second * 60),
            consumer: raw.consumer.unwrap_or(false),
            client_address: raw.client_address.unwrap_or(false),
        })
    }

    fn trace_headers(&mut self, raw: Option<&Named<Spanned<Secret>>>) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        for entry in raw.into_iter().flat_map(Named::iter) {
            let name = entry.name.to_ascii_lowercase();
            if HeaderName::try_from(name.as_str()).is_err() {
                let message = format!("`{name}` is no name of a header field");
                self.cx.push(Diagnostic::error(code::NAME_INVALID, entry.span, message));
            } else if OWN.contains(&name.as_str()) {
                let message = format!("`{name}` is written by the gateway itself");
                self.cx.push(Diagnostic::error(code::SETTING_CONFLICT, entry.span, message));
            }
            if HeaderValue::from_str(entry.value.value.expose()).is_err() {
                let message = format!("the value of `{name}` holds what no header field can");
                let diagnostic = Diagnostic::error(code::NAME_INVALID, entry.value.span, message);
                self.cx.push(diagnostic.help("printable characters of ASCII, without line breaks"));
            }
            headers.push((name, entry.value.value.expose().to_owned()));
        }
        headers
    }

    fn service_name(&mut self, raw: Option<&Spanned<String>>) -> String {
        let Some(name) = raw else { return "portcullis".to_owned() };
        if !is_text(&name.value, 255) {
            let message = format!("`{}` is no name of a service", name.value.escape_debug());
            let help = "1 to 255 characters, none of them a control character";
            self.cx.push(Diagnostic::error(code::NAME_INVALID, name.span, message).help(help));
        }
        name.value.clone()
    }

    fn trace_resource(&mut self, raw: Option<&Spanned<Named<String>>>) -> Vec<(String, String)> {
        let Some(Spanned { span, value: raw }) = raw else { return Vec::new() };
        if raw.len() > MOST_ATTRIBUTES {
            let message = format!("{} attributes are too many: at most {MOST_ATTRIBUTES}", raw.len());
            self.cx.push(Diagnostic::error(code::OUT_OF_RANGE, *span, message));
        }
        for entry in raw.iter() {
            let key = |b: u8| b.is_ascii_alphanumeric() || b"._-/".contains(&b);
            if !is_text(&entry.name, 128) || !entry.name.bytes().all(key) || entry.name == "service.name" {
                let message = format!("`{}` cannot be an attribute of the resource", entry.name.escape_debug());
                let help = "up to 128 letters, digits and `._-/`; `service.name` is said by `service`";
                self.cx.push(Diagnostic::error(code::NAME_INVALID, entry.span, message).help(help));
            }
        }
        raw.iter().map(|entry| (entry.name.clone(), entry.value.clone())).collect()
    }

    /// What a route says; where nothing is traced it would say it to nobody.
    pub(super) fn route_tracing(&mut self, raw: Option<&Spanned<RouteTracingWord>>) -> RouteTracing {
        let Some(Spanned { span, value: raw }) = raw else { return RouteTracing::default() };
        if !self.traces {
            let message = "nothing is traced: there is no `tracing` at the top";
            let help = "say there where the collector is, or leave this out";
            self.cx.push(Diagnostic::error(code::SETTING_CONFLICT, *span, message).help(help));
        }
        match raw {
            RouteTracingWord::Off => RouteTracing { off: true, ..RouteTracing::default() },
            RouteTracingWord::Traced(raw) => {
                RouteTracing { off: false, sample: raw.sample, slow: self.time_some(raw.slow) }
            }
        }
    }
}

fn is_text(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}
