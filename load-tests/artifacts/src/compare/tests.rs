//! The fixture's run against changed copies of itself.

use super::*;
use crate::fixture::report;
use crate::report::WindowPair;
use crate::rulers::Ruler;
use portcullis_judge::window::Readings;

/// The fixture with the CPU of every window of these kinds times something.
fn with(own: f64, rulers: f64) -> Report {
    let mut report = report();
    let times = |window: &mut Window, by: f64| {
        let mut readings = Readings::from(window.clone());
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "nanoseconds"
        )]
        let changed = readings.cpu_ns.map(|cpu| (cpu as f64 * by) as u64);
        readings.cpu_ns = changed;
        *window = Window::new(readings).unwrap();
    };
    let pair = |pair: &mut WindowPair| {
        times(&mut pair.baseline, own);
        times(&mut pair.canary, own);
        pair.rulers.values_mut().for_each(|window| times(window, rulers));
    };
    report.twins.iter_mut().for_each(pair);
    report.pairs.iter_mut().for_each(pair);
    report.rulers = vec![Ruler::measured("nginx", Some("1.22.1".to_owned()), &report.twins, &report.pairs)];
    report
}

fn elsewhere(mut report: Report) -> Report {
    report.environment.cpu = "another processor".to_owned();
    report
}

fn compared(before: &Report, now: &Report) -> Comparison {
    Comparison::of(before, now, Side::Baseline, 1.05).unwrap()
}

#[test]
fn another_machine_that_is_slower_in_all_is_the_same_by_ratios() {
    let comparison = compared(&with(1.0, 1.0), &elsewhere(with(1.7, 1.7)));
    assert_eq!(comparison.exit(), Exit::Pass, "{}", comparison.text());
    let text = comparison.text();
    for said in ["another machine (processor: a processor before, another processor now)", "not compared", "SAME"] {
        assert!(text.contains(said), "{said}: {text}");
    }
}

#[test]
fn what_is_dearer_than_before_by_rulers_is_worse_on_every_machine_and_what_is_cheaper_is_better() {
    for place in [elsewhere, std::convert::identity] {
        let worse = compared(&with(1.0, 1.0), &place(with(1.2, 1.0)));
        assert_eq!(worse.exit(), Exit::Rollback, "{}", worse.text());
        assert!(worse.text().contains("WORSE: cpu_per_request against nginx."), "{}", worse.text());
        let better = compared(&with(1.0, 1.0), &place(with(0.8, 1.0)));
        assert_eq!((better.exit(), better.outcome()), (Exit::Pass, Change::Better), "{}", better.text());
    }
}

#[test]
fn the_canary_can_be_what_is_carried() {
    // The fixture's canary needs a quarter more than its baseline.
    let (before, now) = (with(1.0, 1.0), elsewhere(with(1.0, 1.0)));
    let comparison = Comparison::of(&before, &now, Side::Canary, 1.05).unwrap();
    assert_eq!(comparison.exit(), Exit::Rollback, "{}", comparison.text());
}

#[test]
fn without_a_common_ruler_numbers_tell_on_the_same_machine_and_nothing_on_another() {
    let bare = |own: f64| Report { rulers: Vec::new(), ..with(own, 1.0) };
    let cannot = compared(&bare(1.0), &elsewhere(bare(1.0)));
    assert_eq!(cannot.exit(), Exit::Inconclusive);
    assert!(cannot.text().contains("no ruler that both runs have"), "{}", cannot.text());
    let worse = compared(&bare(1.0), &bare(1.2));
    assert_eq!(worse.exit(), Exit::Rollback, "{}", worse.text());
    assert!(worse.text().contains("compared directly"), "{}", worse.text());
    assert_eq!(compared(&bare(1.0), &bare(1.0)).exit(), Exit::Pass);
    // A difference that is certain and small is none.
    assert_eq!(compared(&bare(1.0), &bare(1.04)).exit(), Exit::Pass);
}

#[test]
fn rulers_that_disagree_tell_nothing() {
    let two = |nginx: f64| {
        let mut report = with(1.0, 1.0);
        let mut other = report.rulers[0].clone();
        other.name = "HAProxy".to_owned();
        for ratio in &mut other.ratios {
            let Measured { value, low, high } = ratio.ratio;
            let times = |value: f64| value * nginx;
            ratio.ratio = Measured { value: times(value), low: low.map(times), high: high.map(times) };
        }
        report.rulers.push(other);
        elsewhere(report)
    };
    let comparison = compared(&two(1.0), &elsewhere(two(1.3)));
    assert_eq!(comparison.exit(), Exit::Inconclusive, "{}", comparison.text());
    assert!(comparison.text().contains("rulers disagree; worse is cpu_per_request against HAProxy"));
}

