//! A set of caps with one owner: the gateway, a route, a plan, or one consumer.
//!
//! A set says two things: what every consumer may spend by itself (`each`), and what all may spend together
//! (`shared`). A plan's ordinary caps are of the first kind.

use std::fmt;
use std::sync::Arc;

use super::cap::{Cap, Held, Limit};
use super::method::MethodPattern;

/// Whose caps they are. Ordered as their states are locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Of all requests.
    Gateway,
    /// Of a route's requests.
    Route,
    /// Of the consumers of a plan.
    Plan,
    /// Of one consumer, beside its plan.
    Consumer,
}

impl Scope {
    /// All, in their order.
    pub const ALL: [Self; 4] = [Self::Gateway, Self::Route, Self::Plan, Self::Consumer];

    /// The word of messages and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Route => "route",
            Self::Plan => "plan",
            Self::Consumer => "consumer",
        }
    }

    /// What stands before the names of its caps in a 429, so that two scopes' `rate` are told apart. A plan's own caps
    /// have plain names.
    pub(crate) const fn prefix(self, shared: bool) -> &'static str {
        match (self, shared) {
            (Self::Gateway, true) => "gateway.",
            (Self::Gateway, false) => "gateway.each.",
            (Self::Route, true) => "route.",
            (Self::Route, false) => "route.each.",
            (Self::Plan, true) => "plan.",
            (Self::Plan, false) => "",
            (Self::Consumer, _) => "own.",
        }
    }
}

/// What a gateway does with caps it shares with others while it cannot reach what they share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outage {
    /// Each gateway allows the limit divided by the number of gateways known last.
    #[default]
    LocalShare,
    /// What was not drawn before is refused.
    Refuse,
}

/// What holds for the calls of one method, beside the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodRule {
    /// The methods. Of several that fit, the longest holds.
    pub pattern: MethodPattern,
    /// What one call costs; `None` for the set's price.
    pub credits: Option<u32>,
    /// What every consumer may spend.
    pub each: Vec<Cap>,
    /// What all may spend together.
    pub shared: Vec<Cap>,
}

/// What a set is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapSetSpec {
    /// Whose they are.
    pub scope: Scope,
    /// The name of the plan or route. State is kept by it.
    pub name: Arc<str>,
    /// What every consumer may spend.
    pub each: Vec<Cap>,
    /// What all may spend together.
    pub shared: Vec<Cap>,
    /// What holds for calls of some methods, beside that.
    pub methods: Vec<MethodRule>,
    /// What a call costs that no rule prices; 1 when nothing says so.
    pub credits: Option<u32>,
    /// What happens to caps shared by gateways in an outage.
    pub outage: Outage,
    /// Whether all caps only count.
    pub shadow: bool,
}

impl CapSetSpec {
    /// A set without caps.
    #[must_use]
    pub fn new(scope: Scope, name: &str) -> Self {
        Self {
            scope,
            name: name.into(),
            each: Vec::new(),
            shared: Vec::new(),
            methods: Vec::new(),
            credits: None,
            outage: Outage::default(),
            shadow: false,
        }
    }
}

/// A set of caps that can be bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapSet(CapSetSpec);

/// What is wrong with a set. All are said at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// Two caps of one name, in the same place.
    #[error("there are two caps named `{0}`; give one another name")]
    TwoCaps(String),
    /// Two rules of one pattern.
    #[error("there are two rules for `{0}`")]
    TwoRules(MethodPattern),
    /// A route or the gateway with a price.
    #[error("prices belong to plans and consumers, not to a {}", .0.as_str())]
    Price(Scope),
    /// One consumer's caps, shared.
    #[error("a consumer's own caps are shared with nobody; write them outside of `shared`")]
    SharedByOne,
    /// Connections per method.
    #[error("`{0}`: connections have no method; cap them for the whole plan")]
    ConnectionsByMethod(MethodPattern),
}

impl CapSet {
    /// Checks a set.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn build(spec: CapSetSpec) -> Result<Self, Vec<SetError>> {
        let mut errors = Vec::new();
        twice(&spec, |rule| &rule.each, &spec.each, &mut errors);
        twice(&spec, |rule| &rule.shared, &spec.shared, &mut errors);
        if matches!(spec.scope, Scope::Gateway | Scope::Route) {
            let priced = spec.credits.is_some() || spec.methods.iter().any(|rule| rule.credits.is_some());
            errors.extend(priced.then_some(SetError::Price(spec.scope)));
        }
        if spec.scope == Scope::Consumer {
            let shared = !spec.shared.is_empty() || spec.methods.iter().any(|rule| !rule.shared.is_empty());
            errors.extend(shared.then_some(SetError::SharedByOne));
        }
        for (place, rule) in spec.methods.iter().enumerate() {
            let before = spec.methods.iter().take(place).any(|other| other.pattern == rule.pattern);
            errors.extend(before.then(|| SetError::TwoRules(rule.pattern.clone())));
            let connections = |cap: &Cap| matches!(cap.limit(), Limit::AtOnce(Held::Connections, _));
            let wrong = rule.each.iter().chain(&rule.shared).any(connections);
            errors.extend(wrong.then(|| SetError::ConnectionsByMethod(rule.pattern.clone())));
        }
        if errors.is_empty() { Ok(Self(spec)) } else { Err(errors) }
    }

    /// What it is made of.
    #[must_use]
    pub const fn spec(&self) -> &CapSetSpec {
        &self.0
    }

    /// All caps of it, those of its rules too.
    pub fn caps(&self) -> impl Iterator<Item = &Cap> {
        let CapSetSpec { each, shared, methods, .. } = &self.0;
        let of_methods = methods.iter().flat_map(|rule| rule.each.iter().chain(&rule.shared));
        each.iter().chain(shared).chain(of_methods)
    }

    /// Whether gateways share any of them.
    #[must_use]
    pub fn is_shared_by_gateways(&self) -> bool {
        self.caps().any(|cap| cap.terms().is_some())
    }

    /// The patterns of its rules, for [`crate::Methods::with`].
    pub fn patterns(&self) -> impl Iterator<Item = &MethodPattern> + Clone {
        self.0.methods.iter().map(|rule| &rule.pattern)
    }
}

