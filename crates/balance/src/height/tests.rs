//! Nodes that follow one chain: laggards, liars, forks, restarts, silence.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::{
    Algorithm, Ask, BeforeFirstCheck, CheckFailure, Draws, EndpointIdx, EndpointSet, EndpointSpec, HealthMachine,
    HealthPolicy, LoadBound, Place, Resort, SetOptions, Tuning,
};

mod properties;

const POLL: Duration = Duration::from_millis(400);
const POLICY: HeightPolicy =
    HeightPolicy { unit: "slot", max_lag: 50, pace: POLL, fresh: Duration::from_millis(1_600) };
const BASE: u64 = 312_345_000;

fn health() -> HealthPolicy {
    HealthPolicy {
        interval: POLL,
        timeout: POLL,
        unhealthy_after: 3.try_into().unwrap(),
        healthy_after: 2.try_into().unwrap(),
        jitter: portcullis_types::Percent::default(),
        before_first_check: BeforeFirstCheck::Available,
    }
}

fn options(algorithm: Algorithm) -> crate::TunedOptions {
    let options = SetOptions { algorithm, health: Some(health()), ..SetOptions::default() };
    options.tuned(Tuning { heights: Some(POLICY), ..Tuning::default() })
}

fn specs(priorities: &[u8]) -> Vec<EndpointSpec> {
    let one = |(nth, priority): (u8, &u8)| EndpointSpec {
        priority: *priority,
        ..EndpointSpec::new(format!("n{nth}").as_str().into(), ([10, 0, 0, nth], 8899).into())
    };
    (0_u8..).zip(priorities).map(one).collect()
}

/// What a node answers to a poll; `None` is silence.
type Word = Option<(u64, OwnWord)>;

/// A cluster of nodes and its clock.
struct Nodes {
    set: Arc<EndpointSet>,
    start: Instant,
    now: Instant,
    told: Vec<HeightEvent>,
}

impl Nodes {
    fn new(count: usize) -> Self {
        Self::of(&vec![0; count], Algorithm::RoundRobin)
    }

    fn of(priorities: &[u8], algorithm: Algorithm) -> Self {
        let start = Instant::now();
        let set = EndpointSet::build(specs(priorities), options(algorithm), start).unwrap();
        Self { set, start, now: start, told: Vec::new() }
    }

