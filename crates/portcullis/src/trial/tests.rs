//! Canaries and probations, fed by hand.

use super::*;

/// A step in which so many were sent, failed and were refused.
fn step(requests: u64, failed: u64, refused: u64) -> Step {
    Step { requests, failed, refused, ..Step::default() }
}

const CANARY: Watch = Watch::Canary { share: 0.05, lasts: Duration::from_secs(30) };
const PROBATION: Watch = Watch::Probation { lasts: Duration::from_secs(30) };

fn lead(underway: &mut Underway, steps: &[Step; 2]) {
    for tick in 1..=LEAD {
        assert!(!underway.has_begun());
        let turn = underway.feed(steps.clone());
        assert_eq!(turn, (tick == LEAD).then_some(Turn::Begin), "{tick}");
    }
    assert!(underway.has_begun());
}

#[test]
fn a_canary_that_fails_ends_within_ten_seconds_of_its_start() {
    let mut underway = Underway::new(CANARY, &[]);
    lead(&mut underway, &[step(950, 1, 10), step(50, 0, 0)]);
    let ends = (1..).find_map(|tick| underway.feed([step(950, 1, 10), step(50, 50, 0)]).map(|turn| (tick, turn)));
    let Some((ticks, Turn::End(Verdict::Harm(standing)))) = ends else { panic!("{ends:?}") };
    assert!(TICK * (LEAD + ticks) < Duration::from_secs(10), "{ticks} ticks");
    assert_eq!(standing.metric.as_str(), "failed");
    let shown = underway.shown();
    assert_eq!(shown["phase"], "watching");
    assert_eq!(shown["curve"][0]["on_trial"]["failed"], 50);
    assert!(shown["standings"][0]["evidence_of_harm"].as_f64().is_some_and(|evidence| evidence > 300.0));
}

#[test]
fn a_canary_like_the_others_is_sound_at_the_end_of_its_time() {
    let mut underway = Underway::new(CANARY, &[]);
    let alike = [step(950, 9, 19), step(50, 0, 1)];
    lead(&mut underway, &alike);
    for tick in 1..=60 {
        let turn = underway.feed(alike.clone());
        assert_eq!(turn, (tick == 60).then_some(Turn::End(Verdict::Sound)), "{tick}");
    }
}

#[test]
fn a_canary_that_nobody_calls_ends_unclear() {
    let mut underway = Underway::new(CANARY, &[]);
    let quiet = [step(3, 0, 0), Step::default()];
    lead(&mut underway, &quiet);
    let end = (0..60).find_map(|_| underway.feed(quiet.clone()));
    assert_eq!(end, Some(Turn::End(Verdict::Unclear(None))));
}

#[test]
fn a_probation_compares_after_with_before() {
    let before: Vec<[Step; 2]> = (0..100).map(|tick| [step(200, tick % 3, 5), Step::default()]).collect();
    let mut sound = Underway::new(PROBATION, &before);
    assert!(sound.has_begun());
    let end = (0..60).find_map(|tick| sound.feed([step(200, tick % 3, 5), Step::default()]));
    assert_eq!(end, Some(Turn::End(Verdict::Sound)));
    let mut bad = Underway::new(PROBATION, &before);
    let ends = (1..).find_map(|tick| bad.feed([step(200, 60, 5), Step::default()]).map(|turn| (tick, turn)));
    let Some((ticks, Turn::End(Verdict::Harm(standing)))) = ends else { panic!("{ends:?}") };
    assert!(TICK * ticks < Duration::from_secs(10) && standing.known < 0.01 && standing.new > 0.29, "{standing}");
}

#[test]
fn refusals_by_a_wrong_route_count_as_harm() {
    let mut underway = Underway::new(CANARY, &[]);
    lead(&mut underway, &[step(950, 0, 10), step(50, 0, 1)]);
    let end = (0..20).find_map(|_| underway.feed([step(950, 0, 10), step(50, 0, 40)]));
    let Some(Turn::End(Verdict::Harm(standing))) = end else { panic!("{end:?}") };
    assert_eq!(standing.metric.as_str(), "refused");
}

#[test]
fn the_curves_are_bounded() {
    let mut underway = Underway::new(Watch::Probation { lasts: Duration::from_secs(3600) }, &[]);
    let ends = (0..7200).filter(|_| underway.feed([step(1, 0, 0), Step::default()]).is_some()).count();
    assert_eq!(ends, 1);
    assert!(underway.curve.len() <= POINTS);
}
