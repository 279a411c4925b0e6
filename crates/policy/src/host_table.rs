//! The names of all virtual hosts: exact names, wildcard suffixes, and the default.
//!
//! A host is looked up as a whole, then by each suffix whose number of labels some wildcard has, longest first. So
//! a lookup costs one search, plus one for each depth at which there are wildcards.

mod name_map;

use crate::host_pattern::HostPattern;
use crate::seed::Seed;

pub(crate) use name_map::Record;
use name_map::{NameMap, NameMapBuilder};

/// The tables, frozen.
#[derive(Debug)]
pub(crate) struct HostTable {
    seed: Seed,
    exact: NameMap,
    wildcard: NameMap,
    depths: u128,
    default: Option<u32>,
}

/// The tables while names are added.
#[derive(Debug)]
pub(crate) struct HostTableBuilder {
    seed: Seed,
    exact: NameMapBuilder,
    wildcard: NameMapBuilder,
    /// Bit n: some wildcard suffix has n labels. A name has at most 127.
    depths: u128,
    default: Option<u32>,
}

impl HostTable {
    /// The virtual host that answers to `host`: the exact name, else the longest wildcard, else the default.
    #[inline]
    pub(crate) fn lookup(&self, host: &str) -> Option<u32> {
        self.lookup_named(host).or(self.default)
    }

    /// As [`Self::lookup`], without the default.
    #[inline]
    pub(crate) fn lookup_named(&self, host: &str) -> Option<u32> {
        self.exact(host).or_else(|| self.suffixes(host).find_map(|suffix| self.wildcard(suffix)))
    }

    /// The virtual host of the default.
    pub(crate) fn default_host(&self) -> Option<u32> {
        self.default
    }

    /// The virtual host that has exactly this name.
    #[inline]
    pub(crate) fn exact(&self, name: &str) -> Option<u32> {
        self.exact.find(self.seed.hash(name.as_bytes()), name.as_bytes())
    }

    /// The virtual host that has `*.` and this suffix.
    #[inline]
    pub(crate) fn wildcard(&self, suffix: &str) -> Option<u32> {
        self.wildcard.find(self.seed.hash(suffix.as_bytes()), suffix.as_bytes())
    }

    /// The suffixes of `host` that some wildcard could have, longest first.
    #[inline]
    pub(crate) fn suffixes<'h>(&self, host: &'h str) -> impl Iterator<Item = &'h str> + use<'h> {
        let depths = self.depths;
        let dots = if depths == 0 { 0 } else { host.bytes().filter(|b| *b == b'.').count() };
        let mut depth = dots;
        let mut rest = host;
        std::iter::from_fn(move || {
            while depth > 0 {
                let (label, suffix) = rest.split_once('.')?;
                let wanted = u32::try_from(depth).ok().and_then(|d| depths.checked_shr(d)).unwrap_or(0) & 1 == 1;
                depth -= 1;
                rest = suffix;
                if wanted && !label.is_empty() {
                    return Some(suffix);
                }
            }
            None
        })
    }

    /// All exact names, in no order.
    pub(crate) fn exact_names(&self) -> impl Iterator<Item = Record<'_>> {
        self.exact.records()
    }

    /// All suffixes of wildcards, in no order.
    pub(crate) fn wildcard_suffixes(&self) -> impl Iterator<Item = Record<'_>> {
        self.wildcard.records()
    }
}

impl HostTableBuilder {
    pub(crate) fn new(seed: Seed) -> Self {
        let (exact, wildcard) = (NameMapBuilder::new(seed.clone()), NameMapBuilder::new(seed.clone()));
        Self { seed, exact, wildcard, depths: 0, default: None }
    }

    /// Gives a name to a virtual host.
    ///
    /// # Errors
    /// It is taken, by the virtual host that comes back.
    pub(crate) fn add(&mut self, pattern: &HostPattern, host: u32) -> Result<(), u32> {
        match pattern {
            HostPattern::Exact(name) => self.exact.add(name.as_str().as_bytes(), host),
            HostPattern::Wildcard(suffix) => {
                let labels = suffix.as_str().split('.').count();
                self.depths |= u32::try_from(labels).ok().and_then(|n| 1u128.checked_shl(n)).unwrap_or(0);
                self.wildcard.add(suffix.as_str().as_bytes(), host)
            }
            HostPattern::Default => match self.default {
                Some(holder) => Err(holder),
                None => {
                    self.default = Some(host);
                    Ok(())
                }
            },
        }
    }

    pub(crate) fn build(self) -> HostTable {
        HostTable {
            seed: self.seed,
            exact: self.exact.build(),
            wildcard: self.wildcard.build(),
            depths: self.depths,
            default: self.default,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(names: &[&str]) -> HostTable {
        let mut builder = HostTableBuilder::new(Seed::fixed(1));
        for (host, name) in (0u32..).zip(names) {
            assert_eq!(builder.add(&name.parse().unwrap(), host), Ok(()), "{name}");
        }
        builder.build()
    }

    #[test]
    fn exact_beats_longest_wildcard_beats_default() {
        let table = table(&["*", "*.com", "*.example.com", "www.example.com", "*.a.example.com"]);
        for (host, expected) in [
            ("www.example.com", 3),
            ("x.example.com", 2),
            ("x.y.example.com", 2),
            ("x.a.example.com", 4),
            ("x.y.a.example.com", 4),
            ("a.example.com", 2),
            ("example.com", 1),
            ("com", 0),
            ("", 0),
            (".example.com", 1),
            ("example.org", 0),
            ("wwww.example.com", 2),
        ] {
            assert_eq!(table.lookup(host), Some(expected), "{host}");
        }
    }

    #[test]
    fn without_a_default_the_unknown_is_not_found() {
        let table = table(&["*.example.com", "a.org"]);
        for host in ["example.com", "b.org", "", ".", "..", "a.org.", &"x.".repeat(300)] {
            assert_eq!(table.lookup(host), None, "{host}");
        }
    }

    #[test]
    fn a_name_in_each_form_has_one_holder() {
        let mut builder = HostTableBuilder::new(Seed::fixed(1));
        let mut add = |name: &str, host| builder.add(&name.parse().unwrap(), host);
        for (host, name) in ["a.com", "*.a.com", "*"].into_iter().enumerate() {
            let host = u32::try_from(host).unwrap();
            assert_eq!(add(name, host), Ok(()));
            assert_eq!(add(name, 9), Err(host));
        }
    }
}
