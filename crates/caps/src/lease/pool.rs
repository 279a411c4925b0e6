//! The shared side of one consumer's cap: what a script in the shared store does, word by word.
//!
//! Of a quota there is a pool per window; who asks says which. A pool that lost its memory starts full, and for a
//! quota learns what was spent from what gateways report.
//!
//! Invariant: what is granted and not given back, spent or not, is gone from the budget; so whatever gateways do
//! within their grants is within the limit.

use std::collections::BTreeMap;

use crate::bucket::{Bucket, FullAt};
use crate::moment::nanos;
use crate::policy::Limit;

use super::members::{GatewayId, Present};
use super::terms::{Ask, Grant, Terms};

/// How much there is to share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// Tokens that come with time.
    Rate(Bucket),
    /// Tokens of one window.
    Quota(u64),
}

impl Budget {
    /// The budget of a limit; `None` for what gateways do not share.
    #[must_use]
    pub const fn of(limit: &Limit) -> Option<Self> {
        match limit {
            Limit::Rate(_, bucket) => Some(Self::Rate(*bucket)),
            Limit::Quota(_, quota) => Some(Self::Quota(quota.limit)),
            Limit::AtOnce(..) => None,
        }
    }
}

/// What is shared, how, and among whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stake {
    /// How much.
    pub budget: Budget,
    /// On which terms.
    pub terms: Terms,
    /// The gateways that there are.
    pub present: Present,
}

/// What the pool knows of a gateway.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    life: u64,
    word: u64,
    /// Spent of a quota in earlier lives.
    before: u64,
    spent: u64,
    granted: u64,
    want: u64,
    heard: u64,
    /// What it may take to be its own in an outage.
    kept_back: u64,
}

impl Entry {
    /// What is gone because of this gateway, in this life.
    const fn gone(&self) -> u64 {
        if self.spent > self.granted { self.spent } else { self.granted }
    }

    fn is_silent(&self, now: u64, terms: &Terms) -> bool {
        now.saturating_sub(self.heard) >= nanos(terms.ttl)
    }

    fn is_gone(&self, now: u64, present: Present) -> bool {
        now.saturating_sub(self.heard) >= nanos(present.gone_after)
    }
}

/// What is shared of one cap. The default has given nothing yet.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    full_at: FullAt,
    /// When the bucket was looked at last.
    at: u64,
    entries: BTreeMap<GatewayId, Entry>,
}

impl Pool {
    /// Takes a gateway's word at this time of the pool's clock, in nanoseconds, and answers it. `None` when the word
    /// is older than one that was heard.
    ///
    /// The budget and the terms are those of who asks, so that an edit needs no other way in.
    pub fn ask(&mut self, now: u64, ask: &Ask, stake: &Stake) -> Option<Grant> {
        let Stake { budget, terms, present } = stake;
        let now = now.max(self.at);
        self.pass_time(now, budget, *present);
        self.expire(now, stake);
        let (before, after) = self.settle(now, ask, terms)?;
        let most_debt = terms.lease().saturating_mul(u64::from(present.known.max(1)));
        self.book(now, budget, (before, after), most_debt);
        let available = self.available(now, budget);
        let give = self.portion(now, ask, terms, available);
        let left = available - give;
        let entry = self.entries.get_mut(&ask.gateway)?;
        let before = entry.gone();
        entry.granted = before.saturating_add(give);
        let share = match budget {
            Budget::Quota(_) if ask.want > 0 => left / u64::from(present.known.max(1)),
            Budget::Quota(_) | Budget::Rate(_) => 0,
        };
        // Until it says otherwise the gateway may not have heard of the new one.
        entry.kept_back = share.max(ask.share);
        let allowance = entry.granted;
        self.book(now, budget, (before, allowance), most_debt);
        Some(Grant { life: ask.life, word: ask.word, allowance, left, share })
    }

    /// What is left to be granted to anybody.
    #[must_use]
    pub fn available(&self, now: u64, budget: &Budget) -> u64 {
        match budget {
            Budget::Rate(bucket) => bucket.remaining(self.full_at, now),
            Budget::Quota(limit) => {
                let gone = |entry: &Entry| entry.before.saturating_add(entry.gone()).saturating_add(entry.kept_back);
                self.entries.values().fold(*limit, |left, entry| left.saturating_sub(gone(entry)))
            }
        }
    }

