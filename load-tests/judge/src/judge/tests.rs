//! Verdicts on pairs that are made by hand.

use super::*;
use crate::growth::{Growth, Slope};
use crate::instructions::{Instructions, Twins};
use crate::rules::Criteria;
use crate::sample::Sample;
use crate::window::Failure;

fn quick() -> Rules {
    Rules { resamples: 1000, ..Rules::default() }
}

/// A window of a quiet machine: two percent of jitter, that differs by the number.
fn sample(number: u32) -> Sample {
    let jitter = f64::from(number * 7919 % 41) / 1000.0;
    let cpu = Some(20_000.0 * (0.98 + jitter));
    Sample { requests: 1000, cpu, memory: Some(5e7), rss: Some(10_000.0), ..Sample::default() }
}

fn pair(number: u32) -> Pair {
    Pair { baseline: sample(number), canary: sample(number + 17) }
}

/// Runs to the end: twins as they are, then pairs with a change of both sides.
fn judged(rules: Rules, change: impl Fn(u32, &mut Pair)) -> Judge {
    let mut judge = Judge::new(rules, 1).unwrap();
    for number in 0.. {
        let mut next = pair(number);
        match judge.step() {
            Step::Twins(_) => {}
            Step::Compare(_) => change(number, &mut next),
            Step::End => break,
        }
        judge.push(next);
    }
    judge
}

#[test]
fn a_canary_like_its_baseline_passes() {
    let judgement = judged(quick(), |_, _| {}).judgement(Vec::new());
    assert_eq!((judgement.verdict, judgement.pairs, judgement.twins), (Verdict::Pass, 20, 20), "{judgement:#?}");
    assert_eq!(judgement.gates, 14);
    assert_eq!(judgement.false_alarms.unwrap().alarms, 0);
    let cpu = judgement.standings.first().unwrap();
    assert!((cpu.margin - 0.05).abs() < 1e-12, "a quiet machine has the least margin");
}

#[test]
fn the_gate_that_found_harm_is_named() {
    let dearer = |_: u32, pair: &mut Pair| pair.canary.cpu = pair.canary.cpu.map(|cpu| cpu * 1.2);
    let judgement = judged(quick(), dearer).judgement(Vec::new());
    assert_eq!(judgement.verdict, Verdict::Fail(Remedy::Rollback));
    assert_eq!(judgement.decided_by.as_deref(), Some("cpu_per_request"));
    assert_eq!(judgement.pairs, 14, "2^15 / 15 is the first beyond 14 gates / 0.01");
    assert!(judgement.reason.contains("in 14 of 14 pairs"), "{}", judgement.reason);
    let fatter = |_: u32, pair: &mut Pair| pair.canary.rss = pair.canary.rss.map(|rss| rss * 1.2);
    let judgement = judged(quick(), fatter).judgement(Vec::new());
    assert_eq!(judgement.decided_by.as_deref(), Some("rss_per_connection"));
    let larger = |_: u32, pair: &mut Pair| pair.canary.memory = pair.canary.memory.map(|memory| memory * 1.2);
    let judgement = judged(quick(), larger).judgement(Vec::new());
    assert_eq!(judgement.decided_by.as_deref(), Some("rss"));
    let judgement = judged(Rules { least_memory_margin: 0.2, ..quick() }, larger).judgement(Vec::new());
    assert_eq!(judgement.verdict, Verdict::Pass, "{}", judgement.reason);
    let both = |_: u32, pair: &mut Pair| {
        pair.canary.cpu = pair.canary.cpu.map(|cpu| cpu * 1.2);
        pair.canary.rss = pair.canary.rss.map(|rss| rss * 1.2);
    };
    let judgement = judged(quick(), both).judgement(Vec::new());
    assert!(judgement.reason.contains("; and by cpu_per_request: 2"), "{}", judgement.reason);
}

#[test]
fn failures_of_one_kind_are_found_although_most_windows_have_none() {
    let failing = |number: u32, pair: &mut Pair| {
        if number.is_multiple_of(2) {
            pair.canary.failed = Failure::ALL.map(|kind| u64::from(kind == Failure::Cut));
            pair.canary.beyond = 1;
        }
    };
    let judgement = judged(Rules { pairs_max: 60, pairs_least: 40, ..quick() }, failing).judgement(Vec::new());
    assert_eq!(judgement.verdict, Verdict::Fail(Remedy::Rollback));
    assert_eq!(judgement.decided_by.as_deref(), Some("failed_cut"));
}

