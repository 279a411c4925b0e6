//! What a cluster's choice is tuned by: slow start, zones, outlier detection, load reports.

use http::HeaderName;
use portcullis_types::Percent;
use portcullis_yaml::{Decode, Spanned};
use std::num::NonZeroU32;
use std::time::Duration;

/// How an endpoint that is new or comes back is led up to its full share: a duration, or a map.
#[derive(Debug, Decode)]
pub(crate) enum RawSlowStart {
    /// How long it takes; `0s` turns it off.
    #[config(scalar)]
    Window(Spanned<Duration>),
    /// With more settings.
    #[config(map)]
    Map(RawSlowStartMap),
}

/// Slow start.
#[derive(Debug, Decode)]
pub(crate) struct RawSlowStartMap {
    /// How long it takes; `0s` turns it off. Default: 10s.
    pub(crate) window: Option<Spanned<Duration>>,
    /// The share that it begins with. Default: 10%.
    pub(crate) from: Option<Percent>,
}

/// Whether the endpoints of the gateway's own zone are preferred: `true` or `false`, or a map.
#[derive(Debug, Decode)]
pub(crate) enum RawZonePreference {
    /// Whether they are.
    #[config(scalar)]
    Switch(Spanned<bool>),
    /// They are, with more settings.
    #[config(map)]
    Map(Spanned<RawZonePreferenceMap>),
}

/// Zone preference.
#[derive(Debug, Decode)]
pub(crate) struct RawZonePreferenceMap {
    /// The part of all requests to this cluster that comes in through the gateways of this zone. Default: the same for
    /// every zone that has endpoints.
    pub(crate) traffic: Option<Percent>,
}

/// Endpoints that fail or are slow, other than the rest, are taken out for a while: `false` to turn it off, or a map.
#[derive(Debug, Decode)]
pub(crate) enum RawOutliers {
    /// Whether it is on, with all defaults.
    #[config(scalar)]
    Switch(bool),
    /// With settings.
    #[config(map)]
    Map(Box<RawOutlierMap>),
}

/// Outlier detection.
#[derive(Debug, Decode)]
pub(crate) struct RawOutlierMap {
    /// Failures in a row that take an endpoint out at once. Default: 5.
    pub(crate) consecutive_failures: Option<NonZeroU32>,
    /// How long the window is over which endpoints are compared. Default: 5s.
    pub(crate) interval: Option<Spanned<Duration>>,
    /// How long the first time out is; the second in a row is twice as long, and so on. Default: 30s.
    pub(crate) ejection: Option<Spanned<Duration>>,
    /// The longest time out. Default: 300s, or `ejection` where that is longer.
    pub(crate) max_ejection: Option<Spanned<Duration>>,
    /// How much of the cluster may be out at once. One endpoint may be, if another is left. Default: 50%.
    pub(crate) max_ejected: Option<Percent>,
    /// Endpoints that fail far more often than the others: `false` to turn it off, or a map.
    pub(crate) failure_rate: Option<RawFailureRate>,
    /// Endpoints that are far slower than the others: `false` to turn it off, or a map.
    pub(crate) latency: Option<RawLatency>,
}

/// Comparison of failures: `false`, or a map.
#[derive(Debug, Decode)]
pub(crate) enum RawFailureRate {
    /// Whether failures are compared, with all defaults.
    #[config(scalar)]
    Switch(bool),
    /// With settings.
    #[config(map)]
    Map(RawFailureRateMap),
}

/// Comparison of failures.
#[derive(Debug, Decode)]
pub(crate) struct RawFailureRateMap {
    /// Endpoints with fewer requests in the window are not compared. Default: 50.
    pub(crate) min_requests: Option<NonZeroU32>,
    /// With fewer comparable endpoints than this, one stands out when it fails more than the others by half of all
    /// requests. Default: 5.
    pub(crate) min_endpoints: Option<NonZeroU32>,
    /// How many standard deviations above the mean of the cluster, 0.1 to 10. Default: 1.9.
    pub(crate) deviations: Option<Spanned<f64>>,
    /// A share of failures less than this above the mean never stands out. Default: 10%.
    pub(crate) min_gap: Option<Percent>,
}

/// Comparison of latencies: `false`, or a map.
#[derive(Debug, Decode)]
pub(crate) enum RawLatency {
    /// Whether latencies are compared, with all defaults.
    #[config(scalar)]
    Switch(bool),
    /// With settings.
    #[config(map)]
    Map(RawLatencyMap),
}

/// Comparison of latencies.
#[derive(Debug, Decode)]
pub(crate) struct RawLatencyMap {
    /// Endpoints with fewer good answers in the window are not compared. Default: 50.
    pub(crate) min_requests: Option<NonZeroU32>,
    /// How many times the median of the others, 1 to 1000. Default: 5.
    pub(crate) factor: Option<Spanned<f64>>,
    /// Less than this above the median never stands out. Default: 50ms.
    pub(crate) min_gap: Option<Spanned<Duration>>,
}

/// What endpoints say of their own load: `true` for all defaults, or a map.
#[derive(Debug, Decode)]
pub(crate) enum RawLoadReports {
    /// Whether fields of answers are read.
    #[config(scalar)]
    Switch(bool),
    /// With settings.
    #[config(map)]
    Map(RawLoadReportsMap),
}

/// What endpoints say of their own load.
#[derive(Debug, Default, Decode)]
pub(crate) struct RawLoadReportsMap {
    /// Whether the field `endpoint-load-metrics` is read (ORCA, JSON and TEXT). Default: true.
    pub(crate) orca: Option<bool>,
    /// A field that says how full the endpoint is, such as `0.83` or `83%`. Default: none.
    pub(crate) utilisation: Option<HeaderName>,
    /// A field that says that the endpoint wants no new requests, unless its value is `0` or `false`. Default:
    /// `x-envoy-immediate-health-check-fail`.
    pub(crate) drain: Option<HeaderName>,
    /// Which answers' Retry-After keeps requests away from the endpoint, for a minute at most. Default: unavailable.
    pub(crate) retry_after: Option<RawRetryAfter>,
    /// Whether the fields are taken out of answers to clients. Default: true.
    pub(crate) strip: Option<bool>,
}

/// Which answers' Retry-After is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub(crate) enum RawRetryAfter {
    /// None.
    Never,
    /// That of a 503.
    Unavailable,
    /// That of a 503 and of a 429.
    Always,
}
