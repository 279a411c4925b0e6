//! Rates from the differences of two answers.

use serde_json::Value;
use std::collections::HashMap;
use std::time::Instant;

use crate::cli::looking::View;
use crate::commands::requests::plain;

/// An answer of `/api/top`.
pub(super) struct Sample {
    pub(super) view: View,
    at: Instant,
    rows: Vec<Row>,
}

struct Row {
    name: String,
    requests: u64,
    failed: Option<u64>,
    in_flight: Option<u64>,
    latency: Option<f64>,
    says: String,
}

/// A line of the table. What is not known is `None`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    pub(super) name: String,
    /// Requests a second; of the first answer there is none.
    pub(super) rate: Option<f64>,
    /// Failed requests a second.
    pub(super) failing: Option<f64>,
    pub(super) in_flight: Option<u64>,
    /// In milliseconds.
    pub(super) latency: Option<f64>,
    /// Since the gateway began.
    pub(super) requests: u64,
    pub(super) says: String,
}

impl Sample {
    pub(super) fn read(view: View, answer: &Value, at: Instant) -> Self {
        let rows = answer.get("rows").and_then(Value::as_array).into_iter().flatten();
        let row = |row: &Value| {
            let number = |key: &str| row.get(key).and_then(Value::as_u64);
            let text = |key: &str| plain(row.get(key).and_then(Value::as_str).unwrap_or_default());
            Row {
                name: text("name"),
                requests: number("requests").unwrap_or_default(),
                failed: number("failed"),
                in_flight: number("in_flight"),
                latency: row.get("latency_ms").and_then(Value::as_f64),
                says: text("says"),
            }
        };
        Self { view, at, rows: rows.map(row).collect() }
    }

    /// The lines, with rates since an earlier answer about the same.
    pub(super) fn lines(&self, before: Option<&Self>) -> Vec<Line> {
        let before = before.filter(|before| before.view == self.view && before.at < self.at);
        let span = before.map(|before| (self.at - before.at).as_secs_f64());
        let known: HashMap<&str, &Row> =
            before.into_iter().flat_map(|before| &before.rows).map(|row| (row.name.as_str(), row)).collect();
        let line = |row: &Row| {
            let earlier = known.get(row.name.as_str());
            let rate = |now: u64, then: u64| span.map(|span| per_second(now.saturating_sub(then), span));
            Line {
                name: row.name.clone(),
                rate: earlier.and_then(|earlier| rate(row.requests, earlier.requests)),
                failing: earlier.and_then(|earlier| rate(row.failed?, earlier.failed?)),
                in_flight: row.in_flight,
                latency: row.latency,
                requests: row.requests,
                says: row.says.clone(),
            }
        };
        self.rows.iter().map(line).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn per_second(count: u64, span: f64) -> f64 {
    count as f64 / span
}
