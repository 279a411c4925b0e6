//! What holds for every fleet and every schedule of events.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::NoEndpoint;
use portcullis_types::Reason;

/// What may happen to a cluster.
#[derive(Debug, Clone)]
enum Event {
    Choose { random: u64, skipped: Vec<prop::sample::Index>, retries: bool },
    Succeed(prop::sample::Index),
    Fail(prop::sample::Index),
    Answer(prop::sample::Index, u16),
    Report(prop::sample::Index, f64, bool),
    Drop(prop::sample::Index),
    Check { nth: prop::sample::Index, passes: bool },
    Reload(Vec<(u32, u8)>),
}

fn event() -> impl Strategy<Value = Event> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => (any::<u64>(), prop::collection::vec(index(), 0..4), any::<bool>())
            .prop_map(|(random, skipped, retries)| Event::Choose { random, skipped, retries }),
        1 => index().prop_map(Event::Succeed),
        1 => index().prop_map(Event::Fail),
        1 => (index(), 200_u16..600).prop_map(|(index, status)| Event::Answer(index, status)),
        1 => (index(), 0.0..3.0, any::<bool>()).prop_map(|(nth, full, drain)| Event::Report(nth, full, drain)),
        2 => index().prop_map(Event::Drop),
        3 => (index(), any::<bool>()).prop_map(|(nth, passes)| Event::Check { nth, passes }),
        1 => fleet().prop_map(Event::Reload),
    ]
}

fn fleet() -> impl Strategy<Value = Vec<(u32, u8)>> {
    prop::collection::vec((0_u32..4, 0_u8..3), 1..8)
        .prop_filter("at least one takes requests", |fleet| fleet.iter().any(|(weight, _)| *weight > 0))
}

fn algorithm() -> impl Strategy<Value = Algorithm> {
    (0_usize..4).prop_map(|nth| every_algorithm()[nth].clone())
}

/// A cluster under test, with an account of what is in flight that is kept apart from it.
struct World {
    set: Arc<EndpointSet>,
    algorithm: Algorithm,
    held: Vec<Choice>,
}

impl World {
    fn apply(&mut self, event: &Event) -> Result<(), TestCaseError> {
        let now = Instant::now();
        match event {
            Event::Choose { random, skipped, retries } => return self.choose(*random, skipped, *retries),
            Event::Succeed(index) => self.with_held(index, |choice| choice.success(now, SECOND)),
            Event::Fail(index) => self.with_held(index, |choice| choice.failure(now, Reason::UpstreamReset)),
            Event::Answer(index, status) => {
                let answer = crate::Answer::of_status(*status);
                self.with_held(index, |choice| choice.answered(now, SECOND, answer));
            }
            Event::Report(nth, full, drain) => {
                let report = crate::CapacityReport {
                    utilisation: Some(*full),
                    drain: *drain,
                    ..crate::CapacityReport::default()
                };
                nth.get(self.set.endpoints()).state().report(now, &report);
            }
            Event::Drop(index) if !self.held.is_empty() => {
                drop(self.held.swap_remove(index.index(self.held.len())));
            }
            Event::Drop(_) => {}
            Event::Check { nth, passes } => make(&self.set, nth.index(self.set.endpoints().len()), *passes),
            Event::Reload(fleet) => {
                self.set = self.set.rebuild(specs(fleet), checked(self.algorithm.clone()), now).unwrap();
            }
        }
        Ok(())
    }

    fn with_held(&mut self, index: &prop::sample::Index, report: impl FnOnce(&mut Choice)) {
        if !self.held.is_empty() {
            let place = index.index(self.held.len());
            report(&mut self.held[place]);
        }
    }

    fn choose(&mut self, random: u64, skipped: &[prop::sample::Index], retries: bool) -> Result<(), TestCaseError> {
        let n = self.set.endpoints().len();
        let all: Vec<EndpointIdx> = (0..).map(EndpointIdx).take(n).collect();
        let skip: Vec<EndpointIdx> = skipped.iter().filter(|_| retries).map(|index| *index.get(&all)).collect();
        let ask = Ask { key: Some(random % 16), skip: &skip, ..Ask::new(Instant::now(), random) };
        match self.set.choose(&ask) {
            Ok(choice) => {
                self.judge(choice.index(), &skip)?;
                self.held.push(choice);
            }
            Err(error) => {
                prop_assert_eq!(error, NoEndpoint::NoneAvailable { endpoints: n });
                prop_assert!(self.usable(&[]).next().is_none());
            }
        }
        Ok(())
    }

