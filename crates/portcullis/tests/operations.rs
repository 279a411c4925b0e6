//! The day of `docs/operations.md` is lived through: its files are written, its commands run in their order in one folder, and
//! what they print is compared with the page. `PORTCULLIS_BLESS=1` writes what they print into the page.
//!
//! Numbers, ids and times differ from run to run: lines are compared with `#` in their place. A line of the page must be among
//! those printed, in order; a busy machine may print others between. A line of the page that ends with `…` is the beginning of
//! one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot set itself up stops here, with the place")]

use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const BINARY: &str = env!("CARGO_BIN_EXE_portcullis");
/// The ports of the page.
const PORTS: [&str; 5] = ["8080", "9901", "9301", "9302", "9303"];

/// The folder of the day; what was started in it, by its `*.pid`, ends with it.
struct Day {
    dir: tempfile::TempDir,
    ports: Vec<(&'static str, String)>,
}

impl Drop for Day {
    fn drop(&mut self) {
        let pids = std::fs::read_dir(self.dir.path()).unwrap().filter_map(|entry| Some(entry.ok()?.path()));
        for pid in pids.filter(|path| path.extension().is_some_and(|ext| ext == "pid")) {
            let pid = std::fs::read_to_string(pid).unwrap_or_default();
            drop(Command::new("kill").arg(pid.trim()).output());
        }
    }
}

impl Day {
    fn new() -> Self {
        // All are held until all are found, so that none comes twice.
        let held: Vec<TcpListener> = PORTS.iter().map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port().to_string();
        let ports = PORTS.into_iter().zip(held.iter().map(port)).collect();
        Self { dir: tempfile::tempdir().unwrap(), ports }
    }

    fn here(&self, text: &str) -> String {
        let at = |port: &str| format!("127.0.0.1:{port}");
        self.ports.iter().fold(text.to_owned(), |text, (from, to)| text.replace(&at(from), &at(to)))
    }

    fn written(&self, text: &str) -> String {
        let at = |port: &str| format!("127.0.0.1:{port}");
        self.ports.iter().fold(text.to_owned(), |text, (from, to)| text.replace(&at(to), &at(from)))
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.dir.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, self.here(text)).unwrap();
    }

    /// What a command prints. One that leaves a process behind is waited for until that serves.
    fn run(&self, command: &str) -> String {
        let path = format!("{}:{}", Path::new(BINARY).parent().unwrap().display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-c", &self.here(command)]).env("PATH", path).current_dir(self.dir.path());
        if let Some((_, log)) = command.split_once("2> ").filter(|_| command.contains(" & ")) {
            assert!(shell.stdout(std::process::Stdio::null()).status().unwrap().success(), "{command}");
            self.serves(log.split_whitespace().next().unwrap());
            return String::new();
        }
        if command.contains(" & ") {
            assert!(shell.stdout(std::process::Stdio::null()).status().unwrap().success(), "{command}");
            self.called();
            return String::new();
        }
        let output = shell.output().unwrap();
        if command == "kill $(cat service.pid)" {
            self.fail();
        }
        self.written(&String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }

    fn serves(&self, log: &str) {
        let path = self.dir.path().join(log);
        until(log, || std::fs::read_to_string(&path).is_ok_and(|text| text.contains(" serves ")));
    }

    /// The sum of a counter.
    fn counted(&self, metric: &str) -> f64 {
        let sum = format!(
            "curl -s http://127.0.0.1:9901/metrics | grep '^{metric}' | awk '{{n += $NF}} END {{print n + 0}}'"
        );
        self.run(&sum).trim().parse().unwrap_or_default()
    }

    /// Waits until most requests of the day failed.
    fn fail(&self) {
        until("failures", || {
            self.counted("portcullis_failures_total") > 0.6 * self.counted("portcullis_route_requests_total")
        });
    }

    /// Waits until callers have been there for a while: what is told from traffic needs some.
    fn called(&self) {
        until("requests", || self.counted("portcullis_route_requests_total") > 400.0);
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A line without what differs from run to run.
fn shape(line: &str) -> String {
    line.split_whitespace().map(word_shape).collect::<Vec<_>>().join(" ")
}

/// A time is left out whole; of the rest each run of letters and digits that is an id, and each number.
fn word_shape(word: &str) -> String {
    if word.contains('T') && word.ends_with('Z') {
        return "#".to_owned();
    }
    let mut shape = String::new();
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let run = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len()).max(first.len_utf8());
        let (piece, after) = rest.split_at(run);
        rest = after;
        let id = piece.len() >= 16 && piece.chars().all(|c| c.is_ascii_hexdigit());
        let without: String = piece.chars().map(|c| if id || c.is_ascii_digit() { '#' } else { c }).collect();
        shape.push_str(&without);
    }
    // 12, 1.2 and 0.12 are written alike.
    while shape.contains("##") || shape.contains("#.#") {
        shape = shape.replace("##", "#").replace("#.#", "#");
    }
    shape
}

/// The first line of the page that was not printed, in order.
fn missing<'a>(page: &'a str, printed: &str) -> Option<&'a str> {
    let mut printed = printed.lines().map(shape);
    let is = |told: &str, line: &str| match told.split_once('…') {
        Some((begin, "")) => line.starts_with(shape(begin).as_str()),
        _ => line == shape(told),
    };
    page.lines().filter(|told| !told.trim().is_empty()).find(|told| !printed.any(|line| is(told, &line)))
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("docs/operations.md")
}

