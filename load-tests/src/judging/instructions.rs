//! Instructions per request of both sides, by callgrind.

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

use portcullis_judge::instructions::Instructions;

use crate::Failure;
use crate::client::{Answer, Client};
use crate::contenders::{self, Entrant, Gateway, Place};

use super::local::Local;
use super::subject::{Addresses, Subject};
use portcullis_judge::window::Side;

/// Requests of the shorter run; what is counted is the difference to one of three times as many.
const REQUESTS: u32 = 1000;

/// A command that can be started under callgrind.
#[derive(Debug)]
pub(super) struct Counted<'a> {
    command: &'a str,
    side: Side,
    origin: SocketAddr,
    path: &'a str,
    folder: &'a Path,
}

impl<'a> Counted<'a> {
    /// A side, in a folder of its own.
    pub(super) fn of(local: &'a Local, side: Side, folder: &'a Path) -> Result<(Self, Place), Failure> {
        let Subject::Command(command) = local.subject(side) else {
            return Err("what callgrind counts is counted of commands, not of URLs".into());
        };
        std::fs::create_dir_all(folder)?;
        let place = Place { folder: local.folder.clone(), core: local.core, other: local.core };
        Ok((Self { command, side, origin: local.origin, path: &local.path, folder }, place))
    }
}

impl fmt::Display for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.side.fmt(f)
    }
}

impl Entrant for Counted<'_> {
    fn start(&self, place: &Place, under: &[OsString]) -> Result<Gateway, Failure> {
        let at = Addresses::draw(self.origin, self.folder)?;
        let words = Subject::words(self.command, at, under);
        let ask = || Client::connect(at.serve)?.get(self.path);
        contenders::start_asking(place, words, at.serve, &format!("callgrind-{}", self.side), &ask)
    }

    fn script(&self) -> Option<&Path> {
        None
    }

    fn ask(&self, client: &mut Client, _number: u32) -> Result<Answer, Failure> {
        client.get(self.path)
    }
}

/// Counts both. Both must be commands.
pub(super) fn count(local: &Local, allowed: f64) -> Result<Instructions, Failure> {
    let of = |side: Side| -> Result<f64, Failure> {
        let folder = local.folder.join(format!("callgrind-{side}"));
        let (counted, place) = Counted::of(local, side, &folder)?;
        let [instructions, ..] = crate::instructions::count(&counted, REQUESTS, &place, &folder)?;
        Ok(instructions)
    };
    Ok(Instructions { baseline: of(Side::Baseline)?, canary: of(Side::Canary)?, allowed })
}
