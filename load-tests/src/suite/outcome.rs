//! What came of a scene: what was asked for, what was found, and whether the machine could tell.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_artifacts::{Look, Part};
use portcullis_engine::machine::busy_by_core;
use portcullis_engine::proof::Proof;
use portcullis_engine::tally::Tally;
use portcullis_judge::stats::Estimate;
use portcullis_judge::window::{Machine, Readings, Window};
use serde_json::{Map, Value as Json, json};

use crate::judging::load::readings;

use super::reasons::Reason;

/// How a scene ended, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Status {
    /// All criteria hold.
    Passed,
    /// The machine, the tool or the installation could not tell.
    Invalid,
    /// A criterion does not hold.
    Failed,
}

impl Status {
    const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Invalid => "invalid",
            Self::Failed => "failed",
        }
    }
}

/// What a criterion is about, which decides whether the machine can be at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// How long something took: whoever was kept from a core was late. What the machine took of the window that it is about, if
    /// that is enough to explain it.
    Timing(Option<String>),
    /// The same of a quantile of latencies beside a bound that no latency is in: who measures less than there was finds none too long
    /// that is not.
    Latency(Option<String>),
    /// How many, which bytes, in which order, by which status: nothing excuses it.
    Count,
    /// Memory, descriptors, threads, CPU: nothing excuses it.
    Resource,
}

impl Kind {
    const fn name(&self) -> &'static str {
        match self {
            Self::Timing(_) | Self::Latency(_) => "timing",
            Self::Count => "count",
            Self::Resource => "resource",
        }
    }
}

/// A criterion, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    what: String,
    holds: bool,
    found: String,
    kind: Kind,
}

/// What makes worthless what is said of time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Doubt {
    why: String,
    /// Whether a latency that is too long is one all the same, since the tool measured less than there was and nothing else.
    only_less: bool,
}

/// Why it cannot be told whether a criterion holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Excuse<'a> {
    /// What the tool did not measure.
    Tool(&'a str),
    /// What the machine took.
    Machine(&'a str),
}

impl<'a> Excuse<'a> {
    const fn why(self) -> &'a str {
        match self {
            Self::Tool(why) | Self::Machine(why) => why,
        }
    }
}

/// What came of a scene.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Outcome {
    findings: Vec<Finding>,
    flaws: Vec<String>,
    /// What excuses every criterion of time that does not hold, such as a tool that measured more than there was.
    excuses: Vec<String>,
    /// What makes worthless what is said of time, be it that it holds, such as a tool that measured less than there was.
    doubts: Vec<Doubt>,
    /// Of each part, requests that waited in the tool since too many were in flight.
    capped: BTreeMap<String, u64>,
    numbers: Map<String, Json>,
    /// The windows that were played, for curves.
    windows: Vec<Part>,
}

impl Outcome {
    /// Of a scene that could not be played.
    pub(super) fn invalid(why: &str) -> Self {
        Self { flaws: vec![why.to_owned()], ..Self::default() }
    }

    /// Something must hold, and this was found. What excuses the whole scene excuses it too.
    pub(super) fn expect(&mut self, what: impl Display, holds: bool, found: impl Display) {
        self.timing(None, what, holds, found);
    }

    /// Something must happen in time. The excuse is what the machine took of the window in which it was looked at.
    pub(super) fn timing(&mut self, excuse: Option<String>, what: impl Display, holds: bool, found: impl Display) {
        self.add(Kind::Timing(excuse), what, holds, found);
    }

    /// A quantile of latencies must be at most so much, where the bound follows from no other latency. Of the excuse see [`Self::timing`].
    pub(super) fn latency(&mut self, excuse: Option<String>, what: impl Display, holds: bool, found: impl Display) {
        self.add(Kind::Latency(excuse), what, holds, found);
    }

