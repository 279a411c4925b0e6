//! Shares and pools alone, and together in a simulation with an exact oracle.

use std::time::Duration;

use super::*;
use crate::bucket::{Bucket, FullAt};
use crate::moment::Moment;
use crate::policy::Outage;
use crate::short::Wait;

mod bounds;
mod world;

const MILLI: u64 = 1_000_000;

fn terms(most: u64, overdraft: u64) -> Terms {
    Terms { most, overdraft, ahead: Terms::AHEAD, ttl: Terms::TTL }.checked().unwrap()
}

fn at(nanos: u64) -> Moment {
    Moment { nanos, unix_millis: nanos / MILLI }
}

fn rate(rate: &str, burst: u64) -> Budget {
    Budget::Rate(Bucket::new(rate.parse().unwrap(), burst).unwrap())
}

fn alone(budget: Budget, terms: Terms) -> Stake {
    Stake { budget, terms, present: Present::ALONE }
}

fn link(up_until: u64, outage: Outage) -> Link {
    Link { up_until, gateways: 3, outage }
}

/// Spends one by one until nothing may be spent.
fn spend_all(share: &mut Share, now: u64, budget: &Budget, link: &Link) -> u64 {
    let mut spent = 0;
    while share.check(now, 1, budget, link).is_ok() {
        share.spend(now, 1, budget, link);
        spent += 1;
    }
    spent
}

/// Carries a word there and back at once.
fn talk(share: &mut Share, pool: &mut Pool, now: u64, budget: &Budget, terms: &Terms) -> Option<Grant> {
    let ask = share.ask(now, GatewayId(1), terms)?;
    let grant = pool.ask(now, &ask, &alone(*budget, *terms));
    grant.iter().for_each(|grant| share.granted(grant, terms));
    grant
}

#[test]
fn a_share_spends_its_overdraft_and_then_what_it_is_granted() {
    let (terms, budget, up) = (terms(50, 5), rate("100/s", 100), link(u64::MAX, Outage::Refuse));
    let (mut share, mut pool) = (Share::new(at(0), &terms, 0), Pool::default());
    assert_eq!(spend_all(&mut share, 10 * MILLI, &budget, &up), 5);
    let grant = talk(&mut share, &mut pool, 10 * MILLI, &budget, &terms).unwrap();
    // The overdraft is charged; 6 in 10 ms are 180 in 300 ms, of which 50 may be held.
    assert_eq!((grant.allowance, grant.left), (55, 45));
    assert_eq!(spend_all(&mut share, 11 * MILLI, &budget, &up), 50 + 5);
    // What was not given back is gone when the lease ends, and the pool has it again.
    let _ = talk(&mut share, &mut pool, 60 * MILLI, &budget, &terms).unwrap();
    let (held, until) = share.held();
    assert!(held > 0 && until == 1_060 * MILLI);
    assert_eq!(share.room(until, &budget, &up), 0, "nothing was left to overdraw");
    assert_eq!(pool.available(2_100 * MILLI, &budget), 100);
}

#[test]
fn an_idle_share_gives_back_and_is_forgotten() {
    let (terms, budget, up) = (terms(50, 5), rate("10/s", 100), link(u64::MAX, Outage::Refuse));
    let (mut share, mut pool) = (Share::new(at(0), &terms, 0), Pool::default());
    share.check(0, 1, &budget, &up).unwrap();
    share.spend(0, 1, &budget, &up);
    let mut now = 0;
    while !share.is_idle(now, &terms) {
        now += 100 * MILLI;
        assert!(now < 20_000 * MILLI);
        let _ = talk(&mut share, &mut pool, now, &budget, &terms);
    }
    assert_eq!((share.held().0, share.spent()), (0, 1));
    assert_eq!(pool.available(now, &budget), 100);
}

#[test]
fn a_pool_that_has_nothing_left_is_not_overdrawn() {
    let (terms, budget, up) = (terms(10, 4), rate("1/h", 10), link(u64::MAX, Outage::Refuse));
    let (mut share, mut pool) = (Share::new(at(0), &terms, 0), Pool::default());
    let mut spent = spend_all(&mut share, 0, &budget, &up);
    for tick in 1..100 {
        let now = tick * 100 * MILLI;
        let _ = talk(&mut share, &mut pool, now, &budget, &terms);
        spent += spend_all(&mut share, now, &budget, &up);
        assert!(!share.is_idle(now + 3_600_000 * MILLI, &terms), "else it would begin with an overdraft again");
    }
    assert_eq!(spent, 10);
    assert!(
        matches!(share.check(0, 1, &budget, &up).unwrap_err().wait, Wait::For(time) if time == Duration::from_secs(3_600))
    );
}

#[test]
fn in_an_outage_the_plan_says_what_is_allowed() {
    let (terms, budget) = (terms(50, 5), rate("90/s", 90));
    let (mut share, mut pool) = (Share::new(at(0), &terms, 0), Pool::default());
    let _ = share.check(10 * MILLI, 5, &budget, &link(u64::MAX, Outage::Refuse));
    let _ = talk(&mut share, &mut pool, 10 * MILLI, &budget, &terms);
    let (held, until) = share.held();
    let refuse = link(0, Outage::Refuse);
    assert_eq!((share.mode(until - 1, &refuse), share.mode(until, &refuse)), (Mode::Leased, Mode::Refusing));
    assert_eq!(share.room(until - 1, &budget, &refuse), held + 5);
    assert_eq!(share.room(until, &budget, &refuse), 0);
    let local = link(0, Outage::LocalShare);
    assert_eq!(share.mode(until, &local), Mode::LocalShare);
    // A third of the rate, from nothing on.
    let spent: u64 = (0..100).map(|tick| spend_all(&mut share, until + tick * 10 * MILLI, &budget, &local)).sum();
    assert_eq!(spent, 29);
    assert_eq!(share.spent(), 0, "the pool keeps that back for it");
}

