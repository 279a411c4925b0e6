//! Who suffers, told from the last requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::finding::About;

/// The most names of a list.
const NAMES: usize = 5;

/// Who suffers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Affected {
    /// Virtual hosts, those with most requests first.
    pub hosts: Vec<String>,
    /// Hosts that are not listed.
    pub more_hosts: usize,
    /// Consumers, those with most requests first.
    pub consumers: Vec<String>,
    /// Consumers that are not listed.
    pub more_consumers: usize,
    /// The share of the last requests, 0 to 1; `None` where it cannot be told.
    pub share: Option<f64>,
}

/// One of the last requests, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// Its virtual host.
    pub host: Option<Arc<str>>,
    /// Its route.
    pub route: Option<Arc<str>>,
    /// The cluster that was decided on.
    pub cluster: Option<Arc<str>>,
    /// Who called.
    pub consumer: Option<Arc<str>>,
    /// Why it failed or was refused.
    pub reason: Option<&'static str>,
    /// Whether it failed by the fault of the gateway or an upstream.
    pub failed: bool,
}

impl Seen {
    fn is(&self, about: &About) -> bool {
        match about {
            About::None => false,
            About::All => true,
            About::Cluster(name) => self.cluster.as_deref() == Some(name),
            About::Reason(reason) => self.reason == Some(reason),
            About::Failed => self.failed,
            About::Host(host, route) => {
                self.host.as_deref() == Some(host) && (route.is_none() || self.route.as_deref() == route.as_deref())
            }
        }
    }
}

/// Who suffers from what is about these requests, told from the last ones.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "a share")]
pub fn affected(about: &About, seen: &[Seen]) -> Affected {
    if *about == About::None || seen.is_empty() {
        return Affected::default();
    }
    let these: Vec<&Seen> = seen.iter().filter(|one| one.is(about)).collect();
    let (hosts, more_hosts) = most(these.iter().filter_map(|one| one.host.as_ref()));
    let (consumers, more_consumers) = most(these.iter().filter_map(|one| one.consumer.as_ref()));
    let share = Some(these.len() as f64 / seen.len() as f64);
    Affected { hosts, more_hosts, consumers, more_consumers, share }
}

/// The names that occur most, and how many others there are.
fn most<'a>(names: impl Iterator<Item = &'a Arc<str>>) -> (Vec<String>, usize) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    let mut sorted: Vec<(&str, usize)> = counts.into_iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let more = sorted.len().saturating_sub(NAMES);
    (sorted.into_iter().take(NAMES).map(|(name, _)| name.to_owned()).collect(), more)
}
