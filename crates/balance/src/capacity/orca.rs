//! Reads ORCA load reports, the value of the response field `endpoint-load-metrics`.
//!
//! The formats are `JSON {"cpu_utilization": 0.3}` and `TEXT cpu_utilization=0.3, named_metrics.queue=4`; the binary
//! one (a protobuf message) is refused by name. Unknown metrics are passed over, numbers that are not finite or
//! negative as well; a value that is not of its format at all is an error, so that it can be counted.

use std::str::FromStr;

use serde::Deserialize;

use super::CapacityReport;

/// Longest value that is read, in bytes.
const LONGEST: usize = 4096;

/// Why a load report was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrcaError {
    /// Longer than 4 KiB.
    #[error("the load report is longer than 4 KiB")]
    TooLong,
    /// It starts with neither `JSON` nor `TEXT`.
    #[error("the load report is neither JSON nor TEXT")]
    Format,
    /// It starts with `BIN`.
    #[error("the load report is a protobuf message, which is not read")]
    Binary,
    /// The rest is not what its first word says.
    #[error("the load report is malformed")]
    Malformed,
}

/// The metrics that are looked at, with the names of `xds.data.orca.v3.OrcaLoadReport`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metrics {
    cpu_utilization: Option<f64>,
    application_utilization: Option<f64>,
    rps: Option<f64>,
    rps_fractional: Option<f64>,
    eps: Option<f64>,
}

/// Reads the value of `endpoint-load-metrics`. The application's own utilisation goes before that of the CPU.
///
/// # Errors
/// See [`OrcaError`].
pub fn parse_orca(value: &str) -> Result<CapacityReport, OrcaError> {
    if value.len() > LONGEST {
        return Err(OrcaError::TooLong);
    }
    let value = value.trim();
    let (format, rest) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
    let metrics = match format {
        "JSON" => serde_json::from_str(rest).map_err(|_| OrcaError::Malformed)?,
        "TEXT" => text(rest)?,
        "BIN" => return Err(OrcaError::Binary),
        _ => return Err(OrcaError::Format),
    };
    Ok(metrics.report())
}

fn text(rest: &str) -> Result<Metrics, OrcaError> {
    let mut metrics = Metrics::default();
    for pair in rest.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, number) = pair.split_once(['=', ':']).ok_or(OrcaError::Malformed)?;
        let number = f64::from_str(number.trim()).map_err(|_| OrcaError::Malformed)?;
        let slot = match name.trim() {
            "cpu_utilization" => &mut metrics.cpu_utilization,
            "application_utilization" => &mut metrics.application_utilization,
            "rps" => &mut metrics.rps,
            "rps_fractional" => &mut metrics.rps_fractional,
            "eps" => &mut metrics.eps,
            _ => continue,
        };
        *slot = Some(number);
    }
    Ok(metrics)
}

impl Metrics {
    fn report(&self) -> CapacityReport {
        let good = |number: Option<f64>| number.filter(|number| number.is_finite() && *number >= 0.0);
        // Protobuf has no way to say "not set" of a number, so 0 stands for it.
        let set = |number: Option<f64>| good(number).filter(|number| *number > 0.0);
        CapacityReport {
            utilisation: set(self.application_utilization).or(good(self.cpu_utilization)),
            qps: set(self.rps_fractional).or(good(self.rps)),
            eps: good(self.eps),
            drain: false,
            retry_after: None,
        }
    }
}
