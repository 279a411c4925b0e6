//! What is kept under one lock for one owner: the slots of its caps, and its parts of caps that gateways share.

use super::leases::Leases;
use super::sync::{Mutex, MutexGuard};
use crate::slot::Slots;

/// The state of a gateway, route or plan as a whole.
#[derive(Default)]
pub(super) struct Holder {
    pub(super) slots: Slots,
    pub(super) leases: Leases,
    /// Whether a quota may have been spent since the changes were taken.
    pub(super) dirty: bool,
}

/// The same, under its lock.
pub(super) struct SharedState(Mutex<Holder>);

impl Default for SharedState {
    fn default() -> Self {
        Self(Mutex::new(Holder::default()))
    }
}

impl SharedState {
    pub(super) fn lock(&self) -> MutexGuard<'_, Holder> {
        self.0.lock()
    }
}
