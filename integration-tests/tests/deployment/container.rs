//! The Dockerfile, walked on a machine without an engine: what it copies is there and is not ignored; the tree that it makes
//! is made by the very step that it names, of the binary under test; and the gateway runs in that tree as the image would
//! run it, with a root that cannot be written and a user without rights.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{root, said, text};
use portcullis_integration_tests::{Client, address, process, until};

/// What the image may weigh, and what of it is the release's binary (`scripts/release` holds it to that).
const IMAGE_BYTES: u64 = 40_000_000;
const BINARY_BYTES: u64 = 25_000_000;

/// The one place that the gateway writes.
const STORE: &str = "/var/lib/portcullis";

/// An instruction with what it says: continued lines are one, comments are gone.
fn instructions() -> Vec<(String, String)> {
    let lines = text("Dockerfile");
    let kept: Vec<&str> = lines.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let joined = kept.join("\n").replace("\\\n", " ");
    let split = joined.lines().filter_map(|line| line.trim().split_once(' '));
    split.map(|(name, rest)| (name.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" "))).collect()
}

/// What one instruction says; it must stand once in the last stage.
fn last_stage(name: &str) -> String {
    let all = instructions();
    let from = all.iter().rposition(|(name, _)| name == "FROM").unwrap();
    let found: Vec<&String> = all[from..].iter().filter(|(known, _)| known == name).map(|(_, rest)| rest).collect();
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found[0].clone()
}

/// The words of the exec form.
fn words(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("not in exec form, so a shell is needed: {json}: {error}"))
}

/// Whether a file of the repository is left out of the build by `.dockerignore`. Of its patterns those are known that it uses: a
/// path, and `**/` before a name that may have one `*`.
fn ignored(path: &str) -> bool {
    let rules = text(".dockerignore");
    let rules = rules.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    rules.into_iter().any(|rule| match rule.strip_prefix("**/") {
        None => {
            assert!(!rule.contains(['*', '?', '[', '!']), "this test does not know the pattern {rule}");
            path == rule || path.strip_prefix(rule).is_some_and(|rest| rest.starts_with('/'))
        }
        Some(name) => {
            assert!(!name.contains(['/', '?', '[']), "this test does not know the pattern {rule}");
            let (start, end) = name.split_once('*').map_or((name, None), |(start, end)| (start, Some(end)));
            path.split('/').any(|part| match end {
                None => part == start,
                Some(end) => part.len() >= start.len() + end.len() && part.starts_with(start) && part.ends_with(end),
            })
        }
    })
}

fn tracked() -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap().split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn every_stage_copies_what_is_there() {
    let mut stages = BTreeSet::new();
    for (name, rest) in instructions() {
        let sources: Vec<&str> = rest.split(' ').filter(|word| !word.starts_with("--")).collect();
        let from = rest.split(' ').find_map(|word| word.strip_prefix("--from="));
        match (&*name, from) {
            ("FROM", _) => drop(rest.rsplit_once(" AS ").map(|(_, stage)| stages.insert(stage.to_owned()))),
            ("COPY" | "ADD", Some(stage)) => assert!(stages.contains(stage), "no stage {stage} before {rest}"),
            ("COPY" | "ADD", None) => {
                for source in &sources[..sources.len() - 1] {
                    let path = source.trim_end_matches('/');
                    assert!(root().join(path).exists() && !ignored(path), "{source} is not in the build");
                }
            }
            _ => {}
        }
    }
}

#[test]
fn what_the_build_needs_is_not_ignored_and_what_it_must_not_see_is() {
    // All members of the workspace, since cargo reads each one's manifest, and all that these compile.
    let compiled = |path: &str| {
        let place = ["crates/", "examples/", "integration-tests/", "load-tests/", "xtask/", "vendor/"];
        let ends = [".rs", ".toml", ".lua", ".html", ".css", ".js", ".json", ".svg"];
        place.iter().any(|place| path.starts_with(place)) && ends.iter().any(|end| path.ends_with(end))
    };
    let scripts =
        ["scripts/setup", "scripts/release", "scripts/dist", "deploy/container/tree", "deploy/container/gateway.yaml"];
    let profile = ["deploy/profile/portcullis.profdata.xz", "deploy/profile/names"];
    let needed = ["Cargo.toml", "Cargo.lock", ".cargo/config.toml"].into_iter().chain(scripts).chain(profile);
    let tracked = tracked();
    for path in needed {
        assert!(tracked.iter().any(|known| known == path), "{path} is gone");
        assert!(!ignored(path), "{path} is ignored");
    }
    let sources: Vec<&String> = tracked.iter().filter(|path| compiled(path)).collect();
    assert!(sources.len() > 500);
    for path in sources {
        assert!(!ignored(path), "{path} is ignored");
    }
    for secret in [".git/config", "target/debug/portcullis", "conf/certs/edge.key", "admin.token", ".env", "a/b/.env"] {
        assert!(ignored(secret), "{secret} goes into the build");
    }
}

