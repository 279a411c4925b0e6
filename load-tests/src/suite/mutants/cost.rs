//! What a fault costs in instructions, against the same gateway without it. Noise does not touch that.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::Path;

use portcullis_engine::origin::Origin;
use portcullis_engine::process::{find, free_address};
use portcullis_judge::Rules;
use portcullis_judge::instructions::Instructions;
use portcullis_mutants::{Mutant, VARIABLE};

use crate::Failure;
use crate::client::{Answer, Client};
use crate::contenders::{self, Entrant, Gateway, Place};
use crate::suite::kit::Config;
use crate::suite::outcome::Outcome;

/// Requests of the shorter run.
const REQUESTS: u32 = 300;

/// A gateway that can be started under callgrind.
struct Counted<'a> {
    gateway: &'a Path,
    mutant: Option<Mutant>,
    origin: &'a Origin,
}

impl fmt::Display for Counted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.mutant.map_or("none", Mutant::name))
    }
}

impl Entrant for Counted<'_> {
    fn start(&self, place: &Place, under: &[OsString]) -> Result<Gateway, Failure> {
        let (address, admin) = (free_address()?, free_address()?);
        let file = place.folder.join(format!("{self}.yaml"));
        // Under callgrind everything is fifty times slower, which is no overload.
        let top = "overload: { event_loop_delay: 0s }\n".to_owned();
        fs::write(&file, Config { top, ..Config::to(self.origin.address()) }.yaml(address, admin))?;
        let fault = self.mutant.map(|mutant| format!("{VARIABLE}={}", mutant.name()));
        let words = std::iter::once(OsString::from("env")).chain(fault.map(OsString::from));
        let words = words.chain(under.iter().cloned());
        let words = words.chain([self.gateway.into(), "run".into(), "-c".into(), file.into()]).collect();
        contenders::start_asking(place, words, address, &format!("callgrind-{self}"), &|| {
            Client::connect(address)?.get("/")
        })
    }

    fn script(&self) -> Option<&Path> {
        None
    }

    fn ask(&self, client: &mut Client, _: u32) -> Result<Answer, Failure> {
        client.get("/")
    }
}

/// Counts with the fault and without. Without a fault two equal gateways are counted.
pub(super) fn play(gateway: &Path, folder: &Path, mutant: Option<Mutant>) -> Result<Outcome, Failure> {
    if find("valgrind").is_none() {
        return Ok(Outcome::invalid("valgrind is not installed: scripts/setup bench"));
    }
    let origin = Origin::start("{\"fine\":true}")?;
    let core = u32::try_from(std::thread::available_parallelism()?.get())?.saturating_sub(1);
    let count = |name: &str, mutant| -> Result<f64, Failure> {
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        let place = Place { folder: folder.clone(), core, other: core };
        let [instructions, ..] =
            crate::instructions::count(&Counted { gateway, mutant, origin: &origin }, REQUESTS, &place, &folder)?;
        Ok(instructions)
    };
    let allowed = Rules::default().instructions;
    let counted = Instructions { baseline: count("baseline", None)?, canary: count("canary", mutant)?, allowed };
    let mut outcome = Outcome::default();
    outcome.expect("instructions per request", !counted.fails(), counted);
    Ok(outcome)
}
