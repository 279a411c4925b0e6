//! Single values that have a type of their own elsewhere, read by that type's parser.

use portcullis_policy::matcher::{CertificateName, Fingerprint};
use portcullis_policy::{HashKey, HostName, HostPattern, HostRewrite};
use portcullis_yaml::{Cx, Decode, Form, Node, SchemaGen, decode_from_str};
use serde_json::Value as Json;

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
    /// A name of a certificate.
    CertificateNameWord(CertificateName), "a name of a certificate", &["a.example.net", "*.example.net"];
    /// The SHA-256 of a certificate.
    FingerprintWord(Fingerprint), "a SHA-256 fingerprint", &["00:01:…:1f"];
}
