//! Seeded simulations: what is found, and how often something is found that is not there.

mod simulate;

use crate::{Counts, Options, Trial, Verdict};
use simulate::{Harm, Traffic};

#[test]
fn twins_are_told_apart_in_at_most_one_of_a_hundred_runs() {
    let runs = 1_000;
    let false_alarms =
        (0..runs).filter(|seed| matches!(Traffic::lively(*seed).beside(Harm::None, 600), Verdict::Harm(_)));
    let count = false_alarms.count();
    assert!(count <= 10, "{count} of {runs} twins were called harmful");
}

#[test]
fn twins_after_each_other_are_told_apart_in_at_most_one_of_a_hundred_runs() {
    let runs = 1_000;
    let count =
        (0..runs).filter(|seed| matches!(Traffic::lively(*seed).after(Harm::None, 600), Verdict::Harm(_))).count();
    assert!(count <= 10, "{count} of {runs} twins were called harmful");
}

/// Half-second windows of 30 requests of which all fail, here and there.
fn bursts(pattern: impl Iterator<Item = bool>) -> Vec<Counts> {
    pattern.map(|bad| Counts { requests: 30, failed: if bad { 30 } else { 0 }, ..Counts::default() }).collect()
}

#[test]
fn an_outage_before_the_change_does_not_hide_one_that_stays() {
    for (before, outage) in [(240, 12), (20, 4), (16, 2)] {
        let before = bursts((0..before).map(|nth| (5..5 + outage).contains(&nth)));
        let mut trial = Trial::after(Options::default(), &before);
        let all_fail = bursts(std::iter::repeat_n(true, 30));
        let found = all_fail.iter().find_map(|window| trial.push(Counts::default(), *window));
        let Some(Verdict::Harm(standing)) = found else { panic!("{outage}: {:?}", trial.finish()) };
        assert!(standing.windows <= 14, "{outage}: {standing}");
    }
}

#[test]
fn bursts_that_came_and_went_before_are_no_harm_after() {
    // Six seconds of each minute fail.
    let before = bursts((0..240).map(|nth| nth % 120 < 12));
    let mut trial = Trial::after(Options::default(), &before);
    let after = bursts((0..600).map(|nth| nth % 120 < 12));
    assert_eq!(after.iter().find_map(|window| trial.push(Counts::default(), *window)), None);
}

#[test]
fn a_bad_generation_is_found_within_a_dozen_windows() {
    for seed in 0..200 {
        for harm in [Harm::Failures(0.5), Harm::Refusals(0.5), Harm::Slowness(0.5)] {
            let verdict = Traffic::lively(seed).beside(harm, 14);
            assert!(matches!(verdict, Verdict::Harm(standing) if standing.windows <= 14), "{harm:?}: {verdict:?}");
            let verdict = Traffic::lively(seed).after(harm, 14);
            assert!(matches!(verdict, Verdict::Harm(_)), "{harm:?}: {verdict:?}");
        }
    }
}

#[test]
fn a_small_harm_is_found_in_nine_of_ten_runs() {
    let found =
        (0..200).filter(|seed| matches!(Traffic::lively(*seed).beside(Harm::Failures(0.03), 600), Verdict::Harm(_)));
    assert!(found.count() >= 180);
}

#[test]
fn twins_with_traffic_are_called_sound() {
    let sound = (0..200).filter(|seed| Traffic::lively(*seed).beside(Harm::None, 60) == Verdict::Sound).count();
    assert!(sound >= 180, "{sound} of 200");
}

#[test]
fn without_traffic_nothing_is_told() {
    let mut trial = Trial::beside(Options::default());
    let few = Counts { requests: 1, failed: 1, ..Counts::default() };
    assert!((0..19).all(|_| trial.push(few, few).is_none()));
    assert_eq!(trial.finish(), Verdict::Unclear(None));
    assert!(trial.finish().to_string().contains("not enough traffic"));
}

#[test]
fn small_windows_are_put_together() {
    let mut trial = Trial::beside(Options { least: 20, ..Options::default() });
    let (good, bad) =
        (Counts { requests: 5, ..Counts::default() }, Counts { requests: 5, failed: 5, ..Counts::default() });
    let verdict = (0..60).find_map(|_| trial.push(good, bad));
    let Some(Verdict::Harm(standing)) = verdict else { panic!("{verdict:?}") };
    assert_eq!((standing.windows, standing.beyond), (11, 11));
    assert!(Verdict::Harm(standing).to_string().contains("failed: 0.00 % before and 100.00 % now"));
}

#[test]
fn groups_that_differed_before_are_no_harm() {
    let one_bad_caller = Counts { requests: 100, failed: 10, ..Counts::default() };
    let others = Counts { requests: 900, ..Counts::default() };
    let mut led = Trial::beside(Options::default());
    (0..12).for_each(|_| led.lead(others, one_bad_caller));
    assert_eq!(led.led(), 12);
    assert!((0..100).all(|_| led.push(others, one_bad_caller).is_none()));
    assert_eq!(led.finish(), Verdict::Sound);
    let mut not_led = Trial::beside(Options::default());
    assert!((0..100).any(|_| not_led.push(others, one_bad_caller).is_some()));
}
