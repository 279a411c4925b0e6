//! Settings of `access`.

use http::Method;
use ipnet::IpNet;

use portcullis_yaml::{Cx, Decode, Diagnostic, Form, Node, OneOrMany, SchemaGen, Spanned, code, decode_with};
use serde_json::Value as Json;

use crate::networks::Networks;

/// Settings of `access`, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessConfig {
    /// The rules, in order.
    pub rules: Vec<Rule>,
    /// What happens to a request that no rule names.
    pub default: Verb,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name, or `rule 3` by its place.
    pub name: Box<str>,
    /// What happens to the requests it names.
    pub verb: Verb,
    /// Which requests it names.
    pub conditions: Conditions,
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub enum Verb {
    /// It goes on.
    Allow,
    /// It is answered 403, with the reason `denied`.
    Deny,
}

/// What a request must be; all of it. What is left out holds for every request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conditions {
    /// The client's network.
    pub networks: Option<Networks>,
    /// The method; any when empty.
    pub methods: Box<[Method]>,
    /// The path.
    pub path: Option<PathPrefix>,
}

/// A prefix of whole path segments: `/admin` covers `/admin` and `/admin/x`, not `/administrator`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPrefix(Box<str>);

impl PathPrefix {
    /// Whether a path lies under the prefix.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        path.strip_prefix(&*self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Rules of allow and deny. The first rule that names a request decides; `default` decides on the rest. A refusal is
/// answered 403 with the reason `denied`, and the record says which rule it was.
#[derive(Decode)]
struct AccessSettings {
    /// The rules, in order.
    #[config(default)]
    rules: Vec<Spanned<RuleSettings>>,
    /// What happens to a request that no rule names. Only when the last rule is for `all` may it be left out.
    default: Option<Verb>,
}

/// A rule: `allow` or `deny`, with what it is for.
#[derive(Decode)]
struct RuleSettings {
    /// A name for the record and the answer.
    name: Option<Box<str>>,
    /// What it does, and to which requests.
    #[config(flatten)]
    does: Does,
}

/// What a rule does.
#[derive(Decode)]
enum Does {
    /// The requests that go on: `all`, or what they must be.
    Allow(Requests),
    /// The requests that are refused: `all`, or what they must be.
    Deny(Requests),
}

/// Which requests a rule is for.
#[derive(Decode)]
enum Requests {
    /// Every request.
    All,
    /// The requests that meet every condition.
    #[config(map)]
    That(RequestsThat),
}

/// What a request must be; every key that is given must hold.
#[derive(Decode)]
#[config(deny_empty)]
struct RequestsThat {
    /// The client's address is in one of these networks. An IPv4 address and its IPv6-mapped form are the same.
    networks: Option<OneOrMany<IpNet>>,
    /// The method is one of these.
    methods: Option<OneOrMany<Method>>,
    /// The path begins with these segments: `/admin` is `/admin` and all below it, not `/administrator`.
    path: Option<PathPrefix>,
}

impl Decode for AccessConfig {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let settings = AccessSettings::decode(node, cx)?;
        let mut rules: Vec<Rule> = Vec::with_capacity(settings.rules.len());
        for (place, rule) in settings.rules.into_iter().enumerate() {
            if rules.last().is_some_and(|last| last.conditions == Conditions::default()) {
                let message = "this rule is never reached: the one before it is for `all`";
                cx.error(code::CONFLICTING_KEYS, rule.span, message);
            }
            rules.push(rule.value.compile(place));
        }
        let catch_all = rules.last().filter(|last| last.conditions == Conditions::default()).map(|last| last.verb);
        let Some(default) = settings.default.or(catch_all) else {
            let message = "what happens to a request that no rule names?";
            let help = "add `default: allow` or `default: deny`";
            return cx.fail(Diagnostic::error(code::MISSING_KEY, node.span, message).help(help));
        };
        Some(Self { rules, default })
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        AccessSettings::schema(schemas)
    }
}

impl RuleSettings {
    fn compile(self, place: usize) -> Rule {
        let (verb, requests) = match self.does {
            Does::Allow(requests) => (Verb::Allow, requests),
            Does::Deny(requests) => (Verb::Deny, requests),
        };
        let conditions = match requests {
            Requests::All => Conditions::default(),
            Requests::That(that) => that.compile(),
        };
        Rule { name: self.name.unwrap_or_else(|| format!("rule {}", place + 1).into()), verb, conditions }
    }
}

impl RequestsThat {
    fn compile(self) -> Conditions {
        Conditions {
            networks: self.networks.map(|networks| networks.into_iter().collect()),
            methods: self.methods.map(|methods| methods.into_iter().collect()).unwrap_or_default(),
            path: self.path,
        }
    }
}

const PATH: Form = Form::new("a path prefix", &["/admin"]);

impl Decode for PathPrefix {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        decode_with(node, cx, &PATH, |text| match text {
            _ if !text.starts_with('/') => Err("it begins with `/`".to_owned()),
            _ if text.contains(['?', '#']) => Err("it is a path alone, without a query".to_owned()),
            _ => Ok(Self(text.trim_end_matches('/').into())),
        })
    }

    fn schema(_: &mut SchemaGen) -> Json {
        PATH.string_schema()
    }
}
