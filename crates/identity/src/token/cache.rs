//! Tokens that were found good, until they expire.

use std::sync::Arc;

use super::Claims;
use crate::bounded::Bounded;
use crate::key::{HashSecret, KeyHash};
use crate::time::Timestamp;

struct Entry {
    token: KeyHash,
    claims: Arc<Claims>,
}

/// Bounded; when eight tokens want one place, the one that expires first goes.
pub(super) struct Cache {
    entries: Bounded<Entry>,
    secret: HashSecret,
}

impl Cache {
    pub(super) fn new(capacity: usize, secret: [u8; 32]) -> Self {
        Self { entries: Bounded::new(capacity), secret: HashSecret::from_bytes(secret) }
    }

    pub(super) fn get(&self, token: &[u8]) -> Option<Arc<Claims>> {
        let token = self.secret.hash(token);
        let [place, _] = token.half();
        self.entries.with(place, |set| {
            let found = set.iter().flatten().find(|entry| entry.token == token)?;
            Some(Arc::clone(&found.claims))
        })
    }

    pub(super) fn put(&self, token: &[u8], claims: &Arc<Claims>, now: Timestamp) {
        let token = self.secret.hash(token);
        let [place, _] = token.half();
        self.entries.with(place, |set| {
            let rank = |place: &&mut Option<Entry>| match place {
                Some(entry) if entry.token == token => (0, now),
                None => (1, now),
                Some(entry) => (2, entry.claims.expires),
            };
            if let Some(least) = set.iter_mut().min_by_key(rank) {
                *least = Some(Entry { token, claims: Arc::clone(claims) });
            }
        });
    }
}
