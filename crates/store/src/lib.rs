//! What lasts or is shared: quotas on disk, usage for bills, and leases between gateways through Redis.
//!
//! How the parts fit:
//! - [`Saved`] is where a ledger looks dropped consumers up; [`Kept::open`] opens the store and fills it; [`Keeper::start`]
//!   begins to write down what the ledger changes and, with Redis, to carry its words to the pools.
//! - [`Keeper::status`] says how each of them does, [`Keeper::usage`] who used what, [`Keeper::shutdown`] writes the rest.
//! - [`Keeper::hand_over`] gives the store to the process that follows this one; what is spent here after that goes there by
//!   [`Keeper::unsent`] and [`Keeper::add`], and [`Keeper::take_back`] undoes it.
//! - [`read_usage`] adds up a journal without a gateway.
//!
//! Invariants:
//! - Nothing here is waited for by a request: the ledger is read and written between requests, by two threads.
//! - What was taken from the ledger is in memory until it is on disk, and on disk in exactly one place after that.
//! - Of quotas and usage a crash loses at most what was spent since the last commit: half a second and the commit itself.
//! - What a store that is away or full makes wait is bounded by the ledger's own bounds.

mod error;
mod file;
mod index;
mod journal;
mod keeper;
mod pending;
mod redis;
mod rows;
mod spending;

pub use error::StoreError;
pub use journal::{Line, Rotation, Totals, UsageQuery, read_usage};
pub use keeper::{Clock, Keeper, KeeperStatus, Kept, Saved, Saving, SavingStatus, StoreOptions};
pub use pending::MethodNames;
pub use redis::{LinkState, LinkStatus, NodeStatus, RedisOptions, RedisTls};
pub use spending::Spending;
