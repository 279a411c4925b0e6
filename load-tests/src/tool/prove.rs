//! `prove`: the tool measures a stall that it knows, and says whether it can be believed on this machine now.

use portcullis_engine::proof::{self, Proof};
use serde_json::{Value as Json, json};

use crate::Failure;
use crate::report::Table;

use super::Ended;

/// Proves the tool and prints what came of it.
///
/// # Errors
///
/// When there is no origin to prove it with, or standard output is closed.
pub fn prove() -> Result<Ended, Failure> {
    let proof = proof::prove()?;
    table(&proof).print("The load tool measures a stall that it knows", "portcullis-load prove")?;
    match proof.flaw() {
        None => Ok(Ended::Passed),
        Some(flaw) => {
            crate::report::progress(&format!("INVALID: {flaw}"));
            Ok(Ended::Invalid)
        }
    }
}

fn table(proof: &Proof) -> Table {
    let mut table = Table::new(&["driver", "p90 must be", "measured", "p99 must be", "measured", "sent late, p99"]);
    let ms = |time: std::time::Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    for of in &proof.measured {
        let [p90, measured_p90, p99, measured_p99, late] =
            [of.p90, of.measured_p90, of.p99, of.measured_p99, of.lag.p99].map(ms);
        table.row([&of.driver.name(), &p90, &measured_p90, &p99, &measured_p99, &late]);
    }
    table
}

/// As it stands in results.
#[must_use]
pub fn as_json(proof: &Proof) -> Json {
    let drivers = proof.measured.iter().map(|of| {
        json!({
            "driver": of.driver.name(),
            "stall_ns": nanos(of.stall),
            "p90_ns": { "known": nanos(of.p90), "measured": nanos(of.measured_p90) },
            "p99_ns": { "known": nanos(of.p99), "measured": nanos(of.measured_p99) },
        })
    });
    json!({ "drivers": drivers.collect::<Vec<_>>(), "tries": proof.tries, "flaw": proof.flaw() })
}

/// Nanoseconds of a time.
#[must_use]
pub fn nanos(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
