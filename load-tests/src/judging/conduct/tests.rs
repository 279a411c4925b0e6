//! A made-up pair of programs, measured by nobody.

use super::*;
use portcullis_judge::window::{Machine, Readings};
use portcullis_judge::{Remedy, Verdict};

#[derive(Default)]
struct MadeUp {
    starts: Vec<[Side; 2]>,
    /// Places and seeds, in the order in which they were asked for.
    asked: Vec<(Side, u64)>,
    places: Option<[Side; 2]>,
    /// How many percent more CPU the canary needs.
    dearer: u64,
    /// Every so many windows the host steals.
    spoiled_every: usize,
    missing: Option<Side>,
}

impl Measure for MadeUp {
    fn start(&mut self, places: [Side; 2]) -> Result<(), NotStarted> {
        self.starts.push(places);
        self.places = Some(places);
        match self.missing.filter(|side| places.contains(side)) {
            Some(side) => Err(NotStarted { side, why: "exit status: 101".to_owned() }),
            None => Ok(()),
        }
    }

    fn window(&mut self, place: Side, seed: u64) -> Result<Window, Invalid> {
        self.asked.push((place, seed));
        let [_, second] = self.places.unwrap();
        let is_canary = place == Side::Canary && second == Side::Canary;
        let spoiled = self.spoiled_every > 0 && self.asked.len().is_multiple_of(self.spoiled_every);
        let percent = if is_canary { 100 + self.dearer } else { 100 };
        let readings = Readings {
            requests: 1000,
            succeeded: 1000,
            cpu_ns: Some(200_000 * percent + seed % 1000),
            rss_bytes: Some(1 << 20),
            connections: 1,
            seconds: 1.0,
            machine: Machine { steal: if spoiled { 0.9 } else { 0.0 }, ..Machine::default() },
            ..Readings::default()
        };
        Ok(Window::new(readings).unwrap())
    }
}

fn conducted(made_up: &mut MadeUp) -> Conducted {
    let rules = Rules { resamples: 1000, ..Rules::default() };
    conduct(&Conduct { rules, seed: 3, restart_every: 5 }, made_up, &mut |_, _| {}).unwrap()
}

#[test]
fn twins_come_first_and_everything_is_started_anew_now_and_then() {
    let mut made_up = MadeUp::default();
    let run = conducted(&mut made_up);
    assert_eq!(run.judge.judgement(run.findings).verdict, Verdict::Pass);
    let twins = [Side::Baseline; 2];
    assert_eq!(made_up.starts, [twins, twins, twins, twins, Side::BOTH, Side::BOTH, Side::BOTH, Side::BOTH]);
    assert_eq!((run.twins.len(), run.pairs.len()), (20, 20));
}

#[test]
fn both_places_of_a_pair_get_the_same_requests_and_take_turns_in_being_first() {
    let mut made_up = MadeUp::default();
    let run = conducted(&mut made_up);
    for two in made_up.asked.chunks(2) {
        let [(one, seed), (other, same)] = two else { panic!("{two:?}") };
        assert_eq!(seed, same);
        assert_ne!(one, other);
    }
    let first = run.pairs.iter().chain(&run.twins).filter(|pair| pair.first == Side::Canary).count();
    assert!((8..=32).contains(&first), "{first} of 40");
}

#[test]
fn a_dearer_canary_is_found() {
    let run = conducted(&mut MadeUp { dearer: 30, ..MadeUp::default() });
    let judgement = run.judge.judgement(run.findings);
    assert_eq!((judgement.verdict, judgement.pairs), (Verdict::Fail(Remedy::Rollback), 14));
}

#[test]
fn a_spoiled_pair_is_measured_again_as_a_whole() {
    let mut made_up = MadeUp { spoiled_every: 7, ..MadeUp::default() };
    let run = conducted(&mut made_up);
    assert_eq!(run.judge.judgement(run.findings).verdict, Verdict::Pass);
    assert!(made_up.asked.len() > 80);
}

#[test]
fn a_machine_that_spoils_everything_makes_it_invalid() {
    let run = conducted(&mut MadeUp { spoiled_every: 1, ..MadeUp::default() });
    let judgement = run.judge.judgement(run.findings);
    assert_eq!(judgement.verdict, Verdict::Invalid);
    assert!(judgement.reason.contains("the host kept 90.0 %"), "{}", judgement.reason);
}

#[test]
fn a_canary_that_does_not_start_is_taken_back_and_without_a_baseline_nothing_is_said() {
    let run = conducted(&mut MadeUp { missing: Some(Side::Canary), ..MadeUp::default() });
    let judgement = run.judge.judgement(run.findings);
    assert_eq!((judgement.verdict, judgement.decided_by.as_deref()), (Verdict::Fail(Remedy::Rollback), Some("start")));
    let run = conducted(&mut MadeUp { missing: Some(Side::Baseline), ..MadeUp::default() });
    let judgement = run.judge.judgement(run.findings);
    assert_eq!((judgement.verdict, judgement.reason.contains("exit status: 101")), (Verdict::Invalid, true));
}
