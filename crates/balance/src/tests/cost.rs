//! What a choice costs: no allocation, whatever the algorithm and the state of the fleet.

use super::*;

#[test]
fn choosing_allocates_nothing() {
    for algorithm in every_algorithm() {
        let set = built(equal(100), checked(algorithm.clone()));
        for nth in 0..60 {
            make(&set, nth, false);
        }
        let skip = places(&[70, 80]);
        let now = Instant::now();
        // The first load of a thread registers it with arc-swap, once.
        drop(choose(&set, 0));
        let cost = allocation_counter::measure(|| {
            for random in 0..100 {
                let ask = Ask { key: Some(random), skip: &skip, ..Ask::new(now, random) };
                let mut choice = set.choose(&ask).unwrap();
                choice.success(now, SECOND);
            }
        });
        assert_eq!(cost.count_total, 0, "{algorithm:?}");
    }
}

#[test]
fn choosing_with_every_knob_and_reporting_allocates_nothing() {
    let zone = Some(crate::ZonePreference { zone: "a".into(), traffic: None, per_endpoint: None });
    let tuning = crate::Tuning { zone, ..crate::Tuning::recommended() };
    for algorithm in every_algorithm() {
        let zones = ["a", "b"].map(|zone| Some(Arc::from(zone)));
        let specs = (0..).zip(specs(&[(3, 0), (1, 1)].repeat(50)));
        let specs = specs.map(|(nth, spec)| EndpointSpec { zone: zones[nth % 2].clone(), ..spec }).collect();
        let now = Instant::now();
        let set = EndpointSet::build(specs, checked(algorithm.clone()).tuned(tuning.clone()), now).unwrap();
        let limiter = crate::Limiter::new(crate::LimitPolicy::Adaptive(crate::AdaptivePolicy::default()), now);
        let budget = crate::Budget::new(crate::BudgetPolicy::retries(), now);
        let hedge = crate::Hedge::new(crate::HedgePolicy::default(), now);
        (0..20).for_each(|nth| make(&set, nth, false));
        (0..20).for_each(|nth| make(&set, nth, true));
        drop(choose(&set, 0));
        let report = crate::parse_orca("TEXT cpu_utilization=0.6").unwrap();
        let cost = allocation_counter::measure(|| {
            for random in 0..100 {
                let permit = limiter.admit(crate::Priority::Normal).unwrap();
                let _ = hedge.request(now);
                budget.request(now);
                let mut choice = set.choose(&Ask { key: Some(random), ..Ask::new(now, random) }).unwrap();
                choice.endpoint().state().report(now, &report);
                choice.answered(now, SECOND, crate::Answer::of_status(if random % 9 == 0 { 503 } else { 200 }));
                hedge.record(now, SECOND);
                let _ = (budget.grant(now), hedge.grant(now, false));
                permit.finish(now, SECOND, crate::Answer::Good);
            }
        });
        assert_eq!(cost.count_total, 0, "{algorithm:?}");
    }
}
