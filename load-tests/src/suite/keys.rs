//! Many keys, races and bursts: nobody gets more than the cap and the stated bound, and who keeps to it is not moved.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use portcullis_engine::answer::Answer;
use portcullis_engine::drive::Source;
use portcullis_engine::origin::Origin;
use portcullis_engine::outcome::{Kind, Outcome as Became};

use crate::Failure;

use super::books::Books;
use super::capped::Capped;
use super::consumers;
use super::kit::{Config, Edge, Stage, closed, open, play_of};
use super::outcome::Notes;
use super::served::{Bad, told};

/// What a key of the abusers may spend.
const RATE: u32 = 10;
const BURST: u32 = 20;

/// What is let in of keys that nothing comes back to while the scene plays: a burst of 1/h, a quota of a month.
const SAVED: u64 = 25;
const QUOTA: u64 = 40;
const SAVED_KEY: &str = "load-test-saved-caller-0000000000000000000000000";
const QUOTA_KEY: &str = "load-test-quota-caller-0000000000000000000000000";

/// Callers at a time with one key.
const RACING: usize = 64;

/// Requests a second of the good caller.
const GOOD: f64 = 50.0;

/// Requests that bear keys in turns.
#[derive(Debug)]
struct Keyed {
    keys: Vec<String>,
    /// Of each key, how often it was let in.
    admitted: Vec<u64>,
}

impl Keyed {
    fn new(keys: Vec<String>) -> Self {
        Self { admitted: vec![0; keys.len()], keys }
    }

    fn index(&self, number: u64) -> usize {
        usize::try_from(number).unwrap_or_default() % self.keys.len().max(1)
    }
}

impl Source for Keyed {
    fn write(&mut self, number: u64, out: &mut Vec<u8>) -> usize {
        let key = self.keys.get(self.index(number)).map_or("", String::as_str);
        out.extend_from_slice(format!("GET / HTTP/1.1\r\nHost: load.test\r\nX-Api-Key: {key}\r\n\r\n").as_bytes());
        0
    }

    fn judge(&mut self, _: usize, number: u64, answer: &Answer<'_>) -> Became {
        let index = self.index(number);
        match answer.status {
            200 => {
                if let Some(count) = self.admitted.get_mut(index) {
                    *count += 1;
                }
                Became::Succeeded
            }
            429 => Became::Refused,
            _ => Became::Failed(Kind::Status),
        }
    }
}

/// The abuser of a number, and the good caller.
fn key(number: usize) -> String {
    format!("load-test-abuser-{number:032}")
}

const GOOD_KEY: &str = "load-test-good-caller-00000000000000000000000000";

fn start(stage: &Stage, origin: &Origin, keys: usize) -> Result<Edge, Failure> {
    let abusers: Vec<String> = (0..keys).map(key).collect();
    let abusers = abusers.iter().enumerate().map(|(number, key)| (format!("abuser-{number}"), "small", key.as_str()));
    let others = [("good", "large", GOOD_KEY), ("saved", "saved", SAVED_KEY), ("quota", "quota", QUOTA_KEY)];
    let others = others.into_iter().map(|(id, plan, key)| (id.to_owned(), plan, key));
    consumers::write(&stage.folder.join("edge"), abusers.chain(others))?;
    let mut top = String::new();
    writeln!(top, "plans:\n  small: {{ rate: {RATE}/s, burst: {BURST} }}\n  large: {{ rate: 10000/s, burst: 10000 }}")?;
    writeln!(top, "  saved: {{ rate: 1/h, burst: {SAVED} }}\n  quota: {{ quota: {QUOTA}/month }}")?;
    top.push_str(consumers::CONFIG);
    let host = "    filters: [api_key, caps]\n".to_owned();
    Edge::start(stage, "edge", &Config { top, host, ..Config::to(origin.address()) })
}

