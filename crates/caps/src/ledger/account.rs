//! The state of one active consumer, and a slab of them.

use std::sync::Arc;

use crate::slot::Slots;
use crate::usage::Usage;

/// No place.
pub(super) const NOWHERE: u32 = u32::MAX;
/// Not in the list of those that changed.
pub(super) const UNCHANGED: u32 = u32::MAX - 1;

/// The state of one consumer. Small, since there are many.
pub(super) struct Account {
    pub(super) id: Arc<str>,
    pub(super) slots: Slots,
    pub(super) usage: Usage,
    /// Guards and leases that depend on it.
    pub(super) pins: u32,
    /// The next in the list of those that changed since the changes were taken.
    pub(super) next_changed: u32,
    /// Whether it was used since a sweep looked at it.
    pub(super) touched: bool,
}

/// Accounts in one block. Blocks never move, and growing copies none.
const BLOCK: usize = 32;

/// Accounts by place.
#[derive(Default)]
pub(super) struct Slab {
    blocks: Vec<Vec<Option<Account>>>,
    free: Vec<u32>,
    len: usize,
}

impl Slab {
    /// Accounts that are there.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Places, vacant ones too.
    pub(super) fn places(&self) -> usize {
        self.blocks.len() * BLOCK
    }

    #[inline]
    pub(super) fn get(&self, at: u32) -> Option<&Account> {
        let at = usize::try_from(at).ok()?;
        self.blocks.get(at / BLOCK)?.get(at % BLOCK)?.as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut Account> {
        let at = usize::try_from(at).ok()?;
        self.blocks.get_mut(at / BLOCK)?.get_mut(at % BLOCK)?.as_mut()
    }

    /// Puts an account somewhere; `None` when there is no number for one more.
    pub(super) fn insert(&mut self, id: Arc<str>) -> Option<u32> {
        let account = Account {
            id,
            slots: Slots::default(),
            usage: Usage::default(),
            pins: 0,
            next_changed: UNCHANGED,
            touched: true,
        };
        let at = if let Some(at) = self.free.pop() {
            let place = usize::try_from(at).ok()?;
            *self.blocks.get_mut(place / BLOCK)?.get_mut(place % BLOCK)? = Some(account);
            at
        } else {
            if self.blocks.last().is_none_or(|block| block.len() == BLOCK) {
                self.blocks.push(Vec::with_capacity(BLOCK));
            }
            let before = (self.blocks.len() - 1) * BLOCK;
            let block = self.blocks.last_mut()?;
            let at = u32::try_from(before + block.len()).ok().filter(|at| *at < UNCHANGED)?;
            block.push(Some(account));
            at
        };
        self.len += 1;
        Some(at)
    }

    pub(super) fn remove(&mut self, at: u32) {
        let place = usize::try_from(at).unwrap_or(usize::MAX);
        let account = self.blocks.get_mut(place / BLOCK).and_then(|block| block.get_mut(place % BLOCK));
        if account.is_some_and(|account| account.take().is_some()) {
            self.free.push(at);
            self.len -= 1;
        }
    }
}
