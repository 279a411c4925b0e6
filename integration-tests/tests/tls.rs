//! TLS from clients: certificates by name, re-read by a reload, client certificates, and names that disagree.

use portcullis_integration_tests::h2::H2Client;
use portcullis_integration_tests::pki::{Certificate, Pki};
use portcullis_integration_tests::{Client, Gateway, Origin, Setup};
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::Duration;

fn tls(certificates: &[&Certificate], rest: &str) -> String {
    let certificates: Vec<String> = certificates.iter().map(|certificate| certificate.yaml()).collect();
    format!("tls: {{ certificates: [{}]{rest} }}", certificates.join(", "))
}

fn client(gateway: &Gateway, config: &Arc<ClientConfig>, name: &str) -> Client {
    gateway.client().with_tls(config, name)
}

fn ask(gateway: &Gateway, config: &Arc<ClientConfig>, name: &str) -> u16 {
    client(gateway, config, name).ask(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n")).status
}

/// Whether a handshake for a name ends in a certificate that the client takes.
fn is_served(gateway: &Gateway, config: &Arc<ClientConfig>, name: &str) -> bool {
    let mut client = client(gateway, config, name);
    client.try_send(format!("GET / HTTP/1.1\r\nHost: {name}\r\n\r\n")).is_ok() && client.try_response().is_ok()
}

#[test]
fn serves_http1_over_tls_with_facts_in_record_and_fields() {
    let (pki, origin) = (Pki::new(), Origin::says("fine"));
    let gateway = Setup::to(&origin).listener(&tls(&[&pki.issue("app.test")], "")).start();
    let answer = client(&gateway, &pki.client(&["http/1.1"]), "app.test").get("/a");
    assert_eq!((answer.status, answer.text().as_str()), (200, "fine"));
    let seen = origin.last();
    assert_eq!((seen.field("x-forwarded-proto"), seen.field("x-forwarded-port")), (Some("https"), Some("443")));
    let record = gateway.record_of(&answer);
    assert_eq!(
        (&record["tls"], &record["sni"], &record["scheme"]),
        (&"TLSv1.3".into(), &"app.test".into(), &"https".into())
    );
}

#[tokio::test]
async fn serves_http2_by_alpn() {
    let (pki, origin) = (Pki::new(), Origin::says("fine"));
    let gateway = Setup::to(&origin).listener(&tls(&[&pki.issue("app.test")], "")).start();
    let client = H2Client::tls(gateway.address("edge"), pki.client(&["h2", "http/1.1"]), "app.test").await;
    let answer = client.get("https://app.test/a").await;
    assert_eq!((answer.status(), &answer.body[..]), (200, b"fine".as_slice()));
    assert_eq!(gateway.record("it", |record| record["path"] == "/a")["protocol"], "HTTP/2");
}

#[test]
fn picks_the_certificate_by_server_name() {
    let pki = Pki::new();
    let certificates = [&pki.issue("a.test"), &pki.issue("b.test"), &pki.issue("*.c.test")];
    let gateway = Setup::to(&Origin::says("fine")).listener(&tls(&certificates, "")).start();
    let config = pki.client(&[]);
    for name in ["a.test", "b.test", "x.c.test"] {
        assert_eq!(ask(&gateway, &config, name), 200, "{name}");
    }
    assert!(!is_served(&gateway, &config, "other.test"), "the first certificate is shown, and is not for this name");
}

#[test]
fn records_a_handshake_that_fails() {
    let pki = Pki::new();
    let gateway = Setup::to(&Origin::says("fine")).listener(&tls(&[&pki.issue("app.test")], "")).start();
    let answer = gateway.client().send("GET / HTTP/1.1\r\nHost: app.test\r\n\r\n").rest();
    assert!(!answer.starts_with(b"HTTP"), "plain text on a TLS listener is not answered in HTTP");
    let record = gateway.record_with("tls_handshake_failed");
    assert_eq!((&record["kind"], &record["listener"]), (&"connection".into(), &"edge".into()));
    assert!(record["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{record}");
}

#[test]
fn reads_certificates_anew_on_reload_and_keeps_connections() {
    let (old, new) = (Pki::new(), Pki::new());
    let certificate = old.issue("app.test");
    let gateway = Setup::to(&Origin::says("fine")).listener(&tls(&[&certificate], "")).start();
    let mut kept = client(&gateway, &old.client(&[]), "app.test");
    assert_eq!(kept.get("/").status, 200);
    let renewed = new.issue("app.test");
    std::fs::copy(&renewed.cert, &certificate.cert).unwrap();
    std::fs::copy(&renewed.key, &certificate.key).unwrap();
    gateway.signal("HUP");
    let config = new.client(&[]);
    portcullis_integration_tests::until("the new certificate", || {
        is_served(&gateway, &config, "app.test").then_some(())
    });
    assert!(!is_served(&gateway, &old.client(&[]), "app.test"));
    assert_eq!(kept.get("/").status, 200, "a connection that is open stays");
}

fn mutual(pki: &Pki, partners: &Pki, rest: &str) -> String {
    tls(
        &[&pki.issue("app.test"), &pki.issue("other.test")],
        &format!(", client_ca: \"{}\"{rest}", partners.ca().display()),
    )
}

#[test]
fn refuses_clients_without_a_certificate_where_one_is_required() {
    let (pki, partners, strangers) = (Pki::new(), Pki::new(), Pki::new());
    let gateway = Setup::to(&Origin::says("fine")).listener(&mutual(&pki, &partners, "")).start();
    assert!(!is_served(&gateway, &pki.client(&[]), "app.test"));
    let stranger = pki.client_with(&strangers.issue("who.test"), &[]);
    assert!(!is_served(&gateway, &stranger, "app.test"));
    let partner = pki.client_with(&partners.issue("partner.test"), &[]);
    assert_eq!(ask(&gateway, &partner, "app.test"), 200);
    assert_eq!(gateway.record_with("tls_handshake_failed")["kind"], "connection");
}

#[test]
fn routes_on_the_clients_certificate() {
    let (pki, partners) = (Pki::new(), Pki::new());
    let (named, pinned) = (partners.issue("billing.partner.test"), partners.issue("pinned.test"));
    let by_name =
        "{ name: by-name, match: { client_certificate: { name: \"*.partner.test\" } }, respond: { body: named } }";
    let by_print = format!(
        "{{ name: by-print, match: {{ client_certificate: {{ fingerprint: \"{}\" }} }}, respond: {{ body: pinned }} }}",
        pinned.fingerprint()
    );
    let setup = Setup::to(&Origin::says("anonymous")).listener(&mutual(&pki, &partners, ", client_auth: optional"));
    let gateway = setup.and_route(by_name).and_route(&by_print).start();
    let text = |config: &Arc<ClientConfig>| client(&gateway, config, "app.test").get("/").text();
    assert_eq!(text(&pki.client(&[])), "anonymous");
    assert_eq!(text(&pki.client_with(&named, &[])), "named");
    assert_eq!(text(&pki.client_with(&pinned, &[])), "pinned");
    assert_eq!(text(&pki.client_with(&partners.issue("third.test"), &[])), "anonymous");
}

#[test]
fn answers_421_when_server_name_and_host_disagree_where_certificates_matter() {
    let (pki, partners) = (Pki::new(), Pki::new());
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin).listener(&mutual(&pki, &partners, "")).start();
    let partner = pki.client_with(&partners.issue("partner.test"), &[]);
    let mut client = client(&gateway, &partner, "app.test");
    assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: app.test:443\r\n\r\n").status, 200);
    let answer = client.ask("GET / HTTP/1.1\r\nHost: other.test\r\n\r\n");
    assert_eq!((answer.status, answer.reason().as_str()), (421, "misdirected"));
    assert_eq!(gateway.record_of(&answer)["host"], "other.test");
    assert_eq!(origin.received().len(), 1);
}

#[test]
fn lets_server_name_and_host_differ_where_certificates_do_not_matter() {
    let pki = Pki::new();
    let gateway = Setup::to(&Origin::says("fine")).listener(&tls(&[&pki.issue("app.test")], "")).start();
    let mut client = client(&gateway, &pki.client(&[]), "app.test");
    assert_eq!(client.ask("GET / HTTP/1.1\r\nHost: other.test\r\n\r\n").status, 200);
}

#[test]
fn keeps_to_the_least_version() {
    let pki = Pki::new();
    let config = tls(&[&pki.issue("app.test")], ", min_version: \"1.3\"");
    let gateway = Setup::to(&Origin::says("fine")).listener(&config).start();
    assert_eq!(ask(&gateway, &pki.client(&[]), "app.test"), 200);
    assert!(!is_served(&gateway, &pki.client_tls12(), "app.test"));
}

/// Records without data wake the gateway up, and are no request.
#[test]
fn closes_a_connection_that_only_sends_empty_records() {
    let pki = Pki::new();
    let setup = Setup::to(&Origin::says("fine")).listener(&tls(&[&pki.issue("app.test")], ""));
    let gateway = setup.listener("limits: { idle_timeout: 500ms }").start();
    let name = rustls_pki_types::ServerName::try_from("app.test").unwrap();
    let session = rustls::ClientConnection::new(pki.client(&[]), name).unwrap();
    let tcp = std::net::TcpStream::connect(gateway.address("edge")).unwrap();
    tcp.set_nodelay(true).unwrap();
    let mut stream = rustls::StreamOwned::new(session, tcp);
    stream.conn.complete_io(&mut stream.sock).unwrap();
    // A key update is a record without data. rustls takes 32 of them in a row.
    for _ in 0..30 {
        stream.conn.refresh_traffic_keys().unwrap();
        if stream.conn.write_tls(&mut stream.sock).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("the connection was not closed");
}

#[test]
fn judges_heads_inside_tls_as_strictly_as_outside() {
    let (pki, origin) = (Pki::new(), Origin::says("fine"));
    let gateway = Setup::to(&origin).listener(&tls(&[&pki.issue("app.test")], "")).start();
    let mut client = client(&gateway, &pki.client(&[]), "app.test");
    let answer = client.ask("GET / HTTP/1.1\r\nHost: app.test\nX-A: b\r\n\r\n");
    assert_eq!((answer.status, answer.detail().as_str()), (400, "bare_lf"));
    assert_eq!(origin.connections(), 0);
}
