//! The old process's part until the new one serves: it starts it, gives it what it needs, and judges it.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedMutexGuard, mpsc};

use portcullis_admin::{UpgradeAsk, Upgraded};
use portcullis_types::quantity::format_duration;

use super::carried::Carried;
use super::wire::{BATCH, Came, Wire, borrowed, large};
use super::{MARK, Named, New, Old, PROTOCOL, step};
use crate::lifecycle::{Lifecycle, Step};
use crate::output;
use crate::reload::{Current, Reloader};
use crate::systemd::{Notify, OF_THIS_PROCESS};

/// How long the new process may take to be ready when nobody says otherwise.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long it may take from the word to accept until it does.
const ACCEPTS_WITHIN: Duration = Duration::from_secs(10);
/// How long the end of its words is waited for once it is dead.
const WORDS_END_WITHIN: Duration = Duration::from_millis(200);
/// How many of its last lines are told.
const LAST_LINES: usize = 20;

/// How this process was started, and so how the next one is.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    binary: PathBuf,
    args: Vec<OsString>,
}

impl Launch {
    /// By the command line. A path in it is taken as it stands, so that a link leads where it leads at the time of an
    /// upgrade; a bare name that the shell looked up is the file that runs.
    pub(crate) fn of(line: &[OsString]) -> Self {
        let named = line.first().map(Path::new).filter(|name| name.components().count() > 1);
        let binary = named.and_then(|name| std::path::absolute(name).ok()).filter(|path| path.exists());
        let binary = binary.or_else(|| std::env::current_exe().ok()).unwrap_or_default();
        Self { binary, args: line.get(1..).unwrap_or_default().to_vec() }
    }
}

/// A new process that serves.
pub(crate) struct Successor {
    pub(super) wire: Wire,
    pub(super) child: Child,
    pub(crate) version: String,
    /// Until this is dropped no change of the config begins.
    pub(crate) hold: OwnedMutexGuard<Current>,
}

