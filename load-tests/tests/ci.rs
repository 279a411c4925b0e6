//! What CI is shown: examples whose commands, flags and files exist, and what becomes of each exit code.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot set itself up stops here, with the place"
)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_engine::plan::Plan;
use portcullis_judge::Exit;
use portcullis_yaml::OsLoader;
use serde_yaml::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn help(command: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis-load")).args([command, "--help"]).output().unwrap();
    text(&output.stdout)
}

/// Words of a text that begin as flags do, in lines that call the judge or the script around it.
fn flags(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let tools = [
        "portcullis-load judge",
        "portcullis-load compare",
        "portcullis-load scenes",
        "scripts/canary",
        "scripts/load",
    ];
    let calls = joined.lines().filter(|line| tools.iter().any(|tool| line.contains(tool)));
    let words = calls.flat_map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let flag = |word: String| {
        let word = word.trim_matches(['`', ',', '.', '[', ']', '(', ')', '"']).to_owned();
        let name = word.strip_prefix("--")?.split('=').next()?.to_owned();
        (!name.is_empty()).then(|| format!("--{name}"))
    };
    words.filter_map(flag).collect()
}

#[test]
fn examples_and_docs_name_flags_scripts_and_targets_that_exist() {
    let help = ["judge", "judge-power", "compare", "scenes"].map(help).concat();
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let mut found = 0;
    for file in [
        "deploy/ci/github.yaml",
        "deploy/ci/gitlab.yaml",
        "docs/canary.md",
        "docs/load-tests.md",
        "scripts/canary",
        "scripts/load",
        "load-tests/README.md",
    ] {
        let text = fs::read_to_string(root().join(file)).unwrap();
        for flag in flags(&text) {
            assert!(help.contains(&format!("{flag} ")) || help.contains(&format!("{flag}\n")), "{file}: {flag}");
            found += 1;
        }
        for (script, _) in text
            .match_indices("scripts/")
            .map(|(at, _)| text[at..].split_at(text[at..].find([' ', '\n', '`']).unwrap_or(0)))
        {
            assert!(script.len() < 9 || root().join(script).is_file(), "{file}: {script}");
        }
        for target in text.split("make ").skip(1).filter_map(|rest| rest.split([' ', '`', '\n']).next()) {
            let known = makefile.contains(&format!("\n{target}:")) || !text.contains(&format!("`make {target}"));
            assert!(known, "{file}: make {target}");
        }
    }
    assert!(found >= 10, "{found} flags");
}

#[test]
fn the_docs_of_the_judge_name_each_of_its_flags() {
    let docs = fs::read_to_string(root().join("docs/canary.md")).unwrap();
    let words: BTreeSet<&str> = docs.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).collect();
    for (command, least) in [("judge", 30), ("judge-power", 6), ("compare", 2), ("instructions", 4)] {
        let help = help(command);
        // A flag begins the line that tells it.
        let flags = help.lines().filter_map(|line| line.trim_start().strip_prefix("--"));
        let flags: Vec<&str> = flags.filter_map(|rest| rest.split([' ', '=']).next()).collect();
        assert!(flags.len() >= least, "{command}: {flags:?}");
        for flag in flags {
            assert!(words.contains(format!("--{flag}").as_str()), "{command} --{flag} is not in docs/canary.md");
        }
    }
}

#[test]
fn examples_of_ci_are_yaml_and_the_plan_is_one() {
    for file in ["github.yaml", "gitlab.yaml", "canary.yaml"] {
        let text = fs::read_to_string(root().join("deploy/ci").join(file)).unwrap();
        let value: serde_yaml::Value = serde_yaml::from_str(&text).unwrap();
        assert!(value.is_mapping(), "{file}");
    }
    let plan = Plan::read(&root().join("deploy/ci/plan.yaml"), &OsLoader).unwrap();
    assert_eq!(plan.requests.len(), 3);
}

