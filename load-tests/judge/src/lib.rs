//! Whether a canary does harm, told from windows of load that were measured on a machine that does other work too.
//!
//! The unit is the pair of windows, one of each side, never the request: what a machine does meanwhile falls on all requests
//! of a moment alike. A [`Judge`] is given pairs in random order. The first ones compare the baseline with itself (the A/A leg) and
//! set the margin δ of each [`Gate`] at or above the 95 % range of what twins differ by. The others compare the canary with
//! the baseline, and after each the judge may end:
//!
//! - **FAIL** when a gate's evidence of harm reaches `m / alpha`, of `m` gates. It is the anytime-valid sign test of
//!   [`portcullis_trial::evidence()`]: were the canary no worse than δ, the chance that it ever does so is at most `alpha`;
//! - **PASS** when the mirrored test reaches 20 on every gate, and nothing else speaks against it;
//! - **INCONCLUSIVE** at the cap of pairs;
//! - **INVALID** when the machine could not do what was asked of it, or twins differ.
//!
//! Invariants: pure, no clock and no I/O; randomness is seeded by the caller, so the same windows and the same seed give the
//! same verdict.

pub mod bootstrap;
pub mod gate;
pub mod growth;
pub mod instructions;
pub mod judge;
pub mod judgement;
pub mod margin;
pub mod random;
pub mod rules;
pub mod sample;
pub mod scalability;
pub mod simulate;
pub mod stats;
pub mod verdict;
pub mod window;

mod comparison;
mod tally;

pub use gate::Gate;
pub use judge::{Judge, Step};
pub use judgement::{FalseAlarms, Finding, Judgement, Standing};
pub use rules::{Criteria, Rules};
pub use sample::{Pair, Sample};
pub use verdict::{Exit, OnInconclusive, Remedy, Verdict};
