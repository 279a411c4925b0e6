//! The ledger against a naive one, request by request: fractions in 128 bits, all caps in a list, no numbers for
//! names, nothing packed.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// What a plan says, as the oracle reads it.
#[derive(Debug, Clone)]
struct Rule {
    /// Whether all consumers have one state together.
    shared: bool,
    /// Which method's calls, if not all.
    method: Option<usize>,
    kind: Kind,
    credits: bool,
}

#[derive(Debug, Clone)]
enum Kind {
    Rate(u64, u64),
    Day(u64),
    AtOnce(u32),
}

/// State of one cap of one owner.
#[derive(Debug, Clone, Default)]
struct State {
    /// Thousandths of a token that are missing, and when that was. Rates are per second, times are milliseconds.
    missing: u128,
    since: u64,
    day: u64,
    spent: u64,
    held: u32,
}

const PRICES: [u64; 3] = [1, 5, 0];

struct Oracle {
    rules: Vec<Rule>,
    states: HashMap<(usize, Option<usize>), State>,
}

impl Oracle {
    fn cost(rule: &Rule, calls: &[usize]) -> u64 {
        let mine = calls.iter().filter(|call| rule.method.is_none_or(|method| method == **call));
        match rule.kind {
            Kind::AtOnce(_) => u64::from(mine.count() > 0),
            Kind::Rate(..) | Kind::Day(_) if rule.credits => mine.map(|call| PRICES[*call]).sum(),
            Kind::Rate(..) | Kind::Day(_) => mine.count() as u64,
        }
    }

    fn allows(rule: &Rule, state: &State, now: u64, cost: u64) -> bool {
        match rule.kind {
            _ if cost == 0 => true,
            Kind::Rate(per_second, burst) => {
                missing(state, now, per_second) + u128::from(cost) * 1_000 <= u128::from(burst) * 1_000
            }
            Kind::Day(limit) => spent(state, now) + cost <= limit,
            Kind::AtOnce(most) => state.held < most,
        }
    }

    fn spend(rule: &Rule, state: &mut State, now: u64, cost: u64) {
        match rule.kind {
            _ if cost == 0 => {}
            Kind::Rate(per_second, _) => {
                state.missing = missing(state, now, per_second) + u128::from(cost) * 1_000;
                state.since = now;
            }
            Kind::Day(_) => (state.spent, state.day) = (spent(state, now) + cost, now / 86_400_000),
            Kind::AtOnce(_) => state.held += 1,
        }
    }

    /// Whether it is admitted; gives the places of what is held then.
    fn decide(&mut self, now: u64, who: usize, calls: &[usize]) -> Option<Vec<(usize, Option<usize>)>> {
        let keys: Vec<_> =
            self.rules.iter().enumerate().map(|(nth, rule)| (nth, (!rule.shared).then_some(who))).collect();
        let allowed = keys.iter().all(|key| {
            let rule = &self.rules[key.0];
            Self::allows(rule, &self.states.get(key).cloned().unwrap_or_default(), now, Self::cost(rule, calls))
        });
        if !allowed {
            return None;
        }
        let mut held = Vec::new();
        for key in keys {
            let rule = &self.rules[key.0];
            let cost = Self::cost(rule, calls);
            Self::spend(rule, self.states.entry(key).or_default(), now, cost);
            if matches!(rule.kind, Kind::AtOnce(_)) && cost > 0 {
                held.push(key);
            }
        }
        Some(held)
    }
}

fn missing(state: &State, now: u64, per_second: u64) -> u128 {
    state.missing.saturating_sub(u128::from(now - state.since) * u128::from(per_second))
}

fn spent(state: &State, now: u64) -> u64 {
    if state.day == now / 86_400_000 { state.spent } else { 0 }
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let kind = prop_oneof![
        (1_u64..30, 1_u64..30).prop_map(|(rate, burst)| Kind::Rate(rate, burst)),
        (1_u64..200).prop_map(Kind::Day),
        (1_u32..5).prop_map(Kind::AtOnce),
    ];
    let rule = (any::<bool>(), prop::option::of(0_usize..3), kind, any::<bool>());
    prop::collection::vec(rule.prop_map(|(shared, method, kind, credits)| Rule { shared, method, kind, credits }), 0..9)
}

const NAMES: [&str; 3] = ["getSlot", "getProgramAccounts", "ping"];

/// The same rules as a plan and a route that have every second of them each.
fn bind(kit: &mut Kit, rules: &[Rule]) -> Vec<Arc<BoundSet>> {
    let prices = |scope| scope == Scope::Plan;
    let of = |scope: Scope, odd: usize| {
        let mut spec = CapSetSpec::new(scope, "x");
        let credits = |method: usize| prices(scope).then(|| u32::try_from(PRICES[method]).unwrap());
        spec.methods = (0..3).map(|method| super::rule(NAMES[method], credits(method), Vec::new())).collect();
        for (nth, rule) in rules.iter().enumerate().filter(|(nth, _)| nth % 2 == odd) {
            let unit = if rule.credits { Unit::Credits } else { Unit::Requests };
            let cap = match rule.kind {
                Kind::Rate(rate, burst) => Cap::rate(unit, format!("{rate}/s").parse().unwrap(), burst),
                Kind::Day(limit) => Cap::quota(unit, format!("{limit}/d").parse().unwrap(), Zone::utc()),
                Kind::AtOnce(most) => Cap::at_once(Held::Requests, most),
            };
            let cap = cap.unwrap().named(&format!("cap{nth}")).unwrap();
            let list = match (rule.method, rule.shared) {
                (None, false) => &mut spec.each,
                (None, true) => &mut spec.shared,
                (Some(method), false) => &mut spec.methods[method].each,
                (Some(method), true) => &mut spec.methods[method].shared,
            };
            list.push(cap);
        }
        spec
    };
    let (plan, route) = (of(Scope::Plan, 0), of(Scope::Route, 1));
    vec![kit.bind(plan), kit.bind(route)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn decides_as_the_naive_ledger_does(
        rules in rules(),
        steps in prop::collection::vec(
            (prop_oneof![0_u64..200, 0_u64..2_000, Just(40_000_000)], 0_usize..3, prop::collection::vec(0_usize..3, 1..4), 0_u8..8),
            1..120,
        ),
    ) {
        let mut kit = Kit::new();
        let sets = bind(&mut kit, &rules);
        let sets: Vec<&BoundSet> = sets.iter().map(|set| &**set).collect();
        let mut oracle = Oracle { rules, states: HashMap::new() };
        let mut held = Vec::new();
        let mut now = 0;
        for (passed, who, calls, what) in steps {
            now += passed;
            let names: Vec<&str> = calls.iter().map(|call| NAMES[*call]).collect();
            let expected = oracle.decide(now, who, &calls);
            let decided = kit.ask(now, ["a", "b", "c"][who], &sets, &names);
            prop_assert_eq!(decided.is_ok(), expected.is_some(), "{} {:?} {:?}", now, names, decided.err());
            held.extend(decided.ok().zip(expected));
            // Some end, in any order; and now and then idle consumers are dropped.
            if what < 4 && !held.is_empty() {
                let (_, keys) = held.swap_remove(usize::from(what) % held.len());
                keys.iter().for_each(|key| oracle.states.get_mut(key).unwrap().held -= 1);
            }
            if what == 7 {
                let _ = kit.ledger.take_changes();
                let _ = kit.ledger.sweep(at(now), 10);
            }
        }
    }
}
