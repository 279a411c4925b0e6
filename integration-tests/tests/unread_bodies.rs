//! Requests whose body nobody wants: their answer comes, and what follows on the connection is not mistaken for it.

use portcullis_integration_tests::origin::refused;
use portcullis_integration_tests::{Gateway, Origin, Setup};
use socket2::{Domain, Socket, Type};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// A gateway that answers `/fixed` and `/denied` itself and has nobody behind `/gone`.
fn gateway(origin: &Origin) -> Gateway {
    let access = "filters: [{ access: { rules: [{ deny: all }] } }]";
    Setup::to(origin)
        .and_cluster("gone", refused(), "")
        .and_route("{ name: fixed, match: { path: /fixed }, respond: { body: fixed } }")
        .and_route(&format!("{{ name: denied, match: {{ path: /denied }}, to: app, {access} }}"))
        .and_route("{ name: gone, match: { path: /gone }, to: gone }")
        .start()
}

const PATHS: [(&str, u16); 3] = [("/fixed", 200), ("/denied", 403), ("/gone", 502)];

#[test]
fn goes_on_behind_a_body_that_came_with_its_head() {
    let origin = Origin::says("fine");
    let gateway = gateway(&origin);
    for (path, status) in PATHS {
        for (framing, body) in [
            ("Content-Length: 36", "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n "),
            ("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
        ] {
            let mut client = gateway.client();
            let answer = client.ask(format!("POST {path} HTTP/1.1\r\nHost: app.test\r\n{framing}\r\n\r\n{body}"));
            assert_eq!(answer.status, status, "{path} {framing}");
            if answer.closes() {
                client.expect_end();
            } else {
                assert_eq!(client.get("/next").text(), "fine", "{path} {framing}");
            }
        }
    }
    let received = origin.received();
    assert!(received.iter().all(|request| request.path() == "/next"), "{received:?}");
}

#[test]
fn does_not_take_a_body_that_comes_later_for_a_request() {
    let origin = Origin::says("fine");
    let gateway = gateway(&origin);
    for (path, status) in PATHS {
        let mut client = gateway.client();
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n".repeat(100);
        let head = format!("POST {path} HTTP/1.1\r\nHost: app.test\r\nContent-Length: {}\r\n\r\n", smuggled.len());
        let answer = client.ask(head);
        assert_eq!(answer.status, status, "{path}");
        // The gateway may have closed; if not, the body is a body still.
        let sent = client.try_send(smuggled + "GET /next HTTP/1.1\r\nHost: app.test\r\n\r\n");
        if sent.is_ok() && !answer.closes() {
            assert_eq!(client.response().text(), "fine", "{path}");
        }
        client.finish();
        client.rest();
    }
    let received = origin.received();
    assert!(received.iter().all(|request| request.path() == "/next"), "{received:?}");
}

#[test]
fn answers_head_with_an_error_without_a_body() {
    let gateway = gateway(&Origin::says("fine"));
    for (path, status) in PATHS {
        let mut client = gateway.client();
        let head = format!("HEAD {path} HTTP/1.1\r\nHost: app.test\r\n\r\n");
        assert_eq!(client.send(head).response_to_head().status, status, "{path}");
        assert_eq!(client.get("/next").text(), "fine", "{path}: nothing was left on the connection");
    }
}

#[test]
fn tells_a_client_that_waits_for_100_its_refusal_at_once() {
    let origin = Origin::says("fine");
    let gateway = gateway(&origin);
    for (path, status) in PATHS {
        let mut client = gateway.client();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
        let answer = client.ask(head);
        assert_eq!((answer.status, answer.closes()), (status, true), "{path}: {}", answer.head);
    }
    assert!(origin.received().is_empty());
}

/// An origin that answers a head and closes, with a window so small that the body cannot be written to it.
fn refuses_bodies() -> SocketAddr {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(2_048).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(64).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // Not a byte beyond the head: what is left makes the end a reset.
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count > 0) {
                head.push(byte[0]);
            }
            stream.write_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!").unwrap();
        }
    });
    address
}

#[test]
fn passes_on_what_an_upstream_said_that_closed_before_it_was_sent_the_body() {
    let origin = Origin::says("fine");
    let gateway = Setup::to(&origin)
        .and_cluster("refuses", refuses_bodies(), "")
        .and_route("{ name: refuses, match: { path: /refuses }, to: refuses }")
        .start();
    for method in ["POST", "PUT"] {
        for size in [60_000, 300_000] {
            let mut client = gateway.client();
            client.send(format!("{method} /refuses HTTP/1.1\r\nHost: app.test\r\nContent-Length: {size}\r\n\r\n"));
            client.send(vec![b'x'; size]);
            let answer = client.response();
            assert_eq!((answer.status, answer.text().as_str()), (413, "no!"), "{method} of {size} bytes");
        }
    }
}

/// An answer that is whole is not kept for the end of its request, which the client may send only when it has it.
#[test]
fn an_answer_leaves_while_the_rest_of_its_request_is_waited_for() {
    let origin = Origin::at_head(|_, wire| {
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly");
        wire.wait_for_end()
    });
    let gateway = gateway(&origin);
    for (path, answer) in [("/", "early"), ("/fixed", "fixed")] {
        let mut client = gateway.client();
        let head = format!("POST {path} HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n");
        let first = client.ask(head + "5\r\nhello\r\n");
        assert_eq!((first.status, first.text().as_str()), (200, answer), "{path}");
        // Whether it closes then is up to the gateway.
        if client.try_send("0\r\n\r\n").is_ok() && !first.closes() {
            assert_eq!(client.get("/fixed").text(), "fixed", "{path}");
        }
    }
}