    /// So many, these bytes, this order, this answer: it must hold whatever the machine does.
    pub(super) fn count(&mut self, what: impl Display, holds: bool, found: impl Display) {
        self.add(Kind::Count, what, holds, found);
    }

    /// So much memory, descriptors, threads, CPU and no more: it must hold whatever the machine does.
    pub(super) fn resource(&mut self, what: impl Display, holds: bool, found: impl Display) {
        self.add(Kind::Resource, what, holds, found);
    }

    fn add(&mut self, kind: Kind, what: impl Display, holds: bool, found: impl Display) {
        self.findings.push(Finding { what: what.to_string(), holds, found: found.to_string(), kind });
    }

    /// It says nothing, and why.
    pub(super) fn invalidate(&mut self, why: &str) {
        self.flaws.push(why.to_owned());
    }

    /// The proof of the tool that went before it. Where that measured too much, what is late says nothing, and what is in time is; where
    /// it measured too little, or not all, nothing that holds is believed of time, nor anything else but that a latency is too long even so.
    pub(super) fn proven(&mut self, proof: &Proof) {
        match proof.hides() {
            Some(why) => self.doubts.push(Doubt { why, only_less: proof.adds_nothing() }),
            None => self.excuses.extend(proof.flaw()),
        }
    }

    /// Requests of a part waited in the tool, since too many were in flight. That is told and excuses nothing: they waited inside their
    /// latency, for answers that did not come.
    pub(super) fn capped(&mut self, part: &str, count: u64) {
        *self.capped.entry(part.to_owned()).or_default() += count;
    }

    /// What came of a part.
    pub(super) fn append(&mut self, part: Self) {
        let Self { findings, flaws, excuses, doubts, capped, numbers, windows } = part;
        capped.iter().for_each(|(part, count)| self.capped(part, *count));
        self.windows.extend(windows);
        self.findings.extend(findings);
        self.flaws.extend(flaws);
        self.excuses.extend(excuses);
        self.doubts.extend(doubts);
        self.numbers.extend(numbers);
    }

    /// A figure to keep.
    pub(super) fn number(&mut self, name: &str, value: impl Into<Json>) {
        self.numbers.insert(name.to_owned(), value.into());
    }

    /// A figure of several rounds: its median, with the interval that holds it.
    pub(super) fn rounds(&mut self, name: &str, values: &[f64]) {
        let Some(Estimate { median, low, high }) = Estimate::of(values) else { return };
        self.number(name, json!({ "median": median, "low": low, "high": high, "rounds": values }));
    }

    /// What the machine did in a window.
    pub(super) fn looked(&mut self, name: &str, looks: &[Look]) {
        self.windows.push(Part { name: name.to_owned(), load: None, looks: looks.to_vec() });
    }

    /// What a load brought in the window that was looked at last.
    pub(super) fn load(&mut self, (name, began): (&str, f64), tally: &Tally, length: Duration, open: bool) {
        let Some(part) = self.windows.iter_mut().rev().find(|part| part.name == name) else { return };
        // Of a closed loop nothing was planned, and of an open one all that was planned is sent.
        let brought = readings(tally, open.then(|| tally.counted.sent()), length);
        let looked: f64 = part.looks.iter().map(|look| look.seconds).sum();
        let sum = |of: fn(&Look) -> f64| part.looks.iter().map(|look| of(look) * look.seconds).sum::<f64>();
        let cores = busy_by_core().map_or(1, |cores| cores.len().max(1)) as f64;
        let share = |of| sum(of) / (looked * cores).max(1e-9);
        let wait = Duration::try_from_secs_f64(sum(|look| look.subject_wait)).unwrap_or_default();
        let cpu = Duration::try_from_secs_f64(sum(|look| look.subject_cpu)).unwrap_or_default();
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let window = Window::new(Readings {
            began,
            cpu_ns: Some(nanos(cpu)),
            rss_bytes: part.looks.last().map(|look| look.subject_bytes),
            machine: Machine {
                steal: share(|look| look.steal),
                neighbour_cpu: share(|look| look.neighbour_cpu),
                run_queue_wait_ns: nanos(wait),
            },
            ..brought
        });
        // What does not add up is a fault of the tool's, and no window.
        part.load = window.ok();
    }

