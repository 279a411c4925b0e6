//! Another process takes over, under load: nothing fails.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use portcullis_engine::origin::Origin;

use crate::Failure;

use super::books::{SETTLE, agree};
use super::kit::{Edge, Stage, open, play, until};
use super::outcome::Notes;
use super::part::SHED;
use super::served::Bad;

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(40);

/// Plays. Every process has metrics of its own, and all write one log: its lines are the gateway's books.
pub(super) fn upgrade(stage: &Stage, outcome: &Notes) -> Result<(), Failure> {
    let help = Command::new(stage.binary()).args(["upgrade", "--help"]).output()?;
    if !help.status.success() {
        outcome.invalidate("this gateway has no `upgrade`: not available");
        return Ok(());
    }
    let origin = Origin::start("{\"fine\":true}")?;
    let edge = stage.plain(origin.address())?;
    edge.process.may_end();
    let before = origin.requests();
    let upgrades = stage.size(3, 20);
    let length = Duration::from_secs(upgrades * 3 + 2);
    let load = open(edge.address, 200.0, length, stage.seed);
    let ((tally, replaced, shed), mut part) = edge.watched(outcome, "load", || {
        std::thread::scope(|scope| {
            let tally = scope.spawn(|| play(&load));
            let (start, mut shed) = (Instant::now(), 0);
            let replaced = (0..upgrades).try_for_each(|number| {
                std::thread::sleep(
                    (start + Duration::from_secs(number * 3 + 1)).saturating_duration_since(Instant::now()),
                );
                // What the last one counts goes with it.
                shed += edge.refused_for(SHED)?;
                replace(stage, &edge)
            });
            let tally = tally.join().map_err(|_| "the load panicked")??;
            let lag = tally.lag();
            Ok(((tally, replaced, shed), Some(lag)))
        })
    })?;
    part.shed += shed;
    let found = replaced.map_or_else(|failure| failure.to_string(), |()| "all".to_owned());
    let done = found == "all";
    outcome.timing(part.excuse_for(PATIENCE), format!("all {upgrades} upgrades are done"), done, found);
    part.expect_served(outcome, &tally);
    let (sent, bad) = (tally.all.sent(), Bad::of(&tally));
    let expected = [sent, sent - bad.refused];
    let books = || -> Result<[u64; 2], Failure> { Ok([logged(&edge)?, origin.requests() - before]) };
    until(SETTLE, || Ok(agree(books()?, expected, bad.late)));
    let found = books()?;
    outcome.count(
        "the books of client, gateway and origin agree",
        agree(found, expected, bad.late),
        format!("{expected:?} at the client, {found:?} in the gateway's log and at the origin"),
    );
    Ok(())
}

/// Requests in the log of all processes, but for those that a new one sends to itself.
fn logged(edge: &Edge) -> Result<u64, Failure> {
    let log = fs::read_to_string(edge.file.with_file_name("access.log"))?;
    Ok(log.lines().filter(|line| !line.contains("portcullis.invalid")).count() as u64)
}

fn replace(stage: &Stage, edge: &Edge) -> Result<(), Failure> {
    let output = Command::new("timeout")
        .arg(PATIENCE.as_secs().to_string())
        .arg(stage.binary())
        .args(["upgrade", "-c"])
        .arg(&edge.file)
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("`upgrade` ended with {}: {}", output.status, String::from_utf8_lossy(&said)).into())
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Status;
    use super::*;

    #[test]
    fn a_gateway_without_the_command_is_invalid_and_not_passed() {
        let folder = tempfile::tempdir().unwrap();
        let stage = Stage::new(&folder.path().join("upgrade"), "/bin/false".as_ref(), true, 1).unwrap();
        let notes = Notes::default();
        upgrade(&stage, &notes).unwrap();
        let outcome = notes.outcome();
        assert_eq!(outcome.status(), Status::Invalid);
        assert!(outcome.text("upgrade", Duration::ZERO).contains("not available"));
    }
}
