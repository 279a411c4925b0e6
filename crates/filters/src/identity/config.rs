//! Settings of `identity`.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderName;
use portcullis_identity::issue::{Binding, IssueRules, SigningKey};
use portcullis_yaml::{Cx, Decode, Diagnostic, Node, SchemaGen, Secret, Spanned, code};
use serde_json::Value as Json;

/// Settings of `identity`, compiled.
#[derive(Debug)]
pub struct IdentityConfig {
    /// Fields that say who it is.
    pub headers: Fields,
    /// A token that says it.
    pub token: Option<TokenConfig>,
}

/// Fields that say who calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    /// The consumer's id.
    pub consumer: Option<HeaderName>,
    /// The plan's name.
    pub plan: Option<HeaderName>,
}

/// A token that says who calls.
pub struct TokenConfig {
    /// The field it stands in.
    pub header: HeaderName,
    /// What is in it.
    pub rules: IssueRules,
    /// What it is signed with.
    pub key: SigningKey,
}

impl fmt::Debug for TokenConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenConfig").field("header", &self.header).field("key", &self.key).finish_non_exhaustive()
    }
}

/// Tells the upstream who calls, in fields or in a signed token. What a client sends under these names is taken away on all
/// routes of the config, as is what differs by `_` for `-`. Where nobody is known, nothing is said.
#[derive(Decode)]
#[config(deny_empty)]
struct IdentitySettings {
    /// Fields with the caller's id and plan.
    headers: Option<HeaderSettings>,
    /// A JSON Web Token that is good for seconds.
    token: Option<Spanned<TokenSettings>>,
}

/// Fields that say who calls. A field that is left out is not sent.
#[derive(Decode)]
#[config(deny_empty)]
struct HeaderSettings {
    /// The field with the consumer's id.
    #[config(example = "x-consumer-id")]
    consumer: Option<HeaderName>,
    /// The field with the name of its plan.
    #[config(example = "x-consumer-plan")]
    plan: Option<HeaderName>,
}

/// A token that says who calls: `sub` is the consumer's id, `plan` its plan, `jti` the request.
#[derive(Decode)]
struct TokenSettings {
    /// What it is signed with: a private P-256 key in PEM (PKCS #8) for ES256, or a secret of 32 bytes or more that the
    /// upstream has too, for HS256.
    #[config(example = "file:identity.pem")]
    key: Spanned<Secret>,
    /// Whom it is for: its `aud`.
    #[config(example = "rpc-nodes")]
    audience: String,
    /// Who says so: its `iss`.
    #[config(default = ISSUER.to_owned())]
    issuer: String,
    /// How long it is good, 1s to 1m in whole seconds.
    #[config(default = LIFETIME)]
    lifetime: Duration,
    /// How long one token is used for all requests of a consumer, at most half its lifetime; `0s` for a token of its own
    /// for each request. Left out, a third of the lifetime.
    reuse: Option<Duration>,
    /// The field it stands in.
    #[config(default = HeaderName::from_static(HEADER))]
    header: HeaderName,
}

const ISSUER: &str = "portcullis";
const HEADER: &str = "x-caller-token";
const LIFETIME: Duration = Duration::from_secs(30);

impl Decode for IdentityConfig {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let settings = IdentitySettings::decode(node, cx)?;
        let headers = settings.headers.map(|names| Fields { consumer: names.consumer, plan: names.plan });
        let token = match settings.token {
            Some(token) => Some(token.value.compile(token.span, cx)?),
            None => None,
        };
        Some(Self { headers: headers.unwrap_or_default(), token })
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        IdentitySettings::schema(schemas)
    }
}

impl TokenSettings {
    fn compile(self, span: portcullis_yaml::Span, cx: &mut Cx<'_>) -> Option<TokenConfig> {
        let binding = match self.reuse.unwrap_or(Duration::from_secs(self.lifetime.as_secs() / 3)) {
            Duration::ZERO => Binding::Request,
            reuse => Binding::Consumer(reuse),
        };
        let rules = match IssueRules::new(&self.issuer, &self.audience, self.lifetime, binding) {
            Ok(rules) => rules,
            Err(error) => return cx.fail(Diagnostic::error(code::INVALID_VALUE, span, error.to_string())),
        };
        let text = self.key.value.expose();
        let key = match private_key(text) {
            Some(Ok(der)) => SigningKey::es256(&der),
            Some(Err(())) => return cx.fail(no_key(self.key.span)),
            None => SigningKey::hs256(text.as_bytes()),
        };
        match key {
            Ok(key) => Some(TokenConfig { header: self.header, rules, key }),
            Err(error) => cx.fail(Diagnostic::error(code::INVALID_VALUE, self.key.span, error.to_string())),
        }
    }
}

fn no_key(span: portcullis_yaml::Span) -> Diagnostic {
    let message = "expected one private P-256 key, PKCS #8 in PEM: `-----BEGIN PRIVATE KEY-----`";
    let help = "`openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out identity.pem` makes one";
    Diagnostic::error(code::INVALID_VALUE, span, message).help(help)
}

/// The key of a PEM text (RFC 7468); `None` when it is no PEM at all.
fn private_key(text: &str) -> Option<Result<Vec<u8>, ()>> {
    const BEGIN: &str = "-----BEGIN ";
    const NAME: &str = "PRIVATE KEY-----";
    let (_, rest) = text.split_once(BEGIN)?;
    let read = || {
        let (encoded, _) = rest.strip_prefix(NAME)?.split_once("-----END PRIVATE KEY-----")?;
        let digits: String = encoded.split_whitespace().collect();
        STANDARD.decode(digits).ok()
    };
    Some(read().ok_or(()))
}
