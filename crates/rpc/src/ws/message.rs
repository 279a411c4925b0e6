//! The JSON-RPC messages of a WebSocket: what clients ask, what upstreams say, and what both are told.

mod canonical;
mod failure;
mod incoming;
mod request;
#[cfg(test)]
mod tests;
mod write;

pub use canonical::canonical;
pub use failure::Failure;
pub use incoming::{Incoming, Malformed, Notification};
pub use request::{Ask, Asked, MAX_DEPTH, read};
pub use write::{call, error, refusal, subscribed, unsubscribed};
