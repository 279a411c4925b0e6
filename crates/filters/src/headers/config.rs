//! Settings of `headers`.

use http::HeaderName;
use portcullis_yaml::{Cx, Decode, Diagnostic, Node, SchemaGen, Spanned, code};
use serde_json::Value as Json;

use crate::fields::{FieldName, Fields};

/// Edits of request and response fields. Values may use variables: `{request.id}`, `{client.address}`, `{method}`,
/// `{scheme}`, `{host}`, `{path}`, `{query}`, `{uri}` (path and query), `{route}`, `{consumer}`, `{tls.sni}`,
/// `{tls.subject}`, `{param.NAME}` (captured by the route's path template), `{header.NAME}` (of the request),
/// `{query.NAME}`, `{site.NAME}`. For the text `{name}` itself, write `{{name}}`.
#[derive(Debug, Clone, PartialEq, Eq, Decode)]
#[config(deny_empty)]
pub struct HeadersConfig {
    /// Edits of the request that goes upstream, after the gateway set its own fields (`X-Forwarded-*` and so on).
    /// Routing has seen the request as it came.
    #[config(default)]
    pub request: Edits,
    /// Edits of the answer that goes to the client, the gateway's own answers included.
    #[config(default)]
    pub response: Edits,
}

/// Edits of one head: first `set`, then `add`, then `remove`, each in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edits {
    /// Fields to set.
    pub set: Fields,
    /// Fields to add.
    pub add: Fields,
    /// Fields to remove.
    pub remove: Vec<FieldName>,
}

/// Edits of one head, in the order set, add, remove.
#[derive(Decode)]
struct HeaderEdits {
    /// Fields to set in place of any of their name. A list of values gives a line for each. When all values come out
    /// empty (`{consumer}` of an anonymous request, say), the field is removed, whoever sent it.
    #[config(default)]
    set: Fields,
    /// Fields to add beside any of their name. A value that comes out empty adds nothing.
    #[config(default)]
    add: Fields,
    /// Names of fields to remove. They are removed last, so `set` can still take a value from one: that renames it.
    #[config(default)]
    remove: Vec<Spanned<FieldName>>,
}

impl Edits {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }

    fn puts(&self, name: &HeaderName) -> bool {
        self.set.iter().chain(&self.add).any(|field| field.name.get() == name)
    }
}

impl Decode for Edits {
    fn decode(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let HeaderEdits { set, add, remove } = HeaderEdits::decode(node, cx)?;
        let mut edits = Self { set, add, remove: Vec::new() };
        for name in remove {
            let field = name.value.get();
            if edits.puts(field) {
                let message = format!("`{field}` is removed after it was set or added");
                cx.push(
                    Diagnostic::error(code::CONFLICTING_KEYS, name.span, message)
                        .help("`set` takes the place of any value by itself: leave the name out of `remove`"),
                );
            }
            edits.remove.push(name.value);
        }
        Some(edits)
    }

    fn schema(schemas: &mut SchemaGen) -> Json {
        HeaderEdits::schema(schemas)
    }
}