/// Names are compared as they stand in a 429, so that `x.rate` of all calls is not the `rate` of calls of `x`.
fn twice(spec: &CapSetSpec, of_rule: fn(&MethodRule) -> &Vec<Cap>, base: &[Cap], errors: &mut Vec<SetError>) {
    let base = base.iter().map(|cap| cap.name().to_owned());
    let of_rules = spec.methods.iter().flat_map(|rule| of_rule(rule).iter().map(move |cap| label(&rule.pattern, cap)));
    let mut seen = Vec::new();
    for name in base.chain(of_rules) {
        if seen.contains(&name) {
            errors.push(SetError::TwoCaps(name));
        } else {
            seen.push(name);
        }
    }
}

/// `getProgramAccounts.rate`.
pub(crate) fn label(pattern: &MethodPattern, cap: &Cap) -> String {
    format!("{pattern}.{}", cap.name())
}

/// What it allows, a line for each cap: `plan free: rate: 10 requests per second, burst 20`.
impl fmt::Display for CapSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spec = &self.0;
        let of_rules = spec.methods.iter().map(|rule| (Some(&rule.pattern), &rule.each, &rule.shared));
        for (pattern, each, shared) in std::iter::once((None, &spec.each, &spec.shared)).chain(of_rules) {
            let both = each.iter().map(|cap| (cap, "")).chain(shared.iter().map(|cap| (cap, ", all together")));
            for (cap, together) in both {
                let method = pattern.map(|pattern| format!("{pattern}.")).unwrap_or_default();
                let shadow = if spec.shadow || cap.is_in_shadow() { ", in shadow" } else { "" };
                writeln!(f, "{} {}: {method}{cap}{together}{shadow}", spec.scope.as_str(), spec.name)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Unit;

    fn rate(per_second: &str) -> Cap {
        Cap::rate(Unit::Requests, per_second.parse().unwrap(), 20).unwrap()
    }

    fn rule(pattern: &str, each: Vec<Cap>) -> MethodRule {
        MethodRule { pattern: pattern.parse().unwrap(), credits: Some(10), each, shared: Vec::new() }
    }

    #[test]
    fn says_all_that_is_wrong() {
        let connections = Cap::at_once(Held::Connections, 5).unwrap();
        let spec = CapSetSpec {
            each: vec![rate("1/s"), rate("2/s"), rate("3/s").named("getSlot.rate").unwrap()],
            methods: vec![rule("getSlot", vec![rate("1/s")]), rule("getSlot", vec![connections])],
            ..CapSetSpec::new(Scope::Route, "archive")
        };
        let errors: Vec<String> = CapSet::build(spec).unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(
            errors,
            [
                "there are two caps named `rate`; give one another name",
                "there are two caps named `getSlot.rate`; give one another name",
                "prices belong to plans and consumers, not to a route",
                "there are two rules for `getSlot`",
                "`getSlot`: connections have no method; cap them for the whole plan",
            ]
        );
        let shared = CapSetSpec { shared: vec![rate("1/s")], ..CapSetSpec::new(Scope::Consumer, "acme") };
        assert_eq!(CapSet::build(shared), Err(vec![SetError::SharedByOne]));
    }

    #[test]
    fn says_what_it_allows() {
        let quota = Cap::quota(Unit::Credits, "1000000/month".parse().unwrap(), crate::Zone::utc()).unwrap();
        let spec = CapSetSpec {
            each: vec![rate("10/s"), quota, Cap::at_once(Held::Connections, 5).unwrap().in_shadow()],
            shared: vec![rate("60/m")],
            methods: vec![rule("get*", vec![rate("1/s")])],
            ..CapSetSpec::new(Scope::Plan, "free")
        };
        let expected = "plan free: rate: 10 requests per second, burst 20\n\
                        plan free: credits.month: 1000000 credits per month (UTC)\n\
                        plan free: connections: 5 connections at once, in shadow\n\
                        plan free: rate.minute: 1 requests per second, burst 20, all together\n\
                        plan free: get*.rate: 1 requests per second, burst 20\n";
        assert_eq!(CapSet::build(spec).unwrap().to_string(), expected);
    }

    #[test]
    fn refuses_caps_that_allow_nothing_or_mean_nothing() {
        use crate::policy::CapError;
        let utc = crate::Zone::utc;
        let quota =
            |text: &str| Cap::quota(Unit::Requests, text.parse().unwrap(), utc()).map(|cap| cap.name().to_owned());
        assert_eq!(quota("0/d"), Err(CapError::NoQuota));
        assert_eq!(quota("5/s"), Err(CapError::QuotaPeriod));
        assert_eq!(quota("5/d"), Ok("quota.day".to_owned()));
        assert_eq!(Cap::at_once(Held::Requests, 0), Err(CapError::NoneAtOnce));
        for name in ["", "a\"b", "a b", "é", &"x".repeat(65)] {
            assert_eq!(rate("1/s").named(name), Err(CapError::Name), "{name}");
        }
    }
}