#[test]
fn a_few_very_bad_windows_are_found_in_the_totals() {
    // In a third of the windows every tenth request, in the others the canary is the better one by a hair.
    let bursts = |number: u32, pair: &mut Pair| {
        if number.is_multiple_of(3) {
            pair.canary.beyond = 100;
        } else {
            pair.baseline.beyond = 2;
        }
    };
    let judgement = judged(Rules { pairs_max: 80, ..quick() }, bursts).judgement(Vec::new());
    assert_eq!(judgement.decided_by.as_deref(), Some("beyond_slo_total"), "{judgement:#?}");
    assert!(judgement.reason.contains("an excess between"), "{}", judgement.reason);
}

#[test]
fn what_both_break_wants_a_hotfix() {
    let criteria = Criteria { beyond_slo: Some(0.01), failed: None };
    let rules = Rules { criteria, ..quick() };
    let both = |_: u32, pair: &mut Pair| {
        pair.baseline.beyond = 30;
        pair.canary.beyond = 30;
    };
    let judgement = judged(rules.clone(), both).judgement(Vec::new());
    assert_eq!(judgement.verdict, Verdict::Fail(Remedy::Hotfix), "{}", judgement.reason);
    assert_eq!(judgement.decided_by.as_deref(), Some("criterion_beyond_slo"));
    let worse = |_: u32, pair: &mut Pair| {
        pair.baseline.beyond = 30;
        pair.canary.beyond = 60;
    };
    let judgement = judged(rules, worse).judgement(Vec::new());
    assert_eq!(judgement.verdict, Verdict::Fail(Remedy::Rollback), "what is worse is taken back");
}

#[test]
fn what_cannot_be_taken_back_wants_a_hotfix() {
    let dearer = |_: u32, pair: &mut Pair| pair.canary.cpu = pair.canary.cpu.map(|cpu| cpu * 1.2);
    let judgement = judged(Rules { irreversible: true, ..quick() }, dearer).judgement(Vec::new());
    assert_eq!(judgement.verdict, Verdict::Fail(Remedy::Hotfix));
}

#[test]
fn findings_decide_too() {
    let judge = judged(quick(), |_, _| {});
    let instructions = |baseline: [f64; 2], canary: [f64; 2]| {
        let finding = Finding::Instructions(Instructions::of(Twins { baseline, canary }, 1.05));
        judge.judgement(vec![finding])
    };
    assert_eq!(instructions([100.0; 2], [101.0; 2]).verdict, Verdict::Pass);
    let judgement = instructions([100.0, 108.0], [110.0; 2]);
    assert_eq!(judgement.verdict, Verdict::Invalid, "twins differ");
    assert!(judgement.reason.starts_with("instructions cannot be compared: 110 instructions"), "{}", judgement.reason);
    assert_eq!(judgement.decided_by.as_deref(), Some("instructions_per_request"));
    let judgement = instructions([100.0; 2], [110.0; 2]);
    assert_eq!(judgement.verdict, Verdict::Fail(Remedy::Rollback));
    assert_eq!(judgement.decided_by.as_deref(), Some("instructions_per_request"));
    let growth = |low: f64, high: f64| Growth {
        what: "growth_rss".to_owned(),
        slope: Slope { median: f64::midpoint(low, high), low, high, level: 1e6 },
        cap: 1e8,
    };
    let leak = Finding::Growth { baseline: Some(growth(4000.0, 5000.0)), canary: growth(4000.0, 5000.0) };
    assert_eq!(judge.judgement(vec![leak]).verdict, Verdict::Fail(Remedy::Hotfix), "the baseline leaks as well");
    let unclear = Finding::Growth { baseline: None, canary: growth(0.0, 5000.0) };
    assert_eq!(judge.judgement(vec![unclear]).verdict, Verdict::Inconclusive);
    let scene =
        Finding::Scene { name: "reload".to_owned(), baseline: None, canary: false, text: "3 failed".to_owned() };
    assert_eq!(judge.judgement(vec![scene]).verdict, Verdict::Fail(Remedy::Rollback));
}