    /// The endpoints that may be chosen, by a plain reading of the rules: (priority, place).
    fn usable<'a>(&'a self, skip: &'a [EndpointIdx]) -> impl Iterator<Item = (u8, EndpointIdx)> + 'a {
        let all = (0..).map(EndpointIdx).zip(self.set.endpoints());
        let up = all.filter(|(_, endpoint)| {
            endpoint.spec().weight > 0 && endpoint.state().health() != crate::Health::Unhealthy
        });
        up.filter(|(index, _)| !skip.contains(index)).map(|(index, endpoint)| (endpoint.spec().priority, index))
    }

    fn judge(&self, chosen: EndpointIdx, skip: &[EndpointIdx]) -> Result<(), TestCaseError> {
        let fresh = self.usable(skip).map(|(priority, _)| priority).min();
        let priority = fresh.or_else(|| self.usable(&[]).map(|(priority, _)| priority).min());
        let skip = if fresh.is_some() { skip } else { &[] };
        prop_assert!(self.usable(skip).any(|(of, index)| Some(of) == priority && index == chosen), "{chosen}");
        Ok(())
    }

    /// The counts must be those of the choices held, endpoint by endpoint, old generations included.
    fn audit(&self) -> Result<(), TestCaseError> {
        let mut by_state: HashMap<*const crate::EndpointState, u32> = HashMap::new();
        for choice in &self.held {
            *by_state.entry(Arc::as_ptr(choice.endpoint().state())).or_default() += 1;
        }
        for state in self.set.endpoints().iter().map(|endpoint| endpoint.state()) {
            let expected = by_state.get(&Arc::as_ptr(state)).copied().unwrap_or(0);
            prop_assert_eq!(state.in_flight(), expected);
            let totals = state.totals();
            prop_assert!(totals.failures + totals.abandoned <= totals.requests);
        }
        prop_assert_eq!(self.set.cluster_in_flight(), self.held.len() as u64);
        Ok(())
    }
}

proptest! {
    #[test]
    fn no_schedule_leaks_a_request_in_flight_or_breaks_the_rules_of_choice(
        fleet in fleet(),
        algorithm in algorithm(),
        events in prop::collection::vec(event(), 1..80),
    ) {
        let mut world = World { set: built(specs(&fleet), checked(algorithm.clone())), algorithm, held: Vec::new() };
        for event in &events {
            world.apply(event)?;
            world.audit()?;
        }
        world.held.clear();
        world.audit()?;
    }

    #[test]
    fn round_robin_is_exact_over_a_period(weights in prop::collection::vec(0_u32..20, 1..12), down: prop::sample::Index) {
        let fleet: Vec<(u32, u8)> = weights.iter().map(|weight| (*weight, 0)).chain([(1, 0)]).collect();
        let down = down.index(fleet.len());
        let set = built(specs(&fleet), checked(Algorithm::RoundRobin));
        make(&set, down, false);
        let mut due: Vec<usize> = fleet.iter().map(|(weight, _)| *weight as usize).collect();
        due[down] = 0;
        prop_assume!(due.iter().sum::<usize>() > 0);
        prop_assert_eq!(shares(&set, due.iter().sum()), due);
    }

    #[test]
    fn an_endpoint_that_goes_moves_its_own_keys_alone(n in 2_usize..16, gone: prop::sample::Index, removed: bool) {
        let (keys, gone) = (300 * n as u64, gone.index(n));
        let options = || checked(Algorithm::Hash(LoadBound::default()));
        let set = built(equal(n), options());
        let owners = |set: &EndpointSet| -> Vec<_> {
            let ask = |key| Ask { key: Some(crate::key_of(&key_bytes(key))), ..Ask::new(Instant::now(), 0) };
            (0..keys).map(|key| set.choose(&ask(key)).unwrap().address()).collect()
        };
        let before = owners(&set);
        let after = if removed {
            let mut rest = equal(n);
            rest.remove(gone);
            owners(&set.rebuild(rest, options(), Instant::now()).unwrap())
        } else {
            make(&set, gone, false);
            owners(&set)
        };
        let lost = equal(n)[gone].address;
        let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        prop_assert!(before.iter().zip(&after).all(|(before, after)| before == after || *before == lost));
        prop_assert!(moved as f64 <= 1.35 * keys as f64 / n as f64, "{moved} of {keys} keys for {n} endpoints");
    }

    #[test]
    fn no_endpoint_passes_the_load_bound(n in 1_usize..12, keys in prop::collection::vec(0_u64..5, 1..200)) {
        let set = built(equal(n), checked(Algorithm::Hash(LoadBound::default())));
        let mut held = Vec::new();
        for key in keys {
            held.push(set.choose(&Ask { key: Some(key), ..Ask::new(Instant::now(), 0) }).unwrap());
            let fair = held.len().div_ceil(n);
            let most = set.endpoints().iter().map(|endpoint| endpoint.state().in_flight() as usize).max();
            prop_assert!(most <= Some((fair * 125).div_ceil(100)));
        }
    }
}

fn key_bytes(key: u64) -> Vec<u8> {
    format!("user-{key}").into_bytes()
}
