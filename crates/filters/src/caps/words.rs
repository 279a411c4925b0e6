//! The words in which caps are written: of a plan, of one consumer, of the gateway, of a host or a route.

use portcullis_types::{ByteSize, QuantityError, Rate};
use portcullis_yaml::{Cx, Decode, Form, Named, Node, OneOrMany, SchemaGen, Spanned, decode_from_str};
use serde_json::{Value as Json, json};
use std::str::FromStr;
use std::time::Duration;

/// What may be spent. What stands here directly is what every consumer may spend by itself; what stands under `shared`
/// is what all may spend together. A request must be allowed by everything that applies to it, and spends of all of
/// it or of nothing.
#[derive(Debug, Clone, Decode)]
pub struct SetWords {
    /// What every consumer may spend by itself.
    #[config(flatten)]
    pub(super) each: LimitWords,
    /// What all may spend together.
    pub(super) shared: Option<Spanned<LimitWords>>,
    /// The time zone of the days and months of quotas, an IANA name. Default: `UTC`.
    #[config(example = "Europe/Berlin")]
    pub(super) zone: Option<Spanned<String>>,
    /// Whether all of it only counts what it would have refused, and refuses nothing. Default: false.
    pub(super) shadow: Option<bool>,
    /// Whether several gateways share these rates and quotas, and on which terms. Default: `own`.
    pub(super) gateways: Option<Spanned<GatewaysWord>>,
    /// What a gateway does with shared rates and quotas while it cannot reach what they share. Default: `local_share`.
    pub(super) outage: Option<OutageWord>,
}

/// What is limited.
#[derive(Debug, Clone, Decode)]
pub(super) struct LimitWords {
    /// Requests: a batch counts as many as it has calls.
    #[config(flatten)]
    pub(super) requests: SpendWords,
    /// Requests at once. A batch is one.
    #[config(example = "10")]
    pub(super) concurrency: Option<Spanned<AtOnceWord>>,
    /// WebSocket connections, gRPC calls and event streams at once.
    #[config(example = "5")]
    pub(super) connections: Option<Spanned<AtOnceWord>>,
    /// Subscriptions at once, on all connections together.
    #[config(example = "50")]
    pub(super) subscriptions: Option<Spanned<AtOnceWord>>,
    /// Bytes of bodies and streams, both ways. They are known only afterwards: a request needs one byte left to be
    /// allowed, and what it takes beyond that later requests wait for.
    pub(super) bytes: Option<Spanned<SpendWords>>,
    /// What a call costs that no method's rule prices, as a number (default: 1); or a map that also limits credits.
    pub(super) credits: Option<Spanned<CreditsWord>>,
    /// What holds for calls of some methods, beside the rest: by name, or by prefix such as `get*`; of those that fit the
    /// longest holds.
    #[config(default)]
    pub(super) methods: Named<Spanned<MethodWords>>,
}

/// What holds for calls of one method.
#[derive(Debug, Clone, Decode)]
#[config(deny_empty)]
pub(super) struct MethodWords {
    /// Calls.
    #[config(flatten)]
    pub(super) requests: SpendWords,
    /// Requests with such a call at once.
    #[config(example = "10")]
    pub(super) concurrency: Option<Spanned<AtOnceWord>>,
    /// Subscriptions by such a call at once.
    #[config(example = "50")]
    pub(super) subscriptions: Option<Spanned<AtOnceWord>>,
    /// Bytes of requests and streams with such a call alone.
    pub(super) bytes: Option<Spanned<SpendWords>>,
    /// What one call costs, as a number; or a map that also limits the credits of such calls.
    #[config(example = "10")]
    pub(super) credits: Option<Spanned<CreditsWord>>,
}

/// What is spent with time.
#[derive(Debug, Clone, Decode)]
pub(super) struct SpendWords {
    /// So much per `s`, `m`, `h` or `d`, by an exact token bucket; several of different times hold all. Of bytes it may
    /// be a size: `1MiB/s`.
    #[config(example = "10/s")]
    pub(super) rate: Option<OneOrMany<Spanned<RateWord>>>,
    /// The most that is saved up while nothing is spent. Default: what the rate brings in one of its times.
    #[config(example = "20")]
    pub(super) burst: Option<Spanned<Count>>,
    /// So much per `d` or `month` of the calendar; both may hold.
    #[config(example = "1000000/month")]
    pub(super) quota: Option<OneOrMany<Spanned<QuotaWord>>>,
}

/// A rate.
#[derive(Debug, Clone, Decode)]
pub(super) enum RateWord {
    /// So much per time.
    #[config(scalar)]
    Plain(Amount),
    /// The same with what else it says.
    #[config(map)]
    Full(RateTerms),
}

/// A rate with what else it says.
#[derive(Debug, Clone, Decode)]
pub(super) struct RateTerms {
    /// So much per time.
    #[config(example = "10/s")]
    pub(super) limit: Amount,
    /// The most that is saved up while nothing is spent. Default: what the rate brings in one of its times.
    #[config(example = "20")]
    pub(super) burst: Option<Count>,
    /// What this cap says of itself.
    #[config(flatten)]
    pub(super) about: About,
    /// Whether several gateways share it, and on which terms. Default: what the whole says.
    pub(super) gateways: Option<GatewaysWord>,
}

