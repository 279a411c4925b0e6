//! The admin API: health, metrics, status, the config, explanations and the last requests.
//!
//! It reads the living generations, the metrics and the ring of records by itself; what it may change goes through
//! [`Control`], which the binary implements, so that nothing here knows the proxy. Invariants: every path but
//! `/healthz` and `/readyz` wants the token when there is one; without one, only a request that names a loopback host
//! is served, so that no web page can reach the API through the operator's browser; bodies, time and connections are
//! bounded; no answer holds a secret; every error is problem+json (RFC 9457) with a stable `reason`.
//!
//! | method and path | what it gives |
//! |---|---|
//! | GET /healthz | 200 while the process lives |
//! | GET /readyz | 200, or 503 before the start, before and during a drain |
//! | GET /metrics | everything, in the Prometheus text format |
//! | GET /api/status | version, uptime, listeners, clusters, reloads, logs, generations |
//! | GET /api/config | the generations; `?text=1` the text that serves |
//! | POST /api/config | applies a YAML body; needs If-Match; `?dry_run=1` only says what would change |
//! | POST /api/reload | reads the file again |
//! | POST /api/upgrade | replaces the binary; this process drains when the new one serves |
//! | GET, POST /api/explain | explains a request with live state; `?format=text` for people |
//! | GET /api/clusters | where every endpoint stands |
//! | GET /api/map | listeners, hosts, routes and clusters, in pieces |
//! | GET /api/timeline | what became of requests in the last fifteen minutes |
//! | GET /api/requests | the last records, filtered by the query |
//! | GET /api/caps/CONSUMER | how the caps of a consumer stand |
//! | GET, POST, DELETE /api/caps/overrides | caps that are lifted or multiplied for a while |
//! | GET /api/usage | who used what, by method; `consumer`, `from`, `to` |

mod api;
mod auth;
mod control;
mod problem;
mod router;
mod server;
#[cfg(test)]
mod tests;

pub use control::{
    AdminState, Change, Changed, Control, Expected, Readiness, ReloadEntry, SinkLine, Stale, UpgradeAsk, Upgraded,
    Usage, UsageAsk,
};
pub use router::{CONFIG_BYTES, router};
pub use server::{AdminBindError, AdminServer, Bound};
