//! The atomics of what workers share by more than counting. The tests compile the same files with those of a model
//! checker in their place.

pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
