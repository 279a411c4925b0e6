//! What can be wrong.

/// What a finding is of. The order is the rank of those that harm alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// No endpoint of a cluster may be chosen.
    ClusterDown,
    /// Many requests fail.
    Errors,
    /// So few endpoints are good that all are used.
    ClusterPanicking,
    /// Requests fail for a reason more often than before.
    ErrorsRising,
    /// An error budget is used up too fast.
    SloBurn,
    /// The process refuses work.
    Overload,
    /// A certificate is over, or soon.
    Certificate,
    /// A part of a cluster's endpoints may not be chosen.
    ClusterDegraded,
    /// What gateways share of caps is not shared now.
    CapsUnshared,
    /// What callers spend and use is not written.
    Store,
    /// Records do not reach a sink.
    RecordsDropped,
    /// A source of endpoints does not answer.
    Discovery,
    /// Not the last config serves that was wanted.
    Config,
    /// A bound is nearly reached.
    BoundNear,
    /// The gateway ends.
    Draining,
    /// Many requests are refused by the fault of clients.
    RefusalsRising,
    /// A generation is on trial.
    Trial,
    /// Something was overridden by an operator.
    Overrides,
}

impl Kind {
    /// All, in their order.
    pub const ALL: [Self; 18] = [
        Self::ClusterDown,
        Self::Errors,
        Self::ClusterPanicking,
        Self::ErrorsRising,
        Self::SloBurn,
        Self::Overload,
        Self::Certificate,
        Self::ClusterDegraded,
        Self::CapsUnshared,
        Self::Store,
        Self::RecordsDropped,
        Self::Discovery,
        Self::Config,
        Self::BoundNear,
        Self::Draining,
        Self::RefusalsRising,
        Self::Trial,
        Self::Overrides,
    ];

    /// The word of answers and metrics; stable.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClusterDown => "cluster_down",
            Self::Errors => "errors",
            Self::ClusterPanicking => "cluster_panicking",
            Self::ErrorsRising => "errors_rising",
            Self::SloBurn => "slo_burn",
            Self::Overload => "overload",
            Self::Certificate => "certificate",
            Self::ClusterDegraded => "cluster_degraded",
            Self::CapsUnshared => "caps_unshared",
            Self::Store => "store",
            Self::RecordsDropped => "records_dropped",
            Self::Discovery => "discovery",
            Self::Config => "config",
            Self::BoundNear => "bound_near",
            Self::Draining => "draining",
            Self::RefusalsRising => "refusals_rising",
            Self::Trial => "trial",
            Self::Overrides => "overrides",
        }
    }

    /// The page under `docs/runbooks` that says what to do, without its ending.
    #[must_use]
    pub const fn runbook(self) -> &'static str {
        match self {
            Self::ClusterDown | Self::ClusterPanicking | Self::ClusterDegraded => "cluster",
            Self::Errors | Self::ErrorsRising => "errors",
            Self::SloBurn => "slo",
            Self::Overload | Self::BoundNear => "overload",
            Self::Certificate => "certificate",
            Self::CapsUnshared => "caps",
            Self::Store => "store",
            Self::RecordsDropped => "records",
            Self::Discovery => "discovery",
            Self::Config | Self::Trial => "config",
            Self::Draining => "draining",
            Self::RefusalsRising => "refusals",
            Self::Overrides => "overrides",
        }
    }
}
