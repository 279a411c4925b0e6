//! Which filters the config may name, and how each is made from its YAML.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_yaml::{Cx, Decode, Node, SchemaGen};

use crate::chain::Link;
use crate::filter::{ConfiguredFilter, Needs};
use crate::services::Services;
use crate::state::StateStore;

#[cfg(test)]
mod tests;

/// What a filter may use while it is built.
pub struct BuildCx<'a> {
    /// Where the filter stands: `hosts/rpc.example.com/filters` or `hosts/rpc.example.com/routes/archive/filters`.
    /// Stable across reloads, so it serves as the key of state.
    pub place: &'a str,
    /// State that outlives the generation.
    pub state: &'a StateStore,
    /// The clusters of the config, so that a filter can refuse a name that is none.
    pub clusters: &'a [&'a str],
    /// What filters share with the gateway and with one another.
    pub services: &'a Services,
}

impl BuildCx<'_> {
    /// State of this filter's place, kept across reloads.
    pub fn state<T: Any + Send + Sync>(&self, name: &str, new: impl FnOnce() -> T) -> Arc<T> {
        self.state.get_or_insert(&format!("{}/{name}", self.place), new)
    }
}

type MakeSchema = fn(&mut SchemaGen) -> serde_json::Value;
type Build = dyn FnOnce(&BuildCx<'_>) -> Result<Link, String> + Send;

/// A filter whose settings are read and valid, not yet built. A check builds it too, and throws it away.
pub struct FilterSpec {
    name: &'static str,
    needs: Needs,
    build: Box<Build>,
}

impl FilterSpec {
    /// The filter's word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it asks of the config around it.
    #[must_use]
    pub const fn needs(&self) -> &Needs {
        &self.needs
    }

    /// Builds it.
    ///
    /// # Errors
    /// A sentence for the operator.
    pub fn build(self, cx: &BuildCx<'_>) -> Result<Link, String> {
        (self.build)(cx)
    }
}

struct Entry {
    decode: fn(&Node, &mut Cx<'_>) -> Option<FilterSpec>,
    schema: MakeSchema,
}

/// The filters by name. A team's binary starts from the built-in ones and registers its own.
#[derive(Default)]
pub struct Registry {
    entries: BTreeMap<&'static str, Entry>,
}

impl Registry {
    /// Adds a filter; one of the same name is replaced, so that a team can put its own in a built-in's place.
    #[must_use]
    pub fn with<F: ConfiguredFilter>(mut self) -> Self
    where
        F::Config: Send + 'static,
    {
        self.entries.insert(F::NAME, Entry { decode: decode::<F>, schema: <F::Config as Decode>::schema });
        self
    }

    /// The names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.entries.keys().copied()
    }

    /// Reads a filter's settings. `None` means errors were said; an unknown name is the caller's to refuse, since it
    /// knows the place of the name: see [`Registry::has`].
    pub fn decode(&self, name: &str, settings: &Node, cx: &mut Cx<'_>) -> Option<FilterSpec> {
        (self.entries.get(name)?.decode)(settings, cx)
    }

    /// Whether a filter of this name is known.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The JSON Schema of each filter's settings, by name.
    pub fn schemas(&self, schemas: &mut SchemaGen) -> Vec<(&'static str, serde_json::Value)> {
        self.entries.iter().map(|(name, entry)| (*name, (entry.schema)(schemas))).collect()
    }
}

fn decode<F: ConfiguredFilter>(node: &Node, cx: &mut Cx<'_>) -> Option<FilterSpec>
where
    F::Config: Send + 'static,
{
    let config = F::Config::decode(node, cx)?;
    let needs = F::needs(&config);
    let build = Box::new(move |cx: &BuildCx<'_>| F::build(config, cx).map(|filter| Link::new(F::NAME, filter)));
    Some(FilterSpec { name: F::NAME, needs, build })
}
