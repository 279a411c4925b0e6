//! A made-up pair of programs, measured by nobody.

use super::*;
use portcullis_judge::window::{Machine, Readings};
use portcullis_judge::{Remedy, Verdict};

#[derive(Default)]
struct MadeUp {
    starts: Vec<[Side; 2]>,
    /// Which place was started first.
    firsts: Vec<Side>,
    /// Places and seeds, in the order in which they were asked for.
    asked: Vec<(Side, u64)>,
    places: Option<[Side; 2]>,
    /// How many percent more CPU the canary needs.
    dearer: u64,
    /// Every so many windows the host steals.
    spoiled_every: usize,
    missing: Option<Side>,
    rulers: Vec<&'static str>,
    /// Windows of rulers: the name, the seed, and how many windows of sides there were before.
    ruled: Vec<(String, u64, usize)>,
    /// Pairs that were measured at once.
    duets: Vec<(Side, u64)>,
    /// After so many windows a place ends by itself.
    ends_after: Option<(usize, Side)>,
}

impl Measure for MadeUp {
    fn start(&mut self, places: [Side; 2], first: Side) -> Result<(), NotStarted> {
        self.starts.push(places);
        self.firsts.push(first);
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

    fn both(&mut self, first: Side, seed: u64) -> Result<[Window; 2], Invalid> {
        self.duets.push((first, seed));
        Ok([self.window(Side::Baseline, seed)?, self.window(Side::Canary, seed)?])
    }

    fn rulers(&self) -> Vec<&'static str> {
        self.rulers.clone()
    }

    fn ruler(&mut self, name: &str, seed: u64) -> Result<Window, Invalid> {
        self.ruled.push((name.to_owned(), seed, self.asked.len()));
        if name == "broken" {
            return Err(Invalid::NotMeasured("it does not run".to_owned()));
        }
        // Dearer than anything: it must not matter.
        let readings =
            Readings { requests: 1, succeeded: 1, cpu_ns: Some(1 << 40), seconds: 1.0, ..Readings::default() };
        let readings = match name {
            "refusing" => Readings { succeeded: 0, refused: 1, ..readings },
            "dead" => Readings { cpu_ns: None, ..readings },
            _ => readings,
        };
        Ok(Window::new(readings).unwrap())
    }

    fn ended(&mut self) -> Option<(Side, String)> {
        let (windows, place) = self.ends_after?;
        (self.asked.len() >= windows).then(|| (place, "signal: 11".to_owned()))
    }
}

fn how() -> Conduct {
    let rules = Rules { resamples: 1000, ..Rules::default() };
    Conduct { rules, seed: 3, restart_every: 5, rulers_every: 2, duet: false }
}

fn conducted(made_up: &mut MadeUp) -> Conducted {
    conduct(&how(), made_up, &mut |_, _| {}).unwrap()
}

#[test]
fn twins_come_first_and_everything_is_started_anew_now_and_then() {
    let mut made_up = MadeUp::default();
    let run = conducted(&mut made_up);
    assert_eq!(run.judge.judgement(run.findings).verdict, Verdict::Pass);
    let twins = [Side::Baseline; 2];
    assert_eq!(made_up.starts, [twins, twins, twins, twins, Side::BOTH, Side::BOTH, Side::BOTH, Side::BOTH]);
    assert!(Side::BOTH.iter().all(|place| made_up.firsts.contains(place)), "{:?}", made_up.firsts);
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

#[test]
fn a_canary_that_ends_by_itself_is_taken_back_and_without_a_baseline_nothing_is_said() {
    // Of the A/A leg both places are the baseline's.
    for (windows, place, verdict, says) in [
        (50, Side::Canary, Verdict::Fail(Remedy::Rollback), "the canary ended by itself"),
        (50, Side::Baseline, Verdict::Invalid, "the baseline ended by itself: signal: 11"),
        (10, Side::Canary, Verdict::Invalid, "the baseline ended by itself: signal: 11"),
    ] {
        let run = conducted(&mut MadeUp { ends_after: Some((windows, place)), ..MadeUp::default() });
        assert_eq!(run.twins.len() + run.pairs.len(), windows / 2);
        let judgement = run.judge.judgement(run.findings);
        assert_eq!(judgement.verdict, verdict, "{}", judgement.reason);
        assert!(judgement.reason.contains(says), "{}", judgement.reason);
    }
}

#[test]
fn rulers_have_windows_of_the_same_seeds_around_every_second_pair_and_decide_nothing() {
    let mut made_up = MadeUp { rulers: vec!["one", "two", "broken"], ..MadeUp::default() };
    let run = conducted(&mut made_up);
    assert_eq!(run.judge.judgement(Vec::new()), conducted(&mut MadeUp::default()).judge.judgement(Vec::new()));
    assert_eq!(made_up.ruled.len(), 3 * 20, "three in every second of 20 and 20 pairs");
    for (name, seed, before) in &made_up.ruled {
        assert!(before.is_multiple_of(2), "{name} between the two sides of a pair");
        let near = made_up.asked[before.saturating_sub(2)..].iter().take(4).any(|(_, one)| one == seed);
        assert!(near, "{name} with a seed of its own");
    }
    let names: Vec<&str> = run.pairs[0].rulers.keys().map(String::as_str).collect();
    assert_eq!(names, ["one", "two"]);
    assert!(run.pairs[1].rulers.is_empty() && !run.twins[0].rulers.is_empty());
    assert_eq!(run.missed["broken"], (20, "it does not run".to_owned()));
    let orders: std::collections::BTreeSet<&str> = made_up.ruled.chunks(3).map(|round| round[0].0.as_str()).collect();
    assert_eq!(orders.len(), 3, "each is the first now and then");
}

#[test]
fn a_ruler_that_does_not_do_all_of_the_work_misses_its_round() {
    let run = conducted(&mut MadeUp { rulers: vec!["refusing", "dead"], ..MadeUp::default() });
    assert!(run.pairs.iter().chain(&run.twins).all(|pair| pair.rulers.is_empty()));
    assert_eq!(run.missed["refusing"], (20, "1 of its 1 requests failed or were refused".to_owned()));
    assert_eq!(run.missed["dead"], (20, "its CPU time is not known".to_owned()));
}

#[test]
fn a_spoiled_pair_takes_its_rulers_with_it() {
    let mut made_up = MadeUp { rulers: vec!["one"], spoiled_every: 7, ..MadeUp::default() };
    let run = conducted(&mut made_up);
    let kept = run.twins.iter().chain(&run.pairs).filter(|pair| !pair.rulers.is_empty()).count();
    assert_eq!(kept, 20);
    assert!(made_up.ruled.len() > kept);
}

#[test]
fn a_duet_measures_both_at_once_and_judges_what_a_request_costs() {
    let conduct_duet = |made_up: &mut MadeUp| {
        let rules = Rules { cost_only: true, ..how().rules };
        conduct(&Conduct { rules, duet: true, ..how() }, made_up, &mut |_, _| {}).unwrap()
    };
    let mut made_up = MadeUp { dearer: 30, ..MadeUp::default() };
    let judgement = conduct_duet(&mut made_up).judge.judgement(Vec::new());
    assert_eq!((judgement.verdict, judgement.gates), (Verdict::Fail(Remedy::Rollback), 1));
    assert_eq!(judgement.pairs as usize + 20, made_up.duets.len());
    let first = made_up.duets.iter().filter(|(first, _)| *first == Side::Canary).count();
    assert!((5..=25).contains(&first), "both have the first core now and then: {first}");
}
