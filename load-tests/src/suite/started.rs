//! The gateways that a scene has started, and what became of them: one that ends by itself, or answers nobody, has failed, however
//! the scene ended.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::Deref;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portcullis_engine::process::Process;
use rustix::process::{Pid, Signal, kill_process};

use super::outcome::Outcome;
use super::part::answered;

/// How long a process may take to end whose memory is gone.
const ENDING: Duration = Duration::from_secs(5);

/// The gateways of a scene.
#[derive(Debug, Clone, Default)]
pub(super) struct Started(Arc<Mutex<All>>);

#[derive(Debug, Default)]
struct All {
    gateways: Vec<Gateway>,
    /// What none of them may do: they ended, or did not answer.
    wrongs: Vec<String>,
}

#[derive(Debug, Clone)]
struct Gateway {
    id: u32,
    name: String,
    /// The core that is its own, if any.
    core: Option<u32>,
    /// Where it must answer: the admin API and its listener.
    addresses: [SocketAddr; 2],
    /// The tool has ended it, or has waited for its end.
    over: bool,
}

impl Gateway {
    /// Where it answers nobody.
    fn silent(&self, patience: Duration) -> Option<SocketAddr> {
        self.addresses.into_iter().find(|address| {
            let asked = answered(self.id, self.core, patience, || answers(*address, patience));
            asked.is_ok_and(|(answers, excused)| !answers && !excused)
        })
    }
}

impl Started {
    fn all(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more.
    pub(super) fn add(&self, process: Process, name: &str, core: Option<u32>, addresses: [SocketAddr; 2]) -> Living {
        let gateway = Gateway { id: process.id(), name: name.to_owned(), core, addresses, over: false };
        self.all().gateways.push(gateway);
        Living { process, name: name.to_owned(), started: self.clone(), may_end: AtomicBool::new(false) }
    }

    /// A gateway did what none may.
    pub(super) fn wrong(&self, what: String) {
        self.all().wrongs.push(what);
    }

    /// Looks at those that still run when a scene is given up: who has ended by itself, and who answers nobody though the machine
    /// leaves it its core.
    pub(super) fn look(&self, patience: Duration) {
        let running: Vec<Gateway> = self.all().gateways.iter().filter(|gateway| !gateway.over).cloned().collect();
        for gateway in running {
            if has_ended(gateway.id) {
                self.wrong(format!("{} ended by itself", gateway.name));
            } else if let Some(silent) = gateway.silent(patience) {
                self.wrong(format!("{} answers nobody at {silent} within {} s", gateway.name, patience.as_secs()));
            }
        }
    }

    /// Ends those that still run, and who took over from one of them: whoever runs on a config file of this folder, which no other
    /// scene has.
    pub(super) fn end(&self, folder: &Path) {
        let running: Vec<u32> =
            self.all().gateways.iter().filter(|gateway| !gateway.over).map(|gateway| gateway.id).collect();
        for id in running.into_iter().chain(runs_on(folder)) {
            let id = i32::try_from(id).ok().and_then(Pid::from_raw);
            // It may have ended.
            id.map(|id| kill_process(id, Signal::KILL).ok());
        }
    }

    /// Says in an outcome whether all lived and answered.
    pub(super) fn tell(&self, outcome: &mut Outcome) {
        let All { gateways, wrongs } = &*self.all();
        if gateways.is_empty() && wrongs.is_empty() {
            return;
        }
        let found = if wrongs.is_empty() { "it does".to_owned() } else { wrongs.join("; ") };
        outcome.count("the gateway lives and answers to the end", wrongs.is_empty(), found);
    }
}

/// A gateway that runs until this is dropped.
#[derive(Debug)]
pub(super) struct Living {
    process: Process,
    name: String,
    started: Started,
    may_end: AtomicBool,
}

impl Living {
    /// It may end by itself, in good order: another process takes over from it.
    pub(super) fn may_end(&self) {
        self.may_end.store(true, Ordering::SeqCst);
    }