#[test]
fn words_that_are_late_or_double_mean_nothing() {
    let (terms, budget, up) = (terms(50, 5), rate("100/s", 100), link(u64::MAX, Outage::Refuse));
    let (mut share, mut pool) = (Share::new(at(0), &terms, 0), Pool::default());
    let _ = spend_all(&mut share, 10 * MILLI, &budget, &up);
    let first = share.ask(10 * MILLI, GatewayId(1), &terms).unwrap();
    assert_eq!(share.ask(20 * MILLI, GatewayId(1), &terms), None, "one at a time");
    let late = pool.ask(10 * MILLI, &first, &alone(budget, terms)).unwrap();
    let second = share.ask(600 * MILLI, GatewayId(1), &terms).unwrap();
    let grant = pool.ask(600 * MILLI, &second, &alone(budget, terms)).unwrap();
    assert_eq!(pool.ask(601 * MILLI, &second, &alone(budget, terms)), None);
    assert_eq!(pool.ask(601 * MILLI, &first, &alone(budget, terms)), None);
    share.granted(&late, &terms);
    assert_eq!(share.held(), (0, 0));
    share.granted(&grant, &terms);
    share.granted(&grant, &terms);
    assert_eq!(share.held().0, grant.allowance - 5);
}

#[test]
fn a_pool_that_forgot_learns_a_quota_from_what_gateways_say() {
    let (terms, budget, up) = (terms(10, 2), Budget::Quota(100), link(u64::MAX, Outage::Refuse));
    let (mut share, mut pool) = (Share::new(at(0), &terms, 40), Pool::default());
    let _ = spend_all(&mut share, MILLI, &budget, &up);
    let grant = talk(&mut share, &mut pool, 2 * MILLI, &budget, &terms).unwrap();
    assert_eq!((pool.spent(), grant.allowance, grant.left, grant.share), (42, 12, 48, 48));
    let mut forgot = Pool::default();
    let spent = 2 + spend_all(&mut share, 3 * MILLI, &budget, &up);
    let _ = talk(&mut share, &mut forgot, 10 * MILLI, &budget, &terms);
    assert_eq!(forgot.spent(), 40 + spent);
    // A gateway that began anew, with what it saved a moment too early.
    let mut again = Share::new(at(20 * MILLI), &terms, 41);
    let _ = again.check(20 * MILLI, 1, &budget, &up);
    let _ = talk(&mut again, &mut forgot, 30 * MILLI, &budget, &terms);
    assert_eq!(forgot.spent(), 40 + spent);
}

#[test]
fn scarce_tokens_are_divided_by_demand() {
    let (terms, budget) = (terms(900, 0), rate("100/s", 100));
    let mut pool = Pool::default();
    let present = Present { known: 3, heard: 3, gone_after: Present::GONE_AFTER };
    const WANTS: [u64; 3] = [900, 90, 10];
    let mut ask = |gateway: usize, word: u64, want: u64, now: u64| {
        let ask = Ask {
            gateway: GatewayId(gateway as u64),
            life: 1,
            word,
            before: 0,
            spent: 0,
            heard: 0,
            allowance: 0,
            share: 0,
            want,
        };
        pool.ask(now, &ask, &Stake { budget, terms, present }).unwrap().allowance
    };
    // All are known after the first round; each says again that it holds nothing.
    (0..3).for_each(|gateway| assert!(ask(gateway, 1, WANTS[gateway], 0) <= 100));
    let granted: Vec<u64> = (0..3).map(|gateway| ask(gateway, 2, WANTS[gateway], 1)).collect();
    assert_eq!(granted, [90, 1, 1], "of 100, then of 10, then of 9");
}

#[test]
fn terms_that_make_no_sense_are_refused() {
    let base = Terms { most: 1, overdraft: 0, ahead: Terms::AHEAD, ttl: Terms::TTL };
    assert_eq!(Terms { most: 0, ..base }.checked(), Err(TermsError::NoneHeld));
    assert_eq!(Terms { ttl: Duration::from_millis(200), ..base }.checked(), Err(TermsError::TooShort));
    assert_eq!(Terms { ahead: Duration::ZERO, ..base }.checked(), Err(TermsError::TooShort));
    let limit = |rate: &str, burst| {
        crate::policy::Limit::Rate(crate::policy::Unit::Requests, Bucket::new(rate.parse().unwrap(), burst).unwrap())
    };
    for (limit, most, overdraft) in
        [(limit("1000/s", 1_000), 300, 37), (limit("1000/s", 20), 20, 2), (limit("1/m", 5), 1, 1)]
    {
        let terms = Terms::for_limit(&limit).checked().unwrap();
        assert_eq!((terms.most, terms.overdraft, terms.lease()), (most, overdraft, most + overdraft));
    }
}
