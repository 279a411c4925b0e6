//! What comes while nothing was asked, from a server that says what it is told to.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::time::Instant;

use super::*;

const LONG: Duration = Duration::from_secs(30);

const FLIGHT: Flight = Flight { id: 1, planned: Duration::ZERO, kind: 0 };

/// A connection on which nothing is asked, and its other end.
fn idle(websocket: bool) -> (Connection, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut connection = Connection::open(listener.local_addr().unwrap(), None, None, FLIGHT).unwrap();
    let (server, _) = listener.accept().unwrap();
    server.set_read_timeout(Some(LONG)).unwrap();
    if websocket {
        connection.upgraded();
    } else {
        // As behind an answer.
        connection.reader.expect(false);
        assert!(matches!(connection.reader.take(b"HTTP/1.1 204 No\r\n\r\n").0, Progress::Whole { .. }));
    }
    connection.state = State::Idle;
    (connection, server)
}

/// Receives until something has come.
fn receive(connection: &mut Connection) -> Received {
    let (mut buffer, until) = (vec![0; 1024], Instant::now() + LONG);
    loop {
        let received = connection.receive(&mut buffer);
        if received != Received::Part || connection.unasked != Unasked::default() {
            return received;
        }
        assert!(Instant::now() < until, "nothing comes");
        std::thread::yield_now();
    }
}

fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    websocket::write(opcode, payload, None, &mut frame);
    frame
}

fn close(code: u16) -> Vec<u8> {
    frame(Opcode::Close, &code.to_be_bytes())
}

#[test]
fn ends_are_told_apart() {
    let [closed, cut] = [(1, 0), (0, 1)];
    for (websocket, said, reset, expected) in [
        (false, vec![], false, closed),
        (false, vec![], true, cut),
        (true, close(1001), false, closed),
        (true, close(1012), false, closed),
        (true, close(1011), false, cut),
        (true, vec![], false, cut),
        (true, vec![], true, cut),
    ] {
        let (mut connection, mut server) = idle(websocket);
        server.write_all(&said).unwrap();
        if reset {
            socket2::SockRef::from(&server).set_linger(Some(Duration::ZERO)).unwrap();
            drop(server);
        } else {
            server.shutdown(Shutdown::Write).unwrap();
        }
        let received = receive(&mut connection);
        connection.ends_idle(received);
        let Unasked { closed, cut, said: count } = connection.take_unasked();
        assert_eq!(((closed, cut), count), (expected, 0), "{websocket} {said:?} {reset}");
    }
}

#[test]
fn what_is_said_unasked_is_counted_and_what_is_no_answer_is_not() {
    for (websocket, said, expected) in [
        (false, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(), 1),
        (true, frame(Opcode::Text, b"a"), 1),
        (true, [frame(Opcode::Text, b"a"), frame(Opcode::Text, b"b")].concat(), 2),
    ] {
        let (mut connection, mut server) = idle(websocket);
        server.write_all(&said).unwrap();
        receive(&mut connection);
        assert_eq!(connection.take_unasked().said, expected, "{said:?}");
    }
    for (websocket, said) in [(false, b"\r\n".to_vec()), (true, frame(Opcode::Ping, b"x"))] {
        let (mut connection, mut server) = idle(websocket);
        server.write_all(&said).unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        receive(&mut connection);
        assert_eq!(connection.take_unasked().said, 0, "{said:?}");
    }
}

#[test]
fn a_second_message_and_a_goodbye_behind_an_answer_are_not_the_answers() {
    let (mut connection, mut server) = idle(true);
    connection.state = State::Waiting(FLIGHT);
    let said = [frame(Opcode::Text, b"mine"), frame(Opcode::Text, b"more"), close(1001)].concat();
    server.write_all(&said).unwrap();
    assert_eq!(receive(&mut connection), Received::Whole { closes: true });
    assert_eq!(connection.answer().body, b"mine");
    assert_eq!(connection.take_unasked(), Unasked { closed: 1, cut: 0, said: 1 });
    // It answers the goodbye, section 5.5.1.
    let mut reply = [0; 8];
    server.read_exact(&mut reply).unwrap();
    assert_eq!(reply, [0x88, 0x82, 0, 0, 0, 0, 3, 233]);
}

#[test]
fn a_goodbye_in_place_of_an_answer_is_no_cut() {
    for (code, expected) in [(1001, Kind::Goodbye), (1000, Kind::Reset)] {
        let (mut connection, mut server) = idle(true);
        connection.state = State::Waiting(FLIGHT);
        server.write_all(&close(code)).unwrap();
        assert_eq!(receive(&mut connection), Received::Cut(expected));
        assert_eq!(connection.take_unasked(), Unasked::default());
    }
}
