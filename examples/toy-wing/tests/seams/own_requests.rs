//! Requests that the gateway makes for a filter: a call and an upgrade, by the rules of the cluster.

use portcullis_integration_tests::origin::refused;
use portcullis_integration_tests::websocket::{UPGRADE, switch_and_return};
use portcullis_integration_tests::{After, Gateway, Origin, until};
use std::net::SocketAddr;
use std::path::Path;

fn wing(endpoints: &[SocketAddr], cluster: &str, relay: &str) -> Gateway {
    let endpoints: Vec<String> = endpoints.iter().map(|to| format!("\"{to}\"")).collect();
    let text = format!(
        "listeners: {{ edge: {{ bind: \"@edge\" }} }}\n\
         clusters:\n\
         \x20 app: {{ endpoints: [{}], {cluster} }}\n\
         \x20 spare: {{ endpoints: [\"{}\"] }}\n\
         hosts:\n\
         \x20 - names: [\"*\"]\n\
         \x20   routes:\n\
         \x20     - {{ name: relay, filters: [{{ relay: {{ cluster: app{relay} }} }}], to: app }}\n\
         \x20     - {{ name: spare, match: {{ path: /spare }}, to: spare }}\n",
        endpoints.join(", "),
        Origin::says("spare").address(),
    );
    Gateway::of_binary(Path::new(env!("CARGO_BIN_EXE_toy-wing")), &text)
}

fn name(origin: &Origin) -> String {
    origin.address().to_string()
}

const POST: &str = "POST /x?y=1 HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n";

#[test]
fn a_call_is_sent_with_a_host_and_a_length_over_a_connection_that_is_kept() {
    let origin = Origin::says("told");
    let gateway = wing(&[origin.address()], "", "");
    let mut client = gateway.client();
    let answer = client.ask(POST);
    assert_eq!((answer.text().as_str(), answer.field("x-endpoint")), ("told", Some(name(&origin).as_str())));
    let received = origin.last();
    assert_eq!((received.target(), received.body.as_slice()), ("/x?y=1", &b"asked"[..]));
    assert_eq!(received.field("host"), Some(name(&origin).as_str()));
    assert_eq!(client.ask(POST).text(), "told");
    assert_eq!(client.get("/").text(), "told");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn another_endpoint_is_asked_when_one_refuses_the_connection() {
    let origin = Origin::says("told");
    let gateway = wing(&[refused(), origin.address()], "retry: { on: [connect_failure], attempts: 2 }", "");
    for _ in 0..4 {
        let answer = gateway.client().ask(POST);
        assert_eq!((answer.text().as_str(), answer.field("x-endpoint")), ("told", Some(name(&origin).as_str())));
    }
}

#[test]
fn what_may_have_been_acted_on_is_sent_again_only_if_that_is_harmless() {
    let (bad, good) = (Origin::http1(|_, wire| wire.reset()), Origin::says("told"));
    let cluster = "retry: { on: [reset], attempts: 3, budget: 100% }";
    let gateway = wing(&[bad.address(), good.address()], cluster, "");
    until("a call to the endpoint that fails", || {
        let answer = gateway.client().ask(POST);
        assert!(answer.status == 200 || answer.reason() == "upstream_reset", "{}", answer.head);
        (answer.status != 200).then_some(())
    });
    let failed = bad.received().len();
    until("a repetition of a call", || {
        assert_eq!(gateway.get("/").text(), "told");
        (bad.received().len() > failed).then_some(())
    });
}

#[test]
fn a_failover_chain_is_followed_and_limits_hold() {
    let gateway = wing(&[refused()], "failover: [spare]", "");
    assert_eq!(gateway.get("/").text(), "spare");
    let slow = Origin::http1(|_, wire| wire.wait_for_end());
    let gateway = wing(&[slow.address()], "limits: { requests: 1 }, timeouts: { first_byte: 30s }", "");
    let mut waiting = gateway.client();
    waiting.send(POST);
    assert_eq!(slow.wait_for(1).len(), 1);
    let answer = gateway.client().ask(POST);
    assert_eq!((answer.status, answer.reason().as_str()), (503, "overloaded"));
}

#[test]
fn an_answer_that_is_late_or_too_large_is_an_error() {
    let silent = Origin::http1(|_, wire| wire.wait_for_end());
    let gateway = wing(&[silent.address()], "timeouts: { first_byte: 200ms }", "");
    assert_eq!(gateway.client().ask(POST).reason(), "upstream_first_byte_timeout");
    let gateway = wing(&[silent.address()], "timeouts: { connect: 100ms, total: 200ms }", "");
    assert_eq!(gateway.client().ask(POST).reason(), "upstream_total_timeout");
    let large = Origin::http1(|_, wire| wire.ok(&"x".repeat(1025)));
    let gateway = wing(&[large.address()], "", "");
    let answer = gateway.client().ask(POST);
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_malformed"));
    let most = Origin::http1(|_, wire| wire.ok(&"x".repeat(1024)));
    let gateway = wing(&[most.address()], "", "");
    assert_eq!(gateway.client().ask(POST).text().len(), 1024);
}

#[test]
fn an_upgrade_is_opened_at_an_endpoint_that_grants_it() {
    let origin = Origin::at_head(|received, wire| {
        wire.note(received);
        switch_and_return(wire)
    });
    let gateway = wing(&[refused(), origin.address()], "", "");
    let mut client = gateway.client();
    client.send(UPGRADE);
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.to_ascii_lowercase().contains(&format!("x-endpoint: {}", name(&origin))), "{head}");
    assert_eq!(client.send("there and back").exactly(14).unwrap(), b"there and back");
    let received = origin.last();
    assert_eq!((received.field("upgrade"), received.field("sec-websocket-key")), (Some("websocket"), Some("dG9v")));
    let in_flight =
        || gateway.admin().metric("portcullis_endpoint_in_flight", &format!("endpoint=\"{}\"", name(&origin)));
    assert!(in_flight() > 0.5);
    client.finish().expect_end();
    until("the endpoint to be free", || (in_flight() < 0.5).then_some(()));
}

#[test]
fn an_endpoint_that_is_to_be_avoided_is_asked_when_there_is_no_other() {
    let grants = || Origin::at_head(|_, wire| switch_and_return(wire));
    let (first, second) = (grants(), grants());
    let gateway = wing(&[first.address(), second.address()], "", &format!(", avoid: \"{}\"", name(&first)));
    for _ in 0..4 {
        let mut client = gateway.client();
        client.send(UPGRADE);
        assert!(client.head().to_ascii_lowercase().contains(&format!("x-endpoint: {}", name(&second))));
    }
    let gateway = wing(&[first.address()], "", &format!(", avoid: \"{}\"", name(&first)));
    let mut client = gateway.client();
    client.send(UPGRADE);
    assert!(client.head().to_ascii_lowercase().contains(&format!("x-endpoint: {}", name(&first))));
}

#[test]
fn any_other_answer_to_an_upgrade_is_an_error() {
    let origin = Origin::http1(|_, wire| {
        wire.ok("no");
        After::Close
    });
    let gateway = wing(&[origin.address()], "", "");
    let mut client = gateway.client();
    client.send(UPGRADE);
    let answer = client.response();
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_malformed"));
    assert!(answer.detail().contains("200 in place of an upgrade"), "{}", answer.text());
}

#[test]
fn a_check_builds_filters_that_would_make_requests() {
    let gateway = wing(&[refused()], "", "");
    let file = gateway.file();
    let checked = std::process::Command::new(env!("CARGO_BIN_EXE_toy-wing")).args(["check", "-c"]).arg(file).output();
    let checked = checked.unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}
