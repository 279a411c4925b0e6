//! A gateway's side of a cap that gateways share.
//!
//! Invariants, from one word of the pool to the next:
//! - no more is spent than the pool granted, or the overdraft where it has not been heard yet;
//! - what a gateway gives back it does not spend: its allowance falls before the pool hears of it.

use std::time::Duration;

use crate::bucket::{Bucket, FullAt};
use crate::moment::{Moment, nanos};
use crate::policy::Outage;
use crate::short::{Short, Wait};

use super::demand::Demand;
use super::members::GatewayId;
use super::pool::Budget;
use super::terms::{Ask, Grant, Terms};

/// What a gateway knows of its way to the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Until when, in nanoseconds of the gateway's clock, the pool counts as reachable: a `ttl` after the last words
    /// that were answered were sent.
    pub up_until: u64,
    /// How many gateways there were then; at least one.
    pub gateways: u32,
    /// What the plan says about outages.
    pub outage: Outage,
}

/// By what a share decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By what the pool granted.
    Leased,
    /// The pool is out of reach: by its part of the limit.
    LocalShare,
    /// The pool is out of reach: by nothing any more.
    Refusing,
}

/// A gateway's part of one consumer's cap.
#[derive(Debug, Clone)]
pub struct Share {
    life: u64,
    word: u64,
    before: u64,
    spent: u64,
    allowance: u64,
    /// What may be spent beyond what is allowed or, when that has run out, beyond what the pool has heard of.
    credit: u64,
    /// What the pool has heard of.
    heard: u64,
    /// Until when the allowance is good.
    until: u64,
    /// The word that is on its way, when it was sent, and the total spent that it told.
    flight: Option<(u64, u64, u64)>,
    demand: Demand,
    used_at: u64,
    left: u64,
    /// The quota that is this gateway's in an outage.
    share: u64,
    /// What it has spent of that.
    share_spent: u64,
    /// The bucket that is this gateway's in an outage, empty at its begin.
    local: Option<FullAt>,
    /// The most that it may hold.
    most: u64,
}

impl Share {
    /// A share that the pool knows nothing of. `before` is what this gateway spent of a quota earlier in its window.
    #[must_use]
    pub fn new(now: Moment, terms: &Terms, before: u64) -> Self {
        let (life, now) = (now.unix_millis, now.nanos);
        Self {
            life,
            word: 0,
            before,
            spent: 0,
            allowance: 0,
            credit: terms.overdraft,
            heard: 0,
            until: 0,
            flight: None,
            demand: Demand::new(now),
            used_at: now,
            left: 1,
            share: 0,
            share_spent: 0,
            local: None,
            most: terms.most,
        }
    }

    /// By what it decides now.
    #[must_use]
    pub const fn mode(&self, now: u64, link: &Link) -> Mode {
        match link.outage {
            _ if now < link.up_until || now < self.until => Mode::Leased,
            Outage::LocalShare => Mode::LocalShare,
            Outage::Refuse => Mode::Refusing,
        }
    }

    /// Whether `cost` may be spent. Spends nothing, but counts as demand.
    ///
    /// # Errors
    /// It may not; the wait is a guess, since others spend too.
    pub fn check(&mut self, now: u64, cost: u64, budget: &Budget, link: &Link) -> Result<(), Short> {
        self.demand.add(cost);
        self.used_at = now;
        let room = self.room(now, budget, link);
        if cost <= room { Ok(()) } else { Err(Short { remaining: room, wait: self.wait(cost, budget) }) }
    }

    /// Spends what was checked at the same moment.
    pub fn spend(&mut self, now: u64, cost: u64, budget: &Budget, link: &Link) {
        let local = self.mode(now, link) == Mode::LocalShare;
        match budget {
            Budget::Rate(bucket) if local => {
                let (part, state) = self.local(now, bucket, link);
                self.local = Some(part.spend(state, now, cost));
                return;
            }
            Budget::Quota(_) if local => self.share_spent = self.share_spent.saturating_add(cost),
            Budget::Rate(_) | Budget::Quota(_) => self.local = None,
        }
        self.spent = self.spent.saturating_add(cost);
    }

