//! Whether a new generation of the config does harm, told by comparing what became of requests.
//!
//! A [`Trial`] takes windows, a second or less of traffic each, counted on the side that is known and on the side that is on
//! trial, and after each window may end with a [`Verdict`]. Two settings share the arithmetic:
//!
//! - **at the same time** ([`Trial::beside`]): both sides serve, a request's side is a stable hash of who sends it. Windows
//!   are compared in pairs. Before the new side differs from the old, a lead-in of pairs is fed by [`Trial::lead`]:
//!   groups of callers are never alike, and what they differ by is no harm of the new generation.
//! - **before and after** ([`Trial::after`]): the known side is a list of windows from before the change.
//!
//! In each window each [`Metric`] either is beyond its margin or is not. The unit is the window, never the request: requests
//! of one moment go well or badly together. Of `n` windows `k` beyond give the evidence of [`evidence()`], a sequential test
//! that may be looked at after every window (anytime-valid; Howard, Ramdas, McAuliffe, Sekhon 2021; used for canaries by
//! Netflix, arXiv 2205.14762): were the new side no worse than its margin, the chance that it ever reaches `m / alpha` on any of `m`
//! metrics is at most `alpha`.
//!
//! Invariants: pure, no clock, no randomness, memory bounded by a few numbers a metric.

mod counts;
mod evidence;
mod margin;
#[cfg(test)]
mod tests;
mod trial;
mod verdict;

pub use counts::{Counts, Metric};
pub use evidence::evidence;
pub use trial::{Options, Trial};
pub use verdict::{Standing, Verdict};