impl Successor {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

/// Replaces the binary of a running gateway.
pub(crate) struct Upgrader {
    launch: Launch,
    version: &'static str,
    reloader: Arc<Reloader>,
    lifecycle: Arc<Lifecycle>,
    notify: Notify,
    /// Where a successor is reported to, for this process to drain.
    done: mpsc::UnboundedSender<Successor>,
    under_way: Mutex<UnderWay>,
}

#[derive(Default)]
struct UnderWay {
    running: bool,
    /// This process ends by itself: nobody follows it.
    over: bool,
    wire: Option<Wire>,
}

impl Upgrader {
    pub(crate) fn new(
        (launch, version): (Launch, &'static str),
        reloader: Arc<Reloader>,
        (lifecycle, notify): (Arc<Lifecycle>, Notify),
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Successor>) {
        let (done, successors) = mpsc::unbounded_channel();
        let under_way = Mutex::default();
        (Arc::new(Self { launch, version, reloader, lifecycle, notify, done, under_way }), successors)
    }

    /// Replaces the binary, whether or not anybody waits for the answer.
    ///
    /// # Errors
    /// A sentence: why this process goes on as if nothing had been asked.
    pub(crate) async fn upgrade(self: &Arc<Self>, asked: UpgradeAsk) -> Result<Upgraded, String> {
        let this = self.clone();
        tokio::spawn(async move { this.attempt(asked).await }).await.unwrap_or_else(|error| Err(error.to_string()))
    }

    /// This process ends: a successor that does not serve yet is given up, and none is started any more.
    pub(crate) fn end(&self) {
        let mut under_way = self.under_way.lock();
        under_way.over = true;
        if let Some(wire) = &under_way.wire {
            wire.hear_no_more();
        }
    }

    async fn attempt(self: &Arc<Self>, asked: UpgradeAsk) -> Result<Upgraded, String> {
        self.begin()?;
        let (started, pid) = (Instant::now(), std::process::id());
        // A change that is under way ends first; none begins until this is decided.
        let hold = self.reloader.hold().await;
        self.lifecycle.enter(Step::Upgrading);
        log::info!("upgrade: starting {}", asked.binary.as_ref().unwrap_or(&self.launch.binary).display());
        let this = self.clone();
        let outcome = tokio::task::spawn_blocking(move || this.replace(&asked, hold)).await;
        let outcome = outcome.unwrap_or_else(|error| Err(format!("the upgrade broke off: {error}")));
        let over = {
            let mut under_way = self.under_way.lock();
            (under_way.running, under_way.wire) = (false, None);
            under_way.over
        };
        match outcome {
            Ok(successor) => {
                let upgraded = Upgraded {
                    pid: successor.pid(),
                    version: successor.version.clone(),
                    before: pid,
                    took: started.elapsed(),
                };
                log::info!("upgrade: process {} ({}) serves", upgraded.pid, upgraded.version);
                drop(self.done.send(successor));
                Ok(upgraded)
            }
            Err(why) => {
                if !over {
                    self.lifecycle.enter(Step::Serving);
                }
                log::error!("upgrade: not done, this process goes on: {why}");
                Err(why)
            }
        }
    }

    fn begin(&self) -> Result<(), String> {
        let mut under_way = self.under_way.lock();
        if under_way.over || !self.reloader.gateway.is_ready() {
            return Err("this process drains".to_owned());
        }
        if std::process::id() == 1 {
            let why =
                "this process is the first of its container, with which everything in it ends: replace the container";
            return Err(why.to_owned());
        }
        if std::mem::replace(&mut under_way.running, true) {
            return Err("an upgrade is under way".to_owned());
        }
        Ok(())
    }

    /// Starts the new process and leads it to the point where it serves; otherwise nothing of it is left.
    fn replace(&self, asked: &UpgradeAsk, hold: OwnedMutexGuard<Current>) -> Result<Successor, String> {
        let within = asked.within.unwrap_or(READY_WITHIN);
        if let Some(binary) = &asked.binary {
            trusted(binary)?;
        }
        let binary = asked.binary.as_ref().unwrap_or(&self.launch.binary);
        let (wire, end) = Wire::pair().map_err(|error| error.to_string())?;
        {
            let mut under_way = self.under_way.lock();
            if under_way.over {
                return Err("this process was told to end".to_owned());
            }
            under_way.wire = wire.try_clone().ok();
        }
        let mut child = self.spawn(binary, end).map_err(|error| format!("{}: {error}", binary.display()))?;
        let words = child.stderr.take().and_then(|stderr| LastWords::hear(stderr, child.id()).ok());
        let mut talk = Talk { wire, deadline: Instant::now() + within, within, store: false, told: false };
        match self.lead(&mut talk, &hold, child.id()) {
            Ok(version) => Ok(Successor { wire: talk.wire, child, version, hold }),
            Err(why) => {
                // Whatever it does, it must not serve.
                drop(child.kill());
                let ended = child.wait();
                if let Some(keeper) = self.reloader.world.keeper.get().filter(|_| talk.store) {
                    keeper.take_back();
                }
                if talk.told {
                    self.notify.main_is(std::process::id());
                }
                let why = why.sentence(ended.ok(), self.under_way.lock().over);
                Err(words.map_or(why.clone(), |words| words.after(&why)))
            }
        }
    }

    fn spawn(&self, binary: &Path, end: OwnedFd) -> std::io::Result<Child> {
        let mut command = Command::new(binary);
        for name in OF_THIS_PROCESS {
            command.env_remove(name);
        }
        command.args(&self.launch.args).env(MARK, "1").stdin(end).stderr(Stdio::piped()).spawn()
    }

    fn lead(&self, talk: &mut Talk, current: &Current, pid: u32) -> Result<String, Why> {
        let New::Hello { protocol, version } = talk.hear()? else { return Err(Why::Confused) };
        if protocol != PROTOCOL {
            return Err(Why::Said(format!("it speaks version {protocol} of the hand-over, this process {PROTOCOL}")));
        }
        step("OLD", "hello");
        self.give(talk, current)?;
        step("OLD", "sockets");
        loop {
            match talk.hear()? {
                New::Store => {
                    if let Some(keeper) = self.reloader.world.keeper.get() {
                        talk.store = true;
                        // What cannot be written is in the keeper's own log, and goes on waiting.
                        drop(keeper.hand_over());
                    }
                    step("OLD", "store");
                    talk.say(&Old::Store)?;
                }
                New::Ready { proof } => {
                    let proof = proof.unwrap_or_else(|| "no plain HTTP listener to ask".to_owned());
                    log::info!("upgrade: process {pid} ({version}) is ready ({proof})");
                    break;
                }
                New::Hello { .. } | New::Serving | New::Kept { .. } => return Err(Why::Confused),
            }
        }
        step("OLD", "ready");
        // The service manager believes it only of the process that it knows.
        talk.told = true;
        self.notify.main_is(pid);
        talk.say(&Old::Go)?;
        step("OLD", "go");
        (talk.deadline, talk.within) = (Instant::now() + ACCEPTS_WITHIN, ACCEPTS_WITHIN);
        let New::Serving = talk.hear()? else { return Err(Why::Confused) };
        step("OLD", "serving");
        Ok(version)
    }

    /// Gives the sockets and the state.
    fn give(&self, talk: &Talk, current: &Current) -> Result<(), Why> {
        let mut all: Vec<(Named, OwnedFd)> = Vec::new();
        for socket in self.reloader.gateway.sockets()? {
            all.push((Named { listener: Some(socket.listener), bind: socket.bind }, socket.socket));
        }
        if let Some((bind, socket)) = self.reloader.admin.socket()? {
            all.push((Named { listener: None, bind }, socket));
        }
        while !all.is_empty() {
            let (sockets, descriptors): (Vec<Named>, Vec<OwnedFd>) = all.drain(..all.len().min(BATCH)).unzip();
            talk.wire.send(&Old::Sockets { sockets }, &borrowed(&descriptors))?;
        }
        let carried = Carried::gather(&self.reloader, current, self.version);
        let file = large(&serde_json::to_vec(&carried).map_err(std::io::Error::from)?)?;
        let stderr = std::io::stderr();
        talk.wire.send(&Old::State, &[file.as_fd(), stderr.as_fd()])?;
        Ok(())
    }
}

/// Why the new process does not follow.
enum Why {
    /// It is gone, or this process stopped to listen.
    End,
    /// It was not heard in time.
    Late(Duration),
    /// It said something else than is said at that point.
    Confused,
    Said(String),
}

impl From<std::io::Error> for Why {
    fn from(error: std::io::Error) -> Self {
        Self::Said(error.to_string())
    }
}

impl Why {
    fn sentence(self, ended: Option<std::process::ExitStatus>, over: bool) -> String {
        match self {
            Self::End if over => "this process was told to end".to_owned(),
            Self::End => ended
                .map_or("the new process is gone".to_owned(), |status| format!("the new process ended with {status}")),
            Self::Late(within) => {
                format!("the new process did not get ready within {}, and was killed", format_duration(within))
            }
            Self::Confused => "the new process does not speak as a gateway does".to_owned(),
            Self::Said(said) => said,
        }
    }
}

/// The talk with the new process.
struct Talk {
    wire: Wire,
    deadline: Instant,
    within: Duration,
    /// Whether the store was handed over.
    store: bool,
    /// Whether the service manager was told.
    told: bool,
}

impl Talk {
    fn hear<T: DeserializeOwned>(&self) -> Result<T, Why> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.wire.receive(Some(left)) {
            Ok(Came::Message(message, _)) => Ok(message),
            Ok(Came::End) => Err(Why::End),
            Ok(Came::Nothing) => Err(Why::Late(self.within)),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Err(Why::Confused),
            Err(error) => Err(error.into()),
        }
    }

