//! One cap: what is counted, and how much of it is allowed.

use std::fmt;
use std::sync::Arc;

use portcullis_types::Rate;
use portcullis_types::quantity::Period as RatePeriod;

use crate::bucket::{Bucket, BucketError};
use crate::calendar::{Period, Zone};
use crate::lease::Terms;
use crate::quota::Quota;

/// The longest name of a cap, in bytes.
const MAX_NAME: usize = 64;

/// What is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Calls: one, or as many as a batch has.
    Requests,
    /// What calls cost by the plan's price list.
    Credits,
    /// Bytes both ways, known only afterwards. A request needs one byte left to be allowed; what it then takes may
    /// be more than there was, and later requests wait that off.
    Bytes,
}

impl Unit {
    /// The word of the config, of messages and of the `RateLimit-Policy` field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Credits => "credits",
            Self::Bytes => "bytes",
        }
    }
}

/// What is held for a while and given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Held {
    /// Requests in flight. A batch is one, however many calls it has.
    Requests,
    /// WebSocket connections and other streams.
    Connections,
    /// Subscriptions on such connections.
    Subscriptions,
}

impl Held {
    /// The word of messages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Connections => "connections",
            Self::Subscriptions => "subscriptions",
        }
    }
}

/// How much is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Limit {
    /// So much per time, with a burst.
    Rate(Unit, Bucket),
    /// So much per day or month.
    Quota(Unit, Quota),
    /// So many at once.
    AtOnce(Held, u32),
}

/// A limit with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cap {
    name: Arc<str>,
    limit: Limit,
    shadow: bool,
    terms: Option<Terms>,
}

/// Why something makes no cap.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CapError {
    /// The rate or the burst.
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// A quota of zero.
    #[error("the quota must be at least 1; to forbid something, leave it out of what is allowed")]
    NoQuota,
    /// A quota per second, minute or hour.
    #[error("a quota is per `d` or per `month`; for a shorter time write a rate with a burst")]
    QuotaPeriod,
    /// None at once.
    #[error("the number at once must be at least 1, or nothing is ever allowed")]
    NoneAtOnce,
    /// The name cannot stand in a 429.
    #[error("a cap's name has 1 to 64 printable ASCII characters and no quote or backslash")]
    Name,
    /// A number at once that gateways should share.
    #[error("only rates and quotas are shared by gateways; a number at once is each gateway's own")]
    NotShared,
}

impl Cap {
    /// So much per time, called `rate`, `credits.rate` or `bytes.rate`, and for other times than seconds
    /// `rate.minute` and so on.
    ///
    /// # Errors
    /// See [`BucketError`].
    pub fn rate(unit: Unit, rate: Rate, burst: u64) -> Result<Self, CapError> {
        let bucket = Bucket::new(rate, burst)?;
        let time = match rate.per {
            RatePeriod::Second | RatePeriod::Month => "",
            RatePeriod::Minute => ".minute",
            RatePeriod::Hour => ".hour",
            RatePeriod::Day => ".day",
        };
        let name = match unit {
            Unit::Requests => format!("rate{time}"),
            Unit::Credits => format!("credits.rate{time}"),
            Unit::Bytes => format!("bytes.rate{time}"),
        };
        Ok(Self::new(&name, Limit::Rate(unit, bucket)))
    }

    /// So much per day or month of a zone, called `quota.month`, `credits.month`, `bytes.day` and so on.
    ///
    /// # Errors
    /// The limit is zero, or the period is neither.
    pub fn quota(unit: Unit, limit: Rate, zone: Zone) -> Result<Self, CapError> {
        let period = match limit.per {
            RatePeriod::Day => Period::Day,
            RatePeriod::Month => Period::Month,
            RatePeriod::Second | RatePeriod::Minute | RatePeriod::Hour => return Err(CapError::QuotaPeriod),
        };
        if limit.count == 0 {
            return Err(CapError::NoQuota);
        }
        let name = match unit {
            Unit::Requests => "quota",
            Unit::Credits | Unit::Bytes => unit.as_str(),
        };
        let quota = Quota { limit: limit.count, period, zone };
        Ok(Self::new(&format!("{name}.{}", period.as_str()), Limit::Quota(unit, quota)))
    }

    /// So many at once, called `concurrency`, `connections` or `subscriptions`.
    ///
    /// # Errors
    /// None at once.
    pub fn at_once(held: Held, most: u32) -> Result<Self, CapError> {
        let name = match held {
            Held::Requests => "concurrency",
            Held::Connections | Held::Subscriptions => held.as_str(),
        };
        if most == 0 { Err(CapError::NoneAtOnce) } else { Ok(Self::new(name, Limit::AtOnce(held, most))) }
    }

    fn new(name: &str, limit: Limit) -> Self {
        Self { name: name.into(), limit, shadow: false, terms: None }
    }

    /// The same cap by another name, for a second one of its kind. State is kept by name: a cap that is renamed
    /// begins anew.
    ///
    /// # Errors
    /// The name is empty, too long, or could not stand in a field.
    pub fn named(self, name: &str) -> Result<Self, CapError> {
        let fit = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_plain);
        if fit { Ok(Self { name: name.into(), ..self }) } else { Err(CapError::Name) }
    }

    /// The same cap, counting what it would have refused and refusing nothing.
    #[must_use]
    pub fn in_shadow(self) -> Self {
        Self { shadow: true, ..self }
    }

    /// The same cap, shared by all gateways by leases.
    ///
    /// # Errors
    /// It is a number at once.
    pub fn shared_by_gateways(self, terms: Terms) -> Result<Self, CapError> {
        match self.limit {
            Limit::Rate(..) | Limit::Quota(..) => Ok(Self { terms: Some(terms), ..self }),
            Limit::AtOnce(..) => Err(CapError::NotShared),
        }
    }

    /// The name within its set.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it allows.
    #[must_use]
    pub const fn limit(&self) -> &Limit {
        &self.limit
    }

    /// Whether it only counts.
    #[must_use]
    pub const fn is_in_shadow(&self) -> bool {
        self.shadow
    }

    /// How gateways share it, if they do.
    #[must_use]
    pub const fn terms(&self) -> Option<&Terms> {
        self.terms.as_ref()
    }
}

/// Whether a byte may stand in a name: a structured field's string needs no escape for it.
pub(super) const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\')
}

/// `10 requests per second, burst 20`; `1000000 credits per month (UTC)`; `5 connections at once`.
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(unit, bucket) => {
                let text = bucket.to_string();
                let (count, rest) = text.split_once(' ').unwrap_or((&text, ""));
                write!(f, "{count} {} {rest}", unit.as_str())
            }
            Self::Quota(unit, quota) => {
                write!(f, "{} {} per {} ({})", quota.limit, unit.as_str(), quota.period.as_str(), quota.zone)
            }
            Self::AtOnce(held, most) => write!(f, "{most} {} at once", held.as_str()),
        }
    }
}

/// `rate: 10 requests per second, burst 20`.
impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.limit)
    }
}
