//! Instructions per request of both sides, by callgrind: with `judge --instructions`, or alone.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use clap::Args;
use portcullis_engine::origin::Origin;
use portcullis_judge::instructions::{Instructions, Twins, until_told};
use portcullis_judge::window::Side;
use portcullis_judge::{Exit, Rules};

use crate::Failure;
use crate::client::{Answer, Client};
use crate::contenders::{self, Entrant, Gateway, Place};
use crate::process::find;
use crate::report::{progress, say};

use super::local::Local;
use super::progress::note;
use super::subject::{Addresses, Subject};

/// Requests of the shorter run; what is counted is the difference to one of three times as many.
const REQUESTS: u32 = 1000;

/// The arguments of `instructions`.
#[derive(Debug, Args)]
pub struct InstructionsArguments {
    /// What is known: a command, as for `judge`.
    #[arg(long)]
    baseline: String,
    /// What is judged.
    #[arg(long)]
    canary: String,
    /// What is asked for.
    #[arg(long, default_value = "/")]
    path: String,
    /// Requests of the shorter run; the longer one has three times as many.
    #[arg(long, default_value_t = REQUESTS, value_parser = clap::value_parser!(u32).range(8..))]
    requests: u32,
}

/// Counts the instructions of a request on both sides, before an origin of the tool's own, and nothing else. It is invalid where the
/// machine is too busy for counts of one build to agree.
///
/// # Errors
///
/// When a side is no command, does not start, or does not answer.
pub fn instructions(arguments: &InstructionsArguments) -> Result<Exit, Failure> {
    if find("valgrind").is_none() {
        progress(&"INVALID: valgrind is not installed: scripts/setup canary");
        return Ok(Exit::Invalid);
    }
    if !arguments.path.starts_with('/') || arguments.path.contains(char::is_whitespace) {
        return Err("--path begins with a slash and has no white space".into());
    }
    let (baseline, canary) = (Subject::parse(&arguments.baseline)?, Subject::parse(&arguments.canary)?);
    let (folder, origin) = (tempfile::tempdir()?, Origin::start("{\"load\":\"test\"}")?);
    let cores = u32::try_from(std::thread::available_parallelism().map_or(1, std::num::NonZero::get))?;
    let ground = Ground {
        folder: folder.path(),
        core: cores.saturating_sub(1),
        origin: origin.address(),
        path: &arguments.path,
        requests: arguments.requests,
    };
    let counted = count([&baseline, &canary], ground, Rules::default().instructions)?;
    let (word, exit) = match counted.fails() {
        Some(false) => ("PASS", Exit::Pass),
        Some(true) => ("FAIL", Exit::Rollback),
        None => ("INVALID", Exit::Invalid),
    };
    say(&format!("{word}: {counted}\n"))?;
    Ok(exit)
}

/// Where, and of what, callgrind counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground<'a> {
    /// For configs, logs and callgrind's files.
    folder: &'a Path,
    core: u32,
    /// The server behind both.
    origin: SocketAddr,
    /// What is asked for.
    path: &'a str,
    /// Of the shorter run.
    pub(super) requests: u32,
}

impl<'a> From<&'a Local> for Ground<'a> {
    fn from(local: &'a Local) -> Self {
        let Local { folder, core, origin, path, .. } = local;
        Self { folder, core: *core, origin: *origin, path, requests: REQUESTS }
    }
}

/// A command that can be started under callgrind.
#[derive(Debug)]
pub(super) struct Counted<'a> {
    command: &'a str,
    side: Side,
    ground: Ground<'a>,
    folder: &'a Path,
}

impl<'a> Counted<'a> {
    /// A side, in a folder of its own.
    pub(super) fn of(
        subject: &'a Subject,
        side: Side,
        ground: Ground<'a>,
        folder: &'a Path,
    ) -> Result<(Self, Place), Failure> {
        let Subject::Command(command) = subject else {
            return Err("what callgrind counts is counted of commands, not of URLs".into());
        };
        std::fs::create_dir_all(folder)?;
        let place = Place { folder: ground.folder.to_owned(), core: ground.core, other: ground.core };
        Ok((Self { command, side, ground, folder }, place))
    }
}

impl fmt::Display for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.side.fmt(f)
    }
}

impl Entrant for Counted<'_> {
    fn start(&self, place: &Place, under: &[OsString]) -> Result<Gateway, Failure> {
        let at = Addresses::draw(self.ground.origin, self.folder)?;
        let words = Subject::words(self.command, at, under);
        let ask = || Client::connect(at.serve)?.get(self.ground.path);
        contenders::start_asking(place, words, at.serve, &format!("callgrind-{}", self.side), &ask)
    }

    fn script(&self) -> Option<&Path> {
        None
    }

    fn ask(&self, client: &mut Client, _number: u32) -> Result<Answer, Failure> {
        client.get(self.ground.path)
    }
}

/// Counts both twice, the canary between the counts of its baseline, and again where they tell nothing. Both must be commands.
pub(super) fn count(sides: [&Subject; 2], ground: Ground<'_>, allowed: f64) -> Result<Instructions, Failure> {
    let [baseline, canary] = sides;
    let mut number = 0;
    let mut of = |subject: &Subject, side: Side| -> Result<f64, Failure> {
        number += 1;
        let folder = ground.folder.join(format!("callgrind-{number}"));
        let (counted, place) = Counted::of(subject, side, ground, &folder)?;
        let [instructions, ..] = crate::instructions::count(&counted, ground.requests, &place, &folder)?;
        Ok(instructions)
    };
    until_told(&mut || {
        let first = of(baseline, Side::Baseline)?;
        let canary = [of(canary, Side::Canary)?, of(canary, Side::Canary)?];
        let counted = Instructions::of(Twins { baseline: [first, of(baseline, Side::Baseline)?], canary }, allowed);
        if counted.fails().is_none() {
            note(&format!("counted: {counted}"));
        }
        Ok(counted)
    })
}
