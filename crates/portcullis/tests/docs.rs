//! The documentation is run: every YAML block is checked, every command of a console block is executed and its output
//! compared, and what is generated is compared with what is committed (`PORTCULLIS_BLESS=1` writes it anew).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot set itself up stops here, with the place"
)]

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use portcullis_identity::directory::Limits;
use portcullis_identity::{Directory, Format};
use portcullis_types::{Reason, Retry};
use portcullis_yaml::{MemoryLoader, markdown_reference, render_text};

const BINARY: &str = env!("CARGO_BIN_EXE_portcullis");

/// The filters of the binary.
fn registry() -> portcullis_filter::Registry {
    portcullis_rpc::register(portcullis_filters::registry())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn pages() -> Vec<(String, String)> {
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let pages = docs.filter(|path| path.extension().is_some_and(|ext| ext == "md")).chain([root().join("README.md")]);
    pages.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap())).collect()
}

/// The fenced blocks of a page whose info string is this.
fn blocks(page: &str, info: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else { continue };
        let body: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
        if kind == info {
            found.push(body.join("\n") + "\n");
        }
    }
    found
}

fn squeeze(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_block_of_consumers_is_a_file_of_them() {
    let mut found = 0;
    for (page, text) in pages() {
        for block in blocks(&text, "yaml consumers") {
            let made = Directory::new(1).rebuild_from(Format::Yaml, &mut block.as_bytes(), Limits::default());
            let (directory, _) = made.unwrap_or_else(|error| panic!("{page}:\n{block}\n{error}"));
            for consumer in directory.iter() {
                let caps = consumer.caps().map(|caps| portcullis_filters::caps::own_set(consumer.id(), caps));
                assert!(!matches!(caps, Some(Err(_))), "{page}:\n{block}\n{caps:?}");
                found += 1;
            }
        }
    }
    assert!(found > 0);
}

#[test]
fn every_yaml_block_is_a_config_or_an_excerpt_of_an_example() {
    let examples: Vec<String> = ["examples/platform-team/gateway.yaml", "examples/toy-wing/gateway.yaml"]
        .map(|path| squeeze(&std::fs::read_to_string(root().join(path)).unwrap()))
        .into();
    for (page, text) in pages() {
        for block in blocks(&text, "yaml") {
            if examples.iter().any(|example| example.contains(&squeeze(&block))) {
                continue;
            }
            let loader = MemoryLoader::new().file("block.yaml", block.clone());
            let registry = registry();
            let mut seams = Default::default();
            portcullis_rpc::plug(&mut seams, &Default::default());
            let loaded = portcullis_config::check(&portcullis_config::LoadInput {
                path: Path::new("block.yaml"),
                loader: &loader,
                registry: &registry,
                seams: &seams,
                now: SystemTime::now(),
            });
            let report = render_text(&loaded.diagnostics, &loaded.sources);
            assert!(loaded.candidate.is_some(), "{page}:\n{block}\n{report}");
        }
    }
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The quickstart on ports of its own; commands and outputs are translated between these and the written ones.
struct Quickstart {
    _gateway: Running,
    ports: Vec<(&'static str, String)>,
}

impl Quickstart {
    fn start(dir: &Path) -> Self {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        let ports = vec![("8080", free()), ("9901", free())];
        let yaml = std::fs::read_to_string(root().join("conf/quickstart.yaml")).unwrap();
        let path = dir.join("quickstart.yaml");
        std::fs::write(&path, ports.iter().fold(yaml, |yaml, (from, to)| yaml.replace(from, to))).unwrap();
        let mut command = Command::new(BINARY);
        command.arg("run").arg("-c").arg(&path).stdout(Stdio::null()).stderr(Stdio::null());
        let gateway = Running(command.spawn().unwrap());
        let quickstart = Self { _gateway: gateway, ports };
        let deadline = Instant::now() + Duration::from_secs(20);
        for (_, port) in &quickstart.ports {
            while std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_err() {
                assert!(Instant::now() < deadline, "the quickstart does not start");
                std::thread::yield_now();
            }
        }
        quickstart
    }

    fn here(&self, text: &str) -> String {
        let urls = |text: String, (from, to): &(&str, String)| {
            text.replace(&format!("127.0.0.1:{from}"), &format!("127.0.0.1:{to}"))
        };
        self.ports.iter().fold(text.to_owned(), urls)
    }

    fn written(&self, text: &str) -> String {
        self.ports.iter().fold(text.to_owned(), |text, (from, to)| text.replace(to.as_str(), from))
    }
}

#[test]
fn every_command_of_a_console_block_prints_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let quickstart = Quickstart::start(dir.path());
    let path = format!("{}:{}", Path::new(BINARY).parent().unwrap().display(), std::env::var("PATH").unwrap());
    for (page, text) in pages() {
        for block in blocks(&text, "console") {
            for step in block.split("$ ").filter(|step| !step.is_empty()) {
                let (command, expected) = step.split_once('\n').unwrap();
                if command.starts_with("make ") || command.starts_with("cargo ") {
                    continue;
                }
                // `explain -c` retraces the file as written; only what talks to the gateway goes to its real ports.
                let asks = command.starts_with("curl") || command.contains(" --admin ");
                let command_here = if asks { quickstart.here(command) } else { command.to_owned() };
                let mut shell = Command::new("sh");
                let output = shell.args(["-c", &command_here]).env("PATH", &path).current_dir(root()).output().unwrap();
                let printed = [output.stdout, output.stderr].concat();
                let printed = quickstart.written(&String::from_utf8(printed).unwrap());
                assert_eq!(printed.trim_end(), expected.trim_end(), "{page}: {command}");
            }
        }
    }
}

/// The text of all sources below a folder.
fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            sources(&entry, text);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&std::fs::read_to_string(entry).unwrap());
        }
    }
}

