//! The origin over real sockets.

use super::*;
use crate::client::Client;
use crate::websocket::{self, Opcode};

#[test]
fn answers_and_counts_what_it_is_asked() {
    let origin = Origin::start("{\"fine\":true}").unwrap();
    let mut client = Client::connect(origin.address()).unwrap();
    assert_eq!(client.get("/a").unwrap().body, b"{\"fine\":true}");
    assert_eq!(client.get("/status/503").unwrap().status, 503);
    client.send("POST /rpc HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n{\"id\":7}").unwrap();
    assert_eq!(client.answer().unwrap().body, b"{\"jsonrpc\":\"2.0\",\"result\":{\"value\":1},\"id\":7}");
    origin.answer_with(502);
    assert_eq!(client.get("/a").unwrap().status, 502);
    origin.answer_with(0);
    // Two at once, and the last one on this connection.
    client.send("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
    assert_eq!((client.answer().unwrap().status, client.answer().unwrap().status), (200, 200));
    assert!(client.get("/c").is_err());
    assert_eq!(origin.requests(), 6);
}

#[test]
fn sends_and_takes_bodies_whose_hash_is_known() {
    let origin = Origin::start("x").unwrap();
    let mut client = Client::connect(origin.address()).unwrap();
    let body = client.get("/bytes/150000").unwrap().body;
    assert_eq!(
        pattern::hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &body).as_ref()),
        pattern::Pattern::sha256(150_000)
    );
    client.send("POST /sink HTTP/1.1\r\nContent-Length: 150000\r\n\r\n").unwrap();
    client.send_bytes(&body).unwrap();
    let answer = String::from_utf8(client.answer().unwrap().body).unwrap();
    assert_eq!(answer, format!("{{\"bytes\":150000,\"sha256\":\"{}\"}}", pattern::Pattern::sha256(150_000)));
    assert_eq!(origin.counters().sunk.load(Ordering::SeqCst), 150_000);
}

#[test]
fn returns_messages_and_answers_pings_on_websockets_of_its_loop() {
    use crate::websocket::{Frames, Opcode, upgrade, write};
    let origin = Origin::start("x").unwrap();
    let mut client = Client::connect(origin.address()).unwrap();
    client.send_bytes(&upgrade("/ws", "a", "")).unwrap();
    assert_eq!(client.answer().unwrap().status, 101);
    let mut calls = Vec::new();
    for (opcode, text) in [(Opcode::Text, "one"), (Opcode::Ping, "two"), (Opcode::Close, "")] {
        write(opcode, text.as_bytes(), Some([1, 2, 3, 4]), &mut calls);
    }
    client.send_bytes(&calls).unwrap();
    let (mut frames, mut found) = (Frames::default(), Vec::new());
    while found.len() < 3 {
        let mut byte = [0];
        client.exchange(b"", &mut byte).unwrap();
        frames.push(&byte);
        found.extend(frames.message().unwrap().map(|message| (message.opcode, message.payload)));
    }
    let expected = [(Opcode::Text, b"one".to_vec()), (Opcode::Pong, b"two".to_vec()), (Opcode::Close, Vec::new())];
    assert_eq!(found, expected);
    assert!(client.exchange(b"", &mut [0]).is_err(), "it is over");
    assert_eq!(origin.counters().messages.load(Ordering::SeqCst), 1);
}

#[test]
fn answers_frames_that_come_with_the_handshake() {
    use crate::websocket::{Frames, Opcode, upgrade, write};
    let origin = Origin::start("x").unwrap();
    let mut client = Client::connect(origin.address()).unwrap();
    let mut bytes = upgrade("/ws", "a", "");
    write(Opcode::Text, b"at once", Some([1, 2, 3, 4]), &mut bytes);
    client.send_bytes(&bytes).unwrap();
    assert_eq!(client.answer().unwrap().status, 101);
    let mut frames = Frames::default();
    let message = loop {
        let mut byte = [0];
        client.exchange(b"", &mut byte).unwrap();
        frames.push(&byte);
        if let Some(message) = frames.message().unwrap() {
            break message;
        }
    };
    assert_eq!((message.opcode, message.payload), (Opcode::Text, b"at once".to_vec()));
}

