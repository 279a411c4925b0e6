//! What a config changes against another, in the words of the config, and which hosts and routes it touches.
//!
//! Things are compared by what they mean, not by how they are written: a default that is written out, another order
//! of keys or another unit is no change. A secret is never shown: it `changed (secret)`.

mod endpoints;
mod hosts;
mod order;
mod render;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Display;

use portcullis_caps::CapSet;

use crate::facts::{Facts, Shown};
use crate::plan::Checked;

/// How a thing differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It says something else.
    Changed,
    /// It stands elsewhere among routes of the same rank, where the first one wins.
    Moved,
}

impl ChangeKind {
    /// The word in the renderings.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Moved => "moved",
        }
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// How it differs.
    pub kind: ChangeKind,
    /// What differs: `listener edge`, `cluster rpc-east: endpoint 10.0.0.11:8899`, `host x: route archive`.
    pub what: String,
    /// Which setting of it, in the words of the config; `None` when the thing as a whole differs.
    pub key: Option<String>,
    /// What it was; `None` when it was not there or must not be shown.
    pub from: Option<String>,
    /// What it is; `None` when it is not there or must not be shown.
    pub to: Option<String>,
    /// Whether the values are secrets, and therefore left out.
    pub secret: bool,
}

/// All differences between two configs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diff {
    /// The differences: settings, listeners, clusters, hosts with their routes, each in the order of the new config.
    pub changes: Vec<Change>,
    /// The hosts, by first name, that any difference touches, those whose routes lead to a changed cluster included.
    pub hosts: BTreeSet<String>,
    /// The routes, as `host/route`, that any difference touches.
    pub routes: BTreeSet<String>,
    /// The clusters that differ.
    pub clusters: BTreeSet<String>,
    /// The plans that differ.
    pub plans: BTreeSet<String>,
}

impl Diff {
    /// Whether the configs mean the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    fn whole(&mut self, kind: ChangeKind, what: String) {
        self.changes.push(Change { kind, what, key: None, from: None, to: None, secret: false });
    }

    /// Compares two things fact by fact; says whether any differs.
    fn facts(&mut self, what: &str, old: &Facts, new: &Facts) -> bool {
        let before = self.changes.len();
        for (key, value) in new.iter() {
            if old.get(key) != Some(value) {
                self.changes.push(change(what, key, old.get(key), Some(value)));
            }
        }
        for (key, value) in old.iter() {
            if new.get(key).is_none() {
                self.changes.push(change(what, key, Some(value), None));
            }
        }
        self.changes.len() > before
    }
}

fn change(what: &str, key: &str, old: Option<&Shown>, new: Option<&Shown>) -> Change {
    let text = |shown: Option<&Shown>| match shown {
        Some(Shown::Text(text)) => Some(text.clone()),
        Some(Shown::Secret(_)) | None => None,
    };
    let secret = matches!(old, Some(Shown::Secret(_))) || matches!(new, Some(Shown::Secret(_)));
    let kind = ChangeKind::Changed;
    Change { kind, what: what.to_owned(), key: Some(key.to_owned()), from: text(old), to: text(new), secret }
}

/// Things of two configs, matched by name: those of the new one in its order, then those that are gone.
fn matched<'a, T>(
    old: &'a [T],
    new: &'a [T],
    name: impl Fn(&'a T) -> &'a str,
) -> impl Iterator<Item = (Option<&'a T>, Option<&'a T>)> {
    let by_name: HashMap<&str, &T> = old.iter().map(|item| (name(item), item)).collect();
    let kept: HashSet<&str> = new.iter().map(&name).collect();
    let pairs: Vec<_> = new.iter().map(|item| (by_name.get(name(item)).copied(), Some(item))).collect();
    let gone: Vec<_> = old.iter().filter(|item| !kept.contains(name(item))).map(|item| (Some(item), None)).collect();
    pairs.into_iter().chain(gone)
}

/// What `new` changes against `old`.
#[must_use]
pub fn diff(old: &Checked, new: &Checked) -> Diff {
    let mut diff = Diff::default();
    diff.facts("settings", &crate::facts::settings(&old.settings), &crate::facts::settings(&new.settings));
    for pair in matched(&old.listeners, &new.listeners, |listener| listener.name.as_str()) {
        diff.thing("listener", pair, |listener| (listener.name.clone(), listener.facts()));
    }
    let caps = diff.caps(old, new);
    let mut touched = HashSet::new();
    for pair in matched(&old.clusters, &new.clusters, |cluster| cluster.name.as_str()) {
        if diff.cluster(pair) {
            let name = pair.0.or(pair.1).map(|cluster| cluster.name.as_str());
            diff.clusters.extend(name.map(str::to_owned));
            touched.extend(name);
        }
    }
    diff.hosts(old, new, &touched);
    if caps {
        diff.touch_held(new);
    }
    diff
}

impl Diff {
    /// Plans, and what holds beside them; says whether any differs.
    fn caps(&mut self, old: &Checked, new: &Checked) -> bool {
        let before = self.changes.len();
        let (old, new) = (&old.caps, &new.caps);
        let facts = |set: &CapSet| (set.spec().name.clone(), crate::facts::caps(set));
        self.thing("caps of the", (old.gateway.as_ref(), new.gateway.as_ref()), facts);
        for (kind, old, new) in
            [("plan", &old.plans, &new.plans), ("caps of the consumer", &old.consumers, &new.consumers)]
        {
            for pair in matched(old, new, |set| &*set.spec().name) {
                let differs = self.thing(kind, pair, facts);
                if let Some(set) = pair.1.or(pair.0).filter(|_| differs && kind == "plan") {
                    self.plans.insert(set.spec().name.to_string());
                }
            }
        }
        self.changes.len() > before
    }

    /// A thing that is compared by its facts alone; says whether it differs.
    fn thing<T, N: Display>(
        &mut self,
        kind: &str,
        (old, new): (Option<&T>, Option<&T>),
        facts: impl Fn(&T) -> (N, Facts),
    ) -> bool {
        match (old.map(&facts), new.map(&facts)) {
            (Some((_, old)), Some((name, new))) => self.facts(&format!("{kind} {name}"), &old, &new),
            (None, Some((name, _))) => {
                self.whole(ChangeKind::Added, format!("{kind} {name}"));
                true
            }
            (Some((name, _)), None) => {
                self.whole(ChangeKind::Removed, format!("{kind} {name}"));
                true
            }
            (None, None) => false,
        }
    }
}

#[cfg(test)]
mod tests;
