//! Mutants: the gateway is given faults on purpose, one at a time, and each must be found by who is meant to find it.
//!
//! First the scenes are played without a fault, and must pass: who always cries wolf finds everything. Then each mutant is put
//! before its scene, and is caught when a criterion does not hold. A scene that cannot tell is played again, three times at most.
//!
//! Invariants: every mutant that the gateway's crate knows has somebody who is meant to find it, since the table below does not
//! compile otherwise; a gateway that knows other faults, or none, is a wrong use and no result.

mod cost;
mod judged;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use portcullis_engine::{cores, process};
use portcullis_mutants::{Mutant, VARIABLE, names};
use serde_json::{Value as Json, json};

use crate::Failure;
use crate::report::{progress, say};
use crate::tool::Ended;

use super::kit::Stage;
use super::outcome::Outcome;
use super::{SCENES, Scene, bounded};

use table::Row;

/// How often a scene that cannot tell is played.
const TRIES: u64 = 3;

/// What is looked for.
#[derive(Debug, Clone)]
pub struct Hunt {
    /// The gateway's binary, built with the feature `mutants`.
    pub gateway: Option<PathBuf>,
    /// Only these mutants; none for all.
    pub only: Vec<String>,
    /// How often the scenes are played without a fault.
    pub sound: usize,
    /// What is drawn at random follows from it.
    pub seed: u64,
    /// Where results go.
    pub out: PathBuf,
}

/// Who is meant to find a mutant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finder {
    /// A scene.
    Scene(&'static str),
    /// `judge`, against the same gateway without the fault.
    Judge,
    /// Instructions per request against those without the fault.
    Instructions,
}

impl Finder {
    const fn of(mutant: Mutant) -> Self {
        match mutant {
            Mutant::SlowLog => Self::Scene("records"),
            Mutant::LeakedBuffer => Self::Scene("soak"),
            Mutant::LostRetryBudget => Self::Scene("retries"),
            Mutant::DoubleCountedCap | Mutant::BurstOffByOne => Self::Scene("keys"),
            Mutant::ReloadResetsCounters | Mutant::FailsOnReload => Self::Scene("reload"),
            Mutant::FailsOn5xx => Self::Scene("faults"),
            Mutant::FailsOnWebsocket => Self::Scene("fanout"),
            Mutant::Tail => Self::Judge,
            Mutant::Cpu10 => Self::Instructions,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Scene(name) => name,
            Self::Judge => "judge",
            Self::Instructions => "instructions",
        }
    }

    fn scene(self) -> Result<Option<&'static Scene>, Failure> {
        let Self::Scene(name) = self else { return Ok(None) };
        let found = SCENES.iter().find(|scene| scene.name == name);
        found.map(Some).ok_or_else(|| format!("there is no scene `{name}`").into())
    }
}

/// Where it is played.
struct Ground<'a> {
    gateway: &'a Path,
    out: &'a Path,
    seed: u64,
}

impl Ground<'_> {
    /// Plays until somebody can tell.
    fn row(&self, finder: Finder, mutant: Option<Mutant>) -> Result<Row, Failure> {
        let began = Instant::now();
        let mut turn = 0;
        loop {
            let outcome = self.play(finder, mutant, self.seed + turn)?;
            let row = Row::new(finder.name(), mutant, &outcome, began.elapsed());
            turn += 1;
            if turn == TRIES || !row.is_unclear() {
                return Ok(row);
            }
            progress(&format!("{} ({turn} of {TRIES} tries)", row.line()));
        }
    }

    /// In a folder that is named by the fault.
    fn play(&self, finder: Finder, mutant: Option<Mutant>, seed: u64) -> Result<Outcome, Failure> {
        let folder = self.out.join(mutant.map_or("sound", Mutant::name)).join(finder.name());
        if let Some(scene) = finder.scene()? {
            let stage = Stage::new(&folder, self.gateway, true, seed)?.with(mutant);
            let [small, _] = scene.bound;
            // On a thread of its own, since the judge's two sides have all cores.
            let played = std::thread::scope(|scope| {
                let play = || cores::leave_one().map(|core| bounded(scene.play, stage.on(core), small));
                scope.spawn(play).join()
            });
            return played.map_err(|_| "a scene panicked")?;
        }
        let played = match finder {
            Finder::Judge => judged::play(self.gateway, &folder, seed, mutant),
            Finder::Scene(_) | Finder::Instructions => cost::play(self.gateway, &folder, mutant),
        };
        Ok(played.unwrap_or_else(|failure| Outcome::invalid(&failure.to_string())))
    }
}

