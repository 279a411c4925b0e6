//! The verdict as `/api/status` shows it.

use serde_json::{Value, json};
use std::time::SystemTime;

use portcullis_health::{Reason, Verdict};

use super::{moment, seconds};

/// The word and its reasons, the most harmful first.
pub(super) fn told(verdict: &Verdict) -> Value {
    let now = SystemTime::now();
    let reasons: Vec<Value> = verdict.reasons.iter().map(|reason| one(reason, now)).collect();
    json!({ "state": verdict.state.as_str(), "reasons": reasons })
}

fn one(reason: &Reason, now: SystemTime) -> Value {
    let Reason { finding, since } = reason;
    let affected = &finding.affected;
    json!({
        "id": finding.id(),
        "kind": finding.kind.as_str(),
        "severity": finding.severity.as_str(),
        "says": finding.says,
        "evidence": finding.evidence,
        "since": moment(*since),
        "for_seconds": seconds(now.duration_since(*since).unwrap_or_default()),
        "affected": {
            "hosts": affected.hosts,
            "more_hosts": affected.more_hosts,
            "consumers": affected.consumers,
            "more_consumers": affected.more_consumers,
            "share_of_traffic": affected.share,
        },
        "runbook": format!("docs/runbooks/{}.md", finding.kind.runbook()),
    })
}
