//! The harness of the integration tests: origins, clients, and the gateway as a process.
//!
//! A test builds an [`Origin`], starts a [`Gateway`] in front of it, and talks to it with a [`Client`]. The gateway is
//! the real binary with a real file; everything is seen from outside: bytes on sockets, the access log, the admin
//! API, `/proc`. Invariants: nothing leaves the loopback interface; every wait is bounded by [`PATIENCE`] and says
//! what it waited for; no port is shared between two processes (see [`place`]); what a test started ends with its process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

pub mod admin;
pub mod cli;
pub mod client;
pub mod dns;
pub mod gateway;
pub mod h2;
pub mod held;
pub mod origin;
pub mod pki;
pub mod place;
pub mod process;
pub mod pubsub;
pub mod response;
pub mod setup;
pub mod solana;
pub mod websocket;

pub use client::Client;
pub use gateway::Gateway;
pub use origin::{After, Origin, Received};
pub use place::{PATIENCE, address, until};
pub use response::Response;
pub use setup::Setup;
