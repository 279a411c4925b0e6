//! Far ends that are down, close, stall and talk nonsense.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use portcullis_types::ByteSize;
use serde_json::Value;

use super::grammar::{parse, syslog};
use crate::access_log::{Format, View};
use crate::fixture;
use crate::logs::{
    Address, Dimension, Emf, EmfTarget, LogKind, LogSettings, Only, OpenSink, Syslog, SyslogBody, SyslogTarget,
};
use crate::sink::SinkStat;

const LONG: Duration = Duration::from_secs(30);

fn settings(kind: LogKind, queue: u64) -> LogSettings {
    LogSettings { name: "far".into(), kind, only: Only::default(), view: View::FULL, queue: ByteSize(queue) }
}

fn to(target: SyslogTarget) -> LogKind {
    LogKind::Syslog(Syslog { target, ..syslog(SyslogBody::Message(Format::Json)) })
}

fn local(port: u16) -> Address {
    Address { host: "127.0.0.1".to_owned(), port }
}

fn push(sink: &OpenSink, ids: std::ops::Range<u128>) {
    let sink = sink.sink();
    ids.for_each(|id| sink.record(&Arc::new(fixture::typical(id))));
}

/// What a sink says: written, and dropped by cause.
fn stats(sink: &OpenSink) -> (u64, BTreeMap<&'static str, u64>) {
    let (mut written, mut dropped) = (0, BTreeMap::new());
    for stat in sink.stats().stats() {
        match stat {
            SinkStat::Written(count) => written = count,
            SinkStat::Dropped { cause, count } => drop(dropped.insert(cause, count)),
        }
    }
    (written, dropped)
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LONG, "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// The id of the record in a message that fits the grammar.
fn id_of(message: &str) -> u128 {
    let message = parse(message).unwrap_or_else(|error| panic!("{error}: {message}"));
    let record: Value = serde_json::from_str(&message.text.unwrap()).unwrap();
    u128::from_str_radix(record["id"].as_str().unwrap(), 16).unwrap()
}

/// Reads so many messages by octet counting.
fn counted(from: &mut impl std::io::BufRead, messages: usize) -> Vec<u128> {
    let mut one = || {
        let mut length = Vec::new();
        from.read_until(b' ', &mut length).unwrap();
        let length = String::from_utf8(length).unwrap();
        assert!(!length.starts_with('0'), "MSG-LEN is a non-zero digit and digits");
        let mut message = vec![0; length.trim_end_matches(' ').parse().unwrap()];
        from.read_exact(&mut message).unwrap();
        id_of(std::str::from_utf8(&message).unwrap())
    };
    (0..messages).map(|_| one()).collect()
}

fn accept(listener: &TcpListener) -> BufReader<TcpStream> {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    BufReader::new(stream)
}

#[test]
fn datagrams_are_messages_over_udp_and_over_a_socket_of_the_system() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let unix = UnixDatagram::bind(&path).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    unix.set_read_timeout(Some(LONG)).unwrap();
    udp.set_read_timeout(Some(LONG)).unwrap();
    let port = udp.local_addr().unwrap().port();
    let sinks = [SyslogTarget::Unix(path), SyslogTarget::Udp(local(port))]
        .map(|target| OpenSink::open(&settings(to(target), 1 << 20)).unwrap());
    let mut buffer = [0; 65_536];
    for (place, sink) in sinks.iter().enumerate() {
        push(sink, 0..20);
        for id in 0..20 {
            let n = if place == 0 { unix.recv(&mut buffer) } else { udp.recv(&mut buffer) }.unwrap();
            assert_eq!(id_of(std::str::from_utf8(&buffer[..n]).unwrap()), id);
        }
        until("all are counted", || stats(sink).0 == 20);
    }
}

#[test]
fn a_system_logger_that_is_down_at_the_start_and_restarts_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let sink = OpenSink::open(&settings(to(SyslogTarget::Unix(path.clone())), 1 << 20)).unwrap();
    let mut buffer = [0; 65_536];
    for round in 0..2 {
        push(&sink, round * 10..round * 10 + 10);
        let logger = UnixDatagram::bind(&path).unwrap();
        logger.set_read_timeout(Some(LONG)).unwrap();
        for id in round * 10..round * 10 + 10 {
            let n = logger.recv(&mut buffer).unwrap();
            assert_eq!(id_of(std::str::from_utf8(&buffer[..n]).unwrap()), id);
        }
        drop(logger);
        std::fs::remove_file(&path).unwrap();
    }
    let (written, dropped) = stats(&sink);
    assert!(written == 20 && dropped.values().all(|count| *count == 0), "{written} {dropped:?}");
}

