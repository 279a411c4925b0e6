//! A discrete-event simulation of gateways in front of a cluster, for the example and for the crate's own tests.
//!
//! Time is a counter of nanoseconds and chance is a seed, so that a run is the same every time. The gateways use the
//! crate as the proxy does: sets, choices, reports, health machines, sweeps, budgets.

pub(crate) mod policy;
pub(crate) mod scene;
pub(crate) mod scenes;
pub(crate) mod server;
pub(crate) mod stats;
pub(crate) mod world;