/// A quota.
#[derive(Debug, Clone, Decode)]
pub(super) enum QuotaWord {
    /// So much per day or month.
    #[config(scalar)]
    Plain(Amount),
    /// The same with what else it says.
    #[config(map)]
    Full(QuotaTerms),
}

/// A quota with what else it says.
#[derive(Debug, Clone, Decode)]
pub(super) struct QuotaTerms {
    /// So much per day or month.
    #[config(example = "1000000/month")]
    pub(super) limit: Amount,
    /// The time zone of its days or months, an IANA name. Default: what the whole says.
    #[config(example = "Europe/Berlin")]
    pub(super) zone: Option<Spanned<String>>,
    /// What this cap says of itself.
    #[config(flatten)]
    pub(super) about: About,
    /// Whether several gateways share it, and on which terms. Default: what the whole says.
    pub(super) gateways: Option<GatewaysWord>,
}

/// So many at once.
#[derive(Debug, Clone, Decode)]
pub(super) enum AtOnceWord {
    /// The most.
    #[config(scalar)]
    Plain(u32),
    /// The same with what else it says.
    #[config(map)]
    Full(AtOnceTerms),
}

/// A number at once with what else it says.
#[derive(Debug, Clone, Decode)]
pub(super) struct AtOnceTerms {
    /// The most.
    #[config(example = "10")]
    pub(super) limit: u32,
    /// What this cap says of itself.
    #[config(flatten)]
    pub(super) about: About,
}

/// What a cap says of itself.
#[derive(Debug, Clone, Default, Decode)]
pub(super) struct About {
    /// Its name in a 429 and in metrics. What was spent is kept by it: a cap that is renamed begins anew. Default: by
    /// what it counts, such as `rate`, `rate.minute` or `quota.month`.
    pub(super) name: Option<String>,
    /// Whether it only counts what it would have refused. Default: false.
    pub(super) shadow: Option<bool>,
}

/// Credits.
#[derive(Debug, Clone, Decode)]
pub(super) enum CreditsWord {
    /// What a call costs.
    #[config(scalar)]
    Price(u32),
    /// What a call costs, and limits on credits.
    #[config(map)]
    Full(CreditsTerms),
}

/// Credits, priced and limited.
#[derive(Debug, Clone, Decode)]
#[config(deny_empty)]
pub(super) struct CreditsTerms {
    /// What a call costs.
    #[config(example = "1")]
    pub(super) price: Option<u32>,
    /// Limits on credits.
    #[config(flatten)]
    pub(super) spend: SpendWords,
}

/// Whether several gateways share a cap.
#[derive(Debug, Clone, Copy, Decode)]
pub(super) enum GatewaysWord {
    /// Each gateway counts for itself.
    Own,
    /// All gateways share it, on terms that fit the limit.
    Shared,
    /// All gateways share it, on these terms.
    #[config(map)]
    Leases(LeaseWords),
}

/// On which terms gateways share: how much each may be ahead of the others.
#[derive(Debug, Clone, Copy, Decode)]
#[config(deny_empty)]
pub(super) struct LeaseWords {
    /// The most that a gateway holds. Default: what a rate brings in `ahead` and at most its burst, or a thousandth of a
    /// quota.
    pub(super) most: Option<u64>,
    /// What a gateway may spend before it first hears from the others. Default: an eighth of `most`.
    pub(super) overdraft: Option<u64>,
    /// For how long a gateway draws ahead, by its demand. Default: 300ms.
    pub(super) ahead: Option<Duration>,
    /// How long a gateway keeps what it drew while it hears nothing. Default: 1s.
    pub(super) ttl: Option<Duration>,
}

/// What a gateway does with shared caps in an outage of what they share.
#[derive(Debug, Clone, Copy, Decode)]
pub(super) enum OutageWord {
    /// It allows its part: the limit divided by the gateways that were known last.
    LocalShare,
    /// It refuses what was not drawn before.
    Refuse,
}

/// So much per time: a number, or a size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
#[config(from_str, expected = "a rate", example = "10/s")]
pub(super) struct Amount {
    /// How much.
    pub(super) rate: Rate,
    /// Whether it was written as a size.
    pub(super) is_size: bool,
}

impl FromStr for Amount {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let Some((size, per)) = text.split_once('/').filter(|(size, _)| size.ends_with('B')) else {
            return Ok(Self { rate: text.parse()?, is_size: false });
        };
        let per: Rate = format!("1/{per}").parse()?;
        let count = size.parse::<ByteSize>()?.0;
        Ok(Self { rate: Rate { count, per: per.per }, is_size: true })
    }
}

/// So much: a number, or a size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    /// How much.
    pub(super) count: u64,
    /// Whether it was written as a size.
    pub(super) is_size: bool,
}

impl Decode for Count {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        decode_from_str(node, cx, &COUNT)
    }

    fn schema(_: &mut SchemaGen) -> Json {
        json!({ "anyOf": [{ "type": "integer", "minimum": 1 }, COUNT.string_schema()] })
    }
}

const COUNT: Form = Form::new("a number", &["20", "64KiB"]);

impl FromStr for Count {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        match text.parse() {
            Ok(count) => Ok(Self { count, is_size: false }),
            Err(_) => Ok(Self { count: text.parse::<ByteSize>()?.0, is_size: true }),
        }
    }
}
