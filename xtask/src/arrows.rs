//! Who may depend on whom. The table here is the only one: `cargo xtask arrows` prints it, `tidy` enforces it.
//!
//! It speaks of what libraries and binaries are built with. Tests and benches may use what they like. A crate that is
//! not in the table fails, so that a new one is given its place before it is used.

use std::fmt;

use crate::metadata::Package;

/// What a crate may use of the others.
enum Uses {
    /// These, by folder.
    These(&'static [&'static str]),
    /// All but these.
    AllBut(&'static [&'static str]),
}

impl fmt::Display for Uses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::These([]) => f.write_str("none of ours"),
            Self::These(these) => f.write_str(&these.join(", ")),
            Self::AllBut(these) => write!(f, "all but {}", these.join(", ")),
        }
    }
}

/// The crates by folder, lowest first, with what each may use. Some are not built yet; their place is settled.
const TABLE: [(&str, Uses); 28] = [
    ("alloc", Uses::These(&[])),
    ("types", Uses::These(&[])),
    ("mutants", Uses::These(&[])),
    ("wire", Uses::These(&[])),
    ("yaml-derive", Uses::These(&[])),
    ("yaml", Uses::These(&["types", "yaml-derive"])),
    ("policy", Uses::These(&["types"])),
    ("balance", Uses::These(&["types"])),
    ("caps", Uses::These(&["types", "mutants"])),
    ("trial", Uses::These(&[])),
    ("judge", Uses::These(&["trial"])),
    ("artifacts", Uses::These(&["judge"])),
    ("engine", Uses::These(&["types", "yaml", "judge"])),
    ("slo", Uses::These(&[])),
    ("health", Uses::These(&[])),
    ("identity", Uses::These(&["types"])),
    ("telemetry", Uses::These(&["types", "mutants"])),
    ("tracing", Uses::These(&["types", "telemetry"])),
    ("store", Uses::These(&["types", "caps"])),
    ("filter", Uses::These(&["types", "yaml"])),
    ("filters", Uses::These(&["types", "yaml", "filter", "policy", "caps", "identity", "telemetry"])),
    ("rpc", Uses::These(&["types", "mutants", "yaml", "filter", "policy", "caps", "identity", "telemetry"])),
    (
        "snapshot",
        Uses::These(&[
            "types",
            "mutants",
            "policy",
            "balance",
            "caps",
            "identity",
            "filter",
            "telemetry",
            "wire",
            "slo",
        ]),
    ),
    (
        "config",
        Uses::These(&[
            "types",
            "yaml",
            "wire",
            "policy",
            "balance",
            "caps",
            "identity",
            "telemetry",
            "filter",
            "filters",
            "rpc",
            "snapshot",
            "slo",
        ]),
    ),
    ("discovery", Uses::These(&["types", "filter", "snapshot", "telemetry", "balance"])),
    (
        "proxy",
        Uses::AllBut(&[
            "config",
            "discovery",
            "admin",
            "portcullis",
            "tracing",
            "yaml",
            "yaml-derive",
            "judge",
            "artifacts",
            "engine",
        ]),
    ),
    (
        "admin",
        Uses::These(&["types", "caps", "identity", "filter", "filters", "config", "snapshot", "telemetry", "health"]),
    ),
    ("portcullis", Uses::AllBut(&["judge", "artifacts", "engine"])),
];

/// Packages that bring Pingora's machinery, and the crates that may use them. `pingora-http` is plain data.
const PINGORA: [(&str, &[&str]); 5] = [
    ("pingora-core", &["proxy"]),
    ("pingora-proxy", &["proxy"]),
    ("pingora-load-balancing", &["proxy"]),
    ("pingora-cache", &["proxy"]),
    ("pingora-http", &["proxy", "filter", "filters", "rpc", "snapshot"]),
];

/// The folder under `crates/` or `load-tests/` of a package of ours; `None` for what stands outside.
fn folder(package: &Package) -> Option<&str> {
    let (before, file) = package.manifest.rsplit_once('/')?;
    let (parent, folder) = before.rsplit_once('/')?;
    let parent = parent.rsplit('/').next().unwrap_or(parent);
    (file == "Cargo.toml" && (parent == "crates" || parent == "load-tests")).then_some(folder)
}

/// The folder that a package's name stands for.
fn folder_of_name(name: &str) -> Option<&str> {
    if name == "portcullis" { Some(name) } else { name.strip_prefix("portcullis-") }
}

