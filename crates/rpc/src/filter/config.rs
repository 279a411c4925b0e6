//! Settings of `jsonrpc`.

use portcullis_policy::matcher::{RpcMethod, RpcMethods};
use portcullis_types::ByteSize;
use portcullis_yaml::{Cx, Decode, Diagnostic, Form, Node, OneOrMany, SchemaGen, Spanned, code, decode_from_str};
use serde_json::Value as Json;
use std::fmt;
use std::str::FromStr;

use crate::scan::Limits;
use crate::solana;

/// The methods that a host offers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Offered {
    /// All.
    #[default]
    Any,
    /// Those of a Solana node, if so, and these.
    These(bool, Option<RpcMethods>),
}

impl Offered {
    /// Whether methods and params are those of a Solana node.
    pub(super) const fn solana(&self) -> bool {
        matches!(self, Self::These(true, _))
    }

    /// Whether a method is offered, those of a Solana node aside.
    pub(super) fn has(&self, method: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(_, more) => more.as_ref().is_some_and(|more| more.has(method)),
        }
    }
}

/// Settings of `jsonrpc`, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonRpcConfig {
    /// What may be called.
    pub methods: Offered,
    /// What must not, though it is offered.
    pub deny: Option<RpcMethods>,
    /// Calls of a batch.
    pub batch: usize,
    /// Bytes of a body.
    pub body: usize,
    /// Nesting of a body.
    pub depth: usize,
    /// Whether params are looked at.
    pub params: bool,
    /// Whether requests that call nothing pass.
    pub others: bool,
}

impl JsonRpcConfig {
    /// Whether a method may be called, as far as `methods` goes.
    pub(crate) fn offers(&self, method: &str) -> bool {
        self.methods.has(method) || (self.methods.solana() && solana::method(method).is_some())
    }

    /// Whether a method must not be called, though it is offered.
    pub(crate) fn denies(&self, method: &str) -> bool {
        self.deny.as_ref().is_some_and(|deny| deny.has(method))
    }
}

/// Makes a host one of JSON-RPC: bodies are read before the route is chosen and refused where a node would refuse them, and
/// errors are JSON-RPC error objects. It belongs in a host's `filters`, first, so that the errors of all others are too.
#[derive(Decode)]
struct JsonRpcSettings {
    /// What may be called: methods, patterns such as `get*`, and `solana` for the 52 methods of a Solana node. Any other is
    /// answered -32601. Left out, every method passes.
    methods: Option<Spanned<OneOrMany<Spanned<MethodsWord>>>>,
    /// Methods, or patterns for some, that are refused with 403 though they are offered.
    deny: Option<OneOrMany<Spanned<DeniedWord>>>,
    /// How many calls a batch may have, at most 10000; `0` refuses batches. More are answered 413.
    #[config(default = BatchSize(100))]
    batch: BatchSize,
    /// The largest body, at most 64MiB. A larger one is answered 413.
    #[config(default = BodySize(ByteSize::kib(1024)))]
    body: BodySize,
    /// How deep a body may nest, its calls counted: 1 to 127.
    #[config(default = Depth(64))]
    depth: Depth,
    /// Whether the params of Solana's methods are looked at, lightly: how many, of which kinds, and commitment `processed`
    /// where a node refuses it. Only with `solana` in `methods`.
    #[config(default = true)]
    check_params: bool,
    /// What becomes of requests that cannot call anything, all but POST, OPTIONS and upgrades.
    #[config(default = Others::Refuse)]
    others: Others,
}

/// What becomes of other requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
enum Others {
    /// They are answered 400.
    Refuse,
    /// They are routed as on any host.
    Pass,
}

/// `solana`, a method, or a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum MethodsWord {
    Solana,
    Method(RpcMethod),
}

impl FromStr for MethodsWord {
    type Err = <RpcMethod as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "solana" { Ok(Self::Solana) } else { text.parse().map(Self::Method) }
    }
}

/// A method, or a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DeniedWord(RpcMethod);

