//! Membership, against a linear search, with IPv4 in both of its forms.

use super::*;
use proptest::prelude::*;

fn networks(list: &[&str]) -> Networks {
    list.iter().map(|net| net.parse::<IpNet>().expect(net)).collect()
}

#[test]
fn holds_an_address_and_its_mapped_form_for_the_same() {
    let check = |list: &[&str], address: &str, expected: bool| {
        let found = networks(list).contain(address.parse().expect(address));
        assert_eq!(found, expected, "{list:?} {address}");
    };
    check(&[], "192.0.2.1", false);
    check(&["192.0.2.0/24"], "192.0.2.1", true);
    check(&["192.0.2.0/24"], "::ffff:192.0.2.1", true);
    check(&["192.0.2.0/24"], "192.0.3.0", false);
    check(&["::ffff:192.0.2.0/120"], "192.0.2.255", true);
    check(&["::ffff:192.0.2.0/120"], "::ffff:192.0.2.255", true);
    check(&["::/0"], "192.0.2.1", false);
    check(&["::/0"], "::ffff:192.0.2.1", false);
    check(&["::/0"], "2001:db8::1", true);
    check(&["0.0.0.0/0"], "255.255.255.255", true);
    check(&["0.0.0.0/0"], "::1", false);
    check(&["10.0.0.0/8", "10.1.0.0/16", "192.0.2.1/32"], "10.200.0.1", true);
    check(&["10.0.0.0/8", "10.1.0.0/16", "192.0.2.1/32"], "192.0.2.1", true);
    check(&["10.0.0.0/8", "10.1.0.0/16", "192.0.2.1/32"], "192.0.2.2", false);
}

proptest! {
    #[test]
    fn agrees_with_a_linear_search(
        nets in prop::collection::vec((any::<u32>(), 0u8..=32), 0..20),
        addresses in prop::collection::vec(any::<u32>(), 20),
    ) {
        let nets: Vec<IpNet> = nets.iter()
            .map(|(bits, prefix)| IpNet::new(std::net::Ipv4Addr::from_bits(*bits).into(), *prefix).expect("a net").trunc())
            .collect();
        let compiled: Networks = nets.iter().copied().collect();
        let edges = nets.iter().flat_map(|net| [net.network(), net.broadcast()]);
        let drawn = addresses.iter().map(|bits| IpAddr::from(std::net::Ipv4Addr::from_bits(*bits)));
        for address in edges.chain(drawn) {
            prop_assert_eq!(compiled.contain(address), nets.iter().any(|net| net.contains(&address)));
        }
    }
}
