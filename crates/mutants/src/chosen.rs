//! The fault of this process, and what faults are made of.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::{Mutant, VARIABLE, names};

static CHOSEN: OnceLock<Mutant> = OnceLock::new();

/// When Redis answered last.
static SPOKE: Mutex<Option<Instant>> = Mutex::new(None);

/// Parts of answers that are not over, by whose they are.
static HELD_BACK: Mutex<BTreeMap<u128, Vec<u8>>> = Mutex::new(BTreeMap::new());

/// After how long without an answer Redis says nothing: it is asked every 50 ms.
const SILENT: Duration = Duration::from_millis(300);

/// Where in a body the byte is that is another.
const FLIPPED: u64 = 1 << 20;

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

/// A part of a body, of which so many bytes came before, with another byte where the body is 1 MiB long; `None` of a part that has
/// not got that byte.
#[must_use]
pub fn flipped(part: &[u8], before: u64) -> Option<Vec<u8>> {
    let place = usize::try_from(FLIPPED.checked_sub(before)?).ok()?;
    part.get(place)?;
    let mut other = part.to_vec();
    *other.get_mut(place)? ^= 1;
    Some(other)
}

/// Takes a part of somebody's answer, and gives all parts at the end; `None` before it, and of an answer without any.
#[must_use]
pub fn held_back(whose: u128, part: Option<&[u8]>, end: bool) -> Option<Vec<u8>> {
    let mut all = HELD_BACK.lock().unwrap_or_else(PoisonError::into_inner);
    all.entry(whose).or_default().extend_from_slice(part.unwrap_or_default());
    if end { all.remove(&whose).filter(|whole| !whole.is_empty()) } else { None }
}

/// Redis has answered.
pub fn spoke() {
    *SPOKE.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

/// Whether Redis has answered once, and says nothing now.
#[must_use]
pub fn is_silent() -> bool {
    silent_at(*SPOKE.lock().unwrap_or_else(PoisonError::into_inner), Instant::now())
}

fn silent_at(spoke: Option<Instant>, now: Instant) -> bool {
    spoke.is_some_and(|spoke| now.saturating_duration_since(spoke) > SILENT)
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

    #[test]
    fn one_byte_of_a_long_body_is_another_however_it_is_cut() {
        let body: Vec<u8> = (0..3 << 20).map(|place: u32| place.to_le_bytes()[1]).collect();
        for length in [1 << 10, 1000, 1 << 20, body.len()] {
            let (mut arrived, mut before) = (Vec::new(), 0);
            for part in body.chunks(length) {
                arrived.extend(flipped(part, before).unwrap_or_else(|| part.to_vec()));
                before += part.len() as u64;
            }
            let other: Vec<usize> = (0..body.len()).filter(|place| body[*place] != arrived[*place]).collect();
            assert_eq!((arrived.len(), other), (body.len(), vec![1 << 20]), "{length}");
        }
        assert_eq!(flipped(&body[..1 << 20], 0), None, "a short one");
    }

    #[test]
    fn an_answer_is_held_back_until_its_end_and_nobody_gets_the_parts_of_another() {
        assert_eq!(held_back(1, Some(b"a"), false), None);
        assert_eq!(held_back(2, Some(b"x"), true), Some(b"x".to_vec()));
        assert_eq!(held_back(1, Some(b"b"), false), None);
        assert_eq!(held_back(1, None, true), Some(b"ab".to_vec()));
        assert_eq!(held_back(1, None, true), None);
    }

    #[test]
    fn nobody_is_silent_who_never_spoke_or_has_just_spoken() {
        assert!(!is_silent());
        let now = Instant::now();
        assert!(!silent_at(None, now) && !silent_at(Some(now), now + SILENT));
        assert!(silent_at(Some(now), now + SILENT * 2));
    }
}
