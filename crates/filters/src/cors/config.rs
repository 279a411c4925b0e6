//! Settings of `cors`.

use http::{HeaderName, HeaderValue, Method};
use std::time::Duration;

use portcullis_yaml::{Cx, Decode, Diagnostic, Form, Node, SchemaGen, Spanned, code, decode_with};
use serde_json::Value as Json;

use super::origin::{Origin, Origins};

/// Settings of `cors`, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsConfig {
    /// The origins that may read answers.
    pub origins: Origins,
    /// Access-Control-Allow-Methods.
    pub methods: List,
    /// Access-Control-Allow-Headers.
    pub headers: Option<List>,
    /// Access-Control-Expose-Headers.
    pub expose: Option<List>,
    /// Access-Control-Max-Age.
    pub max_age: MaxAge,
    /// Whether cookies and the like may be sent along.
    pub credentials: bool,
    /// Whether public sites may ask for private addresses.
    pub private_network: bool,
}

/// Cross-origin resource sharing, as the Fetch standard has it: preflight requests are answered here, and what the
/// upstream says about CORS is replaced. On a host, it also covers the gateway's own errors.
#[derive(Decode)]
struct CorsSettings {
    /// Who may read answers: origins such as `https://app.example.com`, `https://*.example.com` for all subdomains
    /// of a domain (not the domain itself), or `*` for everyone.
    origins: Vec<Spanned<Origin>>,
    /// The methods that may be used; `*` for all. When left out: GET, HEAD and POST, which any browser takes for
    /// allowed anyway.
    #[config(default)]
    methods: Vec<Spanned<MethodOrAny>>,
    /// The request fields that may be sent beside those that every page may send; `*` for all but Authorization,
    /// which must be named.
    #[config(default)]
    headers: Vec<Spanned<NameOrAny>>,
    /// The response fields that scripts may read beside those that every script may read; `*` for all.
    #[config(default)]
    expose: Vec<Spanned<NameOrAny>>,
    /// How long a browser may keep the answer to a preflight, in whole seconds; `0` for not at all.
    #[config(default = MaxAge(600))]
    max_age: MaxAge,
    /// Whether cookies, client certificates and HTTP authentication may be sent along. Not with `*` anywhere.
    #[config(default)]
    credentials: bool,
    /// Whether a page of a public address may ask for this host on a private one (Private Network Access).
    #[config(default)]
    private_network: bool,
}

/// A method, or `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct MethodOrAny(Option<Method>);

/// A field name, or `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NameOrAny(Option<HeaderName>);

/// Seconds, at most a day: browsers keep no answer longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxAge(u32);

/// A list of tokens as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List(HeaderValue);

impl List {
    /// The field value.
    #[must_use]
    pub const fn value(&self) -> &HeaderValue {
        &self.0
    }

    /// `None` for an empty list, so that no field is sent.
    fn of<T: std::fmt::Display>(items: &[Spanned<T>]) -> Option<Self> {
        let items: Vec<String> = items.iter().map(|item| item.value.to_string()).collect();
        // Methods and names are tokens, and tokens and commas make a field value.
        HeaderValue::try_from(items.join(", ")).ok().filter(|value| !value.is_empty()).map(Self)
    }
}

impl MaxAge {
    /// The field value.
    #[must_use]
    pub fn value(self) -> HeaderValue {
        HeaderValue::from(self.0)
    }
}

impl std::fmt::Display for MethodOrAny {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_ref().map_or("*", Method::as_str))
    }
}

impl std::fmt::Display for NameOrAny {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_ref().map_or("*", HeaderName::as_str))
    }
}

impl Decode for CorsConfig {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let keys = CorsSettings::decode(node, cx)?;
        keys.check(node, cx);
        Some(Self {
            methods: List::of(&keys.methods).unwrap_or(List(HeaderValue::from_static("GET, HEAD, POST"))),
            headers: List::of(&keys.headers),
            expose: List::of(&keys.expose),
            origins: Origins::new(keys.origins.into_iter().map(|origin| origin.value).collect()),
            max_age: keys.max_age,
            credentials: keys.credentials,
            private_network: keys.private_network,
        })
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        CorsSettings::schema(schemas)
    }
}

impl CorsSettings {
    fn check(&self, node: &Node, cx: &mut Cx<'_>) {
        if self.origins.is_empty() {
            cx.error(code::INVALID_VALUE, node.span, "`origins` names no origin: nobody could read an answer");
        }
        if !self.credentials {
            return;
        }
        let origins = self.origins.iter().filter(|it| it.value == Origin::Any).map(|it| it.span);
        let methods = self.methods.iter().filter(|it| it.value.0.is_none()).map(|it| it.span);
        let names = self.headers.iter().chain(&self.expose).filter(|it| it.value.0.is_none()).map(|it| it.span);
        for span in origins.chain(methods).chain(names) {
            let message = "`*` cannot stand beside `credentials: true`: browsers take it for a name, not for all";
            cx.push(Diagnostic::error(code::CONFLICTING_KEYS, span, message).help("name each one"));
        }
    }
}

const ORIGIN: Form = Form::new("an origin", &["https://app.example.com", "https://*.example.com", "*"]);
const METHOD: Form = Form::new("a method or `*`", &["GET", "PUT"]);
const NAME: Form = Form::new("a field name or `*`", &["content-type", "x-api-key"]);
const MAX_AGE: Form = Form::new("a duration of whole seconds, at most `1d`", &["10m", "1h"]);

impl Decode for Origin {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        decode_with(node, cx, &ORIGIN, Self::parse)
    }

    fn schema(_: &mut SchemaGen) -> Json {
        ORIGIN.string_schema()
    }
}

impl Decode for MethodOrAny {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if node.scalar().is_some_and(|scalar| scalar.text() == "*") {
            return Some(Self(None));
        }
        Method::decode(node, cx).map(|method| Self(Some(method)))
    }

    fn schema(_: &mut SchemaGen) -> Json {
        METHOD.string_schema()
    }

    fn encode(&self) -> Option<Json> {
        Some(Json::String(self.to_string()))
    }
}

impl Decode for NameOrAny {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if node.scalar().is_some_and(|scalar| scalar.text() == "*") {
            return Some(Self(None));
        }
        HeaderName::decode(node, cx).map(|name| Self(Some(name)))
    }

    fn schema(_: &mut SchemaGen) -> Json {
        NAME.string_schema()
    }

    fn encode(&self) -> Option<Json> {
        Some(Json::String(self.to_string()))
    }
}

impl Decode for MaxAge {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let duration = Duration::decode(node, cx)?;
        let seconds = u32::try_from(duration.as_secs()).ok().filter(|seconds| *seconds <= 86_400);
        match seconds.filter(|_| duration.subsec_nanos() == 0) {
            Some(seconds) => Some(Self(seconds)),
            None => cx.invalid(node, &MAX_AGE, None),
        }
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        Duration::schema(schemas)
    }

    fn encode(&self) -> Option<Json> {
        Duration::from_secs(self.0.into()).encode()
    }
}
