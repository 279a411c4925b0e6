//! Fleets follow sources and overrides, and keep what is known of the endpoints that stay.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use portcullis_balance::{Ask, EndpointSpec, NoEndpoint, SetOptions, Tuning};
use portcullis_filter::seam::FoundEndpoint;
use portcullis_telemetry::{Metrics, MetricsOptions};
use portcullis_types::ClusterName;

use super::overrides::Action;
use super::{Fleet, FleetPlan, Fleets, Mould, Override, OverrideError, Part, SourceKey};

fn fleets() -> Arc<Fleets> {
    Fleets::new(Arc::new(Metrics::new(&prometheus::Registry::new(), MetricsOptions::default()).unwrap()))
}

fn address(last: u8) -> String {
    format!("10.0.0.{last}:80")
}

fn found(lasts: &[u8]) -> Vec<FoundEndpoint> {
    lasts.iter().map(|last| FoundEndpoint::new(address(*last).parse().unwrap())).collect()
}

fn fixed(last: u8) -> Part {
    Part::Fixed(EndpointSpec::new(address(last).as_str().into(), address(last).parse().unwrap()))
}

fn fed(fleets: &Arc<Fleets>) -> Part {
    let key = SourceKey::Name { host: "api.test".into(), port: 80 };
    Part::Fed { feed: fleets.feed(&key), mould: Mould::default() }
}

fn plan(parts: Vec<Part>) -> FleetPlan {
    FleetPlan { parts, options: SetOptions::default(), tuning: Tuning::default(), subsets: Vec::new() }
}

fn fleet(fleets: &Arc<Fleets>, parts: Vec<Part>, before: Option<&Fleet>) -> Arc<Fleet> {
    fleets.fleet(&ClusterName::from("web"), plan(parts), before, Instant::now()).unwrap()
}

fn now_in(fleet: &Fleet) -> Vec<(String, u32)> {
    let members = fleet.members();
    let specs = members.endpoints.endpoints().iter().map(|endpoint| endpoint.spec());
    specs.map(|spec| (spec.name.to_string(), spec.weight)).collect()
}

fn names(fleet: &Fleet) -> Vec<String> {
    now_in(fleet).into_iter().map(|(name, _)| name).collect()
}

fn one(endpoint: &str, action: Action, lasts: Duration) -> (Override, Instant) {
    let now = Instant::now();
    let reason = "a test".to_owned();
    (Override { endpoint: endpoint.into(), action, reason, since: SystemTime::now(), until: now + lasts }, now)
}

