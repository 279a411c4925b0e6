//! What the hash of a config covers: everything that was read for it.

use portcullis_yaml::{MemoryLoader, render_text};

use super::kit::{World, conf};

const MAIN: &str = r#"
version: 1
include: "more/*.yaml"
listeners:
  edge: { bind: "127.0.0.1:0", tls: { certificates: [{ cert: a.pem, key: a.key }] } }
clusters: { web: { endpoints: ["${ENDPOINT}"] } }
admin: { bind: "127.0.0.1:0", token: "file:token" }
"#;

const HOST: &str = r#"
hosts:
  - names: [a.example.com]
    routes: [{ name: all, to: web }]
"#;

/// The files of a config in a folder, each of which may be changed.
struct Files {
    folder: &'static str,
    main: String,
    host: String,
    certificate: &'static str,
    token: &'static str,
    endpoint: &'static str,
}

impl Default for Files {
    fn default() -> Self {
        Self {
            folder: "etc",
            main: MAIN.to_owned(),
            host: HOST.to_owned(),
            certificate: "edge",
            token: "a long secret",
            endpoint: "127.0.0.1:1",
        }
    }
}

impl Files {
    fn hash(&self) -> String {
        let certificate = |ending: &str| {
            std::fs::read_to_string(conf().join("certs").join(format!("{}.{ending}", self.certificate))).unwrap()
        };
        let path = |name: &str| format!("{}/{name}", self.folder);
        let loader = MemoryLoader::new()
            .file(path("gate.yaml"), self.main.as_str())
            .file(path("more/host.yaml"), self.host.as_str())
            .file(path("a.pem"), certificate("pem"))
            .file(path("a.key"), certificate("key"))
            .file(path("token"), self.token)
            .var("ENDPOINT", self.endpoint);
        let loaded = World::default().check(&path("gate.yaml"), &loader);
        assert_eq!(render_text(&loaded.diagnostics, &loaded.sources), "");
        loaded.candidate.unwrap().checked().hash().to_owned()
    }
}

#[test]
fn whatever_was_read_counts_and_where_it_stands_does_not() {
    let hash = Files::default().hash();
    assert!(hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
    let check = |same: bool, what: &str, files: Files| assert_eq!(files.hash() == hash, same, "{what}");
    check(true, "nothing", Files::default());
    check(true, "the folder", Files { folder: "srv", ..Files::default() });
    check(false, "the main file", Files { main: format!("{MAIN}# a word\n"), ..Files::default() });
    check(false, "an included file", Files { host: format!("{HOST}# a word\n"), ..Files::default() });
    check(false, "a certificate", Files { certificate: "wildcard", ..Files::default() });
    check(false, "a secret's file", Files { token: "another secret", ..Files::default() });
    check(false, "a variable", Files { endpoint: "127.0.0.1:2", ..Files::default() });
}
