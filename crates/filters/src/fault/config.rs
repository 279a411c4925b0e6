//! Settings of `fault`.

use std::num::NonZeroUsize;
use std::time::Duration;

use http::{HeaderName, StatusCode};
use portcullis_types::{Percent, Reason};

use portcullis_yaml::{Cx, Decode, Diagnostic, Form, Node, SchemaGen, Spanned, code};
use serde_json::Value as Json;

use crate::answer::FinalStatus;

/// The longest delay.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// Settings of `fault`, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultConfig {
    /// How long and which share is delayed.
    pub delay: Option<(Duration, Percent)>,
    /// How and which share is aborted.
    pub abort: Option<(AbortWith, Percent)>,
    /// Which requests may be touched at all.
    pub when: Option<When>,
    /// How many requests may be held in a delay at once.
    pub max_delayed: usize,
    /// Fixes the draws.
    pub seed: Option<u64>,
}

/// How a request is aborted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbortWith {
    /// With a status; the reason is `fault_injected`.
    Status(StatusCode),
    /// With a reason and all that comes with it.
    Reason(Reason),
}

/// A field that marks the requests to touch.
#[derive(Debug, Clone, PartialEq, Eq, Decode)]
pub struct When {
    /// The field that a request must have.
    #[config(example = "x-fault")]
    pub header: HeaderName,
    /// The value it must have; any when left out.
    pub value: Option<String>,
}

/// Faults on purpose: a share of the requests is delayed, a share aborted. A request is first drawn for the delay,
/// then, by itself, for the abort. The record says what was done.
#[derive(Decode)]
struct FaultSettings {
    /// Holds requests before they go on.
    delay: Option<Delay>,
    /// Refuses requests.
    abort: Option<Abort>,
    /// Touches only requests with this field, so that a test can ask for faults that no one else sees.
    when: Option<When>,
    /// How many requests may be held in a delay at once; those beyond go on undelayed.
    #[config(default = MAX_DELAYED)]
    max_delayed: NonZeroUsize,
    /// Fixes the sequence of draws, for tests that must repeat.
    seed: Option<u64>,
}

const MAX_DELAYED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255);

/// How long requests are held, and which share of them.
#[derive(Decode)]
struct Delay {
    /// How long, at most `60s`.
    #[config(example = "200ms")]
    duration: BoundedDelay,
    /// The share of requests.
    #[config(default = Percent::ALL)]
    share: Percent,
}

/// A refusal, with a status or a reason; with neither, 503 and the reason `fault_injected`.
#[derive(Decode)]
struct Abort {
    /// The status to answer with; the reason in the record is `fault_injected`.
    status: Option<FinalStatus>,
    /// The reason to fail with: status, body and record are as if it were real.
    #[config(example = "over_rate")]
    reason: Option<Spanned<Reason>>,
    /// The share of requests.
    #[config(default = Percent::ALL)]
    share: Percent,
}

/// A duration up to the longest delay.
struct BoundedDelay(Duration);

const DELAY: Form = Form::new("a delay of at most `60s`", &["200ms", "5s"]);

impl Decode for BoundedDelay {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let duration = Duration::decode(node, cx)?;
        if duration > MAX_DELAY { cx.invalid(node, &DELAY, None) } else { Some(Self(duration)) }
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        Duration::schema(schemas)
    }
}

impl Decode for FaultConfig {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let FaultSettings { delay, abort, when, max_delayed, seed } = FaultSettings::decode(node, cx)?;
        if delay.is_none() && abort.is_none() {
            let message = "the filter does nothing";
            let help = "add `delay: { duration: 200ms, share: 10% }` or `abort: { status: 503, share: 5% }`";
            return cx.fail(Diagnostic::error(code::MISSING_KEY, node.span, message).help(help));
        }
        let abort = match abort {
            Some(abort) => Some((abort.with(cx)?, abort.share)),
            None => None,
        };
        let delay = delay.map(|delay| (delay.duration.0, delay.share));
        Some(Self { delay, abort, when, max_delayed: max_delayed.get(), seed })
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        FaultSettings::schema(schemas)
    }
}

impl Abort {
    fn with(&self, cx: &mut Cx<'_>) -> Option<AbortWith> {
        match (self.status, self.reason) {
            (Some(_), Some(reason)) => {
                let message = "`status` and `reason` exclude one another: a reason has its own status";
                cx.fail(Diagnostic::error(code::CONFLICTING_KEYS, reason.span, message))
            }
            (Some(status), None) => Some(AbortWith::Status(status.0)),
            (None, reason) => Some(AbortWith::Reason(reason.map_or(Reason::FaultInjected, |it| it.value))),
        }
    }
}
