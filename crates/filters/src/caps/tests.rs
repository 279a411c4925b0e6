//! The filter in chains without sockets, on a clock that stands still until it is moved.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use portcullis_caps::{CapSet, LedgerOptions, Moment, Scope};
use portcullis_filter::chain::Link;
use portcullis_filter::testkit::{Exchange, Seen};
use portcullis_filter::{BuildCx, Chain, Services, StateStore};
use portcullis_identity::Caller;
use portcullis_types::{BodyView, Reason};
use portcullis_yaml::{Cx, Decode, MemoryLoader, Named, Spanned, load, render_text};

use super::*;
use crate::testing::{field, run};

mod deciding;
mod metering;
mod streams;
mod words;

/// The first second of March 2026, UTC.
const START: u64 = 1_772_323_200;

/// What plans and the gateway say in a test.
#[derive(Decode)]
struct Top {
    /// The plans.
    #[config(default)]
    plans: Named<Spanned<SetWords>>,
    /// The gateway.
    gateway: Option<Spanned<SetWords>>,
    /// Consumers.
    #[config(default)]
    consumers: Named<Spanned<SetWords>>,
}

/// The sets of a text, or the report of what is wrong with it.
fn sets(yaml: &str) -> Result<PlanSets, String> {
    let loader = MemoryLoader::new().file("test.yaml", yaml);
    let mut loaded = load("test.yaml".as_ref(), &loader);
    let top: Option<Top> = loaded.decode(&loader, None);
    let mut watch = Vec::new();
    let mut cx = Cx::new(&mut loaded.diagnostics, &loaded.sources, &loader, &mut watch);
    let sets = top.map(|top| PlanSets {
        plans: compiled(Scope::Plan, &top.plans, &mut cx),
        consumers: compiled(Scope::Consumer, &top.consumers, &mut cx),
        gateway: top.gateway.and_then(|words| words.compile(Scope::Gateway, "gateway", words.span, &mut cx)),
    });
    let report = render_text(&loaded.diagnostics, &loaded.sources);
    sets.filter(|_| !loaded.diagnostics.has_errors()).ok_or(report)
}

fn compiled(scope: Scope, sets: &Named<Spanned<SetWords>>, cx: &mut Cx<'_>) -> Vec<CapSet> {
    sets.iter().filter_map(|entry| entry.value.compile(scope, &entry.name, entry.span, cx)).collect()
}

/// A gateway: a ledger on a clock of its own, and the generation that was loaded last.
struct Gateway {
    caps: Arc<CapLedger>,
    millis: Arc<AtomicU64>,
}

impl Gateway {
    fn new() -> Self {
        Self::with(LedgerOptions { shards: 1, ..LedgerOptions::default() }, Arc::default())
    }

    /// One whose ledger is another, on a clock of milliseconds that others may read too.
    fn with(options: LedgerOptions, millis: Arc<AtomicU64>) -> Self {
        let clock = Arc::clone(&millis);
        let now = move || {
            let millis = clock.load(Ordering::Relaxed);
            Moment::new(Duration::from_millis(millis), Duration::from_millis(START * 1000 + millis))
        };
        Self { caps: Arc::new(CapLedger::with_clock(options, now)), millis }
    }

    fn pass(&self, millis: u64) {
        self.millis.fetch_add(millis, Ordering::Relaxed);
    }

    /// A generation with these plans, and a chain of these filters: each with its place and settings.
    fn generation(&self, plans: &str, filters: &[(&str, &str)]) -> Chain {
        self.chain(plans, filters, None)
    }

    fn chain(&self, plans: &str, filters: &[(&str, &str)], more: Option<Link>) -> Chain {
        let plans = Arc::new(Plans::new(sets(plans).unwrap_or_else(|report| panic!("{report}"))));
        let services = Services::default().with(Arc::clone(&self.caps)).with(Arc::clone(&plans));
        let state = StateStore::default();
        let link = |(place, yaml): &(&str, &str)| {
            let spec =
                crate::testing::read("caps", yaml, MemoryLoader::new()).unwrap_or_else(|report| panic!("{report}"));
            spec.build(&BuildCx { place, state: &state, clusters: &[], services: &services }).unwrap()
        };
        let links = filters.iter().map(link).chain(more).collect();
        plans.bind(&self.caps).unwrap();
        self.caps.serve(plans).unwrap();
        Chain::new(links).unwrap()
    }

    /// A generation with these plans, a plain `caps`, and another filter.
    fn with_link(&self, plans: &str, link: Link) -> Chain {
        self.chain(plans, &[HOST], Some(link))
    }

    /// A generation with these plans, and a plain `caps` on the host.
    fn plans(&self, plans: &str) -> Chain {
        self.generation(plans, &[HOST])
    }

    /// What is in the usage since it was last taken: requests, credits and bytes by consumer and method.
    fn used(&self) -> Vec<(String, String, [u64; 3])> {
        let deltas = self.caps.ledger().take_changes().usage.into_iter();
        let mut used: Vec<_> = deltas
            .map(|delta| {
                let portcullis_caps::Amount { requests, credits, bytes } = delta.amount;
                (delta.consumer.to_string(), self.caps.method_name(delta.method), [requests, credits, bytes])
            })
            .collect();
        used.sort();
        used
    }
}

/// A plain `caps` of a host.
const HOST: (&str, &str) = ("hosts/rpc.example.com/filters/caps", "{}");

fn caller(id: &str, plan: &str) -> Caller {
    Caller { id: id.into(), plan: plan.into(), consumer: None }
}

fn get(id: &str, plan: &str) -> Exchange {
    Exchange::get("http://rpc.example.com/").shared(caller(id, plan))
}

/// A body of calls.
#[derive(Debug)]
struct Calls(&'static [&'static str]);

impl BodyView for Calls {
    fn calls(&self) -> Option<usize> {
        Some(self.0.len())
    }

    fn method(&self, call: usize) -> Option<&str> {
        self.0.get(call).copied().filter(|name| !name.is_empty())
    }
}

fn call(id: &str, plan: &str, methods: &'static [&'static str]) -> Exchange {
    get(id, plan).peeked(Arc::new(Calls(methods)))
}

fn outcome(seen: &Seen) -> (u16, Option<Reason>) {
    (seen.status, seen.reason)
}

/// How many of so many requests are answered, one after another.
fn answered(chain: &Chain, requests: usize, request: impl Fn() -> Exchange) -> usize {
    (0..requests).filter(|_| run(chain, request()).status == 200).count()
}