/// Plays.
pub(super) fn keys(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    let origin = Origin::start("{\"fine\":true}")?;
    let count = stage.size(50, 500);
    let edge = start(stage, &origin, count)?;
    let length = stage.size(Duration::from_secs(4), Duration::from_secs(30));
    let good = || Keyed::new(vec![GOOD_KEY.to_owned()]);
    let books = Books::open(&edge, &origin)?;
    let alone = edge.play_of(outcome, "alone", &open(edge.address, GOOD, length, stage.seed), &mut good())?;
    alone.1.expect_served(outcome, &alone.0);
    books.close_even(outcome, "alone", &[&alone.0])?;
    let bursts = Keyed::new((0..count).map(key).collect());
    let race = Keyed::new(vec![key(0)]);
    // In a race many ask with one key at the same time. A rate decides how fast the many keys burst.
    let rate = f64::from(RATE) * 4.0 * f64::from(u32::try_from(count)?);
    for (name, mut abuse, load) in [
        ("bursts", bursts, open(edge.address, rate, length, stage.seed + 1)),
        ("race", race, closed(edge.address, RACING, length)),
    ] {
        let books = Books::open(&edge, &origin)?;
        let begun = Instant::now();
        let ((abused, beside, took), part) = edge.watched(outcome, name, || {
            std::thread::scope(|scope| {
                let abuse = scope.spawn(|| play_of(&load, &mut abuse));
                let beside = play_of(&open(edge.address, GOOD, length, stage.seed), &mut good())?;
                let abused = abuse.join().map_err(|_| "the abusers panicked")??;
                let lag = beside.lag();
                Ok(((abused, beside, begun.elapsed()), Some(lag)))
            })
        })?;
        no_more(outcome, name, &abuse, took);
        outcome.count(format!("{name}: the abuse is refused"), abused.all.refused > 0, told(&abused));
        part.expect_none(outcome, "nothing of the abuse fails", Bad::failed(&abused), &told(&abused));
        part.expect_served(outcome, &beside);
        let most = alone.0.quantile(0.99).unwrap_or(Duration::MAX);
        let most = most.saturating_mul(4).saturating_add(Duration::from_millis(50));
        let what = "the good caller's p99 at most four times that alone, and 50 ms";
        part.expect_unmoved(outcome, what, (&beside, 0.99), most);
        books.close_even(outcome, name, &[&abused, &beside])?;
    }
    for (name, key, cap) in [("a saved burst", SAVED_KEY, SAVED), ("a quota", QUOTA_KEY, QUOTA)] {
        let mut source = Capped::get("/", &format!("X-Api-Key: {key}\r\n"));
        let load = closed(edge.address, RACING, Duration::from_millis(500));
        let books = Books::open(&edge, &origin)?;
        let (tally, part) = edge.play_of(outcome, name, &load, &mut source)?;
        source.expect(outcome, name, cap, (&tally, &part));
        books.close_even(outcome, name, &[&tally])?;
    }
    Ok(())
}

/// No key gets more than its cap in the time that all of it took, however late somebody was.
fn no_more(outcome: &Notes, name: &str, abuse: &Keyed, took: Duration) {
    let most = abuse.admitted.iter().copied().max().unwrap_or_default();
    // An exact bucket: what was saved up, what it brings meanwhile, and the one that a fraction of it makes.
    let cap = f64::from(BURST) + f64::from(RATE) * took.as_secs_f64() + 1.0;
    outcome.count(
        format!("{name}: no key gets more than its burst and its rate"),
        most as f64 <= cap,
        format!("{most} at most, {cap:.0} allowed in {:.1} s", took.as_secs_f64()),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::outcome::Status;

    #[test]
    fn one_more_than_a_cap_allows_is_a_failure() {
        for (admitted, status) in [(41, Status::Passed), (42, Status::Failed)] {
            let notes = Notes::default();
            let abuse = Keyed { admitted: vec![3, admitted], ..Keyed::new(Vec::new()) };
            no_more(&notes, "bursts", &abuse, Duration::from_secs(2));
            assert_eq!(notes.outcome().status(), status, "{admitted}");
        }
    }
}
