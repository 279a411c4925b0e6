//! Who is throttled, for how long, and who never is.

use super::*;
use std::time::Duration;

fn throttle() -> Throttle {
    Throttle::new(Rules { failures: 5, tracked: 512, columns: 1024, ..Rules::default() }, 1)
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + millis)
}

fn client(n: u32) -> IpAddr {
    std::net::Ipv4Addr::from(n).into()
}

/// Fails until it is no longer open; says how often that was.
fn fail_until_punished(throttle: &Throttle, who: IpAddr, now: Timestamp) -> (u32, Standing) {
    let mut times = 0;
    loop {
        times += 1;
        let standing = throttle.failed(who, now);
        if standing != Standing::Open || times == 20 {
            return (times, standing);
        }
    }
}

#[test]
fn some_failures_are_let_be_and_then_the_network_is_throttled() {
    let throttle = throttle();
    let who = client(0xcb00_7101);
    // Two in the sketch before it is counted exactly, five that are let be, and the one that is too much.
    assert_eq!(fail_until_punished(&throttle, who, at(0)), (8, Standing::Throttled { until: at(1000) }));
    assert_eq!(throttle.standing(who, at(999)), Standing::Throttled { until: at(1000) });
    assert_eq!(throttle.standing(who, at(1000)), Standing::Open);
    assert!(!Standing::Throttled { until: at(0) }.may_verify() && Standing::Open.may_verify());
}

#[test]
fn neighbours_share_a_network_and_others_do_not() {
    let throttle = throttle();
    for (offender, neighbour, other) in [
        ("203.0.113.1", "203.0.113.200", "203.0.114.1"),
        ("::ffff:198.51.100.1", "198.51.100.2", "198.51.101.1"),
        ("2001:db8:1::1", "2001:db8:1:ffff::9", "2001:db8:2::1"),
    ] {
        let [offender, neighbour, other] = [offender, neighbour, other].map(|one| one.parse().expect("an address"));
        fail_until_punished(&throttle, offender, at(0));
        assert!(matches!(throttle.standing(neighbour, at(1)), Standing::Throttled { .. }), "{neighbour}");
        assert_eq!(throttle.standing(other, at(1)), Standing::Open, "{other}");
    }
    let wide = Throttle::new(Rules { v4_prefix: 32, ..throttle.rules().clone() }, 1);
    fail_until_punished(&wide, client(1), at(0));
    assert_eq!(wide.standing(client(2), at(1)), Standing::Open);
}

#[test]
fn penalties_double_to_a_bound_and_end_in_a_ban() {
    let throttle = throttle();
    let who = client(7);
    fail_until_punished(&throttle, who, at(0));
    let mut now = at(1000);
    for seconds in [2, 4, 8, 16, 32, 64] {
        let until = now.plus(Duration::from_secs(seconds));
        // It goes on failing each second, which makes the penalty no longer.
        assert_eq!(throttle.failed(who, now), Standing::Throttled { until });
        for second in 1..seconds {
            assert_eq!(throttle.failed(who, now.plus(Duration::from_secs(second))), Standing::Throttled { until });
        }
        now = until;
    }
    let until = now.plus(Duration::from_secs(900));
    assert_eq!(throttle.failed(who, now), Standing::BannedItself { until });
    assert_eq!(throttle.standing(who, Timestamp::from_millis(until.millis() - 1)), Standing::BannedItself { until });
    assert_eq!(throttle.standing(who, until), Standing::Open);
}

#[test]
fn who_stops_while_throttled_starts_anew() {
    let throttle = throttle();
    fail_until_punished(&throttle, client(7), at(0));
    // Five of the six leak out in a minute.
    let (times, _) = fail_until_punished(&throttle, client(7), at(61_000));
    assert_eq!(times, 5);
}

#[test]
fn every_quiet_window_takes_one_doubling_back() {
    for (quiet_windows, seconds) in [(0, 8), (1, 4), (2, 2), (3, 1), (50, 1)] {
        let throttle = throttle();
        let who = client(7);
        fail_until_punished(&throttle, who, at(0));
        throttle.failed(who, at(1000));
        throttle.failed(who, at(3000));
        // The third penalty, of four seconds, ends at seven.
        let again = at(7000 + quiet_windows * 60_000);
        let (_, standing) = fail_until_punished(&throttle, who, again);
        assert_eq!(
            standing,
            Standing::Throttled { until: again.plus(Duration::from_secs(seconds)) },
            "{quiet_windows}"
        );
    }
}

#[test]
fn failures_that_are_far_apart_are_never_punished() {
    let throttle = throttle();
    // Five a minute are let be; one each 13 seconds is less.
    for n in 0..1000 {
        assert_eq!(throttle.failed(client(7), at(n * 13_000)), Standing::Open);
    }
}

#[test]
fn a_clock_that_goes_back_harms_nobody() {
    let throttle = throttle();
    fail_until_punished(&throttle, client(7), at(100_000));
    assert!(matches!(throttle.failed(client(7), at(0)), Standing::Throttled { .. }));
    assert_eq!(throttle.failed(client(0x0900_0000), at(0)), Standing::Open);
    assert_eq!(throttle.standing(client(7), at(101_000)), Standing::Open);
}

