//! The history against disks that fail, processes that die and clocks that jump.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use portcullis_telemetry::MetricsOptions;
use portcullis_telemetry::metrics::ReloadOutcome;
use portcullis_types::{ByteSize, GenerationId};

use super::*;
use crate::sources::Sources;

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new(&prometheus::Registry::new(), MetricsOptions::default()).unwrap())
}

fn settings(path: &Path) -> Settings {
    Settings { path: path.to_owned(), keep: 200, bytes: ByteSize::mib(64), implied: false }
}

fn open(path: &Path) -> History {
    History::open(Some(&settings(path)), metrics())
}

fn entry(number: u64, fate: Fate, text: &str) -> Entry {
    let sources = Sources { main: text.into(), ..Sources::default() };
    let meta = Meta {
        number,
        at: UNIX_EPOCH + Duration::from_secs(1_000),
        who: "alice".to_owned(),
        trigger: "api".to_owned(),
        note: Some("why".to_owned()),
        fate,
        verdict: None,
        hash: Some(format!("hash of {text}")),
        texts: sources.fingerprint(),
        summary: "1 change".to_owned(),
        of: None,
    };
    Entry { meta, diff: "~ x\n".to_owned(), says: String::new(), sources }
}

fn numbers(history: &History) -> Vec<u64> {
    history.metas().iter().map(|meta| meta.number).collect()
}

#[test]
fn what_was_kept_is_there_after_a_restart_and_numbers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data/history");
    let first = open(&path);
    assert_eq!(first.number(0), 1);
    first.keep(entry(1, Fate::Applied, "a"));
    assert_eq!(first.number(1), 2);
    first.keep(entry(2, Fate::Refused, "b"));
    drop(first);
    let second = open(&path);
    assert_eq!(second.number(0), 3, "a refused one has its number too");
    assert_eq!(second.entry(1), Ok(entry(1, Fate::Applied, "a")));
    assert_eq!(second.entry(2), Ok(entry(2, Fate::Refused, "b")));
    assert!(second.entry(9).is_err_and(|why| why.contains("no generation 9")));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&path.join("0000000001.entry"))), (0o700, 0o600));
}

#[test]
fn a_broken_entry_is_left_out_with_a_word_and_its_number_is_not_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    for number in 1..=4 {
        history.keep(entry(number, Fate::Applied, &number.to_string()));
    }
    drop(history);
    let file = |number: u64| dir.path().join(format!("{number:010}.entry"));
    let whole = fs::read(file(2)).unwrap();
    fs::write(file(2), &whole[..whole.len() - 5]).unwrap();
    let mut changed = fs::read(file(4)).unwrap();
    let at = changed.windows(5).position(|part| part == b"alice").unwrap();
    changed[at] = b'e';
    fs::write(file(4), changed).unwrap();
    fs::write(dir.path().join("0000000005.entry"), "nonsense").unwrap();
    fs::copy(file(1), file(6)).unwrap();
    let history = open(dir.path());
    assert_eq!(numbers(&history), [3, 1]);
    let broken = history.standing().unwrap().broken;
    assert_eq!(broken.len(), 4, "{broken:?}");
    assert!(broken[0].contains("cut or changed") && broken[2].contains("no entry"), "{broken:?}");
    assert_eq!(history.number(0), 7);
}

#[test]
fn an_entry_whose_body_was_changed_is_not_rolled_back_to() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    history.keep(entry(1, Fate::Applied, "older"));
    history.keep(entry(2, Fate::Applied, "sesame"));
    let file = dir.path().join("0000000002.entry");
    let text = fs::read_to_string(&file).unwrap().replace("sesame\"", "sesamo\"");
    fs::write(&file, text).unwrap();
    assert!(history.entry(2).is_err_and(|why| why.contains("cut or changed")));
    assert_eq!(history.last_good(None).unwrap().meta.number, 1);
}

#[test]
fn what_a_killed_process_left_is_swept_and_what_it_tried_is_known_as_unfinished() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    history.keep(entry(1, Fate::Applied, "a"));
    history.keep(entry(2, Fate::Trying, "b"));
    drop(history);
    fs::write(dir.path().join("0000000003.unfinished"), "half").unwrap();
    let history = open(dir.path());
    assert!(!dir.path().join("0000000003.unfinished").exists());
    assert_eq!(history.number(0), 3);
    assert_eq!(history.metas()[0].fate.as_str(), "unfinished");
    assert_eq!(history.last_good(None).unwrap().meta.number, 1, "nobody knows what it would have done");
}