/// The tree of the image, made by the step of the Dockerfile.
struct Tree {
    dir: tempfile::TempDir,
}

impl Tree {
    fn new(binary: &Path) -> Self {
        let steps = instructions();
        let step = steps.iter().find(|(name, rest)| name == "RUN" && rest.starts_with("deploy/")).unwrap();
        let (into, _) = steps
            .iter()
            .find(|(name, rest)| name == "COPY" && rest.starts_with("--from=build /image/ /"))
            .map(|(_, rest)| (rest.split(' ').nth(1).unwrap().trim_end_matches('/').to_owned(), ()))
            .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let words: Vec<PathBuf> = step
            .1
            .split(' ')
            .map(|word| match word {
                "/out/portcullis" => binary.to_owned(),
                word if word == into => dir.path().join("image"),
                word => word.into(),
            })
            .collect();
        let output = Command::new(root().join(&words[0])).args(&words[1..]).current_dir(root()).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        Self { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    /// Every file with its size.
    fn files(&self) -> BTreeMap<String, u64> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.path()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let meta = entry.metadata().unwrap();
                if meta.is_dir() {
                    folders.push(entry.path());
                } else {
                    let name = entry.path().strip_prefix(self.path()).unwrap().display().to_string();
                    found.insert(name, meta.len());
                }
            }
        }
        found
    }
}

#[test]
fn the_image_has_the_gateway_and_little_else() {
    let tree = Tree::new(&process::binary());
    let files = tree.files();
    let (mut libraries, mut others) = (0, 0);
    for (name, bytes) in &files {
        match &**name {
            "usr/local/bin/portcullis" => {}
            "etc/portcullis/gateway.yaml" | "etc/passwd" | "etc/group" | "etc/nsswitch.conf" => others += bytes,
            "etc/ssl/certs/ca-certificates.crt" => others += bytes,
            // The binary under test is linked to them; the image's is not, which the release proves.
            name if name.starts_with("lib") && name.contains(".so") => libraries += bytes,
            name => panic!("{name} is in the image"),
        }
    }
    assert!(files.contains_key("usr/local/bin/portcullis") && others > 0);
    assert!(BINARY_BYTES + libraries + others < IMAGE_BYTES, "{libraries} bytes of libraries, {others} of other files");
}

/// Runs a command as the image would: nothing to see but the tree, which cannot be written but for the volume; a user without
/// rights; only the image's environment. It takes the process's own namespaces for that, as root or as a user who may make
/// his own.
fn contained(tree: &Path, user: &str, env: &[(&str, String)], words: &[String]) -> Child {
    const LAY: &str = r#"
mount --bind "$1" "$1"
mount --rbind /proc "$1/proc"
mount -t tmpfs -o "$2" tmpfs "$1/var/lib/portcullis"
mount -o remount,bind,ro "$1"
cd "$1"
"#;
    let (id, group) = user.split_once(':').unwrap();
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let (namespace, owner, enter): (&[&str], String, String) = if is_root {
        (&["--mount"], format!("mode=0700,uid={id},gid={group}"), format!("chroot --userspec={user} \"$root\""))
    } else {
        // Who is root in the first namespace is the image's user in the second one, and has lost all rights there.
        let enter = format!("unshare --user --map-user={id} --map-group={group} --root=\"$root\"");
        (&["--user", "--map-root-user", "--mount"], "mode=0700".to_owned(), enter)
    };
    let script = format!("set -e\n{LAY}\nroot=$1; shift 2\nexec {enter} \"$@\"");
    let mut command = Command::new("unshare");
    command
        .args(namespace)
        .args(["--propagation", "private", "sh", "-c", &script, "sh"])
        .arg(tree)
        .arg(owner)
        .args(words);
    // The image's PATH is not where unshare finds its tools.
    let env = env.iter().filter(|(name, _)| *name != "PATH").map(|(name, value)| (name, value));
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").envs(env);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ended(child: Child, what: &str) -> (i32, String) {
    let output = child.wait_with_output().unwrap();
    let told = said(&output);
    assert!(
        !told.contains("unshare:"),
        "this machine lets nobody make namespaces, so the image cannot be tried: {told}"
    );
    (output.status.code().unwrap_or_else(|| panic!("{what}: {told}")), told)
}