#[test]
fn bans_are_listed_with_reason_since_and_until_and_can_be_lifted() {
    let throttle = throttle();
    let network = |text: &str| text.parse::<IpNet>().expect("a network");
    fail_until_punished(&throttle, client(0xcb00_7101), at(0));
    throttle.failed(client(0xcb00_7102), at(1));
    throttle.ban(network("198.51.100.9/16"), None, "abuse report 7", at(5)).expect("room");
    throttle.ban(network("2001:db8::/32"), Some(at(500)), "", at(6)).expect("room");
    let seen = throttle.standing("198.51.3.4".parse().expect("an address"), at(7));
    assert_eq!(seen, Standing::Banned { until: None });
    assert_eq!(
        throttle.failed("2001:db8:9::1".parse().expect("an address"), at(7)),
        Standing::Banned { until: Some(at(500)) }
    );
    let listed = throttle.bans(at(10));
    let shown: Vec<_> =
        listed.iter().map(|ban| (ban.network.to_string(), ban.kind, ban.since, ban.until, ban.refused)).collect();
    assert_eq!(
        shown,
        [
            ("198.51.0.0/16".to_owned(), BanKind::Operator, at(5), None, 0),
            ("203.0.113.0/24".to_owned(), BanKind::Throttled, at(0), Some(at(1000)), 1),
            ("2001:db8::/32".to_owned(), BanKind::Operator, at(6), Some(at(500)), 1),
        ]
    );
    assert_eq!(&*listed[0].reason, "abuse report 7");
    assert_eq!(&*listed[1].reason, "failed authentication, penalty 1 in a row");
    for (text, lifted) in
        [("198.51.0.0/16", true), ("203.0.113.0/24", true), ("203.0.113.0/24", false), ("10.0.0.0/8", false)]
    {
        assert_eq!(throttle.lift(network(text)), lifted, "{text}");
    }
    assert_eq!(throttle.bans(at(499)).len(), 1);
    assert_eq!(throttle.bans(at(500)), []);
    assert_eq!(throttle.standing(client(0xcb00_7101), at(11)), Standing::Open);
    assert_eq!((throttle.stats().banned, throttle.stats().tracked), (0, 0));
}

#[test]
fn bans_that_cannot_be_are_refused() {
    let throttle = throttle();
    let network = |text: &str| text.parse::<IpNet>().expect("a network");
    assert_eq!(throttle.ban(network("0.0.0.0/0"), None, "", at(0)), Err(BanError::Everybody));
    assert_eq!(throttle.ban(network("10.0.0.0/8"), None, "a\nb", at(0)), Err(BanError::Reason));
    for n in 0..10_000_u32 {
        let one = IpNet::from(client(n));
        throttle.ban(one, Some(at(100)), "", at(0)).expect("room");
    }
    assert_eq!(throttle.ban(network("10.0.0.0/8"), None, "", at(99)), Err(BanError::TooMany));
    assert_eq!(throttle.ban(network("10.0.0.0/8"), None, "", at(100)), Ok(()), "those that are over make room");
}

#[test]
fn memory_is_bounded_under_a_million_addresses_and_nobody_is_punished_for_one_failure() {
    // The bench does it with ten million.
    const ADDRESSES: u32 = 1_000_000;
    let mut throttle = None;
    let made =
        allocation_counter::measure(|| throttle = Some(Throttle::new(Rules { v4_prefix: 32, ..Rules::default() }, 1)));
    assert!(made.bytes_current < 7 << 20, "{}", made.bytes_current);
    let throttle = throttle.expect("it was made");
    let attacker = client(0xcb00_7101);
    let mut attacked = 0;
    let flood = allocation_counter::measure(|| {
        for n in 0..ADDRESSES {
            let now = at(u64::from(n) / 100);
            assert_eq!(throttle.failed(client(n), now), Standing::Open);
            // One that fails a hundred times a second among a hundred thousand others.
            if n % 1000 == 0 {
                attacked += u32::from(throttle.failed(attacker, now) != Standing::Open);
            }
        }
    });
    assert_eq!(flood.count_total, 0, "it takes no memory beyond what it began with");
    assert!(attacked > 950, "the one that goes on is found among them: {attacked}");
    let stats = throttle.stats();
    assert!(stats.tracked <= stats.capacity && stats.evicted > 0, "{stats:?}");
}

#[test]
fn who_is_under_a_penalty_is_not_pushed_out() {
    let throttle = throttle();
    fail_until_punished(&throttle, client(0xcb00_7101), at(0));
    for n in 0..100_000_u32 {
        throttle.failed(client(n << 8), at(1));
        throttle.failed(client(n << 8), at(1));
        throttle.failed(client(n << 8), at(1));
    }
    assert!(matches!(throttle.standing(client(0xcb00_7101), at(2)), Standing::Throttled { .. }));
    assert!(throttle.stats().evicted > 1000);
}

#[test]
fn newcomers_that_find_no_room_are_counted() {
    let throttle = throttle();
    for n in 0..2000_u32 {
        fail_until_punished(&throttle, client(n << 8), at(0));
    }
    let stats = throttle.stats();
    assert_eq!(stats.capacity, 512);
    assert!(stats.untracked > 0 && stats.tracked <= 512, "{stats:?}");
}

#[test]
fn a_good_caller_is_not_slowed_by_a_flood() {
    // What a request with a good key asks of this module is `banned`, which looks at one number.
    let throttle = throttle();
    fail_until_punished(&throttle, client(7), at(0));
    assert!(!throttle.banned(client(7), at(1)), "a throttled network is not banned: its good keys pass");
    let quiet = allocation_counter::measure(|| assert!(!throttle.banned(client(8), at(1))));
    assert_eq!(quiet.count_total, 0);
}

#[test]
fn bans_of_operators_outlive_a_change_of_the_rules() {
    let old = Throttle::new(Rules::default(), 1);
    let (network, client) = ("203.0.113.0/24".parse().expect("a network"), [203, 0, 113, 9].into());
    let now = Timestamp::from_seconds(1000);
    old.ban(network, None, "abuse", now).expect("a ban");
    let new = old.with_rules(Rules { failures: 1, ..Rules::default() }, 2);
    assert!(new.banned(client, now));
    assert!(new.lift(network));
    assert!(!old.banned(client, now) && !new.banned(client, now));
}
