//! What `judge` says of a gateway with a fault beside the same without it: the whole command, as CI calls it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use portcullis_judge::Exit;
use portcullis_mutants::{Mutant, VARIABLE};
use serde_json::Value as Json;

use crate::Failure;
use crate::suite::outcome::Outcome;

/// The gateway's config. The tool says where to serve and whom to ask.
const CONFIG: &str = "version: 1
threads: 1
listeners:
  edge: { bind: \"${LOAD_ADDRESS}\", limits: { connections: 4000, connections_per_network: 4000 } }
admin: { bind: \"${LOAD_ADMIN}\" }
access_log: { path: /dev/null }
store: off
clusters:
  origin: { endpoints: [\"${LOAD_ORIGIN}\"] }
hosts:
  - names: [\"*\"]
    routes:
      - { name: all, to: origin }
";

/// What is sent: few enough a second for a dev build on a core that others use too.
const LOAD: [&str; 6] = ["--rate", "200", "--window", "1.5", "--objective", "45"];

/// Judges. Without a fault two equal gateways are judged.
pub(super) fn play(gateway: &Path, folder: &Path, seed: u64, mutant: Option<Mutant>) -> Result<Outcome, Failure> {
    fs::create_dir_all(folder)?;
    let config = folder.join("gateway.yaml");
    fs::write(&config, CONFIG)?;
    let plain = format!("{} run -c {}", gateway.display(), config.display());
    let canary = mutant.map_or_else(|| plain.clone(), |mutant| format!("env {VARIABLE}={} {plain}", mutant.name()));
    let log = fs::File::create(folder.join("judge.out"))?;
    let status = Command::new(std::env::current_exe()?)
        .args(["judge", "--baseline", &plain, "--canary", &canary, "--seed", &seed.to_string()])
        .args(LOAD)
        .arg("--out")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .status()?;
    let result = fs::read(folder.join("result.json"))
        .map_err(|error| format!("judge left no result ({status}): {error}; see {}/judge.out", folder.display()))?;
    outcome(status.code(), &serde_json::from_slice(&result)?)
}

/// A scene's outcome of a verdict. That neither is shown is no failure, and for a fault nothing was found then.
fn outcome(code: Option<i32>, result: &Json) -> Result<Outcome, Failure> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::outcome::Status;
    use serde_json::json;

    #[test]
    fn harm_is_a_failure_and_what_is_not_shown_is_none() {
        let result = json!({ "judgement": { "decided_by": "beyond_slo", "reason": "worse in 14 of 14 pairs" } });
        for (code, status) in
            [(0, Status::Passed), (1, Status::Failed), (3, Status::Failed), (4, Status::Passed), (5, Status::Invalid)]
        {
            assert_eq!(outcome(Some(code), &result).unwrap().status(), status, "{code}");
        }
        assert!(outcome(Some(2), &result).is_err() && outcome(None, &result).is_err());
        let complaints = outcome(Some(1), &result).unwrap().complaints();
        assert_eq!(complaints, ["beyond_slo: worse in 14 of 14 pairs"]);
    }
}
