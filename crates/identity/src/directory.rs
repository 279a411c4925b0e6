//! All consumers, by key, by id, by the subject of a token and by that of a client certificate.
//!
//! A directory is immutable. A reload makes the next one from it, which shares the consumers, pages and table shards
//! that did not change; whoever still holds the old one is not disturbed. A reload that finds anything wrong makes
//! nothing, and says all of it.
//!
//! Invariants: ids, key hashes and subjects are unique; every entry of a table names a slot that is in use.
//!
//! Memory, by `a_million_consumers_fit_in_the_stated_memory`: about 340 bytes for a consumer with two keys and no
//! restrictions, of which 96 are its two places in the key table and 160 itself with its keys.

mod edit;
mod entries;
mod problem;
mod reload;
mod slots;
mod source;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::consumer::{Consumer, Plan, Plans, TokenSubject};
use crate::key::{HashSecret, KeyHash};
use crate::time::Expiry;
use entries::{Hashing, KeyEntry, Tag};
use slots::Slots;
use table::Table;

pub use problem::{Place, Problem, ReloadError, Twice};
pub use reload::{Change, Limits, Summary};

/// All consumers of one moment.
#[derive(Clone)]
pub struct Directory {
    slots: Slots,
    keys: Table<KeyEntry>,
    ids: Table<Tag>,
    contents: Table<Tag>,
    tokens: Table<Tag>,
    certificates: Table<Tag>,
    plans: Plans,
    hashing: Hashing,
}

/// A consumer, by one of its keys.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The consumer. Whether it may call is [`check`](crate::check)'s to say.
    pub consumer: &'a Arc<Consumer>,
    /// Until when the key is good.
    pub not_after: Expiry,
}

impl Directory {
    /// Nobody. `seed` is random, once a process: it decides where texts lie in the tables.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            slots: Slots::default(),
            keys: Table::default(),
            ids: Table::default(),
            contents: Table::default(),
            tokens: Table::default(),
            certificates: Table::default(),
            plans: Plans::default(),
            hashing: Hashing::new(seed),
        }
    }

    /// The consumer that a presented key belongs to. Hashes, probes, and compares in constant time; allocates
    /// nothing.
    #[must_use]
    pub fn lookup(&self, secret: &HashSecret, presented: &[u8]) -> Option<Found<'_>> {
        self.by_hash(&secret.hash(presented))
    }

    /// The consumer that has a key of this hash.
    #[must_use]
    pub fn by_hash(&self, hash: &KeyHash) -> Option<Found<'_>> {
        let half = hash.half();
        let entry = self.keys.probe(KeyEntry::home_of(&half)).find(|entry| entry.is(&half))?;
        Some(Found { consumer: entry.consumer.as_ref()?, not_after: entry.not_after })
    }

    /// The consumer of this id.
    #[must_use]
    pub fn by_id(&self, id: &str) -> Option<&Arc<Consumer>> {
        self.slots.get(self.slot_of(id)?)
    }

    /// The consumer that a verified token stands for: by issuer and subject, else by a subject of any issuer.
    #[must_use]
    pub fn by_token(&self, issuer: &str, subject: &str) -> Option<&Arc<Consumer>> {
        let by = |issuer: Option<&str>| {
            let is = |one: &TokenSubject| *one.subject == *subject && one.issuer.as_deref() == issuer;
            let mut among = self.among(&self.tokens, self.hashing.subject(issuer, subject));
            among.find(|(_, consumer)| consumer.token_subjects().iter().any(is)).map(|(_, consumer)| consumer)
        };
        if self.tokens.len() == 0 { None } else { by(Some(issuer)).or_else(|| by(None)) }
    }

    /// The consumer that a verified client certificate stands for, by its subject as RFC 4514 text.
    #[must_use]
    pub fn by_certificate(&self, subject: &str) -> Option<&Arc<Consumer>> {
        let is = |consumer: &Consumer| consumer.certificate_subjects().iter().any(|one| **one == *subject);
        let mut among = self.among(&self.certificates, self.hashing.text(subject));
        among.find(|(_, consumer)| is(consumer)).map(|(_, consumer)| consumer)
    }

    /// Consumers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keys of all consumers.
    #[must_use]
    pub const fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Everybody, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Consumer>> {
        self.slots.iter()
    }

    /// The plans that consumers have had, by [`Plan::index`].
    #[must_use]
    pub fn plans(&self) -> &[Arc<Plan>] {
        self.plans.all()
    }

    /// Bytes it holds on the heap, without what an allocator adds.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        // An `Arc` has two counters before its value.
        let consumers: usize = self.iter().map(|consumer| consumer.heap_bytes() + 2 * size_of::<usize>()).sum();
        let tags = [&self.ids, &self.contents, &self.tokens, &self.certificates];
        let tables = self.keys.heap_bytes() + tags.iter().map(|table| table.heap_bytes()).sum::<usize>();
        consumers + tables + self.slots.heap_bytes()
    }

    fn slot_of(&self, id: &str) -> Option<u32> {
        let mut among = self.among(&self.ids, self.hashing.text(id));
        among.find(|(_, consumer)| consumer.id() == id).map(|(slot, _)| slot)
    }

    /// The consumers that a table has under a tag: hardly ever more than the one that is sought.
    #[inline]
    fn among<'a>(&'a self, table: &'a Table<Tag>, tag: u32) -> impl Iterator<Item = (u32, &'a Arc<Consumer>)> {
        let tags = table.probe(tag).filter(move |entry| entry.tag() == tag);
        tags.filter_map(|entry| Some((entry.slot, self.slots.get(entry.slot)?)))
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory").field("consumers", &self.len()).field("keys", &self.keys()).finish_non_exhaustive()
    }
}
