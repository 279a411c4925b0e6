//! The framing of request bodies: judged with the head where it came with it, and on its way later.

use portcullis_integration_tests::{After, Client, Gateway, Origin, Setup};

const HEAD: &[u8] = b"POST /body HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Chunked content that breaks a rule, and the rule's name.
const BROKEN: &[(&[u8], &str)] = &[
    (b"\r\nhello\r\n0\r\n\r\n", "chunk_size_missing"),
    (b";a=b\r\nhello\r\n0\r\n\r\n", "chunk_size_missing"),
    (b"x\r\nhello\r\n0\r\n\r\n", "chunk_size_invalid"),
    (b"0x5\r\nhello\r\n0\r\n\r\n", "chunk_size_invalid"),
    (b"-5\r\nhello\r\n0\r\n\r\n", "chunk_size_invalid"),
    (b"5 \r\nhello\r\n0\r\n\r\n", "chunk_size_invalid"),
    (b"00000000000000005\r\nhello\r\n0\r\n\r\n", "chunk_size_too_long"),
    (b"ffffffffffffffff\r\n", "chunk_size_too_large"),
    (b"5\nhello\r\n0\r\n\r\n", "chunk_bare_lf"),
    (b"5\rhello\r\n0\r\n\r\n", "chunk_bare_cr"),
    (b"5;a\0b\r\nhello\r\n0\r\n\r\n", "chunk_extension_invalid"),
    (b"5;a=b\nhello\r\n0\r\n\r\n", "chunk_bare_lf"),
    (b"5;=b\r\nhello\r\n0\r\n\r\n", "chunk_extension_invalid"),
    (b"5\r\nhelloworld\r\n0\r\n\r\n", "chunk_data_unterminated"),
    (b"5\r\nhello\n0\r\n\r\n", "chunk_data_unterminated"),
    (b"0\r\nX A: b\r\n\r\n", "trailer_name_invalid"),
    (b"0\r\nX-A: b\0c\r\n\r\n", "trailer_value_invalid"),
    (b"0\r\nContent-Length: 5\r\n\r\n", "trailer_forbidden"),
    (b"0\r\nHost: b.test\r\n\r\n", "trailer_forbidden"),
];

fn gateway(origin: &Origin) -> Gateway {
    Setup::to(origin).start()
}

#[test]
fn judges_content_that_came_with_the_head_before_an_upstream_is_contacted() {
    let origin = Origin::says("fine");
    let gateway = gateway(&origin);
    for (content, rule) in BROKEN {
        let mut client = gateway.client();
        let answer = client.ask([HEAD, content].concat());
        assert_eq!(
            (answer.status, answer.reason().as_str(), answer.detail().as_str()),
            (400, "malformed_framing", *rule)
        );
        assert!(answer.closes(), "{rule}");
        let record = gateway.record_of(&answer);
        assert_eq!((&record["reason"], &record["detail"]), (&"malformed_framing".into(), &(*rule).into()));
        client.finish().expect_end();
    }
    assert_eq!(origin.connections(), 0);
}

/// Sends a head and a good chunk, waits until the upstream has the head, then sends the rest.
fn break_later(gateway: &Gateway, origin: &Origin, content: &[u8]) -> Client {
    let before = origin.received().len();
    let mut client = gateway.client();
    client.send(HEAD).send(b"3\r\nabc\r\n");
    let _ = origin.wait_for(before + 1);
    client.send(content);
    client
}

#[test]
fn aborts_both_sides_when_content_breaks_a_rule_on_its_way() {
    // The head is noted as soon as it is there; the content must never become whole.
    let origin = Origin::at_head(|received, wire| {
        wire.note(received);
        if wire.read_body(received) {
            return wire.ok("whole");
        }
        wire.wait_for_end()
    });
    let gateway = gateway(&origin);
    for (content, rule) in BROKEN {
        let mut client = break_later(&gateway, &origin, content);
        let answer = client.response();
        assert_eq!(
            (answer.status, answer.reason().as_str(), answer.detail().as_str()),
            (400, "malformed_framing", *rule)
        );
        assert!(answer.closes(), "{rule}");
        client.finish().expect_end();
        let record = gateway.record_of(&answer);
        assert_eq!((&record["reason"], &record["detail"]), (&"malformed_framing".into(), &(*rule).into()));
    }
}

#[test]
fn closes_the_upstream_connection_of_a_body_that_broke_off() {
    let (sender, ended) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let origin = Origin::at_head(move |received, wire| {
        wire.note(received);
        let whole = wire.read_body(received);
        sender.lock().unwrap().send(whole).unwrap();
        After::Close
    });
    let gateway = gateway(&origin);
    drop(break_later(&gateway, &origin, b"zz\r\n"));
    assert!(!ended.recv_timeout(portcullis_integration_tests::PATIENCE).unwrap(), "the upstream saw a whole request");
}

#[test]
fn aborts_a_response_that_has_begun_when_the_request_breaks_a_rule() {
    let origin = Origin::at_head(|received, wire| {
        wire.note(received);
        wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        wire.read_body(received);
        wire.send(b"0\r\n\r\n")
    });
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    client.send(HEAD).send(b"3\r\nabc\r\n");
    assert!(client.head().starts_with("HTTP/1.1 200"));
    assert_eq!(client.next_chunk().unwrap(), b"first");
    client.send(b"zz\r\n");
    let rest = client.rest();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "the answer looks whole: {:?}", String::from_utf8_lossy(&rest));
    let record = gateway.record_with("malformed_framing");
    assert_eq!((&record["detail"], &record["status"]), (&"chunk_size_invalid".into(), &200.into()));
    assert_eq!(record["flags"], serde_json::json!(["aborted"]));
}

#[test]
fn takes_well_formed_chunks_with_extensions_and_trailers() {
    let origin = Origin::says("fine");
    let gateway = gateway(&origin);
    let content = b"5;name=value;other=\"quo\\\"ted\"\r\nhello\r\nA\r\n, in parts\r\n000\r\nX-Check: 1\r\n\r\n";
    let mut client = gateway.client();
    let answer = client.ask([HEAD, content.as_slice()].concat());
    assert_eq!(answer.status, 200);
    assert_eq!(origin.last().body, b"hello, in parts");
    assert_eq!(client.get("/next").status, 200, "the connection lives on");
}

#[test]
fn reports_a_client_that_leaves_in_the_middle_of_a_body() {
    let origin = Origin::at_head(|received, wire| {
        wire.note(received);
        assert!(!wire.read_body(received), "the upstream saw a whole request");
        After::Close
    });
    let gateway = gateway(&origin);
    let mut client = gateway.client();
    client.send(b"POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 10\r\n\r\nhalf");
    let _ = origin.wait_for(1);
    client.reset();
    assert_eq!(gateway.record_with("client_closed")["method"], "POST");
}
