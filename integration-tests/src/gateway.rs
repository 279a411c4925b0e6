//! The gateway as a process of its own: started on a file, watched, and ended with the test.

use serde_json::Value;
use std::collections::{BTreeSet, HashMap};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

use crate::admin::Admin;
use crate::client::Client;
use crate::place::{address, until};
use crate::process::{binary, signal};
use crate::response::Response;

/// A running gateway.
///
/// Its file is the text it was given behind a common opening (version, admin, access log, threads). In the text, `@name`
/// stands for the address of the listener `name`, which is picked when it is first named, and `@dir` for the
/// folder of the file.
pub struct Gateway {
    child: Child,
    dir: TempDir,
    addresses: Mutex<HashMap<String, SocketAddr>>,
    stderr: Arc<Mutex<String>>,
    /// Processes that it started, and that must end with the test.
    followers: Mutex<BTreeSet<u32>>,
}

impl Gateway {
    /// Starts on a config and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready; its standard error is shown.
    #[must_use]
    pub fn with_yaml(text: &str) -> Self {
        Self::of_binary(&binary(), text)
    }

    /// Starts another binary that is built on the gateway, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready; its standard error is shown.
    #[must_use]
    pub fn of_binary(binary: &Path, text: &str) -> Self {
        let mut gateway = Self::launch(text, |file| command(binary, file));
        gateway.wait_until_ready();
        gateway
    }

    /// Starts on a config in some other way than usual, by a command that is made for its file, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready; its standard error is shown.
    #[must_use]
    pub fn by(text: &str, make: impl FnOnce(&Path) -> Command) -> Self {
        let mut gateway = Self::launch(text, make);
        gateway.wait_until_ready();
        gateway
    }

    /// Starts on a config, and does not wait.
    #[must_use]
    pub fn spawn(text: &str) -> Self {
        Self::launch(text, |file| command(&binary(), file))
    }

    fn launch(text: &str, make: impl FnOnce(&Path) -> Command) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let addresses = Mutex::new(HashMap::from([("admin".to_owned(), address())]));
        let file = dir.path().join("gateway.yaml");
        std::fs::write(&file, complete(text, dir.path(), &addresses)).unwrap();
        let (child, stderr) = run(make(&file));
        Self { child, dir, addresses, stderr, followers: Mutex::default() }
    }

    /// Starts on the same file, after the process has ended, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready; its standard error is shown.
    pub fn start_again(&mut self) {
        self.start_again_with(&[]);
    }

    /// The same with more arguments.
    ///
    /// # Panics
    /// When it does not become ready; its standard error is shown.
    pub fn start_again_with(&mut self, args: &[&str]) {
        self.wait();
        let mut command = command(&binary(), &self.file());
        command.args(args);
        (self.child, self.stderr) = run(command);
        self.wait_until_ready();
    }

    /// Starts it as a shell script does that ends in `exec "$@"`, after the process has ended, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready; its standard error is shown.
    pub fn start_again_in(&mut self, script: &str) {
        self.wait();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "sh"]).arg(binary()).args(["run", "-c"]).arg(self.file());
        (self.child, self.stderr) = run(command);
        self.wait_until_ready();
    }

    fn wait_until_ready(&mut self) {
        until("the gateway to be ready", || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the gateway ended with {status}:\n{}", self.stderr());
            }
            self.admin().try_get("/readyz").filter(|answer| answer.status == 200)
        });
    }

    /// The address of a listener.
    ///
    /// # Panics
    /// When the text never named it.
    #[must_use]
    pub fn address(&self, listener: &str) -> SocketAddr {
        *self.addresses.lock().unwrap().get(listener).unwrap_or_else(|| panic!("no @{listener} in the config"))
    }

    /// A connection to the listener `edge`.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::connect(self.address("edge"))
    }

    /// The answer to one GET, on a connection of its own.
    #[must_use]
    pub fn get(&self, path: &str) -> Response {
        self.client().get(path)
    }

    /// The admin API.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(self.address("admin"))
    }

    /// The process's id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process that serves now, which may have followed the one that was started.
    ///
    /// # Panics
    /// When nobody answers.
    #[must_use]
    pub fn serving_pid(&self) -> u32 {
        until("the process that serves", || {
            let status = self.admin().try_get("/api/status").filter(|answer| answer.status == 200)?.json();
            let pid = u32::try_from(status["lifecycle"]["pid"].as_u64()?).ok()?;
            self.end_with_test(pid);
            Some(pid)
        })
    }

    /// Processes that the one that was started has started.
    #[must_use]
    pub fn children(&self) -> Vec<u32> {
        let children = children_of(self.pid());
        children.iter().for_each(|pid| self.end_with_test(*pid));
        children
    }

    /// A process that the gateway started ends with the test.
    pub fn end_with_test(&self, pid: u32) {
        if pid != self.pid() {
            self.followers.lock().unwrap().insert(pid);
        }
    }

    /// What it wrote to its standard error.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Its config file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("gateway.yaml")
    }

    /// The folder of its config file.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The records in the access log, whole lines only.
    ///
    /// # Panics
    /// When a line is no JSON.
    #[must_use]
    pub fn records(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }

    /// Waits for a record.
    #[must_use]
    pub fn record(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        until(&format!("the record of {what}"), || self.records().into_iter().find(|record| is_it(record)))
    }

    /// Waits for the record of a request by its id.
    #[must_use]
    pub fn record_of(&self, answer: &Response) -> Value {
        let id = answer.id();
        self.record(&id, |record| record["id"] == *id)
    }

    /// Waits for a record with this reason.
    #[must_use]
    pub fn record_with(&self, reason: &str) -> Value {
        self.record(reason, |record| record["reason"] == *reason)
    }

    /// A text as it would stand in the file.
    #[must_use]
    pub fn complete(&self, text: &str) -> String {
        complete(text, self.dir.path(), &self.addresses)
    }

    /// Replaces the config file in one step, as editors and deploy tools do.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, text: &str) {
        let new = self.dir.path().join(".gateway.yaml.new");
        std::fs::write(&new, self.complete(text)).unwrap();
        std::fs::rename(&new, self.file()).unwrap();
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Sends a signal to the process that serves now.
    pub fn signal_serving(&self, name: &str) {
        signal(self.serving_pid(), name);
    }

    /// Waits until the process has ended.
    pub fn wait(&mut self) -> ExitStatus {
        until("the gateway to end", || self.child.try_wait().unwrap())
    }

    /// Whether the process has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // A successor that a test did not ask for dies too, and its successor: the last that serves says who it is.
        if let Some(status) = self.admin().try_get("/api/status").filter(|answer| answer.status == 200)
            && let Ok(status) = serde_json::from_slice::<Value>(&status.body)
            && let Some(pid) = status["lifecycle"]["pid"].as_u64()
        {
            self.end_with_test(u32::try_from(pid).unwrap_or_default());
        }
        self.followers.lock().unwrap().extend(children_of(self.child.id()));
        // It may have ended by itself.
        drop(self.child.kill());
        for pid in self.followers.lock().unwrap().iter() {
            kill(*pid, self.dir.path());
        }
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("--- standard error of the gateway\n{}", self.stderr());
            let log = std::fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(5).collect();
            eprintln!("--- last records, newest first\n{}", last.join("\n"));
        }
    }
}