fn may_use(uses: &Uses, dependency: &str) -> bool {
    match uses {
        Uses::These(these) => these.contains(&dependency),
        Uses::AllBut(these) => !these.contains(&dependency),
    }
}

/// Every arrow that the table does not have.
pub(crate) fn check(packages: &[Package]) -> Vec<String> {
    let ours: Vec<&str> = packages.iter().filter_map(folder).collect();
    let crates = packages.iter().filter_map(|package| Some((folder(package)?, package)));
    crates.flat_map(|(folder, package)| check_crate(folder, package, &ours)).collect()
}

fn check_crate(folder: &str, package: &Package, ours: &[&str]) -> Vec<String> {
    let Some((_, uses)) = TABLE.iter().find(|(name, _)| *name == folder) else {
        return vec![format!("crates/{folder}: not in the table of xtask/src/arrows.rs")];
    };
    let own = package.dependencies.iter().filter_map(|name| folder_of_name(name)).filter(|name| ours.contains(name));
    let own = own.filter(|dependency| !may_use(uses, dependency)).map(|dependency| (dependency, "cargo xtask arrows"));
    let pingora = PINGORA.iter().filter(|(name, users)| uses_pingora(package, name) && !users.contains(&folder));
    let pingora = pingora.map(|(name, _)| (*name, "one crate knows Pingora"));
    own.chain(pingora).map(|(name, why)| format!("crates/{folder}: may not depend on {name} ({why})")).collect()
}

fn uses_pingora(package: &Package, name: &str) -> bool {
    package.dependencies.iter().any(|dependency| dependency == name)
}

/// The table as markdown.
pub(crate) fn table() -> String {
    let crates = TABLE.iter().map(|(name, uses)| format!("| `{name}` | {uses} |\n"));
    let pingora = PINGORA.iter().map(|(name, users)| format!("| `{name}` | {} |\n", users.join(", ")));
    let crates: String = crates.collect();
    let pingora: String = pingora.collect();
    format!("| crate | may use |\n|---|---|\n{crates}\n| package | used by |\n|---|---|\n{pingora}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(folder: &str, dependencies: &[&str]) -> Package {
        Package {
            name: format!("portcullis-{folder}"),
            manifest: format!("/somewhere/crates/{folder}/Cargo.toml"),
            dependencies: dependencies.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    fn check_one(folder: &str, dependencies: &[&str]) -> Vec<String> {
        let others = ["types", "policy", "trial", "proxy", "config"].map(|folder| package(folder, &[]));
        let mut packages = Vec::from(others);
        packages.retain(|other| other.manifest != format!("/somewhere/crates/{folder}/Cargo.toml"));
        packages.push(package(folder, dependencies));
        check(&packages)
    }

    #[test]
    fn finds_arrows_that_point_the_wrong_way() {
        for (folder, dependencies, findings) in [
            ("policy", &["portcullis-types", "regex"][..], 0),
            ("policy", &["portcullis-config"], 1),
            ("types", &["portcullis-policy", "portcullis-proxy"], 2),
            ("proxy", &["portcullis-policy", "pingora-core", "pingora-proxy"], 0),
            ("proxy", &["portcullis-config"], 1),
            ("config", &["pingora-core"], 1),
            ("policy", &["pingora-http"], 1),
            ("filter", &["pingora-http", "pingora-cache"], 1),
            ("judge", &["portcullis-trial"], 0),
            ("weather", &[], 1),
            // Not a package of this workspace, whatever it is called.
            ("policy", &["portcullis-elsewhere"], 0),
        ] {
            assert_eq!(check_one(folder, dependencies).len(), findings, "{folder} {dependencies:?}");
        }
    }

    #[test]
    fn leaves_packages_outside_crates_alone() {
        let mut bench = package("load", &["pingora-core", "portcullis-config"]);
        bench.manifest = "/somewhere/load-tests/Cargo.toml".to_owned();
        assert_eq!(check(&[bench]), Vec::<String>::new());
    }

    #[test]
    fn the_table_has_no_circles() {
        for (place, (name, uses)) in TABLE.iter().enumerate() {
            let lower: Vec<&str> = TABLE.iter().take(place).map(|(name, _)| *name).collect();
            if let Uses::These(these) = uses {
                assert!(these.iter().all(|used| lower.contains(used)), "{name} uses what stands below it");
            }
        }
    }
}
