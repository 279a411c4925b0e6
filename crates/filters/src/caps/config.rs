//! Settings of `caps`.

use portcullis_caps::{CapSet, CapSetSpec, Scope};
use portcullis_yaml::{Cx, Decode, Node, SchemaGen};
use serde_json::Value as Json;

use super::words::SetWords;

/// Settings of `caps`, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapsConfig {
    /// What holds here beside plans; its name is not said yet.
    set: Option<CapSet>,
    /// Whether answers say how the caps stand.
    pub(super) fields: bool,
}

impl CapsConfig {
    /// What holds here beside plans, if anything does. It has no name.
    #[must_use]
    pub const fn as_set(&self) -> Option<&CapSet> {
        self.set.as_ref()
    }

    /// The set, by the name of its host or route.
    pub(super) fn set(self, name: &str) -> Option<CapSet> {
        let spec = CapSetSpec { name: name.into(), ..self.set?.spec().clone() };
        // It was built before, and its name has no part in what can be wrong.
        CapSet::build(spec).ok()
    }
}

/// Holds every caller to its plan, to what the gateway allows as a whole, and to what is written here for this host or
/// route beside that. What does not fit is answered 429 with the reason `over_rate`, `over_quota` or
/// `over_concurrency`, and spends nothing anywhere.
#[derive(Decode)]
struct CapsSettings {
    /// What holds on this host or route.
    #[config(flatten)]
    set: SetWords,
    /// Whether answers say how the caps stand, in the fields `RateLimit` and `RateLimit-Policy`. Default: true.
    fields: Option<bool>,
}

impl Decode for CapsConfig {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let CapsSettings { set, fields } = CapsSettings::decode(node, cx)?;
        let set = if set.is_empty() { None } else { Some(set.compile(Scope::Route, "", node.span, cx)?) };
        Some(Self { set, fields: fields.unwrap_or(true) })
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        CapsSettings::schema(schemas)
    }
}
