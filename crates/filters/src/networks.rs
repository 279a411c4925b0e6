//! A set of client networks, looked up in logarithmic time whatever their number.
//!
//! Invariant: an IPv4 address and its IPv6-mapped form (`::ffff:192.0.2.1`) are the same client, in the config and
//! in a request; a network such as `::/0` holds no IPv4 client.

use ipnet::IpNet;
use std::net::IpAddr;

#[cfg(test)]
mod tests;

/// Ranges from the first to the last address, sorted, apart from one another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Networks {
    v4: Ranges,
    v6: Ranges,
}

type Ranges = Box<[(u128, u128)]>;

impl FromIterator<IpNet> for Networks {
    fn from_iter<I: IntoIterator<Item = IpNet>>(networks: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for net in networks {
            let (first, last) = (net.network().to_canonical(), net.broadcast().to_canonical());
            // A wide IPv6 network may begin or end among the mapped addresses; it is an IPv4 one only when both do.
            let mapped = first.is_ipv4() && last.is_ipv4();
            let list = if mapped { &mut v4 } else { &mut v6 };
            let place = |address: IpAddr, net: IpAddr| if mapped { number(address) } else { number(net) };
            list.push((place(first, net.network()), place(last, net.broadcast())));
        }
        Self { v4: merged(v4), v6: merged(v6) }
    }
}

impl Networks {
    /// Whether an address is in one of the networks.
    #[must_use]
    pub fn contain(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let ranges = if address.is_ipv4() { &self.v4 } else { &self.v6 };
        let wanted = number(address);
        let after = ranges.partition_point(|(first, _)| *first <= wanted);
        after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|(_, last)| wanted <= *last)
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn merged(mut ranges: Vec<(u128, u128)>) -> Ranges {
    ranges.sort_unstable();
    let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some((_, end)) if first <= *end => *end = last.max(*end),
            Some(_) | None => merged.push((first, last)),
        }
    }
    merged.into()
}
