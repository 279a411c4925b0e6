//! Bodies of hedged requests: the head waits for the first part of the body, and both attempts get all of both.

use super::*;

/// Bodies as the client sends them, a write for each piece: on both sides of the 16 KiB that are copied behind a head, in one piece and
/// in many, all of what is kept for a second attempt (64 KiB).
const BODIES: [&[usize]; 8] = [
    &[1],
    &[100],
    &[16 * 1024 - 1],
    &[16 * 1024],
    &[16 * 1024 + 1],
    &[1, 100, 16 * 1024, 40 * 1024],
    &[40 * 1024, 1, 100, 1],
    &[64 * 1024],
];

const USUALLY: &str = "GET /usual HTTP/1.1\r\nHost: app.test\r\n\r\n";

/// Lets the gateway learn what is usual: by many at a time, since on a busy machine it forgets more of one after another than it learns.
fn learn_at_once(gateway: &Gateway) {
    let at = gateway.address("edge");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = Client::connect(at);
                // What is late or refused on a busy machine teaches less, and no more is asked of it here.
                let mut asked = |_| client.try_send(USUALLY).and_then(|()| client.try_response()).ok();
                (0..25).map_while(&mut asked).for_each(drop);
            });
        }
    });
}

/// Bytes of which no two stretches are alike.
fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|at| u8::try_from((at * at / 7 + at) % 251).unwrap()).collect()
}

/// A request of this body: its head, and the pieces of its content as they are framed.
fn request(body: &[u8], sizes: &[usize], chunked: bool) -> (String, Vec<Vec<u8>>) {
    let mut rest = body;
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    for size in sizes {
        let (piece, after) = rest.split_at(*size);
        rest = after;
        let framed = [format!("{size:x}\r\n").as_bytes(), piece, b"\r\n"].concat();
        pieces.push(if chunked { framed } else { piece.to_vec() });
    }
    if chunked {
        pieces.push(b"0\r\n\r\n".to_vec());
    }
    let framing =
        if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {}", body.len()) };
    (format!("POST /slow HTTP/1.1\r\nHost: app.test\r\n{framing}\r\nX-Last: of the head\r\n\r\n"), pieces)
}

/// A head without what names the attempt.
fn common(received: &Received) -> Vec<&str> {
    received.head.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("traceparent:")).collect()
}

/// What each of the two got for `/slow` since there were so many requests.
fn got(origins: &[Origin; 2], before: [usize; 2]) -> [Vec<Received>; 2] {
    let slow = |(origin, before): (&Origin, usize)| {
        origin.received().split_off(before).into_iter().filter(|received| received.path() == "/slow").collect()
    };
    [slow((&origins[0], before[0])), slow((&origins[1], before[1]))]
}

#[test]
fn both_attempts_get_the_whole_head_and_body_and_one_answer_comes_back() {
    let (hold, ended) = held();
    let origins = pair(hold, |wire| wire.ok("second"));
    let setup = setup(&origins).route("idempotent: true").cluster("retry: { attempts: 1 }");
    // A gateway that waits for a core refuses, and so many learn here at once.
    let setup = setup.top("overload: { event_loop_delay: 0s }");
    let gateway = setup.cluster("timeouts: { first_byte: 2s }").start();
    let ways = [(false, false), (true, false), (false, true), (true, true)];
    for (sizes, (chunked, apart)) in BODIES.into_iter().flat_map(|sizes| ways.map(|way| (sizes, way))) {
        let case = format!("{sizes:?}, chunked: {chunked}, head apart: {apart}");
        let body = bytes(sizes.iter().sum());
        let (head, pieces) = request(&body, sizes, chunked);
        // It may still have forgotten what is usual, and make no second attempt.
        let (mut client, answer, before) = until(&case, || {
            learn_at_once(&gateway);
            let before = origins.each_ref().map(|origin| origin.received().len());
            let mut client = gateway.client();
            let (first, others) = pieces.split_first().unwrap();
            if apart {
                client.send(&head);
                until("an attempt", || {
                    (gateway.admin().metric("portcullis_endpoint_in_flight", "") > 0.0).then_some(())
                });
                client.send(first);
            } else {
                client.send([head.as_bytes(), first].concat());
            }
            for piece in others {
                client.send(piece);
            }
            let answer = client.response();
            if answer.status == 504 {
                ended.recv_timeout(PATIENCE).expect("the connection of an attempt without an answer stays open");
            }
            // Whichever of the two came later is answered, which on a busy machine may be the first.
            let two = matches!(hedged(&gateway, &answer).as_str(), "won" | "lost");
            two.then_some((client, answer, before))
        });
        assert_eq!((answer.status, answer.text().as_str()), (200, "second"), "{case}");
        // Nothing of another answer lies before the next one.
        assert_eq!(client.get("/usual").text(), "usual", "{case}");
        ended.recv_timeout(PATIENCE).expect("the connection of the attempt that lost stays open");
        let [one, other] = got(&origins, before);
        assert_eq!((one.len(), other.len()), (1, 1), "{case}");
        for received in one.iter().chain(&other) {
            assert_eq!((received.complete, received.field("x-last")), (true, Some("of the head")), "{case}");
            assert!(received.body == body, "{case}: {} bytes of {}", received.body.len(), body.len());
        }
        assert_eq!(common(&one[0]), common(&other[0]), "{case}");
    }
}
