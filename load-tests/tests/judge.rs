//! The tool `portcullis-load judge` as CI meets it: exit codes and reports.

use std::process::{Command, Output};
use std::{fs, io};

use portcullis_artifacts::Report;
use portcullis_judge::Verdict;

fn tool(arguments: &[&str]) -> io::Result<Output> {
    let tool = env!("CARGO_BIN_EXE_portcullis-load");
    Command::new(tool).args(arguments).env("ENVOY", "/no/such/envoy").output()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_baseline_that_does_not_start_is_an_invalid_run_with_all_its_reports() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("judge");
    let judge = ["judge", "--baseline", "false", "--canary", "false", "--hold", "0", "--rulers", "envoy", "--out"];
    let done = tool(&[&judge[..], &[out.to_str().unwrap()]].concat()).unwrap();
    assert_eq!(done.status.code(), Some(5), "{}", text(&done.stderr));
    assert!(text(&done.stdout).starts_with("INVALID\n"), "{}", text(&done.stdout));
    let report = Report::from_json(&fs::read_to_string(out.join("result.json")).unwrap()).unwrap();
    assert_eq!(report.judgement.unwrap().verdict, Verdict::Invalid);
    let ruler = report.rulers.first().unwrap();
    assert_eq!((ruler.name.as_str(), ruler.left_out.as_deref()), ("Envoy", Some("it is not installed")));
    for said in [&done.stdout, &done.stderr].map(|said| text(said)) {
        assert!(said.contains("left out: it is not installed"), "{said}");
    }
    for (file, needle) in
        [("junit.xml", "type=\"invalid\""), ("report.html", "<h1>INVALID</h1>"), ("BASELINE.md", "# Baseline")]
    {
        let text = fs::read_to_string(out.join(file)).unwrap();
        assert!(text.contains(needle), "{file}: {text}");
    }
}

#[test]
fn what_cannot_be_done_is_said_with_exit_code_2() {
    for (arguments, said) in [
        (&["judge", "--baseline", "true"][..], "--canary"),
        (&["judge", "--baseline", "true", "--canary", "true", "--twins", "5"], "cannot tell a 95 % range"),
        (&["judge", "--baseline", "https://a", "--canary", "true"], "begins with http://"),
        (&["judge", "--baseline", "true", "--canary", "true", "--path", "no slash"], "--path begins with a slash"),
        (&["judge", "--baseline", "true", "--canary", "true", "--plan", "/no/such/plan.yaml"], "plan.yaml"),
        (&["judge", "--live", "--baseline-metrics", "http://a"], "--canary-metrics"),
        (
            &["judge", "--live", "--baseline-metrics", "http://a", "--canary-metrics", "http://a"],
            "baseline and canary are the same",
        ),
        (&["judge-power", "--noise", "/no/such/file"], "/no/such/file"),
        (&["judge", "--baseline", "http://a", "--canary", "true", "--duet"], "known of commands alone"),
        (&["judge", "--baseline", "http://a", "--canary", "true", "--rulers", "all"], "a baseline that is a command"),
        (&["judge", "--baseline", "true", "--canary", "true", "--duet", "--rulers", "all"], "cannot be used with"),
        (&["judge", "--baseline", "true", "--canary", "true", "--rulers", "apache"], "possible values: nginx"),
        (&["judge", "--baseline", "true", "--canary", "true", "--most-late", "2"], "a share from 0 to 1, not 2"),
        (&["compare", "/no/such/result.json", "/no/such/result.json"], "/no/such/result.json"),
        (&["compare", "a", "b", "--margin=-1"], "--margin is a percentage"),
    ] {
        let done = tool(arguments).unwrap();
        assert_eq!(done.status.code(), Some(2), "{arguments:?}: {}", text(&done.stderr));
        assert!(text(&done.stderr).contains(said), "{arguments:?}: {}", text(&done.stderr));
    }
}

#[test]
fn what_is_no_result_is_not_compared_and_its_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let out = folder.path().join("judge");
    tool(&["judge", "--baseline", "false", "--canary", "false", "--out", out.to_str().unwrap()]).unwrap();
    let empty = fs::read_to_string(out.join("result.json")).unwrap();
    let newer = empty.replacen("\"version\": 4", "\"version\": 99", 1);
    for (name, text_of, said) in [
        ("empty.json", empty.as_str(), "the first result has no windows of the baseline"),
        ("newer.json", &newer, "newer.json: a report of version 99; this tool reads versions 1 to 4"),
        ("page.html", "<html>", "page.html: no report"),
        ("other.json", "{\"version\": 4}", "other.json: no report: missing field"),
    ] {
        let path = file(name, text_of);
        let done = tool(&["compare", &path, &path]).unwrap();
        assert_eq!(done.status.code(), Some(2), "{name}: {}", text(&done.stdout));
        assert!(text(&done.stderr).contains(said), "{name}: {}", text(&done.stderr));
    }
}

#[test]
fn the_power_of_the_judge_is_told_from_noise_that_was_measured() {
    let done = tool(&["judge-power", "--runs", "5"]).unwrap();
    assert_eq!(done.status.code(), Some(0), "{}", text(&done.stderr));
    assert!(text(&done.stdout).contains("| none (A/A) | 0.0 % |"), "{}", text(&done.stdout));
}
