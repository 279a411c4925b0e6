//! Active health checks: what they ask, what passes, what they say.

use http::Response;
use portcullis_integration_tests::origin::{HyperOrigin, full, refused};
use portcullis_integration_tests::pki::Pki;
use portcullis_integration_tests::{Gateway, Origin, Setup, until};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One failure decides, and a check is patient: that the machine is busy is none.
const QUICK: &str = "interval: 1s, timeout: 1s, unhealthy_after: 1, healthy_after: 1";

fn gateway(address: SocketAddr, check: &str, rest: &str) -> Gateway {
    Setup::to_address(address).cluster(&format!("health_check: {{ {check}, {QUICK} }}")).cluster(rest).start()
}

/// What the admin API says of the only endpoint once its health is known.
fn verdict(gateway: &Gateway) -> Value {
    until("a check to end", || {
        let endpoint = gateway.admin().json("/api/clusters")["clusters"][0]["endpoints"][0].clone();
        (endpoint["health"] != "unknown").then_some(endpoint)
    })
}

fn check(gateway: &Gateway, expected: Result<(), &str>) {
    let endpoint = verdict(gateway);
    let says = endpoint["says"].as_str().unwrap();
    match expected {
        Ok(()) => assert_eq!(endpoint["health"], "healthy", "{says}"),
        Err(why) => {
            assert_eq!(endpoint["health"], "unhealthy", "{says}");
            // Health is written a moment before the choice follows it.
            let endpoint = until("the endpoint to be out", || {
                let endpoint = verdict(gateway);
                (endpoint["standing"] == "unhealthy").then_some(endpoint)
            });
            assert!(endpoint["says"].as_str().unwrap().contains(why), "{endpoint}");
            assert!(endpoint["would_change"].as_str().unwrap().contains("passing health check"), "{endpoint}");
            until("the log to say so", || gateway.stderr().contains(why).then_some(()));
        }
    }
}

#[test]
fn a_tcp_check_wants_a_connection() {
    check(&gateway(Origin::says("fine").address(), "tcp: {}", ""), Ok(()));
    check(&gateway(refused(), "tcp: {}", ""), Err("the connection was refused"));
}

#[test]
fn a_tls_check_wants_a_handshake_with_the_clusters_settings() {
    let pki = Pki::new();
    let tls = format!("tls: {{ server_name: origin.test, ca: \"{}\" }}", pki.ca().display());
    let origin = HyperOrigin::tls(pki.issue("origin.test").server(&[]), |_| Response::new(full("fine")));
    check(&gateway(origin.address(), "tls: {}", &tls), Ok(()));
    let other = HyperOrigin::tls(pki.issue("other.test").server(&[]), |_| Response::new(full("fine")));
    check(&gateway(other.address(), "tls: {}", &tls), Err("not valid for the name"));
    let plain = Origin::says("fine");
    let endpoint = verdict(&gateway(plain.address(), "tls: {}", &tls));
    assert_eq!(endpoint["health"], "unhealthy", "{endpoint}");
    assert!(origin.seen().is_empty(), "nothing is asked");
}

#[test]
fn an_http_check_judges_status_and_body() {
    for (answer, probe, expected) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", "http: {}", Ok(())),
        ("HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n", "http: { statuses: [200-299, 401] }", Ok(())),
        ("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "http: { statuses: [200-299, 401] }", Err("status was 404")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready", "http: { body: { contains: ready } }", Ok(())),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsorry",
            "http: { body: { contains: ready } }",
            Err("the body does not hold what it must"),
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nup 12", "http: { body: { regex: \"^up [0-9]+$\" } }", Ok(())),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndown",
            "http: { body: { regex: \"^up [0-9]+$\" } }",
            Err("the body does not hold what it must"),
        ),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "http: {}", Ok(())),
    ] {
        let origin = Origin::answers(answer.as_bytes().to_vec().leak());
        check(&gateway(origin.address(), probe, ""), expected);
    }
}

#[test]
fn an_endpoint_that_accepts_and_says_nothing_is_not_healthy() {
    let origin = Origin::http1(|_, wire| wire.wait_for_end());
    check(&gateway(origin.address(), "http: {}", ""), Err("the answer took too long"));
}

