//! The journal's files, and what crashes do to them.

use std::fs;
use std::path::Path;
use std::time::Duration;

use portcullis_caps::Amount;
use portcullis_types::ByteSize;

use super::*;

const START: u64 = 1_772_323_200_000;
const GATEWAY: u64 = 0x1f;

fn line(sequence: u64) -> (u64, Vec<u8>) {
    let amount = Amount { requests: sequence, credits: 1, bytes: 10 };
    let window = (START + sequence * 60_000, START + sequence * 60_000 + 60_000);
    (sequence, Line::new((GATEWAY, sequence), window, ("acme", "getBlock"), amount).to_json().into_bytes())
}

fn lines(numbers: std::ops::RangeInclusive<u64>) -> Vec<(u64, Vec<u8>)> {
    numbers.map(line).collect()
}

fn open(directory: &Path) -> Journal {
    Journal::open(directory, Rotation::default()).unwrap()
}

/// What the journal says of everybody: requests, lines that repeat, and those that cannot be read.
fn sums(directory: &Path) -> (u64, u64, u64) {
    let totals = read_usage(directory, &UsageQuery::default()).unwrap();
    (totals.of("acme").requests, totals.repeated, totals.unreadable)
}

#[test]
fn lines_that_are_there_are_not_written_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut journal = open(directory.path());
    journal.append(GATEWAY, &lines(1..=3), START).unwrap();
    journal.append(GATEWAY, &lines(2..=4), START).unwrap();
    drop(journal);
    open(directory.path()).append(GATEWAY, &lines(1..=5), START).unwrap();
    assert_eq!(sums(directory.path()), (15, 0, 0));
}

#[test]
fn a_last_line_that_was_cut_off_anywhere_is_written_again() {
    let whole = tempfile::tempdir().unwrap();
    open(whole.path()).append(GATEWAY, &lines(1..=3), START).unwrap();
    let bytes = fs::read(whole.path().join("usage.ndjson")).unwrap();
    for cut in 0..bytes.len() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("usage.ndjson"), &bytes[..cut]).unwrap();
        open(directory.path()).append(GATEWAY, &lines(1..=3), START).unwrap();
        assert_eq!(fs::read(directory.path().join("usage.ndjson")).unwrap(), bytes, "{cut}");
    }
}

#[test]
fn zeros_that_a_power_loss_leaves_at_the_end_are_taken_away() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).append(GATEWAY, &lines(1..=2), START).unwrap();
    let path = directory.path().join("usage.ndjson");
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend_from_slice(&[0; 500]);
    bytes.extend_from_slice(b"\n\n");
    fs::write(&path, bytes).unwrap();
    open(directory.path()).append(GATEWAY, &lines(1..=3), START).unwrap();
    assert_eq!(sums(directory.path()), (6, 0, 0));
}

#[test]
fn another_file_in_its_place_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("usage.ndjson");
    fs::write(&path, vec![b'x'; 2 << 20]).unwrap();
    let error = Journal::open(directory.path(), Rotation::default()).err().unwrap();
    assert!(error.to_string().contains("move it away"), "{error}");
    assert_eq!(fs::metadata(&path).unwrap().len(), 2 << 20);
}

#[test]
fn files_are_closed_by_size_and_by_age_and_the_oldest_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let rotation = Rotation { size: ByteSize(400), age: Duration::from_secs(3_600), keep: 2 };
    let files = || fs::read_dir(directory.path()).unwrap().count();
    let mut journal = Journal::open(directory.path(), rotation).unwrap();
    journal.append(GATEWAY, &lines(1..=3), START).unwrap();
    assert_eq!(files(), 1);
    journal.append(GATEWAY, &lines(4..=4), START + 1).unwrap();
    assert_eq!(files(), 2, "by size");
    // What is closed is known after a restart, although the file that is written is new.
    drop(journal);
    let mut journal = Journal::open(directory.path(), rotation).unwrap();
    journal.append(GATEWAY, &lines(3..=4), START + 3_599_000 + 240_000).unwrap();
    assert_eq!(files(), 2);
    journal.append(GATEWAY, &lines(5..=5), START + 3_600_000 + 240_000).unwrap();
    assert_eq!((files(), sums(directory.path())), (3, (15, 0, 0)), "by age");
    journal.append(GATEWAY, &lines(6..=6), START + 9_000_000).unwrap();
    assert_eq!((files(), sums(directory.path())), (3, (15, 0, 0)), "the first three lines went with the oldest file");
}

#[test]
fn a_restart_right_after_a_file_was_closed_repeats_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let rotation = Rotation { size: ByteSize(1), ..Rotation::default() };
    let mut journal = Journal::open(directory.path(), rotation).unwrap();
    journal.append(GATEWAY, &lines(1..=3), START).unwrap();
    // Closes, and finds nothing new to write.
    journal.append(GATEWAY, &lines(1..=3), START).unwrap();
    drop(journal);
    let mut journal = Journal::open(directory.path(), rotation).unwrap();
    journal.append(GATEWAY, &lines(1..=4), START).unwrap();
    assert_eq!(sums(directory.path()), (10, 0, 0));
}

#[test]
fn sums_are_of_a_time_and_a_consumer_and_count_each_id_once() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).append(GATEWAY, &lines(1..=4), START).unwrap();
    let other = Line::new((7, 1), (START, START), ("other", "(http)"), Amount { requests: 100, credits: 0, bytes: 0 });
    let mut text = fs::read(directory.path().join("usage.ndjson")).unwrap();
    // Two gateways' journals, one of them copied twice.
    text.extend_from_within(..);
    text.extend_from_slice(other.to_json().as_bytes());
    text.extend_from_slice(b"\nnot a line\n");
    fs::write(directory.path().join("usage-0.ndjson"), text).unwrap();
    let at = |minute: u64| Some(line::time(START + minute * 60_000));
    let query = UsageQuery { consumer: Some("acme".to_owned()), from: at(2), until: at(4) };
    let totals = read_usage(directory.path(), &query).unwrap();
    assert_eq!(totals.of("acme"), Amount { requests: 5, credits: 2, bytes: 20 });
    assert_eq!((totals.consumers.len(), totals.repeated, totals.unreadable), (1, 8, 1));
    assert_eq!(read_usage(directory.path(), &UsageQuery::default()).unwrap().of("other").requests, 100);
}
