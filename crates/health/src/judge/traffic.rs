//! What becomes of requests.

use std::time::Duration;

use super::{percent, thresholds};
use crate::facts::{Burn, Traffic, Window};
use crate::finding::{About, Finding, Severity};
use crate::kind::Kind;

/// The word for failures without a reason of ours: an upstream answered with 5xx.
const ANSWERED: &str = "answered with 5xx";

pub(super) fn traffic(traffic: &Traffic) -> Vec<Finding> {
    let Traffic { now, before, .. } = traffic;
    if now.requests < thresholds::REQUESTS {
        return Vec::new();
    }
    let mut found: Vec<Finding> = errors(traffic).into_iter().collect();
    found.extend(now.reasons.iter().filter(|(_, client, _)| !client).filter_map(|(reason, _, count)| {
        let earlier = share(of_reason(before, reason), before.requests);
        rising(reason, About::Reason(reason), (share(*count, now.requests), earlier))
    }));
    let (answered, earlier) = (now.answered(), before.answered());
    let shares = (share(answered, now.requests), share(earlier, before.requests));
    found.extend(rising(ANSWERED, About::Failed, shares));
    found.extend(refusals(now, before));
    found
}

fn errors(Traffic { now, before, latest }: &Traffic) -> Option<Finding> {
    let failed = share(now.failed, now.requests);
    let severity = match failed {
        failed if failed >= thresholds::ERRORS.1 => Severity::Failing,
        failed if failed >= thresholds::ERRORS.0 => Severity::Degraded,
        _ => return None,
    };
    let mut finding = Finding::new(Kind::Errors, "", severity, format!("{} of requests fail", percent(failed)));
    let earlier = percent(share(before.failed, before.requests));
    finding.evidence.push(format!(
        "{} of {} requests of the last minute failed by the fault of the gateway or an upstream; before, {earlier}",
        now.failed, now.requests
    ));
    finding.evidence.push(lately(latest.failed, latest));
    let mut ours: Vec<(&str, u64)> =
        now.reasons.iter().filter(|(_, client, _)| !client).map(|(reason, _, count)| (*reason, *count)).collect();
    ours.extend(Some((ANSWERED, now.answered())).filter(|(_, count)| *count > 0));
    ours.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    finding.evidence.extend(ours.iter().take(3).map(|(reason, count)| format!("{count} {reason}")));
    Some(finding.about(About::Failed))
}

/// Whether it goes on: a minute is long when something has just begun, or is over.
fn lately(failed: u64, latest: &Window) -> String {
    format!("in the last ten seconds {failed} of {}", latest.requests)
}

fn rising(reason: &'static str, about: About, (now, before): (f64, f64)) -> Option<Finding> {
    let (least, factor) = thresholds::RISING;
    if now < least || now < before * factor {
        return None;
    }
    let severity = if now >= thresholds::RISING_FAILS { Severity::Failing } else { Severity::Degraded };
    let says = format!("{} of requests fail: {reason}", percent(now));
    let evidence = format!("{} in the last minute, {} in the minutes before", percent(now), percent(before));
    Some(Finding::new(Kind::ErrorsRising, reason.replace(' ', "_"), severity, says).known_by(evidence).about(about))
}

/// Nobody's fault here, but whoever is called wants to know.
fn refusals(now: &Window, before: &Window) -> Option<Finding> {
    let (refused, earlier) = (share(now.refused, now.requests), share(before.refused, before.requests));
    if refused < thresholds::REFUSALS || refused < earlier * thresholds::RISING.1 {
        return None;
    }
    let most = now.reasons.iter().filter(|(_, client, _)| *client).max_by_key(|(_, _, count)| *count);
    let says = format!("{} of requests are refused by the fault of clients", percent(refused));
    let mut finding = Finding::new(Kind::RefusalsRising, "", Severity::Information, says);
    finding.evidence.push(format!("before, {}", percent(earlier)));
    if let Some((reason, _, count)) = most {
        finding.evidence.push(format!("most of them, {count}: {reason}"));
        finding.about = About::Reason(reason);
    }
    Some(finding)
}

/// The most urgent alert of each objective.
pub(super) fn burns(burns: &[Burn]) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    for burn in burns {
        if !found.iter().any(|one| one.of == burn.slo) {
            found.push(of_burn(burn));
        }
    }
    found
}

fn of_burn(burn: &Burn) -> Finding {
    let severity = if burn.page { Severity::Failing } else { Severity::Degraded };
    let says = format!("the error budget of {} is used up {:.1} times too fast", burn.slo, burn.long.1);
    let at = |(window, rate): (Duration, f64)| format!("{rate:.1} over {}", hours(window));
    Finding::new(Kind::SloBurn, &burn.slo, severity, says)
        .known_by(format!("burn {}, {}; the alert is at {}", at(burn.long), at(burn.short), burn.factor))
        .known_by(left(burn.left))
        .about(About::Host(burn.host.clone(), burn.route.clone()))
}

/// What is left of a budget; -1 is as much again as there was.
fn left(share: f64) -> String {
    if share > 0.0 {
        format!("{} of the budget is left", percent(share))
    } else {
        format!("nothing of the budget is left: {:.1} times as much was used", 1.0 - share)
    }
}

fn hours(window: Duration) -> String {
    match window.as_secs() {
        seconds if seconds >= 86_400 => format!("{}d", seconds / 86_400),
        seconds if seconds >= 3600 => format!("{}h", seconds / 3600),
        seconds => format!("{}m", seconds / 60),
    }
}

impl Window {
    /// Failures that none of our reasons tells: upstreams answered with 5xx.
    fn answered(&self) -> u64 {
        let ours: u64 = self.reasons.iter().filter(|(_, client, _)| !client).map(|(_, _, count)| count).sum();
        self.failed.saturating_sub(ours)
    }
}

fn of_reason(window: &Window, reason: &str) -> u64 {
    window.reasons.iter().find(|(known, ..)| *known == reason).map_or(0, |(_, _, count)| *count)
}

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(part: u64, all: u64) -> f64 {
    if all == 0 { 0.0 } else { part as f64 / all as f64 }
}