    fn say(&self, message: &Old) -> Result<(), Why> {
        // One that died a moment ago is known by its end.
        self.wire.send(message, &[]).map_err(|_| Why::End)
    }
}

/// What the new process writes to its standard error until it serves: told as it comes, and the last of it again.
struct LastWords {
    lines: Arc<Mutex<VecDeque<String>>>,
    /// Closed at the end of the words.
    ended: Receiver<()>,
}

impl LastWords {
    fn hear(from: impl Read + Send + 'static, pid: u32) -> std::io::Result<Self> {
        let lines = Arc::new(Mutex::new(VecDeque::new()));
        let kept = lines.clone();
        let (end, ended) = channel::<()>();
        let hear = move || {
            let _until_the_end = end;
            for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                output::say(&format!("[{pid}] {line}"));
                let mut lines = kept.lock();
                lines.push_back(line);
                if lines.len() > LAST_LINES {
                    lines.pop_front();
                }
            }
        };
        std::thread::Builder::new().name("last-words".to_owned()).spawn(hear)?;
        Ok(Self { lines, ended })
    }

    /// The sentence, and what was said last. The process is gone, so the end of its words comes.
    fn after(self, why: &str) -> String {
        // Another process may hold the pipe open still: a shell's child, for example. Then what came is what there is.
        let _ = self.ended.recv_timeout(WORDS_END_WITHIN);
        let lines = self.lines.lock();
        if lines.is_empty() {
            return why.to_owned();
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        format!("{why}; its last words:\n{}", lines.join("\n"))
    }
}

/// A binary that somebody names over the network must be one that only its owner or root can have put there.
fn trusted(binary: &Path) -> Result<(), String> {
    let shown = binary.display();
    let facts = std::fs::metadata(binary).map_err(|error| format!("{shown}: {error}"))?;
    let own = rustix::process::geteuid().as_raw();
    if !facts.is_file() || facts.mode() & 0o111 == 0 {
        return Err(format!("{shown} is no program"));
    }
    if facts.mode() & 0o022 != 0 || (facts.uid() != 0 && facts.uid() != own) {
        return Err(format!(
            "{shown} can be written by others than root and the user of this process: it is not started"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_path_of_the_command_line_is_kept_and_a_bare_name_becomes_the_file_that_runs() {
        let own = std::env::current_exe().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("current");
        std::os::unix::fs::symlink(&own, &link).unwrap();
        let launch = Launch::of(&[link.clone().into(), "run".into(), "-c".into()]);
        assert_eq!((launch.binary, launch.args), (link, vec!["run".into(), "-c".into()]));
        assert_eq!(Launch::of(&["portcullis".into()]).binary, own);
        assert_eq!(Launch::of(&["/no/such/file".into()]).binary, own);
    }

    #[test]
    fn a_program_that_others_may_write_is_not_started() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new");
        let check = |mode: u32, ok: bool| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(trusted(&path).is_ok(), ok, "{mode:o}");
        };
        assert!(trusted(&path).is_err_and(|error| error.contains("No such file")));
        std::fs::write(&path, "").unwrap();
        check(0o755, true);
        check(0o644, false);
        check(0o775, false);
        check(0o757, false);
        assert!(trusted(dir.path()).is_err());
    }

    #[test]
    fn the_last_words_are_few_and_told_after_the_reason() {
        let text = (1..=30).map(|line| format!("line {line}\n")).collect::<String>();
        let told = LastWords::hear(std::io::Cursor::new(text), 1).unwrap().after("why");
        assert!(told.starts_with("why; its last words:\nline 11\n") && told.ends_with("line 30"), "{told}");
        assert_eq!(LastWords::hear(std::io::empty(), 1).unwrap().after("why"), "why");
    }
}
