//! Single values that have a type of their own elsewhere, read by that type's parser.

use portcullis_policy::matcher::{CertificateName, Fingerprint};
use portcullis_policy::{HashKey, HostName, HostPattern, HostRewrite};
use portcullis_snapshot::RetryWord;
use portcullis_yaml::{Cx, Decode, Form, Node, SchemaGen, decode_from_str};
use serde_json::Value as Json;
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
    /// What requests are keyed by.
    KeyWord(HashKey), "a key of requests", &["client_ip", "header:x-user", "cookie:session", "query:user"];
    /// A name of a virtual host.
    HostWord(HostPattern), "a host", &["www.example.com", "*.example.com", "*"];
    /// A host without a port.
    HostNameWord(HostName), "a host", &["www.example.com", "10.0.0.1", "[2001:db8::1]"];
    /// A host that may have a port.
    AuthorityWord(HostRewrite), "a host with an optional port", &["api.internal", "api.internal:8443"];
    /// A failure after which a request is tried again.
    RetryOnWord(RetryWord), "a failure", &["connect_failure", "reset", "refused_stream", "timeout", "503", "5xx"];
    /// A name of a certificate.
    CertificateNameWord(CertificateName), "a name of a certificate", &["a.example.net", "*.example.net"];
    /// How many times as much, in per cent.
    FactorWord(FactorPercent), "a factor in per cent", &["125%", "140%"];
    /// The SHA-256 of a certificate.
    FingerprintWord(Fingerprint), "a SHA-256 fingerprint", &["00:01:…:1f"];
}
