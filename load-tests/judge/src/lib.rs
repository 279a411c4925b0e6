//! Whether a canary does harm, told from windows of load that were measured on a machine that does other work too.
//!
//! The unit is the pair of windows, one of each side, never the request: what a machine does meanwhile falls on all requests
//! of a moment alike.
//!
//! Invariants: pure, no clock and no I/O; randomness is seeded by the caller, so the same windows and the same seed give the
//! same verdict.

pub mod random;
pub mod stats;
pub mod window;
