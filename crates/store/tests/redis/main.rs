//! Leases against real Redis servers: the script against the pool that it mirrors, bounds, and everything that can go
//! wrong with a server. Needs `redis-server` 7; `scripts/setup` installs it.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "these are tests, helpers and all"
)]

mod bounds;
mod cluster;
mod faults;
mod kit;
mod mirror;
mod script;
mod server;
mod tls;
