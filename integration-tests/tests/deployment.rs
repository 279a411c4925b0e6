//! What runs the gateway: the archive, the container, the manifests and the template, each held against the gateway that
//! it runs and against what its own world says of it.

mod archive;
mod cloudformation;
mod container;
mod kubernetes;
mod pages;

use serde_json::{Map, Value};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use portcullis_integration_tests::{Client, process, until};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents of a YAML file. A tag such as `!Ref a` becomes `{"!Ref": "a"}`.
fn documents(yaml: &str) -> Vec<Value> {
    use serde::Deserialize as _;
    let parsed = serde_yaml::Deserializer::from_str(yaml).map(serde_yaml::Value::deserialize);
    parsed.map(|one| plain(one.unwrap_or_else(|error| panic!("{error}:\n{yaml}")))).collect()
}

fn document(yaml: &str) -> Value {
    let mut all = documents(yaml);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn plain(value: serde_yaml::Value) -> Value {
    use serde_yaml::Value as Yaml;
    match value {
        Yaml::Sequence(list) => list.into_iter().map(plain).collect(),
        Yaml::Mapping(map) => {
            let key = |key: Yaml| key.as_str().unwrap_or_else(|| panic!("a key is no text: {key:?}")).to_owned();
            Value::Object(map.into_iter().map(|(name, value)| (key(name), plain(value))).collect())
        }
        Yaml::Tagged(tagged) => Value::Object(Map::from_iter([(tagged.tag.to_string(), plain(tagged.value))])),
        scalar @ (Yaml::Null | Yaml::Bool(_) | Yaml::Number(_) | Yaml::String(_)) => {
            serde_json::to_value(scalar).unwrap()
        }
    }
}

/// Every value under this key, wherever it stands.
fn everywhere<'a>(value: &'a Value, key: &str) -> Vec<&'a Value> {
    match value {
        Value::Array(list) => list.iter().flat_map(|one| everywhere(one, key)).collect(),
        Value::Object(map) => map
            .iter()
            .flat_map(|(name, one)| (name == key).then_some(one).into_iter().chain(everywhere(one, key)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// The port at the end of an address.
fn port(address: &Value) -> u64 {
    address.as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap()
}

/// Whole seconds of a duration as a config has it.
fn seconds(duration: &Value) -> u64 {
    duration.as_str().unwrap().strip_suffix('s').unwrap().parse().unwrap()
}

/// Runs a tool of `scripts/setup test` to its end; it must be content.
fn tool(name: &str, args: &[&str]) {
    let program = root().join("target/deploy-venv/bin").join(name);
    let output = Command::new(program).args(args).current_dir(root()).output();
    let output = output.unwrap_or_else(|error| panic!("{name}: {error}; run scripts/setup test"));
    assert!(output.status.success(), "{name}: {}", said(&output));
}

fn said(output: &Output) -> String {
    [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).concat()
}

/// A gateway on a folder that is laid out as its surroundings do.
struct Running(Child);

impl Running {
    fn start(config: &Path, env: &[(&str, &str)], admin: SocketAddr) -> Self {
        let mut command = Command::new(process::binary());
        command.args(["run", "-c"]).arg(config).envs(env.iter().copied());
        let mut running = Self(command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap());
        running.wait_until_ready(admin);
        running
    }

    fn wait_until_ready(&mut self, admin: SocketAddr) {
        until("the gateway to be ready", || {
            assert!(self.0.try_wait().unwrap().is_none(), "the gateway ended");
            let there = std::net::TcpStream::connect(admin).is_ok();
            (there && Client::connect(admin).get("/readyz").status == 200).then_some(())
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
