//! What `/api/requests` may ask for.

use std::str::FromStr;
use std::time::Duration;

use portcullis_types::quantity::parse_duration;
use portcullis_types::{Reason, RequestId};

use crate::record::Record;

/// How many records an answer has when the question names no limit.
const LIMIT: usize = 100;

/// Which records are wanted: those that match every field that is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The request's id.
    pub id: Option<RequestId>,
    /// Why it failed.
    pub reason: Option<Reason>,
    /// Failures of any reason, or requests without one.
    pub failed: Option<bool>,
    /// The request's host, exactly, lower-case.
    pub host: Option<String>,
    /// The route's name.
    pub route: Option<String>,
    /// The consumer's name.
    pub consumer: Option<String>,
    /// The cluster decided on.
    pub cluster: Option<String>,
    /// The first digit of the status.
    pub class: Option<u16>,
    /// It took at least this long.
    pub min_duration: Option<Duration>,
    /// How many records at most: 100 by default.
    pub limit: usize,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            id: None,
            reason: None,
            failed: None,
            host: None,
            route: None,
            consumer: None,
            cluster: None,
            class: None,
            min_duration: None,
            limit: LIMIT,
        }
    }
}

/// Why a question could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// No such parameter.
    #[error(
        "unknown parameter `{0}`; expected id, reason, failed, host, route, consumer, cluster, class, min_duration \
         or limit"
    )]
    UnknownKey(String),
    /// A value that its parameter does not take.
    #[error("`{key}`: expected {expected}")]
    Value {
        /// The parameter.
        key: &'static str,
        /// What it takes.
        expected: &'static str,
    },
}

impl Query {
    /// Reads decoded query parameters, such as `reason=over_rate`, `class=5xx`, `min_duration=250ms`, `limit=20`.
    ///
    /// # Errors
    /// At the first parameter that is unknown or has a value it does not take.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, QueryError> {
        let mut query = Self::default();
        for (key, value) in pairs {
            query.set(key, value)?;
        }
        Ok(query)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), QueryError> {
        let text = || Some(value.to_owned());
        match key {
            "id" => self.id = Some(want("id", "32 hex digits", RequestId::from_hex(value))?),
            "reason" => {
                self.reason = Some(want(
                    "reason",
                    "the name of a reason, such as `over_rate` (docs/errors.md has all)",
                    Reason::from_str(value).ok(),
                )?)
            }
            "failed" => self.failed = Some(want("failed", "true or false", value.parse().ok())?),
            "host" => self.host = Some(value.to_ascii_lowercase()),
            "route" => self.route = text(),
            "consumer" => self.consumer = text(),
            "cluster" => self.cluster = text(),
            "class" => self.class = Some(want("class", "1xx to 5xx, or 0xx for no answer", class(value))?),
            "min_duration" => {
                let duration = parse_duration(value).ok();
                self.min_duration = Some(want("min_duration", "a duration such as 250ms", duration)?);
            }
            "limit" => self.limit = want("limit", "a whole number", value.parse().ok())?,
            other => return Err(QueryError::UnknownKey(other.chars().take(40).collect())),
        }
        Ok(())
    }

    /// Whether a record is wanted.
    #[must_use]
    pub fn matches(&self, record: &Record) -> bool {
        let text = |wanted: &Option<String>, got: Option<&str>| wanted.is_none() || wanted.as_deref() == got;
        self.id.is_none_or(|id| id == record.id)
            && self.reason.is_none_or(|reason| Some(reason) == record.reason)
            && self.failed.is_none_or(|failed| failed == record.failed())
            && self.class.is_none_or(|class| class == record.status / 100)
            && self.min_duration.is_none_or(|least| record.timers.total >= least)
            && text(&self.host, Some(record.head.host()))
            && text(&self.route, record.route.as_ref().map(|route| route.as_str()))
            && text(&self.consumer, record.consumer.as_deref())
            && text(&self.cluster, record.decision.cluster().map(|cluster| cluster.as_str()))
    }
}

fn want<T>(key: &'static str, expected: &'static str, value: Option<T>) -> Result<T, QueryError> {
    value.ok_or(QueryError::Value { key, expected })
}

fn class(text: &str) -> Option<u16> {
    let digit = text.strip_suffix("xx").unwrap_or(text);
    digit.parse().ok().filter(|class| *class <= 5)
}