#[test]
fn the_day_goes_as_it_is_told() {
    let day = Day::new();
    let told = std::fs::read_to_string(page()).unwrap();
    let (mut lived, mut lines) = (String::new(), told.lines());
    while let Some(line) = lines.next() {
        writeln!(lived, "{line}").unwrap();
        let Some(info) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
        let block = block.join("\n") + "\n";
        if let Some((_, file)) = info.split_once("file=") {
            day.write(file, &block);
            lived.push_str(&block);
        } else {
            assert_eq!(info, "console day", "a block of another kind");
            for step in block.split("$ ").filter(|step| !step.is_empty()) {
                live(&day, step, &mut lived);
            }
        }
        lived.push_str("```\n");
    }
    if std::env::var_os("PORTCULLIS_BLESS").is_some() {
        std::fs::write(page(), lived).unwrap();
    }
}

/// Runs one command and compares.
fn live(day: &Day, step: &str, lived: &mut String) {
    let (command, told) = step.split_once('\n').unwrap();
    let printed = day.run(command);
    let missing = missing(told, &printed);
    let bless = std::env::var_os("PORTCULLIS_BLESS").is_some();
    if let Some(line) = missing.filter(|_| !bless) {
        panic!("{command}: not printed: {line}\n{printed}\n{}", day.run("cat *.log"));
    }
    let stays = !told.is_empty() && missing.is_none();
    write!(lived, "$ {command}\n{}", if stays { told } else { &printed }).unwrap();
}

#[test]
fn what_differs_from_run_to_run_is_left_out_of_lines() {
    let one = "2026-11-30T03:08:56.491Z  502    15.7ms  GET a/10  → 127.0.0.1:9301  dd96157ffd83974b412536529a900735";
    let other = "2026-12-01T00:00:00Z 502 1.75ms GET a/7 → 127.0.0.1:9301 0d96157ffd83974b412536529a900739";
    assert_eq!(shape(one), shape(other));
    assert_eq!(shape(r#"{"id":"0d96157ffd83974b412536529a900739","status":401}"#), r##"{"id":"#","status":#}"##);
    assert_eq!(missing("a 1\nb\n", "x\na 2\ny\nb\n"), None);
    assert_eq!(missing("b\na 1\n", "a 2\nb\n"), Some("a 1"));
    assert_eq!(missing("trial 4  …\n", "trial 5  no request open\n"), None);
    assert_eq!(missing("trial 4  …\n", "a trial 5\n"), Some("trial 4  …"));
}