#[test]
fn twins_that_differ_make_it_invalid() {
    let mut judge = Judge::new(quick(), 1).unwrap();
    for number in 0..20 {
        let mut next = pair(number);
        next.canary.cpu = next.canary.cpu.map(|cpu| cpu * 1.5);
        judge.push(next);
    }
    let judgement = judge.judgement(Vec::new());
    assert_eq!(judgement.verdict, Verdict::Invalid);
    assert!(judgement.reason.contains("differs from itself in cpu_per_request"), "{}", judgement.reason);
}

#[test]
fn pairs_that_cannot_be_measured_make_it_invalid() {
    let mut judge = Judge::new(quick(), 1).unwrap();
    (0..20).for_each(|_| judge.skip("the host kept 40.0 % of the machine's CPU time"));
    assert_ne!(judge.step(), Step::End);
    judge.skip("the load tool was late");
    assert_eq!(judge.step(), Step::End);
    let judgement = judge.judgement(Vec::new());
    assert_eq!(judgement.verdict, Verdict::Invalid);
    assert!(judgement.reason.starts_with("21 pairs could not be measured; the last: the load tool"));
}

#[test]
fn a_gate_without_values_is_left_out_and_the_others_share_the_chance() {
    let mut judge = Judge::new(quick(), 1).unwrap();
    let blind = |number| {
        let Pair { baseline, canary } = pair(number);
        Pair { baseline: Sample { cpu: None, ..baseline }, canary }
    };
    (0..60).for_each(|number| judge.push(blind(number)));
    let judgement = judge.judgement(Vec::new());
    assert_eq!((judgement.verdict, judgement.gates), (Verdict::Pass, 13));
}

/// A run in which some windows have no CPU time: of twins, and of pairs after them.
fn without_cpu(rules: Rules, twins: impl Fn(u32) -> bool, pairs: impl Fn(u32) -> bool) -> Judgement {
    let mut judge = Judge::new(rules, 1).unwrap();
    for number in 0..60 {
        let mut next = pair(number);
        if if number < 20 { twins(number) } else { pairs(number) } {
            next.canary.cpu = None;
        }
        judge.push(next);
    }
    judge.judgement(Vec::new())
}

#[test]
fn a_gate_that_lost_values_does_not_disappear() {
    let known = || Rules { costs_known: true, ..quick() };
    let first = |count: u32| move |number: u32| number % 20 < count;
    let never = first(0);
    for (rules, lost, verdict) in [
        (quick(), 1, Verdict::Pass),
        (quick(), 2, Verdict::Invalid),
        (quick(), 20, Verdict::Pass),
        (known(), 1, Verdict::Pass),
        (known(), 20, Verdict::Invalid),
    ] {
        let judgement = without_cpu(rules, first(lost), never);
        assert_eq!(judgement.verdict, verdict, "{lost}: {}", judgement.reason);
        let said = format!("only {} of 20 twins say something of cpu_per_request", 20 - lost);
        assert_eq!(judgement.reason.contains(&said), verdict == Verdict::Invalid, "{}", judgement.reason);
    }
    let judgement = without_cpu(quick(), never, first(2));
    assert_eq!((judgement.verdict, judgement.pairs, judgement.gates), (Verdict::Pass, 20, 14));
    let judgement = without_cpu(quick(), never, first(3));
    assert_eq!((judgement.verdict, judgement.pairs), (Verdict::Inconclusive, 40), "{}", judgement.reason);
    assert_eq!(judgement.reason, "only 34 of 40 pairs say something of cpu_per_request");
}

#[test]
fn a_server_that_keeps_no_connection_has_no_memory_for_one() {
    let rules = || Rules { costs_known: true, ..quick() };
    let without = |rules: Rules, closed: fn(u32) -> bool| {
        let mut judge = Judge::new(rules, 1).unwrap();
        for number in 0..60 {
            let mut next = pair(number);
            if closed(number) {
                next.baseline.rss = None;
            }
            judge.push(next);
        }
        judge.judgement(Vec::new())
    };
    let judgement = without(rules(), |_| true);
    assert_eq!((judgement.verdict, judgement.gates), (Verdict::Pass, 13), "{}", judgement.reason);
    let judgement = without(rules(), |number| number < 5);
    assert_eq!(judgement.verdict, Verdict::Invalid);
    assert!(judgement.reason.contains("held connections were closed"), "{}", judgement.reason);
}

