//! What a file or another store says of a consumer, before it is parsed.

use serde::Deserialize;

use crate::time::Timestamp;

/// One line of NDJSON, or one item of a YAML list. Unknown keys are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsumerSpec {
    /// Who: unique, visible ASCII.
    pub id: String,
    /// The name of its plan.
    pub plan: String,
    /// Its keys. Two at a time make a rotation with overlap.
    #[serde(default)]
    pub keys: Vec<KeySpec>,
    /// Origins of pages that may call: `https://app.example.com`, `https://*.example.com`. None listed: any.
    #[serde(default)]
    pub origins: Vec<String>,
    /// Networks that may call, in CIDR notation, or single addresses. None listed: any.
    #[serde(default)]
    pub networks: Vec<String>,
    /// Hosts that may be called: `rpc.example.com`, `*.example.com`. None listed: any.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Methods that may be used, with `*` at the end for all that begin so. Names in capitals (`GET`, `P*`) are HTTP
    /// methods, all others (`getBlock`, `eth_*`) are RPC methods, `*` is any of both. Naming none of a kind leaves
    /// that kind unrestricted.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Subjects of tokens that stand for it.
    #[serde(default)]
    pub jwt: Vec<TokenSubject>,
    /// Subjects of client certificates that stand for it, as RFC 4514 text: `CN=partner,O=Example`.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// What it alone is held to beside its plan, in the words that the config has for that. They are read by who
    /// knows caps; here they are kept as they are.
    #[serde(default)]
    pub caps: Option<serde_json::Map<String, serde_json::Value>>,
    /// Refuses every request of it.
    #[serde(default)]
    pub disabled: bool,
}

/// A key of a consumer.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySpec {
    /// `b3:` and 64 hex digits.
    pub hash: String,
    /// From when on it is refused: RFC 3339, or seconds since 1970. Absent: never.
    #[serde(default)]
    pub not_after: Option<Timestamp>,
    /// What its owner calls it.
    #[serde(default)]
    pub label: Option<String>,
}

/// The subject of a token, of one issuer or of any that the gateway trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSubject {
    /// The `iss` claim. Absent: any issuer whose tokens are accepted at all.
    #[serde(default)]
    pub issuer: Option<Box<str>>,
    /// The `sub` claim.
    pub subject: Box<str>,
}

impl TokenSubject {
    pub(super) fn heap_bytes(&self) -> usize {
        size_of::<Self>() + self.subject.len() + self.issuer.as_ref().map_or(0, |issuer| issuer.len())
    }
}