#[test]
fn what_a_post_asks_for_is_no_body_of_the_pattern() {
    let origin = Origin::start("fixed").unwrap();
    let mut client = Client::connect(origin.address()).unwrap();
    for _ in 0..2 {
        client.send("POST /bytes/1000000 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc").unwrap();
        assert_eq!(client.answer().unwrap().body, b"fixed");
    }
}

#[test]
fn a_small_body_is_the_same_pattern_and_a_wait_is_counted() {
    let origin = Origin::start("x").unwrap();
    let mut client = Client::connect(origin.address()).unwrap();
    for length in [1, 1000, 100 << 10, SMALL, SMALL + 1] {
        let body = client.get(&format!("/bytes/{length}")).unwrap().body;
        assert!(body == pattern::Pattern::first(length), "{length}");
    }
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(origin.address()).unwrap()).collect();
    clients.iter_mut().for_each(|client| client.send("GET /wait/60000 HTTP/1.1\r\n\r\n").unwrap());
    let deadline = Instant::now() + Duration::from_secs(30);
    while origin.counters().waiting.load(Ordering::SeqCst) < 3 {
        assert!(Instant::now() < deadline, "they do not wait");
        std::thread::yield_now();
    }
    assert_eq!(origin.counters().most_waiting.load(Ordering::SeqCst), 3);
}

#[test]
fn tells_subscribers_in_order_after_their_number() {
    use crate::websocket::{Frames, Opcode, upgrade, write};
    let origin = Origin::start("x").unwrap();
    let mut client = Client::connect(origin.address()).unwrap();
    client.send_bytes(&upgrade("/pubsub", "a", "")).unwrap();
    assert_eq!(client.answer().unwrap().status, 101);
    let mut call = Vec::new();
    write(Opcode::Text, b"{\"id\":5,\"method\":\"slotSubscribe\"}", Some([1, 2, 3, 4]), &mut call);
    client.send_bytes(&call).unwrap();
    let (mut frames, mut texts) = (Frames::default(), Vec::new());
    while texts.len() < 3 {
        let mut byte = [0];
        client.exchange(b"", &mut byte).unwrap();
        frames.push(&byte);
        if let Some(message) = frames.message().unwrap() {
            texts.push(String::from_utf8(message.payload).unwrap());
            if texts.len() == 1 {
                (7..9).for_each(|slot| origin.publish(slot));
            }
        }
    }
    assert_eq!(texts[0], "{\"jsonrpc\":\"2.0\",\"result\":1,\"id\":5}");
    assert!(texts[1].contains("\"slot\":7}") && texts[2].contains("\"slot\":8}"), "{texts:?}");
}

#[test]
fn a_connection_that_has_waited_is_answered_as_any_other() {
    let origin = Origin::start("{}").unwrap();
    let mut client = Client::connect(origin.address()).unwrap();
    for (target, status) in [("/wait/1", 200), ("/status/418", 418), ("/", 200)] {
        assert_eq!(client.get(target).unwrap().status, status, "{target}");
    }
    assert_eq!(origin.counters().most_waiting.load(Ordering::SeqCst), 1);
    client.send_bytes(&websocket::upgrade("/ws", "a", "")).unwrap();
    assert_eq!(client.answer().unwrap().status, 101);
    let (mut sent, mut expected) = (Vec::new(), Vec::new());
    websocket::write(Opcode::Text, b"hello", Some([1, 2, 3, 4]), &mut sent);
    websocket::write(Opcode::Text, b"hello", None, &mut expected);
    let mut back = vec![0; expected.len()];
    client.exchange(&sent, &mut back).unwrap();
    assert_eq!(back, expected);
    assert_eq!((origin.requests(), origin.counters().messages.load(Ordering::SeqCst)), (4, 1));
}
