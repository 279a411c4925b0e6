//! `/api/usage`: who used what.

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};
use std::sync::Arc;

use portcullis_caps::Amount;

use super::{Pairs, json as answer};
use crate::control::{AdminState, Usage, UsageAsk};
use crate::problem::{Kind, Problem};

/// The sums of one consumer or of all, over a time.
pub(crate) async fn usage(State(state): State<Arc<AdminState>>, Query(pairs): Pairs) -> Response {
    let asked = match read(&pairs) {
        Ok(asked) => asked,
        Err(problem) => return problem.into_response(),
    };
    match state.control.usage(asked.clone()).await {
        Ok(usage) => answer(&told(&asked, usage)),
        Err(why) => Problem::new(Kind::BadRequest).detail(why).into_response(),
    }
}

fn read(pairs: &[(String, String)]) -> Result<UsageAsk, Problem> {
    let refuse = |detail: String| Problem::new(Kind::BadRequest).detail(detail);
    let mut asked = UsageAsk::default();
    for (key, value) in pairs {
        match key.as_str() {
            "consumer" => asked.consumer = Some(value.clone()),
            "from" => asked.from = Some(time(value).map_err(|why| refuse(format!("`from`: {why}")))?),
            "to" => asked.until = Some(time(value).map_err(|why| refuse(format!("`to`: {why}")))?),
            other => return Err(refuse(format!("`{other}` is not known here; write `consumer`, `from` or `to`"))),
        }
    }
    let backwards = asked.from.zip(asked.until).is_some_and(|(from, until)| until <= from);
    if backwards { Err(refuse("`to` must be after `from`".to_owned())) } else { Ok(asked) }
}

/// An RFC 3339 time, or a date, which is its first moment in UTC.
fn time(text: &str) -> Result<Timestamp, String> {
    let date = || text.parse::<Date>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    let time = text.parse::<Timestamp>().ok().or_else(date);
    time.ok_or_else(|| {
        format!("expected a time such as `2026-03-01T00:00:00Z` or a date such as `2026-03-01`, not `{text}`")
    })
}

fn told(asked: &UsageAsk, usage: Usage) -> Value {
    let amount = |amount: &Amount| {
        let Amount { requests, credits, bytes } = amount;
        json!({ "requests": requests, "credits": credits, "bytes": bytes })
    };
    let mut consumers = Map::new();
    for (consumer, methods) in &usage.consumers {
        let mut sum = Amount::default();
        methods.values().for_each(|used| sum += *used);
        let methods: Map<String, Value> = methods.iter().map(|(method, used)| (method.clone(), amount(used))).collect();
        consumers.insert(consumer.clone(), json!({ "total": amount(&sum), "methods": methods }));
    }
    json!({
        "consumer": asked.consumer,
        "from": asked.from.or(usage.since).map(|time| time.to_string()),
        "to": asked.until.map(|time| time.to_string()),
        "durable": usage.durable,
        "consumers": consumers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(time(text).ok().map(|time| time.to_string()).as_deref(), expected, "{text}");
        };
        check("2026-03-01", Some("2026-03-01T00:00:00Z"));
        check("2026-03-01T10:00:00+01:00", Some("2026-03-01T09:00:00Z"));
        check("yesterday", None);
        let pair = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
        assert!(read(&pair("form", "2026-03-01")).is_err());
        let both = [pair("from", "2026-03-02"), pair("to", "2026-03-01")].concat();
        assert!(read(&both).is_err());
    }
}
