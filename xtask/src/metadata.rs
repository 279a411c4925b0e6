//! The workspace's packages and what they depend on, as `cargo metadata` tells.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::Failure;

/// A package of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Where its `Cargo.toml` stands.
    pub(crate) manifest: String,
    /// The packages that its library and binaries are built with. What only tests and benches use is left out.
    pub(crate) dependencies: Vec<String>,
}

/// The packages of the workspace.
pub(crate) fn packages(root: &Path) -> Result<Vec<Package>, Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["metadata", "--no-deps", "--format-version", "1"];
    let output = Command::new(cargo).args(arguments).current_dir(root).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    parse(&serde_json::from_slice(&output.stdout)?).ok_or_else(|| "cargo metadata says what is not understood".into())
}

fn parse(metadata: &Value) -> Option<Vec<Package>> {
    metadata.get("packages")?.as_array()?.iter().map(package).collect()
}

fn package(value: &Value) -> Option<Package> {
    let text = |value: &Value, key: &str| Some(value.get(key)?.as_str()?.to_owned());
    let built_in = |dependency: &&Value| dependency.get("kind").and_then(Value::as_str) != Some("dev");
    let dependencies = value.get("dependencies")?.as_array()?.iter().filter(built_in);
    Some(Package {
        name: text(value, "name")?,
        manifest: text(value, "manifest_path")?,
        dependencies: dependencies.map(|dependency| text(dependency, "name")).collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_what_only_tests_use() {
        let metadata = serde_json::json!({ "packages": [{
            "name": "a", "manifest_path": "a/Cargo.toml",
            "dependencies": [
                { "name": "b", "kind": null }, { "name": "c", "kind": "dev" }, { "name": "d", "kind": "build" },
            ],
        }] });
        let expected = Package {
            name: "a".to_owned(),
            manifest: "a/Cargo.toml".to_owned(),
            dependencies: vec!["b".to_owned(), "d".to_owned()],
        };
        assert_eq!(parse(&metadata), Some(vec![expected]));
    }

    #[test]
    fn says_when_the_answer_is_another_than_expected() {
        assert_eq!(parse(&serde_json::json!({ "packages": [{ "name": 1 }] })), None);
    }
}
