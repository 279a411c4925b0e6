//! The tool itself against a fault: its commands `judge` and `instructions`, as CI calls them, with the same gateway on both
//! sides, of which the canary has the fault.
//!
//! Invariants: it ends within its bound or is ended, and with it all that it started, since the kernel ends those whose
//! starter is gone.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use portcullis_engine::process::{Process, Program};
use portcullis_judge::Exit;
use portcullis_mutants::{Mutant, VARIABLE};
use serde_json::Value as Json;

use crate::Failure;
use crate::suite::outcome::Outcome;
use crate::tool::progress::shown;

use super::finder::Finder;

/// The gateway's config: the one that canaries are judged with in CI.
const CONFIG: &str = include_str!("../../../../deploy/ci/canary.yaml");

/// Its bound of lateness, which has no place here: a slow build on a core that others use is late, and that is no overload.
const LATENESS: &str = "${LOAD_EVENT_LOOP_DELAY:-50ms}";

/// What `judge` sends: the least delay of the fault is just beyond the objective.
const LOAD: [&str; 6] = ["--rate", "400", "--window", "1.5", "--objective", "45"];

/// How often it is looked whether a command has ended.
const LOOK: Duration = Duration::from_millis(50);

/// A gateway, and where its results go.
pub(super) struct Sides<'a> {
    pub(super) gateway: &'a Path,
    pub(super) folder: &'a Path,
    pub(super) seed: u64,
    /// The canary's fault; without one two equal gateways are compared.
    pub(super) mutant: Option<Mutant>,
}

impl Sides<'_> {
    /// What the command of a finder says.
    pub(super) fn play(&self, finder: Finder) -> Result<Outcome, Failure> {
        if self.folder.is_dir() {
            fs::remove_dir_all(self.folder)?;
        }
        fs::create_dir_all(self.folder)?;
        let seed = self.seed.to_string();
        let folder = self.folder.display().to_string();
        let mut words = match finder {
            Finder::Judge => [["judge", "--seed", &seed, "--out", &folder].as_slice(), &LOAD].concat(),
            Finder::Scene(_) | Finder::Instructions => vec!["instructions"],
        };
        let [baseline, canary] = self.commands()?;
        words.extend(["--baseline", &baseline, "--canary", &canary]);
        let log = self.folder.join("tool.out");
        let code = match run(&words, &log, finder.bound()?)? {
            Ended::Itself(code) => code,
            Ended::NotInTime => {
                return Ok(Outcome::invalid(&format!("it did not end within {}", shown(finder.bound()?))));
            }
        };
        if finder != Finder::Judge {
            let said = fs::read_to_string(&log)?;
            return counted(code, said.lines().last().unwrap_or_default());
        }
        let result = fs::read(self.folder.join("result.json"))
            .map_err(|error| format!("judge left no result ({code:?}): {error}; see {}", log.display()))?;
        judged(code, &serde_json::from_slice(&result)?)
    }

    fn commands(&self) -> Result<[String; 2], Failure> {
        let config = self.folder.join("gateway.yaml");
        fs::write(&config, CONFIG.replace(LATENESS, "0s"))?;
        let plain = format!("{} run -c {}", self.gateway.display(), config.display());
        let canary = self.mutant.map(|mutant| format!("env {VARIABLE}={} {plain}", mutant.name()));
        Ok([plain.clone(), canary.unwrap_or(plain)])
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// With this code; `None` when by a signal.
    Itself(Option<i32>),
    /// Its time was up.
    NotInTime,
}

/// Runs a command of this tool, and ends it when its time is up.
fn run(words: &[&str], log: &Path, limit: Duration) -> Result<Ended, Failure> {
    let tool = std::env::current_exe()?.into_os_string();
    let words = std::iter::once(tool).chain(words.iter().map(Into::into)).collect();
    await_end(Process::start(&Program { words, core: None, log: log.to_owned() })?, limit)
}

fn await_end(mut process: Process, limit: Duration) -> Result<Ended, Failure> {
    let start = Instant::now();
    loop {
        if let Some(status) = process.ended()? {
            return Ok(Ended::Itself(status.code()));
        }
        if start.elapsed() > limit {
            return Ok(Ended::NotInTime);
        }
        std::thread::sleep(LOOK);
    }
}

