//! How many failures of what is one network are too many, and what follows.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

/// How much is too much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Bits of an IPv4 address that are one network.
    pub v4_prefix: u8,
    /// Bits of an IPv6 address that are one network.
    pub v6_prefix: u8,
    /// The time that failures are counted over.
    pub window: Duration,
    /// Failures within a window that are let be.
    pub failures: u32,
    /// The first penalty.
    pub first: Duration,
    /// The longest penalty before a ban.
    pub longest: Duration,
    /// How long a network bans itself.
    pub ban: Duration,
    /// Networks that are counted exactly. Each takes about 100 bytes.
    pub tracked: usize,
    /// Columns of the sketch. Each takes 64 bytes.
    pub columns: usize,
}

impl Default for Rules {
    /// /24 and /48; 20 failures a minute; 1 s, doubling to 64 s, then 15 min; about 6 MiB.
    fn default() -> Self {
        Self {
            v4_prefix: 24,
            v6_prefix: 48,
            window: Duration::from_secs(60),
            failures: 20,
            first: Duration::from_secs(1),
            longest: Duration::from_secs(64),
            ban: Duration::from_secs(15 * 60),
            tracked: 16 * 1024,
            columns: 64 * 1024,
        }
    }
}

impl Rules {
    /// The network of a client. A v4-mapped address counts as IPv4.
    #[must_use]
    pub fn network(&self, client: IpAddr) -> IpNet {
        let client = client.to_canonical();
        let prefix = if client.is_ipv4() { self.v4_prefix.min(32) } else { self.v6_prefix.min(128) };
        IpNet::new(client, prefix).map_or_else(|_| IpNet::from(client), |network| network.trunc())
    }
}
