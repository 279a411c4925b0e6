//! `limits:` of clusters and routes, and `overload:`.

use std::time::Duration;

use portcullis_balance::{AdaptivePolicy, LimitPolicy, Priority, QueuePolicy};
use portcullis_snapshot::LimitRules;
use portcullis_snapshot::settings::{MemoryBound, Overload};
use portcullis_types::Percent;
use portcullis_yaml::{Diagnostic, Spanned};

use super::Compiler;
use crate::code;
use crate::raw::limits::{RawClusterLimits, RawMemory, RawOverload, RawPriority, RawRouteLimits};

/// The most that a bound may say: beyond it a number was mistaken.
const MOST: u32 = 1_000_000;
/// Requests that wait by default.
const QUEUE: u32 = 256;
/// The longest queue that may be asked for.
const LONGEST_QUEUE: u32 = 100_000;
/// The event loop's delay by default.
const DELAY: Duration = Duration::from_millis(50);

impl Compiler<'_, '_> {
    pub(super) fn cluster_limits(&mut self, raw: Option<&RawClusterLimits>) -> LimitRules {
        let Some(raw) = raw else { return LimitRules::default() };
        let requests = self.bound(raw.requests);
        let requests = if raw.adaptive == Some(true) {
            let max = requests.unwrap_or(AdaptivePolicy::default().max);
            Some(LimitPolicy::Adaptive(AdaptivePolicy { max, ..AdaptivePolicy::default() }))
        } else {
            requests.map(LimitPolicy::Fixed)
        };
        let rules = LimitRules {
            requests,
            per_endpoint: self.bound(raw.per_endpoint),
            queue: None,
            streams: self.bound(raw.streams),
        };
        let queue = self.queue(raw);
        if rules.bound_requests() {
            return LimitRules { queue: Some(queue), ..rules };
        }
        let unused = raw.queue.map(|queue| queue.span).or(raw.queue_timeout.map(|timeout| timeout.span));
        if let Some(span) = unused {
            let message = "nothing waits in this queue: the cluster has no bound on requests";
            let help = "add `requests`, `per_endpoint` or `adaptive: true`";
            self.cx.push(Diagnostic::error(code::SETTING_CONFLICT, span, message).help(help));
        }
        rules
    }

    pub(super) fn route_limits(&mut self, raw: Option<&RawRouteLimits>) -> LimitRules {
        let Some(raw) = raw else { return LimitRules::default() };
        let requests = self.bound(raw.requests).map(LimitPolicy::Fixed);
        LimitRules { requests, per_endpoint: None, queue: None, streams: self.bound(raw.streams) }
    }

    fn bound(&mut self, raw: Option<Spanned<u32>>) -> Option<u32> {
        raw.map(|raw| self.number(Some(raw), MOST, 1..=MOST))
    }

    fn queue(&mut self, raw: &RawClusterLimits) -> QueuePolicy {
        let default = QueuePolicy::default();
        let timeout = self.time(raw.queue_timeout, default.timeout);
        let capacity = self.number(raw.queue, QUEUE, 0..=LONGEST_QUEUE);
        // Under stress from a tenth of the time on, as by default.
        QueuePolicy { capacity: usize::try_from(capacity).unwrap_or_default(), timeout, stress_after: timeout / 10 }
    }

    pub(super) fn overload(&mut self, raw: Option<&RawOverload>) -> Overload {
        let memory = raw.and_then(|raw| raw.memory).map(|memory| memory.value);
        let delay = raw.and_then(|raw| raw.event_loop_delay);
        let delay = match delay {
            Some(delay) if delay.value.is_zero() => None,
            delay => Some(self.time(delay, DELAY)),
        };
        Overload {
            memory: match memory {
                None => MemoryBound::Share(eighty()),
                Some(RawMemory::Off) => MemoryBound::Off,
                Some(RawMemory::Share(share)) => MemoryBound::Share(share),
                Some(RawMemory::Bytes(bytes)) => MemoryBound::Bytes(bytes.0),
            },
            event_loop_delay: delay,
            connections: raw.and_then(|raw| raw.connections).map(|raw| self.number(Some(raw), MOST, 0..=MOST)),
        }
    }
}

const fn eighty() -> Percent {
    match Percent::from_millionths(800_000) {
        Some(share) => share,
        None => Percent::ALL,
    }
}

pub(super) const fn priority(raw: RawPriority) -> Priority {
    match raw {
        RawPriority::Sheddable => Priority::Sheddable,
        RawPriority::Normal => Priority::Normal,
        RawPriority::Important => Priority::Important,
        RawPriority::Critical => Priority::Critical,
    }
}
