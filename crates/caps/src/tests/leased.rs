//! Caps that gateways share, through the ledgers of several gateways.

use std::collections::HashMap;

use super::*;

type Key = (Option<Arc<str>>, Arc<str>, u32);

/// Gateways with a store between them that answers at once, unless it is away.
struct Fleet {
    gateways: Vec<(Kit, Arc<BoundSet>)>,
    pools: HashMap<Key, Pool>,
    away: bool,
}

const TTL: Duration = Terms::TTL;

impl Fleet {
    fn new(gateways: usize, spec: &CapSetSpec) -> Self {
        let gateway = || {
            let mut kit = Kit::new();
            let set = kit.bind(spec.clone());
            kit.ledger.link_heard(0, TTL, u32::try_from(gateways).unwrap());
            (kit, set)
        };
        Self { gateways: (0..gateways).map(|_| gateway()).collect(), pools: HashMap::new(), away: false }
    }

    /// Every gateway talks to the store.
    fn tick(&mut self, millis: u64) -> usize {
        self.tick_by(millis, |_, millis| at(millis))
    }

    /// The same for gateways whose clocks are apart.
    fn tick_by(&mut self, millis: u64, clock: impl Fn(usize, u64) -> Moment) -> usize {
        let known = u32::try_from(self.gateways.len()).unwrap();
        let present = Present { known, heard: known, gone_after: Present::GONE_AFTER };
        let mut words = 0;
        for (nth, (kit, _)) in self.gateways.iter().enumerate() {
            let now = clock(nth, millis);
            for ask in kit.ledger.lease_asks(now, GatewayId(nth as u64)) {
                words += 1;
                let key = (ask.key.consumer.clone(), Arc::clone(&ask.key.cap), ask.key.window);
                let pool = self.pools.entry(key).or_default();
                let stake = Stake { budget: ask.budget, terms: ask.terms, present };
                let grant = pool.ask(now.nanos, &ask.ask, &stake).filter(|_| !self.away);
                kit.ledger.lease_answer(&ask.key, grant.as_ref());
            }
            if !self.away {
                kit.ledger.link_heard(now.nanos, TTL, known);
            }
        }
        words
    }

    /// Requests for a while, so many to each gateway every ten milliseconds; how many were admitted.
    fn run(&mut self, millis: std::ops::Range<u64>, id: &str, load: &[usize]) -> usize {
        let mut admitted = 0;
        for now in millis.step_by(10) {
            for ((kit, set), load) in self.gateways.iter().zip(load) {
                admitted += kit.admitted(now, id, &[set], *load);
            }
            if now % 50 == 0 {
                self.tick(now);
            }
        }
        admitted
    }
}

fn leased(cap: Cap, most: u64, overdraft: u64) -> Cap {
    cap.shared_by_gateways(Terms { most, overdraft, ahead: Terms::AHEAD, ttl: TTL }).unwrap()
}

#[test]
fn gateways_share_a_rate_and_none_has_more_than_all() {
    let mut fleet = Fleet::new(3, &plan(vec![leased(rate("500/s", 200), 100, 10)]));
    let admitted = fleet.run(0..10_000, "acme", &[18, 2, 1]);
    let exact = 200 + 10 * 500;
    assert!((exact * 98 / 100..=exact + 3 * 110).contains(&admitted), "{admitted} of {exact}");
    let other = fleet.run(10_000..12_000, "other", &[10, 0, 0]);
    assert!(
        (1_140..=1_200 + 110).contains(&other),
        "another consumer has its own, less what its first words took: {other}"
    );
}

#[test]
fn a_shared_plan_and_a_quota_are_leased_too() {
    let spec = CapSetSpec {
        shared: vec![leased(rate("100/s", 50), 20, 5)],
        ..plan(vec![leased(quota(Unit::Requests, "900/d"), 30, 5)])
    };
    let mut fleet = Fleet::new(2, &spec);
    let admitted = fleet.run(0..4_000, "a", &[1, 1]) + fleet.run(4_000..8_000, "b", &[2, 0]);
    assert!((840..=850 + 50).contains(&admitted), "the plan's rate: {admitted}");
    let refused = fleet.run(8_000..30_000, "a", &[1, 1]);
    let of_a: u64 =
        fleet.pools.iter().filter(|(key, _)| key.0.as_deref() == Some("a")).map(|(_, pool)| pool.spent()).sum();
    assert!((885..=900 + 70).contains(&of_a), "the quota: {of_a}");
    assert!(refused > 400);
    let (kit, set) = &fleet.gateways[0];
    let refusal = kit.ask(30_000, "a", &[set], &[""]).err().unwrap();
    assert_eq!(
        (refusal.kind, &*refusal.standing.cap, refusal.standing.remaining),
        (RefusalKind::OverQuota, "quota.day", 0)
    );
    assert_eq!(refusal.retry_after(), Some(86_370), "to the end of the day");
}

