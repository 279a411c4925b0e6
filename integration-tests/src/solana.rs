//! A Solana node, and the clients that applications use: scripts in `rpc-clients`, run as processes of their own.

mod node;
mod relay;

use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};

use crate::place::until;
pub use node::Node;

/// A file below the repository.
fn at(path: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    assert!(path.exists(), "{} is missing: run `scripts/setup test` first", path.display());
    path
}

/// A client library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum App {
    /// `@solana/web3.js` 1.
    Web3,
    /// `@solana/kit`.
    Kit,
    /// `solana` of PyPI.
    Python,
}

impl App {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Web3, Self::Kit, Self::Python];

    fn command(self) -> Command {
        let (program, script) = match self {
            Self::Web3 => ("node", "node/clients/web3.js"),
            Self::Kit => ("node", "node/clients/kit.js"),
            Self::Python => ("venv/bin/python", "python/client.py"),
        };
        let mut command = Command::new(at(&format!("target/rpc-clients/{program}")));
        command.arg(at(&format!("integration-tests/rpc-clients/{script}")));
        command
    }

    /// Starts the scene `journey` or `watch`. `place` is what stands behind `http://` and `ws://`; `fields` are header
    /// fields of HTTP requests, as `name=value`.
    #[must_use]
    pub fn start(self, scene: &str, place: &str, fields: &[&str]) -> Script {
        let mut command = self.command();
        command.args([scene, &format!("http://{place}"), &format!("ws://{place}")]).args(fields);
        Script::spawn(command)
    }

    /// Makes calls one after the other, each with a client of its own, and returns what the application got: of each call
    /// its kind (`call`, `unknown`, `batch`), a name, and what stands behind `http://`.
    #[must_use]
    pub fn calls(self, calls: &[(&str, &str, String)]) -> Vec<Value> {
        let mut command = self.command();
        command.arg("calls");
        for (kind, name, place) in calls {
            command.args([*kind, *name, &format!("http://{place}")]);
        }
        Script::spawn(command).finish()
    }
}

/// A script that runs, and says things line by line. It ends with the test.
pub struct Script {
    child: Child,
    /// Its end tells the script that nobody wants it any more.
    stdin: Option<ChildStdin>,
    lines: Arc<Mutex<Vec<Value>>>,
    stderr: Arc<Mutex<String>>,
}

impl Script {
    fn spawn(mut command: Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let lines = Arc::<Mutex<Vec<Value>>>::default();
        let kept = lines.clone();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let value = serde_json::from_str(&line).unwrap_or_else(|_| json!({ "text": line }));
                kept.lock().unwrap().push(value);
            }
        });
        let stderr = Arc::<Mutex<String>>::default();
        let kept = stderr.clone();
        let output = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                kept.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        Self { stdin: child.stdin.take(), child, lines, stderr }
    }

    /// What it has said so far.
    #[must_use]
    pub fn lines(&self) -> Vec<Value> {
        self.lines.lock().unwrap().clone()
    }

    /// What it wrote to its standard error.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits for a line.
    #[must_use]
    pub fn line(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        until(what, || self.lines().into_iter().find(|line| is_it(line)))
    }

    /// Waits until it has ended by itself, and returns all that it said.
    #[must_use]
    pub fn finish(mut self) -> Vec<Value> {
        until("the script to end", || self.child.try_wait().unwrap());
        // Its output may lie in the pipe still; it ends with the process.
        let last = || Arc::strong_count(&self.lines) == 1;
        until("the script's last line", || last().then_some(()));
        self.lines()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("--- the script said\n{:#?}\n{}", self.lines(), self.stderr());
        }
    }
}
