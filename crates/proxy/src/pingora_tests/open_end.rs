//! What the gateway relies on in Pingora's reading of bodies from an upstream, which is our change (`vendor/README.md`):
//! a stream that lies idle holds little, one that flows is read in large pieces, and nothing is lost in between.

use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Waker};

use super::socket::{After, Socket};

/// Bytes that differ from place to place.
fn bytes(count: usize) -> Vec<u8> {
    (0..=252).cycle().take(count).collect()
}

/// Reads a response of this head whose body comes in these pieces; the parts that were read, and the room of each read.
async fn read(head: &str, pieces: Vec<Vec<u8>>) -> (Vec<Vec<u8>>, Vec<usize>) {
    let socket = Socket::sends([head.as_bytes().to_vec()].into_iter().chain(pieces), After::End);
    let mut session = socket.session();
    session.read_response().await.unwrap();
    socket.rooms();
    let mut parts = Vec::new();
    while let Some(part) = session.read_body_bytes().await.unwrap() {
        parts.push(part.to_vec());
    }
    assert_eq!(session.body_bytes_received(), parts.iter().map(Vec::len).sum::<usize>());
    (parts, socket.rooms())
}

const OPEN_END: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_stream_of_small_pieces_has_little_room() {
    let pieces: Vec<_> = (0..20).map(|_| bytes(100)).collect();
    let (parts, rooms) = read(OPEN_END, pieces.clone()).await;
    assert_eq!(parts, pieces);
    assert!(rooms.iter().all(|room| *room == 2048), "{rooms:?}");
}

#[tokio::test]
async fn a_stream_that_flows_gets_more_room_and_loses_it_when_it_trickles() {
    let sent: Vec<_> = [bytes(400_000)].into_iter().chain((0..12).map(|_| bytes(10))).collect();
    let (parts, rooms) = read(OPEN_END, sent.clone()).await;
    assert_eq!(parts.concat(), sent.concat());
    assert_eq!(&rooms[..7], [2_048, 4_096, 8_192, 16_384, 32_768, 65_536, 65_536]);
    assert_eq!(rooms.last(), Some(&2_048), "{rooms:?}");
}

#[tokio::test]
async fn a_stream_waits_with_little_room_whatever_came_before() {
    let socket = Socket::sends([OPEN_END.as_bytes().to_vec(), bytes(100_000)], After::Silence);
    let mut session = socket.session();
    session.read_response().await.unwrap();
    let mut read = 0;
    while read < 100_000 {
        read += session.read_body_bytes().await.unwrap().unwrap().len();
    }
    socket.rooms();
    let mut waiting = pin!(session.read_body_bytes());
    assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    assert_eq!(socket.rooms().last(), Some(&2_048), "what it waits with, after it looked with more");
}

#[tokio::test]
async fn a_body_of_known_length_is_whole_however_it_is_cut() {
    for length in [1_usize, 1_000, 32_768, 65_536, 65_537, 200_000] {
        for piece in [1_000, 40_000, 70_000] {
            let body = bytes(length);
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
            let (parts, _) = read(&head, body.chunks(piece).map(<[u8]>::to_vec).collect()).await;
            assert!(parts.concat() == body, "{length} bytes in pieces of {piece}");
        }
    }
}

#[tokio::test]
async fn chunks_are_whole_however_large() {
    let body = bytes(150_000);
    let mut sent: Vec<u8> = Vec::new();
    for chunk in body.chunks(50_000) {
        sent.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        sent.extend_from_slice(chunk);
        sent.extend_from_slice(b"\r\n");
    }
    sent.extend_from_slice(b"0\r\n\r\n");
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (parts, _) = read(head, sent.chunks(30_000).map(<[u8]>::to_vec).collect()).await;
    assert!(parts.concat() == body);
}
