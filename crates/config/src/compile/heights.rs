//! `health_check: { solana: … }`: what a node is asked, and how far it may be behind the others.

use std::time::Duration;

use portcullis_balance::HeightPolicy;
use portcullis_snapshot::HealthCheck;
use portcullis_snapshot::cluster::health::SolanaProbe;
use portcullis_types::quantity::format_duration;
use portcullis_yaml::{Diagnostic, Spanned};

use super::Compiler;
use super::health::host;
use crate::code;
use crate::raw::clusters::{RawHealthCheck, RawProbe, RawSolanaProbe};

/// From one check to the next, by default: two slots and a half.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);
const MAX_LAG: u64 = 50;
const MOST_LAG: u64 = 1_000_000;
const MAX_UNPROCESSED: u64 = 100;
const SLOT: Duration = Duration::from_millis(400);
const LEAST_SLOT: Duration = Duration::from_millis(1);
const MOST_SLOT: Duration = Duration::from_secs(60);
/// How many intervals a height is known for after the endpoint was last heard.
const KNOWN_FOR: u32 = 3;

impl Compiler<'_, '_> {
    pub(super) fn solana_probe(&mut self, raw: &RawSolanaProbe, cluster: &str) -> Option<SolanaProbe> {
        Some(SolanaProbe {
            path: self.probe_path(raw.path.as_ref())?,
            host: host(raw.host.as_ref(), cluster),
            max_unprocessed: raw.max_unprocessed.unwrap_or(MAX_UNPROCESSED),
            batch: raw.batch.unwrap_or(true),
        })
    }

    /// How the heights of a cluster are compared; `None` where none are asked for.
    pub(super) fn heights(
        &mut self,
        raw: Option<&Spanned<RawHealthCheck>>,
        check: Option<&HealthCheck>,
    ) -> Option<HeightPolicy> {
        let Some(RawProbe::Solana(solana)) = &raw?.value.probe else { return None };
        // Both are looked at, whatever else is wrong.
        let (max_lag, pace) = (self.max_lag(solana.max_lag), self.pace(solana.slot_time));
        let interval = check?.policy.interval;
        let policy = HeightPolicy {
            unit: "slot",
            max_lag: max_lag?,
            pace: pace?,
            fresh: interval.saturating_mul(KNOWN_FOR) + check?.policy.timeout,
        };
        self.in_step(&raw?.value, interval, &policy);
        Some(policy)
    }

    fn max_lag(&mut self, raw: Option<Spanned<u64>>) -> Option<u64> {
        match raw {
            None => Some(MAX_LAG),
            Some(Spanned { value, .. }) if (1..=MOST_LAG).contains(&value) => Some(value),
            Some(Spanned { value, span }) => {
                let message = format!("{value} is out of range: expected 1 to {MOST_LAG}");
                self.cx.error(code::OUT_OF_RANGE, span, message);
                None
            }
        }
    }

    fn pace(&mut self, raw: Option<Spanned<Duration>>) -> Option<Duration> {
        match raw {
            None => Some(SLOT),
            Some(Spanned { value, .. }) if (LEAST_SLOT..=MOST_SLOT).contains(&value) => Some(value),
            Some(Spanned { value, span }) => {
                let [value, least, most] = [value, LEAST_SLOT, MOST_SLOT].map(format_duration);
                self.cx.error(
                    code::OUT_OF_RANGE,
                    span,
                    format!("{value} is out of range: a slot takes {least} to {most}"),
                );
                None
            }
        }
    }

    /// Checks must be so frequent that an endpoint which keeps up is not taken for one that lags.
    fn in_step(&mut self, check: &RawHealthCheck, interval: Duration, policy: &HeightPolicy) {
        let half = policy.pace.saturating_mul(u32::try_from(policy.max_lag).unwrap_or(u32::MAX)) / 2;
        let Some(written) = check.interval.filter(|_| interval > half) else { return };
        let message = format!(
            "between two checks {} of {} may pass, and `max_lag` is {}",
            slots(interval, policy.pace),
            format_duration(policy.pace),
            policy.max_lag
        );
        let diagnostic = Diagnostic::error(code::OUT_OF_RANGE, written.span, message);
        self.cx.push(diagnostic.help(format!("let `interval` be at most {}", format_duration(half))));
    }
}

fn slots(interval: Duration, pace: Duration) -> String {
    let slots = interval.as_nanos().div_ceil(pace.as_nanos().max(1));
    format!("{slots} slots")
}
