//! Numbers for the names of caps and for the rates they had, kept for as long as the gateway runs.
//!
//! A cap that is edited keeps its number, so that what was spent stays with it. Asked when a set is bound, when state is
//! saved or loaded, and by a request only when it meets a bucket that was written under another rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;

use super::sync::Mutex;
use crate::bucket::Bucket;
use crate::policy::Scope;
use crate::slot::{CapId, Shape, SpecId};

/// What a cap is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct CapKey {
    pub(super) scope: Scope,
    /// Whether its state is one for all, or each consumer's.
    pub(super) shared: bool,
    /// The route or plan; empty for caps of one consumer, which lie in its account anyway.
    pub(super) set: Arc<str>,
    pub(super) cap: Arc<str>,
    pub(super) shape: Shape,
}

/// What a cap refused.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) refused: AtomicU64,
    pub(super) shadowed: AtomicU64,
}

/// What a cap refused since the gateway began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapCount {
    /// Whose cap it is.
    pub scope: Scope,
    /// The route or plan; empty for caps of one consumer, which are counted together.
    pub set: Arc<str>,
    /// The cap's name.
    pub cap: Arc<str>,
    /// Requests it refused.
    pub refused: u64,
    /// Requests it would have refused, had it not been in shadow.
    pub shadowed: u64,
}

#[derive(Debug, Default)]
pub(super) struct Registry(Mutex<Names>);

#[derive(Debug, Default)]
struct Names {
    ids: HashMap<CapKey, CapId>,
    /// By number.
    caps: Vec<(CapKey, Arc<Counts>)>,
    spec_ids: HashMap<Bucket, SpecId>,
    /// By number; the first place is that of rates without one.
    specs: Vec<Bucket>,
}

impl Registry {
    /// The number of a cap, now and ever; `None` when there are too many.
    pub(super) fn cap(&self, key: CapKey) -> Option<(CapId, Arc<Counts>)> {
        let mut names = self.0.lock();
        portcullis_mutants::when!(ReloadResetsCounters => names.ids.remove(&key));
        if let Some(id) = names.ids.get(&key).copied() {
            let counts = names.entry(id).map(|(_, counts)| Arc::clone(counts));
            return counts.map(|counts| (id, counts));
        }
        let id = CapId::new(u32::try_from(names.caps.len()).ok()?, key.shape)?;
        let counts = Arc::<Counts>::default();
        names.caps.push((key.clone(), Arc::clone(&counts)));
        names.ids.insert(key, id);
        Some((id, counts))
    }

    /// What a number stands for.
    pub(super) fn key(&self, id: CapId) -> Option<CapKey> {
        self.0.lock().entry(id).map(|(key, _)| key.clone())
    }

    /// The number of a rate. Past 4,095 different ones the rest share a number that says nothing: buckets written under
    /// those keep the time of their debt over an edit, not its tokens.
    pub(super) fn spec(&self, bucket: &Bucket) -> SpecId {
        let mut names = self.0.lock();
        if let Some(id) = names.spec_ids.get(bucket) {
            return *id;
        }
        let Some(id) = SpecId::new(names.specs.len() + 1) else { return SpecId::UNNUMBERED };
        names.specs.push(*bucket);
        names.spec_ids.insert(*bucket, id);
        id
    }

    /// The rate of a number.
    pub(super) fn bucket(&self, id: SpecId) -> Option<Bucket> {
        let at = usize::from(id.number()).checked_sub(1)?;
        self.0.lock().specs.get(at).copied()
    }

    pub(super) fn counts(&self) -> Vec<CapCount> {
        let names = self.0.lock();
        let count = |(key, counts): &(CapKey, Arc<Counts>)| CapCount {
            scope: key.scope,
            set: Arc::clone(&key.set),
            cap: Arc::clone(&key.cap),
            refused: counts.refused.load(Ordering::Relaxed),
            shadowed: counts.shadowed.load(Ordering::Relaxed),
        };
        names.caps.iter().map(count).collect()
    }
}

impl Names {
    fn entry(&self, id: CapId) -> Option<&(CapKey, Arc<Counts>)> {
        self.caps.get(usize::try_from(id.number()).ok()?)
    }
}
