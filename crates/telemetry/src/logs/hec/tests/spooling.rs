//! What lies on disk while the collector is down, over restarts, and when the disk is the trouble.

use std::path::Path;
use std::time::Duration;

use portcullis_types::ByteSize;

use super::collector::{Collector, Reply, Sink, settings, until};
use crate::logs::hec::inbox::HecDrop;
use crate::logs::hec::spool::SpoolDir;
use crate::logs::hec::{Hec, Spool};

fn spooled(path: &Path, size: ByteSize) -> Hec {
    SpoolDir::make(path).unwrap();
    Hec { spool: Some(Spool { path: path.to_owned(), size }), ..settings() }
}

/// How many batches lie in a spool, and their bytes.
fn lies_in(path: &Path) -> (usize, u64) {
    let files = std::fs::read_dir(path).unwrap().map(Result::unwrap);
    let batches: Vec<u64> = files
        .filter(|file| file.path().extension().is_some_and(|end| end == "batch"))
        .map(|file| file.metadata().unwrap().len())
        .collect();
    (batches.len(), batches.iter().sum())
}

fn ids(ids: std::ops::Range<u128>) -> Vec<u128> {
    ids.collect()
}

#[tokio::test(start_paused = true)]
async fn what_a_collector_that_is_down_would_have_got_comes_in_order_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::default();
    // A queue that holds a few batches, so that the spool is what holds the rest.
    let sink = Sink::with_queue(&spooled(dir.path(), ByteSize::mib(16)), &collector, ByteSize::kib(64));
    sink.push(0..10);
    until("the first is there", || collector.events().len() == 10).await;
    collector.state.lock().down = true;
    for round in 1..30 {
        sink.push(round * 10..round * 10 + 10);
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    let (batches, _) = lies_in(dir.path());
    assert!(batches >= 27, "{batches}");
    collector.state.lock().down = false;
    sink.push(300..310);
    until("all are there", || collector.events().len() == 310).await;
    assert_eq!(collector.events(), ids(0..310));
    until("the spool is empty", || lies_in(dir.path()).0 == 0).await;
    assert_eq!(sink.inbox.drops(HecDrop::QueueFull), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_spooled_outlives_the_process_however_it_ends_and_comes_first() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::default();
    collector.state.lock().down = true;
    let settings = spooled(dir.path(), ByteSize::mib(16));
    let sink = Sink::start(&settings, &collector);
    sink.push(0..25);
    let inbox = sink.inbox.clone();
    sink.close().await;
    assert_eq!((lies_in(dir.path()).0, inbox.drops(HecDrop::Closed)), (3, 0), "a batch that is not full too");
    let sink = Sink::start(&settings, &collector);
    sink.push(25..45);
    until("it is on disk", || lies_in(dir.path()).0 == 5).await;
    sink.crash().await;
    // A crash in the middle of a write leaves a half.
    std::fs::write(dir.path().join("00000000000000000001-3.part"), "{\"time\":1").unwrap();
    collector.state.lock().down = false;
    let sink = Sink::start(&settings, &collector);
    sink.push(45..55);
    until("all are there", || collector.events().len() == 55).await;
    assert_eq!(collector.events(), ids(0..55));
    until("the spool is empty", || lies_in(dir.path()).0 == 0).await;
    assert!(!dir.path().join("00000000000000000001-3.part").exists());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_acknowledged_at_the_end_is_sent_again_by_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::default();
    collector.state.lock().acks = true;
    let settings = Hec { ack: Some(Duration::from_secs(60)), ..spooled(dir.path(), ByteSize::mib(16)) };
    let sink = Sink::start(&settings, &collector);
    sink.push(0..10);
    until("it is sent", || collector.events().len() == 10).await;
    let inbox = sink.inbox.clone();
    sink.close().await;
    assert_eq!((lies_in(dir.path()).0, inbox.drops(HecDrop::Closed)), (1, 0));
    collector.state.lock().indexes = true;
    let _sink = Sink::start(&settings, &collector);
    until("it is indexed", || lies_in(dir.path()).0 == 0).await;
    assert_eq!(collector.events(), [ids(0..10), ids(0..10)].concat(), "at least once");
}

#[tokio::test(start_paused = true)]
async fn a_spool_never_grows_beyond_its_bound_and_drops_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::default();
    collector.state.lock().down = true;
    let size = ByteSize::kib(40);
    let sink = Sink::with_queue(&spooled(dir.path(), size), &collector, ByteSize::kib(64));
    let mut last = 0;
    for round in 0..60 {
        sink.push(round * 10..round * 10 + 10);
        tokio::time::sleep(Duration::from_secs(10)).await;
        let (_, bytes) = lies_in(dir.path());
        assert!(bytes <= size.0 && bytes >= last, "{bytes}");
        last = bytes;
    }
    let full = sink.inbox.drops(HecDrop::SpoolFull);
    assert!(full > 300 && sink.inbox.drops(HecDrop::QueueFull) == 0, "{full}");
    collector.state.lock().down = false;
    let kept = 600 - usize::try_from(full).unwrap();
    until("what was kept is there", || collector.events().len() == kept).await;
    assert_eq!(collector.events(), ids(0..u128::try_from(kept).unwrap()), "the first, in order");
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_takes_nothing_costs_nothing_within_the_queue_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let collector = Collector::default();
    collector.state.lock().down = true;
    let sink = Sink::with_queue(&spooled(&path, ByteSize::mib(16)), &collector, ByteSize::kib(64));
    sink.push(0..10);
    until("it is on disk", || lies_in(&path).0 == 1).await;
    let away = dir.path().join("away");
    std::fs::rename(&path, &away).unwrap();
    sink.push(10..400);
    tokio::time::sleep(Duration::from_secs(60)).await;
    let failed = sink.inbox.drops(HecDrop::SpoolFailed) + sink.inbox.drops(HecDrop::QueueFull);
    assert!(failed > 200, "{failed}");
    sink.push(400..410);
    assert!(sink.inbox.drops(HecDrop::SpoolFailed) >= 10, "by now it is known why");
    std::fs::rename(&away, &path).unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(lies_in(&path).0 > 1, "it is written again");
    collector.state.lock().down = false;
    let kept = 400 - usize::try_from(failed).unwrap();
    until("what was kept is there", || collector.events().len() == kept).await;
    assert_eq!(collector.events(), ids(0..u128::try_from(kept).unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_file_of_the_spool_that_is_gone_is_counted_and_holds_up_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::default();
    collector.state.lock().down = true;
    let sink = Sink::start(&spooled(dir.path(), ByteSize::mib(16)), &collector);
    sink.push(0..30);
    until("they are on disk", || lies_in(dir.path()).0 == 3).await;
    let mut files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some());
    files.sort();
    std::fs::remove_file(&files[1]).unwrap();
    collector.state.lock().down = false;
    until("the others are there", || collector.events().len() == 20).await;
    assert_eq!(collector.events(), [ids(0..10), ids(20..30)].concat());
    assert_eq!(sink.inbox.drops(HecDrop::SpoolLost), 10);
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_is_slow_is_what_the_spool_is_for_too() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::default();
    collector.state.lock().replies.push_back(Reply::Hang);
    let sink = Sink::with_queue(&spooled(dir.path(), ByteSize::mib(16)), &collector, ByteSize::kib(64));
    for round in 0..20 {
        sink.push(round * 10..round * 10 + 10);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(lies_in(dir.path()).0 > 10, "while one request hangs, the rest is taken in");
    until("all are there", || collector.events().len() == 200).await;
    assert_eq!((collector.events(), sink.inbox.drops(HecDrop::QueueFull)), (ids(0..200), 0));
}

#[tokio::test(start_paused = true)]
async fn a_spool_has_one_owner_and_the_next_takes_it_over() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::default();
    collector.state.lock().down = true;
    let settings = spooled(dir.path(), ByteSize::mib(16));
    let old = Sink::start(&settings, &collector);
    old.push(0..10);
    until("it is on disk", || lies_in(dir.path()).0 == 1).await;
    let new = Sink::start(&settings, &collector);
    new.push(20..30);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(lies_in(dir.path()).0, 1, "the new one waits in memory");
    old.push(10..20);
    old.close().await;
    until("the new one has the spool", || lies_in(dir.path()).0 == 3).await;
    collector.state.lock().down = false;
    until("all are there", || collector.events().len() == 30).await;
    let mut got = collector.events();
    got.sort_unstable();
    assert_eq!(got, ids(0..30), "once each");
}

#[test]
fn a_sink_that_was_opened_and_never_used_lets_go_of_its_spool() {
    use crate::View;
    use crate::logs::{LogKind, LogSettings, Only, OpenSink};

    let dir = tempfile::tempdir().unwrap();
    let settings = LogSettings {
        name: "splunk".into(),
        kind: LogKind::SplunkHec(spooled(dir.path(), ByteSize::mib(16))),
        only: Only::default(),
        view: View::FULL,
        queue: ByteSize::mib(1),
    };
    let start = std::time::Instant::now();
    let is_free = || SpoolDir::lock(dir.path()).unwrap().is_some();
    let sink = OpenSink::open(&settings).unwrap();
    while is_free() {
        assert!(start.elapsed() < Duration::from_secs(30), "it never takes the spool");
        std::thread::yield_now();
    }
    drop(sink);
    while !is_free() {
        assert!(start.elapsed() < Duration::from_secs(60), "it never lets go of the spool");
        std::thread::yield_now();
    }
}
