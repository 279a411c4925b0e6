//! The loop with the tool's own origin, or with nobody, behind it.

use std::net::Ipv4Addr;

use socket2::{Domain, Socket, Type};

use super::*;
use crate::origin::Origin;
use crate::request::{Mix, Request, Wire};
use crate::schedule::{Arrivals, Schedule};
use crate::template::{Template, Values};

const LONG: Duration = Duration::from_secs(60);

fn request(path: &str, body: Option<&str>) -> Request {
    let template = |text: &str| Template::parse(text, &Values::new()).unwrap();
    Request {
        name: "a".to_owned(),
        weight: 1,
        method: if body.is_some() { "POST" } else { "GET" }.to_owned(),
        target: template(path),
        fields: Vec::new(),
        body: body.map(template),
        json_rpc: body.is_some(),
        expect: Vec::new(),
    }
}

fn mix(path: &str, body: Option<&str>) -> Mix {
    Mix::new(vec![request(path, body)], "rig.test", Wire::Http1, 1)
}

/// 99 requests, half a millisecond apart.
fn load(to: SocketAddr) -> Load<'static> {
    let schedule = Schedule::new(Arrivals::Constant, 2000.0, Duration::from_millis(50), 1);
    Load { objective: LONG, timeout: LONG, ..Load::new(to, Pace::Open(schedule)) }
}

fn play(load: &Load<'_>, mix: &mut Mix) -> Tally {
    run(load, mix, Instant::now(), &Watch::default()).unwrap()
}

#[test]
fn every_planned_request_is_sent_and_counted_once() {
    let origin = Origin::start("fine").unwrap();
    for (mut mix, so_far) in [(mix("/r/@{n}", None), 99), (mix("/rpc", Some("{\"id\":@{n}}")), 198)] {
        let tally = play(&load(origin.address()), &mut mix);
        assert_eq!((tally.good, tally.beyond, tally.delayed), (99, 0, 0), "{}", tally.all);
        assert_eq!((tally.all.sent(), origin.requests()), (99, so_far));
    }
}

#[test]
fn each_outcome_is_what_the_answer_says() {
    let origin = Origin::start("fine").unwrap();
    for (path, expected) in [
        ("/status/429", Outcome::Refused),
        ("/status/500", Outcome::Failed(Kind::Status)),
        ("/status/204", Outcome::Succeeded),
    ] {
        let tally = play(&load(origin.address()), &mut mix(path, None));
        let mut counts = crate::outcome::Counts::default();
        (0..99).for_each(|_| counts.add(expected));
        assert_eq!(tally.all, counts, "{path}");
    }
}

#[test]
fn requests_that_nobody_takes_have_failed() {
    // Bound and not listening: refused, and nobody else's meanwhile.
    let port = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    port.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = port.local_addr().unwrap().as_socket().unwrap();
    let tally = play(&load(address), &mut mix("/", None));
    assert_eq!((tally.good, tally.all.failed.get(&Kind::Connect)), (0, Some(&99)));
    let mut ids: Vec<_> = tally.failed.iter().map(|failed| failed.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=99).collect::<Vec<_>>());
}

#[test]
fn who_does_not_answer_is_left_when_time_is_up() {
    // It listens and nobody accepts: connections stand, and nothing comes.
    let silent = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let load = Load { timeout: Duration::from_millis(100), in_flight: 50, ..load(silent.local_addr().unwrap()) };
    let tally = play(&load, &mut mix("/", None));
    assert_eq!(tally.all.sent(), 99);
    let of = |kind| tally.all.failed.get(&kind).copied().unwrap_or_default();
    assert!(of(Kind::Timeout) >= 50, "{}", tally.all);
    assert_eq!(of(Kind::Timeout) + of(Kind::Unfinished), 99, "{}", tally.all);
    assert_eq!(tally.most_in_flight, 50, "the bound holds");
    assert!(tally.delayed > 0, "and is reported");
}

#[test]
fn what_the_bound_in_flight_delays_waits_inside_its_latency() {
    let origin = Origin::start("fine").unwrap();
    let schedule = Schedule::new(Arrivals::Constant, 1e9, Duration::from_nanos(500), 1);
    let planned = schedule.clone().count() as u64;
    let load = Load { in_flight: 1, pace: Pace::Open(schedule), ..load(origin.address()) };
    let tally = play(&load, &mut mix("/", None));
    assert_eq!((tally.requests(), tally.delayed, tally.most_in_flight), (planned, planned - 1, 1));
    assert!(tally.quantile(0.5).is_some_and(|middle| tally.longest() > middle), "{:?}", tally.longest());
}

