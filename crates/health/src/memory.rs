//! What is kept between two looks.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::finding::Finding;
use crate::verdict::Reason;

/// What is away for less than this counts as never gone.
const FORGET: Duration = Duration::from_secs(60);
/// A counter that rose this long ago still counts as rising.
const RISES: Duration = Duration::from_secs(300);
/// The most ids and counters that are kept.
const MOST: usize = 20_000;

/// A counter that rose of late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Risen {
    /// What it is at.
    pub count: u64,
    /// By how much it rose since it began to.
    pub by: u64,
    /// When it rose last.
    pub ago: Duration,
}

/// Since when findings hold, and which counters rise. Bounded.
#[derive(Debug, Default)]
pub struct Memory {
    held: BTreeMap<String, Held>,
    counters: BTreeMap<String, Counter>,
}

#[derive(Debug)]
struct Held {
    since: SystemTime,
    seen: SystemTime,
}

#[derive(Debug)]
struct Counter {
    count: u64,
    /// What it was before it began to rise, and when it rose last.
    rise: Option<(u64, SystemTime)>,
}

impl Memory {
    /// Since when each of these holds. What was not found for a minute is forgotten.
    pub fn hold(&mut self, found: Vec<Finding>, now: SystemTime) -> Vec<Reason> {
        let old = |held: &Held| now.duration_since(held.seen).is_ok_and(|ago| ago > FORGET);
        self.held.retain(|_, held| !old(held));
        let one = |finding: Finding| {
            let id = finding.id();
            let since = match self.held.get_mut(&id) {
                Some(held) => {
                    held.seen = now;
                    held.since
                }
                None => {
                    if self.held.len() < MOST {
                        self.held.insert(id, Held { since: now, seen: now });
                    }
                    now
                }
            };
            Reason { finding, since }
        };
        found.into_iter().map(one).collect()
    }

    /// Whether a counter rose in the last minutes; the first look at one tells nothing.
    pub fn rises(&mut self, name: &str, count: u64, now: SystemTime) -> Option<Risen> {
        let Some(known) = self.counters.get_mut(name) else {
            if self.counters.len() < MOST {
                self.counters.insert(name.to_owned(), Counter { count, rise: None });
            }
            return None;
        };
        let over = |at: SystemTime| now.duration_since(at).is_ok_and(|ago| ago > RISES);
        if count > known.count {
            let from = known.rise.filter(|(_, at)| !over(*at)).map_or(known.count, |(from, _)| from);
            known.rise = Some((from, now));
        } else {
            known.rise = known.rise.filter(|(_, at)| !over(*at) && count == known.count);
        }
        known.count = count;
        let (from, at) = known.rise?;
        Some(Risen { count, by: count - from, ago: now.duration_since(at).unwrap_or_default() })
    }
}
