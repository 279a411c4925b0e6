//! One consumer: who it is, which keys and subjects are its own, and from where, on which hosts and with which
//! methods it may call.
//!
//! A [`ConsumerSpec`] is what a file or another store says; a [`Consumer`] is that, parsed: nothing in it is read
//! again on the path of a request. A consumer is immutable and shared by `Arc`; lists that are empty restrict
//! nothing and hold no memory.

mod build;
mod parse;
mod pattern;
mod plans;
mod spec;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use smallvec::SmallVec;

use crate::key::KeyHash;
use crate::time::Expiry;

pub use build::{FieldError, limits};
pub use parse::Format;
pub(crate) use parse::parse;
pub use pattern::{HostPattern, NamePattern, OriginPattern, PatternError};
pub use plans::Plan;
pub(crate) use plans::Plans;
pub use spec::{ConsumerSpec, KeySpec, TokenSubject};

/// A consumer.
#[derive(Debug, PartialEq, Eq)]
pub struct Consumer {
    // Two keys, which is one and its successor, lie in the consumer itself: a request that finds its consumer by a
    // key has then read what else it needs of it.
    keys: SmallVec<[ConsumerKey; 2]>,
    id: Arc<str>,
    plan: Arc<Plan>,
    restrictions: Option<Box<Restrictions>>,
    details: Option<Box<Details>>,
    disabled: bool,
}

/// One key of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerKey {
    /// What is stored of it.
    pub hash: KeyHash,
    /// Until when it is good.
    pub not_after: Expiry,
}

/// Where and how a consumer may call. An empty list restricts nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Restrictions {
    origins: Box<[OriginPattern]>,
    networks: Box<[IpNet]>,
    hosts: Box<[HostPattern]>,
    http_methods: Box<[NamePattern]>,
    rpc_methods: Box<[NamePattern]>,
}

/// What few consumers have.
#[derive(Debug, Default, PartialEq, Eq)]
struct Details {
    tokens: Box<[TokenSubject]>,
    /// What its owner calls each key; empty when none has a label.
    labels: Box<[Option<Box<str>>]>,
    rare: Option<Box<Rare>>,
}

/// What fewer still have.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rare {
    certificates: Box<[Box<str>]>,
    /// Its own caps, JSON.
    caps: Option<Box<str>>,
}

impl Consumer {
    /// One that has nothing, to compare with.
    pub(crate) fn nobody() -> Self {
        let keys = SmallVec::new();
        Self { keys, id: Arc::default(), plan: Arc::default(), restrictions: None, details: None, disabled: false }
    }

    /// Its id: unique, at most [`limits::ID`] bytes of visible ASCII.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its id, shared: what a request is told of its caller costs no copy.
    #[must_use]
    pub const fn shared_id(&self) -> &Arc<str> {
        &self.id
    }

    /// The plan it is held to.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Its keys, those past their end too.
    #[must_use]
    pub fn keys(&self) -> &[ConsumerKey] {
        &self.keys
    }

    /// Its key of this hash, found in constant time.
    #[inline]
    #[must_use]
    pub fn key(&self, hash: &KeyHash) -> Option<&ConsumerKey> {
        self.keys.iter().find(|key| key.hash == *hash)
    }

    /// What its owner calls the key of this hash.
    #[must_use]
    pub fn label(&self, hash: &KeyHash) -> Option<&str> {
        let place = self.keys.iter().position(|key| key.hash == *hash)?;
        self.details.as_ref()?.labels.get(place)?.as_deref()
    }

    /// Whether every request of it is refused.
    #[must_use]
    pub const fn is_disabled(&self) -> bool {
        self.disabled
    }

    /// What it is restricted to; `None` when nothing is.
    #[must_use]
    pub fn restrictions(&self) -> Option<&Restrictions> {
        self.restrictions.as_deref()
    }

    /// The subjects of tokens (RFC 7519 section 4.1.2) that stand for it.
    #[must_use]
    pub fn token_subjects(&self) -> &[TokenSubject] {
        self.details.as_ref().map_or(&[], |details| &details.tokens)
    }

