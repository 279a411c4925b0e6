//! What was in flight when one process took over from another, by the gateway's own log. Pure.
//!
//! Generations go on counting over processes, and nothing is reloaded: each process has one. The takeover is the moment at which the
//! first request of a new one begins.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value as Json;

use crate::Failure;

/// What is told apart.
const KINDS: [&str; 4] = ["requests", "uploads", "http2", "websockets"];

/// A line of the log.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) generation: u64,
    /// Milliseconds since 1970.
    pub(super) begun: f64,
    pub(super) ended: f64,
    /// One of [`KINDS`].
    pub(super) what: &'static str,
    /// Whether the gateway refused it since it ran late itself.
    pub(super) shed: bool,
}

impl Line {
    pub(super) fn read(line: &str) -> Result<Self, Failure> {
        let json: Json = serde_json::from_str(line)?;
        let text = |name: &str| json.get(name).and_then(Json::as_str).unwrap_or_default();
        let time: Timestamp = text("time").parse()?;
        let took = json.get("total_ms").and_then(Json::as_f64).ok_or_else(|| format!("no total_ms: {line}"))?;
        let generation =
            json.get("generation").and_then(Json::as_u64).ok_or_else(|| format!("no generation: {line}"))?;
        let begun = time.as_millisecond() as f64;
        let what = match text("path") {
            "/sink" => "uploads",
            "/ws" => "websockets",
            _ if text("protocol") == "HTTP/2" => "http2",
            _ => "requests",
        };
        let shed = text("reason") == "event_loop_delay";
        Ok(Self { generation, begun, ended: begun + took, what, shed })
    }
}

/// Of each takeover, what the old process had in flight.
pub(super) fn takeovers(lines: &[Line]) -> Vec<BTreeMap<&'static str, u64>> {
    let mut first: BTreeMap<u64, f64> = BTreeMap::new();
    for line in lines {
        first.entry(line.generation).and_modify(|first| *first = first.min(line.begun)).or_insert(line.begun);
    }
    let moments: Vec<(u64, f64)> = first.into_iter().collect();
    let pairs = moments.iter().zip(moments.iter().skip(1));
    let met = pairs.map(|((old, _), (_, at))| {
        let mut met = BTreeMap::from(KINDS.map(|kind| (kind, 0)));
        for line in lines.iter().filter(|line| line.generation == *old && line.begun < *at && line.ended > *at) {
            *met.entry(line.what).or_default() += 1;
        }
        met
    });
    met.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_it_is_and_when() {
        let line = |path: &str, protocol: &str| {
            format!(
                "{{\"time\":\"1970-01-01T00:00:01.250Z\",\"generation\":3,\"protocol\":\"{protocol}\",\"path\":\"{path}\",\"total_ms\":400.5}}"
            )
        };
        for (path, protocol, what) in [
            ("/", "HTTP/1.1", "requests"),
            ("/wait/400", "HTTP/2", "http2"),
            ("/sink", "HTTP/1.1", "uploads"),
            ("/ws", "HTTP/1.1", "websockets"),
        ] {
            let expected = Line { generation: 3, begun: 1250.0, ended: 1650.5, what, shed: false };
            assert_eq!(Line::read(&line(path, protocol)).unwrap(), expected);
        }
        assert!(Line::read("{\"time\":\"1970-01-01T00:00:00Z\"}").is_err());
    }

    #[test]
    fn only_what_began_before_and_ends_behind_a_takeover_was_in_flight() {
        let line = |generation, begun, ended| Line { generation, begun, ended, what: "requests", shed: false };
        let lines = [
            line(2, 20.0, 21.0),
            line(1, 0.0, 10.0),
            line(1, 0.0, 10.5),
            line(1, 9.0, 99.0),
            // On a connection that the old process still has.
            line(1, 11.0, 12.0),
            line(2, 10.0, 12.0),
            line(3, 20.5, 22.0),
        ];
        let found: Vec<u64> = takeovers(&lines).iter().map(|met| met["requests"]).collect();
        assert_eq!(found, [2, 1]);
        assert_eq!(takeovers(&lines[1..5]), Vec::new());
    }
}
