//! `timeouts:`, `retry:`, `hedge:` and `failover:`.

use std::collections::HashSet;
use std::time::Duration;

use http::{HeaderName, header};
use portcullis_balance::HedgePolicy;
use portcullis_snapshot::route::RouteTimeouts;
use portcullis_snapshot::{RetryOn, RetryPolicy, Timeouts, UpstreamProtocol};
use portcullis_types::ClusterName;
use portcullis_types::quantity::format_duration;
use portcullis_yaml::{Diagnostic, Spanned};

use super::Compiler;
use crate::code;
use crate::raw::attempts::{RawHedge, RawRetry, RawRouteTimeouts, RawTimeouts};

impl Compiler<'_, '_> {
    pub(super) fn timeouts(&mut self, raw: Option<&RawTimeouts>) -> (Timeouts, Option<HeaderName>) {
        let default = Timeouts::default();
        let Some(raw) = raw else { return (default, None) };
        let some = |value: Option<Spanned<Duration>>| value.map(|value| value.value).filter(|value| !value.is_zero());
        let timeouts = Timeouts {
            connect: self.time(raw.connect, default.connect),
            per_try: some(raw.per_try),
            first_byte: self.time(raw.first_byte, default.first_byte),
            idle: self.time(raw.idle, default.idle),
            total: some(raw.total),
        };
        self.fits(timeouts.total, raw.total, timeouts.connect, "connecting");
        self.fits(timeouts.per_try, raw.per_try, timeouts.connect, "connecting");
        if let Some(per_try) = timeouts.per_try {
            self.fits(timeouts.total, raw.total, per_try, "one attempt");
        }
        let header = raw.deadline_header.as_ref().and_then(|name| self.deadline_header(name));
        (timeouts, header)
    }

    /// A bound must leave room for what is inside of it.
    fn fits(&mut self, bound: Option<Duration>, raw: Option<Spanned<Duration>>, inner: Duration, what: &str) {
        if let (Some(bound), Some(raw)) = (bound, raw)
            && bound < inner
        {
            let (bound, inner) = (format_duration(bound), format_duration(inner));
            let message = format!("{bound} for all of it is shorter than the {inner} that {what} may take");
            self.cx.error(code::OUT_OF_RANGE, raw.span, message);
        }
    }

    fn deadline_header(&mut self, name: &Spanned<HeaderName>) -> Option<HeaderName> {
        const TAKEN: [HeaderName; 8] = [
            header::HOST,
            header::CONNECTION,
            header::CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
            header::UPGRADE,
            header::TE,
            header::AUTHORIZATION,
            header::COOKIE,
        ];
        if !TAKEN.contains(&name.value) && name.value != "grpc-timeout" {
            return Some(name.value.clone());
        }
        let message = format!("`{}` means something else", name.value);
        let diagnostic = Diagnostic::error(code::HEADER_TAKEN, name.span, message);
        self.cx.fail(diagnostic.help("for example `deadline_header: x-request-timeout-ms`"))
    }

    pub(super) fn route_timeouts(&mut self, raw: &RawRouteTimeouts) -> RouteTimeouts {
        let some = |value: Duration| (!value.is_zero()).then_some(value);
        RouteTimeouts {
            connect: self.time_some(raw.connect),
            per_try: raw.per_try.map(some),
            first_byte: self.time_some(raw.first_byte),
            idle: self.time_some(raw.idle),
            total: raw.total.map(some),
        }
    }

    pub(super) fn retry(&mut self, raw: Option<&RawRetry>, protocol: UpstreamProtocol) -> RetryPolicy {
        let mut policy = RetryPolicy::default();
        let Some(raw) = raw else { return policy };
        policy.attempts = self.number(raw.attempts, policy.attempts, 1..=10);
        if let Some(on) = &raw.on {
            policy.on = RetryOn::none();
            on.value.iter().for_each(|word| policy.on.add(word.0));
            if on.value.is_empty() && !self.has_errors_inside(on.span) {
                let diagnostic = Diagnostic::error(code::OUT_OF_RANGE, on.span, "no failure is named");
                self.cx.push(diagnostic.help("`retry: { attempts: 1 }` turns retries off"));
            }
            if policy.on.takes_grpc_unavailable() && protocol == UpstreamProtocol::Http1 {
                let message = "`grpc_unavailable` means nothing without `protocol: http2`";
                let diagnostic = Diagnostic::error(code::SETTING_CONFLICT, on.span, message);
                self.cx.push(diagnostic.help("add `protocol: http2` to the cluster, or remove the word"));
            }
        }
        policy.budget.share = raw.budget.unwrap_or(policy.budget.share);
        if let Some(backoff) = &raw.backoff {
            policy.base = self.time(backoff.base, policy.base);
            policy.most = self.time(backoff.max, policy.most.max(policy.base));
            self.fits(Some(policy.most), backoff.max.or(backoff.base), policy.base, "the first pause");
        }
        policy
    }

    /// A second attempt beside the first.
    pub(super) fn hedge(&mut self, raw: &RawHedge) -> HedgePolicy {
        let mut policy = HedgePolicy::default();
        policy.after = raw.after.as_ref().map_or(policy.after, |after| after.value.0.0);
        policy.at_least = self.time(raw.at_least, policy.at_least);
        if let Some(Spanned { span, value }) = raw.at_most {
            if !(1..=500_000).contains(&value.millionths()) {
                let message =
                    format!("{value} is out of range: of more than 0% and at most 50% a second attempt is made");
                self.cx.error(code::OUT_OF_RANGE, span, message);
            }
            policy.budget.share = value;
        }
        policy
    }

    /// The clusters that stand in for `cluster`, each once.
    pub(super) fn failover(
        &mut self,
        cluster: &str,
        raw: Option<&Spanned<Vec<Spanned<String>>>>,
    ) -> Box<[ClusterName]> {
        let mut seen = HashSet::from([cluster]);
        let mut chain = Vec::new();
        for name in raw.iter().flat_map(|raw| &raw.value) {
            if !seen.insert(&name.value) {
                let message = if name.value == cluster {
                    "a cluster does not stand in for itself".to_owned()
                } else {
                    format!("`{}` stands twice in the chain", name.value)
                };
                self.cx.push(Diagnostic::error(code::FAILOVER_INVALID, name.span, message).help("remove it"));
            } else if self.cluster_named(name).is_some() {
                chain.push(ClusterName::from(name.value.as_str()));
            }
        }
        chain.into()
    }
}
