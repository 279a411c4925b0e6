//! What a request allocates on both sides, as flame graphs. Callgrind counts the calls of the allocator, each with all who called: no
//! frame pointers are needed, no sample is missed, and the gateway does nothing for it.

use std::path::Path;

use portcullis_artifacts::flame::{Of, Stacks};
use portcullis_judge::window::Side;

use crate::Failure;

use super::flames;
use super::instructions::Counted;
use super::local::Local;

/// Requests of the shorter run; what is counted is the difference to one of three times as many.
const REQUESTS: u32 = 500;

/// Callers of an allocation that are kept apart.
const CALLERS: u32 = 64;

/// Functions that hand out memory: of mimalloc, of the C library, of jemalloc.
const ALLOCATE: [&str; 18] = [
    "mi_malloc",
    "mi_malloc_aligned",
    "mi_zalloc",
    "mi_zalloc_aligned",
    "mi_calloc",
    "mi_calloc_aligned",
    "mi_realloc",
    "mi_realloc_aligned",
    "malloc",
    "calloc",
    "realloc",
    "posix_memalign",
    "aligned_alloc",
    "_rjem_malloc",
    "_rjem_mallocx",
    "_rjem_calloc",
    "_rjem_realloc",
    "_rjem_rallocx",
];

/// Writes `flame-allocations-baseline.svg`, `flame-allocations-canary.svg`, `flame-allocations-difference.svg` and the folded stacks.
pub(super) fn record(local: &Local, out: &Path) -> Result<(), Failure> {
    let [baseline, canary] = [count(local, Side::Baseline)?, count(local, Side::Canary)?];
    let [before, now] = [baseline.total(), canary.total()];
    let titles = [
        format!("Allocations of a request, baseline: {before:.1}"),
        format!("Allocations of a request, canary: {now:.1}"),
        format!("Allocations of a request, canary: {now:.1}, {:+.1}; red grew and blue shrank", now - before),
    ];
    flames::write(out, "flame-allocations", titles, [&baseline, &canary], Of::Counts)
}

/// Allocations of a request, by who called for them.
fn count(local: &Local, side: Side) -> Result<Stacks, Failure> {
    let folder = local.folder.join(format!("allocations-{side}"));
    let (counted, place) = Counted::of(local.subject(side), side, local.into(), &folder)?;
    let options = ALLOCATE.map(|function| format!("--separate-callers{CALLERS}={function}"));
    let dumps = crate::instructions::dumps(&counted, REQUESTS, &place, &folder, &options)?;
    let [short, long] = dumps.map(|text| Stacks::fold_callgrind(&text, |name| ALLOCATE.contains(&name)));
    let stacks = long.since(&short, f64::from(REQUESTS * 2));
    if stacks.is_empty() {
        return Err(format!(
            "callgrind saw the {side} allocate nothing: its symbols are stripped, or its allocator is unknown"
        )
        .into());
    }
    Ok(stacks)
}
