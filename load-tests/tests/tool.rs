//! The tool as CI runs it: exit codes, what it prints, what it leaves behind.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up stops here, with the place")]

use std::path::Path;
use std::process::{Command, Output};

use portcullis_engine::origin::Origin;
use serde_json::Value as Json;

fn tool(words: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_portcullis-load")).args(words).current_dir(folder).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

/// Whether the machine could hold it is the machine's affair; that the books agree is not.
#[test]
fn a_run_leaves_books_that_agree_with_the_server() {
    let (origin, folder) = (Origin::start("{\"fine\":true}").unwrap(), tempfile::tempdir().unwrap());
    let plan = "version: 1\nwarm_up: 100ms\nload:\n  - ramp: { from: 0/s, to: 400/s, for: 500ms }\n  - poisson: { rate: 400/s, for: 500ms }\n\
                requests:\n  - { name: page, weight: 2, path: \"/p/@{n}\" }\n  - { name: call, jsonrpc: { method: getSlot } }\n  \
                - { name: busy, path: /status/429 }\n  - { name: broken, path: /status/500 }\npass: { failed: 50% }\n";
    std::fs::write(folder.path().join("plan.yaml"), plan).unwrap();
    let to = format!("http://{}", origin.address());
    let output = tool(&["run", "plan.yaml", "--to", &to, "--seed", "9", "--out", "out"], folder.path());
    let run: Json = serde_json::from_slice(&std::fs::read(folder.path().join("out/run.json")).unwrap()).unwrap();
    let number = |value: &Json| value.as_u64().unwrap();
    let all = &run["with_warm_up"];
    let failed: u64 = all["failed"].as_object().unwrap().values().map(number).sum();
    assert_eq!(number(&all["sent"]), number(&all["succeeded"]) + number(&all["refused"]) + failed, "{run:#}");
    assert_eq!(number(&all["sent"]), origin.requests(), "{run:#}");
    assert!(number(&all["refused"]) > 0 && number(&all["failed"]["status"]) > 0, "{run:#}");
    assert!(number(&run["counted"]["sent"]) < number(&all["sent"]), "the warm-up is not counted");
    let code = match run["ended"].as_str().unwrap() {
        "passed" => 0,
        "invalid" => 5,
        other => panic!("{other}: {}", said(&output)),
    };
    assert_eq!(output.status.code(), Some(code), "{}", said(&output));
    assert_eq!(code == 5, !run["flaws"].as_array().unwrap().is_empty(), "{run:#}");
    let left = |name: &str| std::fs::read_to_string(folder.path().join("out").join(name)).unwrap();
    let result = portcullis_artifacts::Report::from_json(&left("result.json")).unwrap();
    let load = result.scenes[0].windows[0].load.as_ref().unwrap();
    assert_eq!(load.requests, number(&run["counted"]["sent"]));
    assert_eq!(result.exit() as i32, code, "{:?}", result.scenes);
    for (name, needle) in [
        ("junit.xml", "<testcase name=\"failed\""),
        ("BASELINE.md", "the plan asks for it: a caller got no answer, or a wrong one"),
        ("report.html", "Latency by percentile, window by window"),
    ] {
        assert!(left(name).contains(needle), "{name}: {}", left(name));
    }
}

#[test]
fn a_wrong_plan_is_told_with_its_place_and_nothing_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("plan.yaml"),
        "version: 1\nload: [{ constant: { rte: 5/s, for: 1s } }]\nrequests: []\n",
    )
    .unwrap();
    let output = tool(&["run", "plan.yaml", "--to", "http://127.0.0.1:1"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    let said = said(&output);
    assert!(said.contains("plan.yaml:2:22: error[unknown_key]") && said.contains("did you mean `rate`?"), "{said}");
}

#[test]
fn a_flame_graph_wants_a_process_a_folder_and_perf() {
    let (origin, folder) = (Origin::start("{\"fine\":true}").unwrap(), tempfile::tempdir().unwrap());
    let plan = "version: 1\nload: [{ constant: { rate: 5/s, for: 1s } }]\nrequests: [{ name: page, path: / }]\n";
    std::fs::write(folder.path().join("plan.yaml"), plan).unwrap();
    let to = format!("http://{}", origin.address());
    let own = std::process::id().to_string();
    for (words, expected) in [
        (&[][..], "--pid <PID>"),
        (&["--out", "out"], "--pid <PID>"),
        (&["--pid", &own], "--out <OUT>"),
        // Where it lies in a folder that no path has to name, it is found.
        (&["--pid", &own, "--out", "out"], "perf is not installed"),
    ] {
        if expected.starts_with("perf") && ["/usr/sbin/perf", "/sbin/perf"].iter().any(|perf| Path::new(perf).exists())
        {
            continue;
        }
        let words = [&["run", "plan.yaml", "--to", &to, "--flames"], words].concat();
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis-load"));
        // Nothing is on this path.
        let output = command.args(&words).current_dir(folder.path()).env("PATH", folder.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", said(&output));
        assert!(said(&output).contains(expected), "{words:?}: {}", said(&output));
    }
    assert_eq!(origin.requests(), 0);
    assert!(!folder.path().join("out").exists());
}

#[test]
fn scenes_are_named_and_strangers_refused() {
    let folder = tempfile::tempdir().unwrap();
    let output = tool(&["scenes", "--only", "list"], folder.path());
    assert_eq!(output.status.code(), Some(0));
    assert!(said(&output).contains("reload      a reload every second"), "{}", said(&output));
    let output = tool(&["scenes", "--only", "nonsense"], folder.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("there is no scene `nonsense`"), "{}", said(&output));
}

#[test]
fn a_soak_that_is_too_short_or_that_is_not_played_is_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    for (words, expected) in [
        (&["--soak", "30s"][..], "a soak of 30s is too short: 1m at least"),
        (&["--soak", "soon"], "expected a duration such as `250ms`"),
        (&["--soak", "45m", "--only", "reload,keys"], "how long the scene `soak` is, which --only leaves out"),
    ] {
        let output = tool(&[&["scenes"], words].concat(), folder.path());
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", said(&output));
        assert!(said(&output).contains(expected), "{words:?}: {}", said(&output));
    }
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing was played");
}
