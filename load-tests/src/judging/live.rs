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
        let mut client = Client::connect(self.url.resolve()?)?;
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
    pub(super) rules: Rules,
    pub(super) seed: u64,
}

impl Live {
    /// Watches until the judge has seen enough. The A/A leg is the baseline's windows against its own next ones: a minute's difference
    /// of the traffic is in them too, so δ is rather too wide than too narrow.
    pub(super) fn watch(&self, progress: &mut dyn FnMut(&Judge, f64)) -> Result<Conducted, Failure> {
        let judge = Judge::new(self.rules.clone(), self.seed)?;
        let mut run = Conducted::with(judge);
        let mut random = Random::new(self.seed ^ 0x00c0_ffee);
        let begin = Instant::now();
        let mut last = [self.baseline.scrape()?, self.canary.scrape()?];
        let mut at = Instant::now();
        let mut earlier: Option<Window> = None;
        progress(&run.judge, 0.0);
        while run.judge.step() != Step::End {
            std::thread::sleep((at + self.every).saturating_duration_since(Instant::now()));
            let scraped = self.baseline.scrape().and_then(|baseline| Ok([baseline, self.canary.scrape()?]));
            let looking = Looking {
                process: self.baseline.url != self.canary.url,
                objective: u64::try_from(self.objective.as_nanos())?,
                seconds: at.elapsed().as_secs_f64(),
                began: at.duration_since(begin).as_secs_f64(),
            };
            at = Instant::now();
            match scraped {
                Ok(now) => {
                    let windows = between(&last, &now, looking);
                    last = now;
                    take(&mut run, windows, &mut earlier, &mut random);
                }
                Err(failure) => {
                    earlier = None;
                    run.judge.skip(&failure.to_string());
                }
            }
            progress(&run.judge, begin.elapsed().as_secs_f64());
        }
        Ok(run)
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

fn take(run: &mut Conducted, windows: Result<[Window; 2], String>, earlier: &mut Option<Window>, random: &mut Random) {
    let [baseline, canary] = match windows {
        Ok(windows) => windows,
        Err(why) => {
            *earlier = None;
            run.judge.skip(&why);
            return;
        }
    };
    let (pair, list) = match run.judge.step() {
        Step::Twins(first) => {
            let before = earlier.replace(baseline.clone());
            let Some(before) = before else { return };
            // Which of the two stands in for the canary is random, so that what grows with time is no difference of twins.
            let (baseline, canary) = if first == Side::Baseline { (before, baseline) } else { (baseline, before) };
            (WindowPair { first, baseline, canary, rulers: BTreeMap::new() }, &mut run.twins)
        }
        Step::Compare(first) => (WindowPair { first, baseline, canary, rulers: BTreeMap::new() }, &mut run.pairs),
        Step::End => return,
    };
    let (baseline, canary) = (Sample::of(&pair.baseline), Sample::of(&pair.canary));
    let fewest = baseline.requests.min(canary.requests);
    run.judge.push(Pair { baseline: baseline.thinned(fewest, random), canary: canary.thinned(fewest, random) });
    list.push(pair);
}

#[cfg(test)]
mod tests;