#[test]
fn what_was_asked_for_besides_and_cannot_be_told_leaves_harm_and_no_pass() {
    let dearer = |_: u32, pair: &mut Pair| pair.canary.cpu = pair.canary.cpu.map(|cpu| cpu * 1.2);
    let mut judge = judged(quick(), dearer);
    judge.cannot_tell("no callgrind");
    assert_eq!(judge.judgement(Vec::new()).verdict, Verdict::Fail(Remedy::Rollback));
    let mut judge = judged(quick(), |_, _| {});
    judge.cannot_tell("no callgrind");
    let judgement = judge.judgement(Vec::new());
    assert_eq!((judgement.verdict, judgement.reason.as_str()), (Verdict::Invalid, "no callgrind"));
    assert!(!judgement.is_open(), "callgrind is not there the next time either");
}

#[test]
fn harm_and_what_both_break_are_said_although_something_else_cannot_be_told() {
    let twins = Twins { baseline: [100.0, 108.0], canary: [100.0; 2] };
    let apart = || Finding::Instructions(Instructions::of(twins, 1.05));
    let criteria = Criteria { failed: Some(0.001), beyond_slo: None };
    let both = |_: u32, pair: &mut Pair| {
        let cut = Failure::ALL.map(|kind| if kind == Failure::Cut { 30 } else { 0 });
        (pair.baseline.failed, pair.canary.failed) = (cut, cut);
    };
    let scene =
        Finding::Scene { name: "lives".to_owned(), baseline: Some(true), canary: false, text: "it ended".to_owned() };
    for untold in [None, Some("no callgrind")] {
        let judge = |rules: Rules, change: fn(u32, &mut Pair)| {
            let mut judge = judged(rules, change);
            untold.into_iter().for_each(|why| judge.cannot_tell(why));
            judge
        };
        // Without the counts, and with counts that tell nothing.
        let findings = if untold.is_some() { Vec::new() } else { vec![apart()] };
        let judgement = judge(Rules { criteria, ..quick() }, both).judgement(findings.clone());
        assert_eq!(judgement.verdict, Verdict::Fail(Remedy::Hotfix), "{}", judgement.reason);
        assert_eq!(judgement.decided_by.as_deref(), Some("criterion_failed"));
        let ended = findings.iter().cloned().chain([scene.clone()]).collect();
        let judgement = judge(quick(), |_, _| {}).judgement(ended);
        assert_eq!(judgement.verdict, Verdict::Fail(Remedy::Rollback), "{}", judgement.reason);
        let judgement = judge(quick(), |_, _| {}).judgement(findings);
        assert_eq!((judgement.verdict, judgement.is_open()), (Verdict::Invalid, untold.is_none()));
    }
}

#[test]
fn twins_that_differ_a_lot_allow_no_pass() {
    let mut judge = Judge::new(quick(), 1).unwrap();
    for number in 0..60 {
        let mut next = pair(number);
        // Half as dear or twice as dear, in turns.
        let factor = if number.is_multiple_of(2) { 0.5 } else { 2.0 };
        next.canary.cpu = next.canary.cpu.map(|cpu| cpu * factor);
        judge.push(next);
    }
    let judgement = judge.judgement(Vec::new());
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert!(judgement.reason.starts_with("twins differ too much"), "{}", judgement.reason);
}

