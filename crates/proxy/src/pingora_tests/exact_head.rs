//! What the gateway relies on in how Pingora's HTTP/1 sessions write a head, which is our change (`vendor/README.md`): in a block of its
//! size, whatever stands in it.

use pingora_core::protocols::http::v1::client::http_req_header_to_wire;
use pingora_core::protocols::http::v1::server::HttpSession;
use pingora_http::{RequestHeader, ResponseHeader};

use super::socket::{After, Socket};

/// Fields of every kind: names in any case, values that are empty, long or not text, a name that comes twice.
fn fields(mut add: impl FnMut(String, Vec<u8>)) -> Vec<u8> {
    let mut wire = Vec::new();
    for (name, value) in [
        ("X-CaSe", b"kept".to_vec()),
        ("content-TYPE", b"text/plain".to_vec()),
        ("x-empty", Vec::new()),
        ("X-Latin", b"caf\xe9".to_vec()),
        ("x-twice", b"1".to_vec()),
        ("x-twice", b"2".to_vec()),
        ("x-long", vec![b'v'; 5_000]),
    ] {
        wire.extend_from_slice(&[name.as_bytes(), b": ", &*value, b"\r\n"].concat());
        add(name.to_owned(), value);
    }
    wire
}

#[test]
fn a_request_takes_what_its_bytes_take() {
    for (method, path) in [("GET", "/"), ("PROPFIND", "/a?b=c"), ("DELETE", "*")] {
        let mut head = RequestHeader::build(method, path.as_bytes(), None).unwrap();
        let fields = fields(|name, value| assert!(head.append_header(name, value).is_ok()));
        let wire = http_req_header_to_wire(&head).unwrap();
        let line = format!("{method} {path} HTTP/1.1\r\n").into_bytes();
        assert_eq!(*wire, [line, fields, b"\r\n".to_vec()].concat());
        assert_eq!(wire.capacity(), wire.len(), "{method} {path}");
    }
    let bare = RequestHeader::build("GET", b"/", None).unwrap();
    assert_eq!(*http_req_header_to_wire(&bare).unwrap(), *b"GET / HTTP/1.1\r\n\r\n");
}

#[tokio::test]
async fn a_response_says_all_that_it_has() {
    for (status, reason) in [(200, None), (404, Some("Gone Fishing")), (299, None), (503, Some(""))] {
        let socket = Socket::sends([b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n".to_vec()], After::Silence);
        let mut session = HttpSession::new(Box::new(socket.stream()));
        session.read_request().await.unwrap().unwrap();
        let mut head = ResponseHeader::build(status, None).unwrap();
        if reason.is_some() {
            head.set_reason_phrase(reason).unwrap();
        }
        let said = head.get_reason_phrase().unwrap_or_default().to_owned();
        head.insert_header("Content-Length", "0").unwrap();
        let fields = fields(|name, value| assert!(head.append_header(name, value).is_ok()));
        session.write_response_header(Box::new(head)).await.unwrap();
        session.finish_body().await.unwrap();
        let line = format!("HTTP/1.1 {status} {said}\r\nContent-Length: 0\r\n").into_bytes();
        let sent = socket.writes().concat();
        let added = sent.strip_prefix(&*[line, fields].concat()).unwrap();
        let (date, connection) = added.split_at(b"Date: Tue, 01 Dec 2026 00:00:00 GMT\r\n".len());
        assert!(date.starts_with(b"Date: ") && date.ends_with(b" GMT\r\n"), "{}", date.escape_ascii());
        assert_eq!(connection, b"Connection: keep-alive\r\n\r\n");
    }
}

/// What is parsed has room for 256 fields, which nothing is written to before.
#[tokio::test]
async fn heads_have_room_for_256_fields_and_no_more() {
    for (count, taken) in [(1, true), (255, true), (256, true), (257, false)] {
        let fields: String = (0..count).map(|number| format!("x-{number}: {number}\r\n")).collect();
        let socket = Socket::sends([format!("GET / HTTP/1.1\r\n{fields}\r\n").into_bytes()], After::Silence);
        let mut server = HttpSession::new(Box::new(socket.stream()));
        let request = server.read_request().await;
        assert_eq!(request.is_ok(), taken, "a request with {count}");
        let socket = Socket::sends([format!("HTTP/1.1 200 OK\r\n{fields}\r\n").into_bytes()], After::Silence);
        let mut client = socket.session();
        assert_eq!(client.read_response().await.is_ok(), taken, "a response with {count}");
        if taken {
            assert_eq!(server.req_header().headers.len(), count);
            let last = format!("x-{}", count - 1);
            assert_eq!(client.resp_header().unwrap().headers.get(&last).unwrap(), &(count - 1).to_string());
        }
    }
}