    /// The slot of a node that keeps up.
    fn tip(&self) -> u64 {
        BASE + POLICY.grown(self.now - self.start)
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// One round of polls.
    fn poll(&mut self, words: &[Word]) {
        for (endpoint, word) in self.set.endpoints().iter().zip(words) {
            let result = word.map_or(Err(CheckFailure::Timeout), |(height, own)| {
                endpoint.state().sound(self.now, Sounding { height, own });
                Ok(())
            });
            HealthMachine::new(health(), Arc::clone(endpoint.state())).on_result(self.now, result);
        }
        self.pass(Duration::from_millis(100));
        self.told.extend(self.set.watch_heights(self.now));
        self.pass(POLL - Duration::from_millis(100));
    }

    /// Rounds of polls of nodes that are so far from the tip.
    fn run(&mut self, rounds: usize, off: &[i64]) {
        for _ in 0..rounds {
            let tip = self.tip();
            let words: Vec<Word> =
                off.iter().map(|off| Some((tip.saturating_add_signed(*off), OwnWord::Well))).collect();
            self.poll(&words);
        }
    }

    fn bearing(&self, nth: usize) -> Bearing {
        self.set.endpoints()[nth].state().mark().bearing().0
    }

    /// Who takes requests.
    fn used(&self) -> Vec<usize> {
        let standings = self.set.explain(self.now);
        let used: Vec<usize> =
            standings.iter().filter(|one| one.place.takes_requests()).map(|one| one.index.get()).collect();
        let mut chosen: Vec<usize> = (0..64).map(|random| self.choose(None, random)).collect();
        chosen.sort_unstable();
        chosen.dedup();
        assert_eq!(chosen, used, "what is said and what is done");
        used
    }

    fn choose(&self, least: Option<u64>, random: u64) -> usize {
        let ask = Ask { least_height: least, ..Ask::new(self.now, Draws::new(random).next()) };
        self.set.choose(&ask).unwrap().index().get()
    }

    fn says(&self, nth: usize) -> String {
        self.set.explain(self.now)[nth].to_string()
    }

    fn reference(&self) -> u64 {
        self.set.reference_height().unwrap()
    }
}

const WELL: OwnWord = OwnWord::Well;

#[test]
fn a_laggard_leaves_and_comes_back_when_it_has_caught_up() {
    let mut nodes = Nodes::new(3);
    nodes.run(5, &[0, -3, -50]);
    assert_eq!(nodes.used(), [0, 1, 2], "50 behind is not too much");
    nodes.run(1, &[0, -1, -173]);
    assert_eq!(nodes.used(), [0, 1]);
    nodes.pass(Duration::from_secs(12));
    let says = nodes.says(2);
    assert!(
        says.contains("takes no requests: behind: slot 312 344 8") && says.contains("behind the reference"),
        "{says}"
    );
    nodes.run(20, &[0, 0, -40]);
    assert_eq!(nodes.used(), [0, 1], "it must be well within");
    nodes.run(1, &[0, 0, -20]);
    assert_eq!(nodes.used(), [0, 1, 2]);
    let log: Vec<String> = nodes.told.iter().map(ToString::to_string).collect();
    assert_eq!(log.len(), 2, "{log:?}");
    assert!(log[0].contains("n2 (10.0.0.2:8899): behind: slot") && log[0].ends_with("it takes no requests"), "{log:?}");
    assert!(log[1].contains("it keeps up") && log[1].contains("it was behind for"), "{log:?}");
}

#[test]
fn the_words_are_these() {
    let mut nodes = Nodes::new(3);
    nodes.poll(&[Some((312_345_174, WELL)), Some((312_345_174, WELL)), Some((312_345_001, WELL))]);
    let standing = nodes.set.height_of(&nodes.set.endpoints()[2], nodes.now).unwrap();
    assert_eq!(standing.to_string(), "behind: slot 312 345 001, 173 behind the reference 312 345 174");
    nodes.pass(Duration::from_secs(12));
    assert_eq!(
        nodes.says(2),
        "n2 (10.0.0.2:8899) takes no requests: behind: slot 312 345 001, 173 behind the reference 312 345 174, for 12.3 s. \
         It takes requests when it is within 25 slots of the reference and says that it is well."
    );
    for (number, text) in [(0, "0"), (999, "999"), (1000, "1 000"), (12_345_678, "12 345 678")] {
        assert_eq!(Grouped(number).to_string(), text);
    }
}

#[test]
fn one_liar_far_ahead_is_named_and_moves_nothing() {
    for lead in [1_000_000, 2_000, i64::MAX / 2] {
        let mut nodes = Nodes::new(3);
        nodes.run(5, &[0, 0, 0]);
        nodes.run(20, &[0, 0, lead]);
        assert!(nodes.reference() <= nodes.tip(), "{lead}");
        assert_eq!((nodes.used(), nodes.bearing(2)), (vec![0, 1], Bearing::Ahead { out: true }), "{lead}");
        assert!(nodes.says(2).contains("ahead of all others, and not believed: slot"), "{}", nodes.says(2));
        nodes.run(1, &[0, 0, 0]);
        assert_eq!(nodes.used(), [0, 1, 2], "it has come to its senses");
    }
}

#[test]
fn a_node_of_another_chain_is_found_out_from_the_start() {
    let mut nodes = Nodes::new(4);
    nodes.run(3, &[50_000_000, 0, 0, -2]);
    assert_eq!((nodes.used(), nodes.bearing(0)), (vec![1, 2, 3], Bearing::Ahead { out: true }));
    // Two of them, and still the others are more.
    let mut nodes = Nodes::new(5);
    nodes.run(3, &[50_000_000, 50_000_000, 0, 0, -2]);
    assert_eq!(nodes.used(), [2, 3, 4]);
}

#[test]
fn the_only_node_that_goes_on_is_not_taken_for_a_liar() {
    let mut nodes = Nodes::new(3);
    nodes.run(5, &[0, 0, 0]);
    let stuck = nodes.tip();
    for _ in 0..500 {
        nodes.poll(&[Some((nodes.tip(), WELL)), Some((stuck, WELL)), Some((stuck, WELL))]);
    }
    assert_eq!((nodes.bearing(0), nodes.reference()), (Bearing::Ahead { out: false }, stuck));
    assert_eq!(nodes.used(), [0, 1, 2], "and nothing moves the reference but a second one");
    assert!(nodes.told.iter().any(|event| event.to_string().ends_with("it still takes requests")));
    // When the others say of themselves that they are behind, it alone is used.
    let behind = OwnWord::Behind(Some(500));
    nodes.poll(&[Some((nodes.tip(), WELL)), Some((stuck, behind)), Some((stuck, behind))]);
    assert_eq!(nodes.used(), [0]);
}

#[test]
fn of_two_the_higher_is_believed_as_far_as_time_allows() {
    let mut nodes = Nodes::new(2);
    nodes.run(5, &[0, 0]);
    let stuck = nodes.tip();
    for _ in 0..60 {
        nodes.poll(&[Some((nodes.tip(), WELL)), Some((stuck, WELL))]);
    }
    assert_eq!(nodes.used(), [0], "the other stands still");
    nodes.run(30, &[0, 0]);
    nodes.run(20, &[0, 1_000_000]);
    assert!(nodes.reference() <= nodes.tip());
    assert_eq!((nodes.used(), nodes.bearing(1)), (vec![0, 1], Bearing::Ahead { out: false }), "no majority");
    // Two that disagree from the start are both used.
    let mut nodes = Nodes::new(2);
    nodes.run(50, &[0, -400]);
    assert_eq!(nodes.used(), [0, 1]);
}

#[test]
fn of_two_one_that_creeps_ahead_pulls_no_faster_than_time_allows() {
    let mut nodes = Nodes::new(2);
    nodes.run(5, &[0, 0]);
    let (stuck, began) = (nodes.tip(), nodes.now);
    let mut lie = stuck;
    for _ in 0..20_000 {
        lie = lie.max(nodes.reference()) + 1;
        for (endpoint, height) in nodes.set.endpoints().iter().zip([stuck, lie]) {
            endpoint.state().sound(nodes.now, Sounding { height, own: WELL });
        }
        nodes.pass(Duration::from_millis(5));
    }
    let allowed = POLICY.grown(POLICY.at_most(nodes.now - began)) + POLICY.max_lag;
    assert!(nodes.reference() - stuck <= allowed + 2, "{} where {allowed} may be", nodes.reference() - stuck);
}

#[test]
fn a_node_that_says_it_is_behind_is_believed() {
    let mut nodes = Nodes::new(3);
    for (own, words) in [
        (OwnWord::Behind(Some(1_042)), "it says that it is 1 042 slots behind: slot"),
        (OwnWord::Behind(None), "it says that it is behind: slot"),
        (OwnWord::Unfinished(120), "it has received 120 slots that it has not worked through: slot"),
    ] {
        let tip = nodes.tip();
        nodes.poll(&[Some((tip, WELL)), Some((tip, own)), Some((tip, WELL))]);
        assert_eq!(nodes.used(), [0, 2]);
        assert!(nodes.says(1).contains(words), "{}", nodes.says(1));
        nodes.run(2, &[0, 0, 0]);
        assert_eq!(nodes.used(), [0, 2], "it may change its mind again");
        nodes.run(1, &[0, 0, 0]);
        assert_eq!(nodes.used(), [0, 1, 2]);
    }
}

#[test]
fn when_all_are_behind_the_highest_are_used() {
    let mut nodes = Nodes::new(4);
    let behind = OwnWord::Behind(None);
    let tip = nodes.tip();
    nodes.poll(&[
        Some((tip, behind)),
        Some((tip - 40, behind)),
        Some((tip - 400, behind)),
        Some((tip - 9_000, behind)),
    ]);
    assert_eq!((nodes.used(), nodes.set.resort()), (vec![0, 1], Resort::Behind));
    assert!(
        nodes.says(0).contains("takes requests although it is not well, since none is better"),
        "{}",
        nodes.says(0)
    );
    // Which ones those are is looked at all the time.
    nodes.poll(&[Some((tip, behind)), Some((tip, behind)), Some((tip + 400, behind)), Some((tip - 9_000, behind))]);
    assert_eq!(nodes.used(), [2]);
    nodes.run(3, &[0, 0, 0, 0]);
    assert_eq!((nodes.used(), nodes.set.resort()), (vec![0, 1, 2, 3], Resort::Usual));
}

#[test]
fn when_none_passes_its_checks_all_are_used() {
    let mut nodes = Nodes::new(3);
    nodes.run(3, &[0, 0, -400]);
    (0..4).for_each(|_| nodes.poll(&[None, None, None]));
    assert_eq!((nodes.used(), nodes.set.resort()), (vec![0, 1, 2], Resort::Last));
    assert!(nodes.set.explain(nodes.now).iter().all(|one| one.place == Place::Panic));
    nodes.poll(&[None, Some((nodes.tip(), WELL)), None]);
    nodes.poll(&[None, Some((nodes.tip(), WELL)), None]);
    assert_eq!((nodes.used(), nodes.set.resort()), (vec![1], Resort::Usual));
}

#[test]
fn silence_ages_what_is_known_and_clears_nobody() {
    let mut nodes = Nodes::new(3);
    nodes.run(3, &[0, 0, -400]);
    let tip = nodes.tip();
    for _ in 0..5 {
        nodes.poll(&[Some((nodes.tip(), WELL)), None, None]);
    }
    assert_eq!((nodes.bearing(1), nodes.bearing(2)), (Bearing::Unknown, Bearing::Lags));
    assert!(nodes.reference() > tip, "what is silent has no say");
    // It comes back where it was: that is behind now.
    nodes.pass(Duration::from_secs(60));
    nodes.poll(&[Some((nodes.tip(), WELL)), Some((tip, WELL)), None]);
    nodes.poll(&[Some((nodes.tip(), WELL)), Some((tip, WELL)), None]);
    assert_eq!(nodes.used(), [0]);
}

#[test]
fn a_restart_and_a_fork_are_followed_down() {
    let mut nodes = Nodes::new(3);
    nodes.run(5, &[0, 0, 0]);
    nodes.run(1, &[0, 0, -5_000]);
    assert_eq!(nodes.used(), [0, 1], "one starts anew from a snapshot");
    nodes.run(5, &[-5_000, -5_000, -5_000]);
    assert_eq!(nodes.used(), [0, 1, 2], "all do");
    assert!(nodes.reference() < nodes.tip() - 4_900);
}

#[test]
fn a_long_sleep_of_the_gateway_is_time_that_passed() {
    for count in [2, 3, 5] {
        let mut nodes = Nodes::new(count);
        let level = vec![0; count];
        nodes.run(5, &level);
        nodes.pass(Duration::from_secs(24 * 3600));
        nodes.run(3, &level);
        assert_eq!(nodes.used().len(), count);
        assert!(nodes.tip() - nodes.reference() < 5, "{}", nodes.tip() - nodes.reference());
    }
}

#[test]
fn priorities_hold() {
    let mut nodes = Nodes::of(&[0, 0, 1, 1], Algorithm::LeastLoaded);
    nodes.run(3, &[0, 0, 0, 0]);
    assert_eq!(nodes.used(), [0, 1]);
    nodes.run(1, &[0, -400, 0, 0]);
    assert_eq!(nodes.used(), [0]);
    nodes.run(1, &[-400, -400, 0, 0]);
    assert_eq!(nodes.used(), [2, 3]);
}

#[test]
fn a_height_that_is_asked_for_is_found() {
    let hash = Algorithm::Hash(LoadBound::default());
    for algorithm in [Algorithm::RoundRobin, Algorithm::Random, Algorithm::LeastLoaded, hash] {
        for count in [3, 40] {
            let name = algorithm.as_str();
            let mut nodes = Nodes::of(&vec![0; count], algorithm.clone());
            let mut off = vec![-5; count];
            (off[1], off[2]) = (0, -1);
            let tip = nodes.tip();
            nodes.run(1, &off);
            for random in 0..200 {
                assert_eq!(nodes.choose(Some(tip), random), 1, "{name}: the only one that has it");
                assert_eq!(nodes.choose(Some(tip + 10), random), 1, "{name}: none has it, so the highest");
                assert!([1, 2].contains(&nodes.choose(Some(tip - 1), random)), "{name}");
            }
            let any: std::collections::HashSet<usize> = (0..400).map(|random| nodes.choose(Some(1), random)).collect();
            assert!(any.len() > count / 2, "{name}: {any:?}");
            // The one that has it was tried.
            let skip = [EndpointIdx(1)];
            let ask = Ask { skip: &skip, least_height: Some(tip), ..Ask::new(nodes.now, 7) };
            assert_eq!(nodes.set.choose(&ask).unwrap().index().get(), 2, "{name}: then the next highest");
        }
    }
}

#[test]
fn a_liar_is_not_asked_for_a_height_that_nobody_has() {
    let mut nodes = Nodes::new(2);
    nodes.run(5, &[0, 0]);
    nodes.run(2, &[0, 1_000_000]);
    let reference = nodes.reference();
    assert_eq!(nodes.set.at_height(reference + 500), Some(0));
    assert_eq!(nodes.bearing(1), Bearing::Ahead { out: false });
    assert!((0..50).any(|random| nodes.choose(Some(reference + 500), random) == 0), "it is as high as the reference");
}

#[test]
fn what_is_asked_for_means_nothing_where_heights_are_not_followed() {
    let set = EndpointSet::build(specs(&[0, 0]), SetOptions::default(), Instant::now()).unwrap();
    let ask = |random| Ask { least_height: Some(9), ..Ask::new(Instant::now(), Draws::new(random).next()) };
    let chosen: std::collections::HashSet<usize> =
        (0..50).map(|random| set.choose(&ask(random)).unwrap().index().get()).collect();
    assert_eq!(chosen.len(), 2);
}

#[test]
fn passing_answers_tell_what_a_check_would() {
    let mut nodes = Nodes::new(2);
    nodes.run(3, &[0, 0]);
    let state = nodes.set.endpoints()[0].state().clone();
    let (asked, tip) = (nodes.now, nodes.tip());
    nodes.pass(Duration::from_millis(100));
    assert!(!state.is_told_since(asked, &POLICY), "nothing was heard");
    state.hear_height(nodes.now, tip - 32);
    assert!(!state.is_told_since(asked, &POLICY), "a finalized slot says less than is known");
    state.hear_height(nodes.now, tip + 1);
    assert!(state.is_told_since(asked, &POLICY));
    assert_eq!(state.height(), Some(tip + 1));
    nodes.pass(Duration::from_millis(100));
    assert!(!state.is_told_since(nodes.now, &POLICY), "that was before");
    // A check that finds less is right: the node began anew.
    state.sound(nodes.now, Sounding { height: tip - 900, own: WELL });
    assert_eq!(state.height(), Some(tip - 900));
}

#[test]
fn a_reload_keeps_what_is_known_and_one_without_heights_forgets_it() {
    let mut nodes = Nodes::new(3);
    nodes.run(2, &[0, 0, -400]);
    nodes.set = nodes.set.rebuild(specs(&[0, 0, 0]), options(Algorithm::RoundRobin), nodes.now).unwrap();
    assert_eq!(nodes.used(), [0, 1]);
    let plain = SetOptions { health: Some(health()), ..SetOptions::default() };
    nodes.set = nodes.set.rebuild(specs(&[0, 0, 0]), plain, nodes.now).unwrap();
    assert_eq!((nodes.used(), nodes.set.reference_height()), (vec![0, 1, 2], None));
    assert_eq!(nodes.set.endpoints()[2].state().height(), None);
}
