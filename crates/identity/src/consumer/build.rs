//! From a spec to a consumer: every value read, every list counted.

use std::str::FromStr;

use ipnet::IpNet;
use smallvec::SmallVec;

use super::{
    Consumer, ConsumerKey, ConsumerSpec, Details, KeySpec, NamePattern, Plans, Rare, Restrictions, TokenSubject,
};
use crate::time::Expiry;

/// The most of each thing that one consumer may have.
pub mod limits {
    /// Bytes of an id.
    pub const ID: usize = 128;
    /// Bytes of a plan's name.
    pub const PLAN: usize = 64;
    /// Different plans in one directory.
    pub const PLANS: usize = 10_000;
    /// Keys of a consumer.
    pub const KEYS: usize = 32;
    /// Bytes of a key's label.
    pub const LABEL: usize = 64;
    /// Entries of each of its lists of origins, networks, hosts, methods.
    pub const LIST: usize = 256;
    /// Subjects of tokens, and of certificates.
    pub const SUBJECTS: usize = 32;
    /// Bytes of a subject or an issuer.
    pub const SUBJECT: usize = 512;
    /// Bytes of its own caps, as JSON without spaces.
    pub const CAPS: usize = 16 * 1024;
}

/// What is wrong with one value of a spec. Values are not repeated: they may be secrets in the wrong place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {problem}")]
pub struct FieldError {
    /// Where: `keys[1].hash`.
    pub key: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

fn wrong(key: impl Into<String>, problem: impl ToString) -> FieldError {
    FieldError { key: key.into(), problem: problem.to_string() }
}

impl Consumer {
    /// Reads a spec. Plans are shared through `plans`.
    pub(crate) fn build(spec: ConsumerSpec, plans: &mut Plans) -> Result<Self, FieldError> {
        name("id", &spec.id, limits::ID)?;
        name("plan", &spec.plan, limits::PLAN)?;
        let restrictions = restrictions(&spec)?;
        let labels = spec.keys.iter().map(|key| key.label.clone().map(String::into_boxed_str)).collect();
        let rare = Rare { certificates: certificates(spec.certificates)?, caps: caps(spec.caps)? };
        let details = details(labels, spec.jwt, rare)?;
        let plan = plans.plan(&spec.plan, limits::PLANS);
        let plan = plan.ok_or_else(|| wrong("plan", format!("there are more than {} plans", limits::PLANS)))?;
        Ok(Self {
            keys: keys(&spec.keys)?,
            id: spec.id.into(),
            plan,
            restrictions: (restrictions != Restrictions::default()).then(|| Box::new(restrictions)),
            details: (details != Details::default()).then(|| Box::new(details)),
            disabled: spec.disabled,
        })
    }
}

fn name(key: &str, text: &str, most: usize) -> Result<(), FieldError> {
    let right = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if right { Ok(()) } else { Err(wrong(key, format!("expected 1 to {most} visible ASCII characters"))) }
}

fn count<T>(key: &str, list: &[T], most: usize) -> Result<(), FieldError> {
    if list.len() <= most { Ok(()) } else { Err(wrong(key, format!("{} entries, {most} are the most", list.len()))) }
}

fn once<T>(key: &str, list: &[T], same: impl Fn(&T, &T) -> bool) -> Result<(), FieldError> {
    let twice = list.iter().enumerate().find(|(n, one)| list.iter().take(*n).any(|other| same(one, other)));
    twice.map_or(Ok(()), |(n, _)| Err(wrong(format!("{key}[{n}]"), "it stands before already")))
}

fn keys(specs: &[KeySpec]) -> Result<SmallVec<[ConsumerKey; 2]>, FieldError> {
    count("keys", specs, limits::KEYS)?;
    let keys = (0..).zip(specs).map(|(n, spec)| key(n, spec)).collect::<Result<SmallVec<[_; 2]>, _>>()?;
    once("keys", &keys, |one, other| one.hash == other.hash)?;
    Ok(keys)
}

fn key(n: usize, spec: &KeySpec) -> Result<ConsumerKey, FieldError> {
    let hash = spec.hash.parse().map_err(|error| wrong(format!("keys[{n}].hash"), error))?;
    let not_after = spec.not_after.map_or(Ok(Expiry::NEVER), Expiry::at);
    let not_after = not_after.map_err(|error| wrong(format!("keys[{n}].not_after"), error))?;
    let plain = |label: &str| label.len() <= limits::LABEL && !label.contains(char::is_control);
    if spec.label.as_deref().is_some_and(|label| !plain(label)) {
        let problem = format!("expected at most {} bytes without control characters", limits::LABEL);
        return Err(wrong(format!("keys[{n}].label"), problem));
    }
    Ok(ConsumerKey { hash, not_after })
}

fn list<T: FromStr<Err: ToString>>(key: &str, texts: &[String]) -> Result<Box<[T]>, FieldError> {
    count(key, texts, limits::LIST)?;
    let read = |(n, text): (usize, &String)| text.parse().map_err(|error: T::Err| wrong(format!("{key}[{n}]"), error));
    texts.iter().enumerate().map(read).collect()
}

fn restrictions(spec: &ConsumerSpec) -> Result<Restrictions, FieldError> {
    let methods: Box<[NamePattern]> = list("methods", &spec.methods)?;
    let any = methods.iter().any(NamePattern::is_any);
    let of = |http: bool| methods.iter().filter(|name| !any && name.is_http() == http).cloned().collect();
    let networks: Box<[Network]> = list("networks", &spec.networks)?;
    Ok(Restrictions {
        origins: list("origins", &spec.origins)?,
        networks: networks.iter().map(|network| network.0).collect(),
        hosts: list("hosts", &spec.hosts)?,
        http_methods: of(true),
        rpc_methods: of(false),
    })
}

/// A network in CIDR notation with no bit set beyond its length, or one address.
struct Network(IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = || text.parse::<std::net::IpAddr>().map(IpNet::from);
        let network: IpNet = text
            .parse()
            .or_else(|_| address())
            .map_err(|_| "expected a network such as `203.0.113.0/24` or `2001:db8::/48`, or one address".to_owned())?;
        if network.trunc() == network { Ok(Self(network)) } else { Err(format!("write `{}`", network.trunc())) }
    }
}

