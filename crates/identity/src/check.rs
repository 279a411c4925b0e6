//! Whether a consumer that was found may make this request.
//!
//! The order, which decides only which cause is recorded, since the answer is the same: what is wrong with the
//! consumer (disabled), with the credential (its time is over), with where the request comes from (network), with
//! what it calls (host), with who sent it (origin), with how (HTTP method). RPC methods come last, by
//! [`check_rpc_method`], when the body has been read.

use std::net::IpAddr;

use crate::consumer::Consumer;
use crate::time::{Expiry, Timestamp};

/// What of a request restrictions ask about.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The time.
    pub now: Timestamp,
    /// The client's address.
    pub client: IpAddr,
    /// The host, lower-case and without port.
    pub host: &'a str,
    /// The `Origin` field, if there is one.
    pub origin: Option<&'a str>,
    /// The HTTP method.
    pub method: &'a str,
}

/// What forbids a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restriction {
    /// The consumer is disabled.
    Disabled,
    /// The key's time is over.
    Expired,
    /// The client is in none of its networks.
    Network,
    /// The host is none of its hosts.
    Host,
    /// The origin is none of its origins, or absent.
    Origin,
    /// The HTTP method is none of its methods.
    HttpMethod,
    /// The RPC method is none of its methods.
    RpcMethod,
}

impl Restriction {
    /// All of them, in the order they are checked.
    pub const ALL: &'static [Self] =
        &[Self::Disabled, Self::Expired, Self::Network, Self::Host, Self::Origin, Self::HttpMethod, Self::RpcMethod];

    /// Its name in the record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disabled => "consumer_disabled",
            Self::Expired => "key_expired",
            Self::Network => "network_not_allowed",
            Self::Host => "host_not_allowed",
            Self::Origin => "origin_not_allowed",
            Self::HttpMethod => "http_method_not_allowed",
            Self::RpcMethod => "rpc_method_not_allowed",
        }
    }
}

/// Whether the consumer may make this request with a credential that is good until `not_after`
/// ([`Expiry::NEVER`] for tokens and certificates, which were checked before).
///
/// # Errors
/// The first restriction that forbids it.
pub fn check(consumer: &Consumer, not_after: Expiry, facts: &Facts<'_>) -> Result<(), Restriction> {
    if consumer.is_disabled() {
        return Err(Restriction::Disabled);
    }
    if not_after.is_over(facts.now) {
        return Err(Restriction::Expired);
    }
    let Some(restrictions) = consumer.restrictions() else { return Ok(()) };
    if !restrictions.allows_network(facts.client) {
        Err(Restriction::Network)
    } else if !restrictions.allows_host(facts.host) {
        Err(Restriction::Host)
    } else if !restrictions.allows_origin(facts.origin) {
        Err(Restriction::Origin)
    } else if !restrictions.allows_http_method(facts.method) {
        Err(Restriction::HttpMethod)
    } else {
        Ok(())
    }
}

/// Whether the consumer may call this RPC method.
///
/// # Errors
/// [`Restriction::RpcMethod`].
pub fn check_rpc_method(consumer: &Consumer, method: &str) -> Result<(), Restriction> {
    let allowed = consumer.restrictions().is_none_or(|restrictions| restrictions.allows_rpc_method(method));
    if allowed { Ok(()) } else { Err(Restriction::RpcMethod) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consumer::{ConsumerSpec, Plans};

    fn consumer(disabled: bool) -> Consumer {
        let list = |text: &str| vec![text.to_owned()];
        let spec = ConsumerSpec {
            id: "a".to_owned(),
            plan: "p".to_owned(),
            networks: list("203.0.113.0/24"),
            hosts: list("rpc.example.com"),
            origins: list("https://app.example.com"),
            methods: vec!["POST".to_owned(), "get*".to_owned()],
            disabled,
            ..ConsumerSpec::default()
        };
        Consumer::build(spec, &mut Plans::default()).expect("right")
    }

    fn facts() -> Facts<'static> {
        Facts {
            now: Timestamp::from_seconds(100),
            client: [203, 0, 113, 9].into(),
            host: "rpc.example.com",
            origin: Some("https://app.example.com"),
            method: "POST",
        }
    }

    #[test]
    fn the_first_restriction_that_forbids_is_the_one_that_is_said() {
        // Each row spoils one thing more, so that the order shows.
        let mut facts = facts();
        let (good, over) = (Expiry::NEVER, Expiry::at(facts.now).expect("a time"));
        assert_eq!(check(&consumer(false), good, &facts), Ok(()));
        facts.method = "GET";
        assert_eq!(check(&consumer(false), good, &facts), Err(Restriction::HttpMethod));
        facts.origin = None;
        assert_eq!(check(&consumer(false), good, &facts), Err(Restriction::Origin));
        facts.host = "www.example.com";
        assert_eq!(check(&consumer(false), good, &facts), Err(Restriction::Host));
        facts.client = [192, 0, 2, 1].into();
        assert_eq!(check(&consumer(false), good, &facts), Err(Restriction::Network));
        assert_eq!(check(&consumer(false), over, &facts), Err(Restriction::Expired));
        assert_eq!(check(&consumer(true), over, &facts), Err(Restriction::Disabled));
    }

    #[test]
    fn rpc_methods_are_checked_by_themselves() {
        assert_eq!(check_rpc_method(&consumer(false), "getBlock"), Ok(()));
        assert_eq!(check_rpc_method(&consumer(false), "sendTransaction"), Err(Restriction::RpcMethod));
    }

    #[test]
    fn a_key_is_good_until_its_last_second() {
        let at = |seconds| Expiry::at(Timestamp::from_seconds(seconds)).expect("a time");
        for (expiry, expected) in
            [(at(99), Err(Restriction::Expired)), (at(100), Err(Restriction::Expired)), (at(101), Ok(()))]
        {
            assert_eq!(check(&consumer(false), expiry, &facts()), expected);
        }
    }
}
