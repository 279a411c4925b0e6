//! Another process takes over, under load: nothing fails.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use portcullis_engine::origin::Origin;

use crate::Failure;

use super::kit::{Edge, Stage, open, play, told, watched};
use super::outcome::Outcome;

/// How long a command may take.
const PATIENCE: &str = "40";

/// Plays.
pub(super) fn upgrade(stage: &Stage) -> Result<Outcome, Failure> {
    let help = Command::new(stage.binary()).args(["upgrade", "--help"]).output()?;
    if !help.status.success() {
        return Ok(Outcome::invalid("this gateway has no `upgrade`: not available"));
    }
    let mut outcome = Outcome::default();
    let origin = Origin::start("{\"fine\":true}")?;
    let edge = stage.plain(origin.address())?;
    let before = origin.requests();
    let upgrades = stage.size(3, 20);
    let length = Duration::from_secs(upgrades * 3 + 2);
    let load = open(edge.address, 200.0, length, stage.seed);
    let played = watched(&mut outcome, "load", || {
        std::thread::scope(|scope| {
            let tally = scope.spawn(|| play(&load));
            let start = Instant::now();
            let replaced = (0..upgrades).try_for_each(|number| {
                std::thread::sleep(
                    (start + Duration::from_secs(number * 3 + 1)).saturating_duration_since(Instant::now()),
                );
                replace(stage, &edge)
            });
            let tally = tally.join().map_err(|_| "the load panicked")??;
            let lag = tally.lag();
            Ok(((tally, replaced), Some(lag)))
        })
    });
    // The processes that took over are no children of the tool's.
    end_successors(&edge)?;
    let (tally, replaced) = played?;
    let found = replaced.map_or_else(|failure| failure.to_string(), |()| "all".to_owned());
    outcome.expect(format!("all {upgrades} upgrades are done"), found == "all", found);
    outcome.expect("no request fails", tally.all.failures() == 0 && tally.all.refused == 0, told(&tally));
    let passed = origin.requests() - before;
    outcome.expect(
        "the books of client and origin agree",
        passed == tally.all.sent(),
        format!("{} at the client, {passed} at the origin", tally.all.sent()),
    );
    Ok(outcome)
}

fn replace(stage: &Stage, edge: &Edge) -> Result<(), Failure> {
    let output =
        Command::new("timeout").arg(PATIENCE).arg(stage.binary()).args(["upgrade", "-c"]).arg(&edge.file).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("`upgrade` ended with {}: {}", output.status, String::from_utf8_lossy(&said)).into())
}

/// Ends whoever runs on this gateway's own config file, which nobody else has.
fn end_successors(edge: &Edge) -> Result<(), Failure> {
    let file = edge.file.display().to_string();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())) else { continue };
        // It may end at any moment.
        let Ok(words) = fs::read(format!("/proc/{id}/cmdline")) else { continue };
        if words.split(|byte| *byte == 0).any(|word| word == file.as_bytes()) && id != edge.process.id().to_string() {
            Command::new("kill").args(["-KILL", id]).status()?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::outcome::Status;
    use super::*;

    #[test]
    fn a_gateway_without_the_command_is_invalid_and_not_passed() {
        let folder = tempfile::tempdir().unwrap();
        let stage = Stage::new(&folder.path().join("upgrade"), "/bin/false".as_ref(), true, 1).unwrap();
        let outcome = upgrade(&stage).unwrap();
        assert_eq!(outcome.status(), Status::Invalid);
        assert!(outcome.text("upgrade", Duration::ZERO).contains("not available"));
    }
}
