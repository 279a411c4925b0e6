//! Mutants: the gateway is given faults on purpose, one at a time, and each must be found by who is meant to find it.
//!
//! First everybody plays without a fault, several times, and must pass: who always cries wolf finds everything. Then each mutant is
//! put before who is meant to find it, and is caught when the criterion that is meant for it does not hold; and before somebody
//! else, whose word decides nothing. Who cannot tell plays again, three times at most.
//!
//! Invariants: every mutant that the gateway's crate knows has somebody who is meant to find it, since the table in `finder` does
//! not compile otherwise; a gateway that knows other faults, or none, is a wrong use and no result; every play has a bound of time.

mod finder;
mod table;
mod tool;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use portcullis_engine::{cores, process, proof};
use portcullis_mutants::{Mutant, VARIABLE, names};
use serde_json::{Value as Json, json};

use crate::Failure;
use crate::report::{progress, say};
use crate::tool::Ended;
use crate::tool::progress::{Progress, Steps, shown};

use super::kit::Stage;
use super::outcome::Outcome;
use super::{Scene, bounded};

use finder::Finder;
use table::Played;
use tool::Sides;

/// How often who cannot tell plays.
const TRIES: u64 = 3;

/// What is looked for.
#[derive(Debug, Clone)]
pub struct Hunt {
    /// The gateway's binary, built with the feature `mutants`.
    pub gateway: PathBuf,
    /// Only these mutants; none for all.
    pub only: Vec<String>,
    /// How often everybody plays without a fault: once at least.
    pub sound: u64,
    /// Every mutant before everybody, not only before who is meant to find it and one other.
    pub whole: bool,
    /// What is drawn at random follows from it.
    pub seed: u64,
    /// Where results go.
    pub out: PathBuf,
}

/// Who plays before which fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Play {
    finder: Finder,
    /// `None` for a gateway without a fault.
    mutant: Option<Mutant>,
}

impl Play {
    const fn name(self) -> &'static str {
        match self.mutant {
            Some(mutant) => mutant.name(),
            None => "none",
        }
    }

    /// Whether this is who is meant to find the fault.
    fn is_meant(self) -> bool {
        self.mutant.is_some_and(|mutant| Finder::of(mutant) == self.finder)
    }
}

/// All plays, in their order.
fn plays(mutants: &[Mutant], sound: u64, whole: bool) -> Vec<Play> {
    let mut faults = Vec::new();
    for mutant in mutants {
        let everybody = Mutant::ALL.map(Finder::of);
        let some = [Finder::of(*mutant), Finder::beside(*mutant)];
        let finders: &[Finder] = if whole { &everybody } else { &some };
        for finder in finders {
            let play = Play { finder: *finder, mutant: Some(*mutant) };
            if !faults.contains(&play) {
                faults.push(play);
            }
        }
    }
    let mut all: Vec<Play> = Vec::new();
    for play in &faults {
        let play = Play { mutant: None, ..*play };
        if !all.contains(&play) {
            all.extend((0..sound).map(|_| play));
        }
    }
    all.extend(faults);
    all
}

/// Where it is played.
struct Ground<'a> {
    gateway: &'a Path,
    out: &'a Path,
    seed: u64,
}

impl Ground<'_> {
    /// Plays until it can be told. The turn tells plays of a kind apart.
    fn until_told(&self, play: Play, turn: u64) -> Result<Played, Failure> {
        let began = Instant::now();
        let mut tries = 0;
        loop {
            let outcome = self.play(play, self.seed + turn * TRIES + tries, turn)?;
            let played = Played::new(play, &outcome, began.elapsed());
            tries += 1;
            if tries == TRIES || !played.is_open() {
                return Ok(played);
            }
            progress(&format!("{} ({tries} of {TRIES} tries)", played.line()));
        }
    }

    /// In a folder that is named by the fault.
    fn play(&self, play: Play, seed: u64, turn: u64) -> Result<Outcome, Failure> {
        let Play { finder, mutant } = play;
        let name = mutant.map_or_else(|| format!("sound-{}", turn + 1), |mutant| mutant.name().to_owned());
        let folder = self.out.join(name).join(finder.name());
        if let Some(scene) = finder.scene()? {
            let stage = Stage::new(&folder, self.gateway, true, seed)?.with(mutant);
            // On a thread of its own, since the judge's two sides have all cores.
            let played = std::thread::scope(|scope| scope.spawn(|| proven(scene, stage)).join());
            return played.map_err(|_| "a scene panicked")?;
        }
        let played = Sides { gateway: self.gateway, folder: &folder, seed, mutant }.play(finder);
        Ok(played.unwrap_or_else(|failure| Outcome::invalid(&failure.to_string())))
    }
}