impl FromStr for DeniedWord {
    type Err = <RpcMethod as FromStr>::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BatchSize(usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Depth(usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BodySize(ByteSize);

impl FromStr for BatchSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        within(text, 0, Limits::CEILING.batch).map(Self)
    }
}

impl FromStr for Depth {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        within(text, 1, Limits::CEILING.depth).map(Self)
    }
}

impl FromStr for BodySize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let size: ByteSize = text.parse().map_err(|error: portcullis_types::QuantityError| error.to_string())?;
        let fits = (1..=Limits::CEILING.bytes as u64).contains(&size.0);
        fits.then_some(Self(size)).ok_or_else(|| "expected 1B to 64MiB".to_owned())
    }
}

impl fmt::Display for BodySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn within(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("expected {least} to {most}"))
}

macro_rules! words {
    ($($name:ident, $what:literal, $examples:expr, $encode:expr;)*) => {$(
        impl Decode for $name {
            fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
                decode_from_str(node, cx, &Form::new($what, $examples))
            }

            fn schema(_: &mut SchemaGen) -> Json {
                let mut schema = Form::new($what, $examples).string_schema();
                if let Some(kinds) = schema.get_mut("type") {
                    *kinds = serde_json::json!(["string", "integer"]);
                }
                schema
            }

            fn encode(&self) -> Option<Json> {
                let encode: fn(&Self) -> Option<Json> = $encode;
                encode(self)
            }
        }
    )*};
}

words! {
    MethodsWord, "`solana`, a method or a pattern for some", &["solana", "getBlock", "get*"], |_| None;
    DeniedWord, "a method or a pattern for some", &["getProgramAccounts", "get*"], |_| None;
    BatchSize, "a number of calls", &["100"], |size| Some(size.0.into());
    Depth, "a depth", &["64"], |depth| Some(depth.0.into());
    BodySize, "a size", &["64KiB", "1MiB"], |size| Some(size.to_string().into());
}

impl Decode for JsonRpcConfig {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let settings = JsonRpcSettings::decode(node, cx)?;
        let methods = settings.methods.map_or(Offered::Any, |methods| offered(&methods, cx));
        let deny = settings.deny.and_then(|deny| denied(deny, &methods, cx));
        let body = usize::try_from(settings.body.0.0).unwrap_or(Limits::CEILING.bytes);
        Some(Self {
            methods,
            deny,
            batch: settings.batch.0,
            body,
            depth: settings.depth.0,
            params: settings.check_params,
            others: settings.others == Others::Pass,
        })
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        JsonRpcSettings::schema(schemas)
    }
}

fn offered(methods: &Spanned<OneOrMany<Spanned<MethodsWord>>>, cx: &mut Cx<'_>) -> Offered {
    let words = &methods.value.0;
    if words.is_empty() {
        let message = "no method is named, so every call would be refused";
        cx.push(Diagnostic::error(code::INVALID_VALUE, methods.span, message).help("leave the key out to offer any"));
    }
    let named = words.iter().filter_map(|word| match &word.value {
        MethodsWord::Solana => None,
        MethodsWord::Method(method) => Some(method.clone()),
    });
    let solana = words.iter().any(|word| word.value == MethodsWord::Solana);
    Offered::These(solana, RpcMethods::new(named))
}

/// What is denied. A name that is not offered anyway is most likely misspelt.
fn denied(words: OneOrMany<Spanned<DeniedWord>>, methods: &Offered, cx: &mut Cx<'_>) -> Option<RpcMethods> {
    for word in &words.0 {
        let RpcMethod::Exact(name) = &word.value.0 else { continue };
        let offered = methods.has(name) || (methods.solana() && solana::method(name).is_some());
        if !offered {
            let message = format!("`{name}` is none of the `methods` that are offered, so it is refused already");
            cx.push(Diagnostic::error(code::INVALID_VALUE, word.span, message).help("correct its name, or remove it"));
        }
    }
    RpcMethods::new(words.0.into_iter().map(|word| word.value.0))
}
