//! What is sent, when, and what becomes of it.

use std::time::Duration;

use portcullis_types::ByteSize;
use tokio::time::Instant;

use super::collector::{Collector, Reply, Sink, settings, until};
use crate::logs::hec::inbox::HecDrop;
use crate::logs::hec::{Hec, HecBatch};
use crate::sink::{SinkStat, SinkStats as _};

fn written(sink: &Sink) -> u64 {
    match sink.inbox.stats()[0] {
        SinkStat::Written(count) => count,
        SinkStat::Dropped { .. } => panic!("the first number is what was written"),
    }
}

fn dropped(sink: &Sink) -> u64 {
    let count = |stat: &SinkStat| match stat {
        SinkStat::Dropped { count, .. } => *count,
        SinkStat::Written(_) => 0,
    };
    sink.inbox.stats().iter().map(count).sum()
}

fn ids(ids: std::ops::Range<u128>) -> Vec<u128> {
    ids.collect()
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_sent_when_it_has_its_events_its_bytes_or_its_age() {
    let collector = Collector::default();
    let batch = HecBatch { events: 10, bytes: ByteSize::kib(64), wait: Duration::from_secs(3) };
    let sink = Sink::start(&Hec { batch, gzip: false, ..settings() }, &collector);
    let start = Instant::now();
    sink.push(0..10);
    until("it has its events", || collector.events().len() == 10).await;
    assert!(start.elapsed() < Duration::from_secs(1));
    sink.push(10..14);
    until("it has its age", || collector.events().len() == 14).await;
    assert!((3..4).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    let batch = HecBatch { events: 1000, bytes: ByteSize::kib(4), wait: Duration::from_secs(60) };
    let sink = Sink::start(&Hec { batch, ..settings() }, &collector);
    sink.push(14..40);
    until("it has its bytes", || collector.events().len() >= 35).await;
    assert!(start.elapsed() < Duration::from_secs(10));
    sink.close().await;
    assert_eq!(collector.events(), ids(0..40));
    assert_eq!(collector.state.lock().taken[..2], [ids(0..10), ids(10..14)]);
    assert!(collector.state.lock().taken.len() > 5);
}

#[tokio::test(start_paused = true)]
async fn a_busy_collector_is_left_alone_for_as_long_as_it_says() {
    let collector = Collector::default();
    for (status, after) in [(503, 7), (429, 90)] {
        collector.state.lock().replies.push_back(Reply::Say(
            status,
            Some(after),
            r#"{"text":"Server is busy","code":9}"#,
        ));
    }
    let sink = Sink::start(&settings(), &collector);
    sink.push(0..20);
    until("all are there", || collector.events().len() == 20).await;
    let came = collector.state.lock().came.clone();
    let waits: Vec<u64> = came.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert_eq!((waits[0], waits[1], waits[2]), (7, 90, 0), "{waits:?}");
    assert_eq!((collector.events(), written(&sink), dropped(&sink)), (ids(0..20), 20, 0));
}

#[tokio::test(start_paused = true)]
async fn tries_are_ever_further_apart_with_chance_in_it() {
    let collector = Collector::default();
    collector.state.lock().replies.extend((0..12).map(|_| Reply::Say(500, None, "{}")));
    let sink = Sink::start(&settings(), &collector);
    sink.push(0..10);
    until("it is there", || collector.events().len() == 10).await;
    let came = collector.state.lock().came.clone();
    for (tries, pair) in came.windows(2).enumerate() {
        let most = Duration::from_millis(200 << tries).min(Duration::from_secs(30));
        let wait = pair[1] - pair[0];
        // The timer has a grain of a millisecond.
        assert!(wait >= most / 2 && wait <= most + Duration::from_millis(5), "{tries}: {wait:?} of {most:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn resets_nonsense_and_silence_lose_nothing_and_double_only_what_had_arrived() {
    let collector = Collector::default();
    collector.state.lock().replies.extend([
        Reply::Reset,
        Reply::Say(200, None, "<html>Please log in</html>"),
        Reply::Say(204, None, ""),
        Reply::Say(302, None, ""),
        Reply::Say(403, None, r#"{"text":"Invalid token","code":4}"#),
        Reply::Hang,
        Reply::TakeAndReset,
    ]);
    let sink = Sink::start(&settings(), &collector);
    sink.push(0..30);
    until("all are there", || written(&sink) == 30).await;
    let twice = [ids(0..10), ids(0..30)].concat();
    assert_eq!((collector.events(), dropped(&sink)), (twice, 0), "the first batch had arrived once");
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_is_counted_and_holds_up_nothing() {
    let collector = Collector::default();
    let refusal = r#"{"text":"Invalid data format","code":6,"invalid-event-number":0}"#;
    collector.state.lock().replies.extend([Reply::Say(400, None, refusal), Reply::Say(413, None, "")]);
    let sink = Sink::start(&settings(), &collector);
    sink.push(0..30);
    until("the last is there", || written(&sink) == 10).await;
    assert_eq!((collector.events(), sink.inbox.drops(HecDrop::Rejected)), (ids(20..30), 20));
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_kept_until_it_is_indexed_and_sent_again_when_that_is_not_heard_of() {
    let collector = Collector::default();
    collector.state.lock().acks = true;
    let sink = Sink::start(&Hec { ack: Some(Duration::from_secs(60)), ..settings() }, &collector);
    sink.push(0..20);
    until("both are sent", || collector.events().len() == 20).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!((written(&sink), collector.state.lock().taken.len()), (0, 2), "sent, and not delivered yet");
    assert!(collector.state.lock().asked >= 25);
    collector.state.lock().indexed.insert(1);
    until("the second is indexed", || written(&sink) == 10).await;
    until("the first is sent again", || collector.state.lock().taken.len() == 3).await;
    assert_eq!(collector.state.lock().taken[2], ids(0..10));
    collector.state.lock().indexed.insert(2);
    until("it is indexed", || written(&sink) == 20).await;
    tokio::time::sleep(Duration::from_secs(200)).await;
    assert_eq!(collector.state.lock().taken.len(), 3, "nothing is sent that is done");
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_begins_to_count_anew_does_not_acknowledge_what_it_has_forgotten() {
    let collector = Collector::default();
    collector.state.lock().acks = true;
    let sink = Sink::start(&Hec { ack: Some(Duration::from_secs(600)), ..settings() }, &collector);
    sink.push(0..10);
    until("it is sent", || collector.events().len() == 10).await;
    {
        let mut state = collector.state.lock();
        (state.next_ack, state.indexes) = (0, true);
    }
    sink.push(10..20);
    until("all are indexed", || written(&sink) == 20).await;
    assert_eq!(collector.state.lock().taken, [ids(0..10), ids(10..20), ids(0..10)]);
}

#[tokio::test(start_paused = true)]
async fn no_more_is_sent_than_a_window_that_is_not_acknowledged() {
    let collector = Collector::default();
    collector.state.lock().acks = true;
    let sink = Sink::start(&Hec { ack: Some(Duration::from_secs(600)), ..settings() }, &collector);
    sink.push(0..300);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(collector.state.lock().taken.len(), 8);
    collector.state.lock().indexes = true;
    collector.state.lock().indexed.extend(0..8);
    until("all are indexed", || written(&sink) == 300).await;
    assert_eq!(collector.events(), ids(0..300));
}

#[tokio::test(start_paused = true)]
async fn a_token_without_acknowledgement_is_no_reason_to_send_twice() {
    let collector = Collector::default();
    let sink = Sink::start(&Hec { ack: Some(Duration::from_secs(60)), ..settings() }, &collector);
    sink.push(0..10);
    until("it counts as delivered", || written(&sink) == 10).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!(collector.events(), ids(0..10));
}

#[tokio::test(start_paused = true)]
async fn without_a_spool_the_queue_is_the_bound_and_drops_are_counted() {
    let collector = Collector::default();
    collector.state.lock().down = true;
    let sink = Sink::with_queue(&settings(), &collector, ByteSize::kib(64));
    sink.push(0..1000);
    tokio::time::sleep(Duration::from_secs(300)).await;
    let full = sink.inbox.drops(HecDrop::QueueFull);
    assert!(full > 800, "{full}");
    collector.state.lock().down = false;
    let kept = 1000 - full;
    until("what was kept is there", || written(&sink) == kept).await;
    assert_eq!(collector.events(), ids(0..u128::from(kept)));
    let queue = sink.inbox.queue().unwrap();
    assert_eq!((queue.used(), queue.refused()), (0, full));
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_ends_delivers_what_it_has() {
    let collector = Collector::default();
    let sink = Sink::start(&settings(), &collector);
    sink.push(0..25);
    let inbox = sink.inbox.clone();
    sink.close().await;
    assert_eq!((collector.events(), inbox.drops(HecDrop::Closed)), (ids(0..25), 0));
    collector.state.lock().down = true;
    let sink = Sink::start(&settings(), &collector);
    sink.push(25..30);
    let inbox = sink.inbox.clone();
    sink.close().await;
    assert_eq!(inbox.drops(HecDrop::Closed), 5, "nowhere to, and no spool");
}

mod tls {
    use super::*;
    use std::sync::Arc;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::aws_lc_rs;

    /// A server's side, and its certificate as PEM.
    fn acceptor(name: &str) -> (TlsAcceptor, String) {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = builder.with_single_cert(vec![cert.der().clone()], key).unwrap();
        (TlsAcceptor::from(Arc::new(config)), cert.pem())
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_cannot_show_who_it_is_gets_nothing_until_it_can() {
        let collector = Collector::default();
        let (right, pem) = acceptor("splunk.test");
        let (wrong, _) = acceptor("splunk.test");
        *collector.tls.lock() = Some(wrong);
        let url = "https://splunk.test:8088".to_owned();
        let sink = Sink::start(&Hec { url, authorities: Some(pem), ..settings() }, &collector);
        sink.push(0..10);
        tokio::time::sleep(Duration::from_secs(120)).await;
        assert_eq!((collector.state.lock().came.len(), written(&sink), dropped(&sink)), (0, 0, 0));
        *collector.tls.lock() = Some(right);
        until("it is there", || written(&sink) == 10).await;
        assert_eq!(collector.events(), ids(0..10));
    }
}

/// With its own thread and over TCP: what a gateway runs.
mod threaded {
    use super::*;
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::Arc;

    use crate::fixture;
    use crate::logs::{LogKind, LogSettings, Only, OpenSink};
    use crate::{View, json};

    /// Answers one request that does not compress; its body.
    fn serve_one(listener: &TcpListener) -> String {
        let (stream, _) = listener.accept().unwrap();
        let mut stream = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        let said = r#"{"text":"Success","code":0}"#;
        write!(stream.get_mut(), "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{said}", said.len()).unwrap();
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn a_sink_that_is_closed_has_delivered_its_last_records() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let batch = HecBatch { wait: Duration::from_secs(60), ..HecBatch::default() };
        let hec = Hec { url, batch, gzip: false, ..settings() };
        let (only, view) = (Only::default(), View::FULL);
        let settings =
            LogSettings { name: "splunk".into(), kind: LogKind::SplunkHec(hec), only, view, queue: ByteSize::mib(1) };
        let sink = OpenSink::open(&settings).unwrap();
        let record = Arc::new(fixture::typical(7));
        sink.sink().record(&record);
        let served = std::thread::spawn(move || serve_one(&listener));
        assert_eq!(sink.close(Duration::from_secs(30)), 0);
        let event: serde_json::Value = serde_json::from_str(&served.join().unwrap()).unwrap();
        assert_eq!(event["event"], serde_json::from_str::<serde_json::Value>(&json(&record)).unwrap());
        assert_eq!((&event["index"], &event["source"]), (&"main".into(), &"gate".into()));
    }
}
