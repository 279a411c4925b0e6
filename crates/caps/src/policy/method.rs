//! The RPC methods that plans speak of, as small numbers.
//!
//! A client chooses the names of its calls, so what is counted by method must not be: names that no plan knows share
//! one number, and those that only a pattern fits share the pattern's. A table is made from its predecessor and only
//! grows, so that a number means the same in every generation.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::cap::is_plain;

/// The longest pattern, in bytes.
const MAX_PATTERN: usize = 128;

/// A method, or what stands for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MethodId(u16);

impl MethodId {
    /// A request that is no RPC call.
    pub const HTTP: Self = Self(0);
    /// A call of a method that no plan knows.
    pub const OTHER: Self = Self(1);
    /// A batch as a whole: its bytes, which belong to no single call.
    pub const BATCH: Self = Self(2);

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) const fn number(self) -> u16 {
        self.0
    }

    pub(crate) const fn from_number(number: u16) -> Self {
        Self(number)
    }
}

/// What stands for requests that are no call of a known method. No method can have such a name in a plan.
const STAND_INS: [&str; 3] = ["(http)", "(other)", "(batch)"];

/// `getBlock`, `get*` or `*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MethodPattern {
    text: Arc<str>,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a method such as `getBlock`, or a prefix such as `get*`: 1 to 128 printable characters, a star only at \
     the end"
)]
pub struct PatternError;

impl FromStr for MethodPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let name = text.strip_suffix('*').unwrap_or(text);
        let fit = (1..=MAX_PATTERN).contains(&text.len()) && name.bytes().all(|b| is_plain(b) && b != b'*');
        if fit && !text.starts_with('(') { Ok(Self { text: text.into() }) } else { Err(PatternError) }
    }
}

impl MethodPattern {
    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What comes before the star, if there is one.
    fn prefix(&self) -> Option<&str> {
        self.text.strip_suffix('*')
    }

    /// Whether it fits a name, or all names that another pattern fits.
    #[must_use]
    pub fn fits(&self, name: &str) -> bool {
        self.prefix().map_or(self.as_str() == name, |prefix| name.starts_with(prefix))
    }

    /// Of two that fit the same name the greater one is meant: the name itself before prefixes, long before short.
    pub(crate) fn rank(&self) -> (bool, usize) {
        (self.prefix().is_none(), self.text.len())
    }
}

impl fmt::Display for MethodPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// More methods and patterns than a process can number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than 65,533 methods and patterns since the gateway began")]
pub struct TooManyMethods;

/// The methods and patterns of all plans, numbered.
#[derive(Debug, Clone)]
pub struct Methods {
    names: Vec<Arc<str>>,
    by_name: HashMap<Arc<str>, MethodId, FixedState>,
    /// Prefixes, long ones first, with the number that stands for what only they fit.
    prefixes: Vec<(Arc<str>, MethodId)>,
}

impl Default for Methods {
    fn default() -> Self {
        let names = STAND_INS.map(Arc::from).to_vec();
        Self { names, by_name: HashMap::default(), prefixes: Vec::new() }
    }
}

impl Methods {
    /// This table and these patterns. Those it has keep their numbers.
    ///
    /// # Errors
    /// There are too many.
    pub fn with<'a>(&self, patterns: impl IntoIterator<Item = &'a MethodPattern>) -> Result<Self, TooManyMethods> {
        let mut grown = self.clone();
        for pattern in patterns {
            grown.add(pattern)?;
        }
        grown.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Ok(grown)
    }

    fn add(&mut self, pattern: &MethodPattern) -> Result<(), TooManyMethods> {
        if pattern.as_str() == "*" || self.by_name.contains_key(pattern.as_str()) {
            return Ok(());
        }
        let id = MethodId(u16::try_from(self.names.len()).map_err(|_| TooManyMethods)?);
        self.names.push(Arc::clone(&pattern.text));
        self.by_name.insert(Arc::clone(&pattern.text), id);
        if let Some(prefix) = pattern.prefix() {
            self.prefixes.push((prefix.into(), id));
        }
        Ok(())
    }

    /// The number of a call's method.
    #[must_use]
    pub fn find(&self, name: &str) -> MethodId {
        // A name with a star at its end would find the pattern; it counts as what the pattern fits, which is right.
        if let Some(id) = self.by_name.get(name) {
            return *id;
        }
        let prefix = self.prefixes.iter().find(|(prefix, _)| name.starts_with(&**prefix));
        prefix.map_or(MethodId::OTHER, |(_, id)| *id)
    }

    /// The name of a number, for people: a method, a pattern, or `(http)`, `(other)`, `(batch)`.
    #[must_use]
    pub fn name(&self, id: MethodId) -> &str {
        self.names.get(id.index()).map_or(STAND_INS[1], |name| name)
    }

    /// Whether a pattern is in the table.
    #[must_use]
    pub fn has(&self, pattern: &MethodPattern) -> bool {
        pattern.as_str() == "*" || self.by_name.contains_key(pattern.as_str())
    }

    /// Which of a set's patterns is meant for each number, by its place.
    pub(crate) fn rules<'a>(&self, patterns: impl Iterator<Item = &'a MethodPattern> + Clone) -> Box<[Option<u16>]> {
        let best = |(index, name): (usize, &Arc<str>)| {
            let stands_in = index < STAND_INS.len();
            // What is known of other methods is that no name and no prefix fits them.
            let fits = |pattern: &MethodPattern| match stands_in {
                true => index == MethodId::OTHER.index() && pattern.as_str() == "*",
                false => pattern.fits(name),
            };
            let fitting = (0..).zip(patterns.clone()).filter(|(_, pattern)| fits(pattern));
            fitting.max_by_key(|(_, pattern)| pattern.rank()).map(|(place, _)| place)
        };
        self.names.iter().enumerate().map(best).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Vec<MethodPattern> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn refuses_what_is_no_pattern() {
        for text in ["", "g*t", "**", "get block", "(other)", "a\"b", "é", &"x".repeat(129)] {
            assert_eq!(text.parse::<MethodPattern>(), Err(PatternError), "{text}");
        }
    }

    #[test]
    fn the_longest_that_fits_is_meant() {
        let first = Methods::default().with(&patterns(&["getBlock", "get*"])).unwrap();
        let methods = first.with(&patterns(&["getB*", "get*", "*", "send*"])).unwrap();
        let set = patterns(&["*", "getB*", "get*", "getBlock"]);
        let rules = methods.rules(set.iter());
        for (name, known_as, rule) in [
            ("getBlock", "getBlock", Some("getBlock")),
            ("getBlocks", "getB*", Some("getB*")),
            ("getSlot", "get*", Some("get*")),
            ("sendTransaction", "send*", Some("*")),
            ("nothing", "(other)", Some("*")),
        ] {
            let id = methods.find(name);
            let place = rules[id.index()];
            assert_eq!((methods.name(id), place.map(|at| set[usize::from(at)].as_str())), (known_as, rule), "{name}");
        }
        assert_eq!(first.find("getBlock"), methods.find("getBlock"), "numbers are kept");
        assert_eq!(rules[MethodId::HTTP.index()], None, "a star means calls");
        assert_eq!(methods.rules(patterns(&["getSlot"]).iter())[methods.find("getSlot").index()], None);
    }
}