#[test]
fn a_clock_that_jumps_back_does_not_change_the_order() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    let mut late = entry(1, Fate::Applied, "a");
    late.meta.at = UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    history.keep(late);
    let mut early = entry(2, Fate::Applied, "b");
    early.meta.at = UNIX_EPOCH;
    history.keep(early);
    assert_eq!(numbers(&history), [2, 1]);
    assert_eq!(history.last_good(None).unwrap().meta.number, 2);
    assert_eq!(numbers(&open_second(dir.path())), [2, 1]);
}

/// As a command reads it while a gateway writes.
fn open_second(path: &Path) -> History {
    History::look(path, metrics()).unwrap()
}

#[test]
fn two_processes_on_a_folder_give_out_numbers_of_their_own_and_see_what_the_other_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (open(dir.path()), open(dir.path()));
    assert_eq!((old.number(0), new.number(0), old.number(1)), (1, 2, 3), "also before any is written");
    old.keep(entry(3, Fate::Trying, "c"));
    new.keep(entry(2, Fate::Applied, "b"));
    assert_eq!((numbers(&old), numbers(&new)), (vec![3, 2], vec![3, 2]));
    old.keep(entry(3, Fate::Applied, "c"));
    assert_eq!(new.metas()[0].fate, Fate::Applied, "an entry that was written anew is read anew");
    new.judge(3, Verdict { good: false, says: "rolled back".to_owned() });
    assert_eq!(old.last_good(None).unwrap().meta.number, 2);
    assert_eq!((old.standing().unwrap().trouble, new.standing().unwrap().trouble), (None, None));
    drop((old, new));
    assert_eq!(open(dir.path()).number(0), 4);
}

#[test]
fn of_many_who_ask_at_once_no_two_get_the_same_number() {
    let dir = tempfile::tempdir().unwrap();
    let ask = |history: &History| -> Vec<u64> { (0..50).map(|_| history.number(0)).collect() };
    let histories: Vec<History> = (0..4).map(|_| open(dir.path())).collect();
    let mut given: Vec<u64> = std::thread::scope(|scope| {
        let asked: Vec<_> = histories.iter().map(|history| scope.spawn(move || ask(history))).collect();
        asked.into_iter().flat_map(|asked| asked.join().unwrap()).collect()
    });
    given.sort_unstable();
    assert_eq!(given, (1..=200).collect::<Vec<u64>>());
}

#[test]
fn a_process_that_does_not_let_go_stops_nobody_and_what_waited_is_written_when_it_does() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    history.keep(entry(history.number(0), Fate::Applied, "a"));
    let stuck = fs::File::open(dir.path().join("lock")).unwrap();
    stuck.lock().unwrap();
    let trouble = || history.standing().unwrap().trouble.map(|(_, why)| why);
    let number = history.number(1);
    assert_eq!(number, 2);
    history.keep(entry(number, Fate::Applied, "b"));
    assert!(trouble().is_some_and(|why| why.contains("another process")));
    assert_eq!((numbers(&open_second(dir.path())), numbers(&history)), (vec![1], vec![2, 1]));
    drop(stuck);
    history.retry();
    assert_eq!((trouble(), numbers(&open_second(dir.path()))), (None, vec![2, 1]));
}

#[test]
fn an_entry_that_is_there_already_is_not_written_over_by_who_could_not_know() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("history");
    fs::write(&folder, "a file in the place of the folder").unwrap();
    let history = open(&folder);
    assert_eq!(history.number(0), 1);
    history.keep(entry(1, Fate::Applied, "now"));
    let standing = history.standing().unwrap();
    assert_eq!((standing.waiting, standing.trouble.is_some()), (1, true));
    assert_eq!(history.entry(1).unwrap().sources.main.as_ref(), "now", "one can go back to what waits");
    fs::remove_file(&folder).unwrap();
    let other = open(&folder);
    other.keep(entry(1, Fate::Applied, "before"));
    drop(other);
    history.retry();
    assert_eq!(history.entry(1).unwrap().sources.main.as_ref(), "before");
    assert_eq!(history.number(1), 2);
}

#[test]
fn a_disk_that_fails_is_counted_and_written_again_when_it_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("history");
    let metrics = metrics();
    let history = History::open(Some(&settings(&folder)), metrics.clone());
    history.keep(entry(1, Fate::Applied, "a"));
    // A folder in the place of the next file: it cannot be renamed to, whoever the process runs as.
    let taken = folder.join("0000000002.entry");
    fs::create_dir_all(taken.join("in the way")).unwrap();
    history.keep(entry(2, Fate::Applied, "b"));
    history.keep(entry(3, Fate::Applied, "c"));
    assert_eq!(metrics.changes().history_failures(), 2);
    assert_eq!(numbers(&open_second(&folder)), [3, 1], "one that fails keeps no other");
    assert_eq!(numbers(&history), [3, 2, 1]);
    fs::remove_dir_all(&taken).unwrap();
    history.retry();
    assert_eq!(numbers(&open_second(&folder)), [3, 2, 1]);
    assert_eq!(history.standing().unwrap().trouble, None);
}