#[test]
fn the_order_is_random_and_the_seed_decides_it() {
    let order = |seed| -> Vec<Step> {
        let mut judge = Judge::new(quick(), seed).unwrap();
        (0..20)
            .map(|number| {
                let step = judge.step();
                judge.push(pair(number));
                step
            })
            .collect()
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
    let first = order(1).iter().filter(|step| **step == Step::Twins(Side::Canary)).count();
    assert!((4..=16).contains(&first), "{first}");
}

#[test]
fn a_run_that_is_abandoned_is_invalid_and_says_why() {
    let mut judge = Judge::new(quick(), 1).unwrap();
    judge.abandon("the canary ended: exit status 101");
    let judgement = judge.judgement(Vec::new());
    assert_eq!((judgement.verdict, judgement.false_alarms), (Verdict::Invalid, None));
    assert_eq!(judgement.reason, "the canary ended: exit status 101");
}

#[test]
fn where_cost_alone_is_judged_the_rest_is_shown_and_decides_nothing() {
    let rules = || Rules { cost_only: true, ..quick() };
    let slower = |_: u32, pair: &mut Pair| {
        pair.canary.beyond = 1000;
        pair.canary.rss = pair.canary.rss.map(|rss| rss * 3.0);
    };
    let failing = |number: u32, pair: &mut Pair| {
        slower(number, pair);
        // As many as a moment of the machine may cost: more would be unserved.
        pair.canary.failed = [10, 0, 0, 0, 0, 0, 0, 0];
    };
    let judgement = judged(rules(), failing).judgement(Vec::new());
    assert_eq!((judgement.verdict, judgement.gates), (Verdict::Pass, 1), "{judgement:#?}");
    let shown = |gate: Gate| judgement.shown.iter().find(|standing| standing.gate == gate).unwrap();
    assert_eq!((shown(Gate::Slo).worse, shown(Gate::Rss).worse), (20, 20));
    assert!(judgement.shown.iter().all(|standing| standing.harm.is_none() && standing.gate != Gate::Cpu));
    let dearer = |_: u32, pair: &mut Pair| pair.canary.cpu = pair.canary.cpu.map(|cpu| cpu * 1.2);
    let judgement = judged(rules(), dearer).judgement(Vec::new());
    assert_eq!(
        (judgement.verdict, judgement.pairs),
        (Verdict::Fail(Remedy::Rollback), 9),
        "one gate spends all of alpha"
    );
}

#[test]
fn where_nothing_that_decides_is_measured_there_is_no_pass() {
    let mut judge = Judge::new(Rules { cost_only: true, ..quick() }, 1).unwrap();
    for number in 0..40 {
        let mut next = pair(number);
        (next.baseline.cpu, next.canary.cpu) = (None, None);
        judge.push(next);
    }
    let judgement = judge.judgement(Vec::new());
    assert_eq!((judgement.verdict, judgement.pairs), (Verdict::Invalid, 0), "{judgement:#?}");
    assert!(judgement.reason.contains("only 0 of 20 twins"), "{}", judgement.reason);
}

#[test]
fn where_cost_alone_is_judged_what_is_not_served_has_no_cost() {
    let rules = || Rules { cost_only: true, ..quick() };
    // A canary that only refuses needs half.
    let refuse = |sample: &mut Sample, count| {
        sample.refused = count;
        sample.cpu = sample.cpu.map(|cpu| cpu / 2.0);
    };
    let judgement = judged(rules(), |_, pair| refuse(&mut pair.canary, 1000)).judgement(Vec::new());
    assert_eq!((judgement.verdict, judgement.pairs), (Verdict::Fail(Remedy::Rollback), 13), "{judgement:#?}");
    assert_eq!(judgement.decided_by.as_deref(), Some("unserved"));
    assert!(judgement.reason.contains("more than 1.0 % of its requests in 13 pairs"), "{}", judgement.reason);
    assert_eq!(judgement.standings[0].pairs, 0, "no evidence of cost");

    // Both do so in every fourth pair: that is no harm of the canary's, and no PASS either.
    let both = |number: u32, pair: &mut Pair| {
        if number.is_multiple_of(4) {
            refuse(&mut pair.baseline, 11);
            refuse(&mut pair.canary, 11);
        }
    };
    let judgement = judged(rules(), both).judgement(Vec::new());
    assert_eq!((judgement.verdict, judgement.pairs), (Verdict::Inconclusive, 40), "{judgement:#?}");
    assert!(judgement.reason.starts_with("only 30 of 40 pairs say something"), "{}", judgement.reason);
    assert!(judgement.reason.contains("failed or were refused"), "{}", judgement.reason);

    // A baseline that does not serve says nothing of what an answer costs.
    let mut judge = Judge::new(rules(), 1).unwrap();
    for number in 0..20 {
        let mut next = pair(number);
        refuse(&mut next.baseline, 500);
        judge.push(next);
    }
    let judgement = judge.judgement(Vec::new());
    assert_eq!(judgement.verdict, Verdict::Invalid);
    assert!(judgement.reason.ends_with("failed or were refused"), "{}", judgement.reason);
}