fn details(labels: Box<[Option<Box<str>>]>, tokens: Vec<TokenSubject>, rare: Rare) -> Result<Details, FieldError> {
    count("jwt", &tokens, limits::SUBJECTS)?;
    for (n, token) in tokens.iter().enumerate() {
        subject(|| format!("jwt[{n}].subject"), &token.subject)?;
        token.issuer.as_ref().map_or(Ok(()), |issuer| subject(|| format!("jwt[{n}].issuer"), issuer))?;
    }
    once("jwt", &tokens, PartialEq::eq)?;
    Ok(Details {
        tokens: tokens.into(),
        labels: if labels.iter().all(Option::is_none) { Box::default() } else { labels },
        rare: (rare != Rare::default()).then(|| Box::new(rare)),
    })
}

fn certificates(certificates: Vec<String>) -> Result<Box<[Box<str>]>, FieldError> {
    count("certificates", &certificates, limits::SUBJECTS)?;
    for (n, text) in certificates.iter().enumerate() {
        subject(|| format!("certificates[{n}]"), text)?;
    }
    once("certificates", &certificates, PartialEq::eq)?;
    Ok(certificates.into_iter().map(Into::into).collect())
}

fn caps(caps: Option<serde_json::Map<String, serde_json::Value>>) -> Result<Option<Box<str>>, FieldError> {
    let Some(caps) = caps else { return Ok(None) };
    let text = serde_json::Value::Object(caps).to_string();
    if text.len() > limits::CAPS {
        return Err(wrong("caps", format!("expected at most {} bytes", limits::CAPS)));
    }
    Ok(Some(text.into()))
}

fn subject(key: impl FnOnce() -> String, text: &str) -> Result<(), FieldError> {
    if (1..=limits::SUBJECT).contains(&text.len()) && !text.contains(char::is_control) {
        return Ok(());
    }
    Err(wrong(key(), format!("expected 1 to {} bytes without control characters", limits::SUBJECT)))
}
