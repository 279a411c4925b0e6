//! Tests of the whole: plans bound to a ledger, and what requests get. Helpers first.

use std::sync::Arc;
use std::time::Duration;

use crate::*;

mod changes;
mod concurrent;
mod cost;
mod decide;
mod edits;
mod leased;
mod oracle;
mod overrides;
mod parts;
mod sweep;

/// The first second of March 2026, UTC.
const START: u64 = 1_772_323_200;

fn at(millis: u64) -> Moment {
    Moment::new(Duration::from_millis(millis), Duration::from_millis(START * 1000 + millis))
}

fn rate(text: &str, burst: u64) -> Cap {
    Cap::rate(Unit::Requests, text.parse().unwrap(), burst).unwrap()
}

fn quota(unit: Unit, text: &str) -> Cap {
    Cap::quota(unit, text.parse().unwrap(), Zone::utc()).unwrap()
}

fn at_once(held: Held, most: u32) -> Cap {
    Cap::at_once(held, most).unwrap()
}

fn plan(each: Vec<Cap>) -> CapSetSpec {
    CapSetSpec { each, ..CapSetSpec::new(Scope::Plan, "free") }
}

fn rule(pattern: &str, credits: Option<u32>, each: Vec<Cap>) -> MethodRule {
    MethodRule { pattern: pattern.parse().unwrap(), credits, each, shared: Vec::new() }
}

/// A ledger of one shard, and methods that grow with what is bound.
struct Kit {
    ledger: Ledger,
    methods: Methods,
}

impl Kit {
    fn new() -> Self {
        Self::with(LedgerOptions { shards: 1, ..LedgerOptions::default() })
    }

    fn with(options: LedgerOptions) -> Self {
        Self { ledger: Ledger::new(options), methods: Methods::default() }
    }

    fn bind(&mut self, spec: CapSetSpec) -> Arc<BoundSet> {
        let set = CapSet::build(spec).unwrap();
        self.methods = self.methods.with(set.patterns()).unwrap();
        self.ledger.bind(&set, &self.methods).unwrap()
    }

    /// Asks for calls of these methods.
    fn ask(&self, millis: u64, id: &str, sets: &[&BoundSet], calls: &[&str]) -> Result<Admission, Refusal> {
        self.ask_for(at(millis), id, sets, (Held::Requests, calls))
    }

    fn ask_for(
        &self,
        now: Moment,
        id: &str,
        sets: &[&BoundSet],
        (holds, calls): (Held, &[&str]),
    ) -> Result<Admission, Refusal> {
        let (id, calls) = (Arc::from(id), self.calls(calls));
        let request = Request { scopes: scopes(sets), consumer: Some(&id), holds, calls: &calls };
        self.ledger.decide(now, &request)
    }

    fn calls(&self, names: &[&str]) -> Vec<MethodId> {
        let id = |name: &&str| if name.is_empty() { MethodId::HTTP } else { self.methods.find(name) };
        names.iter().map(id).collect()
    }

    /// How many of so many requests, one after another and each ended before the next, are admitted.
    fn admitted(&self, millis: u64, id: &str, sets: &[&BoundSet], requests: usize) -> usize {
        (0..requests).filter(|_| self.ask(millis, id, sets, &[""]).is_ok()).count()
    }

    /// What is left of each cap, by name.
    fn left(&self, millis: u64, id: &str, sets: &[&BoundSet]) -> Vec<(String, u64)> {
        let (id, calls) = (Arc::from(id), [MethodId::HTTP]);
        let request = Request { scopes: scopes(sets), consumer: Some(&id), holds: Held::Requests, calls: &calls };
        let standings = self.ledger.standings(at(millis), &request);
        standings.into_iter().map(|standing| (standing.cap.to_string(), standing.remaining)).collect()
    }
}

fn scopes<'a>(sets: &[&'a BoundSet]) -> Scopes<'a> {
    sets.iter().fold(Scopes::default(), |scopes, set| scopes.with(set))
}
