//! The engine of the load tests: what is sent, when, what came of it, and whether the answer can be believed.
//!
//! A [`plan`] is read from YAML and says a [`schedule`] and a mix of [`request`]s. [`drive`] sends them over HTTP/1.1 or
//! WebSockets, with or without TLS, from one thread; [`http2`] sends them over HTTP/2 and gRPC. Both fill a [`tally`]. An
//! [`origin`] of the tool's own counts what it was asked, a [`fault`] proxy stands between two sides and does harm, and the
//! [`proof`] shows before every run that a known stall is measured as what it was.
//!
//! Invariants: latency counts from the moment a request was planned for; sent = succeeded + refused + failed, always;
//! what is sent when depends on the seed alone; what the tool or the machine held up makes a run invalid, not slow.

pub mod answer;
pub mod client;
pub mod cores;
pub mod drive;
pub mod event;
pub mod fault;
pub mod head;
pub mod http2;
pub mod machine;
pub mod origin;
pub mod outcome;
pub mod plan;
pub mod process;
pub mod proof;
pub mod request;
pub mod schedule;
pub mod slots;
pub mod tally;
pub mod template;
pub mod tls;
pub mod websocket;

/// What went wrong, in words for the person who ran the tool.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