    /// The subjects of client certificates (RFC 4514 text) that stand for it.
    #[must_use]
    pub fn certificate_subjects(&self) -> &[Box<str>] {
        self.rare().map_or(&[], |rare| &rare.certificates)
    }

    /// What it alone is held to beside its plan: a JSON object, in the words that the config has for that.
    #[must_use]
    pub fn caps(&self) -> Option<&str> {
        self.rare()?.caps.as_deref()
    }

    fn rare(&self) -> Option<&Rare> {
        self.details.as_ref()?.rare.as_deref()
    }

    /// Bytes it holds on the heap, itself included, without what an allocator adds. The plan's name is shared and
    /// not counted.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let details = self.details.as_ref().map_or(0, |details| {
            let tokens = details.tokens.iter().map(TokenSubject::heap_bytes).sum::<usize>();
            let rare = details.rare.as_ref().map_or(0, |rare| {
                let certificates = rare.certificates.iter().map(|one| size_of_val(one) + one.len()).sum::<usize>();
                size_of::<Rare>() + certificates + rare.caps.as_ref().map_or(0, |caps| caps.len())
            });
            let label = |one: &Option<Box<str>>| size_of_val(one) + one.as_ref().map_or(0, |label| label.len());
            size_of::<Details>() + tokens + rare + details.labels.iter().map(label).sum::<usize>()
        });
        let restrictions = self.restrictions.as_ref().map_or(0, |restrictions| restrictions.heap_bytes());
        let keys = if self.keys.spilled() { size_of_val(&*self.keys) } else { 0 };
        // The id has two counters before it.
        let id = self.id.len() + 2 * size_of::<usize>();
        size_of::<Self>() + id + keys + details + restrictions
    }
}

impl Restrictions {
    /// Whether a client at this address may call. A v4-mapped address (RFC 4291 section 2.5.5.2) counts as IPv4.
    #[must_use]
    pub fn allows_network(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        self.networks.is_empty() || self.networks.iter().any(|network| network.contains(&client))
    }

    /// Whether it may call this host (lower-case, without port).
    #[must_use]
    pub fn allows_host(&self, host: &str) -> bool {
        self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.matches(host))
    }

    /// Whether a page of this origin (RFC 6454 section 7) may call. Where origins are listed, a request without
    /// `Origin` is refused: a key that is meant for a page is of no use elsewhere.
    #[must_use]
    pub fn allows_origin(&self, origin: Option<&str>) -> bool {
        let listed = |origin| self.origins.iter().any(|pattern| pattern.matches(origin));
        self.origins.is_empty() || origin.is_some_and(listed)
    }

    /// Whether it may use this HTTP method.
    #[must_use]
    pub fn allows_http_method(&self, method: &str) -> bool {
        self.http_methods.is_empty() || self.http_methods.iter().any(|pattern| pattern.matches(method))
    }

    /// Whether it may call this RPC method.
    #[must_use]
    pub fn allows_rpc_method(&self, method: &str) -> bool {
        self.rpc_methods.is_empty() || self.rpc_methods.iter().any(|pattern| pattern.matches(method))
    }

    /// The lists by their names, as text for people. Methods stand apart by what they are methods of.
    #[must_use]
    pub fn told(&self) -> Vec<(&'static str, Vec<String>)> {
        fn all<T: ToString>(list: &[T]) -> Vec<String> {
            list.iter().map(ToString::to_string).collect()
        }
        vec![
            ("origins", all(&self.origins)),
            ("networks", all(&self.networks)),
            ("hosts", all(&self.hosts)),
            ("http_methods", all(&self.http_methods)),
            ("rpc_methods", all(&self.rpc_methods)),
        ]
    }

    fn heap_bytes(&self) -> usize {
        let hosts = self.hosts.iter().map(|one| size_of_val(one) + one.text_bytes());
        let origins = self.origins.iter().map(|one| size_of_val(one) + one.text_bytes());
        let names = self.http_methods.iter().chain(&self.rpc_methods).map(|one| size_of_val(one) + one.text_bytes());
        size_of::<Self>() + size_of_val(&*self.networks) + hosts.chain(origins).chain(names).sum::<usize>()
    }
}