#[test]
fn a_stream_is_counted_messages_and_is_opened_anew_when_the_other_side_closes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let sink = OpenSink::open(&settings(to(SyslogTarget::Tcp(local(listener.local_addr().unwrap().port()))), 1 << 20))
        .unwrap();
    for round in 0..3 {
        push(&sink, round * 50..round * 50 + 50);
        let mut from = accept(&listener);
        // What the other side says is of no interest, and does no harm.
        from.get_mut().write_all(b"220 hello\r\n\0\xff nonsense").unwrap();
        let expected: Vec<u128> = (round * 50..round * 50 + 50).collect();
        assert_eq!(counted(&mut from, 50), expected);
        until("all are counted", || stats(&sink).0 == u64::try_from(round).unwrap() * 50 + 50);
    }
    assert_eq!(sink.close(LONG), 0);
}

#[test]
fn a_far_end_that_is_down_is_waited_for_within_the_bound_and_drops_beyond_it_are_counted() {
    // An address of this process alone, so that nobody else can listen there before this test does.
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let host = std::net::Ipv4Addr::new(127, 64 + (high & 0x3f), middle, low);
    let place = Address { host: host.to_string(), port: 20_000 };
    let sink = OpenSink::open(&settings(to(SyslogTarget::Tcp(place)), 64 * 1024)).unwrap();
    let begun = Instant::now();
    push(&sink, 0..1000);
    assert!(begun.elapsed() < Duration::from_secs(2), "no push waits");
    let (_, dropped) = stats(&sink);
    let full = dropped["queue_full"];
    assert!(full > 800 && dropped["write_failed"] == 0, "{dropped:?}");
    let kept = 1000 - usize::try_from(full).unwrap();
    let listener = TcpListener::bind((host, 20_000)).unwrap();
    let got = counted(&mut accept(&listener), kept);
    assert_eq!(got, (0..u128::try_from(kept).unwrap()).collect::<Vec<_>>(), "the first, in order, once");
    until("all are counted", || stats(&sink).0 == u64::try_from(kept).unwrap());
}

#[test]
fn a_far_end_that_stalls_holds_up_nobody_and_gets_whole_messages_in_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let sink =
        OpenSink::open(&settings(to(SyslogTarget::Tcp(local(listener.local_addr().unwrap().port()))), 256 * 1024))
            .unwrap();
    push(&sink, 0..1);
    let mut from = accept(&listener);
    let mut next = 1;
    // Nobody reads: the kernel's buffers fill, then the queue.
    until("the queue is full", || {
        push(&sink, next..next + 500);
        next += 500;
        stats(&sink).1["queue_full"] > 0
    });
    let kept = usize::try_from(next).unwrap() - usize::try_from(stats(&sink).1["queue_full"]).unwrap();
    let got = counted(&mut from, kept);
    assert!(got.is_sorted_by(|one, other| one < other), "in order, none twice");
    until("all are counted", || stats(&sink).0 == u64::try_from(kept).unwrap());
}

#[test]
fn what_a_broken_connection_cut_off_is_sent_again_whole() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let sink = OpenSink::open(&settings(to(SyslogTarget::Tcp(local(listener.local_addr().unwrap().port()))), 64 << 20))
        .unwrap();
    // More than the kernel's buffers take, so that the sink is in the middle of it when the connection breaks.
    let all = 20_000;
    push(&sink, 0..all);
    let mut from = accept(&listener);
    let first = counted(&mut from, 10);
    // Bytes that were not read make this a reset.
    drop(from);
    let mut from = accept(&listener);
    let [next] = counted(&mut from, 1)[..] else { panic!("one was asked for") };
    let left = usize::try_from(all - next).unwrap() - 1;
    let rest = counted(&mut from, left);
    assert_eq!(first, (0..10).collect::<Vec<_>>());
    assert_eq!(rest, (next + 1..all).collect::<Vec<_>>(), "from where the sink knew that they were not taken, all");
    until("all are counted", || stats(&sink).0 == u64::try_from(all).unwrap());
}

#[test]
fn an_agent_gets_an_object_a_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = EmfTarget::Tcp(local(listener.local_addr().unwrap().port()));
    let emf = Emf { target, namespace: "Gate".to_owned(), dimensions: vec![vec![], vec![Dimension::Route]] };
    let sink = OpenSink::open(&settings(LogKind::Emf(emf), 1 << 20)).unwrap();
    push(&sink, 0..5);
    for line in accept(&listener).lines().take(5) {
        super::emf::check(&serde_json::from_str(&line.unwrap()).unwrap());
    }
}

#[test]
fn what_is_queued_when_a_sink_ends_and_cannot_be_delivered_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let sink = OpenSink::open(&settings(to(SyslogTarget::Unix(dir.path().join("nobody"))), 1 << 20)).unwrap();
    push(&sink, 0..7);
    assert_eq!(sink.close(LONG), 7);
    push(&sink, 7..8);
    assert_eq!(stats(&sink).1["closed"], 8);
}
