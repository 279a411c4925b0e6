//! The fault of this process, and what faults are made of.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Mutant, VARIABLE, names};

static CHOSEN: OnceLock<Mutant> = OnceLock::new();

/// The variable names no fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown(String);

impl std::fmt::Display for Unknown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{VARIABLE}: there is no `{}`, there are {}", self.0, names())
    }
}

impl std::error::Error for Unknown {}

/// Takes what the environment says. The first call counts.
///
/// # Errors
///
/// When it says what is no name.
pub fn choose() -> Result<(), Unknown> {
    let Some(said) = std::env::var_os(VARIABLE) else { return Ok(()) };
    let said = said.to_string_lossy();
    let found = Mutant::ALL.into_iter().find(|mutant| mutant.name() == said);
    let mutant = found.ok_or_else(|| Unknown(said.into_owned()))?;
    CHOSEN.get_or_init(|| mutant);
    Ok(())
}

/// Whether a fault is this process's.
#[inline]
#[must_use]
pub fn is_on(mutant: Mutant) -> bool {
    CHOSEN.get() == Some(&mutant)
}

/// Whether it is the turn of one in so many. All who ask take turns: a process has one fault.
#[must_use]
pub fn one_in(many: u64) -> bool {
    static TURNS: AtomicU64 = AtomicU64::new(0);
    TURNS.fetch_add(1, Ordering::Relaxed).is_multiple_of(many)
}

/// Takes so many bytes of memory, writes to them, and never gives them back.
pub fn leak(bytes: usize) {
    std::hint::black_box(Box::leak(vec![1_u8; bytes].into_boxed_slice()));
}

/// Does something, and holds so many bytes of memory meanwhile.
pub async fn burdened<T>(bytes: usize, future: impl Future<Output = T>) -> T {
    let burden = std::hint::black_box(vec![1_u8; bytes]);
    let done = future.await;
    drop(std::hint::black_box(burden));
    done
}

/// Opens a descriptor, and never closes it.
pub fn leak_descriptor() {
    // Where none are left, none can be lost.
    std::fs::File::open("/dev/null").map(std::mem::forget).ok();
}

/// Goes round so many times: a few instructions each.
pub fn work(turns: u64) {
    for turn in 0..turns {
        std::hint::black_box(turn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_told_all_names() {
        let said = Unknown("nonsense".to_owned()).to_string();
        assert!(Mutant::ALL.iter().all(|mutant| said.contains(mutant.name())), "{said}");
        assert!(!Mutant::ALL.into_iter().any(is_on), "nothing was chosen");
    }
}