    /// What is gone for good, of a quota: the sum of what gateways reported.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.entries.values().map(|entry| entry.before + entry.spent).sum()
    }

    /// Time brings tokens, but not the part of gateways that may be spending it out of reach.
    fn pass_time(&mut self, now: u64, budget: &Budget, present: Present) {
        let passed = now - self.at;
        self.at = now;
        let Budget::Rate(_) = budget else { return };
        let silent = present.known.saturating_sub(present.heard);
        if silent == 0 || self.full_at.nanos <= now - passed {
            return;
        }
        let kept_back = u128::from(passed) * u128::from(silent) / u128::from(present.known.max(1));
        self.full_at.nanos = self.full_at.nanos.saturating_add(u64::try_from(kept_back).unwrap_or(u64::MAX));
    }

    /// Takes back what silent gateways hold. If they spent it nevertheless they will say so.
    fn expire(&mut self, now: u64, stake: &Stake) {
        let Stake { budget, terms, present } = stake;
        let mut back = 0_u64;
        for entry in self.entries.values_mut().filter(|entry| entry.is_silent(now, terms)) {
            back += entry.granted.saturating_sub(entry.spent);
            entry.granted = entry.granted.min(entry.spent);
        }
        self.book(now, budget, (back, 0), 0);
        // What is kept back for who does not come back goes to the others.
        self.entries.values_mut().filter(|entry| entry.is_gone(now, *present)).for_each(|entry| entry.kept_back = 0);
        if matches!(budget, Budget::Rate(_)) {
            // What is known of them would only be needed to charge what they overdrew.
            self.entries.retain(|_, entry| !entry.is_gone(now, *present));
        }
    }

    /// What a word changes in what is gone because of its gateway: before and after.
    fn settle(&mut self, now: u64, ask: &Ask, terms: &Terms) -> Option<(u64, u64)> {
        // One that the pool does not know: what was heard of it was before the pool lost its memory.
        let begin = Entry { life: ask.life, spent: ask.heard, granted: ask.heard, ..Entry::default() };
        let entry = self.entries.entry(ask.gateway).or_insert(Entry { before: ask.before, ..begin });
        let is_new_life = ask.life > entry.life || (ask.life < entry.life && entry.is_silent(now, terms));
        let is_next_word = ask.life == entry.life && ask.word > entry.word;
        if !is_new_life && !is_next_word {
            return None;
        }
        let mut gone = entry.gone();
        if is_new_life {
            // What the earlier life held comes back; what it spent stays gone.
            gone = gone.saturating_sub(entry.spent).saturating_add(ask.heard);
            let before = ask.before.max(entry.before.saturating_add(entry.spent));
            *entry = Entry { before, ..begin };
        }
        entry.spent = entry.spent.max(ask.spent);
        entry.granted = entry.granted.min(ask.allowance);
        entry.kept_back = 0;
        (entry.word, entry.want, entry.heard) = (ask.word, ask.want, now);
        Some((gone, entry.gone()))
    }

    /// Charges the bucket for what is gone more than before, or gives back what is gone less. A quota's sum is made of
    /// the entries.
    fn book(&mut self, now: u64, budget: &Budget, (before, after): (u64, u64), most_debt: u64) {
        let Budget::Rate(bucket) = budget else { return };
        if after > before {
            let charged = bucket.spend(self.full_at, now, after - before);
            // More than all leases can only be what a gateway did on its own for long; nobody waits for that.
            let most = bucket.spend(FullAt::default(), now, bucket.burst().saturating_add(most_debt));
            self.full_at = charged.min(most);
        } else {
            self.full_at = bucket.refund(self.full_at, now, before - after);
        }
    }

    /// How much of what is available goes to who asks: what it wants, or its part when all together want more.
    fn portion(&self, now: u64, ask: &Ask, terms: &Terms, available: u64) -> u64 {
        let Some(entry) = self.entries.get(&ask.gateway) else { return 0 };
        let want = ask.want.min(terms.most);
        let held = entry.granted.saturating_sub(entry.spent);
        let more = want.saturating_sub(held);
        let live = self.entries.values().filter(|entry| !entry.is_silent(now, terms));
        let wants: u64 = live.map(|entry| entry.want.min(terms.most)).fold(0, u64::saturating_add);
        if wants <= available {
            return more.min(available);
        }
        let part = (u128::from(available) * u128::from(want)).div_ceil(u128::from(wants.max(1)));
        more.min(u64::try_from(part).unwrap_or(available)).min(available)
    }
}
