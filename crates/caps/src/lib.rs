//! What a caller may spend, pure: buckets, quotas, prices, and the arithmetic of leases between gateways.
//!
//! Nothing here does I/O or reads a clock: a [`Moment`] comes in as an argument, so tests own time.
//!
//! How the parts fit:
//! - [`CapSet`]: what a plan, a route, the gateway or one consumer allows, checked. [`Methods`]: the RPC methods that
//!   sets speak of, as numbers. [`Zone`]: the days and months of quotas.
//! - [`Ledger`]: what everybody has spent. [`Ledger::bind`] makes a [`BoundSet`] of a set; [`Ledger::decide`] answers a
//!   [`Request`] with an [`Admission`], a guard, or a [`Refusal`].
//! - [`write_policy`], [`write_limit`]: the `RateLimit` fields of an answer.
//! - [`Ledger::take_changes`], [`Ledger::export`], [`Ledger::import`]: usage for a journal, quotas for a store.
//! - [`Ledger::set_override`]: what an administrator lifts or multiplies for a while.
//! - [`Share`], [`Pool`], [`Members`]: how gateways share a cap. [`Ledger::lease_asks`] and [`Ledger::lease_answer`]
//!   connect the ledger to pools, wherever they are.
//! - [`Bucket`], [`Quota`]: the arithmetic alone.
//!
//! Invariants:
//! - A request that is refused has spent nothing anywhere, and nobody ever saw it spend.
//! - A cap in shadow refuses nothing and counts what it would have refused.
//! - What was spent belongs to the names of caps, so it outlives every edit of the config.
//! - What clients can choose (consumers without a key, methods) is bounded.

mod bucket;
mod calendar;
mod fields;
mod lease;
mod ledger;
mod moment;
mod overrides;
mod policy;
mod quota;
mod short;
mod slot;
mod spender;
mod standing;
mod sync;
mod usage;

pub use bucket::{Bucket, BucketError, FullAt};
pub use calendar::{Period, Window, Zone, ZoneError};
pub use fields::{write_limit, write_policy, write_refused};
pub use lease::{Ask, Budget, GatewayId, Grant, Link, Members, Mode, Pool, Present, Share, Stake, Terms, TermsError};
pub use ledger::{
    Admission, BindError, BoundSet, CapCount, Changes, LeaseAsk, LeaseKey, Ledger, LedgerOptions, Request, RoutePart,
    SavedQuota, SavedQuotas, Scopes, Swept, UsageDelta,
};
pub use moment::Moment;
pub use overrides::{Effect, Override, Target};
pub use policy::{
    Cap, CapError, CapSet, CapSetSpec, Held, Limit, MethodId, MethodPattern, MethodRule, Methods, Outage, PatternError,
    Scope, SetError, TooManyMethods, Unit,
};
pub use quota::{Quota, Used};
pub use short::{Short, Wait};
pub use spender::{Spend, Spender};
pub use standing::{Counted, Refusal, RefusalKind, Standing};
pub use usage::Amount;

#[cfg(test)]
mod tests;
