//! A thing of the config as a list of facts: what `diff` compares and what tells whether a thing is unchanged.
//!
//! A fact is a key in the words of the config and a value as text, defaults included, so that writing a default out
//! is no change. A secret is held as a hash only: it can be told to differ, never be shown.

use std::borrow::Cow;
use std::fmt::{Display, Write as _};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use portcullis_types::ByteSize;
use portcullis_types::quantity::format_duration;

mod attempts;
mod cluster;
mod consumers;
mod host;
mod limits;
mod listener;
mod logs;
mod plans;
mod route;
mod settings;
mod slos;
mod tracing;
mod tuning;

pub(crate) use plans::caps;
pub(crate) use settings::settings;

/// The value of a fact.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Shown {
    /// As an operator would write it.
    Text(String),
    /// A hash of something that must not be shown.
    Secret(u64),
}

/// Facts in the order in which they are said.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Facts(Vec<(Cow<'static, str>, Shown)>);

impl Facts {
    /// A fact with a value that can be shown.
    pub(crate) fn say(&mut self, key: impl Into<Cow<'static, str>>, value: impl Display) {
        self.0.push((key.into(), Shown::Text(value.to_string())));
    }

    /// A fact that may be absent; absent, nothing is said.
    pub(crate) fn say_some(&mut self, key: impl Into<Cow<'static, str>>, value: Option<impl Display>) {
        if let Some(value) = value {
            self.say(key, value);
        }
    }

    /// A duration.
    pub(crate) fn say_duration(&mut self, key: impl Into<Cow<'static, str>>, value: Duration) {
        self.say(key, format_duration(value));
    }

    /// A size.
    pub(crate) fn say_bytes(&mut self, key: impl Into<Cow<'static, str>>, bytes: u64) {
        self.say(key, ByteSize(bytes));
    }

    /// A list, in its order.
    pub(crate) fn say_list(
        &mut self,
        key: impl Into<Cow<'static, str>>,
        values: impl IntoIterator<Item = impl Display>,
    ) {
        let mut text = String::new();
        for value in values {
            let comma = if text.is_empty() { "" } else { ", " };
            // Writing to a string does not fail.
            let _ = write!(text, "{comma}{value}");
        }
        self.say(key, format_args!("[{text}]"));
    }

    /// A fact whose value is only hashed.
    pub(crate) fn hide(&mut self, key: impl Into<Cow<'static, str>>, value: impl Hash) {
        self.0.push((key.into(), Shown::Secret(hash_of(&value))));
    }

    /// The facts.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Shown)> {
        self.0.iter().map(|(key, value)| (&**key, value))
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Shown> {
        self.iter().find(|(found, _)| *found == key).map(|(_, value)| value)
    }
}

/// A hash that does not change while the process runs.
pub(crate) fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
