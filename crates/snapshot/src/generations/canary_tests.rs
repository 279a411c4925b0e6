//! Who is told apart: the share, and that nobody changes sides.

use super::*;
use http::{HeaderName, HeaderValue};
use std::net::SocketAddr;

fn from(address: &str) -> Downstream {
    let peer: SocketAddr = address.parse().unwrap();
    Downstream { listener: "edge".into(), peer, socket_peer: peer, local: peer, tls: None }
}

fn fields(list: &[(&'static str, &str)]) -> HeaderMap {
    let one =
        |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    list.iter().map(one).collect()
}

#[test]
fn the_share_is_what_is_asked_for() {
    let canary = Canary::apart(0.05, 7);
    let here = from("192.0.2.1:1");
    let taken =
        (0..20_000).filter(|n| canary.takes(&fields(&[("x-api-key", &format!("key-{n}"))]), None, &here)).count();
    assert!((900..1100).contains(&taken), "{taken} of 20000");
    let connections = (0..20_000).filter(|n| {
        let address = format!("192.0.2.{}:{}", n % 200, 1024 + n / 200);
        canary.takes(&HeaderMap::new(), None, &from(&address))
    });
    let connections = connections.count();
    assert!((900..1100).contains(&connections), "{connections} of 20000");
}

#[test]
fn nobody_and_everybody() {
    let here = from("192.0.2.1:1");
    for n in 0..1000 {
        let key = fields(&[("x-api-key", &format!("key-{n}"))]);
        assert!(!Canary::apart(0.0, n).takes(&key, None, &here));
        assert!(Canary::apart(1.0, n).takes(&key, None, &here));
    }
}

#[test]
fn a_caller_stays_on_a_side_wherever_the_credential_stands_first() {
    let canary = Canary::apart(0.5, 1);
    let (here, there) = (from("192.0.2.1:1"), from("198.51.100.7:9"));
    for n in 0..200 {
        let key = format!("key-{n}");
        let alone = canary.takes(&fields(&[("x-api-key", &key)]), None, &here);
        let check = |list: &[(&'static str, &str)], query: Option<&str>, what: &str| {
            assert_eq!(canary.takes(&fields(list), query, &there), alone, "{key}: {what}");
        };
        check(&[("x-api-key", &key)], None, "from elsewhere");
        check(&[("x-api-key", &key), ("authorization", "Bearer other")], Some("api-key=third"), "beside others");
        check(&[("authorization", &key)], None, "another field");
        check(&[], Some(&format!("a=b&API-Key={key}")), "the query");
        check(&[("x-api-key", "")], Some(&format!("token={key}")), "an empty field")
    }
}

#[test]
fn without_a_credential_the_connection_tells() {
    let canary = Canary::apart(0.5, 1);
    let side = |address: &str, query| canary.takes(&HeaderMap::new(), query, &from(address));
    let sides: Vec<bool> = (1..200).map(|port| side(&format!("192.0.2.1:{port}"), None)).collect();
    assert!(sides.contains(&true) && sides.contains(&false));
    let again: Vec<bool> = (1..200).map(|port| side(&format!("192.0.2.1:{port}"), Some("page=2"))).collect();
    assert_eq!(sides, again);
}
