//! All virtual hosts of a generation: built once, then only read.
//!
//! A host finds its virtual host by exact name, then by the longest wildcard, then by the default. A name belongs
//! to one virtual host.

use std::fmt;

use crate::host_pattern::HostPattern;
use crate::host_table::{HostTable, HostTableBuilder, Record};
use crate::intern::Interner;
use crate::seed::Seed;
use crate::virtual_host::{VirtualHost, VirtualHostSpec};

/// The virtual hosts. `H` is what the caller keeps with a virtual host, `R` with a route.
#[derive(Debug)]
pub struct Router<H, R> {
    table: HostTable,
    hosts: Box<[VirtualHost<H, R>]>,
}

/// Compiles virtual hosts into a [`Router`].
#[derive(Debug)]
pub struct RouterBuilder<H, R> {
    seed: Seed,
    table: HostTableBuilder,
    hosts: Vec<VirtualHost<H, R>>,
    interner: Interner,
}

/// Names that an earlier virtual host holds already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostConflict {
    /// The place of the virtual host that wanted them, from 0 in the order of `add`.
    pub host: usize,
    /// Each name with the place of the virtual host that holds it; the same place when it stands there twice.
    pub taken: Vec<(HostPattern, usize)>,
}

/// How a host was looked up.
#[derive(Debug)]
pub struct HostExplanation<'a, H, R> {
    /// The names in the order in which they were asked for; the last one is the winner if there is one.
    pub tried: Vec<HostTrial>,
    /// The virtual host that answers.
    pub host: Option<&'a VirtualHost<H, R>>,
}

/// One name that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostTrial {
    /// The name in the config's words: `a.example.com`, `*.example.com`, `*`.
    pub name: String,
    /// Whether a virtual host has it.
    pub found: bool,
}

impl<H, R> Router<H, R> {
    /// A builder with a random seed.
    #[must_use]
    pub fn builder() -> RouterBuilder<H, R> {
        Self::builder_with_seed(Seed::random())
    }

    /// A builder with a seed of the caller's choice, for tests.
    #[must_use]
    pub fn builder_with_seed(seed: Seed) -> RouterBuilder<H, R> {
        RouterBuilder {
            table: HostTableBuilder::new(seed.clone()),
            seed,
            hosts: Vec::new(),
            interner: Interner::default(),
        }
    }

    /// The virtual host that answers to `host`, a normalised host: lower-case, no port, no trailing dot. The empty
    /// host gets the default.
    #[must_use]
    #[inline]
    pub fn host(&self, host: &str) -> Option<&VirtualHost<H, R>> {
        self.at(self.table.lookup(host)?)
    }

    /// As [`Self::host`], without the default: the virtual host that names `host`, exactly or by a wildcard.
    #[must_use]
    pub fn named_host(&self, host: &str) -> Option<&VirtualHost<H, R>> {
        self.at(self.table.lookup_named(host)?)
    }

    fn at(&self, index: u32) -> Option<&VirtualHost<H, R>> {
        self.hosts.get(usize::try_from(index).ok()?)
    }

    /// Looks a host up and tells how. The winner is the one that [`Self::host`] gives.
    #[must_use]
    pub fn explain_host(&self, host: &str) -> HostExplanation<'_, H, R> {
        let mut tried = Vec::new();
        let mut attempt = |name: String, found: Option<u32>| {
            tried.push(HostTrial { name, found: found.is_some() });
            found
        };
        let mut found = attempt(host.to_owned(), self.table.exact(host));
        for suffix in self.table.suffixes(host) {
            if found.is_some() {
                break;
            }
            found = attempt(format!("*.{suffix}"), self.table.wildcard(suffix));
        }
        let found = found.or_else(|| attempt("*".to_owned(), self.table.default_host()));
        HostExplanation { tried, host: found.and_then(|index| self.at(index)) }
    }

    /// The virtual hosts in the order in which they were added.
    pub fn hosts(&self) -> impl Iterator<Item = &VirtualHost<H, R>> {
        self.hosts.iter()
    }

    /// Every name in the config's words with its virtual host, in no order.
    pub fn names(&self) -> impl Iterator<Item = (String, &VirtualHost<H, R>)> {
        let text = |record: &Record<'_>| String::from_utf8_lossy(record.name).into_owned();
        let exact = self.table.exact_names().map(move |record| (text(&record), record.number));
        let wildcards =
            self.table.wildcard_suffixes().map(move |record| (format!("*.{}", text(&record)), record.number));
        let default = self.table.default_host().map(|number| ("*".to_owned(), number));
        exact.chain(wildcards).chain(default).filter_map(|(name, number)| Some((name, self.at(number)?)))
    }
}

impl<H, R> RouterBuilder<H, R> {
    /// Adds a virtual host.
    ///
    /// # Errors
    /// Some of its names are taken. The virtual host is added without them, so that later conflicts are found too;
    /// a caller that refuses conflicts does not build.
    pub fn add(&mut self, spec: VirtualHostSpec<H, R>) -> Result<(), HostConflict> {
        let place = self.hosts.len();
        let index = u32::try_from(place).unwrap_or(u32::MAX);
        let mut taken = Vec::new();
        for name in spec.names {
            if let Err(holder) = self.table.add(&name, index) {
                taken.push((name, usize::try_from(holder).unwrap_or(usize::MAX)));
            }
        }
        self.hosts.push(VirtualHost::compile(spec.data, spec.routes, &self.seed, &mut self.interner));
        if taken.is_empty() { Ok(()) } else { Err(HostConflict { host: place, taken }) }
    }

    /// The router.
    #[must_use]
    pub fn build(self) -> Router<H, R> {
        drop(self.interner);
        Router { table: self.table.build(), hosts: self.hosts.into_boxed_slice() }
    }
}

impl fmt::Display for HostConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (name, by)) in self.taken.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            if *by == self.host {
                write!(f, "{comma}`{name}` stands twice")?;
            } else {
                write!(f, "{comma}`{name}` is already a name of host number {}", by.saturating_add(1))?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for HostConflict {}

impl<H, R> fmt::Display for HostExplanation<'_, H, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, trial) in self.tried.iter().enumerate() {
            let comma = if place == 0 { "" } else { ", " };
            let found = if trial.found { "found" } else { "not configured" };
            write!(f, "{comma}{}: {found}", trial.name.escape_debug())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
