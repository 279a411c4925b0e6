//! What keeps its endpoint or its cluster: the keys of hash balancing and of sticky splits.
//!
//! These are asked for after the filters ran, so that they may be what a filter noted. Routing itself (percentages) knows
//! [`HashKey`]s only, so that a config cannot ask it for what is not known yet.

use std::fmt;
use std::str::FromStr;

use portcullis_filter::Notes;
use portcullis_policy::{HashKey, stable_hash, stable_hash_of_ip};
use portcullis_types::RequestView;

/// What equal requests have in common. Written as a [`HashKey`], or `consumer`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Affinity {
    /// A value of the request itself.
    Request(HashKey),
    /// Who is calling, as a filter noted it ([`Notes::consumer`]).
    Consumer,
}

/// The text is no affinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected `client_ip`, `path`, `consumer`, `header:NAME`, `cookie:NAME` or `query:NAME`")]
pub struct AffinityError;

impl Affinity {
    /// The hash of the value, the same in every process; `None` when the request has no such value, as an anonymous one
    /// has no consumer.
    #[must_use]
    pub fn hash(&self, view: &RequestView<'_>, notes: &Notes) -> Option<u64> {
        match self {
            Self::Request(key) => key.hash(view),
            Self::Consumer => notes.consumer.as_deref().map(|consumer| stable_hash(0, consumer.as_bytes())),
        }
    }

    /// The hash of the value, or of the client's address when there is none.
    #[must_use]
    pub fn hash_or_client(&self, view: &RequestView<'_>, notes: &Notes) -> u64 {
        self.hash(view, notes).unwrap_or_else(|| stable_hash_of_ip(0, view.client))
    }
}

impl FromStr for Affinity {
    type Err = AffinityError;

    fn from_str(text: &str) -> Result<Self, AffinityError> {
        if text == "consumer" {
            return Ok(Self::Consumer);
        }
        text.parse().map(Self::Request).map_err(|_| AffinityError)
    }
}

impl fmt::Display for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(key) => key.fmt(f),
            Self::Consumer => f.write_str("consumer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingora_http::RequestHeader;
    use portcullis_filter::Facts;
    use portcullis_types::{Downstream, RequestId};
    use std::net::SocketAddr;
    use std::sync::Arc;

    #[test]
    fn affinities_are_read_and_written() {
        for text in ["client_ip", "path", "consumer", "header:x-user", "cookie:sid", "query:user"] {
            assert_eq!(text.parse::<Affinity>().unwrap().to_string(), text);
        }
        for text in ["", "Consumer", "consumer:", "consumer:acme", "header"] {
            assert_eq!(text.parse::<Affinity>(), Err(AffinityError), "{text}");
        }
    }

    #[test]
    fn a_consumer_is_what_a_filter_noted_and_the_anonymous_go_by_their_address() {
        let client: SocketAddr = "203.0.113.9:5000".parse().unwrap();
        let downstream =
            Downstream { listener: "edge".into(), peer: client, socket_peer: client, local: client, tls: None };
        let facts = Facts::new(RequestId(1), Arc::new(downstream));
        let request = RequestHeader::build("GET", b"/acme", None).unwrap();
        let view = facts.view(&request);
        let mut notes = Notes::default();
        assert_eq!(Affinity::Consumer.hash(&view, &notes), None);
        assert_eq!(Affinity::Consumer.hash_or_client(&view, &notes), stable_hash_of_ip(0, client.ip()));
        notes.consumer = Some("acme".into());
        assert_eq!(Affinity::Consumer.hash(&view, &notes), Some(stable_hash(0, b"acme")));
        assert_eq!(Affinity::Consumer.hash_or_client(&view, &notes), stable_hash(0, b"acme"));
        let path = Affinity::Request(HashKey::Path);
        assert_eq!(path.hash(&view, &notes), Some(stable_hash(0, b"/acme")));
    }
}
