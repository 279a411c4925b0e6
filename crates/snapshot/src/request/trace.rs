//! The trace that a request is a part of: gone on with, or begun.
//!
//! An invalid `traceparent`, and more than one, begin a new trace (W3C Trace Context, section 4.3). Nothing here allocates.

use std::num::NonZeroU64;

use http::{HeaderMap, HeaderValue};

use portcullis_filter::Facts;
use portcullis_telemetry::record::share_has;
use portcullis_telemetry::{TraceRules, Traces};
use portcullis_types::{Percent, RequestId};
use portcullis_wire::forwarded::TraceParent;

use super::forwarding::TRACEPARENT;

/// A request's trace, and the gateway's span in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The trace, its flags as they are told upstream.
    at: TraceParent,
    /// The span that the request came from.
    parent: Option<NonZeroU64>,
    /// The gateway's own span.
    span: u64,
    /// Whether the caller's flag decides.
    follows: bool,
}

impl Trace {
    /// Goes on with the trace that the caller names, where it may, or begins one. Two random numbers are given: the id of a
    /// trace that begins here, and that of the gateway's span.
    #[must_use]
    pub fn begin(headers: &HeaderMap, facts: &Facts, (own, span): (RequestId, u64), rules: &TraceRules) -> Self {
        let heard = match rules.callers {
            Traces::Anyone => true,
            Traces::Trusted => facts.trusted,
            Traces::Nobody => false,
        };
        let inbound = if heard { parent(headers) } else { None };
        let parent = inbound.and_then(|inbound| NonZeroU64::new(u64::from_be_bytes(inbound.parent_id())));
        let at = inbound.unwrap_or_else(|| TraceParent::root(own.0.to_be_bytes(), span.to_be_bytes(), false));
        let mut trace = Self { at, parent, span, follows: parent.is_some() && rules.follow };
        trace.resample(rules.sample);
        trace
    }

    /// Draws anew by another share, where the caller's flag does not decide.
    pub fn resample(&mut self, share: Percent) {
        if !self.follows {
            self.at = self.at.sampled(share_has(share, self.id()));
        }
    }

    /// The trace's id.
    #[must_use]
    pub const fn id(&self) -> u128 {
        u128::from_be_bytes(self.at.trace_id())
    }

    /// The span that the request came from; `None` when the trace begins here.
    #[must_use]
    pub const fn parent(&self) -> Option<NonZeroU64> {
        self.parent
    }

    /// The gateway's own span.
    #[must_use]
    pub const fn span(&self) -> u64 {
        self.span
    }

    /// Whether it is kept whatever becomes of the request.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.at.is_sampled()
    }

    /// What an upstream is told, of the span of an attempt.
    #[must_use]
    pub fn told(&self, span: u64) -> TraceParent {
        self.at.child(span.to_be_bytes())
    }
}

/// The one valid `traceparent`.
fn parent(headers: &HeaderMap) -> Option<TraceParent> {
    let mut all = headers.get_all(TRACEPARENT).iter().map(HeaderValue::as_bytes);
    let (first, more) = (all.next()?, all.next());
    TraceParent::parse(first).ok().filter(|_| more.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_types::Downstream;
    use std::sync::Arc;

    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const OWN: RequestId = RequestId(7);

    fn rules(callers: Traces, follow: bool, sample: &str) -> TraceRules {
        TraceRules { callers, follow, sample: sample.parse().unwrap() }
    }

    fn begin(values: &[&str], trusted: bool, rules: &TraceRules) -> Trace {
        let nowhere = ([127, 0, 0, 1], 0).into();
        let (peer, socket_peer, local) = (nowhere, nowhere, nowhere);
        let downstream = Downstream { listener: "edge".into(), peer, socket_peer, local, tls: None };
        let mut facts = Facts::new(OWN, Arc::new(downstream));
        facts.trusted = trusted;
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, HeaderValue::from_str(value).unwrap());
        }
        Trace::begin(&headers, &facts, (OWN, 9), rules)
    }

    #[test]
    fn a_trace_of_who_is_heard_goes_on_and_else_one_begins() {
        let goes_on = |callers, trusted| {
            let trace = begin(&[GIVEN], trusted, &rules(callers, true, "0%"));
            assert_eq!(trace.span(), 9);
            assert_eq!(trace.parent().is_some(), trace.id() == 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736);
            assert!(trace.parent().is_some() || trace.id() == OWN.0);
            trace.parent()
        };
        let parent = NonZeroU64::new(0x00f0_67aa_0ba9_02b7);
        assert_eq!([goes_on(Traces::Trusted, true), goes_on(Traces::Trusted, false)], [parent, None]);
        assert_eq!([goes_on(Traces::Anyone, true), goes_on(Traces::Anyone, false)], [parent, parent]);
        assert_eq!([goes_on(Traces::Nobody, true), goes_on(Traces::Nobody, false)], [None, None]);
    }

    #[test]
    fn what_is_invalid_begins_a_trace() {
        let anyone = rules(Traces::Anyone, true, "0%");
        let other = GIVEN.replace("4bf9", "5bf9");
        for values in [
            vec!["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"],
            vec!["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
            vec!["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"],
            vec!["00-00000000000000000000000000000000-00f067aa0ba902b7-01"],
            vec!["00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"],
            vec!["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"],
            vec![""],
            vec![],
            vec![GIVEN, other.as_str()],
        ] {
            assert_eq!(begin(&values, true, &anyone).id(), OWN.0, "{values:?}");
        }
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-brings";
        assert!(begin(&[later], true, &anyone).parent().is_some());
    }

    #[test]
    fn the_callers_flag_decides_where_the_config_says_so_and_the_share_else() {
        let unset = GIVEN.replace("-01", "-00");
        let sampled =
            |value: &str, follow, share| begin(&[value], true, &rules(Traces::Trusted, follow, share)).is_sampled();
        assert!(sampled(GIVEN, true, "0%") && !sampled(&unset, true, "100%"));
        assert!(!sampled(GIVEN, false, "0%") && sampled(&unset, false, "100%"));
        assert!(sampled("none", true, "100%") && !sampled("none", true, "0%"));
        let mut trace = begin(&[GIVEN], true, &rules(Traces::Trusted, true, "0%"));
        trace.resample("0%".parse().unwrap());
        assert!(trace.is_sampled(), "a route's share does not overrule the caller either");
        let told = String::from_utf8(trace.told(0xab).write().to_vec()).unwrap();
        assert_eq!(told, "00-4bf92f3577b34da6a3ce929d0e0e4736-00000000000000ab-01");
    }
}
