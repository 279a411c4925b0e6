//! Where consumers lie: numbered slots in pages, so that a table can name a consumer in four bytes and an edit copies
//! only the pages it touches.
//!
//! A consumer keeps its slot for as long as it stays, whatever changes about it. A slot that became free is given
//! to another consumer later. What a request needs (a pointer a slot) lies apart from what only a reload needs, so
//! that a million pointers fit the caches.

use std::sync::Arc;

use super::entries::Content;
use crate::consumer::Consumer;

/// Slots of a page.
const PAGE: usize = 256;

/// A consumer and the hash of the text it was read from, if it was read from one.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) consumer: Arc<Consumer>,
    pub(super) content: Option<Content>,
}

/// All slots.
#[derive(Debug, Clone, Default)]
pub(super) struct Slots {
    consumers: Pages<Option<Arc<Consumer>>>,
    contents: Pages<Content>,
    free: Vec<u32>,
    end: u32,
}

impl Slots {
    /// Consumers.
    pub(super) fn len(&self) -> usize {
        (self.end as usize).saturating_sub(self.free.len())
    }

    /// One more than the highest slot ever used.
    pub(super) const fn end(&self) -> usize {
        self.end as usize
    }

    /// Who lies in a slot.
    #[inline]
    pub(super) fn get(&self, slot: u32) -> Option<&Arc<Consumer>> {
        self.consumers.get(slot)?.as_ref()
    }

    /// The hash of the text that the consumer of a slot was read from.
    #[inline]
    pub(super) fn content(&self, slot: u32) -> Option<Content> {
        self.contents.get(slot).copied().filter(|content| *content != Content::default())
    }

    /// Everybody.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Consumer>> {
        self.consumers.0.iter().flat_map(|page| page.iter().flatten())
    }

    /// Empties a slot.
    pub(super) fn remove(&mut self, slot: u32) -> Option<Held> {
        let content = self.content(slot);
        let consumer = self.consumers.get_mut(slot)?.take()?;
        self.free.push(slot);
        Some(Held { consumer, content })
    }

    /// Puts somebody else into a slot that is in use.
    pub(super) fn replace(&mut self, slot: u32, held: Held) -> Option<Held> {
        let content = self.content(slot);
        let consumer = self.consumers.get_mut(slot)?.replace(held.consumer)?;
        if let Some(place) = self.contents.get_mut(slot) {
            *place = held.content.unwrap_or_default();
        }
        Some(Held { consumer, content })
    }

    /// Puts somebody into a free slot, and says which.
    pub(super) fn insert(&mut self, held: Held) -> u32 {
        let slot = self.free.pop().unwrap_or(self.end);
        self.end = self.end.max(slot.saturating_add(1));
        self.consumers.grow(slot);
        self.contents.grow(slot);
        if let (Some(place), Some(content)) = (self.consumers.get_mut(slot), self.contents.get_mut(slot)) {
            *place = Some(held.consumer);
            *content = held.content.unwrap_or_default();
        }
        slot
    }

    /// Bytes of the pages.
    pub(super) fn heap_bytes(&self) -> usize {
        self.consumers.heap_bytes() + self.contents.heap_bytes() + size_of_val(&*self.free)
    }
}

/// An array in pages that copies share until they write.
#[derive(Debug, Clone)]
struct Pages<T>(Vec<Arc<[T]>>);

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Clone + Default> Pages<T> {
    fn get(&self, slot: u32) -> Option<&T> {
        self.0.get(slot as usize / PAGE)?.get(slot as usize % PAGE)
    }

    fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        Arc::make_mut(self.0.get_mut(slot as usize / PAGE)?).get_mut(slot as usize % PAGE)
    }

    fn grow(&mut self, slot: u32) {
        while self.0.len() <= slot as usize / PAGE {
            self.0.push(vec![T::default(); PAGE].into());
        }
    }

    fn heap_bytes(&self) -> usize {
        self.0.iter().map(|page| size_of_val(page) + size_of_val(&**page)).sum()
    }
}
