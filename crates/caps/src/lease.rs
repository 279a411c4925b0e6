//! How gateways share a cap: each draws tokens ahead from a pool and spends them by itself.
//!
//! Nothing on the request path asks the pool. A [`Share`] is a gateway's side of one consumer's cap, a [`Pool`] the
//! shared side, and [`Members`] knows which gateways there are. A driver carries an [`Ask`] of a share to the pool and
//! the [`Grant`] back, whenever it can; both sides go on without.
//!
//! Like the flow control of QUIC (RFC 9000 section 4) the words are totals, not differences: what a gateway has spent,
//! and up to which total it may spend. A word that is lost, late, or arrives twice does no harm; one that is out of
//! order is recognised by its number.
//!
//! Bounds, with `lease = Terms::most + Terms::overdraft` and `n` gateways, over any window of time:
//! - no more than the cap allows and `n × lease` is admitted, whatever is lost, delayed or cut off. What a gateway
//!   that is cut off spends on its own ([`crate::Outage::LocalShare`]) is withheld from the others: of a rate its part,
//!   while the store knows it as a member; of a quota what it was told to be its own. Who is forgotten as a member
//!   and serves nevertheless is beyond the bound, and so is a burst for each time that the store loses its memory.
//! - at steady load at most 2 % fewer are admitted than by one bucket that sees everything, with every word delivered
//!   within `Terms::ahead`: what idle gateways hold they give back at their next word.
//!
//! Clocks: shares and pools measure lengths of time by their own monotonic clocks and never compare two machines'. A
//! lease ends for the gateway a `ttl` after it *asked*, for the pool a `ttl` after it *heard* that, which is later.

mod demand;
mod members;
mod pool;
mod share;
mod terms;

pub use members::{GatewayId, Members, Present};
pub use pool::{Budget, Pool, Stake};
pub use share::{Link, Mode, Share};
pub use terms::{Ask, Grant, Terms, TermsError};

#[cfg(test)]
mod tests;
