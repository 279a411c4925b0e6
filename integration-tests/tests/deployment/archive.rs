//! `deploy/pack`: the same files give the same bytes, and the archive holds what it says.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{root, said};

/// Packs a stand-in for the binary, whose folder and whose dates differ from one time to the next.
fn pack(folder: &Path, umask: &str) -> (Vec<u8>, String) {
    let binary = folder.join("binary");
    fs::write(&binary, "not what counts here\n").unwrap();
    let script = format!("umask {umask}; exec deploy/pack \"$1\" \"$2\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh"]).arg(&binary).arg(folder).current_dir(root());
    let output = command.env("SOURCE_DATE_EPOCH", "1700000000").env("TARGET", "test-target").output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let archive = String::from_utf8(output.stdout).unwrap().trim_end().to_owned();
    (fs::read(&archive).unwrap(), archive)
}

#[test]
fn an_archive_is_the_same_bytes_every_time() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let [(first, _), (second, _)] =
        [(&folders[0], "022"), (&folders[1], "077")].map(|(dir, umask)| pack(dir.path(), umask));
    assert!(first == second, "{} and {} bytes", first.len(), second.len());
}

#[test]
fn an_archive_has_what_runs_the_gateway_and_the_sums_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (_, archive) = pack(dir.path(), "022");
    let run = |program: &str, args: &[&str], at: &Path| {
        let output = Command::new(program).args(args).current_dir(at).output().unwrap();
        assert!(output.status.success(), "{program}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let name = Path::new(&archive).file_name().unwrap().to_str().unwrap();
    let folder = name.strip_suffix(".tar.gz").unwrap();
    assert_eq!(folder, concat!("portcullis-", env!("CARGO_PKG_VERSION"), "-test-target"));
    run("sha256sum", &["--check", &format!("{name}.sha256")], dir.path());

    let listed = run("tar", &["--list", "--verbose", "--utc", "--full-time", "--file", name], dir.path());
    for line in listed.lines() {
        assert!(line.contains(" 0/0 ") && line.contains(" 2023-11-14 22:13:20 "), "{line}");
        let mode = &line[..10];
        assert!(["drwxr-xr-x", "-rwxr-xr-x", "-rw-r--r--"].contains(&mode), "{line}");
    }
    run("tar", &["--extract", "--file", name], dir.path());
    let unpacked = dir.path().join(folder);
    run("sha256sum", &["--check", "--strict", "SHA256SUMS"], &unpacked);
    let sums = fs::read_to_string(unpacked.join("SHA256SUMS")).unwrap();
    let summed: Vec<&str> = sums.lines().filter_map(|line| line.split_once("  ")).map(|(_, name)| name).collect();
    for needed in ["portcullis", "gateway.yaml", "doc/deploy.md"] {
        assert!(summed.contains(&needed), "{needed} is not in {summed:?}");
    }
    let units = root().join("deploy/systemd");
    for unit in fs::read_dir(units).into_iter().flatten().map(|unit| unit.unwrap().file_name()) {
        assert!(summed.contains(&&*format!("systemd/{}", unit.to_str().unwrap())), "{unit:?} is not in {summed:?}");
    }
    let checked = portcullis_integration_tests::cli::run(&unpacked, &["check", "gateway.yaml"]);
    assert_eq!(checked.code, 0, "{checked:?}");
}
