//! The rig: origin, load tool and gateway on fixed cores, and what a request costs the gateway.
//!
//! The figure that is compared is CPU time per request of the gateway's own process: throughput and latency move by a
//! third on a shared machine when nothing changed, CPU per request by a few percent. Contenders take turns in short
//! windows, in random order, so that what the machine does meanwhile falls on all of them alike.
//!
//! Invariants: everything is on the loopback interface; every process that is started is ended by its own id, also
//! when the rig is killed; every load has a bound; a request that failed makes a measurement fail, it is never
//! averaged away.

pub mod bench;
pub mod contenders;
pub mod gatekeeper;
pub mod generators;
pub mod handshaking;
pub mod instructions;
pub mod judging;
pub mod memory;
pub mod open_loop;
pub mod origin;
pub mod reload;
pub mod replicas;
pub mod report;
pub mod scenes;
pub mod speed;
pub mod start;
pub mod suite;
pub mod tool;
pub mod wrk;

pub use portcullis_engine::{Failure, client, event, head, process, slots};
pub use portcullis_judge::{random, stats};