#[test]
fn other_plans_few_rounds_and_other_versions_are_said() {
    let digest = |text: &str| Report { plan_digest: Some(text.to_owned()), ..with(1.0, 1.0) };
    let plans = compared(&digest("a"), &digest("b"));
    assert_eq!(plans.exit(), Exit::Inconclusive);
    assert!(plans.text().contains("CANNOT TELL: the plans differ"), "{}", plans.text());
    assert_eq!(compared(&digest("a"), &digest("a")).exit(), Exit::Pass);

    let mut few = elsewhere(with(1.0, 1.0));
    few.rulers = vec![Ruler::measured("nginx", Some("1.28.0".to_owned()), &few.twins[..4], &[])];
    let few = compared(&with(1.0, 1.0), &few);
    assert_eq!(few.exit(), Exit::Inconclusive);
    for said in ["too few rounds", "nginx is another one: 1.22.1 before, 1.28.0 now"] {
        assert!(few.text().contains(said), "{said}: {}", few.text());
    }

    let mut out = with(1.0, 1.0);
    out.rulers = vec![Ruler::left_out("nginx", None, "it is not installed")];
    let text = compared(&with(1.0, 1.0), &out).text();
    assert!(text.contains("nginx was left out of the second run: it is not installed"), "{text}");
}

#[test]
fn a_duet_is_not_compared_with_turns_nor_a_plan_with_an_unknown_one() {
    let duet = Report { duet: true, rulers: Vec::new(), ..with(1.0, 1.0) };
    // What costs a fifth more costs it because it was measured in another way.
    let turns = Report { rulers: Vec::new(), ..with(1.2, 1.0) };
    let mixed = compared(&duet, &turns);
    assert_eq!(mixed.exit(), Exit::Inconclusive, "{}", mixed.text());
    assert!(
        mixed.text().contains("CANNOT TELL: one was measured in a duet and the other in turns"),
        "{}",
        mixed.text()
    );
    let dearer = Report { duet: true, ..turns };
    assert_eq!(compared(&duet, &dearer).exit(), Exit::Rollback, "two duets are");

    let unknown = Report { plan_digest: None, ..with(1.2, 1.0) };
    for (before, now) in [(&with(1.0, 1.0), &unknown), (&unknown, &with(1.0, 1.0)), (&unknown, &unknown)] {
        let comparison = compared(before, now);
        assert_eq!(comparison.exit(), Exit::Inconclusive, "{}", comparison.text());
        assert!(comparison.text().contains("CANNOT TELL: whether the plans are the same is not told"));
    }
}

/// The fixture, of whose baseline's windows some have a request that was cut.
fn cut(windows: usize) -> Report {
    let mut report = with(1.0, 1.0);
    let pairs = report.twins.iter_mut().chain(&mut report.pairs);
    for window in pairs.map(|pair| &mut pair.baseline).take(windows) {
        let mut readings = Readings::from(window.clone());
        (readings.succeeded, readings.beyond_slo) = (readings.succeeded - 1, readings.beyond_slo.max(1));
        readings.failed.insert(portcullis_judge::window::Failure::Cut, 1);
        *window = Window::new(readings).unwrap();
    }
    report
}

#[test]
fn a_few_failures_are_chance_and_many_are_none() {
    let few = compared(&cut(0), &cut(3));
    assert_eq!(few.exit(), Exit::Pass, "{}", few.text());
    let many = compared(&cut(0), &cut(14));
    assert_eq!(many.exit(), Exit::Rollback, "{}", many.text());
    assert!(many.text().contains("WORSE: failed_cut."), "{}", many.text());
    let back = compared(&cut(14), &cut(0));
    assert_eq!(back.outcome(), Change::Better, "{}", back.text());
}

#[test]
fn what_is_worse_is_said_though_the_cost_is_open() {
    // Too few values of CPU for an interval, and no rulers.
    let open = |cut: Report| {
        let mut report = Report { rulers: Vec::new(), ..cut };
        let pairs = report.twins.iter_mut().chain(&mut report.pairs).skip(1);
        for window in pairs.flat_map(|pair| [&mut pair.baseline, &mut pair.canary]) {
            let readings = Readings { cpu_ns: None, ..Readings::from(window.clone()) };
            *window = Window::new(readings).unwrap();
        }
        report
    };
    let worse = compared(&open(cut(0)), &open(cut(14)));
    assert_eq!(worse.exit(), Exit::Rollback, "{}", worse.text());
    let same = compared(&open(cut(0)), &open(cut(0)));
    assert_eq!(same.exit(), Exit::Inconclusive, "{}", same.text());
}

#[test]
fn a_result_without_windows_is_refused() {
    let empty = crate::fixture::little();
    let refused = Comparison::of(&report(), &empty, Side::Baseline, 1.05).unwrap_err();
    assert_eq!(refused.to_string(), "the second result has no windows of the baseline: it says nothing to compare");
}
