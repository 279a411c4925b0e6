//! Settings of `anonymous`.

use std::sync::Arc;

use portcullis_yaml::{Cx, Decode, Form, Node, SchemaGen, decode_with};
use serde_json::Value as Json;

/// Lets requests of callers that nobody knows go on, held to a plan.
#[derive(Debug, Clone, PartialEq, Eq, Decode)]
pub struct AnonymousConfig {
    /// The name of the plan they are held to.
    #[config(example = "free")]
    pub plan: PlanName,
    /// What tells them apart.
    #[config(default = By::Network)]
    pub by: By,
}

/// What tells anonymous callers apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
pub enum By {
    /// Their network: as many bits of the address as `consumers.throttle` counts failures by.
    Network,
    /// Their address.
    Address,
    /// Nothing: all of them together are one caller.
    Nothing,
}

/// The name of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanName(pub Arc<str>);

const PLAN: Form = Form::new("the name of a plan", &["free"]);

impl Decode for PlanName {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        decode_with(node, cx, &PLAN, |text| {
            let right = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
            if right { Ok(Self(text.into())) } else { Err("1 to 64 visible ASCII characters".to_owned()) }
        })
    }

    fn schema(_: &mut SchemaGen) -> Json {
        PLAN.string_schema()
    }
}
