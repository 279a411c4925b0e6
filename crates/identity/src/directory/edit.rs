//! A change of a directory as a whole: everything is gathered, then all tables are edited, then it is or is not.

use super::Directory;
use super::entries::{Hashing, KeyEntry, Tag};
use super::problem::{Place, Problem, ReloadError, Twice};
use super::reload::Summary;
use super::slots::{Held, Slots};
use super::table::Edit;
use crate::consumer::{Consumer, Plans};

/// What is gathered on the way from one directory to the next.
pub(super) struct Transaction<'a> {
    old: &'a Directory,
    slots: Slots,
    pub(super) plans: Plans,
    /// The line each slot was met at; 0 for not met.
    lines: Vec<u32>,
    edits: Edits,
    summary: Summary,
    pub(super) problems: ReloadError,
}

/// What changes in each table.
#[derive(Default)]
struct Edits {
    keys: Edit<KeyEntry>,
    ids: Edit<Tag>,
    contents: Edit<Tag>,
    tokens: Edit<Tag>,
    certificates: Edit<Tag>,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(old: &'a Directory) -> Self {
        Self {
            old,
            slots: old.slots.clone(),
            plans: old.plans.clone(),
            lines: vec![0; old.slots.end()],
            edits: Edits::default(),
            summary: Summary { kept: old.len(), ..Summary::default() },
            problems: ReloadError::default(),
        }
    }

    /// Consumers as far as gathered.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Notes that the consumer of a slot stands at a line as it was; `false` when it stood at another line already.
    pub(super) fn meet(&mut self, line: u32, slot: u32) -> bool {
        let Some(met) = self.lines.get_mut(slot as usize).filter(|met| **met == 0) else { return false };
        *met = line;
        true
    }

    /// Puts somebody in: into the slot that the id has, if nobody was met there, or else into a free one. Two of one
    /// id so come to stand in two slots, which is found when the tables are edited.
    pub(super) fn put(&mut self, line: u32, held: Held) {
        let unmet = |slot: &u32| self.lines.get(*slot as usize) == Some(&0);
        match self.old.slot_of(held.consumer.id()).filter(unmet) {
            Some(slot) => self.replace(line, slot, held),
            None => self.insert(line, held),
        }
    }

    fn replace(&mut self, line: u32, slot: u32, new: Held) {
        self.meet(line, slot);
        let Some(old) = self.slots.replace(slot, new.clone()) else { return };
        self.edits.leave(&self.old.hashing, slot, &old, &new.consumer);
        self.edits.enter(&self.old.hashing, slot, &new, &old.consumer);
        self.summary.kept = self.summary.kept.saturating_sub(1);
        self.summary.changed += 1;
    }

    fn insert(&mut self, line: u32, new: Held) {
        let slot = self.slots.insert(new.clone());
        if self.lines.len() <= slot as usize {
            self.lines.resize(slot as usize + 1, 0);
        }
        self.meet(line, slot);
        self.edits.ids.added.push(Tag::new(self.old.hashing.text(new.consumer.id()), slot));
        self.edits.enter(&self.old.hashing, slot, &new, &Consumer::nobody());
        self.summary.added += 1;
    }

    /// Takes out somebody by id.
    pub(super) fn remove(&mut self, line: u32, id: Box<str>) {
        match self.old.slot_of(&id) {
            Some(slot) => self.take_out(slot),
            None => self.problems.push(Problem::NotThere { line, id }),
        }
    }

    /// Takes out everybody of before who was not met.
    pub(super) fn remove_unmet(&mut self) {
        let unmet: Vec<u32> = (0..).zip(&self.lines).filter(|(_, line)| **line == 0).map(|(slot, _)| slot).collect();
        for slot in unmet {
            self.take_out(slot);
        }
    }

    fn take_out(&mut self, slot: u32) {
        let Some(gone) = self.slots.remove(slot) else { return };
        self.edits.ids.removed.push(Tag::new(self.old.hashing.text(gone.consumer.id()), slot));
        self.edits.leave(&self.old.hashing, slot, &gone, &Consumer::nobody());
        self.summary.kept = self.summary.kept.saturating_sub(1);
        self.summary.removed += 1;
    }

