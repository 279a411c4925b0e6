//! The lock of what workers share. The tests compile the ledger a second time with that of a model checker in its
//! place.

pub(crate) use parking_lot::{Mutex, MutexGuard};
