//! A second generation beside the one that serves, for a share of those who call.
//!
//! Who is in the share is told by a stable hash of the credential that a request presents, else of its connection. Both are
//! found in the same way whatever the generations say, so that nobody changes sides because of what is on trial.

use std::sync::Arc;

use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use portcullis_policy::stable_hash::{stable_hash, stable_hash_of_ip};
use portcullis_types::Downstream;

use crate::Snapshot;

/// The fields that a credential is looked for in, in this order, before the query.
const FIELDS: [&str; 2] = ["x-api-key", "api-key"];
/// The query parameters, compared without regard to case.
const PARAMETERS: [&str; 5] = ["api-key", "api_key", "apikey", "key", "token"];

/// Who is on the new side, and what serves them.
pub struct Canary {
    share: f64,
    seed: u64,
    snapshot: Option<Arc<Snapshot>>,
}

impl Canary {
    /// A share of callers, 0 to 1, who are served as everybody is and only told apart: before a trial, that is what shows by
    /// how much the groups differ anyway.
    #[must_use]
    pub const fn apart(share: f64, seed: u64) -> Self {
        Self { share, seed, snapshot: None }
    }

    /// The same callers, served by another generation.
    #[must_use]
    pub const fn served_by(&self, snapshot: Arc<Snapshot>) -> Self {
        Self { share: self.share, seed: self.seed, snapshot: Some(snapshot) }
    }

    /// The generation that serves them, when it is another.
    #[must_use]
    pub const fn snapshot(&self) -> Option<&Arc<Snapshot>> {
        self.snapshot.as_ref()
    }

    /// Whether a request is among them.
    #[must_use]
    pub fn takes(&self, fields: &HeaderMap, query: Option<&str>, downstream: &Downstream) -> bool {
        let hash = match credential(fields, query) {
            Some(credential) => stable_hash(self.seed, credential),
            None => connection(self.seed, downstream),
        };
        // The upper 53 bits as a number from 0 to 1.
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let place = (hash >> 11) as f64 / (1_u64 << 53) as f64;
        place < self.share
    }
}

/// The bytes that say who calls, by what is usual: not who it turns out to be, only always the same for the same caller.
fn credential<'a>(fields: &'a HeaderMap, query: Option<&'a str>) -> Option<&'a [u8]> {
    let said = |name: &str| fields.get(name).map(HeaderValue::as_bytes).filter(|value| !value.is_empty());
    let field = FIELDS.iter().find_map(|name| said(name)).or_else(|| said(AUTHORIZATION.as_str()));
    field.or_else(|| query.and_then(parameter))
}

fn parameter(query: &str) -> Option<&[u8]> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let named = |name: &str| PARAMETERS.iter().any(|parameter| parameter.eq_ignore_ascii_case(name));
    pairs.find(|(name, value)| named(name) && !value.is_empty()).map(|(_, value)| value.as_bytes())
}

/// The client's certificate, else the socket: all requests of a connection are on one side.
fn connection(seed: u64, downstream: &Downstream) -> u64 {
    let certificate = downstream.tls.as_ref().and_then(|tls| tls.client.as_ref());
    match certificate {
        Some(client) => stable_hash(seed, client.fingerprint.as_bytes()),
        None => stable_hash_of_ip(seed ^ u64::from(downstream.peer.port()), downstream.peer.ip()),
    }
}

#[cfg(test)]
#[path = "canary_tests.rs"]
mod tests;