#[test]
fn an_outage_is_decided_by_the_plan_and_reconciled() {
    for (outage, most) in [(Outage::LocalShare, 5_000..=5_300), (Outage::Refuse, 0..=220)] {
        let spec = CapSetSpec { outage, ..plan(vec![leased(rate("500/s", 100), 100, 10)]) };
        let mut fleet = Fleet::new(2, &spec);
        let _ = fleet.run(0..2_000, "acme", &[10, 10]);
        fleet.away = true;
        // The leases still count for a while, and nobody is served twice.
        let until_noticed = fleet.run(2_000..3_000, "acme", &[10, 10]);
        assert!(until_noticed <= 320, "{outage:?}: {until_noticed}");
        let admitted = fleet.run(3_000..13_000, "acme", &[10, 10]);
        assert!(
            (most.clone()).contains(&admitted) || (outage == Outage::LocalShare && admitted > 4_900),
            "{outage:?}: {admitted}"
        );
        fleet.away = false;
        let _ = fleet.run(13_000..14_000, "acme", &[10, 10]);
        let admitted = fleet.run(14_000..18_000, "acme", &[10, 10]);
        assert!((1_960..=2_000 + 220).contains(&admitted), "{outage:?}: {admitted}");
    }
}

#[test]
fn gateways_whose_clocks_are_apart_share_each_day() {
    // One minute apart: over midnight one is in the next day already, and draws from that one's pool.
    let mut fleet = Fleet::new(2, &plan(vec![leased(quota(Unit::Requests, "600/d"), 30, 5)]));
    let day = 86_400_000;
    let ahead = |millis: u64| Moment { unix_millis: at(millis).unix_millis + 60_000, ..at(millis) };
    let mut admitted = 0;
    for now in (day - 90_000..day + 60_000).step_by(50) {
        for (nth, (kit, set)) in fleet.gateways.iter().enumerate() {
            let now = if nth == 0 { at(now) } else { ahead(now) };
            let ask = || kit.ask_for(now, "acme", &[set], (Held::Requests, &[""])).is_ok();
            admitted += usize::from(ask());
        }
        fleet.tick_by(now, |nth, millis| if nth == 0 { at(millis) } else { ahead(millis) });
    }
    let mut days: Vec<(u32, u64)> = fleet.pools.iter().map(|(key, pool)| (key.2, pool.spent())).collect();
    days.sort_unstable();
    let [(first, before), (second, after)] = days[..] else { panic!("two days: {days:?}") };
    assert_eq!(second, first + 1);
    for spent in [before, after] {
        assert!((590..=600 + 2 * 35).contains(&spent), "{days:?}");
    }
    assert!(admitted as u64 >= before + after, "{admitted}: the store never knows of more than there was");
}

#[test]
fn who_is_idle_gives_back_and_is_dropped() {
    let mut fleet = Fleet::new(1, &plan(vec![leased(rate("50/s", 50), 20, 5)]));
    let _ = fleet.run(0..500, "acme", &[1]);
    for millis in (500..30_000).step_by(50) {
        fleet.tick(millis);
    }
    assert_eq!(fleet.tick(30_000), 0, "nothing more to say");
    let ledger = &fleet.gateways[0].0.ledger;
    let _ = ledger.take_changes();
    assert_eq!(ledger.sweep(at(30_000), usize::MAX).dropped + ledger.sweep(at(30_000), usize::MAX).dropped, 1);
    let pool = fleet.pools.values().next().unwrap();
    let budget = Budget::Rate(Bucket::new("50/s".parse().unwrap(), 50).unwrap());
    assert_eq!(pool.available(at(30_000).nanos, &budget), 50);
}
