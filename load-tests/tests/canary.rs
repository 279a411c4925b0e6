//! What `scripts/canary` makes of two revisions, without building or judging anything: whom it starts with which words.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up stops here, with the place")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// What the script and those in place of what it calls are made of. No valgrind is among them.
const PROGRAMS: [&str; 9] = ["bash", "sh", "env", "git", "dirname", "mkdir", "cp", "cmp", "grep"];

/// In place of the gateway: a revision that does not know a key, and one that knows all.
const OLD: &str = "! grep -q new \"$2\" || { echo \"unknown field 'new'\"; exit 1; }";
const NEW: &str = "exit 0";

/// Keeps the gateway that lies in a checkout, where a build of it is asked for.
const CARGO: &str = "[ -n \"$CARGO_TARGET_DIR\" ] || exit 0\n\
                     mkdir -p \"$CARGO_TARGET_DIR/release\" && cp gateway \"$CARGO_TARGET_DIR/release/portcullis\"";

fn executable(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\n{content}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A repository with three revisions: a gateway without a config for canaries, one that does not know the key `new`, and one whose
/// config has it.
struct Repository(TempDir);

impl Repository {
    fn new() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        let at = |path: &str| repository.path(path);
        fs::create_dir_all(at("scripts")).unwrap();
        fs::create_dir_all(at("bin")).unwrap();
        fs::create_dir_all(at("deploy/ci")).unwrap();
        for program in PROGRAMS {
            let folders = std::env::var("PATH").unwrap();
            let found = std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|file| file.is_file());
            symlink(found.unwrap(), at("bin").join(program)).unwrap();
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/canary");
        fs::copy(script, at("scripts/canary")).unwrap();
        fs::write(at(".gitignore"), "/bin\n/target\n").unwrap();
        executable(&at("bin/cargo"), CARGO);
        executable(&at("target/release/portcullis-load"), "echo \"$@\"; exit 4");
        repository.git(&["init", "--quiet"]);
        for (gateway, config) in [(NEW, None), (OLD, Some("version: 1\n")), (NEW, Some("new: 1\n"))] {
            executable(&at("gateway"), gateway);
            if let Some(config) = config {
                fs::write(at("deploy/ci/canary.yaml"), config).unwrap();
            }
            repository.git(&["add", "."]);
            repository.git(&["-c", "user.name=a", "-c", "user.email=a@test", "commit", "--quiet", "-m", "more"]);
        }
        repository
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// A command that sees nothing of whoever runs the test.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", self.path("bin")).env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.env("GIT_CONFIG_SYSTEM", "/dev/null").current_dir(self.0.path());
        command
    }

    fn git(&self, words: &[&str]) {
        let program = self.path("bin/git");
        let done = self.command(program.to_str().unwrap()).args(words).output().unwrap();
        assert!(done.status.success(), "{words:?}: {done:?}");
    }

    /// How the script ends, the words that the judge is called with, and what is said.
    fn judge(&self, words: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
        let script = self.path("scripts/canary");
        let mut script = self.command(script.to_str().unwrap());
        let done = script.args(words).envs(environment.iter().copied()).output().unwrap();
        let [out, err] = [done.stdout, done.stderr].map(|said| String::from_utf8(said).unwrap());
        (done.status.code(), out, err)
    }

    /// What a side was given to serve.
    fn served(&self, side: &str) -> String {
        fs::read_to_string(self.path(&format!("target/canary/{side}.yaml"))).unwrap()
    }
}

#[test]
fn each_side_serves_the_config_of_its_revision() {
    let repository = Repository::new();
    let (code, words, said) = repository.judge(&["HEAD~1", "--seed", "7"], &[]);
    assert_eq!(code, Some(4), "{said}");
    let place = repository.path("target/canary");
    for side in ["baseline", "canary"] {
        let expected = format!("--{side} {0}/{side} run -c {0}/{side}.yaml --{side}-revision ", place.display());
        assert!(words.contains(&expected), "{words}");
    }
    assert!(words.ends_with(" --seed 7\n"), "{words}");
    let held = words.split(" --hold ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok());
    assert!(held.is_some_and(|held| (100..=3000).contains(&held)), "{words}");
    let (_, words, _) = repository.judge(&["HEAD~1"], &[("HOLD", "7")]);
    assert!(words.contains(" --hold 7 "), "{words}");
    assert_eq!(
        (repository.served("baseline").as_str(), repository.served("canary").as_str()),
        ("version: 1\n", "new: 1\n")
    );
    assert!(said.contains("what differs in them is judged too"), "{said}");
    // A revision that has none serves what there is now.
    let (code, _, said) = repository.judge(&["HEAD~2"], &[]);
    assert_eq!((code, repository.served("baseline").as_str()), (Some(4), "new: 1\n"), "{said}");
    assert!(!said.contains("differs"), "{said}");
}

#[test]
fn a_config_that_a_side_does_not_take_is_usage_and_nothing_is_judged() {
    let repository = Repository::new();
    let (code, words, said) = repository.judge(&["HEAD~1"], &[("CONFIG", "deploy/ci/canary.yaml")]);
    assert_eq!((code, words.as_str()), (Some(2), ""), "{said}");
    assert!(said.contains("canary: the baseline (") && said.contains("unknown field 'new'"), "{said}");
    let (code, words, said) = repository.judge(&["HEAD~2"], &[("CONFIG", "deploy/ci/canary.yaml")]);
    assert_eq!(code, Some(4), "{said}");
    assert_eq!(words.matches(" run -c deploy/ci/canary.yaml ").count(), 2, "{words}");
    let (code, _, said) = repository.judge(&["nowhere"], &[]);
    assert_eq!((code, said.as_str()), (Some(2), "canary: nowhere is no revision\n"));
}

#[test]
fn instructions_are_compared_where_they_can_be_counted_unless_they_are_not_wanted() {
    let repository = Repository::new();
    let counted = |words: &[&str], environment: &[(&str, &str)]| {
        let (code, words, said) = repository.judge(words, environment);
        assert_eq!(code, Some(4), "{said}");
        (words.matches("--instructions").count(), said.contains("no valgrind"))
    };
    assert_eq!(counted(&["HEAD"], &[]), (0, true));
    executable(&repository.path("bin/valgrind"), "exit 0");
    assert_eq!(counted(&["HEAD"], &[]), (1, false));
    assert_eq!(counted(&["HEAD", "--instructions"], &[]), (1, false));
    assert_eq!(counted(&["HEAD", "--duet"], &[]), (1, false));
    assert_eq!(counted(&["HEAD"], &[("INSTRUCTIONS", "0")]), (0, false));
    // Of a duet nothing is asked that it does not judge.
    let [turns, duet] = [&["HEAD"][..], &["HEAD", "--duet"]].map(|words| repository.judge(words, &[]).1);
    assert!(turns.contains("--most-failed 0.001 --most-beyond 0.1") && !duet.contains("--most"), "{turns}{duet}");
}

#[test]
fn what_cannot_be_built_is_no_verdict() {
    let repository = Repository::new();
    let no_tool = format!("[ -n \"$CARGO_TARGET_DIR\" ] || exit 101\n{CARGO}");
    for (cargo, expected) in [
        ("exit 101", "canary: the baseline ("),
        ("exit 0", "canary: the baseline ("),
        (no_tool.as_str(), "canary: the load tool cannot be built"),
    ] {
        executable(&repository.path("bin/cargo"), cargo);
        let (code, words, said) = repository.judge(&["HEAD"], &[]);
        assert_eq!((code, words.as_str()), (Some(2), ""), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}