    /// What could be spent now.
    #[must_use]
    pub fn room(&self, now: u64, budget: &Budget, link: &Link) -> u64 {
        match self.mode(now, link) {
            Mode::Leased => {
                let base = if now < self.until { self.allowance } else { self.heard };
                base.saturating_add(self.credit).saturating_sub(self.spent)
            }
            Mode::Refusing => 0,
            Mode::LocalShare => match budget {
                Budget::Rate(bucket) => {
                    let (part, state) = self.local(now, bucket, link);
                    part.remaining(state, now)
                }
                // For one that the pool kept nothing back for, though it had something, a lease must do.
                Budget::Quota(_) => {
                    let share = if self.share == 0 && self.left > 0 { self.most } else { self.share };
                    share.saturating_sub(self.share_spent)
                }
            },
        }
    }

    /// The bucket of an outage and its state, which begins empty when the outage does.
    fn local(&self, now: u64, bucket: &Bucket, link: &Link) -> (Bucket, FullAt) {
        let part = bucket.divided(link.gateways);
        let begin = self.until.max(link.up_until).min(now);
        let empty = part.spend(FullAt::default(), begin, part.burst());
        (part, self.local.unwrap_or(empty))
    }

    fn wait(&self, cost: u64, budget: &Budget) -> Wait {
        match budget {
            Budget::Rate(bucket) if cost > bucket.burst() => Wait::Never,
            Budget::Quota(limit) if cost > *limit => Wait::Never,
            Budget::Rate(bucket) => Wait::For(bucket.time_of(cost)),
            // Whoever knows when the window ends says that instead.
            Budget::Quota(_) if self.left == 0 => Wait::Unknown,
            Budget::Quota(_) => Wait::For(Duration::from_millis(100)),
        }
    }

    /// What there is to say to the pool now, if anything. Call it every third of [`Terms::ahead`] or oftener.
    pub fn ask(&mut self, now: u64, gateway: GatewayId, terms: &Terms) -> Option<Ask> {
        let timeout = nanos(terms.ttl) / 2;
        if self.flight.is_some_and(|(_, sent, _)| now.saturating_sub(sent) < timeout) {
            return None;
        }
        let nothing = !self.demand.is_asked() && self.spent == self.heard && self.allowance <= self.spent;
        let want = self.demand.look(now, terms.ahead).min(terms.most);
        if nothing && want == 0 {
            return None;
        }
        // Demand goes up and down; half of what is held more than is wanted stays.
        let held = self.allowance.saturating_sub(self.spent);
        if held > want.saturating_mul(2) {
            self.allowance = self.spent.saturating_add(want);
        }
        self.word += 1;
        self.flight = Some((self.word, now, self.spent));
        let (life, word, before, spent, heard) = (self.life, self.word, self.before, self.spent, self.heard);
        Some(Ask {
            gateway,
            life,
            word,
            before,
            spent,
            heard,
            allowance: self.allowance.max(spent),
            share: self.share,
            want,
        })
    }

    /// The pool's answer. One to another word than the last is late, and means nothing.
    pub fn granted(&mut self, grant: &Grant, terms: &Terms) {
        let Some((word, sent, told)) = self.flight else { return };
        if (grant.life, grant.word) != (self.life, word) {
            return;
        }
        self.flight = None;
        self.heard = told;
        self.allowance = grant.allowance;
        self.until = sent.saturating_add(nanos(terms.ttl));
        self.left = grant.left;
        // Nothing is overdrawn of a pool that has nothing left. Else the credit is for when the share is idle.
        self.credit = if grant.left == 0 { 0 } else { terms.overdraft.min(grant.left) };
        (self.share, self.share_spent, self.local) = (grant.share, 0, None);
    }

    /// The word on its way will not be answered.
    pub const fn lost(&mut self) {
        self.flight = None;
    }

    /// Whether it may be forgotten: nothing was asked of it for a while, it holds nothing, the pool knows all that it
    /// spent, and had something left.
    #[must_use]
    pub fn is_idle(&self, now: u64, terms: &Terms) -> bool {
        let rests = now.saturating_sub(self.used_at) > nanos(terms.ttl).saturating_mul(10);
        let settled = self.flight.is_none() && self.spent == self.heard && self.allowance <= self.spent;
        rests && settled && (self.left > 0 || self.word == 0)
    }

    /// What it spent, ever.
    #[must_use]
    pub const fn spent(&self) -> u64 {
        self.spent
    }

    /// What it holds and could spend, and until when, in nanoseconds of the gateway's clock.
    #[must_use]
    pub const fn held(&self) -> (u64, u64) {
        (self.allowance.saturating_sub(self.spent), self.until)
    }
}
