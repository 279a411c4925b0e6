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
    table(&proof).print("The load tool proves itself", "portcullis-load prove")?;
    match proof.flaw() {
        None => Ok(Ended::Passed),
        Some(flaw) => {
            crate::report::progress(&format!("INVALID: {flaw}"));
            Ok(Ended::Invalid)
        }
    }
}

fn table(proof: &Proof) -> Table {
    let mut table = Table::new(&["a stall of the tool's own origin", "must be", "measured"]);
    let ms = |time: std::time::Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    table.row([&"p90", &ms(proof.p90), &ms(proof.measured_p90)]);
    table.row([&"p99", &ms(proof.p99), &ms(proof.measured_p99)]);
    table.row([&"how late the tool sent, p99", &"at most 1 ms", &ms(proof.lag.p99)]);
    table
}

/// As it stands in results.
#[must_use]
pub fn as_json(proof: &Proof) -> Json {
    json!({
        "stall_ns": nanos(proof.stall),
        "p90_ns": { "known": nanos(proof.p90), "measured": nanos(proof.measured_p90) },
        "p99_ns": { "known": nanos(proof.p99), "measured": nanos(proof.measured_p99) },
        "tries": proof.tries,
        "flaw": proof.flaw(),
    })
}

/// Nanoseconds of a time.
#[must_use]
pub fn nanos(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