#[test]
fn a_closed_loop_has_so_many_in_flight_and_ends() {
    let origin = Origin::start("fine").unwrap();
    let pace = Pace::Closed { connections: 3, length: Duration::from_millis(50) };
    let tally = play(&Load { pace, ..load(origin.address()) }, &mut mix("/", None));
    assert_eq!((tally.most_in_flight, tally.all.failures()), (3, 0));
    assert!(tally.all.sent() >= 3);
    assert_eq!((tally.all.sent(), origin.counters().connections.load(Ordering::SeqCst)), (origin.requests(), 3));
}

#[test]
fn messages_on_websockets_are_answered_by_their_own() {
    let origin = Origin::start("fine").unwrap();
    let handshake = crate::websocket::upgrade("/pubsub", "rig.test", "");
    let mut mix = Mix::new(vec![request("/", Some("{\"id\":@{n}}"))], "rig.test", Wire::Message, 1);
    let tally = play(&Load { upgrade: Some(&handshake), ..load(origin.address()) }, &mut mix);
    assert_eq!((tally.good, tally.all.sent()), (99, 99), "{}", tally.all);
    assert_eq!(origin.counters().messages.load(Ordering::SeqCst), 99);
    // Where the handshake is refused, so is the request.
    origin.answer_with(429);
    let handshake = crate::websocket::upgrade("/other", "rig.test", "");
    let tally = play(&Load { upgrade: Some(&handshake), ..load(origin.address()) }, &mut mix);
    assert_eq!(tally.all.refused, 99, "{}", tally.all);
}

#[test]
fn large_requests_wait_for_room() {
    let origin = Origin::start("fine").unwrap();
    let body = format!("{{\"id\":@{{n}},\"x\":\"{}\"}}", "x".repeat(900_000));
    let pace = Pace::Open(Schedule::new(Arrivals::Constant, 1e3, Duration::from_millis(10), 1));
    let tally = play(&Load { pace, ..load(origin.address()) }, &mut mix("/rpc", Some(&body)));
    assert_eq!((tally.good, tally.all.sent()), (9, 9), "{}", tally.all);
}

/// A server that answers each request by the same bytes, and says how many it got.
fn parrot(answer: &'static [u8]) -> SocketAddr {
    use std::io::{Read as _, Write as _};

    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                while matches!(stream.read(&mut [0; 4096]), Ok(1..)) && stream.write_all(answer).is_ok() {}
            });
        }
    });
    address
}

#[test]
fn an_answer_that_comes_twice_is_told() {
    let once = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    let twice = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    let fine = play(&load(parrot(once)), &mut mix("/", None));
    assert_eq!((fine.good, fine.unasked.said), (99, 0), "{}", fine.all);
    let doubled = play(&load(parrot(twice)), &mut mix("/", None));
    assert_eq!((doubled.all.sent(), doubled.unasked.said), (99, 99), "{} {}", doubled.all, doubled.unasked);
}

/// Ends the load when the first request is written.
struct Once<'a> {
    watch: &'a Watch,
    written: u64,
}

impl Source for Once<'_> {
    fn write(&mut self, _: u64, out: &mut Vec<u8>) -> usize {
        out.extend_from_slice(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        self.written += 1;
        self.watch.stop.store(true, Ordering::SeqCst);
        0
    }

    fn judge(&mut self, _: usize, _: u64, _: &Answer<'_>) -> Outcome {
        Outcome::Succeeded
    }
}

#[test]
fn nothing_is_sent_once_it_is_stopped_not_even_what_was_held_back() {
    let origin = Origin::start("fine").unwrap();
    let (watch, schedule) = (Watch::default(), Schedule::new(Arrivals::Constant, 1e9, Duration::from_nanos(500), 1));
    let planned = schedule.clone().count() as u64;
    let mut source = Once { watch: &watch, written: 0 };
    let load = Load { in_flight: 1, pace: Pace::Open(schedule), ..load(origin.address()) };
    let tally = run(&load, &mut source, Instant::now(), &watch).unwrap();
    assert_eq!((source.written, origin.requests(), tally.all.succeeded), (1, 1, 1));
    assert_eq!(tally.all.failed.get(&Kind::Unfinished), Some(&(planned - 1)), "{}", tally.all);
}
