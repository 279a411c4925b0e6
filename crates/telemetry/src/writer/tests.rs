//! The writer against outputs that block, fail, tear lines and come back.

use super::*;
use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use parking_lot::Mutex;

const LONG: Duration = Duration::from_secs(30);

fn options(queue: u64) -> WriterOptions {
    WriterOptions { queue: ByteSize(queue), retry_after: Duration::ZERO, ..WriterOptions::default() }
}

fn to_file(path: &Path) -> Writer {
    Writer::start("test", Output::File(path.to_owned()), options(1 << 20)).unwrap()
}

/// An output that does what a script says, one step a write; an empty script takes everything.
#[derive(Clone, Default)]
struct Scripted {
    steps: Arc<Mutex<VecDeque<Step>>>,
    taken: Arc<Mutex<Vec<u8>>>,
}

enum Step {
    /// Takes so many bytes.
    Take(usize),
    Fail(io::ErrorKind),
    /// Says that it waits, then waits.
    Block(Sender<()>, Receiver<()>),
}

impl Scripted {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: Arc::new(Mutex::new(steps.into_iter().collect())), taken: Arc::default() }
    }

    fn writer(&self, options: WriterOptions) -> Writer {
        let this = self.clone();
        Writer::start("test", Output::Custom(Box::new(move || Ok(Box::new(this.clone())))), options).unwrap()
    }

    fn text(&self) -> String {
        String::from_utf8(self.taken.lock().clone()).unwrap()
    }
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let step = self.steps.lock().pop_front();
        let taken = match step {
            None => bytes.len(),
            Some(Step::Take(n)) => n.min(bytes.len()),
            Some(Step::Fail(kind)) => return Err(kind.into()),
            Some(Step::Block(waiting, go)) => {
                waiting.send(()).unwrap();
                // An error means that the test is over.
                let _ = go.recv();
                bytes.len()
            }
        };
        self.taken.lock().extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn drops(writer: &Writer) -> [u64; 3] {
    [DropCause::QueueFull, DropCause::WriteFailed, DropCause::Closed].map(|cause| writer.stats().dropped(cause))
}

#[test]
fn writes_lines_in_order_and_appends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    for round in 0..2 {
        let writer = to_file(&path);
        for n in 0..500 {
            assert!(writer.push(format!("{round} {n}\n").as_bytes()));
        }
        assert_eq!(writer.close(LONG), 0);
        assert_eq!((writer.stats().written(), drops(&writer)), (500, [0; 3]));
    }
    let expected: String = (0..2).flat_map(|round| (0..500).map(move |n| format!("{round} {n}\n"))).collect();
    assert_eq!(std::fs::read_to_string(path).unwrap(), expected);
}

#[test]
fn lines_of_many_threads_are_never_mixed() {
    let output = Scripted::default();
    let writer = output.writer(options(1 << 24));
    std::thread::scope(|scope| {
        for name in ["a", "b", "c", "d"] {
            let (writer, line) = (&writer, format!("{}\n", name.repeat(100)));
            scope.spawn(move || (0..2_000).for_each(|_| assert!(writer.push(line.as_bytes()))));
        }
    });
    assert!(writer.flush(LONG));
    let text = output.text();
    assert_eq!(text.lines().count(), 8_000);
    assert!(
        text.lines().all(|line| line.len() == 100 && line.bytes().all(|byte| Some(&byte) == line.as_bytes().first()))
    );
}

#[test]
fn a_blocked_output_blocks_no_push_and_the_rest_is_counted() {
    let ((waiting, is_waiting), (go, goes)) = (channel(), channel());
    let output = Scripted::new([Step::Block(waiting, goes)]);
    let writer = output.writer(options(100));
    assert!(writer.push(b"0123456789\n"));
    is_waiting.recv().unwrap();
    // The output is stuck in a write from here on: that the loop ends is what is tested.
    let taken = (0..1_000).filter(|_| writer.push(b"0123456789\n")).count();
    assert_eq!(taken, 8, "the bound holds with the line that is being written");
    assert_eq!(drops(&writer), [992, 0, 0]);
    let queue = writer.stats().queue().unwrap();
    assert_eq!((queue.used(), queue.limit(), queue.refused()), (99, 100, 992));
    assert!(!writer.flush(Duration::ZERO));
    go.send(()).unwrap();
    assert!(writer.flush(LONG));
    assert_eq!((writer.stats().written(), queue.used()), (9, 0));
    assert!(writer.push(b"again\n"));
}