/// Plays a scene, with a tool that has just shown what it knows, or what it says of time counts for less.
fn proven(scene: &Scene, stage: Stage) -> Result<Outcome, Failure> {
    let core = cores::leave_one()?;
    let proof = proof::prove()?;
    let [small, _] = scene.bound;
    let mut outcome = bounded(scene.play, stage.on(core), small);
    outcome.proven(&proof);
    Ok(outcome)
}

/// Plays everything, prints the table, and leaves `mutants.json` and `mutants.md`.
///
/// # Errors
///
/// When a mutant is not known, the gateway is not there or knows no mutants, nothing is to be played without a fault, or nothing can be
/// written.
pub fn hunt(hunt: &Hunt) -> Result<Ended, Failure> {
    let mutants = chosen(&hunt.only)?;
    if hunt.sound == 0 {
        return Err("who is never played without a fault may find one everywhere: --sound is 1 at least".into());
    }
    if !hunt.gateway.is_file() {
        return Err(format!("{}: the gateway's binary is not there", hunt.gateway.display()).into());
    }
    let gateway = std::path::absolute(&hunt.gateway)?;
    knows_mutants(&gateway)?;
    process::raise_file_limit()?;
    std::fs::create_dir_all(&hunt.out)?;
    let out = std::path::absolute(&hunt.out)?;
    let ground = Ground { gateway: &gateway, out: &out, seed: hunt.seed };
    let plays = plays(&mutants, hunt.sound, hunt.whole);
    let mut done: Vec<(Play, Played)> = Vec::new();
    let bounds = plays.iter().map(|play| play.finder.bound()).collect::<Result<Vec<_>, _>>()?;
    let mut steps = Steps::new(&bounds);
    for (place, (play, bound)) in plays.iter().zip(&bounds).enumerate() {
        let what = if play.mutant.is_some() { play.name() } else { "no fault" };
        let name = format!("{what} before {} ({} of {})", play.finder.name(), place + 1, plays.len());
        progress(&format!("{name}, about {} to go in all", shown(steps.left(None))));
        let turn = done.iter().filter(|(other, _)| other == play).count();
        steps.begin(*bound);
        let (telling, began) = (Progress::step(&name, *bound, &steps)?, Instant::now());
        let played = ground.until_told(*play, u64::try_from(turn)?)?;
        drop(telling);
        steps.end(*bound, began.elapsed());
        progress(&played.line());
        done.push((*play, played));
    }
    let played: Vec<Played> = done.into_iter().map(|(_, played)| played).collect();
    let json: Vec<Json> = played.iter().map(Played::json).collect();
    let json = json!({ "format": "portcullis-load/mutants/2", "seed": hunt.seed, "plays": json });
    std::fs::write(out.join("mutants.json"), format!("{json:#}\n"))?;
    let text = table::markdown(&played);
    std::fs::write(out.join("mutants.md"), &text)?;
    say(&text)?;
    Ok(table::ended(&played))
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
    fn everybody_plays_without_a_fault_first_and_then_each_fault_before_two() {
        let of = |scene, mutant| Play { finder: Finder::Scene(scene), mutant };
        let [burst, retries] = [Mutant::BurstOffByOne, Mutant::LostRetryBudget];
        let (keys, tries) = (of("keys", None), of("retries", None));
        let sound = [keys, keys, tries, tries];
        let faults = [
            of("keys", Some(burst)),
            of("retries", Some(burst)),
            of("retries", Some(retries)),
            of("keys", Some(retries)),
        ];
        assert_eq!(plays(&[burst, retries], 2, false), [sound, faults].concat());
        let whole = plays(&[burst], 1, true);
        assert_eq!(whole.len(), 36, "eighteen, of which each is meant for some mutant: {whole:?}");
        assert_eq!(whole.iter().filter(|play| play.is_meant()).count(), 1);
    }

    #[test]
    fn only_mutants_that_are_there_are_chosen() {
        assert_eq!(chosen(&[]).unwrap(), Mutant::ALL);
        assert_eq!(chosen(&["tail".to_owned()]).unwrap(), [Mutant::Tail]);
        let said = chosen(&["tale".to_owned()]).unwrap_err().to_string();
        assert!(said.contains("there is no mutant `tale`, there are slow_log, leaked_buffer"), "{said}");
    }

    #[test]
    fn a_hunt_without_a_play_that_must_pass_is_refused() {
        let [gateway, out] = ["/bin/true", "never"].map(PathBuf::from);
        let said = |sound| {
            let (gateway, out) = (gateway.clone(), out.clone());
            hunt(&Hunt { gateway, only: Vec::new(), sound, whole: false, seed: 1, out }).unwrap_err().to_string()
        };
        assert!(said(0).contains("--sound is 1 at least"));
        assert!(said(1).contains("--features mutants"));
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
