//! `portcullis-load judge`: a canary against its baseline, measured in pairs, or watched live; what it leaves behind.
//!
//! What decides is in `portcullis-judge`, which is pure. Here stand processes, sockets, clocks and files.
//!
//! Invariants: every process that is started is ended by its own id, whatever happens; a live judge sends nothing but scrapes of
//! metrics; a window that could not be measured is said to be invalid and never counts for a side.

pub mod command;
pub mod compare;
pub mod instructions;
pub mod power;
pub mod runs;
pub mod scenes;

mod allocations;
mod arguments;
mod conduct;
mod duet;
pub(crate) mod flames;
mod held;
mod live;
pub(crate) mod load;
mod local;
mod metrics;
mod output;
mod progress;
mod rulers;
mod subject;

pub use output::environment;