fn example(file: &str) -> Value {
    serde_yaml::from_str(&fs::read_to_string(root().join("deploy/ci").join(file)).unwrap()).unwrap()
}

/// The step of an id in a job of GitHub's, or the one that uploads.
fn step<'a>(github: &'a Value, job: &str, is_it: impl Fn(&Value) -> bool) -> &'a Value {
    let steps = github["jobs"][job]["steps"].as_sequence().unwrap();
    steps.iter().find(|step| is_it(step)).unwrap()
}

/// How a step ends, and what it prints, when the script that it calls ends with a code.
fn ends(step: &Value, script: &str, code: u8) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(script);
    fs::create_dir(path.parent().unwrap()).unwrap();
    fs::write(&path, format!("#!/bin/sh\nexit {code}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    // As GitHub runs it.
    let mut shell = Command::new("bash");
    shell.args(["-e", "-c", step["run"].as_str().unwrap()]).env("BASE", "main").current_dir(folder.path());
    let output = shell.output().unwrap();
    (output.status.code(), text(&output.stdout))
}

#[test]
fn what_fails_a_criterion_fails_the_job_and_what_the_machine_hid_is_a_warning() {
    let (github, gitlab) = (example("github.yaml"), example("gitlab.yaml"));
    // Those that each may end with; the judge's 4 is turned into 0 by its own flag on GitHub.
    for (id, job, script, codes, excused) in [
        ("judge", "canary", "scripts/canary", &[0, 1, 2, 3, 5][..], &[4, 5][..]),
        ("load", "load", "scripts/load", &[0, 1, 2, 5], &[5]),
    ] {
        let run = step(&github, id, |step| step["id"] == id);
        for code in codes {
            let (ended, said) = ends(run, script, *code);
            let invalid = *code == Exit::Invalid as u8;
            assert_eq!(ended, Some(if invalid { 0 } else { i32::from(*code) }), "{script}: {code}");
            assert_eq!(said.starts_with("::warning::the machine could not tell"), invalid, "{script}: {code}: {said}");
        }
        let allowed: Vec<u64> = gitlab[job]["allow_failure"]["exit_codes"]
            .as_sequence()
            .unwrap()
            .iter()
            .map(|code| code.as_u64().unwrap())
            .collect();
        assert_eq!(allowed, excused, "{job}");
        // The last line decides.
        let last = gitlab[job]["script"].as_sequence().unwrap().last().unwrap().as_str().unwrap();
        assert!(last.split(' ').next() == Some(script), "{job}: {last}");
    }
}

#[test]
fn the_compiler_is_as_new_as_the_workspace_asks_and_valgrind_comes_with_it() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let rust = manifest.lines().find_map(|line| line.strip_prefix("rust-version = ")).unwrap().trim_matches('"');
    let (github, gitlab) = (example("github.yaml"), example("gitlab.yaml"));
    for (job, of_gitlab, setup) in [("judge", "canary", "scripts/setup canary"), ("load", "load", "scripts/setup load")]
    {
        let steps = github["jobs"][job]["steps"].as_sequence().unwrap();
        let runs: Vec<&str> = steps.iter().filter_map(|step| step["run"].as_str()).collect();
        let toolchain = format!("rustup toolchain install {rust} --profile minimal");
        assert!(runs[0].starts_with(&toolchain) && runs[0].ends_with(&format!("rustup default {rust}")), "{runs:?}");
        assert_eq!(runs[1], setup);
        assert!(gitlab[of_gitlab]["image"].as_str().unwrap().starts_with(&format!("rust:{rust}-")), "{of_gitlab}");
        assert_eq!(gitlab[of_gitlab]["script"][0], setup);
    }
}

