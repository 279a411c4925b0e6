//! Single values that have a type of their own elsewhere, read by that type's parser.

use super::log_words::{CollectorUrl, EmfTo, FieldName, ReasonName, StatusRange, SyslogTo, TraceUrl};
use portcullis_policy::matcher::{CertificateName, Fingerprint, RpcMethod};
use portcullis_policy::{HashKey, HashKeyError, HostName, HostPattern, HostRewrite};
use portcullis_snapshot::settings::{RedisPlace, SocketMode};
use portcullis_snapshot::{Affinity, RetryWord};
use portcullis_types::Percent;
use portcullis_yaml::{Cx, Decode, Form, Node, SchemaGen, decode_from_str};
use serde_json::{Value as Json, json};
use std::str::FromStr;

/// A factor in per cent, 100 to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FactorPercent(pub(crate) u32);

impl FromStr for FactorPercent {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_suffix('%').and_then(|number| number.trim().parse().ok());
        number.filter(|percent| (100..=1000).contains(percent)).map(Self).ok_or("expected 100% to 1000%")
    }
}

/// The share of samples that a quantile is above, p50 to p99.9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quantile(pub(crate) Percent);

impl FromStr for Quantile {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let share = text.strip_prefix('p').and_then(|number| format!("{number}%").parse().ok());
        let fits = |share: &Percent| (500_000..=999_000).contains(&share.millionths());
        share.filter(fits).map(Self).ok_or("expected p50 to p99.9")
    }
}

/// What a share of requests is drawn by: known when the route is chosen, before its filters run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DrawKey(pub(crate) HashKey);

/// The text is no [`DrawKey`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum DrawKeyError {
    /// A filter of the route may have to say it first.
    #[error(
        "a route is chosen before its filters have said who is calling; to divide consumers, write `to: {{ split: …, \
         sticky: consumer }}`"
    )]
    Consumer,
    /// It is none at all.
    #[error(transparent)]
    Unknown(#[from] HashKeyError),
}

impl FromStr for DrawKey {
    type Err = DrawKeyError;

    fn from_str(text: &str) -> Result<Self, DrawKeyError> {
        if text == "consumer" { Err(DrawKeyError::Consumer) } else { Ok(Self(text.parse()?)) }
    }
}

/// Some statuses. A status may be written as the number that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatusesWord(pub(crate) StatusRange);

const STATUSES: Form = Form::new("a status or a class", &["404", "5xx", "none"]);

impl Decode for StatusesWord {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        decode_from_str(node, cx, &STATUSES).map(Self)
    }

    fn schema(_: &mut SchemaGen) -> Json {
        json!({ "type": ["string", "integer"], "title": STATUSES.title(), "examples": STATUSES.examples })
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident($inner:ty), $what:literal, $examples:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) struct $name(pub(crate) $inner);

        impl Decode for $name {
            fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
                decode_from_str(node, cx, &Form::new($what, $examples)).map(Self)
            }

            fn schema(_: &mut SchemaGen) -> Json {
                Form::new($what, $examples).string_schema()
            }
        }
    )*};
}

words! {
    /// What a share of requests is drawn by.
    DrawWord(DrawKey), "a key of requests", &["client_ip", "path", "header:x-user", "cookie:session", "query:user"];
    /// What keeps its endpoint or its cluster.
    KeyWord(Affinity), "a key of requests", &["client_ip", "path", "consumer", "header:x-user", "cookie:session", "query:user"];
    /// A name of a virtual host.
    HostWord(HostPattern), "a host", &["www.example.com", "*.example.com", "*"];
    /// A host without a port.
    HostNameWord(HostName), "a host", &["www.example.com", "10.0.0.1", "[2001:db8::1]"];
    /// A host that may have a port.
    AuthorityWord(HostRewrite), "a host with an optional port", &["api.internal", "api.internal:8443"];
    /// A failure after which a request is tried again.
    RetryOnWord(RetryWord), "a failure", &["connect_failure", "reset", "refused_stream", "timeout", "grpc_unavailable", "503", "5xx"];
    /// A name of a certificate.
    CertificateNameWord(CertificateName), "a name of a certificate", &["a.example.net", "*.example.net"];
    /// How many times as much, in per cent.
    FactorWord(FactorPercent), "a factor in per cent", &["125%", "140%"];
    /// A quantile of latency.
    QuantileWord(Quantile), "a quantile", &["p50", "p95", "p99.9"];
    /// Where a Redis server is.
    RedisWord(RedisPlace), "the place of a Redis server", &["redis://127.0.0.1:6379", "rediss://redis.internal/1"];
    /// Permissions of a Unix socket.
    SocketModeWord(SocketMode), "permissions in octal", &["0600", "0660"];
    /// The SHA-256 of a certificate.
    FingerprintWord(Fingerprint), "a SHA-256 fingerprint", &["00:01:…:1f"];
    /// Where messages of syslog go.
    SyslogTargetWord(SyslogTo), "where messages go", &["unix:/dev/log", "udp:127.0.0.1:514", "tcp:logs.internal:601"];
    /// Where objects of the embedded metric format go.
    EmfTargetWord(EmfTo), "where objects go", &["stdout", "file:metrics.log", "tcp:127.0.0.1:25888"];
    /// Where a collector is.
    CollectorWord(CollectorUrl), "the URL of a collector", &["https://splunk.internal:8088"];
    /// Where a collector of traces is.
    TraceUrlWord(TraceUrl), "the URL of a collector of OTLP", &["http://127.0.0.1:4318", "https://otel.internal/v1/traces"];
    /// A member of a record's object.
    FieldWord(FieldName), "a member of records", &["client", "path", "total_ms"];
    /// Why a request failed.
    ReasonWord(ReasonName), "a reason", &["over_rate", "upstream_reset"];
    /// A method of JSON-RPC, or all that begin so.
    RpcMethodWord(RpcMethod), "a method or a pattern for some", &["getBlock", "get*"];
}