#[test]
fn an_http_check_is_made_over_tls_and_http2_as_requests_are() {
    let pki = Pki::new();
    let answer = |seen: &portcullis_integration_tests::origin::Seen| {
        Response::new(full(format!("{:?} {}", seen.parts.version, seen.parts.uri.path())))
    };
    let origin = HyperOrigin::tls(pki.issue("origin.test").server(&["h2"]), answer);
    let tls = format!("tls: {{ server_name: origin.test, ca: \"{}\" }}\n    protocol: http2", pki.ca().display());
    let probe = "http: { path: /up, body: { contains: \"HTTP/2.0 /up\" } }";
    check(&gateway(origin.address(), probe, &tls), Ok(()));
    let plain = HyperOrigin::plain(answer);
    check(&gateway(plain.address(), probe, "protocol: http2"), Ok(()));
    let probe = "http: { path: /up, body: { contains: \"HTTP/1.1 /up\" } }, protocol: http1";
    check(&gateway(plain.address(), probe, "protocol: http2"), Ok(()));
}

#[test]
fn a_check_on_its_own_port_may_speak_plain_text() {
    let pki = Pki::new();
    let page = Origin::says("ready");
    let origin = HyperOrigin::tls(pki.issue("origin.test").server(&[]), |_| Response::new(full("fine")));
    let tls = format!("tls: {{ server_name: origin.test, ca: \"{}\" }}", pki.ca().display());
    let probe = format!("http: {{ body: {{ contains: ready }} }}, port: {}, plain_text: true", page.address().port());
    check(&gateway(origin.address(), &probe, &tls), Ok(()));
}

/// A gRPC server that answers a health check with this status of HTTP/2, this message and this gRPC status.
fn grpc(message: &'static [u8], status: &'static str) -> HyperOrigin {
    HyperOrigin::plain(move |seen| {
        let right = seen.parts.uri.path() == "/grpc.health.v1.Health/Check"
            && seen.field("content-type") == Some("application/grpc")
            && seen.body[..] == [0, 0, 0, 0, 3, 0x0a, 1, b'a'];
        let status = if right { status } else { "3" };
        let answer = Response::builder().header("content-type", "application/grpc").header("grpc-status", status);
        answer.body(full(message)).unwrap()
    })
}

#[test]
fn a_grpc_check_wants_serving() {
    let probe = "grpc: { service: a }";
    for (message, status, expected) in [
        (&[0, 0, 0, 0, 2, 8, 1][..], "0", Ok(())),
        (&[0, 0, 0, 0, 2, 8, 2], "0", Err("the body does not hold what it must")),
        (&[0, 0, 0, 0, 0], "0", Err("the body does not hold what it must")),
        (b"", "12", Err("the status was 12")),
    ] {
        check(&gateway(grpc(message, status).address(), probe, ""), expected);
    }
    check(&gateway(Origin::says("fine").address(), probe, ""), Err(""));
}

#[test]
fn checks_keep_their_connection_unless_they_are_told_not_to() {
    for (rest, kept) in [("", true), (", reuse: false", false)] {
        let origin = Origin::says("fine");
        let gateway = gateway(origin.address(), &format!("http: {{}}{rest}"), "");
        let checks = origin.wait_for(6).len();
        let connections = origin.connections();
        assert_eq!(connections < 3, kept, "{connections} connections for {checks} checks");
        let passed = gateway.admin().metric("portcullis_cluster_health_checks_total", "result=\"pass\"");
        assert!(passed >= 5.0, "{passed}");
    }
}

#[test]
fn a_kept_connection_that_was_closed_meanwhile_is_no_failure() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let origin = Origin::http1(move |_, wire| {
        counted.fetch_add(1, Ordering::SeqCst);
        // It says that the connection goes on, and closes it.
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        portcullis_integration_tests::After::Close
    });
    let gateway = gateway(origin.address(), "http: {}", "");
    until("some checks", || (count.load(Ordering::SeqCst) >= 6).then_some(()));
    assert_eq!(verdict(&gateway)["health"], "healthy");
    assert!(!gateway.stderr().contains("unhealthy"), "{}", gateway.stderr());
}

#[test]
fn the_log_has_a_line_for_a_change_and_none_for_a_check() {
    let origin = Origin::answers(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    let gateway = gateway(origin.address(), "http: {}", "");
    drop(origin.wait_for(6));
    let log = gateway.stderr();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("is unhealthy")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(lines[0].contains("the status was 500") && lines[0].contains("1 failing check"), "{}", lines[0]);
    let failed = gateway.admin().metric("portcullis_cluster_health_checks_total", "result=\"status\"");
    assert!(failed >= 5.0, "{failed}");
}