#[test]
fn the_reports_of_scenes_are_kept_however_they_end() {
    let (github, gitlab) = (example("github.yaml"), example("gitlab.yaml"));
    let folder = "target/load-scenes";
    assert!(help("scenes").contains(&format!("[default: {folder}]")), "the tool leaves them elsewhere");
    let expected: BTreeSet<String> = ["junit.xml", "result.json", "report.html", "BASELINE.md", "scenes.json"]
        .map(|file| format!("{folder}/{file}"))
        .into();
    let upload = step(&github, "load", |step| step["uses"].as_str().is_some_and(|uses| uses.contains("upload")));
    assert_eq!(upload["if"], "always()");
    let kept = upload["with"]["path"].as_str().unwrap().lines().map(str::to_owned);
    assert_eq!(kept.collect::<BTreeSet<_>>(), expected);
    let artifacts = &gitlab["load"]["artifacts"];
    assert_eq!(artifacts["when"], "always");
    let kept = artifacts["paths"].as_sequence().unwrap().iter().map(|path| path.as_str().unwrap().to_owned());
    assert_eq!(kept.collect::<BTreeSet<_>>(), expected);
    assert_eq!(artifacts["reports"]["junit"], format!("{folder}/junit.xml"));
}

/// A folder in which a script is played without building or installing anything: the script, and who it calls.
struct Scripted {
    folder: tempfile::TempDir,
    script: &'static str,
}

impl Scripted {
    fn new(script: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("scripts")).unwrap();
        fs::copy(root().join(script), folder.path().join(script)).unwrap();
        let new = Self { folder, script };
        new.file("scripts/setup", "echo \"$@\" >setup");
        new.file("bin/cargo", "exit 0");
        new.file("target/release/portcullis-load", "echo \"$@\"; exit 5");
        new
    }

    fn file(&self, name: &str, content: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{content}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// How it ends, and what the tool was told.
    fn run(&self, words: &[&str]) -> (Option<i32>, String) {
        let path = format!("{}:{}", self.folder.path().join("bin").display(), std::env::var("PATH").unwrap());
        let mut script = Command::new(self.folder.path().join(self.script));
        let script = script.args(words).env("PATH", &path).env_remove("CARGO_TARGET_DIR").env_remove("PROFILE");
        let output = script.output().unwrap();
        (output.status.code(), text(&output.stdout))
    }

    /// What was to be installed.
    fn installed(&self) -> String {
        fs::read_to_string(self.folder.path().join("setup")).unwrap_or_default()
    }
}

#[test]
fn words_of_the_script_go_to_the_tool() {
    let load = Scripted::new("scripts/load");
    assert_eq!(load.run(&["half"]), (Some(2), String::new()));
    assert_eq!(load.installed(), "", "wrong usage installs nothing");
    for (words, expected) in [
        (&[][..], "scenes --small\n"),
        (&["full"], "scenes\n"),
        (&["full", "--soak", "45m"], "scenes --soak 45m\n"),
        (&["--only", "keys"], "scenes --small --only keys\n"),
    ] {
        assert_eq!(load.run(words), (Some(5), expected.to_owned()), "{words:?}");
    }
}

#[test]
fn scripts_install_what_they_need_and_what_cannot_be_had_is_no_missed_criterion() {
    let setup = fs::read_to_string(root().join("scripts/setup")).unwrap();
    for (script, word) in [("scripts/load", "load"), ("scripts/mutants", "mutants")] {
        let scripted = Scripted::new(script);
        assert_eq!(scripted.run(&[]).0, Some(5), "{script}");
        assert_eq!(scripted.installed(), format!("{word}\n"), "{script}");
        assert!(setup.contains(&format!("\n    {word}) ")), "scripts/setup knows no {word}");
        scripted.file("bin/cargo", "exit 101");
        assert_eq!(scripted.run(&[]), (Some(2), String::new()), "{script}: it does not build");
        scripted.file("scripts/setup", "exit 1");
        assert_eq!(scripted.run(&[]), (Some(2), String::new()), "{script}: nothing can be installed");
    }
}