#[test]
fn many_that_wait_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("history");
    fs::write(&folder, "a file in the place of the folder").unwrap();
    let history = open(&folder);
    for number in 1..=30 {
        history.keep(entry(number, Fate::Applied, "a"));
    }
    let numbers = numbers(&history);
    assert_eq!((numbers.len(), numbers[0]), (WAITING, 30));
}

#[test]
fn only_so_many_are_kept_and_refused_ones_do_not_push_out_what_one_goes_back_to() {
    let dir = tempfile::tempdir().unwrap();
    let bounds = Settings { keep: 12, ..settings(dir.path()) };
    let history = History::open(Some(&bounds), metrics());
    history.keep(entry(1, Fate::Applied, "good"));
    for number in 2..=40 {
        history.keep(entry(number, Fate::Refused, &number.to_string()));
    }
    let kept = numbers(&history);
    assert_eq!((kept.len(), kept[0], kept[11]), (12, 40, 1));
    for number in 41..=60 {
        history.keep(entry(number, Fate::Applied, &number.to_string()));
    }
    let kept = numbers(&history);
    assert_eq!((kept.len(), kept[0]), (12, 60));
    assert!(history.metas().iter().filter(|meta| meta.fate == Fate::Refused).count() <= 3);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 13, "and the lock");
}

#[test]
fn only_so_many_bytes_are_kept_but_the_last_two_good_ones_always() {
    let dir = tempfile::tempdir().unwrap();
    let bounds = Settings { bytes: ByteSize(100_000), ..settings(dir.path()) };
    let history = History::open(Some(&bounds), metrics());
    for number in 1..=20 {
        history.keep(entry(number, Fate::Applied, &number.to_string().repeat(5_000)));
    }
    let standing = history.standing().unwrap();
    assert!(standing.bytes <= 100_000 && standing.entries >= 4, "{standing:?}");
    history.keep(entry(21, Fate::Applied, &"x".repeat(40_000)));
    history.keep(entry(22, Fate::Applied, &"y".repeat(40_000)));
    assert_eq!(numbers(&history), [22, 21]);
}

#[test]
fn a_rollback_goes_to_the_newest_good_one_with_other_texts() {
    let dir = tempfile::tempdir().unwrap();
    let history = open(dir.path());
    history.keep(entry(1, Fate::Applied, "a"));
    history.keep(entry(2, Fate::Applied, "b"));
    history.keep(entry(3, Fate::Failed, "c"));
    history.keep(entry(4, Fate::Applied, "d"));
    history.keep(entry(5, Fate::Applied, "d"));
    let serves = entry(5, Fate::Applied, "d").meta.texts;
    let target = |history: &History| history.last_good(Some(&serves)).map(|entry| entry.meta.number);
    assert_eq!(target(&history), Ok(2));
    history.judge(2, Verdict { good: false, says: "rolled back".to_owned() });
    assert_eq!(target(&history), Ok(1));
    history.judge(1, Verdict { good: false, says: "rolled back".to_owned() });
    assert!(target(&history).is_err_and(|why| why.contains("no other good generation")));
    assert_eq!(open_second(dir.path()).entry(2).unwrap().meta.verdict.unwrap().says, "rolled back");
    history.keep(entry(6, Fate::Applied, "a"));
    history.keep(entry(7, Fate::Applied, "a"));
    history.keep(entry(8, Fate::Applied, "d"));
    assert_eq!(target(&history), Ok(7), "it was put to work again since");
    history.judge(7, Verdict { good: false, says: "rolled back".to_owned() });
    assert!(target(&history).is_err(), "the same texts in an older generation are no better");
}

#[test]
fn without_a_history_numbers_go_on_by_one_and_nothing_is_kept() {
    let history = History::open(None, metrics());
    assert_eq!((history.number(0), history.number(1)), (1, 2));
    history.keep(entry(1, Fate::Applied, "a"));
    assert!(history.metas().is_empty() && history.standing().is_none());
    assert!(history.last_good(None).is_err_and(|why| why.contains("history: off")));
}

#[test]
fn the_latest_fifty_reloads_are_shown_latest_first() {
    let history = History::open(None, metrics());
    for id in 0..60 {
        history.push(ReloadEntry {
            at: UNIX_EPOCH,
            trigger: "watch",
            outcome: ReloadOutcome::Applied,
            generation: GenerationId(id),
            took: Duration::ZERO,
            summary: String::new(),
        });
    }
    let ids: Vec<u64> = history.reloads().iter().map(|entry| entry.generation.0).collect();
    assert_eq!((ids.len(), ids[0], ids[49]), (50, 59, 10));
}