#[test]
fn a_hanging_output_does_not_hold_the_close() {
    let ((waiting, is_waiting), (go, goes)) = (channel(), channel());
    let output = Scripted::new([Step::Block(waiting, goes)]);
    let writer = output.writer(options(1000));
    assert!(writer.push(b"one\n"));
    is_waiting.recv().unwrap();
    assert!(writer.push(b"two\n") && writer.push(b"three\n"));
    assert_eq!(writer.close(Duration::from_millis(1)), 3);
    assert_eq!(drops(&writer), [0, 0, 2]);
    assert!(!writer.push(b"late\n"));
    assert_eq!(drops(&writer), [0, 0, 3]);
    drop(writer);
    drop(go);
}

#[test]
fn a_full_disk_is_counted_and_writing_goes_on_when_there_is_room() {
    let output = Scripted::new([Step::Fail(io::ErrorKind::StorageFull), Step::Fail(io::ErrorKind::StorageFull)]);
    let writer = output.writer(options(1000));
    for lost in 1..=2 {
        assert!(writer.push(b"lost\n"));
        assert!(writer.flush(LONG));
        assert_eq!(drops(&writer), [0, lost, 0]);
    }
    assert!(writer.push(b"kept\n"));
    assert!(writer.flush(LONG));
    assert_eq!((output.text().as_str(), writer.stats().written()), ("kept\n", 1));
}

#[test]
fn the_kernels_full_device_loses_lines_not_requests() {
    let writer = to_file(Path::new("/dev/full"));
    for _ in 0..3 {
        assert!(writer.push(b"lost\n"));
        assert!(writer.flush(LONG));
    }
    assert_eq!((writer.stats().written(), drops(&writer)), (0, [0, 3, 0]));
}

#[test]
fn a_torn_line_is_closed_before_the_next_one() {
    let steps = [Step::Take(6), Step::Fail(io::ErrorKind::StorageFull), Step::Fail(io::ErrorKind::BrokenPipe)];
    let output = Scripted::new(steps);
    let writer = output.writer(options(1000));
    writer.queue.push(b"one\ntwo\n");
    assert!(writer.flush(LONG));
    for _ in 0..2 {
        assert!(writer.push(b"three\n"));
        assert!(writer.flush(LONG));
    }
    assert_eq!(output.text(), "one\ntw\nthree\n");
}

#[test]
fn an_output_that_is_busy_or_interrupted_loses_nothing() {
    let steps = [Step::Fail(io::ErrorKind::Interrupted), Step::Take(1), Step::Fail(io::ErrorKind::WouldBlock)];
    let output = Scripted::new(steps);
    let writer = output.writer(options(1000));
    assert!(writer.push(b"line\n"));
    assert!(writer.flush(LONG));
    assert_eq!((output.text().as_str(), drops(&writer)), ("line\n", [0; 3]));
}

#[test]
fn reopening_sends_later_lines_to_the_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let (path, rotated) = (dir.path().join("log"), dir.path().join("log.1"));
    let writer = to_file(&path);
    assert!(writer.push(b"before\n"));
    std::fs::rename(&path, &rotated).unwrap();
    writer.reopen();
    writer.reopen();
    assert!(writer.push(b"after\n"));
    assert!(writer.flush(LONG));
    assert_eq!(std::fs::read_to_string(&rotated).unwrap(), "before\n");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "after\n");
    std::fs::remove_file(&path).unwrap();
    writer.reopen();
    assert!(writer.flush(LONG));
    assert!(path.exists(), "a reopening needs no line to happen");
}

#[test]
fn an_output_that_cannot_be_opened_is_an_error_at_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("missing").join("log");
    let error = Writer::start("test", Output::File(path), options(1000)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn lines_beyond_a_chunk_are_kept_whole() {
    let output = Scripted::default();
    let writer = output.writer(options(1 << 22));
    let line = format!("{}\n", "x".repeat(200_000));
    for _ in 0..5 {
        assert!(writer.push(line.as_bytes()));
    }
    assert!(writer.flush(LONG));
    assert_eq!(output.text(), line.repeat(5));
}

#[test]
fn an_output_that_is_waited_for_gets_every_line_and_one_that_is_at_fault_itself_is_left_out() {
    let (waiting, blocked) = channel();
    let (go, release) = channel();
    let down = || Step::Fail(io::ErrorKind::ConnectionRefused);
    let script = [Step::Block(waiting, release), down(), Step::Take(4), down(), Step::Fail(io::ErrorKind::InvalidData)];
    let output = Scripted::new(script);
    let writer = output.writer(WriterOptions { keep: true, ..options(1 << 20) });
    writer.push(b"first\n");
    writer.flush(Duration::ZERO).then(|| panic!("it is blocked"));
    blocked.recv().unwrap();
    for line in ["aaa\n", "bbb\n", "ccc\n"] {
        assert!(writer.push(line.as_bytes()));
    }
    go.send(()).unwrap();
    assert!(writer.flush(LONG));
    assert_eq!(output.text(), "first\naaa\nccc\n");
    assert_eq!((writer.stats().written(), drops(&writer)), (3, [0, 1, 0]));
}
