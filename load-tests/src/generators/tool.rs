//! The load tool as a process: `portcullis-load run` with a plan, and what its report says.

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value as Json;

use crate::Failure;
use crate::contenders::{PATH, Place};
use crate::process::find;

use super::process::{self, micros_each};
use super::{Plan, Sample};

/// Exit codes of a run that passed, and of one that cannot be believed: what it cost counts all the same, and is marked.
const PASSED: i32 = 0;
const INVALID: i32 = 5;

/// What the report of a run says.
#[derive(Debug, PartialEq)]
struct Run {
    /// Requests; each was answered.
    requests: u64,
    /// CPU time of the process while it sent, all threads together.
    cpu: Duration,
    /// Requests a second.
    rate: f64,
}

/// Has the tool ask for a window.
///
/// # Errors
///
/// When it is not built, or a request was not answered with 2xx.
pub(super) fn ask(to: SocketAddr, plan: Plan, place: &Place) -> Result<Sample, Failure> {
    let tool = find("portcullis-load").ok_or("not built: cargo build --release -p portcullis-load --bins")?;
    let (file, out) = (place.folder.join("generator.yaml"), place.folder.join("generator"));
    fs::write(&file, yaml(plan))?;
    let report = out.join("run.json");
    if report.exists() {
        fs::remove_file(&report)?;
    }
    let words = vec![
        tool.into(),
        "run".into(),
        file.into(),
        "--to".into(),
        format!("http://{to}").into(),
        "--out".into(),
        out.into(),
    ];
    let ended = process::run(words, place, plan.seconds)?;
    let code = ended.status.code();
    if !matches!(code, Some(PASSED | INVALID)) {
        return Err(format!("{}: {}", ended.status, ended.said).into());
    }
    let run = parse(&fs::read_to_string(report)?)?;
    Ok(Sample {
        cost: micros_each(run.cpu, run.requests),
        whole: micros_each(ended.cpu, run.requests),
        rate: run.rate,
        invalid: code == Some(INVALID),
    })
}

fn yaml(plan: Plan) -> String {
    let Plan { connections, seconds, rate, .. } = plan;
    let load = match rate {
        None => format!("closed: {{ connections: {connections}, for: {seconds}s }}"),
        Some(rate) => format!("constant: {{ rate: {rate}/s, for: {seconds}s }}"),
    };
    format!("version: 1\nload: [{{ {load} }}]\nrequests: [{{ name: get, path: \"{PATH}\" }}]\n")
}

fn parse(text: &str) -> Result<Run, Failure> {
    let json: Json = serde_json::from_str(text)?;
    let read = || {
        let count = |name| json.pointer(name).and_then(Json::as_u64);
        let windows = json.get("machine")?.as_array()?;
        let cpu =
            windows.iter().map(|window| Some(window.get("own_cpu")?.as_f64()? * window.get("seconds")?.as_f64()?));
        let cpu = Duration::try_from_secs_f64(cpu.sum::<Option<f64>>()?).ok()?;
        Some((count("/counted/sent")?, count("/counted/succeeded")?, cpu, json.get("seconds")?.as_f64()?))
    };
    let (sent, succeeded, cpu, seconds) = read().ok_or("the run's report is not understood")?;
    if sent != succeeded || sent == 0 {
        return Err(format!("{succeeded} of {sent} requests were answered").into());
    }
    #[expect(clippy::cast_precision_loss, reason = "requests of a window are far below 2^52")]
    let rate = sent as f64 / seconds.max(1e-9);
    Ok(Run { requests: sent, cpu, rate })
}

#[cfg(test)]
mod tests {
    use portcullis_engine::plan::{self, When};
    use portcullis_yaml::OsLoader;
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_a_run_says() {
        let report = |succeeded: u64| {
            let windows = json!([{ "own_cpu": 0.5, "seconds": 1.0 }, { "own_cpu": 1.0, "seconds": 0.5 }]);
            json!({ "counted": { "sent": 200, "succeeded": succeeded }, "machine": windows, "seconds": 2.0 })
                .to_string()
        };
        let expected = Run { requests: 200, cpu: Duration::from_secs(1), rate: 100.0 };
        assert_eq!(parse(&report(200)).unwrap(), expected);
        assert_eq!(parse(&report(199)).unwrap_err().to_string(), "199 of 200 requests were answered");
        assert_eq!(parse("{}").unwrap_err().to_string(), "the run's report is not understood");
    }

    #[test]
    fn its_plans_are_plans() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plan.yaml");
        let read = |rate| {
            fs::write(&file, yaml(Plan { rounds: 1, seconds: 3, connections: 32, rate })).unwrap();
            plan::Plan::read(&file, &OsLoader).unwrap()
        };
        let closed = read(None).when;
        let length = Duration::from_secs(3);
        assert!(matches!(closed, When::Closed { connections: 32, length: found } if found == length), "{closed:?}");
        let open = read(Some(100_000));
        assert!(matches!(open.when, When::Open(_)) && open.length() == length, "{open:?}");
    }
}