#[test]
fn the_gateway_runs_in_the_image_without_rights_and_the_health_check_asks_it() {
    let tree = Tree::new(&process::binary());
    let user = last_stage("USER");
    let id =
        user.split_once(':').and_then(|(user, group)| Some((user.parse::<u32>().ok()?, group.parse::<u32>().ok()?)));
    assert!(id.is_some_and(|(user, group)| user > 0 && group > 0), "{user} is not a number, or root's");
    // The ports of the image are other tests' too.
    let (edge, admin) = (address(), address());
    let config = tree.path().join("etc/portcullis/gateway.yaml");
    let (variables, exposed) = (last_stage("ENV"), last_stage("EXPOSE"));
    let mut env: Vec<(&str, String)> = variables
        .split(' ')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name, value.to_owned()))
        .collect();
    let place = env.iter_mut().find(|(name, _)| *name == "PORTCULLIS_ADMIN").map(|(_, value)| value).unwrap();
    let yaml = fs::read_to_string(&config).unwrap();
    assert!(yaml.contains(&format!("0.0.0.0:{exposed}\"")) && yaml.contains(&**place), "{exposed} and {place}");
    fs::write(
        &config,
        yaml.replace(&format!("0.0.0.0:{exposed}"), &edge.to_string()).replace(&**place, &admin.to_string()),
    )
    .unwrap();
    // An engine makes it, on a root that cannot be written too.
    fs::create_dir(tree.path().join("proc")).unwrap();
    *place = admin.to_string();

    let command: Vec<String> = words(&last_stage("ENTRYPOINT")).into_iter().chain(words(&last_stage("CMD"))).collect();
    let check = last_stage("HEALTHCHECK");
    let check = words(check.split_once("CMD ").unwrap().1);
    let asked = || ended(contained(&tree.path(), &user, &env, &check), "the health check");
    assert_eq!(asked().0, 1, "nobody is there yet");

    let mut gateway = contained(&tree.path(), &user, &env, &command);
    let last = until("the health check", || {
        if gateway.try_wait().unwrap().is_some() {
            return Some((-1, String::new()));
        }
        Some(asked()).filter(|(code, _)| *code == 0)
    });
    if last.0 != 0 {
        panic!("the gateway ended: {:?}", ended(gateway, "the gateway"));
    }
    assert!(Client::connect(edge).get("/").text().contains("Portcullis"));
    let of = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", gateway.id())).unwrap();
    let status = of("status");
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(field("CapEff:").trim_start_matches('0'), "", "{status}");
    if fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0) {
        assert!(field("Uid:").split_whitespace().all(|one| user.starts_with(one)), "{status}");
    }
    let mounts = of("mountinfo");
    let mount =
        |at: &str| mounts.lines().find(|line| line.split(' ').nth(4) == Some(at)).unwrap_or_else(|| panic!("{mounts}"));
    assert!(mount("/").split(' ').nth(5).unwrap().starts_with("ro"), "{}", mount("/"));
    assert!(mount(STORE).split(' ').nth(5).unwrap().starts_with("rw"));
    let kept = format!("/proc/{}/root{STORE}", gateway.id());
    until("the history", || fs::read_dir(&kept).unwrap().next().map(drop));

    let stop = last_stage("STOPSIGNAL");
    process::signal(gateway.id(), stop.strip_prefix("SIG").unwrap());
    assert_eq!(ended(gateway, "the gateway").0, 0);
    assert_eq!(asked().0, 1, "it has ended");
}
