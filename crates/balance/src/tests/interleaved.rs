//! The atomics of std and the mutex of `parking_lot`, but under shuttle's scheduler another worker may have its turn
//! before each operation. So what is tried is the code itself, with all that it shares, and not a copy of it.
//!
//! Anywhere else they are what they stand for. Shuttle's own types cannot be used outside of its scheduler, and most
//! tests run without.

use std::sync::atomic;

pub(crate) use parking_lot::MutexGuard;
pub(crate) use std::sync::atomic::Ordering;

/// Whether the scheduler runs this.
fn is_tried() -> bool {
    shuttle::current::try_get_current_task().is_some() && !std::thread::panicking()
}

/// Lets the scheduler decide who is next, as any of its own atomics does. Yielding would not be the same: it says that
/// this worker has nothing to do, and the others then come first.
fn turn() {
    if is_tried() {
        let _ = shuttle::sync::atomic::AtomicBool::new(false).load(Ordering::SeqCst);
    }
}

#[allow(dead_code, reason = "not each crate that is tried so uses all of it")]
pub(crate) fn fence(order: Ordering) {
    turn();
    atomic::fence(order);
}

macro_rules! atomic {
    ($name:ident, $of:ty) => {
        #[derive(Debug, Default)]
        #[allow(dead_code, reason = "not each crate that is tried so uses all of it")]
        pub(crate) struct $name(atomic::$name);

        #[allow(dead_code, reason = "not each operation is used with each type")]
        impl $name {
            pub(crate) const fn new(value: $of) -> Self {
                Self(atomic::$name::new(value))
            }

            pub(crate) fn load(&self, order: Ordering) -> $of {
                turn();
                self.0.load(order)
            }

            pub(crate) fn store(&self, value: $of, order: Ordering) {
                turn();
                self.0.store(value, order);
            }

            pub(crate) fn swap(&self, value: $of, order: Ordering) -> $of {
                turn();
                self.0.swap(value, order)
            }

            pub(crate) fn compare_exchange(
                &self,
                current: $of,
                new: $of,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$of, $of> {
                turn();
                self.0.compare_exchange(current, new, success, failure)
            }

            pub(crate) fn compare_exchange_weak(
                &self,
                current: $of,
                new: $of,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$of, $of> {
                self.compare_exchange(current, new, success, failure)
            }
        }
    };
}

macro_rules! number {
    ($name:ident, $of:ty) => {
        atomic!($name, $of);

        #[allow(dead_code, reason = "not each operation is used with each type")]
        impl $name {
            pub(crate) fn fetch_add(&self, value: $of, order: Ordering) -> $of {
                turn();
                self.0.fetch_add(value, order)
            }

            pub(crate) fn fetch_sub(&self, value: $of, order: Ordering) -> $of {
                turn();
                self.0.fetch_sub(value, order)
            }

            pub(crate) fn fetch_max(&self, value: $of, order: Ordering) -> $of {
                turn();
                self.0.fetch_max(value, order)
            }

            pub(crate) fn fetch_update(
                &self,
                set: Ordering,
                fetch: Ordering,
                mut next: impl FnMut($of) -> Option<$of>,
            ) -> Result<$of, $of> {
                let mut before = self.load(fetch);
                while let Some(after) = next(before) {
                    match self.compare_exchange_weak(before, after, set, fetch) {
                        Ok(before) => return Ok(before),
                        Err(now) => before = now,
                    }
                }
                Err(before)
            }
        }
    };
}

atomic!(AtomicBool, bool);
number!(AtomicU8, u8);
number!(AtomicU32, u32);
number!(AtomicU64, u64);
number!(AtomicUsize, usize);

#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

#[allow(dead_code, reason = "not each crate that is tried so uses all of it")]
impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(parking_lot::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        turn();
        while is_tried() {
            // Who holds it must get a turn to give it back: to block would stop them all.
            match self.0.try_lock() {
                Some(guard) => return guard,
                None => shuttle::thread::yield_now(),
            }
        }
        self.0.lock()
    }

    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        turn();
        self.0.try_lock()
    }
}
