//! Proxies that are built on request: where the rig finds them, what it tells them, and what it says when they do not run.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up stops here, with the place")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

fn program(path: &Path, script: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/bash\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What the rig says of a program that prints the config that it is given, and ends.
fn said(contender: &str, variable: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let rival = folder.path().join("rival");
    program(&rival, "[ \"$1\" = -c ] && cat \"$2\"\nexit 3");
    let mut rig = Command::new(env!("CARGO_BIN_EXE_rig"));
    let rig = rig.args(["--core", "0", "speed", "--contenders", contender]).env(variable, &rival);
    let output = rig.output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), b"".as_slice()), "nothing is measured");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_rival_is_what_its_variable_names_and_gets_one_worker_and_one_origin() {
    for (contender, variable, lines) in [
        ("pingap", "PINGAP", ["threads = 1", "addrs = [\"127.0.0.1:", "addr = \"127.0.0.1:"]),
        ("praxis", "PRAXIS", ["threads: 1,", "endpoints: [\"127.0.0.1:", "address: \"127.0.0.1:"]),
    ] {
        let said = said(contender, variable);
        assert!(said.contains("it ended at once: exit status: 3"), "{said}");
        // A failure is printed with its line breaks escaped.
        let said = said.replace("\\\"", "\"");
        for line in lines {
            assert!(said.contains(line), "{line}: {said}");
        }
        assert!(!said.contains("access_log"), "{said}");
    }
}

/// How the script that builds them ends with these toolchains and protoc, and what it asks cargo to install.
fn asked(words: &[&str], [stable, nightly]: [&str; 2], protoc: &str) -> (Option<i32>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("scripts")).unwrap();
    let script = folder.path().join("scripts/rivals");
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/rivals"), &script).unwrap();
    program(&folder.path().join("bin/cargo"), "echo \"$* $CARGO_PROFILE_RELEASE_LTO\"");
    let versions = "[ \"$1\" = +nightly ] && v=$NIGHTLY || v=$STABLE\n[ -n \"$v\" ] && echo \"rustc $v (abc)\"";
    program(&folder.path().join("bin/rustc"), versions);
    let path = format!("{}:{}", folder.path().join("bin").display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(script);
    let command = command.args(words).env("PATH", path).env("STABLE", stable).env("NIGHTLY", nightly);
    let command = command.env("PROTOC", protoc);
    let output = command.output().unwrap();
    assert!(!folder.path().join("target/rig-rivals/build").exists(), "the build folder stays behind");
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines.lines().map(|line| {
        let (asked, profile) = line.split_once(" --root ").unwrap();
        format!("{asked}{}", if profile.ends_with(" true") { ", link-time optimised" } else { "" })
    });
    (output.status.code(), lines.collect())
}

#[test]
fn each_rival_is_built_by_a_toolchain_that_is_new_enough() {
    let pingap = "install pingap --version 0.16.1 --locked --bin pingap";
    let praxis = "install praxis-proxy --version 0.7.5 --locked --bin praxis, link-time optimised";
    let both = |pingap: String| (Some(0), vec![pingap, praxis.to_owned()]);
    let built = |words: &[&str], stable, nightly| asked(words, [stable, nightly], "protoc");
    assert_eq!(built(&[], "1.95.0", "1.97.0-nightly"), both(format!("+nightly {pingap}")));
    assert_eq!(built(&[], "1.100.0", ""), both(pingap.to_owned()));
    assert_eq!(built(&["praxis"], "1.95.0", ""), (Some(0), vec![praxis.to_owned()]));
    for (words, stable, code) in [(&[][..], "1.95.0", 1), (&["praxis"], "1.91.1", 1), (&["envoy"], "1.100.0", 2)] {
        assert_eq!(built(words, stable, "1.90.0-nightly"), (Some(code), Vec::new()), "{words:?} by {stable}");
    }
    // Where there is a protoc it is taken without being named.
    if Command::new("protoc").arg("--version").output().is_err() {
        assert_eq!(asked(&[], ["1.96.0", ""], ""), (Some(1), Vec::new()), "Pingap is not built without protoc");
    }
}