/// The usual command.
#[must_use]
pub fn command(binary: &Path, file: &Path) -> Command {
    let mut command = Command::new(binary);
    command.args(["run", "-c"]).arg(file);
    command
}

/// A process, with what it will say.
fn run(mut command: Command) -> (Child, Arc<Mutex<String>>) {
    command.env("RUST_LOG", "info").stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stderr = keep(child.stderr.take().unwrap());
    (child, stderr)
}

/// The processes that a process started and that live.
fn children_of(pid: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let of_thread = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("children")).ok();
    let lists = threads.filter_map(|thread| of_thread(thread.ok()?));
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()).collect()
}

/// Ends a process of this test that may be gone already; another one may have its number then, and not its folder.
fn kill(pid: u32, dir: &Path) {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    if String::from_utf8_lossy(&line).contains(&*dir.to_string_lossy()) {
        drop(Command::new("/bin/sh").args(["-c", &format!("kill -KILL {pid} 2>/dev/null")]).status());
    }
}

/// Fills in the addresses and puts the opening in front, less what the text brings itself.
fn complete(text: &str, dir: &Path, addresses: &Mutex<HashMap<String, SocketAddr>>) -> String {
    let opening = [
        ("version:", "version: 1\n"),
        ("admin:", "admin: { bind: \"@admin\" }\n"),
        ("access_log:", "access_log: { path: access.log }\n"),
        ("threads:", "threads: 2\n"),
    ];
    let has = |key: &str| text.lines().any(|line| line.starts_with(key));
    let mut whole: String = opening.iter().filter(|(key, _)| !has(key)).map(|(_, line)| *line).collect();
    whole.push_str(text);
    fill(&whole, dir, &mut addresses.lock().unwrap())
}

fn fill(text: &str, dir: &Path, addresses: &mut HashMap<String, SocketAddr>) -> String {
    let mut parts = text.split('@');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
        let (name, rest) = part.split_at(end);
        if name == "dir" {
            out.push_str(&dir.display().to_string());
        } else {
            out.push_str(&addresses.entry(name.to_owned()).or_insert_with(address).to_string());
        }
        out.push_str(rest);
    }
    out
}

/// Collects what the process says, in a thread that ends with it.
fn keep(stderr: ChildStderr) -> Arc<Mutex<String>> {
    let kept = Arc::<Mutex<String>>::default();
    let text = kept.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let mut text = text.lock().unwrap();
            text.push_str(&line);
            text.push('\n');
        }
    });
    kept
}
