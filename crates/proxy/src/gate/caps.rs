//! Caps on connections: of a listener as a whole, and of one client network on it.
//!
//! The table of networks holds only networks with an open connection, so it is bounded by the first cap. Counts belong
//! to the listener's name and live across reloads; the limits are those of the listener as it is now.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis_telemetry::{Bound, Held};
use portcullis_types::Reason;

/// The open connections of one listener.
#[derive(Default)]
pub(crate) struct ConnectionCaps {
    open: AtomicUsize,
    networks: Mutex<HashMap<IpAddr, usize>>,
}

/// A place for one connection, given back when dropped.
pub(crate) struct ConnectionPermit {
    caps: Arc<ConnectionCaps>,
    /// Where the number of open connections is shown.
    shown: Arc<Bound>,
    network: Option<IpAddr>,
    /// Its place among the connections of the whole process.
    _process: Option<Held>,
}

impl ConnectionCaps {
    /// Takes a place among all connections.
    pub(crate) fn enter(
        self: &Arc<Self>,
        limit: usize,
        shown: &Arc<Bound>,
        process: Option<Held>,
    ) -> Result<ConnectionPermit, Reason> {
        let before = self.open.fetch_add(1, Ordering::AcqRel);
        shown.set_limit(limit as u64);
        shown.set_used(before as u64 + 1);
        let permit = ConnectionPermit { caps: self.clone(), shown: shown.clone(), network: None, _process: process };
        if before < limit {
            return Ok(permit);
        }
        shown.refuse();
        Err(Reason::ConnectionLimit)
    }

    /// How many connections are open.
    #[cfg(test)]
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }
}

impl ConnectionPermit {
    /// Takes a place among the connections of a client's network, once the client is known.
    pub(crate) fn enter_network(&mut self, client: IpAddr, limit: usize) -> Result<(), Reason> {
        let network = network_of(client);
        let mut networks = self.caps.networks.lock();
        let count = networks.entry(network).or_insert(0);
        if *count >= limit {
            return Err(Reason::NetworkConnectionLimit);
        }
        *count += 1;
        drop(networks);
        self.network = Some(network);
        Ok(())
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let before = self.caps.open.fetch_sub(1, Ordering::AcqRel);
        self.shown.set_used(before.saturating_sub(1) as u64);
        let Some(network) = self.network else { return };
        let mut networks = self.caps.networks.lock();
        if let Some(count) = networks.get_mut(&network) {
            *count -= 1;
            if *count == 0 {
                networks.remove(&network);
            }
        }
    }
}

/// The network a client counts in: its IPv4 address, or the /64 of its IPv6 address.
fn network_of(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_the_connection_past_each_cap_and_gives_places_back() {
        let caps = Arc::new(ConnectionCaps::default());
        let shown = Arc::new(Bound::default());
        let client: IpAddr = "192.0.2.1".parse().unwrap();
        let mut first = caps.enter(2, &shown, None).unwrap();
        assert_eq!(first.enter_network(client, 1), Ok(()));
        let mut second = caps.enter(2, &shown, None).unwrap();
        assert_eq!(second.enter_network(client, 1), Err(Reason::NetworkConnectionLimit));
        assert!(matches!(caps.enter(2, &shown, None), Err(Reason::ConnectionLimit)));
        assert_eq!(caps.open(), 2);
        drop(first);
        assert_eq!(second.enter_network(client, 1), Ok(()));
        drop(second);
        assert_eq!((caps.open(), shown.used(), shown.refused()), (0, 0, 1));
        assert!(caps.networks.lock().is_empty());
    }

    #[test]
    fn an_ipv6_client_counts_as_its_slash_64_and_a_mapped_one_as_ipv4() {
        let network = |text: &str| network_of(text.parse().unwrap()).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("::ffff:192.0.2.1"), "192.0.2.1");
    }
}
