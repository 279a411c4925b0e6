//! The scripts that Redis runs.

/// Asks pools.
pub(crate) const POOL: &str = concat!(include_str!("clock.lua"), include_str!("pool.lua"));
/// Says that a gateway is there.
pub(crate) const MEMBERS: &str = concat!(include_str!("clock.lua"), include_str!("members.lua"));