    /// Edits the tables.
    pub(super) fn commit(mut self) -> Result<(Directory, Summary), ReloadError> {
        if !self.problems.problems.is_empty() {
            return Err(self.problems.sorted());
        }
        let slots = std::mem::take(&mut self.slots);
        let edits = std::mem::take(&mut self.edits);
        let old = self.old;
        let both = |same: fn(&Consumer, &Consumer) -> bool| {
            let slots = &slots;
            move |one: &Tag, other: &Tag| {
                let pair = slots.get(one.slot).zip(slots.get(other.slot));
                one.tag() == other.tag() && pair.is_some_and(|(one, other)| same(one, other))
            }
        };
        let (keys, key_twice) = old.keys.edited(edits.keys, &KeyEntry::same);
        let (ids, id_twice) = old.ids.edited(edits.ids, &both(|one, other| one.id() == other.id()));
        let (contents, _) = old.contents.edited(edits.contents, &|_, _| false);
        let (tokens, token_twice) = old.tokens.edited(edits.tokens, &both(share_token));
        let (certificates, certificate_twice) = old.certificates.edited(edits.certificates, &both(share_certificate));
        self.twice(&slots, Twice::Id, id_twice.iter().map(|(one, other)| (one.slot, other.slot)));
        self.twice(&slots, Twice::Key, key_twice.iter().map(|(one, other)| (one.slot, other.slot)));
        self.twice(&slots, Twice::Token, token_twice.iter().map(|(one, other)| (one.slot, other.slot)));
        self.twice(&slots, Twice::Certificate, certificate_twice.iter().map(|(one, other)| (one.slot, other.slot)));
        if !self.problems.problems.is_empty() {
            return Err(self.problems.sorted());
        }
        let (shards, shards_kept) = keys.shared_with(&old.keys);
        let summary = Summary { shards, shards_kept, ..self.summary };
        let (plans, hashing) = (self.plans, old.hashing.clone());
        Ok((Directory { slots, keys, ids, contents, tokens, certificates, plans, hashing }, summary))
    }

    fn twice(&mut self, slots: &Slots, what: Twice, pairs: impl Iterator<Item = (u32, u32)>) {
        let place = |slot: u32| Place {
            line: self.lines.get(slot as usize).copied().filter(|line| *line != 0),
            id: slots.get(slot).map_or_else(Box::default, |consumer| consumer.id().into()),
        };
        for (one, other) in pairs {
            let (one, other) = (place(one), place(other));
            let (first, second) = if one.line <= other.line { (one, other) } else { (other, one) };
            self.problems.push(Problem::Twice { what, first, second });
        }
    }
}

impl Edits {
    /// What a consumer had; of its subjects, those that `stays` has not, so that what both have touches no shard.
    fn leave(&mut self, hashing: &Hashing, slot: u32, gone: &Held, stays: &Consumer) {
        let consumer = &gone.consumer;
        self.keys.removed.extend(consumer.keys().iter().map(|key| KeyEntry::new(key, slot, consumer)));
        self.tokens.removed.extend(tokens(hashing, slot, consumer, stays));
        self.certificates.removed.extend(certificates(hashing, slot, consumer, stays));
        self.contents.removed.extend(gone.content.map(|content| Tag::new(content.home(), slot)));
    }

    /// What a consumer has; of its subjects, those that `had` had not.
    fn enter(&mut self, hashing: &Hashing, slot: u32, new: &Held, had: &Consumer) {
        let consumer = &new.consumer;
        self.keys.added.extend(consumer.keys().iter().map(|key| KeyEntry::new(key, slot, consumer)));
        self.tokens.added.extend(tokens(hashing, slot, consumer, had));
        self.certificates.added.extend(certificates(hashing, slot, consumer, had));
        self.contents.added.extend(new.content.map(|content| Tag::new(content.home(), slot)));
    }
}

fn tokens(hashing: &Hashing, slot: u32, one: &Consumer, without: &Consumer) -> impl Iterator<Item = Tag> {
    let tokens = one.token_subjects().iter().filter(|token| !without.token_subjects().contains(token));
    tokens.map(move |token| Tag::new(hashing.token(token), slot))
}

fn certificates(hashing: &Hashing, slot: u32, one: &Consumer, without: &Consumer) -> impl Iterator<Item = Tag> {
    let texts = one.certificate_subjects().iter().filter(|text| !without.certificate_subjects().contains(text));
    texts.map(move |text| Tag::new(hashing.text(text), slot))
}

fn share_token(one: &Consumer, other: &Consumer) -> bool {
    one.token_subjects().iter().any(|token| other.token_subjects().contains(token))
}

fn share_certificate(one: &Consumer, other: &Consumer) -> bool {
    one.certificate_subjects().iter().any(|text| other.certificate_subjects().contains(text))
}
