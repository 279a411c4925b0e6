//! The admin API: health, metrics, status, the config, explanations and the last requests; and who may use it.
//!
//! It reads the living generations, the metrics and the ring of records by itself; what it may change of the config goes
//! through [`Control`], which the binary implements, so that nothing here knows the proxy. Invariants: a path has no
//! method without a least role of its caller (`router.rs`); every call that may change something and every refusal is
//! in the audit log; no web page can reach the API through the operator's browser; bodies, time and connections are
//! bounded; no answer holds a secret; every error is problem+json (RFC 9457) with a stable `reason`.
//!
//! `docs/admin.md` has all paths with their roles.

mod actor;
mod api;
mod assets;
mod audit;
mod auth;
mod control;
mod failures;
mod guard;
mod health;
mod overrides;
mod problem;
mod router;
mod server;
mod socket;
#[cfg(test)]
mod tests;

pub use actor::{Actor, Role, Via};
pub use api::config::hide_secrets;
pub use audit::Audit;
pub use control::{
    AdminState, By, Change, Changed, Control, Effect, EndTrial, Expected, Readiness, ReloadEntry, SinkLine, Stale,
    UpgradeAsk, Upgraded, Usage, UsageAsk, Watch,
};
pub use failures::Failures;
pub use health::Health;
pub use overrides::Overrides;
pub use router::CONFIG_BYTES;
pub use server::{AdminBindError, AdminListeners, Before, Prepared, Retired};
