//! The loop with a replica that takes no time, or with nobody, behind it.

use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Socket, Type};

use super::*;
use crate::open_loop::Arrivals;
use crate::replicas::{Fleet, Plan, Work};

/// 99 requests, half a millisecond apart.
fn load(to: SocketAddr, method: Method<'static>) -> Load<'static> {
    Load {
        to,
        method,
        rate: 2000.0,
        arrivals: Arrivals::Constant,
        length: Duration::from_millis(50),
        warm_up: Duration::ZERO,
        objective: Duration::from_secs(60),
        in_flight: 1000,
        seed: 1,
    }
}

fn fleet() -> Fleet {
    Fleet::start(Plan::even(1, Work::None, 1, 1)).unwrap()
}

#[test]
fn every_planned_request_is_sent_and_counted_once() {
    for method in [Method::Get, Method::Post] {
        let fleet = fleet();
        let start = Instant::now();
        fleet.begin(start);
        let tally = run(&load(fleet.addresses()[0], method), start).unwrap();
        assert_eq!((tally.good, tally.beyond, tally.delayed), (99, 0, 0), "{method:?}");
        let observed = fleet.stop().unwrap();
        assert_eq!(observed.attempts(0, Duration::ZERO, Duration::from_secs(60)), 99, "{method:?}");
    }
}

#[test]
fn requests_that_nobody_takes_have_failed() {
    // Bound and not listening: refused, and nobody else's meanwhile.
    let port = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    port.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = port.local_addr().unwrap().as_socket().unwrap();
    let tally = run(&load(address, Method::Get), Instant::now()).unwrap();
    assert_eq!((tally.good, tally.beyond), (0, 99));
    let mut ids: Vec<_> = tally.failed.iter().map(|failed| failed.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=99).collect::<Vec<_>>());
    assert!(tally.failed.iter().all(|failed| failed.status.is_none()));
}

#[test]
fn what_the_bound_in_flight_delays_waits_inside_its_latency() {
    let fleet = fleet();
    let start = Instant::now();
    let all_at_once =
        Load { rate: 1e9, length: Duration::from_nanos(500), in_flight: 1, ..load(fleet.addresses()[0], Method::Get) };
    // The start has passed, so all are due.
    let planned = Schedule::new(all_at_once.arrivals, all_at_once.rate, all_at_once.length, 1).count() as u64;
    let tally = run(&all_at_once, start).unwrap();
    assert_eq!((tally.requests(), tally.delayed, tally.most_in_flight), (planned, planned - 1, 1));
    assert!(tally.quantile(0.5).is_some_and(|middle| tally.longest() > middle), "{:?}", tally.longest());
}
