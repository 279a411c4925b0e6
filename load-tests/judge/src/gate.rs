//! What a canary may do worse.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::sample::Sample;
use crate::window::Failure;

/// A metric that decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Gate {
    /// CPU time per request.
    Cpu,
    /// Memory of the process.
    Memory,
    /// What a held connection adds to it.
    Rss,
    /// The share of requests beyond the objective, window by window.
    Slo,
    /// The same over all windows together: a few very bad windows decide as well.
    SloTotal,
    /// The share of requests that are refused.
    Refused,
    /// The share of requests that fail in one way.
    Failed(Failure),
}

impl Gate {
    /// Each of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let failed = Failure::ALL.into_iter().map(Self::Failed);
        let others = [Self::Cpu, Self::Memory, Self::Rss, Self::Slo, Self::SloTotal, Self::Refused];
        others.into_iter().chain(failed).collect()
    }

    /// The word of results and reports; stable.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu_per_request",
            Self::Memory => "rss",
            Self::Rss => "rss_per_connection",
            Self::Slo => "beyond_slo",
            Self::SloTotal => "beyond_slo_total",
            Self::Refused => "refused",
            Self::Failed(Failure::Connect) => "failed_connect",
            Self::Failed(Failure::Cut) => "failed_cut",
            Self::Failed(Failure::Timeout) => "failed_timeout",
            Self::Failed(Failure::ServerError) => "failed_server_error",
            Self::Failed(Failure::UnexpectedStatus) => "failed_unexpected_status",
            Self::Failed(Failure::Protocol) => "failed_protocol",
            Self::Failed(Failure::WrongContent) => "failed_wrong_content",
            Self::Failed(Failure::Order) => "failed_order",
        }
    }

    /// Whether sides are compared by a logarithm of a ratio; else by a difference of shares.
    #[must_use]
    pub const fn is_ratio(self) -> bool {
        matches!(self, Self::Cpu | Self::Memory | Self::Rss)
    }

    /// A value of a side as one reads it: `25.2 µs`, `49.9 MiB`, `10.2 KiB`, `0.031 %`.
    #[must_use]
    pub fn shown(self, value: f64) -> String {
        match self {
            Self::Cpu => format!("{:.1} µs", value / 1000.0),
            Self::Memory => format!("{:.1} MiB", value / 1_048_576.0),
            Self::Rss => format!("{:.1} KiB", value / 1024.0),
            Self::Slo | Self::SloTotal | Self::Refused | Self::Failed(_) => format!("{:.3} %", value * 100.0),
        }
    }

    /// The value of one side: nanoseconds, bytes, or a share from 0 to 1; `None` where it is not known.
    #[must_use]
    pub fn value(self, sample: &Sample) -> Option<f64> {
        match self {
            Self::Cpu => sample.cpu,
            Self::Memory => sample.memory,
            Self::Rss => sample.rss,
            Self::Slo | Self::SloTotal => sample.share(sample.beyond),
            Self::Refused => sample.share(sample.refused),
            Self::Failed(kind) => sample.share(sample.failed_by(kind)),
        }
    }

    /// By how much the canary is worse: the logarithm of a ratio, or a difference of shares.
    #[must_use]
    pub fn worse_by(self, baseline: &Sample, canary: &Sample) -> Option<f64> {
        let (baseline, canary) = (self.value(baseline)?, self.value(canary)?);
        if !self.is_ratio() {
            return Some(canary - baseline);
        }
        let ratio = (canary / baseline).ln();
        ratio.is_finite().then_some(ratio)
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Gate> for String {
    fn from(gate: Gate) -> Self {
        gate.as_str().to_owned()
    }
}

impl TryFrom<String> for Gate {
    type Error = String;

    fn try_from(word: String) -> Result<Self, String> {
        Self::all().into_iter().find(|gate| gate.as_str() == word).ok_or_else(|| format!("no gate is called {word:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_read_back_by_its_word() {
        for gate in Gate::all() {
            assert_eq!(Gate::try_from(gate.to_string()), Ok(gate));
        }
        assert_eq!(Gate::try_from("p99".to_owned()), Err("no gate is called \"p99\"".to_owned()));
    }

    #[test]
    fn values_have_their_units() {
        for (gate, value, shown) in [
            (Gate::Cpu, 25_240.0, "25.2 µs"),
            (Gate::Memory, 5.0e7, "47.7 MiB"),
            (Gate::Rss, 10_500.0, "10.3 KiB"),
            (Gate::Slo, 0.000_31, "0.031 %"),
        ] {
            assert_eq!(gate.shown(value), shown);
        }
    }

    #[test]
    fn worse_is_above_zero() {
        let baseline = Sample { requests: 100, beyond: 1, cpu: Some(20.0), ..Sample::default() };
        let canary = Sample { requests: 200, beyond: 6, cpu: Some(22.0), ..Sample::default() };
        let worse = |gate: Gate| gate.worse_by(&baseline, &canary);
        assert!((worse(Gate::Cpu).unwrap() - 1.1_f64.ln()).abs() < 1e-12);
        assert!((worse(Gate::Slo).unwrap() - 0.02).abs() < 1e-12);
        assert_eq!(worse(Gate::Rss), None);
        assert_eq!(Gate::Cpu.worse_by(&Sample { cpu: Some(0.0), ..baseline }, &canary), None);
    }
}
