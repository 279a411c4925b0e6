//! A set of RPC methods: names, and patterns that are open at the end.

use std::fmt;
use std::str::FromStr;

/// One entry of a set: `getBlock`, or `get*` for all methods that begin so. Case matters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RpcMethod {
    /// This method.
    Exact(Box<str>),
    /// Methods that begin so, the one of this name too; without its star. Empty, all methods.
    Prefix(Box<str>),
}

/// The text is no method, nor a pattern for some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a method such as `getBlock`, or `get*` for all that begin so; a method has no spaces, and `*` stands at its end only"
)]
pub struct RpcMethodError;

impl FromStr for RpcMethod {
    type Err = RpcMethodError;

    fn from_str(text: &str) -> Result<Self, RpcMethodError> {
        let (name, open) = text.strip_suffix('*').map_or((text, false), |name| (name, true));
        let visible = name.chars().all(|c| c != '*' && !c.is_whitespace() && !c.is_control());
        match open {
            true if visible => Ok(Self::Prefix(name.into())),
            false if visible && !name.is_empty() => Ok(Self::Exact(name.into())),
            _ => Err(RpcMethodError),
        }
    }
}

impl fmt::Display for RpcMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Prefix(name) => write!(f, "{name}*"),
        }
    }
}

/// A set of them. What a pattern of the set has already is not held twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RpcMethods {
    /// Sorted.
    exact: Box<[Box<str>]>,
    /// Sorted, and none begins with another: at most one of them can match.
    prefixes: Box<[Box<str>]>,
}

impl RpcMethods {
    /// The set of these; `None` when there is none.
    pub fn new(methods: impl IntoIterator<Item = RpcMethod>) -> Option<Self> {
        let (mut exact, mut prefixes) = (Vec::new(), Vec::new());
        for method in methods {
            match method {
                RpcMethod::Exact(name) => exact.push(name),
                RpcMethod::Prefix(name) => prefixes.push(name),
            }
        }
        prefixes.sort();
        // Sorted, all that begin with a prefix come right behind it.
        prefixes.dedup_by(|later, earlier| later.starts_with(&**earlier));
        let mut set = Self { exact: Box::default(), prefixes: prefixes.into() };
        exact.retain(|name| !set.has(name));
        exact.sort();
        exact.dedup();
        set.exact = exact.into();
        (!set.exact.is_empty() || !set.prefixes.is_empty()).then_some(set)
    }

    /// Whether a method is in the set.
    #[must_use]
    pub fn has(&self, method: &str) -> bool {
        self.exact.binary_search_by(|each| (**each).cmp(method)).is_ok() || self.has_prefix_of(method)
    }

    /// Of all prefixes of a text, the one in the set sorts last among what is not greater than the text.
    fn has_prefix_of(&self, text: &str) -> bool {
        let behind = self.prefixes.partition_point(|each| **each <= *text);
        let last = behind.checked_sub(1).and_then(|place| self.prefixes.get(place));
        last.is_some_and(|prefix| text.starts_with(&**prefix))
    }

    /// Whether every method of the other set is in this one.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.exact.iter().all(|name| self.has(name)) && other.prefixes.iter().all(|prefix| self.has_prefix_of(prefix))
    }

    /// The length of the shortest pattern; `None` without patterns.
    pub(crate) fn shortest_prefix(&self) -> Option<usize> {
        self.prefixes.iter().map(|prefix| prefix.len()).min()
    }
}

impl fmt::Display for RpcMethods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = self.exact.iter().map(|name| (name, ""));
        for (place, (name, star)) in exact.chain(self.prefixes.iter().map(|name| (name, "*"))).enumerate() {
            write!(f, "{}{name}{star}", if place == 0 { "" } else { " or " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(methods: &[&str]) -> RpcMethods {
        RpcMethods::new(methods.iter().map(|text| text.parse().unwrap())).unwrap()
    }

    #[test]
    fn a_star_stands_at_the_end_alone() {
        for text in ["getBlock", "get*", "*", "eth_call", "a.b", "é"] {
            assert_eq!(text.parse::<RpcMethod>().unwrap().to_string(), text);
        }
        for text in ["", "g*t", "**", "*get", "get Block", " ", "get\n", "get *"] {
            assert_eq!(text.parse::<RpcMethod>(), Err(RpcMethodError), "{text:?}");
        }
    }

    #[test]
    fn what_a_pattern_has_is_not_held_twice() {
        let methods = set(&["getBlock", "send", "get*", "getA*", "send", "get*"]);
        assert_eq!(methods.to_string(), "send or get*");
        assert_eq!(methods.shortest_prefix(), Some(3));
        assert_eq!(set(&["a", "*"]).to_string(), "*");
        assert_eq!(RpcMethods::new([]), None);
    }

    #[test]
    fn case_matters_and_a_pattern_has_the_name_it_begins_with() {
        let methods = set(&["get*", "sendTransaction"]);
        for (method, expected) in [
            ("get", true),
            ("getBlock", true),
            ("Get", false),
            ("ge", false),
            ("sendTransaction", true),
            ("send", false),
        ] {
            assert_eq!(methods.has(method), expected, "{method}");
        }
    }

    proptest! {
        #[test]
        fn has_what_a_look_at_every_entry_has(
            entries in proptest::collection::vec("[ab]{0,4}\\*|[ab]{1,4}", 1..8),
            others in proptest::collection::vec("[ab]{0,4}\\*|[ab]{1,4}", 1..4),
            method in "[ab]{1,6}",
        ) {
            let naive = |entry: &String| entry.strip_suffix('*').map_or(*entry == method, |start| method.starts_with(start));
            let build = |all: &[String]| RpcMethods::new(all.iter().map(|text| text.parse().unwrap())).unwrap();
            let (methods, other) = (build(&entries), build(&others));
            prop_assert_eq!(methods.has(&method), entries.iter().any(naive));
            // Covering is not refuted by any method, and where one covers, the narrower ranks no lower.
            prop_assert!(!methods.covers(&other) || !other.has(&method) || methods.has(&method));
            let breadth = |set: &RpcMethods| set.shortest_prefix().unwrap_or(usize::MAX);
            prop_assert!(!methods.covers(&other) || breadth(&other) >= breadth(&methods));
        }

        #[test]
        fn covers_what_it_is_made_of(entries in proptest::collection::vec("[ab]{0,3}\\*|[ab]{1,3}", 1..8), one in 0..8_usize) {
            let build = |all: &[String]| RpcMethods::new(all.iter().map(|text| text.parse().unwrap())).unwrap();
            let part = build(std::slice::from_ref(&entries[one % entries.len()]));
            prop_assert!(build(&entries).covers(&part));
        }
    }

    #[test]
    fn a_set_of_names_does_not_cover_a_pattern() {
        assert!(!set(&["geta", "getb"]).covers(&set(&["get*"])));
        assert!(set(&["get*"]).covers(&set(&["geta", "get", "getB*"])));
        assert!(!set(&["getB*"]).covers(&set(&["get*"])));
    }
}