    /// How it ended, if it has. One whose memory is gone already is about to, and is waited for.
    fn ended(&mut self) -> Option<ExitStatus> {
        let begun = Instant::now();
        loop {
            let ended = self.process.ended().ok().flatten();
            if ended.is_some() || self.process.resident().is_ok() || begun.elapsed() > ENDING {
                return ended;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Deref for Living {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        let ended = self.ended();
        let fine = |status: ExitStatus| self.may_end.load(Ordering::SeqCst) && status.success();
        let mut all = self.started.all();
        if let Some(status) = ended.filter(|status| !fine(*status)) {
            all.wrongs.push(format!("{} ended by itself: {status}", self.name));
        }
        let id = self.process.id();
        all.gateways.iter_mut().filter(|gateway| gateway.id == id).for_each(|gateway| gateway.over = true);
    }
}

/// Whether a child has ended that nobody has waited for.
fn has_ended(id: u32) -> bool {
    // The state stands behind the name, which may contain anything.
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// Whether somebody answers, by whatever it may be: bytes, an end, a refusal. Who hangs does none of it.
fn answers(address: SocketAddr, patience: Duration) -> bool {
    let ask = || -> std::io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        stream.read(&mut [0; 64]).map(drop)
    };
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    ask().map_or_else(|error| !matches!(error.kind(), TimedOut | WouldBlock), |()| true)
}

/// Processes that were started with a file of this folder.
pub(super) fn runs_on(folder: &Path) -> Vec<u32> {
    let beginning = format!("{}/", folder.display()).into_bytes();
    let ids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let runs = |id: &u32| {
        // It may end at any moment.
        let words = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|word| word.starts_with(&beginning) && word.ends_with(b"/gateway.yaml"))
    };
    ids.filter(runs).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use portcullis_engine::process::Program;

    use super::super::outcome::Status;
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn start(started: &Started, folder: &Path, script: &str) -> Living {
        let words = ["sh", "-c", script].map(Into::into).to_vec();
        let process = Process::start(&Program { words, core: None, log: folder.join("log") }).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // Nobody is there any more: who asks is refused, which is an answer.
        let address = listener.local_addr().unwrap();
        started.add(process, "edge", None, [address, address])
    }

    fn told(started: &Started) -> Outcome {
        let mut outcome = Outcome::default();
        started.tell(&mut outcome);
        outcome
    }

    fn wait_for_the_end(living: &Living) {
        let start = Instant::now();
        while !has_ended(living.id()) {
            assert!(start.elapsed() < PATIENCE);
            std::thread::yield_now();
        }
    }

    #[test]
    fn who_ends_by_itself_has_failed_and_who_is_ended_has_not() {
        let folder = tempfile::tempdir().unwrap();
        for (script, ends, may, status) in [
            ("exec sleep 1000", false, false, Status::Passed),
            ("exit 0", true, false, Status::Failed),
            ("exit 0", true, true, Status::Passed),
            ("kill -SEGV $$", true, true, Status::Failed),
        ] {
            let started = Started::default();
            let living = start(&started, folder.path(), script);
            if may {
                living.may_end();
            }
            if ends {
                wait_for_the_end(&living);
            }
            drop(living);
            assert_eq!(told(&started).status(), status, "{script} {may}");
        }
        assert_eq!(told(&Started::default()), Outcome::default(), "where there is none nothing is said");
    }

    #[test]
    fn who_is_given_up_is_looked_at_and_ended() {
        let folder = tempfile::tempdir().unwrap();
        let started = Started::default();
        let lives = start(&started, folder.path(), "exec sleep 1000");
        started.look(PATIENCE);
        assert_eq!(told(&started).status(), Status::Passed);
        started.end(folder.path());
        wait_for_the_end(&lives);
        started.look(PATIENCE);
        assert!(told(&started).text("a", PATIENCE).contains("edge ended by itself"));
    }

    #[test]
    fn who_answers_nobody_hangs_and_who_refuses_does_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // The kernel takes the connection, and nobody reads from it.
        assert!(!answers(address, Duration::from_millis(50)));
        drop(listener);
        assert!(answers(address, PATIENCE));
    }

    #[test]
    fn a_successor_is_found_by_its_config_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.yaml");
        fs::write(&file, "").unwrap();
        let words = vec!["tail".into(), "-f".into(), file.into()];
        let process = Process::start(&Program { words, core: None, log: folder.path().join("log") }).unwrap();
        let start = Instant::now();
        while runs_on(folder.path()) != [process.id()] {
            assert!(start.elapsed() < PATIENCE, "{:?}", runs_on(folder.path()));
            std::thread::yield_now();
        }
    }
}
