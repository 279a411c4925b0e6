//! TLS to upstreams: verified unless the config says otherwise.

use http::Response;
use portcullis_integration_tests::origin::{HyperOrigin, full};
use portcullis_integration_tests::pki::Pki;
use portcullis_integration_tests::{Gateway, Setup};

fn origin(pki: &Pki, name: &str, alpn: &[&str]) -> HyperOrigin {
    HyperOrigin::tls(pki.issue(name).server(alpn), |seen| Response::new(full(format!("{:?}", seen.parts.version))))
}

fn gateway(origin: &HyperOrigin, tls: &str) -> Gateway {
    Setup::to_address(origin.address()).cluster(tls).start()
}

fn refuses(gateway: &Gateway) {
    let answer = gateway.get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_certificate_invalid"));
    assert!(answer.field("proxy-status").is_some_and(|status| status.contains("tls_certificate_error")));
    let record = gateway.record_of(&answer);
    assert_eq!(record["attempts"][0]["reason"], "upstream_certificate_invalid");
    assert_eq!(record["attempts"].as_array().unwrap().len(), 1, "another attempt would fail the same way");
}

#[test]
fn refuses_an_upstream_whose_authority_it_does_not_know() {
    let origin = origin(&Pki::new(), "origin.test", &[]);
    refuses(&gateway(&origin, "tls: { server_name: origin.test }"));
    assert!(origin.seen().is_empty());
}

#[test]
fn trusts_the_authority_the_config_names() {
    let pki = Pki::new();
    let origin = origin(&pki, "origin.test", &[]);
    let gateway = gateway(&origin, &format!("tls: {{ server_name: origin.test, ca: \"{}\" }}", pki.ca().display()));
    assert_eq!(gateway.get("/").text(), "HTTP/1.1");
}

#[test]
fn refuses_a_certificate_for_another_name() {
    let pki = Pki::new();
    let origin = origin(&pki, "elsewhere.test", &[]);
    refuses(&gateway(&origin, &format!("tls: {{ server_name: origin.test, ca: \"{}\" }}", pki.ca().display())));
}

#[test]
fn takes_any_certificate_where_the_config_says_so() {
    let origin = origin(&Pki::new(), "origin.test", &[]);
    let gateway = gateway(&origin, "tls: { server_name: origin.test, verify: false }");
    assert_eq!(gateway.get("/").text(), "HTTP/1.1");
}

#[test]
fn speaks_http2_by_alpn_to_a_tls_upstream() {
    let pki = Pki::new();
    let origin = origin(&pki, "origin.test", &["h2"]);
    let tls = format!("tls: {{ server_name: origin.test, ca: \"{}\" }}", pki.ca().display());
    let gateway = Setup::to_address(origin.address()).cluster(&tls).cluster("protocol: http2").start();
    assert_eq!(gateway.get("/").text(), "HTTP/2.0");
}

#[test]
fn says_when_the_upstream_speaks_no_tls_at_all() {
    let plain = std::net::TcpListener::bind((portcullis_integration_tests::place::own_ip(), 0)).unwrap();
    let address = plain.local_addr().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = plain.accept() {
            drop(std::io::Write::write_all(&mut stream, b"220 not TLS at all\r\n"));
        }
    });
    let gateway = Setup::to_address(address).cluster("tls: { server_name: origin.test }").start();
    let answer = gateway.get("/");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_tls_failed"));
}

#[test]
fn shows_its_own_certificate_to_an_upstream_that_asks() {
    let (pki, clients) = (Pki::new(), Pki::new());
    let server = clients.demanding(&pki.issue("origin.test"));
    let origin = HyperOrigin::tls(server, |_| Response::new(full("welcome")));
    let own = clients.issue("gateway.test");
    let (ca, cert, key) = (pki.ca(), own.cert.display(), own.key.display());
    let tls = format!("server_name: origin.test, ca: \"{}\"", ca.display());
    let with = gateway(&origin, &format!("tls: {{ {tls}, cert: \"{cert}\", key: \"{key}\" }}"));
    assert_eq!(with.get("/").text(), "welcome");
    let without = gateway(&origin, &format!("tls: {{ {tls} }}"));
    assert_eq!(without.get("/").status, 502);
}