/// Plays everything, prints the table, and leaves `mutants.json` and `mutants.md`.
///
/// # Errors
///
/// When a mutant is not known, the gateway is not found or knows no mutants, or nothing can be written.
pub fn hunt(hunt: &Hunt) -> Result<Ended, Failure> {
    let mutants = chosen(&hunt.only)?;
    process::raise_file_limit()?;
    let gateway = hunt.gateway.clone().or_else(|| process::find("portcullis"));
    let gateway = gateway.filter(|file| file.is_file()).ok_or("the gateway's binary is not there: say --gateway")?;
    let gateway = std::path::absolute(gateway)?;
    knows_mutants(&gateway)?;
    std::fs::create_dir_all(&hunt.out)?;
    let out = std::path::absolute(&hunt.out)?;
    let ground = Ground { gateway: &gateway, out: &out, seed: hunt.seed };
    let mut finders: Vec<Finder> = Vec::new();
    for finder in mutants.iter().copied().map(Finder::of) {
        if !finders.contains(&finder) {
            finders.push(finder);
        }
    }
    let sound = finders.iter().flat_map(|finder| std::iter::repeat_n((*finder, None), hunt.sound));
    let plays = sound.chain(mutants.iter().map(|mutant| (Finder::of(*mutant), Some(*mutant))));
    let mut rows = Vec::new();
    for (finder, mutant) in plays {
        progress(&format!("{} before {}", mutant.map_or("no fault", Mutant::name), finder.name()));
        let row = ground.row(finder, mutant)?;
        progress(&row.line());
        rows.push(row);
    }
    let json: Vec<Json> = rows.iter().map(Row::json).collect();
    let json = json!({ "format": "portcullis-load/mutants/1", "seed": hunt.seed, "rows": json });
    std::fs::write(out.join("mutants.json"), format!("{json:#}\n"))?;
    let text = table::markdown(&rows);
    std::fs::write(out.join("mutants.md"), &text)?;
    say(&text)?;
    Ok(table::ended(&rows))
}

fn chosen(only: &[String]) -> Result<Vec<Mutant>, Failure> {
    if let Some(stranger) = only.iter().find(|name| !Mutant::ALL.iter().any(|mutant| mutant.name() == **name)) {
        return Err(format!("there is no mutant `{stranger}`, there are {}", names()).into());
    }
    let wanted = |mutant: &Mutant| only.is_empty() || only.iter().any(|name| name == mutant.name());
    Ok(Mutant::ALL.into_iter().filter(wanted).collect())
}

/// A gateway with faults refuses a name that none of them has, and says all that there are.
fn knows_mutants(gateway: &Path) -> Result<(), Failure> {
    let output = Command::new(gateway).arg("version").env(VARIABLE, "?").output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Err("this gateway has no mutants: build it with `--features mutants`".into());
    }
    if !said.contains(&names()) {
        return Err(format!("this gateway has other mutants than {}: {said}", names()).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_has_a_scene_that_is_there() {
        for mutant in Mutant::ALL {
            let finder = Finder::of(mutant);
            assert_eq!(finder.scene().unwrap().is_some(), matches!(finder, Finder::Scene(_)), "{mutant:?}");
        }
    }

    #[test]
    fn only_mutants_that_are_there_are_chosen() {
        assert_eq!(chosen(&[]).unwrap(), Mutant::ALL);
        assert_eq!(chosen(&["tail".to_owned()]).unwrap(), [Mutant::Tail]);
        let said = chosen(&["tale".to_owned()]).unwrap_err().to_string();
        assert!(said.contains("there is no mutant `tale`, there are slow_log, leaked_buffer"), "{said}");
    }

    #[test]
    fn a_gateway_without_faults_is_told_from_one_with_others() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let others = folder.path().join("others");
        std::fs::write(&others, "#!/bin/sh\necho 'there are worse' >&2\nexit 2\n").unwrap();
        std::fs::set_permissions(&others, std::fs::Permissions::from_mode(0o755)).unwrap();
        let said = |gateway: &Path| knows_mutants(gateway).unwrap_err().to_string();
        assert!(said("/bin/true".as_ref()).contains("--features mutants"));
        assert!(said(&others).contains("there are worse"));
    }

    /// The docs have a row for each, with who finds it.
    #[test]
    fn the_docs_have_the_same_table() {
        let docs = include_str!("../../../docs/load-tests.md");
        let rows: Vec<&str> = docs.lines().filter(|line| line.starts_with("| `")).collect();
        for mutant in Mutant::ALL {
            let row = format!("| `{}` | `{}` |", mutant.name(), Finder::of(mutant).name());
            assert_eq!(rows.iter().filter(|line| line.starts_with(&row)).count(), 1, "{row}");
        }
    }
}
