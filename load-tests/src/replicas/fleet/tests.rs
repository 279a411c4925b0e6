//! A fleet with a client before it; the script's moments lie at its very beginning, so nothing is waited out.

use super::*;
use crate::client::Client;
use crate::replicas::{Mode, Work};

/// Two replicas. The first does what the script says; then the second resets the connection that it has, which tells.
fn after(script: &[Mode]) -> Fleet {
    let moments = |script: &[Mode]| script.iter().map(|mode| (Duration::ZERO, *mode)).collect();
    let plan = Plan::even(2, Work::None, 1, 1)
        .with(0, |replica| replica.script = moments(script))
        .with(1, |replica| replica.script = moments(&[Mode::Resetting, Mode::Serving]));
    let fleet = Fleet::start(plan).unwrap();
    let mut witness = Client::connect(fleet.addresses()[1]).unwrap();
    assert_eq!(witness.get("/health").unwrap().status, 200);
    fleet.begin(Instant::now());
    assert!(witness.answer().is_err());
    fleet
}

fn ask(fleet: &Fleet, replica: usize, path: &str) -> Option<u16> {
    let mut client = Client::connect(fleet.addresses()[replica]).ok()?;
    client.get(path).ok().map(|answer| answer.status)
}

#[test]
fn a_replica_that_is_down_refuses_and_the_others_serve() {
    let fleet = after(&[Mode::Down]);
    assert!(Client::connect(fleet.addresses()[0]).is_err());
    assert_eq!(ask(&fleet, 1, "/r/1"), Some(200));
    let observed = fleet.stop().unwrap();
    let attempts = |replica| observed.attempts(replica, Duration::ZERO, Duration::from_secs(60));
    assert_eq!((attempts(0), attempts(1)), (0, 1));
}

#[test]
fn a_replica_returns_on_its_port() {
    let fleet = after(&[Mode::Down, Mode::Serving]);
    assert_eq!(ask(&fleet, 0, "/r/1"), Some(200));
}

#[test]
fn a_resetting_replica_counts_what_it_resets() {
    let fleet = after(&[Mode::Resetting]);
    assert_eq!((ask(&fleet, 0, "/r/1"), ask(&fleet, 0, "/health")), (None, None));
    assert_eq!(fleet.stop().unwrap().attempts(0, Duration::ZERO, Duration::from_secs(60)), 1);
}

#[test]
fn a_failing_replica_passes_its_health_check() {
    let fleet = after(&[Mode::Failing]);
    assert_eq!((ask(&fleet, 0, "/health"), ask(&fleet, 0, "/r/1")), (Some(200), Some(500)));
}

#[test]
fn what_a_killed_replica_held_is_known_by_number() {
    let work = Work::Exponential(Duration::from_secs(3600));
    let script = vec![(Duration::ZERO, Mode::Down)];
    let fleet = Fleet::start(Plan::even(1, work, 1, 1).with(0, |replica| replica.script = script)).unwrap();
    let mut clients: Vec<_> = (0..3).map(|_| Client::connect(fleet.addresses()[0]).unwrap()).collect();
    for (client, id) in clients.iter_mut().zip(77..) {
        client.send(&format!("GET /r/{id} HTTP/1.1\r\nHost: rig.test\r\n\r\n")).unwrap();
    }
    fleet.begin(Instant::now());
    assert!(clients.iter_mut().all(|client| client.answer().is_err()));
    assert_eq!(fleet.stop().unwrap().held, HashSet::from([77, 78, 79]));
}

#[test]
fn attempts_are_told_apart_by_time() {
    let mut observed = Observed::new(2);
    for (replica, moment) in [(0, 50), (0, 199), (0, 200), (1, 1000), (2, 0)] {
        observed.count(replica, Duration::from_millis(moment));
    }
    let count = |replica, from, to| observed.attempts(replica, Duration::from_millis(from), Duration::from_millis(to));
    assert_eq!(
        [count(0, 0, 200), count(0, 100, 300), count(1, 0, 900), count(1, 0, 5000), count(2, 0, 1)],
        [2, 2, 0, 1, 0]
    );
}