/// A scene's outcome of a verdict. That neither is shown is no failure, and for a fault nothing was found then.
fn judged(code: Option<i32>, result: &Json) -> Result<Outcome, Failure> {
    let said = |key: &str| result.pointer(&format!("/judgement/{key}")).and_then(Json::as_str).unwrap_or_default();
    let is = |exit: Exit| code == Some(exit as i32);
    if is(Exit::Invalid) {
        return Ok(Outcome::invalid(said("reason")));
    }
    let known = [Exit::Pass, Exit::Rollback, Exit::Hotfix, Exit::Inconclusive].into_iter().any(is);
    if !known {
        return Err(format!("judge ended with {code:?}").into());
    }
    let mut outcome = Outcome::default();
    let harm = is(Exit::Rollback) || is(Exit::Hotfix);
    outcome.expect(said("decided_by"), !harm, said("reason"));
    Ok(outcome)
}

/// The same of what was counted, by the last line that was said.
fn counted(code: Option<i32>, said: &str) -> Result<Outcome, Failure> {
    let is = |exit: Exit| code == Some(exit as i32);
    if is(Exit::Invalid) {
        return Ok(Outcome::invalid(said));
    }
    if !is(Exit::Pass) && !is(Exit::Rollback) {
        return Err(format!("instructions ended with {code:?}: {said}").into());
    }
    let mut outcome = Outcome::default();
    outcome.expect("instructions per request", is(Exit::Pass), said);
    Ok(outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::outcome::Status;
    use serde_json::json;

    #[test]
    fn the_config_has_the_bound_that_is_left_out() {
        assert_eq!(CONFIG.matches(LATENESS).count(), 1);
    }

    #[test]
    fn harm_is_a_failure_and_what_is_not_shown_is_none() {
        let result = json!({ "judgement": { "decided_by": "beyond_slo", "reason": "worse in 14 of 14 pairs" } });
        for (code, status) in
            [(0, Status::Passed), (1, Status::Failed), (3, Status::Failed), (4, Status::Passed), (5, Status::Invalid)]
        {
            assert_eq!(judged(Some(code), &result).unwrap().status(), status, "{code}");
        }
        assert!(judged(Some(2), &result).is_err() && judged(None, &result).is_err());
        let complaints = judged(Some(1), &result).unwrap().complaints();
        assert_eq!(complaints, ["beyond_slo: worse in 14 of 14 pairs"]);
    }

    #[test]
    fn what_is_counted_fails_by_its_code_and_is_told_by_its_line() {
        for (code, status) in [(0, Status::Passed), (1, Status::Failed), (5, Status::Invalid)] {
            assert_eq!(counted(Some(code), "more").unwrap().status(), status, "{code}");
        }
        assert!(counted(Some(2), "no").is_err() && counted(None, "no").is_err());
        assert_eq!(counted(Some(1), "more").unwrap().complaints(), ["instructions per request: more"]);
    }

    #[test]
    fn what_does_not_end_in_time_is_ended_and_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let started = |script: &str| {
            let words = ["sh", "-c", script].map(Into::into).to_vec();
            Process::start(&Program { words, core: None, log: folder.path().join("log") }).unwrap()
        };
        assert_eq!(await_end(started("exit 3"), Duration::from_secs(60)).unwrap(), Ended::Itself(Some(3)));
        // As the tool starts what it starts.
        let child = folder.path().join("child");
        let process = started(&format!(
            "setpriv --pdeathsig KILL -- sleep 600 & echo $! > {0}.part; mv {0}.part {0}; wait",
            child.display()
        ));
        let wait = |holds: &dyn Fn() -> bool| {
            let start = Instant::now();
            while !holds() {
                assert!(start.elapsed() < Duration::from_secs(60));
                std::thread::yield_now();
            }
        };
        // It has taken its starter's end for its own once it has become what it runs.
        let name = |id: &str| fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
        wait(&|| fs::read_to_string(&child).is_ok_and(|id| name(id.trim()) == "sleep\n"));
        let id = fs::read_to_string(&child).unwrap();
        assert_eq!(await_end(process, Duration::ZERO).unwrap(), Ended::NotInTime);
        wait(&|| name(id.trim()) != "sleep\n" || is_dead(id.trim()));
    }

    /// Whether nobody has taken note of its end yet.
    fn is_dead(id: &str) -> bool {
        fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| stat.contains(") Z "))
    }
}
