//! PROXY protocol v1 and v2 from named networks, on plain and TLS listeners.

use portcullis_integration_tests::pki::Pki;
use portcullis_integration_tests::{Client, Gateway, Origin, Setup};

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: app.test\r\n\r\n";

/// A v2 header of 192.0.2.7:56324 to 198.51.100.1:443.
fn v2() -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    bytes.extend([192, 0, 2, 7, 198, 51, 100, 1]);
    bytes.extend(56324u16.to_be_bytes());
    bytes.extend(443u16.to_be_bytes());
    bytes
}

/// A v2 header of a health check of the load balancer itself.
const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";

fn setup(origin: &Origin) -> Setup {
    Setup::to(origin).listener("proxy_protocol: { from: [\"127.0.0.2/32\"] }")
}

fn from(gateway: &Gateway, address: &str) -> Client {
    Client::connect_from(address, gateway.address("edge"))
}

#[test]
fn takes_the_clients_address_from_a_header_of_a_named_network() {
    let origin = Origin::says("fine");
    let gateway = setup(&origin).start();
    let headers: [(&[u8], &str); 4] =
        [(V1, "192.0.2.7"), (&v2(), "192.0.2.7"), (V2_LOCAL, "127.0.0.2"), (b"PROXY UNKNOWN\r\n", "127.0.0.2")];
    for (header, client) in headers {
        // In one packet with the request, and in pieces.
        for pieces in [vec![[header, GET].concat()], vec![header[..9].to_vec(), [&header[9..], GET].concat()]] {
            let mut connection = from(&gateway, "127.0.0.2");
            for piece in &pieces {
                connection.send(piece);
            }
            let answer = connection.response();
            assert_eq!(answer.status, 200);
            assert_eq!(origin.last().field("x-forwarded-for"), Some(client));
            assert_eq!(gateway.record_of(&answer)["client"], client);
            assert_eq!(connection.get("/again").status, 200, "the header is of the connection, not of a request");
        }
    }
}

#[test]
fn takes_a_header_before_tls() {
    let (pki, origin) = (Pki::new(), Origin::says("fine"));
    let tls = format!("tls: {{ certificates: [{}] }}", pki.issue("app.test").yaml());
    let gateway = setup(&origin).listener(&tls).start();
    for header in [V1.to_vec(), v2()] {
        let mut connection = from(&gateway, "127.0.0.2");
        connection.send(header);
        let answer = connection.with_tls(&pki.client(&[]), "app.test").get("/a");
        assert_eq!(answer.status, 200);
        assert_eq!(origin.last().field("x-forwarded-for"), Some("192.0.2.7"));
        assert_eq!(gateway.record_of(&answer)["client"], "192.0.2.7");
    }
}

#[test]
fn refuses_a_header_from_any_other_network() {
    let origin = Origin::says("fine");
    let gateway = setup(&origin).start();
    for header in [V1.to_vec(), v2()] {
        let mut connection = from(&gateway, "127.0.0.3");
        let answer = connection.ask([&header, GET].concat());
        assert_eq!(answer.status, 400, "a header here is a malformed request");
        assert_eq!(gateway.record_of(&answer)["client"], "127.0.0.3");
    }
    assert_eq!(from(&gateway, "127.0.0.3").ask(GET).status, 200);
    assert_eq!(origin.last().field("x-forwarded-for"), Some("127.0.0.3"));
    assert_eq!(origin.received().len(), 1);
}

#[test]
fn refuses_a_connection_of_a_named_network_without_a_good_header() {
    let origin = Origin::says("fine");
    let gateway = setup(&origin).start();
    let bad: [&[u8]; 4] = [
        GET,
        b"PROXY TCP4 192.0.2.7\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 99999\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\x00\x0c",
    ];
    for (count, bytes) in bad.iter().enumerate() {
        let mut connection = from(&gateway, "127.0.0.2");
        connection.send(bytes);
        connection.finish().expect_end();
        let refused = || gateway.records().iter().filter(|record| record["reason"] == "proxy_protocol_invalid").count();
        portcullis_integration_tests::until("the record", || (refused() == count + 1).then_some(()));
    }
    assert_eq!(origin.connections(), 0);
}

#[test]
fn counts_a_named_client_in_its_own_network() {
    let origin = Origin::says("fine");
    let gateway = setup(&origin).listener("limits: { connections_per_network: 1 }").start();
    let mut first = from(&gateway, "127.0.0.2");
    assert_eq!(first.ask([V1, GET].concat()).status, 200);
    let mut second = from(&gateway, "127.0.0.2");
    second.send([V1, GET].concat()).expect_end();
    assert_eq!(gateway.record_with("network_connection_limit")["client"], "192.0.2.7");
    let other = b"PROXY TCP4 192.0.2.8 198.51.100.1 56324 443\r\n";
    assert_eq!(from(&gateway, "127.0.0.2").ask([other, GET].concat()).status, 200);
}