fn added() -> Action {
    Action::Add { weight: 3, priority: 0, zone: None, labels: std::collections::BTreeMap::new() }
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn a_source_that_answers_changes_the_endpoints_and_keeps_the_states_of_those_that_stay() {
    let fleets = fleets();
    let fleet = fleet(&fleets, vec![fixed(1), fed(&fleets)], None);
    assert_eq!(names(&fleet), [address(1)]);
    let feed = fleets.feeds().pop().unwrap();
    let mut changed = fleet.changed();
    feed.publish(found(&[2, 3]), Instant::now());
    assert!(changed.has_changed().unwrap());
    changed.mark_unchanged();
    assert_eq!(names(&fleet), [address(1), address(2), address(3)]);
    let before = fleet.members();
    feed.publish(found(&[3, 4]), Instant::now());
    let after = fleet.members();
    assert_eq!(names(&fleet), [address(1), address(3), address(4)]);
    let state = |members: &super::Members, at: usize| members.endpoints.endpoints()[at].state().clone();
    assert!(Arc::ptr_eq(&state(&before, 2), &state(&after, 1)), "the endpoint that stays has another state");
    assert_eq!(before.endpoints.endpoints().len(), 3, "what a request holds has changed");
    changed.mark_unchanged();
    feed.publish(found(&[3, 4]), Instant::now());
    assert!(!changed.has_changed().unwrap(), "the same answer made new endpoints");
}

#[test]
fn a_source_that_fails_keeps_its_endpoints_and_says_so() {
    let fleets = fleets();
    let fleet = fleet(&fleets, vec![fed(&fleets)], None);
    let feed = fleets.feeds().pop().unwrap();
    let now = Instant::now();
    assert_eq!((feed.status(now).as_str(), feed.status(now).to_string().as_str()), ("waiting", "no answer yet"));
    let none = fleet.members().endpoints.choose(&Ask::new(now, 0));
    assert_eq!(none.err(), Some(NoEndpoint::Empty));
    feed.publish(found(&[1]), now);
    feed.fail("no such name".to_owned(), now + MINUTE);
    assert_eq!(names(&fleet), [address(1)]);
    let status = feed.status(now + MINUTE * 2);
    assert_eq!(status.as_str(), "failing");
    assert_eq!(status.to_string(), "failing for 1m: no such name; keeps the 1 endpoint of its last answer, 2m ago");
    feed.publish(found(&[2]), now + MINUTE * 3);
    assert_eq!((feed.status(now + MINUTE * 3).as_str(), names(&fleet)), ("answered", vec![address(2)]));
}

#[test]
fn a_reload_finds_what_the_source_answered_before() {
    let fleets = fleets();
    let first = fleet(&fleets, vec![fed(&fleets)], None);
    fleets.feeds().pop().unwrap().publish(found(&[1, 2]), Instant::now());
    let second = fleet(&fleets, vec![fed(&fleets), fixed(9)], Some(&first));
    assert_eq!(names(&second), [address(1), address(2), address(9)]);
    fleets.feeds().pop().unwrap().publish(found(&[2]), Instant::now());
    assert_eq!(names(&second), [address(2), address(9)]);
    assert_eq!(names(&first), [address(2)], "requests of the older generation follow too");
    drop((first, second));
    assert!(fleets.feeds().is_empty(), "a source that nobody names is still followed");
}

#[test]
fn overrides_win_over_config_and_sources_and_outlive_reloads_and_end() {
    let fleets = fleets();
    let first = fleet(&fleets, vec![fixed(1), fixed(2), fed(&fleets)], None);
    fleets.feeds().pop().unwrap().publish(found(&[3]), Instant::now());
    let change = |endpoint: &str, action, lasts| {
        let (one, now) = one(endpoint, action, lasts);
        first.change(one, now)
    };
    assert_eq!(change(&address(1), Action::Drain, MINUTE), Ok(()));
    assert_eq!(change(&address(2), Action::Weigh(7), MINUTE * 2), Ok(()));
    assert_eq!(change(&address(3), Action::Remove, MINUTE * 3), Ok(()));
    assert_eq!(change(&address(4), added(), MINUTE * 3), Ok(()));
    let expected = [(address(1), 0), (address(2), 7), (address(4), 3)];
    assert_eq!(now_in(&first), expected);
    let second = fleet(&fleets, vec![fixed(1), fixed(2), fed(&fleets), fixed(9)], Some(&first));
    assert_eq!(now_in(&second), [expected[0].clone(), expected[1].clone(), (address(9), 1), expected[2].clone()]);
    let now = Instant::now();
    let next = fleets.expire(now + MINUTE).unwrap();
    assert!(next > now + MINUTE && next <= now + MINUTE * 2);
    assert_eq!(now_in(&second)[0], (address(1), 1));
    assert!(second.restore(&address(2), now));
    assert!(!second.restore(&address(2), now));
    assert_eq!(now_in(&second)[1], (address(2), 1));
    assert_eq!(fleets.expire(now + MINUTE * 4), None);
    assert_eq!(names(&second), [address(1), address(2), address(3), address(9)]);
}

#[test]
fn an_override_that_means_nothing_is_refused() {
    let fleets = fleets();
    let fleet = fleet(&fleets, vec![fixed(1)], None);
    let check = |endpoint: &str, action, lasts, expected: OverrideError| {
        let (one, now) = one(endpoint, action, lasts);
        assert_eq!(fleet.change(one, now), Err(expected), "{endpoint}");
    };
    let unknown = OverrideError::Unknown { endpoint: address(7), known: vec![address(1)] };
    check(&address(7), Action::Drain, MINUTE, unknown);
    check(&address(1), added(), MINUTE, OverrideError::Known { endpoint: address(1) });
    check("api.test:80", added(), MINUTE, OverrideError::NoAddress { endpoint: "api.test:80".to_owned() });
    check(&address(1), Action::Drain, Duration::from_millis(1), OverrideError::Lasts);
    check(&address(1), Action::Drain, MINUTE * 60 * 24 * 8, OverrideError::Lasts);
    let (add, now) = one(&address(2), added(), MINUTE);
    fleet.change(add, now).unwrap();
    check(&address(2), Action::Drain, MINUTE, OverrideError::Added { endpoint: address(2) });
    assert_eq!(fleet.overrides().len(), 1);
}

#[test]
fn a_cluster_that_is_drained_to_the_last_has_nothing_to_choose_and_comes_back() {
    let fleets = fleets();
    let fleet = fleet(&fleets, vec![fixed(1)], None);
    let (drain, now) = one(&address(1), Action::Drain, MINUTE);
    fleet.change(drain, now).unwrap();
    assert!(fleet.members().endpoints.choose(&Ask::new(now, 0)).is_err());
    fleets.expire(now + MINUTE);
    assert!(fleet.members().endpoints.choose(&Ask::new(now, 0)).is_ok());
}

#[test]
fn endpoints_that_make_no_set_leave_those_before_in_place() {
    let fleets = fleets();
    let fleet = fleet(&fleets, vec![fed(&fleets)], None);
    let feed = fleets.feeds().pop().unwrap();
    feed.publish(found(&[1]), Instant::now());
    let heavy = |last| FoundEndpoint { weight: Some(u32::MAX), ..found(&[last]).remove(0) };
    feed.publish(vec![heavy(2), heavy(3)], Instant::now());
    assert_eq!(names(&fleet), [address(1)]);
    assert!(fleet.trouble().unwrap().contains("weights"), "{:?}", fleet.trouble());
    feed.publish(found(&[4]), Instant::now());
    assert_eq!((names(&fleet), fleet.trouble()), (vec![address(4)], None));
}
