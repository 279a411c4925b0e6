//! Slow start, zones, outlier detection and load reports of a cluster.

use http::HeaderName;
use std::ops::RangeInclusive;
use std::time::Duration;

use portcullis_balance::{
    FailureRate, LatencyOutlier, OutlierPolicy, Overprovisioning, SlowStart, Tuning, ZonePreference,
};
use portcullis_snapshot::cluster::reports::{LoadReports, RetryAfter};
use portcullis_types::quantity::format_duration;
use portcullis_yaml::{Diagnostic, Span, Spanned};

use super::Compiler;
use crate::code;
use crate::raw::clusters::RawCluster;
use crate::raw::tuning::{
    RawFailureRate, RawLatency, RawLoadReports, RawLoadReportsMap, RawOutlierMap, RawOutliers, RawRetryAfter,
    RawSlowStart, RawZonePreference,
};

/// The field of Envoy's health check filter, which more than one server knows.
const DRAIN: HeaderName = HeaderName::from_static("x-envoy-immediate-health-check-fail");

impl Compiler<'_, '_> {
    pub(super) fn tuning(&mut self, raw: &RawCluster) -> Tuning {
        let recommended = Tuning::recommended();
        let overprovisioning = raw.overprovisioning.as_ref().and_then(|one| Overprovisioning::from_percent(one.0.0));
        Tuning {
            slow_start: match raw.slow_start.as_ref() {
                None => recommended.slow_start,
                Some(raw) => self.slow_start(raw),
            },
            overprovisioning: overprovisioning.or(recommended.overprovisioning),
            zone: self.zone_preference(raw),
            outliers: match raw.outlier_detection.as_ref() {
                None | Some(RawOutliers::Switch(true)) => recommended.outliers,
                Some(RawOutliers::Switch(false)) => None,
                Some(RawOutliers::Map(map)) => Some(self.outliers(map)),
            },
            heights: None,
        }
    }

    fn slow_start(&mut self, raw: &RawSlowStart) -> Option<SlowStart> {
        let default = SlowStart::default();
        let (window, from) = match raw {
            RawSlowStart::Window(window) => (Some(*window), None),
            RawSlowStart::Map(map) => (map.window, map.from),
        };
        if window.is_some_and(|window| window.is_zero()) {
            return None;
        }
        Some(SlowStart { window: self.time(window, default.window), from: from.unwrap_or(default.from) })
    }

    /// The gateway's zone is preferred where it is known, unless the cluster says otherwise.
    fn zone_preference(&mut self, raw: &RawCluster) -> Option<ZonePreference> {
        let per_endpoint = raw.limits.as_ref().and_then(|limits| limits.per_endpoint).map(|each| each.value);
        let (wanted, traffic) = match raw.zone_preference.as_ref() {
            None => (None, None),
            Some(RawZonePreference::Switch(Spanned { value: false, .. })) => return None,
            Some(RawZonePreference::Switch(switch)) => (Some(switch.span), None),
            Some(RawZonePreference::Map(map)) => (Some(map.span), map.value.traffic),
        };
        match (&self.zone, wanted) {
            (Some(zone), _) => Some(ZonePreference { zone: zone.clone(), traffic, per_endpoint }),
            (None, Some(span)) => {
                let message = "the gateway has no zone, so none of the endpoints' zones is its own";
                let diagnostic = Diagnostic::error(code::SETTING_CONFLICT, span, message);
                self.cx.fail(diagnostic.help("add `zone: us-east-1a` at the top of the file"))
            }
            (None, None) => None,
        }
    }

    fn outliers(&mut self, raw: &RawOutlierMap) -> OutlierPolicy {
        let default = OutlierPolicy::default();
        let ejection = self.time(raw.ejection, default.ejection);
        let max_ejection = self.time(raw.max_ejection, default.max_ejection.max(ejection));
        if let Some(written) = raw.max_ejection.filter(|_| max_ejection < ejection) {
            let message = format!(
                "the longest time out of {} is shorter than the first, {}",
                format_duration(max_ejection),
                format_duration(ejection)
            );
            self.cx.error(code::OUT_OF_RANGE, written.span, message);
        }
        OutlierPolicy {
            consecutive_failures: raw.consecutive_failures.unwrap_or(default.consecutive_failures),
            interval: self.time(raw.interval, default.interval),
            ejection,
            max_ejection,
            max_ejected: raw.max_ejected.unwrap_or(default.max_ejected),
            failure_rate: self.failure_rate(raw.failure_rate.as_ref()),
            latency: self.latency(raw.latency.as_ref()),
        }
    }

    fn failure_rate(&mut self, raw: Option<&RawFailureRate>) -> Option<FailureRate> {
        let default = FailureRate::default();
        match raw {
            None | Some(RawFailureRate::Switch(true)) => Some(default),
            Some(RawFailureRate::Switch(false)) => None,
            Some(RawFailureRate::Map(map)) => Some(FailureRate {
                min_requests: map.min_requests.unwrap_or(default.min_requests),
                min_endpoints: map.min_endpoints.unwrap_or(default.min_endpoints),
                stdev_factor: self.factor(map.deviations, default.stdev_factor, 0.1..=10.0),
                min_gap: map.min_gap.unwrap_or(default.min_gap),
            }),
        }
    }

    fn latency(&mut self, raw: Option<&RawLatency>) -> Option<LatencyOutlier> {
        let default = LatencyOutlier::default();
        match raw {
            None | Some(RawLatency::Switch(true)) => Some(default),
            Some(RawLatency::Switch(false)) => None,
            Some(RawLatency::Map(map)) => Some(LatencyOutlier {
                min_requests: map.min_requests.unwrap_or(default.min_requests),
                factor: self.factor(map.factor, default.factor, 1.0..=1000.0),
                min_gap: map.min_gap.map_or(default.min_gap, |gap: Spanned<Duration>| gap.value),
            }),
        }
    }

    fn factor(&mut self, value: Option<Spanned<f64>>, default: f64, range: RangeInclusive<f64>) -> f64 {
        let Some(Spanned { span, value }) = value else { return default };
        if range.contains(&value) {
            return value;
        }
        self.not_in_range(span, value, &range);
        default
    }

    fn not_in_range(&mut self, span: Span, value: f64, range: &RangeInclusive<f64>) {
        let message = format!("{value} is out of range: expected {} to {}", range.start(), range.end());
        self.cx.error(code::OUT_OF_RANGE, span, message);
    }
}

/// Without a word, only the Retry-After of a 503 is believed: the rest takes a look at every answer.
pub(super) fn load_reports(raw: Option<&RawLoadReports>) -> LoadReports {
    let defaults = RawLoadReportsMap::default();
    let map = match raw {
        None | Some(RawLoadReports::Switch(false)) => return LoadReports::default(),
        Some(RawLoadReports::Switch(true)) => &defaults,
        Some(RawLoadReports::Map(map)) => map,
    };
    LoadReports {
        orca: map.orca.unwrap_or(true),
        utilisation: map.utilisation.clone(),
        drain: Some(map.drain.clone().unwrap_or(DRAIN)),
        retry_after: match map.retry_after {
            None | Some(RawRetryAfter::Unavailable) => RetryAfter::Unavailable,
            Some(RawRetryAfter::Never) => RetryAfter::Never,
            Some(RawRetryAfter::Always) => RetryAfter::Always,
        },
        strip: map.strip.unwrap_or(true),
    }
}
