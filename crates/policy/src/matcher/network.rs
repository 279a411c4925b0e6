//! The client's network: its trusted address lies in any of a list.
//!
//! An IPv4 address and its IPv6-mapped form are the same client.

use std::fmt;

use ipnet::IpNet;
use portcullis_types::RequestView;

use crate::matcher::Mismatch;

/// A list of networks, never empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NetworkMatcher(Box<[IpNet]>);

impl NetworkMatcher {
    /// A list of networks, host bits cleared; `None` when there is none in it.
    #[must_use]
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> Option<Self> {
        let mut networks: Vec<IpNet> = networks.into_iter().map(|net| net.trunc()).collect();
        networks.sort();
        networks.dedup();
        (!networks.is_empty()).then(|| Self(networks.into_boxed_slice()))
    }

    /// The networks.
    #[must_use]
    pub fn networks(&self) -> &[IpNet] {
        &self.0
    }

    /// The bits of the longest prefix.
    pub(crate) fn longest_prefix(&self) -> u8 {
        self.0.iter().map(IpNet::prefix_len).max().unwrap_or(0)
    }

    pub(crate) fn check<'a>(&'a self, view: &RequestView<'a>) -> Result<(), Mismatch<'a>> {
        let client = view.client.to_canonical();
        if self.0.iter().any(|net| net.contains(&client)) {
            return Ok(());
        }
        Err(Mismatch::Network { expected: self, found: client })
    }

    pub(crate) fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|inner| self.0.iter().any(|outer| outer.contains(inner)))
    }
}

impl fmt::Display for NetworkMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("client in ")?;
        for (place, net) in self.0.iter().enumerate() {
            write!(f, "{}{net}", if place == 0 { "" } else { " or " })?;
        }
        Ok(())
    }
}
