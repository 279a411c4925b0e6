//! A canary that serves already, judged by what its gateway counts. Nothing is sent but scrapes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use portcullis_artifacts::WindowPair;
use portcullis_judge::random::Random;
use portcullis_judge::window::{Side, Window};
use portcullis_judge::{Judge, Pair, Rules, Sample, Step};

use crate::Failure;
use crate::client::Client;

use super::conduct::Conducted;
use super::metrics::{Looking, Scrape, Select, window};
use super::subject::Url;

mod beside;

use beside::{Costs, Growing, Trouble};

/// How long a scrape may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the numbers of a side are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) url: Url,
    pub(super) select: Select,
    /// The token of the admin API, where it wants one.
    pub(super) token: Option<String>,
}

impl Source {
    fn scrape(&self) -> Result<Scrape, Failure> {
        let mut client = Client::patient(self.url.resolve()?, PATIENCE)?;
        let token = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let Url { authority, path } = &self.url;
        client.send(&format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\n{token}Connection: close\r\n\r\n"))?;
        let answer = client.answer()?;
        if answer.status != 200 {
            return Err(format!("http://{authority}{path} answers {}", answer.status).into());
        }
        Ok(Scrape::parse(&String::from_utf8_lossy(&answer.body), &self.select)?)
    }
}

/// A live comparison.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) baseline: Source,
    pub(super) canary: Source,
    /// From one scrape to the next.
    pub(super) every: Duration,
    pub(super) objective: Duration,
    /// Bytes that each side may hold after a day, where that is asked.
    pub(super) most_memory: Option<u64>,
    pub(super) rules: Rules,
    pub(super) seed: u64,
}

/// What is kept from one scrape to the next.
struct Watching {
    run: Conducted,
    random: Random,
    /// The baseline's window before, of the A/A leg.
    earlier: Option<Window>,
    /// What may be compared, as of the first windows.
    costs: Option<Costs>,
    trouble: Trouble,
    growing: Growing,
}

impl Live {
    /// Watches until the judge has seen enough. The A/A leg is the baseline's windows against its own next ones: a minute's difference
    /// of the traffic is in them too, so δ is rather too wide than too narrow.
    pub(super) fn watch(&self, progress: &mut dyn FnMut(&Judge, f64)) -> Result<Conducted, Failure> {
        let judge = Judge::new(self.rules.clone(), self.seed)?;
        let mut watching = Watching {
            run: Conducted::with(judge),
            random: Random::new(self.seed ^ 0x00c0_ffee),
            earlier: None,
            costs: None,
            trouble: Trouble::default(),
            growing: Growing::default(),
        };
        let begin = Instant::now();
        let mut last = [self.baseline.scrape()?, self.canary.scrape()?];
        let mut at = Instant::now();
        progress(&watching.run.judge, 0.0);
        while watching.run.judge.step() != Step::End {
            std::thread::sleep((at + self.every).saturating_duration_since(Instant::now()));
            let scraped = [self.baseline.scrape(), self.canary.scrape()];
            let looking = Looking {
                process: self.baseline.url != self.canary.url,
                objective: u64::try_from(self.objective.as_nanos())?,
                seconds: at.elapsed().as_secs_f64(),
                began: at.duration_since(begin).as_secs_f64(),
            };
            at = Instant::now();
            watching.look(&mut last, scraped, looking);
            progress(&watching.run.judge, begin.elapsed().as_secs_f64());
            if let Some(finding) = watching.trouble.finding() {
                watching.run.findings.push(finding);
                return Ok(watching.run);
            }
        }
        let Watching { mut run, growing, .. } = watching;
        if let Some(cap) = self.most_memory {
            match growing.finding(cap) {
                Some(finding) => run.findings.push(finding),
                None => run.judge.cannot_tell("how memory grows is not told by the metrics of the canary"),
            }
        }
        Ok(run)
    }
}

impl Watching {
    /// What a moment's scrapes say.
    fn look(&mut self, last: &mut [Scrape; 2], scraped: [Result<Scrape, Failure>; 2], looking: Looking) {
        let now = match scraped {
            [Ok(baseline), Ok(canary)] => [baseline, canary],
            [baseline, canary] => {
                self.trouble.unreachable(baseline.is_ok(), canary.as_ref().err());
                self.earlier = None;
                let failure = [baseline, canary].into_iter().find_map(Result::err);
                return self.run.judge.skip(&failure.map(|failure| failure.to_string()).unwrap_or_default());
            }
        };
        let [baseline, canary] = last;
        let [baseline_now, canary_now] = &now;
        let restarted = [baseline_now.is_restart(baseline), canary_now.is_restart(canary)];
        self.trouble.reachable(restarted);
        let comparing = matches!(self.run.judge.step(), Step::Compare(_));
        self.growing.note(&now, restarted, looking.began, comparing && looking.process);
        let windows = between(last, &now, looking);
        *last = now;
        self.take(windows);
    }

    fn take(&mut self, windows: Result<[Window; 2], String>) {
        let [baseline, canary] = match windows {
            Ok(windows) => windows,
            Err(why) => {
                self.earlier = None;
                return self.run.judge.skip(&why);
            }
        };
        let seen = Costs::of(baseline.requests, canary.requests);
        let costs = *self.costs.get_or_insert_with(|| seen.told(&baseline, &canary));
        let (pair, costs, list) = match self.run.judge.step() {
            Step::Twins(first) => {
                let Some(before) = self.earlier.replace(baseline.clone()) else { return };
                // Which of the two stands in for the canary is random, so that what grows with time is no difference of twins.
                let (baseline, canary) = if first == Side::Baseline { (before, baseline) } else { (baseline, before) };
                (WindowPair { first, baseline, canary, rulers: BTreeMap::new() }, costs, &mut self.run.twins)
            }
            Step::Compare(first) => {
                let pair = WindowPair { first, baseline, canary, rulers: BTreeMap::new() };
                (pair, costs.and(seen), &mut self.run.pairs)
            }
            Step::End => return,
        };
        let (baseline, canary) = (Sample::of(&pair.baseline), Sample::of(&pair.canary));
        let fewest = baseline.requests.min(canary.requests);
        let mut thinned = |sample: Sample| costs.kept(sample.thinned(fewest, &mut self.random));
        let pair_of_samples = Pair { baseline: thinned(baseline), canary: thinned(canary) };
        self.run.judge.push(pair_of_samples);
        list.push(pair);
    }
}

fn between(last: &[Scrape; 2], now: &[Scrape; 2], looking: Looking) -> Result<[Window; 2], String> {
    let [baseline, canary] = last;
    let [baseline_now, canary_now] = now;
    let side = |side: Side, then: &Scrape, now: &Scrape| {
        let window = window(then, now, looking).map_err(|error| format!("{side}: {error}"))?;
        if window.requests == 0 { Err(format!("{side}: no requests")) } else { Ok(window) }
    };
    Ok([side(Side::Baseline, baseline, baseline_now)?, side(Side::Canary, canary, canary_now)?])
}

#[cfg(test)]
mod tests;
