//! YAML to validated values to a snapshot; every error with its place; diff; JSON Schema.
//!
//! Three steps, each a function:
//! - [`check`] reads a file with all that it names and says everything that is wrong, at once and with places. It
//!   touches nothing that runs.
//! - [`diff()`] says what a checked config changes against another, in the words of the config.
//! - [`activate`] makes a checked config into a [`portcullis_snapshot::Snapshot`], sharing whatever did not change
//!   with the generation before: endpoint health and counters, metrics, TLS sessions, filter state.
//!
//! Invariants: no text of the config survives into the snapshot where a compiled value could stand; an error never
//! leaves a half-made generation; a secret is in no message, no diff and no `Debug`.

mod activate;
pub mod code;
mod compile;
mod consumers;
mod diff;
mod digest;
mod facts;
mod load;
mod place;
mod plan;
mod raw;
mod schema;
mod survey;
mod tls;

pub use activate::{Environment, Stamp, activate, rehearse};
pub use consumers::{ConsumersProblem, consumers};
pub use diff::{Change, ChangeKind, Diff, diff};
pub use digest::fingerprint;
pub use load::{Candidate, LoadInput, Loaded, check, fuzz_check};
pub use plan::Checked;
pub use schema::schema;
pub use survey::survey;

#[cfg(test)]
mod tests;
