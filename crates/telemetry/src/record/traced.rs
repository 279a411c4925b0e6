//! The place of a request in its trace, and whether the trace is to be kept once the request is over.
//!
//! What is decided with the head is told to the upstreams in `traceparent`: whether the share takes it. What is decided at
//! the end adds to that: what failed or was slow is kept too. Nothing here allocates.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use portcullis_types::{Fault, Percent};

use super::{Flag, Kind, Record};

/// The place of a traced request in its trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traced {
    /// The id of its own span.
    pub span: u64,
    /// The id of the span that it came from; `None` when the trace begins here.
    pub parent: Option<NonZeroU64>,
    /// Whether the share takes it, or the caller's flag does.
    pub sampled: bool,
    /// What holds for it: of its route, once it has one.
    pub terms: Arc<TraceTerms>,
}

/// What holds for traced requests of one route, or of none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TraceTerms {
    /// What takes longer is kept; `None` for nothing.
    pub slow: Option<Duration>,
    /// The pattern of the path that the route matches, as the config has it.
    pub pattern: Option<Arc<str>>,
}

/// Why a trace is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kept {
    /// The request failed by the gateway's or an upstream's fault, or was answered with 5xx.
    Failed,
    /// It took too long.
    Slow,
    /// The share takes it.
    Sampled,
}

impl Kept {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Failed, Self::Slow, Self::Sampled];

    /// The word of attributes and metrics; stable.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Slow => "slow",
            Self::Sampled => "sampled",
        }
    }
}

impl Record {
    /// Whether it is a failure in the sense of a trace: by the gateway's or an upstream's fault, or answered with 5xx. What
    /// a client did wrong is none: a scanner must not fill the collector.
    #[must_use]
    pub fn went_wrong(&self) -> bool {
        let fault = self.reason.map(portcullis_types::Reason::fault);
        self.status >= 500 || matches!(fault, Some(Fault::Gateway | Fault::Upstream))
    }

    /// Why the request's trace is kept; `None` when it is not, or the request is not traced.
    #[must_use]
    pub fn kept(&self) -> Option<Kept> {
        let traced = self.traced.as_ref().filter(|_| self.kind == Kind::Request)?;
        if self.went_wrong() {
            return Some(Kept::Failed);
        }
        // A stream lasts as long as its ends want; what can be slow is its beginning.
        let is_stream = self.flags.has(Flag::Upgraded);
        let took = if is_stream { self.timers.first_byte.unwrap_or_default() } else { self.timers.total };
        if traced.terms.slow.is_some_and(|slow| took > slow) {
            return Some(Kept::Slow);
        }
        traced.sampled.then_some(Kept::Sampled)
    }
}

/// Whether a share of all traces has this one. It goes by the low 56 bits of the id, as consistent probability sampling of
/// OpenTelemetry does: whoever has the same share takes the same traces, and whoever has a larger one takes these too.
#[must_use]
pub fn share_has(share: Percent, trace_id: u128) -> bool {
    const RANDOM_BITS: u32 = 56;
    let random = trace_id & ((1 << RANDOM_BITS) - 1);
    let rejected = u128::from(Percent::ALL.millionths() - share.millionths().min(Percent::ALL.millionths()));
    random >= (rejected << RANDOM_BITS) / u128::from(Percent::ALL.millionths())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use portcullis_types::Reason;

    fn traced(sampled: bool) -> Record {
        let mut record = fixture::typical(1);
        let terms = Arc::new(TraceTerms { slow: Some(Duration::from_millis(100)), pattern: None });
        record.traced = Some(Traced { span: 1, parent: None, sampled, terms });
        record
    }

    #[test]
    fn a_failure_is_kept_and_so_is_what_was_slow_and_else_what_the_share_takes() {
        assert_eq!(fixture::typical(1).kept(), None, "it is not traced");
        assert_eq!((traced(false).kept(), traced(true).kept()), (None, Some(Kept::Sampled)));
        let with = |change: fn(&mut Record)| {
            let mut record = traced(false);
            change(&mut record);
            record.kept()
        };
        assert_eq!(with(|record| record.status = 503), Some(Kept::Failed));
        assert_eq!(with(|record| record.reason = Some(Reason::UpstreamReset)), Some(Kept::Failed));
        assert_eq!(with(|record| record.reason = Some(Reason::KeyUnknown)), None, "a client's fault");
        assert_eq!(with(|record| record.timers.total = Duration::from_millis(100)), None);
        assert_eq!(with(|record| record.timers.total = Duration::from_millis(101)), Some(Kept::Slow));
        assert_eq!(with(|record| record.kind = Kind::Connection), None);
        let stream = |record: &mut Record| {
            record.flags.set(Flag::Upgraded);
            record.timers.total = Duration::from_secs(3600);
        };
        assert_eq!(with(stream), None, "a WebSocket that is open for an hour is not slow");
    }

    #[test]
    fn a_larger_share_has_what_a_smaller_one_has_and_each_has_its_part() {
        let share = |text: &str| text.parse::<Percent>().unwrap();
        let id = |n: u128| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let count = |text: &str| (1..=10_000).filter(|n| share_has(share(text), id(*n))).count();
        assert_eq!((count("0%"), count("100%")), (0, 10_000));
        assert!((900..1_100).contains(&count("10%")), "{}", count("10%"));
        assert!((1..=10_000).all(|n| !share_has(share("10%"), id(n)) || share_has(share("20%"), id(n))));
        assert!(share_has(Percent::ALL, 0) && !share_has(share("99.9999%"), 0));
    }
}