    /// Why it cannot be told whether a criterion holds: the tool, or, where it does not, the machine in its own window or that of the
    /// whole scene.
    fn excuse<'a>(&'a self, finding: &'a Finding) -> Option<Excuse<'a>> {
        let (own, is_latency) = match &finding.kind {
            Kind::Timing(own) => (own, false),
            Kind::Latency(own) => (own, true),
            Kind::Count | Kind::Resource => return None,
        };
        let is_certain = |doubt: &Doubt| doubt.only_less && is_latency && !finding.holds;
        let tool = self.doubts.iter().find(|doubt| !is_certain(doubt)).map(|doubt| Excuse::Tool(&doubt.why));
        let machine = || own.as_ref().or_else(|| self.excuses.first()).filter(|_| !finding.holds);
        tool.or_else(|| machine().map(|why| Excuse::Machine(why)))
    }

    /// Why the tool is not believed.
    fn doubts(&self) -> impl Iterator<Item = &String> {
        self.doubts.iter().map(|doubt| &doubt.why)
    }

    fn broken(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| !finding.holds)
    }

    /// What does not hold, and is nobody's fault but the gateway's.
    fn failures(&self) -> impl Iterator<Item = &Finding> {
        self.broken().filter(|finding| self.excuse(finding).is_none())
    }

    /// How it ended. A failure that nothing excuses is one, whatever else could not be told.
    pub(super) fn status(&self) -> Status {
        if self.failures().next().is_some() {
            Status::Failed
        } else if !self.flaws.is_empty() || !self.doubts.is_empty() || self.broken().next().is_some() {
            Status::Invalid
        } else {
            Status::Passed
        }
    }

    /// Whether a criterion with these words fails it.
    pub(super) fn misses(&self, words: &str) -> bool {
        self.failures().any(|finding| finding.what.contains(words))
    }

    /// What fails it, with what was found; of what cannot be told, why not.
    pub(super) fn complaints(&self) -> Vec<String> {
        let told = |finding: &Finding| format!("{}: {}", finding.what, finding.found);
        match self.status() {
            Status::Passed => Vec::new(),
            Status::Failed => self.failures().map(told).collect(),
            Status::Invalid => self.broken().map(told).chain(self.reasons()).collect(),
        }
    }

    /// Why it cannot be told.
    fn reasons(&self) -> Vec<String> {
        let excused = self.broken().filter_map(|finding| Some((finding, self.excuse(finding)?)));
        let excused = excused.map(|(finding, why)| format!("{}: cannot be told, {}", finding.what, why.why()));
        self.flaws.iter().chain(self.doubts()).cloned().chain(excused).collect()
    }

    /// For people.
    pub(super) fn text(&self, name: &str, took: Duration) -> String {
        let mut text = format!("{name}: {} in {:.1} s\n", self.status().name().to_uppercase(), took.as_secs_f64());
        for finding in &self.findings {
            let Finding { what, holds, found, .. } = finding;
            let line = match (holds, self.excuse(finding)) {
                (true, None) => format!("  ok   {what}: {found}\n"),
                (false, None) => format!("  FAIL {what}: {found}\n"),
                (true, Some(why)) => {
                    format!("  ??   {what}: {found}; it may only seem to hold; the tool: {}\n", why.why())
                }
                (false, Some(Excuse::Tool(why))) => format!("  ??   {what}: {found}; the tool: {why}\n"),
                (false, Some(Excuse::Machine(why))) => format!("  ??   {what}: {found}; the machine: {why}\n"),
            };
            text.push_str(&line);
        }
        for (part, count) in &self.capped {
            text.push_str(&format!(
                "  note {part}: {count} requests waited, inside their latency, for the bound in flight\n"
            ));
        }
        for flaw in self.flaws.iter().chain(self.doubts()) {
            text.push_str(&format!("  INVALID {flaw}\n"));
        }
        text
    }

    /// For machines. `flaws` are all reasons for which it could not be told.
    pub(super) fn json(&self, name: &str, what: &str, took: Duration) -> Json {
        let findings = self.findings.iter().map(|finding| {
            let Finding { what, holds, found, kind } = finding;
            let excuse = self.excuse(finding).map(Excuse::why);
            let Reason { why, rollback, hotfix } = Reason::of(name, what, kind.name());
            json!({
                "criterion": what,
                "kind": kind.name(),
                "holds": holds,
                "found": found,
                "excuse": excuse,
                "why": why,
                "rollback": rollback,
                "hotfix": hotfix,
            })
        });
        json!({
            "name": name,
            "what": what,
            "status": self.status().name(),
            "seconds": took.as_secs_f64(),
            "findings": findings.collect::<Vec<_>>(),
            "flaws": self.reasons(),
            "delayed_by_the_bound": self.capped,
            "numbers": self.numbers,
            "windows": self.windows,
        })
    }
}

