//! Facts of a host, its routes apart.

use portcullis_types::Dialect;
use portcullis_wire::target::{Backslash, DotSegments, DoubleSlash, EncodedSlash};
use portcullis_yaml::{Node, Value};

use super::Facts;
use crate::plan::{FilterPlan, HostPlan};

/// A value under a key with one of these in it is taken to be a secret.
const SECRET: [&str; 6] = ["secret", "token", "password", "credential", "private", "api_key"];

impl HostPlan {
    pub(crate) fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        facts.say_list("names", &self.names);
        say_filters(&self.filters, &mut facts);
        facts.say(
            "paths.dot_segments",
            match self.path_policy.dot_segments {
                DotSegments::Resolve => "resolve",
                DotSegments::Refuse => "refuse",
            },
        );
        facts.say(
            "paths.double_slash",
            match self.path_policy.double_slash {
                DoubleSlash::Merge => "merge",
                DoubleSlash::Keep => "keep",
                DoubleSlash::Refuse => "refuse",
            },
        );
        facts.say(
            "paths.encoded_slash",
            match self.path_policy.encoded_slash {
                EncodedSlash::Refuse => "refuse",
                EncodedSlash::Keep => "keep",
                EncodedSlash::Decode => "decode",
            },
        );
        facts.say(
            "paths.backslash",
            match self.path_policy.backslash {
                Backslash::Refuse => "refuse",
                Backslash::Keep => "keep",
                Backslash::Slash => "slash",
            },
        );
        facts.say("errors", dialect(self.dialect));
        facts
    }
}

/// The word of a dialect.
pub(super) const fn dialect(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Problem => "problem",
        Dialect::JsonRpc => "jsonrpc",
        Dialect::Grpc => "grpc",
        Dialect::Html => "html",
    }
}

/// The filters in their order, and their settings as they were written.
pub(super) fn say_filters(filters: &[FilterPlan], facts: &mut Facts) {
    facts.say_list("filters", filters.iter().map(|filter| &filter.name));
    for (at, filter) in filters.iter().enumerate() {
        let before = filters.iter().take(at).filter(|other| other.name == filter.name).count();
        let key = match before {
            0 => format!("filters.{}", filter.name),
            before => format!("filters.{}#{}", filter.name, before + 1),
        };
        say_node(&filter.settings, &key, false, facts);
    }
}

fn say_node(node: &Node, key: &str, secret: bool, facts: &mut Facts) {
    match &node.value {
        Value::Null | Value::Invalid => {}
        Value::Scalar(scalar) if secret && !scalar.text().starts_with("file:") => {
            facts.hide(key.to_owned(), scalar.text());
        }
        Value::Scalar(scalar) => {
            facts.say(key.to_owned(), scalar.shown());
            if scalar.is_expanded() {
                facts.hide(format!("{key} (its value)"), scalar.text());
            }
        }
        Value::Seq(items) if items.iter().all(|item| item.scalar().is_some_and(|it| !it.is_expanded())) && !secret => {
            facts.say_list(key.to_owned(), items.iter().filter_map(|item| item.scalar().map(|scalar| scalar.shown())));
        }
        Value::Seq(items) => {
            for (at, item) in items.iter().enumerate() {
                say_node(item, &format!("{key}[{at}]"), secret, facts);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                let name = entry.key.text.to_ascii_lowercase().replace('-', "_");
                let secret = secret || SECRET.iter().any(|part| name.contains(part));
                say_node(&entry.value, &format!("{key}.{}", entry.key.text), secret, facts);
            }
        }
    }
}