/// Metrics that the page for on-call names have these names, and so have files, reasons, alerts and keys of the config.
#[test]
fn what_the_production_page_looks_at_is_there() {
    let page = std::fs::read_to_string(root().join("docs/production-ready.md")).unwrap();
    let mut code = String::new();
    sources(&root().join("crates"), &mut code);
    let words: Vec<&str> = page.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').collect();
    let of = |prefix: &str| words.iter().filter(|word| word.starts_with(prefix)).copied().collect::<Vec<_>>();
    let named = [of("portcullis_"), of("process_")].concat();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        assert!(code.contains(&format!("\"{name}\"")), "nothing is called {name}");
    }
    let quoted: Vec<&str> = page.split('`').skip(1).step_by(2).collect();
    for path in quoted.iter().filter(|word| word.starts_with("crates/")) {
        assert!(root().join(path).exists() || root().join(format!("{path}.rs")).exists(), "{path} is not there");
    }
    // Reasons, keys of the config and alerts.
    let is_name =
        |word: &&&str| word.contains('_') && word.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
    let is_alert = |word: &&&str| word.len() > "Portcullis".len() && word.starts_with("Portcullis");
    let named: Vec<&&str> = quoted.iter().filter(|word| is_name(word) || is_alert(word)).collect();
    assert!(named.len() > 30, "{named:?}");
    for name in named {
        assert!(code.contains(name), "nothing is called {name}");
    }
}

fn compare(path: &str, generated: &str) {
    let path = root().join(path);
    if std::env::var_os("PORTCULLIS_BLESS").is_some() {
        std::fs::write(&path, generated).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == generated, "{} is not current; run with PORTCULLIS_BLESS=1", path.display());
}

#[test]
fn the_list_of_reasons_is_current() {
    let mut page = String::from(
        "# Reasons\n\nEvery failure has one reason: it is the `reason` of the record, the `details` of Proxy-Status, the label of\n\
         `portcullis_failures_total`, and what the `errors` filter maps by. This page is generated from the table in\n\
         `crates/types/src/reason.rs`.\n\n\
         | reason | fault | status | Proxy-Status | gRPC | again? | meaning |\n|---|---|---|---|---|---|---|\n",
    );
    for reason in Reason::ALL {
        let again = match reason.retry() {
            Retry::Never => "no",
            Retry::Unsent => "gateway, any method",
            Retry::Idempotent => "gateway, idempotent",
            Retry::Later => "client, later",
        };
        writeln!(
            page,
            "| `{reason}` | {} | {} | {} | {} | {again} | {} |",
            reason.fault().as_str(),
            reason.status(),
            reason.proxy_status(),
            reason.grpc_code(),
            reason.title(),
        )
        .unwrap();
    }
    compare("docs/errors.md", &page);
}

#[test]
fn the_reference_of_the_config_is_current() {
    let schema = portcullis_config::schema(Arc::new(registry()));
    let intro = std::fs::read_to_string(root().join("docs/configuration.intro")).unwrap();
    compare("docs/configuration.md", &format!("{intro}\n{}", markdown_reference(&schema)));
}