/// Where a scene writes down what it finds, as soon as it finds it: what was found is there too when the scene breaks off, or is
/// given up.
#[derive(Debug, Clone, Default)]
pub(super) struct Notes(Arc<Mutex<Outcome>>);

impl Notes {
    fn with(&self, write: impl FnOnce(&mut Outcome)) {
        write(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// What was found so far.
    pub(super) fn outcome(&self) -> Outcome {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// See [`Outcome::timing`].
    pub(super) fn timing(&self, excuse: Option<String>, what: impl Display, holds: bool, found: impl Display) {
        self.with(|outcome| outcome.timing(excuse, what, holds, found));
    }

    /// See [`Outcome::latency`].
    pub(super) fn latency(&self, excuse: Option<String>, what: impl Display, holds: bool, found: impl Display) {
        self.with(|outcome| outcome.latency(excuse, what, holds, found));
    }

    /// See [`Outcome::count`].
    pub(super) fn count(&self, what: impl Display, holds: bool, found: impl Display) {
        self.with(|outcome| outcome.count(what, holds, found));
    }

    /// See [`Outcome::resource`].
    pub(super) fn resource(&self, what: impl Display, holds: bool, found: impl Display) {
        self.with(|outcome| outcome.resource(what, holds, found));
    }

    /// See [`Outcome::invalidate`].
    pub(super) fn invalidate(&self, why: &str) {
        self.with(|outcome| outcome.invalidate(why));
    }

    /// See [`Outcome::number`].
    pub(super) fn number(&self, name: &str, value: impl Into<Json>) {
        self.with(|outcome| outcome.number(name, value));
    }

    /// See [`Outcome::capped`].
    pub(super) fn capped(&self, part: &str, count: u64) {
        self.with(|outcome| outcome.capped(part, count));
    }

    /// See [`Outcome::rounds`].
    pub(super) fn rounds(&self, name: &str, values: &[f64]) {
        self.with(|outcome| outcome.rounds(name, values));
    }

    /// See [`Outcome::looked`].
    pub(super) fn looked(&self, name: &str, looks: &[Look]) {
        self.with(|outcome| outcome.looked(name, looks));
    }

    /// See [`Outcome::load`].
    pub(super) fn load(&self, window: (&str, f64), tally: &Tally, length: Duration, open: bool) {
        self.with(|outcome| outcome.load(window, tally, length, open));
    }

    /// See [`Outcome::append`].
    pub(super) fn append(&self, part: Outcome) {
        self.with(|outcome| outcome.append(part));
    }
}

/// Proofs of a tool that measures more or less than there is.
#[cfg(test)]
pub(super) mod fixture {
    use std::time::Duration;

    use portcullis_engine::proof::{Driver, Measured, Proof};
    use portcullis_engine::tally::Lag;

    /// What a driver measured of a stall, times what there was.
    pub(in crate::suite) fn measured(by: f64) -> Measured {
        let [p90, p99] = [310, 570].map(Duration::from_millis);
        Measured {
            driver: Driver::Http1,
            stall: Duration::from_millis(600),
            p90,
            measured_p90: p90.mul_f64(by),
            p99,
            measured_p99: p99.mul_f64(by),
            lag: Lag::default(),
            failed: 0,
        }
    }

    pub(in crate::suite) fn proof(by: f64) -> Proof {
        Proof { measured: vec![measured(by)], tries: 1 }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_engine::proof::Measured;

    use super::fixture::{measured, proof};
    use super::*;

    /// An outcome of one criterion that does not hold.
    fn broken(kind: Kind) -> Outcome {
        let mut outcome = Outcome::default();
        outcome.count("nothing fails", true, 0);
        outcome.add(kind, "it", false, "7");
        outcome
    }

    #[test]
    fn only_time_is_excused_and_only_by_its_own_window_or_for_the_whole_scene() {
        let late = || Some("late".to_owned());
        for (kind, status) in [
            (Kind::Timing(None), Status::Failed),
            (Kind::Timing(late()), Status::Invalid),
            (Kind::Count, Status::Failed),
            (Kind::Resource, Status::Failed),
        ] {
            let mut outcome = broken(kind.clone());
            // Another window's excuse is none of this one's.
            outcome.timing(late(), "another", true, "");
            assert_eq!(outcome.status(), status, "{kind:?}");
            outcome.proven(&proof(1.1));
            let all = if matches!(kind, Kind::Timing(_)) { Status::Invalid } else { Status::Failed };
            assert_eq!(outcome.status(), all, "{kind:?}");
            assert_eq!(outcome.misses("it"), all == Status::Failed);
        }
    }

    #[test]
    fn a_failure_is_one_though_the_scene_could_not_be_played_to_its_end() {
        let mut outcome = broken(Kind::Count);
        outcome.invalidate("it broke off");
        assert_eq!(outcome.status(), Status::Failed);
        assert_eq!(outcome.complaints(), ["it: 7"]);
        assert_eq!(Outcome::invalid("it broke off").status(), Status::Invalid);
    }

    #[test]
    fn what_holds_on_a_bad_machine_holds() {
        let mut outcome = Outcome::default();
        outcome.timing(Some("late".to_owned()), "p99 at most 5 ms", true, "4 ms");
        outcome.proven(&proof(1.1));
        assert_eq!((outcome.status(), outcome.complaints()), (Status::Passed, Vec::new()));
    }

    #[test]
    fn what_holds_by_a_tool_that_measures_too_little_is_not_believed() {
        for bad in [proof(0.9), Proof { measured: vec![Measured { failed: 1, ..measured(1.0) }], tries: 3 }] {
            let mut outcome = Outcome::default();
            outcome.timing(None, "p99 at most 5 ms", true, "4 ms");
            outcome.count("nothing fails", true, 0);
            assert_eq!(outcome.status(), Status::Passed);
            outcome.proven(&bad);
            assert_eq!((outcome.status(), outcome.complaints()), (Status::Invalid, vec![bad.flaw().unwrap()]));
            let text = outcome.text("a", Duration::ZERO);
            let why = bad.flaw().unwrap();
            let doubted = format!("  ??   p99 at most 5 ms: 4 ms; it may only seem to hold; the tool: {why}\n");
            assert!(text.contains(&doubted) && text.contains("  ok   nothing fails"), "{text}");
            let json = outcome.json("a", "b", Duration::ZERO);
            assert_eq!(json["findings"][0]["excuse"].as_str(), bad.flaw().as_deref());
            assert_eq!((&json["findings"][1]["excuse"], &json["flaws"][0]), (&Json::Null, &bad.flaw().into()));
            outcome.timing(None, "p99 at most 3 ms", false, "4 ms");
            assert_eq!(outcome.status(), Status::Invalid);
            let text = outcome.text("a", Duration::ZERO);
            let doubted = format!("  ??   p99 at most 3 ms: 4 ms; the tool: {why}\n");
            assert!(text.contains(&doubted) && !text.contains("the machine"), "{text}");
            outcome.count("in order", false, 7);
            assert_eq!((outcome.status(), outcome.misses("p99")), (Status::Failed, false));
        }
        let mut proven = Outcome::default();
        proven.timing(None, "p99 at most 5 ms", true, "4 ms");
        proven.proven(&proof(1.0));
        assert_eq!(proven.status(), Status::Passed);
    }

    #[test]
    fn what_is_late_by_a_tool_that_only_measures_too_little_is_late() {
        let failed = Measured { failed: 1, ..measured(0.9) };
        for (measured, certain) in [
            (vec![measured(0.9)], true),
            (vec![measured(0.9), measured(1.0)], true),
            (vec![measured(0.9), measured(1.1)], false),
            (vec![failed], false),
        ] {
            let bad = Proof { measured, tries: 3 };
            let judged = |excuse: Option<String>, holds| {
                let mut outcome = Outcome::default();
                outcome.latency(excuse, "p99 at most 3 ms", holds, "4 ms");
                outcome.proven(&bad);
                outcome.status()
            };
            assert_eq!(judged(None, false), if certain { Status::Failed } else { Status::Invalid }, "{bad:?}");
            assert_eq!(judged(None, true), Status::Invalid, "it may be later");
            assert_eq!(judged(Some("late".to_owned()), false), Status::Invalid, "the machine made it late");
        }
        // One whose bound was measured too may have too short a bound.
        let mut outcome = broken(Kind::Timing(None));
        outcome.proven(&proof(0.9));
        assert_eq!(outcome.status(), Status::Invalid);
    }

    #[test]
    fn people_and_machines_are_told_why() {
        let mut outcome = broken(Kind::Timing(Some("others had the core".to_owned())));
        let text = outcome.text("a", Duration::from_secs(1));
        let excused = "  ??   it: 7; the machine: others had the core\n";
        assert_eq!(text, format!("a: INVALID in 1.0 s\n  ok   nothing fails: 0\n{excused}"));
        let json = outcome.json("a", "b", Duration::ZERO);
        assert_eq!((json["status"].as_str(), json["findings"][1]["kind"].as_str()), (Some("invalid"), Some("timing")));
        assert_eq!(json["flaws"][0], "it: cannot be told, others had the core");
        outcome.resource("memory", false, "much");
        assert!(outcome.text("a", Duration::ZERO).ends_with("  FAIL memory: much\n"));
    }

    #[test]
    fn a_bound_that_was_reached_is_told_and_excuses_nothing() {
        let (notes, mut part) = (Notes::default(), Outcome::default());
        part.timing(None, "p99 at most 5 ms", false, "9 ms");
        part.capped("load", 3);
        notes.capped("load", 4);
        notes.append(part);
        let outcome = notes.outcome();
        assert_eq!(outcome.status(), Status::Failed);
        assert!(outcome.text("a", Duration::ZERO).contains("  note load: 7 requests waited"));
        assert_eq!(outcome.json("a", "b", Duration::ZERO)["delayed_by_the_bound"]["load"], 7);
    }

    #[test]
    fn what_was_written_down_is_there_though_the_scene_goes_on() {
        let notes = Notes::default();
        let scene = notes.clone();
        std::thread::spawn(move || {
            scene.count("nothing fails", false, 1);
            scene.0.lock().map(|_| panic!("as the test wants")).ok();
        })
        .join()
        .unwrap_err();
        assert_eq!(notes.outcome().status(), Status::Failed);
    }
}
