//! A phase of a chain before anything is sent, told filter by filter.

use http::HeaderMap;
use pingora_http::RequestHeader;
use std::sync::Arc;

use portcullis_filter::chain::{Instead, Stopped};
use portcullis_filter::{Chain, ChainState, Facts, Notes, Phase, RequestCx};
use portcullis_telemetry::Redaction;

use super::finding::{FilterStep, Step};

/// What came of a chain.
pub(super) struct Ran {
    pub(super) steps: Vec<FilterStep>,
    pub(super) changes: Vec<String>,
    pub(super) stopped: Option<Stopped>,
}

/// What a chain works with.
pub(super) struct Work<'a> {
    pub(super) request: &'a mut RequestHeader,
    pub(super) facts: &'a Facts,
    pub(super) notes: &'a mut Notes,
    pub(super) state: &'a mut ChainState,
}

/// Runs the request phase of a chain; each of its filters is told.
pub(super) async fn run(chain: &Chain, work: Work<'_>) -> Ran {
    let before = Head::of(work.request);
    let mut seen: Vec<Arc<str>> = Vec::new();
    let mut cx = RequestCx { request: work.request, facts: work.facts, notes: work.notes };
    let ran = chain.request_filter(&mut cx, work.state, &mut |name| seen.push(name.clone())).await;
    let stopped = ran.err();
    let names: Vec<&str> = chain.names().collect();
    let steps = steps(&names, &seen, stopped.as_ref());
    Ran { steps, changes: before.changes(work.request), stopped }
}

/// Runs the phase of a host's chain that sees the body; those that take part are told.
pub(super) async fn peek(chain: &Chain, work: Work<'_>) -> Ran {
    let before = Head::of(work.request);
    let mut seen: Vec<Arc<str>> = Vec::new();
    let mut cx = RequestCx { request: work.request, facts: work.facts, notes: work.notes };
    let ran = chain.request_peek_filter(&mut cx, work.state, &mut |name| seen.push(name.clone())).await;
    let stopped = ran.err();
    let names: Vec<&str> = chain.names_in(Phase::RequestPeekFilter).collect();
    let steps = steps(&names, &seen, stopped.as_ref());
    Ran { steps, changes: before.changes(work.request), stopped }
}

/// Asks a chain for admission, which spends nothing on a request that is only explained; those that take part are told.
pub(super) async fn admit(chain: &Chain, work: Work<'_>) -> Ran {
    let mut seen: Vec<Arc<str>> = Vec::new();
    let mut cx = RequestCx { request: work.request, facts: work.facts, notes: work.notes };
    let ran = chain.admission_filter(&mut cx, work.state, &mut |name| seen.push(name.clone())).await;
    let stopped = ran.err();
    let names: Vec<&str> = chain.names_in(Phase::AdmissionFilter).collect();
    let mut steps = steps(&names, &seen, stopped.as_ref());
    for step in steps.iter_mut().filter(|step| step.step == Step::Continues) {
        "admits".clone_into(&mut step.verdict);
    }
    Ran { steps, changes: Vec::new(), stopped }
}

/// Tells what became of each filter. `seen` are those that let the request go on, in the order of the chain.
fn steps(names: &[&str], seen: &[Arc<str>], stopped: Option<&Stopped>) -> Vec<FilterStep> {
    let (mut seen, mut stopper) = (seen.iter().peekable(), stopped);
    let mut over = false;
    let step = |name: &&str| {
        let (step, verdict) = if over {
            (Step::NotReached, "not reached".to_owned())
        } else if seen.next_if(|next| &***next == *name).is_some() {
            (Step::Continues, "goes on".to_owned())
        } else if seen.peek().is_none() && stopper.is_some_and(|stopped| &*stopped.filter == *name) {
            over = true;
            stopper.take().map_or((Step::Answers, String::new()), verdict)
        } else {
            (Step::NoPart, "acts later, on what is sent or answered".to_owned())
        };
        FilterStep { filter: (*name).to_owned(), step, verdict }
    };
    names.iter().map(step).collect()
}

fn verdict(stopped: &Stopped) -> (Step, String) {
    match &stopped.outcome {
        Ok(Instead::Respond(response)) => (Step::Answers, format!("answers {}", response.header.status.as_u16())),
        Ok(Instead::Upgrade(_)) => (Step::Answers, "upgrades the connection and speaks on it itself".to_owned()),
        Err(error) => (Step::Refuses, format!("refuses: {error}")),
    }
}

/// A head before filters had it.
struct Head {
    uri: http::Uri,
    headers: HeaderMap,
}

impl Head {
    fn of(request: &RequestHeader) -> Self {
        Self { uri: request.uri.clone(), headers: request.headers.clone() }
    }

    /// The differences, one line each: `+ x-env: prod`, `- x-env: canary`.
    fn changes(&self, after: &RequestHeader) -> Vec<String> {
        let mut lines = Vec::new();
        if self.uri != after.uri {
            lines.push(format!("target {} becomes {}", self.uri, after.uri));
        }
        for (sign, has, lacks) in [('-', &self.headers, &after.headers), ('+', &after.headers, &self.headers)] {
            for name in has.keys() {
                let known: Vec<_> = lacks.get_all(name).iter().collect();
                let new = has.get_all(name).iter().filter(|value| !known.contains(value));
                lines.extend(new.map(|value| format!("{sign} {}", field(name.as_str(), value.as_bytes()))));
            }
        }
        lines
    }
}

/// A field as a line, its value hidden when it may be a secret.
pub(super) fn field(name: &str, value: &[u8]) -> String {
    let value = String::from_utf8_lossy(value);
    format!("{name}: {}", Redaction::default().header_value(name, &value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_types::Reason;

    fn told(names: &[&str], seen: &[&str], stopped: Option<&str>) -> Vec<&'static str> {
        let seen: Vec<Arc<str>> = seen.iter().map(|name| Arc::from(*name)).collect();
        let stopped = stopped.map(|filter| Stopped { filter: filter.into(), outcome: Err(Reason::Denied.into()) });
        steps(names, &seen, stopped.as_ref()).iter().map(|step| step.step.as_str()).collect()
    }

    #[test]
    fn every_filter_of_a_chain_is_told() {
        assert_eq!(told(&["a", "b", "c"], &["a", "c"], None), ["continues", "no_part", "continues"]);
        assert_eq!(told(&["a", "b", "c"], &["a"], Some("b")), ["continues", "refuses", "not_reached"]);
        assert_eq!(told(&["a", "a"], &["a"], Some("a")), ["continues", "refuses"]);
        assert_eq!(told(&["b", "a"], &[], Some("a")), ["no_part", "refuses"]);
    }

    #[test]
    fn secrets_in_fields_are_hidden() {
        assert_eq!(field("authorization", b"Bearer x"), "authorization: ***");
        assert_eq!(field("x-env", b"prod"), "x-env: prod");
    }
}
